//! What the program prints of the table.

use std::collections::BTreeMap;
use std::io::{self, Write};

use stand_ins::table::Item;

use super::Report;
use crate::circuits::Circuit;
use crate::incidents;
use crate::item::{days, number, text};
use crate::paint::{counted, cut, grouped, printable};

/// The kinds of items that have a place of their own.
const SHOWN: [&str; 7] =
    ["BUDGET", "TENANT", "USER", "GATEWAY", "SPECIALIST", "CIRCUIT", "INCIDENT"];

impl<W: Write> Report<W> {
    /// The budgets in the table, the days of tenants and specialists, the circuits that are not
    /// plainly closed at `now_ms`, and how many incidents and other items there are.
    pub(crate) fn table(&mut self, items: &[Item], now_ms: u64) -> io::Result<()> {
        self.heading(&format!("Table, {}", counted(items.len(), "item")))?;
        self.sessions(items)?;
        let columns = [("drawn", "drawn_micro_usd"), ("spent*", "spent_micro_usd")];
        self.days(items, "TENANT", columns)?;
        self.days(items, "USER", columns)?;
        self.hours(items)?;
        let columns = [("tokens*", "spent_tokens"), ("spent*", "spent_micro_usd")];
        self.days(items, "SPECIALIST", columns)?;
        let footnote = "amounts in micro-USD; * what sessions have spent up to their latest draw";
        writeln!(self.out, "{}", self.paint.faint(footnote))?;
        self.circuits(items, now_ms)?;
        match incidents::count(items) {
            0 => {}
            count => {
                writeln!(
                    self.out,
                    "{}, which `routerctl incidents` lists",
                    counted(count, "incident")
                )?;
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
}

impl<W: Write> Report<W> {
    /// The hours of all gateway sessions together.
    fn hours(&mut self, items: &[Item]) -> io::Result<()> {
        let mut hours: Vec<(&str, &Item)> = items
            .iter()
            .filter(|item| text(item, "pk") == Some("GATEWAY"))
            .filter_map(|item| Some((text(item, "sk")?.strip_prefix("HOUR#")?, item)))
            .collect();
        hours.sort_by_key(|(hour, _)| *hour);
        if hours.is_empty() {
            return Ok(());
        }
        let heads = format!(
            "{:<33} {:<13} {:>5} {:>13} {:>13}",
            "all gateway sessions", "UTC hour", "steps", "micro-USD", "spent"
        );
        writeln!(self.out, "{}", self.paint.faint(&heads))?;
        for (hour, item) in hours {
            let [steps, committed, spent] =
                ["steps", "committed_micro_usd", "spent_micro_usd"].map(|name| amount(item, name));
            let hour = printable(hour);
            writeln!(self.out, "{:<33} {hour:<13} {steps:>5} {committed:>13} {spent:>13}", "")?;
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use stand_ins::table::AttributeValue;

    use super::super::tests::printed;
    use super::*;

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
        assert!(table.contains("\n1 incident, which `routerctl incidents` lists\n"), "{table}");
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
}
