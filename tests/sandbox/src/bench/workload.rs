//! What is measured with: a policy of so many specialists, agents that answer at once, and events.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

/// The policy whose specialists are `s000`, `s001`, …, with limits that no measurement reaches.
/// A tenant's block lasts for all of it: what drawing one costs depends on its size alone.
pub(super) fn policy(specialists: usize) -> String {
    let mut policy = "\
        [routing]\nfallback = \"s000\"\n\
        [session]\nmax_steps = 10_000\nmax_tokens = 1_000_000_000\nmax_cost_usd = 1_000_000\n\
        max_handoffs = 10_000\nmax_turns_per_specialist = 10_000\nmax_repeats = 5\n\
        [tenant_day]\nmax_cost_usd = 1_000_000\nblock_usd = 100\n"
        .to_owned();
    for specialist in names(specialists) {
        // Writing to a string does not fail.
        let _ = write!(
            policy,
            "[specialists.{specialist}]\ndescription = \"what {specialist} knows\"\n\
             intents = [\"ask_{specialist}\"]\nrequires_verified_identity = false\n\
             max_tokens_per_call = 8000\n\
             price = {{ input_usd_per_mtok = 3.0, output_usd_per_mtok = 15.0 }}\n"
        );
    }
    policy
}

/// The script of as many agents, which answer after `delay`.
pub(super) fn agents(specialists: usize, delay: Duration) -> String {
    let replies = format!(
        "[{{ answer = \"The parcel comes on Tuesday.\", delay_ms = {}, \
         usage = [{{ input = 300, output = 40 }}] }}]",
        delay.as_millis()
    );
    let agent = |name: String| {
        let id = name.to_uppercase();
        format!("[{name}]\nagent = \"AGENT{id}/LIVE000001\"\nreplies = {replies}\n")
    };
    names(specialists).map(agent).collect()
}

/// The event with which a supervisor asks the first specialist in its session's `step`th step.
pub(super) fn event(session: &str, step: usize) -> String {
    let request = request(step, 0);
    let arguments = [
        argument("specialist_type", "s000"),
        argument("request", &request),
        argument("intent", "ask_s000"),
        argument("confidence", "0.93"),
    ];
    call(session, "invoke_specialist_agent", arguments.into())
}

/// The event with which a supervisor asks the first `tasks` specialists at once in its session's
/// `step`th step.
pub(super) fn fan_out(session: &str, step: usize, tasks: usize) -> String {
    let task = |(place, name): (usize, String)| json!({ "specialist_type": name, "request": request(step, place), "task_id": name });
    let tasks: Value = names(tasks).enumerate().map(task).collect();
    let arguments = [argument("tasks", &tasks.to_string()), argument("mode", "parallel")];
    call(session, "invoke_specialists", arguments.into())
}

/// Each step asks something else: what is asked again is counted, and refused in the end.
fn request(step: usize, place: usize) -> String {
    format!("Where is parcel {step}-{place} of the customer, and when will it arrive?")
}

fn argument(name: &str, value: &str) -> Value {
    json!({ "name": name, "type": "string", "value": value })
}

fn call(session: &str, tool: &str, arguments: Vec<Value>) -> String {
    json!({
        "messageVersion": "1.0",
        "agent": { "name": "bench", "id": "SUPERVIS01", "alias": "LIVE000001", "version": "1" },
        "sessionId": session,
        "inputText": "Where are my parcels?",
        "sessionAttributes": { "tenant_id": "acme", "user_id": "user-17" },
        "promptSessionAttributes": {},
        "actionGroup": "specialists",
        "function": tool,
        "parameters": arguments,
    })
    .to_string()
}

fn names(specialists: usize) -> impl Iterator<Item = String> {
    (0..specialists).map(|number| format!("s{number:03}"))
}
