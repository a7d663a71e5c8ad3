//! `serve`: the front door at an HTTP address of this machine.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use stand_ins::last_run::{KeepError, LastRun};
use stand_ins::supervisors::{FRONT_DOOR, Kind, routing, with_front_door};
use stand_ins::{Options, Sandbox, SandboxError};

/// Serve the front door at an HTTP address of this machine, until it is interrupted
///
/// Requests reach the real function through a stand-in of its function URL, and its supervisor and
/// specialists are scripted: a word like "refund", "order" or "password" says whom it asks.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What plays the supervisor
    #[arg(long, value_name = "KIND", default_value = "harness")]
    supervisor: Supervisor,

    /// The port; 0 for a free one
    #[arg(long, value_name = "PORT", default_value_t = 8010)]
    port: u16,

    /// What the specialists answer (TOML) [default: tests/sandbox/agents.toml]
    #[arg(long, value_name = "FILE")]
    agents: Option<PathBuf>,

    /// The routing policy (TOML), with a supervisor [default: the one compiled in]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Supervisor {
    Harness,
    Model,
    Agent,
}

impl From<Supervisor> for Kind {
    fn from(supervisor: Supervisor) -> Self {
        match supervisor {
            Supervisor::Harness => Self::Harness,
            Supervisor::Model => Self::Model,
            Supervisor::Agent => Self::Agent,
        }
    }
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("`{}` cannot be read", .path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Keep(#[from] KeepError),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error("nothing can listen at {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("what is served cannot be told")]
    Output(#[source] io::Error),
}

/// Serves until the program ends.
pub(crate) async fn run(arguments: Arguments) -> Result<usize, ServeError> {
    let Arguments { supervisor, port, agents, policy } = arguments;
    let kind = supervisor.into();
    let mut options = Options {
        agents: agents.map(read).transpose()?,
        policy: policy.map(read).transpose()?,
        ..Options::default()
    };
    let mut this_run = LastRun::find().begin(options.policy.as_deref(), false)?;
    options.table_file = this_run.as_ref().map(|run| run.table.clone());
    let options = with_front_door(kind, &routing(kind), options).map_err(SandboxError::from)?;
    let sandbox = Sandbox::start(options).await?;
    if let Some(run) = &mut this_run {
        run.take_over()?;
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let url = sandbox.url_of(FRONT_DOOR, address).await;
    let url = url.map_err(|source| ServeError::Listen { address, source })?;
    tell(&url.url(), kind).map_err(ServeError::Output)?;
    std::future::pending().await
}

fn read(path: PathBuf) -> Result<String, ServeError> {
    std::fs::read_to_string(&path).map_err(|source| ServeError::File { path, source })
}

fn tell(url: &str, kind: Kind) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let request = r#"{"input": "I want a refund for order 4711", "session_id": "s-1", "attributes": {"user_id": "u-1", "identity_verified": "true"}}"#;
    writeln!(
        out,
        "The front door is at {url}, its supervisor a scripted {}. Try, elsewhere:",
        kind.name()
    )?;
    writeln!(out)?;
    writeln!(out, "curl -s {url} -d '{request}'")?;
    writeln!(out, "curl -sN {url} -H 'Accept: text/event-stream' -d '{request}'")?;
    writeln!(out)?;
    writeln!(out, "`cargo run -p routerctl -- budget` shows what it costs. Ctrl-C ends it.")?;
    out.flush()
}
