//! JSON as agents write it.
//!
//! Python writes `NaN` and `Infinity`, which JSON does not have, and JavaScript escapes half of a
//! character where a piece of text ends in its middle (`"\ud83d"`). Both are mended, and only
//! where the value could not be read otherwise: a number that is none becomes null, half a
//! character the replacement character.

use serde_json::{Result, Value};

/// What stands in place of half a character.
const REPLACEMENT: &str = "\\ufffd";

/// Reads a JSON value.
pub(super) fn parse(text: &str) -> Result<Value> {
    serde_json::from_str(text).or_else(|error| match mended(text) {
        Some(mended) => serde_json::from_str(&mended),
        None => Err(error),
    })
}

/// Reads a JSON object or array; `None` for all else, also for what is no JSON.
pub(super) fn parse_composite(text: &str) -> Option<Value> {
    let text = text.trim();
    text.starts_with(['{', '[']).then(|| parse(text).ok())?
}

/// The text without what only Python and JavaScript write; `None` if there is nothing of it.
fn mended(text: &str) -> Option<String> {
    let mut mended = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_string = false;
    while let Some(next) = rest.chars().next() {
        let (take, put) = if !in_string && let Some(number) = no_number(rest) {
            (number, "null")
        } else if in_string && next == '\\' {
            escape(rest)
        } else {
            in_string ^= next == '"';
            (next.len_utf8(), &rest[..next.len_utf8()])
        };
        mended.push_str(put);
        rest = rest.get(take..).unwrap_or_default();
    }
    (mended != text).then_some(mended)
}

/// The length of what Python writes for a float that is no number, if `text` begins with it.
fn no_number(text: &str) -> Option<usize> {
    ["NaN", "Infinity", "-Infinity"].into_iter().find(|it| text.starts_with(it)).map(str::len)
}

/// The length of the escape that `text` begins with, and what it becomes.
fn escape(text: &str) -> (usize, &str) {
    let unit = |at: usize| {
        let digits = text.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    match unit(0) {
        Some(0xd800..=0xdbff) => match unit(6) {
            Some(0xdc00..=0xdfff) => (12, &text[..12]),
            _ => (6, REPLACEMENT),
        },
        Some(0xdc00..=0xdfff) => (6, REPLACEMENT),
        // The escaped character, whatever it is, is no quotation mark that ends the string.
        _ => {
            let end = 1 + text[1..].chars().next().map_or(0, char::len_utf8);
            (end, &text[..end])
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
    fn what_is_no_json_stays_an_error() {
        for text in ["", "{", "{'a': 1}", "\"\\ud83d", "[NaN", "\\"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse_composite(" [1] "), Some(json!([1])));
        assert_eq!(parse_composite("\"text\""), None);
    }
}
