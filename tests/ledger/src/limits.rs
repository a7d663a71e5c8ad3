//! Limits that an operator sets by hand, and sessions that have used theirs up.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use router_core::ledger::{Limit, Purpose, ReserveError};

use crate::books::{charge, number};
use crate::payer::{Payer, START, at, id, refused_by};
use crate::table::TableUnderTest;

/// A refusal by a limit, with its value.
fn refused_at<T: std::fmt::Debug>(result: Result<T, ReserveError>) -> (Limit, u64) {
    match result {
        Err(ReserveError::Exhausted(exhausted)) => (exhausted.limit, exhausted.max),
        other => panic!("not refused by a limit: {other:?}"),
    }
}

#[tokio::test]
async fn a_limit_set_in_the_item_replaces_the_policys_upwards_and_downwards() {
    // Each session has used two hand-offs of 100 tokens and micro-dollars, and may three.
    for (attribute, limit, unit) in [
        ("limit_steps", Limit::Steps, 1),
        ("limit_handoffs", Limit::Handoffs, 1),
        ("limit_tokens", Limit::Tokens, 100),
        ("limit_micro_usd", Limit::Cost, 100),
    ] {
        let table = TableUnderTest::start().await;
        let many = 1_000;
        let mut payer = Payer::new().with_limits(many, 100 * many, 100 * many);
        match limit {
            Limit::Steps => payer.limits.max_steps = 3,
            Limit::Handoffs => payer.limits.max_handoffs = 3,
            Limit::Tokens => payer.limits.max_tokens.0 = 300,
            Limit::Cost => payer.limits.max_cost.0 = 300,
            other => panic!("{other} is no limit of a session's"),
        }
        let ledger = table.ledger();
        let ask = charge(100, 100);
        // Ten seconds apart: longer than a refusal is remembered.
        let mut turns = 0..;
        let mut hand_over = async || {
            let turn = turns.next().unwrap();
            let result = payer
                .reserve_as(Purpose::Handoff, &ledger, &id(turn), ask, at(10 * turn as u64))
                .await;
            if result.is_ok() {
                payer.settle(&ledger, &id(turn), ask, ask).await.unwrap();
            }
            result
        };
        hand_over().await.unwrap();
        hand_over().await.unwrap();

        table.set("s", &[attribute], number(2 * unit)).await;
        assert_eq!(refused_at(hand_over().await), (limit, 2 * unit), "{attribute}: lowered");
        table.set("s", &[attribute], number(0)).await;
        assert_eq!(refused_at(hand_over().await), (limit, 0), "{attribute}: lowered to nothing");
        table.set("s", &[attribute], number(5 * unit)).await;
        for _ in 2..5 {
            hand_over().await.unwrap_or_else(|error| panic!("{attribute}: raised: {error:?}"));
        }
        assert_eq!(refused_at(hand_over().await), (limit, 5 * unit), "{attribute}: used up");
        table.session("s").await.assert_settled(charge(500, 500));
    }
}

#[tokio::test]
async fn a_session_may_be_set_up_with_its_limits_before_it_begins() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = (Payer::new(), table.ledger());
    table.set("s", &["limit_steps"], number(1)).await;
    let hold = payer.step(&ledger, &id(0), charge(100, 100), charge(50, 50), START).await;
    assert_eq!(hold.account.limits.steps, 1);
    let second = payer.reserve(&ledger, &id(1), charge(100, 100), at(1)).await;
    assert_eq!(refused_at(second), (Limit::Steps, 1));
    table.session("s").await.assert_settled(charge(50, 50));
}

#[tokio::test]
async fn a_raised_limit_lets_a_used_up_session_go_on_after_five_seconds() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = (Payer::new().with_limits(1, 1_000, 1_000), table.ledger());
    payer.step(&ledger, &id(0), charge(1, 1), charge(1, 1), START).await;
    assert_eq!(refused_by(payer.reserve(&ledger, &id(1), charge(1, 1), at(1)).await), Limit::Steps);
    table.set("s", &["limit_steps"], number(2)).await;
    assert_eq!(refused_by(payer.reserve(&ledger, &id(2), charge(1, 1), at(5)).await), Limit::Steps);
    payer.step(&ledger, &id(3), charge(1, 1), charge(1, 1), at(6)).await;
    table.session("s").await.assert_settled(charge(2, 2));
}

#[tokio::test]
async fn a_used_up_session_costs_one_write_in_five_seconds() {
    for (payer, limit) in [
        (Payer::new().with_limits(1, 1_000, 1_000), Limit::Steps),
        (Payer::new().with_limits(10, 100, 1_000), Limit::Tokens),
        (Payer::new().with_limits(10, 1_000, 100), Limit::Cost),
    ] {
        let table = TableUnderTest::start().await;
        let ledger = table.ledger();
        payer.step(&ledger, &id(0), charge(100, 100), charge(90, 90), START).await;
        table.faults().forget_requests();
        let mut writes = Vec::new();
        for second in 1..=12 {
            let (id, now) = (id(second), at(second as u64));
            let refused = payer.reserve(&ledger, &id, charge(20, 20), now).await;
            assert_eq!(refused_by(refused), limit);
            writes.push(table.faults().requests().get("UpdateItem").copied().unwrap_or(0));
        }
        // The refusals in between do not make the memory last longer.
        assert_eq!(writes, [1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3], "{limit}");
        assert_eq!(table.faults().requests(), BTreeMap::from([("UpdateItem".to_owned(), 3)]));
    }
}

#[tokio::test]
async fn a_session_whose_holds_use_it_up_is_asked_again_at_once() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = (Payer::new().with_limits(10, 100, 100), table.ledger());
    payer.reserve(&ledger, &id(0), charge(90, 90), START).await.unwrap();
    let refused = payer.reserve(&ledger, &id(1), charge(20, 20), START).await;
    assert_eq!(refused_by(refused), Limit::Tokens);
    payer.settle(&ledger, &id(0), charge(90, 90), charge(10, 10)).await.unwrap();
    payer.step(&ledger, &id(2), charge(20, 20), charge(20, 20), START).await;
    table.session("s").await.assert_settled(charge(30, 30));
}

#[tokio::test]
async fn a_used_up_session_still_grants_what_fits_into_the_rest() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = (Payer::new().with_limits(10, 100, 1_000), table.ledger());
    payer.step(&ledger, &id(0), charge(90, 90), charge(90, 90), START).await;
    let refused = payer.reserve(&ledger, &id(1), charge(20, 20), START).await;
    assert_eq!(refused_by(refused), Limit::Tokens);
    payer.step(&ledger, &id(2), charge(10, 10), charge(10, 10), START).await;
    table.session("s").await.assert_settled(charge(100, 100));
}

#[tokio::test]
async fn an_overrun_is_charged_in_full_and_leaves_no_room() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = (Payer::new().with_limits(10, 100, 100), table.ledger());
    payer.step(&ledger, &id(0), charge(100, 100), charge(130, 130), START).await;
    let refused = payer.reserve(&ledger, &id(1), charge(1, 1), at(10)).await;
    assert_eq!(refused_by(refused), Limit::Tokens);
    table.session("s").await.assert_settled(charge(130, 130));
}

#[tokio::test]
async fn a_refusal_says_what_is_settled_what_is_held_and_what_was_asked() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = (Payer::new().with_limits(10, 100, 1_000), table.ledger());
    payer.step(&ledger, &id(0), charge(50, 50), charge(30, 30), START).await;
    payer.reserve(&ledger, &id(1), charge(50, 50), START).await.unwrap();
    let Err(ReserveError::Exhausted(exhausted)) =
        payer.reserve(&ledger, &id(2), charge(21, 21), START).await
    else {
        panic!("21 tokens do not fit into 20")
    };
    assert_eq!(exhausted.limit, Limit::Tokens);
    let numbers = (exhausted.settled, exhausted.held, exhausted.asked, exhausted.max);
    assert_eq!(numbers, (30, 50, 21, 100));
    assert_eq!(exhausted.account.committed, charge(80, 80));
}

#[tokio::test]
async fn a_limit_that_is_none_refuses_at_once_and_says_which_it_is() {
    for malformed in [AttributeValue::S("50".to_owned()), AttributeValue::N("-1".to_owned())] {
        let table = TableUnderTest::start().await;
        let (payer, ledger) = (Payer::new(), table.ledger());
        let ask = charge(100, 100);
        payer.reserve(&ledger, &id(0), ask, START).await.unwrap();
        table.set("s", &["limit_tokens"], malformed).await;
        table.faults().forget_requests();
        let refused = payer.reserve(&ledger, &id(1), ask, START).await.unwrap_err();
        let ReserveError::Unusable(why) = refused else { panic!("{refused:?}") };
        assert!(why.to_string().contains("(limit_tokens)"), "{why}");
        assert_eq!(table.faults().requests(), BTreeMap::from([("UpdateItem".to_owned(), 1)]));
    }
}
