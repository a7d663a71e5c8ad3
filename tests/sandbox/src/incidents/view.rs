//! The incidents in the forms that people and programs read.

use std::io::{self, Write};

use super::incident::Incident;
use crate::paint::{Paint, counted, cut, grouped, printable, usd, utc};

/// One JSON object a line.
pub(crate) fn json_lines(mut out: impl Write, incidents: &[Incident<'_>]) -> io::Result<()> {
    for incident in incidents {
        writeln!(out, "{}", incident.json())?;
    }
    out.flush()
}

/// A table. It fits into 100 columns, but for requests that were recorded.
pub(crate) fn table(
    mut out: impl Write,
    paint: Paint,
    incidents: &[Incident<'_>],
) -> io::Result<()> {
    if incidents.is_empty() {
        return writeln!(out, "No incidents: every specialist that was asked has answered.");
    }
    let row = |[time, specialist, reason, attempts, latency, tokens, cost, intent, by]: [&str;
                   9]| {
        format!(
            "{time:<19} {specialist:<10} {reason:<18} {attempts:>5} {latency:>7} {tokens:>7} \
             {cost:>9} {intent:<8} {by}"
        )
    };
    let heads = ["time (UTC)", "specialist", "reason", "tries", "ms", "tokens", "cost", "intent"];
    let [time, specialist, reason, attempts, latency, tokens, cost, intent] = heads;
    let heads =
        row([time, specialist, reason, attempts, latency, tokens, cost, intent, "answered"]);
    writeln!(out, "{}", paint.faint(&heads))?;
    for incident in incidents {
        let text = |name, width| cut(&printable(incident.text(name).unwrap_or("-")), width);
        let number = |name| grouped(incident.number(name));
        let time = utc(incident.number("at_ms") / 1_000).replace(" UTC", "");
        let tokens = incident.number("input_tokens") + incident.number("output_tokens");
        let line = row([
            &time,
            &text("specialist", 10),
            &text("reason", 18),
            &number("attempts"),
            &number("latency_ms"),
            &grouped(tokens),
            &usd(incident.number("cost_micro_usd")),
            &text("intent_class", 8),
            &text("answered_by", 8),
        ]);
        writeln!(out, "{line}")?;
        if let Some(request) = incident.text("request") {
            writeln!(out, "{}", paint.faint(&format!("  {}", printable(request))))?;
        }
    }
    let cost = incidents.iter().map(|incident| incident.number("cost_micro_usd")).sum();
    let unanswered =
        incidents.iter().filter(|incident| incident.text("answered_by").is_none()).count();
    writeln!(
        out,
        "\n{}, {}; nobody answered {unanswered} of them",
        counted(incidents.len(), "incident"),
        usd(cost)
    )?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use clap::ColorChoice;
    use serde_json::{Value, json};
    use stand_ins::table::{Item, Table};

    use super::super::all;
    use super::super::tests::item;
    use super::*;

    /// 2026-11-21 12:00:00 UTC
    const NOON: u64 = 1_795_262_400_000;

    fn items() -> [Item; 2] {
        let numbers = [
            ("at_ms", NOON),
            ("attempts", 3),
            ("latency_ms", 1_240),
            ("input_tokens", 1_000),
            ("output_tokens", 120),
            ("cost_micro_usd", 360_000),
            ("expires_at", 1_800_000_000),
        ];
        let texts =
            [("specialist", "orders"), ("reason", "stream_broken"), ("intent_class", "delivery")];
        let answered = [&texts[..], &[("answered_by", "general")]].concat();
        let late = [&[("at_ms", NOON + 1_000)], &numbers[1..]].concat();
        let recorded = [&texts[..], &[("request", "Where is\nparcel 5150?")]].concat();
        [item("r1/0/0", &answered, &numbers), item("r2/0/0", &recorded, &late)]
    }

    fn printed(items: &[Item]) -> String {
        let mut out = Vec::new();
        table(&mut out, Paint::new(ColorChoice::Never), &all(items)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn people_see_who_did_not_answer_and_what_it_cost() {
        let shown = printed(&items());
        assert_eq!(
            shown,
            "time (UTC)          specialist reason             tries      ms  tokens      cost intent   answered\n\
             2026-11-21 12:00:00 orders     stream_broken          3   1,240   1,120 $0.360000 delivery general\n\
             2026-11-21 12:00:01 orders     stream_broken          3   1,240   1,120 $0.360000 delivery -\n  \
             Where is\u{fffd}parcel 5150?\n\
             \n2 incidents, $0.720000; nobody answered 1 of them\n"
        );
        assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
        assert!(printed(&[]).starts_with("No incidents"));
    }

    #[tokio::test]
    async fn programs_get_the_same_keys_for_each_incident() {
        // As the table gives them back.
        let table = Table::start().await.unwrap();
        for item in items() {
            table.put_item(item).await.unwrap();
        }
        let items = table.scan().await.unwrap();
        let mut out = Vec::new();
        json_lines(&mut out, &all(&items)).unwrap();
        let lines: Vec<Value> = String::from_utf8(out)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let expected = json!({
            "id": "r1/0/0", "date": "2026-11-21", "at_ms": NOON, "specialist": "orders",
            "reason": "stream_broken", "attempts": 3, "latency_ms": 1_240, "input_tokens": 1_000,
            "output_tokens": 120, "cost_micro_usd": 360_000, "intent_class": "delivery",
            "answered_by": "general", "request": null,
        });
        assert_eq!(lines[0], expected);
        assert_eq!(lines[1]["request"], "Where is\nparcel 5150?");
        let keys = |line: &Value| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&lines[0]), keys(&lines[1]));
    }
}
