//! `routerctl schema`: the tools, in the form of who is to call them.

use clap::ValueEnum;
use router_core::wire::tools::catalog::{self, Argument, Tool};
use serde_json::{Map, Value, json};

use crate::place::Source;
use crate::{Failure, Said};

/// Print the schema of the tools (JSON)
///
/// Names and intents stand in the arguments' descriptions, unless there are more than Bedrock lets
/// one say: then these refer to the list that `prompt` prints.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// Who is to call the tools
    #[arg(long, value_enum)]
    form: Form,

    /// With the keys as CloudFormation writes them (not for openapi)
    #[arg(long)]
    cloudformation: bool,

    #[command(flatten)]
    source: Source,
}

/// The form of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// The inline payload of an AgentCore gateway's Lambda target
    Gateway,
    /// The function details of a Bedrock agent's action group
    Function,
    /// The OpenAPI schema of a Bedrock agent's action group
    Openapi,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<Said, Failure> {
    let tools = catalog::tools(&arguments.source.policy().await?);
    let schema = match arguments.form {
        Form::Gateway => tools.iter().map(of_gateway).collect(),
        Form::Function => json!({ "functions": tools.iter().map(of_function).collect::<Value>() }),
        Form::Openapi => openapi(&tools),
    };
    let is_for_cloudformation = arguments.cloudformation && arguments.form != Form::Openapi;
    let schema = if is_for_cloudformation { capitalized(schema, false) } else { schema };
    Ok(Said::well(format!("{schema:#}\n")))
}

/// A gateway does not say which session a call belongs to, so that its model has to.
fn of_gateway(tool: &Tool) -> Value {
    let session = Argument {
        name: "session_id",
        kind: "string",
        is_required: true,
        description: "The id of the conversation, the same in all its calls: they share a budget"
            .to_owned(),
        items: Vec::new(),
    };
    let arguments = [&session].into_iter().chain(&tool.arguments);
    json!({
        "name": tool.name,
        "description": tool.description,
        "inputSchema": catalog::schema(arguments),
    })
}

fn of_function(tool: &Tool) -> Value {
    let parameter = |argument: &Argument| {
        let Argument { name, kind, is_required, description, .. } = argument;
        let parameter =
            json!({ "type": kind, "required": is_required, "description": description });
        ((*name).to_owned(), parameter)
    };
    json!({
        "name": tool.name,
        "description": tool.description,
        "requireConfirmation": "DISABLED",
        "parameters": tool.arguments.iter().map(parameter).collect::<Map<_, _>>(),
    })
}

fn openapi(tools: &[Tool]) -> Value {
    let path = |tool: &Tool| {
        let body = catalog::schema(&tool.arguments);
        let answer = |description: &str| {
            let any = json!({ "schema": { "type": "object" } });
            json!({ "description": description, "content": { "application/json": any } })
        };
        let post = json!({
            "operationId": tool.name,
            "description": tool.description,
            "requestBody": {
                "required": true,
                "content": { "application/json": { "schema": body } },
            },
            "responses": {
                "200": answer("What came of it"),
                "400": answer("Which argument is wrong, and what is allowed"),
            },
        });
        (format!("/{}", tool.name), json!({ "post": post }))
    };
    json!({
        "openapi": "3.0.0",
        "info": { "title": "Supervisor router", "version": env!("CARGO_PKG_VERSION") },
        "paths": tools.iter().map(path).collect::<Map<_, _>>(),
    })
}

/// The same with capital keys; `are_names`: the keys of this object are arguments' names.
fn capitalized(value: Value, are_names: bool) -> Value {
    let key = |key: &str| match key.split_at_checked(1) {
        Some((first, rest)) if !are_names => first.to_uppercase() + rest,
        _ => key.to_owned(),
    };
    match value {
        Value::Object(members) => {
            let member = |(name, value): (String, Value)| {
                let has_names = !are_names && ["properties", "parameters"].contains(&&*name);
                (key(&name), capitalized(value, has_names))
            };
            Value::Object(members.into_iter().map(member).collect())
        }
        Value::Array(items) => items.into_iter().map(|item| capitalized(item, are_names)).collect(),
        other => other,
    }
}
