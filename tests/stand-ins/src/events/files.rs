//! Event files, read with all that is beside them and checked before anything is played.

use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Case, Given, GivenError};
use crate::lambda::workspace_root;

/// The repository's folder of events.
pub fn folder() -> PathBuf {
    workspace_root().join("events")
}

/// All cases of the repository, by name.
///
/// # Errors
///
/// [`EventError`], also when an event lacks its expectation or a file belongs to no event.
pub fn load_all() -> Result<Vec<Case>, EventError> {
    load_folder(&folder())
}

/// All cases of a folder that is laid out like the repository's, by name.
///
/// # Errors
///
/// As [`load_all`].
pub fn load_folder(folder: &Path) -> Result<Vec<Case>, EventError> {
    let cases: Vec<Case> =
        json_files(folder)?.iter().map(|path| load(path)).collect::<Result<_, _>>()?;
    if let Some(case) = cases.iter().find(|case| case.expectation.is_none()) {
        let missing = companion(&folder.join(&case.name).with_extension("json"), "expected");
        return Err(EventError::NoExpectation(missing));
    }
    for companions in ["expected", "client-context", "given"] {
        let companions = folder.join(companions);
        if !companions.is_dir() {
            continue;
        }
        let known = |path: &PathBuf| cases.iter().any(|case| case.name == name_of(path));
        if let Some(stray) = json_files(&companions)?.into_iter().find(|path| !known(path)) {
            return Err(EventError::NoEvent(stray));
        }
    }
    Ok(cases)
}

/// The case of one event file, with what is beside it: expectation, client context, given items.
///
/// # Errors
///
/// [`EventError`] when a file cannot be read or is not as it should be.
pub fn load(path: &Path) -> Result<Case, EventError> {
    let given_path = companion(path, "given");
    let given: Option<Vec<Map<String, Value>>> = read_json(&given_path)?;
    let given = given.map_or(Ok(Given::default()), |items| Given::parse(&items));
    let expected_path = companion(path, "expected");
    let case = Case {
        name: name_of(path),
        event: read(path)?.into(),
        client_context: read_json(&companion(path, "client-context"))?,
        expectation: read_json(&expected_path)?,
        given: given.map_err(|source| EventError::Given { path: given_path, source })?,
    };
    let expectation = case.expectation.as_ref();
    let mistakes = expectation.map_or_else(Vec::new, |it| it.mistakes(case.form()));
    match mistakes[..] {
        [] => Ok(case),
        _ => Err(EventError::Expectation { path: expected_path, mistakes }),
    }
}

/// Why event files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// A file or folder cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is not the JSON it should be.
    #[error("{} is not as it should be", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The place and the mistake.
        #[source]
        source: serde_json::Error,
    },
    /// A given item cannot be put into the table.
    #[error("{} is not as it should be", .path.display())]
    Given {
        /// The file.
        path: PathBuf,
        /// The mistake.
        #[source]
        source: GivenError,
    },
    /// An expectation asks for what cannot be compared.
    #[error("{} has mistakes:\n  {}", .path.display(), .mistakes.join("\n  "))]
    Expectation {
        /// The file.
        path: PathBuf,
        /// One mistake each: what was found, what is allowed.
        mistakes: Vec<String>,
    },
    /// An event of the repository has no expectation.
    #[error("{} is missing: every event of the repository has an expectation", .0.display())]
    NoExpectation(PathBuf),
    /// An expectation, a client context or a list of given items belongs to no event.
    #[error("{} belongs to no event", .0.display())]
    NoEvent(PathBuf),
}

/// The file of the same name in a folder beside the event.
fn companion(event: &Path, folder: &str) -> PathBuf {
    let name = event.file_name().unwrap_or_default();
    event.with_file_name(folder).join(name)
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn json_files(folder: &Path) -> Result<Vec<PathBuf>, EventError> {
    let unreadable = |source| EventError::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_file() && path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<Vec<u8>, EventError> {
    std::fs::read(path).map_err(|source| EventError::Read { path: path.to_owned(), source })
}

/// The JSON in a file, if there is one. A link that leads nowhere is a file that cannot be read.
fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, EventError> {
    let found = path.symlink_metadata();
    if found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(None);
    }
    let parsed = serde_json::from_slice(&read(path)?);
    parsed.map(Some).map_err(|source| EventError::Json { path: path.to_owned(), source })
}
