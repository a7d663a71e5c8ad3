//! What comes with an event from Lambda, and where lines go: none of it ends the process or keeps
//! a reply back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use stand_ins::Options;
use stand_ins::events::Form;
use stand_ins::lambda::{Invocation, Outcome};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::support::{Ask, Limits, World, agents_with, on_runtime, reply_mistakes};

const CLIENT_CONTEXT: &str = "lambda-runtime-client-context";
const TOOL: &str = r#""bedrockAgentCoreToolName":"router___invoke_specialist_agent""#;

/// Client contexts that name the tool, with whatever else callers put there.
fn with_the_tool() -> Vec<Vec<u8>> {
    let custom = |others: &str| format!("{{\"custom\":{{{TOOL}{others}}}}}");
    let deep = format!(",\"x\":{}{}", "[".repeat(500), "]".repeat(500));
    let mut contexts: Vec<Vec<u8>> = [
        r#","bedrockAgentCorePropagatedHeaders":{"x-correlation-id":"c-1"}"#,
        r#","n":7,"b":true,"z":null,"l":[{}],"o":{"deep":{"er":[1]}}"#,
        r#","big":1e999,"half":"\ud83d","n":NaN"#,
        &deep,
        &format!(",\"long\":\"{}\"", "x".repeat(100_000)),
    ]
    .map(|others| custom(others).into_bytes())
    .into();
    for others in [
        r#""client":{}"#,
        r#""client":{"installation_id":7},"env":{}"#,
        r#""client":null,"environment":{"locale":null}"#,
        r#""client":[],"environment":"none","services":{}"#,
    ] {
        contexts.push(format!("{{{others},\"custom\":{{{TOOL}}}}}").into_bytes());
    }
    contexts.push(b"\xef\xbb\xbf ".iter().copied().chain(custom("").into_bytes()).collect());
    contexts.push(custom(",\"name\":\"Zo\u{eb}\"").into_bytes());
    contexts.push([custom(",\"bytes\":\"").trim_end_matches('}').as_bytes(), b"\xff\"}}"].concat());
    contexts
}

/// Client contexts that name no tool.
const WITHOUT_A_TOOL: [&[u8]; 20] = [
    b"",
    b" ",
    b"null",
    b"7",
    b"true",
    b"[]",
    b"\"bedrockAgentCoreToolName\"",
    b"{}",
    b"{",
    b"not JSON",
    b"\xff\xfe",
    b"{\"custom\":null}",
    b"{\"custom\":[]}",
    b"{\"custom\":\"x\"}",
    b"{\"custom\":{}}",
    b"{\"custom\":{\"bedrockAgentCoreToolName\":null}}",
    b"{\"custom\":{\"bedrockAgentCoreToolName\":{\"a\":1}}}",
    b"{\"custom\":{\"bedrockAgentCoreToolName\":7}}",
    b"{\"client\":{},\"env\":{}}",
    b"eyJjdXN0b20iOnt9fQ==",
];

fn reply(invocation: &Invocation, form: Form, event: &Value) -> Value {
    let Outcome::Response(bytes) = &invocation.outcome else { panic!("{:?}", invocation.outcome) };
    let mistakes = reply_mistakes(form, event, bytes);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    form.body(&invocation.json().unwrap()).unwrap()
}

#[tokio::test]
async fn what_can_be_read_of_a_client_context_counts() {
    let world = World::with(Limits::NONE).await;
    world.is_still_alive().await;
    for context in with_the_tool() {
        let shown = String::from_utf8_lossy(&context).chars().take(120).collect::<String>();
        let event = Ask::orders("Where is it?").form(Form::Gateway).event();
        let headers = [(CLIENT_CONTEXT, &*context)];
        let invocation = world.invoke_with_headers(event.to_string(), &headers).await;
        assert_eq!(reply(&invocation, Form::Gateway, &event)["status"], "answered", "{shown}");
    }
    world.is_still_alive().await;
}

#[tokio::test]
async fn a_client_context_without_a_tool_leaves_an_action_group_what_it_is() {
    let world = World::with(Limits::NONE).await;
    world.is_still_alive().await;
    for context in WITHOUT_A_TOOL {
        let shown = String::from_utf8_lossy(context);
        let headers = [(CLIENT_CONTEXT, context)];
        for form in [Form::Function, Form::OpenApi] {
            let event = Ask::orders("Where is it?").form(form).event();
            let invocation = world.invoke_with_headers(event.to_string(), &headers).await;
            assert_eq!(reply(&invocation, form, &event)["status"], "answered", "{shown}");
        }
        let event = Ask::orders("Where is it?").form(Form::Gateway).event();
        let invocation = world.invoke_with_headers(event.to_string(), &headers).await;
        let Outcome::FunctionError(error) = invocation.outcome else { panic!("{shown}") };
        assert_eq!(error.error_type, "UnknownEventForm", "{shown}");
        assert!(error.error_message.contains("neither `apiPath` nor `function`"), "{error}");
    }
    world.is_still_alive().await;
}

#[tokio::test]
async fn other_headers_that_cannot_be_read_are_as_if_they_were_absent() {
    let world = World::with(Limits::NONE).await;
    world.is_still_alive().await;
    let values: [&[u8]; 8] = [b"", b"7", b"null", b"{", b"{\"a\":{}}", b"\xff", b"-1", b"1e999"];
    for name in [
        "lambda-runtime-cognito-identity",
        "lambda-runtime-deadline-ms",
        "lambda-runtime-invoked-function-arn",
        "lambda-runtime-trace-id",
        "lambda-runtime-aws-tenant-id",
        "lambda-runtime-invocation-id",
    ] {
        for value in values.into_iter().chain([&[b'9'; 400][..]]) {
            let event = Ask::orders("Where is it?").event();
            let invocation = world.invoke_with_headers(event.to_string(), &[(name, value)]).await;
            let body = reply(&invocation, Form::Function, &event);
            // A deadline that is long gone leaves no time for a call.
            let is_late = (name, value) == ("lambda-runtime-deadline-ms", b"7");
            assert_eq!(body["status"] == "answered", !is_late, "{name} {value:?}: {body}");
        }
    }
    world.is_still_alive().await;
}

#[tokio::test]
async fn an_output_that_nothing_reads_keeps_no_reply_back_and_loses_no_line() {
    // Each line is long, so that few fill the 64 KB of a pipe.
    let env = BTreeMap::from([("POWERTOOLS_SERVICE_NAME".to_owned(), "x".repeat(1_000))]);
    let options = Options { env, stalled_output: true, ..World::options(Limits::NONE) };
    let world = World::start(options).await;
    let mut asked = 0;
    while asked < 60 {
        assert_eq!(world.ask(&Ask::orders("Where is it?")).await.outcome(), ("answered", None));
        asked += 1;
    }
    assert_eq!(world.logs(), [""; 0]);
    world.read_output().unwrap();
    let answered =
        || -> Vec<String> { world.logs().into_iter().filter(|line| line.ends_with('}')).collect() };
    // Lines go out while events come in.
    while answered().len() < asked && asked < 300 {
        world.ask(&Ask::orders("Where is it?")).await;
        asked += 1;
    }
    let lines = answered();
    assert!(lines.len() >= 60, "{} of {asked}", lines.len());
    for line in &lines {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["message"], "request answered");
        assert_eq!(line.get("lines_lost_before"), None);
    }
}

/// A service that hangs up on every request, and the beginnings of the requests.
async fn listener() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let heard = Arc::<Mutex<Vec<String>>>::default();
    let requests = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut head = vec![0; 8_192];
            let length = connection.read(&mut head).await.unwrap_or_default();
            requests.lock().unwrap().push(String::from_utf8_lossy(&head[..length]).into_owned());
        }
    });
    (url, heard)
}

#[tokio::test]
async fn every_request_to_aws_tells_which_trace_of_lambda_it_belongs_to() {
    for service in ["DYNAMODB", "CLOUDWATCH", "BEDROCK_AGENT_RUNTIME", "BEDROCK_AGENTCORE"] {
        let (url, heard) = listener().await;
        let mut agents = agents_with([]);
        if service == "BEDROCK_AGENTCORE" {
            agents = on_runtime(&agents, "stream");
        }
        let env = BTreeMap::from([(format!("AWS_ENDPOINT_URL_{service}"), url)]);
        let agents = Some(agents);
        let world = World::start(Options { env, agents, ..World::options(Limits::NONE) }).await;
        for trace in ["Root=1-5759e988-bd862e3fe1be46a994272793", "Root=1-second"] {
            heard.lock().unwrap().clear();
            let event = Ask::orders("Where is it?").event().to_string();
            let headers = [("lambda-runtime-trace-id", trace.as_bytes())];
            world.invoke_with_headers(event, &headers).await;
            let heard = heard.lock().unwrap();
            let expected = format!("x-amzn-trace-id: {trace}\r\n");
            assert!(!heard.is_empty(), "{service}");
            assert!(heard.iter().all(|head| head.contains(&expected)), "{service}: {heard:?}");
        }
    }
}
