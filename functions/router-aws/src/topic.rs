//! The SNS topic by which people hear that they are asked.
//!
//! A message has ids and the reason, and no text of a prompt: topics are read in mailboxes and chats.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sns::Client;
use aws_sdk_sns::config::{Builder, Region};
use router_core::error::Cause;
use router_core::escalation::{Escalation, Source};
use router_core::wire::reply::echo;
use serde_json::json;

use crate::failure;
use crate::patience;
use crate::xray_header::XrayHeader;

/// A reason is told up to this many characters.
const REASON_CHARS: usize = 200;
/// One attempt takes at most this.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
/// The same message twice does no harm.
const ATTEMPTS: u32 = 2;

/// A topic, and a way to it.
#[derive(Clone, Debug)]
pub struct Topic {
    client: Client,
    arn: String,
}

impl Topic {
    /// The topic with this ARN, in the region that it names, with the credentials and endpoint of
    /// `config`.
    pub fn new(config: &SdkConfig, arn: String) -> Self {
        let region = arn.split(':').nth(3).map(|region| Region::new(region.to_owned()));
        let config = patience::with(config, ATTEMPTS, ATTEMPT_TIMEOUT);
        let config = Builder::from(&config).region(region).interceptor(XrayHeader).build();
        Self { client: Client::from_conf(config), arn }
    }

    /// Tells people that they are asked.
    pub(crate) async fn tell(&self, escalation: &Escalation) -> Result<(), Cause> {
        let publishing = self
            .client
            .publish()
            .topic_arn(&self.arn)
            .subject(format!("A question for a person: {}", escalation.ticket))
            .message(message(escalation));
        publishing.send().await.map_err(|error| failure::cause("SNS", error))?;
        Ok(())
    }
}

fn message(escalation: &Escalation) -> String {
    let specialist = match &escalation.source {
        Source::Specialist(name) => Some(name.as_str()),
        Source::Supervisor | Source::Failure => None,
    };
    let reason: String = escalation.reason.chars().take(REASON_CHARS).collect();
    json!({
        "ticket": escalation.ticket.as_str(),
        "session": escalation.session.as_str(),
        "tenant": escalation.tenant.as_str(),
        "task_id": escalation.task_id.as_deref().map(echo),
        "source": escalation.source.as_str(),
        "specialist": specialist,
        "reason": reason,
        "due_ms": escalation.due.0,
    })
    .to_string()
}
