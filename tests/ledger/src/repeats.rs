//! The same request again and again.

use router_core::ids::Fingerprint;
use router_core::ledger::{Holds, ReserveError};

use crate::books::charge;
use crate::payer::{Payer, id};
use crate::table::TableUnderTest;

/// A session in which the same may be asked twice.
struct Asking {
    payer: Payer,
    table: TableUnderTest,
    ledger: router_aws::DynamoLedger,
    asked: usize,
}

impl Asking {
    async fn begin() -> Self {
        let table = TableUnderTest::start().await;
        let mut payer = Payer::new();
        payer.limits.max_repeats = Some(2);
        Self { payer, ledger: table.ledger(), table, asked: 0 }
    }

    /// Asks for this, and forgets what is to be forgotten.
    async fn ask(&mut self, request: &str) -> Result<Holds, ReserveError> {
        self.asked += 1;
        let (id, ask) = (id(self.asked), charge(10, 10));
        let fingerprint = Fingerprint::of(&self.payer.specialist, request);
        let hold = self.payer.reserve_for(&self.ledger, &id, ask, &fingerprint).await?;
        let settled =
            self.payer.settle_and_forget(&self.ledger, &id, ask, charge(5, 5), &hold.stale);
        settled.await.unwrap();
        Ok(hold)
    }

    async fn assert_refused(&mut self, request: &str) {
        let before = self.table.session("s").await;
        let refused = self.ask(request).await;
        assert!(matches!(refused, Err(ReserveError::Repeated { times: 2, .. })), "{refused:?}");
        let after = self.table.session("s").await;
        assert_eq!(before.committed(), after.committed());
        assert_eq!(before.steps(), after.steps());
    }
}

#[tokio::test]
async fn a_request_may_be_made_as_often_as_the_policy_says_and_its_refusal_costs_nothing() {
    let mut session = Asking::begin().await;
    session.ask("Where is parcel 1?").await.unwrap();
    session.ask("where is  PARCEL 1?").await.unwrap();
    session.assert_refused("Where is parcel 1?").await;
    session.assert_refused("Where is parcel 1?").await;
    session.ask("Where is parcel 2?").await.unwrap();
    session.table.session("s").await.assert_settled(charge(15, 15));
}

#[tokio::test]
async fn a_reservation_that_is_sent_twice_is_one_request() {
    use stand_ins::table_faults::Fault;

    let mut session = Asking::begin().await;
    session.ask("Hello").await.unwrap();
    session.table.faults().script(Fault::ServerErrorAfterApplying.on("UpdateItem"));
    session.ask("Where is parcel 1?").await.unwrap();
    session.ask("Where is parcel 1?").await.unwrap();
    session.assert_refused("Where is parcel 1?").await;
}

#[tokio::test]
async fn the_last_sixteen_requests_are_remembered_and_older_ones_forgotten() {
    let mut session = Asking::begin().await;
    for request in ["old", "older", "old", "older"] {
        session.ask(request).await.unwrap();
    }
    for number in 0..14 {
        session.ask(&format!("request {number}")).await.unwrap();
    }
    assert_eq!(session.table.session("s").await.count("seen#"), 16);
    session.assert_refused("old").await;
    session.assert_refused("older").await;

    session.ask("the sixteenth since").await.unwrap();
    assert_eq!(session.table.session("s").await.count("seen#"), 16);
    assert_eq!(session.table.session("s").await.count("asked_at#"), 16);
    session.assert_refused("older").await;
    session.ask("old").await.unwrap();
}
