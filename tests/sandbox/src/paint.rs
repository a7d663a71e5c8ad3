//! Colors and numbers for people.

use std::io::IsTerminal;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use clap::ColorChoice;

/// Marks text with terminal colors, or leaves it as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// By choice, or where standard output is a terminal and `NO_COLOR` is not set.
    pub(crate) fn new(choice: ColorChoice) -> Self {
        let on = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
            }
        };
        Self { on }
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.with("1;31", text)
    }

    pub(crate) fn heading(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(crate) fn faint(self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// `12,345,678`
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Micro-dollars as `$1,234.567890`
pub(crate) fn usd(micro_usd: u64) -> String {
    format!("${}.{:06}", grouped(micro_usd / 1_000_000), micro_usd % 1_000_000)
}

/// Seconds as `59 s`, `4 min 12 s`, `23 h 59 min`, `3 d 2 h`
pub(crate) fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let (first, second) = match seconds {
        0..60 => return format!("{seconds} s"),
        60..3_600 => (format!("{minutes} min"), format!("{} s", seconds % 60)),
        3_600..86_400 => (format!("{hours} h"), format!("{} min", minutes % 60)),
        86_400.. => (format!("{days} d"), format!("{} h", hours % 24)),
    };
    format!("{first} {second}")
}

/// Seconds since 1970 as `2026-11-21 12:55:01 UTC`
pub(crate) fn utc(seconds: u64) -> String {
    let time = DateTime::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    match time.fmt(Format::DateTime) {
        Ok(text) => text.replace('T', " ").replace('Z', " UTC"),
        Err(_) => format!("{seconds} s after 1970"),
    }
}

/// A text from outside, without what would control the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

/// `1 step`, `2 steps`
pub(crate) fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Cuts what is longer than `width` characters, visibly.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn amounts_and_times_are_written_for_people() {
        assert_eq!([1, 1_234_567_890].map(usd), ["$0.000001", "$1,234.567890"]);
        let spans = [0, 59, 252, 86_399, 86_400, 266_400].map(span);
        assert_eq!(spans, ["0 s", "59 s", "4 min 12 s", "23 h 59 min", "1 d 0 h", "3 d 2 h"]);
        assert_eq!(utc(1_795_262_400), "2026-11-21 12:00:00 UTC");
        assert_eq!(printable("a\x1b[1mé"), "a\u{fffd}[1mé");
    }

    #[test]
    fn a_long_text_is_cut_visibly() {
        assert_eq!(cut("sessions", 8), "sessions");
        assert_eq!(cut("sessions", 5), "sess…");
    }
}
