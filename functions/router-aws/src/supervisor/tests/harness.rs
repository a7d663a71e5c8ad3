use router_core::charge::Usage;
use router_core::invocation::InvokeError;
use router_core::outcome::Reason;

use super::*;

/// The message in which a harness shows what a tool of its own answered.
fn tool_result() -> Vec<(&'static str, Value)> {
    let result = json!({ "start": { "toolResult": { "toolUseId": "own", "status": "success" } } });
    vec![
        ("messageStart", json!({ "role": "user" })),
        ("contentBlockStart", result),
        ("contentBlockDelta", json!({ "delta": { "toolResult": [{ "text": "7" }] } })),
        ("contentBlockStop", json!({})),
        ("messageStop", json!({ "stopReason": "tool_result" })),
    ]
}

fn hook() -> (&'static str, Value) {
    ("hookEvent", json!({ "hookEventId": "h", "name": "n", "type": "after_invocation" }))
}

#[tokio::test]
async fn the_last_message_is_the_turn_and_every_model_call_is_counted() {
    let own = message(&[json!("Let me see."), tool_use("own", "{}")], "tool_use", Some((300, 20)));
    let last = message(&[json!("On it."), tool_use("t1", "{}")], "tool_use", Some((400, 30)));
    let events = [own, tool_result(), last, vec![hook()]].concat();
    let came = decide(HARNESS, Asking::default(), Answer::events(&events)).await;
    let turn = came.decided.result.unwrap();
    assert_eq!(turn, Turn { text: "On it.".to_owned(), calls: vec![call("t1", "{}")] });
    assert_eq!(came.decided.usage, Usage::Reported(used(700, 50)));
    assert_eq!(came.heard.len(), 6, "{:?}", came.heard);
}

#[tokio::test]
async fn calls_are_kept_whether_they_come_one_by_one_or_together() {
    for count in [1, 3] {
        let ids: Vec<String> = (1..=count).map(|number| format!("t{number}")).collect();
        let inputs = [r#"{"q":"a"}"#, "{\"q\"", "[]"];
        let calls = ids.iter().zip(inputs).map(|(id, input)| tool_use(id, input));
        let events = message(&calls.collect::<Vec<_>>(), "tool_use", Some((30, 4)));
        let (turn, _) = turn(HARNESS, &events).await;
        let expected: Vec<ToolCall> =
            ids.iter().zip(inputs).map(|(id, input)| call(id, input)).collect();
        assert_eq!(turn.calls, expected);
    }
}

#[tokio::test]
async fn a_call_that_its_caller_cannot_run_is_no_turn() {
    for kind in ["mcp_tool_use", "server_tool_use"] {
        let mut events = message(&[tool_use("t1", "{}")], "tool_use", Some((30, 4)));
        events[1].1["start"]["toolUse"]["type"] = kind.into();
        let came = decide(HARNESS, Asking::default(), Answer::events(&events)).await;
        assert!(matches!(came.decided.result, Err(InvokeError::ReturnedControl)), "{kind}");
        events[1].1["start"]["toolUse"]["type"] = "tool_use".into();
        assert_eq!(turn(HARNESS, &events).await.0.calls.len(), 1);
    }
}

#[tokio::test]
async fn a_message_without_metadata_leaves_the_usage_unknown() {
    let events = message(&[tool_use("t2", "{}")], "tool_use", None);
    let came = decide(HARNESS, Asking::default(), Answer::events(&events)).await;
    assert!(came.decided.result.is_ok());
    assert_eq!(came.decided.usage, Usage::UNKNOWN);
}

#[tokio::test]
async fn every_reason_to_stop_is_a_turn_or_says_why_there_is_none() {
    for (stops, reason, is_retried) in [
        (
            &[
                "max_tokens",
                "max_output_tokens_exceeded",
                "max_iterations_exceeded",
                "timeout_exceeded",
                "model_context_window_exceeded",
                "interrupted",
                "partial_turn",
                "tool_result",
                "what_is_to_come",
            ][..],
            Reason::AgentError,
            false,
        ),
        (&["malformed_model_output", "malformed_tool_use"], Reason::AgentError, true),
        (&["guardrail_intervened", "content_filtered"], Reason::Guardrail, false),
        (&["hook_stopped"], Reason::AccessDenied, false),
    ] {
        for stop in stops {
            let events = message(&[json!("Hm."), tool_use("t1", "{}")], stop, Some((30, 4)));
            let came = decide(HARNESS, Asking::default(), Answer::events(&events)).await;
            let error = came.decided.result.unwrap_err();
            assert_eq!((error.reason(), error.is_retryable()), (reason, is_retried), "{stop}");
        }
    }
    for stop in ["end_turn", "stop_sequence"] {
        let (turn, _) = turn(HARNESS, &message(&[json!("Hm.")], stop, None)).await;
        assert_eq!(turn, Turn { text: "Hm.".to_owned(), calls: Vec::new() });
    }
}

#[tokio::test]
async fn it_is_left_when_it_goes_on_with_too_many_tokens() {
    let own = message(&[tool_use("own", "{}")], "tool_use", Some((990, 20)));
    let last = message(&[json!("Done.")], "end_turn", Some((400, 30)));
    let events = [own, tool_result(), last].concat();
    let came = decide(HARNESS, Asking::default(), Answer::events(&events)).await;
    assert!(matches!(came.decided.result, Err(InvokeError::TooManyTokens { .. })));
    assert_eq!(came.decided.usage, Usage::Cut(used(990, 20)));
}

#[tokio::test]
async fn it_is_asked_with_prompt_tools_and_what_the_user_wrote_last() {
    let messages = [with_results(), vec![user("More?")]].concat();
    let asking = Asking { messages, timeout: Duration::from_millis(1_500), ..Asking::default() };
    let events = message(&[json!("Done.")], "end_turn", None);
    let body = decide(HARNESS, asking, Answer::events(&events)).await.body;
    let function = json!({ "description": "Asks a department.", "inputSchema": schema() });
    assert_eq!(
        body,
        json!({
            "systemPrompt": [{ "text": "You route." }],
            "tools": [{ "type": "inline_function", "name": "ask",
                        "config": { "inlineFunction": function } }],
            "allowedTools": ["ask"],
            "timeoutSeconds": 2,
            "maxTokens": 700,
            "messages": [{ "role": "user", "content": [{ "text": "More?" }] }],
        })
    );
}

#[tokio::test]
async fn it_goes_on_with_its_calls_and_their_results_as_text() {
    let asking = Asking { messages: with_results(), ..Asking::default() };
    let events = message(&[json!("Done.")], "end_turn", None);
    let body = decide(HARNESS, asking, Answer::events(&events)).await.body;
    let arguments = json!({ "q": "a", "n": [1, -2, 0.5, null, true] });
    let call = |id: &str, input: &Value| json!({ "toolUse": { "toolUseId": id, "name": "ask", "input": input, "type": "tool_use" } });
    let result = |id: &str, text: &str, status: &str| {
        json!({ "toolResult": { "toolUseId": id, "status": status, "type": "tool_use",
                                "content": [{ "text": text }] } })
    };
    let expected = json!([
        { "role": "assistant", "content": [
            { "text": "Let me see." }, call("t1", &arguments), call("t2", &json!({})),
        ] },
        { "role": "user", "content": [
            result("t1", r#"{"status":"answered"}"#, "success"),
            result("t2", "no JSON", "error"),
        ] },
    ]);
    assert_eq!(body["messages"], expected);
}

#[tokio::test]
async fn in_the_last_round_nothing_is_to_be_called_and_results_still_resume() {
    let events = message(&[json!("Done.")], "end_turn", None);
    let asking = Asking { messages: with_results(), offers_tools: false, ..Asking::default() };
    let body = decide(HARNESS, asking, Answer::events(&events)).await.body;
    assert_eq!(body["allowedTools"], json!(["no_tool"]), "it is not to be called again");
    assert_eq!(body["tools"].as_array().unwrap().len(), 1);
    let function = &body["tools"][0]["config"]["inlineFunction"];
    assert_eq!(function["description"], "It cannot be called any more.");
    let asking = Asking { offers_tools: false, ..Asking::default() };
    let body = decide(HARNESS, asking, Answer::events(&events)).await.body;
    assert_eq!((&body["tools"], &body["allowedTools"]), (&json!([]), &json!(["no_tool"])));
}
