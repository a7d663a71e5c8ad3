//! The requests of a run as a table, and their traces below it.

use super::chart::{TIMELINE_WIDTH, timeline};
use super::markup::Element;
use super::request::{Request, Verdict};
use super::waterfall::Waterfall;
use crate::paint::{counted, grouped, usd};

/// The names of the columns, with the class of their cells.
const COLUMNS: [(&str, &str); 11] = [
    ("#", "number"),
    ("event", "event"),
    ("as expected", ""),
    ("route", "route"),
    ("status", ""),
    ("attempts", "number"),
    ("tokens", "number"),
    ("cost", "number"),
    ("budget used", "number"),
    ("left in the session", "left"),
    ("time", "number"),
];

/// All requests, a row each.
pub(crate) fn table(requests: &[Request]) -> Element {
    let heads =
        COLUMNS.map(|(name, class)| Element::of("th", class).with("scope", "col").text(name));
    let head = Element::new("thead").holds(Element::new("tr").holds_all(heads));
    let rows = requests.iter().enumerate().map(|(place, request)| row(place + 1, request));
    let table = Element::of("table", "requests").holds(head);
    Element::of("div", "scroll").holds(table.holds(Element::new("tbody").holds_all(rows)))
}

/// The traces of those requests that have one; `None` where none has.
pub(crate) fn traces(requests: &[Request]) -> Option<Element> {
    let mut figures = requests
        .iter()
        .enumerate()
        .filter_map(|(place, request)| trace(place + 1, request))
        .peekable();
    figures.peek()?;
    Some(Element::of("div", "traces").holds_all(figures))
}

fn row(number: usize, request: &Request) -> Element {
    let charged = request.charged;
    let touched = charged.touched || request.left.is_some() || request.reported > 0;
    let of_budget = |text: String| if touched { text } else { "-".to_owned() };
    let mut left = request.left.clone().unwrap_or_else(|| "not looked at".to_owned());
    if charged.holds_left > 0 {
        left.push_str(&format!("; {} left behind", counted(charged.holds_left, "hold")));
    }
    let used = request.used_percent.map_or("-".to_owned(), |percent| format!("{percent:.1} %"));
    let texts = [
        number.to_string(),
        String::new(),
        String::new(),
        request.route.clone(),
        String::new(),
        request.attempts.to_string(),
        of_budget(grouped(charged.tokens)),
        of_budget(usd(charged.micro_usd)),
        used,
        left,
        format!("{} ms", grouped(request.millis.round() as u64)),
    ];
    let cells = COLUMNS.into_iter().zip(texts).map(|((name, class), text)| {
        let cell = Element::of("td", class).with("data-name", name);
        match name {
            "event" => event(cell, number, request),
            "as expected" => verdict(cell, &request.verdict),
            "status" => {
                let badge = format!("badge {}", request.tone.class());
                let reason = request.reason.iter().map(|why| Element::of("div", "more").text(why));
                cell.holds(Element::of("span", &badge).text(&request.status)).holds_all(reason)
            }
            "tokens" if touched && request.reported != charged.tokens => {
                let reported = format!("{} reported", grouped(request.reported));
                cell.text(text).holds(Element::of("div", "more").text(reported))
            }
            _ => cell.text(text),
        }
    });
    Element::new("tr").with("id", format!("request-{number}")).holds_all(cells)
}

fn event(cell: Element, number: usize, request: &Request) -> Element {
    let name = match request.spans.is_empty() {
        true => Element::new("strong").text(&request.name),
        false => Element::new("a").with("href", format!("#trace-{number}")).text(&request.name),
    };
    let about = request.about.iter().map(|about| Element::of("div", "more").text(about));
    let cell = cell.holds(name).holds_all(about);
    match &request.verdict {
        Verdict::Expected | Verdict::RulesKept => cell,
        Verdict::Unexpected(found) => {
            let found = found.iter().map(|text| Element::new("li").text(text));
            cell.holds(Element::of("ul", "bad-text").holds_all(found))
        }
    }
}

fn verdict(cell: Element, verdict: &Verdict) -> Element {
    match verdict {
        Verdict::Expected => cell.text("✓ yes"),
        Verdict::RulesKept => cell.text("– rules kept"),
        Verdict::Unexpected(_) => cell.holds(Element::of("strong", "bad-text").text("✗ no")),
    }
}

fn trace(number: usize, request: &Request) -> Option<Element> {
    let waterfall = Waterfall::of(&request.spans)?;
    let title = format!("{number} {}: {}, {}", request.name, request.route, request.ending());
    let traces = match &waterfall.trace_ids[..] {
        [one] => format!("Trace {one}"),
        several => format!("Traces {}", several.join(", ")),
    };
    let back = Element::new("a").with("href", format!("#request-{number}")).text("the request");
    let caption = Element::new("figcaption")
        .holds(Element::new("h3").text(&title))
        .holds(Element::new("p").text(format!("{traces}, of ")).holds(back));
    let drawing = timeline(&waterfall).svg(&title).with("style", min_width());
    let scrolled = Element::of("div", "scroll").holds(drawing);
    let figure = Element::of("figure", "card trace").with("id", format!("trace-{number}"));
    Some(figure.holds(caption).holds(scrolled))
}

/// Below this the texts of a timeline are too small to be read; narrower screens scroll.
fn min_width() -> String {
    format!("min-width: {:.0}px", TIMELINE_WIDTH * 0.85)
}
