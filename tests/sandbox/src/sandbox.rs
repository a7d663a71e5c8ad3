//! All stand-ins and the function, started together and wired up.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use crate::agents::{Agents, DEFAULT_SCRIPT, Injection, InjectionError, Script, ScriptError};
use crate::function::{Function, Invoker};
use crate::http::ANY_LOOPBACK;
use crate::identity::REGION;
use crate::lambda::{FunctionBuildError, Invocation, Lambda, Launch, StartError, build_function};
use crate::metrics::Metrics;
use crate::table::{ClosedPort, Table, TableError};

/// The function that the sandbox runs.
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
    /// Further environment variables of the function; they win over all others.
    pub env: BTreeMap<String, String>,
    /// How many function processes there are, at least 1. Each serves one invocation at a time.
    pub processes: usize,
    /// The function's timeout.
    pub lambda_timeout: Duration,
    /// Whether the function finds nobody at the table's address. The table itself still works
    /// for [`Sandbox::table`].
    pub table_down: bool,
    /// A file that keeps the table beyond the sandbox's end, begun anew; `None`: it is kept in
    /// memory only.
    pub table_file: Option<PathBuf>,
    /// A binary to run in place of the one that cargo builds.
    pub executable: Option<PathBuf>,
    /// Where the stand-ins listen: the agents at this port, CloudWatch at the next, the table at
    /// the one after; with port 0, each at a free one.
    pub listen: SocketAddr,
    /// Whether the function's standard output is a pipe that nothing reads until
    /// [`Sandbox::read_output`].
    pub stalled_output: bool,
    /// A program that invokes the function wherever it is, in place of processes of this machine.
    /// `cargo run -p sandbox -- --help` tells what it gets.
    pub invoker: Option<PathBuf>,
    /// An AWS in place of some stand-ins.
    pub aws: Option<Aws>,
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
            executable: None,
            listen: ANY_LOOPBACK,
            stalled_output: false,
            invoker: None,
            aws: None,
        }
    }
}

impl Options {
    /// Where the stand-in of this number listens.
    fn port(&self, number: u16) -> SocketAddr {
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
        let script = Script::parse(self.agents.as_deref().unwrap_or(DEFAULT_SCRIPT))?;
        if let Some(faults) = &self.fail {
            Injection::parse_list(faults, &script)?;
        }
        Ok(script)
    }
}

/// The whole product, running. Dropping it ends everything; [`Sandbox::stop`] waits for that.
#[derive(Debug)]
pub struct Sandbox {
    function: Function,
    agents: Agents,
    metrics: Metrics,
    table: Table,
    _closed_port: Option<ClosedPort>,
}

/// Why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// [`Options::processes`] is 0.
    #[error("`processes` is 0, at least 1 is needed")]
    NoProcesses,
    /// The agents' script has mistakes.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// [`Options::fail`] has mistakes.
    #[error(transparent)]
    Fail(#[from] InjectionError),
    /// A stand-in found no free port.
    #[error("a stand-in cannot listen")]
    Listen(#[from] io::Error),
    /// The table was not created.
    #[error("the table is not there")]
    Table(#[from] TableError),
    /// The function was not built.
    #[error("the function is not there")]
    Build(#[from] FunctionBuildError),
    /// The function did not start.
    #[error(transparent)]
    Start(#[from] StartError),
}

impl Sandbox {
    /// Builds the function if need be, starts everything and waits until the function has asked
    /// for its first event.
    ///
    /// # Errors
    ///
    /// [`SandboxError`]; nothing keeps running then.
    pub async fn start(options: Options) -> Result<Self, SandboxError> {
        let script = options.check()?;
        let specialist_agents = script.specialist_agents();
        let executable = match (&options.executable, &options.invoker) {
            (Some(executable), _) => executable.clone(),
            (None, None) => build_function(FUNCTION).await?,
            (None, Some(_)) => PathBuf::new(),
        };
        let agents = Agents::start_at(options.port(0), script).await?;
        if let Some(faults) = &options.fail {
            agents.fail_as(faults)?;
        }
        let upstream = options.aws.as_ref().map(|aws| aws.address);
        let metrics = Metrics::start_at(options.port(1), upstream).await?;
        let table = match &options.aws {
            Some(aws) => Table::at(aws.address, &aws.table).await?,
            None => Table::start_at(options.port(2), options.table_file.as_deref()).await?,
        };
        let closed_port = options.table_down.then(ClosedPort::reserve).transpose()?;
        let table_url = closed_port.as_ref().map_or_else(|| table.url(), ClosedPort::url);
        let mut env = BTreeMap::from([
            ("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE".to_owned(), agents.url()),
            ("AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME".to_owned(), agents.url()),
            ("AWS_ENDPOINT_URL_CLOUDWATCH".to_owned(), metrics.url()),
            ("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), table_url),
            ("BUDGET_TABLE_NAME".to_owned(), table.name().to_owned()),
            ("SPECIALIST_AGENTS".to_owned(), specialist_agents),
        ]);
        env.extend(options.policy.map(|policy| ("ROUTING_POLICY".to_owned(), policy)));
        env.extend(options.env);
        let function = match options.invoker {
            Some(invoker) => {
                Function::Elsewhere(Invoker::new(invoker, &env, options.lambda_timeout))
            }
            None => {
                let mut all = lambda_environment();
                all.extend(env);
                let launch = Launch {
                    function: FUNCTION.to_owned(),
                    executable,
                    env: all,
                    processes: options.processes,
                    limit: options.lambda_timeout,
                    stalled_output: options.stalled_output,
                };
                Function::Here(Lambda::start(launch).await?)
            }
        };
        Ok(Self { function, agents, metrics, table, _closed_port: closed_port })
    }

    /// Invokes the function as Lambda does. Any number of tasks may do so at once; those that
    /// find no free process wait.
    pub async fn invoke(
        &self,
        payload: impl Into<Bytes>,
        client_context: Option<serde_json::Value>,
    ) -> Invocation {
        self.function.invoke(payload.into(), client_context.as_ref(), None).await
    }

    /// As [`Sandbox::invoke`], with a timeout of its own in place of
    /// [`Options::lambda_timeout`].
    pub async fn invoke_within(
        &self,
        limit: Duration,
        payload: impl Into<Bytes>,
        client_context: Option<serde_json::Value>,
    ) -> Invocation {
        self.function.invoke(payload.into(), client_context.as_ref(), Some(limit)).await
    }

    /// As [`Sandbox::invoke`], with headers as they are. They go before those that Lambda sends,
    /// whatever they hold; those that HTTP does not allow are left out, as are all of them where
    /// the function runs elsewhere.
    pub async fn invoke_with_headers(
        &self,
        payload: impl Into<Bytes>,
        headers: &[(&'static str, &[u8])],
    ) -> Invocation {
        self.function.send(payload.into(), headers).await
    }

    /// Begins to read what [`Options::stalled_output`] holds back.
    ///
    /// # Errors
    ///
    /// When the lines cannot be kept.
    pub fn read_output(&self) -> io::Result<()> {
        self.function.read_output()
    }

    /// Ends the function's processes, each as soon as it is idle, and starts new ones, which
    /// remember nothing: the next events find a cold start.
    ///
    /// # Errors
    ///
    /// [`StartError`] when a new process does not ask for an event.
    pub async fn renew_processes(&self) -> Result<(), StartError> {
        self.function.renew().await
    }

    /// The specialists' agents.
    pub fn agents(&self) -> &Agents {
        &self.agents
    }

    /// What CloudWatch received.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The budget ledger's table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The function's lines on standard output so far, process by process. All lines written
    /// before a reply are there when [`Sandbox::invoke`] returns.
    pub fn logs(&self) -> Vec<String> {
        self.function.stdout_lines()
    }

    /// The function's lines on standard error so far, process by process.
    pub fn errors(&self) -> Vec<String> {
        self.function.stderr_lines()
    }

    /// Standard output and standard error of each process, apart.
    pub(crate) fn lines_by_stream(&self) -> Vec<Vec<String>> {
        self.function.lines_by_stream()
    }

    /// Ends everything and waits until the function's processes are gone.
    pub async fn stop(self) {
        self.function.stop().await;
    }
}

/// What Lambda itself sets, with credentials that open nothing.
fn lambda_environment() -> BTreeMap<String, String> {
    [
        ("AWS_LAMBDA_FUNCTION_NAME", FUNCTION),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/supervisor-router"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "sandbox"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", "SANDBOX"),
        ("AWS_SECRET_ACCESS_KEY", "sandbox"),
        ("AWS_SESSION_TOKEN", "sandbox"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("TZ", ":UTC"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
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

    #[tokio::test]
    async fn mistakes_in_the_options_are_found_before_anything_is_built() {
        let none = Options { processes: 0, ..Options::default() };
        assert!(matches!(Sandbox::start(none).await, Err(SandboxError::NoProcesses)));
        let script = Options { agents: Some("x = 1".into()), ..Options::default() };
        assert!(matches!(Sandbox::start(script).await, Err(SandboxError::Script(_))));
        let fail = Options { fail: Some("billing=explode".into()), ..Options::default() };
        assert!(matches!(Sandbox::start(fail).await, Err(SandboxError::Fail(_))));
    }
}
