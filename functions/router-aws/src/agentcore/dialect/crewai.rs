//! CrewAI: the output of a crew, and the chunks of one that streams.
//!
//! ```json
//! {"raw": "It has shipped.", "tasks_output": […], "token_usage": {"prompt_tokens": 30, …}, …}
//! {"chunk_type": "text", "content": "It has ", "task_name": "…", "agent_role": "…", …}
//! {"chunk_type": "tool_call", "content": "", "tool_call": {…}, …}
//! ```
//!
//! The answer is `raw`, or the text chunks after the last tool. There is no end mark. `token_usage`
//! is that of the whole crew.

use serde_json::Value;

use super::Dialect;
use crate::agentcore::heard::Heard;
use crate::agentcore::usage::Told;

pub(super) const DIALECT: Dialect = Dialect { name: "CrewAI", read };

/// Fields of an output beside `raw`.
const OUTPUT: [&str; 5] = ["tasks_output", "token_usage", "json_dict", "pydantic", "agent"];

fn read(value: &Value, heard: &mut Heard) -> Option<()> {
    match value["chunk_type"].as_str().filter(|_| value["content"].is_string()) {
        Some("text") => heard.piece(
            value["task_name"].as_str().filter(|task| !task.is_empty()),
            value["content"].as_str().unwrap_or_default(),
        ),
        Some("tool_call") => heard.tool(),
        Some(_) => {}
        None => {
            let raw = value["raw"].as_str()?;
            let is_alone = value.as_object().is_some_and(|object| object.len() == 1);
            OUTPUT.iter().find(|name| is_alone || value.get(**name).is_some())?;
            heard.result(raw);
            heard.meter.total(Told::within(value));
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use router_core::charge::Usage;
    use router_core::units::TokenUse;
    use serde_json::json;

    use super::super::testing::{answer, told};
    use super::*;

    #[test]
    fn a_crews_output_is_its_raw_text_with_the_usage_of_all_its_tasks() {
        let task = json!({"raw": "state=shipped", "agent": "facts"});
        let output = json!({"raw": "It has shipped.", "pydantic": null, "json_dict": null, "tasks_output": [task],
            "token_usage": {"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34, "cached_prompt_tokens": 0}});
        let whole = told(&DIALECT, &[output]);
        assert_eq!(whole.answer.unwrap(), "It has shipped.");
        assert_eq!(whole.usage, Usage::Reported(TokenUse::new(30, 4)));
    }

    #[test]
    fn the_last_tasks_chunks_after_its_last_tool_are_the_answer() {
        let chunk = |task: &str, kind: &str, text: &str| json!({"task_name": task, "chunk_type": kind, "content": text});
        let events = [
            chunk("facts", "text", "state=shipped"),
            chunk("write", "text", "Let me see."),
            chunk("write", "tool_call", ""),
            chunk("write", "text", "It has "),
            chunk("write", "text", "shipped."),
        ];
        assert_eq!(answer(&DIALECT, &events), "It has shipped.");
    }
}
