//! The protocol keeps its rules in every state, whatever happens to its writes.
//!
//! Each world is small in another respect; together they take a few minutes of one core.

use model::properties::event;
use model::{Flaw, Setup, World};
use stateright::{Checker, Model};

/// Visits every state and asserts every rule, and that everything interesting happened but
/// what cannot in this world.
fn assert_rules(setup: Setup, impossible: &[&str]) {
    let checker = World::new(setup).checker().spawn_bfs().join();
    assert!(checker.is_done());
    println!("{} states", checker.unique_state_count());
    let Setup { redeliveries, user_limit, gateway_limits, .. } = &checker.model().setup;
    for property in checker.model().properties() {
        let is_impossible = impossible.contains(&property.name)
            || *redeliveries == 0 && property.name == event::REDELIVERED
            || user_limit.is_none() && property.name == event::USER_USED_UP
            || gateway_limits.is_none() && property.name == event::HOUR_USED_UP;
        match is_impossible {
            true => checker.assert_no_discovery(property.name),
            false if property.expectation.discovery_is_failure() => {
                checker.assert_no_discovery(property.name);
            }
            false => drop(checker.assert_any_discovery(property.name)),
        }
    }
}

/// A request for each router, and all ids in one slot.
fn brief() -> Setup {
    Setup { requests: 1, recent_slots: 1, ..Setup::default() }
}

/// Two requests for each router, and no fault.
fn without_faults() -> Setup {
    Setup { crashes: 0, lost_answers: 0, late_copies: 0, ..Setup::default() }
}

#[test]
fn the_rules_hold_through_a_crash_a_lost_answer_and_a_late_copy() {
    assert_rules(brief(), &[]);
}

#[test]
fn the_rules_hold_through_crashes_and_lost_answers_of_routers_with_two_requests_each() {
    let setup = Setup { crashes: 1, lost_answers: 1, overruns: vec![0, 1], ..without_faults() };
    assert_rules(setup, &[event::DUPLICATE, event::CHARGED_TWICE]);
}

#[test]
fn the_rules_hold_when_copies_of_writes_arrive_late() {
    let setup = Setup { late_copies: 1, overruns: vec![-1, 1], ..without_faults() };
    assert_rules(setup, &[]);
}

#[test]
fn the_rules_hold_when_a_request_is_delivered_again_after_a_crash_or_before_its_end() {
    let setup = Setup { redeliveries: 1, lost_answers: 0, late_copies: 0, ..brief() };
    assert_rules(setup, &[event::DUPLICATE, event::CHARGED_TWICE]);
}

#[test]
fn the_rules_hold_among_three_routers() {
    let setup = Setup { routers: 3, requests: 1, ..without_faults() };
    assert_rules(setup, &[event::EXPIRED, event::DUPLICATE, event::CHARGED_TWICE]);
}

#[test]
fn the_rules_hold_when_an_operator_raises_the_limit() {
    let setup = Setup { asks: vec![3, 2], raised_limit: Some(5), day_limit: 9, ..without_faults() };
    assert_rules(setup, &[event::EXPIRED, event::DUPLICATE, event::CHARGED_TWICE]);
}

#[test]
fn the_rules_hold_for_branches_that_are_taken_and_settled_together_and_one_of_which_is_stopped() {
    let setup = Setup { branches: 2, asks: vec![1, 2], max_steps: 5, day_limit: 9, ..brief() };
    let setup = Setup { limit: 6, recent_slots: 2, overruns: vec![-1, 1], ..setup };
    assert_rules(setup, &[event::DAY_USED_UP, event::CHARGED_TWICE]);
}

#[test]
fn a_session_that_outlasts_its_holds_may_have_its_end_moved_back() {
    assert_rules(Setup { flaw: Some(Flaw::ExpiryMovesBack), ..brief() }, &[]);
}

#[test]
fn the_rules_hold_for_a_session_that_draws_from_its_users_day_too() {
    let setup = Setup { user_limit: Some(4), ..brief() };
    assert_rules(setup, &[event::DAY_USED_UP]);
}

#[test]
fn the_rules_hold_for_gateway_sessions_which_share_an_hour() {
    let setup = Setup { gateway_limits: Some((3, 3)), ..brief() };
    assert_rules(setup, &[]);
}

#[test]
fn the_rules_hold_for_two_front_doors_of_one_session_whose_rounds_take_no_step() {
    let setup = Setup { front_doors: true, max_steps: 1, crashes: 1, ..without_faults() };
    assert_rules(setup, &[event::DUPLICATE, event::CHARGED_TWICE]);
}

#[test]
fn the_rules_hold_for_front_doors_when_answers_are_lost_and_copies_arrive_late() {
    let setup = Setup { front_doors: true, max_steps: 1, overruns: vec![0, 1], ..Setup::default() };
    let setup = Setup { crashes: 0, horizon: 4, ..setup };
    assert_rules(setup, &[]);
}
