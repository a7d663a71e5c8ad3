//! Lines on standard output, written without ever waiting for their reader.
//!
//! Standard output is a pipe, and the function has one thread. A reader that stops would stop the
//! replies with it, and their timers too. So a line is written as far as there is room, and what
//! is left waits in memory, in order, up to a limit. Beyond it lines are lost and counted.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::PIPE_BUF;
use rustix::stdio::stdout;
use tokio::time::{sleep, timeout};

/// Lines that wait have this many bytes at most. A function has 128 MB or more, and a request
/// writes a few hundred bytes.
const MOST_WAITING: usize = 1 << 20;

/// How often a reader that is slow is looked after.
const PAUSE: Duration = Duration::from_millis(5);

static OUTPUT: Mutex<Output<Stdout>> = Mutex::new(Output::new(Stdout));

/// Writes a line, which `render` makes of the number of lines lost before it that nothing has
/// told yet. Whether it tells the number is its own affair, and its second value.
pub(crate) fn line(render: impl FnOnce(u64) -> (String, bool)) {
    output().line(render);
}

/// Waits until everything is written, but no longer than `within`.
pub async fn drain(within: Duration) {
    let all = async {
        while !output().flush() {
            sleep(PAUSE).await;
        }
    };
    // What is left then goes out with the next line.
    let _ = timeout(within, all).await;
}

fn output() -> MutexGuard<'static, Output<Stdout>> {
    OUTPUT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lines on their way to a sink that takes as much as it has room for.
struct Output<S> {
    sink: S,
    waiting: VecDeque<u8>,
    /// Lines that were lost since a line last told so.
    lost: u64,
}

impl<S: Write> Output<S> {
    const fn new(sink: S) -> Self {
        Self { sink, waiting: VecDeque::new(), lost: 0 }
    }

    fn line(&mut self, render: impl FnOnce(u64) -> (String, bool)) {
        self.flush();
        let (line, tells_lost) = render(self.lost);
        if self.waiting.len() + line.len() >= MOST_WAITING {
            self.lost += 1;
            return;
        }
        if tells_lost {
            self.lost = 0;
        }
        self.waiting.extend(line.bytes());
        self.waiting.push_back(b'\n');
        self.flush();
    }

    /// Writes what there is room for, and says whether that was all.
    fn flush(&mut self) -> bool {
        while !self.waiting.is_empty() {
            match self.sink.write(self.waiting.as_slices().0) {
                Ok(written) => drop(self.waiting.drain(..written)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                // Nothing can be done, or told, when standard output is gone.
                Err(_) => self.waiting.clear(),
            }
        }
        true
    }
}

/// Standard output, which takes what it can without waiting.
struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut room = [PollFd::from_borrowed_fd(stdout(), PollFlags::OUT)];
        if poll(&mut room, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        // A pipe that has room takes this much at least; more could wait for its reader. See
        // pipe(7), and nothing else in this process writes to it.
        Ok(rustix::io::write(stdout(), &bytes[..bytes.len().min(PIPE_BUF)])?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe that has room for so many bytes more.
    struct Pipe {
        room: usize,
        written: Vec<u8>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room).min(7);
            if taken == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.room -= taken;
            self.written.extend(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn full() -> Output<Pipe> {
        Output::new(Pipe { room: 0, written: Vec::new() })
    }

    fn lines(output: Output<Pipe>) -> Vec<String> {
        let written = String::from_utf8(output.sink.written).unwrap();
        written.lines().map(str::to_owned).collect()
    }

    #[test]
    fn lines_wait_for_room_and_go_out_in_order_and_whole() {
        let mut output = full();
        for number in 0..100 {
            output.line(|_| (format!("this is line {number}"), false));
            output.sink.room += 3;
        }
        output.sink.room = usize::MAX;
        assert!(output.flush());
        let expected: Vec<String> = (0..100).map(|n| format!("this is line {n}")).collect();
        assert_eq!(lines(output), expected);
    }

    #[test]
    fn lines_beyond_the_limit_are_lost_counted_and_told_by_the_next_that_can_tell() {
        let mut output = full();
        let long = "x".repeat(MOST_WAITING / 4);
        for _ in 0..10 {
            output.line(|lost| (format!("{long} {lost}"), true));
        }
        output.sink.room = usize::MAX;
        output.line(|_| ("a metric".to_owned(), false));
        output.line(|lost| (lost.to_string(), true));
        output.line(|lost| (lost.to_string(), true));
        assert_eq!(lines(output)[3..], ["a metric", "7", "0"]);
    }

    #[test]
    fn a_line_that_could_never_go_out_keeps_no_other_from_it() {
        let mut output = full();
        output.sink.room = usize::MAX;
        output.line(|_| ("x".repeat(MOST_WAITING), true));
        output.line(|lost| (lost.to_string(), true));
        assert_eq!(lines(output), ["1"]);
    }

    #[test]
    fn an_output_that_is_gone_stops_nothing() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(ErrorKind::BrokenPipe.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut output = Output::new(Gone);
        output.line(|_| ("lost".to_owned(), false));
        assert!(output.flush());
    }
}
