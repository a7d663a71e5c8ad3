//! What Python prints of an object.
//!
//! AgentCore's SDK for Python sends `str(value)` of what it cannot make JSON of, so a dictionary
//! with one object in it arrives as `"{'data': 'Hi', 'agent': <strands.Agent object at 0x7f…>}"`.
//! Such a print tells everything about the agent, its tools' results and thoughts included, so it
//! is never an answer. It is recognised by its beginning and its end together, so that a sentence
//! that quotes Python remains text.

/// Whether all of `text` is what Python, or JavaScript, prints of an object.
pub(super) fn is_print(text: &str) -> bool {
    let text = text.trim();
    is_container(text)
        || is_exception(text)
        || is_of_javascript(text)
        || is_call(text)
        || is_fields(text)
        || (text.starts_with('<') && text.ends_with('>') && is_tag(text))
        || is_summary(text)
        || is_pretty(text)
}

/// `{'key': …}`, `[{'key': …}]`, `('mode', {…})`, `[Message(…)]`, `(Message(…), {…})`, `b'…'`.
fn is_container(text: &str) -> bool {
    let within = |begin: &str, end: &str| text.starts_with(begin) && text.ends_with(end);
    let is_dictionary = within("{'", "}") && (text.contains("': ") || text.contains("', "));
    let list = text.strip_prefix(['[', '(']).filter(|_| text.ends_with([']', ')']));
    is_dictionary
        || within("[{'", "}]")
        || within("({'", ")")
        || (within("('", ")") && text.contains("', "))
        || (within("b'", "'") || within("b\"", "\"")) && text.contains("\\x")
        || list.is_some_and(begins_call)
        || list.is_some_and(|list| list.starts_with('<') && list.contains(" object at 0x"))
}

/// `AgentResult(stop_reason='end_turn', …)`.
fn is_call(text: &str) -> bool {
    text.ends_with(')') && begins_call(text)
}

/// `ValueError('…')`, as Python prints an exception, and `dict_keys([…])` and their like.
fn is_exception(text: &str) -> bool {
    const COLLECTIONS: [&str; 7] = [
        "dict_keys",
        "dict_values",
        "dict_items",
        "OrderedDict",
        "defaultdict",
        "deque",
        "Counter",
    ];
    text.ends_with(')')
        && text.split_once('(').is_some_and(|(class, _)| {
            let is_name = class.chars().all(|it| it.is_ascii_alphanumeric() || it == '_');
            let is_exception = ["Error", "Exception"].iter().any(|it| class.ends_with(it));
            is_name && (is_exception || COLLECTIONS.contains(&class))
        })
}

/// `[object Object]` and `undefined`, as JavaScript prints an object or none.
fn is_of_javascript(text: &str) -> bool {
    text == "undefined" || (text.starts_with("[object ") && text.ends_with(']'))
}

/// Whether a class's name, a bracket and a field's name stand at the beginning.
fn begins_call(text: &str) -> bool {
    text.split_once('(').is_some_and(|(class, fields)| {
        let name = class.rsplit('.').next().unwrap_or(class);
        name.starts_with(|first: char| first.is_ascii_uppercase())
            && class.chars().all(|it| it.is_ascii_alphanumeric() || matches!(it, '_' | '.'))
            && field(fields).is_some()
    })
}

/// `content='Hi' additional_kwargs={} …`, as Pydantic prints a model.
fn is_fields(text: &str) -> bool {
    let Some(value) = field(text) else { return false };
    let is_object = value.split_once('(').is_some_and(|(class, _)| {
        !class.is_empty() && class.chars().all(|it| it.is_ascii_alphanumeric() || it == '_')
    });
    let has_more = value.match_indices(' ').any(|(at, _)| field(&value[at + 1..]).is_some());
    match value.chars().next() {
        Some('\'' | '"') => has_more || value.ends_with(['\'', '"']),
        Some('<') => value.contains(" object at 0x") || value.contains(": "),
        Some(_) => has_more || is_object && value.ends_with(')'),
        None => false,
    }
}

/// The value of the field that `text` begins with, as in `name=value`.
fn field(text: &str) -> Option<&str> {
    let (name, value) = text.split_once('=')?;
    let is_name = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_');
    (is_name && !value.starts_with([' ', '='])).then_some(value)
}

/// `<strands.Agent object at 0x7f…>`, `<Status.COMPLETED: 'completed'>`, `<generator … at 0x7f…>`.
fn is_tag(text: &str) -> bool {
    let is_enumeration = text.split_once(": ").is_some_and(|(name, _)| {
        name.contains('.') && !name.contains(' ') && name[1..].starts_with(char::is_uppercase)
    });
    text.contains(" at 0x") || text.starts_with("<class '") || is_enumeration
}

/// `===== Ai Message =====\n\n…`, as LangChain prints a message for reading.
fn is_pretty(text: &str) -> bool {
    let title = text.lines().next().unwrap_or_default();
    title.starts_with("=====") && title.ends_with("=====") && title.contains(" Message ")
}

/// `RunResult:\n- Last agent: Agent(name="…", …)`, as the OpenAI agents SDK prints a run.
fn is_summary(text: &str) -> bool {
    text.starts_with("RunResult") && text.contains("\n- Last agent: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_print_is_recognised_whatever_kind_of_object_it_is_of() {
        for print in [
            "{'data': 'Hi', 'agent': <strands.agent.agent.Agent object at 0x7f00>}",
            "{'result': 'Hi', 'timestamp': datetime.datetime(2026, 11, 26, 0, 0)}",
            "[{'type': 'text', 'text': 'Hi'}]",
            "('updates', {'agent': {'messages': [AIMessage(content='Hi')]}})",
            "(AIMessageChunk(content='Hi', id='1'), {'langgraph_step': 1})",
            "[AIMessage(content='Hi')]",
            "AgentResult(stop_reason='end_turn', message={'role': 'assistant'})",
            "strands.types.Result(stop_reason='end_turn')",
            "content='Hi' additional_kwargs={} response_metadata={} id='run-1'",
            "meta=None content=[TextContent(type='text', text='Hi')] isError=False",
            "event=ModelRequestNode(request=ModelRequest())",
            "output='Hi'",
            "<generator object run at 0x7f00>",
            "<Status.COMPLETED: 'completed'>",
            "[<strands.agent.Agent object at 0x7f00>]",
            "b'rsn_\\x01\\x02'",
            "ValueError('no order')",
            "KeyError(17)",
            "dict_values(['a', 'b'])",
            "defaultdict(<class 'list'>, {})",
            "[object Object]",
            "undefined",
            "================== Ai Message ==================\n\nHi",
            "RunResult:\n- Last agent: Agent(name=\"Assistant\", ...)\n- Final output (str):\n    Hi",
        ] {
            assert!(is_print(print), "{print}");
            assert!(is_print(&format!("{print}\n")), "{print}");
        }
    }

    #[test]
    fn a_text_that_quotes_python_is_a_text() {
        for text in [
            "",
            "Hi",
            "{",
            "{}",
            "{\"a\": 1}",
            "x=5",
            "a = b",
            "Call Agent(name='x') and read {'a': 1} of it.",
            "Use `dict(a=1)`",
            "print(x=1)",
            "<b>bold</b>",
            "<order id=\"17\">shipped: yes</order>",
            "['a', 'b']",
            "(see 'orders', page 3)",
            "'quoted'",
            "https://example.com/?a='b'",
            "Order(17) has shipped (today)",
            "e=mc2 is famous",
            "ValueError('no order') is what it says",
            "The value is undefined",
            "print('hello')",
        ] {
            assert!(!is_print(text), "{text}");
        }
    }
}
