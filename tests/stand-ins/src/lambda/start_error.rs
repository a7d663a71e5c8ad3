//! Why a function does not start, as its last lines tell it.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::Value;

use super::FunctionError;

/// Why a function did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A process, its output file or its Runtime API could not be set up.
    #[error("the function's process cannot be started")]
    Io(#[from] io::Error),
    /// The process ended before it asked for its first event.
    #[error(
        "the function ended before its first event ({status}){}{}",
        reported_text(.reported.as_ref()),
        told(.output)
    )]
    Exited {
        /// How it ended.
        status: ExitStatus,
        /// What it told Lambda, if anything.
        reported: Option<FunctionError>,
        /// The last lines it wrote.
        output: String,
    },
    /// The process runs but did not ask for an event.
    #[error("the function did not ask for an event within {} s{}", .limit.as_secs(), told(.output))]
    Silent {
        /// How long it had.
        limit: Duration,
        /// The last lines it wrote.
        output: String,
    },
    /// The worker ended; a mistake of this module.
    #[error("the function's worker ended unexpectedly")]
    Worker,
}

fn reported_text(reported: Option<&FunctionError>) -> String {
    reported.map(|error| format!(": {error}")).unwrap_or_default()
}

/// The last lines for people, one below the other: of a JSON line its message, with the fields
/// that are not in it.
fn told(output: &str) -> String {
    output.lines().map(|line| format!("\n  {}", message(line))).collect()
}

fn message(line: &str) -> String {
    /// What every line has, and the setting, which its message names.
    const COMMON: [&str; 6] = ["level", "location", "message", "service", "setting", "timestamp"];
    let Ok(Value::Object(fields)) = serde_json::from_str(line) else { return line.to_owned() };
    let Some(message) = fields.get("message").and_then(Value::as_str) else {
        return line.to_owned();
    };
    let others = fields.iter().filter(|(name, _)| !COMMON.contains(&name.as_str()));
    let others: Vec<String> = others.map(|(name, value)| format!("{name}: {value}")).collect();
    if others.is_empty() {
        message.to_owned()
    } else {
        format!("{message} ({})", others.join(", "))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn what_a_function_said_before_it_ended_is_a_list_for_people() {
        let output = [
            r#"{"level":"ERROR","location":"f:5","message":"`a` is 0: it must be 1","service":"s","setting":"a","timestamp":"t"}"#,
            r#"{"level":"ERROR","message":"a panic","place":"src/main.rs:5:1","timestamp":"t"}"#,
            "memory allocation failed",
        ];
        let status = ExitStatus::from_raw(1 << 8);
        let error = StartError::Exited { status, reported: None, output: output.join("\n") };
        let expected = "the function ended before its first event (exit status: 1)\n  \
                        `a` is 0: it must be 1\n  \
                        a panic (place: \"src/main.rs:5:1\")\n  \
                        memory allocation failed";
        assert_eq!(error.to_string(), expected);
    }
}
