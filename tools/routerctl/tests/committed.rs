//! What is text in the stacks says what is made from the shipped policy.
//!
//! Lists of names may stand in another order there, and lines may be broken elsewhere: the words
//! of each text are compared. Names, types and what is required are compared as they are.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::collections::BTreeMap;
use std::process::Command;

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn routerctl(arguments: &[&str]) -> String {
    let policy = format!("{ROOT}/functions/supervisor-router/routing.toml");
    let mut program = Command::new(env!("CARGO_BIN_EXE_routerctl"));
    let output = program.args(arguments).arg(policy).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn schema(form: &str) -> Value {
    let text = routerctl(&["schema", "--cloudformation", "--form", form]);
    serde_json::from_str(&text).unwrap()
}

/// A stack as JSON, without CloudFormation's tags.
fn stack(name: &str) -> Value {
    let text = std::fs::read_to_string(format!("{ROOT}/stacks/{name}.yaml")).unwrap();
    json(&Yaml::load_from_str(&text).unwrap()[0])
}

fn json(node: &Yaml<'_>) -> Value {
    match node {
        Yaml::Value(Scalar::Boolean(value)) => (*value).into(),
        Yaml::Value(Scalar::String(text)) => text.as_ref().into(),
        Yaml::Sequence(nodes) => nodes.iter().map(json).collect(),
        Yaml::Mapping(entries) => {
            let entry =
                |(name, value): (&Yaml<'_>, _)| (name.as_str().unwrap().into(), json(value));
            Value::Object(entries.iter().map(entry).collect())
        }
        Yaml::Tagged(_, node) => json(node),
        _ => Value::Null,
    }
}

/// The value with its descriptions as sorted words, and other lists sorted too.
fn in_any_order(value: &Value) -> Value {
    let member = |(name, value): (&String, &Value)| match value.as_str() {
        Some(text) if name == "Description" => (name.clone(), words(text)),
        _ => (name.clone(), in_any_order(value)),
    };
    match value {
        Value::Object(members) => Value::Object(members.iter().map(member).collect::<Map<_, _>>()),
        Value::Array(items) => {
            let items = items.iter().map(in_any_order);
            items
                .map(|item| (item.to_string(), item))
                .collect::<BTreeMap<_, _>>()
                .into_values()
                .collect()
        }
        other => other.clone(),
    }
}

fn words(text: &str) -> Value {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut words: Vec<&str> =
        text.split(|c| !is_part(c)).filter(|word| !["", "or"].contains(word)).collect();
    words.sort_unstable();
    words.into()
}

#[test]
fn the_gateway_offers_the_tools_of_the_shipped_policy() {
    let stack = stack("gateway");
    let path =
        "/Resources/Target/Properties/TargetConfiguration/Mcp/Lambda/ToolSchema/InlinePayload";
    assert_eq!(in_any_order(stack.pointer(path).unwrap()), in_any_order(&schema("gateway")));
}

#[test]
fn the_action_group_offers_the_tools_of_the_shipped_policy() {
    let stack = stack("supervisor");
    let path = "/Resources/Agent/Properties/ActionGroups/0/FunctionSchema";
    assert_eq!(in_any_order(stack.pointer(path).unwrap()), in_any_order(&schema("function")));
}

#[test]
fn the_supervisor_is_told_of_the_departments_of_the_shipped_policy() {
    let stack = stack("supervisor");
    let instruction = stack.pointer("/Resources/Agent/Properties/Instruction").unwrap();
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let instruction = one_line(instruction.as_str().unwrap());
    let departments = routerctl(&["prompt"]);
    assert!(departments.lines().count() > 1);
    for line in departments.lines() {
        let department = line.split(" (intents: ").next().unwrap();
        assert!(instruction.contains(department), "`{department}` is not in the instruction");
    }
}
