//! The sample events of the front door, through the real function.

use std::path::Path;

use serde_json::Value;
use stand_ins::lambda::Outcome;
use stand_ins::supervisors::{FRONT_DOOR, Kind, routing, with_front_door};
use stand_ins::{Options, Sandbox};
use tokio::sync::mpsc::unbounded_channel;

async fn front_door() -> Sandbox {
    let kind = Kind::Harness;
    let options = with_front_door(kind, &routing(kind), Options::default()).unwrap();
    Sandbox::start(options).await.unwrap()
}

fn sample(name: &str) -> Vec<u8> {
    let path = format!("../../events/{FRONT_DOOR}/{name}.json");
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// What a direct invocation with the sample is answered.
async fn asked(sandbox: &Sandbox, name: &str) -> Value {
    let invocation = sandbox.invoke_function(FRONT_DOOR, None, sample(name), None).await;
    assert!(matches!(invocation.outcome, Outcome::Response(_)), "{:?}", invocation.outcome);
    invocation.json().unwrap()
}

/// The head of what the sample of an HTTP request is answered, and its body.
async fn streamed(sandbox: &Sandbox, name: &str) -> (Value, String) {
    let (sender, mut receiver) = unbounded_channel();
    sandbox.stream(FRONT_DOOR, sample(name), sender).await;
    let mut all = Vec::new();
    while let Some(piece) = receiver.recv().await {
        all.extend_from_slice(&piece);
    }
    let all = String::from_utf8(all).unwrap();
    let (head, body) = all.split_once(&"\0".repeat(8)).unwrap();
    (serde_json::from_str(head).unwrap(), body.to_owned())
}

#[tokio::test]
async fn the_sample_requests_are_answered_whole_or_refused() {
    let sandbox = front_door().await;
    let refund = asked(&sandbox, "refund").await;
    assert_eq!(refund["status"], "answered", "{refund}");
    assert_eq!(refund["session_id"], "5f1c0a52-front-door-refund");
    assert_eq!((&refund["rounds"], &refund["steps"]), (&2.into(), &1.into()));
    let new = asked(&sandbox, "new-session").await;
    assert_eq!(new["status"], "answered", "{new}");
    assert_eq!(new["session_id"].as_str().unwrap().len(), 32, "a session is begun");
    let called = sandbox.agents().calls().len();
    let bad = asked(&sandbox, "bad-request").await;
    assert_eq!((&bad["status"], &bad["reason"]), (&"refused".into(), &"bad_request".into()));
    assert!(bad["message"].as_str().unwrap().starts_with("`input` is empty"), "{bad}");
    assert_eq!(sandbox.agents().calls().len(), called, "nobody is called");
}

#[tokio::test]
async fn the_sample_http_requests_get_one_object_or_events() {
    let sandbox = front_door().await;
    let (head, body) = streamed(&sandbox, "url").await;
    assert_eq!(head["statusCode"], 200);
    assert_eq!(head["headers"]["content-type"], "application/json");
    let done: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(done["status"], "answered", "{done}");
    let (head, body) = streamed(&sandbox, "url-events").await;
    assert_eq!(head["headers"]["content-type"], "text/event-stream");
    let events: Vec<(&str, Value)> = body
        .split_terminator("\n\n")
        .map(|event| event.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap())
        .map(|(name, data)| (name, serde_json::from_str(data).unwrap()))
        .collect();
    let mut names: Vec<&str> = events.iter().map(|(name, _)| *name).collect();
    names.dedup();
    assert_eq!(names, ["route", "result", "text", "done"]);
    let texts = events.iter().filter(|(name, _)| *name == "text");
    let said: String = texts.map(|(_, data)| data["text"].as_str().unwrap()).collect();
    let (_, done) = events.last().unwrap();
    assert_eq!(done["answer"], said, "no supervisor of this one says anything beside its calls");
}
