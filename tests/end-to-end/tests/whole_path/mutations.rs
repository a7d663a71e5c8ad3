//! The repository's events, damaged at random.
//!
//! Whatever arrives, the function answers in the event's form, or says with one error type that
//! nobody could tell the form; it does not end, and nobody is called for what it refuses.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use stand_ins::Options;
use stand_ins::events::{self, Case};
use stand_ins::lambda::Outcome;

use crate::support::{Limits, World, form_of, nothing_held, reply_mistakes, sessions};

const CASES: u32 = 400;

/// What is done to one place of an event.
#[derive(Clone, Debug)]
enum Damage {
    Delete,
    Replace(Value),
    /// Once more in a list, or a second time under the same key of the whole event.
    Duplicate(Value),
    /// Under a name that nobody expects.
    Rename(String),
}

/// One event, damaged.
#[derive(Clone, Debug)]
struct Damaged {
    event: Index,
    damage: Vec<(Index, Damage)>,
    /// Whether the client context is kept, where there is one.
    keeps_context: bool,
    /// Where the text is cut off, if it is.
    cut: Option<Index>,
}

fn text() -> impl Strategy<Value = String> {
    let hostile = [
        "",
        " ",
        "\"",
        "\\",
        "\u{0}",
        "\n{}\n",
        "../..",
        "'; --",
        "🙂",
        "\u{202e}",
        "-1",
        "1e999",
        "NaN",
        "true",
        "null",
        "[]",
        "{\"a\":1}",
        "orders",
        "billing",
        "general",
        "invoke_specialist_agent",
        "read_scratchpad",
        "/",
        "___",
        "99999999999999999999",
    ];
    let huge = prop_oneof![Just("x"), Just("\""), Just("\u{1}"), Just("é")];
    prop_oneof![
        4 => proptest::sample::select(hostile.to_vec()).prop_map(str::to_owned),
        3 => any::<String>(),
        2 => (huge, 1_usize..60_000).prop_map(|(unit, times)| unit.repeat(times)),
    ]
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(text(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn damaged() -> impl Strategy<Value = Damaged> {
    let damage = prop_oneof![
        3 => Just(Damage::Delete),
        6 => json_value().prop_map(Damage::Replace),
        2 => json_value().prop_map(Damage::Duplicate),
        2 => text().prop_map(Damage::Rename),
    ];
    let damages = proptest::collection::vec((any::<Index>(), damage), 1..4);
    let cut = proptest::option::weighted(0.05, any::<Index>());
    (any::<Index>(), damages, proptest::bool::weighted(0.9), cut).prop_map(
        |(event, damage, keeps_context, cut)| Damaged { event, damage, keeps_context, cut },
    )
}

/// The paths of all places in a value, as JSON pointers, without the whole.
fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    let mut visit = |name: &str, inner: &Value| {
        let path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
        places(inner, &path, found);
        found.push(path);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(name, inner)| visit(name, inner)),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(n, inner)| visit(&n.to_string(), inner));
        }
        _ => {}
    }
}

/// Does one damage; returns a key of the whole event that is to be there twice.
fn harm(event: &mut Value, place: &Index, damage: &Damage) -> Option<(String, Value)> {
    let mut all = Vec::new();
    places(event, "", &mut all);
    if all.is_empty() {
        return None;
    }
    let path = place.get(&all);
    let (parent, name) = path.rsplit_once('/')?;
    let name = name.replace("~1", "/").replace("~0", "~");
    match (event.pointer_mut(parent)?, damage) {
        (Value::Object(map), Damage::Delete) => drop(map.remove(&name)),
        (Value::Object(map), Damage::Replace(value)) => drop(map.insert(name, value.clone())),
        (Value::Object(map), Damage::Rename(new)) => {
            if let Some(value) = map.remove(&name) {
                map.insert(new.clone(), value);
            }
        }
        (Value::Object(_), Damage::Duplicate(value)) if parent.is_empty() => {
            return Some((name, value.clone()));
        }
        (Value::Array(list), damage) => {
            let at: usize = name.parse().ok()?;
            match damage {
                Damage::Delete => drop(list.remove(at)),
                Damage::Replace(value) => list[at] = value.clone(),
                Damage::Duplicate(_) | Damage::Rename(_) => list.insert(at, list[at].clone()),
            }
        }
        _ => {}
    }
    None
}

/// The damaged event's bytes and client context.
fn apply(damaged: &Damaged, cases: &[Case]) -> (String, Option<Value>) {
    let case = damaged.event.get(cases);
    let mut event: Value = serde_json::from_slice(&case.event).unwrap();
    let mut twice = Vec::new();
    for (place, damage) in &damaged.damage {
        twice.extend(harm(&mut event, place, damage));
    }
    let mut text = event.to_string();
    for (name, value) in twice {
        // The one that was there comes last, as a parser that takes the last one reads it.
        let rest = text.strip_prefix('{').unwrap_or("}");
        let comma = if rest == "}" { "" } else { "," };
        text = format!("{{{}:{value}{comma}{rest}", json!(name));
    }
    if let Some(cut) = damaged.cut {
        let mut end = cut.index(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    (text, case.client_context.clone().filter(|_| damaged.keeps_context))
}

/// All that is wrong with what came of a damaged event.
async fn mistakes(world: &World, text: String, client_context: Option<Value>) -> Vec<String> {
    let calls = world.agents().calls().len();
    let before = sessions(world).await.len();
    let event: Value = serde_json::from_str(&text).unwrap_or_default();
    let form = form_of(&event, client_context.as_ref());
    let invocation = world.invoke(text, client_context).await;
    let (form, bytes) = match (&invocation.outcome, form) {
        (Outcome::Response(bytes), Some(form)) => (form, bytes),
        (Outcome::FunctionError(error), None) if error.error_type == "UnknownEventForm" => {
            return Vec::new();
        }
        (outcome, form) => return vec![format!("{form:?}: {outcome:?}")],
    };
    let mut mistakes = reply_mistakes(form, &event, bytes);
    let body = invocation.json().and_then(|reply| form.body(&reply)).unwrap_or_default();
    if body["reason"] == "bad_request" {
        let called = world.agents().calls().len() - calls;
        let charged = sessions(world).await.len() - before;
        if called + charged > 0 {
            mistakes.push(format!("refused, but {called} calls, {charged} new sessions"));
        }
    }
    mistakes
}

#[test]
fn a_damaged_event_is_answered_in_its_form_and_costs_nothing_where_it_is_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let agents = stand_ins::agents::DEFAULT_SCRIPT;
    let quick = agents.lines().filter(|line| !line.starts_with("delay_ms"));
    let options = Options {
        agents: Some(quick.collect::<Vec<_>>().join("\n")),
        ..World::options(Limits::NONE)
    };
    let world = runtime.block_on(World::start(options));
    runtime.block_on(world.is_still_alive());
    let cases = events::load_all().unwrap();
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let result = runner.run(&damaged(), |damaged| {
        let (text, client_context) = apply(&damaged, &cases);
        let shown: String = text.chars().take(2_000).collect();
        let mistakes = runtime.block_on(mistakes(&world, text, client_context));
        prop_assert!(mistakes.is_empty(), "{mistakes:#?}\n{shown}");
        Ok(())
    });
    if let Err(failure) = result {
        let shown: String = failure.to_string().chars().take(6_000).collect();
        panic!("{shown}");
    }
    runtime.block_on(async {
        world.is_still_alive().await;
        sessions(&world).await.iter().for_each(nothing_held);
        assert_eq!(world.errors(), [""; 0]);
        assert_eq!(world.metrics().refusals(), [""; 0]);
        runtime_lines_are_json(&world);
    });
}

fn runtime_lines_are_json(world: &World) {
    for line in world.logs() {
        let parsed: Result<Value, _> = serde_json::from_str(&line);
        assert!(parsed.is_ok_and(|line| line.is_object()), "{line:.500}");
    }
}
