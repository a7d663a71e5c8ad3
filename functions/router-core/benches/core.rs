//! What the core itself costs for one request, without any I/O:
//! `cargo bench -p router-core`.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot be made fails as tests do")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use divan::{Bencher, black_box};
use router_core::charge::{Charge, Usage};
use router_core::ids::{HoldId, Lane, SpecialistName};
use router_core::journal::{Entry, Fact, Hold, Journal};
use router_core::ledger::{Account, Counted};

use router_core::metrics::ColdStart;
use router_core::outcome::{Reason, Status};
use router_core::policy::Policy;
use router_core::routing::{self, Ask};
use router_core::units::{MicroUsd, Timestamp, TokenUse, Tokens};
use router_core::views;
use router_core::wire::event::Event;
use router_core::wire::reply::{Body, Reply, TaskBody};
use router_core::wire::tools::ToolRequest;

fn main() {
    divan::main();
}

const EVENT: &str = include_str!("../../../events/billing.json");
const SHIPPED: &str = include_str!("../../supervisor-router/routing.toml");

/// The shipped policy, with more specialists until there are as many.
fn policy_text(specialists: usize) -> (String, BTreeMap<String, String>) {
    let mut text = SHIPPED.to_owned();
    let shipped = ["billing", "orders", "support", "general"];
    let mut names: Vec<String> = shipped.map(str::to_owned).to_vec();
    for number in shipped.len()..specialists {
        let name = format!("s{number}");
        write!(
            text,
            "[specialists.{name}]\ndescription = \"{name}\"\nintents = [\"ask_{name}\"]\n\
             max_tokens_per_call = 8000\n\
             price = {{ input_usd_per_mtok = 3.0, output_usd_per_mtok = 15.0 }}\n"
        )
        .unwrap();
        names.push(name);
    }
    let agents = names.into_iter().map(|name| (name, "AGENT00001/LIVE000001".to_owned()));
    (text, agents.collect())
}

fn policy() -> Policy {
    let (text, agents) = policy_text(4);
    Policy::parse(&text, Some(&agents)).unwrap()
}

fn event() -> Event {
    Event::read(EVENT.as_bytes(), None, false).unwrap()
}

#[divan::bench]
fn parse_event(bencher: Bencher<'_, '_>) {
    bencher.bench(|| Event::read(black_box(EVENT.as_bytes()), None, false));
}

#[divan::bench]
fn parse_arguments(bencher: Bencher<'_, '_>) {
    let (event, policy) = (event(), policy());
    let arguments = event.arguments.as_ref().unwrap();
    bencher.bench(|| ToolRequest::parse(black_box(&event.tool), arguments, &policy));
}

#[divan::bench(args = [4, 20, 50, 200])]
fn load_policy(bencher: Bencher<'_, '_>, specialists: usize) {
    let (text, agents) = policy_text(specialists);
    bencher.bench(|| Policy::parse(black_box(&text), Some(&agents)).unwrap());
}

#[divan::bench(args = [4, 20, 50, 200])]
fn decide(bencher: Bencher<'_, '_>, specialists: usize) {
    let (text, agents) = policy_text(specialists);
    let policy = Policy::parse(&text, Some(&agents)).unwrap();
    let event = event();
    let caller = event.caller.as_ref().unwrap();
    let ask = Ask { specialist: "billing", intent: None, confidence: Some(0.93) };
    bencher.bench(|| routing::decide(black_box(&ask), caller, &policy));
}

/// The reply with an answer of so many bytes; the last does not fit and is cut.
#[divan::bench(args = [300, 8_000, 30_000])]
fn render_reply(bencher: Bencher<'_, '_>, answer: usize) {
    let event = event();
    let body = Body::from(TaskBody {
        specialist: Some("billing".to_owned()),
        answer: Some("refund \"4711\" ".repeat(answer / 14)),
        attempts: 1,
        ..TaskBody::new(Status::Answered)
    });
    let reply = Reply {
        body,
        reprompt: false,
        session_attributes: event.session_attributes.clone(),
        prompt_session_attributes: event.prompt_session_attributes.clone(),
    };
    bencher.with_inputs(|| reply.clone()).bench_values(|reply| reply.render(&event.form));
}

/// The journal of a request whose first `failures` attempts were throttled.
fn entries(failures: u64) -> Vec<Entry> {
    let specialist = || SpecialistName::parse("billing").unwrap();
    let hold = || HoldId::new("5f1c0a52-e29b-41d4-a716-446655440000-1f", 0, 0);
    let charge = |tokens| Charge { tokens: Tokens(tokens), cost: MicroUsd(tokens * 15) };
    let journal = Journal::default();
    let mut now = 1_700_000_000_000;
    let mut add = |task: Option<usize>, fact| {
        now += 3;
        match task {
            Some(task) => journal.add_to(task, Timestamp(now), fact),
            None => journal.add(Timestamp(now), fact),
        }
    };
    let cold_start = ColdStart { function_name: "router".into(), service: "router".into() };
    let cold_start = Some(cold_start);
    add(None, Fact::Received { cold_start, function_version: Some("7".into()) });
    let intent_class = "refund".to_owned();
    add(Some(0), Fact::Asked { specialist: Some(specialist()), intent_class });
    add(Some(0), Fact::Chosen { first: specialist(), detour: None });
    add(Some(0), Fact::CandidateTaken { specialist: specialist() });
    let counted = Counted::default();
    let asked = Hold { id: hold(), specialist: specialist(), ask: charge(8_000), counted };
    add(Some(0), Fact::Reserving(asked));
    let account = Account { steps: 3, committed: charge(12_000), ..Account::default() };
    let (lane, stale) = (Lane::default(), Vec::new());
    add(Some(0), Fact::Held { id: hold(), account, lane, expired_holds: 0, stale });
    add(Some(0), Fact::InvocationStarted { specialist: specialist() });
    for number in 1..=failures + 1 {
        let owner = format!("5f1c0a52/{number}");
        add(Some(0), Fact::Admitted { owner: owner.clone(), specialist: specialist() });
        let agent = "AGENT00001/LIVE000001".to_owned();
        add(Some(0), Fact::AttemptStarted { number, hold: hold(), agent });
        let failed = number <= failures;
        let tokens = if failed { TokenUse::default() } else { TokenUse::new(300, 40) };
        add(
            Some(0),
            Fact::AttemptEnded {
                usage: Usage::Reported(tokens),
                charge: charge(tokens.total().0),
                reported_cost: MicroUsd(1_500),
                failure: failed.then_some(Reason::Throttled),
                too_long: None,
                steps: Vec::new(),
            },
        );
        add(Some(0), Fact::Reported { owner, specialist: specialist(), opened: false });
    }
    add(Some(0), Fact::InvocationEnded { failure: None });
    add(Some(0), Fact::Charged { id: hold(), used: charge(340), left: None });
    add(Some(0), Fact::CandidateLeft { refused: None });
    let (status, reason) = (Status::Answered, None);
    add(Some(0), Fact::TaskEnded { status, reason, specialist: Some(specialist()) });
    add(None, Fact::Replied { status, reason, specialist: Some(specialist()) });
    add(Some(0), Fact::Settling { id: hold(), used: charge(340) });
    add(Some(0), Fact::Settled { id: hold(), is_known: true });
    add(None, Fact::Publishing { data: 20 });
    add(None, Fact::Published);
    add(None, Fact::Finished);
    journal.into_entries()
}

#[divan::bench(args = [0, 9])]
fn view_metrics(bencher: Bencher<'_, '_>, failures: u64) {
    let (entries, policy) = (entries(failures), policy());
    let now = entries.last().unwrap().at;
    bencher.bench(|| views::metrics::of(black_box(&entries), &policy, now).len());
}

#[divan::bench(args = [0, 9])]
fn view_spans(bencher: Bencher<'_, '_>, failures: u64) {
    let (entries, event) = (entries(failures), event());
    let session = event.caller.as_ref().ok().map(|caller| &caller.root);
    bencher.bench(|| views::spans::of(black_box(&entries), session, "request"));
}

#[divan::bench(args = [0, 9])]
fn view_account(bencher: Bencher<'_, '_>, failures: u64) {
    let entries = entries(failures);
    bencher.bench(|| views::account(black_box(&entries)));
}

#[divan::bench(args = [0, 9])]
fn view_invocations(bencher: Bencher<'_, '_>, failures: u64) {
    let entries = entries(failures);
    bencher.bench(|| {
        let invocations = views::invocations(black_box(&entries));
        invocations.iter().map(views::Invocation::latency).sum::<Duration>()
    });
}
