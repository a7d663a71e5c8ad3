//! The errors that DynamoDB answers with.

use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use crate::http::{Body, response};

/// DynamoDB's own failure.
pub(super) fn server_error() -> Response<Body> {
    let error = error("InternalServerError", "Internal server error", None);
    response(StatusCode::INTERNAL_SERVER_ERROR, "application/x-amz-json-1.0", error)
}

/// A transaction that met another one at its first item.
pub(super) fn cancelled(body: &[u8]) -> Response<Body> {
    let transaction: Value = serde_json::from_slice(body).unwrap_or_default();
    let items = transaction["TransactItems"].as_array().map_or(1, Vec::len);
    let conflict =
        json!({ "Code": "TransactionConflict", "Message": "Transaction is ongoing for the item" });
    let mut reasons = vec![conflict];
    reasons.resize(items.max(1), json!({ "Code": "None" }));
    let message = "Transaction cancelled, please refer cancellation reasons for specific reasons";
    refusal("TransactionCanceledException", message, Some(reasons.into()))
}

pub(super) fn refusal(name: &str, message: &str, reasons: Option<Value>) -> Response<Body> {
    let error = error(name, message, reasons);
    response(StatusCode::BAD_REQUEST, "application/x-amz-json-1.0", error)
}

/// The JSON of an error. DynamoDB spells the message in two ways, and so does this.
fn error(name: &str, message: &str, reasons: Option<Value>) -> String {
    let kind = format!("com.amazonaws.dynamodb.v20120810#{name}");
    match reasons {
        Some(reasons) => {
            json!({ "__type": kind, "Message": message, "CancellationReasons": reasons })
        }
        None => json!({ "__type": kind, "message": message }),
    }
    .to_string()
}
