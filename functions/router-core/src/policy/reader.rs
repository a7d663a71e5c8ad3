//! Reads a TOML table key by key and collects what is wrong with it.
//!
//! After a mistake a reader answers with a value that only keeps the reading going. It never
//! gets out, since [`Mistakes::none_or_else`] gives nothing while there is a mistake, and rules
//! that take part in it are not checked ([`Mistakes::concern`]).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::{Table, Value};

use super::value::{as_decimal, parse_usd, shorten, shorten_to, show};
use super::{AgentAlias, AgentRef, Mistake, NOT_SHOWN, Schema, SchemaFiles, may_be_secret};
use crate::ids::SpecialistName;
use crate::units::{MicroUsd, Share};

/// Agents are shown up to this one: what tells two ARNs apart stands at their end.
const AGENT_SHOWN_CHARS: usize = 240;

/// Parses the file as a whole; a file that is no TOML has one mistake, which says where.
pub(super) fn parse_toml(text: &str) -> Result<Table, Mistake> {
    text.parse::<Table>().map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        Mistake {
            setting: "ROUTING_POLICY".to_owned(),
            found: format!("not TOML, line {line}"),
            rule: error.message().replace('\n', ", "),
        }
    })
}

/// The mistakes found so far.
#[derive(Default)]
pub(super) struct Mistakes(RefCell<Vec<Mistake>>);

impl Mistakes {
    /// Whether a setting was found to be wrong already, so that nothing follows from its value.
    pub(super) fn concern(&self, setting: &str) -> bool {
        self.0.borrow().iter().any(|mistake| mistake.setting == setting)
    }

    pub(super) fn add(&self, setting: String, found: String, rule: impl Into<String>) {
        let shown = |text| if may_be_secret(text) { NOT_SHOWN } else { text };
        let (setting, found) = (shown(&setting).to_owned(), shown(&found).to_owned());
        self.0.borrow_mut().push(Mistake { setting, found, rule: rule.into() });
    }

    pub(super) fn none_or_else<T>(self, value: T) -> Result<T, Vec<Mistake>> {
        let mistakes = self.0.into_inner();
        if mistakes.is_empty() { Ok(value) } else { Err(mistakes) }
    }
}

/// One table of the policy, which knows its path and which keys were asked for.
pub(super) struct Section<'t> {
    path: String,
    /// `None` when the table is absent: every key then has its default.
    table: Option<&'t Table>,
    asked: RefCell<BTreeSet<&'static str>>,
    mistakes: &'t Mistakes,
}

impl<'t> Section<'t> {
    pub(super) fn root(table: &'t Table, mistakes: &'t Mistakes) -> Self {
        Self { path: String::new(), table: Some(table), asked: RefCell::default(), mistakes }
    }

    pub(super) fn section(&self, key: &'static str) -> Section<'t> {
        let table = match self.get(key) {
            None => None,
            Some(Value::Table(table)) => Some(table),
            Some(other) => {
                self.mistake(key, &show(other), "it must be a table");
                None
            }
        };
        self.child(key, table)
    }

    /// A table that may be absent; `None` also where it is no table.
    pub(super) fn optional_section(&self, key: &'static str) -> Option<Section<'t>> {
        let section = self.section(key);
        section.table.is_some().then_some(section)
    }

    pub(super) fn required_section(&self, key: &'static str) -> Section<'t> {
        if self.get(key).is_none() {
            self.mistake(key, "missing", "the table is required");
        }
        self.section(key)
    }

    /// Every key of this table as a table of its own.
    pub(super) fn sections(&self) -> Vec<(String, Section<'t>)> {
        let entries = self.table.into_iter().flatten();
        entries
            .filter_map(|(key, value)| match value {
                Value::Table(table) => Some((key.clone(), self.child(key, Some(table)))),
                other => {
                    self.mistake(key, &show(other), "it must be a table");
                    None
                }
            })
            .collect()
    }

    pub(super) fn integer(
        &self,
        key: &'static str,
        range: RangeInclusive<u64>,
        default: Option<u64>,
    ) -> u64 {
        let rule = format!("it must be a whole number from {} to {}", range.start(), range.end());
        let start = *range.start();
        self.read(key, default, start, &rule, |value| {
            let number = u64::try_from(value.as_integer()?).ok()?;
            range.contains(&number).then_some(number)
        })
    }

    pub(super) fn optional_integer(
        &self,
        key: &'static str,
        range: RangeInclusive<u64>,
    ) -> Option<u64> {
        self.get(key)?;
        Some(self.integer(key, range, None))
    }

    pub(super) fn millis(
        &self,
        key: &'static str,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> Duration {
        Duration::from_millis(self.integer(key, range, Some(default)))
    }

    /// Milliseconds that must not pass those of another key. A default gives way to it.
    pub(super) fn millis_up_to(
        &self,
        key: &'static str,
        default: u64,
        other: &str,
        limit: Duration,
    ) -> Duration {
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let millis = self.millis(key, 1..=900_000, default.clamp(1, limit_ms.max(1)));
        if millis > limit && !self.is_wrong(key) && !self.is_wrong(other) {
            let rule = format!("it must not be above {other}, {limit_ms}");
            self.mistake(key, &millis.as_millis().to_string(), &rule);
        }
        millis
    }

    pub(super) fn seconds(
        &self,
        key: &'static str,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> Duration {
        Duration::from_secs(self.integer(key, range, Some(default)))
    }

    /// A number from 0 to 1 that no money depends on.
    pub(super) fn fraction(&self, key: &'static str, default: f64) -> f64 {
        self.read(key, Some(default), default, "it must be a number from 0 to 1", |value| {
            let number = as_decimal(value)?.parse::<f64>().ok()?;
            (0.0..=1.0).contains(&number).then_some(number)
        })
    }

    pub(super) fn optional_fraction(&self, key: &'static str) -> Option<f64> {
        self.get(key)?;
        Some(self.fraction(key, 0.0))
    }

    pub(super) fn share(&self, key: &'static str, default: Share) -> Share {
        let rule = "it must be a number above 0, up to 1, of six decimals at most";
        self.read(key, Some(default), default, rule, |value| {
            let millionths = u32::try_from(MicroUsd::parse_usd(&as_decimal(value)?)?.0).ok()?;
            (1..=1_000_000).contains(&millionths).then_some(Share(millionths))
        })
    }

    pub(super) fn usd(&self, key: &'static str, default: Option<MicroUsd>) -> MicroUsd {
        let rule = "it must be an amount above 0, up to 1000000, of six decimals at most";
        self.read(key, default, MicroUsd(1), rule, |value| {
            parse_usd(value).filter(|amount| amount.0 > 0)
        })
    }

    pub(super) fn price(&self, key: &'static str) -> MicroUsd {
        let rule = "it must be an amount from 0 to 1000000, of six decimals at most";
        self.read(key, None, MicroUsd(0), rule, parse_usd)
    }

    pub(super) fn optional_price(&self, key: &'static str) -> Option<MicroUsd> {
        self.get(key)?;
        Some(self.price(key))
    }

    pub(super) fn boolean(&self, key: &'static str, default: bool) -> bool {
        self.read(key, Some(default), default, "it must be true or false", Value::as_bool)
    }

    pub(super) fn text(&self, key: &'static str) -> String {
        self.read(key, None, String::new(), "it must be a string that is not empty", |value| {
            value.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned)
        })
    }

    /// A string that may be empty, which is as if it were absent.
    pub(super) fn optional_text(&self, key: &'static str) -> Option<String> {
        let text =
            self.read(key, Some(String::new()), String::new(), "it must be a string", |value| {
                value.as_str().map(str::to_owned)
            });
        Some(text).filter(|text| !text.trim().is_empty())
    }

    /// A JSON Schema that may be absent or empty: inline as a table or as a text of JSON, or the name
    /// of a file.
    pub(super) fn schema(&self, key: &'static str, files: SchemaFiles<'_>) -> Option<Schema> {
        let rule = "it must be a JSON Schema, inline or the name of a file of one";
        let (found, text) = match self.get(key)? {
            Value::String(text) if text.trim().is_empty() => return None,
            Value::String(text) if text.trim_start().starts_with('{') => {
                ("a schema".to_owned(), Ok(text.clone()))
            }
            Value::String(file) => (show(&Value::String(file.clone())), files(file)),
            Value::Table(table) => {
                let text = serde_json::to_string(table).map_err(|error| error.to_string());
                ("a schema".to_owned(), text)
            }
            other => {
                self.mistake(key, &show(other), rule);
                return None;
            }
        };
        let schema = text.and_then(|text| Schema::parse(&text).map_err(|error| error.to_string()));
        schema.map_err(|error| self.mistake(key, &found, &error)).ok()
    }

    pub(super) fn strings(&self, key: &'static str) -> Option<Vec<String>> {
        self.get(key)?;
        Some(self.read(key, None, Vec::new(), "it must be an array of strings", |value| {
            value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
        }))
    }

    /// One of the named values; the first is the default.
    pub(super) fn choice<T: Copy>(&self, key: &'static str, choices: &[(&str, T)]) -> T {
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let rule = format!("it must be one of {}", names.join(", "));
        let first = choices[0].1;
        self.read(key, Some(first), first, &rule, |value| {
            let text = value.as_str()?;
            choices.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice)
        })
    }

    /// The name of a specialist of this policy.
    pub(super) fn specialist(
        &self,
        key: &'static str,
        names: &BTreeSet<SpecialistName>,
    ) -> SpecialistName {
        self.read(
            key,
            None,
            SpecialistName::placeholder(),
            "it must name a specialist of this policy",
            |value| names.iter().find(|name| Some(name.as_str()) == value.as_str()).cloned(),
        )
    }

    /// The same, where the key may be absent.
    pub(super) fn optional_specialist(
        &self,
        key: &'static str,
        names: &BTreeSet<SpecialistName>,
    ) -> Option<SpecialistName> {
        self.get(key)?;
        Some(self.specialist(key, names))
    }

    /// A list of such names; `None` when the key is absent.
    pub(super) fn specialists(
        &self,
        key: &'static str,
        names: &BTreeSet<SpecialistName>,
    ) -> Option<Vec<SpecialistName>> {
        self.get(key)?;
        let rule = "it must be an array of specialists of this policy";
        Some(self.read(key, None, Vec::new(), rule, |value| {
            let named = |item: &Value| {
                names.iter().find(|name| Some(name.as_str()) == item.as_str()).cloned()
            };
            value.as_array()?.iter().map(named).collect()
        }))
    }

    /// Whether the environment or key `agent` names an agent for the specialist.
    pub(super) fn names_agent(
        &self,
        name: &SpecialistName,
        from_environment: Option<&BTreeMap<String, String>>,
    ) -> bool {
        let is_there = from_environment.is_some_and(|agents| agents.contains_key(name.as_str()));
        is_there || self.get("agent").is_some()
    }

    /// The agent that plays the specialist: from the environment, else from key `agent`.
    pub(super) fn agent(
        &self,
        name: &SpecialistName,
        from_environment: Option<&BTreeMap<String, String>>,
    ) -> AgentRef {
        // Never seen: it stands in for an agent that was reported as missing or malformed.
        let placeholder = || {
            let (agent_id, alias_id) = (String::new(), String::new());
            AgentRef::Bedrock(AgentAlias { agent_id, alias_id, region: None })
        };
        let from_policy = self.optional_agent("agent");
        let Some(from_environment) = from_environment else {
            return from_policy.unwrap_or_else(placeholder);
        };
        if let Some(text) = from_environment.get(name.as_str()) {
            match AgentRef::parse(text) {
                Ok(agent) => return agent,
                Err(rule) => {
                    let found = format!("\"{}\"", shorten_to(AGENT_SHOWN_CHARS, text));
                    self.mistakes.add(format!("SPECIALIST_AGENTS.{name}"), found, rule);
                }
            }
        } else if self.get("agent").is_none() {
            let rule = "the specialist needs an agent: its name in SPECIALISTS and its ARN in \
                SPECIALIST_ARNS, or an entry of SPECIALIST_AGENTS, or this key";
            self.mistake("agent", "missing", rule);
        }
        from_policy.unwrap_or_else(placeholder)
    }

    pub(super) fn optional_agent(&self, key: &'static str) -> Option<AgentRef> {
        let value = self.get(key)?;
        let parsed = value.as_str().map_or(Err(AgentRef::RULE), AgentRef::parse);
        parsed
            .map_err(|rule| {
                self.mistake(key, &shorten_to(AGENT_SHOWN_CHARS, &value.to_string()), rule);
            })
            .ok()
    }

    /// Whether a key of this table was found to be wrong.
    pub(super) fn is_wrong(&self, key: &str) -> bool {
        self.mistakes.concern(&self.path_of(key))
    }

    /// Takes these keys as asked for, whatever they say.
    pub(super) fn ignore(&self, keys: &[&'static str]) {
        self.asked.borrow_mut().extend(keys);
    }

    /// Reports every key that nothing has asked for.
    pub(super) fn finish(&self) {
        let asked = self.asked.borrow();
        for key in self.table.into_iter().flat_map(Table::keys) {
            if !asked.contains(key.as_str()) {
                let allowed: Vec<&str> = asked.iter().copied().collect();
                let rule = format!("known here are {}", allowed.join(", "));
                self.mistake(&shorten(key), "an unknown key", &rule);
            }
        }
    }

    pub(super) fn mistake(&self, key: &str, found: &str, rule: &str) {
        self.mistakes.add(self.path_of(key), found.to_owned(), rule);
    }

    pub(super) fn mistake_here(&self, found: &str, rule: &str) {
        self.mistakes.add(self.path.clone(), found.to_owned(), rule);
    }

    fn read<T>(
        &self,
        key: &'static str,
        default: Option<T>,
        after_mistake: T,
        rule: &str,
        parse: impl FnOnce(&Value) -> Option<T>,
    ) -> T {
        match (self.get(key), default) {
            (None, Some(default)) => default,
            (None, None) => {
                // An absent table is reported as one mistake, not as one for each of its keys.
                if self.table.is_some() {
                    self.mistake(key, "missing", rule);
                }
                after_mistake
            }
            (Some(value), _) => parse(value).unwrap_or_else(|| {
                self.mistake(key, &show(value), rule);
                after_mistake
            }),
        }
    }

    fn get(&self, key: &'static str) -> Option<&'t Value> {
        self.asked.borrow_mut().insert(key);
        self.table?.get(key)
    }

    fn child(&self, key: &str, table: Option<&'t Table>) -> Section<'t> {
        let path = self.path_of(&shorten(key));
        Section { path, table, asked: RefCell::default(), mistakes: self.mistakes }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}
