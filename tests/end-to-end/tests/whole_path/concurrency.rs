//! Many requests of one session at once, over several function processes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use stand_ins::Options;
use stand_ins::events::Form;
use tokio::task::JoinSet;

use crate::support::{Account, Ask, Limits, World, account, agents_with, policy};

const REQUESTS: usize = 200;
const SPECIALISTS: [&str; 4] = ["orders", "billing", "support", "general"];

/// What came of many requests at once.
struct Rush {
    world: World,
    /// Status and reason → how often.
    outcomes: BTreeMap<(String, Option<String>), usize>,
}

/// Sends all requests at once, in one session.
async fn rush(limits: Limits, request: fn(usize) -> &'static str) -> Rush {
    // Some milliseconds, so that calls overlap. Support may take its time here.
    let agents = agents_with([
        ("[unknown]", "fault = 'in-stream:throttlingException'\ndelay_ms = 10"),
        ("[free]", "fault = 'before:throttlingException'\ndelay_ms = 10"),
    ])
    .replace("says yes\"", "says yes\", delay_ms = 10")
    .replace("\", delay_ms = 10\nusage", "\"\ndelay_ms = 10\nusage");
    let policy = policy(limits).replace("timeout_ms = 600", "timeout_ms = 20000");
    let options = Options { agents: Some(agents), policy: Some(policy), ..Options::default() };
    let options = Options { processes: 4, lambda_timeout: Duration::from_secs(60), ..options };
    let world = World::start(options).await;
    let world = Arc::new(world);
    let mut tasks = JoinSet::new();
    for n in 0..REQUESTS {
        let world = Arc::clone(&world);
        tasks.spawn(async move {
            let ask = Ask::of(SPECIALISTS[n % 4], request(n)).session("rush").verified();
            let invocation = world.invoke(ask.event().to_string(), None).await;
            let body = Form::Function.body(&invocation.json().expect("a reply")).unwrap();
            let text = |key: &str| body[key].as_str().map(str::to_owned);
            (text("status").unwrap(), text("reason"))
        });
    }
    let mut outcomes = BTreeMap::new();
    while let Some(outcome) = tasks.join_next().await {
        *outcomes.entry(outcome.unwrap()).or_default() += 1;
    }
    let world = Arc::into_inner(world).expect("all tasks have ended");
    Rush { world, outcomes }
}

impl Rush {
    fn count(&self, status: &str, reason: Option<&str>) -> usize {
        let key = (status.to_owned(), reason.map(str::to_owned));
        self.outcomes.get(&key).copied().unwrap_or_default()
    }

    /// Asserts what holds whichever limit is reached, and gives the session's account: every
    /// call has its step, its session to itself, and its settled charge; nothing else is charged.
    async fn account(&self) -> Account {
        let account = account(&self.world, "rush").await.unwrap();
        let calls = self.world.agents().calls();
        assert!(account.steps <= calls.len() as u64, "{:?}", self.outcomes);
        let sessions: BTreeSet<&str> = calls.iter().map(|call| &*call.session_id).collect();
        for session in sessions {
            assert_eq!(self.world.agents().greatest_at_once(session), 1, "{session}");
        }
        let data = self.world.metrics().batches().into_iter().flat_map(|batch| batch.data);
        let told: Vec<_> = data.filter(|datum| datum.dimensions.is_empty()).collect();
        let sum = |name: &str| -> f64 {
            told.iter().filter(|datum| datum.name == name).map(|datum| datum.sum()).sum()
        };
        let charged = sum("Cost") + sum("UnreportedCost");
        assert!((charged - account.micro_usd as f64 / 1e6).abs() < 1e-6, "{charged}");
        assert_eq!(sum("SpecialistInvocations"), account.steps as f64, "retries take no step");
        assert_eq!(self.world.errors(), [""; 0]);
        account
    }

    /// Asserts that calls were admitted until the limit refused the rest.
    async fn refused_by(&self, reason: &str) -> Account {
        let account = self.account().await;
        let admitted = self.count("answered", None);
        let refused = self.count("refused", Some(reason));
        assert_eq!(admitted + refused, REQUESTS, "{:?}", self.outcomes);
        assert_eq!(admitted, self.world.agents().calls().len(), "one call an answer");
        assert!(admitted > 0 && refused > 0, "{:?}", self.outcomes);
        let general = self.calls_of("general");
        let others = account.steps - general;
        assert_eq!(account.tokens, 600 * others + 250 * general);
        assert_eq!(account.micro_usd, 3_000 * others + 360 * general);
        account
    }

    fn calls_of(&self, specialist: &str) -> u64 {
        let calls = self.world.agents().calls();
        calls.iter().filter(|call| call.specialist == specialist).count() as u64
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_calls_never_take_more_steps_than_there_are() {
    let rush = rush(Limits { max_steps: 25, ..Limits::NONE }, |_| "Please help.").await;
    assert_eq!(rush.refused_by("budget_steps").await.steps, 25, "and not one less");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_calls_never_use_more_tokens_than_there_are() {
    let limits = Limits { max_tokens: 40_000, ..Limits::NONE };
    let rush = rush(limits, |_| "Please help.").await;
    let used = rush.refused_by("budget_tokens").await;
    assert!(used.tokens <= 40_000, "{used:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_calls_never_cost_more_than_there_is() {
    let limits = Limits { max_cost_usd: 0.3, ..Limits::NONE };
    let rush = rush(limits, |_| "Please help.").await;
    let used = rush.refused_by("budget_cost").await;
    assert!(used.micro_usd <= 300_000, "{used:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_and_fallbacks_at_once_keep_every_limit_too() {
    let limits = Limits { max_steps: 120, max_tokens: 400_000, max_cost_usd: 4.0, ..Limits::NONE };
    const REQUEST: [&str; 5] =
        ["[unknown]", "[free]", "[suggest orders] [unknown]", "[nobody]", "plain"];
    let rush = rush(limits, |n| REQUEST[n / 4 % 5]).await;
    let used = rush.account().await;
    assert!(used.steps <= 120 && used.tokens <= 400_000 && used.micro_usd <= 4_000_000, "{used:?}");
    assert_eq!(rush.outcomes.values().sum::<usize>(), REQUESTS, "everyone has a reply");
    assert!(rush.count("answered", None) > 0 && rush.outcomes.len() > 3, "{:?}", rush.outcomes);
}
