//! The supervisor's action group as an AWS Lambda function.
//!
//! The function reads an event, has `router-core` answer it over the AWS adapters of
//! `router-aws`, and writes the reply. Everything else is decided there. A request's trace, where
//! somebody wants it, is exported when the reply is out.

mod after_reply;

use std::hash::{BuildHasher, RandomState};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use after_reply::AfterReply;
use lambda_runtime::layers::TracingLayer;
use lambda_runtime::tower::layer::layer_fn;
use lambda_runtime::tower::util::option_layer;
use lambda_runtime::{Context, Diagnostic, LambdaEvent, Runtime, service_fn};
use router_aws::otlp::Invocation;
use router_aws::settings::{LogSettings, SettingsError};
use router_aws::{AwsPorts, OtlpTraces, Settings, Table, aws_configuration, logging};
use router_core::Handler;
use router_core::event::{Event, GATEWAY_TOOL_NAME};
use router_core::handler::{Handled, LambdaRequest};
use router_core::metrics::ColdStart;
use router_core::retry::RetryBudget;
use router_core::units::Timestamp;
use router_core::views::spans;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use tracing::{Instrument, Span, error, info_span};

/// The policy of a function whose `ROUTING_POLICY` is not set.
const DEFAULT_POLICY: &str = include_str!("../routing.toml");

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok();
    let log_settings = LogSettings::from_vars(variable);
    logging::init(&log_settings);
    let read_file = |path: &str| std::fs::read_to_string(path);
    let settings = Settings::from_vars(variable, read_file, DEFAULT_POLICY);
    let settings = match (settings, log_settings.mistake) {
        (Ok(settings), None) => settings,
        (settings, mistake) => {
            let mut mistakes = settings.err().map_or_else(Vec::new, |SettingsError(list)| list);
            mistakes.extend(mistake);
            for mistake in mistakes {
                error!(setting = mistake.setting, "{mistake}");
            }
            return ExitCode::FAILURE;
        }
    };
    let function = Function::new(settings, log_settings.service).await;
    let function = &function;
    let export = function.traces.as_ref();
    let export = export.map(|traces| layer_fn(move |inner| AfterReply { inner, traces }));
    let runtime = Runtime::new(service_fn(|event| function.answer(event)))
        .layer(option_layer(export))
        .layer(TracingLayer::new());
    match runtime.run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            error!(error = failure.to_string(), "the runtime stopped");
            ExitCode::FAILURE
        }
    }
}

/// An event, if it is JSON. The runtime would answer other bytes with an error of its own,
/// in a form that depends on the version of its crate.
struct Payload(Option<Value>);

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Value::deserialize(deserializer).ok()))
    }
}

/// What the function keeps from one invocation to the next.
struct Function {
    settings: Settings,
    /// The service that the function belongs to.
    service: String,
    ports: AwsPorts,
    retries: RetryBudget,
    traces: Option<OtlpTraces>,
    /// Whether the next invocation is this environment's first.
    is_cold: AtomicBool,
}

impl Function {
    async fn new(mut settings: Settings, service: String) -> Self {
        let config = aws_configuration().await;
        let table = Table::new(&config, &settings.budget_table);
        Self {
            ports: AwsPorts::new(&config, table, &settings.metrics_namespace),
            retries: RetryBudget::default(),
            traces: settings.traces.take().map(|traces| OtlpTraces::new(&config, traces)),
            is_cold: AtomicBool::new(true),
            settings,
            service,
        }
    }

    async fn answer(&self, event: LambdaEvent<Payload>) -> Result<Box<RawValue>, Diagnostic> {
        let LambdaEvent { payload: Payload(payload), context } = event;
        // What is no JSON is in no form, unless the client context says that it is a gateway's.
        let payload = payload.unwrap_or_default();
        let is_cold = self.is_cold.swap(false, Ordering::Relaxed);
        let span = span(&context, is_cold);
        let cold_start = is_cold.then(|| ColdStart {
            function_name: context.env_config.function_name.clone(),
            service: self.service.clone(),
        });
        let tool = context
            .client_context
            .as_ref()
            .and_then(|client_context| client_context.custom.get(GATEWAY_TOOL_NAME))
            .map(String::as_str);
        let injects_session = self.settings.gateway_injects_session;
        let event = Event::parse(&payload, tool, injects_session).map_err(|unknown| {
            span.in_scope(|| error!("{unknown}"));
            diagnostic("UnknownEventForm", &unknown)
        })?;
        let ports = self.ports.of_invocation();
        let policy = &self.settings.policy;
        let handler = Handler { policy, ports: &ports, retries: &self.retries };
        let session = event.caller.as_ref().ok().map(|caller| &caller.root);
        let request_id = &context.request_id;
        let traces = self.traces.as_ref().filter(|traces| traces.wants(session, request_id));
        let request = LambdaRequest {
            id: request_id,
            // Seeded by the machine's randomness, each time anew.
            execution: RandomState::new().hash_one(request_id),
            deadline: Timestamp(context.deadline),
            cold_start,
            function_version: published_version(&context),
            wants_steps: traces.is_some(),
        };
        // Boxed, since the compiler cannot lay out futures that are nested as deep as the SDK's.
        let handling = Box::pin(handler.handle(&event, request)).instrument(span.clone());
        let Handled { reply, entries } = handling.await;
        if let Some(traces) = traces {
            let trace = spans::of(&entries, session, request_id);
            let invocation = Invocation { is_cold, xray_trace: context.xray_trace_id };
            span.in_scope(|| traces.keep(trace, invocation));
        }
        RawValue::from_string(reply.render(&event.form))
            .map_err(|error| diagnostic("MalformedReply", &error))
    }
}

/// The version that serves the invocation, unless it is the unpublished one.
fn published_version(context: &Context) -> Option<String> {
    let version = &context.env_config.version;
    (version != "$LATEST").then(|| version.clone())
}

/// The keys that Powertools gives every line of an invocation.
fn span(context: &Context, is_cold: bool) -> Span {
    let root = context
        .xray_trace_id
        .as_deref()
        .and_then(|header| header.split(';').find_map(|part| part.trim().strip_prefix("Root=")));
    let xray_trace_id = root.unwrap_or_default();
    info_span!(
        "invocation",
        function_name = context.env_config.function_name,
        function_memory_size = context.env_config.memory,
        function_arn = context.invoked_function_arn,
        function_request_id = context.request_id,
        cold_start = is_cold,
        xray_trace_id,
    )
}

/// An error that Lambda reports. Its type is fixed, so that somebody can look for it.
fn diagnostic(error_type: &str, error: &dyn std::error::Error) -> Diagnostic {
    Diagnostic { error_type: error_type.to_owned(), error_message: error.to_string() }
}
