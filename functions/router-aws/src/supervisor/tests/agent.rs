use aws_smithy_types::base64;
use router_core::charge::Usage;
use router_core::invocation::InvokeError;

use super::*;

fn chunk(text: &str) -> (&'static str, Value) {
    ("chunk", json!({ "bytes": base64::encode(text) }))
}

fn trace(trace: Value) -> (&'static str, Value) {
    ("trace", json!({ "callerChain": [{ "agentAliasArn": "arn" }], "trace": trace }))
}

fn step(step: Value) -> (&'static str, Value) {
    trace(json!({ "orchestrationTrace": step }))
}

fn model_call(input: u64, output: u64) -> [(&'static str, Value); 2] {
    let usage = json!({ "inputTokens": input, "outputTokens": output });
    [
        step(json!({ "modelInvocationInput": { "text": "…" } })),
        step(json!({ "modelInvocationOutput": { "metadata": { "usage": usage } } })),
    ]
}

/// What its action group is asked and answers. The budget in the answer is not its own use.
fn action_group() -> [(&'static str, Value); 2] {
    let input = json!({ "actionGroupName": "router", "function": "invoke_specialist_agent" });
    let usage = json!({ "usage": { "inputTokens": 5_000, "outputTokens": 5_000 } });
    let output = json!({ "text": "{\"status\":\"answered\"}", "metadata": usage });
    [
        step(json!({ "invocationInput": { "actionGroupInvocationInput": input } })),
        step(json!({ "observation": { "actionGroupInvocationOutput": output } })),
    ]
}

#[tokio::test]
async fn its_text_is_streamed_and_its_own_tokens_are_told_alone() {
    let mut events = model_call(300, 20).to_vec();
    events.extend(action_group());
    events.extend([chunk("It is "), chunk("on its way.")]);
    events.extend(model_call(400, 30));
    let came = decide(AGENT, Asking::default(), Answer::events(&events)).await;
    let expected = Turn { text: "It is on its way.".to_owned(), calls: Vec::new() };
    assert_eq!(came.decided.result.unwrap(), expected);
    assert_eq!(came.decided.usage, Usage::Reported(used(700, 50)));
    let [tool, carried, first, second] = &came.heard[..] else { panic!("{:?}", came.heard) };
    assert_eq!(tool, r#"Tool("invoke_specialist_agent")"#);
    assert!(carried.starts_with("Carried(ToolCall {"), "{carried}");
    assert_eq!((first.as_str(), second.as_str()), (r#"Text("It is ")"#, r#"Text("on its way.")"#));
}

#[tokio::test]
async fn it_is_asked_what_the_user_wrote_last_for_the_session_that_pays() {
    let messages = [with_results(), vec![user("More?")]].concat();
    let asking = Asking { messages, ..Asking::default() };
    let body = decide(AGENT, asking, Answer::events(&[chunk("Done.")])).await.body;
    let attributes = json!({ "user_id": "u", "root_session_id": "s 1" });
    assert_eq!(
        body,
        json!({
            "inputText": "More?",
            "enableTrace": true,
            "streamingConfigurations": { "streamFinalResponse": true },
            "sessionState": { "sessionAttributes": attributes },
        })
    );
}

#[tokio::test]
async fn it_takes_no_results_and_hands_over_no_call() {
    let asking = Asking { messages: with_results(), ..Asking::default() };
    let came = decide(AGENT, asking, Answer::events(&[])).await;
    assert!(matches!(came.decided.result, Err(InvokeError::Invalid)));
    assert_eq!((came.decided.usage, came.body), (Usage::NotRun, Value::Null));
    let control = ("returnControl", json!({ "invocationId": "i", "invocationInputs": [] }));
    let came = decide(AGENT, Asking::default(), Answer::events(&[control])).await;
    assert!(matches!(came.decided.result, Err(InvokeError::ReturnedControl)));
}

#[tokio::test]
async fn a_guardrail_and_a_failure_in_its_trace_are_no_answer() {
    let blocked = trace(json!({ "guardrailTrace": { "action": "INTERVENED" } }));
    let failed = trace(json!({ "failureTrace": { "failureReason": "no" } }));
    let result = async |event| {
        let events = [event, chunk("Sorry.")];
        decide(AGENT, Asking::default(), Answer::events(&events)).await.decided.result
    };
    assert!(matches!(result(blocked).await, Err(InvokeError::Guardrail)));
    assert!(matches!(result(failed).await, Err(InvokeError::GaveUp)));
}

#[tokio::test]
async fn it_is_left_when_it_goes_on_with_too_many_tokens() {
    let events = [model_call(990, 20).to_vec(), model_call(400, 30).to_vec(), vec![chunk("Hi")]];
    let came = decide(AGENT, Asking::default(), Answer::events(&events.concat())).await;
    assert!(matches!(came.decided.result, Err(InvokeError::TooManyTokens { .. })));
    assert_eq!(came.decided.usage, Usage::Cut(used(990, 20)));
}
