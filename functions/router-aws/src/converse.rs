//! Answers in the events of the Converse API: those of models, and of AgentCore harnesses.
//!
//! | event | what it tells |
//! |---|---|
//! | `messageStart` | a message begins: the assistant's, which is a model call, or the user's, with what tools answered |
//! | `contentBlockStart` | a call of a tool begins in it |
//! | `contentBlockDelta` | a piece of its text, or of a call's arguments |
//! | `messageStop` | its end, and why: only the last one decides |
//! | `metadata` | what a model call used |
//!
//! The answer is the assistant's last message: its text, and the calls of tools that its caller is to
//! make. A harness sends the calls and results of tools that it runs itself as well, in messages
//! before, and `hookEvent`s, of which the last may follow the end of the answer.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html>,
//! <https://docs.aws.amazon.com/bedrock-agentcore/latest/APIReference/API_InvokeHarness.html>

mod calls;

use calls::Calls;
use router_core::charge::Usage;
use router_core::invocation::{InvokeError, Outcome};
use router_core::supervisor::{Heard, Turn};
use router_core::units::{TokenUse, Tokens};
use serde_json::Value;

use crate::failure;
use crate::frames::{Event, Reading, broken, unheard};
use crate::usage::Report;

/// The most bytes of an answer that are kept. A reply to the supervisor has 25,000 at most.
const MOST_ANSWER_BYTES: usize = 2 * 1024 * 1024;

/// A specialist's answer as far as it was read: a turn that calls nothing.
#[derive(Debug)]
pub(crate) struct AnswerReader(TurnReader<fn(Heard<'_>)>);

impl Default for AnswerReader {
    fn default() -> Self {
        Self(TurnReader::new(unheard))
    }
}

impl Reading for AnswerReader {
    type Answer = String;

    fn goes_too_far(&self, event: &Event, max: Tokens) -> bool {
        self.0.goes_too_far(event, max)
    }

    fn take(&mut self, event: Event) -> Result<(), InvokeError> {
        self.0.take(event)
    }

    fn finish(mut self) -> Outcome {
        let wants_tool = self.0.stopped == Some(Stop::WantsTool) && !self.0.is_open;
        // A specialist's caller runs no tools, so it does not matter how they are called.
        self.0.calls = Calls::default();
        let Outcome { result, usage, steps } = self.0.finish();
        let result = if wants_tool { Err(InvokeError::ReturnedControl) } else { result.map(text) };
        Outcome { result, usage, steps }
    }

    fn broken_off(self, error: InvokeError) -> Outcome {
        let Outcome { result, usage, steps } = self.0.broken_off(error);
        Outcome { result: result.map(text), usage, steps }
    }

    fn used(&self) -> TokenUse {
        self.0.used()
    }
}

fn text(turn: Turn) -> String {
    turn.text
}

/// A turn as far as it was read. `H` hears of it meanwhile.
#[derive(Debug)]
pub(crate) struct TurnReader<H> {
    heard: H,
    /// The text of the assistant's last message.
    text: String,
    /// The tools that it calls.
    calls: Calls,
    /// Whether the message that is being read is the user's.
    is_users: bool,
    /// Whether a message has begun that has not ended.
    is_open: bool,
    /// Why the last message ended.
    stopped: Option<Stop>,
    /// What all model calls reported together.
    used: TokenUse,
    /// How many model calls began, and how many reported all that they used.
    begun: u64,
    reported: u64,
    /// Whether one reported something else.
    is_silent: bool,
}

/// The model wrote something that cannot be used. It may do better the next time.
const MALFORMED: InvokeError = InvokeError::ServiceFault("malformed model output");

/// Why a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// It is complete.
    Done,
    /// A limit was reached, or the call was interrupted; or why is not known. It would be so again.
    CutShort,
    /// The model wrote something that cannot be used. It may do better the next time.
    Malformed,
    /// A guardrail or a content filter intervened.
    Blocked,
    /// A hook of the harness does not allow it.
    Forbidden,
    /// The caller is to run a tool.
    WantsTool,
}

impl Stop {
    /// The reasons are those of `HarnessStopReason` in the model of bedrock-agentcore 2024-02-28 and
    /// of `StopReason` in that of bedrock-runtime 2023-09-30, which is a part of them.
    fn of(reason: &str) -> Self {
        match reason {
            "end_turn" | "stop_sequence" => Self::Done,
            "malformed_model_output" | "malformed_tool_use" => Self::Malformed,
            "guardrail_intervened" | "content_filtered" => Self::Blocked,
            "hook_stopped" => Self::Forbidden,
            "tool_use" => Self::WantsTool,
            // `max_tokens`, `max_output_tokens_exceeded`, `max_iterations_exceeded`,
            // `timeout_exceeded`, `model_context_window_exceeded`, `interrupted`, `partial_turn`,
            // and `tool_result`, after which nothing came.
            _ => Self::CutShort,
        }
    }

    /// Why there is no answer; `None`: there is one.
    fn error(self) -> Option<InvokeError> {
        match self {
            Self::Done => None,
            Self::CutShort => Some(InvokeError::GaveUp),
            Self::Malformed => Some(MALFORMED),
            Self::Blocked => Some(InvokeError::Guardrail),
            Self::Forbidden => Some(InvokeError::AccessDenied),
            Self::WantsTool => Some(InvokeError::ReturnedControl),
        }
    }
}

/// Whether this event begins a message of the assistant, with which a model call begins.
fn begins_call(event: &Event) -> bool {
    event.name == "messageStart" && event.payload["role"] != "user"
}

impl<H: FnMut(Heard<'_>)> TurnReader<H> {
    /// A turn of which nothing was read.
    pub(crate) fn new(heard: H) -> Self {
        Self {
            heard,
            text: String::new(),
            calls: Calls::default(),
            is_users: false,
            is_open: false,
            stopped: None,
            used: TokenUse::default(),
            begun: 0,
            reported: 0,
            is_silent: false,
        }
    }

    fn starts_block(&mut self, payload: &Value) {
        let call = &payload["start"]["toolUse"];
        if call.is_object() {
            self.calls.begin(&payload["contentBlockIndex"], call);
            if let Some(name) = call["name"].as_str() {
                (self.heard)(Heard::Tool(name));
            }
        }
    }

    fn continues_block(&mut self, payload: &Value) {
        if let Some(piece) = payload["delta"]["text"].as_str().filter(|piece| !piece.is_empty()) {
            self.text.push_str(piece);
            (self.heard)(Heard::Text(piece));
        }
        if let Some(piece) = payload["delta"]["toolUse"]["input"].as_str() {
            self.calls.add(&payload["contentBlockIndex"], piece);
        }
    }
}

impl<H: FnMut(Heard<'_>)> Reading for TurnReader<H> {
    type Answer = Turn;

    fn goes_too_far(&self, event: &Event, max: Tokens) -> bool {
        self.used.total() > max && begins_call(event)
    }

    fn take(&mut self, event: Event) -> Result<(), InvokeError> {
        let payload = &event.payload;
        match event.name.as_str() {
            "messageStart" => {
                self.is_open = true;
                self.is_users = !begins_call(&event);
                if !self.is_users {
                    self.begun += 1;
                    self.text.clear();
                    self.calls = Calls::default();
                }
            }
            "contentBlockDelta" if !payload.is_object() => {
                return Err(broken("a piece of the answer could not be read"));
            }
            "contentBlockStart" if !self.is_users => self.starts_block(payload),
            "contentBlockDelta" if !self.is_users => self.continues_block(payload),
            "messageStop" => {
                self.is_open = false;
                self.stopped = Some(Stop::of(payload["stopReason"].as_str().unwrap_or_default()));
            }
            "metadata" => {
                let report = Report::of(&payload["usage"]);
                self.used = self.used.plus(report.used);
                self.reported += u64::from(report.is_whole);
                self.is_silent |= !report.is_whole;
            }
            _ => {}
        }
        if self.text.len() + self.calls.len() > MOST_ANSWER_BYTES {
            return Err(InvokeError::TooLong { limit: MOST_ANSWER_BYTES });
        }
        Ok(())
    }

    fn finish(self) -> Outcome<Turn> {
        if self.is_open {
            return self.broken_off(broken("it ended within a message"));
        }
        let is_known = self.reported > 0 && self.begun <= self.reported && !self.is_silent;
        let usage = if is_known { Usage::Reported(self.used) } else { Usage::AtLeast(self.used) };
        let result = match self.stopped {
            Some(Stop::WantsTool) if self.calls.is_empty() => Err(MALFORMED),
            Some(Stop::WantsTool) => self.calls.finish(),
            // Some models end a turn that has calls in it.
            Some(Stop::Done) if !self.calls.is_empty() => self.calls.finish(),
            Some(stop) => stop.error().map_or(Ok(Vec::new()), Err),
            None => Ok(Vec::new()),
        };
        let result = match result {
            Ok(calls) if calls.is_empty() && self.text.is_empty() => Err(InvokeError::EmptyAnswer),
            Ok(_) if self.stopped.is_none() => Err(broken("the answer has no end")),
            result => result.map(|calls| Turn { text: self.text, calls }),
        };
        Outcome::new(result, usage)
    }

    /// A guardrail's word stands all the same.
    fn broken_off(self, error: InvokeError) -> Outcome<Turn> {
        let has_begun = self.begun > 0 || !self.text.is_empty();
        let usage = failure::used_before(&error, self.used, has_begun);
        let is_blocked = self.stopped == Some(Stop::Blocked);
        Outcome::new(Err(if is_blocked { InvokeError::Guardrail } else { error }), usage)
    }

    fn used(&self) -> TokenUse {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use router_core::outcome::Reason;
    use serde_json::{Value, json};

    use super::*;

    fn event(name: &str, payload: Value) -> Event {
        Event { name: name.to_owned(), payload }
    }

    fn start(role: &str) -> Event {
        event("messageStart", json!({ "role": role }))
    }

    fn text(text: &str) -> Event {
        event("contentBlockDelta", json!({ "contentBlockIndex": 0, "delta": { "text": text } }))
    }

    fn stop(reason: &str) -> Event {
        event("messageStop", json!({ "stopReason": reason }))
    }

    fn metadata(input: u64, output: u64) -> Event {
        let usage = json!({ "inputTokens": input, "outputTokens": output });
        event("metadata", json!({ "usage": usage, "metrics": { "latencyMs": 1 } }))
    }

    fn hook() -> Event {
        event("hookEvent", json!({ "hookEventId": "h", "name": "n", "type": "after_invocation" }))
    }

    fn read(events: impl IntoIterator<Item = Event>) -> AnswerReader {
        let mut reading = AnswerReader::default();
        events.into_iter().for_each(|event| reading.take(event).unwrap());
        reading
    }

    /// An answer of one model call that stopped for this reason.
    fn stopped(reason: &str) -> [Event; 4] {
        [start("assistant"), text("It is 7."), stop(reason), metadata(30, 4)]
    }

    /// The stream of a harness that calls a tool, as it was recorded.
    fn with_a_tool() -> Vec<Event> {
        let tool = json!({ "start": { "toolUse": { "toolUseId": "t", "name": "x" } } });
        let result = json!({ "delta": { "toolResult": [{ "text": "7" }] } });
        vec![
            start("assistant"),
            text("Let me see."),
            event("contentBlockStop", json!({})),
            event("contentBlockStart", tool),
            event("contentBlockDelta", json!({ "delta": { "toolUse": { "input": "{}" } } })),
            stop("tool_use"),
            metadata(300, 20),
            hook(),
            start("user"),
            event("contentBlockStart", json!({ "start": { "toolResult": { "toolUseId": "t" } } })),
            event("contentBlockDelta", result),
            text("what a tool answered"),
            stop("tool_result"),
            start("assistant"),
            event(
                "contentBlockDelta",
                json!({ "delta": { "reasoningContent": { "text": "Hm" } } }),
            ),
            text("It is"),
            text(" 7."),
            stop("end_turn"),
            metadata(400, 30),
            hook(),
        ]
    }

    #[test]
    fn the_assistants_last_message_is_the_answer_and_each_model_call_is_counted() {
        let outcome = read(with_a_tool()).finish();
        assert_eq!(outcome.result.unwrap(), "It is 7.");
        assert_eq!(outcome.usage, Usage::Reported(TokenUse::new(700, 50)));
    }

    #[test]
    fn cached_tokens_count() {
        let usage = json!({ "inputTokens": 3, "outputTokens": 4, "totalTokens": 57,
            "cacheReadInputTokens": 20, "cacheWriteInputTokens": 30 });
        let [a, b, c, _] = stopped("end_turn");
        let used = read([a, b, c, event("metadata", json!({ "usage": usage }))]).finish().usage;
        assert!(matches!(used, Usage::Reported(used) if used.total() == Tokens(57)));
    }

    #[test]
    fn the_reason_of_the_last_stop_tells_whether_there_is_an_answer() {
        for reason in ["end_turn", "stop_sequence"] {
            assert_eq!(read(stopped(reason)).finish().result.unwrap(), "It is 7.");
        }
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
                    "",
                    "what_is_to_come",
                ][..],
                Reason::AgentError,
                false,
            ),
            (&["malformed_model_output", "malformed_tool_use"], Reason::AgentError, true),
            (&["guardrail_intervened", "content_filtered"], Reason::Guardrail, false),
            (&["hook_stopped"], Reason::AccessDenied, false),
            (&["tool_use"], Reason::AgentError, false),
        ] {
            for stop in stops {
                let outcome = read(stopped(stop)).finish();
                let error = outcome.result.unwrap_err();
                assert_eq!((error.reason(), error.is_retryable()), (reason, is_retried), "{stop}");
                assert_eq!(outcome.usage, Usage::Reported(TokenUse::new(30, 4)), "{stop}");
            }
        }
        let silent = event("messageStop", json!({}));
        let result = read([start("assistant"), text("x"), silent]).finish().result;
        assert!(matches!(result, Err(InvokeError::GaveUp)));
    }

    #[test]
    fn a_message_that_began_has_to_end_and_an_answer_too() {
        let outcome = read([start("assistant"), text("It"), metadata(30, 4)]).finish();
        assert!(matches!(outcome.result, Err(InvokeError::StreamBroken(_))));
        assert_eq!(outcome.usage, Usage::AtLeast(TokenUse::new(30, 4)));
        let half = with_a_tool().into_iter().take(9);
        assert!(matches!(read(half).finish().result, Err(InvokeError::StreamBroken(_))));
        assert!(matches!(read([text("It")]).finish().result, Err(InvokeError::StreamBroken(_))));
        assert!(matches!(read([]).finish().result, Err(InvokeError::EmptyAnswer)));
        let without_text = [start("assistant"), stop("end_turn")];
        assert!(matches!(read(without_text).finish().result, Err(InvokeError::EmptyAnswer)));
    }

    #[test]
    fn a_model_call_that_does_not_tell_what_it_used_makes_the_usage_unknown() {
        let known = Usage::AtLeast(TokenUse::new(400, 30));
        let mut events = with_a_tool();
        events.remove(6);
        assert_eq!(read(events).finish().usage, known);
        for metadata in [json!({}), json!({ "usage": {} }), json!({ "usage": null }), json!(null)] {
            let mut events = with_a_tool();
            events[6] = event("metadata", metadata);
            assert_eq!(read(events).finish().usage, known);
        }
    }

    #[test]
    fn a_stream_that_breaks_off_is_no_answer_and_its_usage_is_a_part() {
        let usage = |events: usize, error| {
            read(with_a_tool().into_iter().take(events)).broken_off(error).usage
        };
        assert_eq!(usage(10, InvokeError::Throttled), Usage::AtLeast(TokenUse::new(300, 20)));
        assert_eq!(usage(0, InvokeError::Conflict), Usage::NotRun);
        assert_eq!(usage(1, InvokeError::Conflict), Usage::UNKNOWN);
        let blocked = read([start("assistant"), stop("guardrail_intervened")]);
        let outcome = blocked.broken_off(InvokeError::Throttled);
        assert!(matches!(outcome.result, Err(InvokeError::Guardrail)));
    }

    #[test]
    fn a_call_goes_too_far_when_the_assistant_begins_again_with_too_many_tokens() {
        let reading = read(with_a_tool().into_iter().take(8));
        assert!(reading.goes_too_far(&start("assistant"), Tokens(319)));
        assert!(!reading.goes_too_far(&start("assistant"), Tokens(320)));
        assert!(!reading.goes_too_far(&start("user"), Tokens(319)), "a tool may still answer");
        assert!(!reading.goes_too_far(&text("the answer"), Tokens(319)), "it is kept");
    }

    #[test]
    fn an_answer_has_a_limit_however_many_pieces_it_comes_in() {
        let half = "a".repeat(MOST_ANSWER_BYTES / 2);
        let mut reading = read([start("assistant"), text(&half), text(&half)]);
        let error = reading.take(text("a")).unwrap_err();
        assert!(matches!(error, InvokeError::TooLong { limit: MOST_ANSWER_BYTES }));
        let mut reading = AnswerReader::default();
        let broken = reading.take(event("contentBlockDelta", Value::Null));
        assert!(matches!(broken, Err(InvokeError::StreamBroken(_))));
    }
}
