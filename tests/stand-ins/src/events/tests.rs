//! The rules by which a played case is judged.

use super::*;
use crate::lambda::FunctionError;
use crate::metrics::Datum;

fn case(expectation: Value) -> Case {
    let event = json!({
        "actionGroup": "G", "function": "invoke_specialist_agent", "sessionId": "s",
    });
    Case {
        name: "case".into(),
        event: event.to_string().into(),
        client_context: None,
        expectation: Some(serde_json::from_value(expectation).unwrap()),
        given: Given::default(),
    }
}

fn body_text() -> String {
    json!({
        "status": "answered", "specialist": "billing", "asked": "billing", "answer": "yes",
        "task_id": null, "attempts": 1, "reason": null, "message": null, "truncated": false,
        "ticket": null, "results": null, "budget": {},
    })
    .to_string()
}

fn reply(body: &str) -> Value {
    json!({
        "messageVersion": "1.0",
        "response": {
            "actionGroup": "G",
            "function": "invoke_specialist_agent",
            "functionResponse": { "responseBody": { "TEXT": { "body": body } } },
        },
        "sessionAttributes": { "root_session_id": "s" },
        "promptSessionAttributes": {},
    })
}

fn played(outcome: Outcome) -> Played {
    Played {
        invocation: Invocation { request_id: "id".into(), outcome, duration: Duration::ZERO },
        calls: Vec::new(),
        batches: Vec::new(),
        charged: Charged::default(),
        refusals: Vec::new(),
        lines: Vec::new(),
    }
}

fn answered(reply: &Value) -> Played {
    played(Outcome::Response(reply.to_string().into()))
}

fn mismatches(case: &Case, played: &Played) -> Vec<String> {
    check(case, played).iter().map(ToString::to_string).collect()
}

#[test]
fn a_reply_as_expected_has_no_mismatch() {
    let case = case(json!({ "about": "a", "body": { "status": "answered" }, "calls": [] }));
    assert_eq!(mismatches(&case, &answered(&reply(&body_text()))), [""; 0]);
}

#[test]
fn the_envelope_must_echo_the_event_and_be_one_that_bedrock_takes() {
    let mut wrong = reply(&body_text());
    wrong["response"]["function"] = json!("other");
    wrong["response"]["functionResponse"]["responseState"] = json!("FAILURE");
    wrong["sessionAttributes"]["router_hops"] = json!(1);
    assert_eq!(
        mismatches(&case(json!({ "about": "a" })), &answered(&wrong)),
        [
            "response.function: expected \"invoke_specialist_agent\", found \"other\"",
            "sessionAttributes.router_hops: expected a string, found 1",
            "response.functionResponse.responseState: expected nothing, found \"FAILURE\"",
        ]
    );
}

#[test]
fn a_reply_must_fit_into_bedrocks_limit() {
    let mut body: Value = serde_json::from_str(&body_text()).unwrap();
    body["answer"] = json!("x".repeat(MOST_REPLY_BYTES));
    let found = mismatches(&case(json!({ "about": "a" })), &answered(&reply(&body.to_string())));
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("reply: expected at most 25000 bytes"), "{found:?}");
}

#[test]
fn a_body_must_be_json_with_all_its_keys() {
    let case = case(json!({ "about": "a" }));
    let no_json = mismatches(&case, &answered(&reply("plain text")));
    assert!(no_json[0].starts_with("body: expected a JSON object"), "{no_json:?}");
    let incomplete = mismatches(&case, &answered(&reply(r#"{"status":"answered"}"#)));
    assert!(incomplete[0].contains("missing: specialist, asked, answer"), "{incomplete:?}");
}

#[test]
fn an_error_is_right_only_where_it_is_expected() {
    let error = FunctionError { error_type: "UnknownEventForm".into(), error_message: "m".into() };
    let failed = played(Outcome::FunctionError(error));
    let expected = case(json!({ "about": "a", "error": "UnknownEventForm" }));
    assert_eq!(mismatches(&expected, &failed), [""; 0]);
    assert_eq!(
        mismatches(&case(json!({ "about": "a" })), &failed),
        ["outcome: expected a reply, found \"UnknownEventForm: m\""]
    );
    assert_eq!(mismatches(&expected, &answered(&reply(&body_text()))).len(), 1);
    assert_eq!(mismatches(&expected, &played(Outcome::TimedOut)).len(), 1);
}

#[test]
fn an_event_of_no_form_is_right_only_where_its_error_is_expected() {
    let error = FunctionError { error_type: "UnknownEventForm".into(), error_message: "m".into() };
    let failed = played(Outcome::FunctionError(error));
    let mut expected = case(json!({ "about": "a", "error": "UnknownEventForm" }));
    for (event, found) in [
        (&br#"{"foo":1}"#[..], r#"found {"foo":1}"#),
        (b"[]", "found []"),
        (b"{\"function\": \"f\"", "found \"no JSON: EOF while parsing an object at line 1"),
        (b"\xff", "found \"no JSON: "),
    ] {
        expected.event = Bytes::from_static(event);
        assert_eq!(mismatches(&expected, &failed), [""; 0]);
        for expectation in [None, case(json!({ "about": "a", "calls": [] })).expectation] {
            let unexpected = Case { expectation, ..expected.clone() };
            for played in [&failed, &answered(&reply(&body_text()))] {
                let mismatches = mismatches(&unexpected, played);
                assert!(mismatches[0].starts_with("event: expected `function`"), "{mismatches:?}");
                assert!(mismatches[0].contains(found), "{mismatches:?}");
            }
        }
    }
}

#[test]
fn an_event_has_its_form_also_where_one_of_its_fields_cannot_be_read() {
    let mut case = case(json!({ "about": "a" }));
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for field in [r#""\ud800""#, "1e999", &deep] {
        let event = format!(r#"{{"actionGroup":"G","function":"other","inputText":{field}}}"#);
        case.event = event.into();
        assert_eq!(case.form(), Some(Form::Function), "{field}");
        let found = mismatches(&case, &answered(&reply(&body_text())));
        assert!(found[0].starts_with("response.function: expected \"other\""), "{found:?}");
        assert_eq!(found.len(), 1);
    }
}

#[test]
fn a_hold_that_outlives_the_reply_is_a_mismatch() {
    let case = case(json!({ "about": "a" }));
    let mut played = answered(&reply(&body_text()));
    played.charged.holds_left = 1;
    assert_eq!(mismatches(&case, &played), ["holds: expected none left after a reply, found 1"]);
    played.invocation.outcome = Outcome::TimedOut;
    assert_eq!(mismatches(&case, &played).len(), 1, "a dead process settles nothing");
}

#[test]
fn metrics_are_summed_for_each_dimension_set() {
    let datum = |specialist: Option<&str>, value| Datum {
        name: "Cost".into(),
        unit: "None".into(),
        values: vec![value],
        dimensions: specialist.map(|name| ("Specialist".into(), name.into())).into_iter().collect(),
        timestamp: None,
    };
    let mut played = answered(&reply(&body_text()));
    let data = vec![datum(None, 0.1), datum(None, 0.2), datum(Some("billing"), 0.3)];
    played.batches = vec![Batch { namespace: "N".into(), data }];
    let right =
        json!({ "Cost": { "": 0.3, "Specialist=billing": 0.3, "Specialist=orders": null } });
    assert_eq!(mismatches(&case(json!({ "about": "a", "metrics": right })), &played), [""; 0]);
    let wrong = json!({ "Cost": { "": 0.4 }, "Fallbacks": { "": 0 } });
    let found = mismatches(&case(json!({ "about": "a", "metrics": wrong })), &played);
    assert_eq!(found.len(), 2);
    assert!(found[0].starts_with("metrics.Cost[]: expected 0.4, found 0.3"), "{found:?}");
    assert_eq!(found[1], "metrics.Fallbacks[]: expected 0, found nothing");
}

#[test]
fn a_folder_is_complete_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("one.json", "{ }");
    assert!(matches!(load_folder(folder.path()), Err(EventError::NoExpectation(_))));
    write("expected/one.json", r#"{ "about": "the first" }"#);
    assert!(matches!(load_folder(folder.path()), Err(EventError::Expectation { .. })));
    write("expected/one.json", r#"{ "about": "the first", "calls": [] }"#);
    write("client-context/one.json", r#"{ "custom": {} }"#);
    let cases = load_folder(folder.path()).unwrap();
    assert_eq!((&*cases[0].name, &cases[0].event[..]), ("one", &b"{ }"[..]));
    assert_eq!(cases[0].client_context, Some(json!({ "custom": {} })));
    assert!(cases[0].given.is_empty());
    write("given/one.json", r#"[{ "pk": "a", "sk": "b", "c": null }]"#);
    assert!(matches!(load_folder(folder.path()), Err(EventError::Given { .. })));
    write("given/one.json", r#"[{ "pk": "a", "sk": "b", "c": 1 }]"#);
    assert!(!load_folder(folder.path()).unwrap()[0].given.is_empty());
    write("given/one.json", "[]");
    assert!(matches!(load_folder(folder.path()), Err(EventError::Given { .. })));
    write("given/one.json", r#"[{ "pk": "a", "sk": "b", "c": 1 }]"#);
    write("given/two.json", r#"[{ "pk": "a", "sk": "b", "c": 1 }]"#);
    assert!(matches!(load_folder(folder.path()), Err(EventError::NoEvent(_))));
    write("two.json", "{}");
    write(
        "expected/two.json",
        r#"{ "about": "the second", "calls": [], "lambda_timeout_ms": 1500 }"#,
    );
    let limit = load_folder(folder.path()).unwrap()[1].timeout();
    assert_eq!(limit, Some(Duration::from_millis(1_500)));
    write("expected/three.json", r#"{ "about": "of nothing" }"#);
    assert!(matches!(load_folder(folder.path()), Err(EventError::NoEvent(_))));
    write("expected/one.json", r#"{ "about": "a", "bodi": {} }"#);
    assert!(matches!(load_folder(folder.path()), Err(EventError::Json { .. })));
}

#[cfg(unix)]
#[test]
fn what_is_beside_an_event_and_cannot_be_read_is_not_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let event = folder.path().join("one.json");
    std::fs::write(&event, r#"{ "function": "f" }"#).unwrap();
    for companion in ["expected", "client-context", "given"] {
        let beside = folder.path().join(companion);
        std::fs::create_dir(&beside).unwrap();
        assert!(load(&event).is_ok());
        std::os::unix::fs::symlink("nowhere.json", beside.join("one.json")).unwrap();
        assert!(matches!(load(&event), Err(EventError::Read { .. })), "{companion}");
        std::fs::remove_dir_all(&beside).unwrap();
    }
    assert!(matches!(load(&folder.path().join("two.json")), Err(EventError::Read { .. })));
}
