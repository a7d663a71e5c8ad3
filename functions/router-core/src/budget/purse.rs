//! What a request pays from: the only user of the ledger in a request.
//!
//! The journal says what is held and what was used, so the purse keeps nothing itself, and a panic
//! loses nothing: [`open_holds`] finds what is still to be settled.

use std::time::Duration;

use tracing::{debug, warn};

use super::open::{answered_tickets, open_holds};
use crate::charge::Charge;
use crate::error::chain;
use crate::ids::{Fingerprint, HoldId, Lane, SpecialistName, TaskMark, Ticket};
use crate::journal::{Entry, Fact, Hold, NotHeld};
use crate::ledger::{
    Account, Counted, HOLD_GRACE, HoldRequest, Holds, Ledger, Looked, Opening, Payer, Pipeline,
    Purpose, Recalled, Repeat, Reservation, ReserveError, Settlement, Stage,
};
use crate::policy::Specialist;
use crate::ports::Ports;
use crate::request::Request;
use crate::units::{Clock, Learnt, Share, Timestamp};

/// The purse of a request.
#[derive(Debug)]
pub(crate) struct Purse<'r, P>(pub(crate) Request<'r, P>);

/// A hold that is wanted for one call of a specialist.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    /// The task that it is for.
    pub(crate) task: usize,
    /// The specialist that is to be called.
    pub(crate) specialist: &'a Specialist,
    /// What it is to be asked.
    pub(crate) prompt: &'a str,
    /// The identity of the hold.
    pub(crate) id: &'a HoldId,
    /// What the hold is for.
    pub(crate) purpose: Purpose,
}

/// A hold that was taken.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Taken {
    /// The session's account, the hold included.
    pub(crate) account: Account,
    /// The specialist's session that the invocation runs in.
    pub(crate) lane: Lane,
    /// When it was asked for. The session lasts for its `idle_ttl` from then on.
    pub(crate) at: Timestamp,
}

/// A ticket that a task waits for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Opened {
    /// The ticket.
    pub(crate) ticket: Ticket,
    /// When it expires.
    pub(crate) due: Timestamp,
    /// The session's account, where it is known.
    pub(crate) account: Option<Account>,
    /// Holds of dead invocations that were found and charged on the way.
    pub(crate) expired_holds: u32,
}

impl<P: Ports> Purse<'_, P> {
    /// Takes one hold within `within`; see [`Self::take_all`].
    pub(crate) async fn take(
        &self,
        wanted: Wanted<'_>,
        only_below: Option<Share>,
        within: Duration,
    ) -> Result<Taken, ReserveError> {
        let taken = self.take_all(&[wanted], only_below, within).await?;
        taken.into_iter().next().ok_or(ReserveError::Unusable("the ledger took no hold".into()))
    }

    /// Takes all of the holds, each with a lane of its own, or none, in one write within
    /// `within`; none also where the session has reached the share `only_below` of a limit.
    pub(crate) async fn take_all(
        &self,
        wanted: &[Wanted<'_>],
        only_below: Option<Share>,
        within: Duration,
    ) -> Result<Vec<Taken>, ReserveError> {
        let Request { policy, ports, deadline, .. } = self.0;
        let counts_repeats = policy.session.max_repeats.is_some();
        let fingerprints: Vec<Option<Fingerprint>> = wanted
            .iter()
            .map(|Wanted { specialist, prompt, purpose, .. }| {
                let counts = counts_repeats && purpose.repeats();
                counts.then(|| Fingerprint::of(&specialist.name, prompt))
            })
            .collect();
        let holds: Vec<HoldRequest<'_>> = wanted
            .iter()
            .zip(&fingerprints)
            .map(|(Wanted { specialist, id, purpose, .. }, fingerprint)| HoldRequest {
                id,
                specialist: &specialist.name,
                fingerprint: fingerprint.as_ref(),
                ask: purpose.ask_of(specialist),
                purpose: *purpose,
            })
            .collect();
        let (payer, now) = (self.payer(), ports.clock().now());
        let counted = Counted::by(&payer, now);
        for (Wanted { task, .. }, HoldRequest { id, specialist, ask, .. }) in
            wanted.iter().zip(&holds)
        {
            let (id, specialist) = ((*id).clone(), (*specialist).clone());
            self.0.note(*task, Fact::Reserving(Hold { id, specialist, ask: *ask, counted }));
        }
        let reservation = Reservation {
            payer,
            holds: &holds,
            opening: None,
            now,
            asked: Learnt::now(ports.clock()),
            expires: deadline.after(HOLD_GRACE),
            only_below,
        };
        match ports.ledger().reserve(&reservation, within).await {
            Ok(taken) => {
                self.note_answered(&taken.answered);
                Ok(self.note_taken(wanted, taken, now))
            }
            Err(error) => {
                self.note_answered(error.answered());
                for (place, wanted) in wanted.iter().enumerate() {
                    self.0.note(wanted.task, wanted.not_held(&error, place == 0));
                }
                Err(error)
            }
        }
    }

    /// Takes a hand-off for a ticket of a task, in one write within `within`, unless the task waits
    /// for one already.
    pub(crate) async fn open_ticket(
        &self,
        task: &TaskMark,
        within: Duration,
    ) -> Result<Opened, ReserveError> {
        let Request { policy, caller, ports, deadline, id, .. } = self.0;
        let now = ports.clock().now();
        let ticket = Ticket::new(&caller.root, task, id, now);
        let due = now.after(policy.escalation.answer_within);
        let reservation = Reservation {
            payer: self.payer(),
            holds: &[],
            opening: Some(Opening { task, ticket: &ticket, due }),
            now,
            asked: Learnt::now(ports.clock()),
            expires: deadline.after(HOLD_GRACE),
            only_below: None,
        };
        let reserved = ports.ledger().reserve(&reservation, within).await;
        match reserved {
            Ok(Holds { account, expired_holds, answered, .. }) => {
                self.note_answered(&answered);
                Ok(Opened { ticket, due, account: Some(account), expired_holds })
            }
            Err(ReserveError::Waiting { ticket, due, answered }) => {
                self.note_answered(&answered);
                Ok(Opened { ticket, due, account: None, expired_holds: 0 })
            }
            Err(error) => {
                self.note_answered(error.answered());
                Err(error)
            }
        }
    }

    /// The session as it is; `None` where there is none.
    ///
    /// # Errors
    ///
    /// As [`Ledger::look`] has them.
    pub(crate) async fn look(&self, within: Duration) -> Result<Option<Account>, ReserveError> {
        let looked = self.0.ports.ledger().look(&self.payer(), self.0.now(), within).await?;
        Ok(looked.map(|Looked { account, answered }| {
            self.note_answered(&answered);
            self.0.journal.add(self.0.now(), Fact::Looked { account });
            account
        }))
    }

    /// Notes answers of people of which the supervisor is to be told, each once.
    fn note_answered(&self, answered: &[Ticket]) {
        let known = self.0.journal.read(answered_tickets);
        for ticket in answered.iter().filter(|ticket| !known.contains(ticket)) {
            let fact = Fact::PersonAnswered { ticket: ticket.clone() };
            self.0.journal.add(self.0.now(), fact);
        }
    }

    /// Notes the holds. What was found on the way is noted with the first of them.
    fn note_taken(&self, wanted: &[Wanted<'_>], taken: Holds, at: Timestamp) -> Vec<Taken> {
        let Holds { account, lanes, mut expired_holds, mut stale, .. } = taken;
        let mut all = Vec::with_capacity(lanes.len());
        for (Wanted { task, id, .. }, lane) in wanted.iter().zip(lanes) {
            let (id, stale) = ((*id).clone(), std::mem::take(&mut stale));
            let expired_holds = std::mem::take(&mut expired_holds);
            self.0.note(*task, Fact::Held { id, account, lane, expired_holds, stale });
            all.push(Taken { account, lane, at });
        }
        all
    }

    /// Whether there is something to settle.
    pub(crate) fn has_settleable(&self) -> bool {
        self.0.journal.read(open_holds).iter().any(|open| open.used.is_some())
    }

    /// Settles what is no longer in use, in one write within `within`: of one task, or of all.
    /// Holds whose settlement the ledger does not answer expire, and stay charged.
    pub(crate) async fn settle(&self, task: Option<usize>, within: Duration) {
        let Request { journal, tells_answers, .. } = self.0;
        // The supervisor is told by the reply, which comes after the last settlement.
        let is_last = task.is_none() && tells_answers;
        let told = if is_last { journal.read(answered_tickets) } else { Vec::new() };
        self.settle_telling(task, &told, within).await;
    }

    /// The same, after which these tickets' answers count as told.
    pub(crate) async fn settle_telling(
        &self,
        task: Option<usize>,
        told: &[Ticket],
        within: Duration,
    ) {
        let Request { journal, ports, .. } = self.0;
        let open = journal.read(open_holds);
        let (tasks, mut settlements): (Vec<_>, Vec<Settlement<'_>>) = open
            .iter()
            .filter(|open| task.is_none() || open.task == task)
            .filter_map(|open| Some((open.task, open.settlement()?)))
            .unzip();
        let Some(first) = settlements.first_mut() else { return };
        first.told = told;
        let note = |fact: &dyn Fn(&Settlement<'_>) -> Fact| {
            for (task, settlement) in tasks.iter().zip(&settlements) {
                journal.push(Entry { at: self.0.now(), task: *task, fact: fact(settlement) });
            }
        };
        note(&|settlement| Fact::Settling { id: settlement.id.clone(), used: settlement.used });
        let settled = ports.ledger().settle(&self.payer(), &settlements, within).await;
        let is_known = settled.is_ok();
        note(&|settlement| Fact::Settled { id: settlement.id.clone(), is_known });
        if let Err(error) = settled {
            for Settlement { id, .. } in &settlements {
                warn!(error = chain(&error), hold = id.as_str(), "hold left to expire");
            }
        }
    }

    /// Notes what was used of a hold, and says so where that is more than was held.
    pub(crate) fn charge(
        &self,
        task: usize,
        id: &HoldId,
        held: Charge,
        used: Charge,
        left: Option<Lane>,
    ) {
        if used.exceeds(held) {
            warn!(
                held_tokens = held.tokens.0,
                used_tokens = used.tokens.0,
                held_micro_usd = held.cost.0,
                used_micro_usd = used.cost.0,
                "the invocation used more than its hold"
            );
        }
        self.0.note(task, Fact::Charged { id: id.clone(), used, left });
    }

    /// The answer that this very request got a short while ago. It costs nothing.
    pub(crate) async fn recall(
        &self,
        task: usize,
        specialist: &SpecialistName,
        prompt: &str,
        within: Duration,
    ) -> Option<String> {
        self.0.policy.session.repeat_window?;
        let fingerprint = Fingerprint::of(specialist, prompt);
        let identity = self.0.caller.identity();
        let repeat = self.repeat(specialist, &fingerprint, &identity);
        let recalled = self.0.ports.ledger().recall(&repeat, within).await?;
        let Recalled { answer, account, answered } = recalled;
        self.note_answered(&answered);
        debug!(specialist.name = %specialist, "answered as before");
        self.0.note(task, Fact::Recalled { account });
        Some(answer)
    }

    /// Keeps an answer of `generation` for the policy's window, so that [`Purse::recall`] finds it.
    pub(crate) async fn keep(
        &self,
        specialist: &SpecialistName,
        prompt: &str,
        generation: u64,
        answer: &str,
        within: Duration,
    ) {
        let Some(window) = self.0.policy.session.repeat_window else { return };
        let fingerprint = Fingerprint::of(specialist, prompt);
        let identity = self.0.caller.identity();
        let repeat = self.repeat(specialist, &fingerprint, &identity);
        let keeping = self.0.ports.ledger().keep(&repeat, generation, answer, window, within);
        if let Err(error) = keeping.await {
            warn!(error = chain(&error), "the answer is not kept");
        }
    }

    /// The stages of this pipeline that were answered when it was not finished, in order. They cost
    /// nothing.
    pub(crate) async fn resume(&self, stages: &Fingerprint, within: Duration) -> Vec<Stage> {
        let identity = self.0.caller.identity();
        self.0.ports.ledger().resume(&self.pipeline(stages, &identity), within).await
    }

    /// Keeps all stages of the pipeline that were answered, so that [`Purse::resume`] finds them.
    pub(crate) async fn keep_stages(
        &self,
        stages: &Fingerprint,
        answered: &[Stage],
        within: Duration,
    ) {
        let identity = self.0.caller.identity();
        let pipeline = self.pipeline(stages, &identity);
        if let Err(error) = self.0.ports.ledger().keep_stages(&pipeline, answered, within).await {
            warn!(error = chain(&error), "a pipeline's stage is not kept");
        }
    }

    /// Forgets the stages of a pipeline that is finished.
    pub(crate) async fn forget_stages(&self, stages: &Fingerprint, within: Duration) {
        let identity = self.0.caller.identity();
        let pipeline = self.pipeline(stages, &identity);
        if let Err(error) = self.0.ports.ledger().forget_stages(&pipeline, within).await {
            warn!(error = chain(&error), "a finished pipeline's stages stay until they expire");
        }
    }

    fn pipeline<'a>(&'a self, fingerprint: &'a Fingerprint, identity: &'a str) -> Pipeline<'a> {
        Pipeline { payer: self.payer(), fingerprint, identity, now: self.0.now() }
    }

    fn repeat<'a>(
        &'a self,
        specialist: &'a SpecialistName,
        fingerprint: &'a Fingerprint,
        identity: &'a str,
    ) -> Repeat<'a> {
        Repeat { payer: self.payer(), specialist, fingerprint, identity, now: self.0.now() }
    }

    fn payer(&self) -> Payer<'_> {
        let Request { policy, caller, .. } = self.0;
        Payer {
            session: &caller.root,
            limits: &policy.session,
            tenant: &caller.tenant,
            user: caller.user.as_ref(),
            tenant_day: &policy.tenant_day,
            user_day: policy.user_day.as_ref(),
            gateway_hour: caller.root.is_gateways().then_some(&policy.gateway_hour),
        }
    }
}

impl Wanted<'_> {
    /// Whether the reservation was refused since this one asks for what was asked too often.
    pub(crate) fn repeats(&self, error: &ReserveError) -> bool {
        match error {
            ReserveError::Repeated { fingerprint, .. } => {
                Fingerprint::of(&self.specialist.name, self.prompt) == *fingerprint
            }
            _ => false,
        }
    }

    /// Why there is no hold. What was found on the way is noted with the first of a reservation.
    fn not_held(&self, error: &ReserveError, is_first: bool) -> Fact {
        let (why, account, expired_holds) = why_not(error);
        let is_others = matches!(error, ReserveError::Repeated { .. }) && !self.repeats(error);
        let why = if is_others { NotHeld::WithOthers } else { why };
        let expired_holds = if is_first { expired_holds } else { 0 };
        let (id, purpose) = (self.id.clone(), self.purpose);
        Fact::NotHeld { id, purpose, why, account, expired_holds }
    }
}

/// Why nothing was taken, with the session's account where it is known, and how many holds of dead
/// invocations were found on the way.
pub(crate) fn why_not(error: &ReserveError) -> (NotHeld, Option<Account>, u32) {
    let why = match error {
        ReserveError::Exhausted(exhausted) | ReserveError::NearlyExhausted(exhausted) => {
            let why = NotHeld::Exhausted(exhausted.limit);
            return (why, Some(exhausted.account), exhausted.expired_holds);
        }
        ReserveError::OtherTenant => NotHeld::OtherTenant,
        ReserveError::OtherUser => NotHeld::OtherUser,
        ReserveError::Unusable(_) => NotHeld::Unusable,
        ReserveError::Repeated { .. } => NotHeld::Repeated,
        ReserveError::Waiting { .. } => NotHeld::Waiting,
        ReserveError::AlreadySettled(_) => NotHeld::AlreadySettled,
        ReserveError::Unavailable(_) => NotHeld::Unavailable,
    };
    (why, None, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::{
        Doubles, InMemoryCircuits, InMemoryLedger, ManualClock, RecordingLog, RecordingSink,
        ScriptedInvoker, account, policy, verified_caller,
    };
    use crate::journal::Journal;
    use crate::policy::Policy;
    use crate::retry::RetryBudget;
    use crate::units::Timestamp;

    const WITHIN: Duration = Duration::from_secs(1);

    /// What a test finds in the purse of a request, which has this ledger.
    async fn with_purse<T>(
        ledger: &InMemoryLedger,
        policy: &Policy,
        test: impl AsyncFnOnce(Purse<'_, Doubles<'_, ScriptedInvoker<'_>>>, &Journal) -> T,
    ) -> T {
        let (clock, journal) = (ManualClock::default(), Journal::default());
        let ports = Doubles {
            ledger,
            invoker: &ScriptedInvoker::new(&clock, []),
            circuits: &crate::circuit::Circuits::new(InMemoryCircuits::default()),
            incidents: &RecordingLog::default(),
            metrics: &RecordingSink::default(),
            clock: &clock,
        };
        let request = Request {
            policy,
            ports: &ports,
            retries: &RetryBudget::default(),
            journal: &journal,
            caller: &verified_caller(),
            id: "r",
            deadline: Timestamp(60_000),
            is_traced: false,
            tells_answers: true,
        };
        test(Purse(request), &journal).await
    }

    fn ids() -> [HoldId; 3] {
        [0, 1, 2].map(|task| HoldId::new("r", task, 0))
    }

    fn wanted<'a>(ids: &'a [HoldId], policy: &'a Policy) -> Vec<Wanted<'a>> {
        let specialist = policy.find("orders").unwrap();
        let of = |(task, id)| {
            let purpose = Purpose::Invocation;
            Wanted { task, specialist, prompt: "Where is it?", id, purpose }
        };
        ids.iter().enumerate().map(of).collect()
    }

    #[tokio::test]
    async fn what_several_tasks_are_due_is_settled_at_once_and_once() {
        let (ledger, policy, ids) = (InMemoryLedger::default(), policy(), ids());
        with_purse(&ledger, &policy, async |purse, _| {
            let taken = purse.take_all(&wanted(&ids, &policy), None, WITHIN).await.unwrap();
            let lanes: Vec<u64> = taken.iter().map(|taken| taken.lane.number).collect();
            assert_eq!(lanes, [0, 2, 3]);
            let held = Charge::hold(policy.find("orders").unwrap());
            for (task, id) in ids.iter().take(2).enumerate() {
                purse.charge(task, id, held, Charge::default(), None);
            }
            purse.settle(None, WITHIN).await;
            assert_eq!((ledger.settlements(), ledger.holds()), (1, 1));
            purse.settle(None, WITHIN).await;
            assert_eq!(ledger.settlements(), 1, "nothing more is due");
            assert_eq!(ledger.account().committed, held);
        })
        .await;
    }

    #[tokio::test]
    async fn one_tasks_holds_are_settled_without_those_of_others() {
        let (ledger, policy, ids) = (InMemoryLedger::default(), policy(), ids());
        with_purse(&ledger, &policy, async |purse, journal| {
            purse.take_all(&wanted(&ids, &policy), None, WITHIN).await.unwrap();
            let held = Charge::hold(policy.find("orders").unwrap());
            for (task, id) in ids.iter().enumerate().skip(1) {
                purse.charge(task, id, held, Charge::default(), None);
            }
            purse.settle(Some(0), WITHIN).await;
            assert_eq!((ledger.settlements(), ledger.holds()), (0, 3), "it is still in use");
            purse.settle(Some(2), WITHIN).await;
            assert_eq!((ledger.settlements(), ledger.holds()), (1, 2));
            let of_settled = |entry: &Entry| match entry.fact {
                Fact::Settled { .. } => entry.task,
                _ => None,
            };
            let settled: Vec<usize> =
                journal.read(|entries| entries.iter().filter_map(of_settled).collect());
            assert_eq!(settled, [2]);
        })
        .await;
    }

    #[tokio::test]
    async fn a_further_attempt_is_no_repetition_of_its_request() {
        let (ledger, mut policy, ids) = (InMemoryLedger::default(), policy(), ids());
        policy.session.max_repeats = Some(1);
        with_purse(&ledger, &policy, async |purse, _| {
            for (wanted, purpose, may) in [
                (&wanted(&ids[..1], &policy), Purpose::Invocation, true),
                (&wanted(&ids[..2], &policy), Purpose::Retry, true),
                (&wanted(&ids, &policy), Purpose::Invocation, false),
            ] {
                let Wanted { task, specialist, prompt, id, .. } = wanted[wanted.len() - 1];
                let wanted = Wanted { task, specialist, prompt, id, purpose };
                let taken = purse.take(wanted, None, WITHIN).await;
                assert_eq!(taken.is_ok(), may, "{taken:?}");
            }
        })
        .await;
    }

    #[tokio::test]
    async fn dead_holds_that_a_refused_reservation_found_are_told_once() {
        let steps = policy().session.max_steps - 3;
        let ledger = InMemoryLedger::with(Account { steps, ..account() });
        let (policy, ids) = (policy(), ids());
        with_purse(&ledger, &policy, async |purse, journal| {
            let dead = [HoldId::new("dead", 0, 0)];
            purse.take_all(&wanted(&dead, &policy), None, WITHIN).await.unwrap();
            purse.0.ports.clock().advance(Duration::from_secs(60) + HOLD_GRACE);
            purse.take_all(&wanted(&ids, &policy), None, WITHIN).await.unwrap_err();
            let found = |entry: &Entry| match entry.fact {
                Fact::NotHeld { expired_holds, .. } => Some(expired_holds),
                _ => None,
            };
            let found: Vec<u32> =
                journal.read(|entries| entries.iter().filter_map(found).collect());
            assert_eq!(found, [1, 0, 0]);
        })
        .await;
    }

    #[test]
    fn what_the_ledger_need_not_count_any_more_is_forgotten_with_the_settlement() {
        let (id, specialist) = (HoldId::new("r", 0, 0), policy().find("orders").unwrap().clone());
        let ask = Charge::hold(&specialist);
        let stale = vec![Fingerprint::of(&specialist.name, "Where is it?")];
        let counted = Counted::default();
        let hold = Hold { id: id.clone(), specialist: specialist.name, ask, counted };
        let (account, lane, expired_holds) = (account(), Lane::default(), 0);
        let held =
            Fact::Held { id: id.clone(), account, lane, expired_holds, stale: stale.clone() };
        let charged = Fact::Charged { id, used: Charge::default(), left: None };
        let entries = [Fact::Reserving(hold), held, charged].map(|fact| Entry {
            at: Timestamp(0),
            task: Some(0),
            fact,
        });
        let open = open_holds(&entries);
        assert_eq!(open[0].settlement().unwrap().stale, stale);
    }

    #[tokio::test]
    async fn holds_that_have_no_room_together_are_not_taken_and_none_is_left_to_settle() {
        let steps = policy().session.max_steps - 2;
        let ledger = InMemoryLedger::with(Account { steps, ..account() });
        let (policy, ids) = (policy(), ids());
        with_purse(&ledger, &policy, async |purse, journal| {
            let refused = purse.take_all(&wanted(&ids, &policy), None, WITHIN).await;
            assert!(matches!(refused, Err(ReserveError::Exhausted(_))), "{refused:?}");
            assert_eq!(journal.read(open_holds), []);
            purse.take_all(&wanted(&ids[..2], &policy), None, WITHIN).await.unwrap();
            assert_eq!((ledger.holds(), ledger.account().steps), (2, steps + 2));
        })
        .await;
    }
}
