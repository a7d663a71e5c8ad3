//! The calls of an ordinary step, through the bare SDK with its defaults, but for retries.

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_sdk_bedrockagentruntime::types::{ResponseStream, SessionState};
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};
use aws_sdk_dynamodb::types::AttributeValue::{N, S};
use aws_sdk_dynamodb::types::ReturnValue;
use floor::{AFTER, BEFORE, BoxError, HAS_ROOM, Http, METRICS, serve, variable};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let config = aws_config::defaults(BehaviorVersion::v2026_01_12());
    let config = config.retry_config(RetryConfig::disabled()).load().await;
    let table = aws_sdk_dynamodb::Client::new(&config);
    let agents = aws_sdk_bedrockagentruntime::Client::new(&config);
    let metrics = aws_sdk_cloudwatch::Client::new(&config);
    let name = variable("BUDGET_TABLE_NAME")?;
    let answer = async |asked: floor::Asked| {
        let update = || {
            let update = table.update_item().table_name(&name).return_values(ReturnValue::AllNew);
            let key = S(format!("FLOOR#{}", asked.session));
            update.key("pk", key).key("sk", S("BUDGET".to_owned()))
        };
        let number = |number: i64| N(number.to_string());
        let before = update().update_expression(BEFORE).condition_expression(HAS_ROOM);
        let before = before
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":held", number(8_000))
            .expression_attribute_values(":id", S("hold".to_owned()))
            .expression_attribute_values(":most", number(10_000));
        before.send().await?;

        let (agent, alias) = asked.agent.split_once('/').ok_or("no alias")?;
        let invoke = agents.invoke_agent().agent_id(agent).agent_alias_id(alias);
        let invoke = invoke.session_id(&asked.session).input_text(&asked.prompt);
        let state = SessionState::builder().session_attributes("router_hops", "1").build();
        let invoked = invoke.session_state(state).enable_trace(true).send().await?;
        let (mut events, mut answer) = (invoked.completion, Vec::new());
        while let Some(event) = events.recv().await? {
            if let ResponseStream::Chunk(chunk) = event {
                answer.extend(chunk.bytes.map(|bytes| bytes.into_inner()).unwrap_or_default());
            }
        }

        let after = update().update_expression(AFTER);
        let after = after
            .expression_attribute_values(":used", number(340))
            .expression_attribute_values(":back", number(-7_660));
        let dimension = Dimension::builder().name("Specialist").value("s000").build();
        let datum = MetricDatum::builder().metric_name("SpecialistLatency").value(1.0);
        let datum = datum.unit(StandardUnit::Milliseconds).dimensions(dimension).build();
        let publish = metrics.put_metric_data().namespace("Floor");
        let publish = publish.set_metric_data(Some(vec![datum; METRICS]));
        let (after, publish) = tokio::join!(after.send(), publish.send());
        after?;
        publish?;
        Ok(String::from_utf8(answer)?)
    };
    match serve(&Http::new(), answer).await? {}
}
