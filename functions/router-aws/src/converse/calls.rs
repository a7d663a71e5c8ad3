//! The calls of tools in one message, whose arguments come in pieces.

use router_core::invocation::InvokeError;
use router_core::supervisor::ToolCall;
use serde_json::Value;

use crate::frames::broken;

/// What a call takes beside its texts, so that no number of empty ones fills the memory.
const BYTES_OF_A_CALL: usize = 100;

/// The calls so far.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Call>,
    /// A piece came that belongs to none of them.
    has_lost_piece: bool,
}

#[derive(Debug)]
struct Call {
    /// The content block that it is. Blocks of several calls may come at once.
    block: Option<u64>,
    id: String,
    name: String,
    arguments: String,
    /// Whether its caller is to run the tool; otherwise a harness or a server of tools does.
    is_callers: bool,
}

impl Calls {
    /// A call begins in this content block.
    pub(super) fn begin(&mut self, block: &Value, call: &Value) {
        let text = |name: &str| call[name].as_str().unwrap_or_default().to_owned();
        self.calls.push(Call {
            block: block.as_u64(),
            id: text("toolUseId"),
            name: text("name"),
            arguments: String::new(),
            is_callers: call["type"].as_str().is_none_or(|kind| kind == "tool_use"),
        });
    }

    /// Takes a piece of the arguments of the call in this content block.
    pub(super) fn add(&mut self, block: &Value, piece: &str) {
        match self.calls.iter_mut().rfind(|call| call.block == block.as_u64()) {
            Some(call) => call.arguments.push_str(piece),
            None => self.has_lost_piece = true,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// How many bytes are kept.
    pub(super) fn len(&self) -> usize {
        let len =
            |call: &Call| BYTES_OF_A_CALL + call.id.len() + call.name.len() + call.arguments.len();
        self.calls.iter().map(len).sum()
    }

    /// All calls, in the order in which they began.
    ///
    /// # Errors
    ///
    /// [`InvokeError::StreamBroken`] where one could not be answered or a part of it is missing, and
    /// [`InvokeError::ReturnedControl`] where one is of a tool that is not the caller's.
    pub(super) fn finish(self) -> Result<Vec<ToolCall>, InvokeError> {
        let is_nameless = |call: &Call| call.id.is_empty() || call.name.is_empty();
        if self.has_lost_piece || self.calls.iter().any(is_nameless) {
            return Err(broken("a call of a tool could not be read"));
        }
        if !self.calls.iter().all(|call| call.is_callers) {
            return Err(InvokeError::ReturnedControl);
        }
        let call = |Call { id, name, arguments, .. }| ToolCall::new(id, name, &arguments);
        Ok(self.calls.into_iter().map(call).collect())
    }
}
