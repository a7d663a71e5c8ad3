use proptest::prelude::*;

use super::*;

const NAMES: [&str; 3] = ["billing", "general", "orders"];

fn outcome(case: usize, expected: &str, chosen: Chosen, latency_ms: u64) -> Outcome {
    Outcome {
        case,
        expected: expected.to_owned(),
        chosen,
        latency_ms,
        tokens: Tokens(100),
        cost: MicroUsd(7),
    }
}

fn chose(name: &str) -> Chosen {
    Chosen::Specialist(name.to_owned())
}

#[test]
fn no_requests_have_no_score() {
    let score = Score::of(&[]);
    assert_eq!(score, Score::default());
    assert_eq!(score.accuracy(), None);
    assert_eq!(score.lower_bound(), 0.0);
    assert_eq!(score.worst_class(), None);
    assert_eq!(score.requests_needed(Share(900_000)), None);
}

#[test]
fn what_was_chosen_is_counted_by_what_was_expected() {
    let score = Score::of(&[
        outcome(1, "billing", chose("billing"), 10),
        outcome(2, "billing", chose("orders"), 20),
        outcome(3, "billing", Chosen::Nobody, 30),
        outcome(4, "orders", Chosen::NoDecision, 1),
        outcome(5, "orders", chose("orders"), 40),
        outcome(6, "orders", chose("no such name"), 50),
    ]);
    let row = |cells: &[(Option<&str>, u64)]| {
        cells.iter().map(|&(name, count)| (name.map(str::to_owned), count)).collect()
    };
    let expected = Confusion::from([
        ("billing".to_owned(), row(&[(None, 1), (Some("billing"), 1), (Some("orders"), 1)])),
        ("orders".to_owned(), row(&[(None, 1), (Some("no such name"), 1), (Some("orders"), 1)])),
    ]);
    assert_eq!(score.confusion, expected);
    assert_eq!((score.requests, score.right, score.undecided), (6, 2, 1));
    assert_eq!(score.accuracy(), Some(2.0 / 6.0));
}

#[test]
fn misrouted_cases_are_named_in_order_and_no_decision_is_misrouted_too() {
    let score = Score::of(&[
        outcome(9, "billing", Chosen::NoDecision, 1),
        outcome(2, "billing", chose("orders"), 1),
        outcome(5, "orders", chose("orders"), 1),
        outcome(4, "orders", Chosen::Nobody, 1),
    ]);
    assert_eq!(score.misrouted, [2, 4, 9]);
}

#[test]
fn tokens_and_costs_of_all_requests_are_added_and_never_wrap() {
    let mut outcomes =
        vec![outcome(1, "orders", Chosen::NoDecision, 1), outcome(2, "orders", chose("orders"), 1)];
    let score = Score::of(&outcomes);
    assert_eq!((score.tokens, score.cost), (Tokens(200), MicroUsd(14)));

    outcomes[0].tokens = Tokens(u64::MAX);
    outcomes[0].cost = MicroUsd(u64::MAX);
    let score = Score::of(&outcomes);
    assert_eq!((score.tokens, score.cost), (Tokens(u64::MAX), MicroUsd(u64::MAX)));
}

#[test]
fn a_percentile_is_a_time_that_was_measured() {
    let percentiles = |latencies: &[u64]| {
        let outcomes: Vec<_> =
            latencies.iter().map(|&ms| outcome(1, "orders", chose("orders"), ms)).collect();
        let score = Score::of(&outcomes);
        (score.p50_ms.unwrap(), score.p95_ms.unwrap())
    };
    assert_eq!(percentiles(&[7]), (7, 7));
    assert_eq!(percentiles(&[40, 10]), (10, 40));
    assert_eq!(percentiles(&[30, 10, 20]), (20, 30));
    assert_eq!(percentiles(&(1..=20).rev().collect::<Vec<_>>()), (10, 19));
    assert_eq!(percentiles(&(1..=21).collect::<Vec<_>>()), (11, 20));
    assert_eq!(percentiles(&(1..=100).collect::<Vec<_>>()), (50, 95));
}

#[test]
fn a_request_without_a_decision_does_not_make_decisions_look_fast() {
    let mut outcomes = vec![outcome(1, "orders", Chosen::NoDecision, 1); 3];
    assert_eq!(Score::of(&outcomes).p50_ms, None);
    outcomes.push(outcome(2, "orders", Chosen::Nobody, 900));
    let score = Score::of(&outcomes);
    assert_eq!((score.p50_ms, score.p95_ms), (Some(900), Some(900)));
}

#[test]
fn the_worst_class_is_the_one_with_the_lowest_recall_among_those_with_a_case() {
    let score = Score::of(&[
        outcome(1, "billing", chose("billing"), 1),
        outcome(2, "billing", chose("general"), 1),
        outcome(3, "orders", chose("billing"), 1),
        outcome(4, "orders", chose("orders"), 1),
        outcome(5, "support", chose("support"), 1),
    ]);
    let worst = score.worst_class().unwrap();
    // `general` was chosen, but no request was its own; `orders` is as bad, but later by name.
    assert_eq!(worst, Class { specialist: "billing", cases: 2, right: 1 });
    assert_eq!(worst.recall(), 0.5);
}

fn outcomes() -> impl Strategy<Value = Vec<Outcome>> {
    let chosen = prop_oneof![
        8 => (0..NAMES.len()).prop_map(|name| chose(NAMES[name])),
        1 => Just(Chosen::Nobody),
        1 => Just(Chosen::NoDecision),
    ];
    let one = (1_usize..1000, 0..NAMES.len(), chosen, 0_u64..5_000)
        .prop_map(|(case, name, chosen, latency)| outcome(case, NAMES[name], chosen, latency));
    prop::collection::vec(one, 0..200)
}

proptest! {
    #[test]
    fn the_matrix_adds_up(outcomes in outcomes()) {
        let score = Score::of(&outcomes);
        let all: u64 = score.confusion.values().flat_map(BTreeMap::values).sum();
        let diagonal: u64 = score.classes().map(|class| class.right).sum();
        let nobody: u64 = score.confusion.values().filter_map(|row| row.get(&None)).sum();
        prop_assert_eq!(all, outcomes.len() as u64);
        prop_assert_eq!(score.requests, all);
        prop_assert_eq!(score.right, diagonal);
        prop_assert_eq!(score.misrouted.len() as u64, all - diagonal);
        prop_assert!(score.undecided <= nobody);
        for class in score.classes() {
            let cases = outcomes.iter().filter(|outcome| outcome.expected == class.specialist);
            prop_assert_eq!(class.cases, cases.count() as u64);
        }
    }

    #[test]
    fn the_order_of_requests_does_not_matter(outcomes in outcomes()) {
        let reversed: Vec<_> = outcomes.iter().rev().cloned().collect();
        prop_assert_eq!(Score::of(&outcomes), Score::of(&reversed));
    }

    #[test]
    fn no_class_is_worse_than_the_worst(outcomes in outcomes()) {
        let score = Score::of(&outcomes);
        if let Some(worst) = score.worst_class() {
            prop_assert!(score.classes().all(|class| class.recall() >= worst.recall()));
        }
    }
}
