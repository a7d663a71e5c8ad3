//! The tokens that one model invocation reports, where AWS calls the model: in an agent's trace, or in
//! the events of the Converse API.

use router_core::units::{TokenUse, Tokens};
use serde_json::Value;

/// A report of a model invocation's tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// What it names.
    pub(crate) used: TokenUse,
    /// Whether that is all. A number that is missing or is none makes a report a part; one of no
    /// tokens at all says nothing, since no model answers to nothing.
    pub(crate) is_whole: bool,
}

impl Report {
    /// Reads a `usage` object. The service's model has `inputTokens` and `outputTokens`; the names
    /// for the prompt cache and the total are those of the Converse API and of the models' own
    /// answers. Cached tokens stand beside the input there, not within it.
    pub(crate) fn of(usage: &Value) -> Self {
        let mut used = TokenUse::default();
        let (mut input, mut output, mut total) = (false, false, None);
        let mut is_sound = true;
        for (name, value) in usage.as_object().into_iter().flatten() {
            let name = name.replace('_', "").to_ascii_lowercase();
            let count = value.as_u64();
            let part = match name.as_str() {
                "inputtokens" => {
                    input = count.is_some();
                    &mut used.input
                }
                "outputtokens" => {
                    output = count.is_some();
                    &mut used.output
                }
                "cachereadinputtokens" | "cachereadinputtokencount" => &mut used.cache_read,
                "cachewriteinputtokens"
                | "cachewriteinputtokencount"
                | "cachecreationinputtokens" => &mut used.cache_write,
                "totaltokens" => {
                    total = count;
                    continue;
                }
                _ => continue,
            };
            is_sound &= count.is_some() || value.is_null();
            *part = Tokens(count.unwrap_or(0));
        }
        let beyond = total.map_or(0, |total| total.saturating_sub(used.total().0));
        used.unexplained = Tokens(beyond);
        let is_complete = (input && output && is_sound) || beyond > 0;
        Self { used, is_whole: is_complete && used.total() > Tokens(0) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn used([input, cache_write, cache_read, output, unexplained]: [u64; 5]) -> TokenUse {
        TokenUse {
            input: Tokens(input),
            cache_read: Tokens(cache_read),
            cache_write: Tokens(cache_write),
            output: Tokens(output),
            unexplained: Tokens(unexplained),
        }
    }

    #[test]
    fn all_tokens_count_in_every_spelling() {
        for usage in [
            json!({ "inputTokens": 30, "outputTokens": 4, "cacheReadInputTokens": 1000,
                    "cacheWriteInputTokens": 5000, "totalTokens": 6034 }),
            json!({ "inputTokens": 30, "outputTokens": 4, "cacheReadInputTokenCount": 1000,
                    "cacheWriteInputTokenCount": 5000 }),
            json!({ "input_tokens": 30, "output_tokens": 4, "cache_read_input_tokens": 1000,
                    "cache_creation_input_tokens": 5000, "cache_creation": { "x": 5000 } }),
        ] {
            let report = Report { used: used([30, 5000, 1000, 4, 0]), is_whole: true };
            assert_eq!(Report::of(&usage), report, "{usage}");
        }
    }

    #[test]
    fn what_a_total_has_beyond_its_parts_counts() {
        let usage = json!({ "inputTokens": 30, "outputTokens": 4, "totalTokens": 50 });
        assert_eq!(Report::of(&usage), Report { used: used([30, 0, 0, 4, 16]), is_whole: true });
        let usage = json!({ "totalTokens": 50 });
        assert_eq!(Report::of(&usage), Report { used: used([0, 0, 0, 0, 50]), is_whole: true });
        let usage = json!({ "inputTokens": 30, "outputTokens": 4, "totalTokens": 3 });
        assert_eq!(Report::of(&usage), Report { used: used([30, 0, 0, 4, 0]), is_whole: true });
    }

    #[test]
    fn a_report_that_does_not_tell_everything_is_a_part() {
        for (usage, known) in [
            (json!(null), 0),
            (json!({}), 0),
            (json!([7]), 0),
            (json!({ "inputTokens": null, "outputTokens": null }), 0),
            (json!({ "inputTokens": 0, "outputTokens": 0 }), 0),
            (json!({ "inputTokens": -5, "outputTokens": -1 }), 0),
            (json!({ "inputTokens": "9", "outputTokens": 1.5 }), 0),
            (json!({ "inputTokens": 9 }), 9),
            (json!({ "outputTokens": 9 }), 9),
            (json!({ "inputTokens": 9, "outputTokens": -1 }), 9),
            (json!({ "inputTokens": 5, "outputTokens": 4, "cacheReadInputTokens": -1 }), 9),
            (json!({ "inputTokens": 9, "totalTokens": 9 }), 9),
        ] {
            let report = Report::of(&usage);
            assert_eq!((report.used.total(), report.is_whole), (Tokens(known), false), "{usage}");
        }
    }

    #[test]
    fn a_cache_that_was_not_used_may_say_so_with_null() {
        let usage = json!({ "inputTokens": 5, "outputTokens": 4, "cacheReadInputTokens": null });
        assert!(Report::of(&usage).is_whole);
    }
}
