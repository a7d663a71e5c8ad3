//! Holds for further attempts of an invocation that has its step already.

use router_aws::DynamoLedger;
use router_core::ids::HoldId;
use router_core::ledger::{Holds, Limit, Purpose, ReserveError};

use crate::books::charge;
use crate::payer::{Payer, at, id, refused_by};
use crate::table::TableUnderTest;

async fn retry(payer: &Payer, ledger: &DynamoLedger, id: &HoldId) -> Result<Holds, ReserveError> {
    payer.reserve_as(Purpose::Retry, ledger, id, charge(100, 100), at(1)).await
}

#[tokio::test]
async fn a_retry_takes_tokens_and_money_and_neither_a_step_nor_a_turn() {
    let table = TableUnderTest::start().await;
    let payer = Payer::new().with_limits(1, 300, 300);
    let ledger = table.ledger();
    let ask = charge(100, 100);
    payer.step(&ledger, &id(0), ask, ask, at(0)).await;
    let first = retry(&payer, &ledger, &id(1)).await.unwrap();
    assert_eq!((first.account.steps, first.account.committed), (1, charge(200, 200)));
    assert_eq!(first.lanes[0].generation, 0);
    payer.settle(&ledger, &id(1), ask, ask).await.unwrap();
    retry(&payer, &ledger, &id(2)).await.unwrap();
    assert_eq!(refused_by(retry(&payer, &ledger, &id(3)).await), Limit::Tokens);
    let refused = payer.reserve(&ledger, &id(4), ask, at(1)).await;
    assert_eq!(refused_by(refused), Limit::Steps, "an invocation needs a step");
}

#[tokio::test]
async fn a_retry_draws_from_the_tenants_day_as_an_invocation_does() {
    let table = TableUnderTest::start().await;
    let payer = Payer::new().with_day(250, 100);
    let ledger = table.ledger();
    let ask = charge(100, 100);
    payer.step(&ledger, &id(0), ask, ask, at(0)).await;
    retry(&payer, &ledger, &id(1)).await.unwrap();
    assert_eq!(refused_by(retry(&payer, &ledger, &id(2)).await), Limit::Tenant);
}

#[tokio::test]
async fn a_retry_that_finds_its_specialist_taken_has_a_lane_of_its_own() {
    let table = TableUnderTest::start().await;
    let payer = Payer::new();
    let ledger = table.ledger();
    let ask = charge(100, 100);
    payer.step(&ledger, &id(0), ask, ask, at(0)).await;
    // While nothing was held, two others came.
    let others = [
        payer.reserve(&ledger, &id(10), ask, at(1)).await.unwrap().lanes[0].number,
        payer.reserve(&ledger, &id(11), ask, at(1)).await.unwrap().lanes[0].number,
    ];
    let lane = retry(&payer, &ledger, &id(1)).await.unwrap().lanes[0];
    assert!(!others.contains(&lane.number), "{others:?} and {}", lane.number);
    let again = retry(&payer, &ledger, &id(1)).await.unwrap();
    assert_eq!(again.account.committed, charge(400, 400), "the same hold is found again");
    let next = payer.reserve(&ledger, &id(12), ask, at(1)).await.unwrap().lanes[0].number;
    assert!(next != lane.number && !others.contains(&next));
}
