//! The functions that run, by name: each with its own processes, Runtime APIs, environment and
//! lines.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::function::{Function, Invoker};
use crate::identity::{self, REGION};
use crate::lambda::{
    FunctionError, Invocation, Lambda, Launch, Outcome, StartError, build_function,
};
use crate::options::Options;
use crate::sandbox::SandboxError;

#[derive(Debug)]
pub(crate) struct Functions(BTreeMap<String, Function>);

impl Functions {
    /// Builds those that cargo builds.
    pub(crate) async fn build(options: &mut Options) -> Result<(), SandboxError> {
        if options.invoker.is_some() {
            return Ok(());
        }
        for (name, function) in &mut options.functions {
            if function.executable.is_none() {
                function.executable = Some(build_function(name).await?);
            }
        }
        Ok(())
    }

    /// Starts all of them, which find the stand-ins by the variables of `env`.
    pub(crate) async fn start(
        options: Options,
        env: &BTreeMap<String, String>,
    ) -> Result<Self, StartError> {
        let (limit, processes) = (options.lambda_timeout, options.processes);
        let stalled_output = options.stalled_output;
        let mut functions = BTreeMap::new();
        for (name, function) in options.functions {
            let mut variables = env.clone();
            variables.extend(function.env);
            let started = match &options.invoker {
                Some(program) => {
                    Function::Elsewhere(Invoker::new(program.clone(), &name, &variables, limit))
                }
                None => {
                    let mut all = lambda_environment(&name);
                    all.extend(variables);
                    let launch = Launch {
                        function: name.clone(),
                        executable: function.executable.unwrap_or_default(),
                        env: all,
                        processes,
                        limit,
                        stalled_output,
                    };
                    Function::Here(Lambda::start(launch).await?)
                }
            };
            functions.insert(name, started);
        }
        Ok(Self(functions))
    }

    /// Invokes a function. Lambda knows no other than those that run.
    pub(crate) async fn invoke(
        &self,
        name: &str,
        payload: Bytes,
        client_context: Option<&Value>,
        limit: Option<Duration>,
    ) -> Invocation {
        match self.0.get(name) {
            Some(function) => function.invoke(payload, client_context, limit).await,
            None => not_found(name),
        }
    }

    /// Invokes a function whose reply is passed on as it comes. One that runs elsewhere streams nothing.
    pub(crate) async fn stream(
        &self,
        name: &str,
        payload: Bytes,
        pieces: mpsc::UnboundedSender<Bytes>,
    ) -> Invocation {
        match self.0.get(name) {
            Some(Function::Here(lambda)) => lambda.invoke_streaming(payload, pieces).await,
            Some(elsewhere) => elsewhere.invoke(payload, None, None).await,
            None => not_found(name),
        }
    }

    /// Invokes a function under the request id of an invocation before.
    pub(crate) async fn deliver_again(
        &self,
        name: &str,
        request_id: &str,
        payload: Bytes,
        limit: Option<Duration>,
    ) -> Invocation {
        match self.0.get(name) {
            Some(function) => function.deliver_again(request_id.to_owned(), payload, limit).await,
            None => not_found(name),
        }
    }

    /// Invokes a function with headers of its own.
    pub(crate) async fn send(
        &self,
        name: &str,
        payload: Bytes,
        headers: &[(&'static str, &[u8])],
    ) -> Invocation {
        match self.0.get(name) {
            Some(function) => function.send(payload, headers).await,
            None => not_found(name),
        }
    }

    pub(crate) async fn renew(&self) -> Result<(), StartError> {
        for function in self.0.values() {
            function.renew().await?;
        }
        Ok(())
    }

    /// The function of this name, if it runs.
    pub(crate) fn get(&self, name: &str) -> Option<&Function> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Function> {
        self.0.values()
    }

    pub(crate) async fn stop(self) {
        for function in self.0.into_values() {
            function.stop().await;
        }
    }
}

fn not_found(name: &str) -> Invocation {
    Invocation {
        request_id: identity::uuid(),
        outcome: Outcome::FunctionError(FunctionError {
            error_type: "ResourceNotFoundException".to_owned(),
            error_message: format!("Function not found: {}", identity::function_arn(name)),
        }),
        duration: Duration::ZERO,
    }
}

/// What Lambda itself sets, with credentials that open nothing.
fn lambda_environment(name: &str) -> BTreeMap<String, String> {
    [
        ("AWS_LAMBDA_FUNCTION_NAME", name),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", &format!("/aws/lambda/{name}")),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "sandbox"),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", "SANDBOX"),
        ("AWS_SECRET_ACCESS_KEY", "sandbox"),
        ("AWS_SESSION_TOKEN", "sandbox"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("TZ", ":UTC"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}
