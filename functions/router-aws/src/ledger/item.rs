//! The attributes of a session's item.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use router_core::invocation::Charge;
use router_core::ledger::{Account, HoldId, Reservation};
use router_core::policy::SpecialistName;
use router_core::units::{MicroUsd, Timestamp, Tokens};

/// How the names of all holds begin.
const HOLD: &str = "hold#";

/// Ids of settled holds are remembered in this many attributes, so that the item stays
/// small. A duplicate that arrives after its place was used again becomes a hold that
/// expires: charged too much, never too little.
const RECENT_IDS: u64 = 16;

/// A session's item as it was read.
pub(super) struct SessionItem(pub(super) HashMap<String, AttributeValue>);

impl SessionItem {
    pub(super) fn account(&self) -> Account {
        Account {
            steps: self.number("steps"),
            handoffs: self.number("handoffs"),
            committed: Charge {
                tokens: Tokens(self.number("committed_tokens")),
                cost: MicroUsd(self.number("committed_micro_usd")),
            },
            spent: Charge {
                tokens: Tokens(self.number("spent_tokens")),
                cost: MicroUsd(self.number("spent_micro_usd")),
            },
        }
    }

    pub(super) fn has_hold(&self, id: &HoldId) -> bool {
        self.0.contains_key(&hold_attribute(id))
    }

    pub(super) fn was_settled(&self, id: &HoldId) -> bool {
        self.0.get(&recent_attribute(id)).and_then(|value| value.as_s().ok())
            == Some(&id.as_str().to_owned())
    }

    /// Whether another live invocation of the same specialist is under way.
    pub(super) fn is_occupied(&self, reservation: &Reservation<'_>) -> bool {
        let own = hold_attribute(reservation.id);
        self.0.iter().any(|(name, value)| {
            name.starts_with(HOLD)
                && *name != own
                && value.as_m().is_ok_and(|hold| {
                    let specialist = hold.get("specialist").and_then(|name| name.as_s().ok());
                    let expires = Timestamp(read_number(hold.get("expires_at_ms")));
                    specialist.is_some_and(|name| name == reservation.specialist.as_str())
                        && expires > reservation.now
                })
        })
    }

    /// Which of the specialist's sessions the turn that was just counted belongs to.
    pub(super) fn generation(&self, reservation: &Reservation<'_>) -> u64 {
        let turns = self.number(&turns_attribute(reservation.specialist));
        turns.saturating_sub(1) / reservation.limits.max_turns_per_specialist.max(1)
    }

    fn number(&self, name: &str) -> u64 {
        read_number(self.0.get(name))
    }
}

/// What a hold says of itself.
pub(super) fn hold(reservation: &Reservation<'_>) -> AttributeValue {
    let number = |value: u64| AttributeValue::N(value.to_string());
    let specialist = reservation.specialist.as_str().to_owned();
    AttributeValue::M(HashMap::from([
        ("specialist".to_owned(), AttributeValue::S(specialist)),
        ("tokens".to_owned(), number(reservation.ask.tokens.0)),
        ("micro_usd".to_owned(), number(reservation.ask.cost.0)),
        ("expires_at_ms".to_owned(), number(reservation.expires.0)),
    ]))
}

/// The attribute of a hold. A map of holds would not do: DynamoDB cannot create a map and
/// put something into it in one update.
pub(super) fn hold_attribute(id: &HoldId) -> String {
    format!("{HOLD}{}", id.as_str())
}

/// The attribute in which the id of a settled hold is remembered. FNV-1a spreads the ids.
pub(super) fn recent_attribute(id: &HoldId) -> String {
    let hash = id.as_str().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("recent_{}", hash % RECENT_IDS)
}

/// The attribute that counts a specialist's turns in the session.
pub(super) fn turns_attribute(specialist: &SpecialistName) -> String {
    format!("turns#{specialist}")
}

fn read_number(value: Option<&AttributeValue>) -> u64 {
    value.and_then(|value| value.as_n().ok()).and_then(|text| text.parse().ok()).unwrap_or(0)
}
