//! All stand-ins and the functions, started together and wired up.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::agents::{Agents, InjectionError, ScriptError};
use crate::function::Function;
use crate::function_url::FunctionUrl;
use crate::functions::Functions;
use crate::lambda::{FunctionBuildError, Invocation, Outcome, Process, StartError};
use crate::metrics::Metrics;
use crate::options::{FUNCTION, Options, STAND_INS};
use crate::table::{ClosedPort, Table, TableError};
use crate::topic::{TOPIC_ARN, Topic};

/// The whole product, running. Dropping it ends everything; [`Sandbox::stop`] waits for that.
#[derive(Debug)]
pub struct Sandbox {
    functions: Arc<Functions>,
    agents: Agents,
    metrics: Metrics,
    table: Table,
    topic: Topic,
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
    /// The ports from [`Options::listen`] on are not there for all stand-ins.
    #[error(
        "the stand-ins need {} ports in a row, and {listen} is too near to the last one",
        STAND_INS
    )]
    Ports {
        /// The first address.
        listen: SocketAddr,
    },
    /// [`Options::invoker`] is no program that can be run.
    #[error("there is no program {} to invoke the function", .0.display())]
    NoInvoker(PathBuf),
    /// A stand-in cannot listen at its address.
    #[error("the stand-in of {stand_in} cannot listen")]
    Listen {
        /// What it stands in for.
        stand_in: &'static str,
        /// The address and what the system said.
        #[source]
        source: io::Error,
    },
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
    /// Builds the functions if need be, starts everything and waits until each function has asked
    /// for its first event.
    ///
    /// # Errors
    ///
    /// [`SandboxError`]; nothing keeps running then.
    pub async fn start(mut options: Options) -> Result<Self, SandboxError> {
        let script = options.check()?;
        let specialist_agents = script.specialist_agents();
        Functions::build(&mut options).await?;
        let agents = Agents::start_at(options.port(0), script).await;
        let agents = agents.map_err(cannot_listen("the agents"))?;
        if let Some(faults) = &options.fail {
            agents.fail_as(faults)?;
        }
        let upstream = options.aws.as_ref().map(|aws| aws.address);
        let metrics = Metrics::start_at(options.port(1), upstream).await;
        let metrics = metrics.map_err(cannot_listen("CloudWatch"))?;
        let table = match &options.aws {
            Some(aws) => Table::at(aws.address, &aws.table).await?,
            None => match options.table_file.as_deref().filter(|_| options.table_goes_on) {
                Some(file) => Table::go_on_at(options.port(2), file).await?,
                None => Table::start_at(options.port(2), options.table_file.as_deref()).await?,
            },
        };
        let topic = Topic::start_at(options.port(3)).await.map_err(cannot_listen("SNS"))?;
        let closed_port = options.table_down.then(ClosedPort::reserve).transpose();
        let closed_port = closed_port.map_err(cannot_listen("DynamoDB"))?;
        let table_url = closed_port.as_ref().map_or_else(|| table.url(), ClosedPort::url);
        let mut env = BTreeMap::from([
            ("AWS_ENDPOINT_URL_BEDROCK_AGENTCORE".to_owned(), agents.url()),
            ("AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME".to_owned(), agents.url()),
            ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME".to_owned(), agents.url()),
            ("AWS_ENDPOINT_URL_CLOUDWATCH".to_owned(), metrics.url()),
            ("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), table_url),
            ("AWS_ENDPOINT_URL_SNS".to_owned(), topic.url()),
            ("BUDGET_TABLE_NAME".to_owned(), table.name().to_owned()),
            ("ESCALATION_TOPIC_ARN".to_owned(), TOPIC_ARN.to_owned()),
            ("SPECIALIST_AGENTS".to_owned(), specialist_agents),
        ]);
        let policy = options.policy.take();
        env.extend(policy.map(|policy| ("ROUTING_POLICY".to_owned(), policy)));
        env.append(&mut options.env);
        let functions = Arc::new(Functions::start(options, &env).await?);
        let behind = Arc::downgrade(&functions);
        agents.call_with(move |event| {
            let behind = behind.clone();
            async move {
                let functions = behind.upgrade()?;
                match functions.invoke(FUNCTION, event, None, None).await.outcome {
                    Outcome::Response(reply) => Some(reply),
                    Outcome::FunctionError(_) | Outcome::TimedOut => None,
                }
            }
        });
        Ok(Self { functions, agents, metrics, table, topic, _closed_port: closed_port })
    }

    /// Invokes [`FUNCTION`] as Lambda does. Any number of tasks may do so at once; those that
    /// find no free process wait.
    pub async fn invoke(
        &self,
        payload: impl Into<Bytes>,
        client_context: Option<serde_json::Value>,
    ) -> Invocation {
        self.functions.invoke(FUNCTION, payload.into(), client_context.as_ref(), None).await
    }

    /// Delivers an invocation of [`FUNCTION`] again, under the request id that it had, within
    /// `limit`.
    pub async fn deliver_again(
        &self,
        request_id: &str,
        payload: impl Into<Bytes>,
        limit: Option<Duration>,
    ) -> Invocation {
        self.functions.deliver_again(FUNCTION, request_id, payload.into(), limit).await
    }

    /// As [`Sandbox::invoke`], with a timeout of its own in place of
    /// [`Options::lambda_timeout`].
    pub async fn invoke_within(
        &self,
        limit: Duration,
        payload: impl Into<Bytes>,
        client_context: Option<serde_json::Value>,
    ) -> Invocation {
        self.functions.invoke(FUNCTION, payload.into(), client_context.as_ref(), Some(limit)).await
    }

    /// As [`Sandbox::invoke`], for the function `name`, and with a timeout of its own where there
    /// is a `limit`. A function that does not run is unknown to Lambda
    /// (`ResourceNotFoundException`).
    pub async fn invoke_function(
        &self,
        name: &str,
        limit: Option<Duration>,
        payload: impl Into<Bytes>,
        client_context: Option<serde_json::Value>,
    ) -> Invocation {
        self.functions.invoke(name, payload.into(), client_context.as_ref(), limit).await
    }

    /// As [`Sandbox::invoke_function`], where the pieces of the reply are passed on as they come.
    pub async fn stream(
        &self,
        name: &str,
        payload: impl Into<Bytes>,
        pieces: mpsc::UnboundedSender<Bytes>,
    ) -> Invocation {
        self.functions.stream(name, payload.into(), pieces).await
    }

    /// A URL of a function, at `address`.
    ///
    /// # Errors
    ///
    /// When nothing can listen there.
    pub async fn url_of(&self, name: &str, address: SocketAddr) -> io::Result<FunctionUrl> {
        FunctionUrl::start_at(address, self.functions.clone(), name).await
    }

    /// As [`Sandbox::invoke`], with headers as they are. They override those that Lambda sends,
    /// whatever they hold; those that HTTP does not allow are left out, as are all of them where
    /// the function runs elsewhere.
    pub async fn invoke_with_headers(
        &self,
        payload: impl Into<Bytes>,
        headers: &[(&'static str, &[u8])],
    ) -> Invocation {
        self.functions.send(FUNCTION, payload.into(), headers).await
    }

    /// Begins to read what [`Options::stalled_output`] holds back.
    ///
    /// # Errors
    ///
    /// When the lines cannot be kept.
    pub fn read_output(&self) -> io::Result<()> {
        self.functions.all().try_for_each(Function::read_output)
    }

    /// Ends the functions' processes, each as soon as it is idle, and starts new ones, which
    /// remember nothing: the next events find a cold start.
    ///
    /// # Errors
    ///
    /// [`StartError`] when a new process does not ask for an event.
    pub async fn renew_processes(&self) -> Result<(), StartError> {
        self.functions.renew().await
    }

    /// The processes of the functions, where those are of this machine.
    pub fn processes(&self) -> Vec<Process> {
        self.functions.all().flat_map(Function::processes).collect()
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

    /// The topic by which people hear of escalations.
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The functions' lines on standard output so far, process by process. All lines written
    /// before a reply are there when [`Sandbox::invoke`] returns.
    pub fn logs(&self) -> Vec<String> {
        self.functions.all().flat_map(Function::stdout_lines).collect()
    }

    /// As [`Sandbox::logs`], of the function `name` alone.
    pub fn logs_of(&self, name: &str) -> Vec<String> {
        self.functions.get(name).map(Function::stdout_lines).unwrap_or_default()
    }

    /// The functions' lines on standard error so far, process by process.
    pub fn errors(&self) -> Vec<String> {
        self.functions.all().flat_map(Function::stderr_lines).collect()
    }

    /// Standard output and standard error of each process, apart.
    pub(crate) fn lines_by_stream(&self) -> Vec<Vec<String>> {
        self.functions.all().flat_map(Function::lines_by_stream).collect()
    }

    /// Ends everything and waits until the functions' processes are gone.
    pub async fn stop(self) {
        // One that an agent is still calling ends with that call.
        if let Some(functions) = Arc::into_inner(self.functions) {
            functions.stop().await;
        }
    }
}

fn cannot_listen(stand_in: &'static str) -> impl FnOnce(io::Error) -> SandboxError {
    move |source| SandboxError::Listen { stand_in, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn mistakes_in_the_options_are_found_before_anything_is_built() {
        let none = Options { processes: 0, ..Options::default() };
        assert!(matches!(Sandbox::start(none).await, Err(SandboxError::NoProcesses)));
        let script = Options { agents: Some("x = 1".into()), ..Options::default() };
        assert!(matches!(Sandbox::start(script).await, Err(SandboxError::Script(_))));
        let fail = Options { fail: Some("billing=explode".into()), ..Options::default() };
        assert!(matches!(Sandbox::start(fail).await, Err(SandboxError::Fail(_))));
        let listen = "127.0.0.1:65534".parse().unwrap();
        let ports = Options { listen, ..Options::default() };
        assert!(matches!(Sandbox::start(ports).await, Err(SandboxError::Ports { .. })));
        for program in ["no-such-program-anywhere", "./no-such-program", "/"] {
            let invoker = Options { invoker: Some(program.into()), ..Options::default() };
            assert!(matches!(Sandbox::start(invoker).await, Err(SandboxError::NoInvoker(_))));
        }
    }
}
