//! The page.

use super::markup::Element;
use super::run::Run;
use super::{CHART_CSS, overview, requests, summary};

const PAGE_CSS: &str = include_str!("page.css");

/// The whole page, a file that needs no other.
pub(crate) fn page(run: &Run) -> String {
    let keys = summary::keys(run).into_iter().map(|key| {
        Element::new("div")
            .holds(Element::new("dd").text(key.number))
            .holds(Element::new("dt").text(key.name))
    });
    let setting = summary::setting(run).into_iter().map(|(name, what)| {
        Element::new("div")
            .holds(Element::new("dt").text(name))
            .holds(Element::new("dd").text(what))
    });
    let header = Element::new("header")
        .holds(Element::new("h1").text("Supervisor router: a run in the sandbox"))
        .holds(Element::of("p", "verdict").text(summary::verdict(run)))
        .holds(Element::of("dl", "setting").holds_all(setting))
        .holds(Element::of("dl", "keys").holds_all(keys));
    let charts = overview::charts(run);
    let charts = charts.iter().map(super::chart::Chart::figure);
    let mut main = Element::new("main")
        .holds(section("Overview", Element::of("div", "charts").holds_all(charts)));
    if !run.faults.is_empty() {
        main = main.holds(section("Faults injected", faults(run)));
    }
    main = main.holds(section("Requests", requests::table(&run.requests)));
    if let Some(traces) = requests::traces(&run.requests) {
        main = main.holds(section("Traces", traces));
    }
    let head = Element::new("head")
        .holds(Element::new("meta").with("charset", "utf-8"))
        .holds(
            Element::new("meta")
                .with("name", "viewport")
                .with("content", "width=device-width, initial-scale=1"),
        )
        .holds(Element::new("meta").with("name", "color-scheme").with("content", "light dark"))
        .holds(Element::new("title").text("Supervisor router: a run in the sandbox"))
        .holds(Element::style(&[PAGE_CSS, CHART_CSS]));
    let html = Element::new("html")
        .with("lang", "en")
        .holds(head)
        .holds(Element::new("body").holds(header).holds(main));
    format!("<!DOCTYPE html>\n{html}\n")
}

fn section(title: &str, content: Element) -> Element {
    Element::new("section").holds(Element::new("h2").text(title)).holds(content)
}

fn faults(run: &Run) -> Element {
    let heads = ["specialist", "fault:rate", "attempts", "struck"];
    let heads = heads.map(|name| Element::new("th").with("scope", "col").text(name));
    let rows = run.faults.iter().map(|fault| {
        let texts = [
            fault.specialist.clone(),
            fault.fault.clone(),
            fault.attempts.to_string(),
            fault.struck.to_string(),
        ];
        Element::new("tr").holds_all(texts.map(|text| Element::new("td").text(text)))
    });
    let table = Element::new("table")
        .holds(Element::new("thead").holds(Element::new("tr").holds_all(heads)))
        .holds(Element::new("tbody").holds_all(rows));
    Element::of("div", "scroll").holds(table)
}
