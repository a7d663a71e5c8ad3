//! Pictures of numbers, drawn as SVG.
//!
//! A chart is drawn for a width of [`WIDTH`] units, which on paper and on most screens are about
//! as many pixels. Every bar and mark has its number beside it, and nothing is told by its color
//! alone. How things look is said in `chart.css`, by their classes.

mod bars;
mod columns;
mod matrix;
mod percentiles;
mod scale;
mod shapes;
mod timeline;

pub(crate) use self::bars::{Bar, bars};
pub(crate) use self::columns::{Columns, columns};
pub(crate) use self::matrix::{Matrix, matrix};
pub(crate) use self::percentiles::{Sample, percentiles};
pub(crate) use self::shapes::{place, text};
pub(crate) use self::timeline::timeline;

use super::markup::{Element, units};

/// The width that charts are drawn for.
pub(crate) const WIDTH: f64 = 400.0;

/// The width that a timeline is drawn for.
pub(crate) const TIMELINE_WIDTH: f64 = 660.0;

/// A picture with its title.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chart {
    /// What it shows, with the unit.
    pub(crate) title: String,
    /// What else one has to know to read it.
    pub(crate) note: String,
    /// What is drawn.
    pub(crate) drawing: Drawing,
}

/// Shapes between (0, 0) and (`width`, `height`).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Drawing {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) shapes: Vec<Element>,
}

/// What a shape stands for, from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tone {
    /// As it should be.
    Plain,
    /// Not as asked, but no harm done.
    Detour,
    /// A second thing of equal standing, or somebody was refused.
    Second,
    /// Somebody has not got what was asked for.
    Bad,
}

impl Tone {
    /// The class in the style sheets.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Detour => "detour",
            Self::Bad => "bad",
            Self::Second => "second",
        }
    }
}

impl Chart {
    pub(crate) fn new(title: &str, note: &str, drawing: Drawing) -> Self {
        Self { title: title.to_owned(), note: note.to_owned(), drawing }
    }

    /// The chart as a figure of the page.
    pub(crate) fn figure(&self) -> Element {
        let mut caption = Element::new("figcaption").holds(Element::new("h3").text(&self.title));
        if !self.note.is_empty() {
            caption = caption.holds(Element::new("p").text(&self.note));
        }
        Element::of("figure", "card").holds(caption).holds(self.drawing.svg(&self.title))
    }
}

impl Drawing {
    /// In place of a drawing of nothing.
    pub(crate) fn none(text_instead: &str) -> Self {
        let shapes = vec![text("faint", (0.0, 16.0), text_instead)];
        Self { width: WIDTH, height: 24.0, shapes }
    }

    /// An `svg` element of its own, for people who see it and for those who do not.
    pub(crate) fn svg(&self, label: &str) -> Element {
        let (width, height) = (units(self.width), units(self.height));
        Element::of("svg", "chart")
            .with("viewBox", format!("0 0 {width} {height}"))
            .with("role", "group")
            .with("aria-label", label)
            .holds_all(self.shapes.iter().cloned())
    }
}
