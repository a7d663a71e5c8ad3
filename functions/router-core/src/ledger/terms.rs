//! What a session's item says that a reservation has to go by.

use super::{Limits, Reservation};

/// The terms of one session. A write is conditional on them: they are read from an item that
/// may change, or be replaced by another session's, before the write arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Terms {
    /// The limits in force.
    pub(super) limits: Limits,
    /// Which of them an operator has set in the item.
    pub(super) set_by_hand: SetByHand,
    /// Whether the session ends later than this reservation would have it end. Then its end
    /// stays: it must not come before the hold that expires last.
    pub(super) ends_later: bool,
}

/// Which limits an operator has set in the item; those go before the policy's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct SetByHand {
    pub(super) steps: bool,
    pub(super) handoffs: bool,
    pub(super) tokens: bool,
    pub(super) cost: bool,
}

impl Terms {
    /// The terms of a session of which nothing is known.
    pub(super) fn of_policy(reservation: &Reservation<'_>) -> Self {
        Self {
            limits: Limits::from(reservation.payer.limits),
            set_by_hand: SetByHand::default(),
            ends_later: false,
        }
    }
}
