//! The messages that a harness or a model is sent, and what the services check of them.
//!
//! The rules of a model are those that Bedrock names in its errors, whatever the model: both sides
//! take turns, no text is blank, each result answers a call of the turn before and each call is
//! answered, and there are tools where there are calls. The rules of a harness depend on its session
//! and stand in [`sessions`](super::sessions).

use serde::Deserialize;
use serde_json::Value;

/// Messages and tools of a request.
#[derive(Debug)]
pub(super) struct Dialogue {
    messages: Vec<Message>,
    /// The names of the tools that it offers.
    pub(super) tools: Vec<String>,
}

/// A message of the Converse API.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    role: String,
    content: Vec<Value>,
}

impl Message {
    fn is_users(&self) -> bool {
        self.role == "user"
    }

    fn blocks<'m>(&'m self, kind: &'m str) -> impl Iterator<Item = &'m Value> {
        self.content.iter().map(move |block| &block[kind]).filter(|block| !block.is_null())
    }

    fn text(&self) -> Option<String> {
        let texts: Vec<&str> = self.blocks("text").filter_map(Value::as_str).collect();
        (!texts.is_empty()).then(|| texts.join("\n"))
    }

    /// The ids of its calls (`toolUse`) or results (`toolResult`).
    fn ids(&self, kind: &str) -> Vec<String> {
        let ids = self.blocks(kind).map(|block| block["toolUseId"].as_str().unwrap_or_default());
        ids.map(str::to_owned).collect()
    }
}

impl Dialogue {
    /// What is said, and the tools that are offered.
    ///
    /// # Errors
    ///
    /// What the services refuse wherever it stands.
    pub(super) fn read(messages: Vec<Message>, tools: Vec<String>) -> Result<Self, String> {
        if messages.last().is_none_or(|last| !last.is_users()) {
            return Err("the conversation must end with a user message".to_owned());
        }
        for (at, message) in messages.iter().enumerate() {
            let is_role = message.is_users() || message.role == "assistant";
            if !is_role || (at > 0 && messages[at - 1].role == message.role) {
                return Err("the roles must alternate between user and assistant".to_owned());
            }
            let is_blank = |text: &Value| text.as_str().is_none_or(|text| text.trim().is_empty());
            if message.content.is_empty() || message.blocks("text").any(is_blank) {
                return Err(format!("the text field in messages.{at}.content is blank"));
            }
            let is_call = |call: &Value| is_name(&call["name"]) && call["input"].is_object();
            if !message.blocks("toolUse").all(is_call) {
                return Err(format!("a toolUse in messages.{at}.content is none"));
            }
            let has_content = |result: &Value| {
                result["content"].as_array().is_some_and(|content| !content.is_empty())
            };
            if !message.blocks("toolResult").all(has_content) {
                return Err(format!("a toolResult in messages.{at}.content has no content"));
            }
        }
        Ok(Self { messages, tools })
    }

    /// Checks what a model, which keeps nothing, is sent.
    pub(super) fn check_as_models(&self) -> Result<(), String> {
        if !self.messages.first().is_some_and(Message::is_users) {
            return Err("a conversation must start with a user message".to_owned());
        }
        let mut called: Vec<String> = Vec::new();
        for (at, message) in self.messages.iter().enumerate() {
            let (mut calls, mut results) = (message.ids("toolUse"), message.ids("toolResult"));
            if self.tools.is_empty() && !(calls.is_empty() && results.is_empty()) {
                return Err(
                    "The toolConfig field must be defined when using toolUse and toolResult \
                            content blocks."
                        .to_owned(),
                );
            }
            results.sort();
            if message.is_users() && results != called {
                return Err(format!(
                    "the toolResult blocks at messages.{at}.content must be those of the toolUse \
                     blocks of the previous turn: {called:?}, and are {results:?}"
                ));
            }
            calls.sort();
            if calls.windows(2).any(|pair| pair[0] == pair[1])
                || (message.is_users() && !calls.is_empty())
            {
                return Err(format!(
                    "messages.{at}.content contains toolUse blocks that are no call"
                ));
            }
            called = calls;
        }
        Ok(())
    }

    /// What the user asks: the text of the last message of theirs that has any.
    pub(super) fn asked(&self) -> Option<String> {
        self.messages.iter().rev().filter(|message| message.is_users()).find_map(Message::text)
    }

    /// How often the assistant has spoken.
    pub(super) fn turns(&self) -> u32 {
        let turns = self.messages.iter().filter(|message| !message.is_users()).count();
        u32::try_from(turns).unwrap_or(u32::MAX)
    }

    /// The ids that the last message brings results of.
    pub(super) fn results(&self) -> Vec<String> {
        self.messages.last().map(|last| last.ids("toolResult")).unwrap_or_default()
    }

    /// Whether the last message has a result in this form.
    pub(super) fn has_result_as(&self, form: &str) -> bool {
        let results = self.messages.last().into_iter().flat_map(|last| last.blocks("toolResult"));
        results
            .filter_map(|result| result["content"].as_array())
            .flatten()
            .any(|content| !content[form].is_null())
    }

    /// Whether the last message has both results and texts.
    pub(super) fn is_mixed(&self) -> bool {
        self.messages.last().is_some_and(|last| {
            last.blocks("text").next().is_some() && last.blocks("toolResult").next().is_some()
        })
    }

    /// The ids of the calls in the message before the last.
    pub(super) fn answered_calls(&self) -> Vec<String> {
        self.messages.iter().rev().nth(1).map(|before| before.ids("toolUse")).unwrap_or_default()
    }
}

/// Whether a tool can have this name.
pub(super) fn is_name(name: &Value) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    name.as_str().is_some_and(|name| (1..=64).contains(&name.len()) && name.bytes().all(is_letter))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(id: &str) -> Value {
        json!({ "toolUse": { "toolUseId": id, "name": "ask", "input": {} } })
    }

    fn result(id: &str) -> Value {
        json!({ "toolResult": { "toolUseId": id, "content": [{ "text": "{}" }] } })
    }

    fn text(text: &str) -> Value {
        json!({ "text": text })
    }

    /// Whether a model takes these messages, the user's first, with or without a tool.
    fn is_taken(messages: &[&[Value]], has_tools: bool) -> bool {
        let message = |(at, content): (usize, &&[Value])| Message {
            role: if at % 2 == 0 { "user" } else { "assistant" }.to_owned(),
            content: content.to_vec(),
        };
        let tools = if has_tools { vec!["ask".to_owned()] } else { Vec::new() };
        Dialogue::read(messages.iter().enumerate().map(message).collect(), tools)
            .and_then(|dialogue| dialogue.check_as_models())
            .is_ok()
    }

    #[test]
    fn a_model_takes_results_of_the_calls_of_the_turn_before_alone() {
        let hi = || vec![text("hi")];
        let both = [text("I ask."), call("1"), call("2")];
        assert!(is_taken(&[&hi()], false));
        assert!(is_taken(&[&hi(), &both, &[result("2"), result("1")]], true));
        assert!(is_taken(&[&hi(), &both, &[result("1"), result("2"), text("Well?")]], true));
        for messages in [
            [&both[..], &[result("1")][..]],
            [&both, &[result("1"), result("2"), result("3")]],
            [&both, &[result("1"), result("1")]],
            [&both, &[text("Never mind.")]],
            [&[text("No call.")], &[result("1")]],
            [&[call("1"), call("1")], &[result("1"), result("1")]],
        ] {
            assert!(!is_taken(&[&hi(), messages[0], messages[1]], true), "{messages:?}");
        }
    }

    #[test]
    fn a_model_takes_no_calls_without_tools() {
        let conversation: [&[Value]; 3] = [&[text("hi")], &[call("1")], &[result("1")]];
        assert!(is_taken(&conversation, true));
        assert!(!is_taken(&conversation, false));
    }

    #[test]
    fn nothing_is_blank_and_the_user_has_the_first_word_and_the_last() {
        assert!(!is_taken(&[&[text(" ")]], true));
        assert!(!is_taken(&[&[]], true));
        assert!(!is_taken(&[&[text("a")], &[text("b")]], true));
        for odd in [json!({ "name": "ask", "input": "" }), json!({ "name": "a b", "input": {} })] {
            let mut call = json!({ "toolUse": odd });
            call["toolUse"]["toolUseId"] = "1".into();
            assert!(!is_taken(&[&[text("a")], &[call], &[result("1")]], true));
        }
        let twice = |role: &str| Message { role: role.to_owned(), content: vec![text("a")] };
        assert!(Dialogue::read(vec![twice("user"), twice("user")], Vec::new()).is_err());
        assert!(Dialogue::read(vec![twice("system")], Vec::new()).is_err());
        let second = Dialogue::read(vec![twice("assistant"), twice("user")], Vec::new()).unwrap();
        assert!(second.check_as_models().is_err());
    }
}
