//! A predecessor that is a Lambda function.
//!
//! It gets the request as it came and answers an object: `answer`, and `cost_usd` where it knows what
//! the request cost. It is invoked once: the SDK's own retries are off. What it says of its errors is
//! not looked at, and goes nowhere.

use aws_config::SdkConfig;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::retry::RetryConfig;
use aws_sdk_lambda::config::{Builder, Region};
use aws_sdk_lambda::operation::invoke::InvokeOutput;
use aws_sdk_lambda::primitives::Blob;
use router_core::invocation::{InvokeError, Outcome, Wait};
use router_core::json;
use router_core::split::{Answer, Inquiry};
use router_core::units::MicroUsd;
use tokio::time::timeout;

use crate::failure;
use crate::xray_header::XrayHeader;

/// The most bytes of an answer that are kept, as of an agent's. Lambda hands on 6 MB.
const MOST_ANSWER_BYTES: usize = 2 * 1024 * 1024;

/// Invokes Lambda functions and waits for what they answer.
#[derive(Clone, Debug)]
pub(super) struct FunctionInvoker {
    client: Client,
}

impl FunctionInvoker {
    /// An invoker with the credentials and endpoint of `config`. A function is invoked in the region
    /// that its ARN names.
    pub(super) fn new(config: &SdkConfig) -> Self {
        let config = Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .interceptor(XrayHeader)
            .build();
        Self { client: Client::from_conf(config) }
    }

    /// Asks the function, as [`Predecessor::ask`] does.
    ///
    /// [`Predecessor::ask`]: router_core::split::Predecessor::ask
    pub(super) async fn ask(
        &self,
        arn: &str,
        inquiry: &Inquiry<'_>,
    ) -> Result<Answer, InvokeError> {
        let limit = inquiry.timeout;
        // Dropping the call, which the end of the time does, closes the connection.
        let output = timeout(limit, self.invoke(arn, inquiry.request)).await;
        read(&output.map_err(|_| InvokeError::TimedOut { what: Wait::Answer, limit })??)
    }

    async fn invoke(&self, arn: &str, request: &[u8]) -> Result<InvokeOutput, InvokeError> {
        let mut in_its_region = Builder::new();
        in_its_region.set_region(arn.split(':').nth(3).map(|name| Region::new(name.to_owned())));
        let call = self
            .client
            .invoke()
            .function_name(arn)
            .payload(Blob::new(request))
            .customize()
            .config_override(in_its_region);
        call.send().await.or_else(|error| {
            let outcome: Outcome<InvokeOutput> = failure::before_the_answer("Lambda", error);
            outcome.result
        })
    }
}

fn read(output: &InvokeOutput) -> Result<Answer, InvokeError> {
    if output.function_error.is_some() {
        return Err(InvokeError::ServiceFault("the function raised an error"));
    }
    let payload = output.payload.as_ref().map(Blob::as_ref).unwrap_or_default();
    let answer = json::read(payload).map_err(|_| InvokeError::Unreadable)?;
    let text = answer["answer"].as_str().filter(|text| !text.trim().is_empty());
    let text = text.ok_or(InvokeError::EmptyAnswer)?;
    if text.len() > MOST_ANSWER_BYTES {
        return Err(InvokeError::TooLong { limit: MOST_ANSWER_BYTES });
    }
    Ok(Answer { text: text.to_owned(), cost: answer["cost_usd"].as_f64().and_then(cost) })
}

/// The nearest amount to what a program that calculates with floats says that it spent. It is told,
/// never charged.
fn cost(usd: f64) -> Option<MicroUsd> {
    let is_amount = usd.is_finite() && usd >= 0.0;
    is_amount.then(|| MicroUsd((usd * 1_000_000.0).round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(payload: &str) -> Result<Answer, InvokeError> {
        read(&InvokeOutput::builder().status_code(200).payload(Blob::new(payload)).build())
    }

    #[test]
    fn an_answer_is_a_text_and_what_it_cost_where_that_is_an_amount() {
        for (cost, expected) in [
            ("", None),
            (r#","cost_usd":0.0123"#, Some(12_300)),
            (r#","cost_usd":0.30000000000000004"#, Some(300_000)),
            (r#","cost_usd":1.2e-5"#, Some(12)),
            (r#","cost_usd":2"#, Some(2_000_000)),
            (r#","cost_usd":0"#, Some(0)),
            (r#","cost_usd":-1"#, None),
            (r#","cost_usd":NaN"#, None),
            (r#","cost_usd":null"#, None),
            (r#","cost_usd":"0.01""#, None),
        ] {
            let answer = answered(&format!("{{\"answer\":\"Yes.\",\"more\":1{cost}}}")).unwrap();
            let expected = Answer { text: "Yes.".to_owned(), cost: expected.map(MicroUsd) };
            assert_eq!(answer, expected, "{cost}");
        }
    }

    #[test]
    fn what_has_no_text_is_no_answer() {
        for payload in ["{}", "null", "[]", r#""Yes.""#, r#"{"answer":5}"#, r#"{"answer":" \n"}"#] {
            assert!(matches!(answered(payload), Err(InvokeError::EmptyAnswer)), "{payload}");
        }
        for payload in ["", "Yes.", "{\"answer\":\"Ye", "<html>"] {
            assert!(matches!(answered(payload), Err(InvokeError::Unreadable)), "{payload}");
        }
        let long = format!("{{\"answer\":\"{}\"}}", "x".repeat(MOST_ANSWER_BYTES + 1));
        assert!(matches!(answered(&long), Err(InvokeError::TooLong { .. })));
    }

    #[test]
    fn a_function_that_raised_an_error_has_not_answered_whatever_it_says() {
        let output = InvokeOutput::builder()
            .function_error("Unhandled")
            .payload(Blob::new(r#"{"answer":"Yes."}"#))
            .build();
        assert!(matches!(read(&output), Err(InvokeError::ServiceFault(_))));
    }
}
