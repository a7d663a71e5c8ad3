//! Builds the function binaries with cargo, each once in this process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use tokio::process::Command;
use tokio::sync::OnceCell;

/// The root of the workspace that this package belongs to.
pub(crate) fn workspace_root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package)
}

/// The executable of the function `name`, built when it is not yet. Cargo's messages go to this
/// process's standard error. Several processes may build at once: cargo lets them wait for each
/// other.
///
/// # Errors
///
/// [`FunctionBuildError`] when cargo cannot run, does not compile the function or names no
/// executable.
pub async fn build_function(name: &str) -> Result<PathBuf, FunctionBuildError> {
    static BUILT: Mutex<BTreeMap<String, Arc<OnceCell<PathBuf>>>> = Mutex::new(BTreeMap::new());
    let cell = {
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(built.entry(name.to_owned()).or_default())
    };
    cell.get_or_try_init(|| run_cargo(name, name, &[])).await.cloned()
}

/// The executable `name` of `package`, built as it is deployed: in the release profile.
///
/// # Errors
///
/// As [`build_function`].
pub async fn build_release(package: &str, name: &str) -> Result<PathBuf, FunctionBuildError> {
    run_cargo(package, name, &["--release"]).await
}

/// Why a function could not be built.
#[derive(Debug, thiserror::Error)]
pub enum FunctionBuildError {
    /// Cargo itself did not start.
    #[error("`{}` does not start", .cargo.display())]
    Cargo {
        /// The program tried: `$CARGO`, or `cargo`.
        cargo: OsString,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Cargo failed; it has said why on standard error.
    #[error("cargo did not build `{name}`: {status}")]
    Failed {
        /// The function.
        name: String,
        /// How cargo ended.
        status: ExitStatus,
    },
    /// Cargo succeeded but built no such executable.
    #[error("cargo built no executable `{name}`")]
    NoExecutable {
        /// The function.
        name: String,
    },
}

async fn run_cargo(
    package: &str,
    name: &str,
    profile: &[&str],
) -> Result<PathBuf, FunctionBuildError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(&cargo)
        .args(["build", "-p", package, "--bin", name])
        .args(profile)
        .arg("--message-format=json-render-diagnostics")
        .current_dir(workspace_root())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| FunctionBuildError::Cargo { cargo, source })?;
    if !output.status.success() {
        return Err(FunctionBuildError::Failed { name: name.to_owned(), status: output.status });
    }
    executable(&output.stdout, name)
        .ok_or_else(|| FunctionBuildError::NoExecutable { name: name.to_owned() })
}

/// Finds the executable in cargo's messages, one JSON object a line.
fn executable(messages: &[u8], name: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        target: Target,
        executable: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
    }
    messages
        .split(|byte| *byte == b'\n')
        // Other messages have other fields.
        .filter_map(|line| serde_json::from_slice::<Message>(line).ok())
        .filter(|message| message.target.name == name)
        .find_map(|message| message.executable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_the_one_of_the_named_target() {
        let messages = br#"{"reason":"build-script-executed","package_id":"x"}
{"reason":"compiler-artifact","target":{"name":"router","kind":["lib"]},"executable":null}
{"reason":"compiler-artifact","target":{"name":"router","kind":["bin"]},"executable":"/t/router"}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(executable(messages, "router"), Some(PathBuf::from("/t/router")));
        assert_eq!(executable(messages, "gate"), None);
    }

    #[test]
    fn the_workspace_root_holds_the_functions() {
        assert!(workspace_root().join("functions").is_dir());
    }
}
