//! What the program prints: one block an event, then the metrics and the table.
//!
//! Everything fits into 100 columns, but for names and texts that are longer than that.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::Value;
use stand_ins::events::{self, Case, Charged, Mismatch, Played};
use stand_ins::lambda::Outcome;
use stand_ins::metrics::Batch;
use stand_ins::table::Item;

use crate::circuits::Circuit;
use crate::incidents;
use crate::injected::Injected;
use crate::item::{days, number, text};
use crate::paint::{Paint, counted, cut, grouped, printable, usd};

/// The kinds of items that have a place of their own.
const SHOWN: [&str; 5] = ["BUDGET", "TENANT", "SPECIALIST", "CIRCUIT", "INCIDENT"];

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

    /// The budgets in the table, the days of tenants and specialists, the circuits that are not
    /// plainly closed at `now_ms`, and how many incidents and other items there are.
    pub(crate) fn table(&mut self, items: &[Item], now_ms: u64) -> io::Result<()> {
        self.heading(&format!("Table, {}", counted(items.len(), "item")))?;
        self.sessions(items)?;
        let columns = [("drawn", "drawn_micro_usd"), ("spent*", "spent_micro_usd")];
        self.days(items, "TENANT", columns)?;
        let columns = [("tokens*", "spent_tokens"), ("spent*", "spent_micro_usd")];
        self.days(items, "SPECIALIST", columns)?;
        let footnote = "amounts in micro-USD; * what sessions have spent up to their latest draw";
        writeln!(self.out, "{}", self.paint.faint(footnote))?;
        self.circuits(items, now_ms)?;
        match incidents::count(items) {
            0 => {}
            count => {
                writeln!(self.out, "{}, which `incidents` lists", counted(count, "incident"))?;
            }
        }

        let mut others: BTreeMap<&str, usize> = BTreeMap::new();
        for item in items {
            let kind = kind(text(item, "pk").unwrap_or(""), text(item, "sk").unwrap_or(""));
            if !SHOWN.contains(&kind) {
                *others.entry(kind).or_default() += 1;
            }
        }
        let others: Vec<String> =
            others.into_iter().map(|(kind, count)| format!("{count} × {kind}")).collect();
        if !others.is_empty() {
            writeln!(self.out, "{}", self.paint.faint(&format!("and {}", others.join(", "))))?;
        }
        Ok(())
    }

    fn sessions(&mut self, items: &[Item]) -> io::Result<()> {
        let heads = format!(
            "{:<36} {:>5} {:>10} {:>10} {:>13} {:>13} {:>5}",
            "session", "steps", "tokens", "spent", "micro-USD", "spent", "holds"
        );
        writeln!(self.out, "{}", self.paint.faint(&heads))?;
        let mut sessions = BTreeMap::new();
        for item in items.iter().filter(|item| text(item, "sk") == Some("BUDGET")) {
            if let Some(session) = text(item, "pk").and_then(|pk| pk.strip_prefix("SESSION#")) {
                sessions.insert(session, item);
            }
        }
        for (session, item) in sessions {
            let holds = item.keys().filter(|key| key.starts_with("hold#")).count();
            writeln!(
                self.out,
                "{:<36} {:>5} {:>10} {:>10} {:>13} {:>13} {holds:>5}",
                cut(&printable(session), 36),
                amount(item, "steps"),
                amount(item, "committed_tokens"),
                amount(item, "spent_tokens"),
                amount(item, "committed_micro_usd"),
                amount(item, "spent_micro_usd"),
            )?;
        }
        Ok(())
    }

    fn circuits(&mut self, items: &[Item], now_ms: u64) -> io::Result<()> {
        let mut circuits: Vec<Circuit> = items.iter().filter_map(Circuit::parse).collect();
        circuits.retain(|circuit| !circuit.is_plainly_closed(now_ms));
        if circuits.is_empty() {
            return Ok(());
        }
        circuits.sort_by(|a, b| a.specialist.cmp(&b.specialist));
        let heads = format!("{:<36} state", "circuit");
        writeln!(self.out, "{}", self.paint.faint(&heads))?;
        for circuit in circuits {
            let forced = circuit.forced.as_deref().map(printable);
            let forced = forced.map_or(String::new(), |word| format!(", forced {word}"));
            let state = circuit.state(now_ms).describe();
            let name = cut(&printable(&circuit.specialist), 36);
            writeln!(self.out, "{name:<36} {state}{forced}")?;
        }
        Ok(())
    }

    /// The days of one kind, with two amounts of each: the column's head and the attribute.
    fn days(&mut self, items: &[Item], of: &str, columns: [(&str, &str); 2]) -> io::Result<()> {
        let days = days(items, of);
        if days.is_empty() {
            return Ok(());
        }
        let [(head, attribute), (second_head, second_attribute)] = columns;
        let of = of.to_lowercase();
        let heads = format!("{of:<36} {:<10} {head:>13} {second_head:>13}", "UTC day");
        writeln!(self.out, "{}", self.paint.faint(&heads))?;
        for (name, date, item) in days {
            let name = cut(&printable(name), 36);
            let (first, second) = (amount(item, attribute), amount(item, second_attribute));
            writeln!(self.out, "{name:<36} {date:<10} {first:>13} {second:>13}")?;
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

/// How many events went how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// As their expectations say.
    pub(crate) right: usize,
    /// Not so, or against the rules for every reply.
    pub(crate) wrong: usize,
    /// By the rules for every reply, without an expectation to compare them with.
    pub(crate) unjudged: usize,
}

impl Tally {
    /// Counts one event.
    pub(crate) fn add(&mut self, has_expectation: bool, has_mismatches: bool) {
        match (has_mismatches, has_expectation) {
            (true, _) => self.wrong += 1,
            (false, true) => self.right += 1,
            (false, false) => self.unjudged += 1,
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { right, wrong, unjudged } = *self;
        let judged = right + wrong;
        if judged > 0 {
            write!(f, "{right} of {} as expected", counted(judged, "event"))?;
        }
        if judged > 0 && unjudged > 0 {
            f.write_str("; ")?;
        }
        if unjudged > 0 {
            let events = counted(unjudged, "event");
            write!(f, "{events} with a valid reply, not compared with an expectation")?;
        }
        Ok(())
    }
}

fn batch_count(count: usize) -> String {
    if count == 1 { "1 batch".to_owned() } else { format!("{count} batches") }
}

/// `billing → general`; several tasks are joined with `+`.
pub(crate) fn route(body: Option<&Value>) -> String {
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
pub(crate) fn status(body: Option<&Value>, outcome: &Outcome) -> String {
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

/// What the event cost, by the table, and what is left, by the reply:
/// `2 attempts, 8,236 tokens (236 reported), $0.120272; left: …`.
///
/// Where nobody knows what an invocation used, it is charged at its hold, so that more is charged
/// than was reported.
fn costs(played: &Played, body: Option<&Value>) -> String {
    let Charged { touched, tokens, micro_usd, holds_left } = played.charged;
    let attempts = counted(played.calls.len(), "attempt");
    let reported = reported_tokens(played);
    let left = left(body);
    let mut costs = attempts;
    if touched || left.is_some() || reported > 0 {
        costs.push_str(&format!(", {} tokens", grouped(tokens)));
        if reported != tokens {
            costs.push_str(&format!(" ({} reported)", grouped(reported)));
        }
        costs.push_str(&format!(", {}", usd(micro_usd)));
    }
    if holds_left > 0 {
        costs.push_str(&format!(", {} left", counted(holds_left, "hold")));
    }
    match left {
        Some(left) => format!("{costs}; left: {left}"),
        None if touched => costs,
        None => format!("{costs}; budget not touched"),
    }
}

/// The usage that was published in metrics.
pub(crate) fn reported_tokens(played: &Played) -> u64 {
    let data = played.batches.iter().flat_map(|batch| &batch.data);
    let tokens = data.filter(|datum| {
        ["InputTokens", "OutputTokens"].contains(&&*datum.name) && datum.dimensions.is_empty()
    });
    tokens.map(|datum| datum.sum().max(0.0) as u64).sum()
}

/// What the reply says is left; `None`: no budget was looked at.
pub(crate) fn left(body: Option<&Value>) -> Option<String> {
    let budget = &body?["budget"];
    let count = |key: &str| budget[key].as_u64().map(grouped);
    let (steps, tokens) = (count("steps_left")?, count("tokens_left")?);
    let cost = budget["cost_left_usd"].as_f64()?;
    Some(format!("{steps} steps, {tokens} tokens, ${cost:.6}"))
}

/// A number attribute, or `-`.
fn amount(item: &Item, name: &str) -> String {
    number(item, name).map_or("-".to_owned(), grouped)
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
    use std::time::Duration;

    use aws_sdk_dynamodb::types::AttributeValue;
    use clap::ColorChoice;
    use serde_json::json;
    use stand_ins::lambda::Invocation;
    use stand_ins::metrics::Datum;

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
    fn the_table_shows_the_days_of_tenants_and_specialists() {
        let item = |pk: &str, sk: &str, numbers: &[(&str, u64)]| {
            let keys = [("pk", pk), ("sk", sk)]
                .map(|(name, key)| (name.to_owned(), AttributeValue::S(key.to_owned())));
            let numbers = numbers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), AttributeValue::N(value.to_string())));
            keys.into_iter().chain(numbers).collect::<Item>()
        };
        let spent = [("spent_micro_usd", 361_080), ("spent_tokens", 16_000)];
        let items = [
            item("TENANT#acme", "DAY#2026-11-21", &[("drawn_micro_usd", 1_440_000), spent[0]]),
            item("SPECIALIST#orders", "DAY#2026-11-21", &spent),
            item("CIRCUIT#orders", "STATE", &[]),
            item("INCIDENT#2026-11-21", "r1/0/0", &[]),
            item("SESSION#s", "PAD#1", &[]),
        ];
        let table = printed(|report| report.table(&items, 0));
        let rows: Vec<Vec<&str>> =
            table.lines().map(|line| line.split_whitespace().collect()).collect();
        for row in [
            ["acme", "2026-11-21", "1,440,000", "361,080"],
            ["orders", "2026-11-21", "16,000", "361,080"],
            ["and", "1", "×", "PAD"],
        ] {
            assert!(rows.contains(&row.to_vec()), "{table}");
        }
        assert!(table.contains("\n1 incident, which `incidents` lists\n"), "{table}");
        assert!(!table.contains("circuit"), "a closed circuit is nothing to tell: {table}");
    }

    #[test]
    fn the_table_shows_circuits_that_are_not_plainly_closed() {
        use crate::circuits::tests::item;
        let open = [("open_until_ms", 9_000)];
        let table = [
            item("support", &[("state", "closed")], &[("failures", 4)]),
            item("orders", &[("state", "open")], &open),
            item("billing", &[("forced", "open")], &[]),
        ];
        let table = printed(|report| report.table(&table, 4_000));
        let rows = [
            "circuit                              state",
            "billing                              closed, forced open",
            "orders                               open for another 5 s",
        ];
        assert!(table.ends_with(&format!("\n{}\n", rows.join("\n"))), "{table}");
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
    fn a_route_names_all_tasks() {
        let one = json!({ "asked": "billing", "specialist": "general" });
        assert_eq!(route(Some(&one)), "billing → general");
        let two =
            json!({ "asked": null, "results": [one, { "asked": "orders", "specialist": null }] });
        assert_eq!(route(Some(&two)), "billing+orders → general+-");
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
