//! The scratchpad's keys: what specialists may write for each other in a session.

use std::collections::{BTreeMap, BTreeSet};

use super::reader::{Mistakes, Section};
use super::{Policy, Schema, SchemaFiles, Specialist, levels};
use crate::ids::SpecialistName;

/// The most keys that a policy may have: each that a specialist may read is read with each call.
const MAX_KEYS: usize = 50;
/// The most characters of a key's name.
const MAX_NAME_CHARS: usize = 40;

/// A key of the scratchpad.
#[derive(Clone, Debug, PartialEq)]
pub struct PadKey {
    /// Its name.
    pub name: String,
    /// The only specialist whose answers may become it.
    pub writer: SpecialistName,
    /// Who gets its value.
    pub readers: BTreeSet<SpecialistName>,
    /// A longer value is not written.
    pub max_bytes: usize,
    /// What its value must fit.
    pub schema: Option<Schema>,
}

impl Policy {
    /// The scratchpad's key of this name.
    pub fn pad_key(&self, name: &str) -> Option<&PadKey> {
        self.scratchpad.get(name)
    }

    /// All keys of the scratchpad, by name.
    pub fn pad_keys(&self) -> impl Iterator<Item = &PadKey> {
        self.scratchpad.values()
    }

    /// The key that the specialist's answers become.
    pub fn written_by(&self, specialist: &Specialist) -> Option<&PadKey> {
        self.scratchpad.get(specialist.writes.as_deref()?)
    }

    /// What the specialist's answers must fit: its own schema, and that of the key which they become.
    pub fn schemas_of<'p>(
        &'p self,
        specialist: &'p Specialist,
    ) -> impl Iterator<Item = &'p Schema> {
        let of_key = self.written_by(specialist).and_then(|key| key.schema.as_ref());
        specialist.output_schema.iter().chain(of_key)
    }

    /// Reports what a specialist writes and may not.
    pub(super) fn check_scratchpad(&self, mistakes: &Mistakes) {
        for specialist in self.specialists() {
            let Some(key) = &specialist.writes else { continue };
            let setting = format!("specialists.{}.writes", levels::setting(&specialist.name));
            match self.scratchpad.get(key) {
                None if mistakes.concern("scratchpad") => {}
                None if mistakes.concern(&format!("scratchpad.{key}")) => {}
                None => {
                    let names: Vec<&str> = self.scratchpad.keys().map(String::as_str).collect();
                    let rule = format!("it must be a key of [scratchpad]: {}", names.join(", "));
                    mistakes.add(setting, format!("`{}`", key.escape_debug()), rule);
                }
                Some(PadKey { writer, .. }) if *writer != specialist.name => {
                    if !mistakes.concern(&format!("scratchpad.{key}.writer")) {
                        let found = format!("`{key}`, which `{writer}` writes");
                        mistakes.add(setting, found, "a scratchpad key has one writer");
                    }
                }
                Some(_) => {}
            }
        }
    }
}

pub(super) fn read_scratchpad(
    section: &Section<'_>,
    names: &BTreeSet<SpecialistName>,
    files: SchemaFiles<'_>,
) -> BTreeMap<String, PadKey> {
    let sections = section.sections();
    if sections.len() > MAX_KEYS {
        let found = format!("{} keys", sections.len());
        section.mistake_here(&found, &format!("at most {MAX_KEYS} keys are allowed"));
    }
    let mut keys = BTreeMap::new();
    for (name, section) in sections {
        if !is_name(&name) {
            let rule = format!(
                "a key's name is a letter, then letters, digits, `-` and `_`, {MAX_NAME_CHARS} at most"
            );
            section.mistake_here("not a name", &rule);
            continue;
        }
        let max_bytes = section.integer("max_bytes", 1..=100_000, Some(4_000));
        let key = PadKey {
            name: name.clone(),
            writer: section.specialist("writer", names),
            readers: section
                .specialists("readers", names)
                .unwrap_or_default()
                .into_iter()
                .collect(),
            max_bytes: usize::try_from(max_bytes).unwrap_or(usize::MAX),
            schema: section.schema("schema", files),
        };
        section.finish();
        keys.insert(name, key);
    }
    keys
}

fn is_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    name.len() <= MAX_NAME_CHARS
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use crate::doubles::policy_with;

    const FACTS: &str = "[scratchpad.order_facts]\nwriter = \"orders\"\nreaders = [\"billing\"]\n";

    fn mistakes(more: &str) -> Vec<String> {
        let mistakes = policy_with(more).unwrap_err();
        mistakes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_key_has_a_writer_readers_a_size_and_a_schema() {
        let policy = policy_with(&format!("{FACTS}schema = {{ type = \"object\" }}\n")).unwrap();
        let key = policy.pad_key("order_facts").unwrap();
        assert_eq!((key.writer.as_str(), key.max_bytes), ("orders", 4_000));
        assert!(key.schema.is_some());
        let of_text = format!("{FACTS}schema = '{{\"type\": \"object\"}}'\n");
        assert_eq!(policy, policy_with(&of_text).unwrap(), "a table and a text are one");
    }

    #[test]
    fn a_mistake_names_the_key_and_the_rule() {
        for (more, expected) in [
            ("[scratchpad.a]\nreaders = []\n", "`scratchpad.a.writer` is missing"),
            ("[scratchpad.a]\nwriter = \"nobody\"\n", "it must name a specialist of this policy"),
            ("[scratchpad.a]\nwriter = [\"orders\", \"billing\"]\n", "`scratchpad.a.writer` is "),
            ("[scratchpad.a]\nwriter = \"orders\"\nreaders = [\"x\"]\n", "array of specialists"),
            ("[scratchpad.'a:b']\nwriter = \"orders\"\n", "a key's name is a letter"),
            ("[scratchpad.a]\nwriter = \"orders\"\nmax_bytes = 0\n", "from 1 to 100000"),
            ("[scratchpad.a]\nwriter = \"orders\"\nttl = 1\n", "an unknown key"),
            ("[scratchpad]\na = 1\n", "it must be a table"),
            ("[scratchpad.a]\nwriter = \"orders\"\nschema = 7\n", "it must be a JSON Schema"),
            (
                "[scratchpad.a]\nwriter = \"orders\"\nschema = \"a.json\"\n",
                "`scratchpad.a.schema` is \"a.json\": a policy that is no file must hold",
            ),
            (
                "[scratchpad.a]\nwriter = \"orders\"\nschema = '{\"$ref\": \"#\"}'\n",
                "leads back to itself",
            ),
        ] {
            let found = mistakes(more);
            assert!(found.iter().any(|mistake| mistake.contains(expected)), "{found:?}");
        }
    }

    #[test]
    fn a_key_has_one_writer_and_what_is_written_is_a_key() {
        let found = mistakes("[scratchpad.a]\nwriter = \"billing\"\n[specialists.orders.extra]\n");
        assert!(found.iter().any(|mistake| mistake.contains("unknown key")), "{found:?}");
        for (writes, expected) in [
            ("b", "`specialists.clerk.writes` is `b`: it must be a key of [scratchpad]: a"),
            (
                "a",
                "`specialists.clerk.writes` is `a`, which `billing` writes: a scratchpad key has",
            ),
        ] {
            let found = mistakes(&format!(
                "[scratchpad.a]\nwriter = \"billing\"\n[specialists.clerk]\nagent = \"A/B\"\n\
                 description = \"d\"\nmax_tokens_per_call = 1\nwrites = \"{writes}\"\n\
                 price = {{ input_usd_per_mtok = 1, output_usd_per_mtok = 1 }}\n"
            ));
            assert!(found[0].starts_with(expected), "{found:?}");
        }
    }
}
