//! Escalations in the table: `ESCALATION#<UTC date>` / `<id>`, an item each; and word of them to people.

use std::time::Duration;

use aws_config::SdkConfig;
use router_core::error::Cause;
use router_core::escalation::{
    Change, Changed, Changing, Escalation, Escalations, NotChanged, NotKept, State, announced,
    kept, of_item,
};
use router_core::ids::Ticket;
use router_core::store::{Answer, ItemKey, Next};
use router_core::units::{Clock, Timestamp};
use tokio::time::{sleep, timeout};
use tracing::warn;

use crate::SystemClock;
use crate::failure::NO_ANSWER;
use crate::settings::EscalationSettings;
use crate::table::Table;
use crate::topic::Topic;

/// The longest that telling people may hold a request up.
const TELLING: Duration = Duration::from_secs(1);
/// How long to wait before a change is begun again that met another.
const PAUSE: Duration = Duration::from_millis(20);

/// Keeps escalations in a DynamoDB table, and tells a topic of them.
#[derive(Debug)]
pub struct DynamoEscalations {
    table: Table,
    topic: Option<Topic>,
}

/// An escalation as the table has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What is asked.
    pub escalation: Escalation,
    /// What has become of it, whatever the time.
    pub state: State,
    /// Whether people were told.
    pub is_announced: bool,
}

impl DynamoEscalations {
    /// The escalations in `table`, with the region, credentials and endpoints of `config`.
    pub fn new(config: &SdkConfig, table: Table, settings: EscalationSettings) -> Self {
        let topic = settings.topic.map(|arn| Topic::new(config, arn));
        Self { table, topic }
    }

    /// The same, where nobody is told of any: for who looks at them.
    pub fn without_topic(table: Table) -> Self {
        Self { table, topic: None }
    }

    /// Whether people are told.
    pub fn tells(&self) -> bool {
        self.topic.is_some()
    }

    /// Makes a change, as [`Changing`] has it.
    ///
    /// # Errors
    ///
    /// [`NotChanged`] says what stands against it.
    pub async fn change(&self, change: &Change<'_>) -> Result<Changed, NotChanged> {
        let mut changing = Changing::begin(change);
        loop {
            let round = changing.round();
            let answer = self.table.send(changing.request()).await;
            changing = match changing.on(change, answer) {
                Next::Send(next) => next,
                Next::Done(end) => return end,
            };
            if changing.round() > round {
                sleep(PAUSE).await;
            }
        }
    }

    /// All escalations that were opened on a UTC day, as `2026-11-27`. It needs `dynamodb:Query`.
    ///
    /// # Errors
    ///
    /// The table gave no answer.
    pub async fn of_day(&self, date: &str) -> Result<Vec<Stored>, Cause> {
        let items = self.table.partition(&ItemKey::escalations_of(date)).await?;
        let stored = items.into_iter().filter_map(|(key, item)| {
            let ticket = Ticket::parse(&format!("{date}-{}", key.sk))?;
            let (escalation, state) = of_item(ticket, &item)?;
            Some(Stored { escalation, state, is_announced: item.has("announced_ms") })
        });
        Ok(stored.collect())
    }

    /// Tells people of an escalation, and notes it. Without a topic nobody is told.
    ///
    /// # Errors
    ///
    /// The topic gave no answer: people may have been told, and are told again.
    pub async fn announce(&self, escalation: &Escalation, now: Timestamp) -> Result<(), Cause> {
        let Some(topic) = &self.topic else { return Ok(()) };
        topic.tell(escalation).await?;
        match self.table.send(&announced(&escalation.ticket, now)).await {
            Answer::Unavailable(cause) | Answer::Unusable(cause) => Err(cause),
            // One that is not there any more was erased.
            Answer::Done(_) | Answer::Refused { .. } | Answer::Contended => Ok(()),
        }
    }

    /// Keeps an escalation; whether it was not kept before.
    async fn keep(&self, escalation: &Escalation) -> Result<bool, Cause> {
        let author = format!("{}/opened/{}", escalation.ticket, escalation.opened.0);
        match self.table.send(&kept(escalation, &author)).await {
            Answer::Done(_) => Ok(true),
            // A repeated write, whose answer was lost, has kept it itself.
            Answer::Refused { item, .. } => {
                Ok(item.is_some_and(|item| item.text("written_by") == Some(&author)))
            }
            Answer::Contended => Err("the escalation was being written by another request".into()),
            Answer::Unusable(cause) | Answer::Unavailable(cause) => Err(cause),
        }
    }
}

impl Escalations for DynamoEscalations {
    async fn open(&self, escalation: &Escalation, within: Duration) -> Result<bool, NotKept> {
        let is_new = match timeout(within, self.keep(escalation)).await {
            Ok(kept) => kept.map_err(NotKept)?,
            Err(_) => return Err(NotKept(NO_ANSWER.into())),
        };
        if is_new {
            let telling = self.announce(escalation, SystemClock.now());
            let told = timeout(within.min(TELLING), telling).await;
            if let Err(error) = told.unwrap_or_else(|_| Err(NO_ANSWER.into())) {
                warn!(%error, "people are told of an escalation later");
            }
        }
        Ok(is_new)
    }
}
