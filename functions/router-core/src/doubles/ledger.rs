//! The ledger on items in memory: the machines that the function drives, without a database.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Trap, account};
use crate::ids::RootSession;
use crate::ledger::{
    Account, Holds, Ledger, Looked, Next, Payer, Pipeline, Recalled, Repeat, Reservation,
    ReserveError, Reserving, SettleError, Settlement, Settling, Stage, kept_answer, kept_stages,
    looked, recalled, resumed,
};
use crate::store::{Item, ItemKey, Value, memory};
use crate::units::Timestamp;

/// A ledger in memory.
#[derive(Debug, Default)]
pub(crate) struct InMemoryLedger {
    /// How many reservations are answered before the table is down; `None`: all.
    answers: Option<u64>,
    reservations: AtomicU64,
    /// Whether settlements go unanswered, and so do not happen.
    loses_settlements: bool,
    pub(crate) trap: Trap,
    settlements: AtomicU64,
    pub(super) items: Mutex<BTreeMap<ItemKey, Item>>,
    /// Whether the scratchpad and the escalations give no answer.
    pub(crate) is_mute: bool,
    /// The value that another request writes to each key just before one is written.
    pub(super) overtaken_by: Option<&'static str>,
}

fn session() -> ItemKey {
    ItemKey::session(&RootSession::parse("sessionId", "s").unwrap())
}

impl InMemoryLedger {
    /// With session `s`, which has used so much, and has drawn more money than it needs.
    pub(crate) fn with(account: Account) -> Self {
        let item = Item::from([
            ("steps", Value::number(account.steps)),
            ("handoffs", Value::number(account.handoffs)),
            ("committed_tokens", Value::number(account.committed.tokens.0)),
            ("committed_micro_usd", Value::number(account.committed.cost.0)),
            ("spent_tokens", Value::number(account.spent.tokens.0)),
            ("spent_micro_usd", Value::number(account.spent.cost.0)),
            ("tenant_room_micro_usd", Value::number(1_000_000_000)),
        ]);
        Self { items: Mutex::new(BTreeMap::from([(session(), item)])), ..Self::default() }
    }

    pub(crate) fn that_is_down() -> Self {
        Self::that_goes_down_after(0)
    }

    /// Answers so many reservations, and no further one.
    pub(crate) fn that_goes_down_after(answers: u64) -> Self {
        Self { answers: Some(answers), ..Self::default() }
    }

    pub(crate) fn that_loses_settlements() -> Self {
        Self { loses_settlements: true, ..Self::default() }
    }

    /// Whose scratchpad and escalations give no answer.
    pub(crate) fn that_is_mute() -> Self {
        Self { is_mute: true, ..Self::default() }
    }

    /// Where another request writes this to each key just before it is written.
    pub(crate) fn overtaken_by(value: &'static str) -> Self {
        Self { overtaken_by: Some(value), ..Self::default() }
    }

    /// The account of session `s`.
    pub(crate) fn account(&self) -> Account {
        let items = self.items.lock().unwrap();
        let limits = account().limits;
        items.get(&session()).map_or_else(account, |item| Account::of_item(item, limits))
    }

    /// How many reservations were asked for.
    pub(crate) fn reservations(&self) -> u64 {
        self.reservations.load(Ordering::SeqCst)
    }

    /// How many settlements were asked for that were answered.
    pub(crate) fn settlements(&self) -> u64 {
        self.settlements.load(Ordering::SeqCst)
    }

    /// How many items are kept beside the budgets.
    pub(crate) fn kept(&self) -> usize {
        let items = self.items.lock().unwrap();
        items.keys().filter(|key| key.pk == session().pk && key.sk != session().sk).count()
    }

    /// How many holds session `s` has.
    pub(crate) fn holds(&self) -> usize {
        let items = self.items.lock().unwrap();
        items.get(&session()).map_or(0, |item| item.beginning("hold#").count())
    }
}

impl Ledger for InMemoryLedger {
    async fn reserve(
        &self,
        reservation: &Reservation<'_>,
        _within: Duration,
    ) -> Result<Holds, ReserveError> {
        self.trap.pass("reserve");
        let earlier = self.reservations.fetch_add(1, Ordering::SeqCst);
        if self.answers.is_some_and(|answers| earlier >= answers) {
            return Err(ReserveError::Unavailable("the table is down".into()));
        }
        let mut items = self.items.lock().unwrap();
        let mut reserving = Reserving::begin(reservation)?;
        loop {
            let answer = memory::apply(&mut *items, reserving.request());
            reserving = match reserving.on(reservation, answer) {
                Next::Send(reserving) => reserving,
                Next::Done(reserved) => return reserved,
            };
        }
    }

    async fn settle(
        &self,
        payer: &Payer<'_>,
        settlements: &[Settlement<'_>],
        _within: Duration,
    ) -> Result<(), SettleError> {
        self.trap.pass("settle");
        if self.loses_settlements {
            return Err(SettleError("the table is down".into()));
        }
        self.settlements.fetch_add(1, Ordering::SeqCst);
        let mut items = self.items.lock().unwrap();
        let Some(mut settling) = Settling::begin(payer, settlements) else { return Ok(()) };
        loop {
            let answer = memory::apply(&mut *items, settling.request());
            settling = match settling.on(payer, settlements, answer) {
                Next::Send(settling) => settling,
                Next::Done(settled) => return settled.map_err(SettleError),
            };
        }
    }

    async fn recall(&self, repeat: &Repeat<'_>, _within: Duration) -> Option<Recalled> {
        let session = repeat.payer.session;
        let items = self.items.lock().unwrap();
        let kept = items.get(&ItemKey::repeat(session, repeat.fingerprint))?;
        recalled(kept, items.get(&ItemKey::session(session))?.clone(), repeat)
    }

    async fn look(
        &self,
        payer: &Payer<'_>,
        now: Timestamp,
        _within: Duration,
    ) -> Result<Option<Looked>, ReserveError> {
        self.trap.pass("look");
        let item = self.items.lock().unwrap().get(&ItemKey::session(payer.session)).cloned();
        item.map_or(Ok(None), |item| looked(item, payer, now))
    }

    async fn resume(&self, pipeline: &Pipeline<'_>, _within: Duration) -> Vec<Stage> {
        let items = self.items.lock().unwrap();
        let session = items.get(&ItemKey::session(pipeline.payer.session));
        let found = items.get(&pipeline.key()).zip(session.cloned());
        found.map_or(Vec::new(), |(kept, session)| resumed(kept, session, pipeline))
    }

    async fn keep_stages(
        &self,
        pipeline: &Pipeline<'_>,
        stages: &[Stage],
        _within: Duration,
    ) -> Result<(), SettleError> {
        self.trap.pass("keep_stages");
        if let Some(item) = kept_stages(pipeline, stages) {
            self.items.lock().unwrap().insert(pipeline.key(), item);
        }
        Ok(())
    }

    async fn forget_stages(
        &self,
        pipeline: &Pipeline<'_>,
        _within: Duration,
    ) -> Result<(), SettleError> {
        self.trap.pass("forget_stages");
        self.items.lock().unwrap().remove(&pipeline.key());
        Ok(())
    }

    async fn keep(
        &self,
        repeat: &Repeat<'_>,
        generation: u64,
        answer: &str,
        window: Duration,
        _within: Duration,
    ) -> Result<(), SettleError> {
        if let Some(item) = kept_answer(repeat, generation, answer, window) {
            let key = ItemKey::repeat(repeat.payer.session, repeat.fingerprint);
            self.items.lock().unwrap().insert(key, item);
        }
        Ok(())
    }
}
