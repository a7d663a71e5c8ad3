//! The routing policy: which specialists there are, and what a session may spend.
//!
//! A policy is a TOML text. [`Policy::parse`] checks all of it and reports every mistake at
//! once, so that finding five of them does not take five deployments. What comes out is checked:
//! the rest of the crate looks up names and compares numbers, and does not validate.

mod agent;
mod levels;
mod limits;
mod reader;
mod schema;
mod scratchpad;
mod supervisor;
mod tables;
mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

pub use agent::{AgentAlias, AgentCoreAgent, AgentRef, Model};
pub use levels::{Listed, RouterNode};
pub use limits::{
    Escalation, GatewayHour, Join, OnLedgerFailure, SessionLimits, SeveralTasks, TenantDay, UserDay,
};
use reader::{Mistakes, Section};
pub use schema::{Schema, SchemaError};
pub use scratchpad::PadKey;
use scratchpad::read_scratchpad;
pub use supervisor::{Current, SUPERVISOR, Split, SupervisorRules};
use supervisor::{read_split, read_supervisor};
use tables::{
    Known, read_escalation, read_gateway_hour, read_session, read_several, read_specialists,
    read_tenant_day, read_user_day,
};

use crate::ids::SpecialistName;
use crate::units::{Price, Tokens};

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The setting: an environment variable, or a key of the policy with its path.
    pub setting: String,
    /// What was found there.
    pub found: String,
    /// What is allowed.
    pub rule: String,
}

/// What is said of a value that [`may_be_secret`].
pub const NOT_SHOWN: &str = "not shown, since it may be a credential";

/// Gives the text of a schema's file by its name in the policy, or says why it cannot.
pub type SchemaFiles<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// Why a policy without files has none.
pub const SCHEMAS_INLINE: &str = "a policy that is no file must hold its schemas inline";

/// Whether a value of a setting may hold a credential, so that no mistake quotes it: in a URL, a
/// user with a password, or a query.
pub fn may_be_secret(value: &str) -> bool {
    let in_url = value.split_once("://").is_some_and(|(_, url)| url.contains(['?', '#', '%']));
    in_url || value.contains('@')
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is {}: {}", self.setting, self.found, self.rule)
    }
}

/// A checked routing policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// A request whose stated confidence is below this goes to the fallback. 0 to 1.
    pub min_confidence: f64,
    /// A request that passed this many routers is refused.
    pub max_hops: u64,
    /// Whether incidents keep what was asked.
    pub record_requests: bool,
    /// What one root session may use.
    pub session: SessionLimits,
    /// What one tenant may use on one UTC day.
    pub tenant_day: TenantDay,
    /// What one user may use on one UTC day; `None`: as much as the sessions and the tenant.
    pub user_day: Option<UserDay>,
    /// What inventing session ids at a gateway cannot pass.
    pub gateway_hour: GatewayHour,
    /// What a call with several tasks may ask for.
    pub several: SeveralTasks,
    /// When people are asked.
    pub escalation: Escalation,
    /// How sessions are shared with what was there before the supervisor; `None`: they are not.
    pub split: Option<Split>,
    supervisor: Option<SupervisorRules>,
    /// Always a key of `specialists`.
    fallback: SpecialistName,
    /// Those that have an agent.
    specialists: BTreeMap<SpecialistName, Specialist>,
    /// Those that have specialists of their own.
    routers: BTreeMap<SpecialistName, RouterNode>,
    /// What specialists may write for each other, by key.
    scratchpad: BTreeMap<String, PadKey>,
}

/// One specialist that the router may choose.
#[derive(Clone, Debug, PartialEq)]
pub struct Specialist {
    /// Its name, also in metrics.
    pub name: SpecialistName,
    /// What it is for, in words.
    pub description: String,
    /// The agent that plays it.
    pub agent: AgentRef,
    /// A cheaper agent for a session that has nearly used its budget up.
    pub degraded_agent: Option<AgentRef>,
    /// What is asked of its model, where the router calls one itself.
    pub model: ModelSettings,
    /// The classes of requests that it serves. No two specialists share one.
    pub intents: BTreeSet<String>,
    /// What its answers must fit.
    pub output_schema: Option<Schema>,
    /// The scratchpad key that its answers become.
    pub writes: Option<String>,
    /// Who is asked in its place when it cannot answer, in this order; never itself.
    pub fallback: Vec<SpecialistName>,
    /// Whether it serves only users whose identity the application has verified.
    pub requires_verified_identity: bool,
    /// What one invocation reserves.
    pub max_tokens_per_call: Tokens,
    /// What an attempt costs whose usage is unknown.
    pub unknown_usage: Tokens,
    /// The longest that one attempt may take, to the last byte of its stream.
    pub timeout: Duration,
    /// The longest silence between two events of a stream.
    pub idle_timeout: Duration,
    /// How often and when a failed attempt is tried again.
    pub retry: Retry,
    /// When the specialist is no longer asked.
    pub circuit: CircuitRules,
    /// What its model costs.
    pub price: Price,
}

/// What is asked of a specialist's model with each call. A Bedrock agent and a runtime have settings
/// of their own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelSettings {
    /// A plain model's system prompt; `None`: it has none.
    pub instruction: Option<String>,
    /// How freely a plain model chooses its words, 0 to 1; `None`: as its provider has it.
    pub temperature: Option<f64>,
    /// The most output tokens of one call of a plain model or a harness; `None`: the model's own
    /// limit.
    pub max_output_tokens: Option<u64>,
}

/// How often and when a failed attempt is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all, the first included.
    pub max_attempts: u64,
    /// The backoff before the first retry, at most.
    pub base_delay: Duration,
    /// The backoff before any retry, at most.
    pub max_delay: Duration,
}

/// When a specialist is no longer asked, and when it is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitRules {
    /// Failures in a row that open the circuit.
    pub failures: u64,
    /// The least number of sessions that those must be of, so that one alone cannot open it.
    pub sessions: usize,
    /// How long it stays open.
    pub open: Duration,
    /// Successes in a row that close it again.
    pub probes: u64,
    /// An answer that takes longer counts as a failure.
    pub slow_call: Duration,
}

impl Policy {
    /// Reads a policy and gives each specialist its agent: the one of `agents`, which comes
    /// from the environment, else the one that the policy names. Where the reader could not read the
    /// environment's agents, there are none, and whether they fit is not asked. It must hold its
    /// schemas itself.
    ///
    /// # Errors
    ///
    /// Every mistake in `text` and every disagreement with `agents`.
    pub fn parse(
        text: &str,
        agents: Option<&BTreeMap<String, String>>,
    ) -> Result<Self, Vec<Mistake>> {
        Self::parse_with_files(text, agents, &|_| Err(SCHEMAS_INLINE.to_owned()))
    }

    /// The same, where schemas may be in files, which `files` gives by the names that the policy has
    /// for them, or says why not.
    ///
    /// # Errors
    ///
    /// Every mistake, as [`Self::parse`] has it.
    pub fn parse_with_files(
        text: &str,
        agents: Option<&BTreeMap<String, String>>,
        files: SchemaFiles<'_>,
    ) -> Result<Self, Vec<Mistake>> {
        let table = reader::parse_toml(text).map_err(|mistake| vec![mistake])?;
        let mistakes = Mistakes::default();
        let root = Section::root(&table, &mistakes);

        let names = tables::all_names(&table);
        let routing = root.required_section("routing");
        let fallback = routing.specialist("fallback", &names);
        let min_confidence = routing.fraction("min_confidence", 0.5);
        let max_hops = routing.integer("max_hops", 1..=100, Some(3));
        let record_requests = routing.boolean("record_requests", false);
        routing.finish();
        let session = read_session(&root.required_section("session"));
        let tenant_day = read_tenant_day(&root.section("tenant_day"));
        let user_day = root.optional_section("user_day").as_ref().map(read_user_day);
        let gateway_hour = read_gateway_hour(&root.section("gateway_hour"));
        let several = read_several(&root.section("several"));
        let escalation = read_escalation(&root.section("escalation"));
        let scratchpad = read_scratchpad(&root.section("scratchpad"), &names, files);
        let known = Known { agents, names, fallback: &fallback, files };
        let supervisor = root.optional_section("supervisor");
        let supervisor = supervisor.and_then(|section| read_supervisor(&section, &known));
        let split = root.optional_section("split").as_ref().and_then(read_split);
        let (specialists, routers) = read_specialists(&root, &known);
        root.finish();

        let policy = Policy {
            min_confidence,
            max_hops,
            record_requests,
            session,
            tenant_day,
            user_day,
            gateway_hour,
            several,
            escalation,
            split,
            supervisor,
            fallback,
            specialists,
            routers,
            scratchpad,
        };
        policy.check_across(&mistakes);
        policy.check_scratchpad(&mistakes);
        policy.check_supervisor(&mistakes);
        if !mistakes.concern("routing.fallback") {
            policy.check_levels(&mistakes);
        }
        if let Some(agents) = agents.filter(|_| !mistakes.concern("specialists")) {
            policy.check_agents_have_specialists(agents, &mistakes);
        }
        mistakes.none_or_else(policy)
    }

    /// The specialist with an agent of this name or path.
    pub fn find(&self, name: &str) -> Option<&Specialist> {
        self.specialists.values().find(|specialist| specialist.name.as_str() == name)
    }

    /// The specialist of last resort.
    pub fn fallback(&self) -> &Specialist {
        &self.specialists[&self.fallback]
    }

    /// All specialists, by name.
    pub fn specialists(&self) -> impl Iterator<Item = &Specialist> {
        self.specialists.values()
    }

    /// Whether any specialist serves this class of requests.
    pub fn knows_intent(&self, intent: &str) -> bool {
        let of_routers = self.routers().map(|node| &node.intents);
        let mut intents =
            self.specialists().map(|specialist| &specialist.intents).chain(of_routers);
        intents.any(|intents| intents.contains(intent))
    }

    /// Whom the policy has asked in the place of `specialist`, in order.
    pub fn fallbacks_of<'p>(
        &'p self,
        specialist: &'p Specialist,
    ) -> impl Iterator<Item = &'p Specialist> {
        specialist.fallback.iter().filter_map(|name| self.resolve(name.as_str(), None))
    }

    /// The rules that more than one key takes part in.
    fn check_across(&self, mistakes: &Mistakes) {
        let mut owner: BTreeMap<&str, &SpecialistName> = BTreeMap::new();
        for specialist in self.specialists() {
            for intent in &specialist.intents {
                if let Some(first) = owner.insert(intent, &specialist.name) {
                    mistakes.add(
                        format!("specialists.{}.intents", levels::setting(&specialist.name)),
                        format!("`{intent}`, which `{first}` has too"),
                        "an intent belongs to one specialist",
                    );
                }
            }
            let setting =
                format!("specialists.{}.max_tokens_per_call", levels::setting(&specialist.name));
            if specialist.max_tokens_per_call > self.session.max_tokens
                && !mistakes.concern("session")
                && !mistakes.concern("session.max_tokens")
                && !mistakes.concern(&setting)
            {
                mistakes.add(
                    setting,
                    specialist.max_tokens_per_call.0.to_string(),
                    format!(
                        "it must not be above session.max_tokens, {}",
                        self.session.max_tokens.0
                    ),
                );
            }
        }
    }

    fn check_agents_have_specialists(
        &self,
        agents: &BTreeMap<String, String>,
        mistakes: &Mistakes,
    ) {
        let is_supervisor = |name: &str| name == SUPERVISOR && self.supervisor.is_some();
        let is_known = |name: &str| self.find(name).is_some() || is_supervisor(name);
        for name in agents.keys().filter(|name| !is_known(name)) {
            mistakes.add(
                "SPECIALIST_AGENTS".to_owned(),
                format!("an agent for `{}`", name.escape_debug()),
                "the policy has no such specialist",
            );
        }
    }
}

#[cfg(test)]
mod tests;
