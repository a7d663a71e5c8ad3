//! A session's item does not grow.

use std::time::Duration;

use router_core::ids::Fingerprint;

use crate::books::charge;
use crate::payer::{Payer, id};
use crate::table::TableUnderTest;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_of_500_steps_is_no_larger_than_one_of_50() {
    let table = TableUnderTest::start().await;
    let ledger = table.ledger();
    let mut payers = ["orders", "billing", "support"].map(|name| Payer::new().asking(name));
    for payer in &mut payers {
        payer.limits.max_repeats = Some(3);
        payer.hold_life = Duration::from_secs(90);
    }
    let ask = charge(1_000, 100);
    let mut after_50 = None;
    for number in 0..500 {
        let payer = &payers[number % 3];
        let fingerprint = Fingerprint::of(&payer.specialist, &format!("request {number}"));
        let id = id(number);
        let hold = payer.reserve_for(&ledger, &id, ask, &fingerprint).await.unwrap();
        let used = charge(700, 80);
        payer.settle_and_forget(&ledger, &id, ask, used, &hold.stale).await.unwrap();
        if number == 49 {
            after_50 = Some(table.session("s").await);
        }
    }
    let (before, after) = (after_50.unwrap(), table.session("s").await);
    after.assert_settled(charge(350_000, 40_000));
    assert!(after.attributes() <= before.attributes(), "{before:?}\n{after:?}");
    // The numbers have become a little longer.
    assert!(after.bytes() < before.bytes() + 100, "{} to {}", before.bytes(), after.bytes());
    // An update costs a write unit for each started KB.
    assert!(after.bytes() < 3 * 1_024, "{}", after.bytes());
    println!("{} attributes, {} bytes", after.attributes(), after.bytes());
}
