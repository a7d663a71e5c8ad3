//! What the last run left behind: its table and its policy, in `sandbox/` under cargo's target
//! folder.
//!
//! Each run begins both anew. What the one before left is out of the way while a run starts, and
//! comes back if it does not: then that one is still the last run. Of two runs at once only the
//! first keeps anything; the other's table is in memory.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::table::{Table, TableError};

/// The files that cargo writes into a target folder.
const TARGET_MARKS: [&str; 2] = ["CACHEDIR.TAG", ".rustc_info.json"];

/// The policy that is compiled into the function.
pub const SHIPPED_POLICY: &str = include_str!("../../../functions/supervisor-router/routing.toml");

/// What a run leaves: the table with what SQLite keeps beside it, and the policy. The table comes
/// after what belongs to it: where it has been moved to, all of it is.
const FILES: [&str; 4] = ["table.db-wal", "table.db-shm", TABLE, POLICY];
const TABLE: &str = "table.db";
const POLICY: &str = "policy.toml";

/// Where a run leaves things.
#[derive(Clone, Debug)]
pub struct LastRun {
    folder: PathBuf,
}

/// A run that is under way and will be the last one once it has started. While this lives, no
/// other run is.
#[derive(Debug)]
pub struct ThisRun {
    /// The file for the table.
    pub table: PathBuf,
    last_run: LastRun,
    has_started: bool,
    _lock: File,
}

impl ThisRun {
    /// From now on, this is the last run.
    ///
    /// # Errors
    ///
    /// [`KeepError`] when the run before it does not go away.
    pub fn take_over(&mut self) -> Result<(), KeepError> {
        self.has_started = true;
        let before = self.last_run.before();
        fs::remove_dir_all(&before).map_err(|source| at(&before, source))
    }
}

impl Drop for ThisRun {
    fn drop(&mut self) {
        if !self.has_started {
            // Why it has not started is what is told, not that this does not work either.
            let _ = self.last_run.remove_files().and_then(|()| self.last_run.bring_back());
        }
    }
}

/// Why the table of the last run cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No run has left one.
    #[error("no run has left a table in {}: `cargo run -p sandbox` does", .0.display())]
    NoRun(PathBuf),
    /// It cannot be opened.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// Why a file of a run cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {}", .path.display())]
pub struct KeepError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl LastRun {
    /// The one place on this machine, for this build.
    pub fn find() -> Self {
        let executable = std::env::current_exe().unwrap_or_default();
        let from_environment = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        Self { folder: target_folder(&executable, from_environment).join("sandbox") }
    }

    /// Begins a run with a policy, with what the one before left out of its way; where its table
    /// `goes_on`, with a copy of that. `None`: another one is under way.
    ///
    /// # Errors
    ///
    /// [`KeepError`] of a file that cannot be used: of a table that goes on, also where there is none.
    pub fn begin(&self, policy: Option<&str>, goes_on: bool) -> Result<Option<ThisRun>, KeepError> {
        fs::create_dir_all(&self.folder).map_err(|source| at(&self.folder, source))?;
        let path = self.folder.join("lock");
        let lock = File::create(&path).map_err(|source| at(&path, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(at(&path, source)),
        }
        // A run that was killed while it started has left it there.
        self.bring_back()?;
        let before = self.before();
        fs::create_dir(&before).map_err(|source| at(&before, source))?;
        let this_run = ThisRun {
            table: self.folder.join(TABLE),
            last_run: self.clone(),
            has_started: false,
            _lock: lock,
        };
        self.move_files(&self.folder, &before)?;
        if goes_on {
            for name in FILES.into_iter().filter(|name| *name != POLICY) {
                let (from, to) = (before.join(name), self.folder.join(name));
                let copied = fs::copy(&from, &to).map(|_| ());
                // The table itself has to be there.
                let copied = if name == TABLE {
                    copied.map_err(|source| at(&from, source))
                } else {
                    unless_missing(copied, &from)
                };
                copied?;
            }
        }
        let path = self.folder.join(POLICY);
        fs::write(&path, policy.unwrap_or(SHIPPED_POLICY)).map_err(|source| at(&path, source))?;
        Ok(Some(this_run))
    }

    /// Where the last run's files are while another one starts.
    fn before(&self) -> PathBuf {
        self.folder.join("before")
    }

    /// Moves the last run's files back to their place, if they are out of it.
    fn bring_back(&self) -> Result<(), KeepError> {
        let before = self.before();
        if !before.is_dir() {
            return Ok(());
        }
        if before.join(TABLE).is_file() {
            self.remove_files()?;
        }
        self.move_files(&before, &self.folder)?;
        fs::remove_dir(&before).map_err(|source| at(&before, source))
    }

    fn move_files(&self, from: &Path, to: &Path) -> Result<(), KeepError> {
        FILES.into_iter().try_for_each(|name| {
            let file = from.join(name);
            unless_missing(fs::rename(&file, to.join(name)), &file)
        })
    }

    fn remove_files(&self) -> Result<(), KeepError> {
        FILES.into_iter().try_for_each(|name| {
            let file = self.folder.join(name);
            unless_missing(fs::remove_file(&file), &file)
        })
    }

    /// The table as the last run left it, or has it now if it is still under way.
    ///
    /// # Errors
    ///
    /// [`OpenError`] when no run has left one, or it cannot be opened.
    pub async fn open_table(&self) -> Result<Table, OpenError> {
        let file = self.table().ok_or_else(|| OpenError::NoRun(self.folder.join(TABLE)))?;
        Ok(Table::open(&file).await?)
    }

    /// The file with the table, if a run has left one.
    fn table(&self) -> Option<PathBuf> {
        Some(self.files().join(TABLE)).filter(|file| file.is_file())
    }

    /// The policy of the run, if it has left one.
    pub fn policy(&self) -> Option<String> {
        fs::read_to_string(self.files().join(POLICY)).ok()
    }

    /// The folder that has the last run's files, also while another run starts.
    fn files(&self) -> PathBuf {
        let before = self.before();
        if before.join(TABLE).is_file() { before } else { self.folder.clone() }
    }
}

/// The target folder that the executable is in, whichever way cargo was told of it; for an
/// executable that was moved away, the one that the environment names.
fn target_folder(executable: &Path, from_environment: Option<PathBuf>) -> PathBuf {
    let is_target = |folder: &&Path| TARGET_MARKS.iter().any(|mark| folder.join(mark).exists());
    let around = executable.ancestors().skip(1).find(is_target).map(Path::to_owned);
    around.or(from_environment).unwrap_or_else(|| "target".into())
}

/// What is not there need not be moved or removed.
fn unless_missing(done: io::Result<()>, path: &Path) -> Result<(), KeepError> {
    match done {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(at(path, source)),
        _ => Ok(()),
    }
}

fn at(path: &Path, source: io::Error) -> KeepError {
    KeepError { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_folder_is_found_around_the_executable() {
        let folder = tempfile::tempdir().unwrap();
        let executable = folder.path().join("x86_64-unknown-linux-gnu/debug/sandbox");
        let elsewhere = || Some(PathBuf::from("/elsewhere"));
        assert_eq!(target_folder(&executable, elsewhere()), Path::new("/elsewhere"));
        assert_eq!(target_folder(&executable, None), Path::new("target"));
        fs::write(folder.path().join("CACHEDIR.TAG"), "").unwrap();
        assert_eq!(target_folder(&executable, elsewhere()), folder.path());
    }

    fn last_run(folder: &Path) -> LastRun {
        LastRun { folder: folder.join("sandbox") }
    }

    /// A run that left `table` under `policy`.
    fn leave(last_run: &LastRun, policy: &str, table: &str) {
        let mut run = last_run.begin(Some(policy), false).unwrap().unwrap();
        run.take_over().unwrap();
        fs::write(&run.table, table).unwrap();
        fs::write(run.table.with_extension("db-wal"), format!("{table}'s log")).unwrap();
    }

    fn table_text(last_run: &LastRun) -> Option<String> {
        last_run.table().map(|table| fs::read_to_string(table).unwrap())
    }

    #[test]
    fn of_two_runs_at_once_the_first_keeps_its_table() {
        let folder = tempfile::tempdir().unwrap();
        let last_run = last_run(folder.path());
        assert_eq!(last_run.table(), None);
        let mut first = last_run.begin(Some("a = 1"), false).unwrap().unwrap();
        first.take_over().unwrap();
        assert!(last_run.begin(Some("b = 2"), false).unwrap().is_none());
        assert_eq!(last_run.policy().as_deref(), Some("a = 1"));
        fs::write(&first.table, "a table").unwrap();
        assert!(last_run.begin(None, false).unwrap().is_none());
        assert_eq!(table_text(&last_run).as_deref(), Some("a table"));
        drop(first);
        last_run.begin(None, false).unwrap().unwrap().take_over().unwrap();
        assert_eq!(last_run.table(), None, "it belongs to another policy");
        assert_eq!(last_run.policy().as_deref(), Some(SHIPPED_POLICY));
    }

    #[test]
    fn a_run_that_did_not_start_leaves_the_last_one_alone() {
        let folder = tempfile::tempdir().unwrap();
        let last_run = last_run(folder.path());
        let is_the_last = || {
            let log = last_run.table().unwrap().with_extension("db-wal");
            assert_eq!(fs::read_to_string(log).unwrap(), "a table's log");
            (table_text(&last_run), last_run.policy())
        };
        let left = (Some("a table".to_owned()), Some("a = 1".to_owned()));
        leave(&last_run, "a = 1", "a table");
        let starting = last_run.begin(Some("b = 2"), false).unwrap().unwrap();
        fs::write(&starting.table, "half a table").unwrap();
        assert_eq!(is_the_last(), left, "while another one starts");
        drop(starting);
        assert_eq!(is_the_last(), left);
        // As if it had been killed.
        std::mem::forget(last_run.begin(Some("c = 3"), false).unwrap().unwrap());
        fs::write(last_run.folder.join(TABLE), "half a table").unwrap();
        assert_eq!(is_the_last(), left);
        last_run.bring_back().unwrap();
        assert_eq!(is_the_last(), left);
    }

    #[test]
    fn a_run_goes_on_with_what_the_last_one_left_which_stays_until_it_has_started() {
        let folder = tempfile::tempdir().unwrap();
        let last_run = last_run(folder.path());
        assert!(last_run.begin(None, true).is_err(), "there is none");
        leave(&last_run, "a = 1", "a table");
        let mut run = last_run.begin(None, true).unwrap().unwrap();
        assert_eq!(fs::read_to_string(&run.table).unwrap(), "a table");
        run.take_over().unwrap();
        assert_eq!(table_text(&last_run).as_deref(), Some("a table"));
    }

    #[test]
    fn a_first_run_that_did_not_start_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let last_run = last_run(folder.path());
        let starting = last_run.begin(None, false).unwrap().unwrap();
        fs::write(&starting.table, "half a table").unwrap();
        drop(starting);
        assert_eq!((last_run.table(), last_run.policy()), (None, None));
    }
}
