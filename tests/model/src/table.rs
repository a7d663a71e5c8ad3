//! The table, and what its items say of a budget.
//!
//! The items are the ledger's own, written by its own writes ([`router_core::store::memory`]). The rules are
//! about the few numbers that [`Session`] and [`Day`] read from them.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use router_core::charge::Charge;
use router_core::ledger::{Account, Demand, Limits};
use router_core::store::memory::{self, Items};
use router_core::store::{Answer, Item, ItemKey, Request, Value};
use router_core::units::{MicroUsd, Tokens};

use crate::cast::{Ask, Cast, tick_of};
use crate::hashed::Hashed;

/// The table: one session, the days of its tenant, its user and its specialist, and an hour.
#[derive(Clone, Debug, Default)]
pub struct Table {
    items: Shared,
    /// What the session's item says.
    pub session: Option<Session>,
    /// What the tenant's day says.
    pub day: Day,
    /// What the user's day says.
    pub user_day: Day,
    /// What the gateways' hour says.
    pub hour: Hour,
}

/// What a session's item says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Invocations.
    pub steps: u8,
    /// Settled and held.
    pub committed: u8,
    /// Settled.
    pub spent: u8,
    /// Drawn from the tenant's day.
    pub drawn: u8,
    /// What is left of that.
    pub room: i8,
    /// When the session is over.
    pub expires_at: u8,
    /// The holds by their ids.
    pub holds: BTreeMap<u8, Held>,
    /// The holds that are known to be settled.
    pub recent: Vec<u8>,
    /// How much of its spending is in the tenant's day.
    pub folded: u8,
    /// Drawn from the user's day, left of that, and in that day as spent.
    pub of_user: OfUser,
    /// The limit that an operator has set.
    pub limit: Option<u8>,
}

/// What a session's item says of its user's day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfUser {
    /// Drawn from it.
    pub drawn: u8,
    /// What is left of that.
    pub room: i8,
    /// Spent of it.
    pub spent: u8,
    /// How much of that is in the day.
    pub folded: u8,
}

/// What the hour of all gateway sessions says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hour {
    /// Invocations.
    pub steps: u8,
    /// Settled and held.
    pub committed: u8,
    /// Settled.
    pub spent: u8,
}

/// What a hold says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// What is held.
    pub amount: u8,
    /// When it belongs to a dead invocation.
    pub expires: u8,
}

/// What a tenant's day says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Day {
    /// What sessions have drawn.
    pub drawn: u8,
    /// What they said that they spent.
    pub spent: u8,
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.items == other.items
    }
}

impl Eq for Table {}

impl Hash for Table {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.items.hash(state);
    }
}

/// Items that states share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Shared(BTreeMap<ItemKey, Hashed<Item>>);

impl Items for Shared {
    fn get(&self, key: &ItemKey) -> Option<&Item> {
        self.0.get(key).map(|item| &**item)
    }

    fn put(&mut self, key: &ItemKey, item: Item) {
        self.0.insert(key.clone(), Hashed::new(item));
    }
}

impl Table {
    /// Does what is asked, as one step.
    pub(crate) fn apply(&mut self, request: &Request, cast: &Cast) -> Answer {
        let answer = memory::apply(&mut self.items, request);
        self.look(cast);
        answer
    }

    /// Deletes the session's item.
    pub(crate) fn delete_session(&mut self, cast: &Cast) {
        self.items.0.remove(&session_key(cast));
        self.session = None;
    }

    /// Sets the session's limit as an operator does.
    pub(crate) fn raise_limit(&mut self, limit: u8, cast: &Cast) {
        let key = session_key(cast);
        let mut item = self.items.get(&key).cloned().unwrap_or_default();
        item.set("limit_micro_usd", Value::number(limit.into()));
        self.items.put(&key, item);
        self.look(cast);
    }

    fn look(&mut self, cast: &Cast) {
        self.session = self.items.get(&session_key(cast)).map(|item| Session::read(item, cast));
        self.day = self.days_of("TENANT#");
        self.user_day = self.days_of("USER#");
        let mut hours = self.items.0.iter().filter(|(key, _)| key.pk == "GATEWAY");
        self.hour = hours.next().map_or(Hour::default(), |(_, item)| Hour {
            steps: small(item.number("steps")),
            committed: small(item.number("committed_micro_usd")),
            spent: small(item.number("spent_micro_usd")),
        });
    }

    fn days_of(&self, prefix: &str) -> Day {
        let days = self.items.0.iter().filter(|(key, _)| key.pk.starts_with(prefix));
        days.fold(Day::default(), |day, (_, item)| Day {
            drawn: day.drawn + small(item.number("drawn_micro_usd")),
            spent: day.spent + small(item.number("spent_micro_usd")),
        })
    }
}

impl Session {
    fn read(item: &Item, cast: &Cast) -> Self {
        let amount = |name: &str| small(item.number(name));
        let holds = item.beginning("hold#").filter_map(|(id, _)| {
            let hold = item.map(&format!("hold#{id}"))?;
            let expires = tick_of(hold.number("expires_at_ms") / 1_000);
            Some((cast.number_of(id)?, Held { amount: small(hold.number("micro_usd")), expires }))
        });
        let recent = item.beginning("recent_").filter_map(|(_, value)| match value {
            Value::Text(id) => cast.number_of(id),
            _ => None,
        });
        Self {
            steps: amount("steps"),
            committed: amount("committed_micro_usd"),
            spent: amount("spent_micro_usd"),
            drawn: amount("drawn_micro_usd"),
            room: i8::try_from(item.signed("tenant_room_micro_usd")).unwrap_or(i8::MAX),
            expires_at: tick_of(item.number("expires_at")),
            holds: holds.collect(),
            recent: recent.collect(),
            folded: amount("folded_micro_usd"),
            of_user: OfUser {
                drawn: amount("user_drawn_micro_usd"),
                room: i8::try_from(item.signed("user_room_micro_usd")).unwrap_or(i8::MAX),
                spent: amount("user_spent_micro_usd"),
                folded: amount("user_folded_micro_usd"),
            },
            limit: item.has("limit_micro_usd").then(|| amount("limit_micro_usd")),
        }
    }

    /// Whether the account has room for this under a limit: what a router would ask that checks
    /// first and takes later.
    pub(crate) fn has_room(&self, ask: &Ask, limit: u8, max_steps: u8) -> bool {
        let charge = |amount: u8| Charge { tokens: Tokens(0), cost: MicroUsd(u64::from(amount)) };
        let limits = Limits {
            steps: max_steps.into(),
            handoffs: 0,
            tokens: Tokens(0),
            cost: MicroUsd(limit.into()),
        };
        let account = Account {
            steps: self.steps.into(),
            handoffs: 0,
            committed: charge(self.committed),
            spent: charge(self.spent),
            limits,
        };
        let demand = Demand {
            steps: ask.branches.into(),
            handoffs: 0,
            charge: charge(ask.amount * ask.branches),
        };
        account.exhausted_by(&demand).is_none()
    }

    /// Whether a hold belongs to a dead invocation.
    pub fn has_expired_holds(&self, now: u8) -> bool {
        self.holds.values().any(|held| held.expires <= now)
    }

    /// What invocations under way hold.
    pub fn held(&self) -> u8 {
        self.holds.values().map(|held| held.amount).sum()
    }
}

fn session_key(cast: &Cast) -> ItemKey {
    ItemKey::session(cast.payer().session)
}

/// A number of the model's, which are all small.
pub(crate) fn small(number: u64) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

pub(crate) fn signed(amount: u8) -> i8 {
    i8::try_from(amount).unwrap_or(i8::MAX)
}
