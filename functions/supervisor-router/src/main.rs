//! The supervisor's action group as an AWS Lambda function.
//!
//! The function reads an event, has `router-core` answer it over the AWS adapters of
//! `router-aws`, and writes the reply. Everything else is decided there. A request's trace, where
//! somebody wants it, is exported when the reply is out.

mod runtime_api;

use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use hyper::header::HeaderValue;
use router_aws::settings::{LogSettings, SettingsError};
use router_aws::{
    AwsPorts, InvocationClock, OtlpTraces, Settings, Table, aws_configuration, logging, otlp,
    output, xray_header,
};
use router_core::event::Event;
use router_core::handler::{Handled, LambdaRequest};
use router_core::metrics::ColdStart;
use router_core::retry::RetryBudget;
use router_core::units::Clock;
use router_core::views::spans;
use router_core::{Handler, deadline};
use runtime_api::{FunctionError, Invocation, RuntimeApi, RuntimeApiError};
use tracing::{Instrument, Span, error, info_span};

/// How long lines may wait for their reader when the reply is out. Lambda is paid for it.
const LAST_LINES: Duration = Duration::from_millis(50);

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
            output::drain(LAST_LINES).await;
            return ExitCode::FAILURE;
        }
    };
    let function = Function::new(settings, log_settings.service, variable).await;
    let runtime_api = RuntimeApi::new(&variable("AWS_LAMBDA_RUNTIME_API").unwrap_or_default());
    let Err(failure) = function.serve(&runtime_api).await;
    error!("the function stops: {failure}");
    output::drain(LAST_LINES).await;
    ExitCode::FAILURE
}

/// What the function keeps from one invocation to the next.
struct Function {
    settings: Settings,
    /// The service that the function belongs to.
    service: String,
    lambda: LambdaEnvironment,
    ports: AwsPorts,
    retries: RetryBudget,
    traces: Option<OtlpTraces>,
    /// Whether the next invocation is this environment's first.
    is_cold: AtomicBool,
}

/// What Lambda says of the function itself.
struct LambdaEnvironment {
    function_name: String,
    /// In megabytes.
    memory_size: Option<u64>,
    /// The version that serves, `$LATEST` when it is the unpublished one.
    version: String,
}

impl Function {
    async fn new(
        mut settings: Settings,
        service: String,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let config = aws_configuration().await;
        let table = Table::new(&config, &settings.budget_table);
        let of_lambda = |name: &str| variable(&format!("AWS_LAMBDA_FUNCTION_{name}"));
        let lambda = LambdaEnvironment {
            function_name: of_lambda("NAME").unwrap_or_default(),
            memory_size: of_lambda("MEMORY_SIZE").and_then(|megabytes| megabytes.parse().ok()),
            version: of_lambda("VERSION").unwrap_or_else(|| "$LATEST".to_owned()),
        };
        Self {
            ports: AwsPorts::new(&config, table, &settings.metrics_namespace),
            retries: RetryBudget::default(),
            traces: settings.traces.take().map(|traces| OtlpTraces::new(&config, traces)),
            is_cold: AtomicBool::new(true),
            settings,
            service,
            lambda,
        }
    }

    /// Answers one invocation after the other.
    async fn serve(&self, runtime_api: &RuntimeApi) -> Result<Infallible, RuntimeApiError> {
        loop {
            let invocation = runtime_api.next().await?;
            let clock = InvocationClock::start();
            xray_header::set(invocation.xray_trace.as_deref());
            let span = self.span(&invocation);
            let answering = AssertUnwindSafe(self.answer(&invocation).instrument(span.clone()));
            let result = answering.catch_unwind().await.unwrap_or_else(|_| {
                Err(FunctionError { error_type: "Panic", message: "the function panicked".into() })
            });
            let status = runtime_api.end(&invocation, result).await?;
            if !(200..300).contains(&status) {
                span.in_scope(|| error!(status, "Lambda did not take the reply"));
            }
            self.after_reply(&invocation, &clock).await;
        }
    }

    /// What is done when the caller has its answer already: Lambda freezes the function only when
    /// it asks for the next invocation.
    async fn after_reply(&self, invocation: &Invocation, clock: &InvocationClock) {
        // Past the deadline Lambda would end the process, and the next start is a cold one.
        let left = || deadline::time_to_finish(invocation.deadline.since(clock.now()));
        if let Some(traces) = &self.traces {
            traces.export(left()).await;
        }
        output::drain(left().min(LAST_LINES)).await;
    }

    async fn answer(&self, invocation: &Invocation) -> Result<String, FunctionError> {
        let is_cold = self.is_cold.swap(false, Ordering::Relaxed);
        let context = invocation.client_context.as_ref().map(HeaderValue::as_bytes);
        let injects_session = self.settings.gateway_injects_session;
        let event =
            Event::read(&invocation.payload, context, injects_session).map_err(|unknown| {
                error!("{unknown}");
                FunctionError { error_type: "UnknownEventForm", message: unknown.to_string() }
            })?;
        let ports = self.ports.of_invocation();
        let policy = &self.settings.policy;
        let handler = Handler { policy, ports: &ports, retries: &self.retries };
        let session = event.caller.as_ref().ok().map(|caller| &caller.root);
        let request_id = &invocation.request_id;
        let traces = self.traces.as_ref().filter(|traces| traces.wants(session, request_id));
        let LambdaEnvironment { function_name, version, .. } = &self.lambda;
        let request = LambdaRequest {
            id: request_id,
            // Seeded by the machine's randomness, each time anew.
            execution: RandomState::new().hash_one(request_id),
            deadline: invocation.deadline,
            cold_start: is_cold.then(|| ColdStart {
                function_name: function_name.clone(),
                service: self.service.clone(),
            }),
            function_version: (version != "$LATEST").then(|| version.clone()),
            wants_steps: traces.is_some(),
        };
        // Boxed, since the compiler cannot lay out futures that are nested as deep as the SDK's.
        let Handled { reply, entries } = Box::pin(handler.handle(&event, request)).await;
        if let Some(traces) = traces {
            let trace = spans::of(&entries, session, request_id);
            let xray_trace = invocation.xray_trace.clone();
            traces.keep(trace, otlp::Invocation { is_cold, xray_trace });
        }
        Ok(reply.render(&event.form))
    }

    /// The keys that Powertools gives every line of an invocation.
    fn span(&self, invocation: &Invocation) -> Span {
        let header = invocation.xray_trace.as_deref().unwrap_or_default();
        let root = header.split(';').find_map(|part| part.trim().strip_prefix("Root="));
        info_span!(
            "invocation",
            function_name = self.lambda.function_name,
            function_memory_size = self.lambda.memory_size,
            function_arn = invocation.function_arn,
            function_request_id = invocation.request_id,
            cold_start = self.is_cold.load(Ordering::Relaxed),
            xray_trace_id = root.unwrap_or_default(),
        )
    }
}
