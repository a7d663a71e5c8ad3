//! What the function processes write to standard output and standard error.
//!
//! They write to files, not to pipes: a function writes its lines before it posts its reply, so
//! whoever has the reply can read all of them, and no reader has to keep up. A pipe that nothing
//! reads shows what a function does when Lambda does not keep up.

use std::fs::File;
use std::io::{self, PipeReader, Read};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::thread;

use tempfile::NamedTempFile;

/// The output of one process slot, over all restarts.
#[derive(Debug)]
pub(super) struct Output {
    stdout: Capture,
    stderr: Capture,
    /// The pipes that standard output goes to and that are not read yet, if it is held back.
    stalled: Option<Mutex<Vec<PipeReader>>>,
}

#[derive(Debug)]
struct Capture {
    file: NamedTempFile,
}

impl Output {
    pub(super) fn new(stalled: bool) -> io::Result<Self> {
        let stalled = stalled.then(Mutex::default);
        Ok(Self { stdout: Capture::new()?, stderr: Capture::new()?, stalled })
    }

    /// Where a new process's standard output goes.
    pub(super) fn stdout(&self) -> io::Result<Stdio> {
        let Some(stalled) = &self.stalled else { return Ok(self.stdout.file()?.into()) };
        let (reader, writer) = io::pipe()?;
        stalled.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        Ok(writer.into())
    }

    /// Begins to read the pipes.
    pub(super) fn read(&self) -> io::Result<()> {
        let Some(stalled) = &self.stalled else { return Ok(()) };
        for mut reader in stalled.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let mut file = self.stdout.file()?;
            // It ends with the process that writes.
            thread::spawn(move || io::copy(&mut reader, &mut file));
        }
        Ok(())
    }

    /// Where a new process's standard error goes.
    pub(super) fn stderr(&self) -> io::Result<Stdio> {
        Ok(self.stderr.file()?.into())
    }

    pub(super) fn stdout_lines(&self) -> Vec<String> {
        self.stdout.lines()
    }

    pub(super) fn stderr_lines(&self) -> Vec<String> {
        self.stderr.lines()
    }
}

impl Capture {
    fn new() -> io::Result<Self> {
        Ok(Self { file: NamedTempFile::with_prefix("sandbox-function-")? })
    }

    fn file(&self) -> io::Result<File> {
        // Appending: a restarted process must not write over what its predecessor wrote.
        File::options().append(true).open(self.file.path())
    }

    fn lines(&self) -> Vec<String> {
        let mut bytes = Vec::new();
        // What cannot be read is missing from the logs; that is no reason to fail an event.
        let _ = self.file.reopen().and_then(|mut file| file.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
    }
}
