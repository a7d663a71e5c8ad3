//! Several holds that are taken in one write, and settled in one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use router_core::charge::Charge;
use router_core::ids::{Fingerprint, HoldId};
use router_core::ledger::{HoldRequest, Ledger, Limit, Reservation, ReserveError, Settlement};
use router_core::units::Share;
use stand_ins::table_faults::Fault;

use crate::books::charge;
use crate::payer::{PLENTY, Payer, START, TODAY, at, id, refused_by};
use crate::table::TableUnderTest;

const UPDATE: &str = "UpdateItem";
const ASK: Charge = charge(100, 100);
const USED: Charge = charge(40, 30);

fn ids(tasks: std::ops::Range<usize>) -> Vec<HoldId> {
    tasks.map(id).collect()
}

fn holds<'a>(payer: &'a Payer, ids: &'a [HoldId]) -> Vec<HoldRequest<'a>> {
    ids.iter().map(|id| payer.invocation(id, ASK)).collect()
}

fn settlements<'a>(payer: &'a Payer, ids: &'a [HoldId]) -> Vec<Settlement<'a>> {
    let (specialist, counted) = (&payer.specialist, payer.counted());
    let of = |id| Settlement {
        id,
        specialist,
        held: ASK,
        used: USED,
        counted,
        stale: &[],
        told: &[],
        left: None,
    };
    ids.iter().map(of).collect()
}

fn one_update() -> BTreeMap<String, usize> {
    BTreeMap::from([(UPDATE.to_owned(), 1)])
}

#[tokio::test]
async fn sixteen_holds_are_one_write_before_and_one_after_each_in_a_lane_of_its_own() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = (Payer::new().with_day(1_000_000, 10_000), table.ledger());
    payer.step(&ledger, &id(90), ASK, USED, START).await;
    let ids = ids(0..16);
    table.faults().forget_requests();
    let taken = payer.reserve_all(&ledger, &holds(&payer, &ids), at(1)).await.unwrap();
    assert_eq!(table.faults().requests(), one_update());
    let lanes: BTreeSet<u64> = taken.lanes.iter().map(|lane| lane.number).collect();
    assert_eq!(lanes.len(), 16, "{lanes:?}");
    assert_eq!(taken.lanes[0].number, 0, "the first finds its specialist unoccupied");
    assert_eq!((taken.account.steps, taken.account.committed), (17, charge(1_640, 1_630)));
    table.session("s").await.assert_balanced();

    table.faults().forget_requests();
    ledger.settle(&payer.payer(), &settlements(&payer, &ids), PLENTY).await.unwrap();
    assert_eq!(table.faults().requests(), one_update());
    let books = table.session("s").await;
    books.assert_settled(charge(680, 510));
    assert!(ids.iter().all(|id| books.remembers(id)), "a place for each: {books:?}");
    for id in &ids {
        let again = payer.reserve(&ledger, id, ASK, at(2)).await;
        assert!(matches!(again, Err(ReserveError::AlreadySettled(_))), "{again:?}");
    }
}

#[tokio::test]
async fn holds_for_which_there_is_not_room_together_are_refused_together() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = (Payer::new(), table.ledger());
    payer.step(&ledger, &id(90), ASK, USED, START).await;
    let before = table.session("s").await;
    let ids = ids(0..3);
    for (limited, limit) in [
        (payer.clone().with_limits(3, 10_000, 10_000), Limit::Steps),
        (payer.clone().with_limits(100, 339, 10_000), Limit::Tokens),
        (payer.clone().with_limits(100, 10_000, 329), Limit::Cost),
        (payer.clone().with_day(1_200, 1_000), Limit::Tenant),
    ] {
        let ask = if limit == Limit::Tenant { charge(1, 400) } else { ASK };
        let asked: Vec<HoldRequest<'_>> =
            ids.iter().map(|id| limited.invocation(id, ask)).collect();
        let refused = limited.reserve_all(&table.ledger(), &asked, at(1)).await;
        assert_eq!(refused_by(refused), limit);
        let after = table.session("s").await;
        assert_eq!((after.steps(), after.committed()), (before.steps(), before.committed()));
        assert_eq!(after.holds(), BTreeMap::new());
    }
    let just_enough = payer.clone().with_limits(4, 340, 330);
    just_enough.reserve_all(&table.ledger(), &holds(&just_enough, &ids), at(1)).await.unwrap();
    assert_eq!(table.session("s").await.holds().len(), 3);
}

#[tokio::test]
async fn a_session_may_begin_with_several_holds_and_draws_for_all_of_them() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = (Payer::new().with_day(10_000, 50), table.ledger());
    let other = payer.clone().asking("billing");
    let ids = ids(0..3);
    let asked = [
        payer.invocation(&ids[0], ASK),
        other.invocation(&ids[1], ASK),
        payer.invocation(&ids[2], ASK),
    ];
    let taken = payer.reserve_all(&ledger, &asked, START).await.unwrap();
    let lanes: Vec<u64> = taken.lanes.iter().map(|lane| lane.number).collect();
    assert_eq!(lanes, [0, 0, 3], "each specialist's first hold finds it unoccupied");
    let books = table.session("s").await;
    assert_eq!((books.assert_balanced().steps(), books.drawn()), (3, 300));
    assert_eq!(table.tenant_day("acme", TODAY).await.drawn(), 300);
}

#[tokio::test]
async fn holds_whose_answer_was_lost_are_found_again_in_lanes_of_their_own() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = (Payer::new(), table.ledger());
    payer.step(&ledger, &id(90), ASK, USED, START).await;
    payer.reserve(&ledger, &id(91), ASK, at(1)).await.unwrap();
    table.faults().script(Fault::ServerErrorAfterApplying.on(UPDATE));
    let ids = ids(0..3);
    let taken = payer.reserve_all(&ledger, &holds(&payer, &ids), at(1)).await.unwrap();
    let lanes: BTreeSet<u64> = taken.lanes.iter().map(|lane| lane.number).collect();
    assert!(lanes.len() == 3 && !lanes.contains(&0), "{lanes:?}");
    let books = table.session("s").await;
    assert_eq!((books.assert_balanced().steps(), books.holds().len()), (5, 4));
}

#[tokio::test]
async fn a_hold_that_is_gone_keeps_none_of_the_others_from_being_settled() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = (Payer::new(), table.ledger());
    payer.step(&ledger, &id(90), ASK, USED, START).await;
    let ids = ids(0..3);
    payer.reserve_all(&ledger, &holds(&payer, &ids), at(1)).await.unwrap();
    payer.settle(&ledger, &ids[1], ASK, charge(7, 7)).await.unwrap();
    table.faults().script(Fault::ServerErrorAfterApplying.on(UPDATE));
    ledger.settle(&payer.payer(), &settlements(&payer, &ids), PLENTY).await.unwrap();
    ledger.settle(&payer.payer(), &settlements(&payer, &ids), PLENTY).await.unwrap();
    table.session("s").await.assert_settled(charge(127, 97));
}

#[tokio::test]
async fn holds_that_were_taken_together_are_not_taken_again_after_one_of_them_was_settled() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = (Payer::new(), table.ledger());
    payer.step(&ledger, &id(90), ASK, USED, START).await;
    let ids = ids(0..2);
    payer.reserve_all(&ledger, &holds(&payer, &ids), at(1)).await.unwrap();
    payer.settle(&ledger, &ids[0], ASK, USED).await.unwrap();
    let again = payer.reserve_all(&ledger, &holds(&payer, &ids), at(1)).await;
    assert!(matches!(again, Err(ReserveError::AlreadySettled(_))), "{again:?}");
    assert_eq!(table.session("s").await.assert_balanced().steps(), 3);
}

#[tokio::test]
async fn the_same_request_several_times_in_one_reservation_counts_as_often() {
    let table = TableUnderTest::start().await;
    let mut payer = Payer::new();
    payer.limits.max_repeats = Some(3);
    let ledger = table.ledger();
    let print = Fingerprint::of(&payer.specialist, "where is it?");
    let asking = |ids: &[HoldId], seconds| {
        let (payer, ledger, print) = (&payer, &ledger, &print);
        let ids = ids.to_vec();
        async move {
            let asked: Vec<HoldRequest<'_>> = ids
                .iter()
                .map(|id| HoldRequest { fingerprint: Some(print), ..payer.invocation(id, ASK) })
                .collect();
            payer.reserve_all(ledger, &asked, at(seconds)).await
        }
    };
    let refused = asking(&ids(0..4), 0).await;
    assert!(matches!(refused, Err(ReserveError::Repeated { times: 0, .. })), "{refused:?}");
    asking(&ids(0..2), 0).await.unwrap();
    let refused = asking(&ids(4..6), 1).await;
    assert!(matches!(refused, Err(ReserveError::Repeated { times: 2, .. })), "{refused:?}");
    asking(&ids(6..7), 2).await.unwrap();
    let refused = asking(&ids(7..8), 3).await;
    assert!(matches!(refused, Err(ReserveError::Repeated { times: 3, .. })), "{refused:?}");
}

#[tokio::test]
async fn holds_that_were_settled_together_fold_into_their_specialists_days() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = (Payer::new().with_day(10_000, 100), table.ledger());
    let other = payer.clone().asking("billing");
    let ids = ids(0..2);
    let asked = [payer.invocation(&ids[0], ASK), other.invocation(&ids[1], ASK)];
    payer.reserve_all(&ledger, &asked, START).await.unwrap();
    let used = [
        Settlement { used: charge(10, 20), ..settlements(&payer, &ids).remove(0) },
        Settlement { used: charge(30, 40), ..settlements(&other, &ids).remove(1) },
    ];
    ledger.settle(&payer.payer(), &used, PLENTY).await.unwrap();
    payer.step(&ledger, &id(5), charge(1, 500), charge(0, 0), at(1)).await;
    assert_eq!(table.specialist_day("orders", TODAY).await.spent(), charge(10, 20));
    assert_eq!(table.specialist_day("billing", TODAY).await.spent(), charge(30, 40));
    table.session("s").await.assert_settled(charge(40, 60));
}

/// Fifty calls of ten tasks at once: each takes ten holds or none, and settles them together.
async fn fifty_calls_of_ten(payer: Payer) -> (u64, crate::books::Books) {
    let table = TableUnderTest::start().await;
    let opened = table.ledger();
    payer.step(&opened, &id(900), ASK, USED, START).await;
    let calls = (0..50).map(|call| {
        let (payer, ledger) = (payer.clone(), table.ledger());
        tokio::spawn(async move {
            let ids: Vec<HoldId> =
                (0..10).map(|task| HoldId::new(&format!("call-{call}"), task, 0)).collect();
            match payer.reserve_all(&ledger, &holds(&payer, &ids), at(1)).await {
                Ok(taken) => {
                    let lanes: BTreeSet<u64> = taken.lanes.iter().map(|it| it.number).collect();
                    assert_eq!(lanes.len(), 10, "{lanes:?}");
                    let settlements = settlements(&payer, &ids);
                    ledger.settle(&payer.payer(), &settlements, PLENTY).await.unwrap();
                    1
                }
                Err(ReserveError::Exhausted(_)) => 0,
                Err(error) => panic!("{error:?}"),
            }
        })
    });
    let mut taken = 0;
    for call in calls.collect::<Vec<_>>() {
        taken += call.await.unwrap();
    }
    (taken, table.session("s").await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_calls_of_ten_tasks_at_once_never_pass_a_limit_and_leave_nothing_held() {
    for payer in [
        Payer::new().with_limits(206, 1_000_000, 1_000_000),
        Payer::new().with_limits(10_000, 9_000, 1_000_000),
        Payer::new().with_limits(10_000, 1_000_000, 7_000),
    ] {
        let payer = Payer { hold_life: Duration::from_secs(86_000), ..payer };
        let (taken, books) = fifty_calls_of_ten(payer.clone()).await;
        let used = charge(40 * (10 * taken + 1), 30 * (10 * taken + 1));
        books.assert_settled(used);
        assert_eq!(books.steps(), 10 * taken + 1, "all or none");
        let limits = &payer.limits;
        assert!(books.steps() <= limits.max_steps && used.tokens <= limits.max_tokens);
        assert!(used.cost <= limits.max_cost && (1..50).contains(&taken), "{taken}");
    }
}

#[tokio::test]
async fn from_a_share_of_a_limit_on_several_holds_are_refused_and_one_is_not() {
    let table = TableUnderTest::start().await;
    let payer = Payer::new().with_limits(10, 10_000, 10_000);
    let ledger = table.ledger();
    for place in 0..8 {
        payer.step(&ledger, &id(900 + place), ASK, USED, START).await;
    }
    let ids = ids(0..1);
    let asked = holds(&payer, &ids);
    let below =
        Reservation { only_below: Some(Share(800_000)), ..payer.reservation(&asked, at(1)) };
    match ledger.reserve(&below, PLENTY).await {
        Err(ReserveError::NearlyExhausted(exhausted)) => assert_eq!(exhausted.limit, Limit::Steps),
        other => panic!("{other:?}"),
    }
    let later =
        Reservation { only_below: Some(Share(800_001)), ..payer.reservation(&asked, at(1)) };
    ledger.reserve(&later, PLENTY).await.unwrap();
    assert_eq!(table.session("s").await.steps(), 9, "the refusal took nothing");
}
