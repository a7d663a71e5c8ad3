//! Circuits in the table: one change at a time, and none twice.

use std::sync::Arc;

use futures_util::future::join_all;
use router_aws::DynamoCircuits;
use router_core::circuit::{Change, Changed, Circuit, CircuitStore, Forced, Probe, State};
use router_core::ids::{RootSession, SessionMark, SpecialistName};
use router_core::units::Timestamp;
use stand_ins::table_faults::Fault::{CloseAfterApplying, HangAfterApplying, ServerError};

use crate::books::number;
use crate::payer::PLENTY;
use crate::table::TableUnderTest;

const NOW: Timestamp = Timestamp(1_000);

fn orders() -> SpecialistName {
    SpecialistName::parse("orders").unwrap()
}

fn mark(session: &str) -> SessionMark {
    RootSession::parse("session", session).unwrap().mark()
}

fn probe(owner: &str) -> State {
    let probe = Probe { owner: owner.to_owned(), until: Timestamp(9_000) };
    State::HalfOpen { successes: 0, probe: Some(probe) }
}

async fn change(circuits: &DynamoCircuits, seen: u64, state: &State, author: &str) -> Changed {
    let specialist = &orders();
    let change = Change { specialist, seen, state, author, now: NOW };
    circuits.change(&change, PLENTY).await.unwrap()
}

async fn read(circuits: &DynamoCircuits) -> Option<Circuit> {
    let readings = circuits.read(&[&orders()], PLENTY).await.unwrap();
    readings.circuits.into_iter().next().map(|(name, circuit)| {
        assert_eq!(name, orders());
        circuit
    })
}

#[tokio::test]
async fn a_circuit_is_read_as_it_was_changed() {
    let table = TableUnderTest::start().await;
    let circuits = table.circuits();
    assert_eq!(read(&circuits).await, None, "nobody has failed yet");
    let states = [
        State::Closed { failures: 4, sessions: vec![mark("s"), mark("t")], since: NOW },
        State::Open { until: Timestamp(31_000) },
        probe("me"),
        State::HalfOpen { successes: 1, probe: None },
        State::Closed { failures: 0, sessions: Vec::new(), since: NOW },
    ];
    for (seen, state) in (0..).zip(states) {
        assert_eq!(change(&circuits, seen, &state, "me").await, Changed::Stored);
        let stored = Circuit { stamp: seen + 1, state, forced: None };
        assert_eq!(read(&circuits).await, Some(stored));
    }
}

#[tokio::test]
async fn of_many_that_take_the_probe_at_once_one_gets_it_and_the_others_hear_who() {
    let table = TableUnderTest::start().await;
    let open = State::Open { until: NOW };
    change(&table.circuits(), 0, &open, "opener").await;
    let processes: Vec<Arc<DynamoCircuits>> = (0..4).map(|_| Arc::new(table.circuits())).collect();
    let taking = (0..64).map(|n| {
        let circuits = Arc::clone(&processes[n % 4]);
        async move { change(&circuits, 1, &probe(&format!("attempt {n}")), &format!("{n}")).await }
    });
    let taken = join_all(taking).await;
    let winner = taken.iter().position(|changed| *changed == Changed::Stored).unwrap();
    let there = Circuit { stamp: 2, state: probe(&format!("attempt {winner}")), forced: None };
    for (n, changed) in taken.into_iter().enumerate().filter(|(n, _)| *n != winner) {
        assert_eq!(changed, Changed::Lost(there.clone()), "attempt {n}");
    }
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_is_made_once() {
    for fault in [CloseAfterApplying, HangAfterApplying, ServerError] {
        let table = TableUnderTest::start().await;
        let circuits = table.circuits();
        table.faults().script(fault.on("UpdateItem").times(1));
        let failed = State::Closed { failures: 1, sessions: vec![mark("s")], since: NOW };
        assert_eq!(change(&circuits, 0, &failed, "me").await, Changed::Stored, "{fault:?}");
        assert_eq!(read(&circuits).await.unwrap().stamp, 1, "{fault:?}");
    }
}

#[tokio::test]
async fn an_operators_word_outlives_every_change() {
    let table = TableUnderTest::start().await;
    let circuits = table.circuits();
    let forced = aws_sdk_dynamodb::types::AttributeValue::S("open".to_owned());
    table.set_at("CIRCUIT#orders", "STATE", &["forced"], forced.clone()).await;
    assert_eq!(read(&circuits).await.unwrap().forced, Some(Forced::Open.into()));
    let closed = State::Closed { failures: 1, sessions: vec![mark("s")], since: NOW };
    assert_eq!(change(&circuits, 0, &closed, "me").await, Changed::Stored);
    assert_eq!(read(&circuits).await.unwrap().forced, Some(Forced::Open.into()));
    table.set_at("CIRCUIT#*", "STATE", &["forced"], forced).await;
    let readings = circuits.read(&[&orders()], PLENTY).await.unwrap();
    assert_eq!(readings.all, Some(Forced::Open.into()));
    table.set_at("CIRCUIT#*", "STATE", &["forced"], number(1)).await;
    let readings = circuits.read(&[&orders()], PLENTY).await.unwrap();
    assert_eq!(readings.all, None, "a number is nobody's word");
}
