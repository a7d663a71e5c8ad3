//! The scratchpad and the escalations, on the items that the ledger has.

use std::collections::BTreeMap;
use std::time::Duration;

use super::InMemoryLedger;
use crate::escalation::{Action, Changed, NotChanged};
use crate::escalation::{Change, Changing, Escalation, Escalations, NotKept, State, kept, of_item};
use crate::ids::{RootSession, Ticket};
use crate::scratchpad::{NewPad, Pad, PadError, Put, Scratchpad, Seen, renewal};
use crate::store::{Answer, ItemKey, Next, Version, memory};
use crate::units::Timestamp;

const DOWN: &str = "the table is down";

impl Scratchpad for InMemoryLedger {
    async fn read(
        &self,
        session: &RootSession,
        keys: &[&str],
        now: Timestamp,
        _within: Duration,
    ) -> Result<BTreeMap<String, Seen>, PadError> {
        self.trap.pass("read");
        if self.is_mute {
            return Err(PadError(DOWN.into()));
        }
        let items = self.items.lock().unwrap();
        let seen = |key: &&str| {
            let item = items.get(&ItemKey::pad(session, key)).cloned().unwrap_or_default();
            ((*key).to_owned(), Seen::of(&item, now))
        };
        Ok(keys.iter().map(seen).collect())
    }

    async fn write(&self, pad: &NewPad<'_>, _within: Duration) -> Result<Put, PadError> {
        self.trap.pass("write");
        let mut items = self.items.lock().unwrap();
        if let Some(value) = self.overtaken_by {
            let version = Version { author: "another", ..pad.version };
            memory::apply(&mut *items, &NewPad { value, version, ..*pad }.request());
        }
        pad.outcome(memory::apply(&mut *items, &pad.request()))
    }

    async fn renew(
        &self,
        session: &RootSession,
        key: &str,
        pad: &Pad,
        expires_at: u64,
        _within: Duration,
    ) {
        let mut items = self.items.lock().unwrap();
        memory::apply(&mut *items, &renewal(session, key, pad, expires_at));
    }
}

impl Escalations for InMemoryLedger {
    async fn open(&self, escalation: &Escalation, _within: Duration) -> Result<bool, NotKept> {
        self.trap.pass("open");
        if self.is_mute {
            return Err(NotKept(DOWN.into()));
        }
        let answer = memory::apply(&mut *self.items.lock().unwrap(), &kept(escalation, "router"));
        Ok(matches!(answer, Answer::Done(_)))
    }
}

impl InMemoryLedger {
    /// What people are asked, and what has become of it.
    pub(crate) fn escalations(&self) -> Vec<(Escalation, State)> {
        let items = self.items.lock().unwrap();
        let read = |(key, item): (&ItemKey, _)| {
            let date = key.pk.strip_prefix("ESCALATION#")?;
            of_item(Ticket::parse(&format!("{date}-{}", key.sk))?, item)
        };
        items.iter().filter_map(read).collect()
    }

    /// Does something with an escalation, as the desk does.
    pub(crate) fn act(
        &self,
        ticket: &Ticket,
        action: &Action,
        now: Timestamp,
    ) -> Result<Changed, NotChanged> {
        let mut items = self.items.lock().unwrap();
        let change = Change { ticket, action, author: "desk", now };
        let mut changing = Changing::begin(&change);
        loop {
            let answer: Answer = memory::apply(&mut *items, changing.request());
            changing = match changing.on(&change, answer) {
                Next::Send(changing) => changing,
                Next::Done(end) => return end,
            };
        }
    }

    /// The value of a key of a session's scratchpad.
    pub(crate) fn pad(&self, session: &RootSession, key: &str, now: Timestamp) -> Option<Pad> {
        let items = self.items.lock().unwrap();
        Seen::of(items.get(&ItemKey::pad(session, key))?, now).pad
    }
}
