//! What the candidates of a task and their attempts have in common: noting facts, numbering holds,
//! and what circuits are asked and told.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::select;

use super::attempts::Granted;
use crate::budget::purse::Purse;
use crate::charge::Charge;
use crate::circuit::{Admission, Verdict};
use crate::deadline;
use crate::ids::HoldId;
use crate::journal::Fact;
use crate::policy::Specialist;
use crate::ports::Ports;
use crate::request::Request;
use crate::stop::Stop;
use crate::units::{Clock, Share};
use crate::wire::tools::Task;

/// One task of a request.
#[derive(Debug)]
pub(crate) struct TaskContext<'r, P> {
    pub(crate) request: Request<'r, P>,
    /// The place of the task among those of the request.
    pub(crate) place: usize,
    pub(super) task: &'r Task,
    pub(crate) stop: &'r Stop,
    /// How many tasks wait for this one, and get a share of the time.
    pub(super) to_come: usize,
    /// The share of a limit of the session from which on the first invocation is refused.
    pub(super) only_below: Option<Share>,
    /// How many holds were asked for, whether they were taken or not.
    holds: AtomicUsize,
}

/// The attempt as its circuit knows it.
pub(crate) fn owner(hold: &HoldId, attempt: u64) -> String {
    format!("{}/{attempt}", hold.as_str())
}

impl<'r, P: Ports> TaskContext<'r, P> {
    pub(crate) fn new(
        request: Request<'r, P>,
        place: usize,
        task: &'r Task,
        stop: &'r Stop,
        to_come: usize,
    ) -> Self {
        let (only_below, holds) = (None, AtomicUsize::new(0));
        Self { request, place, task, stop, to_come, only_below, holds }
    }

    /// The same, where nothing is invoked first from this share of a limit on.
    pub(super) fn only_below(self, share: Share) -> Self {
        Self { only_below: Some(share), ..self }
    }

    pub(crate) fn note(&self, fact: Fact) {
        self.request.note(self.place, fact);
    }

    pub(crate) fn purse(&self) -> Purse<'r, P> {
        Purse(self.request)
    }

    /// Waits for `delay`, or until the task is stopped.
    pub(super) async fn wait(&self, delay: Duration) {
        let (waiting, stopped) = (self.request.ports.clock().sleep(delay), self.stop.stopped());
        select(pin!(waiting), pin!(stopped)).await;
    }

    /// The identity of the next hold.
    pub(crate) fn next_hold(&self) -> HoldId {
        HoldId::new(self.request.id, self.place, self.holds.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether `attempt` may go.
    pub(crate) async fn admit(&self, specialist: &Specialist, attempt: &str) -> Admission {
        let Request { ports, deadline, .. } = self.request;
        let (circuits, clock) = (ports.circuits(), ports.clock());
        self.request.refresh_circuits().await;
        let within = deadline::before_call(self.request.remaining());
        let admission = circuits.admit(specialist, attempt, deadline, clock, within).await;
        if matches!(admission, Admission::Pass { .. }) {
            let (owner, specialist) = (attempt.to_owned(), specialist.name.clone());
            self.note(Fact::Admitted { owner, specialist });
        }
        admission
    }

    /// Tells the circuit what `attempt` came to.
    pub(super) async fn report(&self, specialist: &Specialist, attempt: &str, verdict: Verdict) {
        let (circuits, clock) = (self.request.ports.circuits(), self.request.ports.clock());
        let within = deadline::after_call(self.request.remaining());
        let session = self.request.caller.root.mark();
        let reporting = circuits.report(specialist, attempt, session, verdict, clock, within);
        let opened = reporting.await;
        let (owner, specialist) = (attempt.to_owned(), specialist.name.clone());
        self.note(Fact::Reported { owner, specialist, opened });
    }

    /// Makes no use of a hold and of a circuit's word: nothing is charged.
    pub(crate) async fn give_up(&self, specialist: &Specialist, granted: &Granted) {
        self.withdraw(specialist, &owner(&granted.id, 1)).await;
        if let Some(held) = granted.held {
            self.purse().charge(self.place, &granted.id, held, Charge::default(), None);
        }
    }

    /// Frees the place of a probe that is not made after all.
    pub(crate) async fn withdraw(&self, specialist: &Specialist, attempt: &str) {
        self.report(specialist, attempt, Verdict::Unknown).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_attempts_are_one_owner() {
        let holds = [HoldId::new("r", 0, 0), HoldId::new("r", 0, 1), HoldId::new("s", 0, 0)];
        let owners: Vec<String> =
            holds.iter().flat_map(|hold| [1, 2].map(|attempt| owner(hold, attempt))).collect();
        for (place, one) in owners.iter().enumerate() {
            assert!(!owners[..place].contains(one), "{one}");
        }
    }
}
