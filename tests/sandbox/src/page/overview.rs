//! The pictures of a run. As far as CloudWatch's dashboard has them, they are the same.

use std::collections::BTreeMap;

use super::chart::{
    Bar, Chart, Columns, Drawing, Matrix, Sample, Tone, bars, columns, matrix, percentiles,
};
use super::request::{Task, status_tone};
use super::run::Run;
use crate::paint::{counted, grouped};

/// The most rows of a chart whose rows come from what happened.
const MOST_ROWS: usize = 16;

/// All pictures, in an order in which those of like height stand beside each other.
pub(crate) fn charts(run: &Run) -> Vec<Chart> {
    vec![
        routes(run),
        latencies(run),
        accuracy(run),
        failures(run),
        replies(run),
        incidents(run),
        budgets(run),
        cost(run),
        tokens(run),
        limits(run),
        circuits(run),
    ]
}

/// The most telling ones, in pairs.
pub(crate) fn pairs(run: &Run) -> [[Chart; 2]; 4] {
    [
        [routes(run), latencies(run)],
        [failures(run), replies(run)],
        [budgets(run), accuracy(run)],
        [cost(run), tokens(run)],
    ]
}

fn routes(run: &Run) -> Chart {
    const UNKNOWN: &str = "unknown name";
    const NONE: &str = "nobody";
    let tasks: Vec<&Task> = run.requests.iter().flat_map(|request| &request.tasks).collect();
    let row_of = |task: &Task| match &task.asked {
        None => NONE.to_owned(),
        Some(name) if run.specialists.contains(name) => name.clone(),
        Some(_) => UNKNOWN.to_owned(),
    };
    let column_of = |task: &Task| match (&*task.status, &task.used) {
        ("answered" | "fell_back", Some(name)) => name.clone(),
        (status, _) => status.to_owned(),
    };
    let with_others = |of: &dyn Fn(&Task) -> String| {
        let mut names = run.specialists.clone();
        for task in &tasks {
            let name = of(task);
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    };
    let (rows, columns) = (with_others(&row_of), with_others(&column_of));
    let mut counts = vec![vec![0; columns.len()]; rows.len()];
    let mut tones = vec![vec![Tone::Plain; columns.len()]; rows.len()];
    for (row, asked) in rows.iter().enumerate() {
        for (column, used) in columns.iter().enumerate() {
            let found = |task: &&&Task| row_of(task) == *asked && column_of(task) == *used;
            counts[row][column] = tasks.iter().filter(found).count();
            tones[row][column] = match run.specialists.contains(used) {
                true if asked == used => Tone::Plain,
                true => Tone::Detour,
                false => status_tone(used),
            };
        }
    }
    let lost = run.requests.iter().filter(|request| request.tasks.is_empty()).count();
    let mut note = "Tasks by the specialist asked for and by who answered.".to_owned();
    if lost > 0 {
        note.push_str(&format!(" {} ended without a reply.", counted(lost, "request")));
    }
    let drawing = match tasks.is_empty() {
        true => Drawing::none("no task in this run"),
        false => matrix(&Matrix { rows, columns, counts, tones }, "asked", "answered by"),
    };
    Chart::new("Routes: asked → used", &note, drawing)
}

fn replies(run: &Run) -> Chart {
    let mut by = BTreeMap::<(Tone, &str, &str), usize>::new();
    for request in &run.requests {
        let reason = request.reason.as_deref().unwrap_or("");
        *by.entry((request.tone, &request.status, reason)).or_default() += 1;
    }
    let rows = by.into_iter().map(|((tone, status, reason), count)| {
        Bar::new(status, tone, count as f64, format!("{count} {reason}").trim_end().to_owned())
    });
    let rows = grouped_by_name(at_most(rows.collect()));
    let note = format!("Status and reason of {}.", counted(run.requests.len(), "request"));
    Chart::new("Replies", &note, bars(&rows, None, &[]))
}

fn latencies(run: &Run) -> Chart {
    let by = run.figures().by("SpecialistLatency", "Specialist");
    let sample =
        |name: &str, values: Vec<f64>, apart| Sample { name: name.to_owned(), values, apart };
    let mut samples: Vec<Sample> = run
        .specialists
        .iter()
        .map(|name| sample(name, by.get(&**name).cloned().unwrap_or_default(), false))
        .collect();
    samples.push(sample("router overhead", run.figures().values("RouterOverhead"), true));
    let requests = run.requests.iter().map(|request| request.millis).collect();
    samples.push(sample("whole request", requests, false));
    let note = "Invocations with their retries, the router's own time, and the function's. \
                Each step of the scale is ten times the one before.";
    Chart::new("Latency in milliseconds", note, percentiles(&samples))
}

fn failures(run: &Run) -> Chart {
    let figures = run.figures();
    let [invocations, errors, throttles, fallbacks] =
        ["SpecialistInvocations", "SpecialistErrors", "SpecialistThrottles", "Fallbacks"]
            .map(|metric| sums(figures.by(metric, "Specialist")));
    let mut rows = Vec::new();
    for name in &run.specialists {
        let of = |sums: &BTreeMap<&str, f64>| sums.get(&**name).copied().unwrap_or(0.0);
        let number = |noun: &str, count: f64| counted(count as usize, noun);
        let errors_text = format!("{} in {:.0}", number("error", of(&errors)), of(&invocations));
        rows.push(Bar::new(name, Tone::Bad, of(&errors), errors_text));
        let throttled = of(&throttles);
        rows.push(Bar::new("", Tone::Second, throttled, number("throttle", throttled)));
        let fell_back = of(&fallbacks);
        rows.push(Bar::new("", Tone::Detour, fell_back, number("fallback", fell_back)));
    }
    let note = "Errors in so many invocations, throttled attempts, and fallbacks in its place.";
    Chart::new("Errors, throttles and fallbacks", note, bars(&rows, None, &[]))
}

fn cost(run: &Run) -> Chart {
    let costs = run.figures().charged_by_specialist();
    let rows: Vec<Bar> = run
        .specialists
        .iter()
        .map(|name| {
            let cost = costs.get(&**name).copied().unwrap_or(0.0);
            Bar::new(name, Tone::Plain, cost, dollars(cost))
        })
        .collect();
    let note = format!("As charged: {} in all.", dollars(run.figures().charged()));
    Chart::new("Cost in US dollars", &note, bars(&rows, None, &[]))
}

fn tokens(run: &Run) -> Chart {
    let figures = run.figures();
    let [input, output] =
        ["InputTokens", "OutputTokens"].map(|metric| sums(figures.by(metric, "Specialist")));
    let rows: Vec<Bar> = run
        .specialists
        .iter()
        .map(|name| {
            let of = |sums: &BTreeMap<&str, f64>| sums.get(&**name).copied().unwrap_or(0.0);
            let (input, output) = (of(&input), of(&output));
            let text = format!("{} + {}", grouped(input as u64), grouped(output as u64));
            let parts = vec![(Tone::Plain, input), (Tone::Second, output)];
            Bar { name: name.clone(), parts, text }
        })
        .collect();
    let sum = figures.sum("InputTokens") + figures.sum("OutputTokens");
    let note = format!("As reported by the agents: {} in all.", grouped(sum as u64));
    let legend = [(Tone::Plain, "input"), (Tone::Second, "output")];
    Chart::new("Tokens", &note, bars(&rows, None, &legend))
}

fn budgets(run: &Run) -> Chart {
    let columns_of = run.requests.iter().enumerate().filter_map(|(place, request)| {
        Some((place + 1, request.name.clone(), request.used_percent?))
    });
    let chart = Columns { columns: columns_of.collect(), lines: run.budget_lines.clone() };
    let note = "After each request, of the limit of its session that is nearest.";
    Chart::new("Use of the session budgets in percent", note, columns(&chart))
}

fn accuracy(run: &Run) -> Chart {
    let by = run.figures().by_both("RoutingAccuracy", ["IntentClass", "SpecialistRouted"]);
    let rows = by.into_iter().map(|((intent, routed), values)| {
        let right: f64 = values.iter().sum();
        let percent = 100.0 * right / values.len().max(1) as f64;
        let text = format!("{percent:.0} %, {right:.0} of {}", values.len());
        let tone = if percent < 100.0 { Tone::Detour } else { Tone::Plain };
        Bar::new(&format!("{intent} → {routed}"), tone, percent, text)
    });
    let rows: Vec<Bar> = rows.collect();
    let note = "Samples in which the specialist asked for exists and took it as its job.";
    Chart::new("Routing accuracy by intent", note, bars(&rows, Some(100.0), &[]))
}

fn limits(run: &Run) -> Chart {
    let figures = run.figures();
    let refusals = sums(figures.by("BudgetRefusals", "Limit"));
    let mut rows: Vec<Bar> = refusals
        .into_iter()
        .map(|(limit, sum)| Bar::new(&format!("limit: {limit}"), Tone::Second, sum, times(sum)))
        .collect();
    for (name, metric) in [
        ("loops detected", "LoopsDetected"),
        ("expired holds", "ExpiredHolds"),
        ("uncounted calls", "UncountedInvocations"),
    ] {
        let sum = figures.sum(metric);
        rows.push(Bar::new(name, Tone::Bad, sum, times(sum)));
    }
    let note = "Refusals by limit, and what else the ledger noticed.";
    Chart::new("Budget refusals, loops, holds", note, bars(&rows, None, &[]))
}

fn circuits(run: &Run) -> Chart {
    let opened = sums(run.figures().by("CircuitOpened", "Specialist"));
    let mut rows = Vec::new();
    for circuit in &run.circuits {
        let opened = opened.get(&*circuit.specialist).copied().unwrap_or(0.0);
        let mut text = format!("opened {}", times(opened));
        if circuit.is_plainly_closed {
            text.push_str(", now closed");
        }
        rows.push(Bar::new(&circuit.specialist, Tone::Bad, opened, text));
        if !circuit.is_plainly_closed {
            let text = format!("now {}", circuit.state);
            rows.push(Bar { name: String::new(), parts: Vec::new(), text });
        }
    }
    let note = "How often each was opened, and its state when the run ended.";
    Chart::new("Circuits", note, bars(&rows, None, &[]))
}

fn incidents(run: &Run) -> Chart {
    let mut by = BTreeMap::<(&str, &str), (f64, f64)>::new();
    for incident in &run.incidents {
        let (answered, not) = by.entry((&incident.specialist, &incident.reason)).or_default();
        *if incident.was_answered { answered } else { not } += 1.0;
    }
    let rows = by.into_iter().map(|((specialist, reason), (answered, not))| {
        let parts = vec![(Tone::Detour, answered), (Tone::Bad, not)];
        let text = format!("{:.0} {reason}", answered + not);
        Bar { name: specialist.to_owned(), parts, text }
    });
    let rows = grouped_by_name(at_most(rows.collect()));
    let note = "Invocations that a specialist did not answer, by reason.";
    let legend = [(Tone::Detour, "another answered"), (Tone::Bad, "nobody answered")];
    Chart::new("Incidents", note, bars(&rows, None, &legend))
}

fn sums(values: BTreeMap<&str, Vec<f64>>) -> BTreeMap<&str, f64> {
    values.into_iter().map(|(name, values)| (name, values.iter().sum())).collect()
}

/// The first rows; what is left out is said in a last one.
fn at_most(mut rows: Vec<Bar>) -> Vec<Bar> {
    if rows.len() > MOST_ROWS {
        let rest = rows.split_off(MOST_ROWS - 1);
        let length: f64 = rest.iter().flat_map(|bar| &bar.parts).map(|(_, length)| length).sum();
        let text = format!("{length:.0} in {} more rows", rest.len());
        rows.push(Bar::new("others", Tone::Second, length, text));
    }
    rows
}

/// Without the names that only repeat the one above.
fn grouped_by_name(mut rows: Vec<Bar>) -> Vec<Bar> {
    for place in (1..rows.len()).rev() {
        if rows[place].name == rows[place - 1].name {
            rows[place].name.clear();
        }
    }
    rows
}

fn times(count: f64) -> String {
    counted(count as usize, "time")
}

/// `$0.006270`
pub(crate) fn dollars(usd: f64) -> String {
    format!("${usd:.6}")
}
