//! What Lambda calls the client context: a JSON object that an invocation may bring beside the
//! event, in which an AgentCore gateway names the tool.
//!
//! A caller may put anything there, and a gateway puts an object beside the tool's name as soon as
//! it passes headers on. So what can be read counts, and the rest is as if it were absent.

use serde_json::Value;

use crate::json::{self, kind};

/// The key of the client context in which an AgentCore gateway names the tool.
pub const GATEWAY_TOOL_NAME: &str = "bedrockAgentCoreToolName";

/// The tool that a client context names, or what was found in its place, for a message.
pub(super) fn gateway_tool(client_context: Option<&[u8]>) -> Result<String, &'static str> {
    let bytes = client_context.filter(|bytes| !bytes.is_empty()).ok_or("none")?;
    let context = json::read(bytes).map_err(|_| "one that is not JSON")?;
    match context.get("custom").and_then(|custom| custom.get(GATEWAY_TOOL_NAME)) {
        Some(Value::String(tool)) => Ok(tool.clone()),
        None => Err("one without it"),
        Some(other) => Err(kind(other)),
    }
}
