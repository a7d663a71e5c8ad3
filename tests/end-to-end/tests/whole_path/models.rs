//! Specialists that are plain models.

use serde_json::json;
use stand_ins::Options;

use crate::faults::ORDERS;
use crate::support::{Ask, Cast, Limits, World, agents_with, policy_with};

/// A world of models, where each specialist has these keys.
async fn world(keys: &str) -> World {
    let agents = Some(Cast::Model.of(&agents_with([])));
    let policy = Some(policy_with(Limits::NONE, keys));
    World::start(Options { agents, policy, ..Options::default() }).await
}

#[tokio::test]
async fn a_model_is_told_its_instruction_and_the_request_and_has_no_tools() {
    let keys = "instruction = 'Answer about parcels.'\ntemperature = 0.25\nmax_output_tokens = 900";
    let world = world(keys).await;
    let ask = Ask::orders("Where is \"it\"?\n🙂").attribute("user_id", "u-1");
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("answered", None));
    assert_eq!(told.calls[0].agent, Cast::Model.agent("orders"));
    let content = json!([{ "text": "Where is \"it\"?\n🙂" }]);
    let expected = json!({
        "system": [{ "text": "Answer about parcels." }],
        "messages": [{ "role": "user", "content": content }],
        "inferenceConfig": { "temperature": 0.25, "maxTokens": 900 },
    });
    assert_eq!(told.calls[0].body, expected);
    world.was_charged(&ask, 1, &[ORDERS], "an answer").await;
}

#[tokio::test]
async fn what_the_policy_does_not_say_is_the_models_own_affair_and_it_remembers_nothing() {
    let world = world("instruction = ''").await;
    let ask = Ask::orders("Where?");
    world.ask(&ask).await;
    let told = world.ask(&Ask::orders("And now?")).await;
    let content = json!([{ "text": "And now?" }]);
    let expected = json!({ "messages": [{ "role": "user", "content": content }] });
    assert_eq!(told.calls[0].body, expected);
}

#[tokio::test]
async fn a_model_or_profile_that_is_named_by_its_arn_is_called_in_the_region_of_it() {
    for arn in [
        "arn:aws:bedrock:eu-west-1::foundation-model/amazon.nova-lite-v1:0",
        "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-lite-v1:0",
    ] {
        let agents = Some(agents_with([]).replace("ORDERS0001/LIVE000001", arn));
        let world = World::start(Options { agents, ..World::options(Limits::NONE) }).await;
        let told = world.ask(&Ask::orders("Where?")).await;
        assert_eq!(told.outcome(), ("answered", None));
        assert_eq!(told.calls[0].agent, arn);
        assert_eq!(told.calls[0].region.as_deref(), Some("eu-west-1"));
    }
}
