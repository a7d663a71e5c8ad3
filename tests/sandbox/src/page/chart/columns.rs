//! Upright columns in the order of the requests, in percent.

use super::shapes::{hinted, line, rect, text, text_at, text_to};
use super::{Drawing, Tone, WIDTH};

/// Percentages of numbered things, with lines to compare them with.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Columns {
    /// Number, name and percentage.
    pub(crate) columns: Vec<(usize, String, f64)>,
    /// Percentages from which on something happens, and what.
    pub(crate) lines: Vec<(f64, String)>,
}

const LEFT: f64 = 40.0;
const RIGHT: f64 = 100.0;
const END: f64 = WIDTH - RIGHT;
const TOP: f64 = 12.0;
const HEIGHT: f64 = 130.0;

/// The columns above their numbers.
pub(crate) fn columns(chart: &Columns) -> Drawing {
    if chart.columns.is_empty() {
        return Drawing::none("nothing of that in this run");
    }
    // A call that used more than it held can take a session past its limit.
    let most = chart.columns.iter().map(|(_, _, percent)| *percent).fold(100.0, f64::max);
    let y = |percent: f64| TOP + HEIGHT * (1.0 - percent.clamp(0.0, most) / most);
    let mut shapes = Vec::new();
    for percent in [0.0, 25.0, 50.0, 75.0, 100.0] {
        shapes.push(line("grid", (LEFT, y(percent)), (END, y(percent))));
        let label = format!("{percent:.0} %");
        shapes.push(text_to("faint", (LEFT - 5.0, y(percent) + 4.0), &label));
    }
    for (percent, what) in &chart.lines {
        let at = y(*percent);
        shapes.push(line("limit", (LEFT, at), (END, at)));
        shapes.push(text("small", (END + 5.0, at + 3.5), what));
    }
    let pitch = (END - LEFT) / chart.columns.len() as f64;
    let width = (pitch * 0.72).clamp(0.8, 26.0);
    let every = (26.0 / pitch).ceil().max(1.0) as usize;
    let least_line = chart.lines.iter().map(|(percent, _)| *percent).fold(f64::INFINITY, f64::min);
    for (place, (number, name, percent)) in chart.columns.iter().enumerate() {
        let middle = LEFT + pitch * (place as f64 + 0.5);
        let tone = match *percent {
            percent if percent >= 100.0 => Tone::Bad,
            percent if percent >= least_line => Tone::Detour,
            _ => Tone::Plain,
        };
        let height = (y(0.0) - y(*percent)).max(1.0);
        let at = (middle - width / 2.0, y(0.0) - height);
        let hint = format!("{number} {name}: {percent:.1} %");
        let mut column = vec![rect(tone.class(), at, (width, height))];
        if pitch >= 24.0 || (*percent >= least_line && pitch >= 14.0) {
            let label = format!("{percent:.0}");
            column.push(text_at("small halo", (middle, at.1 - 3.0), &label));
        }
        shapes.push(hinted(&hint, column));
        if place % every == 0 {
            let below = (middle, TOP + HEIGHT + 15.0);
            shapes.push(text_at("faint", below, &number.to_string()));
        }
    }
    shapes.push(text_to("faint", (END, TOP + HEIGHT + 30.0), "number of the request"));
    Drawing { width: WIDTH, height: TOP + HEIGHT + 34.0, shapes }
}
