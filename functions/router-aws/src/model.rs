//! Specialists that are plain models: a prompt and a request, without tools or memory. The request
//! holds what the model needs.
//!
//! A repeated call is a second answer, with a second bill: the SDK's own retries are off.

use aws_config::SdkConfig;
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::retry::RetryConfig;
use aws_sdk_bedrockruntime::config::{Builder, Region};
use aws_sdk_bedrockruntime::error::BuildError;
use aws_sdk_bedrockruntime::types::{
    ContentBlock, ConversationRole, InferenceConfiguration, Message, SystemContentBlock,
};
use router_core::charge::Usage;
use router_core::invocation::{Attempt, InvokeError, Outcome};
use router_core::policy::{Model, ModelSettings};

use crate::converse::AnswerReader;
use crate::failure;
use crate::frames::{self, Frames, TakesBody};
use crate::xray_header::XrayHeader;

/// A client of Bedrock's models with the credentials and endpoint of `config`.
pub(crate) fn client(config: &SdkConfig) -> Client {
    let config =
        Builder::from(config).retry_config(RetryConfig::disabled()).interceptor(XrayHeader).build();
    Client::from_conf(config)
}

/// Asks models through the Converse API.
#[derive(Clone, Debug)]
pub(crate) struct ModelInvoker {
    client: Client,
}

impl ModelInvoker {
    /// An invoker with this client. A model that is named by an ARN is called in the region of it.
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Makes one attempt, as [`SpecialistInvoker::invoke`] does.
    ///
    /// [`SpecialistInvoker::invoke`]: router_core::invocation::SpecialistInvoker::invoke
    pub(crate) async fn invoke(&self, model: &Model, attempt: &Attempt<'_>) -> Outcome {
        frames::read(attempt.into(), self.start(model, attempt), AnswerReader::default()).await
    }

    async fn start(&self, model: &Model, attempt: &Attempt<'_>) -> Result<Frames, Outcome> {
        let body = TakesBody::default();
        // It has all that a message needs.
        let message =
            message(attempt).map_err(|_| Outcome::new(Err(InvokeError::Invalid), Usage::NotRun))?;
        let instruction = attempt.model.instruction.clone().map(SystemContentBlock::Text);
        let call = self
            .client
            .converse_stream()
            .model_id(&model.id)
            .set_system(instruction.map(|instruction| vec![instruction]))
            .messages(message)
            .set_inference_config(inference(attempt.model))
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

fn message(attempt: &Attempt<'_>) -> Result<Message, BuildError> {
    let texts = attempt.scratchpad_as_text().into_iter().chain([attempt.request.to_owned()]);
    Message::builder()
        .role(ConversationRole::User)
        .set_content(Some(texts.map(ContentBlock::Text).collect()))
        .build()
}

/// What the policy asks of the model; `None`: nothing.
pub(crate) fn inference(settings: &ModelSettings) -> Option<InferenceConfiguration> {
    let ModelSettings { temperature, max_output_tokens, .. } = *settings;
    (temperature.is_some() || max_output_tokens.is_some()).then(|| {
        InferenceConfiguration::builder()
            .set_temperature(temperature.map(|temperature| temperature as f32))
            .set_max_tokens(max_output_tokens.and_then(|most| most.try_into().ok()))
            .build()
    })
}
