//! The supervisor that the front door runs, and what was there before it.

use std::collections::BTreeSet;

use super::reader::{Mistakes, Section};
use super::tables::{Known, read_circuit, read_price, read_retry};
use super::{AgentRef, ModelSettings, Policy, Specialist};
use crate::ids::SpecialistName;
use crate::units::{Share, Tokens};

/// The name under which the supervisor is measured, charged and given an agent.
pub const SUPERVISOR: &str = "supervisor";

/// How an agent of a Lambda function is written in `[split]`.
const LAMBDA: &str = "lambda:";

/// The supervisor of the front door.
#[derive(Clone, Debug, PartialEq)]
pub struct SupervisorRules {
    /// How it is called and charged, as a specialist of the name `supervisor` would be. It serves
    /// no intent, and nobody falls back to it.
    pub callee: Specialist,
    /// Decisions in one request; the last has no tools.
    pub max_rounds: u64,
    /// Messages of a session that a plain model is given again.
    pub memory_items: usize,
    /// Who is asked when the supervisor itself fails.
    pub fallback: SpecialistName,
}

impl SupervisorRules {
    /// Whether its action group carries its calls out, and not whoever asks it: a Bedrock agent's.
    pub fn has_action_group(&self) -> bool {
        matches!(self.callee.agent, AgentRef::Bedrock(_))
    }
}

/// How the sessions are shared with what was there before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// What was there before.
    pub current: Current,
    /// The part of the sessions that goes to the supervisor.
    pub share: Share,
}

/// What was there before the supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Current {
    /// A Lambda function, by its ARN.
    Lambda(String),
    /// An agent.
    Agent(AgentRef),
}

impl Policy {
    /// The supervisor that the front door runs; `None` where none has an agent here.
    pub fn supervisor(&self) -> Option<&SupervisorRules> {
        self.supervisor.as_ref()
    }

    /// Whom an invocation of this name calls: a specialist, or the supervisor.
    pub fn called(&self, name: &str) -> Option<&Specialist> {
        let supervisor = self.supervisor.as_ref().map(|rules| &rules.callee);
        self.find(name).or_else(|| supervisor.filter(|callee| callee.name.as_str() == name))
    }

    /// All who may be called.
    pub fn all_called(&self) -> impl Iterator<Item = &Specialist> {
        self.specialists().chain(self.supervisor.as_ref().map(|rules| &rules.callee))
    }

    /// Reports what is said of the supervisor and cannot be.
    pub(super) fn check_supervisor(&self, mistakes: &Mistakes) {
        let Some(SupervisorRules { callee, .. }) = &self.supervisor else { return };
        if self.specialists().any(|specialist| specialist.name == callee.name) {
            let rule = "the name is the supervisor's, since there is a table [supervisor]";
            mistakes.add(format!("specialists.{SUPERVISOR}"), "a specialist".to_owned(), rule);
        }
        if matches!(callee.agent, AgentRef::Runtime(_)) {
            let rule = "a supervisor must be a Bedrock agent, a harness or a model: a runtime has no \
                        way to call a tool";
            mistakes.add("supervisor.agent".to_owned(), "a runtime".to_owned(), rule);
        }
        let setting = "supervisor.max_tokens_per_call".to_owned();
        let most = self.session.max_tokens;
        if callee.max_tokens_per_call > most && !mistakes.concern(&setting) {
            let rule = format!("it must not be above session.max_tokens, {}", most.0);
            mistakes.add(setting, callee.max_tokens_per_call.0.to_string(), rule);
        }
    }
}

/// Reads `[supervisor]`; `None` where it has no agent, which may be so in one environment only.
pub(super) fn read_supervisor(section: &Section<'_>, known: &Known<'_>) -> Option<SupervisorRules> {
    let name = SpecialistName::parse(SUPERVISOR)?;
    let has_agent = section.names_agent(&name, known.agents);
    let timeout = section.millis("timeout_ms", 1..=900_000, 20_000);
    let max_tokens = section.integer("max_tokens_per_call", 1..=1_000_000_000, None);
    let fallback = section.optional_specialist("fallback", &known.names);
    let memory_items = section.integer("memory_items", 0..=1_000, Some(50));
    let unknown_usage =
        section.integer("unknown_usage_tokens", 1..=1_000_000_000, Some(max_tokens));
    let rules = SupervisorRules {
        max_rounds: section.integer("max_rounds", 1..=50, Some(6)),
        memory_items: usize::try_from(memory_items).unwrap_or(usize::MAX),
        fallback: fallback.unwrap_or_else(|| known.fallback.clone()),
        callee: Specialist {
            description: String::new(),
            agent: section.agent(&name, known.agents.filter(|_| has_agent)),
            degraded_agent: None,
            model: ModelSettings {
                instruction: section.optional_text("instruction"),
                temperature: section.optional_fraction("temperature"),
                max_output_tokens: section.optional_integer("max_output_tokens", 1..=1_000_000_000),
            },
            intents: BTreeSet::new(),
            output_schema: None,
            writes: None,
            fallback: Vec::new(),
            requires_verified_identity: false,
            max_tokens_per_call: Tokens(max_tokens),
            unknown_usage: Tokens(unknown_usage),
            timeout,
            idle_timeout: section.millis_up_to("idle_timeout_ms", 10_000, "timeout_ms", timeout),
            retry: read_retry(&section.section("retry")),
            circuit: read_circuit(&section.section("circuit"), timeout),
            price: read_price(&section.required_section("price")),
            name,
        },
    };
    section.finish();
    has_agent.then_some(rules)
}

pub(super) fn read_split(section: &Section<'_>) -> Option<Split> {
    let percent = section.integer("percent", 0..=100, None);
    let text = section.text("current");
    section.finish();
    let current = match text.strip_prefix(LAMBDA) {
        Some(arn) if is_lambda_arn(arn) => Ok(Current::Lambda(arn.to_owned())),
        Some(_) => Err("after `lambda:` comes a function's ARN: \
                        `arn:aws:lambda:REGION:ACCOUNT:function:NAME`, perhaps with `:ALIAS`"),
        None => AgentRef::parse(&text).map(Current::Agent),
    };
    match current {
        Ok(current) => {
            let millionths = u32::try_from(percent).unwrap_or(100) * 10_000;
            Some(Split { current, share: Share(millionths) })
        }
        Err(rule) => {
            if !section.is_wrong("current") {
                section.mistake("current", "no agent and no function", rule);
            }
            None
        }
    }
}

fn is_lambda_arn(arn: &str) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    let is_word = |text: &str| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-_$".contains(c);
        !text.is_empty() && text.chars().all(is_part)
    };
    matches!(
        parts[..],
        ["arn", _, "lambda", _, _, "function", _] | ["arn", _, "lambda", _, _, "function", _, _]
    ) && parts[1..].iter().all(|part| is_word(part))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::doubles::policy_with;

    const PRICE: &str = "price = { input_usd_per_mtok = 1.0, output_usd_per_mtok = 5.0 }";

    fn supervisor(more: &str) -> Result<Policy, Vec<String>> {
        let table = format!("[supervisor]\nmax_tokens_per_call = 8000\n{PRICE}\n{more}");
        policy_with(&table).map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_supervisor_has_the_defaults_of_the_contract() {
        let policy = supervisor("agent = \"SUPER/LIVE\"").unwrap();
        let rules = policy.supervisor().unwrap();
        assert_eq!((rules.max_rounds, rules.memory_items), (6, 50));
        assert_eq!(rules.fallback.as_str(), "general");
        let callee = &rules.callee;
        assert_eq!((callee.name.as_str(), callee.unknown_usage), (SUPERVISOR, Tokens(8_000)));
        let ten_seconds = Duration::from_secs(10);
        assert_eq!((callee.timeout, callee.idle_timeout), (ten_seconds * 2, ten_seconds));
        assert!(
            policy.find(SUPERVISOR).is_none(),
            "no supervisor may be asked for as a specialist"
        );
    }

    #[test]
    fn without_an_agent_there_is_no_supervisor_here_and_the_rest_is_checked_all_the_same() {
        assert!(supervisor("").unwrap().supervisor().is_none());
        assert!(
            supervisor("max_rounds = 0").unwrap_err()[0].starts_with("`supervisor.max_rounds`")
        );
    }

    #[test]
    fn the_environment_may_name_the_supervisors_agent() {
        let agents = BTreeMap::from([(SUPERVISOR.to_owned(), "OTHER/LIVE".to_owned())]);
        let specialist = format!(
            "[specialists.general]\nagent = \"G/L\"\ndescription = \"d\"\nmax_tokens_per_call = 9\n{PRICE}"
        );
        let text = |table: &str| {
            format!(
                "[routing]\nfallback = \"general\"\n[session]\nmax_steps = 1\nmax_tokens = 10\n\
                 max_cost_usd = 1.0\n{specialist}\n{table}"
            )
        };
        let table = format!("[supervisor]\nmax_tokens_per_call = 9\n{PRICE}");
        let mut all = agents.clone();
        all.insert("general".to_owned(), "G/L".to_owned());
        let policy = Policy::parse(&text(&table), Some(&all)).unwrap();
        let agent = &policy.supervisor().unwrap().callee.agent;
        assert_eq!(agent, &AgentRef::parse("OTHER/LIVE").unwrap());
        assert!(Policy::parse(&text(""), Some(&all)).is_err(), "nobody of that name");
    }

    #[test]
    fn what_a_supervisor_cannot_be_is_told() {
        let runtime = "arn:aws:bedrock-agentcore:eu-west-1:123456789012:runtime/team-a1b2c3d4e5";
        for (more, expected) in [
            (format!("agent = \"{runtime}\""), "`supervisor.agent` is a runtime"),
            ("agent = \"S/L\"\nfallback = \"astrology\"".to_owned(), "`supervisor.fallback`"),
            ("agent = \"S/L\"\ncolour = \"red\"".to_owned(), "`supervisor.colour`"),
            (
                format!(
                    "agent = \"S/L\"\n[specialists.supervisor]\nagent = \"S/L\"\ndescription = \"d\"\n\
                     max_tokens_per_call = 9\n{PRICE}"
                ),
                "`specialists.supervisor` is a specialist",
            ),
        ] {
            let mistakes = supervisor(&more).unwrap_err();
            assert!(mistakes[0].starts_with(expected), "{mistakes:?}");
        }
    }

    fn split(table: &str) -> Result<Option<Split>, String> {
        let policy = policy_with(&format!("[split]\n{table}"));
        policy.map(|policy| policy.split).map_err(|mistakes| mistakes[0].to_string())
    }

    #[test]
    fn a_split_names_what_was_there_before_and_the_share_of_the_supervisor() {
        let arn = "arn:aws:lambda:eu-west-1:123456789012:function:old-bot";
        for (current, expected) in [
            (format!("lambda:{arn}"), Current::Lambda(arn.to_owned())),
            (format!("lambda:{arn}:live"), Current::Lambda(format!("{arn}:live"))),
            ("OLD/LIVE".to_owned(), Current::Agent(AgentRef::parse("OLD/LIVE").unwrap())),
        ] {
            let split = split(&format!("current = \"{current}\"\npercent = 5"));
            assert_eq!(split, Ok(Some(Split { current: expected, share: Share(50_000) })));
        }
        assert_eq!(policy_with("").unwrap().split, None);
    }

    #[test]
    fn a_split_that_cannot_be_is_told() {
        for (table, expected) in [
            (
                "current = \"lambda:old\"\npercent = 5",
                "`split.current` is no agent and no function",
            ),
            ("current = \"old\"\npercent = 5", "`split.current` is no agent and no function"),
            ("current = \"OLD/LIVE\"\npercent = 101", "`split.percent`"),
            ("current = \"OLD/LIVE\"", "`split.percent` is missing"),
            ("percent = 5", "`split.current` is missing"),
        ] {
            let mistake = split(table).unwrap_err();
            assert!(mistake.starts_with(expected), "{mistake}");
        }
    }
}
