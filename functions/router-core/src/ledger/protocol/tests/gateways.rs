//! Gateway sessions, which share the limits of an hour.

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

/// A session that came through a gateway. All of them have 3 steps and 0.10 USD in an hour.
fn gateway_session(session: &str) -> Book {
    Book {
        session: RootSession::of_gateway("session_id", session).unwrap(),
        gateway_hour: Some(GatewayHour { max_steps: 3, max_cost: MicroUsd(100_000) }),
        ..Book::new()
    }
}

impl Book {
    /// The same table, as another session finds it.
    fn next_session(self, session: &str) -> Self {
        let (items, now) = (self.items, self.now);
        Self { items, now, ..gateway_session(session) }
    }

    /// Steps, committed and spent of the hour of a time.
    fn hour(&self, at: Timestamp) -> [u64; 3] {
        let item = self.items.get(&ItemKey::gateway_hour(Hour::of(at)));
        ["steps", "committed_micro_usd", "spent_micro_usd"]
            .map(|name| item.map_or(0, |item| item.number(name)))
    }
}

fn refused(taken: Result<Holds, ReserveError>) -> Exhausted {
    match taken {
        Err(ReserveError::Exhausted(exhausted)) => *exhausted,
        other => panic!("{other:?}"),
    }
}

#[test]
fn whoever_invents_another_session_finds_the_hour_as_the_last_one_left_it() {
    let mut book = gateway_session("a");
    for session in ["a", "b", "c"] {
        book = book.next_session(session);
        book.take(&[&id(1)], 10_000).unwrap();
    }
    assert_eq!(book.hour(NOON), [3, 30_000, 0]);
    let mut book = book.next_session("d");
    let exhausted = refused(book.take(&[&id(1)], 10_000));
    assert_eq!((exhausted.limit, exhausted.settled, exhausted.asked), (Limit::GatewaySteps, 3, 1));
    assert_eq!(exhausted.account.steps, 0);
    assert!(!book.items.contains_key(&ItemKey::session(&book.session)), "nothing is begun");
}

#[test]
fn the_hours_money_is_held_and_settled_exactly() {
    let mut book = gateway_session("a");
    book.take(&[&id(1)], 60_000).unwrap();
    let mut book = book.next_session("b");
    let exhausted = refused(book.take(&[&id(2)], 50_000));
    let shown =
        (exhausted.limit, exhausted.settled, exhausted.held, exhausted.asked, exhausted.max);
    assert_eq!(shown, (Limit::GatewayCost, 0, 60_000, 50_000, 100_000));
    let mut book = book.next_session("a");
    book.settle(&[(&id(1), charge(1_000, 60_000), charge(700, 20_000))]).unwrap();
    assert_eq!(book.hour(NOON), [1, 20_000, 20_000]);
    assert_eq!(book.item().number("committed_micro_usd"), 20_000);
    let mut book = book.next_session("b");
    book.take(&[&id(2)], 80_000).unwrap();
    assert_eq!(book.hour(NOON), [2, 100_000, 20_000]);
}

#[test]
fn a_session_that_goes_on_is_refused_by_the_hour_with_its_own_account() {
    let mut book = gateway_session("a");
    book.take(&[&id(1)], 60_000).unwrap();
    let exhausted = refused(book.take(&[&id(2)], 50_000));
    assert_eq!(exhausted.limit, Limit::GatewayCost);
    assert_eq!(exhausted.account.committed.cost, MicroUsd(60_000));
    assert_eq!(book.item().number("steps"), 1, "neither of the two items has changed");
}

#[test]
fn a_hold_is_settled_in_the_hour_in_which_it_was_taken() {
    let mut book = gateway_session("a");
    let counted = Counted::by(&book.payer(), book.now);
    book.take(&[&id(1)], 60_000).unwrap();
    book.now = NOON.after(HOUR);
    book.settle_as(counted, &[(&id(1), charge(1_000, 60_000), charge(700, 20_000))]).unwrap();
    assert_eq!(book.hour(NOON), [1, 20_000, 20_000]);
    assert_eq!(book.hour(book.now), [0, 0, 0]);
    book.take(&[&id(2)], 100_000).unwrap();
    assert_eq!(book.hour(book.now), [1, 100_000, 0], "a new hour has all of its limit");
}

#[test]
fn a_settlement_that_is_repeated_changes_nothing() {
    let mut book = gateway_session("a");
    book.take(&[&id(1)], 60_000).unwrap();
    for _ in 0..2 {
        book.settle(&[(&id(1), charge(1_000, 60_000), charge(700, 20_000))]).unwrap();
        assert_eq!(book.hour(NOON), [1, 20_000, 20_000]);
    }
}

#[test]
fn a_reservation_whose_answer_was_lost_finds_its_hold_and_takes_no_second() {
    let mut book = gateway_session("a");
    book.take(&[&id(1)], 10_000).unwrap();
    book.settle(&[(&id(1), charge(1_000, 10_000), charge(700, 10_000))]).unwrap();
    book.take(&[&id(2)], 10_000).unwrap();
    book.take(&[&id(2)], 10_000).unwrap();
    assert_eq!(book.hour(NOON), [2, 20_000, 10_000]);
}

#[test]
fn what_a_dead_invocation_held_stays_charged_in_its_hour() {
    let mut book = gateway_session("a");
    book.take(&[&id(1)], 60_000).unwrap();
    book.now = NOON.after(HOUR);
    let holds = book.take(&[&id(2)], 10_000).unwrap();
    assert_eq!(holds.expired_holds, 1);
    assert_eq!(book.hour(NOON), [1, 60_000, 60_000]);
    assert_eq!(book.hour(book.now), [1, 10_000, 0]);
    assert_eq!(book.item().number("spent_micro_usd"), 60_000);
}

#[test]
fn an_ordinary_call_of_a_gateway_is_a_transaction_a_read_and_a_transaction() {
    let mut book = gateway_session("a");
    book.take(&[&id(1)], 10_000).unwrap();
    book.settle(&[(&id(1), charge(1_000, 10_000), charge(700, 10_000))]).unwrap();
    book.take(&[&id(2)], 10_000).unwrap();
    assert_eq!(book.requests, 2);
    book.settle(&[(&id(2), charge(1_000, 10_000), charge(700, 10_000))]).unwrap();
    assert_eq!(book.requests, 1);
}

#[test]
fn a_retry_takes_money_of_the_hour_and_no_step() {
    let mut book = gateway_session("a");
    book.take(&[&id(1)], 10_000).unwrap();
    book.take_for(&[&id(2)], charge(1_000, 10_000), Purpose::Retry, |_, _| None).unwrap();
    assert_eq!(book.hour(NOON), [1, 20_000, 0]);
}

#[test]
fn where_others_write_the_hour_all_the_time_the_reservation_gives_up_and_holds_nothing() {
    let mut book = gateway_session("a");
    let contended = |_, _: &Request| Some(Answer::Contended);
    let taken = book.take_for(&[&id(1)], charge(1_000, 10_000), Purpose::Invocation, contended);
    assert!(matches!(taken, Err(ReserveError::Unusable(_))));
    assert!(book.items.is_empty());
}

#[test]
fn what_a_dead_invocation_held_is_charged_also_where_the_hour_has_no_room() {
    let mut book = gateway_session("a");
    let ids: Vec<HoldId> = (1..=3).map(id).collect();
    book.take(&ids.iter().collect::<Vec<_>>(), 10_000).unwrap();
    book.now = NOON.after(HOLD_LIFE);
    let exhausted = refused(book.take(&[&id(4)], 10_000));
    assert_eq!((exhausted.limit, exhausted.expired_holds), (Limit::GatewaySteps, 3));
    assert_eq!(book.item().number("spent_micro_usd"), 30_000);
    assert_eq!(book.hour(NOON), [3, 30_000, 30_000]);
}

#[test]
fn an_hour_whose_limit_is_passed_already_refuses_only_what_needs_more_of_it() {
    let mut book = gateway_session("a");
    for number in 0..3 {
        book.take(&[&id(number)], 10_000).unwrap();
    }
    let now_limited =
        |max_steps, max_cost| Some(GatewayHour { max_steps, max_cost: MicroUsd(max_cost) });
    let retry = |book: &mut Book, number, micro_usd| {
        book.take_for(&[&id(number)], charge(0, micro_usd), Purpose::Retry, |_, _| None)
    };
    book.gateway_hour = now_limited(2, 40_000);
    retry(&mut book, 3, 10_000).unwrap();
    assert_eq!(refused(retry(&mut book, 4, 10_000)).limit, Limit::GatewayCost);
    book.gateway_hour = now_limited(4, 5_000);
    assert_eq!(refused(book.take(&[&id(4)], 10_000)).limit, Limit::GatewayCost, "a step is left");
    book.take(&[&id(4)], 0).unwrap();
    assert_eq!(book.hour(NOON), [4, 40_000, 0]);
}

#[test]
fn holds_of_one_hour_are_settled_together() {
    let mut book = gateway_session("a");
    book.take(&[&id(1), &id(2)], 40_000).unwrap();
    let held = charge(1_000, 40_000);
    book.settle(&[(&id(1), held, charge(10, 5_000)), (&id(2), held, charge(10, 7_000))]).unwrap();
    assert_eq!(book.hour(NOON), [2, 12_000, 12_000]);
}
