//! What is gathered from the events of one answer's stream.

use aws_smithy_types::base64;
use router_core::charge::Usage;
use router_core::invocation::{InvokeError, Outcome};
use router_core::supervisor::Heard;
use router_core::units::{TokenUse, Tokens};
use serde_json::Value;

use super::action_group;
use super::guardrail;
use super::steps::Steps;
use super::trace_event::TraceEvent;
use crate::failure;
use crate::frames::{Event, Reading, broken};
use crate::usage::Report;

/// The most bytes of an answer that are kept. A reply to the supervisor has 25,000 at most.
const MOST_ANSWER_BYTES: usize = 2 * 1024 * 1024;

/// The event that tells what the agent does.
const TRACE: &str = "trace";

/// An answer as far as it was read. `H` hears of it meanwhile.
#[derive(Debug)]
pub(crate) struct AnswerReader<H> {
    heard: H,
    /// The answer's bytes. A character may be split over two chunks, so they become a string
    /// only at the end.
    bytes: Vec<u8>,
    /// How many of them were told: those of whole characters.
    told: usize,
    /// What all model invocations reported together.
    used: TokenUse,
    /// How many model invocations began, and how many of them reported all they used.
    begun: u64,
    reported: u64,
    /// Whether one ended that did not, or may have.
    is_silent: bool,
    failed: Option<InvokeError>,
    guardrail_blocked: bool,
    returned_control: bool,
    steps: Steps,
}

impl<H: FnMut(Heard<'_>)> AnswerReader<H> {
    /// An answer of which nothing was read, with or without what the agent does meanwhile.
    pub(crate) fn new(wants_steps: bool, heard: H) -> Self {
        Self {
            heard,
            bytes: Vec::new(),
            told: 0,
            used: TokenUse::default(),
            begun: 0,
            reported: 0,
            is_silent: false,
            failed: None,
            guardrail_blocked: false,
            returned_control: false,
            steps: Steps::wanted(wants_steps),
        }
    }
}

impl<H: FnMut(Heard<'_>)> Reading for AnswerReader<H> {
    type Answer = String;

    fn goes_too_far(&self, event: &Event, max: Tokens) -> bool {
        self.used.total() > max
            && event.name == TRACE
            && matches!(TraceEvent::by(&event.payload), Some(TraceEvent::ModelBegins(_)))
    }

    /// Usage may come after the last chunk, so the stream has to be read to its end.
    fn take(&mut self, event: Event) -> Result<(), InvokeError> {
        match event.name.as_str() {
            "chunk" => {
                let bytes = bytes(&event.payload)?;
                if self.bytes.len() + bytes.len() > MOST_ANSWER_BYTES {
                    return Err(InvokeError::TooLong { limit: MOST_ANSWER_BYTES });
                }
                self.bytes.extend(bytes);
                self.tell_text();
            }
            TRACE => self.take_trace(&event.payload),
            "returnControl" => self.returned_control = true,
            // Files, and what later versions of the service send.
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Outcome {
        let is_known = self.reported > 0 && self.begun <= self.reported && !self.is_silent;
        let usage = if is_known { Usage::Reported(self.used) } else { Usage::AtLeast(self.used) };
        // A guardrail's and a failure's apology comes as text, and looks like an answer.
        let result = if self.guardrail_blocked {
            Err(InvokeError::Guardrail)
        } else if self.returned_control {
            Err(InvokeError::ReturnedControl)
        } else if let Some(error) = self.failed {
            Err(error)
        } else if self.bytes.is_empty() {
            Err(InvokeError::EmptyAnswer)
        } else {
            String::from_utf8(self.bytes).map_err(|_| broken("the answer is no valid UTF-8"))
        };
        Outcome { result, usage, steps: self.steps.finish() }
    }

    /// A guardrail's word stands all the same.
    fn broken_off(self, error: InvokeError) -> Outcome {
        let has_begun = !self.bytes.is_empty() || self.begun > 0;
        let usage = failure::used_before(&error, self.used, has_begun);
        let error = if self.guardrail_blocked { InvokeError::Guardrail } else { error };
        Outcome { result: Err(error), usage, steps: self.steps.finish() }
    }

    fn used(&self) -> TokenUse {
        self.used
    }
}

impl<H: FnMut(Heard<'_>)> AnswerReader<H> {
    /// Tells the characters that are whole by now. Bytes that are none are told at the end, as an
    /// error.
    fn tell_text(&mut self) {
        let untold = &self.bytes[self.told..];
        let whole = match std::str::from_utf8(untold) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&untold[..error.valid_up_to()]).unwrap_or_default(),
        };
        if !whole.is_empty() {
            (self.heard)(Heard::Text(whole));
            self.told += whole.len();
        }
    }

    fn take_trace(&mut self, part: &Value) {
        // A collaborator's mishap is its supervisor's to mend; the tokens count all the same.
        let is_own = part["collaboratorName"].is_null()
            && part["callerChain"].as_array().is_none_or(|chain| chain.len() <= 1);
        match TraceEvent::by(part) {
            Some(TraceEvent::Failure(trace)) if is_own => {
                self.failed = Some(failure_told_by(trace))
            }
            Some(TraceEvent::Guardrail(trace)) if is_own => {
                self.guardrail_blocked |= guardrail::has_blocked(trace);
            }
            Some(TraceEvent::InvocationBegins(input)) if is_own => {
                if let Some(call) = action_group::call(&input["actionGroupInvocationInput"]) {
                    (self.heard)(Heard::Tool(&call.name));
                    (self.heard)(Heard::Carried(&call));
                }
            }
            Some(TraceEvent::ModelBegins(_)) => self.begun += 1,
            Some(TraceEvent::ModelEnds(output)) => {
                let report = Report::of(&output["metadata"]["usage"]);
                self.used = self.used.plus(report.used);
                self.reported += u64::from(report.is_whole);
                self.is_silent |= !report.is_whole;
            }
            _ => self.is_silent |= part.is_null(),
        }
        self.steps.take(part);
    }
}

/// The bytes of the answer in a chunk.
fn bytes(payload: &Value) -> Result<Vec<u8>, InvokeError> {
    match &payload["bytes"] {
        Value::String(text) => base64::decode(text).map_err(|_| broken("a chunk is no base64")),
        Value::Null if payload.is_object() => Ok(Vec::new()),
        _ => Err(broken("a chunk could not be read")),
    }
}

/// Why the agent gave up, which it says in words or with an HTTP status.
fn failure_told_by(trace: &Value) -> InvokeError {
    let is_throttled = trace["failureCode"].as_u64() == Some(429)
        || trace["failureReason"].as_str().is_some_and(failure::tells_of_throttling);
    if is_throttled { InvokeError::Throttled } else { InvokeError::GaveUp }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::frames::unheard;

    fn event(name: &str, payload: Value) -> Event {
        Event { name: name.to_owned(), payload }
    }

    fn chunk(bytes: &[u8]) -> Event {
        event("chunk", json!({ "bytes": base64::encode(bytes) }))
    }

    fn trace(trace: Value) -> Event {
        event(TRACE, json!({ "callerChain": [{ "agentAliasArn": "arn" }], "trace": trace }))
    }

    fn of_a_collaborator(mut event: Event) -> Event {
        event.payload["collaboratorName"] = "helper".into();
        event
    }

    fn model_begins() -> Event {
        trace(json!({ "orchestrationTrace": { "modelInvocationInput": { "text": "SECRET" } } }))
    }

    fn model_ends(metadata: Value) -> Event {
        let output = json!({ "modelInvocationOutput": { "metadata": metadata } });
        trace(json!({ "orchestrationTrace": output }))
    }

    fn model_call(input: u64, output: u64) -> Event {
        model_ends(json!({ "usage": { "inputTokens": input, "outputTokens": output } }))
    }

    fn gave_up(reason: Value) -> Event {
        trace(json!({ "failureTrace": reason }))
    }

    fn guardrail(findings: Value) -> Event {
        let assessments = json!([{ "sensitiveInformationPolicy": { "piiEntities": findings } }]);
        let action = "INTERVENED";
        trace(json!({ "guardrailTrace": { "action": action, "outputAssessments": assessments } }))
    }

    fn blocked() -> Event {
        guardrail(json!([]))
    }

    fn reader() -> AnswerReader<fn(Heard<'_>)> {
        AnswerReader::new(false, unheard)
    }

    fn read(events: impl IntoIterator<Item = Event>) -> AnswerReader<fn(Heard<'_>)> {
        let mut reading = reader();
        events.into_iter().for_each(|event| reading.take(event).unwrap());
        reading
    }

    #[test]
    fn a_character_may_be_split_over_chunks() {
        let bytes = "naïve 🙂".as_bytes();
        let outcome = read(bytes.iter().map(|byte| chunk(&[*byte]))).finish();
        assert_eq!(outcome.result.unwrap(), "naïve 🙂");
    }

    #[test]
    fn whole_characters_and_the_action_groups_functions_are_told_as_they_come() {
        let group = |input| {
            let input = json!({ "actionGroupInvocationInput": input });
            trace(json!({ "orchestrationTrace": { "invocationInput": input } }))
        };
        let mut told = Vec::new();
        let mut reading = AnswerReader::new(false, |heard: Heard<'_>| match heard {
            Heard::Carried(call) => told.push(format!("Carried({:?})", call.name)),
            heard => told.push(format!("{heard:?}")),
        });
        for event in [
            group(json!({ "actionGroupName": "g", "function": "f", "executionType": "LAMBDA" })),
            group(json!({ "actionGroupName": "g", "apiPath": "/v1/h", "verb": "post" })),
            of_a_collaborator(group(json!({ "function": "not_its_own" }))),
            chunk(b"na\xc3"),
            chunk(b"\xafve"),
            chunk(b""),
            chunk(b"!\xff?"),
        ] {
            reading.take(event).unwrap();
        }
        assert!(reading.finish().result.is_err());
        let expected = [
            r#"Tool("f")"#,
            r#"Carried("f")"#,
            r#"Tool("h")"#,
            r#"Carried("h")"#,
            r#"Text("na")"#,
            r#"Text("ïve")"#,
            r#"Text("!")"#,
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn bytes_that_are_no_text_are_a_broken_stream() {
        let outcome = read([chunk(&[0xff])]).finish();
        assert!(matches!(outcome.result, Err(InvokeError::StreamBroken(_))));
    }

    #[test]
    fn a_chunk_that_cannot_be_read_is_a_broken_stream_and_an_empty_one_is_not() {
        for payload in [json!({ "bytes": "?" }), json!({ "bytes": 1 }), json!([]), Value::Null] {
            let error = reader().take(event("chunk", payload)).unwrap_err();
            assert!(matches!(error, InvokeError::StreamBroken(_)));
        }
        reader().take(event("chunk", json!({}))).unwrap();
    }

    #[test]
    fn an_answer_has_a_limit_however_many_chunks_it_comes_in() {
        let mut reading = reader();
        for _ in 0..2 {
            reading.take(chunk(&vec![b'a'; MOST_ANSWER_BYTES / 2])).unwrap();
        }
        let error = reading.take(chunk(b"a")).unwrap_err();
        assert!(matches!(error, InvokeError::TooLong { limit: MOST_ANSWER_BYTES }));
        assert_eq!(reading.broken_off(error).usage, Usage::UNKNOWN);
        let huge = reader().take(chunk(&vec![b'a'; MOST_ANSWER_BYTES + 1]));
        assert!(matches!(huge, Err(InvokeError::TooLong { .. })));
    }

    #[test]
    fn usage_is_the_sum_over_all_model_invocations_also_of_collaborators() {
        let events = [
            model_begins(),
            model_call(300, 20),
            of_a_collaborator(model_begins()),
            of_a_collaborator(model_call(100, 10)),
            chunk(b"answer"),
            model_call(40, 5),
        ];
        let usage = read(events).finish().usage;
        assert_eq!(usage, Usage::Reported(TokenUse::new(440, 35)));
    }

    #[test]
    fn a_model_invocation_that_does_not_tell_what_it_used_makes_the_usage_unknown() {
        let known = TokenUse::new(300, 20);
        let silent = [
            model_ends(json!({ "usage": {} })),
            model_ends(json!({ "usage": { "inputTokens": null, "outputTokens": null } })),
            model_ends(json!({ "usage": { "inputTokens": -1, "outputTokens": -1 } })),
            model_ends(json!({ "usage": null })),
            model_ends(json!({})),
            of_a_collaborator(model_ends(json!(null))),
            // It began and did not end, at the agent's or at its collaborator's.
            trace(json!({ "preProcessingTrace": { "modelInvocationInput": {} } })),
            trace(json!({ "routingClassifierTrace": { "modelInvocationInput": {} } })),
            of_a_collaborator(model_begins()),
            // A part of the trace could not be read.
            event(TRACE, Value::Null),
        ];
        for silent in silent {
            let name = format!("{silent:?}");
            let events = [model_begins(), model_call(300, 20), silent, chunk(b"answer")];
            let outcome = read(events).finish();
            assert!(outcome.result.is_ok(), "{name}");
            assert_eq!(outcome.usage, Usage::AtLeast(known), "{name}");
        }
        let only_input = model_ends(json!({ "usage": { "inputTokens": 7 } }));
        let usage = read([model_begins(), only_input, chunk(b"answer")]).finish().usage;
        assert_eq!(usage, Usage::AtLeast(TokenUse::new(7, 0)));
    }

    #[test]
    fn usage_on_other_parts_of_the_trace_is_not_counted_again() {
        let usage = json!({ "usage": { "inputTokens": 9, "outputTokens": 9 } });
        let observation = json!({ "observation": { "metadata": usage, "finalResponse": {} } });
        let events = [trace(json!({ "orchestrationTrace": observation })), chunk(b"answer")];
        assert_eq!(read(events).finish().usage, Usage::UNKNOWN);
    }

    #[test]
    fn apologies_are_told_from_answers() {
        let sorry = || chunk(b"Sorry, I am unable to assist you with this request.");
        let outcome = read([gave_up(json!({ "failureReason": "no" })), sorry()]).finish();
        assert!(matches!(outcome.result, Err(InvokeError::GaveUp)));
        let outcome = read([blocked(), sorry()]).finish();
        assert!(matches!(outcome.result, Err(InvokeError::Guardrail)));
        // A collaborator's mishap is not the specialist's.
        let events = [of_a_collaborator(gave_up(json!({}))), of_a_collaborator(blocked()), sorry()];
        assert!(read(events).finish().result.is_ok());
    }

    #[test]
    fn an_agent_that_gives_up_since_its_model_is_throttled_is_throttled() {
        for reason in [
            json!({ "failureReason": "Too many tokens, please wait before trying again." }),
            json!({ "failureReason": "ThrottlingException: slow down" }),
            json!({ "failureReason": "It did not work.", "failureCode": 429 }),
        ] {
            let outcome = read([gave_up(reason.clone()), chunk(b"Sorry.")]).finish();
            assert!(matches!(outcome.result, Err(InvokeError::Throttled)), "{reason}");
        }
    }

    #[test]
    fn a_masked_answer_is_an_answer_unless_another_look_of_the_guardrail_blocks() {
        let masked = || guardrail(json!([{ "type": "EMAIL", "action": "ANONYMIZED" }]));
        let text = || chunk(b"Write to {EMAIL}.");
        let outcome = read([masked(), masked(), text()]).finish();
        assert_eq!(outcome.result.unwrap(), "Write to {EMAIL}.");
        for events in [[masked(), blocked(), text()], [blocked(), masked(), text()]] {
            assert!(matches!(read(events).finish().result, Err(InvokeError::Guardrail)));
        }
    }

    #[test]
    fn a_stream_without_text_is_no_answer() {
        let outcome = read([model_call(10, 0)]).finish();
        assert!(matches!(outcome.result, Err(InvokeError::EmptyAnswer)));
        assert_eq!(outcome.usage, Usage::Reported(TokenUse::new(10, 0)));
    }

    #[test]
    fn a_stream_that_broke_off_is_no_answer_and_its_usage_is_a_part() {
        let events = [chunk(b"half an ans"), model_call(10, 2)];
        let outcome = read(events).broken_off(InvokeError::Throttled);
        assert!(outcome.result.is_err());
        assert_eq!(outcome.usage, Usage::AtLeast(TokenUse::new(10, 2)));
    }

    #[test]
    fn a_session_in_use_costs_nothing_unless_something_ran_all_the_same() {
        let usage = |events: Vec<Event>| read(events).broken_off(InvokeError::Conflict).usage;
        assert_eq!(usage(vec![]), Usage::NotRun);
        assert_eq!(usage(vec![chunk(b"half")]), Usage::UNKNOWN);
        assert_eq!(usage(vec![model_begins()]), Usage::UNKNOWN);
        assert_eq!(usage(vec![model_call(1, 1)]), Usage::AtLeast(TokenUse::new(1, 1)));
        let throttled = read([]).broken_off(InvokeError::Throttled);
        assert_eq!(throttled.usage, Usage::UNKNOWN, "the agent may have begun");
    }

    #[test]
    fn a_guardrails_word_stands_also_where_the_stream_breaks_off() {
        let outcome = read([blocked()]).broken_off(InvokeError::Throttled);
        assert!(matches!(outcome.result, Err(InvokeError::Guardrail)));
    }

    #[test]
    fn a_call_goes_too_far_when_it_begins_another_model_invocation_with_too_many_tokens() {
        let cached = json!({ "usage": { "inputTokens": 1, "outputTokens": 11,
                                        "cacheReadInputTokens": 89 } });
        let reading = read([model_ends(cached)]);
        assert!(reading.goes_too_far(&model_begins(), Tokens(100)));
        assert!(!reading.goes_too_far(&model_begins(), Tokens(101)));
        assert!(!reading.goes_too_far(&chunk(b"the answer"), Tokens(100)), "it is kept");
        assert_eq!(reading.used().total(), Tokens(101));
    }
}
