//! The overview as one picture: an SVG file of its own, to be shown where no page can be.

use super::chart::{Chart, TIMELINE_WIDTH, WIDTH, place, text, timeline};
use super::markup::{Element, units};
use super::run::Run;
use super::waterfall::Waterfall;
use super::{CHART_CSS, overview, summary};

const MARGIN: f64 = 20.0;
const PADDING: f64 = 14.0;
const GAP: f64 = 14.0;
const CARD: f64 = WIDTH + 2.0 * PADDING;
const INNER: f64 = 2.0 * CARD + GAP;
const KEYS: f64 = 52.0;

/// The whole picture.
pub(crate) fn picture(run: &Run) -> String {
    let mut shapes = vec![
        text("heading", (0.0, 20.0), "Supervisor router: a run in the sandbox"),
        text("faint", (0.0, 40.0), &summary::verdict(run)),
    ];
    let mut y = 54.0;
    shapes.push(place((0.0, y), keys(run)));
    y += KEYS + GAP;
    for pair in overview::pairs(run) {
        let height = pair.iter().map(height_of).fold(0.0, f64::max);
        for (column, chart) in pair.iter().enumerate() {
            let x = (CARD + GAP) * column as f64;
            shapes.push(place((x, y), card(chart, (CARD, height))));
        }
        y += height + GAP;
    }
    if let Some(trace) = longest_trace(run) {
        let height = height_of(&trace);
        shapes.push(place((0.0, y), card(&trace, (INNER, height))));
        y += height + GAP;
    }
    let (width, height) = (units(INNER + 2.0 * MARGIN), units(y - GAP + 2.0 * MARGIN));
    let page = Element::of("rect", "page").with("width", &width).with("height", &height);
    let svg = Element::new("svg")
        .with("xmlns", "http://www.w3.org/2000/svg")
        .with("width", &width)
        .with("height", &height)
        .with("viewBox", format!("0 0 {width} {height}"))
        .with("role", "img")
        .holds(Element::new("title").text("A run of the supervisor router in its sandbox"))
        .holds(Element::new("desc").text(summary::setting_line(run)))
        .holds(Element::style(&[CHART_CSS]))
        .holds(page)
        .holds(place((MARGIN, MARGIN), shapes));
    format!("{svg}\n")
}

/// The numbers to look at first, spread over the whole width.
fn keys(run: &Run) -> Vec<Element> {
    let keys = summary::keys(run);
    let widths: Vec<f64> = keys.iter().map(key_width).collect();
    let free = INNER - widths.iter().sum::<f64>();
    let gap = free / (keys.len().max(2) - 1) as f64;
    let mut x = 0.0;
    let key = |(key, width): (summary::Key, f64)| {
        let shapes = [text("key", (0.0, 24.0), &key.number), text("faint", (0.0, 42.0), key.name)];
        let placed = place((x, 0.0), shapes);
        x += width + gap;
        placed
    };
    keys.into_iter().zip(widths).map(key).collect()
}

fn key_width(key: &summary::Key) -> f64 {
    let length = |text: &str| text.chars().count() as f64;
    (length(&key.number) * 13.4).max(length(key.name) * 6.8)
}

fn card(chart: &Chart, (width, height): (f64, f64)) -> Vec<Element> {
    let frame = Element::of("rect", "frame")
        .with("width", units(width))
        .with("height", units(height))
        .with("rx", "6");
    let drawing = place((PADDING, 40.0), chart.drawing.shapes.iter().cloned());
    vec![frame, text("title", (PADDING, 24.0), &chart.title), drawing]
}

fn height_of(chart: &Chart) -> f64 {
    40.0 + chart.drawing.height + PADDING
}

/// The trace with the most spans.
fn longest_trace(run: &Run) -> Option<Chart> {
    let request = run.requests.iter().max_by_key(|request| request.spans.len())?;
    let waterfall = Waterfall::of(&request.spans)?;
    let title = format!("Trace of {}: {}", request.name, request.ending());
    let mut drawing = timeline(&waterfall);
    // It is drawn for the page; here it stands in the middle of a row of its own.
    let aside = (INNER - 2.0 * PADDING - TIMELINE_WIDTH) / 2.0;
    drawing.shapes = vec![place((aside, 0.0), drawing.shapes)];
    Some(Chart::new(&title, "", drawing))
}
