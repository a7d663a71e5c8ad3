//! Whom a decision of a supervisor chose.

use router_core::policy::Policy;
use router_core::supervisor::Turn;
use router_core::wire::tools::{Arguments, ToolRequest};

use crate::score::Chosen;

/// Whom the first call of a turn chose for a request that belongs to `expected`.
///
/// Of several tasks it is the first one's specialist. A router node that was named stands for whom the
/// router would ask, unless the node itself is expected. A text alone, another tool, a specialist that
/// the policy does not have, and a call that the router would refuse choose nobody.
pub fn choice(turn: &Turn, expected: &str, policy: &Policy) -> Chosen {
    let Some(call) = turn.calls.first() else { return Chosen::Nobody };
    let Ok(arguments) = &call.arguments else { return Chosen::Nobody };
    let request = ToolRequest::parse(&call.name, &Arguments::from_object(arguments), policy);
    let Ok(request) = request else { return Chosen::Nobody };
    let Some(task) = request.tasks().first() else { return Chosen::Nobody };
    if task.specialist == expected {
        return Chosen::Specialist(expected.to_owned());
    }
    match policy.resolve(&task.specialist, task.intent.as_deref()) {
        Some(specialist) => Chosen::Specialist(specialist.name.to_string()),
        None => Chosen::Nobody,
    }
}

#[cfg(test)]
mod tests {
    use router_core::supervisor::ToolCall;
    use serde_json::{Value, json};

    use super::*;
    use crate::run::tests::policy;

    const ONE: &str = "invoke_specialist_agent";

    fn call(name: &str, arguments: &Value) -> ToolCall {
        ToolCall::new("t".to_owned(), name.to_owned(), &arguments.to_string())
    }

    fn chosen(calls: Vec<ToolCall>, expected: &str) -> Option<String> {
        let turn = Turn { text: "Let me see.".to_owned(), calls };
        match choice(&turn, expected, &policy("")) {
            Chosen::Specialist(name) => Some(name),
            Chosen::Nobody => None,
            Chosen::NoDecision => panic!("there was a decision"),
        }
    }

    fn one(specialist: &str) -> ToolCall {
        call(ONE, &json!({ "specialist_type": specialist, "request": "Do it." }))
    }

    #[test]
    fn the_first_call_is_the_choice() {
        let calls = || vec![one("orders"), one("billing")];
        assert_eq!(chosen(calls(), "billing").as_deref(), Some("orders"));
        assert_eq!(chosen(calls(), "orders").as_deref(), Some("orders"));
    }

    #[test]
    fn of_several_tasks_the_first_one_counts() {
        let task = |name| json!({ "specialist_type": name, "request": "Do it." });
        for tasks in [
            json!([task("orders"), task("billing")]),
            Value::String(json!([task("orders")]).to_string()),
        ] {
            let several =
                call("invoke_specialists", &json!({ "tasks": tasks, "mode": "parallel" }));
            assert_eq!(chosen(vec![several], "billing").as_deref(), Some("orders"));
        }
    }

    #[test]
    fn a_node_stands_for_whom_the_router_would_ask_unless_the_node_is_expected() {
        let arguments = json!({ "specialist_type": "shop", "request": "Buy.", "intent": "gift" });
        let call = || vec![call(ONE, &arguments)];
        assert_eq!(chosen(call(), "shop/gifts").as_deref(), Some("shop/gifts"));
        assert_eq!(chosen(call(), "shop").as_deref(), Some("shop"));
        assert_eq!(chosen(call(), "orders").as_deref(), Some("shop/gifts"));
    }

    #[test]
    fn what_reaches_no_specialist_chooses_nobody() {
        for calls in [
            vec![],
            vec![one("astrology")],
            vec![one("Orders")],
            vec![call("read_scratchpad", &json!({ "keys": ["a"] })), one("orders")],
            vec![call("escalate_to_human", &json!({ "reason": "a", "summary": "b" }))],
            vec![call("no_such_tool", &json!({}))],
            vec![call(ONE, &json!({ "specialist_type": "orders" }))],
            vec![ToolCall::new("t".to_owned(), ONE.to_owned(), "orders, please")],
        ] {
            assert_eq!(chosen(calls.clone(), "orders"), None, "{calls:?}");
        }
    }
}
