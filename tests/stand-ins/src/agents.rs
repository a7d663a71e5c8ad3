//! Stand-in of Bedrock and of AgentCore: `InvokeAgent`, `InvokeAgentRuntime`, `InvokeHarness` and
//! `ConverseStream` for agents that follow a script.
//!
//! The wire formats are the true ones, down to checksums and header order, since what this
//! project must survive is exactly what happens there: errors before and inside a stream, usage
//! that arrives after the text, streams that break, hang or say nothing.
//!
//! What each agent answers stands in a [`Script`]; what it was asked is kept as [`Call`]s. While
//! they run, [`Agents::fail`] and [`Agents::heal`] switch faults on and off, and
//! [`Agents::go_down`] takes all of them away:
//!
//! ```no_run
//! # async fn run(sandbox: &stand_ins::Sandbox) -> Result<(), Box<dyn std::error::Error>> {
//! use stand_ins::agents::{Fault, Rate};
//!
//! sandbox.agents().fail("orders", Fault::CloseInStream, Rate::ALWAYS)?;
//! sandbox.agents().fail_as("billing=throttle:0.5,general=slow=2s:0.1")?;
//! // …
//! sandbox.agents().heal("orders")?;
//! sandbox.agents().heal_all();
//! # Ok(())
//! # }
//! ```

mod action_group;
mod asked;
mod calls;
mod converse;
mod dialogue;
mod failure;
mod fault;
mod harness;
mod injection;
mod kind;
mod model;
mod playback;
mod runtime;
mod script;
mod sessions;
mod stage;
mod tool_call;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

pub use self::calls::{Call, Ending};
pub use self::fault::{Exception, Fault, UnknownFault};
pub use self::injection::{Injection, InjectionError, Rate};
pub use self::kind::AgentKind;
pub use self::script::{DEFAULT_SCRIPT, Script, ScriptError};

use self::action_group::ActionGroup;
use self::calls::CallLog;
use self::injection::Injections;
use self::sessions::Sessions;
use self::stage::Stage;
use crate::http::{ANY_LOOPBACK, Server};
use crate::presence::Presence;

/// The running stand-in.
#[derive(Debug)]
pub struct Agents {
    presence: Presence,
    stage: Arc<Stage>,
}

/// A name that is none of the script's specialists.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the script has no specialist `{0}`")]
pub struct UnknownSpecialist(pub String);

impl Agents {
    /// Starts to answer by `script`.
    ///
    /// # Errors
    ///
    /// When no port of the loopback interface is free.
    pub async fn start(script: Script) -> io::Result<Self> {
        Self::start_at(ANY_LOOPBACK, script).await
    }

    /// As [`Agents::start`], elsewhere; port 0 is a free one.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on.
    pub async fn start_at(address: SocketAddr, script: Script) -> io::Result<Self> {
        let (log, injections) = (Arc::new(CallLog::new()), Injections::default());
        let (sessions, action_group) = (Sessions::default(), ActionGroup::default());
        let stage = Arc::new(Stage { script, log, injections, sessions, action_group });
        let serving = Arc::clone(&stage);
        let server =
            Server::start_at(address, move |request| Arc::clone(&serving).answer(request)).await?;
        Ok(Self { presence: Presence::of(server), stage })
    }

    /// What `AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME`, `AWS_ENDPOINT_URL_BEDROCK_RUNTIME` and
    /// `AWS_ENDPOINT_URL_BEDROCK_AGENTCORE` have to be.
    pub fn url(&self) -> String {
        format!("http://{}", self.presence.address())
    }

    /// From now on, a share of the specialist's attempts fails like this, spread evenly and
    /// beginning with the next one. It goes before the script and before an earlier call; an
    /// agent that is only slow still does what its script says.
    ///
    /// # Errors
    ///
    /// When the script has no such specialist.
    pub fn fail(
        &self,
        specialist: &str,
        fault: Fault,
        rate: Rate,
    ) -> Result<(), UnknownSpecialist> {
        self.known(specialist)?;
        self.stage.injections.set(specialist, fault, rate);
        Ok(())
    }

    /// As [`Agents::fail`], with faults in the form of `--fail`: `billing=throttle:0.5,orders=hang`.
    ///
    /// # Errors
    ///
    /// All mistakes of the text; no fault is in force then that was not before.
    pub fn fail_as(&self, text: &str) -> Result<(), InjectionError> {
        for injection in Injection::parse_list(text, &self.stage.script)? {
            let Injection { specialist, fault, rate } = injection;
            self.stage.injections.set(&specialist, fault, rate);
        }
        Ok(())
    }

    /// From now on, the specialist does what its script says.
    ///
    /// # Errors
    ///
    /// When the script has no such specialist.
    pub fn heal(&self, specialist: &str) -> Result<(), UnknownSpecialist> {
        self.known(specialist)?;
        self.stage.injections.clear(specialist);
        Ok(())
    }

    /// From now on, all specialists do what the script says.
    pub fn heal_all(&self) {
        self.stage.injections.clear_all();
    }

    /// Closes all connections and refuses new ones, for all specialists: they share an address.
    ///
    /// # Errors
    ///
    /// When the port cannot be kept.
    pub async fn go_down(&self) -> io::Result<()> {
        self.presence.go_down().await
    }

    /// Ends [`Agents::go_down`].
    ///
    /// # Errors
    ///
    /// When the port was lost.
    pub async fn come_back(&self) -> io::Result<()> {
        let serving = Arc::clone(&self.stage);
        self.presence.come_back(move |request| Arc::clone(&serving).answer(request)).await
    }

    /// From now on, what Bedrock agents call goes to this function: it gets an action group's event
    /// and gives the reply, or nothing when it failed. Without it, every such call fails.
    pub fn call_with<F>(&self, function: impl Fn(Bytes) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Option<Bytes>> + Send + 'static,
    {
        self.stage.action_group.set(function);
    }

    /// The time since they were started, by which calls are told when they arrived.
    pub fn elapsed(&self) -> std::time::Duration {
        self.stage.log.elapsed()
    }

    /// All calls so far, in the order they arrived.
    pub fn calls(&self) -> Vec<Call> {
        self.stage.log.calls()
    }

    /// How many calls of this session of an agent ran at once, at most.
    pub fn greatest_at_once(&self, session_id: &str) -> usize {
        self.stage.log.greatest_at_once(session_id)
    }

    /// Returns as soon as `count` calls have arrived, counted from the start.
    pub async fn wait_for_calls(&self, count: usize) {
        self.stage.log.wait_for(count).await;
    }

    fn known(&self, specialist: &str) -> Result<(), UnknownSpecialist> {
        let known = self.stage.script.specialists.contains_key(specialist);
        if known { Ok(()) } else { Err(UnknownSpecialist(specialist.to_owned())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::{exchange, post};

    const SCRIPT: &str = r#"
        [billing]
        agent = "BILLING001/LIVE000001"
        [[billing.replies]]
        when = "slow"
        times = 1
        fault = "before:throttlingException"
        [[billing.replies]]
        when = "gone"
        fault = "close"
        [[billing.replies]]
        when = "broken"
        fault = "close-in-stream"
        [[billing.replies]]
        answer = "yes"
    "#;

    async fn ask(agents: &Agents, agent: &str, text: &str) -> String {
        let path = format!("/agents/{agent}/agentAliases/LIVE000001/sessions/a%3Ab/text");
        let body = serde_json::json!({
            "inputText": text,
            "sessionState": { "sessionAttributes": { "router_hops": "1" } },
        });
        let request = post(&path, "", body.to_string().as_bytes());
        let answer = exchange(agents.presence.address(), &request).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn agents() -> Agents {
        Agents::start(Script::parse(SCRIPT).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_call_is_answered_in_the_services_form_and_kept() {
        let agents = agents().await;
        let answer = ask(&agents, "BILLING001", "hi").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("x-amz-bedrock-agent-session-id: a:b\r\n"), "{answer}");
        assert!(answer.contains("content-type: application/vnd.amazon.eventstream\r\n"));
        assert!(answer.contains(r#"{"bytes":"eWVz"}"#), "{answer}");
        let calls = agents.calls();
        assert_eq!(calls.len(), 1);
        assert_eq!((&*calls[0].specialist, &*calls[0].session_id), ("billing", "a:b"));
        assert_eq!(calls[0].session_attributes["router_hops"], "1");
        assert_eq!(calls[0].ending, Ending::Played);
    }

    const ARN: &str = "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/a-AbCdEf1234";

    fn path_of_runtime() -> String {
        format!("/runtimes/{}/invocations", ARN.replace(':', "%3A").replace('/', "%2F"))
    }

    async fn ask_runtime(agents: &Agents, path: &str, headers: &str, body: &str) -> String {
        let request = post(path, headers, body.as_bytes());
        let answer = exchange(agents.presence.address(), &request).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn a_runtime_is_asked_by_its_encoded_arn_and_the_call_is_kept() {
        let script = format!(
            r#"
            a = {{ agent = "{ARN}", replies = [{{ answer = "yes", format = "json" }}] }}
            b = {{ agent = "{ARN}/runtime-endpoint/B", replies = [{{ answer = "yes" }}] }}
            "#
        );
        let agents = Agents::start(Script::parse(&script).unwrap()).await.unwrap();
        let path = path_of_runtime();
        let session = format!("{}: {}\r\n", runtime::SESSION_ID, "s".repeat(33));
        let body = r#"{"prompt": "hi", "session_attributes": {"router_hops": "1"}}"#;
        let answer = ask_runtime(&agents, &path, &session, body).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("content-type: application/json\r\n"), "{answer}");
        assert!(answer.contains(r#"{"result":"yes"}"#), "{answer}");
        let at_endpoint = format!("{path}?qualifier=B");
        let answer = ask_runtime(&agents, &at_endpoint, &session, body).await;
        assert!(answer.contains("data: \"yes\"\n\n"), "{answer}");
        let elsewhere = ask_runtime(&agents, &format!("{path}?qualifier=C"), &session, body).await;
        assert!(elsewhere.starts_with("HTTP/1.1 404 "), "{elsewhere}");
        let calls = agents.calls();
        let asked: Vec<&str> = calls.iter().map(|call| &*call.agent).collect();
        assert_eq!(asked, [ARN, &format!("{ARN}/runtime-endpoint/B")]);
        assert_eq!(calls[0].input_text, "hi");
        assert_eq!(calls[0].session_attributes["router_hops"], "1");
    }

    #[tokio::test]
    async fn a_runtime_takes_only_what_the_service_would() {
        let script = format!(r#"a = {{ agent = "{ARN}", replies = [{{ answer = "yes" }}] }}"#);
        let agents = Agents::start(Script::parse(&script).unwrap()).await.unwrap();
        let path = path_of_runtime();
        let session = |length| format!("{}: {}\r\n", runtime::SESSION_ID, "s".repeat(length));
        let signed = |region| {
            let scope = format!("{region}/bedrock-agentcore/aws4_request");
            format!(
                "{}authorization: AWS4-HMAC-SHA256 Credential=K/20261121/{scope}\r\n",
                session(33)
            )
        };
        let body = r#"{"prompt": "hi"}"#;
        for (headers, body, status) in [
            (session(33), body, "200"),
            (session(256), body, "200"),
            (session(32), body, "400"),
            (session(257), body, "400"),
            (String::new(), body, "400"),
            (session(33), "hi", "400"),
            (session(33), "{}", "400"),
            (signed("us-east-1"), body, "200"),
            (signed("eu-west-1"), body, "400"),
        ] {
            let answer = ask_runtime(&agents, &path, &headers, body).await;
            assert_eq!(answer.split(' ').nth(1), Some(status), "{headers} {body}");
        }
    }

    #[tokio::test]
    async fn an_unknown_agent_is_not_found() {
        let answer = ask(&agents().await, "NOBODY0001", "hi").await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        assert!(answer.contains("x-amzn-errortype: ResourceNotFoundException\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn a_reply_with_times_makes_way_for_the_next() {
        let agents = agents().await;
        assert!(ask(&agents, "BILLING001", "slow").await.starts_with("HTTP/1.1 429 "));
        assert!(ask(&agents, "BILLING001", "slow").await.starts_with("HTTP/1.1 200 "));
    }

    #[tokio::test]
    async fn a_broken_stream_still_delivers_what_came_before() {
        let agents = agents().await;
        assert_eq!(ask(&agents, "BILLING001", "gone").await, "");
        let broken = ask(&agents, "BILLING001", "broken").await;
        assert!(broken.contains(r#"{"bytes":"#), "{broken}");
        assert!(!broken.ends_with("0\r\n\r\n"), "the stream must not look complete: {broken}");
    }

    #[tokio::test]
    async fn an_injected_fault_goes_before_the_script_until_it_is_healed() {
        let agents = agents().await;
        agents.fail("billing", Fault::Reset, Rate::parse("0.5").unwrap()).unwrap();
        assert_eq!(ask(&agents, "BILLING001", "hi").await, "");
        assert!(ask(&agents, "BILLING001", "hi").await.starts_with("HTTP/1.1 200 "));
        agents.fail_as("*=throttle").unwrap();
        assert!(ask(&agents, "BILLING001", "gone").await.starts_with("HTTP/1.1 429 "));
        agents.fail_as("billing=hang,orders=hang").unwrap_err();
        assert!(ask(&agents, "BILLING001", "hi").await.starts_with("HTTP/1.1 429 "));
        agents.heal("billing").unwrap();
        assert!(ask(&agents, "BILLING001", "hi").await.starts_with("HTTP/1.1 200 "));
        let struck: Vec<bool> = agents.calls().iter().map(|call| call.injected.is_some()).collect();
        assert_eq!(struck, [true, false, true, true, false]);
        let unknown = UnknownSpecialist("orders".to_owned());
        assert_eq!(agents.fail("orders", Fault::Hang, Rate::ALWAYS), Err(unknown.clone()));
        assert_eq!(agents.heal("orders"), Err(unknown));
    }

    #[tokio::test]
    async fn an_agent_that_is_slow_still_does_what_its_script_says() {
        let agents = agents().await;
        agents.fail_as("billing=slow=1ms").unwrap();
        assert_eq!(ask(&agents, "BILLING001", "gone").await, "");
        assert!(ask(&agents, "BILLING001", "hi").await.contains(r#"{"bytes":"eWVz"}"#));
    }

    #[tokio::test]
    async fn agents_that_are_down_refuse_connections_until_they_come_back() {
        let agents = agents().await;
        agents.go_down().await.unwrap();
        let refused = tokio::net::TcpStream::connect(agents.presence.address()).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        agents.come_back().await.unwrap();
        assert!(ask(&agents, "BILLING001", "hi").await.starts_with("HTTP/1.1 200 "));
    }
}
