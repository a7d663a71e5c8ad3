//! The routing policy: where it is, and what stands there.

use std::time::Duration;

use router_core::policy::{Mistake, Policy, SCHEMAS_INLINE, SchemaFiles};

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
    /// The policy where the table has none.
    pub compiled_in: CompiledIn,
}

/// A policy that is a part of its function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompiledIn {
    /// The policy, as TOML.
    pub toml: &'static str,
    /// The schemas that it names as files, each with its name.
    pub schemas: &'static [(&'static str, &'static str)],
}

impl CompiledIn {
    /// A policy that holds its schemas itself.
    pub fn alone(toml: &'static str) -> Self {
        Self { toml, schemas: &[] }
    }

    /// Reads the policy, whose specialists these agents play.
    ///
    /// # Errors
    ///
    /// As [`Agents::parse_policy`] has them.
    pub fn parse(&self, agents: &Agents) -> Result<Policy, Vec<Mistake>> {
        agents.parse_policy_with_files(self.toml, &|name| self.schema(name))
    }

    fn schema(&self, name: &str) -> Result<String, String> {
        let found = self.schemas.iter().find(|(known, _)| *known == name);
        let none = "no such file was beside the policy when the function was built";
        found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| none.to_owned())
    }
}

/// Reads the schemas that a policy's file names, as names relative to its folder, with `read_file`.
pub fn beside<R: Fn(&str) -> std::io::Result<String>>(
    policy: &str,
    read_file: R,
) -> impl Fn(&str) -> Result<String, String> + use<R> {
    let folder = policy.rsplit_once('/').map(|(folder, _)| format!("{folder}/"));
    move |name| {
        let path = format!("{}{name}", folder.as_deref().unwrap_or_default());
        read_file(&path).map_err(|error| format!("the file cannot be read, {error}"))
    }
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
    compiled_in: CompiledIn,
) -> Result<PolicySettings, Vec<Mistake>> {
    let agents = Agents::from_vars(var);
    let refresh = refresh(set(var, "POLICY_REFRESH_SECONDS")).map_err(|mistake| vec![mistake]);
    let parse = |text: &str, files: SchemaFiles<'_>| match &agents {
        Ok(agents) => agents.parse_policy_with_files(text, files),
        Err(_) => Policy::parse_with_files(text, None, files),
    };
    let policy = match set(var, "ROUTING_POLICY") {
        None => parse(compiled_in.toml, &|name| compiled_in.schema(name)).map(Some),
        Some(place) if place == "table" => Ok(None),
        Some(text) => match text.strip_prefix("file:") {
            None => parse(&text, &|_| Err(SCHEMAS_INLINE.to_owned())).map(Some),
            Some(path) => match read_file(path) {
                Ok(policy) => parse(&policy, &beside(path, &read_file)).map(Some),
                Err(error) => {
                    let rule = format!("the file cannot be read, {error}");
                    Err(vec![mistake("ROUTING_POLICY", &text, &rule)])
                }
            },
        },
    };
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
