//! The circuits keep their rules in every state, however long they run.

use model::circuit::properties::event;
use model::circuit::{Setup, World};
use stateright::{Checker, Model};

/// Visits every state and asserts every rule, and that everything interesting happened but what
/// cannot in this world.
fn assert_rules(setup: Setup, impossible: &[&str]) {
    let checker = World::new(setup).checker().spawn_bfs().join();
    assert!(checker.is_done());
    println!("{} states", checker.unique_state_count());
    for property in checker.model().properties() {
        let is_rule = property.expectation.discovery_is_failure();
        if is_rule || impossible.contains(&property.name) {
            checker.assert_no_discovery(property.name);
        } else {
            drop(checker.assert_any_discovery(property.name));
        }
    }
}

/// No late copies.
fn in_time() -> Setup {
    Setup { late_copies: 0, ..Setup::default() }
}

/// A process with two attempts under way.
fn one_process() -> Setup {
    Setup { processes: 1, tasks: 2, failed_reads: false, lost_answers: false, ..in_time() }
}

#[test]
fn the_rules_hold_between_two_processes_through_every_fault() {
    assert_rules(Setup::default(), &[event::OLD_MEMORY, event::OPENED_SOONER]);
}

#[test]
fn a_failure_is_counted_twice_where_its_answer_was_lost_and_another_change_came_between() {
    let setup = Setup { failures: 3, given_up: false, failed_reads: false, ..in_time() };
    assert_rules(setup, &[event::OLD_MEMORY, event::LATE_PLACE]);
}

#[test]
fn a_failure_is_counted_once_where_no_answer_is_lost() {
    let setup = Setup { failures: 3, lost_answers: false, failed_reads: false, ..in_time() };
    assert_rules(setup, &[event::OLD_MEMORY, event::LATE_PLACE, event::OPENED_SOONER]);
}

#[test]
fn the_rules_hold_where_it_takes_the_failures_of_two_sessions() {
    let setup = Setup { sessions: 2, given_up: false, failed_reads: false, ..in_time() };
    assert_rules(setup, &[event::OLD_MEMORY, event::LATE_PLACE, event::OPENED_SOONER]);
}

#[test]
fn the_rules_hold_among_two_attempts_of_a_process_whose_memory_only_goes_forward() {
    assert_rules(one_process(), &[event::OPENED_SOONER]);
}

#[test]
fn a_process_that_fails_to_read_while_its_probe_is_out_hears_of_its_success() {
    let setup = Setup { failed_reads: true, vanishing: false, given_up: false, ..one_process() };
    assert_rules(setup, &[event::OPENED_SOONER, event::LATE_PLACE, event::VANISHED]);
}
