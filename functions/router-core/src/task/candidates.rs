//! Who is asked next: a queue without I/O.
//!
//! The plan's fallbacks follow its first specialist; a hand-off goes before them. No specialist is
//! invoked twice in one task, so two specialists that suggest each other end, and a hand-off never
//! goes back.

use std::collections::VecDeque;

use crate::ids::SpecialistName;
use crate::policy::Specialist;
use crate::routing::{Plan, may_serve};
use crate::wire::caller::Caller;

/// A specialist that is to be asked, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate<'p> {
    /// The specialist.
    pub(crate) specialist: &'p Specialist,
    /// Why it is asked.
    pub(crate) role: Role<'p>,
}

/// Why a specialist is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Role<'p> {
    /// The plan has it first.
    First,
    /// In the place of one that did not answer.
    Fallback { of: &'p Specialist },
    /// One that took the request for another's job suggested it.
    Handoff,
}

/// The candidates of one task.
#[derive(Debug)]
pub(crate) struct Candidates<'p> {
    queue: VecDeque<Candidate<'p>>,
    invoked: Vec<&'p SpecialistName>,
}

impl<'p> Candidates<'p> {
    /// The candidates of a plan.
    pub(crate) fn new(plan: &Plan<'p>) -> Self {
        let first = Candidate { specialist: plan.first, role: Role::First };
        let fallbacks = plan
            .fallbacks
            .iter()
            .map(|&specialist| Candidate { specialist, role: Role::Fallback { of: plan.first } });
        Self { queue: std::iter::once(first).chain(fallbacks).collect(), invoked: Vec::new() }
    }

    /// Takes the next specialist that was not invoked yet.
    pub(crate) fn next(&mut self) -> Option<Candidate<'p>> {
        loop {
            let candidate = self.queue.pop_front()?;
            if !self.was_invoked(candidate.specialist) {
                return Some(candidate);
            }
        }
    }

    /// The specialist is invoked now.
    pub(crate) fn invoke(&mut self, specialist: &'p Specialist) {
        self.invoked.push(&specialist.name);
    }

    /// Whether any specialist was invoked.
    pub(crate) fn has_invoked(&self) -> bool {
        !self.invoked.is_empty()
    }

    /// Puts a suggested specialist before the fallbacks, if it may serve the caller. It stays among
    /// them too, for the case that no hand-off is left.
    pub(crate) fn hand_off(&mut self, suggested: Option<&'p Specialist>, caller: &Caller) {
        if let Some(specialist) = suggested.filter(|specialist| may_serve(specialist, caller)) {
            self.queue.push_front(Candidate { specialist, role: Role::Handoff });
        }
    }

    /// How many specialists may still be invoked after `specialist`, as far as is known now.
    pub(crate) fn followers(
        &self,
        specialist: &Specialist,
        is_rejected: impl Fn(&Specialist) -> bool,
    ) -> usize {
        let may_follow = |candidate: &&Candidate<'p>| {
            candidate.specialist.name != specialist.name
                && !self.was_invoked(candidate.specialist)
                && !is_rejected(candidate.specialist)
        };
        self.queue.iter().filter(may_follow).count()
    }

    fn was_invoked(&self, specialist: &Specialist) -> bool {
        self.invoked.contains(&&specialist.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::{caller, policy, verified_caller};
    use crate::policy::Policy;

    fn plan<'p>(policy: &'p Policy, names: &[&str]) -> Plan<'p> {
        let mut chain = names.iter().map(|name| policy.find(name).unwrap());
        Plan { first: chain.next().unwrap(), detour: None, fallbacks: chain.collect() }
    }

    /// Invokes all that come, in order.
    fn rest(candidates: &mut Candidates<'_>) -> Vec<String> {
        std::iter::from_fn(|| {
            let candidate = candidates.next()?;
            candidates.invoke(candidate.specialist);
            Some(candidate.specialist.name.to_string())
        })
        .collect()
    }

    #[test]
    fn the_plan_is_asked_in_order_and_no_specialist_twice() {
        let policy = policy();
        let mut candidates = Candidates::new(&plan(&policy, &["orders", "support", "orders"]));
        assert_eq!(rest(&mut candidates), ["orders", "support"]);
    }

    #[test]
    fn a_hand_off_goes_before_the_fallbacks_and_never_back() {
        let policy = policy();
        let mut candidates = Candidates::new(&plan(&policy, &["orders", "general"]));
        let first = candidates.next().unwrap();
        candidates.invoke(first.specialist);
        for suggested in ["orders", "support"] {
            candidates.hand_off(policy.find(suggested), &verified_caller());
        }
        assert_eq!(candidates.next().map(|next| next.role), Some(Role::Handoff));
        assert_eq!(rest(&mut candidates), ["general"]);
    }

    #[test]
    fn a_suggestion_of_no_specialist_or_of_one_that_may_not_serve_changes_nothing() {
        let policy = policy();
        for suggested in [None, Some("astrology"), Some("billing")] {
            let mut candidates = Candidates::new(&plan(&policy, &["orders", "general"]));
            candidates.hand_off(suggested.and_then(|name| policy.find(name)), &caller());
            assert_eq!(rest(&mut candidates), ["orders", "general"], "{suggested:?}");
        }
    }

    #[test]
    fn a_suggested_fallback_stays_a_fallback_too() {
        let policy = policy();
        let mut candidates = Candidates::new(&plan(&policy, &["orders", "general"]));
        candidates.next();
        candidates.hand_off(policy.find("general"), &caller());
        let roles: Vec<Role<'_>> =
            std::iter::from_fn(|| candidates.next().map(|c| c.role)).collect();
        assert!(matches!(roles[..], [Role::Handoff, Role::Fallback { .. }]));
    }

    #[test]
    fn followers_are_those_who_may_still_be_invoked() {
        let policy = policy();
        let orders = policy.find("orders").unwrap();
        let mut candidates =
            Candidates::new(&plan(&policy, &["orders", "support", "general", "orders"]));
        candidates.next();
        assert_eq!(candidates.followers(orders, |_| false), 2);
        assert_eq!(candidates.followers(orders, |other| other.name.as_str() == "support"), 1);
        candidates.invoke(policy.find("general").unwrap());
        assert_eq!(candidates.followers(orders, |_| false), 1);
        assert!(candidates.has_invoked());
    }
}
