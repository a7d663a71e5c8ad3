//! What is charged after a table has failed, at each of the ledger's writes.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::join_all;
use router_aws::DynamoLedger;
use router_core::charge::Charge;
use router_core::ledger::{Holds, ReserveError};
use stand_ins::table_faults::Fault::{self, *};

use crate::books::charge;
use crate::payer::{Payer, START, TODAY, at, id};
use crate::table::TableUnderTest;

/// By now every hold of these tests has expired.
const MUCH_LATER: u64 = 600;

const UPDATE: &str = "UpdateItem";
const TRANSACTION: &str = "TransactWriteItems";

/// What the caller of a write hears, and what has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// It was done, once, and the caller knows.
    Done,
    /// It was done, once, but the caller hears that nobody answered.
    DoneUnheard,
    /// It was not done.
    NotDone,
}
use Ending::{Done, DoneUnheard, NotDone};

/// A fault that hits so many attempts in a row, and the ending.
type Row = (Fault, usize, Ending);

/// What may happen to any write. The ledger makes three attempts.
const ANY_WRITE: [Row; 15] = [
    (ServerError, 2, Done),
    (ServerError, 3, NotDone),
    (ServerErrorAfterApplying, 1, Done),
    (ServerErrorAfterApplying, 2, Done),
    (ServerErrorAfterApplying, 3, DoneUnheard),
    (Close, 2, Done),
    (Close, 3, NotDone),
    (CloseAfterApplying, 1, Done),
    (CloseAfterApplying, 3, DoneUnheard),
    (Hang, 3, NotDone),
    (HangAfterApplying, 1, Done),
    (HangAfterApplying, 3, DoneUnheard),
    (ThroughputExceeded, 2, Done),
    (ThroughputExceeded, 3, NotDone),
    (Throttling, 3, NotDone),
];

/// What may happen to a single write that meets a transaction.
const CONFLICTS: [Row; 2] = [(TransactionConflict, 6, Done), (TransactionConflict, 100, NotDone)];

/// What may happen to a transaction that meets another.
const CANCELLATIONS: [Row; 2] =
    [(TransactionCanceled, 6, Done), (TransactionCanceled, 100, NotDone)];

/// A session of one step that used 40 of 100, with money left or without.
async fn begun(table: &TableUnderTest, with_money: bool) -> (Payer, DynamoLedger) {
    let block = if with_money { 1_000 } else { 100 };
    let payer = Payer::new().with_day(1_000_000, block);
    let ledger = table.ledger();
    payer.step(&ledger, &id(0), charge(100, 100), charge(40, 40), START).await;
    (payer, ledger)
}

/// Asserts what a reservation of 100 in a session that had used `before` has come to, and what
/// is charged in the end, after the hold was settled at 50 or has expired.
async fn assert_reserved(
    (table, payer, ledger): (&TableUnderTest, &Payer, &DynamoLedger),
    ending: Ending,
    result: Result<Holds, ReserveError>,
    before: Charge,
) {
    let steps = u64::from(before != Charge::default());
    let ask = charge(100, 100);
    match (ending, result) {
        (Done, Ok(hold)) => {
            let books = table.session("s").await;
            books.assert_balanced();
            assert_eq!(books.holds(), [("request/1/0".to_owned(), ask)].into());
            assert_eq!((books.steps(), books.committed()), (steps + 1, before.plus(ask)));
            assert_eq!(hold.account.committed, books.committed());
            payer.settle(ledger, &id(1), ask, charge(50, 50)).await.unwrap();
            table.session("s").await.assert_settled(before.plus(charge(50, 50)));
        }
        (DoneUnheard, Err(ReserveError::Unavailable(_))) => {
            let books = table.session("s").await;
            books.assert_balanced();
            assert_eq!((books.steps(), books.committed()), (steps + 1, before.plus(ask)));
            // Nobody knows of the hold, so nobody settles it.
            let later = payer.reserve(ledger, &id(2), charge(1, 0), at(MUCH_LATER)).await.unwrap();
            assert_eq!(later.expired_holds, 1);
            payer.settle(ledger, &id(2), charge(1, 0), charge(0, 0)).await.unwrap();
            table.session("s").await.assert_settled(before.plus(ask));
        }
        (NotDone, Err(ReserveError::Unavailable(_) | ReserveError::Unusable(_))) => {
            let books = table.session_or_nothing("s").await;
            books.assert_settled(before);
            assert_eq!(books.steps(), steps);
        }
        (ending, result) => panic!("{ending:?} was expected: {result:?}"),
    }
    let drawn = table.session_or_nothing("s").await.drawn();
    assert_eq!(table.tenant_day("acme", TODAY).await.drawn(), drawn, "drawn once or not at all");
}

/// Runs the rows side by side, since some wait for time-outs.
async fn all<F: Future<Output = ()>>(rows: impl IntoIterator<Item = Row>, case: impl Fn(Row) -> F) {
    let runs = rows.into_iter().map(|row| {
        let run = AssertUnwindSafe(case(row)).catch_unwind();
        run.map(move |result| result.err().map(|_| row))
    });
    let failed: Vec<Row> = join_all(runs).await.into_iter().flatten().collect();
    assert!(failed.is_empty(), "failed, each as shown above: {failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_is_charged_once_or_not_at_all_whatever_becomes_of_its_reservation() {
    all(ANY_WRITE.into_iter().chain(CONFLICTS), async |(fault, times, ending)| {
        let table = TableUnderTest::start().await;
        let (payer, ledger) = begun(&table, true).await;
        table.faults().script(fault.on(UPDATE).times(times));
        let result = payer.reserve(&ledger, &id(1), charge(100, 100), at(1)).await;
        table.faults().clear();
        assert_reserved((&table, &payer, &ledger), ending, result, charge(40, 40)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_is_drawn_once_or_not_at_all_whatever_becomes_of_the_transaction() {
    all(ANY_WRITE.into_iter().chain(CANCELLATIONS), async |(fault, times, ending)| {
        let table = TableUnderTest::start().await;
        let (payer, ledger) = begun(&table, false).await;
        table.faults().script(fault.on(TRANSACTION).times(times));
        let result = payer.reserve(&ledger, &id(1), charge(100, 100), at(1)).await;
        table.faults().clear();
        assert_reserved((&table, &payer, &ledger), ending, result, charge(40, 40)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_begins_once_or_not_at_all_whatever_becomes_of_the_transaction() {
    all(ANY_WRITE.into_iter().chain(CANCELLATIONS), async |(fault, times, ending)| {
        let table = TableUnderTest::start().await;
        let (payer, ledger) = (Payer::new(), table.ledger());
        table.faults().script(fault.on(TRANSACTION).times(times));
        let result = payer.reserve(&ledger, &id(1), charge(100, 100), at(1)).await;
        table.faults().clear();
        assert_reserved((&table, &payer, &ledger), ending, result, Charge::default()).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_is_settled_once_or_charged_in_full_whatever_becomes_of_its_settlement() {
    all(ANY_WRITE.into_iter().chain(CONFLICTS), async |(fault, times, ending)| {
        let table = TableUnderTest::start().await;
        let (payer, ledger) = begun(&table, true).await;
        payer.reserve(&ledger, &id(1), charge(100, 100), at(1)).await.unwrap();
        table.faults().script(fault.on(UPDATE).times(times));
        let result = payer.settle(&ledger, &id(1), charge(100, 100), charge(50, 50)).await;
        table.faults().clear();
        assert_eq!(result.is_ok(), ending == Done, "{result:?}");
        let books = table.session("s").await;
        books.assert_balanced();
        assert_eq!(books.holds_for(&id(1)), ending == NotDone);

        let hold = payer.reserve(&ledger, &id(2), charge(1, 1), at(MUCH_LATER)).await.unwrap();
        payer.settle(&ledger, &id(2), charge(1, 1), charge(0, 0)).await.unwrap();
        let (expired, spent) = match ending {
            Done | DoneUnheard => (0, charge(90, 90)),
            NotDone => (1, charge(140, 140)),
        };
        assert_eq!(hold.expired_holds, expired);
        table.session("s").await.assert_settled(spent);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_hold_is_charged_once_whatever_becomes_of_its_collection() {
    all(ANY_WRITE.into_iter().chain(CONFLICTS), async |(fault, times, _)| {
        let table = TableUnderTest::start().await;
        let (payer, ledger) = begun(&table, true).await;
        payer.reserve(&ledger, &id(1), charge(100, 100), at(1)).await.unwrap();
        // The reservation itself passes.
        table.faults().script(fault.on(UPDATE).after(1).times(times));
        let hold = payer.reserve(&ledger, &id(2), charge(1, 1), at(MUCH_LATER)).await;
        table.faults().clear();
        // It has been taken before anything went wrong.
        hold.unwrap();
        payer.settle(&ledger, &id(2), charge(1, 1), charge(0, 0)).await.unwrap();
        // Whoever comes next finds what is left to be done.
        payer.step(&ledger, &id(3), charge(1, 1), charge(0, 0), at(MUCH_LATER + 1)).await;
        table.session("s").await.assert_settled(charge(140, 140));
    })
    .await;
}

/// A refusal of DynamoDB's whose condition did not hold, by whichever name.
fn assert_refused(answers: &[(u16, serde_json::Value)]) {
    assert!(!answers.is_empty());
    for (status, answer) in answers {
        let text = answer.to_string();
        assert!(*status == 400 && text.contains("ConditionalCheckFailed"), "{status}: {text}");
    }
}

#[tokio::test]
async fn a_reservation_that_arrives_after_its_repetition_was_settled_changes_nothing() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = begun(&table, true).await;
    table.faults().script(ServerErrorThenApplied.on(UPDATE));
    payer.reserve(&ledger, &id(1), charge(100, 100), at(1)).await.unwrap();
    payer.settle(&ledger, &id(1), charge(100, 100), charge(50, 50)).await.unwrap();
    assert_refused(&table.faults().release().await.unwrap());
    table.session("s").await.assert_settled(charge(90, 90));
}

#[tokio::test]
async fn a_reservation_that_arrives_after_its_id_was_forgotten_may_be_charged_too_much() {
    // What happens in the next second moves the session's end on, which the late one would not.
    for (others, status, spent) in [(1, 200, charge(190, 190)), (2, 400, charge(90, 90))] {
        let table = TableUnderTest::start().await;
        let (payer, ledger) = begun(&table, true).await;
        table.faults().script(ServerErrorThenApplied.on(UPDATE));
        payer.reserve(&ledger, &id(1), charge(100, 100), at(1)).await.unwrap();
        payer.settle(&ledger, &id(1), charge(100, 100), charge(50, 50)).await.unwrap();
        let mut number = 10;
        while table.session("s").await.remembers(&id(1)) {
            payer.step(&ledger, &id(number), charge(0, 0), charge(0, 0), at(others)).await;
            number += 1;
        }
        let answers = table.faults().release().await.unwrap();
        assert_eq!(answers[0].0, status, "{answers:?}");
        payer.step(&ledger, &id(2), charge(1, 1), charge(0, 0), at(MUCH_LATER)).await;
        table.session("s").await.assert_settled(spent);
    }
}

#[tokio::test]
async fn a_reservation_that_arrives_when_nobody_waits_for_it_is_charged_and_expires() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = begun(&table, true).await;
    table.faults().script(ServerErrorThenApplied.on(UPDATE).times(3));
    let error = payer.reserve(&ledger, &id(1), charge(100, 100), at(1)).await.unwrap_err();
    assert!(matches!(error, ReserveError::Unavailable(_)), "{error:?}");
    let answers = table.faults().release().await.unwrap();
    assert_eq!(answers[0].0, 200, "{answers:?}");
    assert_refused(&answers[1..]);
    let hold = payer.reserve(&ledger, &id(2), charge(1, 1), at(MUCH_LATER)).await.unwrap();
    assert_eq!(hold.expired_holds, 1);
    payer.settle(&ledger, &id(2), charge(1, 1), charge(0, 0)).await.unwrap();
    table.session("s").await.assert_settled(charge(140, 140));
}

#[tokio::test]
async fn a_transaction_that_arrives_after_its_repetition_was_settled_changes_nothing() {
    for (with_session, before) in [(true, charge(40, 40)), (false, charge(0, 0))] {
        let table = TableUnderTest::start().await;
        let (payer, ledger) = match with_session {
            true => begun(&table, false).await,
            false => (Payer::new(), table.ledger()),
        };
        table.faults().script(ServerErrorThenApplied.on(TRANSACTION));
        payer.reserve(&ledger, &id(1), charge(100, 100), at(1)).await.unwrap();
        payer.settle(&ledger, &id(1), charge(100, 100), charge(50, 50)).await.unwrap();
        let drawn = table.session("s").await.drawn();
        // By its token DynamoDB may recognise what it has done, or else by its condition.
        let answers = table.faults().release().await.unwrap();
        assert_eq!(answers.len(), 1);
        let books = table.session("s").await;
        books.assert_settled(before.plus(charge(50, 50)));
        assert_eq!(books.drawn(), drawn);
        assert_eq!(table.tenant_day("acme", TODAY).await.drawn(), drawn);
    }
}

#[tokio::test]
async fn a_settlement_that_arrives_after_its_repetition_changes_nothing() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = begun(&table, true).await;
    payer.reserve(&ledger, &id(1), charge(100, 100), at(1)).await.unwrap();
    table.faults().script(ServerErrorThenApplied.on(UPDATE));
    payer.settle(&ledger, &id(1), charge(100, 100), charge(50, 50)).await.unwrap();
    assert_refused(&table.faults().release().await.unwrap());
    table.session("s").await.assert_settled(charge(90, 90));
}

#[tokio::test]
async fn a_settlement_that_nobody_answered_may_still_arrive_until_the_hold_is_collected() {
    for collected_before in [false, true] {
        let table = TableUnderTest::start().await;
        let (payer, ledger) = begun(&table, true).await;
        payer.reserve(&ledger, &id(1), charge(100, 100), at(1)).await.unwrap();
        table.faults().script(ServerErrorThenApplied.on(UPDATE).times(3));
        payer.settle(&ledger, &id(1), charge(100, 100), charge(50, 50)).await.unwrap_err();
        if collected_before {
            let later = at(MUCH_LATER);
            let hold = payer.step(&ledger, &id(2), charge(1, 1), charge(0, 0), later).await;
            assert_eq!(hold.expired_holds, 1);
        }
        let answers = table.faults().release().await.unwrap();
        assert_refused(&answers[1..]);
        let (status, spent) = match collected_before {
            true => (400, charge(140, 140)),
            false => (200, charge(90, 90)),
        };
        assert_eq!(answers[0].0, status, "{answers:?}");
        table.session("s").await.assert_settled(spent);
    }
}

#[tokio::test]
async fn a_block_whose_hold_cannot_be_read_back_is_drawn_once_and_its_hold_expires() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = begun(&table, false).await;
    table.faults().script(ServerError.on("GetItem").times(3));
    let result = payer.reserve(&ledger, &id(1), charge(100, 100), at(1)).await;
    let table_payer_ledger = (&table, &payer, &ledger);
    assert_reserved(table_payer_ledger, DoneUnheard, result, charge(40, 40)).await;
}

#[tokio::test]
async fn while_the_table_is_down_nothing_is_taken_and_what_is_held_stays_charged() {
    let table = TableUnderTest::start().await;
    let (payer, ledger) = begun(&table, true).await;
    payer.reserve(&ledger, &id(1), charge(100, 100), at(1)).await.unwrap();
    table.faults().go_down().await.unwrap();
    let error = payer.reserve(&ledger, &id(2), charge(100, 100), at(2)).await.unwrap_err();
    assert!(matches!(error, ReserveError::Unavailable(_)), "{error:?}");
    payer.settle(&ledger, &id(1), charge(100, 100), charge(50, 50)).await.unwrap_err();
    table.faults().come_back().await.unwrap();
    let books = table.session("s").await;
    assert_eq!((books.steps(), books.committed()), (2, charge(140, 140)));

    let later = payer.step(&ledger, &id(3), charge(1, 1), charge(0, 0), at(MUCH_LATER)).await;
    assert_eq!(later.expired_holds, 1);
    table.session("s").await.assert_settled(charge(140, 140));
}

#[tokio::test]
async fn a_reservation_ends_within_the_time_that_it_is_given() {
    use router_core::ledger::Ledger;

    let table = TableUnderTest::start().await;
    let (payer, ledger) = begun(&table, true).await;
    table.faults().script(Hang.on(UPDATE).times(3));
    table.faults().forget_requests();
    let (number, ask) = (id(1), charge(100, 100));
    let holds = [payer.invocation(&number, ask)];
    let reservation = payer.reservation(&holds, at(1));
    let error = ledger.reserve(&reservation, std::time::Duration::from_millis(200)).await;
    assert!(matches!(error, Err(ReserveError::Unavailable(_))), "{error:?}");
    // Another attempt would have come after a second.
    assert_eq!(table.faults().requests(), [(UPDATE.to_owned(), 1)].into());
}
