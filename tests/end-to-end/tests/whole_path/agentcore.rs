//! Specialists on AgentCore runtimes.

use stand_ins::Options;

use crate::faults::{GENERAL, ORDERS};
use crate::support::{Ask, Limits, RUNTIME, World, agents_with, on_runtime, policy};

const FORMATS: [&str; 3] = ["stream", "json", "strands"];

/// A world where orders runs on a runtime, answers in this format, and has these replies.
async fn world(format: &str, replies: &[(&str, &str)]) -> World {
    let agents = on_runtime(&agents_with(replies.iter().copied()), format);
    World::start(Options { agents: Some(agents), ..World::options(Limits::NONE) }).await
}

#[tokio::test]
async fn an_answer_arrives_in_each_format_and_costs_what_it_reports() {
    let reply = "answer = \"C'est noté. 🙂\"\nchunks = 5\nusage = [{ input = 500, output = 100 }]";
    for format in FORMATS {
        let world = world(format, &[("[utf-8]", reply)]).await;
        for (request, answer) in [("Where?", "orders says yes"), ("[utf-8]", "C'est noté. 🙂")] {
            let ask = Ask::orders(request);
            let told = world.ask(&ask).await;
            assert_eq!(told.outcome(), ("answered", None), "{format}");
            assert_eq!(told.body["answer"], answer, "{format}");
            assert_eq!(told.calls[0].agent, RUNTIME);
            world.was_charged(&ask, 1, &[ORDERS], format).await;
            assert_eq!(told.metric("InputTokens", "Specialist=orders"), Some(500.0));
            assert_eq!(told.metric("OutputTokens", "Specialist=orders"), Some(100.0));
        }
    }
}

#[tokio::test]
async fn a_runtime_is_told_what_is_asked_and_the_session_attributes() {
    let world = world("stream", &[]).await;
    let ask = Ask::orders("Where is \"it\"?\n🙂").session("other").attribute("user_id", "u-1");
    let told =
        world.ask(&ask.attribute("root_session_id", "r").attribute("router_hops", "1")).await;
    assert_eq!(told.outcome(), ("answered", None));
    assert_eq!(told.calls[0].input_text, "Where is \"it\"?\n🙂");
    let attributes = told.calls[0].session_attributes.iter();
    let attributes: Vec<(&str, &str)> = attributes.map(|(name, it)| (&**name, &**it)).collect();
    let expected = [("root_session_id", "r"), ("router_hops", "2"), ("user_id", "u-1")];
    assert_eq!(attributes, expected);
}

#[tokio::test]
async fn a_runtimes_session_is_the_specialists_own_and_long_enough() {
    let world = world("stream", &[]).await;
    let session_of = async |ask: Ask| world.ask(&ask).await.calls[0].session_id.clone();
    let first = session_of(Ask::orders("Where?").session("s")).await;
    assert!((33..=256).contains(&first.len()), "{first}");
    assert_eq!(session_of(Ask::orders("And now?").session("s")).await, first);
    assert_ne!(session_of(Ask::orders("Where?").session("t")).await, first);
    assert_ne!(session_of(Ask::of("support", "Where?").session("s")).await, first);
}

#[tokio::test]
async fn an_agent_that_reports_no_usage_is_charged_its_hold() {
    for format in FORMATS {
        let world = world(format, &[("[no usage]", "answer = 'yes'")]).await;
        let ask = Ask::orders("[no usage]");
        assert_eq!(world.ask(&ask).await.outcome(), ("answered", None), "{format}");
        world.was_charged(&ask, 1, &[(8_000, 120_000)], format).await;
    }
}

#[tokio::test]
async fn a_strands_agents_answer_is_its_last_message_and_all_its_model_invocations_are_charged() {
    let usage = "usage = [{ input = 400, output = 50 }, { input = 100, output = 50 }]";
    let world =
        world("strands", &[("[tool]", &format!("answer = 'At the depot.'\n{usage}"))]).await;
    let ask = Ask::orders("[tool]");
    let told = world.ask(&ask).await;
    assert_eq!(told.body["answer"], "At the depot.");
    world.was_charged(&ask, 1, &[ORDERS], "two model invocations").await;
}

#[tokio::test]
async fn a_strands_agent_that_used_too_much_is_cut_before_it_goes_on() {
    let more = "usage = [{ input = 8001, output = 0 }, { input = 1, output = 0 }]";
    let world = world("strands", &[("[more]", &format!("answer = 'yes'\n{more}"))]).await;
    let ask = Ask::orders("[more]");
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("fell_back", Some("budget_tokens")));
    world.was_charged(&ask, 2, &[(8_001, 120_000), GENERAL], "cut").await;
}

#[tokio::test]
async fn what_is_not_a_runtimes_job_is_handed_over() {
    for format in FORMATS {
        let world = world(format, &[]).await;
        let told = world.ask(&Ask::orders("[suggest billing]").verified()).await;
        assert_eq!(told.called(), ["orders", "billing"], "{format}");
        assert_eq!(told.outcome(), ("fell_back", Some("out_of_scope")), "{format}");
    }
}

#[tokio::test]
async fn an_endpoint_and_a_degraded_runtime_are_called_where_they_are_named() {
    let endpoint = format!("{RUNTIME}/runtime-endpoint/CHEAP");
    let cheap = format!(
        "[cheap]\nagent = '{endpoint}'\nlisted = false\n[[cheap.replies]]\nanswer = 'cheap'"
    );
    let agents = format!("{}\n{cheap}", on_runtime(&agents_with([]), "stream"));
    let policy = policy(Limits { max_steps: 2, ..Limits::NONE })
        .replace("[session]", "[session]\ndegrade_at = 0.5")
        .replace(
            "[specialists.orders]",
            &format!("[specialists.orders]\ndegraded_agent = \"{endpoint}\""),
        );
    let options = Options { agents: Some(agents), policy: Some(policy), ..Options::default() };
    let world = World::start(options).await;
    let ask = Ask::orders("Where is it?");
    assert_eq!(world.ask(&ask).await.calls[0].agent, RUNTIME);
    let told = world.ask(&ask).await;
    assert_eq!((&*told.calls[0].agent, &told.body["answer"]), (&*endpoint, &"cheap".into()));
}

#[tokio::test]
async fn a_runtime_of_another_region_is_called_there() {
    // The sandbox turns down what is not signed for the region of the ARN.
    let agents = on_runtime(&agents_with([]), "stream").replace("us-east-1", "eu-west-1");
    let world =
        World::start(Options { agents: Some(agents), ..World::options(Limits::NONE) }).await;
    assert_eq!(world.ask(&Ask::orders("Where?")).await.outcome(), ("answered", None));
}

#[tokio::test]
async fn a_guardrail_of_a_runtime_ends_the_request() {
    let blocked = "fault = 'guardrail'\nusage = [{ input = 90, output = 0 }]";
    for format in FORMATS {
        let world = world(format, &[("[guardrail]", blocked)]).await;
        let ask = Ask::orders("[guardrail]");
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("failed", Some("guardrail")), "{format}");
        assert_eq!(told.called(), ["orders"], "{format}");
        world.was_charged(&ask, 1, &[(90, 270)], format).await;
    }
}

#[tokio::test]
async fn pieces_that_nobody_knows_do_not_matter() {
    for format in FORMATS {
        let world =
            world(format, &[("[unknown]", "fault = 'unknown-event'\nanswer = 'yes'")]).await;
        let told = world.ask(&Ask::orders("[unknown]")).await;
        assert_eq!((told.outcome(), &told.body["answer"]), (("answered", None), &"yes".into()));
    }
}

#[tokio::test]
async fn long_answers_are_read_and_endless_ones_are_not_kept() {
    let usage = "usage = [{ input = 500, output = 100 }]";
    let many = format!("answer_bytes = 10000\nchunks = 1000\n{usage}");
    let huge = format!("answer_bytes = 1000000\n{usage}");
    let endless = format!("answer_bytes = 3000000\nchunks = 300\n{usage}");
    let replies = [("[many]", &*many), ("[huge]", &*huge), ("[endless]", &*endless)];
    for format in FORMATS {
        let world = world(format, &replies).await;
        for (request, truncated) in [("[many]", false), ("[huge]", true)] {
            let ask = Ask::orders(request);
            let told = world.ask(&ask).await;
            assert_eq!(told.outcome(), ("answered", None), "{request} in {format}");
            assert_eq!(told.body["truncated"], truncated, "{request} in {format}");
            world.was_charged(&ask, 1, &[ORDERS], request).await;
        }
        let ask = Ask::orders("[endless]");
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("fell_back", Some("agent_error")), "{format}");
        assert_eq!(told.called(), ["orders", "general"], "once is enough");
        // A body is one value and tells its usage, however much of it is not kept.
        let charge = if format == "json" { ORDERS } else { (8_000, 120_000) };
        world.was_charged(&ask, 2, &[charge, GENERAL], format).await;
    }
}

/// The SDK gives a stream up that is silent for 5 seconds, unless it is told not to.
#[tokio::test]
async fn a_runtime_may_be_silent_for_as_long_as_the_policy_allows() {
    let reply = "answer = 'At last.'\ngap_ms = 7000";
    let world = world("stream", &[("[slow]", reply)]).await;
    let told = world.ask(&Ask::orders("[slow]")).await;
    assert_eq!(told.outcome(), ("answered", None));
    assert_eq!(told.body["answer"], "At last.");
}

#[tokio::test]
async fn a_service_that_refuses_connections_to_runtimes_is_charged_nothing() {
    let world = world("stream", &[]).await;
    world.agents().go_down().await.unwrap();
    let (ask, told) = world.asks_orders().await;
    assert_eq!(told.outcome(), ("failed", Some("agent_error")));
    assert_eq!(told.body["attempts"], 6, "orders and general, three times each");
    world.was_charged(&ask, 2, &[], "refused").await;
    world.agents().come_back().await.unwrap();
    assert_eq!(world.asks_orders().await.1.outcome(), ("answered", None));
}
