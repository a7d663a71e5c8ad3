//! Composite alarms: alarms on the states of alarms.
//!
//! The rules are those of `AlarmRule` in the API reference of `PutCompositeAlarm`. An alarm's
//! name has to be quoted here.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::judge::State;
use crate::template::{Template, TemplateError};

/// An alarm on other alarms.
#[derive(Clone, Debug, PartialEq)]
pub struct CompositeAlarm {
    /// Its logical id.
    pub name: String,
    /// The name that it has in the account.
    pub full_name: Option<String>,
    /// What it tells whom it wakes.
    pub description: String,
    /// When it is raised.
    pub rule: AlarmRule,
    /// Who is told when it is raised.
    pub actions: Vec<String>,
}

/// A condition on the states of alarms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlarmRule {
    /// The alarm is in the state.
    Is(State, String),
    /// The condition does not hold.
    Not(Box<AlarmRule>),
    /// Both hold.
    And(Box<AlarmRule>, Box<AlarmRule>),
    /// At least one holds.
    Or(Box<AlarmRule>, Box<AlarmRule>),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Properties {
    alarm_name: Option<String>,
    alarm_description: String,
    alarm_rule: String,
    alarm_actions: Vec<String>,
    #[serde(rename = "OKActions", default)]
    _ok_actions: Vec<String>,
}

impl CompositeAlarm {
    /// All composite alarms of a template.
    ///
    /// # Errors
    ///
    /// The first alarm that cannot be resolved, or whose rule is none as far as that is known
    /// here.
    pub fn all(template: &Template) -> Result<Vec<Self>, TemplateError> {
        let alarms = template.of_type("AWS::CloudWatch::CompositeAlarm");
        alarms
            .map(|(name, resource)| {
                let problem = |problem: String| TemplateError::Properties {
                    resource: name.to_owned(),
                    problem,
                };
                let properties: Properties = serde_json::from_value(template.properties(resource)?)
                    .map_err(|error| problem(error.to_string()))?;
                Ok(Self {
                    name: name.to_owned(),
                    full_name: properties.alarm_name,
                    description: properties.alarm_description,
                    rule: AlarmRule::parse(&properties.alarm_rule).map_err(problem)?,
                    actions: properties.alarm_actions,
                })
            })
            .collect()
    }
}

impl AlarmRule {
    /// Reads a rule.
    ///
    /// # Errors
    ///
    /// What was found, and what is asked.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text;
        let rule = either(&mut rest)?;
        if rest.trim().is_empty() { Ok(rule) } else { Err(format!("`{rest}` is left over")) }
    }

    /// Whether it holds.
    pub fn holds(&self, states: &BTreeMap<&str, State>) -> bool {
        match self {
            Self::Is(state, alarm) => states.get(alarm.as_str()) == Some(state),
            Self::Not(rule) => !rule.holds(states),
            Self::And(left, right) => left.holds(states) && right.holds(states),
            Self::Or(left, right) => left.holds(states) || right.holds(states),
        }
    }

    /// The alarms that it looks at.
    pub fn alarms(&self) -> Vec<&str> {
        match self {
            Self::Is(_, alarm) => vec![alarm],
            Self::Not(rule) => rule.alarms(),
            Self::And(left, right) | Self::Or(left, right) => {
                [left.alarms(), right.alarms()].concat()
            }
        }
    }
}

fn either(rest: &mut &str) -> Result<AlarmRule, String> {
    let mut left = both(rest)?;
    while takes(rest, "OR") {
        left = AlarmRule::Or(Box::new(left), Box::new(both(rest)?));
    }
    Ok(left)
}

fn both(rest: &mut &str) -> Result<AlarmRule, String> {
    let mut left = one(rest)?;
    while takes(rest, "AND") {
        left = AlarmRule::And(Box::new(left), Box::new(one(rest)?));
    }
    Ok(left)
}

fn one(rest: &mut &str) -> Result<AlarmRule, String> {
    if takes(rest, "NOT") {
        return Ok(AlarmRule::Not(Box::new(one(rest)?)));
    }
    if takes(rest, "(") {
        let rule = either(rest)?;
        return if takes(rest, ")") { Ok(rule) } else { Err(format!("`)` asked, not `{rest}`")) };
    }
    let states = [
        ("ALARM", State::Alarm),
        ("OK", State::Ok),
        ("INSUFFICIENT_DATA", State::InsufficientData),
    ];
    let Some((_, state)) = states.iter().find(|(name, _)| takes(rest, name)) else {
        return Err(format!("a state of an alarm asked, not `{rest}`"));
    };
    let quoted = rest.trim_start().strip_prefix("(\"").and_then(|rest| rest.split_once("\")"));
    let Some((alarm, after)) = quoted else {
        return Err(format!("a quoted name in parentheses asked, not `{rest}`"));
    };
    *rest = after;
    Ok(AlarmRule::Is(*state, alarm.to_owned()))
}

fn takes(rest: &mut &str, word: &str) -> bool {
    let found = rest.trim_start().strip_prefix(word);
    if let Some(after) = found {
        *rest = after;
    }
    found.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str) -> bool {
        let states = BTreeMap::from([
            ("red", State::Alarm),
            ("green", State::Ok),
            ("grey", State::InsufficientData),
        ]);
        AlarmRule::parse(text).unwrap().holds(&states)
    }

    #[test]
    fn a_rule_asks_for_states_and_combines_them() {
        for (text, expected) in [
            (r#"ALARM("red")"#, true),
            (r#"ALARM("green")"#, false),
            (r#"ALARM("grey")"#, false),
            (r#"ALARM("unheard of")"#, false),
            (r#"OK("green") AND INSUFFICIENT_DATA("grey")"#, true),
            (r#"NOT ALARM("red")"#, false),
            (r#"NOT ALARM("red") OR OK("green")"#, true),
            // AND binds more closely than OR.
            (r#"OK("green") OR OK("green") AND OK("red")"#, true),
            (r#"(OK("green") OR OK("green")) AND OK("red")"#, false),
            (r#"NOT (OK("green") AND OK("red"))"#, true),
        ] {
            assert_eq!(holds(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in ["", "ALARM(red)", r#"ALARM("red") ALARM("red")"#, r#"(OK("red")"#, "TRUE"] {
            assert!(AlarmRule::parse(text).is_err(), "{text}");
        }
    }
}
