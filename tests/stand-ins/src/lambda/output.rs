//! What the function processes write to standard output and standard error.
//!
//! They write to files, not to pipes: a function writes its lines before it posts its reply, so
//! whoever has the reply can read all of them, and no reader has to keep up.

use std::fs::File;
use std::io::{self, Read};
use std::process::Stdio;

use tempfile::NamedTempFile;

/// The output of one process slot, over all restarts.
#[derive(Debug)]
pub(super) struct Output {
    stdout: Capture,
    stderr: Capture,
}

#[derive(Debug)]
struct Capture {
    file: NamedTempFile,
}

impl Output {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { stdout: Capture::new()?, stderr: Capture::new()? })
    }

    /// Where a new process's standard output goes.
    pub(super) fn stdout(&self) -> io::Result<Stdio> {
        self.stdout.stdio()
    }

    /// Where a new process's standard error goes.
    pub(super) fn stderr(&self) -> io::Result<Stdio> {
        self.stderr.stdio()
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

    fn stdio(&self) -> io::Result<Stdio> {
        // Appending: a restarted process must not write over what its predecessor wrote.
        Ok(File::options().append(true).open(self.file.path())?.into())
    }

    fn lines(&self) -> Vec<String> {
        let mut bytes = Vec::new();
        // What cannot be read is missing from the logs; that is no reason to fail an event.
        let _ = self.file.reopen().and_then(|mut file| file.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
    }
}
