//! The execution environment that a function runs in, and what it gives each invocation.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use lambda_runtime::Config;
use router_aws::settings::Lookup;
use router_aws::{OtlpTraces, otlp};
use router_core::handler::LambdaRequest;
use router_core::ids::RootSession;
use router_core::metrics::ColdStart;
use router_core::trace::Trace;
use tracing::{Span, info_span};

use crate::Invocation;

/// The version of a function that is not published.
const UNPUBLISHED: &str = "$LATEST";

/// The execution environment that a function runs in.
#[derive(Debug)]
pub struct Environment {
    config: Config,
    /// The service that the function belongs to.
    service: String,
    traces: Option<OtlpTraces>,
}

impl Environment {
    /// The environment that Lambda's variables describe. `Config` has a constructor for this, which
    /// panics where one of them is missing.
    pub(crate) fn new(var: Lookup<'_>, service: String, traces: Option<OtlpTraces>) -> Self {
        let of_function = |name: &str| var(&format!("AWS_LAMBDA_FUNCTION_{name}"));
        let of_log = |name: &str| var(&format!("AWS_LAMBDA_LOG_{name}_NAME")).unwrap_or_default();
        let memory = of_function("MEMORY_SIZE").and_then(|megabytes| megabytes.parse().ok());
        let config = Config {
            function_name: of_function("NAME").unwrap_or_default(),
            memory: memory.unwrap_or_default(),
            version: of_function("VERSION").unwrap_or_else(|| UNPUBLISHED.to_owned()),
            log_stream: of_log("STREAM"),
            log_group: of_log("GROUP"),
        };
        Self { config, service, traces }
    }

    /// What the core is told of an invocation. `is_traced`: whether it is traced,
    /// with what agents do while they answer.
    pub fn request<'i>(&self, invocation: &'i Invocation, is_traced: bool) -> LambdaRequest<'i> {
        let Config { function_name, version, .. } = &self.config;
        LambdaRequest {
            id: &invocation.request_id,
            // Seeded by the machine's randomness, each time anew.
            execution: RandomState::new().hash_one(&invocation.request_id),
            deadline: invocation.deadline,
            cold_start: invocation.is_cold.then(|| ColdStart {
                function_name: function_name.clone(),
                service: self.service.clone(),
            }),
            function_version: (version != UNPUBLISHED).then(|| version.clone()),
            is_traced,
        }
    }

    /// Whether the trace of an invocation is wanted that is a request of `session`.
    pub fn wants_trace(&self, invocation: &Invocation, session: Option<&RootSession>) -> bool {
        let traces = self.traces.as_ref();
        traces.is_some_and(|traces| traces.wants(session, &invocation.request_id))
    }

    /// Keeps a trace, to be exported when the reply is out.
    pub fn keep_trace(&self, trace: Trace, invocation: &Invocation) {
        if let Some(traces) = &self.traces {
            let xray_trace = invocation.xray_trace.clone();
            traces.keep(trace, otlp::Invocation { is_cold: invocation.is_cold, xray_trace });
        }
    }

    /// Exports the trace that was kept, if there is one, within `within`.
    pub(crate) async fn export_trace(&self, within: Duration) {
        if let Some(traces) = &self.traces {
            traces.export(within).await;
        }
    }

    /// The span of an invocation, with the keys that Powertools gives every line of it.
    pub(crate) fn span(&self, invocation: &Invocation) -> Span {
        let header = invocation.xray_trace.as_deref().unwrap_or_default();
        let root = header.split(';').find_map(|part| part.trim().strip_prefix("Root="));
        let Config { function_name, memory, .. } = &self.config;
        info_span!(
            "invocation",
            function_name,
            function_memory_size = (*memory > 0).then_some(*memory),
            function_arn = invocation.function_arn,
            function_request_id = invocation.request_id,
            cold_start = invocation.is_cold,
            xray_trace_id = root.unwrap_or_default(),
        )
    }
}
