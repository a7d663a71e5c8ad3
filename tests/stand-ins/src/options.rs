//! What a sandbox is made of.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::agents::{DEFAULT_SCRIPT, Injection, Script};
use crate::http::ANY_LOOPBACK;
#[cfg(doc)]
use crate::sandbox::Sandbox;
use crate::sandbox::SandboxError;

/// The function that events go to which name none.
pub const FUNCTION: &str = "supervisor-router";

/// What a sandbox is made of. `Options::default()` is the product as it is shipped, with the
/// agents of the script that is compiled in.
#[derive(Clone, Debug)]
pub struct Options {
    /// The policy as TOML text, for `ROUTING_POLICY`; `None`: the one compiled into the function.
    pub policy: Option<String>,
    /// The agents' script as TOML text; `None`: [`DEFAULT_SCRIPT`].
    pub agents: Option<String>,
    /// Faults of the agents in the form of `--fail`, from the start:
    /// `billing=throttle:0.5,orders=hang`. [`Sandbox::agents`] changes them later.
    pub fail: Option<String>,
    /// Further environment variables of each function; only its own override them.
    pub env: BTreeMap<String, String>,
    /// How many processes each function has, at least 1. Each serves one invocation at a time.
    pub processes: usize,
    /// The functions' timeout.
    pub lambda_timeout: Duration,
    /// Whether the functions find nobody at the table's address. The table itself still works
    /// for [`Sandbox::table`].
    pub table_down: bool,
    /// A file that keeps the table beyond the sandbox's end, begun anew; `None`: it is kept in
    /// memory only.
    pub table_file: Option<PathBuf>,
    /// Whether that file has a table already, which goes on.
    pub table_goes_on: bool,
    /// The functions that run, by name.
    pub functions: BTreeMap<String, FunctionOptions>,
    /// Where the stand-ins listen: the agents at this port, CloudWatch at the next, the table at
    /// the one after, SNS at the last; with port 0, each at a free one.
    pub listen: SocketAddr,
    /// Whether the functions' standard output is a pipe that is not read until
    /// [`Sandbox::read_output`].
    pub stalled_output: bool,
    /// A program that invokes the functions wherever they are, in place of processes of this
    /// machine. `cargo run -p sandbox -- --help` tells what it gets.
    pub invoker: Option<PathBuf>,
    /// An AWS in place of some stand-ins.
    pub aws: Option<Aws>,
}

/// How one function is run.
#[derive(Clone, Debug, Default)]
pub struct FunctionOptions {
    /// A binary to run in place of the one that cargo builds from the package of the function's
    /// name.
    pub executable: Option<PathBuf>,
    /// Environment variables of this function alone; they override all others.
    pub env: BTreeMap<String, String>,
}

/// An AWS, or an emulator of it, with a table for the function.
#[derive(Clone, Debug)]
pub struct Aws {
    /// Where all of its services are. What the stand-in of CloudWatch takes is passed on to there.
    pub address: SocketAddr,
    /// The table.
    pub table: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            policy: None,
            agents: None,
            fail: None,
            env: BTreeMap::new(),
            processes: 1,
            lambda_timeout: Duration::from_secs(30),
            table_down: false,
            table_file: None,
            table_goes_on: false,
            functions: BTreeMap::from([(FUNCTION.to_owned(), FunctionOptions::default())]),
            listen: ANY_LOOPBACK,
            stalled_output: false,
            invoker: None,
            aws: None,
        }
    }
}

impl Options {
    /// Where the stand-in of this number listens.
    pub(crate) fn port(&self, number: u16) -> SocketAddr {
        let port = match self.listen.port() {
            0 => 0,
            first => first.saturating_add(number),
        };
        SocketAddr::new(self.listen.ip(), port)
    }

    /// Looks for mistakes that are found without starting anything, and gives the agents' script.
    ///
    /// # Errors
    ///
    /// [`SandboxError`], as [`Sandbox::start`].
    pub fn check(&self) -> Result<Script, SandboxError> {
        if self.processes == 0 {
            return Err(SandboxError::NoProcesses);
        }
        if self.listen.port() > u16::MAX - (STAND_INS - 1) {
            return Err(SandboxError::Ports { listen: self.listen });
        }
        if let Some(invoker) = self.invoker.as_ref().filter(|invoker| !is_program(invoker)) {
            return Err(SandboxError::NoInvoker(invoker.clone()));
        }
        let script = Script::parse(self.agents.as_deref().unwrap_or(DEFAULT_SCRIPT))?;
        if let Some(faults) = &self.fail {
            Injection::parse_list(faults, &script)?;
        }
        Ok(script)
    }
}

/// How many stand-ins [`Options::listen`] is for.
pub(crate) const STAND_INS: u16 = 4;

/// Whether this is a file, or the name of one in a folder of `PATH`.
fn is_program(program: &Path) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let is_name = program.components().count() == 1 && !program.has_root();
    let found = || std::env::split_paths(&folders).any(|folder| folder.join(program).is_file());
    if is_name { found() } else { program.is_file() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stand_ins_listen_on_ports_in_a_row_or_on_any() {
        let ports = |listen: &str| {
            let options = Options { listen: listen.parse().unwrap(), ..Options::default() };
            [0, 1, 2].map(|number| options.port(number).to_string())
        };
        assert_eq!(ports("10.0.0.1:80"), ["10.0.0.1:80", "10.0.0.1:81", "10.0.0.1:82"]);
        assert_eq!(ports("10.0.0.1:0"), ["10.0.0.1:0"; 3]);
    }

    #[test]
    fn a_program_is_a_file_or_the_name_of_one_in_the_path() {
        assert!(is_program(Path::new("sh")));
        assert!(!is_program(Path::new("./sh")));
        assert!(is_program(&std::env::current_exe().unwrap()));
    }
}
