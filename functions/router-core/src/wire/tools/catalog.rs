//! The tools as a model is told of them, made from the policy.
//!
//! The texts call specialists departments: a model that reads of other agents calls tools for
//! messages that do not exist. Limits are those of Bedrock's action groups (`FunctionSchema` in the
//! model of bedrock-agent 2023-06-05), which are the narrowest.

use serde_json::{Map, Value, json};

use crate::policy::{Listed, PadKey, Policy};

/// An argument's description has at most as many characters.
pub const MOST_ARGUMENT_CHARS: usize = 500;

/// A tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// What it does and gives back; at most 1,200 characters.
    pub description: &'static str,
    /// Its arguments; at most five.
    pub arguments: Vec<Argument>,
}

/// An argument of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// Its type, as JSON Schema names it.
    pub kind: &'static str,
    /// Whether a call without it is refused.
    pub is_required: bool,
    /// What it is for; at most [`MOST_ARGUMENT_CHARS`] characters.
    pub description: String,
    /// The arguments of each object in it, if it is an array of objects; an array without holds
    /// strings.
    pub items: Vec<Argument>,
}

/// The tools that the router carries out.
pub fn tools(policy: &Policy) -> Vec<Tool> {
    vec![
        invoke_specialist_agent(policy),
        invoke_specialists(policy),
        read_scratchpad(),
        escalate_to_human(),
    ]
}

fn invoke_specialist_agent(policy: &Policy) -> Tool {
    Tool {
        name: "invoke_specialist_agent",
        description: "Has one department work on one request, and gives its answer in a JSON object \
                      with status, answer, reason, message and what is left of the budget.",
        arguments: arguments_of_task(policy),
    }
}

fn invoke_specialists(policy: &Policy) -> Tool {
    let tasks = "The requests: a JSON array of objects, each with specialist_type, request and, where \
                 you like, intent, confidence and task_id, as invoke_specialist_agent takes them. In a \
                 pipeline, {{previous}} in a request stands for the answer before it";
    Tool {
        name: "invoke_specialists",
        description: "Has departments work on several requests, at once or one after the other, and \
                      gives in a JSON object the status of the whole and in results the answer to each.",
        arguments: vec![
            Argument {
                items: arguments_of_task(policy),
                ..argument("tasks", "array", true, tasks)
            },
            argument(
                "mode",
                "string",
                true,
                "parallel: at once, where no request needs another's answer. pipeline: one after the \
                 other, ending with the first that is not answered",
            ),
            argument(
                "join",
                "string",
                false,
                "For parallel: all waits for every answer, quorum for more than half of them, first \
                 for one. Leave it out if you are not sure",
            ),
        ],
    }
}

fn read_scratchpad() -> Tool {
    let keys = "What to read: a JSON array of the names that your instructions give, or of \
                escalation:<ticket> with the ticket that you were given, for a person's answer";
    Tool {
        name: "read_scratchpad",
        description: "Reads what departments and people have written down in this conversation. The \
                      answer is a JSON object with value, writer and version for each name, or null \
                      where nothing is written. It costs nothing.",
        arguments: vec![argument("keys", "array", true, keys)],
    }
}

fn escalate_to_human() -> Tool {
    let reason = "Why a person has to decide, in one sentence";
    let summary =
        "What the person needs to know: what the user wants and what was found out so far";
    let task = "Your own name for the part that waits for the person, if you gave it one";
    Tool {
        name: "escalate_to_human",
        description: "Hands over to a person and gives a ticket. The person answers later: tell the \
                      user so. Once there is an answer, you are told to read it.",
        arguments: vec![
            argument("reason", "string", true, reason),
            argument("summary", "string", true, summary),
            argument("task_id", "string", false, task),
        ],
    }
}

fn arguments_of_task(policy: &Policy) -> Vec<Argument> {
    vec![
        argument("specialist_type", "string", true, &which_department(policy)),
        argument(
            "request",
            "string",
            true,
            "What it is to do, in full sentences, with everything that it needs to know",
        ),
        argument("intent", "string", false, &which_intent(policy)),
        argument(
            "confidence",
            "number",
            false,
            "How sure you are that it is this department's job, from 0 to 1",
        ),
        argument(
            "task_id",
            "string",
            false,
            "A name of your own for this part, given back with its answer",
        ),
    ]
}

fn argument(
    name: &'static str,
    kind: &'static str,
    is_required: bool,
    description: &str,
) -> Argument {
    Argument { name, kind, is_required, description: description.to_owned(), items: Vec::new() }
}

/// The JSON Schema of an object with these arguments.
pub fn schema<'a>(arguments: impl IntoIterator<Item = &'a Argument>) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for Argument { name, kind, is_required, description, items } in arguments {
        let mut property = json!({ "type": kind, "description": description });
        if !items.is_empty() {
            property["items"] = schema(items);
        } else if *kind == "array" {
            property["items"] = json!({ "type": "string" });
        }
        properties.insert((*name).to_owned(), property);
        required.extend(is_required.then_some(*name));
    }
    json!({ "type": "object", "required": required, "properties": properties })
}

/// The departments for a supervisor's prompt: a line each, with what it is for and the kinds of
/// requests that it serves; and the names of what they write down.
pub fn departments(policy: &Policy) -> String {
    let line = |Listed { name, description, intents }: Listed<'_>| {
        let words: Vec<&str> = description.split_whitespace().collect();
        let mut line = format!("- {name}: {}", words.join(" "));
        if !intents.is_empty() {
            let intents: Vec<&str> = intents.iter().map(String::as_str).collect();
            line.push_str(&format!(" (intents: {})", intents.join(", ")));
        }
        line + "\n"
    };
    let mut text: String = in_order(policy).map(line).collect();
    let keys = policy.pad_keys().map(|PadKey { name, writer, .. }| format!("{name} (by {writer})"));
    let keys: Vec<String> = keys.collect();
    if !keys.is_empty() {
        text += &format!("\nWritten down, to be read with read_scratchpad: {}\n", keys.join(", "));
    }
    text
}

fn which_department(policy: &Policy) -> String {
    let names: Vec<&str> = in_order(policy).map(|listed| listed.name.as_str()).collect();
    let named = format!("The department: {}", any_of(&names));
    within_limit(named, "The department, by the name that your instructions give it")
}

fn which_intent(policy: &Policy) -> String {
    let intents: Vec<&str> =
        in_order(policy).flat_map(|listed| listed.intents).map(String::as_str).collect();
    if intents.is_empty() {
        return "The kind of request; leave it out".to_owned();
    }
    let named = format!("The kind of request: {}. Leave it out if none fits", any_of(&intents));
    within_limit(
        named,
        "The kind of request, one of the department's intents in your instructions. Leave it out if \
         none fits",
    )
}

/// All that may be named, by path, the specialist of last resort at the end.
fn in_order(policy: &Policy) -> impl Iterator<Item = Listed<'_>> {
    let last = &policy.fallback().name;
    let (last, others): (Vec<_>, Vec<_>) = policy.listed().partition(|listed| listed.name == last);
    others.into_iter().chain(last)
}

/// `a, b or c`.
fn any_of(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// A text that names all, unless a long roster makes it too long; then one that names none.
fn within_limit(named: String, unnamed: &str) -> String {
    if named.chars().count() <= MOST_ARGUMENT_CHARS { named } else { unnamed.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Map, Value, json};

    use super::*;
    use crate::doubles::policy;
    use crate::wire::tools::{Arguments, ToolRequest};

    /// A policy of this many specialists, each with long intents, and a fallback without any.
    fn roster(specialists: usize) -> Policy {
        let specialist = |name: &str, intents: &str| {
            format!(
                "[specialists.{name}]\ndescription = \"all\\n of {name}\"\nintents = [{intents}]\n\
                 agent = \"A/B\"\nmax_tokens_per_call = 1\n\
                 price = {{ input_usd_per_mtok = 1, output_usd_per_mtok = 1 }}\n"
            )
        };
        let mut text = "[routing]\nfallback = \"any\"\n[session]\nmax_steps = 1\nmax_tokens = 1\n\
                        max_cost_usd = 1\n"
            .to_owned();
        text += &specialist("any", "");
        for number in 0..specialists {
            let intents = format!("\"return_of_goods_{number}\", \"repair_of_goods_{number}\"");
            text += &specialist(&format!("warehouse_of_region_{number}"), &intents);
        }
        Policy::parse(&text, Some(&BTreeMap::new())).unwrap()
    }

    #[test]
    fn a_call_with_each_argument_that_is_told_of_is_understood() {
        for tool in tools(&policy()) {
            fn told(arguments: &[Argument], only_required: bool) -> Map<String, Value> {
                let value = |argument: &Argument| match (argument.name, argument.kind) {
                    (_, "array") if argument.items.is_empty() => json!(["orders"]),
                    (_, "array") => json!([told(&argument.items, only_required)]),
                    (_, "number") => json!(0.5),
                    ("mode", _) => json!("parallel"),
                    ("join", _) => json!("all"),
                    _ => json!("orders"),
                };
                let is_told = |argument: &&Argument| argument.is_required || !only_required;
                let arguments = arguments.iter().filter(is_told);
                arguments.map(|argument| (argument.name.to_owned(), value(argument))).collect()
            }
            for only_required in [true, false] {
                let arguments = told(&tool.arguments, only_required);
                let arguments = Arguments::from_object(&arguments);
                assert!(ToolRequest::parse(tool.name, &arguments, &policy()).is_ok());
            }
        }
    }

    #[test]
    fn no_roster_makes_a_description_longer_than_bedrock_takes() {
        for size in [0, 1, 2, 9, 10, 30, 100] {
            for tool in tools(&roster(size)) {
                assert!((1..=1_200).contains(&tool.description.chars().count()));
                assert!(tool.arguments.len() <= 5);
                let of_items = tool.arguments.iter().flat_map(|argument| &argument.items);
                for argument in tool.arguments.iter().chain(of_items) {
                    let chars = argument.description.chars().count();
                    assert!((1..=MOST_ARGUMENT_CHARS).contains(&chars), "{argument:?}");
                }
            }
        }
    }

    #[test]
    fn departments_are_a_line_each_and_the_last_resort_is_last() {
        let expected = "- warehouse_of_region_0: all of warehouse_of_region_0 \
                        (intents: repair_of_goods_0, return_of_goods_0)\n- any: all of any\n";
        assert_eq!(departments(&roster(1)), expected);
        let tool = &tools(&roster(1))[0];
        let department = "The department: warehouse_of_region_0 or any";
        assert_eq!(tool.arguments[0].description, department);
        let intent = "The kind of request: repair_of_goods_0 or return_of_goods_0. Leave it out if \
                      none fits";
        assert_eq!(tool.arguments[2].description, intent);
        let without = &tools(&roster(0))[0].arguments;
        assert_eq!(without[0].description, "The department: any");
        assert_eq!(without[2].description, "The kind of request; leave it out");
    }

    #[test]
    fn what_departments_write_down_is_told_by_name() {
        let key = "[scratchpad.order_facts]\nwriter = \"orders\"\n";
        let told = departments(&crate::doubles::policy_with(key).unwrap());
        let expected =
            "\n\nWritten down, to be read with read_scratchpad: order_facts (by orders)\n";
        assert!(told.ends_with(expected), "{told}");
    }

    #[test]
    fn names_are_told_as_long_as_they_fit() {
        assert_eq!(any_of(&["a", "b", "c"]), "a, b or c");
        for (chars, is_named) in [(MOST_ARGUMENT_CHARS, true), (MOST_ARGUMENT_CHARS + 1, false)] {
            let named = "é".repeat(chars);
            assert_eq!(within_limit(named.clone(), "one") == named, is_named, "{chars}");
        }
    }
}
