//! How well requests were routed.
//!
//! A [`Score`] is a pure function of what happened to each request. Shares are compared by counting, not
//! by dividing; a float is only what statistics need ([`Score::lower_bound`]).

mod verdict;
mod wilson;

use std::collections::BTreeMap;

use router_core::units::{MicroUsd, Share, Tokens};

pub use verdict::{Doubt, Failure, Thresholds, Verdict, verdict};

/// What happened to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The number of its case: the line in the file.
    pub case: usize,
    /// The specialist that its label names.
    pub expected: String,
    /// Whom the supervisor chose.
    pub chosen: Chosen,
    /// Milliseconds until the decision, or until there was none.
    pub latency_ms: u64,
    /// All tokens that it used.
    pub tokens: Tokens,
    /// What it cost.
    pub cost: MicroUsd,
}

/// Whom a supervisor chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// The specialist of this name.
    Specialist(String),
    /// It decided to ask none.
    Nobody,
    /// It came to no decision: it was throttled, or it failed.
    NoDecision,
}

/// How often a class was chosen for another: expected, then chosen. `None` is where no specialist was
/// chosen, whatever the reason.
pub type Confusion = BTreeMap<String, BTreeMap<Option<String>, u64>>;

/// How well requests were routed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// All requests.
    pub requests: u64,
    /// Those for which the expected specialist was chosen.
    pub right: u64,
    /// Those without a decision. They are misrouted too.
    pub undecided: u64,
    /// How often which specialist was chosen for which.
    pub confusion: Confusion,
    /// The numbers of the cases that were misrouted, ascending.
    pub misrouted: Vec<usize>,
    /// The median time to a decision in milliseconds, if there was any decision.
    pub p50_ms: Option<u64>,
    /// The time in milliseconds in which 95 % of the decisions came, if there was any.
    pub p95_ms: Option<u64>,
    /// All tokens.
    pub tokens: Tokens,
    /// All costs.
    pub cost: MicroUsd,
}

/// The requests of one specialist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class<'s> {
    /// The specialist that they belong to.
    pub specialist: &'s str,
    /// How many there are; never 0.
    pub cases: u64,
    /// How many it got.
    pub right: u64,
}

impl Class<'_> {
    /// The share of its requests that the specialist got.
    pub fn recall(&self) -> f64 {
        self.right as f64 / self.cases as f64
    }
}

impl Score {
    /// The score of these requests.
    pub fn of(outcomes: &[Outcome]) -> Self {
        let mut score = Self::default();
        let mut latencies = Vec::new();
        for outcome in outcomes {
            score.add(outcome);
            // A request that is refused at once must not make decisions look fast.
            if outcome.chosen != Chosen::NoDecision {
                latencies.push(outcome.latency_ms);
            }
        }
        score.misrouted.sort_unstable();
        latencies.sort_unstable();
        score.p50_ms = nearest_rank(&latencies, Share(500_000));
        score.p95_ms = nearest_rank(&latencies, Share(950_000));
        score
    }

    fn add(&mut self, outcome: &Outcome) {
        let chosen = match &outcome.chosen {
            Chosen::Specialist(name) => Some(name.clone()),
            Chosen::Nobody | Chosen::NoDecision => None,
        };
        self.requests += 1;
        self.undecided += u64::from(outcome.chosen == Chosen::NoDecision);
        if chosen.as_ref() == Some(&outcome.expected) {
            self.right += 1;
        } else {
            self.misrouted.push(outcome.case);
        }
        let row = self.confusion.entry(outcome.expected.clone()).or_default();
        *row.entry(chosen).or_default() += 1;
        self.tokens = self.tokens.plus(outcome.tokens);
        self.cost = MicroUsd(self.cost.0.saturating_add(outcome.cost.0));
    }

    /// The share of requests that went where they belong; `None` without requests.
    pub fn accuracy(&self) -> Option<f64> {
        (self.requests > 0).then(|| self.right as f64 / self.requests as f64)
    }

    /// The lower bound of the accuracy at 95 % confidence (Wilson's score interval); 0 without requests.
    pub fn lower_bound(&self) -> f64 {
        wilson::lower_bound(self.right, self.requests)
    }

    /// How many requests it takes, at the accuracy found, until the lower bound is at least `claim`.
    /// `None`: no number would do, since the accuracy found is not above the claim.
    pub fn requests_needed(&self, claim: Share) -> Option<u64> {
        wilson::requests_needed(self.right, self.requests, claim)
    }

    /// Each specialist that has a case, by name.
    pub fn classes(&self) -> impl Iterator<Item = Class<'_>> {
        self.confusion.iter().map(|(specialist, row)| {
            let right = row.get(&Some(specialist.clone())).copied().unwrap_or_default();
            Class { specialist, cases: row.values().sum(), right }
        })
    }

    /// The class with the lowest recall, the first by name of several; `None` without requests.
    pub fn worst_class(&self) -> Option<Class<'_>> {
        let product = |right: u64, cases: u64| u128::from(right) * u128::from(cases);
        self.classes().reduce(|worst, class| {
            let is_worse = product(class.right, worst.cases) < product(worst.right, class.cases);
            if is_worse { class } else { worst }
        })
    }
}

/// The smallest value that is at least as large as this share of all. `sorted` ascends.
fn nearest_rank(sorted: &[u64], share: Share) -> Option<u64> {
    let rank = usize::try_from(share.of(sorted.len() as u64)).ok()?;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests;
