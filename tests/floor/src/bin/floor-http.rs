//! The calls of an ordinary step, through a bare HTTP client: bodies are put together from
//! templates, nothing is signed, and of the agent's stream no frame is read.

use ciborium::into_writer;
use floor::{AFTER, BEFORE, BoxError, HAS_ROOM, Http, METRICS, serve, variable};
use http_body_util::Full;
use hyper::Request;
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let http = Http::new();
    let table = variable("AWS_ENDPOINT_URL_DYNAMODB")?;
    let agents = variable("AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME")?;
    let metrics = variable("AWS_ENDPOINT_URL_CLOUDWATCH")?;
    let metrics =
        format!("{metrics}/service/GraniteServiceVersion20100801/operation/PutMetricData");
    let name = variable("BUDGET_TABLE_NAME")?;
    let datum = json!({
        "MetricName": "SpecialistLatency", "Unit": "Milliseconds", "Value": 1.0,
        "Dimensions": [{ "Name": "Specialist", "Value": "s000" }],
    });
    let data = vec![datum; METRICS];
    let mut batch = Vec::new();
    into_writer(&json!({ "Namespace": "Floor", "MetricData": data }), &mut batch)?;
    let answer = async |asked: floor::Asked| {
        let key = json!({
            "pk": { "S": format!("FLOOR#{}", asked.session) }, "sk": { "S": "BUDGET" },
        });
        let before = json!({
            "TableName": name, "Key": key, "ReturnValues": "ALL_NEW",
            "UpdateExpression": BEFORE, "ConditionExpression": HAS_ROOM,
            "ExpressionAttributeValues": {
                ":one": { "N": "1" }, ":held": { "N": "8000" }, ":id": { "S": "hold" },
                ":most": { "N": "10000" },
            },
        });
        let after = json!({
            "TableName": name, "Key": key, "ReturnValues": "ALL_NEW",
            "UpdateExpression": AFTER,
            "ExpressionAttributeValues": { ":used": { "N": "340" }, ":back": { "N": "-7660" } },
        });
        let update = |body: serde_json::Value| {
            Request::post(&table)
                .header("x-amz-target", "DynamoDB_20120810.UpdateItem")
                .header("content-type", "application/x-amz-json-1.0")
                // The emulator wants a signature to be there, whatever it says.
                .header("authorization", SIGNATURE)
                .header("x-amz-date", "20261126T000000Z")
                .body(Full::from(body.to_string()))
        };
        http.send(update(before)?).await?;

        let (agent, alias) = asked.agent.split_once('/').ok_or("no alias")?;
        let session = &asked.session;
        let path = format!("/agents/{agent}/agentAliases/{alias}/sessions/{session}/text");
        let state = json!({ "sessionAttributes": { "router_hops": "1" } });
        let body = json!({
            "inputText": asked.prompt, "enableTrace": true, "sessionState": state,
        });
        let invoke = Request::post(format!("{agents}{path}"))
            .header("content-type", "application/json")
            .body(Full::from(body.to_string()))?;
        let (_, stream) = http.send(invoke).await?;

        let publish = Request::post(&metrics)
            .header("content-type", "application/cbor")
            .header("smithy-protocol", "rpc-v2-cbor")
            .body(Full::from(batch.clone()))?;
        let (settled, published) = tokio::join!(http.send(update(after)?), http.send(publish));
        settled?;
        published?;
        Ok(format!("{} bytes", stream.len()))
    };
    match serve(&http, answer).await? {}
}

const SIGNATURE: &str = "AWS4-HMAC-SHA256 \
    Credential=SANDBOX/20261126/us-east-1/dynamodb/aws4_request, \
    SignedHeaders=host;x-amz-date, Signature=0";
