//! Labelled requests, as JSONL.
//!
//! A line is `{"text", "specialist", "intent"?, "kind"?, "language"?}`; other keys are ignored, so what
//! `routerctl labels` prints can be read too. Names are checked against those of a policy. No mistake
//! quotes a request's text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use router_core::json::kind as json_kind;
use router_core::policy::Policy;
use serde_json::{Map, Value};

/// The cases of the example's roster.
pub const EXAMPLE: &str = include_str!("../cases/example.jsonl");

/// A file has at most so many lines.
pub const MOST_LINES: usize = 10_000;

/// A line has at most so many bytes.
pub const LONGEST_LINE: usize = 10_000;

/// A mistake quotes at most so many characters.
const LONGEST_QUOTE: usize = 100;

/// A request with its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Its line in the file, from 1.
    pub line: usize,
    /// What the user wrote.
    pub text: String,
    /// The specialist that it belongs to.
    pub specialist: String,
    /// The class of requests that it is of, one of the specialist's.
    pub intent: Option<String>,
    /// What makes it easy or hard.
    pub kind: Option<Kind>,
    /// The language that it is written in, such as `en`.
    pub language: Option<String>,
}

/// What makes a request easy or hard to route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// One wish, written with care.
    Plain,
    /// With mistakes of spelling and typing.
    Typos,
    /// Two wishes; the label is the first one's.
    TwoWishes,
    /// Refers to something that was said before.
    FollowUp,
    /// No business of any specialist but the fallback.
    OutOfScope,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::Plain, Self::Typos, Self::TwoWishes, Self::FollowUp, Self::OutOfScope];

    /// Its name in a file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Typos => "typos",
            Self::TwoWishes => "two_wishes",
            Self::FollowUp => "follow_up",
            Self::OutOfScope => "out_of_scope",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// The names that labels may have: each specialist with its intents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(pub BTreeMap<String, BTreeSet<String>>);

impl Names {
    /// All that a supervisor may name under this policy.
    pub fn of(policy: &Policy) -> Self {
        let listed = policy.listed();
        Self(listed.map(|listed| (listed.name.to_string(), listed.intents.clone())).collect())
    }
}

/// What is wrong with a file of cases, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// What was found there, and what is allowed.
    pub what: What,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum What {
    /// The file has too many lines; none from here on was read.
    #[error("found one more line, at most {MOST_LINES} are allowed")]
    TooManyLines,
    /// The line is too long.
    #[error("found {found} bytes, at most {LONGEST_LINE} are allowed")]
    TooLong {
        /// Its length in bytes.
        found: usize,
    },
    /// The line is not JSON in UTF-8.
    #[error("found no JSON from column {column} on, a line must be a JSON object in UTF-8")]
    NotJson {
        /// The byte at which reading ended, from 1.
        column: usize,
    },
    /// The line is JSON, but no object.
    #[error("found {found}, a line must be a JSON object")]
    NotAnObject {
        /// What it is instead.
        found: &'static str,
    },
    /// A key is missing, or its value is no string.
    #[error("found {found} as `{key}`, it must be a string that is not empty")]
    NoText {
        /// The key.
        key: &'static str,
        /// What it has instead.
        found: &'static str,
    },
    /// A name that is not known.
    #[error("found `{found}` as `{key}`, allowed are {allowed}")]
    Unknown {
        /// The key.
        key: &'static str,
        /// The name, cut when it is long.
        found: String,
        /// The names that are known.
        allowed: Allowed,
    },
}

/// The names that are allowed in a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed(Vec<String>);

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let quoted: Vec<String> = self.0.iter().map(|name| format!("`{name}`")).collect();
        f.write_str(&quoted.join(", "))
    }
}

/// Reads cases, in the order of their lines. Blank lines are skipped.
///
/// # Errors
///
/// The first mistake of each line that has one. Reading stops at [`What::TooManyLines`].
pub fn parse(bytes: &[u8], names: &Names) -> Result<Vec<Case>, Vec<Mistake>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut cases = Vec::new();
    let mut mistakes = Vec::new();
    for (line, text) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        if line > MOST_LINES {
            mistakes.push(Mistake { line, what: What::TooManyLines });
            break;
        }
        if text.trim_ascii().is_empty() && text.len() <= LONGEST_LINE {
            continue;
        }
        match read_line(line, text, names) {
            Ok(case) => cases.push(case),
            Err(what) => mistakes.push(Mistake { line, what }),
        }
    }
    if mistakes.is_empty() { Ok(cases) } else { Err(mistakes) }
}

fn read_line(line: usize, text: &[u8], names: &Names) -> Result<Case, What> {
    if text.len() > LONGEST_LINE {
        return Err(What::TooLong { found: text.len() });
    }
    let value: Value =
        serde_json::from_slice(text).map_err(|error| What::NotJson { column: error.column() })?;
    let Value::Object(object) = value else {
        return Err(What::NotAnObject { found: json_kind(&value) });
    };
    let text = required(&object, "text")?;
    let specialist = required(&object, "specialist")?;
    let intent = optional(&object, "intent")?;
    let kind = optional(&object, "kind")?;
    let language = optional(&object, "language")?;

    let Some(intents) = names.0.get(specialist) else {
        return Err(unknown("specialist", specialist, names.0.keys()));
    };
    if let Some(intent) = intent.filter(|&intent| !intents.contains(intent)) {
        return Err(unknown("intent", intent, intents));
    }
    let parse_kind =
        |name| Kind::parse(name).ok_or_else(|| unknown("kind", name, Kind::ALL.map(Kind::as_str)));
    Ok(Case {
        line,
        text: text.to_owned(),
        specialist: specialist.to_owned(),
        intent: intent.map(str::to_owned),
        kind: kind.map(parse_kind).transpose()?,
        language: language.map(str::to_owned),
    })
}

fn required<'o>(object: &'o Map<String, Value>, key: &'static str) -> Result<&'o str, What> {
    optional(object, key)?.ok_or(What::NoText { key, found: "nothing" })
}

/// `null` is as if the key were absent.
fn optional<'o>(
    object: &'o Map<String, Value>,
    key: &'static str,
) -> Result<Option<&'o str>, What> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => {
            Err(What::NoText { key, found: "an empty string" })
        }
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(What::NoText { key, found: json_kind(other) }),
    }
}

fn unknown<N: AsRef<str>>(
    key: &'static str,
    found: &str,
    allowed: impl IntoIterator<Item = N>,
) -> What {
    let allowed = allowed.into_iter().map(|name| name.as_ref().to_owned()).collect();
    let found = found.chars().take(LONGEST_QUOTE).collect();
    What::Unknown { key, found, allowed: Allowed(allowed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let intents = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Names(BTreeMap::from([
            ("billing".to_owned(), intents(&["invoice", "refund"])),
            ("general".to_owned(), intents(&[])),
        ]))
    }

    fn mistakes(text: &str) -> Vec<String> {
        let mistakes = parse(text.as_bytes(), &names()).unwrap_err();
        mistakes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_line_has_a_request_with_its_label() {
        let text = concat!(
            r#"{"text":"wo bleibt das Geld?","specialist":"billing","intent":"refund","#,
            r#""kind":"follow_up","language":"de"}"#
        );
        let expected = Case {
            line: 1,
            text: "wo bleibt das Geld?".to_owned(),
            specialist: "billing".to_owned(),
            intent: Some("refund".to_owned()),
            kind: Some(Kind::FollowUp),
            language: Some("de".to_owned()),
        };
        assert_eq!(parse(text.as_bytes(), &names()).unwrap(), [expected]);
    }

    #[test]
    fn unknown_keys_are_ignored_and_only_text_and_specialist_are_needed() {
        let text =
            r#"{"text":"hi","specialist":"general","source":"incident:r1/0/0","intent":null}"#;
        let cases = parse(text.as_bytes(), &names()).unwrap();
        assert_eq!((cases[0].intent.as_ref(), cases[0].kind), (None, None));
    }

    #[test]
    fn an_empty_file_has_no_cases() {
        for text in ["", "\n", "\n  \n\r\n", "\u{feff}"] {
            assert_eq!(parse(text.as_bytes(), &names()), Ok(Vec::new()), "{text:?}");
        }
    }

    #[test]
    fn blank_lines_count_as_lines() {
        let line = r#"{"text":"hi","specialist":"general"}"#;
        let cases =
            parse(format!("\u{feff}{line}\r\n\r\n{line}\r\n").as_bytes(), &names()).unwrap();
        assert_eq!(cases.iter().map(|case| case.line).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn each_line_with_a_mistake_is_named_with_what_was_found_and_what_is_allowed() {
        let text = r#"{"text":"a","specialist":"general"}
{"text":"a"
[1]
{"specialist":"general"}
{"text":7,"specialist":"general"}
{"text":" ","specialist":"general"}
{"text":"a","specialist":"sales"}
{"text":"a","specialist":"billing","intent":"feedback"}
{"text":"a","specialist":"general","intent":"feedback"}
{"text":"a","specialist":"general","kind":"hard"}
{"text":"a","specialist":"general","language":["en"]}"#;
        let expected = [
            "line 2: found no JSON from column 11 on, a line must be a JSON object in UTF-8",
            "line 3: found an array, a line must be a JSON object",
            "line 4: found nothing as `text`, it must be a string that is not empty",
            "line 5: found a number as `text`, it must be a string that is not empty",
            "line 6: found an empty string as `text`, it must be a string that is not empty",
            "line 7: found `sales` as `specialist`, allowed are `billing`, `general`",
            "line 8: found `feedback` as `intent`, allowed are `invoice`, `refund`",
            "line 9: found `feedback` as `intent`, allowed are none",
            "line 10: found `hard` as `kind`, allowed are `plain`, `typos`, `two_wishes`, \
             `follow_up`, `out_of_scope`",
            "line 11: found an array as `language`, it must be a string that is not empty",
        ];
        assert_eq!(mistakes(text), expected);
    }

    #[test]
    fn what_is_no_unicode_is_no_json() {
        let text = b"{\"text\":\"\xff\",\"specialist\":\"general\"}";
        let mistakes = parse(text, &names()).unwrap_err();
        assert!(matches!(mistakes[0].what, What::NotJson { .. }), "{mistakes:?}");
    }

    #[test]
    fn a_line_may_have_as_many_bytes_as_are_allowed_and_no_more() {
        let frame = r#"{"text":"","specialist":"general"}"#;
        let line = |bytes: usize| frame.replacen("\"\"", &format!("\"{}\"", "x".repeat(bytes)), 1);
        let longest = line(LONGEST_LINE - frame.len());
        assert_eq!(parse(longest.as_bytes(), &names()).unwrap().len(), 1);
        let longer = line(LONGEST_LINE - frame.len() + 1);
        assert_eq!(mistakes(&longer), ["line 1: found 10001 bytes, at most 10000 are allowed"]);
        let blank = " ".repeat(LONGEST_LINE + 1);
        assert_eq!(mistakes(&blank), ["line 1: found 10001 bytes, at most 10000 are allowed"]);
    }

    #[test]
    fn a_file_may_have_as_many_lines_as_are_allowed_and_no_more() {
        let line = "{\"text\":\"a\",\"specialist\":\"general\"}\n";
        let most = line.repeat(MOST_LINES);
        assert_eq!(parse(most.as_bytes(), &names()).unwrap().len(), MOST_LINES);
        let more = most + line + "not read";
        assert_eq!(mistakes(&more), ["line 10001: found one more line, at most 10000 are allowed"]);
    }

    #[test]
    fn a_mistake_quotes_no_more_than_a_hundred_characters() {
        let long = "é".repeat(101);
        let text = format!(r#"{{"text":"a","specialist":"{long}"}}"#);
        let What::Unknown { found, .. } = &parse(text.as_bytes(), &names()).unwrap_err()[0].what
        else {
            panic!("the specialist is unknown")
        };
        assert_eq!(*found, "é".repeat(100));
    }
}
