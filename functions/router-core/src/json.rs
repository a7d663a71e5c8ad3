//! JSON as it comes from outside, read leniently.
//!
//! An event holds texts that users wrote and programs cut: half an emoji, a number no `f64` can
//! hold, lists in lists without end. None of that may hide what the event asks. Strict JSON is
//! read as it is; only what a strict reader refuses is mended first and then read again.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::Value;

/// How deep values may be nested. `serde_json` reads 127 levels; what lies deeper than this is
/// read as null.
const MAX_DEPTH: usize = 100;

/// The bytes are not JSON, not even what careless programs take for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not JSON")]
pub struct NotJson;

/// Reads JSON.
///
/// Beyond the standard, a byte order mark is skipped, `NaN` and `Infinity` are read as null,
/// numbers too large for an `f64` as the largest, and what is nested too deep as null. What is no
/// Unicode (a lone surrogate, a byte that is no UTF-8) is spelled out in the text, as in `\ud83d`:
/// were it all replaced by the same sign, two sessions could become one.
///
/// # Errors
///
/// [`NotJson`] for everything else.
pub fn read(bytes: &[u8]) -> Result<Value, NotJson> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    serde_json::from_slice(bytes)
        .or_else(|_| serde_json::from_str(&mended(&as_text(bytes))))
        .map_err(|_| NotJson)
}

/// What kind of JSON value this is, for messages.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The bytes as text, with bytes that are no UTF-8 spelled out as a JSON text would have them.
fn as_text(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.into();
    }
    let mut text = String::with_capacity(bytes.len() + 64);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, r"\\x{byte:02x}");
        }
    }
    text.into()
}

/// The text with all that is mended; whether the result is JSON is left to the reader.
fn mended(text: &str) -> String {
    let mut mended = String::with_capacity(text.len() + 64);
    let mut depth = 0_usize;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '"' => string(rest, &mut mended),
            '[' | '{' if depth >= MAX_DEPTH => {
                mended.push_str("null");
                nested(rest)
            }
            '-' | '+' | '.' | '0'..='9' | 'A'..='Z' | 'a'..='z' => word(rest, &mut mended),
            other => {
                match other {
                    '[' | '{' => depth += 1,
                    ']' | '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                mended.push(other);
                other.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    mended
}

/// Mends the string that `text` begins with, and gives its length in `text`.
fn string(text: &str, mended: &mut String) -> usize {
    mended.push('"');
    let mut at = 1;
    while let Some(first) = text[at..].chars().next() {
        at += match first {
            '\\' => escape(&text[at..], mended),
            control @ '\0'..='\u{1f}' => {
                let _ = write!(mended, r"\u{:04x}", u32::from(control));
                1
            }
            other => {
                mended.push(other);
                other.len_utf8()
            }
        };
        if first == '"' {
            break;
        }
    }
    at
}

/// Mends the escape that `text` begins with, and gives its length in `text`.
fn escape(text: &str, mended: &mut String) -> usize {
    let length = match (text.as_bytes().get(1), unit(text)) {
        (Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't'), _) => 2,
        (_, Some(0xd800..=0xdbff)) if matches!(unit(&text[6..]), Some(0xdc00..=0xdfff)) => 12,
        (_, Some(0xd800..=0xdfff)) | (_, None) => {
            mended.push_str(r"\\");
            return 1;
        }
        (_, Some(_)) => 6,
    };
    mended.push_str(&text[..length]);
    length
}

/// The UTF-16 unit whose escape `text` begins with.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix(r"\u")?.get(..4)?;
    let are_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u16::from_str_radix(digits, 16).ok().filter(|_| are_hex)
}

/// Mends the number or name that `text` begins with, and gives its length in `text`.
fn word(text: &str, mended: &mut String) -> usize {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let length = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let word = &text[..length];
    let is_number = word.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit());
    match word {
        "NaN" | "Infinity" | "-Infinity" => mended.push_str("null"),
        _ if is_number && word.parse().is_ok_and(f64::is_infinite) => {
            let largest = if word.starts_with('-') { f64::MIN } else { f64::MAX };
            let _ = write!(mended, "{largest:e}");
        }
        _ => mended.push_str(word),
    }
    length
}

/// The length of the list or object that `text` begins with.
fn nested(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_unicode_is_spelled_out_and_the_rest_is_there() {
        for (bytes, expected) in [
            (&br#"{"a": "x\ud83d", "b": 1}"#[..], json!({"a": r"x\ud83d", "b": 1})),
            (br#"["\udc00\ud800\udbffz", "\ud83e\udd80"]"#, json!([r"\udc00\ud800\udbffz", "🦀"])),
            (br#"["\ud83d\ud83e\udd80"]"#, json!(["\\ud83d🦀"])),
            (br#"{"\ud83d": 1}"#, json!({r"\ud83d": 1})),
            (b"[\"a\xffb\xc3\", \"\\\xfe\"]", json!([r"a\xffb\xc3", r"\\xfe"])),
            (b"\xef\xbb\xbf[\"\xff\"]", json!([r"\xff"])),
        ] {
            assert_eq!(read(bytes), Ok(expected), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn what_careless_programs_write_is_read() {
        for (text, expected) in [
            ("\u{feff}{}", json!({})),
            ("[1e999, -1e999, 1E+400]", json!([f64::MAX, f64::MIN, f64::MAX])),
            ("[NaN, Infinity, -Infinity]", json!([null, null, null])),
            ("[\"a\nb\tc\"]", json!(["a\nb\tc"])),
            (r#"["\x41 \' \u12"]"#, json!([r"\x41 \' \u12"])),
            (r#"{"a": 1, "a": "NaN"}"#, json!({"a": "NaN"})),
        ] {
            assert_eq!(read(text.as_bytes()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_number_too_long_for_any_type_is_the_largest() {
        let text = format!("[{}, -{}]", "9".repeat(400), "9".repeat(400));
        assert_eq!(read(text.as_bytes()), Ok(json!([f64::MAX, f64::MIN])));
    }

    #[test]
    fn what_is_nested_too_deep_hides_nothing_beside_it() {
        for depth in [90, 100, 101, 127, 128, 200, 100_000] {
            for (open, close) in [("[", "]"), (r#"{"[]\"}":"#, "}")] {
                let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
                let text = format!(r#"{{"before": 1, "deep": {deep}, "after": "\ud800"}}"#);
                let value = read(text.as_bytes()).unwrap();
                assert_eq!((&value["before"], &value["after"]), (&json!(1), &json!(r"\ud800")));
                assert_ne!(value["deep"], Value::Null, "{depth}");
            }
        }
    }

    #[test]
    fn what_is_no_json_stays_none() {
        let deep = "[".repeat(100_000);
        for text in ["", " ", "{", "{}{}", "[1,]", "{'a': 1}", "nope", "[01]", "\"", "\"\\", &deep]
        {
            assert_eq!(read(text.as_bytes()), Err(NotJson), "{text:.20}");
        }
        assert_eq!(read(b"\xff\xfe"), Err(NotJson));
    }

    proptest! {
        #[test]
        fn what_a_strict_reader_takes_is_left_as_it_is(text in r#"("[^"\\\x00-\x1f]*"|-?[1-9][0-9]{0,8}(\.[0-9]{1,3})?(e-?[0-9]{1,2})?|true|null|"(\\n|\\"|\\\\|\\u00e9)*")"#) {
            let json = format!(r#"{{"a": [{text}], "b": {text}}}"#);
            prop_assert_eq!(mended(&json), json);
        }

        #[test]
        fn no_bytes_are_too_much(bytes in proptest::collection::vec(
            prop_oneof![any::<u8>(), proptest::sample::select(&b"\"\\u[]{}d8:,1eN"[..])], 0..60)
        ) {
            let _ = read(&bytes);
        }
    }
}
