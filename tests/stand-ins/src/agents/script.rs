//! The script of the stand-in agents: which agent answers what, read from TOML.
//!
//! A script is checked as a whole before anything starts, and all its mistakes are reported
//! together, each with the place it is at. Whoever has read a [`Script`] can rely on it: every
//! request to a known agent has a reply.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::fault::Fault;
use super::kind::AgentKind;
use super::sessions::Scene;
use super::tool_call::{RawToolCall, ToolCall};

/// The script that is compiled in, `agents.toml` of the sandbox.
pub const DEFAULT_SCRIPT: &str = include_str!("../../../sandbox/agents.toml");

/// What a caller sees of an answer that breaks off, when the script gives none.
const BROKEN_ANSWER: &str = "Let me look into that for you.";

/// A checked script: all agents by the name of their specialist.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    pub(super) specialists: BTreeMap<String, Specialist>,
}

/// One agent and what it says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Specialist {
    /// By what it is called; tells its [`AgentKind`].
    pub(super) agent: String,
    pub(super) kind: AgentKind,
    pub(super) listed: bool,
    pub(super) replies: Vec<Reply>,
}

/// How one request is answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reply {
    pub(super) when: Option<String>,
    pub(super) times: Option<u32>,
    pub(super) turn: Option<u32>,
    pub(super) results: Option<bool>,
    pub(super) tools: Option<bool>,
    pub(super) answer: String,
    /// The tools that it calls after the answer.
    pub(super) calls: Vec<ToolCall>,
    pub(super) chunks: usize,
    pub(super) usage: Vec<Usage>,
    pub(super) delay: Duration,
    pub(super) gap: Duration,
    pub(super) stream_order: StreamOrder,
    pub(super) format: Format,
    /// The answer is all of a runtime's body, byte for byte, and of this content type.
    pub(super) content_type: Option<String>,
    pub(super) fault: Option<Fault>,
}

/// What the answer of an agent on an AgentCore runtime looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// Server-sent events, each with a part of the text; usage in the last one.
    #[default]
    Stream,
    /// One JSON object.
    Json,
    /// Server-sent events as a Strands agent yields them.
    Strands,
}

/// What one model invocation reports, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Usage {
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) cache_read: u64,
    pub(super) cache_write: u64,
    /// It begins and reports nothing.
    pub(super) silent: bool,
}

impl Usage {
    /// Both together.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            input: self.input + other.input,
            output: self.output + other.output,
            cache_read: self.cache_read + other.cache_read,
            cache_write: self.cache_write + other.cache_write,
            silent: self.silent || other.silent,
        }
    }
}

/// Where the last model invocation's usage stands in the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum StreamOrder {
    /// Before the first chunk: the answer is held back until it is complete.
    #[default]
    Buffered,
    /// After the last chunk, as with `streamFinalResponse`.
    Streaming,
}

impl Script {
    /// Reads and checks a script.
    ///
    /// # Errors
    ///
    /// All mistakes of the text; only a text that is no TOML stops at its first one.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let table: toml::Table =
            text.parse().map_err(|error: toml::de::Error| ScriptError(vec![error.to_string()]))?;
        let mut mistakes = Vec::new();
        let specialists: BTreeMap<String, Specialist> = table
            .into_iter()
            .filter_map(|(name, value)| {
                let specialist = Specialist::parse(&name, value, &mut mistakes)?;
                Some((name, specialist))
            })
            .collect();
        let mut seen = BTreeMap::new();
        for (name, specialist) in &specialists {
            if let Some(other) = seen.insert(&specialist.agent, name) {
                mistakes.push(format!("{name}: `agent` is the one of {other} already"));
            }
        }
        if specialists.is_empty() && mistakes.is_empty() {
            mistakes.push("no specialist: a script needs at least one `[name]`".to_owned());
        }
        if mistakes.is_empty() { Ok(Self { specialists }) } else { Err(ScriptError(mistakes)) }
    }

    /// The value of `SPECIALIST_AGENTS`: a JSON object from name to agent, without the agents
    /// that are not `listed`.
    pub fn specialist_agents(&self) -> String {
        let agents: serde_json::Map<String, serde_json::Value> = self
            .specialists
            .iter()
            .filter(|(_, specialist)| specialist.listed)
            .map(|(name, at)| (name.clone(), at.agent.clone().into()))
            .collect();
        serde_json::Value::Object(agents).to_string()
    }
}

/// Everything that is wrong with a script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the agents' script has mistakes:\n  {}", .0.join("\n  "))]
pub struct ScriptError(
    /// One mistake each: where it is, what was found, what is allowed.
    pub Vec<String>,
);

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section with `agent` and `replies`")]
struct RawSpecialist {
    agent: String,
    #[serde(default = "yes")]
    listed: bool,
    #[serde(default)]
    replies: Vec<toml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section of one reply")]
struct RawReply {
    when: Option<String>,
    times: Option<u32>,
    turn: Option<u32>,
    results: Option<bool>,
    tools: Option<bool>,
    answer: Option<String>,
    #[serde(default)]
    calls: Vec<RawToolCall>,
    answer_bytes: Option<usize>,
    #[serde(default = "one")]
    chunks: usize,
    #[serde(default)]
    usage: Vec<Usage>,
    #[serde(default)]
    delay_ms: u64,
    #[serde(default)]
    gap_ms: u64,
    #[serde(default)]
    stream_order: StreamOrder,
    format: Option<Format>,
    content_type: Option<String>,
    fault: Option<String>,
}

fn yes() -> bool {
    true
}

fn one() -> usize {
    1
}

impl Specialist {
    fn parse(name: &str, value: toml::Value, mistakes: &mut Vec<String>) -> Option<Self> {
        let raw: RawSpecialist = value
            .try_into()
            .map_err(|error: toml::de::Error| mistakes.push(format!("{name}: {}", error.message())))
            .ok()?;
        let kind = AgentKind::of(&raw.agent).unwrap_or_else(|| {
            let rule = AgentKind::RULE;
            mistakes.push(format!("{name}: `agent` is {:?}, asked is {rule}", raw.agent));
            AgentKind::Bedrock
        });
        let count = raw.replies.len();
        let replies: Vec<Reply> = raw
            .replies
            .into_iter()
            .enumerate()
            .filter_map(|(index, reply)| {
                let mut found = Vec::new();
                let reply = Reply::parse(reply, kind, &mut found);
                let at = format!("{name}.replies[{index}]");
                mistakes.extend(found.into_iter().map(|mistake| format!("{at}: {mistake}")));
                reply
            })
            .collect();
        let complete = replies.last().is_some_and(Reply::is_for_all);
        if replies.len() == count && !complete {
            mistakes.push(format!(
                "{name}: the last of `replies` must have neither `when` nor `times`, `turn`, `results` or `tools`, so that every request is answered"
            ));
        }
        Some(Self { agent: raw.agent, kind, listed: raw.listed, replies })
    }
}

impl Reply {
    fn parse(value: toml::Value, kind: AgentKind, mistakes: &mut Vec<String>) -> Option<Self> {
        let raw: RawReply = value
            .try_into()
            .map_err(|error: toml::de::Error| mistakes.push(error.message().to_owned()))
            .ok()?;
        let fault = raw.fault.as_deref().and_then(|text| {
            text.parse::<Fault>()
                .map_err(|allowed| mistakes.push(format!("`fault` is {text:?}; {allowed}")))
                .ok()
        });
        if let Some(fault) = fault.filter(|fault| !fault.is_of(kind)) {
            mistakes.push(format!(
                "`fault` is {:?}, which {kind:?} agents do not have",
                fault.to_string()
            ));
        }
        let answer = match (raw.answer, raw.answer_bytes) {
            (Some(_), Some(_)) => {
                mistakes.push("`answer` and `answer_bytes` exclude each other".to_owned());
                return None;
            }
            (Some(answer), None) => answer,
            (None, Some(length)) => long_answer(length),
            // A misspelt fault is a mistake already, not a missing answer as well.
            (None, None) => {
                let answers = raw.fault.is_none() || fault.is_some_and(Fault::answers);
                // A Bedrock agent has its calls behind it when it answers.
                let ends_in_calls = !raw.calls.is_empty() && kind != AgentKind::Bedrock;
                if answers && !ends_in_calls {
                    mistakes.push("`answer` or `answer_bytes` is missing".to_owned());
                }
                if ends_in_calls { String::new() } else { BROKEN_ANSWER.to_owned() }
            }
        };
        let most = answer.len().max(1);
        if !(1..=most).contains(&raw.chunks) {
            mistakes.push(format!(
                "`chunks` is {}, allowed is 1 to the answer's bytes, {most}",
                raw.chunks
            ));
        }
        for (key, count) in [("times", raw.times), ("turn", raw.turn)] {
            if count == Some(0) {
                mistakes.push(format!("`{key}` is 0, allowed is 1 or more"));
            }
        }
        let converses = matches!(kind, AgentKind::Harness | AgentKind::Model);
        for (key, is_given, is_known) in [
            ("calls", !raw.calls.is_empty(), kind != AgentKind::Runtime),
            ("results", raw.results.is_some(), converses),
            ("tools", raw.tools.is_some(), kind == AgentKind::Model),
        ] {
            if is_given && !is_known {
                mistakes.push(format!("`{key}` is nothing that {kind:?} agents have"));
            }
        }
        let mut calls = Vec::new();
        for call in raw.calls {
            match ToolCall::parse(call, kind) {
                Ok(call) => calls.push(call),
                Err(rule) => mistakes.push(format!("`calls`: {rule}")),
            }
        }
        let of_a_runtime =
            [("format", raw.format.is_some()), ("content_type", raw.content_type.is_some())];
        if kind != AgentKind::Runtime {
            for (key, _) in of_a_runtime.iter().filter(|(_, is_given)| *is_given) {
                mistakes.push(format!("`{key}` is for agents on AgentCore runtimes"));
            }
        }
        Some(Self {
            when: raw.when,
            times: raw.times,
            turn: raw.turn,
            results: raw.results,
            tools: raw.tools,
            answer,
            calls,
            chunks: raw.chunks,
            usage: raw.usage,
            delay: Duration::from_millis(raw.delay_ms),
            gap: Duration::from_millis(raw.gap_ms),
            stream_order: raw.stream_order,
            format: raw.format.unwrap_or_default(),
            content_type: raw.content_type,
            fault,
        })
    }
}

impl Reply {
    /// What hands over a call that is already made: nothing is said, and no model is asked.
    pub(super) fn handing_over(call: ToolCall) -> Self {
        Self {
            when: None,
            times: None,
            turn: None,
            results: None,
            tools: None,
            answer: String::new(),
            calls: vec![call],
            chunks: 1,
            usage: Vec::new(),
            delay: Duration::ZERO,
            gap: Duration::ZERO,
            stream_order: StreamOrder::default(),
            format: Format::default(),
            content_type: None,
            fault: None,
        }
    }

    fn is_for_all(&self) -> bool {
        let has_condition = self.turn.is_some() || self.results.is_some() || self.tools.is_some();
        self.when.is_none() && self.times.is_none() && !has_condition
    }

    /// Whether it is meant for a request like this one, `times` aside.
    pub(super) fn is_meant_for(&self, scene: &Scene) -> bool {
        self.when.as_ref().is_none_or(|when| scene.asked.contains(when))
            && self.turn.is_none_or(|turn| turn == scene.turn)
            && self.results.is_none_or(|results| results == scene.brings_results)
            && self.tools.is_none_or(|tools| tools == scene.offers_tools)
    }

    /// The answer in its chunks, which are of about the same length as far as characters allow.
    pub(super) fn parts(&self) -> Vec<&str> {
        let mut at = 0;
        (1..=self.chunks)
            .map(|part| {
                let end = self.answer.ceil_char_boundary(self.answer.len() * part / self.chunks);
                let text = &self.answer[at..end];
                at = end;
                text
            })
            .collect()
    }

    /// The first half of the answer.
    pub(super) fn half(&self) -> &str {
        &self.answer[..self.answer.ceil_char_boundary(self.answer.len().div_ceil(2))]
    }
}

/// A text of exactly `length` bytes.
fn long_answer(length: usize) -> String {
    "This specialist has a lot to say about that. ".chars().cycle().take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        Script::parse(text).unwrap_err().0
    }

    #[test]
    fn the_script_that_is_compiled_in_has_no_mistake() {
        let script = Script::parse(DEFAULT_SCRIPT).unwrap();
        let agents: BTreeMap<String, String> =
            serde_json::from_str(&script.specialist_agents()).unwrap();
        assert_eq!(agents["billing"], "BILLING001/LIVE000001");
        assert_eq!(agents.len(), 4);
    }

    #[test]
    fn all_mistakes_are_reported_at_once_each_with_its_place() {
        let found = mistakes(
            r#"
            [billing]
            agent = "billing"
            [[billing.replies]]
            answr = "typo"
            [[billing.replies]]
            fault = "explode"
            chunks = 0
            [orders]
            agent = "ORDERS0001/LIVE000001"
            [[orders.replies]]
            when = "order"
            answer = "yes"
            "#,
        );
        assert_eq!(found.len(), 5, "{found:#?}");
        assert!(found[0].starts_with("billing: `agent` is \"billing\""));
        assert!(found[1].starts_with("billing.replies[0]: unknown field `answr`"));
        assert!(found[2].starts_with("billing.replies[1]: `fault` is \"explode\"; allowed are"));
        assert!(found[3].starts_with("billing.replies[1]: `chunks` is 0"));
        assert!(found[4].starts_with("orders: the last of `replies` must have neither"));
    }

    #[test]
    fn two_specialists_cannot_share_an_agent() {
        let found = mistakes(
            r#"
            a = { agent = "A/B", replies = [{ answer = "x" }] }
            b = { agent = "A/B", replies = [{ answer = "x" }] }
            "#,
        );
        assert_eq!(found, ["b: `agent` is the one of a already"]);
    }

    #[test]
    fn an_agent_may_run_on_a_runtime_and_only_then_its_answers_have_a_format() {
        let arn = "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/a-AbCdEf1234";
        let with = |agent: &str, format: &str| {
            format!(r#"a = {{ agent = "{agent}", replies = [{{ answer = "x", {format} }}] }}"#)
        };
        let script = Script::parse(&with(arn, "format = 'json'")).unwrap();
        assert_eq!(script.specialist_agents(), format!(r#"{{"a":"{arn}"}}"#));
        let found = mistakes(&with("A/B", "format = 'json'"));
        assert_eq!(found, ["a.replies[0]: `format` is for agents on AgentCore runtimes"]);
        let found = mistakes(&with(&arn.replace("runtime/", "gateway/"), ""));
        assert!(found[0].ends_with("of a foundation model or of an inference profile"));
    }

    #[test]
    fn each_kind_of_agent_has_conditions_and_calls_of_its_own() {
        let of = |agent: &str, reply: &str| {
            let replies = format!(r#"[{{ {reply} }}, {{ answer = "x" }}]"#);
            Script::parse(&format!(r#"a = {{ agent = "{agent}", replies = {replies} }}"#))
        };
        let arn = "arn:aws:bedrock-agentcore:us-east-1:123456789012:KIND/a-AbCdEf1234";
        let (harness, runtime) = (arn.replace("KIND", "harness"), arn.replace("KIND", "runtime"));
        let calls = r#"calls = [{ name = "ask", arguments = '{"q"' }]"#;
        for (agent, reply, mistake) in [
            ("model:m", "turn = 2, results = false, tools = true, answer = 'x'", None),
            ("model:m", calls, None),
            (&harness, calls, None),
            (&harness, "turn = 1, results = true, answer = 'x'", None),
            (
                &harness,
                "tools = true, answer = 'x'",
                Some("`tools` is nothing that Harness agents"),
            ),
            (&runtime, calls, Some("`calls` is nothing that Runtime agents have")),
            ("A/B", "calls = [{ name = 'ask', arguments = { q = 1 } }], answer = 'x'", None),
            ("A/B", "calls = [{ name = 'ask' }]", Some("`answer` or `answer_bytes` is missing")),
            (
                "A/B",
                &format!("answer = 'x', {calls}"),
                Some("`calls`: `arguments` must be a table"),
            ),
            (
                "A/B",
                "results = true, answer = 'x'",
                Some("`results` is nothing that Bedrock agents"),
            ),
            (
                "model:m",
                "calls = [{ name = 'ask', arguments = 7 }]",
                Some("`calls`: `arguments` must"),
            ),
            ("A/B", "turn = 0, answer = 'x'", Some("`turn` is 0, allowed is 1 or more")),
            ("model:m", "turn = 2", Some("`answer` or `answer_bytes` is missing")),
        ] {
            let found = of(agent, reply).err().map(|error| error.0.join("; "));
            let expected = mistake.map(|mistake| format!("a.replies[0]: {mistake}"));
            let is_as_expected = match (&found, &expected) {
                (Some(found), Some(expected)) => found.starts_with(expected),
                (found, expected) => found == expected,
            };
            assert!(is_as_expected, "{reply}: {found:?}");
        }
        let last = r#"a = { agent = "model:m", replies = [{ tools = true, answer = "x" }] }"#;
        assert!(mistakes(last)[0].starts_with("a: the last of `replies` must have neither"));
    }

    #[test]
    fn only_a_reply_whose_answer_never_arrives_may_leave_it_out() {
        assert!(Script::parse(r#"a = { agent = "A/B", replies = [{ fault = "hang" }] }"#).is_ok());
        let found = mistakes(r#"a = { agent = "A/B", replies = [{ fault = "unknown-event" }] }"#);
        assert_eq!(found, ["a.replies[0]: `answer` or `answer_bytes` is missing"]);
    }

    #[test]
    fn an_unlisted_agent_is_not_handed_to_the_function() {
        let script = r#"
            a = { agent = "A/B", replies = [{ answer = "x" }] }
            cheap = { agent = "C/D", listed = false, replies = [{ answer = "x" }] }
        "#;
        assert_eq!(Script::parse(script).unwrap().specialist_agents(), r#"{"a":"A/B"}"#);
    }
}
