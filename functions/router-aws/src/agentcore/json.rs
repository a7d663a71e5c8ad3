//! JSON as agents write it.
//!
//! Strict JSON is read as it is. What a strict reader refuses is read leniently, as events are
//! ([`router_core::json`]): Python writes `NaN` and `Infinity`, states are nested without end. And
//! JavaScript escapes half of a character where a piece of text ends in its middle (`"\ud83d"`),
//! which becomes the replacement character.

use router_core::json;
use serde_json::{Result, Value};

/// What stands in place of half a character.
const REPLACEMENT: &str = "\\ufffd";

/// Reads a JSON value.
pub(super) fn parse(text: &str) -> Result<Value> {
    serde_json::from_str(text).or_else(|error| {
        let whole = without_halves(text);
        json::read(whole.as_bytes()).map_err(|_| error)
    })
}

/// Reads a JSON object or array; `None` for all else, also for what is no JSON.
pub(super) fn parse_composite(text: &str) -> Option<Value> {
    let text = text.trim();
    text.starts_with(['{', '[']).then(|| parse(text).ok())?
}

/// The text with each escape of half a character replaced.
fn without_halves(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escaped) = rest.split_at(at);
        let (length, put) = escape(escaped);
        whole.push_str(before);
        whole.push_str(put);
        rest = &escaped[length..];
    }
    whole + rest
}

/// The length of the escape that `text` begins with, and what it becomes.
fn escape(text: &str) -> (usize, &str) {
    let unit = |at: usize| {
        let digits = text.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    match unit(0) {
        Some(0xd800..=0xdbff) if matches!(unit(6), Some(0xdc00..=0xdfff)) => (12, &text[..12]),
        Some(0xd800..=0xdfff) => (6, REPLACEMENT),
        // The escaped character, which may be a backslash, begins no escape of its own.
        _ => {
            let length = 1 + text[1..].chars().next().map_or(0, char::len_utf8);
            (length, &text[..length])
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_that_is_none_is_null_unless_it_stands_in_a_text() {
        let text = r#"{"a": NaN, "b": [Infinity, -Infinity], "c": "NaN \" NaN"}"#;
        assert_eq!(parse(text).unwrap(), json!({"a": null, "b": [null, null], "c": "NaN \" NaN"}));
    }

    #[test]
    fn half_a_character_does_not_spoil_the_rest() {
        let text = r#"["\ud83d", "\ud83d\ude42", "\ude42é", "\\ud83d", "\ud83dx"]"#;
        let expected = json!(["\u{fffd}", "🙂", "\u{fffd}é", "\\ud83d", "\u{fffd}x"]);
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn what_lies_too_deep_does_not_spoil_the_rest() {
        let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
        let text = format!(r#"{{"result": "Hi", "documents": {deep}}}"#);
        assert_eq!(parse(&text).unwrap()["result"], "Hi");
    }

    #[test]
    fn what_is_no_json_stays_an_error() {
        for text in ["", "{", "{'a': 1}", "\"\\ud83d", "[NaN", "\\"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse_composite(" [1] "), Some(json!([1])));
        assert_eq!(parse_composite("\"text\""), None);
    }
}
