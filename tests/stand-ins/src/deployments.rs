//! Stand-in of CodeDeploy: takes what hooks say of the deployments that wait for them.
//!
//! CodeDeploy speaks AWS's JSON 1.1
//! (<https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_PutLifecycleEventHookExecutionStatus.html>).

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use hyper::{Request, StatusCode};
use serde_json::{Value, json};

use crate::http::{Reply, Server, response};
use crate::metrics::Health;

/// The operation that there is.
const OPERATION: &str = "CodeDeploy_20141006.PutLifecycleEventHookExecutionStatus";

/// What a hook has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Of which deployment.
    pub deployment: String,
    /// In which execution of the hook.
    pub execution: String,
    /// `Succeeded` or `Failed`.
    pub status: String,
}

/// The running stand-in.
#[derive(Debug)]
pub struct Deployments {
    server: Server,
    store: Arc<Mutex<Store>>,
}

#[derive(Debug, Default)]
struct Store {
    is_failing: bool,
    told: Vec<Told>,
    refusals: Vec<String>,
}

impl Deployments {
    /// Starts to listen.
    ///
    /// # Errors
    ///
    /// When no port of the loopback interface is free.
    pub async fn start() -> io::Result<Self> {
        let store = Arc::new(Mutex::new(Store::default()));
        let shared = Arc::clone(&store);
        let handler = move |request| {
            let reply = answer(&mut lock(&shared), &request);
            std::future::ready(reply)
        };
        Ok(Self { server: Server::start(handler).await?, store })
    }

    /// What `AWS_ENDPOINT_URL_CODEDEPLOY` has to be.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// From now on requests are taken, or fail; one that hangs fails here, too.
    pub fn set_health(&self, health: Health) {
        lock(&self.store).is_failing = health != Health::Good;
    }

    /// All that hooks have said so far.
    pub fn told(&self) -> Vec<Told> {
        lock(&self.store).told.clone()
    }

    /// Why requests were refused so far.
    pub fn refusals(&self) -> Vec<String> {
        lock(&self.store).refusals.clone()
    }
}

fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    // Every change is complete in itself, so a panic elsewhere leaves nothing half-done.
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(store: &mut Store, request: &Request<Bytes>) -> Reply {
    let json =
        |status, body: Value| Ok(response(status, "application/x-amz-json-1.1", body.to_string()));
    if store.is_failing {
        let body = json!({ "__type": "InternalFailure", "message": "it was told to fail" });
        return json(StatusCode::INTERNAL_SERVER_ERROR, body);
    }
    match told(store, request) {
        Ok(told) => {
            let body = json!({ "lifecycleEventHookExecutionId": told.execution });
            store.told.push(told);
            json(StatusCode::OK, body)
        }
        Err(exception) => {
            store.refusals.push(exception.to_owned());
            json(StatusCode::BAD_REQUEST, json!({ "__type": exception, "message": "no" }))
        }
    }
}

fn told(store: &Store, request: &Request<Bytes>) -> Result<Told, &'static str> {
    let target = request.headers().get("x-amz-target");
    if target.is_none_or(|target| target != OPERATION) {
        return Err("UnknownOperationException");
    }
    let body: Value =
        serde_json::from_slice(request.body()).map_err(|_| "SerializationException")?;
    let text = |name: &str| body[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let deployment = text("deploymentId").ok_or("DeploymentIdRequiredException")?;
    if !deployment.starts_with("d-") {
        return Err("InvalidDeploymentIdException");
    }
    let execution = text("lifecycleEventHookExecutionId")
        .ok_or("InvalidLifecycleEventHookExecutionIdException")?;
    let status = text("status").filter(|status| ["Succeeded", "Failed"].contains(&status.as_str()));
    let status = status.ok_or("InvalidLifecycleEventHookExecutionStatusException")?;
    if store.told.iter().any(|before| before.execution == execution) {
        return Err("LifecycleEventAlreadyCompletedException");
    }
    Ok(Told { deployment, execution, status })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::{exchange, post};

    async fn put(deployments: &Deployments, target: &str, body: &Value) -> String {
        let head = format!("x-amz-target: {target}\r\n");
        let request = post("/", &head, body.to_string().as_bytes());
        let answer = exchange(deployments.server.address(), &request).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn of(deployment: &str, execution: &str, status: &str) -> Value {
        json!({
            "deploymentId": deployment,
            "lifecycleEventHookExecutionId": execution,
            "status": status,
        })
    }

    #[tokio::test]
    async fn a_hook_is_heard_once() {
        let deployments = Deployments::start().await.unwrap();
        let answer = put(&deployments, OPERATION, &of("d-1", "e", "Failed")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let again = put(&deployments, OPERATION, &of("d-1", "e", "Succeeded")).await;
        assert!(again.contains("LifecycleEventAlreadyCompletedException"), "{again}");
        let told = deployments.told();
        assert_eq!((told.len(), told[0].status.as_str()), (1, "Failed"));
    }

    #[tokio::test]
    async fn what_codedeploy_refuses_is_refused() {
        let deployments = Deployments::start().await.unwrap();
        for (target, body) in [
            ("CodeDeploy_20141006.StopDeployment", of("d-1", "e", "Failed")),
            (OPERATION, of("1", "e", "Failed")),
            (OPERATION, of("d-1", "", "Failed")),
            (OPERATION, of("d-1", "e", "Skipped")),
        ] {
            let answer = put(&deployments, target, &body).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        }
        deployments.set_health(Health::Failing);
        let answer = put(&deployments, OPERATION, &of("d-1", "e", "Failed")).await;
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert_eq!((deployments.told().len(), deployments.refusals().len()), (0, 4));
    }
}
