//! What is gathered from the body of one answer.

use std::mem;

use router_core::invocation::{InvokeError, Outcome, Usage};
use router_core::units::{TokenUse, Tokens};
use serde_json::Value;

use super::event_stream::{Decoder, Event};
use super::says::{Piece, Says};
use crate::failure;

/// The most bytes of an answer that are kept, and of an event or a body that is read. A reply to
/// the supervisor has 25,000 at most.
const MOST_BYTES: usize = 2 * 1024 * 1024;

/// An answer as far as it was read.
#[derive(Debug)]
pub(super) struct Reading {
    form: Form,
    max_tokens: Tokens,
    /// Pieces of the answer that were read.
    pieces: u64,
    texts: Texts,
    /// The first piece, if it says nothing that is known.
    unknown: Option<String>,
    /// What the agent says that the whole call used.
    declared: Option<(u64, u64)>,
    /// What its model invocations used that were reported one by one.
    counted: Option<(u64, u64)>,
    is_blocked: bool,
}

/// What the bytes of the body are.
#[derive(Debug)]
enum Form {
    /// Server-sent events.
    Events(Decoder),
    /// One value, which is read when it is complete.
    Body { bytes: Vec<u8>, is_json: bool },
}

impl Reading {
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
            pieces: 0,
            texts: Texts::default(),
            unknown: None,
            declared: None,
            counted: None,
            is_blocked: false,
        }
    }

    /// Takes bytes in, split wherever the connection did.
    ///
    /// # Errors
    ///
    /// Why there will be no answer; what comes after need not be read.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), InvokeError> {
        let events = match &mut self.form {
            Form::Events(decoder) => decoder.take(bytes),
            Form::Body { bytes: body, .. } => {
                body.extend_from_slice(bytes);
                Vec::new()
            }
        };
        for event in events {
            self.take_event(event)?;
        }
        let unread = match &self.form {
            Form::Events(decoder) => decoder.len(),
            Form::Body { bytes, .. } => bytes.len(),
        };
        if unread + self.texts.len() > MOST_BYTES {
            return Err(InvokeError::TooLong { limit: MOST_BYTES });
        }
        Ok(())
    }

    /// The body ended in order.
    pub(super) fn finish(mut self) -> Outcome {
        let form = mem::replace(&mut self.form, Form::Events(Decoder::default()));
        match form {
            Form::Events(decoder) => {
                if let Some(Err(error)) = decoder.finish().map(|event| self.take_event(event)) {
                    return self.broken_off(error);
                }
            }
            Form::Body { bytes, is_json } => {
                if let Err(error) = self.take_body(bytes, is_json) {
                    // A failure that was sent as a whole tells all of its usage.
                    return Outcome::new(Err(error), self.usage());
                }
            }
        }
        let usage = self.usage();
        let only_piece = self.unknown.filter(|_| self.pieces == 1);
        // What a guardrail leaves of an answer looks like one.
        let result = if self.is_blocked {
            Err(InvokeError::Guardrail)
        } else {
            self.texts.into_text().or(only_piece).ok_or(InvokeError::EmptyAnswer)
        };
        Outcome::new(result, usage)
    }

    /// The body ended otherwise: text received before is no answer, and usage reported before
    /// is only a part. A guardrail's word stands all the same.
    pub(super) fn broken_off(self, error: InvokeError) -> Outcome {
        let usage = match error {
            InvokeError::TooManyTokens { .. } => Usage::Cut(self.used()),
            _ => failure::used_before(&error, self.used(), self.texts.len() > 0),
        };
        let error = if self.is_blocked { InvokeError::Guardrail } else { error };
        Outcome::new(Err(error), usage)
    }

    fn take_event(&mut self, event: Event) -> Result<(), InvokeError> {
        let data = as_text(event.data)?;
        // The ends that the SDK for TypeScript and OpenAI's API send.
        if data.is_empty() || event.name == b"done" || data == "[DONE]" {
            return Ok(());
        }
        if event.name == b"error" {
            return Err(failure::told(&data));
        }
        match serde_json::from_str(&data) {
            // A text may look like a number or a truth value, and is a text all the same.
            Ok(Value::Bool(_) | Value::Number(_)) | Err(_) => {
                self.take_text(data);
                Ok(())
            }
            Ok(value) => self.take_value(&value, data),
        }
    }

    fn take_body(&mut self, bytes: Vec<u8>, is_json: bool) -> Result<(), InvokeError> {
        let body = as_text(bytes)?;
        if body.trim().is_empty() {
            return Ok(());
        }
        match serde_json::from_str(&body) {
            Ok(value) => self.take_value(&value, body),
            // The error itself may quote the body.
            Err(_) if is_json => Err(InvokeError::StreamBroken("the body is no JSON".into())),
            Err(_) => {
                self.take_text(body);
                Ok(())
            }
        }
    }

    fn take_text(&mut self, text: String) {
        self.pieces += 1;
        self.texts.add(Says::Part(text));
    }

    /// Takes a piece in whose text as it came is `raw`.
    fn take_value(&mut self, value: &Value, raw: String) -> Result<(), InvokeError> {
        let piece = Piece::of(value);
        if piece.begins_message {
            let used = self.used();
            if used.total() > self.max_tokens {
                return Err(InvokeError::TooManyTokens { max: self.max_tokens });
            }
            self.texts.begin_message();
        }
        self.pieces += 1;
        self.is_blocked |= piece.is_blocked;
        // The whole call's usage only grows, so the largest that was told is the last.
        self.declared = joined(self.declared, piece.usage, u64::max);
        self.counted = joined(self.counted, piece.model_usage, u64::saturating_add);
        if piece.failed {
            return Err(failure::told(&raw));
        }
        if piece == Piece::default() && value.is_object() {
            self.unknown = (self.pieces == 1).then_some(raw);
        } else if let Some(says) = piece.says {
            self.texts.add(says);
        }
        Ok(())
    }

    /// Of an answer that ended in order.
    fn usage(&self) -> Usage {
        if self.declared.is_none() && self.counted.is_none() {
            return Usage::UNKNOWN;
        }
        Usage::Reported(self.used())
    }

    fn used(&self) -> TokenUse {
        let (input, output) = joined(self.declared, self.counted, u64::max).unwrap_or_default();
        TokenUse::new(input, output)
    }
}

/// Input and output tokens of which one or both may be known.
fn joined(
    one: Option<(u64, u64)>,
    other: Option<(u64, u64)>,
    join: fn(u64, u64) -> u64,
) -> Option<(u64, u64)> {
    match (one, other) {
        (Some(one), Some(other)) => Some((join(one.0, other.0), join(one.1, other.1))),
        (one, other) => one.or(other),
    }
}

fn as_text(bytes: Vec<u8>) -> Result<String, InvokeError> {
    String::from_utf8(bytes)
        .map_err(|_| InvokeError::StreamBroken("the answer is no valid UTF-8".into()))
}

/// The texts of an answer. An agent may tell the same in more than one way, so each is kept for
/// itself.
#[derive(Debug, Default)]
struct Texts {
    whole: String,
    deltas: String,
    parts: String,
    message: String,
    /// The next delta begins a message.
    begins: bool,
}

impl Texts {
    fn add(&mut self, says: Says) {
        match says {
            Says::Whole(text) => self.whole.push_str(&text),
            Says::Delta(text) => {
                if mem::take(&mut self.begins) {
                    self.deltas.clear();
                }
                self.deltas.push_str(&text);
            }
            Says::Part(text) => self.parts.push_str(&text),
            Says::Message(text) => self.message = text,
        }
    }

    /// What a model said before it called a tool is no answer; what it says last is.
    fn begin_message(&mut self) {
        self.begins = true;
    }

    fn len(&self) -> usize {
        self.whole.len() + self.deltas.len() + self.parts.len() + self.message.len()
    }

    /// The text that tells most surely what the answer is.
    fn into_text(self) -> Option<String> {
        [self.whole, self.deltas, self.parts, self.message]
            .into_iter()
            .find(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
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
        let mut reading = Reading::new(content_type, Tokens(1_000));
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
    fn a_whole_text_goes_before_its_parts() {
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
    fn one_object_that_nobody_knows_is_the_answer_and_of_many_none_is() {
        let object = r#"{"verdict": "shipped"}"#;
        assert_eq!(answer(read(EVENTS, &events(&[object]))).0, object);
        assert_eq!(answer(read(JSON, object)).0, object);
        let many = events(&[r#"{"start": true}"#, r#"{"complete": true}"#]);
        assert!(matches!(error(read(EVENTS, &many)).0, InvokeError::EmptyAnswer));
    }

    #[test]
    fn a_body_is_json_or_a_plain_text() {
        let usage = r#""usage": {"input_tokens": 3, "output_tokens": 4}"#;
        let body = format!(r#"{{"result": {{"content": [{{"text": "Hi"}}]}}, {usage}}}"#);
        assert_eq!(answer(read(JSON, &body)), ("Hi".to_owned(), reported(3, 4)));
        assert_eq!(answer(read(JSON, "\"Hi\"")), ("Hi".to_owned(), Usage::UNKNOWN));
        assert_eq!(answer(read("text/plain", "Hi")).0, "Hi");
        assert_eq!(answer(read("", r#"{"output": "Hi"}"#)).0, "Hi");
        assert!(matches!(error(read(JSON, "Hi")).0, InvokeError::StreamBroken(_)));
        let split = read_split(JSON, "\"\u{e9}\u{1f642}\"".as_bytes(), 1);
        assert_eq!(answer(split).0, "\u{e9}\u{1f642}");
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
            assert!(matches!(failure, InvokeError::StreamBroken(_)));
            assert_eq!(usage, Usage::UNKNOWN);
        }
    }

    #[test]
    fn no_more_is_kept_of_an_answer_than_anybody_needs() {
        let piece = vec![b'x'; MOST_BYTES / 8];
        let endless = [&b"data: "[..], b"data: y\n\ndata: ", b"\""].map(|begin| {
            let mut reading =
                Reading::new(if begin[0] == b'"' { JSON } else { EVENTS }, Tokens(1_000));
            reading.take(begin).unwrap();
            (0..10).find_map(|_| reading.take(&piece).err()).unwrap()
        });
        for failure in endless {
            assert!(matches!(failure, InvokeError::TooLong { limit: MOST_BYTES }));
        }
        let mut reading = Reading::new(EVENTS, Tokens(1_000));
        let event = events(&[&format!("{:?}", "x".repeat(MOST_BYTES / 8))]);
        let kept = (0..10).position(|_| reading.take(event.as_bytes()).is_err());
        assert_eq!(kept, Some(8), "what was read and kept counts too");
        let mut reading = Reading::new(EVENTS, Tokens(1_000));
        for _ in 0..10 {
            let event = events(&[&format!("{{\"trace\": {:?}}}", "x".repeat(MOST_BYTES / 8))]);
            reading.take(event.as_bytes()).unwrap();
        }
    }
}
