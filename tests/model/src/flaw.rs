//! The protocol with one part missing: its writes, with a condition or a change taken out of them.

use router_core::store::{Change, Comparison, Condition, Request, Update, Write};

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
    /// A session draws from the user's day whatever that has left.
    UserDayDrawnBlindly,
    /// A gateway's session takes its hold whatever the hour has left.
    HourTakenBlindly,
    /// A gateway's session is settled, and the hour is not.
    HourNotSettled,
}

impl Flaw {
    /// Every flaw.
    pub const ALL: [Self; 16] = [
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
        Self::UserDayDrawnBlindly,
        Self::HourTakenBlindly,
        Self::HourNotSettled,
    ];
}

impl Flaw {
    /// The request as the flawed protocol sends it.
    pub(crate) fn mar(self, request: &Request) -> Request {
        let mut request = request.clone();
        match &mut request {
            Request::Update(update) => self.mar_update(update, false),
            Request::Transact(writes) => {
                for write in writes {
                    match write {
                        Write::Update(update) => self.mar_update(update, true),
                        Write::Put(put) => match self {
                            Self::LiveSessionReplaced => put.conditions.clear(),
                            Self::FoldedIntoNextSession => drop(put.item.0.remove("folds")),
                            _ => {}
                        },
                    }
                }
            }
            Request::Read(_) => {}
        }
        request
    }

    fn mar_update(self, update: &mut Update, in_transaction: bool) {
        let takes = sets(update, "hold#");
        let settles = !takes && sets(update, "recent_");
        let is_day = update.key.pk.starts_with("TENANT#");
        let is_users_day = update.key.pk.starts_with("USER#");
        let is_hour = update.key.pk == "GATEWAY";
        let mut later_end = None;
        update.conditions.retain(|condition| {
            let on = |prefix: &str| attribute(condition).starts_with(prefix);
            let is_missing = match self {
                Self::HoldTakenTwice => takes && on("hold#"),
                Self::SettledWithoutHold => settles && on("hold#"),
                Self::ExpiredWithoutHold => !takes && !settles && on("hold#"),
                Self::CheckedThenTaken => takes && (on("committed_") || on("steps")),
                Self::DayDrawnBlindly => is_day && on("drawn_"),
                Self::UserDayDrawnBlindly => is_users_day && on("drawn_"),
                Self::HourTakenBlindly => is_hour,
                Self::RoomNotChecked => in_transaction && on("tenant_room_"),
                Self::FoldedTwice => on("folds"),
                Self::ExpiryMovesBack => match condition {
                    Condition::Compare(name, Comparison::Greater, end) if name == "expires_at" => {
                        later_end = Some(end.clone());
                        true
                    }
                    _ => on("expires_at") && compares(condition) == Some(Comparison::AtMost),
                },
                Self::LimitOutlivesSession => {
                    on("limit_") && matches!(condition, Condition::Compare(..))
                }
                Self::NoRecentIds
                | Self::LiveSessionReplaced
                | Self::FoldedIntoNextSession
                | Self::HourNotSettled
                | Self::IdOfRequest => false,
            };
            !is_missing
        });
        if let Some(end) = later_end {
            update.set("expires_at", end);
        }
        if self == Self::HourNotSettled && is_hour && !adds(update, "steps") {
            update.changes.clear();
        }
        if self == Self::NoRecentIds {
            update.changes.retain(|change| !is_set(change, "recent_"));
        }
    }
}

/// The attribute that a condition is about.
fn attribute(condition: &Condition) -> &str {
    match condition {
        Condition::Exists(name) | Condition::Absent(name) | Condition::Compare(name, ..) => name,
        Condition::Any(conditions) => conditions.first().map_or("", attribute),
    }
}

/// How a condition compares, if it does.
fn compares(condition: &Condition) -> Option<Comparison> {
    match condition {
        Condition::Exists(_) | Condition::Absent(_) => None,
        Condition::Compare(_, comparison, _) => Some(*comparison),
        Condition::Any(conditions) => conditions.iter().find_map(compares),
    }
}

fn adds(update: &Update, attribute: &str) -> bool {
    let is_added = |change: &Change| matches!(change, Change::Add(name, _) if name == attribute);
    update.changes.iter().any(is_added)
}

fn sets(update: &Update, prefix: &str) -> bool {
    update.changes.iter().any(|change| is_set(change, prefix))
}

/// Whether the change sets an attribute whose name begins so.
pub(crate) fn is_set(change: &Change, prefix: &str) -> bool {
    matches!(change, Change::Set(name, _) if name.starts_with(prefix))
}
