//! What the last run left behind: its table and its policy, in `sandbox/` under cargo's target
//! folder.
//!
//! Each run begins both anew. Of two runs at once only the first keeps them; the other's table is
//! in memory.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use sandbox::table::{Table, TableError};

/// The files that cargo writes into a target folder.
const TARGET_MARKS: [&str; 2] = ["CACHEDIR.TAG", ".rustc_info.json"];

/// The policy that is compiled into the function.
pub(crate) const SHIPPED_POLICY: &str =
    include_str!("../../../functions/supervisor-router/routing.toml");

/// Where a run leaves things.
#[derive(Clone, Debug)]
pub(crate) struct LastRun {
    folder: PathBuf,
}

/// A run that is under way and will be the last one. While this lives, no other run is.
#[derive(Debug)]
pub(crate) struct ThisRun {
    /// The file for the table.
    pub(crate) table: PathBuf,
    _lock: File,
}

/// Why the table of the last run cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("no run has left a table in {}: `cargo run -p sandbox` does", .0.display())]
    NoRun(PathBuf),
    #[error(transparent)]
    Table(#[from] TableError),
}

/// Why a file of a run cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {}", .path.display())]
pub(crate) struct KeepError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl LastRun {
    /// The one place on this machine, for this build.
    pub(crate) fn find() -> Self {
        let executable = std::env::current_exe().unwrap_or_default();
        let from_environment = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        Self { folder: target_folder(&executable, from_environment).join("sandbox") }
    }

    /// Begins a run with a policy; what the one before left is gone then. `None`: another one is
    /// under way.
    pub(crate) fn begin(&self, policy: Option<&str>) -> Result<Option<ThisRun>, KeepError> {
        fs::create_dir_all(&self.folder).map_err(|source| at(&self.folder, source))?;
        let path = self.folder.join("lock");
        let lock = File::create(&path).map_err(|source| at(&path, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(at(&path, source)),
        }
        let path = self.table_file();
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(at(&path, source));
            }
            _ => {}
        }
        let path = self.policy_file();
        fs::write(&path, policy.unwrap_or(SHIPPED_POLICY)).map_err(|source| at(&path, source))?;
        Ok(Some(ThisRun { table: self.table_file(), _lock: lock }))
    }

    /// The table as the last run left it, or has it now if it is still under way.
    pub(crate) async fn open_table(&self) -> Result<Table, OpenError> {
        let file = self.table().ok_or_else(|| OpenError::NoRun(self.table_file()))?;
        Ok(Table::open(&file).await?)
    }

    /// The file with the table, if a run has left one.
    fn table(&self) -> Option<PathBuf> {
        Some(self.table_file()).filter(|file| file.is_file())
    }

    /// Where the table is or would be.
    fn table_file(&self) -> PathBuf {
        self.folder.join("table.db")
    }

    /// The policy of the run, if it has left one.
    pub(crate) fn policy(&self) -> Option<String> {
        fs::read_to_string(self.policy_file()).ok()
    }

    fn policy_file(&self) -> PathBuf {
        self.folder.join("policy.toml")
    }
}

/// The target folder that the executable is in, whichever way cargo was told of it; for an
/// executable that was moved away, the one that the environment names.
fn target_folder(executable: &Path, from_environment: Option<PathBuf>) -> PathBuf {
    let is_target = |folder: &&Path| TARGET_MARKS.iter().any(|mark| folder.join(mark).exists());
    let around = executable.ancestors().skip(1).find(is_target).map(Path::to_owned);
    around.or(from_environment).unwrap_or_else(|| "target".into())
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

    #[test]
    fn of_two_runs_at_once_the_first_keeps_its_table() {
        let folder = tempfile::tempdir().unwrap();
        let last_run = LastRun { folder: folder.path().join("sandbox") };
        assert_eq!(last_run.table(), None);
        let first = last_run.begin(Some("a = 1")).unwrap().unwrap();
        assert!(last_run.begin(Some("b = 2")).unwrap().is_none());
        assert_eq!(last_run.policy().as_deref(), Some("a = 1"));
        fs::write(&first.table, "a table").unwrap();
        assert!(last_run.begin(None).unwrap().is_none());
        assert_eq!(last_run.table(), Some(first.table.clone()));
        drop(first);
        assert!(last_run.begin(None).unwrap().is_some());
        assert_eq!(last_run.table(), None, "it belongs to another policy");
        assert_eq!(last_run.policy().as_deref(), Some(SHIPPED_POLICY));
    }
}
