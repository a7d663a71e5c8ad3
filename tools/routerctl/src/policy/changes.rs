//! What is different between two policies, key by key.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value as Json, json};
use toml::{Table, Value};

/// A value is shown to people up to as many characters.
const SHOWN_CHARS: usize = 80;

/// A key whose value is another one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// With its path.
    key: String,
    before: Option<String>,
    after: Option<String>,
}

/// The changes from one text to another, by key. A text that is no TOML has no keys.
pub(crate) fn between(before: &str, after: &str) -> Vec<Change> {
    let mut before = values(before);
    let mut changes: Vec<Change> = values(after)
        .into_iter()
        .map(|(key, after)| Change { before: before.remove(&key), key, after: Some(after) })
        .collect();
    let gone = before.into_iter();
    changes.extend(gone.map(|(key, before)| Change { key, before: Some(before), after: None }));
    changes.retain(|change| change.before != change.after);
    changes.sort_by(|a, b| a.key.cmp(&b.key));
    changes
}

fn values(text: &str) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    flatten("", text.parse().unwrap_or_default(), &mut values);
    values
}

fn flatten(path: &str, table: Table, values: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let path = if path.is_empty() { key } else { format!("{path}.{key}") };
        match value {
            Value::Table(table) => flatten(&path, table, values),
            other => {
                values.insert(path, other.to_string());
            }
        }
    }
}

impl Change {
    pub(crate) fn json(&self) -> Json {
        let Self { key, before, after } = self;
        json!({ "key": key, "table": before, "file": after })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = shown(&self.key);
        match (self.before.as_deref().map(shown), self.after.as_deref().map(shown)) {
            (Some(before), Some(after)) => write!(f, "~ {key} = {before} -> {after}"),
            (None, Some(after)) => write!(f, "+ {key} = {after}"),
            (before, None) => write!(f, "- {key} = {}", before.unwrap_or_default()),
        }
    }
}

/// A text on one line, whatever is in it.
fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    shown = shown.replace(char::is_control, " ");
    if text.chars().nth(SHOWN_CHARS).is_some() { shown + "…" } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(before: &str, after: &str) -> Vec<String> {
        between(before, after).iter().map(Change::to_string).collect()
    }

    #[test]
    fn keys_are_compared_and_neither_order_nor_comments() {
        let before = "b = 1\n[t]\na = 0.50\nold = ['x']\n";
        let after = "# a note\nb = 1\nt = { new = true, a = 0.6 }\n";
        let expected = ["~ t.a = 0.5 -> 0.6", "+ t.new = true", "- t.old = [\"x\"]"];
        assert_eq!(shown(before, after), expected);
        assert_eq!(shown("a = 1\nb = 2", "b = 2 # two\na = 1"), [""; 0]);
        assert_eq!(shown("", "a = 1"), ["+ a = 1"]);
        assert_eq!(shown("no toml", "a = 1"), ["+ a = 1"]);
    }

    #[test]
    fn a_value_is_shown_on_one_line_and_not_without_end() {
        let long = format!("a = '''\nx\u{1b}[2J\n{}'''", "y".repeat(500));
        let [line] = &shown("", &long.replace('\u{1b}', "\\u001b"))[..] else { panic!("one") };
        assert!(line.chars().count() < 100 && !line.contains(char::is_control), "{line:?}");
    }
}
