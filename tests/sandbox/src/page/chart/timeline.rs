//! A waterfall of spans, drawn over time.

use super::scale::round_step;
use super::shapes::{hinted, line, rect, text, text_at, text_to, text_within};
use super::{Drawing, TIMELINE_WIDTH, Tone};
use crate::page::waterfall::{Row, Waterfall};
use crate::paint::cut;

const NAMES: f64 = 210.0;
const LENGTHS: f64 = 58.0;
const SAID: f64 = 150.0;
const PLOT: f64 = TIMELINE_WIDTH - NAMES - LENGTHS - SAID;
const TOP: f64 = 18.0;
const ROW: f64 = 20.0;
const INDENT: f64 = 12.0;
/// Deeper spans are indented no further, so that their names have room.
const DEEPEST: usize = 7;
/// The longest fact that is shown of a span.
const FACT: usize = 100;

/// The waterfall: names, bars, lengths and what came of each.
pub(crate) fn timeline(waterfall: &Waterfall) -> Drawing {
    let rows = &waterfall.rows;
    let bottom = TOP + ROW * rows.len() as f64;
    let length = waterfall.length_ns as f64;
    let mut shapes = Vec::new();
    let step = round_step(length, 4.0);
    let mut tick = 0.0;
    while tick <= length && length > 0.0 {
        let x = NAMES + PLOT * tick / length;
        shapes.push(line("grid", (x, TOP), (x, bottom)));
        shapes.push(text_at("faint", (x, 12.0), &length_text(tick as u64)));
        tick += step;
    }
    for (place, row) in rows.iter().enumerate() {
        shapes.push(drawn(row, TOP + ROW * place as f64));
    }
    let mut height = bottom + 2.0;
    if waterfall.left_out > 0 {
        let more = format!("and {} more", waterfall.left_out);
        shapes.push(text("faint", (0.0, bottom + 14.0), &more));
        height += 18.0;
    }
    Drawing { width: TIMELINE_WIDTH, height, shapes }
}

fn drawn(row: &Row, y: f64) -> crate::page::markup::Element {
    let base = y + 14.0;
    let indent = INDENT * row.depth.min(DEEPEST) as f64;
    let (from, to) = (NAMES + PLOT * row.place.0, NAMES + PLOT * row.place.1);
    // A span without length is to be seen as well, also at the end.
    let width = (to - from).max(2.0);
    let from = from.min(NAMES + PLOT - width);
    let tone = if row.failed { Tone::Bad } else { Tone::Plain };
    let class = if row.failed { "bad-text" } else { "faint" };
    let lengths = NAMES + PLOT + LENGTHS;
    let shapes = [
        text_within("", (indent, base), NAMES - indent - 8.0, &row.name),
        rect(tone.class(), (from, y + 4.0), (width, ROW - 8.0)),
        text_to("", (lengths, base), &length_text(row.length_ns)),
        text_within(class, (lengths + 10.0, base), SAID - 10.0, &row.said),
    ];
    let facts: Vec<String> = row.facts.iter().map(|fact| cut(fact, FACT)).collect();
    hinted(&format!("{}\n{}", cut(&row.name, FACT), facts.join("\n")), shapes)
}

/// `850 µs`, `4.2 ms`, `12 ms`, `1.07 s`
pub(crate) fn length_text(ns: u64) -> String {
    let millis = ns as f64 / 1e6;
    let trimmed = |text: String| {
        let short = text.trim_end_matches('0').trim_end_matches('.');
        if text.contains('.') { short.to_owned() } else { text }
    };
    match ns {
        0 => "0 ms".to_owned(),
        1..1_000_000 => format!("{} µs", ns.div_ceil(1_000)),
        1_000_000..10_000_000 => format!("{} ms", trimmed(format!("{millis:.1}"))),
        10_000_000..1_000_000_000 => format!("{millis:.0} ms"),
        1_000_000_000.. => format!("{} s", trimmed(format!("{:.2}", millis / 1e3))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::waterfall::tests::span;

    #[test]
    fn lengths_are_short_and_have_units() {
        let texts = [0, 900, 850_000, 4_200_000, 5_000_000, 12_400_000, 1_070_000_000];
        let expected = ["0 ms", "1 µs", "850 µs", "4.2 ms", "5 ms", "12 ms", "1.07 s"];
        assert_eq!(texts.map(length_text), expected);
    }

    #[test]
    fn bars_lie_where_and_as_long_as_spans_ran() {
        let spans = [span("a", None, 0, 40), span("b", Some("a"), 10, 30)];
        let drawing = timeline(&Waterfall::of(&spans).unwrap());
        let drawn: String = drawing.shapes.iter().map(ToString::to_string).collect();
        let bar = format!("x=\"{}\" y=\"42\" width=\"{}\"", NAMES + PLOT / 4.0, PLOT / 2.0);
        assert!(drawn.contains(&bar), "{bar} in {drawn}");
        for text in ["0 ms", "10 ms", "20 ms", "40 ms"] {
            assert!(drawn.contains(&format!(">{text}</text>")), "{text} in {drawn}");
        }
    }

    #[test]
    fn spans_without_length_stay_within_the_plot() {
        let spans = [span("a", None, 0, 40), span("b", Some("a"), 40, 40)];
        let drawing = timeline(&Waterfall::of(&spans).unwrap());
        let drawn: String = drawing.shapes.iter().map(ToString::to_string).collect();
        let bar = format!("x=\"{}\" y=\"42\" width=\"2\"", NAMES + PLOT - 2.0);
        assert!(drawn.contains(&bar), "{bar} in {drawn}");
        let at_once = timeline(&Waterfall::of(&spans[1..]).unwrap());
        assert!(!format!("{at_once:?}").contains("NaN"), "{at_once:?}");
    }
}
