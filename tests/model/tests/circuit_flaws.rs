//! The check of the circuits can fail: each part is missed by a rule when it is left out.

use std::collections::BTreeSet;

use model::circuit::properties::rule;
use model::circuit::{Flaw, Setup, World};
use stateright::{Checker, HasDiscoveries, Model};

/// Searches until the rule is seen broken.
fn assert_breaks(flaw: Flaw, setup: Setup, rule: &'static str) {
    let searched = HasDiscoveries::AnyOf(BTreeSet::from([rule]));
    let search =
        |setup| World::new(setup).checker().finish_when(searched.clone()).spawn_bfs().join();
    search(Setup { flaw: Some(flaw), ..setup.clone() }).assert_any_discovery(rule);
    search(setup).assert_no_discovery(rule);
}

/// Two processes, and no fault.
fn without_faults() -> Setup {
    Setup {
        longest_exchange: 0,
        vanishing: false,
        lost_answers: false,
        given_up: false,
        failed_reads: false,
        late_copies: 0,
        ..Setup::default()
    }
}

/// A process with two attempts under way.
fn one_process() -> Setup {
    Setup { processes: 1, tasks: 2, ..without_faults() }
}

#[test]
fn without_the_stamp_in_the_condition_two_take_the_probes_place() {
    assert_breaks(Flaw::ChangedBlindly, without_faults(), rule::ONE_PROBE);
}

#[test]
fn a_change_that_is_taken_for_ones_own_lets_two_probes_out() {
    assert_breaks(Flaw::RecognisedByStamp, without_faults(), rule::ONE_PROBE);
}

#[test]
fn a_repeated_change_that_is_not_recognised_is_counted_twice() {
    let setup = Setup { lost_answers: true, ..without_faults() };
    assert_breaks(Flaw::NotRecognised, setup, rule::ONCE);
}

#[test]
fn where_all_attempts_of_a_process_are_one_owner_one_speaks_for_the_probe() {
    assert_breaks(Flaw::OwnerIsProcess, one_process(), rule::OWN_WORD);
}

#[test]
fn where_all_attempts_of_a_process_are_one_owner_two_probes_are_out() {
    assert_breaks(Flaw::OwnerIsProcess, one_process(), rule::ONE_PROBE);
}

#[test]
fn a_probe_whose_place_does_not_expire_keeps_everybody_out_when_it_vanishes() {
    let setup = Setup { vanishing: true, ..without_faults() };
    assert_breaks(Flaw::ProbeForEver, setup, rule::ENDS);
}

#[test]
fn an_attempt_that_began_before_it_opened_must_not_end_the_probe() {
    assert_breaks(Flaw::EverybodyHasASay, without_faults(), rule::OWN_WORD);
    assert_breaks(Flaw::EverybodyHasASay, without_faults(), rule::PLACE);
}

#[test]
fn an_unknown_verdict_that_counts_as_a_failure_opens() {
    assert_breaks(Flaw::UnknownIsFailing, without_faults(), rule::UNKNOWN);
}

#[test]
fn where_it_is_not_asked_whose_they_are_the_failures_of_one_session_open_it() {
    let setup = Setup { sessions: 2, ..without_faults() };
    assert_breaks(Flaw::OpensForOneSession, setup, rule::SESSIONS);
}

#[test]
fn a_success_that_is_reported_again_ends_failures_that_came_after_it() {
    assert_breaks(Flaw::RunEndedBlindly, without_faults(), rule::WIPED);
}

#[test]
fn a_memory_that_never_expires_lets_attempts_through_an_open_circuit() {
    assert_breaks(Flaw::RemembersForEver, without_faults(), rule::MEMORY);
}

#[test]
fn a_memory_that_goes_back_does_not_know_of_the_probe_any_more() {
    assert_breaks(Flaw::MemoryGoesBack, one_process(), rule::HEARD);
}

#[test]
fn a_memory_that_goes_back_closes_the_circuit_over_a_failed_probe() {
    assert_breaks(Flaw::MemoryGoesBack, one_process(), rule::CLOSES);
}
