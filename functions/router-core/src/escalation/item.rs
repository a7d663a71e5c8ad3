//! An escalation's item: written when it is opened, and read.

use std::time::Duration;

use super::{Escalation, Source, State};
use crate::ids::{RootSession, SpecialistName, TaskMark, Tenant, Ticket, UserMark};
use crate::outcome::Reason;
use crate::store::{Condition, Item, ItemKey, Put, Request, Update, Value, Write};
use crate::units::{MicroUsd, Timestamp, day_expiry};

/// Where a session's name in an escalation comes from.
const SESSION: &str = "an escalation's session";

/// Keeps an escalation that is open now, unless there is one of its ticket. `author` makes the
/// change.
pub fn kept(escalation: &Escalation, author: &str) -> Request {
    let Escalation { session, tenant, user, task, task_id, source, .. } = escalation;
    let Escalation { reason, summary, tried, pad_keys, left, opened, due, idle_ttl, .. } =
        escalation;
    let tried: Vec<String> =
        tried.iter().map(|(name, reason)| format!("{name} {}", reason.as_str())).collect();
    let (steps, tokens, cost) = *left;
    let specialist = match source {
        Source::Specialist(name) => Some(Value::text(name.as_str())),
        Source::Supervisor | Source::Failure => None,
    };
    let attributes = [
        ("session", Some(Value::text(session.as_str()))),
        ("tenant", Some(Value::text(tenant.as_str()))),
        ("user", user.as_ref().map(|user| Value::text(user.as_str()))),
        ("task", Some(Value::text(task.as_str()))),
        ("task_id", task_id.as_ref().map(Value::text)),
        ("source", Some(Value::text(source.as_str()))),
        ("specialist", specialist),
        ("reason", Some(Value::text(reason))),
        ("summary", Some(Value::text(summary))),
        ("tried", Some(Value::text(tried.join("\n")))),
        ("pad_keys", Some(Value::text(pad_keys.join("\n")))),
        ("steps_left", Some(Value::number(steps))),
        ("tokens_left", Some(Value::number(tokens))),
        ("micro_usd_left", Some(Value::number(cost.0))),
        ("opened_ms", Some(Value::number(opened.0))),
        ("due_ms", Some(Value::number(due.0))),
        ("idle_ttl_seconds", Some(Value::number(idle_ttl.as_secs()))),
        ("state", Some(Value::text(State::Open.as_str()))),
        ("stamp", Some(Value::number(1))),
        ("written_by", Some(Value::text(author))),
        ("expires_at", Some(Value::number(day_expiry(*due)))),
    ];
    let there = attributes.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Request::Transact(vec![Write::Put(Put {
        key: ItemKey::escalation(&escalation.ticket),
        item: Item(there.collect()),
        conditions: vec![Condition::Absent("pk".to_owned())],
    })])
}

/// Notes that people were told of an escalation.
pub fn announced(ticket: &Ticket, now: Timestamp) -> Request {
    let mut write = Update::of(ItemKey::escalation(ticket));
    write.require("pk");
    write.set("announced_ms", Value::number(now.0));
    Request::Update(write)
}

/// The escalation of an item and its state; `None` where no router has written it.
pub fn of_item(ticket: Ticket, item: &Item) -> Option<(Escalation, State)> {
    let text = |name| item.text(name).unwrap_or_default();
    let lines = |name| text(name).lines();
    let tried = lines("tried").filter_map(|line| {
        let (name, reason) = line.split_once(' ')?;
        Some((SpecialistName::parse(name)?, Reason::parse(reason)?))
    });
    let source = match text("source") {
        "specialist" => Source::Specialist(SpecialistName::parse(text("specialist"))?),
        "failure" => Source::Failure,
        _ => Source::Supervisor,
    };
    let escalation = Escalation {
        ticket,
        session: RootSession::passed_on(SESSION, item.text("session")?).ok()?,
        tenant: Tenant::parse(item.text("tenant")?).ok()?,
        user: item.text("user").and_then(UserMark::parse),
        task: TaskMark::parse(item.text("task")?)?,
        task_id: item.text("task_id").map(str::to_owned),
        source,
        reason: text("reason").to_owned(),
        summary: text("summary").to_owned(),
        tried: tried.collect(),
        pad_keys: lines("pad_keys").map(str::to_owned).collect(),
        left: (
            item.number("steps_left"),
            item.number("tokens_left"),
            MicroUsd(item.number("micro_usd_left")),
        ),
        opened: Timestamp(item.number("opened_ms")),
        due: Timestamp(item.number("due_ms")),
        idle_ttl: Duration::from_secs(item.number("idle_ttl_seconds")),
    };
    Some((escalation, state(item)?))
}

fn state(item: &Item) -> Option<State> {
    let by = || item.text("by").map(str::to_owned);
    Some(match item.text("state")? {
        "open" => State::Open,
        "claimed" => State::Claimed { by: by()? },
        "answered" => State::Answered { by: by()?, text: item.text("answer")?.to_owned() },
        "expired" => State::Expired,
        _ => return None,
    })
}

/// What a change of the state sets.
pub(super) fn set_state(write: &mut Update, state: &State, now: Timestamp) {
    write.set("state", Value::text(state.as_str()));
    if let Some(by) = state.by() {
        write.set("by", Value::text(by));
    }
    if let State::Answered { text, .. } = state {
        write.set("answer", Value::text(text));
    }
    write.set(&format!("{}_ms", state.as_str()), Value::number(now.0));
}
