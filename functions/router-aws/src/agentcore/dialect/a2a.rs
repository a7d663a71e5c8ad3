//! A2A, the protocol between agents: messages, tasks and updates of tasks, bare or as the `result`
//! of JSON-RPC.
//!
//! ```json
//! {"kind": "message", "role": "agent", "parts": [{"kind": "text", "text": "It has shipped."}]}
//! {"kind": "task", "status": {"state": "completed"}, "artifacts": [{"parts": […]}]}
//! {"kind": "artifact-update", "artifact": {"artifactId": "a", "parts": […]}, "append": true}
//! {"kind": "status-update", "status": {"state": "completed"}, "final": true}
//! ```
//!
//! The answer is a task's artifacts, or the agent's message (which is read as messages are). A
//! task that is at work has to be completed. There is no usage.
//! <https://a2a-protocol.org/latest/specification/>

use serde_json::Value;

use super::Dialect;
use crate::agentcore::heard::Heard;
use crate::agentcore::message::text_of;

const NAME: &str = "A2A";

pub(super) const DIALECT: Dialect = Dialect { name: NAME, read };

/// The names that version 1.0 of the protocol has in place of kinds.
const WRAPPERS: [(&str, &str); 3] =
    [("task", "task"), ("artifactUpdate", "artifact-update"), ("statusUpdate", "status-update")];

fn read(value: &Value, heard: &mut Heard) -> Option<()> {
    let (kind, value) = match value["kind"].as_str() {
        Some(kind) => (kind, value),
        None => WRAPPERS.iter().find_map(|(name, kind)| {
            let only = value.as_object().filter(|object| object.len() == 1)?;
            Some((*kind, only.get(*name)?)).filter(|(_, value)| value.is_object())
        })?,
    };
    match kind {
        "task" => {
            hear_status(&value["status"], heard);
            let artifacts = value["artifacts"].as_array().into_iter().flatten();
            let texts: Vec<String> =
                artifacts.filter_map(|artifact| text_of(&artifact["parts"])).collect();
            if !texts.is_empty() {
                heard.message(&texts.concat());
            }
        }
        "artifact-update" => {
            let artifact = &value["artifact"];
            let text = text_of(&artifact["parts"]).unwrap_or_default();
            heard.piece(artifact["artifactId"].as_str(), &text);
        }
        "status-update" => hear_status(&value["status"], heard),
        _ => return None,
    }
    Some(())
}

fn hear_status(status: &Value, heard: &mut Heard) {
    heard.opens(NAME);
    // Version 1.0 writes `TASK_STATE_COMPLETED`.
    let state = status["state"].as_str().unwrap_or_default().to_ascii_lowercase();
    let state = state.strip_prefix("task_state_").unwrap_or(&state).replace('_', "-");
    match state.as_str() {
        "completed" => {
            heard.ends(NAME);
            if let Some(text) = text_of(&status["message"]["parts"]) {
                heard.message(&text);
            }
        }
        "input-required" | "auth-required" => heard.hands_back(),
        "failed" | "rejected" | "canceled" | "unknown" => heard.fails(status),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use router_core::invocation::InvokeError;
    use serde_json::json;

    use super::super::testing::{answer, told};
    use super::*;

    fn status(state: &str) -> Value {
        json!({"kind": "status-update", "status": {"state": state}})
    }

    fn artifact(text: &str) -> Value {
        json!({"kind": "artifact-update", "artifact": {"artifactId": "a", "parts": [{"kind": "text", "text": text}]}})
    }

    #[test]
    fn a_completed_tasks_artifacts_are_the_answer() {
        let task = json!({"kind": "task", "status": {"state": "completed"},
            "artifacts": [{"parts": [{"kind": "text", "text": "It has shipped."}]}]});
        assert_eq!(answer(&DIALECT, &[task]), "It has shipped.");
        let events =
            [status("working"), artifact("It has "), artifact("shipped."), status("completed")];
        assert_eq!(answer(&DIALECT, &events), "It has shipped.");
        let later = json!({"task": {"status": {"state": "TASK_STATE_COMPLETED"},
            "artifacts": [{"parts": [{"text": "It has shipped."}]}]}});
        assert_eq!(answer(&DIALECT, &[later]), "It has shipped.");
        let half = told(&DIALECT, &events[..3]);
        assert!(matches!(half.answer, Err(InvokeError::StreamBroken(_))));
    }

    #[test]
    fn a_task_that_failed_or_wants_something_is_no_answer() {
        let failed = told(&DIALECT, &[status("failed")]);
        assert!(matches!(failed.answer, Err(InvokeError::ServiceFault(_))));
        let asks = told(&DIALECT, &[artifact("Which order?"), status("input-required")]);
        assert!(matches!(asks.answer, Err(InvokeError::ReturnedControl)));
    }
}
