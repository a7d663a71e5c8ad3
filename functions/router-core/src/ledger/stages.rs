//! The stages of a pipeline that was not finished, which the same pipeline need not ask again.
//!
//! All are one item, for a quarter of an hour after the last. It holds the answers' texts, and no word
//! of the questions.

use std::time::Duration;

use super::session::SessionItem;
use super::{Limits, Payer};
use crate::ids::{Fingerprint, SpecialistName};
use crate::outcome::Reason;
use crate::store::{Item, ItemKey, Value};
use crate::units::Timestamp;

/// How long a pipeline that was not finished can be resumed.
const RESUMABLE: Duration = Duration::from_secs(15 * 60);

/// Longer answers together are not kept: an item may have 400 KB.
const MAX_KEPT_BYTES: usize = 380_000;

/// A pipeline of a session.
#[derive(Clone, Debug)]
pub struct Pipeline<'a> {
    /// The session, and who it must belong to.
    pub payer: Payer<'a>,
    /// What its stages ask of whom.
    pub fingerprint: &'a Fingerprint,
    /// Who asks, as [`crate::wire::caller::Caller::identity`] has it.
    pub identity: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// A stage that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The specialist that answered.
    pub by: SpecialistName,
    /// Why that is not the one that was asked for.
    pub reason: Option<Reason>,
    /// The answer.
    pub answer: String,
}

impl Pipeline<'_> {
    /// Where its stages are kept.
    pub fn key(&self) -> ItemKey {
        ItemKey::stages(self.payer.session, self.fingerprint)
    }
}

/// The stages in `kept`, in order, if they may still be used by `pipeline`, by the session's item.
pub fn resumed(kept: &Item, session: Item, pipeline: &Pipeline<'_>) -> Vec<Stage> {
    let payer = &pipeline.payer;
    let session = SessionItem::new(session, &Limits::from(payer.limits));
    let may = Timestamp(kept.number("until_ms")) > pipeline.now
        && kept.text("identity") == Some(pipeline.identity)
        && session.belongs_to_tenant(payer.tenant)
        && session.belongs_to_user(payer.user)
        && !session.is_over(pipeline.now);
    let stage = |place: usize| {
        Some(Stage {
            by: SpecialistName::parse(kept.text(&format!("by_{place}"))?)?,
            reason: match kept.text(&format!("reason_{place}")) {
                Some(reason) => Some(Reason::parse(reason)?),
                None => None,
            },
            answer: kept.text(&format!("answer_{place}"))?.to_owned(),
        })
    };
    (0..).map_while(|place| stage(place).filter(|_| may)).collect()
}

/// The item that keeps `stages`; `None` where they are too long for one.
pub fn kept_stages(pipeline: &Pipeline<'_>, stages: &[Stage]) -> Option<Item> {
    let until = pipeline.now.after(RESUMABLE);
    let mut item = Item::from([
        ("identity", Value::text(pipeline.identity)),
        ("until_ms", Value::number(until.0)),
        ("expires_at", Value::number(until.epoch_seconds())),
    ]);
    for (place, Stage { by, reason, answer }) in stages.iter().enumerate() {
        item.set(format!("by_{place}"), Value::text(by.as_str()));
        item.set(format!("answer_{place}"), Value::text(answer));
        if let Some(reason) = reason {
            item.set(format!("reason_{place}"), Value::text(reason.as_str()));
        }
    }
    let bytes: usize = stages.iter().map(|stage| stage.answer.len()).sum();
    (bytes <= MAX_KEPT_BYTES).then_some(item)
}
