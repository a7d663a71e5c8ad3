//! The function: processes of this machine, or whatever a program invokes in their place.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use crate::identity;
use crate::lambda::{FunctionError, Invocation, Lambda, Outcome, Process, StartError};

/// How much longer than the function's timeout an invoker may take: it may have to start a
/// container first.
const INVOKER_TAKES: Duration = Duration::from_secs(60);

/// What the events are played on.
#[derive(Debug)]
pub(crate) enum Function {
    Here(Lambda),
    Elsewhere(Invoker),
}

impl Function {
    pub(crate) async fn invoke(
        &self,
        payload: Bytes,
        client_context: Option<&Value>,
        limit: Option<Duration>,
    ) -> Invocation {
        match self {
            Self::Here(lambda) => lambda.invoke(payload, client_context, limit).await,
            Self::Elsewhere(invoker) => invoker.invoke(payload, client_context, limit).await,
        }
    }

    /// Under the id of an invocation before; elsewhere ids are not ours to give.
    pub(crate) async fn deliver_again(
        &self,
        request_id: String,
        payload: Bytes,
        limit: Option<Duration>,
    ) -> Invocation {
        match self {
            Self::Here(lambda) => lambda.send(request_id, payload, Vec::new(), limit).await,
            Self::Elsewhere(invoker) => invoker.invoke(payload, None, limit).await,
        }
    }

    pub(crate) async fn send(
        &self,
        payload: Bytes,
        headers: &[(&'static str, &[u8])],
    ) -> Invocation {
        let header = |(name, value): &(&'static str, &[u8])| {
            Some((HeaderName::from_static(name), HeaderValue::from_bytes(value).ok()?))
        };
        match self {
            Self::Here(lambda) => {
                let headers = headers.iter().filter_map(header).collect();
                lambda.send(identity::uuid(), payload, headers, None).await
            }
            Self::Elsewhere(invoker) => invoker.invoke(payload, None, None).await,
        }
    }

    pub(crate) fn read_output(&self) -> std::io::Result<()> {
        match self {
            Self::Here(lambda) => lambda.read_output(),
            Self::Elsewhere(_) => Ok(()),
        }
    }

    pub(crate) async fn renew(&self) -> Result<(), StartError> {
        match self {
            Self::Here(lambda) => lambda.renew().await,
            Self::Elsewhere(invoker) => {
                invoker.forgetful.store(true, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    pub(crate) fn processes(&self) -> Vec<Process> {
        match self {
            Self::Here(lambda) => lambda.processes(),
            Self::Elsewhere(_) => Vec::new(),
        }
    }

    pub(crate) fn stdout_lines(&self) -> Vec<String> {
        match self {
            Self::Here(lambda) => lambda.stdout_lines(),
            Self::Elsewhere(_) => Vec::new(),
        }
    }

    pub(crate) fn stderr_lines(&self) -> Vec<String> {
        match self {
            Self::Here(lambda) => lambda.stderr_lines(),
            Self::Elsewhere(invoker) => invoker.lines().clone(),
        }
    }

    pub(crate) fn lines_by_stream(&self) -> Vec<Vec<String>> {
        match self {
            Self::Here(lambda) => lambda.lines_by_stream(),
            Self::Elsewhere(invoker) => vec![invoker.lines().clone()],
        }
    }

    pub(crate) async fn stop(self) {
        if let Self::Here(lambda) = self {
            lambda.stop().await;
        }
    }
}

/// A program that invokes the function wherever it is, once for each event.
///
/// It gets the event on its standard input and writes the reply to its standard output; its
/// standard error is taken for the function's lines. Its environment says the rest:
///
/// - `SANDBOX_FUNCTION`: the function's name,
/// - `SANDBOX_FUNCTION_ENV`, a JSON object: the variables with which the function finds the
///   stand-ins,
/// - `SANDBOX_TIMEOUT_SECONDS`: the function's timeout,
/// - `SANDBOX_CLIENT_CONTEXT`, JSON: the invocation's client context, where there is one,
/// - `SANDBOX_FORGETFUL=true`, where the function must not remember what it has read before.
///
/// A reply that is an object with `errorType`, and an exit code other than 0, are Lambda errors.
#[derive(Debug)]
pub(crate) struct Invoker {
    program: PathBuf,
    function: String,
    function_env: String,
    limit: Duration,
    forgetful: AtomicBool,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Invoker {
    pub(crate) fn new(
        program: PathBuf,
        function: &str,
        function_env: &BTreeMap<String, String>,
        limit: Duration,
    ) -> Self {
        let function_env = serde_json::json!(function_env).to_string();
        Self {
            program,
            function: function.to_owned(),
            function_env,
            limit,
            forgetful: AtomicBool::new(false),
            lines: Arc::default(),
        }
    }

    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        // Lines are only ever added, so a panic elsewhere leaves nothing half-done.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn invoke(
        &self,
        payload: Bytes,
        client_context: Option<&Value>,
        limit: Option<Duration>,
    ) -> Invocation {
        let limit = limit.unwrap_or(self.limit);
        let started = Instant::now();
        let run = self.run(payload, client_context, limit);
        let outcome = match timeout(limit + INVOKER_TAKES, run).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => failed(format!("{}: {error}", self.program.display())),
            Err(_) => Outcome::TimedOut,
        };
        Invocation { request_id: identity::uuid(), outcome, duration: started.elapsed() }
    }

    async fn run(
        &self,
        payload: Bytes,
        client_context: Option<&Value>,
        limit: Duration,
    ) -> std::io::Result<Outcome> {
        let mut command = Command::new(&self.program);
        command
            .env("SANDBOX_FUNCTION", &self.function)
            .env("SANDBOX_FUNCTION_ENV", &self.function_env)
            .env("SANDBOX_TIMEOUT_SECONDS", limit.as_secs_f64().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        if let Some(client_context) = client_context {
            command.env("SANDBOX_CLIENT_CONTEXT", client_context.to_string());
        }
        if self.forgetful.swap(false, Ordering::Relaxed) {
            command.env("SANDBOX_FORGETFUL", "true");
        }
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            tokio::spawn(async move {
                // A program that does not read its event is judged by what it writes.
                let _ = stdin.write_all(&payload).await;
            });
        }
        let output = child.wait_with_output().await?;
        let lines = String::from_utf8_lossy(&output.stderr);
        self.lines().extend(lines.lines().map(str::to_owned));
        if !output.status.success() {
            return Ok(failed(format!("{} ended with {}", self.program.display(), output.status)));
        }
        Ok(reply(output.stdout.trim_ascii()))
    }
}

/// What the invoker wrote, which is a Lambda error where it looks like one.
///
/// Emulators read the reply and write it anew, with blanks; a rule about its length is meant for
/// one without.
fn reply(bytes: &[u8]) -> Outcome {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct LambdaError {
        error_type: String,
        #[serde(default)]
        error_message: String,
    }
    if let Ok(LambdaError { error_type, error_message }) = serde_json::from_slice(bytes) {
        return Outcome::FunctionError(FunctionError { error_type, error_message });
    }
    let compact = serde_json::from_slice(bytes).map(|json: Value| json.to_string().into());
    Outcome::Response(compact.unwrap_or_else(|_| Bytes::copy_from_slice(bytes)))
}

fn failed(error_message: String) -> Outcome {
    let error_type = "Sandbox.InvokerFailed".to_owned();
    Outcome::FunctionError(FunctionError { error_type, error_message })
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    async fn invoke(script: &str, client_context: Option<Value>) -> (Outcome, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("invoker");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        let env = BTreeMap::from([("TABLE".to_owned(), "t".to_owned())]);
        let invoker = Invoker::new(program, "router", &env, Duration::from_millis(2_500));
        let function = Function::Elsewhere(invoker);
        function.renew().await.unwrap();
        let event = Bytes::from_static(b"{\"event\": 1}");
        let outcome = function.invoke(event, client_context.as_ref(), None).await.outcome;
        (outcome, function.stderr_lines())
    }

    #[tokio::test]
    async fn an_invoker_gets_all_that_lambda_would() {
        let script = r#"
            echo a line >&2
            printf '[%s,"%s",%s,%s,%s,%s]' "$(cat)" "$SANDBOX_FUNCTION" "$SANDBOX_FUNCTION_ENV" \
                "$SANDBOX_TIMEOUT_SECONDS" "$SANDBOX_CLIENT_CONTEXT" "$SANDBOX_FORGETFUL""#;
        let (outcome, lines) = invoke(script, Some(json!({ "custom": {} }))).await;
        let Outcome::Response(reply) = outcome else { panic!("{outcome:?}") };
        let reply: Value = serde_json::from_slice(&reply).unwrap();
        let env = json!({ "TABLE": "t" });
        assert_eq!(reply, json!([{ "event": 1 }, "router", env, 2.5, { "custom": {} }, true]));
        assert_eq!(lines, ["a line"]);
    }

    #[tokio::test]
    async fn errors_are_those_of_the_function_or_of_the_invoker() {
        let script = r#"echo '{"errorType": "UnknownEventForm", "errorMessage": "no form"}'"#;
        let error = FunctionError {
            error_type: "UnknownEventForm".to_owned(),
            error_message: "no form".to_owned(),
        };
        assert_eq!(invoke(script, None).await.0, Outcome::FunctionError(error));
        let (outcome, lines) = invoke("echo no docker >&2; exit 3", None).await;
        let Outcome::FunctionError(error) = outcome else { panic!("{outcome:?}") };
        assert_eq!(error.error_type, "Sandbox.InvokerFailed");
        assert!(error.error_message.ends_with("exit status: 3"), "{error}");
        assert_eq!(lines, ["no docker"]);
    }
}
