//! A supervisor that does as it is told, and what it is given again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::{Doubles, ManualClock, Trap};
use crate::charge::Usage;
use crate::circuit::Circuits;
use crate::error::Cause;
use crate::front::{FrontPorts, Memory, NewTurn};
use crate::ids::RootSession;
use crate::invocation::{InvokeError, Outcome, SpecialistInvoker};
use crate::ports::Ports;
use crate::split::{Answer, Inquiry, Predecessor};
use crate::supervisor::{Decided, Heard, Message, Round, Supervisor, ToolCall, Turn};
use crate::units::{MicroUsd, Timestamp, TokenUse};
use crate::wire::caller::Attributes;

/// What the supervisor does in a round.
pub(crate) enum Decides {
    /// Answers this, in pieces of a word.
    Say(&'static str),
    /// Says this and calls tools: each with its name and its arguments as the model wrote them.
    Call(&'static str, Vec<(&'static str, String)>),
    /// Has these calls carried out by its action group, and answers this or fails.
    Carry(Vec<(&'static str, String)>, Result<&'static str, InvokeError>),
    /// Says this and fails, after it may have run.
    Fail(&'static str, InvokeError),
    /// Is turned down before anything runs.
    TurnDown(InvokeError),
    /// Panics.
    Panic,
}

/// Asks a specialist.
pub(crate) fn ask(specialist: &str, request: &str) -> (&'static str, String) {
    let arguments = serde_json::json!({ "specialist_type": specialist, "request": request });
    ("invoke_specialist_agent", Value::to_string(&arguments))
}

/// What a supervisor was sent in a round.
#[derive(Clone, Debug)]
pub(crate) struct RoundSent {
    pub(crate) session_id: String,
    pub(crate) prompt: String,
    pub(crate) messages: Vec<Message>,
    pub(crate) tools: usize,
    pub(crate) attributes: Attributes,
}

/// A supervisor that decides as a script has it; it uses 500 input and 60 output tokens a round.
pub(crate) struct ScriptedSupervisor<'c> {
    clock: &'c ManualClock,
    pub(crate) trap: Trap,
    script: Mutex<VecDeque<Decides>>,
    sent: Mutex<Vec<RoundSent>>,
}

/// What a round takes, and how soon of that its first word is heard.
const ROUND: Duration = Duration::from_millis(80);
pub(crate) const FIRST_WORD: Duration = Duration::from_millis(30);

impl<'c> ScriptedSupervisor<'c> {
    pub(crate) fn new(clock: &'c ManualClock, script: impl IntoIterator<Item = Decides>) -> Self {
        let script = Mutex::new(script.into_iter().collect());
        Self { clock, trap: Trap::default(), script, sent: Mutex::default() }
    }

    pub(crate) fn sent(&self) -> Vec<RoundSent> {
        self.sent.lock().unwrap().clone()
    }
}

impl Supervisor for ScriptedSupervisor<'_> {
    async fn decide(
        &self,
        round: &Round<'_>,
        heard: &mut (dyn FnMut(Heard<'_>) + Send),
    ) -> Decided {
        self.trap.pass("decide");
        let number = {
            let mut sent = self.sent.lock().unwrap();
            sent.push(RoundSent {
                session_id: round.session_id.to_owned(),
                prompt: round.prompt.to_owned(),
                messages: round.messages.to_vec(),
                tools: round.tools.len(),
                attributes: round.attributes.clone(),
            });
            sent.len()
        };
        let decides = self.script.lock().unwrap().pop_front().expect("a round of the script");
        let reported = Usage::Reported(TokenUse::new(500, 60));
        self.clock.advance(FIRST_WORD);
        let mut say = |text: &str| text.split_inclusive(' ').for_each(|w| heard(Heard::Text(w)));
        let outcome = match decides {
            Decides::Say(text) => {
                say(text);
                let turn = Turn { text: text.to_owned(), calls: Vec::new() };
                Outcome::new(Ok(turn), reported)
            }
            Decides::Call(text, calls) => {
                say(text);
                calls.iter().for_each(|(name, _)| heard(Heard::Tool(name)));
                let call = |(place, (name, arguments)): (usize, (&str, String))| {
                    ToolCall::new(format!("t-{number}-{place}"), name.to_owned(), &arguments)
                };
                let calls = calls.into_iter().enumerate().map(call).collect();
                Outcome::new(Ok(Turn { text: text.to_owned(), calls }), reported)
            }
            Decides::Carry(calls, answer) => {
                for (name, arguments) in calls {
                    let call = ToolCall::new(String::new(), name.to_owned(), &arguments);
                    heard(Heard::Tool(name));
                    heard(Heard::Carried(&call));
                }
                let result = answer.map(|text| {
                    heard(Heard::Text(text));
                    Turn { text: text.to_owned(), calls: Vec::new() }
                });
                Outcome::new(result, reported)
            }
            Decides::Fail(text, error) => {
                say(text);
                Outcome::new(Err(error), Usage::UNKNOWN)
            }
            Decides::TurnDown(error) => Outcome::new(Err(error), Usage::NotRun),
            Decides::Panic => panic!("the supervisor's adapter"),
        };
        self.clock.advance(ROUND - FIRST_WORD);
        outcome
    }
}

/// Turns of all sessions.
#[derive(Default)]
pub(crate) struct InMemoryTurns {
    pub(crate) is_down: bool,
    /// How long reading takes.
    pub(crate) slow: Option<(Arc<ManualClock>, Duration)>,
    turns: Mutex<Vec<(String, Timestamp, String)>>,
}

impl Memory for InMemoryTurns {
    async fn turns(
        &self,
        session: &RootSession,
        most: usize,
        now: Timestamp,
        _within: Duration,
    ) -> Result<Vec<String>, Cause> {
        if self.is_down {
            return Err("the table is down".into());
        }
        if let Some((clock, takes)) = &self.slow {
            clock.advance(*takes);
        }
        let turns = self.turns.lock().unwrap();
        let kept = turns.iter().filter(|(of, expires, _)| of == session.as_str() && *expires > now);
        let kept: Vec<String> = kept.map(|(_, _, text)| text.clone()).collect();
        Ok(kept[kept.len().saturating_sub(most)..].to_vec())
    }

    async fn keep(&self, turn: &NewTurn<'_>, _within: Duration) -> Result<(), Cause> {
        if self.is_down {
            return Err("the table is down".into());
        }
        let kept = (turn.session.as_str().to_owned(), turn.expires, turn.text.to_owned());
        self.turns.lock().unwrap().push(kept);
        Ok(())
    }
}

/// What was there before the supervisor: it says this, or fails.
#[derive(Default)]
pub(crate) struct Before {
    pub(crate) says: Option<&'static str>,
    asked: Mutex<Vec<String>>,
}

impl Before {
    /// The requests that it got, as they came.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Predecessor for Before {
    async fn ask(&self, inquiry: &Inquiry<'_>) -> Result<Answer, InvokeError> {
        let request = String::from_utf8_lossy(inquiry.request).into_owned();
        self.asked.lock().unwrap().push(request);
        let text = self.says.ok_or(InvokeError::GaveUp)?.to_owned();
        Ok(Answer { text, cost: Some(MicroUsd(700)) })
    }
}

/// All ports of the front door.
pub(crate) struct FrontDoubles<'d, I> {
    pub(crate) ports: Doubles<'d, I>,
    pub(crate) supervisor: &'d ScriptedSupervisor<'d>,
    pub(crate) memory: &'d InMemoryTurns,
    pub(crate) before: &'d Before,
}

impl<'d, I: SpecialistInvoker> Ports for FrontDoubles<'d, I> {
    type Ledger = <Doubles<'d, I> as Ports>::Ledger;
    type Invoker = I;
    type Circuits = <Doubles<'d, I> as Ports>::Circuits;
    type Scratchpad = <Doubles<'d, I> as Ports>::Scratchpad;
    type Escalations = <Doubles<'d, I> as Ports>::Escalations;
    type Incidents = <Doubles<'d, I> as Ports>::Incidents;
    type Metrics = <Doubles<'d, I> as Ports>::Metrics;
    type Clock = ManualClock;

    fn ledger(&self) -> &Self::Ledger {
        self.ports.ledger()
    }

    fn invoker(&self) -> &I {
        self.ports.invoker()
    }

    fn circuits(&self) -> &Circuits<Self::Circuits> {
        self.ports.circuits()
    }

    fn scratchpad(&self) -> &Self::Scratchpad {
        self.ports.scratchpad()
    }

    fn escalations(&self) -> &Self::Escalations {
        self.ports.escalations()
    }

    fn incidents(&self) -> &Self::Incidents {
        self.ports.incidents()
    }

    fn metrics(&self) -> &Self::Metrics {
        self.ports.metrics()
    }

    fn clock(&self) -> &ManualClock {
        self.ports.clock()
    }
}

impl<'d, I: SpecialistInvoker> FrontPorts for FrontDoubles<'d, I> {
    type Supervisor = ScriptedSupervisor<'d>;
    type Memory = InMemoryTurns;
    type Predecessor = Before;

    fn supervisor(&self) -> &ScriptedSupervisor<'d> {
        self.supervisor
    }

    fn memory(&self) -> &InMemoryTurns {
        self.memory
    }

    fn predecessor(&self) -> &Before {
        self.before
    }
}
