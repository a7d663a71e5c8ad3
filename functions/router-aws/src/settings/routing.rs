//! The routing policy, and the agents that play its specialists.

use std::collections::BTreeMap;

use router_core::json::kind;
use router_core::policy::{Mistake, Policy};
use serde_json::Value;

use super::{Lookup, mistake, set, told};

/// Reads `SPECIALIST_AGENTS`, and the policy of `ROUTING_POLICY` with `read_file`, which is for
/// one of the form `file:<path>`. Where it is not set, `default_policy` is the policy. Each
/// specialist has an agent then.
///
/// # Errors
///
/// Every mistake there is.
pub fn policy(
    var: Lookup<'_>,
    read_file: impl Fn(&str) -> std::io::Result<String>,
    default_policy: &str,
) -> Result<Policy, Vec<Mistake>> {
    let agents = agents(set(var, "SPECIALIST_AGENTS"));
    let text = policy_text(set(var, "ROUTING_POLICY"), read_file, default_policy);
    let policy = text
        .map_err(|mistake| vec![mistake])
        .and_then(|text| Policy::parse(&text, agents.as_ref().ok()));
    match (agents, policy) {
        (Ok(_), policy) => policy,
        (Err(mistake), policy) => {
            Err([mistake].into_iter().chain(policy.err().into_iter().flatten()).collect())
        }
    }
}

fn agents(value: Option<String>) -> Result<BTreeMap<String, String>, Mistake> {
    let Some(text) = value else { return Ok(BTreeMap::new()) };
    let found = match serde_json::from_str(&text) {
        Ok(Value::Object(agents)) => {
            let text = |value: Value| value.as_str().map(str::to_owned);
            let agents = agents.into_iter().map(|(name, value)| Some((name, text(value)?)));
            match agents.collect() {
                Some(agents) => return Ok(agents),
                None => "an object with a value that is no text",
            }
        }
        Ok(other) => kind(&other),
        Err(_) => "not JSON",
    };
    let rule = "it must be a JSON object that gives each specialist a text";
    Err(told("SPECIALIST_AGENTS", found, rule))
}

fn policy_text(
    value: Option<String>,
    read_file: impl Fn(&str) -> std::io::Result<String>,
    default_policy: &str,
) -> Result<String, Mistake> {
    let Some(text) = value else { return Ok(default_policy.to_owned()) };
    let Some(path) = text.strip_prefix("file:") else { return Ok(text) };
    read_file(path).map_err(|error| {
        mistake("ROUTING_POLICY", &text, &format!("the file cannot be read, {error}"))
    })
}
