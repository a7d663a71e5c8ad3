//! What an event's file in `events/expected/` says should happen.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// An expectation. What it does not mention is not compared.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The case in one sentence.
    pub about: String,
    /// The function's timeout for this event, where it is not the usual one.
    #[serde(default)]
    pub lambda_timeout_ms: Option<u64>,
    /// The reply's `responseState`; absent: the reply must have none.
    #[serde(default)]
    pub response_state: Option<String>,
    /// The reply's `httpStatusCode`, in the OpenAPI form.
    #[serde(default = "ok")]
    pub http_status: u16,
    /// Each key given must equal the body's; so on inside objects and arrays.
    #[serde(default)]
    pub body: Map<String, Value>,
    /// The specialists whose agents were invoked, in order.
    #[serde(default)]
    pub calls: Option<Vec<String>>,
    /// Metric → dimension set (`A=x,B=y`, sorted; empty for none) → sum of its values. `null`:
    /// nothing was published.
    #[serde(default)]
    pub metrics: BTreeMap<String, BTreeMap<String, Option<f64>>>,
    /// The type of the Lambda error that the invocation ends with, instead of a reply.
    #[serde(default)]
    pub error: Option<String>,
}

fn ok() -> u16 {
    200
}
