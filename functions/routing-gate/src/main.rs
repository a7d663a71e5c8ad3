//! The gate in front of traffic, as an AWS Lambda function.
//!
//! CodeDeploy asks it before a new version gets traffic, and hears whether it may; a schedule asks it every
//! night, for `LabelledAccuracy`; a caller gets the whole report. A replay calls the supervisor and no
//! specialist. What comes to no verdict has not passed.

mod event;

use std::fs;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Duration;

use event::Event;
use futures_util::FutureExt;
use router_aws::deployments::Hook;
use router_aws::policy::CurrentPolicy;
use router_aws::settings::routing::{self, PolicySettings};
use router_aws::settings::{EscalationSettings, Lookup, MetricsSettings, Mistakes, TableSettings};
use router_aws::{AwsPorts, AwsSupervisor, DeploymentHooks, InvocationPorts, Objects};
use router_core::Ports;
use router_core::error::Cause;
use router_core::handler::LambdaRequest;
use router_core::ids::RootSession;
use router_core::metrics::{Batch, Datum, MetricsSink, Unit};
use router_core::policy::{Mistake, Policy};
use router_core::units::{Clock, Timestamp};
use router_lambda::{Diagnostic, Environment, Function, Invocation, Reply, SdkConfig, Streaming};
use routing_gate::cases::{self, Case, Names};
use routing_gate::purse::SessionPurse;
use routing_gate::report::Report;
use routing_gate::run::{self, Plan};
use routing_gate::score::Verdict;
use routing_gate::settings::{CasesAt, GateSettings, ObjectAt};
use shipped_policy::SHIPPED;
use tokio::time::timeout;
use tracing::{error, info};

/// Kept back from Lambda's deadline: for the last settlements, and for whoever waits for the verdict.
const CLOSING: Duration = Duration::from_secs(20);

/// Of that, kept back for who waits: a deployment is told in three attempts of two seconds.
const TELLING: Duration = Duration::from_secs(8);

/// How long the policy in the table is waited for.
const LOOKING: Duration = Duration::from_secs(2);

/// A file of cases in S3 has at most so many bytes, and is read within this time.
const MOST_BYTES: usize = 20_000_000;
const READING: Duration = Duration::from_secs(60);

/// As many mistakes in cases are logged.
const LOGGED_MISTAKES: usize = 10;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    router_lambda::run::<RoutingGate>(env!("CARGO_CRATE_NAME")).await
}

/// What the function is set up with.
struct Settings {
    table: TableSettings,
    metrics: MetricsSettings,
    policy: PolicySettings,
    gate: GateSettings,
}

/// What the function keeps from one invocation to the next.
struct RoutingGate {
    gate: GateSettings,
    policy: CurrentPolicy,
    ports: AwsPorts,
    supervisor: AwsSupervisor,
    hooks: DeploymentHooks,
    objects: Objects,
}

/// A replay that was made.
struct Replayed {
    report: Report,
    cases: Vec<Case>,
}

/// Why no replay could be made.
#[derive(Debug, thiserror::Error)]
enum NotReplayed {
    #[error("the policy has no supervisor with an agent")]
    NoSupervisor,
    #[error("the file of cases cannot be read: {0}")]
    NoFile(std::io::ErrorKind),
    #[error("the object with the cases cannot be read: {0}")]
    NoObject(Cause),
    #[error("the cases have {0} mistakes")]
    BadCases(usize),
    #[error("it did not come to its end in time")]
    OutOfTime,
    #[error("the gate panicked")]
    Panicked,
}

impl Function for RoutingGate {
    type Settings = Settings;

    fn settings(var: Lookup<'_>, mistakes: &mut Mistakes) -> Option<Settings> {
        let read_file = |path: &str| fs::read_to_string(path);
        let table = mistakes.take(TableSettings::from_vars(var));
        let metrics = mistakes.take(MetricsSettings::from_vars(var));
        let policy = mistakes.take(routing::policy(var, read_file, SHIPPED));
        let gate = mistakes.take(GateSettings::from_vars(var));
        Some(Settings { table: table?, metrics: metrics?, policy: policy?, gate: gate? })
    }

    async fn start(settings: Settings, config: &SdkConfig) -> Result<Self, Vec<Mistake>> {
        let Settings { table, metrics, policy, gate } = settings;
        let ports = AwsPorts::new(config, &table, metrics, EscalationSettings::default());
        let policy = CurrentPolicy::load(policy, &ports).await?;
        let (supervisor, hooks) = (AwsSupervisor::new(config), DeploymentHooks::new(config));
        let objects = Objects::new(config);
        Ok(Self { gate, policy, ports, supervisor, hooks, objects })
    }

    async fn answer(
        &self,
        invocation: &Invocation,
        environment: &Environment,
        _: &Streaming,
    ) -> Result<Reply, Diagnostic> {
        let request = environment.request(invocation, false);
        let event = Event::read(&invocation.payload)
            .map_err(|mistake| diagnostic("BadRequest", mistake.to_string()))?;
        let ports = self.ports.of_invocation();
        let at = match &event {
            Event::Direct { cases: Some(cases), .. } => cases,
            _ => &self.gate.cases,
        };
        // A deployment that hears nothing waits for an hour, so nothing may come between.
        let replaying = AssertUnwindSafe(Box::pin(self.replay(at, &request, &ports)));
        let end = before(request.deadline, TELLING).since(ports.clock().now());
        let replayed = match timeout(end, replaying.catch_unwind()).await {
            Ok(replayed) => replayed.unwrap_or(Err(NotReplayed::Panicked)),
            Err(_) => Err(NotReplayed::OutOfTime),
        };
        match &replayed {
            Ok(Replayed { report, .. }) => told(report),
            Err(not_replayed) => error!("no replay: {not_replayed}"),
        }
        let said = match event {
            Event::Hook(hook) => self.tell(&hook, replayed.as_ref().ok()).await,
            Event::Schedule => self.nightly(&ports, replayed).await,
            Event::Direct { texts, .. } => match replayed {
                Ok(Replayed { report, cases }) => {
                    Ok(report.json(texts.then_some(&*cases)).to_string())
                }
                Err(not_replayed) => Err(diagnostic("NotReplayed", not_replayed.to_string())),
            },
        };
        said.map(Reply::Whole)
    }

    async fn after_reply(&self, within: Duration) {
        self.policy.look_again(&self.ports, within).await;
    }
}

impl RoutingGate {
    /// Has the supervisor decide on all cases.
    async fn replay(
        &self,
        at: &CasesAt,
        request: &LambdaRequest<'_>,
        ports: &InvocationPorts<'_>,
    ) -> Result<Replayed, NotReplayed> {
        // What was read before the last deployment is not what the new version is to be judged by.
        self.policy.look_now(&self.ports, LOOKING).await;
        let policy = self.policy.get();
        let supervisor = policy.supervisor().ok_or(NotReplayed::NoSupervisor)?;
        let cases = self.read_cases(at, &policy).await?;
        let id = format!("gate-{}", request.execution_id());
        // Lambda's ids are short, and none is empty.
        let session = RootSession::parse("run", &id).map_err(|_| NotReplayed::Panicked)?;
        let deadline = before(request.deadline, CLOSING);
        let callee = &supervisor.callee;
        let (ledger, clock) = (ports.ledger(), ports.clock());
        let purse = SessionPurse::new(
            ledger,
            clock,
            &policy,
            callee,
            &session,
            self.gate.max_cost,
            deadline,
        );
        let plan = Plan {
            cases: &cases,
            policy: &policy,
            supervisor,
            session: &session,
            rules: self.gate.rules,
            deadline,
        };
        info!(session.id = session.as_str(), cases = cases.len(), "a replay begins");
        let ran = run::run(&plan, &self.supervisor, &purse, clock).await;
        Ok(Replayed { report: Report::of(ran, self.gate.thresholds), cases })
    }

    async fn read_cases(&self, at: &CasesAt, policy: &Policy) -> Result<Vec<Case>, NotReplayed> {
        let bytes = match at {
            CasesAt::Example => cases::EXAMPLE.as_bytes().to_vec(),
            CasesAt::File(path) => {
                fs::read(path).map_err(|error| NotReplayed::NoFile(error.kind()))?
            }
            CasesAt::Object(at) => {
                let ObjectAt { bucket, key } = at;
                let reading = self.objects.read(bucket, key, MOST_BYTES, READING);
                reading.await.map_err(NotReplayed::NoObject)?
            }
        };
        cases::parse(&bytes, &Names::of(policy)).map_err(|mistakes| {
            for mistake in mistakes.iter().take(LOGGED_MISTAKES) {
                error!("the cases have a mistake: {mistake}");
            }
            NotReplayed::BadCases(mistakes.len())
        })
    }

    /// Tells a deployment the verdict. What has no verdict has not passed.
    async fn tell(&self, hook: &Hook, replayed: Option<&Replayed>) -> Result<String, Diagnostic> {
        let has_passed = replayed.is_some_and(|replayed| replayed.report.has_passed());
        let told = self.hooks.tell(hook, has_passed).await;
        told.map_err(|cause| diagnostic("HookNotTold", cause.to_string()))?;
        let reply = replayed.map(|replayed| replayed.report.json(None));
        Ok(reply.unwrap_or_default().to_string())
    }

    /// Publishes how well requests are routed. A night that was not passed is an error, which its alarm
    /// tells; without a verdict there is no accuracy that an outage could have faked.
    async fn nightly(
        &self,
        ports: &InvocationPorts<'_>,
        replayed: Result<Replayed, NotReplayed>,
    ) -> Result<String, Diagnostic> {
        let replayed =
            replayed.map_err(|not_replayed| diagnostic("NotReplayed", not_replayed.to_string()))?;
        let report = replayed.report;
        if let Verdict::Inconclusive { .. } = report.verdict {
            return Err(diagnostic("Inconclusive", report.to_string()));
        }
        let accuracy = Datum {
            name: "LabelledAccuracy",
            unit: Unit::None,
            value: report.score.accuracy().unwrap_or_default(),
            dimensions: Vec::new(),
        };
        let batch = Batch { timestamp: ports.clock().now(), data: vec![accuracy] };
        ports.metrics().publish(&batch, CLOSING / 2).await;
        if report.has_passed() {
            Ok(report.json(None).to_string())
        } else {
            Err(diagnostic("Failed", report.to_string()))
        }
    }
}

fn before(deadline: Timestamp, by: Duration) -> Timestamp {
    let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
    Timestamp(deadline.0.saturating_sub(millis))
}

/// The line that the log gets of a replay.
fn told(report: &Report) {
    let score = &report.score;
    info!(
        verdict = report.word(),
        requests = score.requests,
        asked = report.ran.asked,
        right = score.right,
        undecided = score.undecided,
        stopped = report.ran.stopped.map(|stopped| stopped.as_str()),
        worst_class = score.worst_class().map(|class| class.specialist),
        p95_ms = score.p95_ms,
        tokens = score.tokens.0,
        cost_micro_usd = score.cost.0,
        "{report}"
    );
}

fn diagnostic(error_type: &str, error_message: String) -> Diagnostic {
    Diagnostic { error_type: error_type.to_owned(), error_message }
}
