//! `routerctl incidents`: why specialists did not answer, and which answered instead.

use router_aws::SystemClock;
use router_core::ids::RootSession;
use router_core::store::{Item, ItemKey, Value as Attribute};
use router_core::units::Clock;
use serde_json::{Map, Value, json};
use stand_ins::print::{counted, grouped, usd, utc};

use crate::day::Days;
use crate::place::Place;
use crate::policy::line;
use crate::print::Head::{Left, Right};
use crate::print::table;
use crate::session::parse_name;
use crate::{Failure, Said};

/// The keys that every JSON object has.
const KEYS: [&str; 14] = [
    "at_ms",
    "session",
    "tenant",
    "user",
    "specialist",
    "reason",
    "attempts",
    "latency_ms",
    "input_tokens",
    "output_tokens",
    "cost_micro_usd",
    "intent_class",
    "answered_by",
    "request",
];

/// What only the table needs.
const HIDDEN: [&str; 3] = ["pk", "sk", "expires_at"];

/// Show why requests fell back or failed
///
/// An incident is a specialist that was to answer and did not. Shows who was asked, why there was
/// no answer, how many attempts it took, what it cost, which specialist answered instead, and the
/// session, which `budget` shows more of. The oldest comes first; they are kept for 90 days.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = AFTER_HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    days: Days,

    /// Only those of this specialist; `unknown`: of names that the policy does not have
    #[arg(long, value_name = "NAME")]
    specialist: Option<String>,

    /// Only those with this reason, such as throttled, timeout or circuit_open
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,

    /// Only those of this root session
    #[arg(long, value_name = "SESSION", value_parser = parse_name)]
    session: Option<RootSession>,

    /// One JSON object a line
    #[arg(long, conflicts_with = "json")]
    jsonl: bool,

    #[command(flatten)]
    place: Place,
}

const AFTER_HELP: &str = "\
The keys of a JSON object, `null` where an incident has no such thing: id, date, at_ms, session,
tenant, user (a digest), specialist, reason, attempts, latency_ms, input_tokens, output_tokens,
cost_micro_usd, intent_class, answered_by, and request, which is kept only where the policy has
record_requests = true.";

pub(crate) async fn run(arguments: &Arguments, json: bool) -> Result<Said, Failure> {
    let opened = arguments.place.open().await?;
    let mut incidents = Vec::new();
    for date in arguments.days.dates(SystemClock.now()) {
        let mut of_day = opened.table.partition(&ItemKey::incident(&date, "").pk).await?;
        of_day.sort_by_key(|(key, item)| (item.number("at_ms"), key.sk.clone()));
        incidents.extend(of_day);
    }
    let is = |item: &Item, name: &str, wanted: Option<&str>| {
        wanted.is_none_or(|wanted| item.text(name) == Some(wanted))
    };
    incidents.retain(|(_, item)| {
        is(item, "specialist", arguments.specialist.as_deref())
            && is(item, "reason", arguments.reason.as_deref())
            && is(item, "session", arguments.session.as_ref().map(RootSession::as_str))
    });
    let objects = incidents.iter().map(|(key, item)| object(key, item));
    Ok(if arguments.jsonl {
        Said::well(objects.map(|object| format!("{object}\n")).collect())
    } else if json {
        line(&json!({ "incidents": objects.collect::<Value>() }))
    } else {
        Said::well(text(&incidents))
    })
}

/// Every attribute but what only the table needs, with the same keys for all incidents.
fn object(key: &ItemKey, item: &Item) -> Value {
    let mut object: Map<String, Value> =
        KEYS.iter().map(|key| ((*key).to_owned(), Value::Null)).collect();
    let date = key.pk.split_once('#').map_or("", |(_, date)| date);
    object.insert("date".to_owned(), date.into());
    object.insert("id".to_owned(), key.sk.as_str().into());
    for (name, value) in item.0.iter().filter(|(name, _)| !HIDDEN.contains(&name.as_str())) {
        let value = match value {
            Attribute::Number(number) => i64::try_from(*number).map_or(Value::Null, Value::from),
            Attribute::Text(text) => text.as_str().into(),
            Attribute::Map(_) | Attribute::Other => Value::Null,
        };
        object.insert(name.clone(), value);
    }
    Value::Object(object)
}

fn text(incidents: &[(ItemKey, Item)]) -> String {
    if incidents.is_empty() {
        return "No such incident on these days: see --date and --days.\n".to_owned();
    }
    let rows = incidents.iter().map(|(_, item)| {
        let text = |name: &str| item.text(name).unwrap_or("-").to_owned();
        let tokens = item.number("input_tokens").saturating_add(item.number("output_tokens"));
        [
            utc(item.number("at_ms") / 1_000).replace(" UTC", ""),
            text("specialist"),
            text("reason"),
            grouped(item.number("attempts")),
            grouped(item.number("latency_ms")),
            grouped(tokens),
            usd(item.number("cost_micro_usd")),
            text("intent_class"),
            text("answered_by"),
            text("session"),
        ]
    });
    let heads = [
        Left("time (UTC)"),
        Left("specialist"),
        Left("reason"),
        Right("tries"),
        Right("ms"),
        Right("tokens"),
        Right("cost"),
        Left("intent"),
        Left("answered by"),
        Left("session"),
    ];
    let cost: u64 = incidents.iter().map(|(_, item)| item.number("cost_micro_usd")).sum();
    let unanswered = incidents.iter().filter(|(_, item)| item.text("answered_by").is_none());
    let mut text = table(heads, rows);
    text += &format!(
        "\n{}, {}; {} of them without an answer from another specialist\n",
        counted(incidents.len(), "incident"),
        usd(cost),
        unanswered.count()
    );
    text
}
