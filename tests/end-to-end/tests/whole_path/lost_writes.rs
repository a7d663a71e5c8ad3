//! Writes to the ledger that are lost, late, or done without anybody learning of it.
//!
//! The function gives a write one second and three attempts; those seconds pass here.

use std::collections::BTreeMap;
use std::time::Duration;

use stand_ins::Options;

use crate::support::{Account, Ask, Limits, Line, TableLine, World, agents_with};

const ONE_ANSWER: Account = Account { steps: 1, tokens: 600, micro_usd: 3_000 };

/// A sandbox whose function reaches its table through the line.
async fn world(line: &TableLine, lambda_timeout: Duration) -> World {
    let agents = agents_with([(
        "[slow]",
        "answer = 'yes'\nusage = [{ input = 500, output = 100 }]\ndelay_ms = 300",
    )])
    .replace("before:accessDeniedException", "hang");
    let env = BTreeMap::from([("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), line.url())]);
    let options = World::options(Limits::NONE);
    let world =
        World::start(Options { agents: Some(agents), env, lambda_timeout, ..options }).await;
    line.leads_to(&world.table().url());
    world
}

/// Asks, and lets the line go bad between the reservation and the settlement.
async fn ask_and_settle_over(line: &TableLine, bad: Line) -> (World, Ask) {
    let world = world(line, Duration::from_secs(30)).await;
    let ask = Ask::orders("[slow]");
    let (told, ()) = tokio::join!(world.ask(&ask), async {
        world.agents().wait_for_calls(1).await;
        line.becomes(bad);
    });
    assert_eq!(told.outcome(), ("answered", None), "a failed settle never takes the answer");
    assert!(told.lines.iter().any(|line| line.contains("hold left to expire")));
    (world, ask)
}

#[tokio::test]
async fn a_reservation_whose_answer_is_lost_is_repeated_and_taken_once() {
    let line = TableLine::with_bad(1, Line::Mute).await;
    let world = world(&line, Duration::from_secs(30)).await;
    let ask = Ask::orders("Where is it?");
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("answered", None));
    assert_eq!(told.called(), ["orders"]);
    assert_eq!(world.account(&ask).await, Some(ONE_ANSWER));
    assert_eq!(told.left().0, Limits::NONE.max_steps - 1);
}

#[tokio::test]
async fn a_settlement_whose_answers_are_all_lost_is_made_once() {
    let line = TableLine::good().await;
    let (world, ask) = ask_and_settle_over(&line, Line::Mute).await;
    assert_eq!(world.account(&ask).await, Some(ONE_ANSWER));
}

#[tokio::test]
async fn a_settlement_that_never_arrives_leaves_its_hold_charged() {
    let line = TableLine::good().await;
    let (world, ask) = ask_and_settle_over(&line, Line::Deaf).await;
    let item = world.table().session_budget(ask.session_id()).await.unwrap().unwrap();
    let number = |name: &str| item[name].as_n().unwrap().clone();
    assert_eq!(number("committed_tokens"), "8000", "the hold");
    assert_eq!(number("committed_micro_usd"), "120000", "the hold");
    assert_eq!((number("spent_tokens"), number("spent_micro_usd")), ("0".into(), "0".into()));
    assert_eq!(item.keys().filter(|name| name.starts_with("hold#")).count(), 1);
    // The session goes on, with that much less.
    line.becomes(Line::Good);
    let told = world.ask(&Ask::orders("Where is it?").session(ask.session_id())).await;
    assert_eq!(told.outcome(), ("answered", None));
    assert_eq!(told.left().1, Limits::NONE.max_tokens - 8_000 - 600);
}

#[tokio::test]
async fn a_table_that_says_nothing_is_a_ledger_that_is_not_there() {
    let line = TableLine::with_bad(usize::MAX, Line::Deaf).await;
    let world = world(&line, Duration::from_secs(30)).await;
    let ask = Ask::orders("Where is it?");
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("refused", Some("ledger_unavailable")));
    told.nobody_was_called();
    assert_eq!(world.account(&ask).await, None);
}

/// Three attempts of a second each are longer than the function has.
#[tokio::test]
async fn a_table_that_says_nothing_does_not_take_the_reply_of_a_short_function() {
    let line = TableLine::with_bad(usize::MAX, Line::Deaf).await;
    let world = world(&line, Duration::from_millis(2_500)).await;
    let told = world.ask(&Ask::orders("Where is it?")).await;
    assert_eq!(told.outcome(), ("refused", Some("ledger_unavailable")));
    told.nobody_was_called();
}

/// The time that a slow reservation took is no longer there for the specialist.
#[tokio::test]
async fn a_reservation_that_took_long_leaves_the_specialist_less_time() {
    let line = TableLine::with_bad(2, Line::Deaf).await;
    let world = world(&line, Duration::from_millis(4_500)).await;
    let ask = Ask::of("general", "[nobody] says anything");
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("failed", Some("timeout")));
    let used = Account { steps: 1, tokens: 4_000, micro_usd: 16_000 };
    assert_eq!(world.account(&ask).await, Some(used));
}
