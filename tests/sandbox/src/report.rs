//! What the program prints: one block an event, then the metrics and the table.
//!
//! Everything fits into 100 columns, but for names and texts that are longer than that.

use std::collections::BTreeMap;
use std::io::{self, Write};

use sandbox::events::{self, Case, Mismatch, Played};
use sandbox::lambda::Outcome;
use sandbox::metrics::Batch;
use sandbox::table::Item;
use serde_json::Value;

use crate::paint::{Paint, counted, cut, grouped};

/// How many of the function's last lines are shown below a mismatch.
const LAST_LINES: usize = 12;

/// Writes the report.
pub(crate) struct Report<W> {
    out: W,
    paint: Paint,
    all_lines: bool,
}

impl<W: Write> Report<W> {
    /// A report to `out`; with `all_lines`, the reply's body and all of the function's lines
    /// follow each event.
    pub(crate) fn new(out: W, paint: Paint, all_lines: bool) -> Self {
        Self { out, paint, all_lines }
    }

    /// One line of progress.
    pub(crate) fn progress(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", self.paint.faint(text))?;
        self.out.flush()
    }

    /// One played event.
    pub(crate) fn event(
        &mut self,
        case: &Case,
        played: &Played,
        mismatches: &[Mismatch],
    ) -> io::Result<()> {
        let body = events::body(case, played);
        let mark = match (mismatches, &case.expectation) {
            ([], Some(_)) => self.paint.good("ok "),
            ([], None) => self.paint.faint("-- "),
            _ => self.paint.bad("NO "),
        };
        let name = self.paint.heading(&format!("{:<36}", case.name));
        let route = route(body.as_ref());
        let status = status(body.as_ref(), &played.invocation.outcome);
        let millis = played.invocation.duration.as_millis();
        writeln!(self.out, "{mark} {name} {route:<24} {status:<26} {millis:>5} ms")?;
        let spent = spent(played);
        let left = left(body.as_ref());
        writeln!(self.out, "    {}", self.paint.faint(&format!("{spent}; left: {left}")))?;
        let unexpected = !mismatches.is_empty();
        if unexpected && let Some(expectation) = &case.expectation {
            writeln!(self.out, "    {}", expectation.about)?;
        }
        for mismatch in mismatches {
            writeln!(self.out, "    {} {mismatch}", self.paint.bad("*"))?;
        }
        if let (true, Some(body)) = (self.all_lines, &body) {
            writeln!(self.out, "    {}", self.paint.faint(&format!("= {body}")))?;
        }
        let from = match (self.all_lines, unexpected) {
            (true, _) => 0,
            (false, true) => played.lines.len().saturating_sub(LAST_LINES),
            (false, false) => played.lines.len(),
        };
        for line in &played.lines[from..] {
            writeln!(self.out, "    {}", self.paint.faint(&format!("| {line}")))?;
        }
        self.out.flush()
    }

    /// The metrics received, added up by name, unit and dimension set.
    pub(crate) fn metrics(&mut self, batches: &[Batch]) -> io::Result<()> {
        let mut rows: BTreeMap<(&str, &str, String), (usize, f64)> = BTreeMap::new();
        for datum in batches.iter().flat_map(|batch| &batch.data) {
            let row = rows.entry((&datum.name, &datum.unit, datum.dimension_set())).or_default();
            row.0 += datum.values.len();
            row.1 += datum.sum();
        }
        self.heading(&format!("Metrics received, {}", batch_count(batches.len())))?;
        let heads = format!(
            "{:<22} {:<13} {:<42} {:>6} {:>13}",
            "name", "unit", "dimensions", "count", "sum"
        );
        writeln!(self.out, "{}", self.paint.faint(&heads))?;
        for ((name, unit, dimensions), (count, sum)) in rows {
            let (dimensions, sum) = (cut(&dimensions, 42), decimal(sum));
            writeln!(self.out, "{name:<22} {unit:<13} {dimensions:<42} {count:>6} {sum:>13}")?;
        }
        Ok(())
    }

    /// The budgets in the table, and how many items of other kinds there are.
    pub(crate) fn table(&mut self, items: &[Item]) -> io::Result<()> {
        self.heading(&format!("Table, {}", counted(items.len(), "item")))?;
        let heads = format!(
            "{:<36} {:>5} {:>10} {:>10} {:>13} {:>13} {:>5}",
            "session", "steps", "tokens", "spent", "micro-USD", "spent", "holds"
        );
        writeln!(self.out, "{}", self.paint.faint(&heads))?;
        let mut sessions = BTreeMap::new();
        let mut others: BTreeMap<&str, usize> = BTreeMap::new();
        for item in items {
            let (pk, sk) = (text(item, "pk"), text(item, "sk"));
            match pk.strip_prefix("SESSION#") {
                Some(session) if sk == "BUDGET" => {
                    sessions.insert(session, item);
                }
                _ => *others.entry(kind(pk, sk)).or_default() += 1,
            }
        }
        for (session, item) in sessions {
            let number = |name| item.get(name).and_then(|value| value.as_n().ok());
            let amount = |name| {
                number(name).map_or("-".to_owned(), |digits| {
                    digits.parse().map_or_else(|_| digits.clone(), grouped)
                })
            };
            let holds = item.keys().filter(|key| key.starts_with("hold#")).count();
            writeln!(
                self.out,
                "{:<36} {:>5} {:>10} {:>10} {:>13} {:>13} {holds:>5}",
                cut(session, 36),
                amount("steps"),
                amount("committed_tokens"),
                amount("spent_tokens"),
                amount("committed_micro_usd"),
                amount("spent_micro_usd"),
            )?;
        }
        let others: Vec<String> =
            others.into_iter().map(|(kind, count)| format!("{count} × {kind}")).collect();
        if !others.is_empty() {
            writeln!(self.out, "{}", self.paint.faint(&format!("and {}", others.join(", "))))?;
        }
        Ok(())
    }

    /// The last line. Of `unjudged` events nobody said what to expect, so they are right when
    /// they keep the rules for every reply.
    pub(crate) fn summary(
        &mut self,
        played: usize,
        wrong: usize,
        unjudged: usize,
    ) -> io::Result<()> {
        let right = played.saturating_sub(wrong);
        let mut text = format!("{right} of {} as expected", counted(played, "event"));
        if unjudged > 0 {
            text.push_str(&format!(", {unjudged} of them by the rules for every reply only"));
        }
        let text = if wrong == 0 { self.paint.good(&text) } else { self.paint.bad(&text) };
        writeln!(self.out, "\n{text}")?;
        self.out.flush()
    }

    fn heading(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "\n{}", self.paint.heading(text))
    }
}

fn batch_count(count: usize) -> String {
    if count == 1 { "1 batch".to_owned() } else { format!("{count} batches") }
}

/// `billing → general`; several tasks are joined with `+`.
fn route(body: Option<&Value>) -> String {
    let Some(body) = body else { return "-".to_owned() };
    let tasks = match &body["results"] {
        Value::Array(results) if !results.is_empty() => results.iter().collect(),
        _ => vec![body],
    };
    let joined = |key: &str| {
        let names: Vec<&str> = tasks.iter().map(|task| task[key].as_str().unwrap_or("-")).collect();
        names.join("+")
    };
    format!("{} → {}", joined("asked"), joined("specialist"))
}

/// `fell_back (throttled)`
fn status(body: Option<&Value>, outcome: &Outcome) -> String {
    match outcome {
        Outcome::TimedOut => return "timed out".to_owned(),
        Outcome::FunctionError(error) => return format!("error {}", error.error_type),
        Outcome::Response(_) => {}
    }
    let text = |key: &str| body.and_then(|body| body[key].as_str());
    match (text("status"), text("reason")) {
        (Some(status), Some(reason)) => format!("{status} ({reason})"),
        (Some(status), None) => status.to_owned(),
        (None, _) => "no body".to_owned(),
    }
}

/// What the event cost, by the metrics that were received with it.
fn spent(played: &Played) -> String {
    let sum = |name: &str| -> f64 {
        let data = played.batches.iter().flat_map(|batch| &batch.data);
        data.filter(|datum| datum.name == name && datum.dimensions.is_empty())
            .map(sandbox::metrics::Datum::sum)
            // The sum of nothing would be -0.
            .fold(0.0, |sum, value| sum + value)
    };
    let tokens = (sum("InputTokens") + sum("OutputTokens")).max(0.0) as u64;
    let attempts = counted(played.calls.len(), "attempt");
    format!("{attempts}, {} tokens, ${:.6}", grouped(tokens), sum("Cost"))
}

fn left(body: Option<&Value>) -> String {
    let budget = body.map_or(&Value::Null, |body| &body["budget"]);
    let count = |key: &str| budget[key].as_u64().map_or("-".to_owned(), grouped);
    let cost = budget["cost_left_usd"].as_f64().map_or("-".to_owned(), |usd| format!("{usd:.6}"));
    format!("{} steps, {} tokens, ${cost}", count("steps_left"), count("tokens_left"))
}

fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    item.get(name).and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

/// The kind of an item that is no session's budget: `CIRCUIT`, `TENANT`, `PAD`.
fn kind<'a>(pk: &'a str, sk: &'a str) -> &'a str {
    let before_hash = |key: &'a str| key.split('#').next().unwrap_or(key);
    if pk.starts_with("SESSION#") { before_hash(sk) } else { before_hash(pk) }
}

/// At most six decimals, without trailing zeros.
fn decimal(number: f64) -> String {
    let text = format!("{number:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;
    use clap::ColorChoice;
    use sandbox::metrics::Datum;
    use serde_json::json;

    use super::*;

    fn printed(print: impl FnOnce(&mut Report<&mut Vec<u8>>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        print(&mut Report::new(&mut out, Paint::new(ColorChoice::Never), false)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn tables_fit_into_100_columns() {
        let datum = Datum {
            name: "SpecialistInvocations".into(),
            unit: "Milliseconds".into(),
            values: vec![0.5, 1_234_567.25],
            dimensions: [("A".to_owned(), "x".repeat(90))].into(),
            timestamp: None,
        };
        let batches = [Batch { namespace: "N".into(), data: vec![datum] }];
        let metrics = printed(|report| report.metrics(&batches));
        assert!(metrics.contains("1234567.75"), "{metrics}");
        let session = AttributeValue::S(format!("SESSION#{}", "s".repeat(99)));
        let budget = AttributeValue::S("BUDGET".to_owned());
        let spent = AttributeValue::N("12345678".to_owned());
        let item = Item::from([
            ("pk".to_owned(), session),
            ("sk".to_owned(), budget),
            ("spent_tokens".to_owned(), spent),
        ]);
        let table = printed(|report| report.table(&[item]));
        assert!(table.contains("12,345,678"), "{table}");
        for line in metrics.lines().chain(table.lines()) {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }

    #[test]
    fn a_route_names_all_tasks() {
        let one = json!({ "asked": "billing", "specialist": "general" });
        assert_eq!(route(Some(&one)), "billing → general");
        let two =
            json!({ "asked": null, "results": [one, { "asked": "orders", "specialist": null }] });
        assert_eq!(route(Some(&two)), "billing+orders → general+-");
    }

    #[test]
    fn the_summary_says_what_was_not_judged() {
        let text = |played, wrong, unjudged| {
            printed(|report| report.summary(played, wrong, unjudged)).trim().to_owned()
        };
        assert_eq!(text(16, 0, 0), "16 of 16 events as expected");
        assert_eq!(
            text(1, 1, 1),
            "0 of 1 event as expected, 1 of them by the rules for every reply only"
        );
    }
}
