//! A session's budget as its item has it.

use std::collections::BTreeMap;

use stand_ins::table::Item;

use super::limit::{Limit, Policy};
use crate::item::{number, text};

/// The budget of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    /// The root session's id.
    pub(crate) id: String,
    /// The tenant of its first call.
    pub(crate) tenant: Option<String>,
    /// What invocations under way hold, those first that expire first.
    pub(crate) holds: Vec<Hold>,
    /// What each specialist has used.
    pub(crate) specialists: BTreeMap<String, Used>,
    /// How often each remembered request was asked.
    pub(crate) asked: Vec<u64>,
    /// Micro-dollars drawn from the tenant.
    pub(crate) drawn: u64,
    /// What of them is neither settled nor held; less than nothing after an overrun.
    pub(crate) room: i128,
    /// When the session ends if nobody calls, in seconds since 1970.
    pub(crate) ends: Option<u64>,
    settled: [u64; 4],
    committed: [u64; 4],
    set: [Option<u64>; 4],
}

/// What one invocation holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hold {
    /// When it belongs to a dead invocation, in milliseconds since 1970.
    pub(crate) expires_ms: u64,
    /// Made of Lambda's request id, the task's place and the invocation's.
    pub(crate) id: String,
    pub(crate) specialist: String,
    pub(crate) tokens: u64,
    pub(crate) micro_usd: u64,
}

/// What one specialist has used in a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) turns: u64,
    pub(crate) tokens: u64,
    pub(crate) micro_usd: u64,
}

impl Session {
    /// Reads an item; `None` where it is no session's budget.
    pub(crate) fn parse(item: &Item) -> Option<Self> {
        let id = text(item, "pk")?.strip_prefix("SESSION#")?.to_owned();
        if text(item, "sk") != Some("BUDGET") {
            return None;
        }
        let amount = |name: &str| number(item, name).unwrap_or(0);
        let holds = holds(item);
        let (steps, handoffs) = (amount("steps"), amount("handoffs"));
        let under_way = u64::try_from(holds.len()).unwrap_or(u64::MAX);
        let spent = [amount("spent_tokens"), amount("spent_micro_usd")];
        let room = item.get("tenant_room_micro_usd").and_then(|value| value.as_n().ok());
        Some(Self {
            id,
            tenant: text(item, "tenant").map(str::to_owned),
            specialists: specialists(item),
            asked: with_prefix(item, "seen#").map(|(_, name)| amount(name)).collect(),
            drawn: amount("drawn_micro_usd"),
            room: room.and_then(|digits| digits.parse().ok()).unwrap_or(0),
            ends: number(item, "expires_at"),
            // A hold has one step. Which of them are hand-offs, the item does not say.
            settled: [steps.saturating_sub(under_way), spent[0], spent[1], handoffs],
            committed: [steps, amount("committed_tokens"), amount("committed_micro_usd"), handoffs],
            set: Limit::ALL.map(|limit| number(item, limit.attribute())),
            holds,
        })
    }

    /// What is used up for good.
    pub(crate) fn settled(&self, limit: Limit) -> u64 {
        self.settled[limit as usize]
    }

    /// What invocations under way may still use.
    pub(crate) fn held(&self, limit: Limit) -> u64 {
        self.committed(limit).saturating_sub(self.settled(limit))
    }

    /// Settled and held together.
    pub(crate) fn committed(&self, limit: Limit) -> u64 {
        self.committed[limit as usize]
    }

    /// The limit that an operator has set.
    pub(crate) fn set(&self, limit: Limit) -> Option<u64> {
        self.set[limit as usize]
    }

    /// The limit in force.
    pub(crate) fn limit(&self, limit: Limit, policy: &Policy) -> u64 {
        self.set(limit).unwrap_or_else(|| policy.limit(limit))
    }

    /// What can still be reserved.
    pub(crate) fn left(&self, limit: Limit, policy: &Policy) -> u64 {
        self.limit(limit, policy).saturating_sub(self.committed(limit))
    }

    /// Whether the session was idle for so long that the next call begins it anew.
    pub(crate) fn is_over(&self, now_ms: u64) -> bool {
        self.ends.is_some_and(|ends| ends <= now_ms / 1_000)
    }
}

impl Hold {
    /// Whether it belongs to a dead invocation.
    pub(crate) fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_ms <= now_ms
    }
}

fn holds(item: &Item) -> Vec<Hold> {
    let mut holds: Vec<Hold> = with_prefix(item, "hold#")
        .filter_map(|(id, name)| {
            let hold = item.get(name)?.as_m().ok()?;
            Some(Hold {
                id: id.to_owned(),
                specialist: text(hold, "specialist").unwrap_or("-").to_owned(),
                tokens: number(hold, "tokens").unwrap_or(0),
                micro_usd: number(hold, "micro_usd").unwrap_or(0),
                expires_ms: number(hold, "expires_at_ms").unwrap_or(0),
            })
        })
        .collect();
    holds.sort_by(|a, b| (a.expires_ms, &a.id).cmp(&(b.expires_ms, &b.id)));
    holds
}

fn specialists(item: &Item) -> BTreeMap<String, Used> {
    let mut specialists: BTreeMap<String, Used> = BTreeMap::new();
    for prefix in ["turns#", "tokens#", "micro_usd#"] {
        for (specialist, name) in with_prefix(item, prefix) {
            let used = specialists.entry(specialist.to_owned()).or_default();
            let part = match prefix {
                "turns#" => &mut used.turns,
                "tokens#" => &mut used.tokens,
                _ => &mut used.micro_usd,
            };
            *part = number(item, name).unwrap_or(0);
        }
    }
    specialists
}

/// The attributes whose names begin so: what follows in the name, and the whole name.
fn with_prefix<'a>(item: &'a Item, prefix: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    item.keys().filter_map(move |name| Some((name.strip_prefix(prefix)?, name.as_str())))
}
