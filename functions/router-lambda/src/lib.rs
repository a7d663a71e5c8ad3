//! What every function shares: Lambda's Runtime API, settings and logs at cold start, an
//! invocation's span, errors with a fixed type, and the work after the reply.
//!
//! A binary is a [`Function`] and a `main` that calls [`run`]. What it reads from the environment,
//! how it understands an event and what it answers is its own; the order in which things happen is
//! the same for all and stands here.

mod environment;
mod invocation;
mod runtime_api;
mod streaming;

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Duration;

pub use environment::Environment;
use futures_util::FutureExt;
use futures_util::future::join;
pub use invocation::Invocation;
pub use lambda_runtime::Diagnostic;
pub use router_aws::SdkConfig;
use router_aws::settings::{LogSettings, Lookup, Mistakes, TraceSettings, endpoints};
use router_aws::{InvocationClock, OtlpTraces, aws_configuration, logging, output, xray_header};
use router_core::deadline;
use router_core::policy::Mistake;
use router_core::units::Clock;
use runtime_api::{RuntimeApi, RuntimeApiError};
pub use streaming::{Pieces, Reply, Streaming};
use tracing::{Instrument, error};

/// How long lines may wait for their reader when the reply is out. Lambda is paid for it.
const LAST_LINES: Duration = Duration::from_millis(50);

/// A Lambda function.
pub trait Function: Sized {
    /// What it is set up with, beside what all functions are.
    type Settings;

    /// Reads its settings; `None` where `mistakes` has got some.
    fn settings(var: Lookup<'_>, mistakes: &mut Mistakes) -> Option<Self::Settings>;

    /// Begins to work, with the region, credentials and endpoints of `config`.
    ///
    /// # Errors
    ///
    /// Every mistake in settings that are kept elsewhere than in the environment.
    fn start(
        settings: Self::Settings,
        config: &SdkConfig,
    ) -> impl Future<Output = Result<Self, Vec<Mistake>>>;

    /// Answers an invocation with a reply, which may be `streaming`, or with an error whose type is
    /// fixed, so that it can be looked for. The error's message is logged.
    fn answer(
        &self,
        invocation: &Invocation,
        environment: &Environment,
        streaming: &Streaming,
    ) -> impl Future<Output = Result<Reply, Diagnostic>>;

    /// Does what an answer need not wait for, within `within`, when the reply is out.
    fn after_reply(&self, within: Duration) -> impl Future<Output = ()>;
}

/// Runs a function for as long as Lambda has invocations for it. `name` is its crate's, whose lines
/// are logged as those of the libraries are.
pub async fn run<F: Function>(name: &'static str) -> ExitCode {
    let var = |name: &str| std::env::var(name).ok();
    let log_settings = LogSettings::from_vars(var);
    logging::init(&log_settings, name);
    let mut mistakes = Mistakes(log_settings.mistake.into_iter().collect());
    mistakes.take(endpoints::check_all(&var));
    let traces = mistakes.take(TraceSettings::from_vars(var));
    if let (Some(settings), Some(traces), []) =
        (F::settings(&var, &mut mistakes), traces, &*mistakes.0)
    {
        let config = aws_configuration().await;
        if let Some(function) = mistakes.take(F::start(settings, &config).await) {
            let traces = traces.map(|traces| OtlpTraces::new(&config, traces));
            let environment = Environment::new(&var, log_settings.service, traces);
            let address = var("AWS_LAMBDA_RUNTIME_API").unwrap_or_default();
            let Err(failure) = serve(&function, &environment, &address).await;
            error!("the function stops: {failure}");
        }
    }
    for mistake in mistakes.0 {
        error!(setting = mistake.setting, "{mistake}");
    }
    output::drain(LAST_LINES).await;
    ExitCode::FAILURE
}

/// Answers one invocation after the other.
async fn serve(
    function: &impl Function,
    environment: &Environment,
    address: &str,
) -> Result<Infallible, RuntimeApiError> {
    let runtime_api = RuntimeApi::new(address)?;
    let mut is_cold = true;
    loop {
        let mut invocation = runtime_api.next().await?;
        invocation.is_cold = std::mem::take(&mut is_cold);
        let clock = InvocationClock::start();
        xray_header::set(invocation.xray_trace.as_deref());
        let span = environment.span(&invocation);
        let (streaming, begun) = Streaming::new();
        let answering = async {
            let answering = Box::pin(function.answer(&invocation, environment, &streaming));
            let answering = AssertUnwindSafe(answering).catch_unwind();
            let result = answering.instrument(span.clone()).await.unwrap_or_else(|_| {
                let error_message = "the function panicked".to_owned();
                Err(Diagnostic { error_type: "Panic".to_owned(), error_message })
            });
            streaming.end(result.as_ref().err());
            result
        };
        let sending = async {
            // It begins, or there is none.
            let body = begun.await.ok()?;
            Some(runtime_api.stream(&invocation, body).await)
        };
        let (result, sent) = join(answering, sending).await;
        if let Err(Diagnostic { error_message, .. }) = &result {
            span.in_scope(|| error!("{error_message}"));
        }
        let status = match (sent, result) {
            (Some(sent), _) => sent?,
            (None, Ok(Reply::Whole(text))) => runtime_api.end(&invocation, Ok(text)).await?,
            (None, Ok(Reply::Streamed)) => runtime_api.end(&invocation, Ok(String::new())).await?,
            (None, Err(diagnostic)) => runtime_api.end(&invocation, Err(diagnostic)).await?,
        };
        if !(200..300).contains(&status) {
            span.in_scope(|| error!(status, "Lambda did not take the reply"));
        }
        // The caller has its answer: Lambda freezes the function only when it asks for the next
        // invocation. Past the deadline Lambda would end the process, and the next start is a cold
        // one.
        let left = || deadline::time_to_finish(invocation.deadline.since(clock.now()));
        environment.export_trace(left()).await;
        function.after_reply(left()).instrument(span.clone()).await;
        output::drain(left().min(LAST_LINES)).await;
    }
}
