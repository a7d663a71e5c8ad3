//! What was there before the supervisor, asked by the adapter that asks a real one.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::error::Error;
use std::time::Duration;

use router_aws::{AwsPredecessor, emulator_configuration};
use router_core::ids::RootSession;
use router_core::invocation::InvokeError;
use router_core::outcome::Reason;
use router_core::policy::{AgentRef, Current};
use router_core::split::{Answer, Inquiry, Predecessor};
use router_core::units::MicroUsd;
use router_core::wire::caller::Attributes;
use stand_ins::agents::{Agents, Script};
use stand_ins::foreign_function::{Behaviour, FUNCTION_ARN, ForeignFunction};

const REQUEST: &str = r#"{ "input": "Where is my order?", "more": [1, 2.50] }"#;
/// What no error may repeat.
const SECRET: &str = "hunter2";

/// What is asked, and where.
async fn ask(
    url: &str,
    current: Current,
    request: &str,
    timeout: u64,
) -> Result<Answer, InvokeError> {
    let config = emulator_configuration(url).await;
    let predecessor = AwsPredecessor::new(&config);
    let inquiry = Inquiry {
        current: &current,
        request: request.as_bytes(),
        input: "Where is my order?",
        session: &RootSession::parse("session_id", "s-1").unwrap(),
        attributes: &Attributes::from([("user_id".to_owned(), "ann".to_owned())]),
        timeout: Duration::from_millis(timeout),
    };
    predecessor.ask(&inquiry).await
}

async fn ask_function(function: &ForeignFunction) -> Result<Answer, InvokeError> {
    let current = Current::Lambda(FUNCTION_ARN.to_owned());
    ask(&function.url(), current, REQUEST, 60_000).await
}

fn answers(payload: &'static str) -> Behaviour {
    Behaviour::Answers(payload.into())
}

#[tokio::test]
async fn a_function_gets_the_request_as_it_came_and_says_what_it_cost() {
    let payload = r#"{"answer":"On its way.","cost_usd":0.0123,"model":"old"}"#;
    let function = ForeignFunction::start(answers(payload)).await.unwrap();
    let answer = ask_function(&function).await.unwrap();
    let expected = Answer { text: "On its way.".to_owned(), cost: Some(MicroUsd(12_300)) };
    assert_eq!(answer, expected);
    assert_eq!(function.payloads(), [REQUEST.as_bytes()], "to the byte");
}

#[tokio::test]
async fn a_failure_is_told_by_its_kind_is_not_repeated_and_quotes_no_text_of_the_function() {
    for (behaviour, expected) in [
        (Behaviour::Raises(SECRET), Reason::AgentError),
        (Behaviour::Throttled, Reason::Throttled),
        (Behaviour::Failing, Reason::AgentError),
        (Behaviour::HangsUp, Reason::AgentError),
        (answers("hunter2"), Reason::StreamBroken),
        (answers(r#"{"hunter2":"hunter2"}"#), Reason::EmptyAnswer),
        (answers(r#"{"answer":null,"cost_usd":1}"#), Reason::EmptyAnswer),
        (Behaviour::Answers(vec![b' '; 7_000_000].into()), Reason::AgentError),
    ] {
        let function = ForeignFunction::start(behaviour.clone()).await.unwrap();
        let error = ask_function(&function).await.unwrap_err();
        assert_eq!(error.reason(), expected, "{error:?}");
        let causes = std::iter::successors(Some(&error as &dyn Error), |&error| error.source());
        for cause in causes {
            let told = format!("{cause} {cause:?}");
            assert!(!told.contains(SECRET), "{told}");
        }
        assert_eq!(function.payloads().len(), 1, "{error}: it was asked once");
    }
}

#[tokio::test]
async fn what_lambda_refuses_has_not_run() {
    let function = ForeignFunction::start(answers("{}")).await.unwrap();
    let too_long = format!(r#"{{"input":"{}"}}"#, "x".repeat(7_000_000));
    let elsewhere = FUNCTION_ARN.replace("old-bot", "other");
    for (arn, request, is_expected) in [
        (
            FUNCTION_ARN,
            too_long.as_str(),
            (|error| matches!(error, InvokeError::Invalid)) as fn(&_) -> bool,
        ),
        (&elsewhere, REQUEST, |error| matches!(error, InvokeError::NotFound)),
    ] {
        let current = Current::Lambda(arn.to_owned());
        let error = ask(&function.url(), current, request, 60_000).await.unwrap_err();
        assert!(is_expected(&error), "{error:?}");
    }
    assert_eq!(function.refusals(), ["RequestTooLargeException", "ResourceNotFoundException"]);
}

#[tokio::test]
async fn a_function_that_does_not_answer_is_given_up_when_its_time_is_over() {
    let function = ForeignFunction::start(Behaviour::Hanging).await.unwrap();
    let current = Current::Lambda(FUNCTION_ARN.to_owned());
    let error = ask(&function.url(), current, REQUEST, 50).await.unwrap_err();
    assert!(matches!(error, InvokeError::TimedOut { .. }), "{error:?}");
    assert_eq!(function.payloads().len(), 1);
}

#[tokio::test]
async fn a_lambda_that_cannot_be_reached_is_no_answer() {
    let url = ForeignFunction::start(Behaviour::Throttled).await.unwrap().url();
    let current = Current::Lambda(FUNCTION_ARN.to_owned());
    let error = ask(&url, current, REQUEST, 60_000).await.unwrap_err();
    assert!(matches!(error, InvokeError::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn an_agent_gets_what_the_user_wrote_under_the_applications_session() {
    let script =
        r#"old = { agent = "OLDBOT0001/LIVE000001", replies = [{ answer = "On its way." }] }"#;
    let agents = Agents::start(Script::parse(script).unwrap()).await.unwrap();
    let current = Current::Agent(AgentRef::parse("OLDBOT0001/LIVE000001").unwrap());
    let answer = ask(&agents.url(), current, REQUEST, 60_000).await.unwrap();
    assert_eq!(answer, Answer { text: "On its way.".to_owned(), cost: None });
    let calls = agents.calls();
    let [call] = &calls[..] else { panic!("{calls:?}") };
    assert_eq!((call.input_text.as_str(), call.session_id.as_str()), ("Where is my order?", "s-1"));
    assert_eq!(call.session_attributes.get("user_id").map(String::as_str), Some("ann"));
}
