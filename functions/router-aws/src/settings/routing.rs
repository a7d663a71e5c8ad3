//! The routing policy: where it is, and what stands there.

use std::time::Duration;

use router_core::policy::{Mistake, Policy};

use super::agents::Agents;
use super::{Lookup, mistake, set};

/// How often the table's policy is looked at where nothing else is set, in seconds.
const REFRESH_SECONDS: u64 = 60;

/// The policy that a function goes by.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicySettings {
    /// This one, for as long as the function runs.
    Fixed(Box<Policy>),
    /// The one in the table, which may change meanwhile.
    InTable(TablePolicy),
}

/// What is to be known of a policy that is in the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TablePolicy {
    /// The agents of its specialists.
    pub agents: Agents,
    /// The time after which the table is looked at again; zero: after each reply.
    pub refresh: Duration,
    /// The policy where the table has none, as TOML.
    pub compiled_in: &'static str,
}

/// Reads the agents, `POLICY_REFRESH_SECONDS`, and the policy of `ROUTING_POLICY` with `read_file`,
/// which is for one of the form `file:<path>`. Where it is not set, `compiled_in` is the policy.
/// Each specialist has an agent then.
///
/// # Errors
///
/// Every mistake there is.
pub fn policy(
    var: Lookup<'_>,
    read_file: impl Fn(&str) -> std::io::Result<String>,
    compiled_in: &'static str,
) -> Result<PolicySettings, Vec<Mistake>> {
    let agents = Agents::from_vars(var);
    let refresh = refresh(set(var, "POLICY_REFRESH_SECONDS")).map_err(|mistake| vec![mistake]);
    let text = match set(var, "ROUTING_POLICY") {
        None => Ok(Some(compiled_in.to_owned())),
        Some(place) if place == "table" => Ok(None),
        Some(text) => policy_text(text, read_file).map(Some).map_err(|mistake| vec![mistake]),
    };
    let policy = text.and_then(|text| {
        let parse = |text: String| match &agents {
            Ok(agents) => agents.parse_policy(&text),
            Err(_) => Policy::parse(&text, None),
        };
        text.map(parse).transpose()
    });
    match (agents, refresh, policy) {
        (Ok(agents), Ok(refresh), Ok(policy)) => Ok(match policy {
            Some(policy) => PolicySettings::Fixed(Box::new(policy)),
            None => PolicySettings::InTable(TablePolicy { agents, refresh, compiled_in }),
        }),
        (agents, refresh, policy) => {
            let mistakes = [agents.err(), refresh.err(), policy.err()];
            Err(mistakes.into_iter().flatten().flatten().collect())
        }
    }
}

fn refresh(value: Option<String>) -> Result<Duration, Mistake> {
    let Some(text) = value else { return Ok(Duration::from_secs(REFRESH_SECONDS)) };
    match text.parse() {
        Ok(seconds @ 0..=86_400) => Ok(Duration::from_secs(seconds)),
        _ => {
            let rule = "it must be a whole number of seconds from 0, after each reply, to 86400";
            Err(mistake("POLICY_REFRESH_SECONDS", &text, rule))
        }
    }
}

fn policy_text(
    text: String,
    read_file: impl Fn(&str) -> std::io::Result<String>,
) -> Result<String, Mistake> {
    let Some(path) = text.strip_prefix("file:") else { return Ok(text) };
    read_file(path).map_err(|error| {
        mistake("ROUTING_POLICY", &text, &format!("the file cannot be read, {error}"))
    })
}
