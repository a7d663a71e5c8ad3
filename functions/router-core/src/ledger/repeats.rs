//! Answers that are given again to the same request.
//!
//! Each is an item of its own, for as long as the policy's window. It holds the answer's text, and
//! no word of the question.

use std::time::Duration;

use super::session::{SessionItem, turns_attribute};
use super::{Limits, Recalled, Repeat};
use crate::store::{Item, Value};
use crate::units::Timestamp;

/// A longer answer is not kept: an item may have 400 KB.
const MAX_KEPT_BYTES: usize = 300_000;

/// The answer in `kept`, if it is still to be given to the request, by the session's item.
pub fn recalled(kept: &Item, session: Item, repeat: &Repeat<'_>) -> Option<Recalled> {
    let policy = Limits::from(repeat.payer.limits);
    let session = SessionItem::new(session, &policy).under_its_own_limits();
    let turns = session.number(&turns_attribute(repeat.specialist));
    let generation = turns / repeat.payer.limits.max_turns_per_specialist.max(1);
    let holds = Timestamp(kept.number("until_ms")) > repeat.now
        && kept.text("identity") == Some(repeat.identity)
        && kept.number("generation") == generation
        && session.belongs_to_tenant(repeat.payer.tenant)
        && session.belongs_to_user(repeat.payer.user)
        && !session.is_over(repeat.now);
    let answer = kept.text("answer").filter(|_| holds)?.to_owned();
    Some(Recalled { answer, account: session.account(), answered: session.answered() })
}

/// The item that keeps an answer of `generation` for `window`; `None` where it is too long for one.
pub fn kept_answer(
    repeat: &Repeat<'_>,
    generation: u64,
    answer: &str,
    window: Duration,
) -> Option<Item> {
    let until = repeat.now.after(window);
    (answer.len() <= MAX_KEPT_BYTES).then(|| {
        Item::from([
            ("answer", Value::text(answer)),
            ("identity", Value::text(repeat.identity)),
            ("generation", Value::number(generation)),
            ("until_ms", Value::number(until.0)),
            ("expires_at", Value::number(until.epoch_seconds())),
        ])
    })
}
