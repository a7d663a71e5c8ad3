//! The routing policy that a function goes by.
//!
//! It is fixed, or it is the one in the table, which a function reads at its cold start and looks
//! at again after a reply. A policy that it refuses changes nothing: the one before stays, which is
//! at a cold start the previous one of the table, else the one that is compiled in. So an older
//! version of the function goes on while a newer one is rolled out together with its keys, and a
//! roll-back needs none of the table.

mod store;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use router_core::error::Cause;
use router_core::metrics::{Batch, Datum, MetricsSink, Unit};
use router_core::policy::{Mistake, Policy};
use router_core::units::{Clock, Learnt};
pub use store::{MAX_POLICY_BYTES, PolicyStore, Pushed, StoredPolicy};
use tokio::time::timeout;
use tracing::{error, info, warn};

use crate::failure::NO_ANSWER;
use crate::settings::Agents;
use crate::settings::routing::{PolicySettings, TablePolicy};
use crate::{AwsPorts, SystemClock};

/// A cold start waits as long for the table: for all attempts of one request.
const AT_COLD_START: Duration = Duration::from_secs(4);
/// As long after a reply, where each moment is paid for.
const AFTER_A_REPLY: Duration = Duration::from_secs(1);
/// As many mistakes of a refused policy are logged.
const LOGGED_MISTAKES: usize = 10;

/// The policy of a function, which may be another one for its next request.
#[derive(Debug)]
pub struct CurrentPolicy {
    source: Option<TablePolicy>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    policy: Arc<Policy>,
    /// What the table had when it answered last; `None`: it has not answered yet.
    seen: Option<StoredPolicy>,
    looked_at: Option<Learnt>,
    /// Refused policies that CloudWatch has not been told of.
    rejections: u32,
}

/// The outcome of looking at what the table has.
#[derive(Debug)]
struct Choice {
    policy: Option<Policy>,
    rejections: u32,
    /// Those of the policy that is compiled in, where it was asked for.
    mistakes: Vec<Mistake>,
}

impl CurrentPolicy {
    /// Gets the policy at a cold start.
    ///
    /// # Errors
    ///
    /// Where the table has none, or none that can be used, every mistake of the one that is
    /// compiled in.
    pub async fn load(settings: PolicySettings, ports: &AwsPorts) -> Result<Self, Vec<Mistake>> {
        let (source, state) = match settings {
            PolicySettings::Fixed(policy) => (None, State::new(*policy)),
            PolicySettings::InTable(source) => {
                let state = at_cold_start(&source, read(ports, AT_COLD_START).await)?;
                (Some(source), state)
            }
        };
        Ok(Self { source, state: Mutex::new(state) })
    }

    /// The policy for one request, which goes by it to its end.
    pub fn get(&self) -> Arc<Policy> {
        Arc::clone(&self.state().policy)
    }

    /// Looks at the table again, if it is time and there is some left, and tells CloudWatch of
    /// policies that were refused. For after a reply.
    pub async fn look_again(&self, ports: &AwsPorts, within: Duration) {
        let Some(source) = &self.source else { return };
        let now = Learnt::now(&SystemClock);
        if within.is_zero() {
            return;
        }
        if self.state().claim_look(now, source.refresh) {
            self.look(source, ports, within.min(AFTER_A_REPLY)).await;
        }
        let rejections = std::mem::take(&mut self.state().rejections);
        if rejections > 0 {
            let datum = Datum {
                name: "PolicyRejected",
                unit: Unit::Count,
                value: f64::from(rejections),
                dimensions: Vec::new(),
            };
            let batch = Batch { timestamp: SystemClock.now(), data: vec![datum] };
            ports.metrics.publish(&batch, within.min(AFTER_A_REPLY)).await;
        }
    }

    /// Looks at the table at once, within `within`. Where it does not answer, what is known stays.
    pub async fn look_now(&self, ports: &AwsPorts, within: Duration) {
        if let Some(source) = &self.source {
            self.look(source, ports, within).await;
        }
    }

    async fn look(&self, source: &TablePolicy, ports: &AwsPorts, within: Duration) {
        match read(ports, within).await {
            Ok(found) => {
                if self.state().take(found, source) {
                    ports.forget();
                    info!("the routing policy in the table has changed");
                }
            }
            Err(error) => warn!(%error, "the routing policy in the table is not known"),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment after all that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(policy: Policy) -> Self {
        Self { policy: Arc::new(policy), seen: None, looked_at: None, rejections: 0 }
    }

    /// Whether it is time to look at the table. A table that was silent at the cold start is asked
    /// again at once.
    fn claim_look(&mut self, now: Learnt, refresh: Duration) -> bool {
        let is_due = self.looked_at.is_none_or(|before| now.since(&before) >= refresh);
        if is_due {
            self.looked_at = Some(now);
        }
        is_due
    }

    /// Takes in what the table has, and returns whether the policy is another one now. What it has
    /// said before is not read again.
    fn take(&mut self, found: StoredPolicy, source: &TablePolicy) -> bool {
        if self.seen.as_ref().is_some_and(|seen| seen.toml == found.toml) {
            return false;
        }
        let parsed = match &found.toml {
            Some(toml) => check(toml, &source.agents),
            None => source.compiled_in.parse(&source.agents),
        };
        self.seen = Some(found);
        match parsed {
            Ok(policy) if policy == *self.policy => false,
            Ok(policy) => {
                self.policy = Arc::new(policy);
                true
            }
            Err(mistakes) => {
                refused(&mistakes, "the one before stays");
                self.rejections += 1;
                false
            }
        }
    }
}

fn at_cold_start(
    source: &TablePolicy,
    found: Result<StoredPolicy, Cause>,
) -> Result<State, Vec<Mistake>> {
    let seen = match found {
        Ok(found) => Some(found),
        Err(error) => {
            warn!(%error, "the routing policy in the table is not known, so the one that is compiled in counts");
            None
        }
    };
    let Choice { policy, rejections, mistakes } = choose(seen.as_ref(), source);
    let policy = policy.ok_or(mistakes)?;
    let looked_at = seen.is_some().then(|| Learnt::now(&SystemClock));
    Ok(State { policy: Arc::new(policy), seen, looked_at, rejections })
}

/// The first policy that can be used: the table's, the one before it, the one that is compiled in.
fn choose(seen: Option<&StoredPolicy>, source: &TablePolicy) -> Choice {
    let mut rejections = 0;
    let stored = seen.into_iter().flat_map(|seen| [&seen.toml, &seen.previous]);
    // Without a current one there is no previous one either: the item was emptied.
    for toml in stored.map_while(Option::as_ref) {
        match check(toml, &source.agents) {
            Ok(policy) => return Choice { policy: Some(policy), rejections, mistakes: Vec::new() },
            Err(mistakes) => {
                refused(&mistakes, "the one before it is looked at");
                rejections = 1;
            }
        }
    }
    match source.compiled_in.parse(&source.agents) {
        Ok(policy) => Choice { policy: Some(policy), rejections, mistakes: Vec::new() },
        Err(mistakes) => Choice { policy: None, rejections, mistakes },
    }
}

/// Reads a policy of the table's.
fn check(toml: &str, agents: &Agents) -> Result<Policy, Vec<Mistake>> {
    if toml.len() > MAX_POLICY_BYTES {
        let found = format!("{} bytes in the table", toml.len());
        let rule = format!("it must have at most {MAX_POLICY_BYTES}");
        return Err(vec![Mistake { setting: "ROUTING_POLICY".to_owned(), found, rule }]);
    }
    agents.parse_policy(toml)
}

/// Logs a policy that is refused: where its mistakes are, and nothing of what stands there.
fn refused(mistakes: &[Mistake], then: &str) {
    let count = mistakes.len();
    error!(mistakes = count, "the routing policy in the table is refused, {then}");
    for Mistake { setting, rule, .. } in mistakes.iter().take(LOGGED_MISTAKES) {
        error!(setting, "the table's `{setting}`: {rule}");
    }
}

async fn read(ports: &AwsPorts, within: Duration) -> Result<StoredPolicy, Cause> {
    timeout(within, ports.policy.read()).await.unwrap_or_else(|_| Err(NO_ANSWER.into()))
}

#[cfg(test)]
mod tests {
    use router_core::units::{Moment, Timestamp};

    use super::*;
    use crate::settings::Lookup;
    use crate::settings::routing::CompiledIn;
    use crate::settings::tests::POLICY as COMPILED_IN;

    fn source_for(specialist: &str, compiled_in: &'static str) -> TablePolicy {
        let var: Lookup<'_> = &|name| match name {
            "SPECIALISTS" => Some(specialist.to_owned()),
            "SPECIALIST_ARNS" => Some("GENERAL001/LIVE000001".to_owned()),
            _ => None,
        };
        let agents = Agents::from_vars(var).unwrap();
        let compiled_in = CompiledIn::alone(compiled_in);
        TablePolicy { agents, refresh: Duration::from_secs(60), compiled_in }
    }

    fn source() -> TablePolicy {
        source_for("general", COMPILED_IN)
    }

    /// The policy with another number of steps.
    fn steps(steps: &str) -> Option<String> {
        Some(COMPILED_IN.replace("max_steps = 1", &format!("max_steps = {steps}")))
    }

    fn stored(toml: Option<String>, previous: Option<String>) -> StoredPolicy {
        StoredPolicy { toml, previous }
    }

    /// The steps of the policy at a cold start, and how many were refused.
    fn cold(found: Result<StoredPolicy, Cause>) -> (u64, u32) {
        let state = at_cold_start(&source(), found).unwrap();
        (state.policy.session.max_steps, state.rejections)
    }

    #[test]
    fn a_cold_start_takes_the_first_policy_that_can_be_used() {
        let huge = || Some("#".repeat(MAX_POLICY_BYTES + 1));
        assert_eq!(cold(Ok(stored(None, None))), (1, 0));
        assert_eq!(cold(Ok(stored(steps("2"), steps("3")))), (2, 0));
        assert_eq!(cold(Ok(stored(steps("0"), steps("3")))), (3, 1));
        assert_eq!(cold(Ok(stored(huge(), None))), (1, 1));
        assert_eq!(cold(Ok(stored(Some(String::new()), steps("'four'")))), (1, 1));
        assert_eq!(cold(Err(NO_ANSWER.into())), (1, 0));
    }

    #[test]
    fn without_any_policy_that_fits_the_agents_the_mistakes_of_the_compiled_in_one_are_told() {
        let source = source_for("other", COMPILED_IN);
        let mistakes = at_cold_start(&source, Ok(stored(None, None))).unwrap_err();
        assert_eq!(mistakes[0].setting, "specialists.general.agent");
        let theirs = COMPILED_IN.replace("general", "other");
        let state = at_cold_start(&source, Ok(stored(Some(theirs), None))).unwrap();
        assert!(state.policy.find("other").is_some(), "the compiled-in one need not fit then");
    }

    #[test]
    fn a_refused_policy_changes_nothing_and_is_counted_once() {
        let mut state = State::new(Policy::clone(
            &at_cold_start(&source(), Ok(stored(steps("5"), None))).unwrap().policy,
        ));
        let newer = steps("7\n[newer]\nkey = 1");
        for bad in [
            newer,
            Some("[".to_owned()),
            Some(String::new()),
            steps("0"),
            Some("#".repeat(MAX_POLICY_BYTES + 1)),
        ] {
            state.rejections = 0;
            for _ in 0..3 {
                assert!(!state.take(stored(bad.clone(), None), &source()));
            }
            assert_eq!((state.policy.session.max_steps, state.rejections), (5, 1));
        }
        assert!(state.take(stored(steps("8"), None), &source()));
        assert_eq!(state.policy.session.max_steps, 8);
    }

    #[test]
    fn a_policy_that_was_taken_away_leaves_the_compiled_in_one() {
        let mut state = at_cold_start(&source(), Ok(stored(steps("5"), None))).unwrap();
        assert!(state.take(stored(None, steps("5")), &source()));
        assert_eq!(state.policy.session.max_steps, 1);
        // It does not fit these agents: the one before stays.
        let source = source_for("other", COMPILED_IN);
        let theirs = COMPILED_IN.replace("general", "other");
        let mut state = at_cold_start(&source, Ok(stored(Some(theirs), None))).unwrap();
        assert!(!state.take(stored(None, None), &source));
        assert_eq!((state.policy.find("other").is_some(), state.rejections), (true, 1));
    }

    #[test]
    fn the_table_is_looked_at_again_when_the_time_is_up_and_at_once_where_it_was_silent() {
        let at = |seconds: u64| {
            let moment = Moment(Duration::from_secs(seconds));
            Learnt::at(Timestamp(seconds * 1_000), moment)
        };
        let minute = Duration::from_secs(60);
        let mut state = at_cold_start(&source(), Err(NO_ANSWER.into())).unwrap();
        assert!(state.claim_look(at(100), minute));
        assert!(!state.claim_look(at(159), minute));
        assert!(state.claim_look(at(160), minute));
        assert!(!state.claim_look(at(161), minute));
        assert!(state.claim_look(at(161), Duration::ZERO));
    }
}
