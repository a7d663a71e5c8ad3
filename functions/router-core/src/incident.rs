//! What is kept of requests that the specialist asked for did not answer.
//!
//! An incident says who did not answer, why, and who did instead: what one needs to choose
//! better fallbacks, better descriptions, or another model. It holds no word of the request
//! unless the policy says `record_requests = true`.

use std::future::Future;
use std::time::Duration;

use crate::ids::{RootSession, SpecialistName, Tenant, UserMark};
use crate::outcome::Reason;
use crate::units::{MicroUsd, Timestamp, Tokens};
use crate::wire::caller::Caller;

/// A specialist that was to answer and did not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Its identity: Lambda's request id, the task's place, and its own place among the
    /// incidents of the task.
    pub id: String,
    /// Whose it is.
    pub owner: Owner,
    /// When the request had come to its end.
    pub at: Timestamp,
    /// Who did not answer; `None`: the name that was asked for is not in the policy.
    pub specialist: Option<SpecialistName>,
    /// Why.
    pub reason: Reason,
    /// Its attempts. None where it was not called.
    pub attempts: u64,
    /// The time from its first attempt to the end of its last.
    pub latency: Duration,
    /// Input tokens, as far as they were reported.
    pub input: Tokens,
    /// Output tokens, as far as they were reported.
    pub output: Tokens,
    /// What was charged for it.
    pub cost: MicroUsd,
    /// The class of the request; see [`crate::metrics::intent_class`].
    pub intent_class: String,
    /// The specialist that answered in the end, if any did.
    pub answered_by: Option<SpecialistName>,
    /// What was asked, where the policy has it recorded.
    pub request: Option<String>,
}

/// Whose request an incident is of: so that an operator finds what is to be erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The root session.
    pub session: RootSession,
    /// Its tenant.
    pub tenant: Tenant,
    /// The user, if the request came with one.
    pub user: Option<UserMark>,
}

impl From<&Caller> for Owner {
    fn from(caller: &Caller) -> Self {
        let Caller { root, tenant, user, .. } = caller;
        Self { session: root.clone(), tenant: tenant.clone(), user: user.clone() }
    }
}

/// Where incidents go.
pub trait IncidentLog {
    /// Keeps the incidents of one request within `within`, or writes them where they will be
    /// found, without what was asked. It cannot fail: no incident delays or takes an answer.
    fn record(&self, incidents: &[Incident], within: Duration) -> impl Future<Output = ()> + Send;
}
