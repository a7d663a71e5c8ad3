use std::sync::atomic::{AtomicU64, Ordering};

use router_core::charge::Usage;
use router_core::supervisor::ToolCall;
use router_core::units::TokenUse;
use serde_json::json;

use super::*;
use crate::purse::CountingPurse;

/// A policy with a supervisor that holds 1,000 tokens, which are 5,000 micro-dollars.
pub(crate) fn policy(more: &str) -> Policy {
    let price = "price = { input_usd_per_mtok = 1.0, output_usd_per_mtok = 5.0 }";
    let specialist = |name: &str, keys: &str| {
        format!(
            "[specialists.{name}]\nagent = \"AGENT/LIVE\"\ndescription = \"{name}\"\n\
             max_tokens_per_call = 1000\n{price}\n{keys}\n"
        )
    };
    let text = format!(
        "[routing]\nfallback = \"general\"\n[session]\nmax_steps = 1\nmax_tokens = 1000\n\
         max_cost_usd = 1.0\n[supervisor]\nagent = \"model:nova\"\ninstruction = \"You route.\\n\"\n\
         max_tokens_per_call = 1000\n{price}\n{more}\n{}{}{}[specialists.shop]\n\
         description = \"shop\"\n{}",
        specialist("billing", ""),
        specialist("orders", ""),
        specialist("general", ""),
        specialist("shop.specialists.gifts", "intents = [\"gift\"]"),
    );
    Policy::parse(&text, None).unwrap()
}

/// Time that passes only while somebody waits or works.
#[derive(Default)]
struct ManualClock(AtomicU64);

impl ManualClock {
    fn advance(&self, millis: u64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    fn moment(&self) -> Moment {
        Moment(Duration::from_millis(self.0.load(Ordering::SeqCst)))
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(u64::try_from(duration.as_millis()).unwrap());
    }
}

/// A supervisor that decides by the text of the request and the number of the call, each call taking
/// `takes` milliseconds until it begins to call its tool, and as long again.
struct Scripted<'c, D> {
    clock: &'c ManualClock,
    takes: u64,
    decides: D,
    calls: AtomicU64,
    sessions: Mutex<Vec<String>>,
    at_once: AtomicU64,
    most_at_once: AtomicU64,
}

type Answer = Result<&'static str, InvokeError>;

fn scripted<D: Fn(&str, u64) -> Answer>(
    clock: &ManualClock,
    takes: u64,
    decides: D,
) -> Scripted<'_, D> {
    Scripted {
        clock,
        takes,
        decides,
        calls: AtomicU64::default(),
        sessions: Mutex::default(),
        at_once: AtomicU64::default(),
        most_at_once: AtomicU64::default(),
    }
}

impl<D: Fn(&str, u64) -> Answer + Sync> Supervisor for Scripted<'_, D> {
    async fn decide(
        &self,
        round: &Round<'_>,
        heard: &mut (dyn FnMut(Heard<'_>) + Send),
    ) -> router_core::supervisor::Decided {
        let [Message::User(text)] = round.messages else { panic!("one message of the user's") };
        assert!(round.prompt.starts_with("You route.\n\nThe departments:\n- billing"));
        assert_eq!(round.tools.len(), 4);
        self.sessions.lock().unwrap().push(round.session_id.to_owned());
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        // Others begin before it ends.
        tokio::task::yield_now().await;
        heard(Heard::Text("Let me see."));
        self.clock.advance(self.takes);
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        let answer = (self.decides)(text, number);
        let usage = match &answer {
            Ok(_) => Usage::Reported(TokenUse::new(100, 10)),
            Err(InvokeError::Throttled) => Usage::NotRun,
            Err(_) => Usage::UNKNOWN,
        };
        let result = answer.map(|specialist| {
            let arguments = json!({ "specialist_type": specialist, "request": "Do it." });
            let name = "invoke_specialist_agent";
            heard(Heard::Tool(name));
            self.clock.advance(self.takes);
            let call = ToolCall::new("t".to_owned(), name.to_owned(), &arguments.to_string());
            Turn { text: "Let me see.".to_owned(), calls: vec![call] }
        });
        router_core::supervisor::Decided::new(result, usage)
    }
}

/// A purse whose answer is waited for, as a table's is.
struct SlowPurse(CountingPurse);

impl Purse for SlowPurse {
    async fn take(&self, id: &HoldId) -> Result<(), NotPaid> {
        tokio::task::yield_now().await;
        self.0.take(id).await
    }

    async fn settle(&self, id: &HoldId, used: Charge) {
        self.0.settle(id, used).await;
    }
}

/// Cases whose texts name where they belong.
fn cases(count: usize) -> Vec<Case> {
    let case = |line| {
        let specialist = if line % 2 == 0 { "billing" } else { "orders" };
        Case {
            line,
            text: format!("{specialist} {line}"),
            specialist: specialist.to_owned(),
            intent: None,
            kind: None,
            language: None,
        }
    };
    (1..=count).map(case).collect()
}

const RULES: Rules = Rules {
    width: 1,
    max_attempts: 3,
    max_delay: Duration::from_millis(2_000),
    max_undecided: Share(50_000),
};

const PLENTY: MicroUsd = MicroUsd(1_000_000);

async fn ran<D: Fn(&str, u64) -> Answer + Sync>(
    supervisor: &Scripted<'_, D>,
    cases: &[Case],
    rules: Rules,
    most: MicroUsd,
) -> Ran {
    ran_by(supervisor, supervisor.clock, cases, rules, most).await
}

async fn ran_by<S: Supervisor>(
    supervisor: &S,
    clock: &ManualClock,
    cases: &[Case],
    rules: Rules,
    most: MicroUsd,
) -> Ran {
    let policy = policy("");
    let rules_of_supervisor = policy.supervisor().unwrap();
    let purse = SlowPurse(CountingPurse::new(&rules_of_supervisor.callee, most));
    let session = RootSession::parse("session", "gate-1").unwrap();
    let plan = Plan {
        cases,
        policy: &policy,
        supervisor: rules_of_supervisor,
        session: &session,
        rules,
        deadline: Timestamp(60_000),
    };
    run(&plan, supervisor, &purse, clock).await
}

fn right(text: &str, _: u64) -> Answer {
    Ok(if text.starts_with("billing") { "billing" } else { "orders" })
}

#[tokio::test]
async fn every_case_is_one_round_in_a_session_of_its_own() {
    let (clock, cases) = (ManualClock::default(), cases(5));
    let supervisor = scripted(&clock, 300, right);
    let ran = ran(&supervisor, &cases, RULES, PLENTY).await;
    assert_eq!((ran.asked, ran.stopped, ran.failures.len()), (5, None, 0));
    assert_eq!(
        ran.outcomes.iter().map(|outcome| outcome.case).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5]
    );
    for outcome in &ran.outcomes {
        assert_eq!(outcome.chosen, Chosen::Specialist(outcome.expected.clone()));
        assert_eq!((outcome.tokens, outcome.cost), (Tokens(110), MicroUsd(150)));
        assert_eq!(outcome.latency_ms, 300, "until the first call, not to the end");
    }
    let mut sessions = supervisor.sessions.into_inner().unwrap();
    assert!(sessions.iter().all(|id| id.len() == 64), "{sessions:?}");
    sessions.sort();
    sessions.dedup();
    assert_eq!(sessions.len(), 5);
}

/// A supervisor with an action group of its own, which calls it for the specialists that are named in
/// the request, in this order, and then does not get to its end.
struct CallsByItself;

impl Supervisor for CallsByItself {
    async fn decide(
        &self,
        round: &Round<'_>,
        heard: &mut (dyn FnMut(Heard<'_>) + Send),
    ) -> router_core::supervisor::Decided {
        assert_eq!(round.attributes["dry_run"], "true", "nobody is to be called");
        let [Message::User(text)] = round.messages else { panic!("one message of the user's") };
        for specialist in text.split(' ').filter(|word| word.parse::<u64>().is_err()) {
            let arguments = json!({ "specialist_type": specialist, "request": "Do it." });
            let name = "invoke_specialist_agent".to_owned();
            let call = ToolCall::new(String::new(), name, &arguments.to_string());
            heard(Heard::Tool(&call.name));
            heard(Heard::Carried(&call));
        }
        let usage = Usage::Reported(TokenUse::new(100, 10));
        router_core::supervisor::Decided::new(Err(InvokeError::GaveUp), usage)
    }
}

#[tokio::test]
async fn of_a_supervisor_that_has_its_calls_carried_out_the_first_one_counts_whatever_follows() {
    let clock = ManualClock::default();
    let mut cases = cases(2);
    cases[0].text = "orders billing".to_owned();
    let ran = ran_by(&CallsByItself, &clock, &cases, RULES, PLENTY).await;
    let chosen = |place: usize| &ran.outcomes[place].chosen;
    assert_eq!(chosen(0), &Chosen::Specialist("orders".to_owned()));
    assert_eq!(chosen(1), &Chosen::Specialist("billing".to_owned()));
    assert_eq!((ran.asked, ran.failures.len(), ran.outcomes[0].tokens), (2, 0, Tokens(110)));
}

#[tokio::test]
async fn no_more_cases_are_asked_at_once_than_allowed() {
    let (clock, cases) = (ManualClock::default(), cases(20));
    let supervisor = scripted(&clock, 1, right);
    let ran = ran(&supervisor, &cases, Rules { width: 4, ..RULES }, PLENTY).await;
    assert_eq!((ran.asked, supervisor.most_at_once.into_inner()), (20, 4));
    assert!(ran.outcomes.is_sorted_by_key(|outcome| outcome.case));
}

#[tokio::test]
async fn what_may_pass_is_asked_again_and_only_the_deciding_round_has_a_latency() {
    let (clock, cases) = (ManualClock::default(), cases(1));
    let supervisor = scripted(&clock, 300, |text, number| match number {
        1 => Err(InvokeError::Throttled),
        2 => Err(InvokeError::ServiceFault("it failed")),
        _ => right(text, number),
    });
    let ran = ran(&supervisor, &cases, RULES, PLENTY).await;
    let outcome = &ran.outcomes[0];
    assert_eq!(outcome.chosen, Chosen::Specialist("orders".to_owned()));
    assert_eq!(outcome.latency_ms, 300);
    assert_eq!(outcome.tokens, Tokens(1_110), "one that failed costs what a call is assumed to");
    assert_eq!(ran.failures.len(), 0);
    let mut sessions = supervisor.sessions.into_inner().unwrap();
    sessions.dedup();
    assert_eq!(sessions.len(), 3, "a session may be stuck after an attempt");
}

#[tokio::test]
async fn a_supervisor_that_throttles_ends_the_run_once_there_is_no_verdict_any_more() {
    let (clock, cases) = (ManualClock::default(), cases(100));
    let supervisor = scripted(&clock, 1, |_, _| Err(InvokeError::Throttled));
    let ran = ran(&supervisor, &cases, RULES, PLENTY).await;
    assert_eq!((ran.asked, ran.stopped), (6, Some(Stopped::TooManyUndecided)));
    assert_eq!(supervisor.calls.into_inner(), 18, "three attempts each");
    assert_eq!(ran.failures, BTreeMap::from([("throttled", 6)]));
    assert_eq!(ran.outcomes.len(), 100, "those that were not asked have no decision");
    assert!(ran.outcomes.iter().all(|outcome| outcome.chosen == Chosen::NoDecision));
}

#[tokio::test]
async fn what_does_not_pass_is_not_asked_again() {
    let (clock, cases) = (ManualClock::default(), cases(40));
    let supervisor = scripted(&clock, 1, |text, number| match number {
        7 => Err(InvokeError::AccessDenied),
        8 => Err(InvokeError::Guardrail),
        _ => right(text, number),
    });
    let ran = ran(&supervisor, &cases, RULES, PLENTY).await;
    assert_eq!((ran.asked, ran.stopped, supervisor.calls.into_inner()), (40, None, 40));
    assert_eq!(ran.failures, BTreeMap::from([("access_denied", 1)]));
    assert_eq!(ran.outcomes[6].chosen, Chosen::NoDecision);
    assert_eq!(ran.outcomes[7].chosen, Chosen::Nobody, "a guardrail's word is a decision");
}

#[tokio::test]
async fn a_run_ends_with_its_time() {
    let (clock, cases) = (ManualClock::default(), cases(100));
    let supervisor = scripted(&clock, 5_000, right);
    let ran = ran(&supervisor, &cases, RULES, PLENTY).await;
    assert_eq!((ran.asked, ran.stopped), (6, Some(Stopped::Deadline)));
}

#[tokio::test]
async fn a_run_never_spends_more_than_it_may() {
    let (clock, cases) = (ManualClock::default(), cases(100));
    let supervisor = scripted(&clock, 1, right);
    let rules = Rules { width: 8, ..RULES };
    let ran = ran(&supervisor, &cases, rules, MicroUsd(6_000)).await;
    assert_eq!(ran.stopped, Some(Stopped::Budget(Limit::Cost)));
    let spent: u64 = ran.outcomes.iter().map(|outcome| outcome.cost.0).sum();
    assert!((150..=6_000).contains(&spent), "{spent}");
}

/// A round holds 5,000 and uses 150: it is what was used that counts in the end.
#[tokio::test]
async fn money_that_is_only_held_is_waited_for() {
    let mut asked = Vec::new();
    for width in [1, 8] {
        let (clock, cases) = (ManualClock::default(), cases(100));
        let supervisor = scripted(&clock, 1, right);
        let ran = ran(&supervisor, &cases, Rules { width, ..RULES }, MicroUsd(6_000)).await;
        assert_eq!(ran.stopped, Some(Stopped::Budget(Limit::Cost)));
        asked.push(ran.asked);
    }
    assert_eq!(asked, [7, 7]);
}
