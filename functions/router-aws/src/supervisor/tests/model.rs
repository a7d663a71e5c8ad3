use router_core::charge::Usage;
use router_core::invocation::InvokeError;
use router_core::outcome::Reason;

use super::*;

#[tokio::test]
async fn a_text_is_heard_in_pieces_and_is_the_turn() {
    let events = message(&[json!("It is on its way.")], "end_turn", Some((30, 4)));
    let came = decide(MODEL, Asking::default(), Answer::events(&events)).await;
    let turn = came.decided.result.unwrap();
    assert_eq!((&*turn.text, turn.calls.len()), ("It is on its way.", 0));
    assert_eq!(came.heard, [r#"Text("It is on")"#, r#"Text(" its way.")"#]);
    assert_eq!(came.decided.usage, Usage::Reported(used(30, 4)));
}

#[tokio::test]
async fn calls_of_one_turn_are_all_kept_with_their_ids_and_what_is_malformed_too() {
    let one = message(&[tool_use("t1", r#"{"q":"a"}"#)], "tool_use", None);
    let (turn, heard) = turn(MODEL, &one).await;
    assert_eq!(turn, Turn { text: String::new(), calls: vec![call("t1", r#"{"q":"a"}"#)] });
    assert_eq!(heard, [r#"Tool("ask")"#]);
    let inputs = [r#"{"q":"é"}"#, r#"{"q": "#, ""];
    let mut blocks = vec![json!("Three.")];
    blocks.extend(inputs.iter().zip(["t1", "t2", "t3"]).map(|(input, id)| tool_use(id, input)));
    for stop in ["tool_use", "end_turn"] {
        let (turn, heard) = super::turn(MODEL, &message(&blocks, stop, None)).await;
        assert_eq!(turn.text, "Three.");
        let expected = [call("t1", inputs[0]), call("t2", inputs[1]), call("t3", "{}")];
        assert_eq!(turn.calls, expected);
        assert_eq!(turn.calls[1].arguments, Err(inputs[1].to_owned()));
        assert_eq!(heard.len(), 5, "{heard:?}");
    }
}

#[tokio::test]
async fn pieces_of_calls_may_come_by_turns() {
    let mut events = vec![("messageStart", json!({ "role": "assistant" }))];
    for (place, id) in ["t1", "t2"].iter().enumerate() {
        let start = json!({ "toolUse": { "toolUseId": id, "name": "ask" } });
        events.push(("contentBlockStart", json!({ "contentBlockIndex": place, "start": start })));
    }
    for (place, piece) in [(1, "{\"q\""), (0, "{\"q\":1"), (1, ":2}"), (0, "}")] {
        let delta = json!({ "toolUse": { "input": piece } });
        events.push(("contentBlockDelta", json!({ "contentBlockIndex": place, "delta": delta })));
    }
    events.push(("messageStop", json!({ "stopReason": "tool_use" })));
    let (turn, _) = turn(MODEL, &events).await;
    assert_eq!(turn.calls, [call("t1", "{\"q\":1}"), call("t2", "{\"q\":2}")]);
    // A piece of a call that did not begin, and a call without an id.
    events.remove(1);
    let came = decide(MODEL, Asking::default(), Answer::events(&events)).await;
    assert!(matches!(came.decided.result, Err(InvokeError::StreamBroken(_))));
    let nameless = message(&[tool_use("", "{}")], "tool_use", None);
    let came = decide(MODEL, Asking::default(), Answer::events(&nameless)).await;
    assert!(matches!(came.decided.result, Err(InvokeError::StreamBroken(_))));
}

#[tokio::test]
async fn one_call_that_used_too_much_is_a_turn_all_the_same() {
    let events = message(&[json!("Hm.")], "end_turn", Some((990, 20)));
    let came = decide(MODEL, Asking::default(), Answer::events(&events)).await;
    assert_eq!(came.decided.result.unwrap().text, "Hm.");
    assert_eq!(came.decided.usage, Usage::Reported(used(990, 20)), "nothing is left to cut");
}

#[tokio::test]
async fn why_the_message_ended_tells_whether_there_is_a_turn() {
    for (stops, reason, is_retried) in [
        (&["max_tokens", "model_context_window_exceeded", ""][..], Reason::AgentError, false),
        (&["malformed_model_output", "malformed_tool_use"], Reason::AgentError, true),
        (&["guardrail_intervened", "content_filtered"], Reason::Guardrail, false),
    ] {
        for stop in stops {
            let events = message(&[json!("Hm."), tool_use("t1", "{}")], stop, Some((30, 4)));
            let came = decide(MODEL, Asking::default(), Answer::events(&events)).await;
            let error = came.decided.result.unwrap_err();
            assert_eq!((error.reason(), error.is_retryable()), (reason, is_retried), "{stop}");
            assert_eq!(came.decided.usage, Usage::Reported(used(30, 4)), "{stop}");
        }
    }
    let without_call = message(&[json!("Hm.")], "tool_use", None);
    let came = decide(MODEL, Asking::default(), Answer::events(&without_call)).await;
    assert!(came.decided.result.is_err_and(|error| error.is_retryable()));
}

#[tokio::test]
async fn it_is_given_prompt_tools_and_the_whole_conversation() {
    let asking = Asking { messages: with_results(), ..Asking::default() };
    let events = message(&[json!("Done.")], "end_turn", None);
    let body = decide(MODEL, asking, Answer::events(&events)).await.body;
    let specification = json!({
        "name": "ask",
        "description": "Asks a department.",
        "inputSchema": { "json": schema() },
    });
    let arguments = json!({ "q": "a", "n": [1, -2, 0.5, null, true] });
    assert_eq!(
        body,
        json!({
            "system": [{ "text": "You route." }],
            "inferenceConfig": { "maxTokens": 700, "temperature": 0.5 },
            "toolConfig": { "tools": [{ "toolSpec": specification }] },
            "messages": [
                { "role": "user", "content": [{ "text": "Where is my refund?" }] },
                { "role": "assistant", "content": [
                    { "text": "Let me see." },
                    { "toolUse": { "toolUseId": "t1", "name": "ask", "input": arguments } },
                    { "toolUse": { "toolUseId": "t2", "name": "ask", "input": {} } },
                ] },
                { "role": "user", "content": [
                    { "toolResult": { "toolUseId": "t1",
                        "content": [{ "text": r#"{"status":"answered"}"# }] } },
                    { "toolResult": { "toolUseId": "t2", "content": [{ "text": "no JSON" }] } },
                ] },
            ],
        })
    );
}

#[tokio::test]
async fn in_the_last_round_it_is_told_of_calls_in_words_and_can_make_none() {
    let asking = Asking { messages: with_results(), offers_tools: false, ..Asking::default() };
    let events = message(&[json!("Done.")], "end_turn", None);
    let body = decide(MODEL, asking, Answer::events(&events)).await.body;
    assert_eq!(body["toolConfig"], Value::Null);
    let text = body["messages"].to_string();
    assert!(!text.contains("toolUse") && !text.contains("toolResult"), "{text}");
    let told = body["messages"][2]["content"][0]["text"].as_str().unwrap();
    assert!(told.starts_with("`ask` was called with {") && told.ends_with(r#""answered"}"#));
}
