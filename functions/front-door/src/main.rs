//! The front door as an AWS Lambda function: an application's request in, the supervisor's answer out,
//! whole or as it comes.
//!
//! `router-core` runs the supervisor's rounds over the AWS adapters of `router-aws`; this function reads
//! the request and writes the answer. `router-lambda` does what all functions do.

mod request;

use std::process::ExitCode;
use std::time::Duration;

use request::{Event, NotServed};
use router_aws::policy::CurrentPolicy;
use router_aws::settings::routing::{self, PolicySettings};
use router_aws::settings::{EscalationSettings, Lookup, MetricsSettings, Mistakes, TableSettings};
use router_aws::{AwsPorts, FrontPorts};
use router_core::front::{Answered, BadQuestion, Done, FrontDoor, Question, Told};
use router_core::handler::LambdaRequest;
use router_core::outcome::Reason;
use router_core::policy::{Mistake, SUPERVISOR};
use router_core::retry::RetryBudget;
use router_core::views::spans;
use router_lambda::{Diagnostic, Environment, Function, Invocation, Reply, SdkConfig, Streaming};
use shipped_policy::SHIPPED;

/// The head of an answer that is one JSON object.
const AS_JSON: [(&str, &str); 1] = [("content-type", "application/json")];
/// The same, for who has not posted.
const ONLY_POST: [(&str, &str); 2] = [("content-type", "application/json"), ("allow", "POST")];
/// The head of an answer that comes as events. Nothing on the way is to hold it up.
const AS_EVENTS: [(&str, &str); 2] =
    [("content-type", "text/event-stream"), ("cache-control", "no-cache")];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    router_lambda::run::<Door>(env!("CARGO_CRATE_NAME")).await
}

/// What the function is set up with.
struct Settings {
    table: TableSettings,
    metrics: MetricsSettings,
    escalations: EscalationSettings,
    policy: PolicySettings,
}

/// What the function keeps from one invocation to the next.
struct Door {
    policy: CurrentPolicy,
    ports: AwsPorts,
    front: FrontPorts,
    retries: RetryBudget,
}

impl Function for Door {
    type Settings = Settings;

    fn settings(var: Lookup<'_>, mistakes: &mut Mistakes) -> Option<Settings> {
        let read_file = |path: &str| std::fs::read_to_string(path);
        let table = mistakes.take(TableSettings::from_vars(var));
        let metrics = mistakes.take(MetricsSettings::from_vars(var));
        let escalations = mistakes.take(EscalationSettings::from_vars(var));
        let policy = mistakes.take(routing::policy(var, read_file, SHIPPED));
        Some(Settings {
            table: table?,
            metrics: metrics?,
            escalations: escalations?,
            policy: policy?,
        })
    }

    async fn start(settings: Settings, config: &SdkConfig) -> Result<Self, Vec<Mistake>> {
        let Settings { table, metrics, escalations, policy } = settings;
        let ports = AwsPorts::new(config, &table, metrics, escalations);
        let policy = CurrentPolicy::load(policy, &ports).await?;
        if policy.get().supervisor().is_none() {
            return Err(vec![Mistake {
                setting: "supervisor".to_owned(),
                found: "no supervisor with an agent".to_owned(),
                rule: format!(
                    "the front door needs a table [supervisor] in the policy, and its agent there or as \
                     `{SUPERVISOR}` in SPECIALIST_AGENTS"
                ),
            }]);
        }
        let front = FrontPorts::new(config, &table);
        Ok(Self { policy, ports, front, retries: RetryBudget::default() })
    }

    async fn answer(
        &self,
        invocation: &Invocation,
        environment: &Environment,
        streaming: &Streaming,
    ) -> Result<Reply, Diagnostic> {
        match Event::read(&invocation.payload) {
            Event::Direct(request) => {
                let question = Question::read(request);
                let done = self.serve(&question, invocation, environment, &|_| {}).await;
                Ok(written(&done).into())
            }
            Event::Url { request: Err(not_served), .. } => {
                turn_down(streaming, not_served);
                Ok(Reply::Streamed)
            }
            Event::Url { request: Ok(request), streams } => {
                let question = Question::read(&request);
                let status = if question.is_ok() { 200 } else { 400 };
                let pieces = streaming.begin(status, if streams { &AS_EVENTS } else { &AS_JSON });
                let tell = |told: Told<'_>| {
                    if streams {
                        let (name, data) = told.event();
                        pieces.send(format!("event: {name}\ndata: {data}\n\n"));
                    } else if let Told::Done(done) = told {
                        pieces.send(written(done));
                    }
                };
                self.serve(&question, invocation, environment, &tell).await;
                Ok(Reply::Streamed)
            }
        }
    }

    async fn after_reply(&self, within: Duration) {
        self.policy.look_again(&self.ports, within).await;
    }
}

impl Door {
    /// Has a request answered.
    async fn serve(
        &self,
        question: &Result<Question, BadQuestion>,
        invocation: &Invocation,
        environment: &Environment,
        told: &(dyn Fn(Told<'_>) + Sync),
    ) -> Done {
        let ports = self.ports.of_invocation_with(&self.front);
        let policy = self.policy.get();
        let door = FrontDoor { policy: &policy, ports: &ports, retries: &self.retries };
        let request = environment.request(invocation, false);
        let caller =
            question.as_ref().ok().map(|question| question.caller(&request.execution_id()));
        let session = caller.as_ref().map(|caller| &caller.root);
        let is_traced = environment.wants_trace(invocation, session);
        let request = LambdaRequest { is_traced, ..request };
        // Boxed, since the compiler cannot lay out futures that are nested as deep as the SDK's.
        let Answered { done, entries } = Box::pin(door.answer(question, request, told)).await;
        if is_traced {
            environment
                .keep_trace(spans::of(&entries, session, &invocation.request_id), invocation);
        }
        done
    }
}

/// Answers an HTTP request that is turned down for what it is.
fn turn_down(streaming: &Streaming, not_served: NotServed) {
    let (status, message) = match not_served {
        NotServed::Method => (405, "Only POST is served."),
        NotServed::Body => (400, "The body is not the base64 that it is said to be."),
        NotServed::Event => (400, "The request cannot be read."),
    };
    let done = Done::refused(Reason::BadRequest, message);
    let head = if status == 405 { &ONLY_POST[..] } else { &AS_JSON };
    streaming.begin(status, head).send(written(&done));
}

/// The answer as one JSON object.
fn written(done: &Done) -> String {
    let (_, data) = Told::Done(done).event();
    data
}
