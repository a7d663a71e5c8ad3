//! Specialists that take too long, and functions that have little time.
//!
//! No test measures time: an agent that hangs hangs for ever, and what is looked at is that an
//! answer comes and what it cost.

use std::time::Duration;

use stand_ins::Options;
use stand_ins::agents::Ending;

use crate::support::{Account, Ask, Limits, Told, World, agents_with};

async fn timed_out(ask: Ask, why: &str) -> Told {
    let world = World::with(Limits::NONE).await;
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("fell_back", Some("timeout")));
    assert_eq!(told.body["specialist"], "general");
    let expected = Account { steps: 2, tokens: 8_250, micro_usd: 120_360 };
    assert_eq!(world.account(&ask).await, Some(expected), "the hold, and what general used");
    assert_eq!(told.metric("SpecialistErrors", ""), Some(1.0));
    assert_eq!(told.metric("RoutingAccuracy", ""), None);
    assert!(told.lines.iter().any(|line| line.contains(why)), "{:#?}", told.lines);
    assert_eq!(world.agents().calls()[0].ending, Ending::CallerLeft, "the call is given up");
    told
}

#[tokio::test]
async fn an_agent_that_never_answers_is_left_after_its_timeout() {
    timed_out(Ask::of("support", "[hang]"), "longer than 600 ms to answer").await;
}

#[tokio::test]
async fn an_agent_that_never_comes_to_an_end_is_left_after_its_timeout() {
    timed_out(Ask::of("support", "[drip]"), "longer than 600 ms to answer").await;
}

#[tokio::test]
async fn an_agent_that_falls_silent_is_left_after_its_idle_timeout() {
    let ask = Ask::of("billing", "[hang-in-stream]").verified();
    timed_out(ask, "longer than 400 ms between two events").await;
}

/// The shipped policy's timeouts, which are far longer than the function has.
fn hanging(lambda_timeout: Duration) -> Options {
    let agents =
        agents_with([("[hang]", "fault = 'hang'")]).replace("before:accessDeniedException", "hang");
    Options { agents: Some(agents), lambda_timeout, ..Options::default() }
}

#[tokio::test]
async fn a_hanging_agent_leaves_the_function_time_to_have_another_one_answer() {
    let world = World::start(hanging(Duration::from_millis(3_000))).await;
    let ask = Ask::orders("[hang]");
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("fell_back", Some("timeout")));
    let expected = Account { steps: 2, tokens: 8_250, micro_usd: 120_450 };
    assert_eq!(world.account(&ask).await, Some(expected));
}

#[tokio::test]
async fn when_all_agents_hang_the_reply_still_comes_and_all_holds_are_settled() {
    let world = World::start(hanging(Duration::from_millis(3_000))).await;
    let ask = Ask::orders("[hang] [nobody]");
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("failed", Some("timeout")));
    assert_eq!(told.called(), ["orders", "general"]);
    let expected = Account { steps: 2, tokens: 12_000, micro_usd: 140_000 };
    assert_eq!(world.account(&ask).await, Some(expected), "both holds");
    world.is_still_alive().await;
}

#[tokio::test]
async fn nobody_is_asked_when_no_time_is_left_for_an_answer() {
    let world = World::start(hanging(Duration::from_millis(1_600))).await;
    for specialist in ["orders", "general", "astrology"] {
        let ask = Ask::of(specialist, "Where is it?");
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("refused", Some("deadline")), "{specialist}");
        assert_eq!(world.account(&ask).await, None, "{specialist}");
        assert_eq!(told.metric_names(), ["RouterOverhead"], "{specialist}");
        told.nobody_was_called();
    }
}
