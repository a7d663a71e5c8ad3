//! The sessions in which specialists remember what was said.

use std::collections::BTreeSet;
use std::time::Duration;

use stand_ins::Options;

use crate::support::{Ask, Limits, World, agents_with, on_runtime, policy, policy_with};

/// The session id that the only call of this was made in.
async fn session_of(world: &World, ask: &Ask) -> String {
    let told = world.ask(ask).await;
    assert_eq!(told.calls.len(), 1);
    told.calls[0].session_id.clone()
}

#[tokio::test]
async fn a_specialists_session_id_is_valid_wherever_it_runs() {
    let world = World::with(Limits::NONE).await;
    let mut ids = BTreeSet::new();
    let roots = ["s".to_owned(), "a/b\n\"é\u{1}🙂".to_owned(), "x".repeat(1_024)];
    for root in &roots {
        let id = session_of(&world, &Ask::orders("Where?").session(root.clone())).await;
        assert!((33..=100).contains(&id.len()), "{id}");
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
        assert!(id.bytes().all(allowed), "{id}");
        assert!(ids.insert(id), "every root session has its own");
    }
}

#[tokio::test]
async fn a_specialist_keeps_its_session_until_its_turns_are_used_up() {
    let limits = Limits { max_turns_per_specialist: 2, ..Limits::NONE };
    let world = World::with(limits).await;
    let ask = Ask::orders("Where is it?");
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(session_of(&world, &ask).await);
    }
    assert_eq!([&ids[0], &ids[2], &ids[4]], [&ids[1], &ids[3], &ids[5]]);
    let distinct: BTreeSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), 3);
}

#[tokio::test]
async fn specialists_never_share_a_session() {
    let world = World::with(Limits::NONE).await;
    let mut ids = BTreeSet::new();
    for specialist in ["orders", "support", "billing", "general"] {
        let ask = Ask::of(specialist, "Please help.").verified().session("shared");
        let id = session_of(&world, &ask).await;
        assert!(ids.insert(id.clone()), "{specialist}");
        // The turns of one do not end the session of another.
        assert_eq!(session_of(&world, &ask).await, id);
    }
}

#[tokio::test]
async fn supervisors_under_one_root_session_share_the_specialists_session() {
    let world = World::with(Limits::NONE).await;
    let id = session_of(&world, &Ask::orders("Where?").session("root")).await;
    let nested = Ask::orders("Where?").session("other").attribute("root_session_id", "root");
    assert_eq!(session_of(&world, &nested).await, id);
}

#[tokio::test]
async fn a_session_in_use_moves_the_call_into_another_one() {
    let agents = agents_with([("[once]", "times = 1\nfault = 'before:conflictException'")]);
    let options = Options { agents: Some(agents), ..World::options(Limits::NONE) };
    let world = World::start(options).await;
    let ask = Ask::orders("[once]");
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("answered", None));
    assert_eq!(told.called(), ["orders", "orders"]);
    assert_ne!(told.calls[0].session_id, told.calls[1].session_id);
    assert_eq!(told.body["attempts"], 2);
    let account = world.account(&ask).await.unwrap();
    assert_eq!((account.steps, account.tokens), (1, 600), "one step, one charge");
    assert_eq!(told.metric("SpecialistInvocations", ""), Some(1.0));
}

#[tokio::test]
async fn calls_at_the_same_time_never_share_a_session() {
    let agents = agents_with([("[hang]", "fault = 'hang'")]);
    let policy = policy(Limits::NONE)
        .replace("intents = [\"delivery\"]", "intents = [\"delivery\"]\ntimeout_ms = 2000");
    let options = Options { agents: Some(agents), policy: Some(policy), ..Options::default() };
    let options = Options { processes: 2, lambda_timeout: Duration::from_secs(60), ..options };
    let world = World::start(options).await;
    let hanging = Ask::orders("[hang]").session("shared");
    let quick = Ask::orders("Where is it?").session("shared");
    let (_, second) = tokio::join!(world.invoke(hanging.event().to_string(), None), async {
        world.agents().wait_for_calls(1).await;
        world.invoke(quick.event().to_string(), None).await
    });
    assert!(second.json().is_some());
    let calls = world.agents().calls();
    assert_eq!(calls.len(), 3, "hang, quick, and the fallback of the first");
    assert_ne!(calls[0].session_id, calls[1].session_id);
    assert!(calls.iter().all(|call| world.agents().greatest_at_once(&call.session_id) == 1));
    // The first took too long and may still be at work, so the next one has another session.
    let next = session_of(&world, &quick).await;
    assert!(calls.iter().all(|call| call.session_id != next));
}

#[tokio::test]
async fn after_a_call_that_was_left_the_next_one_takes_another_session_and_later_ones_stay() {
    let agents = agents_with([
        ("[hang]", "fault = 'hang'"),
        ("[silent]", "fault = 'hang-in-stream'"),
        ("[long]", "answer_bytes = 3_000_000"),
        ("[greedy]", "answer = 'yes'\nusage = [{ input = 9000 }, { input = 1 }]"),
        ("[broken]", "fault = 'close-in-stream'"),
    ]);
    let keys = "timeout_ms = 500\nretry = { max_attempts = 1 }\ncircuit = { failures = 10_000 }";
    let policy = Some(policy_with(Limits { max_turns_per_specialist: 100, ..Limits::NONE }, keys));
    let world = World::start(Options { agents: Some(agents), policy, ..Options::default() }).await;
    let of = async |request: &str| {
        let told = world.ask(&Ask::orders(request).session("one-session")).await;
        told.calls[0].session_id.clone()
    };
    let mut left = BTreeSet::new();
    for request in ["[hang]", "[silent]", "[long]", "[greedy]"] {
        let before = of("Where is it?").await;
        assert_eq!(of(request).await, before, "{request}");
        assert!(left.insert(before), "{request}");
        assert!(!left.contains(&of("Where is it?").await), "{request}");
    }
    // What has ended, however badly, leaves the session as it was.
    let before = of("[broken]").await;
    assert_eq!(of("Where is it?").await, before);
    assert!(!left.contains(&before));
}

#[tokio::test]
async fn a_conflict_in_the_stream_of_a_call_that_was_not_run_is_not_charged() {
    let busy = "times = 1\nfault = 'in-stream:concurrencyException'\nanswer = ''";
    for agents in
        [agents_with([("[busy]", busy)]), on_runtime(&agents_with([("[busy]", busy)]), "stream")]
    {
        let options = Options { agents: Some(agents), ..World::options(Limits::NONE) };
        let world = World::start(options).await;
        let ask = Ask::orders("[busy]");
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("answered", None));
        assert_ne!(told.calls[0].session_id, told.calls[1].session_id);
        let account = world.account(&ask).await.unwrap();
        assert_eq!((account.steps, account.tokens, account.micro_usd), (1, 600, 3_000));
    }
}
