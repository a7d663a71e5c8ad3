//! The measurements as tables for people.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::document::Document;
use super::front_door::Door;
use super::series::Row;
use super::side_by_side::Beside;
use super::spread::{Latency, Spread};
use crate::paint::{Paint, grouped};

pub(super) fn write(mut out: impl Write, paint: Paint, document: &Document) -> io::Result<()> {
    let machine = &document.machine;
    writeln!(out, "{} cores, {}, {}", machine.cores, machine.cpu, machine.kernel)?;
    writeln!(out, "binary: {} bytes", grouped(document.binary_bytes))?;
    if let Some(start) = &document.start {
        let heading = format!("\nStart, {} times (ms: min, median, max)", start.starts);
        writeln!(out, "{}", paint.heading(&heading))?;
        writeln!(out, "process to first poll   {}", millis(start.start_us))?;
        writeln!(out, "first request           {}", millis(start.first_request_us))?;
    }
    let mut series = "";
    for row in &document.series {
        if row.series != series {
            series = row.series;
            writeln!(out, "\n{}", paint.heading(&format!("By {series}")))?;
            writeln!(out, "{}", paint.faint(ROW_HEADS))?;
        }
        write_row(&mut out, row)?;
    }
    if !document.side_by_side.is_empty() {
        write_side_by_side(&mut out, paint, &document.side_by_side)?;
    }
    if !document.front_door.is_empty() {
        write_doors(&mut out, paint, &document.front_door)?;
    }
    for count in &document.counts {
        let mark = if count.is_right() { paint.good("ok") } else { paint.bad("!!") };
        writeln!(out, "{mark}  {}: {}", count.what, count.found)?;
        if !count.is_right() {
            writeln!(out, "      it must be {}", count.rule)?;
        }
    }
    out.flush()
}

fn write_doors(out: &mut impl Write, paint: Paint, doors: &[Door]) -> io::Result<()> {
    for door in doors {
        let Door { supervisor, requests, .. } = door;
        let heading =
            format!("\nA {supervisor} as supervisor, {requests} requests of each kind (ms)");
        writeln!(out, "{}", paint.heading(&heading))?;
        for (what, Latency { p50, p90, p99 }) in [
            ("overhead of a round", door.round_us),
            ("of two rounds and a specialist", door.with_specialist_us),
            ("asked to first text at the client", door.first_text_us),
        ] {
            let [p50, p90, p99] = [p50, p90, p99].map(|micros| micros / 1_000.0);
            writeln!(out, "  {what:<34} p50 {p50:.2}  p90 {p90:.2}  p99 {p99:.2}")?;
        }
        writeln!(out, "  {:<34} {}", "process to first poll", millis(door.start_us))?;
        writeln!(out, "  {:<34} {:.1} MiB", "peak memory", door.peak_kib as f64 / 1_024.0)?;
    }
    Ok(())
}

const ROW_HEADS: &str = "\
  steps  spec.  proc.  at once    p50 ms  p90 ms  p99 ms    CPU ms   peak MiB      req/s  calls";

fn write_row(out: &mut impl Write, row: &Row) -> io::Result<()> {
    let cost = &row.cost;
    let ms = |micros: f64| micros / 1_000.0;
    writeln!(
        out,
        "{:>7} {:>6} {:>6} {:>8}  {:>8.2}{:>8.2}{:>8.2}  {:>8.2}   {:>8.1}   {:>8.0}  {}",
        row.steps,
        row.specialists,
        row.processes,
        row.at_once,
        ms(cost.latency_us.p50),
        ms(cost.latency_us.p90),
        ms(cost.latency_us.p99),
        ms(cost.cpu_us),
        cost.peak_kib as f64 / 1_024.0,
        cost.requests_per_second,
        calls(&cost.calls),
    )
}

fn write_side_by_side(out: &mut impl Write, paint: Paint, all: &[Beside]) -> io::Result<()> {
    writeln!(out, "\n{}", paint.heading("Side by side, in turns (min, median, max)"))?;
    for one in all {
        writeln!(out, "{}", paint.heading(one.name))?;
        let ratios = &one.function_over_this;
        for (what, numbers, ratio) in [
            ("start, ms", one.start_us.over(1_000.0), Some(ratios.start)),
            ("first request, ms", one.first_request_us.over(1_000.0), None),
            ("warm p50, ms", one.p50_us.over(1_000.0), Some(ratios.p50)),
            ("own CPU a request, ms", one.cpu_us.over(1_000.0), Some(ratios.cpu)),
            ("peak memory, MiB", one.peak_kib.over(1_024.0), Some(ratios.peak)),
        ] {
            let ratio = ratio.map(|ratio| format!("  function/this {}", three(ratio, 3)));
            writeln!(out, "  {what:<23}{}{}", three(numbers, 2), ratio.unwrap_or_default())?;
        }
        writeln!(out, "  {:<23}{}", "calls a request", calls(&one.calls))?;
    }
    Ok(())
}

fn millis(spread: Spread) -> String {
    three(spread.over(1_000.0), 2)
}

fn three(spread: Spread, decimals: usize) -> String {
    let Spread { min, median, max } = spread;
    format!("{min:>9.decimals$}{median:>9.decimals$}{max:>9.decimals$}")
}

/// Of a request; what is rare is left out of the table, not of the document.
fn calls(calls: &BTreeMap<String, f64>) -> String {
    let often = calls.iter().filter(|(_, count)| **count >= 0.05);
    let each: Vec<String> = often
        .map(|(name, count)| {
            let name = name.split_once('.').map_or(&**name, |(_, operation)| operation);
            format!("{count:.1} {name}")
        })
        .collect();
    each.join(", ")
}
