//! The supervisor's loop: it decides, its tools are carried out, and it decides again, until it
//! answers.

use super::FrontPorts;
use super::Shared;
use super::calls::{self, Carried};
use super::memory::{Memory, remembered};
use super::prompt::{of_round, prompt_of};
use super::round::{self, NoRound, ROUNDS, Said, Seat};
use crate::budget::open::answered_tickets;
use crate::budget::purse::Purse;
use crate::charge::Usage;
use crate::deadline;
use crate::error::chain;
use crate::ids::{Lane, Ticket};
use crate::incident::Incident;
use crate::journal::{Entry, Fact};
use crate::outcome::Reason;
use crate::policy::{AgentRef, SupervisorRules};
use crate::stop::Stop;
use crate::supervisor::{Message, Turn};
use crate::task::TaskContext;
use crate::views::messages::person_answered;
use crate::wire::caller::Caller;
use crate::wire::tools::Task;
use crate::wire::tools::catalog;
use tracing::warn;

/// What is known of a request's rounds, also where their code panics.
#[derive(Debug, Default)]
pub(super) struct Talk {
    /// Rounds that took place.
    pub(super) rounds: u64,
    /// What was said in this request.
    pub(super) messages: Vec<Message>,
    /// What specialists answered.
    pub(super) answers: Vec<String>,
    /// What is kept of what did not go well.
    pub(super) incidents: Vec<Incident>,
    /// The supervisor's own session.
    pub(super) lane: Option<Lane>,
    /// Whether it waits there for what it will not get, or may.
    pub(super) is_open: bool,
    /// Whether its calls are carried out elsewhere.
    pub(super) has_action_group: bool,
    /// The tickets whose answers it knew of when it answered.
    pub(super) told: Vec<Ticket>,
}

/// How the rounds end.
#[derive(Debug)]
pub(super) enum Ending {
    /// The supervisor answered.
    Answered(String),
    /// The supervisor failed.
    Failed {
        reason: Reason,
        /// Whether another may answer in its place.
        may_fall_back: bool,
    },
    /// A rule forbids the next round.
    Refused(Reason),
    /// It still wanted a tool when it had to answer.
    OutOfRounds,
}

/// Has the supervisor answer what the user says.
pub(super) async fn run<F: FrontPorts>(
    shared: &Shared<'_, F>,
    rules: &SupervisorRules,
    task: &Task,
    talk: &mut Talk,
) -> Ending {
    let request = shared.request;
    let stop = Stop::default();
    let context = TaskContext::new(request, ROUNDS, task, &stop, 0);
    let mut seat = Seat { context, callee: &rules.callee, told: shared.told, lane: None };
    let prompt = prompt_of(request.policy, rules);
    let tools = catalog::tools(request.policy);
    let mut before = Vec::new();
    talk.messages.push(Message::User(task.prompt.clone()));
    talk.has_action_group = rules.has_action_group();
    loop {
        let ready = match seat.prepare().await {
            Ok(ready) => ready,
            Err(no_round) => return no_round.into(),
        };
        if talk.rounds == 0 && ready.is_counted() {
            before = recall(shared, rules).await;
        }
        talk.rounds += 1;
        // Also for the case that it panics.
        (talk.lane, talk.is_open) = (Some(ready.lane()), true);
        let is_last = talk.rounds >= rules.max_rounds;
        let answered = request.journal.read(answered_tickets);
        let news: Vec<String> = answered.iter().map(person_answered).collect();
        let said = Said {
            round: talk.rounds,
            prompt: &of_round(&prompt, &news, is_last),
            messages: &[before.as_slice(), talk.messages.as_slice()].concat(),
            tools: if is_last { &[] } else { &tools },
        };
        let asked = seat.ask(ready, said).await;
        talk.lane = seat.lane.or(talk.lane);
        let turn = match asked {
            Ok(turn) => turn,
            Err(no_round) => {
                // One that was not asked waits for nothing, unless it was left waiting before.
                talk.is_open = talk.rounds > 1 || has_run(shared);
                talk.rounds -= u64::from(matches!(no_round, NoRound::Refused(_)));
                look_again(shared, rules).await;
                return no_round.into();
            }
        };
        let Turn { text, calls } = turn.clone();
        talk.messages.push(Message::Assistant(turn));
        if calls.is_empty() {
            talk.is_open = false;
            talk.told = told_by(rules, request.caller, answered);
            look_again(shared, rules).await;
            return Ending::Answered(text);
        }
        if is_last {
            return Ending::OutOfRounds;
        }
        // What the round did not use of its hold is room for what it asks for.
        let within = deadline::time_to_finish(request.remaining());
        seat.context.purse().settle(Some(ROUNDS), within).await;
        let Carried { results, answers, incidents } =
            calls::carry_out(shared, talk.rounds, &calls).await;
        talk.messages.push(Message::Results(results));
        talk.answers.extend(answers);
        talk.incidents.extend(incidents);
    }
}

impl From<NoRound> for Ending {
    fn from(no_round: NoRound) -> Self {
        match no_round {
            NoRound::Failed { reason, may_fall_back } => Self::Failed { reason, may_fall_back },
            NoRound::Refused(reason) => Self::Refused(reason),
        }
    }
}

/// Whether the supervisor keeps no conversation itself, so that it is given the session's again.
pub(super) fn is_given_the_past(rules: &SupervisorRules) -> bool {
    matches!(rules.callee.agent, AgentRef::Model(_)) && rules.memory_items > 0
}

/// What the supervisor is given again of the session. Without an answer of the table it is asked
/// without.
async fn recall<F: FrontPorts>(shared: &Shared<'_, F>, rules: &SupervisorRules) -> Vec<Message> {
    if !is_given_the_past(rules) {
        return Vec::new();
    }
    let request = shared.request;
    let within = deadline::before_call(request.remaining());
    let (session, most) = (&request.caller.root, rules.memory_items);
    match request.ports.memory().turns(session, most, request.now(), within).await {
        Ok(turns) => remembered(&turns, most),
        Err(error) => {
            warn!(error = chain(&error), "the supervisor is asked without what was said before");
            Vec::new()
        }
    }
}

/// The tickets of whose answers a supervisor that has answered counts as told. A Bedrock agent hears of
/// them from its action group, and in a rehearsal nobody could read them.
fn told_by(rules: &SupervisorRules, caller: &Caller, answered: Vec<Ticket>) -> Vec<Ticket> {
    let counts = !rules.has_action_group() && !caller.is_rehearsal();
    if counts { answered } else { Vec::new() }
}

/// Whether any attempt at a round may have reached the supervisor.
fn has_run<F: FrontPorts>(shared: &Shared<'_, F>) -> bool {
    let has_run = |entry: &Entry| match &entry.fact {
        Fact::AttemptEnded { usage, .. } => entry.task == Some(ROUNDS) && *usage != Usage::NotRun,
        _ => false,
    };
    shared.request.journal.read(|entries| entries.iter().any(has_run))
}

/// Looks at what a Bedrock agent's action group has used of the session meanwhile.
async fn look_again<F: FrontPorts>(shared: &Shared<'_, F>, rules: &SupervisorRules) {
    if rules.has_action_group() {
        let within = deadline::time_to_finish(shared.request.remaining());
        let purse = Purse(shared.request);
        purse.settle(Some(ROUNDS), within).await;
        if let Err(error) = purse.look(within).await {
            warn!(error = chain(&error), "what is left of the budget is not known");
        }
    }
}

/// Settles what the rounds held, after which the answers of people that the supervisor was told of are
/// told.
pub(super) async fn settle<F: FrontPorts>(shared: &Shared<'_, F>, talk: &Talk) {
    let within = deadline::time_to_finish(shared.request.remaining());
    Purse(shared.request).settle_telling(None, &talk.told, within).await;
}

/// Ends the rounds, so that what they held is settled.
pub(super) fn leave<F: FrontPorts>(shared: &Shared<'_, F>, talk: &Talk) {
    round::leave(shared.request, talk.lane, talk.is_open);
}
