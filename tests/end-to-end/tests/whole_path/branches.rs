//! Several tasks in one call, one of which fails in every way in which an agent can.

use crate::faults::{Case, GENERAL, ORDERS, charges, each_case, for_each_cast};
use crate::support::{Ask, Cast, Told, World};

/// What an answer of billing, of support and of orders costs is the same.
const BILLING: (u64, u64) = ORDERS;
const SUPPORT: (u64, u64) = ORDERS;

const TASKS: [(&str, &str); 3] =
    [("billing", "What was paid?"), ("orders", "Where is it?"), ("support", "Who am I?")];
const STAGES: [(&str, &str); 3] = [
    ("billing", "What was paid?"),
    ("orders", "What of this: {{previous}}"),
    ("support", "And of this: {{previous}}"),
];

/// Status and reason of each task.
pub(crate) fn ends(told: &Told) -> Vec<(&str, Option<&str>)> {
    let results = told.body["results"].as_array().unwrap();
    let end =
        results.iter().map(|told| (told["status"].as_str().unwrap(), told["reason"].as_str()));
    end.collect()
}

for_each_cast!(a_branch_that_fails_leaves_the_others_whole);

async fn a_branch_that_fails_leaves_the_others_whole(cast: Cast) {
    each_case(cast, async |world: &World, case: &Case, name: &str| {
        let Case { fault, charge, row } = case;
        world.agents().fail_as(&format!("orders={fault}")).unwrap();
        let ask =
            Ask::several("parallel", &TASKS).attribute("tenant_id", format!("t-{name}").as_str());
        let told = world.ask(&ask).await;
        let fell_back = ("fell_back", Some(row.reason));
        assert_eq!(ends(&told), [("answered", None), fell_back, ("answered", None)], "{name}");
        assert_eq!(told.outcome(), ("answered", None), "{name}");
        let attempts = charges(row.attempts, *charge);
        let charged = [attempts.clone(), vec![BILLING, SUPPORT, GENERAL]].concat();
        world.was_charged(&ask, 4, &charged, name).await;
        // With the fallback gone too, the others are what there is.
        world.agents().fail_as("general=before:accessDeniedException").unwrap();
        let ask =
            Ask::several("parallel", &TASKS).attribute("tenant_id", format!("t-{name}").as_str());
        let told = world.ask(&ask).await;
        let failed = ("failed", Some(row.reason));
        assert_eq!(ends(&told), [("answered", None), failed, ("answered", None)], "{name}");
        assert_eq!(told.outcome(), ("partial", Some(row.reason)), "{name}");
        let charged = [attempts, vec![BILLING, SUPPORT]].concat();
        world.was_charged(&ask, 4, &charged, name).await;
        world.agents().heal_all();
    })
    .await;
}

for_each_cast!(a_stage_that_fails_ends_the_pipeline_and_no_error_becomes_an_input);

async fn a_stage_that_fails_ends_the_pipeline_and_no_error_becomes_an_input(cast: Cast) {
    each_case(cast, async |world: &World, case: &Case, name: &str| {
        let Case { fault, charge, row } = case;
        for failing in
            [format!("orders={fault}"), "general=before:accessDeniedException".to_owned()]
        {
            world.agents().fail_as(&failing).unwrap();
        }
        let ask =
            Ask::several("pipeline", &STAGES).attribute("tenant_id", format!("t-{name}").as_str());
        let told = world.ask(&ask).await;
        let not_reached = ("refused", Some("not_reached"));
        let failed = ("failed", Some(row.reason));
        assert_eq!(ends(&told), [("answered", None), failed, not_reached], "{name}");
        assert_eq!(told.outcome(), ("partial", Some(row.reason)), "{name}");
        assert!(!told.called().contains(&"support"), "{name}");
        let charged = [charges(row.attempts, *charge), vec![BILLING]].concat();
        world.was_charged(&ask, 3, &charged, name).await;
        // Well again, the same goes on where it ended.
        world.agents().heal_all();
        world.agents().fail_as("orders=before:accessDeniedException").unwrap();
        let told = world.ask(&ask).await;
        let fell_back = ("fell_back", Some("access_denied"));
        assert_eq!(ends(&told), [("answered", None), fell_back, ("answered", None)], "{name}");
        assert_eq!(told.called(), ["orders", "general", "support"], "{name}");
        let inputs: Vec<&str> = told.calls.iter().map(|call| &*call.input_text).collect();
        assert_eq!(inputs[0], "What of this: billing says yes", "{name}");
        assert_eq!(inputs[2], "And of this: general says yes", "{name}");
        world.was_charged(&ask, 6, &[charged, vec![GENERAL, SUPPORT]].concat(), name).await;
        world.agents().heal_all();
    })
    .await;
}
