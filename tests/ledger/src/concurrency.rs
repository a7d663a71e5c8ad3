//! Many callers at once: no limit is passed by anything, and nothing is lost on the way.

use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use router_aws::DynamoLedger;
use router_core::charge::Charge;
use router_core::ledger::{Account, Limit, ReserveError};
use router_core::units::{MicroUsd, Timestamp, Tokens};
use stand_ins::table_faults::Fault;

use crate::books::{Books, charge};
use crate::payer::{Payer, START, TODAY, id, refused_by};
use crate::table::TableUnderTest;

const TASKS: usize = 64;
const LEDGERS: usize = 4;

/// What each reservation asks.
const ASK: Charge = Charge { tokens: Tokens(100), cost: MicroUsd(100) };

/// What the callers got.
#[derive(Debug, Default)]
struct Rush {
    granted: usize,
    refused: Vec<Limit>,
    used: Charge,
    /// When all was over.
    end: Timestamp,
}

/// Makes so many reservations, and settles each that is granted by a different ledger than took it,
/// every eighth twice. Task by task, the sessions take turns.
async fn rush(table: &TableUnderTest, payers: &[Payer], reservations: usize) -> Rush {
    let ledgers: Arc<[DynamoLedger]> = (0..LEDGERS).map(|_| table.ledger()).collect();
    let payers: Arc<[Payer]> = payers.into();
    let clock = Arc::new(AtomicU64::new(START.0));
    let tasks = (0..TASKS).map(|task| {
        let (ledgers, payers, clock) = (ledgers.clone(), payers.clone(), clock.clone());
        let mut payer = payers[task % payers.len()].clone();
        tokio::spawn(async move {
            let mut rush = Rush::default();
            for place in (task..reservations).step_by(TASKS) {
                let (taker, settler) =
                    (&ledgers[place % LEDGERS], &ledgers[(place + place / TASKS) % LEDGERS]);
                // A used-up session is remembered for 5 s: by then this is another time. An hour has
                // to last.
                let tick = if payer.gateway_hour.is_some() { 1 } else { 6_000 };
                let now = Timestamp(clock.fetch_add(tick, Ordering::SeqCst));
                payer.took_at = now;
                let mut taken = payer.reserve(taker, &id(place), ASK, now).await;
                // On a busy machine some wait for too long. They may find their own hold.
                while let Err(ReserveError::Unavailable(_) | ReserveError::Unusable(_)) = taken {
                    taken = payer.reserve(taker, &id(place), ASK, now).await;
                }
                match taken {
                    Ok(hold) => assert_within_limits(&hold.account),
                    Err(ReserveError::Exhausted(exhausted)) => {
                        rush.refused.push(exhausted.limit);
                        continue;
                    }
                    Err(error) => panic!("reservation {place}: {error:?}"),
                }
                let used = charge(60 + place as u64 % 41, 60 + place as u64 % 41);
                while payer.settle(settler, &id(place), ASK, used).await.is_err() {}
                if place % 8 == 0 {
                    while payer.settle(taker, &id(place), ASK, used).await.is_err() {}
                }
                rush.granted += 1;
                rush.used = rush.used.plus(used);
            }
            rush
        })
    });
    let mut all = Rush::default();
    for rush in join_all(tasks.collect::<Vec<_>>()).await {
        let Rush { granted, refused, used, .. } = rush.unwrap();
        all.granted += granted;
        all.refused.extend(refused);
        all.used = all.used.plus(used);
    }
    assert_eq!(all.granted + all.refused.len(), reservations);
    all.end = Timestamp(clock.load(Ordering::SeqCst));
    all
}

fn assert_within_limits(account: &Account) {
    let Account { steps, handoffs, committed, limits, .. } = *account;
    assert!(steps <= limits.steps && handoffs <= limits.handoffs, "{account:?}");
    assert!(committed.tokens <= limits.tokens && committed.cost <= limits.cost, "{account:?}");
}

/// A payer whose holds do not expire during a rush: nobody dies there.
fn immortal() -> Payer {
    Payer { hold_life: Duration::from_secs(86_000), ..Payer::new() }
}

/// Asserts what must be true of a session of its own once the rush is over.
async fn assert_at_rest(table: &TableUnderTest, rush: &Rush) -> Books {
    let books = table.session("s").await;
    books.assert_settled(rush.used);
    assert_eq!(books.steps(), rush.granted as u64);
    assert_eq!(table.tenant_day("acme", TODAY).await.drawn(), books.drawn());
    books
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_of_steps_is_reached_exactly_and_never_passed() {
    let table = TableUnderTest::start().await;
    let rush = rush(&table, &[immortal().with_limits(1_000, 1_000_000, 1_000_000)], 2_000).await;
    assert_eq!(rush.granted, 1_000);
    assert!(rush.refused.iter().all(|limit| *limit == Limit::Steps));
    assert_at_rest(&table, &rush).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_of_tokens_is_never_passed_and_can_be_used_to_the_last_one() {
    let table = TableUnderTest::start().await;
    let payer = immortal().with_limits(10_000, 50_000, 1_000_000);
    let rush = rush(&table, slice::from_ref(&payer), 1_000).await;
    assert!(rush.granted >= 500 && rush.refused.iter().all(|limit| *limit == Limit::Tokens));
    let books = assert_at_rest(&table, &rush).await;

    let left = 50_000 - books.spent().tokens.0;
    let ledger = table.ledger();
    let more = payer.reserve(&ledger, &id(9_001), charge(left + 1, 0), rush.end).await;
    assert_eq!(refused_by(more), Limit::Tokens);
    payer.reserve(&ledger, &id(9_002), charge(left, 0), rush.end).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_of_money_is_never_passed_and_can_be_used_to_the_last_micro_dollar() {
    let table = TableUnderTest::start().await;
    let payer = immortal().with_limits(10_000, 1_000_000, 50_000);
    let rush = rush(&table, slice::from_ref(&payer), 1_000).await;
    assert!(rush.granted >= 500 && rush.refused.iter().all(|limit| *limit == Limit::Cost));
    let books = assert_at_rest(&table, &rush).await;

    let left = 50_000 - books.spent().cost.0;
    let ledger = table.ledger();
    let more = payer.reserve(&ledger, &id(9_001), charge(0, left + 1), rush.end).await;
    assert_eq!(refused_by(more), Limit::Cost);
    payer.reserve(&ledger, &id(9_002), charge(0, left), rush.end).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_day_is_never_overdrawn_by_one_session_and_is_used_to_the_end() {
    let table = TableUnderTest::start().await;
    let rush = rush(&table, &[immortal().with_day(40_000, 1_000)], 1_000).await;
    assert!(rush.granted >= 400 && rush.refused.iter().all(|limit| *limit == Limit::Tenant));
    let books = assert_at_rest(&table, &rush).await;
    assert!(books.drawn() <= 40_000, "{books:?}");
    assert!(40_000 - books.spent().cost.0 < ASK.cost.0, "less than an ask is left: {books:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_day_is_never_overdrawn_by_many_sessions_whose_writes_conflict() {
    let table = TableUnderTest::start().await;
    table.faults().script(Fault::TransactionCanceled.on("TransactWriteItems").times(100));
    table.faults().script(Fault::TransactionConflict.on("UpdateItem").times(100));
    let payers: Vec<Payer> = (0..8)
        .map(|number| immortal().in_session(&format!("s{number}")).with_day(40_000, 1_000))
        .collect();
    let rush = rush(&table, &payers, 1_000).await;
    assert_eq!(table.faults().left(), 0);
    assert!(rush.refused.iter().all(|limit| *limit == Limit::Tenant));
    let (mut drawn, mut spent) = (0, Charge::default());
    for payer in &payers {
        let books = table.session(payer.session.as_str()).await;
        books.assert_settled(books.spent());
        drawn += books.drawn();
        spent = spent.plus(books.spent());
    }
    let day = table.tenant_day("acme", TODAY).await;
    assert_eq!((day.drawn(), spent), (drawn, rush.used));
    assert!(drawn <= 40_000 && 40_000 - drawn < ASK.cost.0, "{day:?}");
}

/// The books of these sessions together.
async fn all_books(table: &TableUnderTest, payers: &[Payer]) -> Charge {
    let mut spent = Charge::default();
    for payer in payers {
        let books = table.session_or_nothing(payer.session.as_str()).await;
        books.assert_settled(books.spent());
        spent = spent.plus(books.spent());
    }
    spent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_users_day_is_never_overdrawn_by_many_sessions_at_once() {
    let table = TableUnderTest::start().await;
    let payers: Vec<Payer> = (0..8)
        .map(|number| {
            immortal().in_session(&format!("s{number}")).of_user("u").with_user_day(40_000)
        })
        .collect();
    let rush = rush(&table, &payers, 1_000).await;
    assert!(rush.granted >= 400 && rush.refused.iter().all(|limit| *limit == Limit::User));
    assert_eq!(all_books(&table, &payers).await, rush.used);
    let day = table.user_day(&payers[0], TODAY).await;
    assert!(day.drawn() <= 40_000 && 40_000 - day.drawn() < ASK.cost.0, "{day:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hour_of_gateways_is_reached_exactly_over_many_sessions_that_were_made_up() {
    let table = TableUnderTest::start().await;
    let payers: Vec<Payer> = (0..32)
        .map(|number| immortal().through_gateway(&format!("s{number}"), 200, 1_000_000))
        .collect();
    let rush = rush(&table, &payers, 400).await;
    assert_eq!(rush.granted, 200);
    assert!(rush.refused.iter().all(|limit| *limit == Limit::GatewaySteps));
    assert_eq!(all_books(&table, &payers).await, rush.used);
    let hour = table.gateway_hour(START).await;
    assert_eq!(hour.steps(), 200);
    assert_eq!((hour.committed().cost, hour.spent().cost), (rush.used.cost, rush.used.cost));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hours_money_is_never_passed_and_is_used_to_the_end() {
    let table = TableUnderTest::start().await;
    table.faults().script(Fault::TransactionCanceled.on("TransactWriteItems").times(60));
    let payers: Vec<Payer> = (0..16)
        .map(|number| immortal().through_gateway(&format!("s{number}"), 10_000, 10_000))
        .collect();
    let rush = rush(&table, &payers, 300).await;
    assert_eq!(table.faults().left(), 0);
    assert!(rush.granted >= 100 && rush.refused.iter().all(|limit| *limit == Limit::GatewayCost));
    assert_eq!(all_books(&table, &payers).await, rush.used);
    let hour = table.gateway_hour(START).await;
    assert_eq!((hour.committed().cost, hour.spent().cost), (rush.used.cost, rush.used.cost));
    assert!(10_000 - rush.used.cost.0 < ASK.cost.0, "less than an ask is left");
}
