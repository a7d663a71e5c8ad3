//! The agents that play the specialists, as the environment names them: a JSON object, or two
//! lists of one length, which a template's list parameters give.

use std::collections::{BTreeMap, BTreeSet};

use router_core::json::kind;
use router_core::policy::{Mistake, Policy, SCHEMAS_INLINE, SchemaFiles};
use serde_json::Value;

use super::{Lookup, missing, mistake, set, told};

const OBJECT: &str = "SPECIALIST_AGENTS";
const NAMES: &str = "SPECIALISTS";
const ARNS: &str = "SPECIALIST_ARNS";

/// Agents by the specialists that they play, unchecked: what an agent may be is the policy's to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agents {
    by_name: BTreeMap<String, String>,
    /// Whether they came as two lists.
    are_lists: bool,
}

impl Agents {
    /// Reads `SPECIALIST_AGENTS`, or `SPECIALISTS` and `SPECIALIST_ARNS`; without any, there are
    /// none.
    ///
    /// # Errors
    ///
    /// Every mistake there is.
    pub fn from_vars(var: Lookup<'_>) -> Result<Self, Vec<Mistake>> {
        let (object, names, arns) = (set(var, OBJECT), set(var, NAMES), set(var, ARNS));
        let has_lists = names.is_some() || arns.is_some();
        let mut mistakes = Vec::new();
        if object.is_some() && has_lists {
            let found = format!("set beside {NAMES} or {ARNS}");
            mistakes.push(told(OBJECT, &found, "agents are given in one of the two forms"));
        }
        let mut by_name = match object.as_deref().map(of_object) {
            Some(Ok(agents)) => agents,
            Some(Err(mistake)) => {
                mistakes.push(mistake);
                BTreeMap::new()
            }
            None => BTreeMap::new(),
        };
        if has_lists {
            by_name = of_lists(names.as_deref(), arns.as_deref(), &mut mistakes);
        }
        if mistakes.is_empty() { Ok(Self { by_name, are_lists: has_lists }) } else { Err(mistakes) }
    }

    /// Reads a policy whose specialists these agents play.
    ///
    /// # Errors
    ///
    /// Every mistake in `text`, and every disagreement with the agents under the name of the
    /// variable that gave them.
    pub fn parse_policy(&self, text: &str) -> Result<Policy, Vec<Mistake>> {
        self.parse_policy_with_files(text, &|_| Err(SCHEMAS_INLINE.to_owned()))
    }

    /// The same, where schemas may be in files.
    ///
    /// # Errors
    ///
    /// As [`Self::parse_policy`] has them.
    pub fn parse_policy_with_files(
        &self,
        text: &str,
        files: SchemaFiles<'_>,
    ) -> Result<Policy, Vec<Mistake>> {
        Policy::parse_with_files(text, Some(&self.by_name), files)
            .map_err(|mistakes| mistakes.into_iter().map(|mistake| self.named(mistake)).collect())
    }

    /// The core knows agents by name only, and calls them `SPECIALIST_AGENTS`.
    fn named(&self, mistake: Mistake) -> Mistake {
        let Some(rest) = mistake.setting.strip_prefix(OBJECT).filter(|_| self.are_lists) else {
            return mistake;
        };
        let setting = if rest.is_empty() { NAMES.to_owned() } else { format!("{ARNS}{rest}") };
        Mistake { setting, ..mistake }
    }
}

fn of_object(text: &str) -> Result<BTreeMap<String, String>, Mistake> {
    let found = match serde_json::from_str(text) {
        Ok(Value::Object(agents)) => {
            let text = |value: Value| value.as_str().map(str::to_owned);
            let agents = agents.into_iter().map(|(name, value)| Some((name, text(value)?)));
            match agents.collect() {
                Some(agents) => return Ok(agents),
                None => "an object with a value that is no string",
            }
        }
        Ok(other) => kind(&other),
        Err(_) => "not JSON",
    };
    Err(told(OBJECT, found, "it must be a JSON object that gives each specialist a string"))
}

fn of_lists(
    names: Option<&str>,
    arns: Option<&str>,
    mistakes: &mut Vec<Mistake>,
) -> BTreeMap<String, String> {
    let names = items(NAMES, names, ARNS, mistakes);
    let arns = items(ARNS, arns, NAMES, mistakes);
    let mut seen = BTreeSet::new();
    for name in names.iter().filter(|name| !name.is_empty()) {
        if !seen.insert(name) {
            mistakes.push(mistake(NAMES, name, "each specialist is named once"));
        }
    }
    if mistakes.is_empty() && names.len() != arns.len() {
        let found = format!("a list of {}, where {NAMES} has {}", arns.len(), names.len());
        mistakes.push(told(ARNS, &found, "each specialist has one agent, in the same order"));
    }
    let pairs = names.into_iter().zip(arns);
    pairs.map(|(name, arn)| (name.to_owned(), arn.to_owned())).collect()
}

/// The items of a list, with the spaces around them gone.
fn items<'t>(
    setting: &str,
    list: Option<&'t str>,
    other: &str,
    mistakes: &mut Vec<Mistake>,
) -> Vec<&'t str> {
    let Some(list) = list else {
        mistakes.push(missing(setting, &format!("it must be as long as {other}, which is set")));
        return Vec::new();
    };
    let items: Vec<&str> = list.split(',').map(str::trim).collect();
    for (place, _) in items.iter().enumerate().filter(|(_, item)| item.is_empty()) {
        let found = format!("a list whose item {} of {} is empty", place + 1, items.len());
        mistakes.push(told(setting, &found, "one comma stands between two items, none at the end"));
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Agents, Vec<String>> {
        let var: Lookup<'_> =
            &|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Agents::from_vars(var).map_err(|found| found.iter().map(Mistake::to_string).collect())
    }

    fn lists(names: &str, arns: &str) -> Result<Agents, Vec<String>> {
        read(&[(NAMES, names), (ARNS, arns)])
    }

    #[test]
    fn two_lists_say_what_an_object_says() {
        let object = read(&[(OBJECT, r#"{"billing/refund": "A/B", "orders": "C/D"}"#)]).unwrap();
        let lists = lists("billing/refund, orders", " A/B ,C/D").unwrap();
        assert_eq!(lists.by_name, object.by_name);
        assert_eq!(read(&[(NAMES, ""), (ARNS, ""), (OBJECT, "")]), Ok(Agents::default()));
    }

    #[test]
    fn lists_that_do_not_fit_together_are_told_with_their_lengths_and_places() {
        for (names, arns, expected) in [
            ("a,b", "A/B", &["`SPECIALIST_ARNS` is a list of 1, where SPECIALISTS has 2"][..]),
            ("a", "A/B,C/D", &["`SPECIALIST_ARNS` is a list of 2, where SPECIALISTS has 1"]),
            ("a,", "A/B", &["`SPECIALISTS` is a list whose item 2 of 2 is empty"]),
            (
                ",a",
                "A/B, ",
                &[
                    "`SPECIALISTS` is a list whose item 1 of 2 is empty",
                    "`SPECIALIST_ARNS` is a list whose item 2 of 2 is empty",
                ],
            ),
            (" ", "A/B", &["`SPECIALISTS` is a list whose item 1 of 1 is empty"]),
            ("a,b,a", "A/B,C/D,E/F", &["`SPECIALISTS` is \"a\": each specialist is named once"]),
            ("a", "", &["`SPECIALIST_ARNS` is not set: it must be as long as SPECIALISTS"]),
            ("", "A/B", &["`SPECIALISTS` is not set: it must be as long as SPECIALIST_ARNS"]),
        ] {
            let found = lists(names, arns).unwrap_err();
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.starts_with(expected), "{found}");
            }
        }
    }

    #[test]
    fn both_forms_at_once_are_a_mistake_beside_those_of_each() {
        let found = read(&[(OBJECT, "[]"), (NAMES, "a,"), (ARNS, "A/B,C/D")]).unwrap_err();
        let names: Vec<&str> = found.iter().map(|text| text.split(' ').next().unwrap()).collect();
        assert_eq!(names, ["`SPECIALIST_AGENTS`", "`SPECIALIST_AGENTS`", "`SPECIALISTS`"]);
    }
}
