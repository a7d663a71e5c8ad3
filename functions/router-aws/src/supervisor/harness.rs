//! Supervisors that are AgentCore harnesses. The tools are inline functions: a call ends the
//! harness's turn, and its session waits for the result.
//!
//! The service documents that a result resumes the session if `tools` is repeated, that it must be
//! text, and that several calls may be handed over one by one. AWS's own client sends the calls
//! before their results (`bedrock-agentcore-sdk-typescript`, `strands/model.ts`), so this one does.
//!
//! In the last round nothing may be called, but results still resume the session: the tools whose
//! calls they answer are named once more, as such that cannot be called. What is allowed is named in
//! every call, since all tools are, with a shell among them, where nothing is.

use aws_sdk_bedrockagentcore::Client;
use aws_sdk_bedrockagentcore::config::{Builder, Region};
use aws_sdk_bedrockagentcore::error::BuildError;
use aws_sdk_bedrockagentcore::types::{
    HarnessContentBlock, HarnessConversationRole, HarnessInlineFunctionConfig, HarnessMessage,
    HarnessSystemContentBlock, HarnessTool, HarnessToolConfiguration, HarnessToolResultBlock,
    HarnessToolResultContentBlock, HarnessToolType, HarnessToolUseBlock, HarnessToolUseStatus,
    HarnessToolUseType,
};
use router_core::policy::AgentCoreAgent;
use router_core::supervisor::{Decided, Round};
use router_core::wire::tools::catalog;
use serde_json::{Value, json};

use super::conversation::{self, Block, Said};
use super::document::document;
use super::{Listener, not_run};
use crate::agentcore::baggage;
use crate::converse::TurnReader;
use crate::failure;
use crate::frames::{self, Frames, TakesBody};
use crate::harness::whole_seconds;

/// The name of no tool: an empty list of allowed ones may be taken for none given.
const NO_TOOL: &str = "no_tool";

/// Invokes harnesses.
#[derive(Clone, Debug)]
pub(super) struct HarnessSupervisor {
    client: Client,
}

impl HarnessSupervisor {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Makes one round, as [`Supervisor::decide`](router_core::supervisor::Supervisor::decide) does.
    pub(super) async fn decide(
        &self,
        harness: &AgentCoreAgent,
        round: &Round<'_>,
        heard: Listener<'_>,
    ) -> Decided {
        frames::read(round.into(), self.start(harness, round), TurnReader::new(heard)).await
    }

    async fn start(&self, harness: &AgentCoreAgent, round: &Round<'_>) -> Result<Frames, Decided> {
        let body = TakesBody::default();
        let said = conversation::all(conversation::unseen(round.messages), true);
        let messages: Result<Vec<_>, _> = said.iter().map(message).collect();
        // They have all that they need.
        let messages = messages.map_err(|_| not_run())?;
        let tools = tools(round).map_err(|_| not_run())?;
        // What is named once more for the sake of its results is not to be called again.
        let allowed = if round.tools.is_empty() {
            vec![NO_TOOL.to_owned()]
        } else {
            tools.iter().filter_map(|tool| tool.name.clone()).collect()
        };
        self.client
            .invoke_harness()
            .harness_arn(&harness.arn)
            .set_qualifier(harness.endpoint.clone())
            .runtime_session_id(round.session_id)
            .system_prompt(HarnessSystemContentBlock::Text(round.prompt.to_owned()))
            .set_messages(Some(messages))
            .set_tools(Some(tools))
            .set_allowed_tools(Some(allowed))
            .timeout_seconds(whole_seconds(round.timeout))
            .set_max_tokens(round.model.max_output_tokens.and_then(|most| most.try_into().ok()))
            .set_trace_parent(round.trace.map(|parent| parent.to_string()))
            .baggage(baggage(round.root_session))
            .customize()
            .interceptor(body.clone())
            .config_override(Builder::new().region(Region::new(harness.region.clone())))
            .send()
            .await
            .map_err(|error| failure::before_the_answer("AgentCore", error))?;
        Ok(body.frames())
    }
}

fn message(said: &Said<'_>) -> Result<HarnessMessage, BuildError> {
    let role = if said.is_users {
        HarnessConversationRole::User
    } else {
        HarnessConversationRole::Assistant
    };
    let blocks: Result<Vec<_>, _> = said.blocks.iter().map(block).collect();
    HarnessMessage::builder().role(role).set_content(Some(blocks?)).build()
}

fn block(block: &Block<'_>) -> Result<HarnessContentBlock, BuildError> {
    Ok(match block {
        Block::Text(text) => HarnessContentBlock::Text(text.to_string()),
        Block::Call(call) => HarnessContentBlock::ToolUse(
            HarnessToolUseBlock::builder()
                .tool_use_id(&call.id)
                .name(conversation::name(call))
                .input(document(&conversation::arguments(call)))
                .r#type(HarnessToolUseType::ToolUse)
                .build()?,
        ),
        Block::Result(result) => HarnessContentBlock::ToolResult(
            HarnessToolResultBlock::builder()
                .tool_use_id(&result.id)
                .content(HarnessToolResultContentBlock::Text(result.text.clone()))
                .status(if result.is_error {
                    HarnessToolUseStatus::Error
                } else {
                    HarnessToolUseStatus::Success
                })
                .r#type(HarnessToolUseType::ToolUse)
                .build()?,
        ),
    })
}

/// The tools of this round; in the last one those whose calls are answered.
fn tools(round: &Round<'_>) -> Result<Vec<HarnessTool>, BuildError> {
    if round.tools.is_empty() {
        let mut names: Vec<String> =
            conversation::answered_calls(round.messages).iter().map(conversation::name).collect();
        names.sort();
        names.dedup();
        let past = |name: &String| {
            inline_function(name, "It cannot be called any more.", &json!({ "type": "object" }))
        };
        return names.iter().map(past).collect();
    }
    let tool = |tool: &catalog::Tool| {
        inline_function(tool.name, tool.description, &catalog::schema(&tool.arguments))
    };
    round.tools.iter().map(tool).collect()
}

fn inline_function(
    name: &str,
    description: &str,
    schema: &Value,
) -> Result<HarnessTool, BuildError> {
    let function = HarnessInlineFunctionConfig::builder()
        .description(description)
        .input_schema(document(schema))
        .build()?;
    HarnessTool::builder()
        .r#type(HarnessToolType::InlineFunction)
        .name(name)
        .config(HarnessToolConfiguration::InlineFunction(function))
        .build()
}
