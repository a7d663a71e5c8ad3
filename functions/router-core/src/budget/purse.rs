//! What a request pays from: the only user of the ledger in a request.
//!
//! The journal says what is held and what was used, so the purse keeps nothing itself, and a panic
//! loses nothing: [`open_holds`] finds what is still to be settled.

use std::time::Duration;

use tracing::{debug, warn};

use crate::charge::Charge;
use crate::error::chain;
use crate::ids::{Fingerprint, HoldId, Lane, SpecialistName};
use crate::journal::{Entry, Fact, Hold, NotHeld};
use crate::ledger::{
    Account, HOLD_GRACE, Ledger, Purpose, Recalled, Repeat, Reservation, ReserveError, Settlement,
};
use crate::policy::Specialist;
use crate::ports::Ports;
use crate::request::Request;
use crate::units::{Clock, Learnt};

/// The purse of a request.
#[derive(Debug)]
pub(crate) struct Purse<'r, P>(pub(crate) Request<'r, P>);

/// A hold that was taken.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Taken {
    /// The session's account, the hold included.
    pub(crate) account: Account,
    /// The specialist's session that the invocation runs in.
    pub(crate) lane: Lane,
}

/// A hold that is taken or may be, and is not settled.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OpenHold {
    /// The task that it was taken for.
    pub(crate) task: Option<usize>,
    /// What was asked of the ledger.
    pub(crate) hold: Hold,
    /// What it is to be replaced by; `None`: it is in use.
    pub(crate) used: Option<Charge>,
    /// The lane that the invocation was left in while the agent may still be at work.
    pub(crate) left: Option<Lane>,
    /// Requests whose repetitions need not be counted any more.
    pub(crate) stale: Vec<Fingerprint>,
}

impl<P: Ports> Purse<'_, P> {
    /// Takes a hold for one call of `specialist` within `within`.
    pub(crate) async fn take(
        &self,
        task: usize,
        specialist: &Specialist,
        prompt: &str,
        id: &HoldId,
        purpose: Purpose,
        within: Duration,
    ) -> Result<Taken, ReserveError> {
        let Request { policy, ports, caller, deadline, .. } = self.0;
        let session = &policy.session;
        let fingerprint = Fingerprint::of(&specialist.name, prompt);
        let counts_repeats = session.max_repeats.is_some() && purpose != Purpose::Retry;
        let reservation = Reservation {
            id,
            session: &caller.root,
            limits: session,
            tenant: &caller.tenant,
            user: caller.user.as_ref(),
            tenant_day: &policy.tenant_day,
            fingerprint: counts_repeats.then_some(&fingerprint),
            specialist: &specialist.name,
            ask: Charge::hold(specialist),
            purpose,
            now: ports.clock().now(),
            asked: Learnt::now(ports.clock()),
            expires: deadline.after(HOLD_GRACE),
        };
        let (id, name) = (id.clone(), specialist.name.clone());
        let hold = Hold { id: id.clone(), specialist: name, ask: reservation.ask };
        self.0.note(task, Fact::Reserving(hold));
        match ports.ledger().reserve(&reservation, within).await {
            Ok(hold) => {
                let crate::ledger::Hold { account, lane, expired_holds, stale } = hold;
                self.0.note(task, Fact::Held { id, account, lane, expired_holds, stale });
                Ok(Taken { account, lane })
            }
            Err(error) => {
                self.0.note(task, not_held(id, purpose, &error));
                Err(error)
            }
        }
    }

    /// Settles what is no longer in use, within `within`: of one task, or of all. A hold whose
    /// settlement the ledger does not answer expires, and stays charged.
    pub(crate) async fn settle(&self, task: Option<usize>, within: Duration) {
        let Request { journal, ports, caller, .. } = self.0;
        let open = journal.read(open_holds);
        for open in open.iter().filter(|open| task.is_none() || open.task == task) {
            let Some(used) = open.used else { continue };
            let Hold { id, specialist, ask } = &open.hold;
            let forget = &open.stale;
            let (session, held, left) = (&caller.root, *ask, open.left);
            let settlement = Settlement { id, session, specialist, held, used, forget, left };
            let note = |fact| {
                let entry = Entry { at: self.0.now(), task: open.task, fact };
                journal.push(entry);
            };
            note(Fact::Settling { id: id.clone(), used });
            let settled = ports.ledger().settle(&settlement, within).await;
            note(Fact::Settled { id: id.clone(), is_known: settled.is_ok() });
            if let Err(error) = settled {
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
        if used.tokens > held.tokens || used.cost > held.cost {
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
        let Recalled { answer, account } = self.0.ports.ledger().recall(&repeat, within).await?;
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

    fn repeat<'a>(
        &'a self,
        specialist: &'a SpecialistName,
        fingerprint: &'a Fingerprint,
        identity: &'a str,
    ) -> Repeat<'a> {
        let Request { policy, caller, .. } = self.0;
        Repeat {
            session: &caller.root,
            tenant: &caller.tenant,
            user: caller.user.as_ref(),
            limits: &policy.session,
            specialist,
            fingerprint,
            identity,
            now: self.0.now(),
        }
    }
}

fn not_held(id: HoldId, purpose: Purpose, error: &ReserveError) -> Fact {
    let (why, account, expired_holds) = match error {
        ReserveError::Exhausted(exhausted) => {
            (NotHeld::Exhausted(exhausted.limit), Some(exhausted.account), exhausted.expired_holds)
        }
        ReserveError::OtherTenant => (NotHeld::OtherTenant, None, 0),
        ReserveError::OtherUser => (NotHeld::OtherUser, None, 0),
        ReserveError::Unusable(_) => (NotHeld::Unusable, None, 0),
        ReserveError::Repeated { .. } => (NotHeld::Repeated, None, 0),
        ReserveError::AlreadySettled(_) => (NotHeld::AlreadySettled, None, 0),
        ReserveError::Unavailable(_) => (NotHeld::Unavailable, None, 0),
    };
    Fact::NotHeld { id, purpose, why, account, expired_holds }
}

/// The holds that are taken, or may be, and whose settlement was not tried yet.
pub(crate) fn open_holds(entries: &[Entry]) -> Vec<OpenHold> {
    let mut open: Vec<OpenHold> = Vec::new();
    for entry in entries {
        match &entry.fact {
            Fact::Reserving(hold) => open.push(OpenHold {
                task: entry.task,
                hold: hold.clone(),
                used: None,
                left: None,
                stale: Vec::new(),
            }),
            Fact::Held { id, stale, .. } => {
                of(&mut open, id).for_each(|open| open.stale.clone_from(stale));
            }
            Fact::Charged { id, used, left } => {
                of(&mut open, id).for_each(|open| (open.used, open.left) = (Some(*used), *left));
            }
            Fact::NotHeld { id, .. } | Fact::Settling { id, .. } => {
                open.retain(|open| open.hold.id != *id);
            }
            _ => {}
        }
    }
    open
}

fn of<'o>(open: &'o mut [OpenHold], id: &'o HoldId) -> impl Iterator<Item = &'o mut OpenHold> {
    open.iter_mut().filter(move |open| open.hold.id == *id)
}
