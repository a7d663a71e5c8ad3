use super::*;
use crate::score::{Chosen, Outcome};
use router_core::units::{MicroUsd, Tokens};

/// One class: so many requests that went right, that went wrong, and that got no decision.
fn class(specialist: &str, right: usize, wrong: usize, undecided: usize) -> Vec<Outcome> {
    let right = std::iter::repeat_n(Chosen::Specialist(specialist.to_owned()), right);
    let wrong = std::iter::repeat_n(Chosen::Nobody, wrong);
    let undecided = std::iter::repeat_n(Chosen::NoDecision, undecided);
    let outcome = |chosen| Outcome {
        case: 1,
        expected: specialist.to_owned(),
        chosen,
        latency_ms: 500,
        tokens: Tokens(0),
        cost: MicroUsd(0),
    };
    right.chain(wrong).chain(undecided).map(outcome).collect()
}

fn judge(outcomes: &[Outcome]) -> Verdict {
    verdict(&Score::of(outcomes), &Thresholds::default())
}

fn failures(verdict: Verdict) -> Vec<String> {
    let Verdict::Failed(failures) = verdict else { panic!("{verdict:?}") };
    failures.iter().map(ToString::to_string).collect()
}

#[test]
fn no_requests_make_no_verdict() {
    let verdict = judge(&[]);
    let expected = Verdict::Inconclusive { doubt: Doubt::NoRequests, failures: Vec::new() };
    assert_eq!(verdict, expected);
    assert_eq!(Doubt::NoRequests.to_string(), "found no requests, at least 1 is needed");
}

#[test]
fn an_accuracy_at_the_threshold_passes_and_one_request_less_does_not() {
    assert_eq!(judge(&class("orders", 900, 100, 0)), Verdict::Passed);
    assert_eq!(
        failures(judge(&class("orders", 899, 101, 0))),
        ["899 of 1000 requests went where they belong, a share of at least 0.9 is allowed"]
    );
}

#[test]
fn an_accuracy_that_too_few_requests_show_fails_by_its_lower_bound() {
    // 196 are needed at an accuracy of 0.9, as the failure says.
    assert_eq!(
        failures(judge(&class("orders", 90, 10, 0))),
        ["the accuracy's lower bound is 0.825634, at least 0.85 is allowed, \
          which takes 196 requests at this accuracy"]
    );
    assert_eq!(judge(&class("orders", 180, 20, 0)), Verdict::Passed);
    assert_eq!(judge(&class("orders", 22, 0, 0)), Verdict::Passed);
    assert_eq!(failures(judge(&class("orders", 21, 0, 0))).len(), 1);
}

#[test]
fn every_class_under_the_threshold_is_named_and_one_at_it_passes() {
    let mut outcomes = class("orders", 1_000, 0, 0);
    outcomes.extend(class("billing", 6, 2, 0));
    assert_eq!(judge(&outcomes), Verdict::Passed);

    outcomes.extend(class("billing", 0, 1, 0));
    outcomes.extend(class("support", 0, 1, 0));
    assert_eq!(
        failures(judge(&outcomes)),
        [
            "`billing` got 6 of its 9 requests, a share of at least 0.75 is allowed",
            "`support` got 0 of its 1 requests, a share of at least 0.75 is allowed",
        ]
    );
}

#[test]
fn a_95th_percentile_below_the_threshold_passes_and_one_at_it_does_not() {
    let mut outcomes = class("orders", 100, 0, 0);
    for outcome in &mut outcomes[..5] {
        outcome.latency_ms = 60_000;
    }
    outcomes[5].latency_ms = 1_999;
    assert_eq!(judge(&outcomes), Verdict::Passed);
    outcomes[5].latency_ms = 2_000;
    assert_eq!(
        failures(judge(&outcomes)),
        ["the 95th percentile of decisions is 2000 ms, less than 2000 ms is allowed"]
    );
}

#[test]
fn requests_without_a_decision_are_misrouted_up_to_the_threshold_and_no_verdict_beyond_it() {
    assert_eq!(judge(&class("orders", 950, 0, 50)), Verdict::Passed);
    assert_eq!(failures(judge(&class("orders", 899, 51, 50))).len(), 1);

    let verdict = judge(&class("orders", 949, 0, 51));
    let doubt = Doubt::Undecided { undecided: 51, requests: 1_000, allowed: Share(50_000) };
    assert_eq!(verdict, Verdict::Inconclusive { doubt, failures: Vec::new() });
    assert_eq!(
        doubt.to_string(),
        "51 of 1000 requests got no decision, a share of at most 0.05 is allowed"
    );
    // 5 of 99 are more than 5 %, though 5 % of 99 rounds up to 5.
    assert!(matches!(judge(&class("orders", 94, 0, 5)), Verdict::Inconclusive { .. }));
}

#[test]
fn without_a_verdict_the_broken_rules_are_named_too() {
    let verdict = judge(&class("orders", 0, 0, 10));
    let Verdict::Inconclusive { failures, .. } = verdict else { panic!("{verdict:?}") };
    // No decision, no time to a decision.
    assert!(matches!(
        failures[..],
        [
            Failure::Accuracy { .. },
            Failure::LowerBound { needed: None, .. },
            Failure::Recall { .. }
        ]
    ));
    assert_eq!(
        failures[1].to_string(),
        "the accuracy's lower bound is 0.000000, at least 0.85 is allowed, \
         which no number of requests reaches at this accuracy"
    );
}

#[test]
fn every_threshold_is_a_setting() {
    let mut outcomes = class("orders", 60, 30, 10);
    outcomes.extend(class("billing", 0, 1, 0));
    let score = Score::of(&outcomes);
    let all = Thresholds {
        min_accuracy: Share(0),
        min_lower_bound: Share(0),
        min_recall: Share(0),
        p95_below_ms: 501,
        max_undecided: Share(1_000_000),
    };
    assert_eq!(verdict(&score, &all), Verdict::Passed);
    let strict = Thresholds::default();
    for one in [
        Thresholds { min_accuracy: strict.min_accuracy, ..all },
        Thresholds { min_lower_bound: strict.min_lower_bound, ..all },
        Thresholds { min_recall: strict.min_recall, ..all },
        Thresholds { p95_below_ms: 500, ..all },
    ] {
        assert!(matches!(verdict(&score, &one), Verdict::Failed(_)), "{one:?}");
    }
    let one = Thresholds { max_undecided: strict.max_undecided, ..all };
    assert!(matches!(verdict(&score, &one), Verdict::Inconclusive { .. }));
}
