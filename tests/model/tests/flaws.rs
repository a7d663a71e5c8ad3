//! The check can fail: each part of the protocol is missed by a rule when it is left out.

use std::collections::BTreeSet;

use model::properties::rule;
use model::{Flaw, Setup, World};
use stateright::{Checker, HasDiscoveries, Model};

/// Searches until the rule is seen broken.
fn assert_breaks(flaw: Flaw, setup: Setup, rule: &'static str) {
    let searched = HasDiscoveries::AnyOf(BTreeSet::from([rule]));
    let search =
        |setup| World::new(setup).checker().finish_when(searched.clone()).spawn_bfs().join();
    search(Setup { flaw: Some(flaw), ..setup.clone() }).assert_any_discovery(rule);
    search(setup).assert_no_discovery(rule);
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
fn without_the_absence_of_the_hold_a_repeated_reservation_takes_two() {
    let setup = Setup { crashes: 0, late_copies: 0, ..brief() };
    assert_breaks(Flaw::HoldTakenTwice, setup, rule::NO_HOLD_TWICE);
}

#[test]
fn without_the_execution_in_its_id_a_hold_pays_for_both_runs_of_a_request() {
    let setup = Setup { redeliveries: 1, lost_answers: 0, late_copies: 0, ..brief() };
    assert_breaks(Flaw::IdOfRequest, setup, rule::OWN_HOLD);
}

#[test]
fn without_recent_ids_a_late_copy_takes_a_second_hold() {
    assert_breaks(Flaw::NoRecentIds, brief(), rule::NO_HOLD_TWICE);
}

#[test]
fn without_the_presence_of_the_hold_a_repeated_settlement_is_charged_twice() {
    let setup = Setup { crashes: 0, late_copies: 0, ..brief() };
    assert_breaks(Flaw::SettledWithoutHold, setup, rule::SPENT);
}

#[test]
fn without_the_presence_of_the_hold_an_expired_one_is_charged_by_everybody_who_saw_it() {
    assert_breaks(Flaw::ExpiredWithoutHold, brief(), rule::SPENT);
}

#[test]
fn a_check_before_the_write_lets_two_routers_take_the_last_of_a_budget() {
    let setup = Setup { requests: 2, late_copies: 0, ..brief() };
    assert_breaks(Flaw::CheckedThenTaken, setup, rule::LIMIT);
}

#[test]
fn without_its_end_in_the_condition_a_live_session_is_replaced_with_its_holds() {
    assert_breaks(Flaw::LiveSessionReplaced, brief(), rule::NO_HOLD_LOST);
}

#[test]
fn without_the_days_limit_in_the_transaction_a_day_is_overdrawn() {
    let setup = Setup { day_limit: 2, ..brief() };
    assert_breaks(Flaw::DayDrawnBlindly, setup, rule::DAY);
}

#[test]
fn without_the_room_in_the_condition_a_session_commits_what_it_never_drew() {
    let setup = Setup { overruns: vec![-1, 0], asks: vec![2, 2, 2, 1], ..without_faults() };
    let setup = Setup { limit: 9, day_limit: 9, ..setup };
    assert_breaks(Flaw::RoomNotChecked, setup, rule::FUNDED);
}

#[test]
fn without_a_count_of_folds_spending_is_added_to_the_day_twice() {
    assert_breaks(Flaw::FoldedTwice, without_faults(), rule::FOLDED);
}

#[test]
fn a_count_of_folds_that_starts_anew_confuses_a_session_with_its_successor() {
    assert_breaks(Flaw::FoldedIntoNextSession, without_faults(), rule::FOLDED);
}

#[test]
fn a_session_that_is_over_sooner_than_its_holds_expire_loses_them() {
    let setup = Setup { idle_ttl: 1, hold_lives: vec![3, 1], ..brief() };
    assert_breaks(Flaw::ExpiryMovesBack, setup, rule::NO_HOLD_LOST);
}

#[test]
fn a_raised_limit_that_outlives_its_session_lets_the_next_one_pass_its_own() {
    let setup = Setup { asks: vec![3, 2], raised_limit: Some(5), day_limit: 9, ..without_faults() };
    assert_breaks(Flaw::LimitOutlivesSession, setup, rule::HELD);
}

#[test]
fn without_the_condition_on_the_users_day_it_is_drawn_beyond_its_limit() {
    let setup = Setup { user_limit: Some(2), ..without_faults() };
    assert_breaks(Flaw::UserDayDrawnBlindly, setup, rule::USER);
}

#[test]
fn without_the_conditions_on_the_hour_gateway_sessions_pass_its_limit() {
    let setup = Setup { gateway_limits: Some((3, 2)), ..without_faults() };
    assert_breaks(Flaw::HourTakenBlindly, setup, rule::HOUR);
}

#[test]
fn an_hour_that_is_not_settled_with_its_session_keeps_what_was_only_held() {
    let setup = Setup { gateway_limits: Some((4, 4)), ..without_faults() };
    assert_breaks(Flaw::HourNotSettled, setup, rule::HOUR_COUNTED);
}
