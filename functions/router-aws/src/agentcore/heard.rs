//! What was heard of an answer, whatever dialect it came in.
//!
//! The dialects say what the things are that an agent sends: a piece of the model's message, the
//! call of a tool, the end of the run. Here stands what follows from it for the answer:
//!
//! - What the agent calls its result overrides the model's last message, and that overrides pieces
//!   that nothing assigns to a message.
//! - What was said before a tool was called is no answer.
//! - Where a dialect has an end mark, a message without it is half a message.

use std::collections::BTreeSet;

use router_core::error::Cause;
use router_core::invocation::InvokeError;
use serde_json::Value;

use super::meter::Meter;
use super::pieces::Pieces;
use super::python;
use super::usage::Told;
use crate::failure;

/// An answer as far as it was heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// What the answer reports of its tokens.
    pub(super) meter: Meter,
    /// A message tells the usage of its own model call, which may be one of several.
    is_last_word: bool,
    result: Pieces,
    message: Message,
    loose: Pieces,
    /// Names of messages of others.
    not_the_models: BTreeSet<String>,
    unfinished: BTreeSet<&'static str>,
    failure: Option<InvokeError>,
    is_blocked: bool,
    is_handed_back: bool,
    has_unknown: bool,
    begins_call: bool,
}

/// The model's last message.
#[derive(Debug, Default)]
struct Message {
    id: Option<String>,
    text: String,
    is_complete: bool,
    /// The model had to stop before it was done.
    is_cut_off: bool,
}

/// What a string of an agent is.
#[derive(Debug)]
enum Said {
    Text,
    /// What Python or JavaScript prints of an object.
    Print,
    /// What Python, JavaScript or an SDK writes of an exception.
    Failure(InvokeError),
}

impl Said {
    fn of(text: &str) -> Self {
        if failure::is_written_exception(text) {
            Self::Failure(failure::told(text))
        } else if python::is_print(text) {
            Self::Print
        } else {
            Self::Text
        }
    }
}

impl Heard {
    /// Whether what is heard now is all that the agent sent, or the result that it names. A message
    /// in its place is the last of perhaps many. Gives what was so before.
    pub(super) fn is_last_word(&mut self, is_so: bool) -> bool {
        std::mem::replace(&mut self.is_last_word, is_so)
    }

    /// What the model call of a message used.
    pub(super) fn message_used(&mut self, id: Option<&str>, told: Told) {
        self.meter.message(id, if self.is_last_word { told.one_of_several() } else { told });
    }

    /// A model call begins, and with it a message.
    pub(super) fn call_begins(&mut self) {
        self.meter.call_begins();
        self.begins_call = true;
        self.forget_words();
    }

    /// A piece of the model's message; of another one than before, if it has another name or the
    /// one before was complete.
    pub(super) fn piece(&mut self, id: Option<&str>, text: &str) {
        if id.is_some_and(|id| self.not_the_models.contains(id)) {
            return;
        }
        let is_other =
            id.is_some() && self.message.id.is_some() && self.message.id.as_deref() != id;
        if is_other || self.message.is_complete {
            self.message = Message::default();
        }
        if let Some(id) = id {
            self.message.id = Some(id.to_owned());
        }
        self.message.text.push_str(text);
    }

    /// The message of this name is the user's or a tool's; its pieces come after this.
    pub(super) fn is_not_the_models(&mut self, id: &str) {
        self.not_the_models.insert(id.to_owned());
    }

    /// All of a message of the model, in which it calls no tool.
    pub(super) fn message(&mut self, text: &str) {
        let before = std::mem::take(&mut self.message);
        self.message = match before.is_complete {
            false if text.is_empty() => Message { is_complete: true, ..before },
            false => Message { text: text.to_owned(), is_complete: true, ..before },
            true => Message { text: text.to_owned(), is_complete: true, ..Message::default() },
        };
    }

    /// A tool is called, or has answered.
    pub(super) fn tool(&mut self) {
        self.forget_words();
    }

    /// A piece of text that nothing assigns to a message.
    pub(super) fn loose(&mut self, text: &str) {
        match Said::of(text) {
            Said::Text => self.loose.add(text),
            Said::Print => {}
            Said::Failure(error) => self.failure = Some(error),
        }
    }

    /// What the agent calls its result, or a piece of it.
    pub(super) fn result(&mut self, text: &str) {
        match Said::of(text) {
            Said::Text => self.result.add(text),
            Said::Print => {}
            Said::Failure(error) => self.failure = Some(error),
        }
    }

    /// Another result comes in place of the one before.
    pub(super) fn forget_result(&mut self) {
        self.result = Pieces::default();
    }

    /// Why the model stopped, in whatever spelling: `max_tokens`, `maxTokens`, `MAX_TOKENS`.
    pub(super) fn stops(&mut self, reason: &Value) {
        let reason = reason.as_str().unwrap_or_default();
        let reason = reason.replace(['_', '-'], "").to_ascii_lowercase();
        match reason.as_str() {
            "guardrailintervened"
            | "contentfiltered"
            | "contentfilter"
            | "safety"
            | "prohibitedcontent"
            | "blocklist"
            | "refusal" => self.is_blocked = true,
            "maxtokens"
            | "length"
            | "maxoutputtokens"
            | "modelcontextwindowexceeded"
            | "contextwindowexceeded" => self.message.is_cut_off = true,
            "tooluse" | "toolcalls" | "functioncall" => self.tool(),
            _ => {}
        }
    }

    /// The agent failed. What it says of it tells whether it was throttled, and is not kept.
    pub(super) fn fails(&mut self, words: &Value) {
        self.failure = Some(failure::told(&words.to_string()));
    }

    /// The agent wants something of its caller before it goes on.
    pub(super) fn hands_back(&mut self) {
        self.is_handed_back = true;
    }

    /// Something has begun whose end `dialect` marks.
    pub(super) fn opens(&mut self, dialect: &'static str) {
        self.unfinished.insert(dialect);
    }

    /// What has begun is at its end.
    pub(super) fn ends(&mut self, dialect: &'static str) {
        self.unfinished.remove(dialect);
    }

    /// Something came that belongs to no dialect.
    pub(super) fn unknown(&mut self) {
        self.has_unknown = true;
    }

    /// The failure that the agent reported last; asked again, none.
    pub(super) fn take_failure(&mut self) -> Option<InvokeError> {
        self.failure.take()
    }

    /// Whether a model call has begun since this was asked.
    pub(super) fn take_begun(&mut self) -> bool {
        std::mem::take(&mut self.begins_call)
    }

    /// Whether a guardrail intervened.
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked
    }

    /// About how many bytes are kept: text, and the names of messages and model calls.
    pub(super) fn len(&self) -> usize {
        let texts = self.result.len() + self.message.text.len() + self.loose.len();
        let ids = self.message.id.as_deref().map_or(0, str::len);
        texts + ids + self.not_the_models.iter().map(String::len).sum::<usize>() + self.meter.len()
    }

    /// The answer, when the body has ended in order.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(super) fn into_answer(self) -> Result<String, InvokeError> {
        // What a guardrail leaves of an answer looks like one.
        if self.is_blocked {
            return Err(InvokeError::Guardrail);
        }
        let result = self.result.into_whole();
        if !result.is_empty() {
            // `str()` of a Strands result puts a line break after what the model said.
            let is_said = result.trim_end() == self.message.text;
            return Ok(if is_said { self.message.text } else { result });
        }
        if self.is_handed_back {
            return Err(InvokeError::ReturnedControl);
        }
        if let Some(dialect) = self.unfinished.first() {
            let cause = Cause::new("the answer has no end mark").code(Some(dialect));
            return Err(InvokeError::StreamBroken(cause));
        }
        if self.message.is_cut_off {
            return Err(InvokeError::GaveUp);
        }
        let texts = [self.message.text, self.loose.into_text()];
        match texts.into_iter().find(|text| !text.is_empty()) {
            Some(text) => Ok(text),
            None if self.has_unknown => Err(InvokeError::GaveUp),
            None => Err(InvokeError::EmptyAnswer),
        }
    }

    /// What was said so far is no answer.
    pub(super) fn forget_words(&mut self) {
        self.message = Message::default();
        self.loose = Pieces::default();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(hear: impl FnOnce(&mut Heard)) -> Result<String, InvokeError> {
        let mut heard = Heard::default();
        hear(&mut heard);
        heard.into_answer()
    }

    #[test]
    fn a_result_overrides_a_message_and_that_overrides_loose_pieces() {
        let all = |heard: &mut Heard| {
            heard.loose("Looking it up.");
            heard.piece(None, "It has ");
            heard.piece(None, "shipped.");
        };
        assert_eq!(answer(|heard| heard.loose("Hi")).unwrap(), "Hi");
        assert_eq!(answer(all).unwrap(), "It has shipped.");
        let with_result = answer(|heard| {
            all(heard);
            heard.result("Shipped.");
        });
        assert_eq!(with_result.unwrap(), "Shipped.");
    }

    #[test]
    fn the_last_message_is_the_answer_and_what_was_said_before_a_tool_is_not() {
        let named = answer(|heard| {
            heard.piece(Some("a"), "Let me see.");
            heard.piece(Some("b"), "It has ");
            heard.piece(Some("b"), "shipped.");
            heard.message("It has shipped.");
        });
        assert_eq!(named.unwrap(), "It has shipped.");
        let after_a_message = answer(|heard| {
            heard.message("Let me see.");
            heard.piece(None, "Done.");
        });
        assert_eq!(after_a_message.unwrap(), "Done.");
        let before_a_tool = answer(|heard| {
            heard.message("Let me see.");
            heard.loose("Let me see.");
            heard.tool();
        });
        assert!(matches!(before_a_tool, Err(InvokeError::EmptyAnswer)));
    }

    #[test]
    fn half_a_message_is_no_answer() {
        let unfinished = answer(|heard| {
            heard.opens("AG-UI");
            heard.piece(None, "It has");
        });
        assert!(matches!(unfinished, Err(InvokeError::StreamBroken(_))));
        let finished = answer(|heard| {
            heard.opens("AG-UI");
            heard.piece(None, "It has shipped.");
            heard.ends("AG-UI");
        });
        assert_eq!(finished.unwrap(), "It has shipped.");
        for reason in ["max_tokens", "maxTokens", "MAX_TOKENS", "length"] {
            let cut_off = answer(|heard| {
                heard.piece(None, "It has");
                heard.stops(&json!(reason));
            });
            assert!(matches!(cut_off, Err(InvokeError::GaveUp)), "{reason}");
        }
    }

    #[test]
    fn what_belongs_to_no_dialect_is_no_answer_and_does_no_harm_beside_one() {
        assert!(matches!(answer(Heard::unknown), Err(InvokeError::GaveUp)));
        let beside = answer(|heard| {
            heard.unknown();
            heard.loose("Hi");
        });
        assert_eq!(beside.unwrap(), "Hi");
        let print = answer(|heard| heard.loose("{'data': 'Hi', 'agent': <Agent object at 0x7f>}"));
        assert!(matches!(print, Err(InvokeError::EmptyAnswer)));
    }
}
