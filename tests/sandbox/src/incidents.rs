//! `sandbox incidents`: the requests of the last run that a specialist did not answer.
//!
//! They are there to be learned from: as a table for people, and one JSON object a line for
//! programs that make training data of them.

mod incident;
mod view;

use std::io;

use stand_ins::table::{Item, TableError};

pub(crate) use self::incident::Incident;

use crate::paint::Paint;
use stand_ins::last_run::{LastRun, OpenError};

/// Show what the specialists did not answer
///
/// Shows the incidents of the last run (or of one that is under way), oldest first: who was
/// asked, why there was no answer, how many attempts it took, how long, what it cost and who
/// answered instead.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// One JSON object a line instead of a table
    #[arg(long)]
    jsonl: bool,
}

const AFTER_HELP: &str = "\
Examples:
  cargo run -p sandbox -- incidents
  cargo run -q -p sandbox -- incidents --jsonl > incidents.jsonl

The keys of a JSON object, `null` where an incident has no such thing: id, date, at_ms,
specialist, reason, attempts, latency_ms, input_tokens, output_tokens, cost_micro_usd,
intent_class, answered_by, and request, which is kept only where the policy has
record_requests = true.

Exit codes:
  0  shown, even if there are none
  2  no run yet";

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IncidentsError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("cannot write the incidents")]
    Output(#[from] io::Error),
}

/// Shows all incidents.
pub(crate) async fn run(arguments: Arguments, paint: Paint) -> Result<(), IncidentsError> {
    let table = LastRun::find().open_table().await?;
    let items = table.scan().await?;
    let incidents = all(&items);
    let shown = match arguments.jsonl {
        true => view::json_lines(io::stdout().lock(), &incidents),
        false => view::table(io::stdout().lock(), paint, &incidents),
    };
    Ok(shown?)
}

/// How many of the items are incidents.
pub(crate) fn count(items: &[Item]) -> usize {
    items.iter().filter_map(Incident::parse).count()
}

/// The incidents among the items, oldest first.
pub(crate) fn all(items: &[Item]) -> Vec<Incident<'_>> {
    let mut incidents: Vec<Incident<'_>> = items.iter().filter_map(Incident::parse).collect();
    incidents.sort_by_key(|incident| (incident.number("at_ms"), incident.date, incident.id));
    incidents
}

#[cfg(test)]
mod tests {
    use stand_ins::table::AttributeValue;
    use stand_ins::table::key;

    use super::*;

    /// An incident's item: its place among the requests, texts and numbers.
    pub(super) fn item(id: &str, texts: &[(&str, &str)], numbers: &[(&str, u64)]) -> Item {
        let mut item = key("INCIDENT#2026-11-21", id);
        for (name, value) in texts {
            item.insert((*name).to_owned(), AttributeValue::S((*value).to_owned()));
        }
        for (name, value) in numbers {
            item.insert((*name).to_owned(), AttributeValue::N(value.to_string()));
        }
        item
    }

    #[test]
    fn the_oldest_comes_first_and_other_items_are_none() {
        let items = [
            item("r2/0/1", &[], &[("at_ms", 2_000)]),
            key("TENANT#acme", "DAY#2026-11-21"),
            item("r2/0/0", &[], &[("at_ms", 2_000)]),
            item("r9/0/0", &[], &[("at_ms", 999)]),
        ];
        let ids: Vec<&str> = all(&items).iter().map(|incident| incident.id).collect();
        assert_eq!(ids, ["r9/0/0", "r2/0/0", "r2/0/1"]);
        assert_eq!(count(&items), 3);
    }
}
