//! Reading the body of one answer: from bytes to values, which the dialects hear.

use std::mem;

use router_core::charge::Usage;
use router_core::invocation::{InvokeError, Outcome};
use router_core::units::Tokens;
use serde_json::Value;

use super::event_stream::{Decoder, Event};
use super::heard::Heard;
use super::kind::{Kind, kind_of};
use super::usage::Told;
use super::{dialect, json};
use crate::failure;

/// The most bytes of an answer that are kept. A reply to the supervisor has 25,000 at most.
const MOST_BYTES: usize = 2 * 1024 * 1024;
/// The most bytes of one event, or of a body, that are read at a time: it may hold much that is
/// not kept, such as what tools answered.
const MOST_UNREAD_BYTES: usize = 4 * MOST_BYTES;

/// An answer as far as it was read.
#[derive(Debug)]
pub(super) struct AnswerReader {
    form: Form,
    max_tokens: Tokens,
    heard: Heard,
    /// Strings hold values of a dialect, so that one of no dialect is no text.
    has_values_in_strings: bool,
    /// The data of an event was cut off JSON, or a piece of JSON that a model says.
    has_cut_off_data: bool,
}

/// What the bytes of the body are.
#[derive(Debug)]
enum Form {
    /// Server-sent events.
    Events(Decoder),
    /// One value, which is read when it is complete.
    Body { bytes: Vec<u8>, is_json: bool },
}

/// Where a string stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It is all of the body.
    Body,
    /// It is an event.
    Event,
    /// It is in a string, in which no further values are looked for.
    Inside,
}

impl AnswerReader {
    /// Begins to read a body of this content type.
    pub(super) fn new(content_type: &str, max_tokens: Tokens) -> Self {
        let content_type = content_type.trim().to_ascii_lowercase();
        let form = if content_type.starts_with("text/event-stream") {
            Form::Events(Decoder::default())
        } else {
            Form::Body { bytes: Vec::new(), is_json: content_type.contains("json") }
        };
        Self {
            form,
            max_tokens,
            heard: Heard::default(),
            has_values_in_strings: false,
            has_cut_off_data: false,
        }
    }

    /// Takes bytes in, split wherever the connection did.
    ///
    /// # Errors
    ///
    /// Why there will be no answer; what comes after need not be read.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), InvokeError> {
        let (events, unread) = match &mut self.form {
            Form::Events(decoder) => (decoder.take(bytes), decoder.len()),
            Form::Body { bytes: body, .. } => {
                body.extend_from_slice(bytes);
                (Vec::new(), body.len())
            }
        };
        if unread > MOST_UNREAD_BYTES {
            return Err(InvokeError::TooLong { limit: MOST_UNREAD_BYTES });
        }
        events.into_iter().try_for_each(|event| self.take_event(event, Place::Event))?;
        if self.heard.len() > MOST_BYTES {
            return Err(InvokeError::TooLong { limit: MOST_BYTES });
        }
        Ok(())
    }

    /// The body ended in order.
    pub(super) fn finish(mut self) -> Outcome {
        let form = mem::replace(&mut self.form, Form::Events(Decoder::default()));
        match form {
            Form::Events(decoder) => {
                let last = decoder.finish().map(|event| self.take_event(event, Place::Event));
                if let Some(Err(error)) = last {
                    return self.broken_off(error);
                }
            }
            Form::Body { bytes, is_json } => {
                self.heard.is_last_word(true);
                if let Err(error) = self.take_body(bytes, is_json) {
                    let is_blocked = self.heard.is_blocked();
                    let error = if is_blocked { InvokeError::Guardrail } else { error };
                    // A failure that was sent as a whole tells all of its usage.
                    return Outcome::new(Err(error), self.heard.meter.usage());
                }
            }
        }
        let usage = self.heard.meter.usage();
        let answer = if self.heard.len() > MOST_BYTES {
            Err(InvokeError::TooLong { limit: MOST_BYTES })
        } else {
            self.heard.into_answer()
        };
        let answer = match answer {
            Ok(text) if self.has_cut_off_data && json::parse_composite(&text).is_none() => {
                Err(InvokeError::Unreadable)
            }
            answer => answer,
        };
        // Of half an answer, only half of the usage may have come.
        let usage = match (&answer, usage) {
            (Err(InvokeError::StreamBroken(_)), Usage::Reported(used)) => Usage::AtLeast(used),
            (_, usage) => usage,
        };
        Outcome::new(answer, usage)
    }

    /// The body ended otherwise: text received before is no answer, and usage reported before
    /// is only a part. A guardrail's word stands all the same.
    pub(super) fn broken_off(self, error: InvokeError) -> Outcome {
        let used = self.heard.meter.used();
        let usage = match error {
            InvokeError::TooManyTokens { .. } => Usage::Cut(used),
            _ => failure::used_before(&error, used, self.heard.len() > 0),
        };
        let error = if self.heard.is_blocked() { InvokeError::Guardrail } else { error };
        Outcome::new(Err(error), usage)
    }

    fn take_event(&mut self, event: Event, place: Place) -> Result<(), InvokeError> {
        let data = as_text(event.data)?;
        // The ends that the SDK for TypeScript and OpenAI's API send.
        if data.is_empty() || data == "[DONE]" {
            return Ok(());
        }
        // An event's name says what its data is as a type in the data would.
        match kind_of(&String::from_utf8_lossy(&event.name)) {
            Some(Kind::Error) => {
                self.heard.fails(&Value::String(data));
                return self.check();
            }
            Some(Kind::Tool) => {
                self.heard.tool();
                return Ok(());
            }
            Some(Kind::Aside) => return self.take_aside(&data),
            Some(Kind::Event) if json::parse_composite(&data).is_none() => return Ok(()),
            _ => {}
        }
        match json::parse(&data) {
            Ok(Value::String(text)) => self.take_text(&text, place),
            Ok(Value::Null) => Ok(()),
            Ok(value @ (Value::Array(_) | Value::Object(_))) => self.take_value(&value),
            // Text may look like a number or a truth value, and is text all the same.
            Ok(Value::Bool(_) | Value::Number(_)) => self.take_text(&data, place),
            Err(error) => {
                self.has_cut_off_data |= error.is_eof() && data.starts_with("{\"");
                self.take_text(&data, place)
            }
        }
    }

    /// Takes data whose event is named as no part of the answer. Of them only usage counts, unless
    /// they say themselves what they are.
    fn take_aside(&mut self, data: &str) -> Result<(), InvokeError> {
        match json::parse_composite(data) {
            Some(value) if value["type"].is_string() => self.take_value(&value),
            Some(value) => {
                self.heard.meter.total(Told::within(&value));
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn take_body(&mut self, bytes: Vec<u8>, is_json: bool) -> Result<(), InvokeError> {
        let body = as_text(bytes)?;
        let body = body.strip_prefix('\u{feff}').unwrap_or(&body);
        if body.trim().is_empty() {
            return Ok(());
        }
        match json::parse(body) {
            Ok(Value::String(text)) => self.take_text(&text, Place::Body),
            Ok(Value::Null) => Ok(()),
            Ok(Value::Object(object)) if dialect::is_structured(&object) => {
                if !dialect::hear(&Value::Object(object), &mut self.heard) {
                    self.heard.result(body.trim());
                }
                self.check()
            }
            Ok(value @ (Value::Array(_) | Value::Object(_))) => self.take_value(&value),
            Ok(Value::Bool(_) | Value::Number(_)) => self.take_text(body, Place::Body),
            // The error itself may quote the body.
            Err(error) if is_json && is_broken_json(body, &error) => match lines_of_values(body) {
                Some(values) => {
                    self.heard.is_last_word(false);
                    values.iter().try_for_each(|value| self.take_value(value))
                }
                None => Err(InvokeError::Unreadable),
            },
            Err(_) => self.take_text(body, Place::Body),
        }
    }

    /// Takes a string, in which values of a dialect may stand once more: as JSON, line by line, or
    /// as server-sent events.
    fn take_text(&mut self, text: &str, place: Place) -> Result<(), InvokeError> {
        if place != Place::Inside {
            if let Some(events) = events_in(text) {
                self.heard.is_last_word(false);
                self.has_values_in_strings = true;
                return events
                    .into_iter()
                    .try_for_each(|event| self.take_event(event, Place::Inside));
            }
            let values = json::parse_composite(text).map(|value| vec![value]);
            if let Some(values) = values.or_else(|| lines_of_values(text)) {
                let heard = &mut self.heard;
                let are_known = values.iter().filter(|it| dialect::hear(it, heard)).count() > 0;
                if are_known || self.has_values_in_strings {
                    self.has_values_in_strings |= are_known;
                    return self.check();
                }
            }
        }
        self.heard.loose(text);
        self.check()
    }

    fn take_value(&mut self, value: &Value) -> Result<(), InvokeError> {
        let is_empty = value.as_object().is_some_and(serde_json::Map::is_empty);
        if !is_empty && !dialect::hear(value, &mut self.heard) {
            self.heard.unknown();
        }
        self.check()
    }

    /// What a value that was heard means for those that follow.
    fn check(&mut self) -> Result<(), InvokeError> {
        if let Some(error) = self.heard.take_failure() {
            return Err(error);
        }
        let goes_on = self.heard.take_begun();
        if goes_on && self.heard.meter.used().total() > self.max_tokens {
            return Err(InvokeError::TooManyTokens { max: self.max_tokens });
        }
        Ok(())
    }
}

/// Whether a body that is no JSON was to be some. The SDK for TypeScript says `application/json`
/// of plain text, too.
fn is_broken_json(body: &str, error: &serde_json::Error) -> bool {
    let body = body.trim_start();
    error.is_eof()
        || ["{\"", "{ \"", "[{", "[\"", "{}", "{\n"].iter().any(|it| body.starts_with(it))
}

/// The values in a string of several lines, each of which is a JSON object.
fn lines_of_values(text: &str) -> Option<Vec<Value>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let values: Option<Vec<Value>> = lines.map(json::parse_composite).collect();
    values.filter(|values| values.len() > 1 && values.iter().all(Value::is_object))
}

/// The server-sent events in a string that consists of them.
fn events_in(text: &str) -> Option<Vec<Event>> {
    let text = text.trim_start();
    let is_field = |line: &str| {
        ["data:", "event:", "id:", "retry:", ":"].iter().any(|it| line.starts_with(it))
    };
    let are_events = text.lines().all(|line| line.is_empty() || is_field(line))
        && text.lines().any(|line| line.starts_with("data:"))
        && text.ends_with('\n');
    are_events.then(|| {
        let mut decoder = Decoder::default();
        let mut events = decoder.take(text.as_bytes());
        events.extend(decoder.finish());
        events
    })
}

fn as_text(bytes: Vec<u8>) -> Result<String, InvokeError> {
    String::from_utf8(bytes).map_err(|_| InvokeError::Unreadable)
}

#[cfg(test)]
mod tests {
    use router_core::units::TokenUse;

    use super::*;

    const EVENTS: &str = "text/event-stream; charset=utf-8";
    const JSON: &str = "application/json";

    fn reported(input: u64, output: u64) -> Usage {
        Usage::Reported(TokenUse::new(input, output))
    }

    fn at_least(input: u64, output: u64) -> Usage {
        Usage::AtLeast(TokenUse::new(input, output))
    }

    /// Reads a body that comes in pieces of `size` bytes and ends in order.
    fn read_split(content_type: &str, body: &[u8], size: usize) -> Outcome {
        let mut reading = AnswerReader::new(content_type, Tokens(1_000));
        for bytes in body.chunks(size) {
            if let Err(error) = reading.take(bytes) {
                return reading.broken_off(error);
            }
        }
        reading.finish()
    }

    fn read(content_type: &str, body: &str) -> Outcome {
        read_split(content_type, body.as_bytes(), usize::MAX)
    }

    fn events(data: &[&str]) -> String {
        data.iter().map(|data| format!("data: {data}\n\n")).collect()
    }

    fn answer(outcome: Outcome) -> (String, Usage) {
        (outcome.result.unwrap(), outcome.usage)
    }

    fn error(outcome: Outcome) -> (InvokeError, Usage) {
        (outcome.result.unwrap_err(), outcome.usage)
    }

    #[test]
    fn parts_are_joined_even_where_a_character_is_split() {
        let body = events(&["\"a\u{e9}\"", "\u{1f642} b", "42", "true", "null", " c"]);
        for size in 1..body.len() {
            let (text, usage) = answer(read_split(EVENTS, body.as_bytes(), size));
            assert_eq!(text, "a\u{e9}\u{1f642} b42true c", "{size}");
            assert_eq!(usage, Usage::UNKNOWN);
        }
    }

    #[test]
    fn usage_of_the_last_event_is_of_the_whole_call() {
        let body = events(&[
            r#"{"text": "Hi", "usage": {"input_tokens": 3, "output_tokens": 1}}"#,
            r#"{"text": "!", "usage": {"input_tokens": 3, "output_tokens": 4}}"#,
        ]);
        assert_eq!(answer(read(EVENTS, &body)), ("Hi!".to_owned(), reported(3, 4)));
    }

    #[test]
    fn a_whole_text_overrides_its_parts() {
        let body = events(&[
            r#"{"event": "progress", "data": "Looking it up"}"#,
            r#"{"event": "complete", "result": "Done.", "usage": {"input_tokens": 3, "output_tokens": 4}}"#,
        ]);
        assert_eq!(answer(read(EVENTS, &body)), ("Done.".to_owned(), reported(3, 4)));
        let parts = events(&[r#"{"response": "Do"}"#, r#"{"response": "ne."}"#]);
        assert_eq!(answer(read(EVENTS, &parts)).0, "Done.");
    }

    /// What a Strands agent yields that its caller passes on: each text twice, once as Bedrock
    /// sent it, and once together with what may not be JSON.
    #[test]
    fn a_strands_stream_is_its_last_message_and_the_usage_of_all_its_model_invocations() {
        let body = events(&[
            r#"{"init_event_loop": true}"#,
            r#"{"event": {"messageStart": {"role": "assistant"}}}"#,
            r#"{"event": {"contentBlockDelta": {"delta": {"text": "Let me see."}}}}"#,
            r#""{'data': 'Let me see.', 'agent': <strands.agent.Agent object>}""#,
            r#"{"event": {"messageStop": {"stopReason": "tool_use"}}}"#,
            r#"{"event": {"metadata": {"usage": {"inputTokens": 300, "outputTokens": 20}}}}"#,
            r#"{"message": {"role": "user", "content": [{"toolResult": {"content": [{"text": "7"}]}}]}}"#,
            r#"{"event": {"messageStart": {"role": "assistant"}}}"#,
            r#"{"data": "It is", "delta": {"text": "It is"}}"#,
            r#"{"event": {"contentBlockDelta": {"delta": {"text": "It is"}}}}"#,
            r#"{"event": {"contentBlockDelta": {"delta": {"text": " 7."}}}}"#,
            r#"{"event": {"messageStop": {"stopReason": "end_turn"}}}"#,
            r#"{"event": {"metadata": {"usage": {"inputTokens": 400, "outputTokens": 30}}}}"#,
            r#"{"message": {"role": "assistant", "content": [{"text": "It is 7."}]}}"#,
        ]);
        assert_eq!(answer(read(EVENTS, &body)), ("It is 7.".to_owned(), reported(700, 50)));
    }

    #[test]
    fn another_model_invocation_is_not_waited_for_once_too_much_was_used() {
        let metadata =
            r#"{"event": {"metadata": {"usage": {"inputTokens": 900, "outputTokens": 101}}}}"#;
        let start = r#"{"event": {"messageStart": {"role": "assistant"}}}"#;
        let (error, usage) = error(read(EVENTS, &events(&[start, metadata, start])));
        assert!(matches!(error, InvokeError::TooManyTokens { max: Tokens(1_000) }));
        assert_eq!(usage, Usage::Cut(TokenUse::new(900, 101)));
        let said = events(&["\"Hi\"", metadata]);
        assert_eq!(answer(read(EVENTS, &said)), ("Hi".to_owned(), reported(900, 101)));
    }

    #[test]
    fn an_error_in_the_stream_is_a_failure_however_much_text_came_before() {
        let metadata =
            r#"{"event": {"metadata": {"usage": {"inputTokens": 5, "outputTokens": 2}}}}"#;
        let raised = r#"{"error": "boom", "error_type": "ValueError", "message": "An error occurred during streaming"}"#;
        let (failure, usage) = error(read(EVENTS, &events(&["\"Hi\"", metadata, raised])));
        assert!(matches!(failure, InvokeError::ServiceFault(_)));
        assert_eq!(usage, at_least(5, 2));
        for body in ["data: Hi\n\nevent: error\ndata: {\"error\":\"\"}", "event: error\ndata: boom"]
        {
            assert!(matches!(error(read(EVENTS, body)).0, InvokeError::ServiceFault(_)), "{body}");
        }
    }

    #[test]
    fn an_agent_that_was_throttled_says_so_with_the_name_of_an_exception() {
        for raised in [
            r#"{"error": "too fast", "error_type": "ModelThrottledException"}"#,
            r#"{"error": "An error occurred (ThrottlingException) when calling the Converse operation"}"#,
        ] {
            assert!(matches!(error(read(EVENTS, &events(&[raised]))).0, InvokeError::Throttled));
            assert!(matches!(error(read(JSON, raised)).0, InvokeError::Throttled));
        }
    }

    #[test]
    fn a_guardrails_word_stands_whatever_comes_with_it() {
        let stop = r#"{"event": {"messageStop": {"stopReason": "guardrail_intervened"}}}"#;
        let raised = r#"{"error": "boom"}"#;
        for body in [events(&["\"Sorry.\"", stop]), events(&[stop, raised])] {
            assert!(matches!(error(read(EVENTS, &body)).0, InvokeError::Guardrail), "{body}");
        }
        let body = r#"{"result": "Sorry.", "stop_reason": "guardrail_intervened",
            "usage": {"input_tokens": 3, "output_tokens": 0}}"#;
        let (failure, usage) = error(read(JSON, body));
        assert!(matches!(failure, InvokeError::Guardrail));
        assert_eq!(usage, reported(3, 0));
    }

    #[test]
    fn the_ends_that_some_servers_send_are_no_text() {
        let body = "data: Hi\n\nevent: done\ndata: {}\n\ndata: [DONE]\n\n";
        assert_eq!(answer(read(EVENTS, body)).0, "Hi");
    }

    #[test]
    fn an_object_of_no_dialect_is_no_answer_unless_it_is_flat_and_all_there_is() {
        let object = r#"{"verdict": "shipped"}"#;
        assert_eq!(answer(read(JSON, object)).0, object);
        let unknown = [
            read(EVENTS, &events(&[object])),
            read(EVENTS, &events(&[object, object])),
            read(JSON, r#"{"retrieve": {"documents": ["state=shipped"]}}"#),
            read(JSON, r#"{"detail": "db-internal-7 refused"}"#),
        ];
        for outcome in unknown {
            assert!(matches!(error(outcome).0, InvokeError::GaveUp));
        }
        assert_eq!(answer(read(EVENTS, &events(&[object, "\"Hi\""]))).0, "Hi");
    }

    #[test]
    fn a_body_is_json_or_a_plain_text() {
        let usage = r#""usage": {"input_tokens": 3, "output_tokens": 4}"#;
        let body = format!(r#"{{"result": {{"content": [{{"text": "Hi"}}]}}, {usage}}}"#);
        assert_eq!(answer(read(JSON, &body)), ("Hi".to_owned(), reported(3, 4)));
        assert_eq!(answer(read(JSON, "\"Hi\"")), ("Hi".to_owned(), Usage::UNKNOWN));
        assert_eq!(answer(read("text/plain", "Hi")).0, "Hi");
        assert_eq!(answer(read("", r#"{"output": "Hi"}"#)).0, "Hi");
        let split = read_split(JSON, "\"\u{e9}\u{1f642}\"".as_bytes(), 1);
        assert_eq!(answer(split).0, "\u{e9}\u{1f642}");
    }

    #[test]
    fn an_event_that_is_cut_off_is_no_text_but_for_a_piece_of_json_that_a_model_says() {
        for body in
            ["data: {\"text\": \"It has ship\n\n", "data: It has\n\ndata: {\"error\": \"bo\n\n"]
        {
            assert!(matches!(error(read(EVENTS, body)).0, InvokeError::Unreadable), "{body}");
        }
        let said = "data: {\"state\": \n\ndata: \"shipped\"}\n\n";
        let said = read(EVENTS, said).result;
        assert_eq!(said.unwrap(), "{\"state\": \"shipped\"}");
    }

    #[test]
    fn a_text_may_be_called_json_and_json_that_is_cut_off_is_no_text() {
        for text in ["Hi", "[Order 17](https://example.com) has shipped", "\"Shipped\", it says."] {
            assert_eq!(answer(read(JSON, text)).0, text);
        }
        for body in [r#"{"result": "Hi"#, r#"{"result": Hi}"#, "[", "\"Hi", "[{'text': 1}]"] {
            let (failure, usage) = error(read(JSON, body));
            assert!(matches!(failure, InvokeError::Unreadable), "{body}");
            assert_eq!(usage, Usage::UNKNOWN);
        }
    }

    #[test]
    fn values_may_come_line_by_line() {
        let lines = "{\"type\": \"token\", \"text\": \"Hi\"}\n{\"type\": \"done\"}\n";
        assert_eq!(answer(read("application/x-ndjson", lines)).0, "Hi");
        assert_eq!(answer(read("text/plain", lines)).0, "Hi");
        assert_eq!(answer(read(EVENTS, &events(&[&format!("{lines:?}")]))).0, "Hi");
    }

    #[test]
    fn events_may_stand_in_a_string_or_in_a_plain_text() {
        let inner = "event: token\ndata: {\"text\": \"Hi\"}\n\n";
        assert_eq!(answer(read(EVENTS, &events(&[&format!("{inner:?}")]))).0, "Hi");
        assert_eq!(answer(read(JSON, &format!("{inner:?}"))).0, "Hi");
        assert_eq!(answer(read("text/plain", inner)).0, "Hi");
        let failure = "event: error\ndata: {\"error\": \"boom\"}\n\n";
        let failed = read(EVENTS, &events(&["\"Hi\"", &format!("{failure:?}")]));
        assert!(matches!(error(failed).0, InvokeError::ServiceFault(_)));
        let text = "data: is a word, too.\nAnd more.";
        assert_eq!(answer(read("text/plain", text)).0, text);
    }

    #[test]
    fn json_that_a_model_said_is_a_text_unless_strings_hold_values() {
        let said = r#"{"order": {"id": 17}}"#;
        for body in
            [read(EVENTS, &events(&[&format!("{said:?}")])), read(JSON, &format!("{said:?}"))]
        {
            assert_eq!(answer(body).0, said);
        }
        let value = format!("{:?}", r#"{"text": "Hi"}"#);
        assert_eq!(answer(read(EVENTS, &events(&[&value, &format!("{said:?}")]))).0, "Hi");
    }

    #[test]
    fn an_events_name_says_what_a_type_in_its_data_would() {
        let body = "event: thinking\ndata: Hm\n\nevent: thinking\ndata: {\"text\": \"Hm\"}\n\nevent: message\ndata: Let me see.\n\n\
            event: tool_result\ndata: {\"content\": \"state=shipped\"}\n\nevent: message\ndata: Hi\n\n";
        assert_eq!(answer(read(EVENTS, body)).0, "Hi");
    }

    #[test]
    fn a_failure_that_is_sent_as_a_whole_tells_all_of_its_usage() {
        let body = r#"{"error": "boom", "usage": {"input_tokens": 3, "output_tokens": 4}}"#;
        let (failure, usage) = error(read(JSON, body));
        assert!(matches!(failure, InvokeError::ServiceFault(_)));
        assert_eq!(usage, reported(3, 4));
        assert_eq!(error(read(JSON, r#"{"error": "boom"}"#)).1, Usage::UNKNOWN);
    }

    #[test]
    fn nothing_is_no_answer_even_with_usage() {
        let usage = r#"{"usage": {"input_tokens": 3, "output_tokens": 0}}"#;
        for (content_type, body) in [
            (EVENTS, events(&[usage])),
            (EVENTS, events(&["\"\"", usage])),
            (JSON, format!(r#"{{"result": "", {}"#, &usage[1..])),
            (JSON, usage.to_owned()),
        ] {
            let (failure, usage) = error(read(content_type, &body));
            assert!(matches!(failure, InvokeError::EmptyAnswer), "{body}");
            assert_eq!(usage, reported(3, 0));
        }
        for (content_type, body) in
            [(EVENTS, ""), (EVENTS, ": ping\n\n"), (JSON, " "), (JSON, "null")]
        {
            let (failure, usage) = error(read(content_type, body));
            assert!(matches!(failure, InvokeError::EmptyAnswer), "{body}");
            assert_eq!(usage, Usage::UNKNOWN);
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_no_answer() {
        for (content_type, body) in [(EVENTS, &b"data: \xff\n\n"[..]), (JSON, b"\"\xff\"")] {
            let (failure, usage) = error(read_split(content_type, body, usize::MAX));
            assert!(matches!(failure, InvokeError::Unreadable));
            assert_eq!(usage, Usage::UNKNOWN);
        }
    }

    #[test]
    fn no_more_is_kept_of_an_answer_than_a_reply_has_room_for() {
        let text = events(&[&format!("{:?}", "x".repeat(MOST_BYTES / 8))]);
        let tool = events(&[&format!("{{\"type\": \"tool\", \"result\": {text:?}}}")]);
        let takes = |event: &str, times: usize| {
            let mut reading = AnswerReader::new(EVENTS, Tokens(1_000));
            (0..times).position(|_| reading.take(event.as_bytes()).is_err())
        };
        assert_eq!(takes(&text, 10), Some(8));
        assert_eq!(takes(&tool, 50), None, "what will not be used does not count");
        let body = format!("{{\"documents\": {:?}, \"result\": \"Hi\"}}", "x".repeat(MOST_BYTES));
        assert_eq!(answer(read(JSON, &body)).0, "Hi");
    }

    #[test]
    fn what_an_agent_reports_again_and_again_is_not_kept_without_end() {
        let usage =
            |_| r#"{"metadata": {"usage": {"inputTokens": 0, "outputTokens": 1}}}"#.to_owned();
        let long_id = |number| {
            let id = format!("{number:0>1000}");
            format!(r#"{{"type": "ai", "content": "", "id": "{id}", "usage_metadata": {{}}}}"#)
        };
        let event_of: [&dyn Fn(usize) -> String; 2] = [&usage, &long_id];
        for event in event_of {
            let mut reading = AnswerReader::new(EVENTS, Tokens(u64::MAX));
            let mut take = |number| reading.take(events(&[&event(number)]).as_bytes());
            let error = (0..50_000).find_map(|number| take(number).err());
            assert!(matches!(error, Some(InvokeError::TooLong { .. })), "{}", event(0));
        }
    }

    #[test]
    fn an_event_or_a_body_without_end_is_not_waited_for() {
        let piece = vec![b'x'; MOST_UNREAD_BYTES / 8];
        for (content_type, begin) in
            [(EVENTS, "data: "), (EVENTS, "data: y\n\ndata: "), (JSON, "\"")]
        {
            let mut reading = AnswerReader::new(content_type, Tokens(1_000));
            reading.take(begin.as_bytes()).unwrap();
            let failure = (0..10).find_map(|_| reading.take(&piece).err()).unwrap();
            assert!(matches!(failure, InvokeError::TooLong { limit: MOST_UNREAD_BYTES }));
        }
    }
}
