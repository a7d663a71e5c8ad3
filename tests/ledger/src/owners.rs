//! Whose a session is: its first tenant's, and its first user's.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use router_core::charge::Charge;
use router_core::ids::Fingerprint;
use router_core::ledger::{Holds, Ledger, Limit, Repeat, Reservation, ReserveError};
use router_core::units::{Learnt, MicroUsd, Moment, Tokens};

use crate::books::{charge, number};
use crate::ministack;
use crate::payer::{PLENTY, Payer, START, at, id, refused_by};
use crate::table::TableUnderTest;

/// What a step holds and uses.
const ONE: Charge = Charge { tokens: Tokens(10), cost: MicroUsd(10) };

fn is_of_another_user(result: &Result<Holds, ReserveError>) -> bool {
    matches!(result, Err(ReserveError::OtherUser))
}

#[tokio::test]
async fn a_session_belongs_to_the_first_user_who_comes_with_a_request_of_it() {
    let table = TableUnderTest::start().await;
    let ledger = table.ledger();
    let payer = Payer::new();
    payer.step(&ledger, &id(0), ONE, ONE, START).await;
    let first = payer.clone().of_user("u-1");
    first.step(&ledger, &id(1), ONE, ONE, START).await;
    let before = table.session("s").await;
    // With the money that is drawn already, with more than that, and with a process of its own.
    for (number, micro_usd) in [(2, 10), (3, 5_000)] {
        for other in [payer.clone(), payer.clone().of_user("u-2")] {
            for ledger in [&ledger, &table.ledger()] {
                let ask = charge(1, micro_usd);
                let refused = other.reserve(ledger, &id(number), ask, at(1)).await;
                assert!(is_of_another_user(&refused), "{refused:?}");
            }
        }
    }
    let after = table.session("s").await;
    assert_eq!((after.spent(), after.steps()), (before.spent(), 2));
    first.step(&ledger, &id(4), ONE, ONE, at(2)).await;
    table.session("s").await.assert_settled(charge(30, 30));
}

#[tokio::test]
async fn a_session_that_begins_with_a_user_is_that_users_and_its_item_does_not_say_who_that_is() {
    let table = TableUnderTest::start().await;
    let ledger = table.ledger();
    let payer = Payer::new();
    payer.clone().of_user("ann@example.com").step(&ledger, &id(0), ONE, ONE, START).await;
    let refused = payer.reserve(&ledger, &id(1), ONE, START).await;
    assert!(is_of_another_user(&refused), "{refused:?}");
    let item = table.item("SESSION#s", "BUDGET").await.unwrap();
    assert!(!format!("{item:?}").contains("ann"), "{item:?}");
}

#[tokio::test]
async fn of_two_users_at_once_one_has_the_session() {
    let table = TableUnderTest::start().await;
    let payer = Payer::new();
    payer.step(&table.ledger(), &id(0), ONE, ONE, START).await;
    let ledgers: Vec<_> = (0..8).map(|_| table.ledger()).collect();
    let users: Vec<Payer> =
        (0..8).map(|user| payer.clone().of_user(&format!("u-{user}"))).collect();
    let ids: Vec<_> = (1..9).map(id).collect();
    let asking = users.iter().zip(&ledgers).zip(&ids);
    let asking = asking.map(|((user, ledger), id)| user.reserve(ledger, id, ONE, START));
    let taken = join_all(asking).await;
    assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 1);
    assert_eq!(taken.iter().filter(|taken| is_of_another_user(taken)).count(), 7);
}

#[tokio::test]
async fn an_item_of_the_version_before_belongs_to_the_user_who_comes_next() {
    let table = TableUnderTest::start().await;
    let ledger = table.ledger();
    let payer = Payer::new().of_user("u-1");
    payer.step(&ledger, &id(0), ONE, ONE, START).await;
    table.remove("s", "user").await;
    payer.clone().of_user("u-2").step(&ledger, &id(1), ONE, ONE, START).await;
    let refused = payer.reserve(&ledger, &id(2), ONE, START).await;
    assert!(is_of_another_user(&refused), "{refused:?}");
}

#[tokio::test]
async fn a_refusal_that_is_remembered_is_told_to_nobody_else() {
    let table = TableUnderTest::start().await;
    let ledger = table.ledger();
    let payer = Payer::new().with_limits(1, 1_000, 1_000).of_user("u-1");
    payer.step(&ledger, &id(0), ONE, ONE, START).await;
    assert_eq!(refused_by(payer.reserve(&ledger, &id(1), ONE, at(1)).await), Limit::Steps);
    table.faults().forget_requests();
    assert_eq!(refused_by(payer.reserve(&ledger, &id(2), ONE, at(2)).await), Limit::Steps);
    assert!(table.faults().requests().is_empty(), "it is remembered");
    let refused = payer.clone().of_tenant("other").reserve(&ledger, &id(3), ONE, at(2)).await;
    assert!(matches!(refused, Err(ReserveError::OtherTenant)), "{refused:?}");
    let refused = payer.clone().of_user("u-2").reserve(&ledger, &id(4), ONE, at(2)).await;
    assert!(is_of_another_user(&refused), "{refused:?}");
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_make_a_refusal_last() {
    let table = TableUnderTest::start().await;
    let ledger = table.ledger();
    let payer = Payer::new().with_limits(1, 1_000, 1_000);
    payer.step(&ledger, &id(0), ONE, ONE, at(3_600)).await;
    assert_eq!(refused_by(payer.reserve(&ledger, &id(1), ONE, at(3_600)).await), Limit::Steps);
    table.set("s", &["limit_steps"], number(50)).await;
    // An hour back, and six seconds on by the steady clock.
    let id = id(2);
    let asked = Learnt::at(START, Moment(Duration::from_secs(3_606)));
    let holds = [payer.invocation(&id, ONE)];
    let reservation = Reservation { asked, ..payer.reservation(&holds, START) };
    ledger.reserve(&reservation, PLENTY).await.unwrap();
}

#[tokio::test]
async fn a_kept_answer_is_given_to_its_user_in_a_session_that_is_still_theirs() {
    let table = TableUnderTest::start().await;
    let ledger = table.ledger();
    let payer = Payer::new();
    payer.step(&ledger, &id(0), ONE, ONE, START).await;
    let fingerprint = Fingerprint::of(&payer.specialist, "Where is it?");
    let repeat = Repeat {
        payer: payer.payer(),
        specialist: &payer.specialist,
        fingerprint: &fingerprint,
        identity: "nobody",
        now: START,
    };
    ledger.keep(&repeat, 0, "there", Duration::from_secs(60), PLENTY).await.unwrap();
    assert!(ledger.recall(&repeat, PLENTY).await.is_some());
    payer.clone().of_user("u-1").step(&ledger, &id(1), ONE, ONE, START).await;
    assert_eq!(ledger.recall(&repeat, PLENTY).await, None, "the session is a user's by now");
}

#[tokio::test]
async fn an_item_that_cannot_be_used_is_no_table_that_does_not_answer() {
    for (attribute, value) in [
        ("limit_steps", AttributeValue::S("many".to_owned())),
        ("limit_micro_usd", AttributeValue::N("0.5".to_owned())),
        ("limit_tokens", AttributeValue::Bool(true)),
        ("steps", AttributeValue::S("3".to_owned())),
        ("drawn_micro_usd", AttributeValue::S("3".to_owned())),
        ("expires_at", AttributeValue::S("never".to_owned())),
    ] {
        // In a transaction, ministack adds to a string as if it were a number.
        if attribute == "drawn_micro_usd" && ministack::is_under_test() {
            continue;
        }
        let table = TableUnderTest::start().await;
        let ledger = table.ledger();
        let payer = Payer::new();
        payer.step(&ledger, &id(0), ONE, ONE, START).await;
        table.set("s", &[attribute], value).await;
        // More than is drawn, so that everything in the item matters.
        let refused = payer.reserve(&ledger, &id(1), charge(1, 5_000), START).await;
        assert!(matches!(refused, Err(ReserveError::Unusable(_))), "{attribute}: {refused:?}");
    }
}
