//! The shapes that charts are made of.

use super::Tone;
use crate::page::markup::{Element, units};
use crate::paint::cut;

/// The usual width of a character, which nobody knows exactly: the font is the reader's own.
const CHARACTER: f64 = 6.6;

/// A text that begins at a point of its base line.
pub(crate) fn text(class: &str, (x, y): (f64, f64), content: &str) -> Element {
    Element::of("text", class).with("x", units(x)).with("y", units(y)).text(content)
}

/// A text that ends at a point.
pub(super) fn text_to(class: &str, end: (f64, f64), content: &str) -> Element {
    text(class, end, content).with("text-anchor", "end")
}

/// A text around a point.
pub(super) fn text_at(class: &str, middle: (f64, f64), content: &str) -> Element {
    text(class, middle, content).with("text-anchor", "middle")
}

/// A text that begins at a point and is cut where it is wider than `width`. The whole of it is
/// shown where somebody points at it.
pub(super) fn text_within(class: &str, from: (f64, f64), width: f64, content: &str) -> Element {
    let short = shortened(content, width);
    if short == content {
        return text(class, from, content);
    }
    hinted(content, [text(class, from, &short)])
}

/// A text, cut where it is wider than `width`.
pub(super) fn shortened(content: &str, width: f64) -> String {
    cut(content, ((width / CHARACTER) as usize).max(2))
}

/// The width of a text, more or less.
pub(super) fn width_of(content: &str) -> f64 {
    content.chars().count() as f64 * CHARACTER
}

/// A rectangle from its upper left corner.
pub(super) fn rect(class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) -> Element {
    Element::of("rect", class)
        .with("x", units(x))
        .with("y", units(y))
        .with("width", units(width.max(0.0)))
        .with("height", units(height.max(0.0)))
}

/// A straight line.
pub(super) fn line(class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> Element {
    Element::of("line", class)
        .with("x1", units(x1))
        .with("y1", units(y1))
        .with("x2", units(x2))
        .with("y2", units(y2))
}

/// Shapes that tell more where somebody points at them.
pub(super) fn hinted(hint: &str, shapes: impl IntoIterator<Item = Element>) -> Element {
    Element::new("g").holds(Element::new("title").text(hint)).holds_all(shapes)
}

/// Shapes at another place.
pub(crate) fn place((x, y): (f64, f64), shapes: impl IntoIterator<Item = Element>) -> Element {
    let translate = format!("translate({},{})", units(x), units(y));
    Element::new("g").with("transform", translate).holds_all(shapes)
}

/// What the tones stand for, in one line with this base line.
pub(super) fn legend(y: f64, entries: &[(Tone, &str)]) -> Vec<Element> {
    let mut x = 0.0;
    let mut shapes = Vec::new();
    for (tone, name) in entries {
        shapes.push(rect(tone.class(), (x, y - 9.0), (10.0, 10.0)));
        shapes.push(text("faint", (x + 14.0, y), name));
        x += 14.0 + width_of(name) + 14.0;
    }
    shapes
}
