//! Holds of dead invocations, and sessions that are over.

use std::time::Duration;

use futures_util::future::join_all;
use router_core::ledger::{Limit, ReserveError};

use crate::books::charge;
use crate::payer::{HOLD_LIFE, Payer, START, TODAY, at, id, refused_by};
use crate::table::TableUnderTest;

#[tokio::test]
async fn an_expired_hold_is_charged_in_full_and_counted_by_the_next_reservation() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = (Payer::new(), table.ledger());
    payer.reserve(&ledger, &id(0), charge(100, 70), START).await.unwrap();
    let alive = START.after(HOLD_LIFE - Duration::from_millis(1));
    let hold = payer.step(&ledger, &id(1), charge(0, 0), charge(0, 0), alive).await;
    assert_eq!(hold.expired_holds, 0);
    let books = table.session("s").await;
    assert_eq!((books.spent(), books.committed()), (charge(0, 0), charge(100, 70)));

    let dead = START.after(HOLD_LIFE);
    let hold = payer.step(&ledger, &id(2), charge(0, 0), charge(0, 0), dead).await;
    assert_eq!(hold.expired_holds, 1);
    let hold = payer.step(&ledger, &id(3), charge(0, 0), charge(0, 0), dead).await;
    assert_eq!(hold.expired_holds, 0);
    table.session("s").await.assert_settled(charge(100, 70));
}

#[tokio::test]
async fn an_expired_hold_is_counted_also_by_a_reservation_that_draws_a_block() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = (Payer::new().with_day(1_000_000, 100), table.ledger());
    payer.reserve(&ledger, &id(0), charge(100, 100), START).await.unwrap();
    let hold = payer.step(&ledger, &id(1), charge(10, 10), charge(0, 0), at(600)).await;
    assert_eq!(hold.expired_holds, 1);
    table.session("s").await.assert_settled(charge(100, 100));
}

#[tokio::test]
async fn an_expired_hold_is_counted_also_under_limits_that_an_operator_has_set() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = (Payer::new(), table.ledger());
    payer.reserve(&ledger, &id(0), charge(100, 100), START).await.unwrap();
    table.set("s", &["limit_steps"], crate::books::number(20_000)).await;
    let hold = payer.step(&ledger, &id(1), charge(10, 10), charge(0, 0), at(600)).await;
    assert_eq!(hold.expired_holds, 1);
    table.session("s").await.assert_settled(charge(100, 100));
}

#[tokio::test]
async fn an_expired_hold_is_charged_also_when_the_next_reservation_is_refused() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = (Payer::new().with_limits(1, 1_000, 1_000), table.ledger());
    payer.reserve(&ledger, &id(0), charge(100, 100), START).await.unwrap();
    let refused = payer.reserve(&ledger, &id(1), charge(0, 0), at(600)).await;
    assert_eq!(refused_by(refused), Limit::Steps);
    table.session("s").await.assert_settled(charge(100, 100));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_expired_hold_is_charged_and_counted_once_however_many_see_it() {
    const DEAD: usize = 25;
    const READERS: usize = 32;
    let table = TableUnderTest::start().await;
    let payer = Payer::new().with_day(1_000_000, 100_000);
    let ledgers: Vec<_> = (0..4).map(|_| table.ledger()).collect();
    for number in 0..DEAD {
        payer.reserve(&ledgers[0], &id(number), charge(10, 10), START).await.unwrap();
    }
    let readers = (0..READERS).map(|reader| {
        let (payer, ledger) = (payer.clone(), &ledgers[reader % 4]);
        async move {
            let id = id(DEAD + reader);
            payer.step(ledger, &id, charge(1, 1), charge(0, 0), at(600)).await.expired_holds
        }
    });
    let mut counted: u64 = join_all(readers).await.into_iter().map(u64::from).sum();
    let mut later = DEAD + READERS;
    while !table.session("s").await.holds().is_empty() {
        let id = id(later);
        let hold = payer.step(&ledgers[0], &id, charge(1, 1), charge(0, 0), at(601)).await;
        counted += u64::from(hold.expired_holds);
        later += 1;
    }
    assert_eq!(counted, DEAD as u64);
    table.session("s").await.assert_settled(charge(250, 250));
}

#[tokio::test]
async fn a_settlement_that_finds_its_hold_gone_changes_nothing() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = (Payer::new(), table.ledger());
    payer.reserve(&ledger, &id(0), charge(100, 100), START).await.unwrap();
    payer.step(&ledger, &id(1), charge(0, 0), charge(0, 0), at(600)).await;
    payer.settle(&ledger, &id(0), charge(100, 100), charge(500, 500)).await.unwrap();
    table.session("s").await.assert_settled(charge(100, 100));

    // Nor does one of a session that never began.
    let stranger = payer.in_session("never");
    stranger.settle(&ledger, &id(0), charge(100, 100), charge(500, 500)).await.unwrap();
    assert_eq!(table.session_or_nothing("never").await.attributes(), 0);
}

#[tokio::test]
async fn a_hold_that_expired_but_was_not_collected_can_still_be_settled() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = (Payer::new(), table.ledger());
    payer.reserve(&ledger, &id(0), charge(100, 100), START).await.unwrap();
    // A settlement knows no time: whoever comes first decides.
    payer.settle(&ledger, &id(0), charge(100, 100), charge(30, 30)).await.unwrap();
    let hold = payer.step(&ledger, &id(1), charge(0, 0), charge(0, 0), at(600)).await;
    assert_eq!(hold.expired_holds, 0);
    table.session("s").await.assert_settled(charge(30, 30));
}

#[tokio::test]
async fn a_session_past_its_expiry_is_replaced_and_its_tenant_keeps_what_was_drawn() {
    let table = TableUnderTest::start().await;
    let mut payer = Payer::new().with_limits(2, 1_000, 1_000);
    payer.limits.idle_ttl = Duration::from_secs(3_600);
    let ledger = table.ledger();
    for number in 0..2 {
        payer.step(&ledger, &id(number), charge(100, 100), charge(90, 90), START).await;
    }
    let refused = payer.reserve(&ledger, &id(2), charge(1, 1), at(3_599)).await;
    assert_eq!(refused_by(refused), Limit::Steps);

    // Another tenant's this time: nothing of the old session is left.
    let heir = payer.clone().of_tenant("heir");
    let hold = heir.step(&ledger, &id(3), charge(100, 100), charge(50, 50), at(3_606)).await;
    assert_eq!(hold.account.steps, 1);
    let books = table.session("s").await;
    books.assert_settled(charge(50, 50));
    assert_eq!((books.steps(), books.drawn()), (1, 1_000));
    assert_eq!(table.tenant_day("acme", TODAY).await.drawn(), 1_000);
    assert_eq!(table.tenant_day("heir", TODAY).await.drawn(), 1_000);
    let gone = payer.reserve(&ledger, &id(4), charge(1, 1), at(3_607)).await;
    assert!(matches!(gone, Err(ReserveError::OtherTenant)), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_past_its_expiry_is_replaced_once_however_many_find_it() {
    let table = TableUnderTest::start().await;
    let mut payer = Payer::new();
    payer.limits.idle_ttl = Duration::from_secs(3_600);
    let ledgers: Vec<_> = (0..4).map(|_| table.ledger()).collect();
    payer.step(&ledgers[0], &id(0), charge(100, 100), charge(90, 90), START).await;
    let steps =
        (0..16).map(|number| {
            let (payer, ledger) = (payer.clone(), &ledgers[number % 4]);
            async move {
                payer.step(ledger, &id(1 + number), charge(10, 10), charge(9, 9), at(9_000)).await
            }
        });
    join_all(steps).await;
    let books = table.session("s").await;
    books.assert_settled(charge(144, 144));
    assert_eq!((books.steps(), books.drawn()), (16, 1_000));
    assert_eq!(table.tenant_day("acme", TODAY).await.drawn(), 2_000);
}

#[tokio::test]
async fn a_session_does_not_end_before_its_last_hold() {
    let table = TableUnderTest::start().await;
    let mut patient = Payer::new();
    patient.limits.idle_ttl = Duration::from_secs(10);
    // One function's time limit is longer than another's.
    patient.hold_life = Duration::from_secs(960);
    let hasty = Payer { hold_life: Duration::from_secs(90), ..patient.clone() };
    let ledger = table.ledger();
    patient.reserve(&ledger, &id(0), charge(100, 100), START).await.unwrap();
    hasty.step(&ledger, &id(1), charge(10, 10), charge(10, 10), at(1)).await;
    // The patient one is still at work.
    hasty.step(&ledger, &id(2), charge(10, 10), charge(10, 10), at(200)).await;
    patient.settle(&ledger, &id(0), charge(100, 100), charge(80, 80)).await.unwrap();
    table.session("s").await.assert_settled(charge(100, 100));
}
