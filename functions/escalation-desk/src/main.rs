//! The desk at which people answer what supervisors and specialists asked them.
//!
//! A claim or an answer comes by direct invocation, whose caller gets a reply, or from a topic, whose
//! sender gets none. On a schedule the desk expires what nobody answered in time, and tells people of
//! what they were not told. Who may answer is whom the account lets invoke the desk.

mod request;
mod round;

use std::process::ExitCode;
use std::time::Duration;

use request::{Asked, Event};
use router_aws::settings::{EscalationSettings, Lookup, MetricsSettings, Mistakes, TableSettings};
use router_aws::{CloudWatchMetrics, DynamoEscalations, InvocationClock, Table};
use router_core::escalation::{Change, Changed, NotChanged, Refused, State};
use router_core::policy::Mistake;
use router_core::units::{Clock, Timestamp};
use router_lambda::{Diagnostic, Environment, Function, Invocation, Reply, SdkConfig, Streaming};
use serde_json::{Value, json};
use tracing::{info, warn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    router_lambda::run::<EscalationDesk>(env!("CARGO_CRATE_NAME")).await
}

/// What the function is set up with.
struct Settings {
    table: TableSettings,
    metrics: MetricsSettings,
    escalations: EscalationSettings,
}

/// What the function keeps from one invocation to the next.
struct EscalationDesk {
    escalations: DynamoEscalations,
    metrics: CloudWatchMetrics,
}

impl Function for EscalationDesk {
    type Settings = Settings;

    fn settings(var: Lookup<'_>, mistakes: &mut Mistakes) -> Option<Settings> {
        let table = mistakes.take(TableSettings::from_vars(var));
        let metrics = mistakes.take(MetricsSettings::from_vars(var));
        let escalations = mistakes.take(EscalationSettings::from_vars(var));
        Some(Settings { table: table?, metrics: metrics?, escalations: escalations? })
    }

    async fn start(settings: Settings, config: &SdkConfig) -> Result<Self, Vec<Mistake>> {
        let Settings { table, metrics, escalations } = settings;
        let table = Table::new(config, table.name);
        Ok(Self {
            escalations: DynamoEscalations::new(config, table, escalations),
            metrics: CloudWatchMetrics::new(config, metrics),
        })
    }

    async fn answer(
        &self,
        invocation: &Invocation,
        environment: &Environment,
        _streaming: &Streaming,
    ) -> Result<Reply, Diagnostic> {
        let request = environment.request(invocation, false);
        let author = request.execution_id();
        let clock = InvocationClock::start();
        match Event::read(&invocation.payload) {
            Event::Schedule => {
                let within = invocation.deadline.since(clock.now());
                let done = round::make(&self.escalations, &self.metrics, &author, within).await;
                done.map(Reply::from).map_err(|error| unavailable(error.to_string()))
            }
            Event::Direct(asked) => {
                let said = self.act(asked, &author, clock.now()).await?;
                Ok(said.to_string().into())
            }
            Event::Topic(all) => {
                for (place, asked) in all.into_iter().enumerate() {
                    let author = format!("{author}/{place}");
                    let said = self.act(asked, &author, clock.now()).await?;
                    if said["done"] == false {
                        let ticket = said["ticket"].as_str();
                        // What is wrong with one that has no ticket, which quotes nobody.
                        let mistake = said["message"].as_str().filter(|_| ticket.is_none());
                        let state = said["state"].as_str();
                        warn!(ticket, state, mistake, "a message of the topic changed nothing");
                    }
                }
                Ok(json!({}).to_string().into())
            }
        }
    }

    async fn after_reply(&self, _within: Duration) {}
}

impl EscalationDesk {
    /// Does what is asked, and says what came of it.
    async fn act(
        &self,
        asked: Result<Asked, request::Mistake>,
        author: &str,
        now: Timestamp,
    ) -> Result<Value, Diagnostic> {
        let Asked { ticket, action } = match asked {
            Ok(asked) => asked,
            Err(mistake) => return Ok(said(None, false, None, &mistake.to_string())),
        };
        let change = Change { ticket: &ticket, action: &action, author, now };
        let named = Some(ticket.as_str());
        match self.escalations.change(&change).await {
            Ok(Changed { state, is_delivered, is_new, .. }) => {
                info!(ticket = ticket.as_str(), state = state.as_str(), is_new, "changed");
                let message = match (&state, is_delivered) {
                    (State::Answered { .. }, false) => {
                        "The answer is kept, but the session that waited for it is over."
                    }
                    (State::Answered { .. }, true) => "The session's supervisor is told.",
                    _ => "Answer it before its time is over.",
                };
                Ok(said(named, true, Some(&state), message))
            }
            Err(NotChanged::Refused(refused)) => {
                let state = match &refused {
                    Refused::ClaimedBy(by) => Some(State::Claimed { by: by.clone() }),
                    Refused::AnsweredBy(by) => {
                        Some(State::Answered { by: by.clone(), text: String::new() })
                    }
                    Refused::Expired => Some(State::Expired),
                    Refused::NotDue => None,
                };
                Ok(said(named, false, state.as_ref(), &format!("Nothing was changed: {refused}.")))
            }
            Err(NotChanged::Unknown) => Ok(said(named, false, None, "There is no such ticket.")),
            Err(NotChanged::Unavailable(cause)) => Err(unavailable(cause.to_string())),
        }
    }
}

/// The reply to a claim or an answer.
fn said(ticket: Option<&str>, done: bool, state: Option<&State>, message: &str) -> Value {
    json!({
        "ticket": ticket,
        "done": done,
        "state": state.map(State::as_str),
        "by": state.and_then(State::by),
        "message": message,
    })
}

/// The table gave no answer: whoever asked may ask again.
fn unavailable(error_message: String) -> Diagnostic {
    Diagnostic { error_type: "TableUnavailable".to_owned(), error_message }
}
