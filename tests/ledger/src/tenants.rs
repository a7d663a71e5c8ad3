//! A tenant's day: blocks, refusals, dates, and what each specialist has cost.

use std::time::Duration;

use futures_util::future::join_all;
use router_core::charge::Charge;
use router_core::ledger::{Limit, ReserveError};
use stand_ins::table_faults::Fault;

use crate::books::charge;
use crate::payer::{Payer, START, TODAY, at, id, refused_by};
use crate::table::TableUnderTest;

const TOMORROW: &str = "2026-11-22";
const A_DAY: u64 = 86_400;

#[tokio::test]
async fn a_session_draws_a_block_or_its_ask_or_exactly_what_it_needs_of_the_rest() {
    let table = TableUnderTest::start().await;
    let ledger = table.ledger();
    let payer = Payer::new().with_day(4_050, 1_000);
    let step = async |session: &str, number, micro_usd| {
        let payer = payer.clone().in_session(session);
        let ask = charge(1, micro_usd);
        let hold = payer.reserve(&ledger, &id(number), ask, START).await;
        if hold.is_ok() {
            payer.settle(&ledger, &id(number), ask, ask).await.unwrap();
        }
        let session = table.session_or_nothing(session).await;
        session.assert_balanced();
        let day = table.tenant_day("acme", TODAY).await;
        hold.map(|_| (session.drawn(), day.drawn()))
    };
    assert_eq!(step("a", 0, 100).await.unwrap(), (1_000, 1_000), "a block");
    assert_eq!(step("b", 1, 2_500).await.unwrap(), (2_500, 3_500), "more than a block");
    assert_eq!(step("c", 2, 30).await.unwrap(), (30, 3_530), "less than a block is left");
    assert_eq!(step("a", 3, 900).await.unwrap(), (1_000, 3_530), "the block is used first");
    assert_eq!(step("a", 4, 500).await.unwrap(), (1_500, 4_030), "exactly what is needed");
    assert_eq!(refused_by(step("a", 5, 21).await), Limit::Tenant);
    assert_eq!(step("c", 6, 20).await.unwrap(), (50, 4_050), "to the last micro-dollar");

    let one_more = payer.clone().in_session("d");
    let Err(ReserveError::Exhausted(exhausted)) =
        one_more.reserve(&ledger, &id(7), charge(1, 1), START).await
    else {
        panic!("the day is used up")
    };
    assert_eq!((exhausted.limit, exhausted.asked, exhausted.max), (Limit::Tenant, 1, 4_050));
    assert_eq!(exhausted.settled + exhausted.held, 4_050);
    assert_eq!(table.session_or_nothing("d").await.attributes(), 0, "refused before it began");
}

#[tokio::test]
async fn an_overrun_is_drawn_with_the_next_block() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = (Payer::new().with_day(10_000, 1_000), table.ledger());
    payer.step(&ledger, &id(0), charge(1, 1_000), charge(1, 1_300), START).await;
    let books = table.session("s").await;
    books.assert_settled(charge(1, 1_300));
    assert_eq!(books.signed("tenant_room_micro_usd"), -300);
    payer.step(&ledger, &id(1), charge(1, 900), charge(1, 900), START).await;
    let books = table.session("s").await;
    books.assert_settled(charge(2, 2_200));
    assert_eq!(books.drawn(), 2_200, "1,200 were needed: more than a block");
}

#[tokio::test]
async fn a_session_belongs_to_its_first_tenant() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = (Payer::new(), table.ledger());
    payer.step(&ledger, &id(0), charge(100, 100), charge(40, 40), START).await;
    let other = payer.of_tenant("other");
    // With the money that is drawn already, and with more than that.
    for (number, micro_usd) in [(1, 10), (2, 5_000)] {
        let refused = other.reserve(&ledger, &id(number), charge(1, micro_usd), at(1)).await;
        assert!(matches!(refused, Err(ReserveError::OtherTenant)), "{refused:?}");
    }
    let books = table.session("s").await;
    books.assert_settled(charge(40, 40));
    assert_eq!(books.steps(), 1);
    assert_eq!(table.tenant_day("other", TODAY).await.attributes(), 0);
}

#[tokio::test]
async fn tenants_that_are_not_listed_share_the_day_of_the_default_one() {
    let table = TableUnderTest::start().await;
    let ledger = table.ledger();
    let mut payer = Payer::new().with_day(2_000, 1_000);
    payer.day.tenants = ["acme".to_owned()].into();
    let of = |tenant: &str| payer.clone().of_tenant(tenant).in_session(tenant);
    for (number, tenant) in ["acme", "invented", "default"].into_iter().enumerate() {
        of(tenant).step(&ledger, &id(number), charge(1, 100), charge(1, 100), START).await;
    }
    assert_eq!(table.tenant_day("acme", TODAY).await.drawn(), 1_000);
    assert_eq!(table.tenant_day("default", TODAY).await.drawn(), 2_000);
    assert_eq!(table.tenant_day("invented", TODAY).await.attributes(), 0);
    let refused = of("another").reserve(&ledger, &id(4), charge(1, 1), START).await;
    assert_eq!(refused_by(refused), Limit::Tenant);
}

#[tokio::test]
async fn a_block_belongs_to_the_day_on_which_it_was_drawn() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = (Payer::new().with_day(1_000, 1_000), table.ledger());
    payer.step(&ledger, &id(0), charge(1, 100), charge(1, 100), at(A_DAY - 1)).await;
    // Yesterday's block is used up before today's money is touched.
    payer.step(&ledger, &id(1), charge(1, 900), charge(1, 900), at(A_DAY)).await;
    assert_eq!(table.tenant_day("acme", TOMORROW).await.attributes(), 0);
    payer.step(&ledger, &id(2), charge(1, 500), charge(1, 500), at(A_DAY + 1)).await;
    assert_eq!(table.tenant_day("acme", TODAY).await.drawn(), 1_000);
    assert_eq!(table.tenant_day("acme", TOMORROW).await.drawn(), 1_000);
    assert_eq!(table.session("s").await.drawn(), 2_000);
    let spent = async |date| table.tenant_day("acme", date).await.spent().cost.0;
    assert_eq!((spent(TODAY).await, spent(TOMORROW).await), (1_000, 0), "as it was drawn");
}

#[tokio::test]
async fn no_day_shows_more_spent_than_drawn_however_late_a_hold_of_it_is_settled() {
    let table = TableUnderTest::start().await;
    let mut payer = Payer::new().with_day(1_000_000, 1_000);
    payer.hold_life = Duration::from_secs(9 * A_DAY);
    payer.limits.idle_ttl = Duration::from_secs(9 * A_DAY);
    let ledger = table.ledger();
    let days = ["2026-11-21", "2026-11-22", "2026-11-23", "2026-11-24", "2026-11-25"];
    // Each day begins with what is left of the day before, and leaves a hold for the day after
    // the next. Some use more than they held, and some less.
    let (held, mut open) = (charge(1, 700), Vec::new());
    for (day, number) in (0..days.len() as u64).zip(0..) {
        for step in 0..3 {
            let id = id(number * 10 + step);
            let now = at(day * A_DAY + step as u64);
            payer.reserve(&ledger, &id, held, now).await.unwrap();
            if step == 1 {
                open.push(id);
            } else {
                let used = charge(1, [100, 0, 1_150][step]);
                payer.settle(&ledger, &id, held, used).await.unwrap();
            }
        }
        if open.len() > 2 {
            payer.settle(&ledger, &open.remove(0), held, charge(1, 650)).await.unwrap();
        }
        table.session("s").await.assert_balanced();
    }
    let (mut spent, mut drawn) = (0, 0);
    for date in days {
        let day = table.tenant_day("acme", date).await;
        assert!(day.spent().cost.0 <= day.drawn(), "{date}: {day:?}");
        spent += day.spent().cost.0;
        drawn += day.drawn();
    }
    let session = table.session("s").await;
    assert_eq!((spent, drawn), (session.number("folded_micro_usd"), session.drawn()));
    let first = table.tenant_day("acme", days[0]).await;
    assert_eq!(first.spent().cost.0, first.drawn(), "all of it is used up by now");
    assert!(session.count("unfolded#") < days.len(), "days that are used up are forgotten");
}

#[tokio::test]
async fn a_session_that_began_under_the_version_before_folds_into_the_day_of_its_next_block() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = (Payer::new().with_day(10_000, 1_000), table.ledger());
    payer.step(&ledger, &id(0), charge(1, 900), charge(1, 900), at(A_DAY - 1)).await;
    table.remove("s", &format!("unfolded#{TODAY}")).await;
    payer.step(&ledger, &id(1), charge(1, 300), charge(1, 300), at(A_DAY)).await;
    assert_eq!(table.tenant_day("acme", TODAY).await.spent().cost.0, 0);
    assert_eq!(table.tenant_day("acme", TOMORROW).await.spent().cost.0, 900);
    table.session("s").await.assert_settled(charge(2, 1_200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_specialist_has_used_is_folded_into_its_day_exactly_once() {
    const SESSIONS: usize = 3;
    const SPECIALISTS: [&str; 2] = ["orders", "billing"];
    let table = TableUnderTest::start().await;
    let ledgers: Vec<_> = (0..4).map(|_| table.ledger()).collect();
    // Some transactions are repeated although they were applied.
    for after in [3, 9, 15] {
        let lost = Fault::ServerErrorAfterApplying.on("TransactWriteItems");
        table.faults().script(lost.after(after));
    }
    let tasks = (0..24).map(|task| {
        let mut payer = Payer::new()
            .with_day(1_000_000, 300)
            .in_session(&format!("s{}", task % SESSIONS))
            .asking(SPECIALISTS[task / SESSIONS % 2]);
        // Nothing expires when the first ones reach the next day.
        payer.hold_life = Duration::from_secs(2 * A_DAY);
        payer.limits.idle_ttl = Duration::from_secs(3 * A_DAY);
        let ledger = &ledgers[task % 4];
        async move {
            for round in 0..6 {
                let id = id(task * 100 + round);
                // The second half happens on the next day. Some use more than they held.
                let now = at(if round < 3 { 0 } else { A_DAY });
                let used = charge(7 + task as u64, 90 + task as u64);
                payer.step(ledger, &id, charge(100, 100), used, now).await;
            }
        }
    });
    join_all(tasks).await;
    assert_eq!(table.faults().left(), 0);

    let mut used_by_all = Charge::default();
    let mut folded_by_sessions = 0;
    for name in SPECIALISTS {
        let (mut used, mut unfolded) = (Charge::default(), Charge::default());
        for session in 0..SESSIONS {
            let books = table.session(&format!("s{session}")).await;
            books.assert_settled(books.spent());
            let folded = charge(
                books.number(&format!("folded_tokens#{name}")),
                books.number(&format!("folded_micro_usd#{name}")),
            );
            used = used.plus(books.spent_with(name));
            unfolded = unfolded.plus(books.spent_with(name).minus(folded));
        }
        let mut folded = Charge::default();
        for date in [TODAY, TOMORROW] {
            folded = folded.plus(table.specialist_day(name, date).await.spent());
        }
        assert_ne!(folded, Charge::default());
        assert_eq!(used, folded.plus(unfolded), "{name}");
        used_by_all = used_by_all.plus(used);
    }
    let expected = (0..24)
        .fold(Charge::default(), |sum, task| sum.plus(charge(6 * (7 + task), 6 * (90 + task))));
    assert_eq!(used_by_all, expected);
    let mut drawn = 0;
    for session in 0..SESSIONS {
        let books = table.session(&format!("s{session}")).await;
        folded_by_sessions += books.number("folded_micro_usd");
        drawn += books.drawn();
    }
    let days = [table.tenant_day("acme", TODAY).await, table.tenant_day("acme", TOMORROW).await];
    assert_eq!(days.iter().map(|day| day.spent().cost.0).sum::<u64>(), folded_by_sessions);
    assert_eq!(days.iter().map(|day| day.drawn()).sum::<u64>(), drawn);
}
