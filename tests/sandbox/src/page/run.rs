//! A run as the page tells of it: what was played on what, and what came of it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use stand_ins::metrics::Batch;
use stand_ins::table::Item;

use super::figures::Figures;
use super::request::Request;
use crate::circuits::{self, State};
use crate::incidents;
use crate::injected::Injected;

/// All that the page shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Run {
    /// What was run.
    pub(crate) setting: Setting,
    /// The requests in the order they were played.
    pub(crate) requests: Vec<Request>,
    /// What CloudWatch received of them.
    pub(crate) batches: Vec<Batch>,
    /// The specialists of the policy and any other that was heard of, by name.
    pub(crate) specialists: Vec<String>,
    /// From which percentage of a session's budget on something happens, and what.
    pub(crate) budget_lines: Vec<(f64, String)>,
    /// The circuits at the end of the run.
    pub(crate) circuits: Vec<CircuitEnd>,
    /// Who did not answer.
    pub(crate) incidents: Vec<Unanswered>,
    /// The faults that were injected.
    pub(crate) faults: Vec<FaultSum>,
}

/// What was run, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Setting {
    /// When it ended, in seconds since 1970.
    pub(crate) ended: u64,
    /// Whether the events are all those of the repository.
    pub(crate) all_events: bool,
    /// The policy's file; `None`: the shipped one.
    pub(crate) policy: Option<PathBuf>,
    /// The file with the agents' script; `None`: the shipped one.
    pub(crate) agents: Option<PathBuf>,
    /// The function's processes.
    pub(crate) processes: usize,
    /// The function's timeout.
    pub(crate) timeout: Duration,
}

/// A specialist's circuit at the end of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CircuitEnd {
    /// The specialist; `*` for what is forced for all.
    pub(crate) specialist: String,
    /// The state in words.
    pub(crate) state: String,
    /// Whether requests pass as if there were no circuit.
    pub(crate) is_plainly_closed: bool,
}

/// A request that a specialist did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unanswered {
    /// The specialist.
    pub(crate) specialist: String,
    /// Why.
    pub(crate) reason: String,
    /// Whether somebody else answered.
    pub(crate) was_answered: bool,
}

/// A fault and what it struck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FaultSum {
    /// The specialist.
    pub(crate) specialist: String,
    /// The fault, as `--fail` takes it, with its rate.
    pub(crate) fault: String,
    /// Its attempts.
    pub(crate) attempts: usize,
    /// How many of them the fault struck.
    pub(crate) struck: usize,
}

/// What the page needs of a policy. Whatever else it says is the function's to check.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Policy {
    #[serde(default)]
    session: Session,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
struct Session {
    warn_at: f64,
    degrade_at: f64,
}

impl Default for Session {
    fn default() -> Self {
        Self { warn_at: 0.8, degrade_at: 0.9 }
    }
}

impl Run {
    /// A run with a policy that left these items in the table at `now_ms`.
    ///
    /// # Errors
    ///
    /// When the policy is not TOML, or has no specialists.
    pub(crate) fn new(
        setting: Setting,
        requests: Vec<Request>,
        batches: Vec<Batch>,
        policy: &str,
        (items, now_ms): (&[Item], u64),
    ) -> Result<Self, toml::de::Error> {
        let Session { warn_at, degrade_at } = toml::from_str::<Policy>(policy)?.session;
        let budget_lines =
            [(warn_at, "warn at"), (degrade_at, "degrade at")].map(|(share, what)| {
                let percent = share * 100.0;
                (percent, format!("{what} {percent:.0} %"))
            });
        let policy = circuits::Policy::parse(policy)?;
        let circuits: Vec<CircuitEnd> = circuits::all(items, &policy)
            .iter()
            .map(|circuit| CircuitEnd::of(circuit, now_ms))
            .collect();
        let mut specialists: BTreeSet<String> = policy.specialists().map(str::to_owned).collect();
        let figures = Figures::of(&batches);
        specialists.extend(figures.names("Specialist").into_iter().map(str::to_owned));
        Ok(Self {
            setting,
            requests,
            specialists: specialists.into_iter().collect(),
            budget_lines: budget_lines.into(),
            circuits,
            incidents: incidents::all(items).iter().map(Unanswered::of).collect(),
            batches,
            faults: Vec::new(),
        })
    }

    /// With the faults that were injected into it.
    pub(crate) fn under(mut self, injected: &Injected) -> Self {
        let sum =
            |(fault, attempts): (&stand_ins::agents::Injection, crate::injected::Attempts)| {
                FaultSum {
                    specialist: fault.specialist.clone(),
                    fault: format!("{}:{}", fault.fault, fault.rate),
                    attempts: attempts.all,
                    struck: attempts.faulted,
                }
            };
        self.faults = injected.faults().map(sum).collect();
        self
    }

    /// The numbers that CloudWatch received.
    pub(crate) fn figures(&self) -> Figures<'_> {
        Figures::of(&self.batches)
    }
}

impl CircuitEnd {
    fn of(circuit: &circuits::Circuit, now_ms: u64) -> Self {
        let state = circuit.state(now_ms);
        let is_plainly_closed = circuit.is_plainly_closed(now_ms);
        let forced = circuit.forced.as_deref();
        let forced = forced.map_or(String::new(), |word| format!(", forced {word}"));
        let reason = circuit.reason.as_deref().filter(|_| state != State::Closed);
        let reason = reason.map_or(String::new(), |reason| format!(" ({reason})"));
        let state = format!("{}{reason}{forced}", state.describe());
        Self { specialist: circuit.specialist.clone(), state, is_plainly_closed }
    }
}

impl Unanswered {
    fn of(incident: &incidents::Incident<'_>) -> Self {
        let text = |name: &str| incident.text(name).unwrap_or("-").to_owned();
        Self {
            specialist: text("specialist"),
            reason: text("reason"),
            was_answered: incident.text("answered_by").is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuits::tests::item;
    use crate::page::figures::tests::{batch, datum};

    const POLICY: &str = "specialists = { billing = {}, orders = {} }";

    #[test]
    fn a_run_knows_every_specialist_that_was_heard_of() {
        let batches = vec![batch(vec![datum("Cost", "Specialist=former", &[1.0])])];
        let run = Run::new(Setting::default(), Vec::new(), batches, POLICY, (&[], 0)).unwrap();
        assert_eq!(run.specialists, ["billing", "former", "orders"]);
        assert_eq!(run.budget_lines[0], (80.0, "warn at 80 %".to_owned()));
    }

    #[test]
    fn circuits_are_told_as_they_are_at_the_end() {
        let open = [("state", "open"), ("reason", "throttled"), ("forced", "closed")];
        let items = [item("orders", &open, &[("open_until_ms", 9_000)])];
        let run = Run::new(Setting::default(), Vec::new(), Vec::new(), POLICY, (&items, 4_000));
        let circuits = run.unwrap().circuits;
        assert_eq!((&*circuits[0].state, circuits[0].is_plainly_closed), ("closed", true));
        let state = "open for another 5 s (throttled), forced closed";
        assert_eq!((&*circuits[1].state, circuits[1].is_plainly_closed), (state, false));
    }

    #[test]
    fn budgets_are_compared_with_the_limits_of_the_policy() {
        let policy = format!("{POLICY}\n[session]\nwarn_at = 0.5\n");
        let run = Run::new(Setting::default(), Vec::new(), Vec::new(), &policy, (&[], 0));
        let percents: Vec<f64> =
            run.unwrap().budget_lines.into_iter().map(|(percent, _)| percent).collect();
        assert_eq!(percents, [50.0, 90.0]);
    }
}
