//! What is text in the stacks says what is made from the shipped policy, which is the example, or from
//! any policy.
//!
//! Lists of names may stand in another order there, and lines may be broken elsewhere: the words
//! of each text are compared. Names, types and what is required are compared as they are.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

const SHIPPED: &str = "functions/supervisor-router/routing.toml";

/// What the program says of a policy, a path from the repository's root on.
fn routerctl(arguments: &[&str], policy: &str) -> String {
    let policy = Path::new(ROOT).join(policy);
    let mut program = Command::new(env!("CARGO_BIN_EXE_routerctl"));
    let output = program.args(arguments).arg(policy).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn schema(form: &str) -> Value {
    schema_of(form, SHIPPED)
}

fn schema_of(form: &str, policy: &str) -> Value {
    let text = routerctl(&["schema", "--cloudformation", "--form", form], policy);
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

/// Its schema names no roster: of the two arguments that would, it has parameters.
#[test]
fn the_gateway_offers_the_tools_of_any_policy() {
    let stack = stack("gateway");
    let path =
        "/Resources/Target/Properties/TargetConfiguration/Mcp/Lambda/ToolSchema/InlinePayload";
    let mut expected = schema("gateway");
    for task in ["/0/InputSchema", "/1/InputSchema/Properties/tasks/Items"] {
        let properties = &mut expected.pointer_mut(task).unwrap()["Properties"];
        properties["specialist_type"]["Description"] = "SpecialistType".into();
        properties["intent"]["Description"] = "Intent".into();
    }
    assert_eq!(in_any_order(stack.pointer(path).unwrap()), in_any_order(&expected));
}

/// What `routerctl schema` prints of a policy with too many names for an argument's description.
#[test]
fn the_gateways_defaults_refer_to_the_callers_instructions() {
    let specialist = |number: usize| {
        format!(
            "[specialists.specialist-{number}]\ndescription = 'D'\nmax_tokens_per_call = 1\n\
             intents = ['intent-number-{number}']\nagent = 'A/B'\n\
             price = {{ input_usd_per_mtok = 1, output_usd_per_mtok = 1 }}\n"
        )
    };
    let policy = format!(
        "[routing]\nfallback = 'specialist-1'\n[session]\nmax_steps = 1\nmax_tokens = 1\n\
         max_cost_usd = 1\n{}",
        (1..=40).map(specialist).collect::<String>()
    );
    let file = std::env::temp_dir().join(format!("long-roster-{}.toml", std::process::id()));
    std::fs::write(&file, policy).unwrap();
    let schema = schema_of("gateway", file.to_str().unwrap());
    std::fs::remove_file(file).unwrap();
    let stack = stack("gateway");
    for (argument, parameter) in [("specialist_type", "SpecialistType"), ("intent", "Intent")] {
        let printed = &schema[0]["InputSchema"]["Properties"][argument]["Description"];
        assert_eq!(printed, &stack["Parameters"][parameter]["Default"]);
    }
}

#[test]
fn the_examples_action_group_offers_the_tools_of_the_shipped_policy() {
    let stack = stack("example-supervisor");
    let path = "/Resources/Agent/Properties/ActionGroups/0/FunctionSchema";
    assert_eq!(in_any_order(stack.pointer(path).unwrap()), in_any_order(&schema("function")));
}

#[test]
fn the_examples_supervisor_is_told_of_the_departments_of_the_shipped_policy() {
    let stack = stack("example-supervisor");
    let instruction = stack.pointer("/Resources/Agent/Properties/Instruction").unwrap();
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let instruction = one_line(instruction.as_str().unwrap());
    let departments = routerctl(&["prompt"], SHIPPED);
    assert!(departments.lines().count() > 1);
    for line in departments.lines() {
        let department = line.split(" (intents: ").next().unwrap();
        assert!(instruction.contains(department), "`{department}` is not in the instruction");
    }
}
