//! What a request still has to settle, and to tell: read from its journal.

use crate::charge::Charge;
use crate::ids::{Fingerprint, HoldId, Lane, Ticket};
use crate::journal::{Entry, Fact, Hold};
use crate::ledger::Settlement;

/// A hold that is taken or may be, and is not settled.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OpenHold {
    /// The task that it was taken for.
    pub(crate) task: Option<usize>,
    /// What was asked of the ledger.
    pub(crate) hold: Hold,
    /// What it is to be replaced by; `None`: it is in use.
    pub(crate) used: Option<Charge>,
    /// The lane that the invocation was left in while the agent may still be at work.
    pub(crate) left: Option<Lane>,
    /// Requests whose repetitions need not be counted any more.
    pub(crate) stale: Vec<Fingerprint>,
}

impl OpenHold {
    /// How it is settled, if it is no longer in use.
    pub(super) fn settlement(&self) -> Option<Settlement<'_>> {
        let Self { hold: Hold { id, specialist, ask, counted }, left, stale, .. } = self;
        let (used, counted) = (self.used?, *counted);
        let (held, left) = (*ask, *left);
        Some(Settlement { id, specialist, held, used, counted, stale, told: &[], left })
    }
}

/// The tickets that people have answered, of which the supervisor is to be told, each once: several calls
/// of a round may all have found them.
pub(crate) fn answered_tickets(entries: &[Entry]) -> Vec<Ticket> {
    let mut answered: Vec<Ticket> = Vec::new();
    for entry in entries {
        if let Fact::PersonAnswered { ticket } = &entry.fact
            && !answered.contains(ticket)
        {
            answered.push(ticket.clone());
        }
    }
    answered
}

/// The holds that are taken, or may be, and whose settlement was not tried yet.
pub(crate) fn open_holds(entries: &[Entry]) -> Vec<OpenHold> {
    let mut open: Vec<OpenHold> = Vec::new();
    for entry in entries {
        match &entry.fact {
            Fact::Reserving(hold) => open.push(OpenHold {
                task: entry.task,
                hold: hold.clone(),
                used: None,
                left: None,
                stale: Vec::new(),
            }),
            Fact::Held { id, stale, .. } => {
                of(&mut open, id).for_each(|open| open.stale.clone_from(stale));
            }
            Fact::Charged { id, used, left } => {
                of(&mut open, id).for_each(|open| (open.used, open.left) = (Some(*used), *left));
            }
            Fact::NotHeld { id, .. } | Fact::Settling { id, .. } => {
                open.retain(|open| open.hold.id != *id);
            }
            _ => {}
        }
    }
    open
}

fn of<'o>(open: &'o mut [OpenHold], id: &'o HoldId) -> impl Iterator<Item = &'o mut OpenHold> {
    open.iter_mut().filter(move |open| open.hold.id == *id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::caller;
    use crate::ids::TaskMark;
    use crate::units::Timestamp;

    #[test]
    fn a_ticket_that_several_calls_found_is_told_once() {
        let of = |number: u64| {
            let mark = TaskMark::of_id("t");
            Ticket::new(&caller().root, &mark, &format!("r-{number}"), Timestamp(number))
        };
        let fact = |ticket: &Ticket| Fact::PersonAnswered { ticket: ticket.clone() };
        let (first, second) = (of(1), of(2));
        let facts = [fact(&first), fact(&second), fact(&first)];
        let entries = facts.map(|fact| Entry { at: Timestamp(0), task: None, fact });
        assert_eq!(answered_tickets(&entries), [first, second]);
    }
}
