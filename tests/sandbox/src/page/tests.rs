use std::collections::BTreeSet;
use std::path::PathBuf;

use roxmltree::{Document, Node, ParsingOptions};
use serde_json::{Value, json};
use stand_ins::events::{self, Mismatch};
use stand_ins::metrics::Batch;
use stand_ins::{Options, Sandbox, clock};

use super::figures::tests::{batch, datum};
use super::request::tests::{case, played};
use super::run::{FaultSum, Unanswered};
use super::waterfall::tests::span;
use super::*;
use stand_ins::last_run::SHIPPED_POLICY;

const HOSTILE: &str = "</style></svg><script>alert(1)</script>\"onload='x'&lt;\u{0}\u{1b}[1m";

fn parsed(markup: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    Document::parse_with_options(markup, options)
        .unwrap_or_else(|error| panic!("{error}: {markup}"))
}

/// All texts of the elements with this class.
fn texts(document: &Document<'_>, class: &str) -> Vec<String> {
    let has = |node: &Node<'_, '_>| node.attribute("class") == Some(class);
    let text = |node: Node<'_, '_>| {
        node.descendants().filter_map(|node| node.text().filter(|_| node.is_text())).collect()
    };
    document.descendants().filter(has).map(text).collect()
}

/// The texts of a chart's drawing, by the chart's title.
fn chart(document: &Document<'_>, title: &str) -> Vec<String> {
    let svg = document
        .descendants()
        .find(|node| node.has_tag_name("svg") && node.attribute("aria-label") == Some(title))
        .unwrap_or_else(|| panic!("no chart {title}"));
    let texts = svg.descendants().filter(|node| node.has_tag_name("text"));
    texts.filter_map(|node| node.text().map(str::to_owned)).collect()
}

fn invocation(specialist: &str, millis: f64, tokens: f64, usd: f64) -> Batch {
    let by = format!("Specialist={specialist}");
    let values = [
        ("SpecialistInvocations", 1.0),
        ("SpecialistErrors", 0.0),
        ("SpecialistLatency", millis),
        ("InputTokens", tokens),
        ("OutputTokens", 1.0),
        ("Cost", usd),
    ];
    let mut data: Vec<_> = values
        .iter()
        .flat_map(|(name, value)| [datum(name, &by, &[*value]), datum(name, "", &[*value])])
        .collect();
    data.push(datum("RouterOverhead", "", &[3.0]));
    data.push(datum("BudgetUtilization", "", &[85.0]));
    batch(data)
}

fn run_of(requests: Vec<(&str, Value, Vec<Batch>)>) -> Run {
    let mut all = Vec::new();
    let requests = requests.into_iter().map(|(name, body, batches)| {
        all.extend(batches.clone());
        let (case, played) = (case(name), played(&body, batches));
        Request::new(&case, &case, &played, &[], Vec::new())
    });
    let requests = requests.collect();
    Run::new(Setting::default(), requests, all, SHIPPED_POLICY, (&[], 0)).unwrap()
}

fn usual() -> Run {
    let body = |asked: &str, used: &str, status: &str| json!({ "asked": asked, "specialist": used, "status": status });
    run_of(vec![
        (
            "one",
            body("billing", "billing", "answered"),
            vec![invocation("billing", 40.0, 1_000.0, 0.25)],
        ),
        (
            "two",
            body("orders", "general", "fell_back"),
            vec![invocation("general", 7.0, 200.0, 0.5)],
        ),
        (
            "three",
            body("billing", "billing", "answered"),
            vec![invocation("billing", 60.0, 30.0, 0.125)],
        ),
        ("four", body("astrology", "general", "failed"), Vec::new()),
    ])
}

fn hostile() -> Run {
    let mut run = run_of(vec![(
        HOSTILE,
        json!({ "asked": HOSTILE, "specialist": HOSTILE, "status": HOSTILE, "reason": HOSTILE }),
        vec![invocation(HOSTILE, 1.0, 1.0, 1.0)],
    )]);
    let mismatch = Mismatch {
        path: "body.status".to_owned(),
        expected: HOSTILE.to_owned(),
        found: HOSTILE.to_owned(),
    };
    let (case, played) = (case(HOSTILE), played(&json!({ "status": HOSTILE }), Vec::new()));
    let mut of_trace = span(HOSTILE, None, 0, 5);
    of_trace.trace_id = HOSTILE.to_owned();
    of_trace.attributes = vec![(HOSTILE.to_owned(), HOSTILE.to_owned())];
    of_trace.failure = Some(HOSTILE.to_owned());
    run.requests.push(Request::new(&case, &case, &played, &[mismatch], vec![of_trace]));
    run.setting.policy = Some(PathBuf::from(HOSTILE));
    run.incidents = vec![Unanswered {
        specialist: HOSTILE.to_owned(),
        reason: HOSTILE.to_owned(),
        was_answered: false,
    }];
    run.faults = vec![FaultSum {
        specialist: HOSTILE.to_owned(),
        fault: HOSTILE.to_owned(),
        attempts: 2,
        struck: 1,
    }];
    run
}

#[test]
fn whatever_comes_from_outside_is_text() {
    let run = hostile();
    for markup in [html::page(&run), picture::picture(&run)] {
        let document = parsed(&markup);
        for node in document.descendants() {
            assert!(!node.has_tag_name("script"), "{markup}");
            let names = node.attributes().map(|attribute| attribute.name());
            assert!(names.into_iter().all(|name| !name.starts_with("on")), "{markup}");
        }
        assert!(markup.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{markup}");
    }
}

#[test]
fn the_files_refer_to_nothing_outside_themselves() {
    let run = hostile();
    for markup in [html::page(&run), picture::picture(&run)] {
        let markup = markup.replace("http://www.w3.org/2000/svg", "");
        for reference in ["http", "url(", "@import", "src=", "<link", "<script", "xlink"] {
            assert!(!markup.contains(reference), "{reference} in {markup}");
        }
    }
}

#[test]
fn every_link_leads_to_a_place_in_the_page() {
    let page = html::page(&hostile());
    let document = parsed(&page);
    let ids: BTreeSet<&str> =
        document.descendants().filter_map(|node| node.attribute("id")).collect();
    let links: Vec<&str> =
        document.descendants().filter_map(|node| node.attribute("href")).collect();
    assert_eq!(links, ["#trace-2", "#request-2"]);
    assert!(links.iter().all(|link| ids.contains(&link[1..])), "{ids:?}");
}

#[test]
fn the_numbers_are_those_of_the_metrics_and_add_up() {
    let run = usual();
    let page = html::page(&run);
    let document = parsed(&page);
    let costs = chart(&document, "Cost in US dollars");
    for cost in ["$0.375000", "$0.500000", "$0.000000"] {
        assert!(costs.contains(&cost.to_owned()), "{costs:?}");
    }
    let tokens = chart(&document, "Tokens");
    for text in ["1,030 + 2", "200 + 1", "0 + 0"] {
        assert!(tokens.contains(&text.to_owned()), "{tokens:?}");
    }
    for sum in ["As charged: $0.875000 in all.", "As reported by the agents: 1,233 in all."] {
        assert!(page.contains(sum), "{sum}");
    }
    let latencies = chart(&document, "Latency in milliseconds").join(" ");
    // billing's median, 90th and 99th percentile, then general's.
    assert!(
        latencies.contains("billing 40 60 60 general 7 7 7 orders no invocation"),
        "{latencies}"
    );
    assert!(latencies.contains("router overhead 3 3 3"), "{latencies}");
}

#[test]
fn every_task_is_one_of_the_routes() {
    let page = html::page(&usual());
    let routes = chart(&parsed(&page), "Routes: asked → used");
    let counts: Vec<&str> =
        routes.iter().map(String::as_str).filter(|text| text.parse::<u32>().is_ok()).collect();
    // Cells and sum of each row: billing, general, orders, support, and a name of no specialist.
    assert_eq!(counts, ["2", "2", "0", "1", "1", "0", "1", "1"], "{routes:?}");
    for name in ["unknown name", "failed"] {
        assert!(routes.contains(&name.to_owned()), "{routes:?}");
    }
    assert!(!routes.contains(&"astrology".to_owned()), "{routes:?}");
}

#[test]
fn budgets_near_their_limit_are_marked_with_their_number() {
    let page = html::page(&usual());
    let budgets = chart(&parsed(&page), "Use of the session budgets in percent");
    for text in ["85", "100 %", "warn at 80 %", "degrade at 90 %", "1", "3"] {
        assert!(budgets.contains(&text.to_owned()), "{text} in {budgets:?}");
    }
}

#[test]
fn the_page_says_what_was_run() {
    let mut run = hostile();
    run.setting = Setting {
        ended: 1_795_262_400,
        all_events: true,
        policy: Some(PathBuf::from("strict.toml")),
        agents: None,
        processes: 3,
        timeout: std::time::Duration::from_secs(4),
    };
    run.faults[0] = FaultSum {
        specialist: "orders".to_owned(),
        fault: "hang:0.5".to_owned(),
        attempts: 8,
        struck: 4,
    };
    let page = html::page(&run);
    let said = texts(&parsed(&page), "setting").join("");
    for text in [
        "2 events: all of the repository",
        "strict.toml",
        "the shipped script",
        "orders=hang:0.5",
        "3 processes, timeout 4 s",
        "2026-11-21 12:00:00 UTC",
    ] {
        assert!(said.contains(text), "{text} in {said}");
    }
    assert_eq!(texts(&parsed(&page), "verdict").len(), 1);
    assert!(page.contains("0 of 1 event as expected; 1 event with a valid reply, not"), "{page}");
}

#[test]
fn a_run_of_nothing_or_of_one_event_is_drawn_all_the_same() {
    let one = run_of(vec![("one", json!({ "status": "answered" }), Vec::new())]);
    for run in [run_of(Vec::new()), one, Run::default()] {
        for markup in [html::page(&run), picture::picture(&run)] {
            parsed(&markup);
            for number in ["NaN", "\"inf", ">inf"] {
                assert!(!markup.contains(number), "{number} in {markup}");
            }
        }
        assert!(!html::page(&run).contains("Traces"));
    }
}

#[test]
fn what_users_and_agents_wrote_is_not_shown() {
    let body = json!({
        "asked": "billing", "specialist": "billing", "status": "answered",
        "answer": "secret answer", "message": "secret message",
    });
    let mut run = run_of(vec![("one", body.clone(), Vec::new())]);
    let mut case = case("two");
    case.event = r#"{"function": "f", "inputText": "secret question"}"#.into();
    let mut played = played(&body, Vec::new());
    played.lines = vec!["secret line".to_owned()];
    let mismatch = |path: &str| Mismatch {
        path: path.to_owned(),
        expected: "secret answer".to_owned(),
        found: "secret answer".to_owned(),
    };
    let mismatches = ["body.answer", "body.message", "outcome", "reply"].map(mismatch);
    run.requests.push(Request::new(&case, &case, &played, &mismatches, Vec::new()));
    for markup in [html::page(&run), picture::picture(&run)] {
        assert!(!markup.contains("secret"), "{markup}");
    }
}

#[test]
fn style_sheets_need_no_escaping() {
    for css in [CHART_CSS, include_str!("page.css")] {
        assert!(!css.contains(['<', '&']), "{css}");
        assert_eq!(css.matches('{').count(), css.matches('}').count());
    }
}

/// Texts of the elements of a class, but for the trace's, which has a request's name in it.
fn titles(markup: &str) -> Vec<String> {
    let mut titles = texts(&parsed(markup), "title");
    titles.retain(|title| !title.starts_with("Trace of"));
    titles
}

#[tokio::test]
async fn the_picture_in_the_documentation_is_one_that_a_run_still_makes() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let mut requests = Vec::new();
    for name in ["billing", "throttled-in-stream", "identity-not-verified"] {
        let case = events::load(&events::folder().join(name).with_extension("json")).unwrap();
        let played = events::play(&sandbox, &case).await.unwrap();
        let mismatches = events::check(&case, &played);
        requests.push(Request::new(&case, &case, &played, &mismatches, Vec::new()));
    }
    let (items, batches) = (sandbox.table().scan().await.unwrap(), sandbox.metrics().batches());
    sandbox.stop().await;
    let at_end = (&items[..], clock::now_ms());
    let run = Run::new(Setting::default(), requests, batches, SHIPPED_POLICY, at_end).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let [page, picture] = ["run.html", "run.svg"].map(|name| {
        let path = folder.path().join(name);
        ReportFile::parse(path.to_str().unwrap()).unwrap().write(&run).unwrap();
        std::fs::read_to_string(path).unwrap()
    });
    assert!(page.contains("3 of 3 events as expected"), "{page}");
    assert_eq!(texts(&parsed(&page), "requests").len(), 1);

    let kept = events::folder().with_file_name("docs").join("report.svg");
    let kept = std::fs::read_to_string(kept).unwrap();
    assert_eq!(titles(&kept), titles(&picture), "make docs/report.svg anew with --report");
    assert!(kept.contains(CHART_CSS), "make docs/report.svg anew with --report");
}
