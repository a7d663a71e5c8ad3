//! Specialists on several levels, by path and by intent.

use stand_ins::Options;

use crate::branches::ends;
use crate::support::{Account, Ask, PATIENT, World};

/// Billing has an agent and two specialists of its own; legal has one, and no agent.
fn policy() -> String {
    let specialist = |path: &str, intents: &str| {
        format!(
            "[specialists.{path}]
            description = \"{path}\"
            intents = [{intents}]
            requires_verified_identity = false
            max_tokens_per_call = 8000
            price = {{ input_usd_per_mtok = 3.0, output_usd_per_mtok = 15.0 }}
            {PATIENT}\n"
        )
    };
    [
        "[routing]\nfallback = \"general\"\n[session]\nmax_steps = 100\nmax_tokens = 1_000_000\n\
         max_cost_usd = 50\n"
            .to_owned(),
        specialist("billing", ""),
        specialist("billing.specialists.refund", "\"refund\""),
        specialist("billing.specialists.invoice", "\"invoice\""),
        "[specialists.legal]\ndescription = \"legal\"\nfallback = [\"billing\"]\n".to_owned(),
        specialist("legal.specialists.privacy", "\"privacy\""),
        specialist("general", ""),
    ]
    .concat()
}

fn agents() -> String {
    let agent = |(name, id): (&str, &str)| {
        format!(
            "[\"{name}\"]\nagent = \"{id}/LIVE000001\"\nreplies = [\n\
             {{ when = \"[elsewhere]\", answer = '{{\"out_of_scope\": true, \"suggest\": \"billing\"}}' }},\n\
             {{ answer = \"{name} says yes\", usage = [{{ input = 500, output = 100 }}] }}]\n"
        )
    };
    [
        ("billing", "BILLING001"),
        ("billing/refund", "REFUND0001"),
        ("billing/invoice", "INVOICE001"),
        ("legal/privacy", "PRIVACY001"),
        ("general", "GENERAL001"),
    ]
    .map(agent)
    .concat()
}

async fn world() -> World {
    let (policy, agents) = (Some(policy()), Some(agents()));
    World::start(Options { policy, agents, ..Options::default() }).await
}

#[tokio::test]
async fn a_router_node_is_asked_by_path_else_by_intent_else_itself_else_its_fallback() {
    let world = world().await;
    for (asked, intent, answers) in [
        ("billing/refund", "", "billing/refund"),
        ("billing", "refund", "billing/refund"),
        ("billing", "", "billing"),
        ("legal", "privacy", "legal/privacy"),
        ("legal", "", "billing"),
        ("legal", "refund", "billing/refund"),
    ] {
        let ask = Ask::of(asked, "Please help.").argument("intent", intent);
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("answered", None), "{asked} {intent}");
        assert_eq!((told.called(), &told.body["specialist"]), (vec![answers], &answers.into()));
        assert_eq!(told.body["asked"], asked);
        let charged = Account { steps: 1, tokens: 600, micro_usd: 3_000 };
        assert_eq!(world.account(&ask).await, Some(charged));
        let set = format!("Specialist={answers}");
        assert_eq!(told.metric("SpecialistInvocations", &set), Some(1.0));
        let class = if intent.is_empty() { "none" } else { intent };
        let set = format!("IntentClass={class},SpecialistRouted={answers}");
        assert_eq!(told.metric("RoutingAccuracy", &set), Some(1.0), "{:?}", told.batches);
    }
    for unknown in ["billing/refunds", "refund", "legal/billing", "billing/refund/x"] {
        let told = world.ask(&Ask::of(unknown, "Please help.")).await;
        assert_eq!(told.outcome(), ("fell_back", Some("unknown_specialist")), "{unknown}");
    }
}

#[tokio::test]
async fn a_specialist_below_has_a_circuit_a_fallback_and_a_session_of_its_own() {
    let world = world().await;
    world.agents().fail_as("billing/refund=before:accessDeniedException").unwrap();
    let ask = Ask::of("billing", "Please help.").argument("intent", "refund");
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("fell_back", Some("access_denied")));
    assert_eq!(told.called(), ["billing/refund", "general"]);
    world.agents().heal_all();
    let both = [("billing", "a"), ("billing/refund", "b")];
    let told = world.ask(&Ask::several("parallel", &both)).await;
    assert_eq!(ends(&told), [("answered", None); 2]);
    assert_ne!(told.calls[0].session_id, told.calls[1].session_id);
}

#[tokio::test]
async fn a_hand_off_to_a_router_node_goes_where_the_intent_is_and_never_back() {
    let world = world().await;
    let ask = Ask::of("legal", "[elsewhere]").argument("intent", "privacy");
    let told = world.ask(&ask).await;
    // Billing has none below it for this intent, so that its own agent is asked; it sends the request
    // back to itself, and the fallback is the last.
    assert_eq!(told.called(), ["legal/privacy", "billing", "general"]);
    assert_eq!(told.outcome().1, Some("out_of_scope"));
}

#[tokio::test]
async fn supervisors_below_charge_the_root_session_and_cannot_go_on_for_ever() {
    let world = world().await;
    let root = Ask::of("billing", "Please help.");
    world.ask(&root).await;
    let nested = |hops: &str| {
        let ask = Ask::of("billing/refund", "Please help.").attribute("router_hops", hops);
        ask.attribute("root_session_id", root.session_id())
    };
    assert_eq!(world.ask(&nested("1")).await.outcome(), ("answered", None));
    let charged = Account { steps: 2, tokens: 1_200, micro_usd: 6_000 };
    assert_eq!(world.account(&root).await, Some(charged));
    assert_eq!(world.ask(&nested("3")).await.outcome(), ("refused", Some("loop_detected")));
    assert_eq!(world.account(&root).await, Some(charged));
}
