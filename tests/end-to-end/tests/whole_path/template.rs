//! What the template promises and the shipped policy needs.

use std::collections::BTreeMap;
use std::time::Duration;

use router_core::deadline;
use router_core::policy::Policy;

use crate::support::{Limits, policy_with};

const TEMPLATE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml"));
const SHIPPED_POLICY: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../functions/supervisor-router/routing.toml"
));

/// The function's timeout; the template has one function.
fn function_timeout() -> Duration {
    let mut timeouts = TEMPLATE.lines().filter_map(|line| line.trim().strip_prefix("Timeout: "));
    let seconds = timeouts.next().unwrap().parse().unwrap();
    assert_eq!(timeouts.next(), None);
    Duration::from_secs(seconds)
}

/// Whether every specialist of the policy may use its time up before the function's is over.
fn fits(policy: &str) -> bool {
    let agents = ["billing", "orders", "support", "general"].map(|name| (name, "AGENT/ALIAS"));
    let agents: BTreeMap<String, String> =
        agents.map(|(name, agent)| (name.to_owned(), agent.to_owned())).into();
    let policy = Policy::parse(policy, Some(&agents)).unwrap();
    deadline::longest_request(&policy) <= function_timeout()
}

#[test]
fn the_functions_timeout_covers_the_shipped_policys_longest_request() {
    assert!(fits(SHIPPED_POLICY));
}

#[test]
fn a_policy_that_does_not_fit_into_the_functions_timeout_is_found() {
    let all = |keys: &str| policy_with(Limits::NONE, keys);
    assert!(fits(&all("timeout_ms = 28_500")), "57 s, four short waits and a margin");
    assert!(!fits(&all("timeout_ms = 29_500")), "59 s, the waits and the margin are too long");
    let patient = "timeout_ms = 28_500\nretry = { base_delay_ms = 500, max_delay_ms = 1_000 }";
    assert!(!fits(&all(patient)), "and so are longer waits");
}
