//! A session that an operator closes: what it drew and did not use goes back to its tenant's days,
//! and to its user's.
//!
//! The item stays, so that its counters cannot be begun again, and its limits become what it has
//! used: a later request is refused by them, by every version of the router, until an operator
//! raises them or the session's time is up. A session with an open hold is not closed, for what
//! the hold will cost is not known.

use super::funding::{fold_specialists, note_folding};
use super::protocol::Next;
use super::raising::as_read;
use super::session::SessionItem;
use super::source::Source;
use super::statement::{CLOSED_AT, Held};
use super::{Limits, writes};
use crate::error::Cause;
use crate::ids::{RootSession, Tenant, UserMark};
use crate::policy::TenantDay;
use crate::store::Comparison::AtLeast;
use crate::store::{Answer, Item, ItemKey, Request, Update, Value, Write};
use crate::units::{MicroUsd, Timestamp, day_expiry};

/// How often closing is begun again, because a request of the session came in between.
const ROUNDS: u32 = 12;

/// What a reservation or a settlement changes in any case, one of them at least.
const WATCHED: [&str; 11] = [
    "steps",
    "committed_tokens",
    "committed_micro_usd",
    "spent_tokens",
    "spent_micro_usd",
    "drawn_micro_usd",
    "tenant_room_micro_usd",
    "user_drawn_micro_usd",
    "user_room_micro_usd",
    "user_spent_micro_usd",
    "expires_at",
];

/// Which session is closed.
#[derive(Clone, Copy, Debug)]
pub struct Close<'a> {
    /// The session.
    pub session: &'a RootSession,
    /// Whose days its tenant's money comes from.
    pub tenant_day: &'a TenantDay,
    /// The time.
    pub now: Timestamp,
}

/// A session that is closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// What went back to each day of the tenant who pays, as `2026-11-21`.
    pub returned: Vec<(String, MicroUsd)>,
    /// The tenant who pays.
    pub payer: Option<String>,
    /// What went back to each day of the user, where the policy limits those.
    pub returned_to_user: Vec<(String, MicroUsd)>,
    /// Whether it was closed before, and so nothing was written.
    pub was_closed: bool,
    /// How many holds of dead invocations were charged on the way.
    pub expired_holds: u32,
}

/// Why a session was not closed. Nothing was returned then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotClosed {
    /// The table has no such session.
    #[error("the table has no such session")]
    Unknown,
    /// Invocations are under way.
    #[error("the session has {} open", counted(.0.len()))]
    Held(Vec<Held>),
    /// A day is not there, or has less drawn than the session says.
    #[error("the day {0} does not have what the session drew from it")]
    Day(String),
    /// Requests of the session came in between all the time.
    #[error("the session changed under every attempt")]
    Contended,
    /// An attribute was set by hand to what it cannot be.
    #[error("the session's item cannot be used: {0}")]
    Unusable(Cause),
    /// The table gave no answer: the session may be closed.
    #[error("the table gave no answer: {0}")]
    Unavailable(Cause),
}

/// A day that gets back what is left of it.
#[derive(Clone, Debug)]
struct Day {
    source: Source,
    date: String,
    key: ItemKey,
    /// Micro-dollars that the session has spent and the day's item does not have yet.
    spent: u64,
    /// Micro-dollars that go back; less than nothing where more was spent than drawn.
    rest: i128,
}

/// A session that is being closed.
#[derive(Clone, Debug)]
pub struct Closing {
    round: u32,
    step: Step,
    expired_holds: u32,
    request: Request,
}

#[derive(Clone, Debug)]
enum Step {
    Read,
    ChargeExpired { count: u32 },
    Return { payer: Option<String>, days: Vec<Day> },
}

impl Closing {
    /// The first request.
    pub fn begin(close: &Close<'_>) -> Self {
        let request = Request::Read(ItemKey::session(close.session));
        Self { round: 0, step: Step::Read, expired_holds: 0, request }
    }

    /// What the table is asked now.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// What follows an answer to [`Self::request`]. `close` is the one that was begun.
    pub fn on(self, close: &Close<'_>, answer: Answer) -> Next<Self, Result<Closed, NotClosed>> {
        match self.after(close, answer) {
            Ok(Ok(next)) => Next::Send(next),
            Ok(Err(closed)) => Next::Done(Ok(closed)),
            Err(error) => Next::Done(Err(error)),
        }
    }

    fn after(
        mut self,
        close: &Close<'_>,
        answer: Answer,
    ) -> Result<Result<Self, Closed>, NotClosed> {
        match (std::mem::replace(&mut self.step, Step::Read), answer) {
            (_, Answer::Unusable(cause)) => Err(NotClosed::Unusable(cause)),
            (_, Answer::Unavailable(cause)) => Err(NotClosed::Unavailable(cause)),
            (Step::Read, Answer::Done(item)) => self.decide(close, item.ok_or(NotClosed::Unknown)?),
            (Step::ChargeExpired { count }, Answer::Done(item)) => {
                self.expired_holds += count;
                match item {
                    Some(item) => self.decide(close, item),
                    // A transaction does not say what the item is like.
                    None => {
                        self.request = Request::Read(ItemKey::session(close.session));
                        Ok(Ok(self))
                    }
                }
            }
            (Step::Return { payer, days }, Answer::Done(_)) => {
                let returned = |source: Source| {
                    let days = days.iter().filter(move |day| day.source == source);
                    let returned = days.filter_map(|day| {
                        let amount = u64::try_from(day.rest).ok().filter(|amount| *amount > 0)?;
                        Some((day.date.clone(), MicroUsd(amount)))
                    });
                    returned.collect()
                };
                Ok(Err(Closed {
                    returned: returned(Source::Tenant),
                    payer,
                    returned_to_user: returned(Source::User),
                    was_closed: false,
                    expired_holds: self.expired_holds,
                }))
            }
            (Step::Return { days, .. }, Answer::Refused { write, .. }) if write > 0 => {
                let day = days.get(write - 1).map(|day| day.date.clone());
                Err(NotClosed::Day(day.unwrap_or_default()))
            }
            (_, Answer::Refused { .. } | Answer::Contended) => {
                self.round += 1;
                if self.round >= ROUNDS {
                    return Err(NotClosed::Contended);
                }
                self.request = Request::Read(ItemKey::session(close.session));
                Ok(Ok(self))
            }
        }
    }

    fn decide(mut self, close: &Close<'_>, item: Item) -> Result<Result<Self, Closed>, NotClosed> {
        let session = SessionItem::new(item.clone(), &Limits::default());
        let expired = session.expired_holds(close.now);
        if !expired.is_empty() {
            let count = u32::try_from(expired.len()).unwrap_or(u32::MAX);
            self.step = Step::ChargeExpired { count };
            self.request = writes::charge_expired(close.session, &expired);
            return Ok(Ok(self));
        }
        let held = session.held();
        if !held.is_empty() {
            return Err(NotClosed::Held(held));
        }
        let has_room = [Source::Tenant, Source::User].iter().any(|of| session.room(*of) != 0);
        if item.has(CLOSED_AT) && !has_room {
            let expired_holds = self.expired_holds;
            return Ok(Err(Closed { was_closed: true, expired_holds, ..Closed::default() }));
        }
        let tenant = item.text("tenant").and_then(|tenant| Tenant::parse(tenant).ok());
        let payer = tenant.map(|tenant| close.tenant_day.payer(&tenant));
        let (writes, days) = writes_of(close, &item, &session, payer.as_ref());
        self.request = Request::Transact(writes);
        self.step = Step::Return { payer: payer.map(|payer| payer.as_str().to_owned()), days };
        Ok(Ok(self))
    }
}

/// The session's write first, then one for each day that is returned too, then the specialists'
/// days.
fn writes_of(
    close: &Close<'_>,
    item: &Item,
    session: &SessionItem,
    payer: Option<&Tenant>,
) -> (Vec<Write>, Vec<Day>) {
    let mut update = Update::of(ItemKey::session(close.session));
    update.require("pk");
    WATCHED.into_iter().for_each(|name| as_read(&mut update, item, name));
    note_folding(&mut update, session);
    let user = item.text("user").and_then(UserMark::parse);
    let key = |source, date: &str| match source {
        Source::Tenant => payer.map(|payer| ItemKey::tenant_day(payer, date)),
        Source::User => user.as_ref().map(|user| ItemKey::user_day(user, date)),
    };
    let mut days = Vec::new();
    for source in [Source::Tenant, Source::User] {
        if item.has(source.room()) || item.has(source.drawn()) {
            days.extend(days_of(close, item, session, source, &key, &mut update));
        }
    }
    update.set(CLOSED_AT, Value::number(close.now.0));
    for (limit, used) in [
        ("limit_steps", "steps"),
        ("limit_tokens", "committed_tokens"),
        ("limit_micro_usd", "committed_micro_usd"),
    ] {
        update.set(limit, Value::number(item.number(used)));
    }
    let specialists = fold_specialists(&mut update, session, close.now);
    let of_days: Vec<Update> = days.iter().map(|day| day_write(close, day)).collect();
    let writes = [update].into_iter().chain(of_days).chain(specialists);
    (writes.map(Write::Update).collect(), days)
}

/// The days of a source, and in `update` what becomes of them in the session's item.
fn days_of(
    close: &Close<'_>,
    item: &Item,
    session: &SessionItem,
    source: Source,
    key: &impl Fn(Source, &str) -> Option<ItemKey>,
    update: &mut Update,
) -> Vec<Day> {
    let (shares, beyond) = session.shares(source);
    let mut days = Vec::new();
    let day = |date: String, spent, rest| {
        Some(Day { source, key: key(source, &date)?, date, spent, rest })
    };
    for share in shares {
        let attribute = source.unfolded(&share.date);
        as_read(update, item, &attribute);
        update.remove(&attribute);
        days.extend(day(share.date, share.spent, share.rest));
    }
    if beyond > 0 && days.is_empty() {
        days.extend(day(close.now.date(), 0, 0));
    }
    if let Some(last) = days.last_mut() {
        // What was spent and never drawn is drawn now, whatever the day's limit: it is spent.
        let overrun = u64::try_from(-session.room(source)).unwrap_or(0);
        last.spent += beyond;
        last.rest -= i128::from(beyond.min(overrun));
    }
    let returned: i128 = days.iter().map(|day| day.rest).sum();
    update.add(source.drawn(), -returned);
    update.set(source.room(), Value::number(0));
    update.set(source.folded(), Value::number(session.number(source.spent())));
    days
}

fn day_write(close: &Close<'_>, day: &Day) -> Update {
    let mut update = Update::of(day.key.clone());
    if day.rest > 0 {
        update.compare("drawn_micro_usd", AtLeast, Value::Number(day.rest));
    }
    update.add("drawn_micro_usd", -day.rest);
    update.add("spent_micro_usd", day.spent);
    update.set_if_absent("expires_at", Value::number(day_expiry(close.now)));
    update
}

fn counted(holds: usize) -> String {
    if holds == 1 { "1 hold".to_owned() } else { format!("{holds} holds") }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::store::memory;

    /// The middle of 2026-05-28.
    const NOON: Timestamp = Timestamp(1_779_969_600_000);

    type Items = BTreeMap<ItemKey, Item>;

    fn session() -> RootSession {
        RootSession::parse("sessionId", "s").unwrap()
    }

    fn numbers(numbers: &[(&str, u64)]) -> Item {
        let numbers = numbers.iter();
        Item(numbers.map(|(name, value)| ((*name).to_owned(), Value::number(*value))).collect())
    }

    /// A session that has drawn 1,000 on each of two days, of which it has spent 1,200; yesterday's
    /// item has 300 of that already.
    fn items() -> Items {
        let mut of_session = numbers(&[
            ("steps", 3),
            ("committed_tokens", 90),
            ("committed_micro_usd", 1_200),
            ("spent_tokens", 90),
            ("spent_micro_usd", 1_200),
            ("folded_micro_usd", 300),
            ("folds", 7),
            ("drawn_micro_usd", 2_000),
            ("tenant_room_micro_usd", 800),
            ("unfolded#2026-05-27", 700),
            ("unfolded#2026-05-28", 1_000),
        ]);
        of_session.set("tenant", Value::text("acme"));
        let yesterday = numbers(&[("drawn_micro_usd", 5_000), ("spent_micro_usd", 300)]);
        let today = numbers(&[("drawn_micro_usd", 6_000)]);
        BTreeMap::from([
            (ItemKey::session(&session()), of_session),
            (ItemKey::tenant_day("acme", "2026-05-27"), yesterday),
            (ItemKey::tenant_day("acme", "2026-05-28"), today),
        ])
    }

    /// `between` changes the table before the request with this number.
    fn closed(items: &mut Items, between: impl Fn(usize, &mut Items)) -> Result<Closed, NotClosed> {
        let tenant_day = &TenantDay {
            max_cost: MicroUsd(10_000),
            block: MicroUsd(1_000),
            tenants: BTreeSet::new(),
        };
        let close = Close { session: &session(), tenant_day, now: NOON };
        let mut closing = Closing::begin(&close);
        for number in 0.. {
            between(number, items);
            let answer = memory::apply(items, closing.request());
            closing = match closing.on(&close, answer) {
                Next::Send(next) => next,
                Next::Done(done) => return done,
            };
        }
        unreachable!("it ends")
    }

    fn day(items: &Items, date: &str) -> [u64; 2] {
        let day = &items[&ItemKey::tenant_day("acme", date)];
        ["drawn_micro_usd", "spent_micro_usd"].map(|name| day.number(name))
    }

    #[test]
    fn each_day_gets_back_what_was_drawn_from_it_and_is_told_what_was_spent() {
        let mut items = items();
        let returned = closed(&mut items, |_, _| ()).unwrap().returned;
        assert_eq!(returned, [("2026-05-28".to_owned(), MicroUsd(800))]);
        assert_eq!(day(&items, "2026-05-27"), [5_000, 1_000]);
        assert_eq!(day(&items, "2026-05-28"), [5_200, 200]);
        let item = &items[&ItemKey::session(&session())];
        let names = ["drawn_micro_usd", "tenant_room_micro_usd", "limit_steps", "limit_micro_usd"];
        assert_eq!(names.map(|name| item.number(name)), [1_200, 0, 3, 1_200]);
        assert!(!item.has("unfolded#2026-05-27") && !item.has("unfolded#2026-05-28"));
    }

    #[test]
    fn a_users_day_gets_back_what_was_drawn_from_it_as_well() {
        let mut items = items();
        let mark = UserMark::of(&Tenant::parse("acme").unwrap(), "u");
        let item = items.get_mut(&ItemKey::session(&session())).unwrap();
        item.set("user", Value::text(mark.as_str()));
        for (name, value) in [
            ("user_spent_micro_usd", 400),
            ("user_drawn_micro_usd", 1_000),
            ("user_room_micro_usd", 600),
            ("user_unfolded#2026-05-28", 1_000),
        ] {
            item.set(name, Value::number(value));
        }
        let key = ItemKey::user_day(&mark, "2026-05-28");
        items.insert(key.clone(), numbers(&[("drawn_micro_usd", 3_000)]));
        let closed = closed(&mut items, |_, _| ()).unwrap();
        let today = |amount| [("2026-05-28".to_owned(), MicroUsd(amount))];
        assert_eq!(closed.returned, today(800));
        assert_eq!(closed.returned_to_user, today(600));
        let day = &items[&key];
        let amounts = ["drawn_micro_usd", "spent_micro_usd"].map(|name| day.number(name));
        assert_eq!(amounts, [2_400, 400]);
        assert_eq!(items[&ItemKey::session(&session())].signed("user_room_micro_usd"), 0);
    }

    #[test]
    fn a_hold_that_is_taken_in_between_keeps_the_session_open() {
        let mut items = items();
        let refused = closed(&mut items, |number, items| {
            if number == 1 {
                let item = items.get_mut(&ItemKey::session(&session())).unwrap();
                let hold = numbers(&[("micro_usd", 50), ("expires_at_ms", NOON.0 + 1)]);
                item.set("hold#r/0/0", Value::Map(hold));
                item.set("steps", Value::number(4));
                item.set("committed_micro_usd", Value::number(1_250));
            }
        });
        assert!(matches!(refused, Err(NotClosed::Held(holds)) if holds.len() == 1));
        assert_eq!(day(&items, "2026-05-28"), [6_000, 0], "nothing was returned");
    }

    #[test]
    fn a_day_that_has_less_drawn_than_is_to_go_back_is_left_alone() {
        let mut items = items();
        let today = ItemKey::tenant_day("acme", "2026-05-28");
        items.insert(today, numbers(&[("drawn_micro_usd", 799)]));
        let before = items.clone();
        let refused = closed(&mut items, |_, _| ());
        assert_eq!(refused, Err(NotClosed::Day("2026-05-28".to_owned())));
        assert_eq!(items, before);
        assert_eq!(closed(&mut Items::new(), |_, _| ()), Err(NotClosed::Unknown));
    }
}
