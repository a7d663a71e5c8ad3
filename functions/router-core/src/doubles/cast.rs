//! Agents that work beside each other, each in its own way.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{ManualClock, Sent};
use crate::charge::Usage;
use crate::invocation::{Attempt, InvokeError, Outcome, SpecialistInvoker};
use crate::policy::{AgentAlias, AgentRef};
use crate::units::TokenUse;

/// What an agent does whenever it is asked.
#[derive(Clone, Debug)]
pub(crate) enum Does {
    /// Says this, after so many others had a turn.
    Say(&'static str, usize),
    /// Says one after the other, and the last of them from then on.
    Each(&'static [&'static str]),
    /// Fails, after it may have run.
    Fail(fn() -> InvokeError),
    /// Works until it is stopped.
    Work,
    /// Panics.
    Panic,
}

/// Agents by their ids. They take turns, and time passes only where all wait.
pub(crate) struct Cast<'c> {
    clock: &'c ManualClock,
    agents: BTreeMap<&'static str, Does>,
    sent: Mutex<Vec<Sent>>,
    running: AtomicUsize,
    most: AtomicUsize,
}

impl<'c> Cast<'c> {
    pub(crate) fn new(
        clock: &'c ManualClock,
        agents: impl IntoIterator<Item = (&'static str, Does)>,
    ) -> Self {
        let agents = agents.into_iter().collect();
        let (sent, running, most) = (Mutex::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        Self { clock, agents, sent, running, most }
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    /// How many agents worked at once at most.
    pub(crate) fn most_at_once(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

impl SpecialistInvoker for Cast<'_> {
    async fn invoke(&self, attempt: &Attempt<'_>) -> Outcome {
        let AgentRef::Bedrock(AgentAlias { agent_id, .. }) = attempt.agent else {
            panic!("the doubles' policy has Bedrock agents only")
        };
        let earlier = {
            let mut sent = self.sent.lock().unwrap();
            sent.push(Sent::from(attempt));
            sent.iter().filter(|sent| sent.agent == *agent_id).count() - 1
        };
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        let reported = Usage::Reported(TokenUse::new(300, 40));
        let outcome = match &self.agents[agent_id.as_str()] {
            Does::Say(text, turns) => {
                for _ in 0..=*turns {
                    tokio::task::yield_now().await;
                }
                Outcome::new(Ok((*text).to_owned()), reported)
            }
            Does::Each(texts) => {
                tokio::task::yield_now().await;
                let text = texts[earlier.min(texts.len() - 1)];
                Outcome::new(Ok(text.to_owned()), reported)
            }
            Does::Fail(error) => {
                tokio::task::yield_now().await;
                Outcome::new(Err(error()), Usage::UNKNOWN)
            }
            Does::Work => {
                attempt.stop.stopped().await;
                Outcome::new(Err(InvokeError::Stopped), Usage::UNKNOWN)
            }
            Does::Panic => panic!("the agent's adapter"),
        };
        self.clock.advance(Duration::from_millis(10));
        self.running.fetch_sub(1, Ordering::SeqCst);
        outcome
    }
}
