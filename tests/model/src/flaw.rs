//! The protocol with one part missing.

/// What is missing from the protocol, so that a rule can be seen to break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A hold is taken although it is there already.
    HoldTakenTwice,
    /// The ids of settled holds are not remembered.
    NoRecentIds,
    /// A settlement does not ask whether its hold is still there.
    SettledWithoutHold,
    /// Expired holds are charged without asking whether they are still there.
    ExpiredWithoutHold,
    /// The limit is compared first, and the hold taken by a second step.
    CheckedThenTaken,
    /// A session's item is replaced although the session is not over.
    LiveSessionReplaced,
    /// A session draws from the tenant's day whatever that has left.
    DayDrawnBlindly,
    /// A session draws what it needed a while ago, whatever others took of its room since.
    RoomNotChecked,
    /// What a session spent is added to the tenant's day by each who saw it.
    FoldedTwice,
    /// A session's spending is noted down as added to the day in the session that replaced it.
    FoldedIntoNextSession,
    /// A reservation sets the end of the session to its own, though it was later already.
    ExpiryMovesBack,
    /// A limit that an operator set is obeyed in a session that it was not set for.
    LimitOutlivesSession,
    /// A hold's id says which request it is for, and not which execution of it.
    IdOfRequest,
}

impl Flaw {
    /// Every flaw.
    pub const ALL: [Self; 13] = [
        Self::HoldTakenTwice,
        Self::NoRecentIds,
        Self::SettledWithoutHold,
        Self::ExpiredWithoutHold,
        Self::CheckedThenTaken,
        Self::LiveSessionReplaced,
        Self::DayDrawnBlindly,
        Self::RoomNotChecked,
        Self::FoldedTwice,
        Self::FoldedIntoNextSession,
        Self::ExpiryMovesBack,
        Self::LimitOutlivesSession,
        Self::IdOfRequest,
    ];
}
