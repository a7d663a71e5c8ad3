//! Messages as chat models and frameworks write them.
//!
//! A message says whose it is (`role`, or LangChain's `type`) and what is in it: a string, or blocks
//! each of which says what it is. Only blocks of text are text; thoughts, calls of tools and what
//! tools answered are not.

use serde_json::Value;

use super::heard::Heard;
use super::kind::{Kind, kind_of};
use super::usage::Told;

/// Names under which a block of the content says what it is.
const KINDS: [&str; 4] = ["type", "block_type", "part_kind", "kind"];

/// Whose a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Model,
    User,
    Tool,
    /// Instructions, and what is only for the framework.
    Other,
}

/// A message.
#[derive(Debug)]
pub(super) struct Message<'a> {
    value: &'a Value,
    role: Role,
    /// It is only a piece of a message.
    is_piece: bool,
    content: &'a Value,
}

impl<'a> Message<'a> {
    /// Reads a value that is a message; `None` for all else.
    pub(super) fn of(value: &'a Value) -> Option<Self> {
        let (value, class) = unwrapped(value);
        let object = value.as_object()?;
        let content = ["content", "parts", "blocks", "data", "text"]
            .iter()
            .find_map(|name| object.get(*name).filter(|it| !it.is_null()))
            .unwrap_or(&Value::Null);
        let kind = class.or_else(|| value["type"].as_str()).unwrap_or_default();
        let role = of_class(kind)
            .or_else(|| of_role(value["role"].as_str()?))
            .or_else(|| of_pydantic(value["kind"].as_str().filter(|_| content.is_array())?))?;
        let is_source = value["source"].as_str().is_some_and(|source| source == "user");
        let has_content = !content.is_null() || object.contains_key("content");
        (has_content || role == Role::Tool || calls_tools(value)).then_some(Self {
            value,
            role: if is_source { Role::User } else { role },
            is_piece: kind == "AIMessageChunk" || kind == "ModelClientStreamingChunkEvent",
            content,
        })
    }

    /// Hears a message that comes by itself, in the order in which the messages are written.
    pub(super) fn hear(&self, heard: &mut Heard) {
        self.hear_as(self.id(), heard);
    }

    fn hear_as(&self, id: Option<&str>, heard: &mut Heard) {
        let told = Told::within(self.value).or(Told::within(&self.value["metadata"]));
        // AutoGen writes the usage of the model call that wants a tool to the tool's message.
        if self.role == Role::Model || told != Told::Nothing {
            self.hear_usage(id, told, heard);
        }
        match self.role {
            Role::Model => {
                self.say(id, heard);
                if is_refusal(self.value) {
                    heard.stops(&"refusal".into());
                }
                heard.stops(self.stop_reason());
            }
            Role::Tool => heard.tool(),
            Role::User if has_tool_result(self.content) => heard.tool(),
            Role::User | Role::Other => {}
        }
    }

    /// Whether the model says something in it, and calls no tool.
    fn is_answer(&self) -> bool {
        self.role == Role::Model && !calls_tools(self.value) && !calls_tools_within(self.content)
    }

    fn say(&self, id: Option<&str>, heard: &mut Heard) {
        let text = text_of(self.content).unwrap_or_default();
        if !self.is_answer() {
            heard.tool();
        } else if self.is_piece {
            heard.piece(id, &text);
        } else {
            heard.message(&text);
        }
    }

    fn hear_usage(&self, id: Option<&str>, told: Told, heard: &mut Heard) {
        if self.is_piece {
            heard.meter.piece(id, told);
        } else {
            heard.message_used(id, told);
        }
    }

    /// What tells the message from others; Pydantic AI's have the time of their response.
    fn id(&self) -> Option<&'a str> {
        let names: &[&str] = match self.value["kind"].as_str() {
            Some("response") => &["provider_response_id", "timestamp"],
            _ => &["id"],
        };
        names.iter().find_map(|name| self.value[*name].as_str())
    }

    /// Why the model stopped, as LangChain passes it on from each provider.
    fn stop_reason(&self) -> &'a Value {
        let told = [&self.value["response_metadata"], self.value];
        let names = ["stopReason", "stop_reason", "finish_reason", "finishReason"];
        let mut reasons =
            told.into_iter().flat_map(|told| names.iter().map(move |name| &told[*name]));
        reasons.find(|reason| reason.is_string()).unwrap_or(&Value::Null)
    }
}

/// Hears all messages so far of a conversation: what came after the user's last one is the
/// answer. `None` if they are no messages.
pub(super) fn hear_conversation(messages: &[Value], heard: &mut Heard) -> Option<()> {
    let messages: Vec<Message<'_>> = messages.iter().filter_map(Message::of).collect();
    if messages.is_empty() {
        return None;
    }
    let is_question = |it: &Message<'_>| it.role == Role::User && !has_tool_result(it.content);
    let begin = messages.iter().rposition(is_question).map_or(0, |at| at + 1);
    heard.is_last_word(false);
    for (at, message) in messages.iter().enumerate().skip(begin) {
        // The same message stands at the same place whenever the conversation is sent again.
        let place = format!("message {at}");
        message.hear_as(message.id().or(Some(&place)), heard);
    }
    Some(())
}

/// The text in a message's content: a string, or its blocks of text. `None` if there is neither.
pub(super) fn text_of(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(blocks) => {
            let texts: Vec<String> = blocks.iter().filter_map(text_of).collect();
            (!texts.is_empty()).then(|| texts.concat())
        }
        Value::Object(block) => {
            let kind = KINDS.iter().find_map(|name| block.get(*name)?.as_str());
            match kind {
                None | Some("text" | "output_text" | "text_delta" | "textDelta" | "textBlock") => {}
                Some(_) => return None,
            }
            let role = content["role"].as_str();
            if is_thought(content) || role.is_some_and(|role| of_role(role) != Some(Role::Model)) {
                return None;
            }
            let text = ["text", "content"].iter().find_map(|name| text_of(block.get(*name)?));
            text.or_else(|| text_of(&content["citationsContent"]["content"]))
                .or_else(|| text_of(&content["root"]))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Whether a flag says that what is otherwise written as text is a thought, as Gemini does.
pub(super) fn is_thought(value: &Value) -> bool {
    let flags = ["thought", "thinking", "reasoning", "is_thought", "is_thinking", "is_reasoning"];
    flags.iter().any(|flag| value[*flag] == Value::Bool(true))
}

/// Whether the model refused to answer, in OpenAI's way: in a field of the message, or in a block.
pub(super) fn is_refusal(message: &Value) -> bool {
    let blocks = message["content"].as_array();
    message["refusal"].as_str().is_some_and(|words| !words.is_empty())
        || blocks.into_iter().flatten().any(|block| block["type"] == "refusal")
}

/// Hears the content of the model's message where it comes without the message: a list of blocks.
/// `None` if one of them is none.
pub(super) fn hear_blocks(items: &[Value], heard: &mut Heard) -> Option<()> {
    let is_inside = |item: &Value| {
        let kind = KINDS.iter().find_map(|name| item[*name].as_str());
        matches!(kind.and_then(kind_of), Some(Kind::Tool | Kind::Aside))
            || ["reasoningContent", "toolUse", "toolResult"].iter().any(|it| item[*it].is_object())
    };
    let is_block = |item: &Value| text_of(item).is_some() || is_inside(item);
    if !items.iter().all(is_block) {
        return None;
    }
    let content = Value::Array(items.to_vec());
    if calls_tools_within(&content) || has_tool_result(&content) {
        heard.tool();
    } else {
        heard.loose(&text_of(&content).unwrap_or_default());
    }
    Some(())
}

/// LangChain's ways to put a message's class beside its fields.
fn unwrapped(value: &Value) -> (&Value, Option<&str>) {
    let class = value["id"].as_array().and_then(|path| path.last()?.as_str());
    if value["kwargs"].is_object() && class.is_some() {
        (&value["kwargs"], class)
    } else if value["data"]["content"].is_null() {
        (value, None)
    } else {
        (&value["data"], value["type"].as_str())
    }
}

/// The role that LangChain's, AutoGen's or the Responses API's class of a message means.
fn of_class(class: &str) -> Option<Role> {
    Some(match class {
        "ai" | "AIMessage" | "AIMessageChunk" => Role::Model,
        "human" | "HumanMessage" | "HumanMessageChunk" => Role::User,
        "tool" | "ToolMessage" | "ToolMessageChunk" | "FunctionMessage" => Role::Tool,
        "system" | "SystemMessage" | "SystemMessageChunk" | "remove" => Role::Other,
        "TextMessage" | "StructuredMessage" | "ToolCallSummaryMessage" => Role::Model,
        "ModelClientStreamingChunkEvent" => Role::Model,
        "ToolCallRequestEvent" | "ToolCallExecutionEvent" => Role::Tool,
        "ThoughtEvent" | "StopMessage" | "HandoffMessage" | "MemoryQueryEvent" => Role::Other,
        "function_call" | "function_call_output" => Role::Tool,
        _ => return None,
    })
}

fn of_role(role: &str) -> Option<Role> {
    Some(match role {
        "assistant" | "ai" | "model" | "agent" | "ROLE_AGENT" => Role::Model,
        "user" | "human" | "ROLE_USER" => Role::User,
        "tool" | "function" => Role::Tool,
        "system" | "developer" => Role::Other,
        _ => return None,
    })
}

/// Pydantic AI has two kinds of messages; a request holds what tools answered, too.
fn of_pydantic(kind: &str) -> Option<Role> {
    Some(match kind {
        "response" => Role::Model,
        "request" => Role::User,
        _ => return None,
    })
}

/// Whether a message has a list of calls beside its content.
fn calls_tools(message: &Value) -> bool {
    let more = &message["additional_kwargs"];
    let lists = [
        &message["tool_calls"],
        &message["toolCalls"],
        &message["tool_call_chunks"],
        &more["tool_calls"],
        &more["tools"],
    ];
    lists.iter().any(|calls| calls.as_array().is_some_and(|calls| !calls.is_empty()))
        || message["function_call"].is_object()
}

/// Whether a block of the content is a call.
pub(super) fn calls_tools_within(content: &Value) -> bool {
    content.as_array().into_iter().flatten().any(|block| {
        let kind = ["type", "block_type", "part_kind"].iter().find_map(|it| block[*it].as_str());
        matches!(kind, Some("tool_use" | "toolUse" | "tool_call" | "tool-call" | "tool_call_chunk"))
            || ["toolUse", "functionCall", "function_call"].iter().any(|it| block[*it].is_object())
    })
}

/// Whether a block of the content is what a tool answered: it comes back to the model as a
/// message of the user.
fn has_tool_result(content: &Value) -> bool {
    content.as_array().into_iter().flatten().any(|block| {
        let kind = ["type", "part_kind"].iter().find_map(|it| block[*it].as_str());
        matches!(kind, Some("tool_result" | "tool-return" | "retry-prompt"))
            || ["toolResult", "functionResponse"].iter().any(|it| block[*it].is_object())
    })
}

#[cfg(test)]
mod tests {
    use router_core::charge::Usage;
    use router_core::units::TokenUse;
    use serde_json::json;

    use super::*;

    fn heard(message: &Value) -> Option<String> {
        let mut heard = Heard::default();
        Message::of(message)?.hear(&mut heard);
        heard.into_answer().ok()
    }

    #[test]
    fn the_models_message_is_its_text_however_it_is_framed() {
        for message in [
            json!({"role": "assistant", "content": "Hi"}),
            json!({"role": "assistant", "content": [{"text": "H"}, {"text": "i"}]}),
            json!({"role": "assistant", "content": [{"reasoningContent": {"reasoningText": {"text": "Hm"}}}, {"text": "Hi"}]}),
            json!({"role": "assistant", "content": [{"citationsContent": {"content": [{"text": "Hi"}], "citations": []}}]}),
            json!({"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "Hi"}]}),
            json!({"role": "assistant", "type": "message", "content": [{"type": "output_text", "text": "Hi", "annotations": []}]}),
            json!({"type": "ai", "content": "Hi", "tool_calls": []}),
            json!({"type": "ai", "data": {"content": "Hi"}}),
            json!({"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "AIMessage"], "kwargs": {"content": "Hi", "type": "ai"}}),
            json!({"role": "assistant", "blocks": [{"block_type": "text", "text": "Hi"}], "additional_kwargs": {"tools": []}}),
            json!({"role": "model", "parts": [{"text": "Hm", "thought": true}, {"text": "Hi"}]}),
            json!({"kind": "response", "parts": [{"part_kind": "thinking", "content": "Hm"}, {"part_kind": "text", "content": "Hi"}]}),
            json!({"role": "agent", "kind": "message", "parts": [{"kind": "text", "text": "Hi"}]}),
            json!({"source": "orders", "type": "TextMessage", "content": "Hi", "models_usage": null}),
        ] {
            assert_eq!(heard(&message).as_deref(), Some("Hi"), "{message}");
        }
    }

    #[test]
    fn a_message_that_calls_a_tool_or_is_not_the_models_is_no_answer() {
        for message in [
            json!({"role": "assistant", "content": "Hm", "tool_calls": [{"id": "1"}]}),
            json!({"role": "assistant", "content": [{"text": "Hm"}, {"toolUse": {"name": "x"}}]}),
            json!({"role": "assistant", "content": [{"type": "text", "text": "Hm"}, {"type": "tool_use", "name": "x"}]}),
            json!({"role": "model", "parts": [{"text": "Hm"}, {"functionCall": {"name": "x"}}]}),
            json!({"role": "user", "content": [{"toolResult": {"content": [{"text": "7"}]}}]}),
            json!({"role": "user", "content": "Where is it?"}),
            json!({"role": "system", "content": "You help."}),
            json!({"type": "tool", "content": "state=shipped", "tool_call_id": "1"}),
            json!({"type": "function_call", "name": "x", "arguments": "{}"}),
            json!({"type": "ThoughtEvent", "source": "orders", "content": "Hm"}),
            json!({"type": "TextMessage", "source": "user", "content": "Where is it?"}),
        ] {
            assert!(Message::of(&message).is_some(), "{message}");
            assert_eq!(heard(&message), None, "{message}");
        }
        for other in [json!({"role": "admin"}), json!({"content": "Hi"}), json!("assistant")] {
            assert!(Message::of(&other).is_none(), "{other}");
        }
    }

    #[test]
    fn of_a_conversation_only_what_came_after_the_users_last_question_is_the_answer() {
        let used = json!({"input_tokens": 3, "output_tokens": 4});
        let old = json!({"type": "ai", "content": "Hello.", "usage_metadata": used});
        let question = json!({"type": "human", "content": "Where is it?"});
        let call =
            json!({"type": "ai", "content": "Hm", "tool_calls": [{}], "usage_metadata": used});
        let tool = json!({"type": "tool", "content": "state=shipped"});
        let answer = json!({"type": "ai", "content": "Shipped.", "usage_metadata": used});
        let hear = |tellings: &[&[&Value]]| {
            let mut heard = Heard::default();
            for telling in tellings {
                let messages: Vec<Value> = telling.iter().map(|it| (*it).clone()).collect();
                hear_conversation(&messages, &mut heard).unwrap();
            }
            let usage = heard.meter.usage();
            (heard.into_answer().ok(), usage)
        };
        let all = [&old, &question, &call, &tool, &answer];
        let expected = (Some("Shipped.".to_owned()), Usage::Reported(TokenUse::new(6, 8)));
        assert_eq!(hear(&[&all]), expected);
        assert_eq!(
            hear(&[&all[..2], &all[..3], &all[..4], &all]),
            expected,
            "sent again and again"
        );
        assert_eq!(hear(&[&all[..2]]), (None, Usage::UNKNOWN));
        assert_eq!(hear(&[&all[..4]]).0, None);
    }

    #[test]
    fn usage_that_stands_in_a_tools_message_counts() {
        let used = json!({"prompt_tokens": 3, "completion_tokens": 4});
        let messages = [
            json!({"source": "user", "type": "TextMessage", "content": "Where is it?"}),
            json!({"source": "orders", "type": "ToolCallRequestEvent", "content": [{"name": "x"}], "models_usage": used}),
            json!({"source": "orders", "type": "ToolCallExecutionEvent", "content": [{"content": "state=shipped"}], "models_usage": null}),
            json!({"source": "orders", "type": "TextMessage", "content": "Shipped.", "models_usage": used}),
        ];
        let mut heard = Heard::default();
        hear_conversation(&messages, &mut heard).unwrap();
        assert_eq!(heard.meter.usage(), Usage::Reported(TokenUse::new(6, 8)));
        assert_eq!(heard.into_answer().unwrap(), "Shipped.");
    }

    #[test]
    fn a_message_that_is_the_last_word_tells_only_its_own_usage() {
        let message = json!({"role": "assistant", "content": "Hi",
            "metadata": {"usage": {"inputTokens": 3, "outputTokens": 4}}});
        let mut heard = Heard::default();
        heard.is_last_word(true);
        Message::of(&message).unwrap().hear(&mut heard);
        assert_eq!(heard.meter.usage(), Usage::AtLeast(TokenUse::new(3, 4)));
    }
}
