//! The budget ledger: reserve before a specialist is asked, settle after.
//!
//! Checking whether there is room and taking it are one write, so two callers can never
//! both take the last of a budget. What is taken is a *hold*: an upper bound, replaced by
//! what was really used when the invocation is settled. A hold has an id of its own, so
//! that a repeated write finds it and takes no second one.

use std::future::Future;
use std::time::Duration;

mod account;
mod closing;
mod counted;
mod funding;
mod hour;
mod look;
mod protocol;
mod raising;
mod repeats;
mod session;
mod source;
mod stages;
mod statement;
mod terms;
mod writes;

pub use account::{Account, Demand, Exhausted, Limit, Limits};
pub use closing::{Close, Closed, Closing, NotClosed};
pub use counted::{Counted, Hour};
pub use look::{Looked, looked};
pub use protocol::{Next, Reserving, Settling, backoff};
pub use raising::{NotRaised, raise};
pub use repeats::{kept_answer, recalled};
pub use stages::{Pipeline, Stage, kept_stages, resumed};
pub use statement::{Held, SetLimits, Statement, Unfolded, Used};

use crate::charge::Charge;
use crate::error::Cause;
use crate::ids::{
    Fingerprint, HoldId, Lane, RootSession, SpecialistName, TaskMark, Tenant, Ticket, UserMark,
};
use crate::policy::{GatewayHour, SessionLimits, Specialist, TenantDay, UserDay};
use crate::units::{Learnt, Share, Timestamp};

/// A hold that its invocation has not settled this long after the deadline of the function
/// that took it belongs to a dead one.
pub const HOLD_GRACE: Duration = Duration::from_secs(60);

/// Who pays: a session under its limits, its tenant, and who else has limits.
#[derive(Clone, Copy, Debug)]
pub struct Payer<'a> {
    /// The session.
    pub session: &'a RootSession,
    /// Its limits, as far as its item does not say otherwise.
    pub limits: &'a SessionLimits,
    /// The tenant that the session must belong to, and draws its money from.
    pub tenant: &'a Tenant,
    /// The user that it must belong to, if one has come with a request of it.
    pub user: Option<&'a UserMark>,
    /// What that tenant may use in a day.
    pub tenant_day: &'a TenantDay,
    /// What that user may use in a day, where it is limited.
    pub user_day: Option<&'a UserDay>,
    /// What all gateway sessions together may use in an hour, where the session is one whose id no
    /// application vouches for.
    pub gateway_hour: Option<&'a GatewayHour>,
}

/// What a reservation asks for: holds that are taken together, all or none, or a ticket.
#[derive(Clone, Debug)]
pub struct Reservation<'a> {
    /// Who pays.
    pub payer: Payer<'a>,
    /// The holds; one at least, unless a ticket is asked for.
    pub holds: &'a [HoldRequest<'a>],
    /// The ticket that is to be opened, for which a hand-off is taken.
    pub opening: Option<Opening<'a>>,
    /// The time of the reservation.
    pub now: Timestamp,
    /// The same, for what the process remembers.
    pub asked: Learnt,
    /// When the holds belong to a dead invocation.
    pub expires: Timestamp,
    /// The share of a limit of the session from which on nothing is taken, however little is asked.
    pub only_below: Option<Share>,
}

/// One of the holds that a reservation asks for.
#[derive(Clone, Copy, Debug)]
pub struct HoldRequest<'a> {
    /// Its identity.
    pub id: &'a HoldId,
    /// The specialist that is to be invoked.
    pub specialist: &'a SpecialistName,
    /// What is asked of it, where repetitions are limited.
    pub fingerprint: Option<&'a Fingerprint>,
    /// What the invocation may use.
    pub ask: Charge,
    /// What the hold is for, which says what else it takes.
    pub purpose: Purpose,
}

/// A ticket that is to be opened, unless its task has an open one.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// The task that waits.
    pub task: &'a TaskMark,
    /// The ticket.
    pub ticket: &'a Ticket,
    /// When it expires.
    pub due: Timestamp,
}

impl Reservation<'_> {
    /// What is asked for together.
    pub fn demand(&self) -> Demand {
        let handoffs = u64::from(self.opening.is_some());
        let begun = Demand { handoffs, ..Demand::default() };
        self.holds.iter().fold(begun, |sum, hold| Demand {
            steps: sum.steps + hold.purpose.steps(),
            handoffs: sum.handoffs + hold.purpose.handoffs(),
            charge: sum.charge.plus(hold.ask),
        })
    }

    /// What is asked, each with how often: repetitions within the reservation count too.
    pub fn fingerprints(&self) -> Vec<(&Fingerprint, u64)> {
        let mut counted: Vec<(&Fingerprint, u64)> = Vec::new();
        for fingerprint in self.holds.iter().filter_map(|hold| hold.fingerprint) {
            match counted.iter_mut().find(|(known, _)| *known == fingerprint) {
                Some((_, times)) => *times += 1,
                None => counted.push((fingerprint, 1)),
            }
        }
        counted
    }

    /// A number that is the same whenever it is asked for, and hardly ever that of another one.
    pub fn spread(&self) -> u64 {
        let of_hold = self.holds.first().map(|hold| hold.id.spread());
        of_hold.or_else(|| Some(self.opening?.ticket.spread())).unwrap_or_default()
    }

    /// When the session is over, in epoch seconds: after it has been idle for long enough, and
    /// not before its holds expire.
    pub fn session_expiry(&self) -> u64 {
        let Timestamp(idle) = self.now.after(self.payer.limits.idle_ttl);
        Timestamp(idle.max(self.expires.0)).epoch_seconds()
    }
}

/// What a hold is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An invocation: a step and a turn of the specialist's come with it.
    Invocation,
    /// A hand-off, of which a session has a limited number, over and above an invocation.
    Handoff,
    /// A further attempt of an invocation that has its step already.
    Retry,
    /// A round of the supervisor, which takes neither a step nor a turn.
    Round,
    /// A place in the supervisor's conversation for as long as a request is in it: others that come
    /// meanwhile have a lane of their own. It takes nothing.
    Seat,
}

impl Purpose {
    /// The steps that come with the hold, and the turns of the specialist's.
    pub fn steps(self) -> u64 {
        match self {
            Self::Invocation | Self::Handoff => 1,
            Self::Retry | Self::Round | Self::Seat => 0,
        }
    }

    /// What is held for one call of `specialist`.
    pub fn ask_of(self, specialist: &Specialist) -> Charge {
        if self == Self::Seat { Charge::default() } else { Charge::hold(specialist) }
    }

    /// Whether what is asked counts as a repetition where it was asked before.
    pub fn repeats(self) -> bool {
        matches!(self, Self::Invocation | Self::Handoff)
    }

    /// The hand-offs that come with the hold.
    pub fn handoffs(self) -> u64 {
        u64::from(self == Self::Handoff)
    }
}

/// Holds that were taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holds {
    /// The session's account, the holds included.
    pub account: Account,
    /// For each hold, in the order of the reservation, which of its specialist's sessions the
    /// invocation runs in.
    pub lanes: Vec<Lane>,
    /// How many holds of dead invocations were found and charged on the way.
    pub expired_holds: u32,
    /// What was asked so long ago that its repetitions need not be counted any more.
    pub stale: Vec<Fingerprint>,
    /// Tickets that people have answered, of which the supervisor was not told yet.
    pub answered: Vec<Ticket>,
}

/// Why a reservation was not made.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// There is no room under a limit.
    #[error(
        "the limit of {} {} has {} settled and {} held; {} asked",
        .0.max, .0.limit, .0.settled, .0.held, .0.asked
    )]
    Exhausted(Box<Exhausted>),
    /// The session has reached the share of a limit from which on nothing like this is taken.
    #[error("of the limit of {} {}, {} are settled and {} held: too many", .0.max, .0.limit, .0.settled, .0.held)]
    NearlyExhausted(Box<Exhausted>),
    /// The session belongs to another tenant.
    #[error("the session belongs to another tenant")]
    OtherTenant,
    /// The session belongs to another user, or to one and none is named.
    #[error("the session belongs to another user")]
    OtherUser,
    /// The same specialist was asked the same too often.
    #[error("the same request was made of the same specialist {times} times before")]
    Repeated {
        /// How often it was asked already.
        times: u64,
        /// What was asked of whom.
        fingerprint: Fingerprint,
    },
    /// The task has an open ticket.
    #[error("the task waits for ticket `{ticket}`")]
    Waiting {
        /// The ticket.
        ticket: Ticket,
        /// When it expires.
        due: Timestamp,
        /// Tickets that people have answered, of which the supervisor was not told yet.
        answered: Vec<Ticket>,
    },
    /// The hold was settled already.
    #[error("hold `{}` was settled already", .0.as_str())]
    AlreadySettled(HoldId),
    /// The session's item is such that no hold can be taken: something in it was set by hand to
    /// what it cannot be, or others change it all the time. Unlike a table without an answer,
    /// that never lets an invocation go uncounted.
    #[error("the session's item cannot be used")]
    Unusable(#[source] Cause),
    /// The table gave no answer. The hold may exist; then it expires.
    #[error("the budget table gave no answer")]
    Unavailable(#[source] Cause),
}

impl ReserveError {
    /// Tickets that people have answered, of which the supervisor was not told yet.
    pub fn answered(&self) -> &[Ticket] {
        match self {
            Self::Exhausted(exhausted) | Self::NearlyExhausted(exhausted) => &exhausted.answered,
            Self::Waiting { answered, .. } => answered,
            _ => &[],
        }
    }
}

/// The end of a hold.
#[derive(Clone, Debug)]
pub struct Settlement<'a> {
    /// The identity of the hold.
    pub id: &'a HoldId,
    /// The specialist that was invoked.
    pub specialist: &'a SpecialistName,
    /// What was held.
    pub held: Charge,
    /// What was used.
    pub used: Charge,
    /// What it counted against when it was taken.
    pub counted: Counted,
    /// Repetitions that are not counted any more.
    pub stale: &'a [Fingerprint],
    /// Answers of people of which the supervisor is told.
    pub told: &'a [Ticket],
    /// The lane that the invocation was left in while the agent may still be at work: later ones
    /// take another.
    pub left: Option<Lane>,
}

/// A settlement that the table did not answer. The holds expire and stay charged.
#[derive(Debug, thiserror::Error)]
#[error("the budget table gave no answer to a settlement")]
pub struct SettleError(#[source] pub Cause);

/// A request that may have been answered before.
#[derive(Clone, Debug)]
pub struct Repeat<'a> {
    /// The session, and who it must belong to.
    pub payer: Payer<'a>,
    /// The specialist that is asked.
    pub specialist: &'a SpecialistName,
    /// What is asked of whom.
    pub fingerprint: &'a Fingerprint,
    /// The user; see [`crate::wire::caller::Caller::identity`].
    pub identity: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// An answer that was given before and still holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recalled {
    /// The answer.
    pub answer: String,
    /// The session's account.
    pub account: Account,
    /// Tickets that people have answered, of which the supervisor was not told yet.
    pub answered: Vec<Ticket>,
}

/// Keeps the budgets.
pub trait Ledger {
    /// Takes the holds within `within`, if there is room for all of them under every limit.
    ///
    /// The check and the holds are one atomic step: all are taken or none is. Repeating a call
    /// with the same ids finds the same holds. No two of them share a lane.
    ///
    /// # Errors
    ///
    /// [`ReserveError::Exhausted`] when a limit has no room.
    /// [`ReserveError::OtherTenant`] when the session was first charged to another tenant.
    /// [`ReserveError::OtherUser`] when a user has come with a request of the session, and this
    /// one comes with another or with none.
    /// [`ReserveError::Repeated`] when the fingerprint was seen `max_repeats` times.
    /// [`ReserveError::Waiting`] when the task has an open ticket already.
    /// [`ReserveError::AlreadySettled`] when one of the holds has been taken and settled before.
    /// [`ReserveError::Unusable`] when the session's item is not as it must be.
    /// [`ReserveError::Unavailable`] when the table gave no answer.
    fn reserve(
        &self,
        reservation: &Reservation<'_>,
        within: Duration,
    ) -> impl Future<Output = Result<Holds, ReserveError>> + Send;

    /// Replaces holds of the payer's session by what was used, within `within`, in one write. A
    /// second settlement of the same hold changes nothing, and keeps none of the others.
    ///
    /// # Errors
    ///
    /// [`SettleError`] when the table gave no answer.
    fn settle(
        &self,
        payer: &Payer<'_>,
        settlements: &[Settlement<'_>],
        within: Duration,
    ) -> impl Future<Output = Result<(), SettleError>> + Send;

    /// The answer that the same specialist gave the same user to the same request, in the same
    /// session and generation, if it is still to be given again. `None` also when the table
    /// gave no answer: then the specialist is asked.
    fn recall(
        &self,
        repeat: &Repeat<'_>,
        within: Duration,
    ) -> impl Future<Output = Option<Recalled>> + Send;

    /// The session as it is, for one who may see it; `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`ReserveError::OtherTenant`] and [`ReserveError::OtherUser`] when it is another's.
    /// [`ReserveError::Unavailable`] when the table gave no answer.
    fn look(
        &self,
        payer: &Payer<'_>,
        now: Timestamp,
        within: Duration,
    ) -> impl Future<Output = Result<Option<Looked>, ReserveError>> + Send;

    /// The stages of the pipeline that were answered when it was not finished, in order; none also
    /// where the table gives no answer.
    fn resume(
        &self,
        pipeline: &Pipeline<'_>,
        within: Duration,
    ) -> impl Future<Output = Vec<Stage>> + Send;

    /// Keeps all stages of the pipeline that were answered so far.
    ///
    /// # Errors
    ///
    /// [`SettleError`] when the table gives no answer.
    fn keep_stages(
        &self,
        pipeline: &Pipeline<'_>,
        stages: &[Stage],
        within: Duration,
    ) -> impl Future<Output = Result<(), SettleError>> + Send;

    /// Forgets the stages of a pipeline that is finished.
    ///
    /// # Errors
    ///
    /// [`SettleError`] when the table gives no answer.
    fn forget_stages(
        &self,
        pipeline: &Pipeline<'_>,
        within: Duration,
    ) -> impl Future<Output = Result<(), SettleError>> + Send;

    /// Keeps an answer of `generation` for `window`, so that [`Ledger::recall`] finds it.
    ///
    /// # Errors
    ///
    /// [`SettleError`] when the table gave no answer.
    fn keep(
        &self,
        repeat: &Repeat<'_>,
        generation: u64,
        answer: &str,
        window: Duration,
        within: Duration,
    ) -> impl Future<Output = Result<(), SettleError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::account;

    #[test]
    fn a_reservation_without_room_says_what_is_used_and_what_was_asked() {
        let account = Account { steps: 12, ..account() };
        let exhausted = account.exhausted_by(&Demand { steps: 1, ..Demand::default() }).unwrap();
        let expected = "the limit of 12 steps has 12 settled and 0 held; 1 asked";
        assert_eq!(ReserveError::Exhausted(exhausted.into()).to_string(), expected);
    }

    #[test]
    fn the_first_holds_of_sixteen_tasks_have_a_place_each() {
        for execution in ["r", "request-1", "6f0a-3"] {
            let mut places: Vec<u64> =
                (0..16).map(|task| HoldId::new(execution, task, 0).place()).collect();
            places.sort_unstable();
            assert_eq!(places, (0..crate::ids::RECENT_IDS).collect::<Vec<u64>>());
        }
    }

    #[test]
    fn neighbouring_holds_of_one_task_have_different_places() {
        for invocation in 0..20 {
            let places = [0, 1, 2].map(|next| HoldId::new("r", 3, invocation + next).place());
            assert!(places[0] != places[1] && places[1] != places[2] && places[0] != places[2]);
        }
    }
}
