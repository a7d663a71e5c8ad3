//! What each kind of step costs in requests to the table.

use std::collections::BTreeMap;

use router_core::ids::HoldId;
use router_core::ledger::Limit;

use crate::books::{charge, number};
use crate::payer::{Payer, START, at, id, refused_by};
use crate::table::TableUnderTest;

fn counts<const N: usize>(counts: [(&str, usize); N]) -> BTreeMap<String, usize> {
    counts.map(|(operation, count)| (operation.to_owned(), count)).into()
}

/// Makes a step, and says which requests it took before and after.
async fn step(
    table: &TableUnderTest,
    payer: &Payer,
    id: &HoldId,
    second: u64,
) -> (BTreeMap<String, usize>, BTreeMap<String, usize>) {
    let ledger = table.ledger();
    let ask = charge(100, 100);
    table.faults().forget_requests();
    payer.reserve(&ledger, id, ask, at(second)).await.unwrap();
    let before = table.faults().requests();
    table.faults().forget_requests();
    payer.settle(&ledger, id, ask, ask).await.unwrap();
    (before, table.faults().requests())
}

#[tokio::test]
async fn an_ordinary_step_is_one_write_before_and_one_after() {
    let table = TableUnderTest::start().await;
    let payer = Payer::new();
    step(&table, &payer, &id(0), 0).await;
    let one = counts([("UpdateItem", 1)]);
    for number in 1..5 {
        assert_eq!(step(&table, &payer, &id(number), 1).await, (one.clone(), one.clone()));
    }
}

#[tokio::test]
async fn the_first_step_of_a_session_takes_a_transaction_more() {
    let table = TableUnderTest::start().await;
    let (before, after) = step(&table, &Payer::new(), &id(0), 0).await;
    assert_eq!(before, counts([("TransactWriteItems", 1), ("UpdateItem", 1)]));
    assert_eq!(after, counts([("UpdateItem", 1)]));
}

#[tokio::test]
async fn a_step_that_draws_a_block_takes_a_transaction_and_a_reading_more() {
    let table = TableUnderTest::start().await;
    let payer = Payer::new().with_day(1_000_000, 100);
    step(&table, &payer, &id(0), 0).await;
    let (before, after) = step(&table, &payer, &id(1), 1).await;
    let drawing = [("GetItem", 1), ("TransactWriteItems", 1), ("UpdateItem", 1)];
    assert_eq!(before, counts(drawing));
    assert_eq!(after, counts([("UpdateItem", 1)]));
}

#[tokio::test]
async fn a_step_that_finds_expired_holds_takes_a_write_more() {
    let table = TableUnderTest::start().await;
    let payer = Payer::new();
    for number in 0..3 {
        payer.reserve(&table.ledger(), &id(number), charge(1, 1), START).await.unwrap();
    }
    let (before, _) = step(&table, &payer, &id(3), 600).await;
    assert_eq!(before, counts([("UpdateItem", 2)]));
    let (before, _) = step(&table, &payer, &id(4), 601).await;
    assert_eq!(before, counts([("UpdateItem", 1)]));
}

#[tokio::test]
async fn a_step_under_an_operators_limits_takes_a_write_more() {
    let table = TableUnderTest::start().await;
    let payer = Payer::new();
    step(&table, &payer, &id(0), 0).await;
    table.set("s", &["limit_steps"], number(50)).await;
    let (before, _) = step(&table, &payer, &id(1), 1).await;
    assert_eq!(before, counts([("UpdateItem", 2)]));
}

#[tokio::test]
async fn a_refusal_takes_one_write_and_one_by_the_tenants_day_a_transaction_more() {
    let table = TableUnderTest::start().await;
    let ledger = table.ledger();
    let payer = Payer::new().with_limits(1, 1_000, 1_000).with_day(100, 100);
    step(&table, &payer, &id(0), 0).await;
    table.faults().forget_requests();
    let refused = payer.reserve(&ledger, &id(1), charge(1, 1), at(1)).await;
    assert_eq!(refused_by(refused), Limit::Steps);
    assert_eq!(table.faults().requests(), counts([("UpdateItem", 1)]));

    let payer = Payer::new().with_day(100, 100);
    table.faults().forget_requests();
    let refused = payer.reserve(&table.ledger(), &id(2), charge(1, 1), at(1)).await;
    assert_eq!(refused_by(refused), Limit::Tenant);
    // It tries a block, and then exactly what is asked.
    let twice = counts([("TransactWriteItems", 2), ("UpdateItem", 1)]);
    let once = counts([("TransactWriteItems", 1), ("UpdateItem", 1)]);
    let found = table.faults().requests();
    assert!(found == once || found == twice, "{found:?}");
}

#[tokio::test]
async fn a_step_that_a_later_one_has_overtaken_takes_a_write_more() {
    let table = TableUnderTest::start().await;
    let payer = Payer::new();
    step(&table, &payer, &id(0), 10).await;
    // The session's end, kept in seconds, stays where the later step has put it.
    let (before, _) = step(&table, &payer, &id(1), 9).await;
    assert_eq!(before, counts([("UpdateItem", 2)]));
    let (before, _) = step(&table, &payer, &id(2), 10).await;
    assert_eq!(before, counts([("UpdateItem", 1)]));
}
