//! `routerctl escalations`: what people are asked, and their answers.

use clap::ArgGroup;
use clap::builder::NonEmptyStringValueParser;
use router_aws::escalations::Stored;
use router_aws::{DynamoEscalations, SystemClock};
use router_core::escalation::{
    Action, Change, Changed, Escalation, MAX_ANSWER_BYTES, MAX_NAME_CHARS, NotChanged, Source,
    State, answer_key, is_answer,
};
use router_core::ids::{RootSession, SpecialistName, Ticket};
use router_core::units::{Clock, Timestamp};
use serde_json::{Value, json};
use stand_ins::print::{counted, usd, utc};

use crate::day::Days;
use crate::place::Place;
use crate::policy::line;
use crate::print::Head::Left;
use crate::print::table;
use crate::session::parse_name;
use crate::{Failure, Said};

/// Show what people are asked, claim it, and answer
///
/// Shows the escalations that were opened on some days: who asks, why, what the person is to know,
/// who was tried, and what has become of it. An answer becomes the key escalation:TICKET of the
/// session's scratchpad, and its supervisor is told with the next request. An answer takes what
/// nobody has claimed; what another person has, it leaves alone.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[command(group = ArgGroup::new("act").args(["claim", "answer"]))]
pub(crate) struct Arguments {
    #[command(flatten)]
    days: Days,

    /// Only those that nobody has answered, and that are not over time
    #[arg(long)]
    open: bool,

    /// Only those of this root session
    #[arg(long, value_name = "SESSION", value_parser = parse_name)]
    session: Option<RootSession>,

    /// Take this one, so that no other person does
    #[arg(long, value_name = "TICKET", value_parser = parse_ticket, requires = "by")]
    claim: Option<Ticket>,

    /// Answer this one
    #[arg(long, value_name = "TICKET", value_parser = parse_ticket, requires_all = ["by", "text"])]
    answer: Option<Ticket>,

    /// Who acts; it is recorded, and the supervisor sees it
    #[arg(long, value_name = "NAME", requires = "act", value_parser = parse_by)]
    by: Option<String>,

    /// The answer
    #[arg(long, value_name = "TEXT", requires = "answer", value_parser = NonEmptyStringValueParser::new())]
    text: Option<String>,

    #[command(flatten)]
    place: Place,
}

fn parse_ticket(text: &str) -> Result<Ticket, String> {
    let rule = "allowed is a ticket, as 2026-11-27-0123456789abcdef";
    Ticket::parse(text).ok_or_else(|| rule.to_owned())
}

fn parse_by(text: &str) -> Result<String, String> {
    let by = text.trim();
    let is_name = (1..=MAX_NAME_CHARS).contains(&by.chars().count());
    if is_name && !by.chars().any(char::is_control) {
        return Ok(by.to_owned());
    }
    Err(format!("allowed are 1 to {MAX_NAME_CHARS} characters in one line"))
}

pub(crate) async fn run(arguments: &Arguments, json: bool) -> Result<Said, Failure> {
    let Arguments { claim, answer, by, text, .. } = arguments;
    let by = by.clone().unwrap_or_default();
    match (claim, answer) {
        (Some(ticket), _) => act(arguments, ticket, Action::Claim { by }, json).await,
        (None, Some(ticket)) => {
            let text = text.clone().unwrap_or_default();
            if !is_answer(&text) {
                let found = text.len();
                return Err(Failure::Usage(format!(
                    "--text has {found} bytes; allowed are 1 to {MAX_ANSWER_BYTES} that are not all \
                     blank, without control characters but line breaks and tabs"
                )));
            }
            act(arguments, ticket, Action::Answer { by, text }, json).await
        }
        (None, None) => show(arguments, json).await,
    }
}

async fn act(
    arguments: &Arguments,
    ticket: &Ticket,
    action: Action,
    json: bool,
) -> Result<Said, Failure> {
    let opened = arguments.place.open().await?;
    let escalations = DynamoEscalations::without_topic(opened.table.clone());
    // Each run of the program is an author of its own.
    let now = SystemClock.now();
    let author = format!("routerctl-{}-{}", std::process::id(), now.0);
    let change = Change { ticket, action: &action, author: &author, now };
    let changed = escalations.change(&change).await.map_err(|error| match error {
        NotChanged::Unknown => Failure::Refused(format!("there is no ticket `{ticket}`")),
        NotChanged::Refused(refused) => {
            Failure::Refused(format!("`{ticket}` was left as it is: {refused}"))
        }
        NotChanged::Unavailable(cause) => Failure::Table(cause),
    })?;
    let Changed { escalation, state, is_delivered, .. } = changed;
    if json {
        let object = object(&escalation, &state, SystemClock.now());
        return Ok(line(&json!({ "escalation": object, "delivered": is_delivered })));
    }
    Ok(Said::well(match (&state, is_delivered) {
        (State::Answered { .. }, true) => {
            let key = answer_key(ticket);
            format!("answered: the supervisor finds it as `{key}` with its next request\n")
        }
        (State::Answered { .. }, false) => {
            "answered, but the session that waited for it is over: the answer is kept with the \
             escalation alone\n"
                .to_owned()
        }
        (state, _) => format!("{}, until {}\n", state.as_str(), utc(escalation.due.0 / 1_000)),
    }))
}

async fn show(arguments: &Arguments, json: bool) -> Result<Said, Failure> {
    let opened = arguments.place.open().await?;
    let escalations = DynamoEscalations::without_topic(opened.table.clone());
    let now = SystemClock.now();
    let mut found: Vec<Stored> = Vec::new();
    for date in arguments.days.dates(now) {
        let mut of_day = escalations.of_day(&date).await?;
        of_day.sort_by_key(|stored| stored.escalation.opened);
        found.extend(of_day);
    }
    found.retain(|Stored { escalation, state, .. }| {
        let is_of = arguments.session.as_ref().is_none_or(|it| *it == escalation.session);
        is_of && (!arguments.open || matches!(at(escalation, state, now), "open" | "claimed"))
    });
    if json {
        let objects = found.iter().map(|stored| object(&stored.escalation, &stored.state, now));
        return Ok(line(&json!({ "escalations": objects.collect::<Value>() })));
    }
    if found.is_empty() {
        return Ok(Said::well(
            "No such escalation on these days: see --date and --days.\n".to_owned(),
        ));
    }
    let rows = found.iter().map(|Stored { escalation, state, .. }| {
        [
            escalation.ticket.to_string(),
            at(escalation, state, now).to_owned(),
            state.by().unwrap_or("-").to_owned(),
            utc(escalation.due.0 / 1_000).replace(" UTC", ""),
            asker(escalation).to_owned(),
            escalation.reason.clone(),
            escalation.session.to_string(),
        ]
    });
    let heads = [
        Left("ticket"),
        Left("state"),
        Left("by"),
        Left("due (UTC)"),
        Left("asked by"),
        Left("why"),
        Left("session"),
    ];
    let mut text = table(heads, rows);
    for Stored { escalation, state, .. } in &found {
        text += &told(escalation, state);
    }
    Ok(Said::well(text + &format!("\n{}\n", counted(found.len(), "escalation"))))
}

/// What a person is to know of one.
fn told(escalation: &Escalation, state: &State) -> String {
    let Escalation { ticket, summary, tried, pad_keys, left, .. } = escalation;
    let tried: Vec<String> =
        tried.iter().map(|(name, reason)| format!("{name} ({})", reason.as_str())).collect();
    let (steps, tokens, cost) = *left;
    let mut text = format!("\n{ticket}\n");
    let mut add = |head: &str, body: &str| {
        let lines: Vec<String> = body.lines().map(stand_ins::print::printable).collect();
        text += &format!("  {head}: {}\n", lines.join("\n    "));
    };
    add("to know", summary);
    if !tried.is_empty() {
        add("tried", &tried.join(", "));
    }
    if !pad_keys.is_empty() {
        add("scratchpad", &pad_keys.join(", "));
    }
    add("left", &format!("{steps} steps, {tokens} tokens, {}", usd(cost.0)));
    if let State::Answered { text: answer, .. } = state {
        add("answer", answer);
    }
    text
}

/// The state by the clock: what is over time counts as expired, also before the desk has seen it.
fn at(escalation: &Escalation, state: &State, now: Timestamp) -> &'static str {
    let is_open = matches!(state, State::Open | State::Claimed { .. });
    if is_open && now >= escalation.due { State::Expired.as_str() } else { state.as_str() }
}

fn asker(escalation: &Escalation) -> &str {
    match &escalation.source {
        Source::Specialist(name) => name.as_str(),
        source => source.as_str(),
    }
}

fn object(escalation: &Escalation, state: &State, now: Timestamp) -> Value {
    let (steps, tokens, cost) = escalation.left;
    let answer = match state {
        State::Answered { text, .. } => Some(text),
        _ => None,
    };
    let specialist = match &escalation.source {
        Source::Specialist(name) => Some(name.as_str()),
        Source::Supervisor | Source::Failure => None,
    };
    let tried = |(name, reason): &(SpecialistName, router_core::outcome::Reason)| json!({ "specialist": name.as_str(), "reason": reason.as_str() });
    json!({
        "ticket": escalation.ticket.as_str(),
        "state": at(escalation, state, now),
        "by": state.by(),
        "answer": answer,
        "session": escalation.session.as_str(),
        "tenant": escalation.tenant.as_str(),
        "user": escalation.user.as_ref().map(router_core::ids::UserMark::as_str),
        "task_id": escalation.task_id,
        "source": escalation.source.as_str(),
        "specialist": specialist,
        "reason": escalation.reason,
        "summary": escalation.summary,
        "tried": escalation.tried.iter().map(tried).collect::<Value>(),
        "scratchpad": escalation.pad_keys,
        "left": { "steps": steps, "tokens": tokens, "cost_micro_usd": cost.0 },
        "opened_ms": escalation.opened.0,
        "due_ms": escalation.due.0,
    })
}
