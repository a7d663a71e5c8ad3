//! Bars from left to right, each with its name before it and its number behind it.

use super::shapes::{hinted, legend, line, rect, text_within, width_of};
use super::{Drawing, Tone, WIDTH};

/// One bar, of one part or of several behind each other.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bar {
    /// What it is of; empty: of the same as the one above.
    pub(crate) name: String,
    /// Its parts and their lengths; without any it is a line of text.
    pub(crate) parts: Vec<(Tone, f64)>,
    /// What it says.
    pub(crate) text: String,
}

impl Bar {
    /// A bar of one part.
    pub(crate) fn new(name: &str, tone: Tone, length: f64, text: String) -> Self {
        Self { name: name.to_owned(), parts: vec![(tone, length)], text }
    }

    fn length(&self) -> f64 {
        self.parts.iter().map(|(_, length)| length.max(0.0)).sum()
    }
}

/// How much room names and texts get at least and at most. The bars have what is left.
const NAMES: (f64, f64) = (64.0, 150.0);
const TEXTS: (f64, f64) = (70.0, 150.0);
const ROW: f64 = 17.0;
const BETWEEN: f64 = 7.0;

/// Bars one below the other, as long as what they stand for. `most` is the longest possible; where
/// there is none, the longest of them takes all the room.
pub(crate) fn bars(rows: &[Bar], most: Option<f64>, entries: &[(Tone, &str)]) -> Drawing {
    if rows.is_empty() {
        return Drawing::none("nothing of that in this run");
    }
    let (names, room) = rooms(rows);
    let longest = rows.iter().map(Bar::length).fold(0.0, f64::max);
    let most = most.unwrap_or(longest);
    let unit = if most > 0.0 { room / most } else { 0.0 };
    let mut y = if entries.is_empty() { 0.0 } else { 24.0 };
    let top = y;
    let mut shapes = legend(11.0, entries);
    for (place, bar) in rows.iter().enumerate() {
        if place > 0 && !bar.name.is_empty() {
            y += BETWEEN;
        }
        let base = y + 12.5;
        shapes.push(text_within("", (0.0, base), names - 8.0, &bar.name));
        let mut x = names;
        for (tone, length) in &bar.parts {
            let width = (length * unit).clamp(0.0, names + room - x);
            if width > 0.0 {
                // What there is of it is to be seen, however little it is.
                let visible = width.max(1.5);
                let shape = rect(tone.class(), (x, y + 2.0), (visible, ROW - 4.0));
                shapes.push(hinted(&format!("{} {}", bar.name, bar.text), [shape]));
            }
            x += width;
        }
        let class = if bar.length() > 0.0 || bar.parts.is_empty() { "" } else { "faint" };
        shapes.push(text_within(class, (x + 6.0, base), WIDTH - x - 6.0, &bar.text));
        y += ROW;
    }
    shapes.insert(0, line("axis", (names, top), (names, y)));
    Drawing { width: WIDTH, height: y + 2.0, shapes }
}

/// The room for names and for bars.
fn rooms(rows: &[Bar]) -> (f64, f64) {
    let widest = |texts: &mut dyn Iterator<Item = &String>, (least, most): (f64, f64)| {
        let widest = texts.map(|text| width_of(text)).fold(0.0, f64::max);
        (widest + 10.0).clamp(least, most)
    };
    let names = widest(&mut rows.iter().map(|bar| &bar.name), NAMES);
    // The text of a bar without length may go where bars are.
    let visible = rows.iter().filter(|bar| bar.length() > 0.0);
    (names, WIDTH - names - widest(&mut visible.map(|bar| &bar.text), TEXTS))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The room for bars that are named and say so little.
    const LONGEST: f64 = WIDTH - NAMES.0 - TEXTS.0;

    fn widths(drawing: &Drawing) -> Vec<f64> {
        let drawn: String = drawing.shapes.iter().map(ToString::to_string).collect();
        let rects = drawn.split("<rect").skip(1);
        let widths = rects.filter(|rect| rect.contains("height=\"13\""));
        widths
            .map(|rect| rect.split("width=\"").nth(1).unwrap().split('"').next().unwrap())
            .map(|width| width.parse().unwrap())
            .collect()
    }

    #[test]
    fn bars_are_as_long_as_what_they_stand_for() {
        let bar = |length| Bar::new("a", Tone::Plain, length, String::new());
        let rows = [bar(4.0), bar(2.0), bar(0.0), bar(0.001)];
        assert_eq!(widths(&bars(&rows, None, &[])), [LONGEST, LONGEST / 2.0, 1.5]);
        assert_eq!(widths(&bars(&rows[..1], Some(8.0), &[])), [LONGEST / 2.0]);
        assert_eq!(widths(&bars(&[bar(0.0)], None, &[])), Vec::<f64>::new());
    }

    #[test]
    fn the_parts_of_a_bar_add_up() {
        let parts = vec![(Tone::Plain, 1.0), (Tone::Bad, 3.0)];
        let bar = Bar { name: "a".to_owned(), parts, text: String::new() };
        assert_eq!(widths(&bars(&[bar], None, &[])), [LONGEST / 4.0, LONGEST * 3.0 / 4.0]);
    }

    #[test]
    fn no_bars_are_said_to_be_none() {
        let drawn: String = bars(&[], None, &[]).shapes.iter().map(ToString::to_string).collect();
        assert!(drawn.contains("nothing of that in this run"), "{drawn}");
    }
}
