//! The days that a session draws money from: its tenant's, and its user's.

use super::{Limit, Payer};
use crate::store::ItemKey;

/// Whose day a session draws from. What the session keeps of it has names of its own, and so has each
/// day an item of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Source {
    /// The tenant who pays.
    Tenant,
    /// The user that the session belongs to, where the policy limits a user's day.
    User,
}

impl Source {
    /// Those that `payer` pays from.
    pub(super) fn of(payer: &Payer<'_>) -> impl Iterator<Item = Self> + use<> {
        let has_user = payer.user_day.is_some() && payer.user.is_some();
        std::iter::once(Self::Tenant).chain(has_user.then_some(Self::User))
    }

    /// The key of a day's item, `date` as `2026-11-21`; `None`: there is no user.
    pub(super) fn key(self, payer: &Payer<'_>, date: &str) -> Option<ItemKey> {
        match self {
            Self::Tenant => Some(ItemKey::tenant_day(payer.tenant_day.payer(payer.tenant), date)),
            Self::User => payer.user.map(|user| ItemKey::user_day(user, date)),
        }
    }

    /// The micro-dollars that may be drawn from a day.
    pub(super) fn max(self, payer: &Payer<'_>) -> u64 {
        match self {
            Self::Tenant => payer.tenant_day.max_cost.0,
            Self::User => payer.user_day.map_or(0, |day| day.max_cost.0),
        }
    }

    pub(super) fn limit(self) -> Limit {
        match self {
            Self::Tenant => Limit::Tenant,
            Self::User => Limit::User,
        }
    }

    /// The attribute with what the session has drawn and not committed.
    pub(super) fn room(self) -> &'static str {
        match self {
            Self::Tenant => "tenant_room_micro_usd",
            Self::User => "user_room_micro_usd",
        }
    }

    /// The attribute with what the session has drawn.
    pub(super) fn drawn(self) -> &'static str {
        match self {
            Self::Tenant => "drawn_micro_usd",
            Self::User => "user_drawn_micro_usd",
        }
    }

    /// The attribute with what the session has spent of it.
    pub(super) fn spent(self) -> &'static str {
        match self {
            Self::Tenant => "spent_micro_usd",
            Self::User => "user_spent_micro_usd",
        }
    }

    /// The attribute with what of that is in the days' items already.
    pub(super) fn folded(self) -> &'static str {
        match self {
            Self::Tenant => "folded_micro_usd",
            Self::User => "user_folded_micro_usd",
        }
    }

    /// How the names of all attributes begin that say what was drawn from a day.
    pub(super) fn unfolded_prefix(self) -> &'static str {
        match self {
            Self::Tenant => "unfolded#",
            Self::User => "user_unfolded#",
        }
    }

    /// The attribute with what was drawn from a day and is not in its item as spent yet.
    pub(super) fn unfolded(self, date: &str) -> String {
        format!("{}{date}", self.unfolded_prefix())
    }
}
