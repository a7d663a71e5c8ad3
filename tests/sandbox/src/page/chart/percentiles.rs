//! How long things took: three percentiles of each, on a scale of powers of ten.

use super::scale::Decades;
use super::shapes::{hinted, line, text, text_at, text_to, text_within};
use super::{Drawing, WIDTH};
use crate::page::figures::percentile;
use crate::page::markup::{Element, units};
use crate::paint::grouped;

/// Times of one kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// What took them.
    pub(crate) name: String,
    /// In milliseconds.
    pub(crate) values: Vec<f64>,
    /// Whether a line sets it apart from what is above it.
    pub(crate) apart: bool,
}

const PERCENTILES: [u32; 3] = [50, 90, 99];
const NAMES: f64 = 120.0;
const NUMBER: f64 = 46.0;
const PLOT: f64 = WIDTH - NAMES - 3.0 * NUMBER - 8.0;
const TOP: f64 = 20.0;
const ROW: f64 = 22.0;

/// Percentiles as marks and as numbers. Kinds without any time have a row all the same.
pub(crate) fn percentiles(samples: &[Sample]) -> Drawing {
    let all = samples.iter().flat_map(|sample| &sample.values).copied();
    let scale = Decades::up_to(all.fold(0.0, f64::max));
    let x = |millis: f64| NAMES + PLOT * scale.share(millis);
    let number_at = |place: usize| WIDTH - NUMBER * (2 - place) as f64;
    let bottom = TOP + ROW * samples.len() as f64;
    let mut shapes = Vec::new();
    for tick in scale.ticks() {
        shapes.push(line("grid", (x(tick), TOP), (x(tick), bottom)));
        shapes.push(text_at("faint", (x(tick), bottom + 15.0), &short(tick)));
    }
    for (place, percent) in PERCENTILES.into_iter().enumerate() {
        let head = format!("p{percent}");
        shapes.push(text_to("faint", (number_at(place), 12.0), &head));
        shapes.push(mark(place, (number_at(place) - 30.0, 8.0)));
    }
    for (row, sample) in samples.iter().enumerate() {
        let y = TOP + ROW * row as f64;
        let (base, middle) = (y + 15.0, y + ROW / 2.0);
        if sample.apart {
            shapes.push(line("axis", (0.0, y), (WIDTH, y)));
        }
        shapes.push(text_within("", (0.0, base), NAMES - 12.0, &sample.name));
        let found = PERCENTILES.map(|percent| percentile(&sample.values, percent));
        let [Some(p50), Some(p90), Some(p99)] = found else {
            shapes.push(text("faint", (NAMES + 4.0, base), "no invocation"));
            continue;
        };
        let numbers = [p50, p90, p99];
        let mut marks = vec![line("range", (x(p50), middle), (x(p99), middle))];
        // The median comes last, so that it is seen where all are equal.
        marks.extend((0..3).rev().map(|place| mark(place, (x(numbers[place]), middle))));
        let hint = format!("{}: {} samples", sample.name, sample.values.len());
        shapes.push(hinted(&hint, marks));
        for (place, millis) in numbers.into_iter().enumerate() {
            shapes.push(text_to("", (number_at(place), base), &millis_text(millis)));
        }
    }
    shapes.push(text_to("faint", (WIDTH, bottom + 15.0), "milliseconds"));
    Drawing { width: WIDTH, height: bottom + 20.0, shapes }
}

/// The mark of a percentile by its place: a disc, a diamond, a triangle.
fn mark(place: usize, (x, y): (f64, f64)) -> Element {
    let path = |points: &[(f64, f64)]| {
        let points: Vec<String> =
            points.iter().map(|(dx, dy)| format!("{},{}", units(x + dx), units(y + dy))).collect();
        Element::new("polygon").with("points", points.join(" "))
    };
    match place {
        0 => Element::of("circle", "plain")
            .with("cx", units(x))
            .with("cy", units(y))
            .with("r", units(4.0)),
        1 => path(&[(0.0, -5.5), (5.5, 0.0), (0.0, 5.5), (-5.5, 0.0)]).with("class", "detour"),
        _ => path(&[(0.0, -5.5), (5.5, 4.5), (-5.5, 4.5)]).with("class", "bad"),
    }
}

/// `12`, `1,037`; below 10 with a decimal, where there is one.
fn millis_text(millis: f64) -> String {
    let tenths = format!("{millis:.1}");
    match tenths.strip_suffix(".0") {
        Some(whole) if millis < 10.0 => whole.to_owned(),
        None if millis < 10.0 => tenths,
        _ => grouped(millis.round().max(0.0) as u64),
    }
}

/// A power of ten in little room: `1`, `100`, `10k`.
fn short(number: f64) -> String {
    if number < 1_000.0 { format!("{number:.0}") } else { format!("{:.0}k", number / 1_000.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(samples: &[(&str, &[f64])]) -> String {
        let samples = samples.iter().map(|(name, values)| Sample {
            name: (*name).to_owned(),
            values: values.to_vec(),
            apart: false,
        });
        let drawing = percentiles(&samples.collect::<Vec<_>>());
        drawing.shapes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_numbers_are_the_percentiles() {
        let hundred: Vec<f64> = (1..=100).map(|n| f64::from(n) * 20.0).collect();
        let shown = drawn(&[("billing", &hundred)]);
        for number in ["1,000", "1,800", "1,980"] {
            assert!(shown.contains(&format!(">{number}</text>")), "{number} in {shown}");
        }
    }

    #[test]
    fn what_never_happened_has_no_percentiles() {
        let shown = drawn(&[("billing", &[]), ("orders", &[0.0, 2.5])]);
        assert!(shown.contains(">no invocation</text>"), "{shown}");
        assert!(shown.contains(">0</text>") && shown.contains(">2.5</text>"), "{shown}");
        assert!(!shown.contains("NaN"), "{shown}");
    }

    #[test]
    fn times_are_short() {
        assert_eq!(
            [0.0, 2.04, 2.25, 12.4, 1_037.0].map(millis_text),
            ["0", "2", "2.2", "12", "1,037"]
        );
        assert_eq!([1.0, 100.0, 10_000.0].map(short), ["1", "100", "10k"]);
    }
}
