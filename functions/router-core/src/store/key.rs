//! The keys of all items: the one place that knows how they are formed.

use std::fmt::Display;

use crate::ids::{Fingerprint, RootSession, SpecialistName, Ticket, UserMark};
use crate::units::Timestamp;

/// How the partition keys of all circuits begin.
const CIRCUIT: &str = "CIRCUIT#";
/// Stands for all specialists in a circuit's key.
const ALL: &str = "*";
/// How the sort keys of all scratchpad items begin.
const PAD: &str = "PAD#";
/// How the sort keys of all turns of a supervisor begin.
const TURN: &str = "TURN#supervisor#";

/// The key of an item: partition key and sort key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemKey {
    /// The partition key, `pk`.
    pub pk: String,
    /// The sort key, `sk`.
    pub sk: String,
}

impl ItemKey {
    fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }

    /// A session's budget.
    pub fn session(session: &RootSession) -> Self {
        Self::new(format!("SESSION#{session}"), "BUDGET")
    }

    /// The answer that a session was given to a request.
    pub fn repeat(session: &RootSession, fingerprint: &Fingerprint) -> Self {
        Self::new(format!("SESSION#{session}"), format!("REPEAT#{}", fingerprint.as_str()))
    }

    /// The stages of a session's pipeline.
    pub fn stages(session: &RootSession, pipeline: &Fingerprint) -> Self {
        Self::new(format!("SESSION#{session}"), format!("STAGE#{}", pipeline.as_str()))
    }

    /// What is written under a key of a session's scratchpad.
    pub fn pad(session: &RootSession, key: &str) -> Self {
        Self::new(format!("SESSION#{session}"), format!("{PAD}{key}"))
    }

    /// The key of the scratchpad that the item with this sort key is of; `None`: it is of none.
    pub fn pad_key_of(sk: &str) -> Option<&str> {
        sk.strip_prefix(PAD)
    }

    /// A turn of the session's supervisor that ended `at` this time, in the request of this id.
    pub fn turn(session: &RootSession, at: Timestamp, id: &str) -> Self {
        // As many digits as any time has, so that they are in its order.
        Self::new(format!("SESSION#{session}"), format!("{TURN}{:020}#{id}", at.0))
    }

    /// The partition of all turns of the session's supervisor, and how their sort keys begin. They
    /// are in the order in which the turns ended.
    pub fn turns(session: &RootSession) -> (String, &'static str) {
        (format!("SESSION#{session}"), TURN)
    }

    /// What a person is asked.
    pub fn escalation(ticket: &Ticket) -> Self {
        Self::new(Self::escalations_of(ticket.date()), ticket.id())
    }

    /// The partition of all that people were asked on a UTC day.
    pub fn escalations_of(date: &str) -> String {
        format!("ESCALATION#{date}")
    }

    /// A tenant's UTC day, `date` as `2026-11-21`.
    pub fn tenant_day(tenant: impl Display, date: &str) -> Self {
        Self::new(format!("TENANT#{tenant}"), format!("DAY#{date}"))
    }

    /// A user's UTC day. The mark does not tell who it is.
    pub fn user_day(user: &UserMark, date: &str) -> Self {
        Self::new(format!("USER#{}", user.as_str()), format!("DAY#{date}"))
    }

    /// The UTC hour of all gateway sessions together.
    pub fn gateway_hour(hour: impl Display) -> Self {
        Self::new("GATEWAY", format!("HOUR#{hour}"))
    }

    /// A specialist's UTC day.
    pub fn specialist_day(specialist: &SpecialistName, date: &str) -> Self {
        Self::new(format!("SPECIALIST#{specialist}"), format!("DAY#{date}"))
    }

    /// A specialist's circuit; without a specialist, what an operator says of all circuits.
    pub fn circuit(specialist: Option<&SpecialistName>) -> Self {
        let name = specialist.map_or(ALL, SpecialistName::as_str);
        Self::new(format!("{CIRCUIT}{name}"), "STATE")
    }

    /// Whose circuit the item with this partition key is: of all specialists, or of one. `None`:
    /// it is no circuit, or one of a name that no specialist can have.
    pub fn circuit_of(pk: &str) -> Option<Option<SpecialistName>> {
        match pk.strip_prefix(CIRCUIT)? {
            ALL => Some(None),
            name => SpecialistName::parse(name).map(Some),
        }
    }

    /// What a specialist did not answer, on this UTC day.
    pub fn incident(date: &str, id: &str) -> Self {
        Self::new(format!("INCIDENT#{date}"), id)
    }

    /// The routing policy that is in force where the table has it.
    pub fn policy() -> Self {
        Self::new("POLICY", "CURRENT")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circuits_key_says_whose_it_is() {
        let billing = SpecialistName::parse("billing").unwrap();
        for specialist in [None, Some(billing)] {
            let key = ItemKey::circuit(specialist.as_ref());
            assert_eq!(ItemKey::circuit_of(&key.pk), Some(specialist));
        }
        assert_eq!(ItemKey::circuit_of("SESSION#s"), None);
    }
}
