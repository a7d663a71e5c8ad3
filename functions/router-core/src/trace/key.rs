//! The names under which a span's facts are known.
//!
//! Those with `gen_ai.` and `error.` are of OpenTelemetry's semantic conventions 1.41.0:
//! <https://github.com/open-telemetry/semantic-conventions/blob/v1.41.0/docs/gen-ai/gen-ai-agent-spans.md>.
//! From 1.42.0 on, those for generative AI live in a repository of their own. They are still in
//! development, hence the pinned version, which every export names. The router's own begin with
//! `router.`.

/// The conventions that the names are of.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.41.0";

/// What is done: [`INVOKE_AGENT`], [`CHAT`] or [`EXECUTE_TOOL`].
pub const OPERATION: &str = "gen_ai.operation.name";
/// An agent is invoked.
pub const INVOKE_AGENT: &str = "invoke_agent";
/// A model is invoked.
pub const CHAT: &str = "chat";
/// A tool is used.
pub const EXECUTE_TOOL: &str = "execute_tool";

/// Who offers the agent: [`BEDROCK`].
pub const PROVIDER: &str = "gen_ai.provider.name";
/// Amazon Bedrock, as the conventions spell it.
pub const BEDROCK: &str = "aws.bedrock";

/// The specialist, or the collaborator of one.
pub const AGENT_NAME: &str = "gen_ai.agent.name";
/// The agent that plays the specialist.
pub const AGENT_ID: &str = "gen_ai.agent.id";
/// The session, by its digest: the trace's id again.
pub const CONVERSATION: &str = "gen_ai.conversation.id";
/// The model, without the account that an ARN names.
pub const MODEL: &str = "gen_ai.request.model";
/// The tool: an action group or a knowledge base.
pub const TOOL_NAME: &str = "gen_ai.tool.name";
/// `extension` or `datastore`.
pub const TOOL_TYPE: &str = "gen_ai.tool.type";
/// Input tokens, as far as they were reported.
pub const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
/// Output tokens, as far as they were reported.
pub const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// Why a span failed; written by the exporter.
pub const ERROR_TYPE: &str = "error.type";

/// The specialist that was asked for; `unknown` where the policy has no such name.
pub const ASKED: &str = "router.specialist.asked";
/// The specialist that answered, or failed last.
pub const USED: &str = "router.specialist.used";
/// The specialist that the work is for.
pub const SPECIALIST: &str = "router.specialist.name";
/// What became of the request.
pub const STATUS: &str = "router.status";
/// Why it was not simply answered.
pub const REASON: &str = "router.reason";
/// What became of a part of it.
pub const OUTCOME: &str = "router.outcome";
/// How many attempts were made.
pub const ATTEMPTS: &str = "router.attempts";
/// Which attempt of its invocation this is, from 1.
pub const ATTEMPT: &str = "router.attempt";
/// Input tokens of all attempts, as far as they were reported.
pub const ALL_INPUT_TOKENS: &str = "router.input_tokens";
/// Output tokens of all attempts, as far as they were reported.
pub const ALL_OUTPUT_TOKENS: &str = "router.output_tokens";
/// Tokens held or charged.
pub const TOKENS: &str = "router.tokens";
/// Money held or charged, in micro-dollars.
pub const COST: &str = "router.cost_micro_usd";
/// How many data go to CloudWatch.
pub const DATA: &str = "router.metrics.data";
