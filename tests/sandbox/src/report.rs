//! What the program prints: one block an event, then the metrics and the table.
//!
//! Everything fits into 100 columns, but for names and texts that are longer than that.

mod reply;
mod table;
mod tally;
mod timeline;

use std::collections::BTreeMap;
use std::io::{self, Write};

use stand_ins::events::{self, Case, Mismatch, Played};
use stand_ins::metrics::Batch;

pub(crate) use self::reply::{left, reported_tokens, route, status};
pub(crate) use self::tally::Tally;

use self::reply::costs;
use crate::injected::Injected;
use crate::paint::{Paint, cut, printable};

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
        let name = self.paint.heading(&format!("{:<28}", case.name));
        let route = route(body.as_ref());
        let status = status(body.as_ref(), &played.invocation.outcome);
        let millis = played.invocation.duration.as_millis();
        writeln!(self.out, "{mark} {name} {route:<22} {status:<32} {millis:>6} ms")?;
        let costs = costs(played, body.as_ref());
        writeln!(self.out, "    {}", self.paint.faint(&costs))?;
        let has_several = body.as_ref().is_some_and(|body| body["results"].is_array());
        for line in timeline::lines(&played.calls).iter().filter(|_| has_several) {
            writeln!(self.out, "    {}", self.paint.faint(line))?;
        }
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

    /// The faults injected and what came of the events under them, if there were any.
    pub(crate) fn injected(&mut self, injected: &Injected) -> io::Result<()> {
        if injected.faults().next().is_none() {
            return Ok(());
        }
        self.heading("Faults injected")?;
        let heads = format!(
            "{:<20} {:<38} {:>9} {:>9} {:>9}",
            "specialist", "fault", "rate", "attempts", "faulted"
        );
        writeln!(self.out, "{}", self.paint.faint(&heads))?;
        for (fault, attempts) in injected.faults() {
            writeln!(
                self.out,
                "{:<20} {:<38} {:>9} {:>9} {:>9}",
                cut(&printable(&fault.specialist), 20),
                fault.fault.to_string(),
                fault.rate.to_string(),
                attempts.all,
                attempts.faulted,
            )?;
        }
        let statuses: Vec<String> =
            injected.statuses().iter().map(|(status, count)| format!("{count} {status}")).collect();
        writeln!(self.out, "replies: {}", statuses.join(", "))
    }

    /// The last line.
    pub(crate) fn summary(&mut self, tally: Tally) -> io::Result<()> {
        let text = match tally {
            Tally { wrong: 1.., .. } => self.paint.bad(&tally.to_string()),
            Tally { right: 0, .. } => tally.to_string(),
            Tally { .. } => self.paint.good(&tally.to_string()),
        };
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

/// At most six decimals, without trailing zeros.
fn decimal(number: f64) -> String {
    let text = format!("{number:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use clap::ColorChoice;
    use serde_json::{Value, json};
    use stand_ins::events::Charged;
    use stand_ins::lambda::{Invocation, Outcome};
    use stand_ins::metrics::Datum;
    use stand_ins::table::{AttributeValue, Item};

    use super::*;

    pub(in crate::report) fn printed(
        print: impl FnOnce(&mut Report<&mut Vec<u8>>) -> io::Result<()>,
    ) -> String {
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
        let table = printed(|report| report.table(&[item], 0));
        assert!(table.contains("12,345,678"), "{table}");
        for line in metrics.lines().chain(table.lines()) {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }

    /// A case of the repository, answered so.
    fn played(name: &str, body: &Value, charged: Charged) -> (Case, Played) {
        let case = events::load(&events::folder().join(name).with_extension("json")).unwrap();
        let text = json!({ "TEXT": { "body": body.to_string() } });
        let reply = json!({ "response": { "functionResponse": { "responseBody": text } } });
        let usage = [("InputTokens", 210.0), ("OutputTokens", 26.0)].map(|(name, tokens)| Datum {
            name: name.to_owned(),
            unit: "Count".to_owned(),
            values: vec![tokens],
            dimensions: BTreeMap::new(),
            timestamp: None,
        });
        let usage = Batch { namespace: "N".into(), data: usage.into() };
        let played = Played {
            invocation: Invocation {
                request_id: "id".into(),
                outcome: Outcome::Response(reply.to_string().into()),
                duration: Duration::from_millis(12_345),
            },
            calls: Vec::new(),
            batches: if charged.touched { vec![usage] } else { Vec::new() },
            charged,
            refusals: Vec::new(),
            lines: Vec::new(),
        };
        (case, played)
    }

    #[test]
    fn long_statuses_leave_the_latency_in_its_column() {
        let bodies = [
            json!({ "asked": "billing", "specialist": null,
                    "status": "refused", "reason": "identity_not_verified" }),
            json!({ "asked": "astrology", "specialist": "general",
                    "status": "fell_back", "reason": "unknown_specialist" }),
            json!({ "asked": "orders", "specialist": "orders", "status": "answered" }),
        ];
        for body in bodies {
            let (case, played) = played("identity-not-verified", &body, Charged::default());
            let printed = printed(|report| report.event(&case, &played, &[]));
            let line = printed.lines().next().unwrap();
            assert!(line.ends_with(" 12345 ms"), "{line}");
            assert_eq!(line.chars().count(), 98, "{line}");
        }
    }

    #[test]
    fn what_is_shown_is_what_was_charged() {
        let left = json!({ "steps_left": 10, "tokens_left": 71_764, "cost_left_usd": 0.379728 });
        let body = json!({ "budget": left });
        let charged = Charged { touched: true, tokens: 8_236, micro_usd: 120_272, holds_left: 0 };
        let (_, at_hold) = played("throttled-in-stream", &body, charged);
        assert_eq!(
            costs(&at_hold, Some(&body)),
            "0 attempts, 8,236 tokens (236 reported), $0.120272; \
             left: 10 steps, 71,764 tokens, $0.379728"
        );
        let charged = Charged { tokens: 236, micro_usd: 272, holds_left: 1, ..charged };
        let (_, died) = played("throttled-in-stream", &body, charged);
        assert_eq!(costs(&died, None), "0 attempts, 236 tokens, $0.000272, 1 hold left");
    }

    #[test]
    fn an_event_that_looked_at_no_budget_says_so() {
        let body = json!({ "budget": null });
        let (_, played) = played("too-many-hops", &body, Charged::default());
        assert_eq!(costs(&played, Some(&body)), "0 attempts; budget not touched");
    }

    #[test]
    fn the_faults_are_summed_up() {
        use crate::injected::tests::{injected, played};
        let mut faults = injected("orders=in-stream:serviceQuotaExceededException:0.123456");
        let case = events::load(&events::folder().join("orders.json")).unwrap();
        faults.count(&case, &played(&["orders", "orders"]));
        let shown = printed(|report| report.injected(&faults));
        let rows: Vec<Vec<&str>> =
            shown.lines().map(|line| line.split_whitespace().collect()).collect();
        let fault = "in-stream:serviceQuotaExceededException";
        assert_eq!(rows[3], ["orders", fault, "0.123456", "2", "1"], "{shown}");
        assert!(shown.ends_with("\nreplies: 1 without a status\n"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
        let nothing = Injected::new(&stand_ins::Options::default()).unwrap();
        assert_eq!(printed(|report| report.injected(&nothing)), "");
    }

    #[test]
    fn what_was_not_compared_is_not_called_as_expected() {
        let text = |right, wrong, unjudged| {
            let tally = Tally { right, wrong, unjudged };
            printed(|report| report.summary(tally)).trim().to_owned()
        };
        let valid = "1 event with a valid reply, not compared with an expectation";
        assert_eq!(text(16, 0, 0), "16 of 16 events as expected");
        assert_eq!(text(0, 1, 0), "0 of 1 event as expected");
        assert_eq!(text(0, 0, 1), valid);
        assert_eq!(text(2, 1, 1), format!("2 of 3 events as expected; {valid}"));
    }
}
