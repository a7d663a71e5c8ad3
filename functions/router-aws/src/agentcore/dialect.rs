//! The dialects in which agents answer.
//!
//! Nothing prescribes what a container answers with, so frameworks pass on what their own objects
//! and events look like. Each dialect is a file of its own: its opening shows the wire format, its
//! marks and what is read. The first dialect in the table that recognises a value reads it; a
//! value that none recognises is no answer. `docs/agents.md` shows the same table to users.

mod a2a;
mod adk;
mod ag_ui;
mod ai_sdk;
mod anthropic;
mod bedrock;
mod crewai;
mod langgraph;
mod llama_index;
mod openai;
mod own;
mod pydantic_ai;
mod strands;
mod strands_typescript;
mod typed;

use serde_json::Value;

pub(super) use self::own::is_structured;
use super::heard::Heard;

/// A dialect: a name, and how a value in it is read.
pub(super) struct Dialect {
    /// As users know it.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test holds the users' table to it"))]
    name: &'static str,
    /// Hears a value; `None` if the value is not in this dialect, and then nothing was heard.
    read: fn(&Value, &mut Heard) -> Option<()>,
}

/// What comes before all dialects: a word to the router itself.
static TO_THE_ROUTER: [Dialect; 1] = [own::HAND_BACK];

/// The dialects of frameworks and protocols, whose marks are no chance, in the order in which they
/// are tried: marks that only one of them has come first.
static FRAMEWORKS: [Dialect; 13] = [
    bedrock::DIALECT,
    strands::DIALECT,
    strands_typescript::DIALECT,
    ag_ui::DIALECT,
    llama_index::DIALECT,
    openai::DIALECT,
    anthropic::DIALECT,
    pydantic_ai::DIALECT,
    adk::DIALECT,
    crewai::DIALECT,
    ai_sdk::DIALECT,
    a2a::DIALECT,
    langgraph::DIALECT,
];

/// The dialects of handlers that people write, with names that anyone may use.
static OF_ONES_OWN: [Dialect; 3] = [typed::DIALECT, own::FAILURE, own::RESULT];

/// All dialects, in the order in which they are tried.
fn all() -> impl Iterator<Item = &'static Dialect> {
    TO_THE_ROUTER.iter().chain(&FRAMEWORKS).chain(&OF_ONES_OWN)
}

/// Hears a value of a framework's dialect; `false` if it is of none.
fn hear_framework(value: &Value, heard: &mut Heard) -> bool {
    FRAMEWORKS.iter().any(|dialect| (dialect.read)(value, heard).is_some())
}

/// Hears a value of any dialect; `false` if it belongs to none.
pub(super) fn hear(value: &Value, heard: &mut Heard) -> bool {
    all().any(|dialect| (dialect.read)(value, heard).is_some())
        || own::hear_pieces(value, heard).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_for_users_lists_the_dialects_in_their_order() {
        let page = include_str!("../../../../docs/agents.md");
        let rows = page.lines().skip_while(|line| !line.starts_with("| dialect |")).skip(2);
        let listed = rows.map_while(|row| row.strip_prefix("| ")?.split(" | ").next());
        assert!(listed.eq(all().map(|dialect| dialect.name)));
    }
}

#[cfg(test)]
mod testing {
    use router_core::charge::Usage;
    use router_core::invocation::InvokeError;

    use super::*;

    /// What comes of values that follow each other in a stream.
    pub(super) struct Told {
        pub(super) answer: Result<String, InvokeError>,
        pub(super) usage: Usage,
    }

    /// Reads values with one dialect alone; a value that it does not recognise is a mistake of
    /// the test.
    pub(super) fn told(dialect: &Dialect, values: &[Value]) -> Told {
        let mut heard = Heard::default();
        for value in values {
            assert!((dialect.read)(value, &mut heard).is_some(), "{}: {value}", dialect.name);
            if let Some(error) = heard.take_failure() {
                return Told { answer: Err(error), usage: heard.meter.usage() };
            }
        }
        Told { usage: heard.meter.usage(), answer: heard.into_answer() }
    }

    /// The answer that such values are.
    pub(super) fn answer(dialect: &Dialect, values: &[Value]) -> String {
        told(dialect, values).answer.unwrap()
    }
}
