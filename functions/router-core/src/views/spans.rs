//! The request as a trace: a tree of spans.
//!
//! A span begins and ends with a fact. Its parent is the request, or the candidate that its task
//! has turned to. Being refused is no failure of a span, since a limit that holds does what it is
//! there for.

use std::collections::BTreeMap;

use super::{Invocation, invocations};
use crate::charge::Charge;
use crate::ids::{HoldId, RootSession, SpecialistName};
use crate::journal::{Entry, Fact, Hold, NotHeld};
use crate::outcome::{Reason, Status};
use crate::trace::{Attribute, Kind, Span, SpanId, Step, Trace, TraceId, key};
use crate::units::Timestamp;

/// The trace of a request with Lambda's id `request_id`. All requests of a session are one trace;
/// a request without a session is a trace of its own.
pub fn of(entries: &[Entry], session: Option<&RootSession>, request_id: &str) -> Trace {
    let id = TraceId::of(session, request_id);
    let mut tree = Tree::new(id, entries);
    for entry in entries {
        tree.take(entry);
    }
    Trace { id, request_id: request_id.to_owned(), spans: tree.finish() }
}

/// The spans so far, by their places.
struct Tree<'e> {
    conversation: String,
    invocations: Vec<Invocation<'e>>,
    has_several: bool,
    /// The holds that were asked for.
    holds: Vec<&'e Hold>,
    spans: Vec<Span>,
    /// The spans that have not ended.
    open: Vec<usize>,
    tasks: BTreeMap<Option<usize>, TaskSpans<'e>>,
    settlements: Vec<(&'e HoldId, usize)>,
}

/// The spans of a task that are under way.
#[derive(Default)]
struct TaskSpans<'e> {
    candidate: Option<(usize, &'e SpecialistName)>,
    reservation: Option<usize>,
    attempt: Option<usize>,
    /// How many invocations of the task have ended.
    ended: usize,
}

/// The request's own span is the first.
const REQUEST: usize = 0;

impl<'e> Tree<'e> {
    fn new(id: TraceId, entries: &'e [Entry]) -> Self {
        let is_task = |entry: &&Entry| matches!(entry.fact, Fact::Asked { .. });
        let mut tree = Self {
            conversation: id.to_string(),
            invocations: invocations(entries),
            has_several: entries.iter().filter(is_task).count() > 1,
            holds: Vec::new(),
            spans: Vec::new(),
            open: Vec::new(),
            tasks: BTreeMap::new(),
            settlements: Vec::new(),
        };
        let began = entries.first().map_or(Timestamp::default(), |first| first.at);
        tree.begin(None, Kind::Server, "request".to_owned(), began);
        tree
    }

    fn take(&mut self, Entry { at, task, fact }: &'e Entry) {
        match fact {
            // Of several tasks each has a decision of its own.
            Fact::Asked { .. } if self.has_several => {}
            Fact::Asked { specialist, .. } => {
                let name = specialist.as_ref().map_or("unknown".to_owned(), ToString::to_string);
                self.add(REQUEST, [(key::ASKED, name.into())]);
            }
            Fact::Chosen { first, detour } => self.decide(*at, "invoke", Some(first), *detour),
            Fact::Declined { specialist, reason } if task.is_some() => {
                self.decide(*at, "refuse", specialist.as_ref(), Some(*reason));
            }
            Fact::CandidateTaken { specialist } => {
                let name = format!("invocation {specialist}");
                let span = self.begin(Some(REQUEST), Kind::Internal, name, *at);
                self.add(span, [(key::SPECIALIST, specialist.to_string().into())]);
                self.of(*task).candidate = Some((span, specialist));
            }
            Fact::CandidateLeft { refused } => {
                if let Some((span, _)) = self.of(*task).candidate.take() {
                    self.add(span, refused.map(|reason| (key::OUTCOME, reason.as_str().into())));
                    self.end(span, *at);
                }
            }
            Fact::Recalled { .. } => self.outcome(*task, "answered_as_before"),
            Fact::CircuitRejected { .. } => self.outcome(*task, Reason::CircuitOpen.as_str()),
            Fact::Reserving(hold) => {
                let parent = self.parent(*task);
                let span = self.begin(Some(parent), Kind::Internal, "reserve".to_owned(), *at);
                self.add(span, charge(hold.ask));
                self.holds.push(hold);
                self.of(*task).reservation = Some(span);
            }
            Fact::Held { .. } => self.reserved(*task, *at, "held", false),
            Fact::NotHeld { why, .. } => {
                let (outcome, is_failure) = not_held(*why);
                self.reserved(*task, *at, outcome, is_failure);
            }
            Fact::AttemptStarted { number, agent, hold } => {
                if let Some(span) = self.begin_attempt(*task, *at, *number, agent) {
                    self.spans[span].id = Some(SpanId::of_attempt(hold, *number));
                }
            }
            Fact::AttemptEnded { usage, charge: used, failure, steps, .. } => {
                if let Some(span) = self.of(*task).attempt.take() {
                    self.add_steps(span, steps, *at);
                    let reported = usage.reported();
                    self.add(
                        span,
                        [
                            (key::INPUT_TOKENS, reported.all_input().0.into()),
                            (key::OUTPUT_TOKENS, reported.all_output().0.into()),
                        ],
                    );
                    self.add(span, charge(*used));
                    self.spans[span].failure = failure.map(Reason::as_str);
                    self.end(span, *at);
                }
            }
            Fact::InvocationEnded { .. } => self.end_invocation(*task),
            Fact::Settling { id, used } => self.begin_settlement(*task, *at, id, *used),
            Fact::Settled { id, is_known } => {
                let known = self.settlements.iter().position(|(other, _)| *other == id);
                if let Some((_, span)) = known.map(|place| self.settlements.swap_remove(place)) {
                    self.spans[span].failure = (!is_known).then_some("unavailable");
                    self.end(span, *at);
                }
            }
            Fact::Replied { status, reason, specialist } => {
                self.reply(*status, *reason, specialist.as_ref());
            }
            Fact::Publishing { data } => {
                let span = self.begin(Some(REQUEST), Kind::Internal, "metrics".to_owned(), *at);
                self.add(span, [(key::DATA, (*data as u64).into())]);
                self.of(None).attempt = Some(span);
            }
            Fact::Published => {
                if let Some(span) = self.of(None).attempt.take() {
                    self.end(span, *at);
                }
            }
            Fact::Finished => self.end(REQUEST, *at),
            _ => {}
        }
    }

    fn decide(
        &mut self,
        at: Timestamp,
        outcome: &'static str,
        specialist: Option<&SpecialistName>,
        reason: Option<Reason>,
    ) {
        let span = self.begin(Some(REQUEST), Kind::Internal, "decision".to_owned(), at);
        self.add(span, [(key::OUTCOME, outcome.into())]);
        self.add(span, specialist.map(|name| (key::SPECIALIST, name.to_string().into())));
        self.add(span, reason.map(|reason| (key::REASON, reason.as_str().into())));
        self.end(span, at);
    }

    fn reserved(
        &mut self,
        task: Option<usize>,
        at: Timestamp,
        outcome: &'static str,
        failed: bool,
    ) {
        if let Some(span) = self.of(task).reservation.take() {
            self.add(span, [(key::OUTCOME, outcome.into())]);
            self.spans[span].failure = failed.then_some(outcome);
            self.end(span, at);
        }
    }

    fn begin_attempt(
        &mut self,
        task: Option<usize>,
        at: Timestamp,
        number: u64,
        agent: &str,
    ) -> Option<usize> {
        let (candidate, specialist) = self.of(task).candidate?;
        let name = format!("{} {specialist}", key::INVOKE_AGENT);
        let span = self.begin(Some(candidate), Kind::Client, name, at);
        let conversation = self.conversation.clone();
        self.add(
            span,
            [
                (key::OPERATION, key::INVOKE_AGENT.into()),
                (key::PROVIDER, key::BEDROCK.into()),
                (key::AGENT_NAME, specialist.to_string().into()),
                (key::ATTEMPT, number.into()),
                (key::CONVERSATION, conversation.into()),
                (key::AGENT_ID, agent.to_owned().into()),
            ],
        );
        self.of(task).attempt = Some(span);
        Some(span)
    }

    /// Adds what the agent did as parts of its attempt, which ended at `end`.
    fn add_steps(&mut self, attempt: usize, steps: &[Step], end: Timestamp) {
        let first = self.spans.len();
        for step in steps {
            let parent = step.within.map_or(attempt, |place| first + place);
            self.spans.push(step.span(parent, end));
        }
    }

    fn end_invocation(&mut self, task: Option<usize>) {
        let spans = self.of(task);
        let (place, candidate) = (spans.ended, spans.candidate);
        spans.ended += 1;
        let mut of_task = self.invocations.iter().filter(|invocation| invocation.task == task);
        let (Some(invocation), Some((span, _))) = (of_task.nth(place), candidate) else { return };
        let outcome = invocation.failure.map_or("answered", Reason::as_str);
        let attributes = [
            (key::OUTCOME, outcome.into()),
            (key::ATTEMPTS, invocation.attempts.into()),
            (key::ALL_INPUT_TOKENS, invocation.used.all_input().0.into()),
            (key::ALL_OUTPUT_TOKENS, invocation.used.all_output().0.into()),
            (key::COST, invocation.charge.cost.0.into()),
        ];
        let failure = invocation.has_failed().then_some(outcome);
        self.add(span, attributes);
        self.spans[span].failure = failure;
    }

    fn begin_settlement(
        &mut self,
        task: Option<usize>,
        at: Timestamp,
        id: &'e HoldId,
        used: Charge,
    ) {
        let parent = self.parent(task);
        let span = self.begin(Some(parent), Kind::Internal, "settle".to_owned(), at);
        self.add(span, charge(used));
        if let Some(hold) = self.holds.iter().find(|hold| hold.id == *id) {
            let specialist = hold.specialist.to_string();
            self.add(span, [(key::SPECIALIST, specialist.into())]);
        }
        self.settlements.push((id, span));
    }

    fn reply(
        &mut self,
        status: Status,
        reason: Option<Reason>,
        specialist: Option<&SpecialistName>,
    ) {
        let sum = |of: fn(&Invocation<'_>) -> u64| -> u64 { self.invocations.iter().map(of).sum() };
        let attributes = [
            (key::STATUS, status.as_str().into()),
            (key::ATTEMPTS, sum(|invocation| invocation.attempts).into()),
            (key::ALL_INPUT_TOKENS, sum(|invocation| invocation.used.all_input().0).into()),
            (key::ALL_OUTPUT_TOKENS, sum(|invocation| invocation.used.all_output().0).into()),
            (key::COST, sum(|invocation| invocation.charge.cost.0).into()),
        ];
        self.add(REQUEST, attributes);
        self.add(REQUEST, specialist.map(|name| (key::USED, name.to_string().into())));
        self.add(REQUEST, reason.map(|reason| (key::REASON, reason.as_str().into())));
        let conversation = self.conversation.clone();
        self.add(REQUEST, [(key::CONVERSATION, conversation.into())]);
        if status == Status::Failed {
            self.spans[REQUEST].failure = Some(reason.unwrap_or(Reason::AgentError).as_str());
        }
    }

    fn outcome(&mut self, task: Option<usize>, outcome: &'static str) {
        let parent = self.parent(task);
        self.add(parent, [(key::OUTCOME, outcome.into())]);
    }

    /// The span that a task's work is a part of.
    fn parent(&mut self, task: Option<usize>) -> usize {
        self.of(task).candidate.map_or(REQUEST, |(span, _)| span)
    }

    fn of(&mut self, task: Option<usize>) -> &mut TaskSpans<'e> {
        self.tasks.entry(task).or_default()
    }

    fn begin(
        &mut self,
        parent: Option<usize>,
        kind: Kind,
        name: String,
        start: Timestamp,
    ) -> usize {
        let attributes = Vec::new();
        let (id, end, failure) = (None, start, None);
        self.spans.push(Span { id, name, kind, parent, start, end, attributes, failure });
        self.open.push(self.spans.len() - 1);
        self.spans.len() - 1
    }

    fn add(&mut self, span: usize, attributes: impl IntoIterator<Item = Attribute>) {
        self.spans[span].attributes.extend(attributes);
    }

    fn end(&mut self, span: usize, end: Timestamp) {
        self.open.retain(|open| *open != span);
        // A clock that was set back must not make work end before it began.
        self.spans[span].end = end.max(self.spans[span].start);
    }

    /// Work that was broken off, by a panic say, ends when the request does.
    fn finish(mut self) -> Vec<Span> {
        let end = self.spans[REQUEST].end;
        for span in std::mem::take(&mut self.open) {
            self.spans[span].end = end.max(self.spans[span].start);
        }
        self.spans
    }
}

/// What a reservation that was not made is called, and whether it is a failure.
fn not_held(why: NotHeld) -> (&'static str, bool) {
    match why {
        NotHeld::Exhausted(limit) => (limit.as_str(), false),
        NotHeld::OtherTenant => ("other_tenant", false),
        NotHeld::OtherUser => ("other_user", false),
        NotHeld::Unusable => ("unusable", true),
        NotHeld::Repeated => ("repeated", false),
        NotHeld::WithOthers => ("with_others", false),
        NotHeld::Waiting => ("waiting", false),
        NotHeld::Unavailable => ("unavailable", true),
        NotHeld::AlreadySettled => ("already_settled", true),
    }
}

fn charge(charge: Charge) -> [Attribute; 2] {
    [(key::TOKENS, charge.tokens.0.into()), (key::COST, charge.cost.0.into())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charge::Usage;
    use crate::ids::Lane;
    use crate::ledger::Account;
    use crate::ledger::Counted;
    use crate::trace::Work;
    use crate::units::{MicroUsd, TokenUse};

    fn orders() -> SpecialistName {
        SpecialistName::parse("orders").unwrap()
    }

    fn hold() -> HoldId {
        HoldId::new("r", 0, 0)
    }

    /// Each fact a millisecond after the one before; those of the request have no task.
    fn spans(facts: Vec<(Option<usize>, Fact)>) -> Vec<Span> {
        let at = |place| Timestamp(1_000 + place as u64);
        let entries = facts.into_iter().enumerate();
        let entries: Vec<Entry> =
            entries.map(|(place, (task, fact))| Entry { at: at(place), task, fact }).collect();
        of(&entries, None, "r").spans
    }

    fn model_step(within: Option<usize>) -> Step {
        let work = Work::Model { model: None, usage: None };
        Step { work, within, start: Timestamp(1_006), end: Some(Timestamp(1_007)) }
    }

    fn one_answer() -> Vec<(Option<usize>, Fact)> {
        let task = |fact| (Some(0), fact);
        let (account, lane, stale) = (Account::default(), Lane::default(), Vec::new());
        let charge = Charge::default();
        vec![
            (None, Fact::Received { cold_start: None, function_version: None }),
            task(Fact::Chosen { first: orders(), detour: None }),
            task(Fact::CandidateTaken { specialist: orders() }),
            task(Fact::Reserving(Hold {
                id: hold(),
                specialist: orders(),
                ask: charge,
                counted: Counted::default(),
            })),
            task(Fact::Held { id: hold(), account, lane, expired_holds: 0, stale }),
            task(Fact::AttemptStarted { number: 1, hold: hold(), agent: "A".to_owned() }),
            task(Fact::AttemptEnded {
                usage: Usage::Reported(TokenUse::new(300, 40)),
                charge,
                reported_cost: MicroUsd(0),
                failure: None,
                too_long: None,
                steps: vec![model_step(None), model_step(Some(0)), model_step(Some(1))],
            }),
            task(Fact::CandidateLeft { refused: None }),
            task(Fact::Settling { id: hold(), used: charge }),
            task(Fact::Settled { id: hold(), is_known: true }),
            (None, Fact::Publishing { data: 20 }),
            (None, Fact::Published),
            (None, Fact::Finished),
        ]
    }

    #[test]
    fn every_piece_of_work_has_its_place_and_its_time() {
        let spans = spans(one_answer());
        let found: Vec<(&str, Option<usize>, u64, u64)> = spans
            .iter()
            .map(|span| (span.name.as_str(), span.parent, span.start.0 - 1_000, span.end.0 - 1_000))
            .collect();
        assert_eq!(
            found,
            [
                ("request", None, 0, 12),
                ("decision", Some(0), 1, 1),
                ("invocation orders", Some(0), 2, 7),
                ("reserve", Some(2), 3, 4),
                ("invoke_agent orders", Some(2), 5, 6),
                ("chat", Some(4), 6, 7),
                ("chat", Some(5), 6, 7),
                ("chat", Some(6), 6, 7),
                ("settle", Some(0), 8, 9),
                ("metrics", Some(0), 10, 11),
            ]
        );
        let says = |place: usize, name, value: &str| {
            spans[place].attributes.contains(&(name, value.to_owned().into()))
        };
        assert!(says(3, key::OUTCOME, "held"), "{:?}", spans[3]);
        assert!(says(8, key::SPECIALIST, "orders"), "{:?}", spans[8]);
        assert!(spans.iter().all(|span| span.failure.is_none()));
    }

    #[test]
    fn a_settlement_without_an_answer_is_a_failure() {
        let mut facts = one_answer();
        facts[9].1 = Fact::Settled { id: hold(), is_known: false };
        assert_eq!(spans(facts)[8].failure, Some("unavailable"));
    }

    #[test]
    fn work_that_was_broken_off_ends_with_the_request() {
        let facts = one_answer().into_iter();
        let began = facts.filter(|(_, fact)| {
            !matches!(fact, Fact::AttemptEnded { .. } | Fact::CandidateLeft { .. })
        });
        let spans = spans(began.collect());
        let ends = |name: &str| spans.iter().find(|span| span.name == name).unwrap().end;
        let end = ends("request");
        assert_eq!([ends("invocation orders"), ends("invoke_agent orders")], [end; 2]);
        assert!(ends("reserve") < end && ends("settle") < end, "{spans:?}");
    }

    #[test]
    fn a_candidate_that_was_not_asked_says_why() {
        for (fact, outcome) in [
            (Fact::CircuitRejected { specialist: orders() }, "circuit_open"),
            (Fact::Recalled { account: Account::default() }, "answered_as_before"),
        ] {
            let taken = Fact::CandidateTaken { specialist: orders() };
            let found = spans(vec![(Some(0), taken), (Some(0), fact)]);
            let outcome = (key::OUTCOME, outcome.to_owned().into());
            assert!(found[1].attributes.contains(&outcome), "{:?}", found[1]);
        }
    }

    #[test]
    fn only_a_task_decides() {
        let declined = || Fact::Declined { specialist: None, reason: Reason::LoopDetected };
        assert_eq!(spans(vec![(None, declined())]).len(), 1);
        assert_eq!(spans(vec![(Some(0), declined())])[1].name, "decision");
    }
}
