//! Having a supervisor decide on every case: so many at once, again where that may help, and no longer
//! than it can still bring a verdict.
//!
//! A case is one first round, in a session that no other has; nobody carries out what the supervisor
//! calls. A Bedrock agent's calls go to its action group, whose router is told that it is a rehearsal,
//! and the first of them counts, whatever comes of the turn. The run stops early when its time or its money is used up, or when so many cases are without
//! a decision that there is no verdict any more. A case that was not asked has no decision either.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use router_core::charge::Charge;
use router_core::front::prompt_of;
use router_core::ids::{HoldId, Lane, RootSession, specialist_session_id};
use router_core::invocation::InvokeError;
use router_core::ledger::Limit;
use router_core::policy::{Policy, Retry, SupervisorRules};
use router_core::retry::backoff;
use router_core::stop::Stop;
use router_core::supervisor::{Heard, Message, Round, Supervisor, ToolCall, Turn};
use router_core::units::{Clock, MicroUsd, Moment, Share, Timestamp, Tokens};
use router_core::wire::caller::{Attributes, DRY_RUN};
use router_core::wire::tools::catalog::{self, Tool};
use tokio::sync::Notify;

use crate::cases::Case;
use crate::choice::choice;
use crate::purse::{NotPaid, Purse};
use crate::score::{Chosen, Outcome};

/// The wait before the first retry, at most.
const BASE_DELAY: Duration = Duration::from_millis(200);

/// No round is started with less time than this.
const SHORTEST_ROUND: Duration = Duration::from_millis(250);

/// How a run is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Cases that are asked at once.
    pub width: usize,
    /// Attempts at one case, the first included.
    pub max_attempts: u64,
    /// The wait before any retry, at most.
    pub max_delay: Duration,
    /// With more cases without a decision than this share of all, the run ends.
    pub max_undecided: Share,
}

/// What is asked of whom.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// The cases.
    pub cases: &'a [Case],
    /// The policy that the tools and the prompt are made from.
    pub policy: &'a Policy,
    /// The supervisor.
    pub supervisor: &'a SupervisorRules,
    /// The run's own session, which pays and which no other run has.
    pub session: &'a RootSession,
    /// How the run is made.
    pub rules: Rules,
    /// When no round may be under way any more.
    pub deadline: Timestamp,
}

/// What came of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ran {
    /// Of every case, in the order of the cases.
    pub outcomes: Vec<Outcome>,
    /// How many cases at least one round was made for.
    pub asked: u64,
    /// Why cases that were asked have no decision, by the reason's name.
    pub failures: BTreeMap<&'static str, u64>,
    /// Why it ended before all were asked.
    pub stopped: Option<Stopped>,
}

/// Why a run ended before all cases were asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Its time was over.
    Deadline,
    /// A limit of its budget has no room.
    Budget(Limit),
    /// The ledger gave no answer.
    LedgerUnavailable,
    /// Too many cases have no decision for a verdict.
    TooManyUndecided,
}

impl Stopped {
    /// Its name in a report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Budget(Limit::Cost) => "budget_cost",
            Self::Budget(Limit::Tenant) => "budget_tenant",
            Self::Budget(_) => "budget",
            Self::LedgerUnavailable => "ledger_unavailable",
            Self::TooManyUndecided => "too_many_undecided",
        }
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deadline => "its time was over",
            Self::Budget(Limit::Tenant) => "the runs' money of the day was used up",
            Self::Budget(_) => "its money was used up",
            Self::LedgerUnavailable => "the budget could not be checked",
            Self::TooManyUndecided => "too many requests got no decision",
        })
    }
}

/// Has the supervisor decide on all cases of a plan.
pub async fn run<S, P, C>(plan: &Plan<'_>, supervisor: &S, purse: &P, clock: &C) -> Ran
where
    S: Supervisor,
    P: Purse,
    C: Clock + Sync,
{
    let Plan { cases, policy, rules, .. } = *plan;
    let run = Run {
        plan,
        supervisor,
        purse,
        clock,
        prompt: prompt_of(policy, plan.supervisor),
        tools: catalog::tools(policy),
        attributes: Attributes::from([(DRY_RUN.to_owned(), "true".to_owned())]),
        progress: Mutex::default(),
        settled: Notify::new(),
    };
    let deciding = cases.iter().enumerate().map(|(place, case)| {
        let run = &run;
        async move { (place, run.decide(place, case).await) }
    });
    let mut ended: Vec<(usize, Outcome)> =
        stream::iter(deciding).buffer_unordered(rules.width.max(1)).collect().await;
    ended.sort_by_key(|(place, _)| *place);
    let outcomes = ended.into_iter().map(|(_, outcome)| outcome).collect();
    let Progress { asked, failures, stopped, .. } = std::mem::take(&mut *run.progress());
    Ran { outcomes, asked, failures, stopped }
}

struct Run<'a, S, P, C> {
    plan: &'a Plan<'a>,
    supervisor: &'a S,
    purse: &'a P,
    clock: &'a C,
    prompt: String,
    tools: Vec<Tool>,
    attributes: Attributes,
    progress: Mutex<Progress>,
    /// Tells those who wait for money that a round has given back what it did not use.
    settled: Notify,
}

#[derive(Default)]
struct Progress {
    asked: u64,
    /// Rounds for which money is held, or being asked for.
    under_way: u64,
    undecided: u64,
    failures: BTreeMap<&'static str, u64>,
    stopped: Option<Stopped>,
}

/// What one round came to.
struct Decided {
    result: Result<Turn, InvokeError>,
    latency: Duration,
    used: Charge,
}

/// When a supervisor was first heard.
#[derive(Default)]
struct FirstHeard {
    tool: Option<Moment>,
    text: Option<Moment>,
    /// What went to the supervisor's own action group.
    carried: Option<ToolCall>,
}

impl<S, P, C> Run<'_, S, P, C>
where
    S: Supervisor,
    P: Purse,
    C: Clock + Sync,
{
    /// Asks until there is a decision, or another attempt would not help.
    async fn decide(&self, place: usize, case: &Case) -> Outcome {
        let mut outcome = Outcome {
            case: case.line,
            expected: case.specialist.clone(),
            chosen: Chosen::NoDecision,
            latency_ms: 0,
            tokens: Tokens::default(),
            cost: MicroUsd::default(),
        };
        for attempt in 1.. {
            let id = HoldId::new(self.plan.session.as_str(), place, attempt);
            if !self.pay(&id).await {
                return outcome;
            }
            if attempt == 1 {
                self.progress().asked += 1;
            }
            let Decided { result, latency, used } = self.round(place, attempt, case).await;
            self.purse.settle(&id, used).await;
            self.leave();
            self.settled.notify_waiters();
            outcome.tokens = outcome.tokens.plus(used.tokens);
            outcome.cost = MicroUsd(outcome.cost.0.saturating_add(used.cost.0));
            outcome.latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
            match result {
                Ok(turn) => {
                    outcome.chosen = choice(&turn, &case.specialist, self.plan.policy);
                    return outcome;
                }
                // It came to an end in order, and asked nobody.
                Err(InvokeError::EmptyAnswer | InvokeError::Guardrail) => {
                    outcome.chosen = Chosen::Nobody;
                    return outcome;
                }
                Err(error) => {
                    let tried = u64::try_from(attempt).unwrap_or(u64::MAX);
                    let is_last = tried >= self.plan.rules.max_attempts;
                    if is_last || !error.is_retryable() {
                        self.note_undecided(&error);
                        return outcome;
                    }
                    let delay = backoff(&self.retries(), tried, id.spread());
                    self.clock.sleep(delay.min(self.left())).await;
                }
            }
        }
        outcome
    }

    /// Takes a hold and says so, unless the run is over. Money that is held at the same time is
    /// waited for: most of it comes back.
    async fn pay(&self, id: &HoldId) -> bool {
        loop {
            // Told also of a settlement that comes before it is waited for.
            let settled = self.settled.notified();
            if !self.may_go_on() {
                return false;
            }
            self.progress().under_way += 1;
            let Err(not_paid) = self.purse.take(id).await else { return true };
            match (not_paid, self.leave()) {
                (NotPaid::Unavailable, _) => self.stop(Stopped::LedgerUnavailable),
                (NotPaid::UsedUp(limit), 0) => self.stop(Stopped::Budget(limit)),
                (NotPaid::UsedUp(_), _) => settled.await,
            }
        }
    }

    /// Takes a round off those that hold money, or are about to, and says how many are left.
    fn leave(&self) -> u64 {
        let mut progress = self.progress();
        progress.under_way -= 1;
        progress.under_way
    }

    async fn round(&self, place: usize, attempt: usize, case: &Case) -> Decided {
        let callee = &self.plan.supervisor.callee;
        let lane = Lane { generation: place as u64, number: attempt as u64 };
        let messages = [Message::User(case.text.clone())];
        let round = Round {
            agent: &callee.agent,
            session_id: &specialist_session_id(self.plan.session, &callee.name, lane),
            root_session: self.plan.session,
            attributes: &self.attributes,
            prompt: &self.prompt,
            messages: &messages,
            tools: &self.tools,
            model: &callee.model,
            timeout: callee.timeout.min(self.left()),
            idle_timeout: callee.idle_timeout,
            max_tokens: callee.max_tokens_per_call,
            trace: None,
            stop: &Stop::default(),
        };
        let began = self.clock.moment();
        let mut first = FirstHeard::default();
        let mut heard = |heard: Heard<'_>| match heard {
            Heard::Tool(_) => first.tool = first.tool.or_else(|| Some(self.clock.moment())),
            Heard::Text(_) => first.text = first.text.or_else(|| Some(self.clock.moment())),
            Heard::Carried(call) => first.carried = first.carried.take().or(Some(call.clone())),
        };
        let mut decided = self.supervisor.decide(&round, &mut heard).await;
        if let Some(call) = first.carried {
            decided.result = Ok(Turn { text: String::new(), calls: vec![call] });
        }
        // A text beside a call announces it; without a call it is the answer.
        let calls = decided.result.as_ref().is_ok_and(|turn| !turn.calls.is_empty());
        let at = if calls { first.tool } else { first.text };
        Decided {
            latency: at.unwrap_or_else(|| self.clock.moment()).since(began),
            used: Charge::of(callee, &decided.usage),
            result: decided.result,
        }
    }

    fn retries(&self) -> Retry {
        let Rules { max_attempts, max_delay, .. } = self.plan.rules;
        Retry { max_attempts, base_delay: BASE_DELAY.min(max_delay), max_delay }
    }

    fn left(&self) -> Duration {
        self.plan.deadline.since(self.clock.now())
    }

    fn may_go_on(&self) -> bool {
        if self.left() < SHORTEST_ROUND {
            self.stop(Stopped::Deadline);
        }
        self.progress().stopped.is_none()
    }

    /// The first reason is the one that is told.
    fn stop(&self, why: Stopped) {
        self.progress().stopped.get_or_insert(why);
        self.settled.notify_waiters();
    }

    fn note_undecided(&self, error: &InvokeError) {
        let mut progress = self.progress();
        *progress.failures.entry(error.reason().as_str()).or_default() += 1;
        progress.undecided += 1;
        let all = self.plan.cases.len() as u64;
        let decided = Share(1_000_000_u32.saturating_sub(self.plan.rules.max_undecided.0));
        if all - progress.undecided.min(all) < decided.of(all) {
            progress.stopped.get_or_insert(Stopped::TooManyUndecided);
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        // Each change is complete in itself.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests;
