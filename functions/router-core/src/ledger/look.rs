//! Looking at a session without asking anything of it.

use super::session::SessionItem;
use super::{Account, Limits, Payer, ReserveError};
use crate::ids::Ticket;
use crate::store::Item;
use crate::units::Timestamp;

/// A session as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Its account.
    pub account: Account,
    /// Tickets that people have answered, of which the supervisor was not told yet.
    pub answered: Vec<Ticket>,
}

/// What the payer may see of the session in `item`; `None` where it is over.
///
/// # Errors
///
/// [`ReserveError::OtherTenant`] and [`ReserveError::OtherUser`] when it is another's.
pub fn looked(
    item: Item,
    payer: &Payer<'_>,
    now: Timestamp,
) -> Result<Option<Looked>, ReserveError> {
    let session = SessionItem::new(item, &Limits::from(payer.limits)).under_its_own_limits();
    if session.is_over(now) {
        return Ok(None);
    }
    if !session.belongs_to_tenant(payer.tenant) {
        return Err(ReserveError::OtherTenant);
    }
    if !session.belongs_to_user(payer.user) {
        return Err(ReserveError::OtherUser);
    }
    Ok(Some(Looked { account: session.account(), answered: session.answered() }))
}
