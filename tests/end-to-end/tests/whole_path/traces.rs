//! What a receiver of traces gets, and what it must never get.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use router_core::ids::RootSession;
use router_core::trace::TraceId;
use stand_ins::Options;
use stand_ins::agents::AgentKind;
use stand_ins::clock::now;
use stand_ins::events::Form;
use stand_ins::metrics::Health;
use stand_ins::traces::{Export, Span, Traces};

use crate::support::{Ask, Cast, Limits, World, agents_with};

/// A sandbox whose function sends its traces to a receiver, with further settings.
async fn traced(options: Options, settings: &[(&str, &str)]) -> (World, Traces) {
    let traces = Traces::start().await.unwrap();
    let url = traces.url();
    let endpoint = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*url), ("OTEL_SERVICE_NAME", "shop")];
    let env: BTreeMap<String, String> = endpoint
        .iter()
        .chain(settings)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    (World::start(Options { env, ..options }).await, traces)
}

/// Orders is throttled once and gives up then; general answers.
fn troubled() -> Options {
    let once = "times = 1\nfault = 'in-stream:throttlingException'\n\
                usage = [{ input = 300, output = 20 }, { input = 10, output = 2 }]";
    let agents = agents_with([
        ("[trouble]", once),
        ("[trouble]", "fault = 'soft-failure'\nusage = [{ input = 400, output = 20 }]"),
        ("[secret]", "answer = 'SECRET-ANSWER'\nusage = [{ input = 500, output = 100 }]"),
        ("[broken]", "fault = 'bad-checksum'\nanswer = 'SECRET-ANSWER, broken'"),
        ("[lost]", "answer = '{\"out_of_scope\": true, \"suggest\": \"SECRET-ANSWER\"}'"),
    ]);
    Options { agents: Some(agents), ..World::options(Limits::NONE) }
}

/// The spans as an indented list in the order in which they began, with why they failed.
fn tree(spans: &[Span]) -> String {
    fn add(spans: &[Span], parent: &str, depth: usize, lines: &mut Vec<String>) {
        for span in spans.iter().filter(|span| span.parent == parent) {
            let failure = span.attributes.get("error.type").map(|why| format!(" !{why}"));
            assert_eq!(span.failed, failure.is_some(), "{span:?}");
            let failure = failure.unwrap_or_default();
            lines.push(format!("{}{}{failure}", "  ".repeat(depth), span.name));
            add(spans, &span.id, depth + 1, lines);
        }
    }
    let mut lines = Vec::new();
    add(spans, "", 0, &mut lines);
    assert_eq!(lines.len(), spans.len(), "each span has a parent that was sent, or none");
    lines.join("\n")
}

fn root(export: &Export) -> &Span {
    export.spans.iter().find(|span| span.parent.is_empty()).unwrap()
}

#[tokio::test]
async fn two_attempts_and_a_fallback_are_a_tree_with_the_right_parents() {
    let (world, traces) = traced(troubled(), &[]).await;
    let ask = Ask::orders("Where is it? [trouble]");
    let told = world.ask(&ask).await;
    assert_eq!(told.called(), ["orders", "orders", "general"]);
    let export = traces.exports(1).await.remove(0);
    assert_eq!(
        tree(&export.spans),
        "request\n\
        \x20 decision\n\
        \x20 invocation orders !agent_error\n\
        \x20   reserve\n\
        \x20   invoke_agent orders !throttled\n\
        \x20     chat amazon.nova-lite-v1:0\n\
        \x20     chat amazon.nova-lite-v1:0\n\
        \x20   settle\n\
        \x20   reserve\n\
        \x20   invoke_agent orders !agent_error\n\
        \x20     chat amazon.nova-lite-v1:0\n\
        \x20 settle\n\
        \x20 invocation general\n\
        \x20   reserve\n\
        \x20   invoke_agent general\n\
        \x20     chat amazon.nova-lite-v1:0\n\
        \x20 settle\n\
        \x20 metrics"
    );
    for span in &export.spans {
        let parent = export.spans.iter().find(|other| other.id == span.parent);
        let (from, to) = parent.map_or((0, u64::MAX), |parent| (parent.start, parent.end));
        assert!(from <= span.start && span.start <= span.end && span.end <= to, "{span:?}");
    }
    assert_eq!(export.schema_url, "https://opentelemetry.io/schemas/1.41.0");
    let resource = |key: &str| export.resource[key].as_str();
    assert_eq!(resource("service.name"), "shop");
    assert_eq!(resource("faas.name"), "supervisor-router");
}

#[tokio::test]
async fn spans_say_who_was_asked_what_came_of_it_and_what_it_cost() {
    let (world, traces) = traced(troubled(), &[]).await;
    let ask = Ask::orders("Where is it? [trouble]");
    let told = world.ask(&ask).await;
    let export = traces.exports(1).await.remove(0);
    let request = root(&export);
    let said = |span: &Span, key: &str| span.attributes.get(key).cloned().unwrap_or_default();
    for (key, value) in [
        ("router.specialist.asked", "orders"),
        ("router.specialist.used", "general"),
        ("router.status", "fell_back"),
        ("router.reason", told.outcome().1.unwrap()),
        ("router.attempts", "3"),
        ("router.input_tokens", "910"),
        ("router.output_tokens", "92"),
        ("faas.coldstart", "true"),
    ] {
        assert_eq!(said(request, key), value, "{key}");
    }
    let account = world.account(&ask).await.unwrap();
    assert_eq!(said(request, "router.cost_micro_usd"), account.micro_usd.to_string());
    let agents: Vec<[String; 6]> = export
        .spans
        .iter()
        .filter(|span| span.name.starts_with("invoke_agent"))
        .map(|span| {
            [
                "gen_ai.operation.name",
                "gen_ai.agent.name",
                "gen_ai.agent.id",
                "gen_ai.usage.input_tokens",
                "gen_ai.usage.output_tokens",
                "router.attempt",
            ]
            .map(|key| said(span, key))
        })
        .collect();
    assert_eq!(
        agents,
        [
            ["invoke_agent", "orders", "ORDERS0001", "310", "22", "1"],
            ["invoke_agent", "orders", "ORDERS0001", "400", "20", "2"],
            ["invoke_agent", "general", "GENERAL001", "200", "50", "1"],
        ]
    );
    let chats = export.spans.iter().filter(|span| span.name.starts_with("chat"));
    let tokens: Vec<String> = chats.map(|span| said(span, "gen_ai.usage.input_tokens")).collect();
    assert_eq!(tokens, ["300", "10", "400", "200"]);
}

#[tokio::test]
async fn all_requests_of_a_session_are_one_trace_each_linked_to_its_own_of_lambdas() {
    let (world, traces) = traced(troubled(), &[]).await;
    let first = Ask::orders("Where is it?");
    let asks = [first.clone(), first.clone().argument("request", "And now?"), Ask::orders("?")];
    let mut linked = Vec::new();
    for ask in &asks {
        let told = world.ask(ask).await;
        let line: serde_json::Value = serde_json::from_str(told.lines.last().unwrap()).unwrap();
        let root = line["xray_trace_id"].as_str().unwrap().trim_start_matches("1-");
        linked.push(root.replace('-', ""));
    }
    let exports = traces.exports(3).await;
    let mut ids = BTreeSet::new();
    for ((export, ask), linked) in exports.iter().zip(&asks).zip(linked) {
        let session = RootSession::parse("sessionId", ask.session_id()).unwrap();
        for span in &export.spans {
            assert_eq!(span.trace_id, TraceId::of(Some(&session), "").to_string());
            assert!(ids.insert(span.id.clone()), "two spans share an id");
        }
        let links: Vec<&str> = root(export).links.iter().map(|(trace, _)| &**trace).collect();
        assert_eq!(links, [linked]);
    }
    assert_eq!(exports[0].spans[0].trace_id, exports[1].spans[0].trace_id);
    assert_ne!(exports[0].spans[0].trace_id, exports[2].spans[0].trace_id);
}

#[tokio::test]
async fn nothing_that_users_models_or_applications_wrote_is_in_a_trace() {
    let (world, traces) = traced(troubled(), &[]).await;
    let mut asked = 0;
    for trouble in ["[trouble]", "[secret]", "[broken]", "[lost]", "plain"] {
        for form in [Form::Function, Form::OpenApi, Form::Gateway] {
            let mut asks = Ask::all_with_secrets(trouble, form);
            asks.push(asks[0].clone().attribute("root_session_id", "SECRET-ROOT"));
            for ask in asks {
                // The log and the table name sessions and tenants; a trace does not.
                let session = format!("SECRET-SESSION-{asked}");
                let ask = ask.session(session).attribute("tenant_id", "SECRET-TENANT");
                world.ask(&ask).await;
                asked += 1;
            }
        }
    }
    let exports = traces.exports(asked).await;
    assert_eq!(exports.len(), 5 * 3 * 7);
    for export in exports {
        let text = String::from_utf8_lossy(&export.bytes).to_uppercase();
        let found = text.find("SECRET").map(|at| &text[at.saturating_sub(100)..at + 20]);
        assert_eq!(found, None, "{:?}", export.spans);
        assert!(!format!("{:?}", export.headers).to_uppercase().contains("SECRET"));
    }
}

#[tokio::test]
async fn a_receiver_that_fails_never_touches_a_request() {
    let (world, traces) = traced(troubled(), &[]).await;
    traces.set_health(Health::Failing);
    for _ in 0..3 {
        let told = world.ask(&Ask::orders("Where is it?")).await;
        assert_eq!(told.outcome(), ("answered", None));
    }
    // The next event is asked for when the export has ended, so the first two have.
    let lost: Vec<String> =
        world.logs().into_iter().filter(|line| line.contains("a trace is lost")).collect();
    assert!(lost.len() >= 2, "{lost:?}");
    for line in &lost {
        assert!(line.contains("HTTP 503") && line.contains("\"function_request_id\":"), "{line}");
    }
    traces.set_health(Health::Good);
    world.is_still_alive().await;
    assert!(!traces.exports(1).await.is_empty(), "it is sent to again");
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_no_reply_up_and_is_left_alone_for_a_while() {
    let timeout = Duration::from_millis(2_500);
    let millis = timeout.as_millis().to_string();
    let (world, traces) = traced(troubled(), &[("OTEL_EXPORTER_OTLP_TIMEOUT", &millis)]).await;
    traces.set_health(Health::Hanging);
    let asked = now();
    let told = world.ask(&Ask::orders("Where is it?")).await;
    assert_eq!(told.outcome(), ("answered", None));
    assert!(now().duration_since(asked).unwrap() < timeout, "the reply waited for the export");
    for _ in 0..3 {
        let told = world.ask(&Ask::orders("Where is it?")).await;
        assert_eq!(told.outcome(), ("answered", None));
    }
    assert!(now().duration_since(asked).unwrap() >= timeout, "the export had its time");
    assert_eq!(traces.requests(), 1, "only the first was tried");
}

#[tokio::test]
async fn exports_are_compressed_and_have_headers_where_that_is_set() {
    let settings = [
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Api-Key=a%20b"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
    ];
    let (world, traces) = traced(troubled(), &settings).await;
    world.ask(&Ask::orders("Where is it?")).await;
    let export = traces.exports(1).await.remove(0);
    assert_eq!(export.headers["api-key"], "a b");
    assert_eq!(export.headers["content-encoding"], "gzip");
    assert_eq!(root(&export).name, "request");
}

#[tokio::test]
async fn nothing_is_sent_where_the_sdk_is_disabled_or_no_session_is_sampled() {
    for off in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
    ] {
        let (world, traces) = traced(troubled(), &[off]).await;
        world.ask(&Ask::orders("Where is it?")).await;
        world.is_still_alive().await;
        assert_eq!(traces.requests(), 0, "{off:?}");
    }
}

#[tokio::test]
async fn what_runs_on_agentcore_joins_the_trace_and_knows_the_session() {
    for cast in Cast::ALL {
        let agents = Some(cast.of(&agents_with([])));
        let options = Options { agents, ..World::options(Limits::NONE) };
        let (world, traces) = traced(options, &[]).await;
        let ask = Ask::orders("Where is it?").session("a session; ü");
        let told = world.ask(&ask).await;
        let export = traces.exports(1).await.remove(0);
        let is_attempt = |span: &&Span| span.name == "invoke_agent orders";
        let attempt = export.spans.iter().find(is_attempt).unwrap();
        let call = &told.calls[0];
        if cast.kind() == AgentKind::Bedrock || cast.kind() == AgentKind::Model {
            assert_eq!((&call.trace_parent, &call.baggage), (&None, &None), "{cast:?}");
            continue;
        }
        let expected = format!("00-{}-{}-01", attempt.trace_id, attempt.id);
        assert_eq!(call.trace_parent.as_deref(), Some(&*expected), "{cast:?}");
        let session = "session.id=a%20session%3B%20%C3%BC";
        assert_eq!(call.baggage.as_deref(), Some(session), "{cast:?}");
    }
}

#[tokio::test]
async fn where_a_request_is_not_traced_the_agents_side_decides_by_itself() {
    for cast in [Cast::Stream, Cast::Harness] {
        let agents = Some(cast.of(&agents_with([])));
        let world = World::start(Options { agents, ..World::options(Limits::NONE) }).await;
        let told = world.ask(&Ask::orders("Where is it?").session("s-1")).await;
        assert_eq!(told.calls[0].trace_parent, None);
        assert_eq!(told.calls[0].baggage.as_deref(), Some("session.id=s-1"));
    }
}
