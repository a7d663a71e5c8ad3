//! Supervisors that are plain models. They keep nothing, so the whole conversation is sent each
//! time, with the tools beside it.
//!
//! A result has no `status`: not every model takes one, and its text tells the same.

use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::{Builder, Region};
use aws_sdk_bedrockruntime::error::BuildError;
use aws_sdk_bedrockruntime::types::{
    ContentBlock, ConversationRole, Message, SystemContentBlock, Tool, ToolConfiguration,
    ToolInputSchema, ToolResultBlock, ToolResultContentBlock, ToolSpecification, ToolUseBlock,
};
use router_core::policy::Model;
use router_core::supervisor::{Decided, Round};
use router_core::wire::tools::catalog;

use super::conversation::{self, Block, Said};
use super::document::document;
use super::{Listener, not_run};
use crate::converse::TurnReader;
use crate::failure;
use crate::frames::{self, Frames, TakesBody};
use crate::model::inference;

/// Asks models through the Converse API.
#[derive(Clone, Debug)]
pub(super) struct ModelSupervisor {
    client: Client,
}

impl ModelSupervisor {
    pub(super) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Makes one round, as [`Supervisor::decide`](router_core::supervisor::Supervisor::decide) does.
    pub(super) async fn decide(
        &self,
        model: &Model,
        round: &Round<'_>,
        heard: Listener<'_>,
    ) -> Decided {
        frames::read(round.into(), self.start(model, round), TurnReader::new(heard)).await
    }

    async fn start(&self, model: &Model, round: &Round<'_>) -> Result<Frames, Decided> {
        let body = TakesBody::default();
        let said = conversation::all(round.messages, !round.tools.is_empty());
        let messages: Result<Vec<_>, _> = said.iter().map(message).collect();
        // They have all that they need.
        let messages = messages.map_err(|_| not_run())?;
        let tools = tools(round.tools).map_err(|_| not_run())?;
        let call = self
            .client
            .converse_stream()
            .model_id(&model.id)
            .system(SystemContentBlock::Text(round.prompt.to_owned()))
            .set_messages(Some(messages))
            .set_tool_config(tools)
            .set_inference_config(inference(round.model))
            .customize()
            .interceptor(body.clone());
        let call = match model.region.clone().map(Region::new) {
            Some(region) => call.config_override(Builder::new().region(region)),
            None => call,
        };
        call.send().await.map_err(|error| failure::before_the_answer("Bedrock", error))?;
        Ok(body.frames())
    }
}

fn message(said: &Said<'_>) -> Result<Message, BuildError> {
    let role = if said.is_users { ConversationRole::User } else { ConversationRole::Assistant };
    let blocks: Result<Vec<_>, _> = said.blocks.iter().map(block).collect();
    Message::builder().role(role).set_content(Some(blocks?)).build()
}

fn block(block: &Block<'_>) -> Result<ContentBlock, BuildError> {
    Ok(match block {
        Block::Text(text) => ContentBlock::Text(text.to_string()),
        Block::Call(call) => ContentBlock::ToolUse(
            ToolUseBlock::builder()
                .tool_use_id(&call.id)
                .name(conversation::name(call))
                .input(document(&conversation::arguments(call)))
                .build()?,
        ),
        Block::Result(result) => ContentBlock::ToolResult(
            ToolResultBlock::builder()
                .tool_use_id(&result.id)
                .content(ToolResultContentBlock::Text(result.text.clone()))
                .build()?,
        ),
    })
}

/// The tools, if there are any: an empty list is refused.
fn tools(tools: &[catalog::Tool]) -> Result<Option<ToolConfiguration>, BuildError> {
    let tool = |tool: &catalog::Tool| {
        let schema = ToolInputSchema::Json(document(&catalog::schema(&tool.arguments)));
        let specification = ToolSpecification::builder()
            .name(tool.name)
            .description(tool.description)
            .input_schema(schema)
            .build()?;
        Ok(Tool::ToolSpec(specification))
    };
    let tools: Vec<Tool> = tools.iter().map(tool).collect::<Result<_, BuildError>>()?;
    if tools.is_empty() {
        return Ok(None);
    }
    ToolConfiguration::builder().set_tools(Some(tools)).build().map(Some)
}
