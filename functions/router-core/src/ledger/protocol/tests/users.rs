//! A user's day, which all sessions of the user pay from.

use super::*;

fn user(id: &str) -> Option<UserMark> {
    Some(UserMark::of(&Tenant::default(), id))
}

/// A session of user `u`, who may use 0.25 USD in a day. A block is 0.10 USD.
fn users_session(session: &str) -> Book {
    Book {
        session: RootSession::parse("sessionId", session).unwrap(),
        user: user("u"),
        user_day: Some(UserDay { max_cost: MicroUsd(250_000) }),
        ..Book::new()
    }
}

impl Book {
    /// The same table, as another session of the user finds it.
    fn users_next_session(self, session: &str) -> Self {
        let (items, now) = (self.items, self.now);
        Self { items, now, ..users_session(session) }
    }

    /// Drawn and spent of the user's day at a time.
    fn users_day(&self, at: Timestamp) -> [u64; 2] {
        let key = ItemKey::user_day(user("u").as_ref().unwrap(), &at.date());
        let item = self.items.get(&key);
        ["drawn_micro_usd", "spent_micro_usd"].map(|name| item.map_or(0, |item| item.number(name)))
    }

    fn tenants_day(&self) -> u64 {
        let key = ItemKey::tenant_day(&self.tenant, &self.now.date());
        self.items.get(&key).map_or(0, |item| item.number("drawn_micro_usd"))
    }
}

#[test]
fn a_users_sessions_together_draw_no_more_than_the_users_day_has() {
    let mut book = users_session("a");
    book.take(&[&id(1)], 80_000).unwrap();
    let mut book = book.users_next_session("b");
    book.take(&[&id(1)], 80_000).unwrap();
    assert_eq!(book.users_day(NOON), [200_000, 0], "a block each");
    let mut book = book.users_next_session("c");
    // A block is not there any more, what is needed is.
    book.take(&[&id(1)], 40_000).unwrap();
    assert_eq!(book.users_day(NOON), [240_000, 0]);
    let mut book = book.users_next_session("d");
    let Err(ReserveError::Exhausted(exhausted)) = book.take(&[&id(1)], 20_000) else { panic!() };
    let shown = (exhausted.limit, exhausted.held, exhausted.asked, exhausted.max);
    assert_eq!(shown, (Limit::User, 240_000, 20_000, 250_000));
    assert_eq!(book.tenants_day(), 300_000, "all or none: the tenant's block was not drawn either");
    book.user = user("v");
    book.take(&[&id(1)], 20_000).unwrap();
}

#[test]
fn an_ordinary_call_writes_the_session_alone() {
    let mut book = users_session("a");
    book.take(&[&id(1)], 10_000).unwrap();
    book.settle(&[(&id(1), charge(1_000, 10_000), charge(700, 4_000))]).unwrap();
    book.take(&[&id(2)], 10_000).unwrap();
    assert_eq!(book.requests, 1);
    book.settle(&[(&id(2), charge(1_000, 10_000), charge(700, 4_000))]).unwrap();
    assert_eq!(book.requests, 1);
    let room =
        ["tenant_room_micro_usd", "user_room_micro_usd"].map(|name| book.item().number(name));
    assert_eq!(room, [92_000, 92_000]);
}

#[test]
fn what_was_spent_is_in_the_users_day_once_the_session_draws_again() {
    let mut book = users_session("a");
    book.take(&[&id(1)], 100_000).unwrap();
    book.settle(&[(&id(1), charge(1_000, 100_000), charge(700, 30_000))]).unwrap();
    book.take(&[&id(2)], 80_000).unwrap();
    assert_eq!(book.users_day(NOON), [200_000, 30_000]);
}

#[test]
fn a_user_who_signs_in_later_pays_from_then_on() {
    let mut book = Book { user: None, ..users_session("a") };
    book.take(&[&id(1)], 60_000).unwrap();
    assert_eq!((book.users_day(NOON), book.tenants_day()), ([0, 0], 100_000));
    let before = Counted::by(&book.payer(), book.now);
    book.user = user("u");
    book.take(&[&id(2)], 40_000).unwrap();
    assert_eq!((book.users_day(NOON), book.tenants_day()), ([100_000, 0], 100_000));
    // The hold of before was not counted for the user, and is not settled there.
    book.settle_as(before, &[(&id(1), charge(1_000, 60_000), charge(700, 10_000))]).unwrap();
    book.settle(&[(&id(2), charge(1_000, 40_000), charge(700, 25_000))]).unwrap();
    let of_user = ["user_room_micro_usd", "user_spent_micro_usd"].map(|it| book.item().number(it));
    assert_eq!(of_user, [75_000, 25_000]);
    assert_eq!(book.item().number("spent_micro_usd"), 35_000);
}

#[test]
fn what_a_session_drew_yesterday_and_spends_today_is_yesterdays() {
    let mut book = users_session("a");
    book.take(&[&id(1)], 100_000).unwrap();
    book.now = NOON.after(Duration::from_secs(80));
    book.settle(&[(&id(1), charge(1_000, 100_000), charge(700, 30_000))]).unwrap();
    book.now = NOON.after(DAY / 2);
    book.take(&[&id(2)], 90_000).unwrap();
    assert_eq!((book.users_day(NOON), book.users_day(book.now)), ([100_000, 30_000], [100_000, 0]));
}

#[test]
fn what_a_dead_invocation_of_the_user_held_is_charged_to_the_user() {
    let mut book = users_session("a");
    book.take(&[&id(1)], 60_000).unwrap();
    book.now = NOON.after(HOLD_LIFE);
    book.take(&[&id(2)], 30_000).unwrap();
    let of_user = ["user_spent_micro_usd", "user_room_micro_usd"].map(|it| book.item().number(it));
    assert_eq!(of_user, [60_000, 10_000]);
}

#[test]
fn where_a_users_day_is_not_limited_nothing_of_it_is_written() {
    let mut book = Book { user_day: None, ..users_session("a") };
    book.take(&[&id(1)], 60_000).unwrap();
    assert_eq!(book.users_day(NOON), [0, 0]);
    assert_eq!(book.item().beginning("user_").count(), 0);
}
