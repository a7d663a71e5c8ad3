//! What a session's item says to an operator: limits, holds, and where its money comes from.

use super::session::{SessionItem, turns_attribute};
use super::source::Source;
use super::{Account, Limits};
use crate::charge::Charge;
use crate::ids::SpecialistName;
use crate::policy::SessionLimits;
use crate::store::Item;
use crate::units::{MicroUsd, Timestamp, Tokens};

/// Says when an operator closed the session, in milliseconds since 1970.
pub(super) const CLOSED_AT: &str = "closed_at_ms";

/// A session's item in the terms of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The tenant of its first request.
    pub tenant: Option<String>,
    /// The mark of the first user that came with a request of it.
    pub user: Option<String>,
    /// What it has used and holds, under the limits in force.
    pub account: Account,
    /// The limits that an operator has set in the item.
    pub set_by_hand: SetLimits,
    /// What invocations hold, those first that expire first.
    pub holds: Vec<Held>,
    /// What each specialist has used.
    pub specialists: Vec<(SpecialistName, Used)>,
    /// Micro-dollars drawn from the tenant's days.
    pub drawn: MicroUsd,
    /// What of them is neither settled nor held; less than nothing after an overrun.
    pub room_micro_usd: i128,
    /// When it ends unless a specialist is called before, in epoch seconds.
    pub ends: Option<u64>,
    /// When an operator closed it.
    pub closed_at: Option<Timestamp>,
}

/// The limits that stand in the item; `None`: the policy's is in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetLimits {
    /// Invocations.
    pub steps: Option<u64>,
    /// Input and output tokens.
    pub tokens: Option<Tokens>,
    /// Money.
    pub cost: Option<MicroUsd>,
    /// Hand-offs.
    pub handoffs: Option<u64>,
}

/// What one invocation holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The hold's id.
    pub id: String,
    /// The specialist that is invoked.
    pub specialist: String,
    /// What is held.
    pub charge: Charge,
    /// When it belongs to a dead invocation.
    pub expires: Timestamp,
}

/// What one specialist has used in a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Invocations.
    pub turns: u64,
    /// Tokens and money, settled.
    pub charge: Charge,
}

/// What a session has spent and the days' items do not say yet: it is added to them when the
/// session draws the next time, or when an operator closes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unfolded {
    /// Micro-dollars by the tenant's day that they were drawn from, as `2026-11-21`.
    pub days: Vec<(String, MicroUsd)>,
    /// By specialist.
    pub specialists: Vec<(SpecialistName, Charge)>,
}

impl Statement {
    /// What the item says, under a policy's limits where it sets no others.
    pub fn of(item: &Item, policy: &SessionLimits) -> Self {
        let session = SessionItem::new(item.clone(), &Limits::from(policy)).under_its_own_limits();
        let specialists = session.by_specialist().into_iter().map(|(name, amounts)| {
            let [tokens, micro_usd, ..] = amounts;
            let charge = Charge { tokens: Tokens(tokens), cost: MicroUsd(micro_usd) };
            let turns = item.number(&turns_attribute(&name));
            (name, Used { turns, charge })
        });
        Self {
            tenant: item.text("tenant").map(str::to_owned),
            user: item.text("user").map(str::to_owned),
            account: session.account(),
            set_by_hand: SetLimits {
                steps: session.limit("limit_steps"),
                tokens: session.limit("limit_tokens").map(Tokens),
                cost: session.limit("limit_micro_usd").map(MicroUsd),
                handoffs: session.limit("limit_handoffs"),
            },
            holds: session.held(),
            specialists: specialists.collect(),
            drawn: MicroUsd(item.number("drawn_micro_usd")),
            room_micro_usd: session.room(Source::Tenant),
            ends: item.has("expires_at").then(|| item.number("expires_at")),
            closed_at: item.has(CLOSED_AT).then(|| Timestamp(item.number(CLOSED_AT))),
        }
    }

    /// Whether it was idle for so long that the next request begins it anew.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.ends.is_some_and(|ends| ends <= now.0 / 1_000)
    }
}

impl Held {
    /// Whether its invocation is dead: the session's next request charges it in full.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires <= now
    }
}

impl Unfolded {
    /// What the item of a session says. Money of which no day is known counts to `today`.
    pub fn of(item: &Item, today: &str) -> Self {
        let session = SessionItem::new(item.clone(), &Limits::default());
        let (shares, beyond) = session.shares(Source::Tenant);
        let last = shares.last().map_or(today, |share| share.date.as_str()).to_owned();
        let mut days: Vec<(String, MicroUsd)> =
            shares.into_iter().map(|share| (share.date, MicroUsd(share.spent))).collect();
        days.push((last, MicroUsd(beyond)));
        days.retain(|(_, spent)| spent.0 > 0);
        let specialists = session.by_specialist().into_iter().map(|(name, amounts)| {
            let [tokens, micro_usd, folded_tokens, folded_micro_usd] = amounts;
            let tokens = Tokens(tokens.saturating_sub(folded_tokens));
            let cost = MicroUsd(micro_usd.saturating_sub(folded_micro_usd));
            (name, Charge { tokens, cost })
        });
        let specialists = specialists.filter(|(_, charge)| *charge != Charge::default()).collect();
        Self { days, specialists }
    }
}
