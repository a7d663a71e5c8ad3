//! Settling holds: one request, or more where some of them are gone.

use std::time::Duration;

use super::{Next, backoff};
use crate::error::Cause;
use crate::ids::HoldId;
use crate::ledger::session::hold_attribute;
use crate::ledger::{Payer, Settlement, writes};
use crate::store::{Answer, Request};

/// Holds that are being settled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settling {
    /// The ids of those that are not known to be gone.
    due: Vec<HoldId>,
    request: Request,
    /// How often others were writing the same items.
    contended: u32,
}

impl Settling {
    /// The first request that settles `settlements`; `None` where there are none.
    pub fn begin(payer: &Payer<'_>, settlements: &[Settlement<'_>]) -> Option<Self> {
        Self::of(payer, settlements.iter().collect())
    }

    fn of(payer: &Payer<'_>, due: Vec<&Settlement<'_>>) -> Option<Self> {
        let request = writes::settle(payer, &due);
        let due: Vec<HoldId> = due.into_iter().map(|settlement| settlement.id.clone()).collect();
        (!due.is_empty()).then_some(Self { due, request, contended: 0 })
    }

    /// How long to wait before the request, so that those who met at an item do not meet again.
    pub fn pause(&self) -> Option<Duration> {
        let first = self.due.first().filter(|_| self.contended > 0)?;
        Some(backoff(first.spread(), self.contended))
    }

    /// What the table is asked now.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// What follows an answer to [`Self::request`]; payer and settlements are those it was begun
    /// with. A hold that is gone was settled by an earlier try, or has expired; it must not keep
    /// the others.
    pub fn on(
        self,
        payer: &Payer<'_>,
        settlements: &[Settlement<'_>],
        answer: Answer,
    ) -> Next<Self, Result<(), Cause>> {
        let item = match answer {
            Answer::Done(_) => return Next::Done(Ok(())),
            Answer::Refused { item, .. } => item.unwrap_or_default(),
            Answer::Contended => {
                return Next::Send(Self { contended: self.contended + 1, ..self });
            }
            Answer::Unusable(cause) | Answer::Unavailable(cause) => return Next::Done(Err(cause)),
        };
        let is_due = |settlement: &&Settlement<'_>| {
            self.due.contains(settlement.id) && item.has(&hold_attribute(settlement.id))
        };
        let due: Vec<&Settlement<'_>> = settlements.iter().filter(is_due).collect();
        if due.len() == self.due.len() {
            return Next::Done(Err("the holds of the session came back".into()));
        }
        Self::of(payer, due).map_or(Next::Done(Ok(())), Next::Send)
    }
}
