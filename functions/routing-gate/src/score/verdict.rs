//! Whether a score is good enough.

use std::fmt;

use router_core::units::Share;

use super::Score;

/// What a score must reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// The accuracy, at least.
    pub min_accuracy: Share,
    /// The lower bound of the accuracy at 95 % confidence, at least.
    pub min_lower_bound: Share,
    /// The recall of every class, at least.
    pub min_recall: Share,
    /// The 95th percentile of the time to a decision is below so many milliseconds.
    pub p95_below_ms: u64,
    /// With more requests without a decision than this share of all, there is no verdict.
    pub max_undecided: Share,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            min_accuracy: Share(900_000),
            min_lower_bound: Share(850_000),
            min_recall: Share(750_000),
            p95_below_ms: 2_000,
            max_undecided: Share(50_000),
        }
    }
}

/// Whether a score is good enough.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It keeps every rule.
    Passed,
    /// It breaks these rules.
    Failed(Vec<Failure>),
    /// It says nothing about the supervisor, whether it breaks rules or not.
    Inconclusive {
        /// Why not.
        doubt: Doubt,
        /// The rules that it breaks all the same.
        failures: Vec<Failure>,
    },
}

/// Why there is no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// There were no requests.
    NoRequests,
    /// Too many requests got no decision.
    Undecided {
        /// How many.
        undecided: u64,
        /// Of how many.
        requests: u64,
        /// What is allowed.
        allowed: Share,
    },
}

/// A rule that a score breaks, with what was found and what is allowed.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// [`Thresholds::min_accuracy`].
    Accuracy {
        /// Requests that went where they belong.
        right: u64,
        /// All requests.
        requests: u64,
        /// What is allowed.
        allowed: Share,
    },
    /// [`Thresholds::min_lower_bound`].
    LowerBound {
        /// The bound.
        found: f64,
        /// How many requests it would take at the accuracy found, if any number would do.
        needed: Option<u64>,
        /// What is allowed.
        allowed: Share,
    },
    /// [`Thresholds::min_recall`].
    Recall {
        /// The class.
        specialist: String,
        /// How many of its requests it got.
        right: u64,
        /// How many there are.
        cases: u64,
        /// What is allowed.
        allowed: Share,
    },
    /// [`Thresholds::p95_below_ms`].
    Latency {
        /// The 95th percentile in milliseconds.
        found_ms: u64,
        /// What it must be below.
        below_ms: u64,
    },
}

/// Judges a score. Every rule that it breaks is named.
pub fn verdict(score: &Score, thresholds: &Thresholds) -> Verdict {
    if score.requests == 0 {
        return Verdict::Inconclusive { doubt: Doubt::NoRequests, failures: Vec::new() };
    }
    let failures = failures(score, thresholds);
    let Score { requests, undecided, .. } = *score;
    let allowed = thresholds.max_undecided;
    // At most this share without a decision is at least the rest with one.
    let decided = Share(1_000_000_u32.saturating_sub(allowed.0));
    if requests - undecided < decided.of(requests) {
        let doubt = Doubt::Undecided { undecided, requests, allowed };
        return Verdict::Inconclusive { doubt, failures };
    }
    if failures.is_empty() { Verdict::Passed } else { Verdict::Failed(failures) }
}

fn failures(score: &Score, thresholds: &Thresholds) -> Vec<Failure> {
    let mut failures = Vec::new();
    let Score { requests, right, .. } = *score;
    let allowed = thresholds.min_accuracy;
    if right < allowed.of(requests) {
        failures.push(Failure::Accuracy { right, requests, allowed });
    }
    let allowed = thresholds.min_lower_bound;
    let found = score.lower_bound();
    if found < as_float(allowed) {
        let needed = score.requests_needed(allowed);
        failures.push(Failure::LowerBound { found, needed, allowed });
    }
    let allowed = thresholds.min_recall;
    let too_low = score.classes().filter(|class| class.right < allowed.of(class.cases));
    failures.extend(too_low.map(|class| Failure::Recall {
        specialist: class.specialist.to_owned(),
        right: class.right,
        cases: class.cases,
        allowed,
    }));
    let below_ms = thresholds.p95_below_ms;
    if let Some(found_ms) = score.p95_ms.filter(|&found| found >= below_ms) {
        failures.push(Failure::Latency { found_ms, below_ms });
    }
    failures
}

fn as_float(share: Share) -> f64 {
    f64::from(share.0) / 1_000_000.0
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoRequests => f.write_str("found no requests, at least 1 is needed"),
            Self::Undecided { undecided, requests, allowed } => write!(
                f,
                "{undecided} of {requests} requests got no decision, a share of at most {} is allowed",
                as_float(allowed)
            ),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accuracy { right, requests, allowed } => write!(
                f,
                "{right} of {requests} requests went where they belong, a share of at least {} is allowed",
                as_float(*allowed)
            ),
            Self::LowerBound { found, needed, allowed } => {
                let allowed = as_float(*allowed);
                write!(
                    f,
                    "the accuracy's lower bound is {found:.6}, at least {allowed} is allowed, "
                )?;
                match needed {
                    Some(needed) => write!(f, "which takes {needed} requests at this accuracy"),
                    None => f.write_str("which no number of requests reaches at this accuracy"),
                }
            }
            Self::Recall { specialist, right, cases, allowed } => write!(
                f,
                "`{specialist}` got {right} of its {cases} requests, a share of at least {} is allowed",
                as_float(*allowed)
            ),
            Self::Latency { found_ms, below_ms } => write!(
                f,
                "the 95th percentile of decisions is {found_ms} ms, less than {below_ms} ms is allowed"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
