//! `routerctl scratchpad`: what specialists and people have written down in a session.

use router_aws::SystemClock;
use router_core::ids::RootSession;
use router_core::scratchpad::Seen;
use router_core::store::ItemKey;
use router_core::units::Clock;
use serde_json::{Value, json};
use stand_ins::print::{counted, grouped, utc};

use crate::place::Place;
use crate::policy::line;
use crate::print::Head::{Left, Right};
use crate::print::table;
use crate::session::parse_name;
use crate::{Failure, Said};

/// A table's cell shows so much of a value.
const SHOWN_CHARS: usize = 80;

/// Show what specialists and people have written down in a session
///
/// Each key of the session's scratchpad, with who wrote its value, in which version and when, and
/// until when it lasts if nobody reads it. A table shows the beginning of a value, --json all of it.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// The root session (of a gateway's session: gateway/ID)
    #[arg(value_name = "SESSION", value_parser = parse_name)]
    session: RootSession,

    #[command(flatten)]
    place: Place,
}

pub(crate) async fn run(arguments: &Arguments, json: bool) -> Result<Said, Failure> {
    let opened = arguments.place.open().await?;
    let partition = ItemKey::session(&arguments.session).pk;
    let now = SystemClock.now();
    let items = opened.table.partition(&partition).await?;
    let pads = items.iter().filter_map(|(key, item)| {
        let name = ItemKey::pad_key_of(&key.sk)?;
        Some((name, Seen::of(item, now).pad?))
    });
    if json {
        let pads = pads.map(|(name, pad)| {
            json!({
                "key": name,
                "value": pad.as_json(),
                "writer": pad.writer,
                "version": pad.version,
                "at_ms": pad.at.0,
                "expires_at_ms": pad.expires_at * 1_000,
            })
        });
        return Ok(line(&json!({ "keys": pads.collect::<Value>() })));
    }
    let rows: Vec<[String; 6]> = pads
        .map(|(name, pad)| {
            [
                name.to_owned(),
                pad.writer.clone(),
                grouped(pad.version),
                utc(pad.at.0 / 1_000).replace(" UTC", ""),
                utc(pad.expires_at).replace(" UTC", ""),
                pad.as_text().chars().take(SHOWN_CHARS).collect(),
            ]
        })
        .collect();
    if rows.is_empty() {
        return Ok(Said::well("Nothing is written down in this session.\n".to_owned()));
    }
    let heads = [
        Left("key"),
        Left("writer"),
        Right("version"),
        Left("written (UTC)"),
        Left("lasts until (UTC)"),
        Left("value"),
    ];
    let keys = counted(rows.len(), "key");
    Ok(Said::well(table(heads, rows) + &format!("\n{keys}\n")))
}
