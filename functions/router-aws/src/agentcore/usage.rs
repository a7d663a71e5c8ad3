//! Token counts, as frameworks and model providers spell them.
//!
//! | who | input | output | cached input |
//! |---|---|---|---|
//! | Bedrock, Strands | `inputTokens` | `outputTokens` | `cacheReadInputTokens`, `cacheWriteInputTokens`: **beside** the input |
//! | Anthropic | `input_tokens` | `output_tokens` | `cache_read_input_tokens`, `cache_creation_input_tokens`: **beside** |
//! | LangChain | `input_tokens` | `output_tokens` | `input_token_details.cache_read`, `.cache_creation`: a part of it |
//! | OpenAI, CrewAI | `prompt_tokens`, `input_tokens` | `completion_tokens`, `output_tokens` | `…_tokens_details.cached_tokens`, `cached_prompt_tokens`: a part |
//! | Gemini, ADK | `promptTokenCount`, `toolUsePromptTokenCount` | `candidatesTokenCount`, `thoughtsTokenCount` | `cachedContentTokenCount`: a part |
//! | Pydantic AI | `input_tokens` | `output_tokens` | `cache_read_tokens`, `cache_write_tokens`: a part |
//! | Vercel AI SDK | `inputTokens` | `outputTokens` | `cachedInputTokens`: a part |
//!
//! Names are compared without regard to case and underscores. Counts that say nothing (null,
//! negative, no number, all of them zero, only one side of it) make the usage unknown: it is kept
//! as the least that was used.

use router_core::units::{TokenUse, Tokens};
use serde_json::{Map, Value};

/// The names under which usage stands in an object.
const NAMES: [&str; 10] = [
    "usage",
    "usage_metadata",
    "usageMetadata",
    "token_usage",
    "tokenUsage",
    "totalUsage",
    "accumulated_usage",
    "accumulatedUsage",
    "models_usage",
    "metrics",
];

/// What was reported of the tokens that were used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing: there is no usage.
    #[default]
    Nothing,
    /// Some of it: at least this was used.
    Part(TokenUse),
    /// All of it.
    All(TokenUse),
}

impl Told {
    /// The usage that stands in `object` under one of the usual names.
    pub(super) fn within(object: &Value) -> Self {
        let found = NAMES.iter().map(|name| Self::by(&object[*name]));
        found.fold(Self::Nothing, Self::or)
    }

    /// What a value tells that is usage itself: counts, something around them, or a list with an
    /// entry for each model.
    pub(super) fn by(usage: &Value) -> Self {
        match usage {
            Value::Object(counts) => match Counts::read(counts) {
                Some(counts) => counts.told(),
                None => Self::within(usage).or(Self::Part(TokenUse::default())),
            },
            Value::Array(models) => {
                models.iter().map(Self::by).reduce(Self::plus).unwrap_or_default()
            }
            Value::Null => Self::Nothing,
            _ => Self::Part(TokenUse::default()),
        }
    }

    /// The tokens that were reported.
    pub(super) fn used(self) -> TokenUse {
        match self {
            Self::Nothing => TokenUse::default(),
            Self::Part(used) | Self::All(used) => used,
        }
    }

    /// The same, as one of several of which not all were reported.
    pub(super) fn one_of_several(self) -> Self {
        match self {
            Self::Nothing => Self::Nothing,
            Self::Part(used) | Self::All(used) => Self::Part(used),
        }
    }

    /// Both together; all of it only if both are.
    pub(super) fn plus(self, other: Self) -> Self {
        let used = self.used().plus(other.used());
        match (self, other) {
            (Self::Nothing, Self::Nothing) => Self::Nothing,
            (Self::All(_), Self::All(_)) => Self::All(used),
            _ => Self::Part(used),
        }
    }

    /// Both report the same use, the later one perhaps more of it: the larger of each count.
    pub(super) fn grown_to(self, later: Self) -> Self {
        let (a, b) = (self.used(), later.used());
        let used = TokenUse {
            input: a.input.max(b.input),
            cache_read: a.cache_read.max(b.cache_read),
            cache_write: a.cache_write.max(b.cache_write),
            output: a.output.max(b.output),
            unexplained: a.unexplained.max(b.unexplained),
        };
        match (self, later) {
            (Self::Nothing, Self::Nothing) => Self::Nothing,
            (Self::All(_), _) | (_, Self::All(_)) => Self::All(used),
            _ => Self::Part(used),
        }
    }

    /// This, or the other where this says less.
    pub(super) fn or(self, other: Self) -> Self {
        let rank = |told: Self| match told {
            Self::Nothing => (0, Tokens(0)),
            Self::Part(used) => (1, used.total()),
            Self::All(used) => (2, used.total()),
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

/// The counts of one usage.
#[derive(Debug, Default)]
struct Counts {
    input: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
    /// Parts of the input or output that are reported beside them.
    more_input: u64,
    more_output: u64,
    /// Cached tokens under names that mean tokens beside the input.
    read_beside: u64,
    written_beside: u64,
    /// Cached tokens under names that mean a part of the input.
    read_within: u64,
    written_within: u64,
    /// The input's name is OpenAI's, whose input has all cached tokens in it.
    is_prompt: bool,
    has_nonsense: bool,
}

impl Counts {
    /// Reads the counts; `None` if there is not even the name of one.
    fn read(usage: &Map<String, Value>) -> Option<Self> {
        let mut counts = Self::default();
        let known = usage.iter().filter(|(name, value)| counts.take(name, value)).count();
        (known > 0).then_some(counts)
    }

    /// Takes a count in; `false` for what is none.
    fn take(&mut self, name: &str, value: &Value) -> bool {
        let name: String =
            name.chars().filter(|it| *it != '_').map(|it| it.to_ascii_lowercase()).collect();
        match name.as_str() {
            "inputtokens" | "inputtokencount" | "requesttokens" => self.input = self.count(value),
            "prompttokens" | "prompttokencount" => {
                self.is_prompt = true;
                self.input = self.count(value);
            }
            "outputtokens"
            | "outputtokencount"
            | "completiontokens"
            | "candidatestokencount"
            | "responsetokens" => self.output = self.count(value),
            "totaltokens" | "totaltokencount" => self.total = self.count(value),
            "tooluseprompttokencount" => {
                self.more_input = self.number(value);
            }
            "thoughtstokencount" => self.more_output = self.number(value),
            "cachereadinputtokens" | "cachereadinputtokencount" => {
                self.read_beside = self.number(value);
            }
            "cachewriteinputtokens" | "cachewriteinputtokencount" | "cachecreationinputtokens" => {
                self.written_beside = self.number(value);
            }
            "cachedcontenttokencount"
            | "cachedprompttokens"
            | "cachedinputtokens"
            | "cachereadtokens" => self.read_within = self.number(value),
            "cachewritetokens" | "cachecreationtokens" => self.written_within = self.number(value),
            "inputtokendetails"
            | "inputtokensdetails"
            | "prompttokensdetails"
            | "prompttokendetails" => self.take_details(value),
            _ => return false,
        }
        true
    }

    /// What the input consists of, as OpenAI and LangChain tell.
    fn take_details(&mut self, details: &Value) {
        for (name, value) in details.as_object().into_iter().flatten() {
            match name.as_str() {
                "cached_tokens" | "cache_read" | "cacheReadTokens" | "cachedTokens" => {
                    self.read_within = self.number(value);
                }
                "cache_creation"
                | "cache_write_tokens"
                | "cache_creation_tokens"
                | "cacheWriteTokens" => self.written_within = self.number(value),
                _ => {}
            }
        }
    }

    fn number(&mut self, value: &Value) -> u64 {
        self.count(value).unwrap_or_default()
    }

    fn count(&mut self, value: &Value) -> Option<u64> {
        let count = value.as_u64().or_else(|| {
            // Some languages write each number as a float.
            let count = value.as_f64().filter(|count| count.fract() == 0.0 && *count >= 0.0)?;
            format!("{count:.0}").parse().ok()
        });
        let count = count.filter(|count| *count <= u64::from(u32::MAX));
        self.has_nonsense |= count.is_none() && !value.is_null();
        count
    }

    fn told(&self) -> Told {
        let (mut read, mut written) = (self.read_within, self.written_within);
        let mut input = self.input.unwrap_or_default();
        if self.is_prompt {
            read = read.max(self.read_beside);
            written = written.max(self.written_beside);
        }
        // More than the input cannot be a part of it.
        input = if read + written <= input { input - read - written } else { input };
        if !self.is_prompt {
            read = read.max(self.read_beside);
            written = written.max(self.written_beside);
        }
        let used = TokenUse {
            input: Tokens(input + self.more_input),
            cache_read: Tokens(read),
            cache_write: Tokens(written),
            output: Tokens(self.output.unwrap_or_default() + self.more_output),
            unexplained: Tokens(0),
        };
        let beyond = self.total.unwrap_or_default().saturating_sub(used.total().0);
        let used = TokenUse { unexplained: Tokens(beyond), ..used };
        let is_all = self.input.is_some() && self.output.is_some() && !self.has_nonsense;
        // A model that ran has read something: frameworks send zeros where they know nothing.
        if is_all && used.total() > Tokens(0) { Told::All(used) } else { Told::Part(used) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn all(input: u64, cache_read: u64, cache_write: u64, output: u64) -> Told {
        let (cache_read, cache_write) = (Tokens(cache_read), Tokens(cache_write));
        Told::All(TokenUse { cache_read, cache_write, ..TokenUse::new(input, output) })
    }

    #[test]
    fn cached_tokens_beside_the_input_are_added() {
        for usage in [
            json!({"inputTokens": 30, "outputTokens": 4, "cacheReadInputTokens": 1000, "cacheWriteInputTokens": 5000}),
            json!({"inputTokens": 30, "outputTokens": 4, "cacheReadInputTokens": 1000, "cacheWriteInputTokens": 5000, "totalTokens": 34}),
            json!({"input_tokens": 30, "output_tokens": 4, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 5000, "cache_creation": {"ephemeral_5m_input_tokens": 5000}}),
            json!({"inputTokenCount": 30, "outputTokenCount": 4, "cacheReadInputTokenCount": 1000, "cacheWriteInputTokenCount": 5000}),
        ] {
            assert_eq!(Told::by(&usage), all(30, 1000, 5000, 4), "{usage}");
        }
    }

    #[test]
    fn cached_tokens_that_are_a_part_of_the_input_are_only_told_apart() {
        for usage in [
            json!({"input_tokens": 6030, "output_tokens": 4, "total_tokens": 6034, "input_token_details": {"cache_read": 1000, "cache_creation": 5000}}),
            json!({"input_tokens": 6030, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 1000, "cache_write_tokens": 5000}}),
            json!({"prompt_tokens": 6030, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 1000}, "cache_creation_input_tokens": 5000}),
            json!({"prompt_tokens": 6030, "completion_tokens": 4, "cached_prompt_tokens": 1000, "cache_creation_tokens": 5000}),
            json!({"input_tokens": 6030, "output_tokens": 4, "cache_read_tokens": 1000, "cache_write_tokens": 5000, "details": {}}),
        ] {
            assert_eq!(Told::by(&usage), all(30, 1000, 5000, 4), "{usage}");
        }
        let gemini = json!({"promptTokenCount": 5120, "candidatesTokenCount": 11, "thoughtsTokenCount": 9, "totalTokenCount": 5140, "cachedContentTokenCount": 4000});
        assert_eq!(Told::by(&gemini), all(1120, 4000, 0, 20));
    }

    #[test]
    fn more_cached_tokens_than_input_are_no_part_of_it() {
        let usage =
            json!({"prompt_tokens": 30, "completion_tokens": 4, "cached_prompt_tokens": 1000});
        assert_eq!(Told::by(&usage), all(30, 1000, 0, 4));
    }

    #[test]
    fn what_a_total_has_beyond_its_parts_counts() {
        let usage = json!({"inputTokens": 30, "outputTokens": 4, "totalTokens": 5034});
        let used = TokenUse { unexplained: Tokens(5000), ..TokenUse::new(30, 4) };
        assert_eq!(Told::by(&usage), Told::All(used));
        let only_total = TokenUse { unexplained: Tokens(50), ..TokenUse::default() };
        assert_eq!(Told::by(&json!({"total_tokens": 50})), Told::Part(only_total));
    }

    #[test]
    fn usage_that_says_nothing_or_only_one_side_is_not_all() {
        for (usage, input, output) in [
            (json!({}), 0, 0),
            (json!("7"), 0, 0),
            (json!({"input_tokens": 3}), 3, 0),
            (json!({"output_tokens": 4}), 0, 4),
            (json!({"input_tokens": null, "output_tokens": null}), 0, 0),
            (json!({"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}), 0, 0),
            (json!({"input_tokens": 3, "output_tokens": "4"}), 3, 0),
            (json!({"input_tokens": -3, "output_tokens": 4}), 0, 4),
            (json!({"input_tokens": 3.5, "output_tokens": 4}), 0, 4),
            (json!({"input_tokens": 3, "output_tokens": 10_000_000_000_u64}), 3, 0),
            (json!({"inputTokens": 3, "outputTokens": 4, "cacheReadInputTokens": -1}), 3, 4),
        ] {
            assert_eq!(Told::by(&usage), Told::Part(TokenUse::new(input, output)), "{usage}");
        }
        assert_eq!(Told::by(&json!(null)), Told::Nothing);
        let zero_output =
            json!({"inputTokens": 3, "outputTokens": 0, "cacheReadInputTokens": null});
        assert_eq!(Told::by(&zero_output), all(3, 0, 0, 0));
    }

    #[test]
    fn usage_is_found_under_its_usual_names_and_in_a_list_for_each_model() {
        let counts = json!({"inputTokens": 3, "outputTokens": 4});
        for object in [
            json!({"usage": counts}),
            json!({"usage_metadata": counts, "usage": null}),
            json!({"metrics": {"accumulated_usage": counts, "cycle_count": 1}}),
            json!({"metrics": {"latencyMs": 7}, "usage": counts}),
            json!({"token_usage": counts}),
        ] {
            assert_eq!(Told::within(&object), all(3, 0, 0, 4), "{object}");
        }
        assert_eq!(Told::by(&json!([counts, counts])), all(6, 0, 0, 8));
        assert_eq!(Told::by(&json!([counts, {}])), Told::Part(TokenUse::new(3, 4)));
        assert_eq!(Told::within(&json!({"result": "Hi"})), Told::Nothing);
    }
}
