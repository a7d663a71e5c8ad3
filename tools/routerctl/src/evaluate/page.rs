//! A report as a page: one file, without scripts and without anything from elsewhere.

use std::fmt::Write;

use routing_gate::cases::Case;
use routing_gate::report::Report;

use super::text::{chosen, facts, percent, text_of};

const STYLE: &str = "\
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid #8884; }
th:first-child, td.text { text-align: left; }
td.right { background: #2a93; } td.miss { background: #d223; }
.passed { color: #2a9d4a; } .failed, .inconclusive { color: #d22; }";

/// The page, with the texts of misses where `cases` are given.
pub(super) fn of(report: &Report, cases: Option<&[Case]>) -> String {
    let word = report.word();
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Routing: {word}</title>\n\
         <style>\n{STYLE}\n</style>\n<h1 class=\"{word}\">Routing: {word}</h1>\n"
    );
    let score = &report.score;
    // Writing to a string cannot fail.
    let _ = writeln!(
        page,
        "<p>{} of {} requests went where they belong.</p>",
        score.right, score.requests
    );
    let reasons = report.reasons();
    if !reasons.is_empty() {
        let items = reasons.iter().map(|reason| format!("<li>{}</li>\n", escaped(reason)));
        let _ = writeln!(page, "<ul>\n{}</ul>", items.collect::<String>());
    }
    let rows = facts(report).into_iter();
    let rows = rows.map(|(name, value)| format!("<tr><th>{name}</th><td>{value}</td></tr>\n"));
    let _ = writeln!(page, "<table>\n{}</table>", rows.collect::<String>());
    page += "<h2>Who was chosen for whom</h2>\n";
    page += &matrix(report);
    page += "<h2>Misses, by the line of the file</h2>\n";
    let misses: String = report
        .misses()
        .map(|miss| {
            format!(
                "<tr><th>{}</th><td>{}</td><td>{}</td><td class=\"text\">{}</td></tr>\n",
                miss.case,
                escaped(&miss.expected),
                escaped(chosen(miss)),
                escaped(&text_of(miss, cases)),
            )
        })
        .collect();
    let heads = "<tr><th>line</th><th>belongs to</th><th>went to</th><th></th></tr>";
    page += &if misses.is_empty() {
        "<p>None.</p>\n".to_owned()
    } else {
        format!("<table>\n{heads}\n{misses}</table>\n")
    };
    page
}

/// A row for each class, a column for each specialist that was chosen, and one for nobody.
fn matrix(report: &Report) -> String {
    let classes: Vec<_> = report.score.classes().collect();
    let mut columns: Vec<Option<&str>> =
        classes.iter().map(|class| Some(class.specialist)).collect();
    for class in &classes {
        columns.extend(report.row(class.specialist).into_iter().map(|(name, _)| name));
    }
    columns.sort_by_key(|name| (name.is_none(), *name));
    columns.dedup();
    let heads =
        columns.iter().map(|name| format!("<th>{}</th>", escaped(name.unwrap_or("nobody"))));
    let mut text = format!(
        "<table>\n<tr><th>belongs to</th>{}<th>right</th></tr>\n",
        heads.collect::<String>()
    );
    for class in &classes {
        let row = report.row(class.specialist);
        let cell = |name: &Option<&str>| {
            let found = row.iter().find(|(chosen, _)| chosen == name).map(|(_, count)| *count);
            let kind = if *name == Some(class.specialist) { "right" } else { "miss" };
            match found {
                Some(count) => format!("<td class=\"{kind}\">{count}</td>"),
                None => "<td></td>".to_owned(),
            }
        };
        let _ = writeln!(
            text,
            "<tr><th>{}</th>{}<td>{}</td></tr>",
            escaped(class.specialist),
            columns.iter().map(cell).collect::<String>(),
            percent(class.recall()),
        );
    }
    text + "</table>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use router_core::units::{MicroUsd, Tokens};
    use routing_gate::run::Ran;
    use routing_gate::score::{Chosen, Outcome, Thresholds};

    use super::*;

    #[test]
    fn a_page_shows_the_matrix_and_the_misses_and_lets_no_text_be_markup() {
        let outcome = |case, chosen| Outcome {
            case,
            expected: "orders".to_owned(),
            chosen,
            latency_ms: 500,
            tokens: Tokens(1),
            cost: MicroUsd(1),
        };
        let to = |name: &str| Chosen::Specialist(name.to_owned());
        let outcomes =
            vec![outcome(1, to("orders")), outcome(2, to("billing")), outcome(3, Chosen::Nobody)];
        let ran = Ran { asked: 3, outcomes, ..Ran::default() };
        let report = Report::of(ran, Thresholds::default());
        let case = Case {
            line: 2,
            text: "<script>alert(1)</script> & more".to_owned(),
            specialist: "orders".to_owned(),
            intent: None,
            kind: None,
            language: None,
        };
        let page = of(&report, Some(&[case]));
        let row = "<tr><th>orders</th><td class=\"miss\">1</td><td class=\"right\">1</td>\
                   <td class=\"miss\">1</td><td>33.33 %</td></tr>";
        assert!(page.contains(row), "{page}");
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
        assert!(page.contains("<h1 class=\"failed\">Routing: failed</h1>"), "{page}");
        assert!(!of(&report, None).contains("alert"));
    }
}
