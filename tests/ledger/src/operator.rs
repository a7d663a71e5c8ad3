//! What an operator does to sessions and circuits while functions are at work on them.

use std::time::Duration;

use futures_util::future::{join, join_all};
use router_aws::table::KeyPart;
use router_core::charge::Charge;
use router_core::circuit::{Change, Changed, CircuitStore, Forced, Probe, State, Word};
use router_core::ids::SpecialistName;
use router_core::ledger::{
    Close, Closed, Closing, Limit, Next, NotClosed, ReserveError, SetLimits, Unfolded, raise,
};
use router_core::store::{Answer, ItemKey, Request};
use router_core::units::{MicroUsd, Timestamp};
use stand_ins::table_faults::Fault::CloseAfterApplying;

use crate::books::charge;
use crate::payer::{PLENTY, Payer, TODAY, at, id, refused_by};
use crate::table::TableUnderTest;

/// Closes the payer's session, as the operator's program does.
async fn close(table: &TableUnderTest, payer: &Payer, now: Timestamp) -> Result<Closed, NotClosed> {
    let close = Close { session: &payer.session, tenant_day: &payer.day, now };
    let there = table.connect();
    let mut closing = Closing::begin(&close);
    loop {
        let answer = there.send(closing.request()).await;
        closing = match closing.on(&close, answer) {
            Next::Send(next) => next,
            Next::Done(done) => return done,
        };
    }
}

/// Makes a step that uses so much.
async fn step(table: &TableUnderTest, payer: &Payer, number: usize, used: Charge, second: u64) {
    let (ledger, ask) = (table.ledger(), charge(500, 500));
    payer.reserve(&ledger, &id(number), ask, at(second)).await.unwrap();
    payer.settle(&ledger, &id(number), ask, used).await.unwrap();
}

/// The write that raises the session's steps, decided on the item as it is now.
async fn raising(table: &TableUnderTest, payer: &Payer, steps: u64) -> Request {
    let Answer::Done(Some(item)) =
        table.connect().send(&Request::Read(ItemKey::session(&payer.session))).await
    else {
        panic!("the session is there");
    };
    let to = SetLimits { steps: Some(steps), ..SetLimits::default() };
    Request::Update(raise(&payer.session, &item, &payer.limits, &to, at(1)).unwrap())
}

#[tokio::test]
async fn closing_returns_what_was_drawn_and_not_used_and_a_later_request_is_refused() {
    let table = TableUnderTest::start().await;
    let payer = Payer::new();
    step(&table, &payer, 0, charge(300, 200), 0).await;
    let other = payer.clone().in_session("other");
    step(&table, &other, 1, charge(300, 300), 0).await;

    let closed = close(&table, &payer, at(10)).await.unwrap();
    assert_eq!(closed.returned, [(TODAY.to_owned(), MicroUsd(800))]);
    assert_eq!(closed.payer.as_deref(), Some("acme"));
    let session = table.session("s").await;
    session.assert_settled(charge(300, 200));
    assert_eq!((session.drawn(), session.signed("tenant_room_micro_usd")), (200, 0));
    let day = table.tenant_day("acme", TODAY).await;
    assert_eq!((day.drawn(), day.number("spent_micro_usd")), (200 + 1_000, 200));
    let day = table.specialist_day("orders", TODAY).await;
    assert_eq!(day.number("spent_micro_usd"), 200);

    let refused = payer.reserve(&table.ledger(), &id(2), charge(1, 1), at(11)).await;
    assert_eq!(refused_by(refused), Limit::Steps, "its counters stay, and it has no room");
    let again = close(&table, &payer, at(12)).await.unwrap();
    assert!(again.was_closed && again.returned.is_empty());

    let raised = table.connect().send(&raising(&table, &payer, 2).await).await;
    assert!(matches!(raised, Answer::Done(_)));
    step(&table, &payer, 3, charge(1, 1), 13).await;
    table.session("s").await.assert_settled(charge(301, 201));
    assert_eq!(close(&table, &payer, at(20)).await.unwrap().returned[0].1, MicroUsd(999));
    assert_eq!(table.tenant_day("acme", TODAY).await.drawn(), 201 + 1_000);
}

#[tokio::test]
async fn money_of_yesterday_goes_back_to_yesterday_and_an_overrun_is_drawn() {
    let table = TableUnderTest::start().await;
    let payer = Payer::new();
    step(&table, &payer, 0, charge(100, 400), 0).await;
    let tomorrow = 86_400;
    // 600 are left of yesterday's 1,000.
    let closed = close(&table, &payer, at(tomorrow - 1)).await.unwrap();
    assert_eq!(closed.returned, [(TODAY.to_owned(), MicroUsd(600))]);

    let payer = payer.in_session("late").of_tenant("late");
    step(&table, &payer, 1, charge(100, 400), tomorrow - 10).await;
    payer.reserve(&table.ledger(), &id(2), charge(100, 900), at(tomorrow + 5)).await.unwrap();
    payer.settle(&table.ledger(), &id(2), charge(100, 900), charge(100, 100)).await.unwrap();
    let closed = close(&table, &payer, at(tomorrow + 10)).await.unwrap();
    let days = [(TODAY, 1_000 - 400, 400), ("2026-11-22", 1_000, 100)];
    let returned: u64 = closed.returned.iter().map(|(_, amount)| amount.0).sum();
    let (mut drawn, mut spent) = (0, 0);
    for (date, ..) in days {
        let day = table.tenant_day("late", date).await;
        assert_eq!(day.drawn(), day.number("spent_micro_usd"), "{date}: nothing is left of it");
        drawn += day.drawn();
        spent += day.number("spent_micro_usd");
    }
    assert_eq!((drawn, spent, returned), (500, 500, 1_500));

    let payer = payer.in_session("over").of_tenant("over");
    step(&table, &payer, 3, charge(100, 1_700), tomorrow).await;
    assert_eq!(table.session("over").await.signed("tenant_room_micro_usd"), -700);
    assert_eq!(close(&table, &payer, at(tomorrow + 10)).await.unwrap().returned, []);
    let day = table.tenant_day("over", "2026-11-22").await;
    assert_eq!((day.drawn(), day.number("spent_micro_usd")), (1_700, 1_700));
    table.session("over").await.assert_settled(charge(100, 1_700));
}

#[tokio::test]
async fn a_session_with_an_open_hold_is_not_closed_and_one_of_a_dead_call_is_charged_first() {
    let table = TableUnderTest::start().await;
    let payer = Payer::new();
    payer.reserve(&table.ledger(), &id(0), charge(100, 100), at(0)).await.unwrap();
    let before = table.session("s").await;
    let Err(NotClosed::Held(holds)) = close(&table, &payer, at(1)).await else {
        panic!("it has a hold")
    };
    assert_eq!((holds[0].specialist.as_str(), holds[0].charge), ("orders", charge(100, 100)));
    assert_eq!(table.session("s").await.bytes(), before.bytes());

    let closed = close(&table, &payer, at(600)).await.unwrap();
    assert_eq!((closed.expired_holds, closed.returned[0].1), (1, MicroUsd(900)));
    table.session("s").await.assert_settled(charge(100, 100));
}

#[tokio::test]
async fn of_a_reservation_and_a_closing_at_once_no_money_is_lost() {
    let table = TableUnderTest::start().await;
    for round in 0..10 {
        let payer = Payer::new().in_session(&format!("s{round}"));
        step(&table, &payer, 0, charge(10, 10), 0).await;
        let (ledger, hold) = (table.ledger(), id(1));
        let reserving = payer.reserve(&ledger, &hold, charge(100, 100), at(1));
        let (reserved, closed) = join(reserving, close(&table, &payer, at(1))).await;
        table.session(payer.session.as_str()).await.assert_balanced();
        match (reserved, closed) {
            (Ok(_), Err(NotClosed::Held(_))) => {}
            (Err(ReserveError::Exhausted(_)), Ok(closed)) => {
                assert_eq!(closed.returned[0].1, MicroUsd(990));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_closing_whose_answer_was_lost_returns_the_money_once() {
    let table = TableUnderTest::start().await;
    let payer = Payer::new();
    step(&table, &payer, 0, charge(300, 200), 0).await;
    table.faults().script(CloseAfterApplying.on("TransactWriteItems"));
    close(&table, &payer, at(10)).await.unwrap();
    close(&table, &payer, at(11)).await.unwrap();
    assert_eq!(table.tenant_day("acme", TODAY).await.drawn(), 200);
}

#[tokio::test]
async fn a_limit_that_is_raised_while_a_reservation_runs_counts_for_it_or_for_the_next() {
    let table = TableUnderTest::start().await;
    let payer = Payer::new().with_limits(2, 10_000, 10_000);
    step(&table, &payer, 0, charge(1, 1), 0).await;
    let raise = raising(&table, &payer, 5).await;
    let (ledger, there) = (table.ledger(), table.connect());
    let ids = [id(1), id(2)];
    let reservations = ids.iter().map(|id| payer.reserve(&ledger, id, charge(1, 1), at(1)));
    let (reserved, raised) = join(join_all(reservations), there.send(&raise)).await;
    assert!(matches!(raised, Answer::Done(_)), "{raised:?}");
    let taken = reserved.iter().filter(|reserved| reserved.is_ok()).count();
    assert_eq!(table.session("s").await.steps(), 1 + taken as u64);
    let after = payer.reserve(&table.ledger(), &id(3), charge(1, 1), at(2)).await.unwrap();
    assert_eq!(after.account.limits.steps, 5);
    table.session("s").await.assert_balanced();
}

#[tokio::test]
async fn of_two_operators_who_saw_the_same_limit_one_raises_it() {
    let table = TableUnderTest::start().await;
    let payer = Payer::new().with_limits(2, 10_000, 10_000);
    step(&table, &payer, 0, charge(1, 1), 0).await;
    let both = [raising(&table, &payer, 5).await, raising(&table, &payer, 9).await];
    let there = table.connect();
    assert!(matches!(there.send(&both[0]).await, Answer::Done(_)));
    assert!(matches!(there.send(&both[1]).await, Answer::Refused { .. }));
    assert_eq!(table.session("s").await.number("limit_steps"), 5);
}

#[tokio::test]
async fn a_probe_that_comes_back_to_a_forced_circuit_is_shown_the_word() {
    let table = TableUnderTest::start().await;
    let circuits = table.circuits();
    let orders = SpecialistName::parse("orders").unwrap();
    let probe = Probe { owner: "r/0/0/1".to_owned(), until: at(60) };
    let out = State::HalfOpen { successes: 0, probe: Some(probe) };
    let change =
        |seen, state, author| Change { specialist: &orders, seen, state, author, now: at(0) };
    assert_eq!(
        circuits.change(&change(0, &out, "r/0/0/1?"), PLENTY).await.unwrap(),
        Changed::Stored
    );

    let word = Word { forced: Forced::Open, until: Some(at(600)) };
    assert_eq!(circuits.force(Some(&orders), Some(word), "operator").await, Ok(None));
    let closed = State::default();
    let lost = circuits.change(&change(1, &closed, "r/0/0/1!"), PLENTY).await.unwrap();
    let Changed::Lost(found) = lost else { panic!("{lost:?}") };
    assert_eq!((found.forced, found.state, found.stamp), (Some(word), out, 2));
    assert_eq!(word.in_force(at(599)), Some(Forced::Open));
    assert_eq!(word.in_force(at(600)), None, "its time is over");

    assert_eq!(circuits.force(Some(&orders), None, "operator 2").await, Ok(Some(word)));
    let read = circuits.read(&[&orders], Duration::from_secs(5)).await.unwrap();
    assert_eq!((read.circuits[0].1.forced, read.circuits[0].1.stamp), (None, 3));
    assert_eq!(circuits.force(None, Some(Forced::Closed.into()), "operator").await, Ok(None));
    let read = circuits.read(&[&orders], Duration::from_secs(5)).await.unwrap();
    assert_eq!(read.all, Some(Forced::Closed.into()));
}

#[tokio::test]
async fn items_are_found_by_their_keys_and_removed_one_by_one() {
    let table = TableUnderTest::start().await;
    let payer = Payer::new();
    step(&table, &payer, 0, charge(300, 200), 0).await;
    let there = table.connect();
    let session = ItemKey::session(&payer.session);
    let budgets = there.scan(KeyPart::Sort, &["BUDGET", "NONE"]).await.unwrap();
    assert_eq!(budgets.iter().map(|(key, _)| key).collect::<Vec<_>>(), [&session]);
    let unfolded = Unfolded::of(&budgets[0].1, TODAY);
    assert_eq!(unfolded.days, [(TODAY.to_owned(), MicroUsd(200))]);
    assert_eq!(unfolded.specialists[0].1, charge(300, 200));
    let tenants = there.scan(KeyPart::Partition, &["TENANT#"]).await.unwrap();
    assert_eq!(tenants[0].0, ItemKey::tenant_day("acme", TODAY));
    assert_eq!(there.partition("TENANT#acme").await.unwrap(), tenants);
    there.delete(&session).await.unwrap();
    there.delete(&session).await.unwrap();
    assert_eq!(there.partition(&session.pk).await.unwrap(), []);
}
