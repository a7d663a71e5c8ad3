//! A request that Lambda delivers a second time, under the id that it had.

use stand_ins::events::Form;
use stand_ins::lambda::Invocation;
use stand_ins::table_faults::Fault;

use crate::support::{Account, Ask, Limits, World};

fn status(invocation: &Invocation) -> String {
    let body = Form::Function.body(&invocation.json().expect("a reply")).unwrap();
    body["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn it_does_not_live_on_the_hold_that_its_first_run_left_behind() {
    let world = World::with(Limits::NONE).await;
    let ask = Ask::orders("Where is it?");
    // The first update finds no session yet; the settlement comes after it, and is not heard.
    world.table().faults().script(Fault::ServerError.on("UpdateItem").after(1).times(3));
    let first = world.invoke(ask.event().to_string(), None).await;
    let again = world.deliver_again(&first.request_id, ask.event().to_string(), None).await;
    assert_eq!((&*status(&first), &*status(&again)), ("answered", "answered"));
    assert_eq!(world.agents().calls().len(), 2);
    let item = world.table().session_budget(ask.session_id()).await.unwrap().unwrap();
    let number = |name: &str| item[name].as_n().unwrap().clone();
    assert_eq!((number("steps"), number("spent_tokens")), ("2".into(), "600".into()));
    assert_eq!(number("committed_tokens"), "8600", "the first run's hold, and the second's use");
    assert_eq!(item.keys().filter(|name| name.starts_with("hold#")).count(), 1);
}

#[tokio::test]
async fn when_its_first_run_was_settled_it_is_a_second_run_with_a_charge_of_its_own() {
    let world = World::with(Limits::NONE).await;
    let ask = Ask::orders("Where is it?");
    let first = world.invoke(ask.event().to_string(), None).await;
    for process in ["the same", "another"] {
        let again = world.deliver_again(&first.request_id, ask.event().to_string(), None).await;
        assert_eq!(status(&again), "answered", "{process} process");
        world.renew_processes().await.unwrap();
    }
    let used = Account { steps: 3, tokens: 1_800, micro_usd: 9_000 };
    assert_eq!(world.account(&ask).await, Some(used));
}
