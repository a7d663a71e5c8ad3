//! What sessions, tenants, users and calls may use.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::ids::Tenant;
use crate::units::{MicroUsd, Share, Tokens};

/// The hard limits of one root session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Specialist invocations, whatever their outcome.
    pub max_steps: u64,
    /// Input and output tokens together.
    pub max_tokens: Tokens,
    /// Money.
    pub max_cost: MicroUsd,
    /// Hand-overs from a specialist to the one that it suggests.
    pub max_handoffs: u64,
    /// A specialist's own session is replaced after this many turns.
    pub max_turns_per_specialist: u64,
    /// From this share of any limit on the supervisor is warned.
    pub warn_at: Share,
    /// From this share of any limit on cheaper agents are used and fan-out is refused.
    pub degrade_at: Share,
    /// The session's items expire after this time without an invocation.
    pub idle_ttl: Duration,
    /// What happens while the budget table gives no answer.
    pub on_ledger_failure: OnLedgerFailure,
    /// How often the same specialist may be asked the same; `None`: as often as you like.
    pub max_repeats: Option<u64>,
    /// For how long the same request gets the same answer again; `None`: never.
    pub repeat_window: Option<Duration>,
}

/// What to do with a request whose budget cannot be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLedgerFailure {
    /// Refuse it: no money is spent uncounted.
    Refuse,
    /// Serve it uncounted, and say so in the log.
    Allow,
}

/// What one tenant may use on one UTC day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantDay {
    /// Money, over all the tenant's sessions.
    pub max_cost: MicroUsd,
    /// What a session draws from its tenant at a time.
    pub block: MicroUsd,
    /// When not empty, any other tenant id shares the day of `default`.
    pub tenants: BTreeSet<String>,
}

impl TenantDay {
    /// The tenant whose day pays for a session of `tenant`.
    pub fn payer(&self, tenant: &Tenant) -> Tenant {
        let has_own_day = self.tenants.is_empty() || self.tenants.contains(tenant.as_str());
        if has_own_day { tenant.clone() } else { Tenant::default() }
    }
}

/// What one user may use on one UTC day, over all sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserDay {
    /// Money.
    pub max_cost: MicroUsd,
}

/// What all gateway sessions together, whose ids no application vouches for, may use in one UTC hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayHour {
    /// Specialist invocations.
    pub max_steps: u64,
    /// Money.
    pub max_cost: MicroUsd,
}

/// When people are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// An escalation that is not answered within this time expires.
    pub answer_within: Duration,
    /// Whether a request that no specialist could answer goes to a person.
    pub after_failure: bool,
}

/// What a call with several tasks may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeveralTasks {
    /// Tasks in one call.
    pub max_tasks: usize,
    /// How many of them run at once.
    pub width: usize,
    /// Which of them are waited for, unless the call says so itself.
    pub join: Join,
}

/// Which of several tasks that run at once are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// All of them.
    All,
    /// As many as it takes for more than half to be answered.
    Quorum,
    /// The first that is answered.
    First,
}

impl Join {
    /// Each by its name, the default first.
    pub const NAMES: [(&str, Self); 3] =
        [("all", Self::All), ("quorum", Self::Quorum), ("first", Self::First)];

    /// How many of `tasks` have to be answered.
    pub fn answers_wanted(self, tasks: usize) -> usize {
        match self {
            Self::All => tasks,
            Self::Quorum => tasks / 2 + 1,
            Self::First => tasks.min(1),
        }
    }
}
