//! Budgets in one DynamoDB table.
//!
//! What is written, and what an answer means, is the core's to say
//! ([`router_core::ledger::Reserving`]); here its requests are sent, within the time that there is.

mod used_up;

use std::time::Duration;

use router_core::error::Cause;
use router_core::ledger::{
    Holds, Ledger, Looked, Next, Payer, Pipeline, Recalled, Repeat, Reservation, ReserveError,
    Reserving, SettleError, Settlement, Settling, Stage, backoff, kept_answer, kept_stages, looked,
    recalled, resumed,
};
use router_core::store::{Answer, Item, ItemKey, Request};
use router_core::units::Timestamp;
use tokio::time::{sleep, timeout};
use tokio::try_join;
use tracing::warn;
use used_up::UsedUp;

use crate::failure::NO_ANSWER;
use crate::table::Table;

/// How often an update is tried again that met a transaction, which the SDK does not do.
const CONFLICTS: u32 = 12;

/// Keeps the budgets in a DynamoDB table.
#[derive(Debug)]
pub struct DynamoLedger {
    table: Table,
    used_up: UsedUp,
}

impl DynamoLedger {
    /// A ledger in `table`.
    pub fn new(table: Table) -> Self {
        Self { table, used_up: UsedUp::default() }
    }

    /// Forgets which sessions have used a limit up: another policy may have another limit.
    pub(crate) fn forget(&self) {
        self.used_up.forget();
    }

    async fn take(&self, reservation: &Reservation<'_>) -> Result<Holds, ReserveError> {
        if let Some(exhausted) = self.used_up.recall(reservation) {
            return Err(ReserveError::Exhausted(Box::new(exhausted)));
        }
        let mut reserving = Reserving::begin(reservation)?;
        loop {
            if let Some(pause) = reserving.pause(reservation) {
                sleep(pause).await;
            }
            let answer = self.send(reserving.request(), reservation.spread()).await;
            reserving = match reserving.on(reservation, answer) {
                Next::Send(reserving) => reserving,
                Next::Done(reserved) => return reserved,
            };
        }
    }

    async fn settle_all(
        &self,
        payer: &Payer<'_>,
        settlements: &[Settlement<'_>],
    ) -> Result<(), Cause> {
        let Some(mut settling) = Settling::begin(payer, settlements) else { return Ok(()) };
        let spread = settlements.first().map_or(0, |settlement| settlement.id.spread());
        loop {
            if let Some(pause) = settling.pause() {
                sleep(pause).await;
            }
            let answer = self.send(settling.request(), spread).await;
            settling = match settling.on(payer, settlements, answer) {
                Next::Send(settling) => settling,
                Next::Done(settled) => return settled,
            };
        }
    }

    /// Sends a request. An update that meets a transaction is tried again here, after a wait that
    /// `spread` makes another one than that of others who met it.
    async fn send(&self, request: &Request, spread: u64) -> Answer {
        let mut round = 0;
        loop {
            match (self.table.send(request).await, request) {
                (Answer::Contended, Request::Update(_)) if round < CONFLICTS => {
                    round += 1;
                    sleep(backoff(spread, round)).await;
                }
                (Answer::Contended, Request::Update(_)) => {
                    return Answer::Unavailable("transactions held the item all the time".into());
                }
                (answer, ..) => return answer,
            }
        }
    }

    async fn find_stages(&self, pipeline: &Pipeline<'_>) -> Result<Vec<Stage>, Cause> {
        let (stages, session) = (pipeline.key(), ItemKey::session(pipeline.payer.session));
        let (kept, session) = try_join!(self.table.read(&stages), self.table.read(&session))?;
        let found = kept.zip(session);
        Ok(found.map_or(Vec::new(), |(kept, session)| resumed(&kept, session, pipeline)))
    }

    async fn find_answer(&self, repeat: &Repeat<'_>) -> Result<Option<Recalled>, Cause> {
        let key = ItemKey::repeat(repeat.payer.session, repeat.fingerprint);
        let session = ItemKey::session(repeat.payer.session);
        let (kept, session) = try_join!(self.table.read(&key), self.table.read(&session))?;
        Ok(kept.zip(session).and_then(|(kept, session)| recalled(&kept, session, repeat)))
    }

    async fn keep_answer(&self, repeat: &Repeat<'_>, kept: &Item) -> Result<(), Cause> {
        self.table.put(&ItemKey::repeat(repeat.payer.session, repeat.fingerprint), kept).await
    }
}

/// What comes of a write, if that is known `within` the time.
async fn in_time(
    within: Duration,
    write: impl Future<Output = Result<(), Cause>>,
) -> Result<(), SettleError> {
    match timeout(within, write).await {
        Ok(written) => written.map_err(SettleError),
        Err(_) => Err(SettleError(NO_ANSWER.into())),
    }
}

impl Ledger for DynamoLedger {
    async fn reserve(
        &self,
        reservation: &Reservation<'_>,
        within: Duration,
    ) -> Result<Holds, ReserveError> {
        let reserved = match timeout(within, self.take(reservation)).await {
            Ok(reserved) => reserved,
            Err(_) => Err(ReserveError::Unavailable(NO_ANSWER.into())),
        };
        if let Err(ReserveError::Exhausted(exhausted)) = &reserved {
            self.used_up.remember(reservation, exhausted);
        }
        reserved
    }

    async fn settle(
        &self,
        payer: &Payer<'_>,
        settlements: &[Settlement<'_>],
        within: Duration,
    ) -> Result<(), SettleError> {
        in_time(within, self.settle_all(payer, settlements)).await
    }

    async fn recall(&self, repeat: &Repeat<'_>, within: Duration) -> Option<Recalled> {
        match timeout(within, self.find_answer(repeat)).await {
            Ok(Ok(recalled)) => recalled,
            Ok(Err(error)) => {
                warn!(error = %error, "no answer is recalled");
                None
            }
            Err(_) => None,
        }
    }

    async fn look(
        &self,
        payer: &Payer<'_>,
        now: Timestamp,
        within: Duration,
    ) -> Result<Option<Looked>, ReserveError> {
        let key = ItemKey::session(payer.session);
        match timeout(within, self.table.read(&key)).await {
            Ok(Ok(item)) => item.map_or(Ok(None), |item| looked(item, payer, now)),
            Ok(Err(cause)) => Err(ReserveError::Unavailable(cause)),
            Err(_) => Err(ReserveError::Unavailable(NO_ANSWER.into())),
        }
    }

    async fn resume(&self, pipeline: &Pipeline<'_>, within: Duration) -> Vec<Stage> {
        match timeout(within, self.find_stages(pipeline)).await {
            Ok(Ok(stages)) => stages,
            Ok(Err(error)) => {
                warn!(error = %error, "no stage is resumed");
                Vec::new()
            }
            Err(_) => Vec::new(),
        }
    }

    async fn keep_stages(
        &self,
        pipeline: &Pipeline<'_>,
        stages: &[Stage],
        within: Duration,
    ) -> Result<(), SettleError> {
        let Some(item) = kept_stages(pipeline, stages) else { return Ok(()) };
        in_time(within, self.table.put(&pipeline.key(), &item)).await
    }

    async fn forget_stages(
        &self,
        pipeline: &Pipeline<'_>,
        within: Duration,
    ) -> Result<(), SettleError> {
        in_time(within, self.table.delete(&pipeline.key())).await
    }

    async fn keep(
        &self,
        repeat: &Repeat<'_>,
        generation: u64,
        answer: &str,
        window: Duration,
        within: Duration,
    ) -> Result<(), SettleError> {
        let Some(kept) = kept_answer(repeat, generation, answer, window) else { return Ok(()) };
        in_time(within, self.keep_answer(repeat, &kept)).await
    }
}
