//! People's corrections: which specialist an incident's request belongs to.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use router_core::policy::Policy;
use serde_json::Value;

/// The right specialist of incidents, by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Corrections(pub(crate) BTreeMap<String, String>);

impl Corrections {
    /// Reads one `{"id": …, "specialist": …}` a line; empty lines do not count.
    ///
    /// # Errors
    ///
    /// Every line that is wrong, with what was found and what is allowed.
    pub(crate) fn parse(text: &str, policy: &Policy) -> Result<Self, Vec<String>> {
        let mut lines: BTreeMap<String, (usize, String)> = BTreeMap::new();
        let mut mistakes = Vec::new();
        for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            if line.trim().is_empty() {
                continue;
            }
            match correction(line, policy) {
                Err(mistake) => mistakes.push(format!("line {number}: {mistake}")),
                Ok((id, specialist)) => match lines.entry(id) {
                    Entry::Vacant(entry) => {
                        entry.insert((number, specialist));
                    }
                    Entry::Occupied(entry) => mistakes.push(format!(
                        "line {number}: `id` is `{}`, as on line {}: an incident is corrected once",
                        entry.key(),
                        entry.get().0
                    )),
                },
            }
        }
        if mistakes.is_empty() {
            Ok(Self(lines.into_iter().map(|(id, (_, specialist))| (id, specialist)).collect()))
        } else {
            Err(mistakes)
        }
    }
}

const RULE: &str =
    "it must be a JSON object such as {\"id\": \"<incident id>\", \"specialist\": \"billing\"}";

fn correction(line: &str, policy: &Policy) -> Result<(String, String), String> {
    let value: Value = serde_json::from_str(line).map_err(|_| format!("is no JSON: {RULE}"))?;
    let Value::Object(members) = &value else {
        return Err(format!("is {}: {RULE}", kind(&value)));
    };
    if let Some(key) = members.keys().find(|key| !["id", "specialist"].contains(&key.as_str())) {
        return Err(format!("`{key}` is unknown: only `id` and `specialist` are allowed"));
    }
    let text = |key: &str, rule: &str| match members.get(key) {
        None => Err(format!("`{key}` is missing: {rule}")),
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(Value::String(_)) => Err(format!("`{key}` is empty: {rule}")),
        Some(other) => Err(format!("`{key}` is {}: {rule}", kind(other))),
    };
    let names: Vec<&str> = policy.specialists().map(|one| one.name.as_str()).collect();
    let names_rule = format!("it must be one of {}", names.join(", "));
    let id = text("id", "it must be the id of an incident, as `incidents --json` shows it")?;
    let specialist = text("specialist", &names_rule)?;
    if !names.contains(&specialist.as_str()) {
        return Err(format!("`specialist` is `{specialist}`: {names_rule}"));
    }
    Ok((id, specialist))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Corrections, Vec<String>> {
        let policy = Policy::parse(stand_ins::last_run::SHIPPED_POLICY, None).unwrap();
        Corrections::parse(text, &policy)
    }

    #[test]
    fn corrections_are_read_a_line_each() {
        let text = "\u{feff}{\"id\": \"r1/0/0\", \"specialist\": \"orders\"}\r\n\n\
                    {\"specialist\":\"general\",\"id\":\"r2/0/0\"}";
        let pairs = [("r1/0/0", "orders"), ("r2/0/0", "general")];
        let expected = pairs.map(|(id, name)| (id.to_owned(), name.to_owned())).into();
        assert_eq!(parse(text), Ok(Corrections(expected)));
        assert_eq!(parse(" \n"), Ok(Corrections::default()));
    }

    #[test]
    fn each_wrong_line_is_named_with_what_is_allowed() {
        let names = "it must be one of billing, general, orders, support";
        for (line, expected) in [
            (
                r#"{"id": "a", "specialist": "biling"}"#,
                format!("`specialist` is `biling`: {names}"),
            ),
            (r#"{"id": "a"}"#, format!("`specialist` is missing: {names}")),
            (
                r#"{"id": "a", "specialist": ["orders"]}"#,
                format!("`specialist` is an array: {names}"),
            ),
            (
                r#"{"id": 7, "specialist": "orders"}"#,
                "`id` is a number: it must be the id".to_owned(),
            ),
            (
                r#"{"id": "", "specialist": "orders"}"#,
                "`id` is empty: it must be the id".to_owned(),
            ),
            (
                r#"{"id": "a", "specialist": "orders", "by": "x"}"#,
                "`by` is unknown: only".to_owned(),
            ),
            ("orders", "is no JSON: it must be a JSON object such as".to_owned()),
            ("[]", "is an array: it must be a JSON object such as".to_owned()),
        ] {
            let mistakes = parse(&format!("\n{line}\n")).unwrap_err();
            assert_eq!(mistakes.len(), 1);
            assert!(mistakes[0].starts_with(&format!("line 2: {expected}")), "{mistakes:?}");
        }
        let twice = "{\"id\": \"a\", \"specialist\": \"orders\"}\nx\n{\"id\": \"a\", \"specialist\": \"orders\"}";
        let mistakes = parse(twice).unwrap_err();
        assert_eq!(mistakes.len(), 2, "all are told at once");
        assert_eq!(mistakes[1], "line 3: `id` is `a`, as on line 1: an incident is corrected once");
    }
}
