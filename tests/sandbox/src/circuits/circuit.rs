//! A specialist's circuit as its item has it.

use stand_ins::table::Item;

use crate::item::{number, text};
use crate::paint::{printable, span};

/// The specialist that stands for all of them.
pub(crate) const ALL: &str = "*";

/// A circuit. One without an item is [`Circuit::closed`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Circuit {
    /// The specialist, or [`ALL`].
    pub(crate) specialist: String,
    /// Why it opened last.
    pub(crate) reason: Option<String>,
    /// What an operator has set, which goes before its state.
    pub(crate) forced: Option<String>,
    stored: Stored,
}

/// The state that the item has, which time may have passed by.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stored {
    Closed,
    Open { until_ms: u64 },
    HalfOpen { successes: u64, probe: Option<(String, u64)> },
    Unknown(String),
}

/// The state at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Requests pass.
    Closed,
    /// No request passes for so many seconds, rounded up.
    Open {
        /// 1 or more.
        seconds: u64,
    },
    /// One request at a time passes, to see whether the specialist is back.
    HalfOpen {
        /// Successes in a row.
        successes: u64,
        /// Who has made it, and for how many seconds its place is taken.
        probe: Option<(String, u64)>,
    },
    /// A state that nobody here knows.
    Unknown(String),
}

impl Circuit {
    /// Reads an item; `None` where it is no circuit.
    pub(crate) fn parse(item: &Item) -> Option<Self> {
        let specialist = text(item, "pk")?.strip_prefix("CIRCUIT#")?;
        if text(item, "sk") != Some("STATE") {
            return None;
        }
        let amount = |name: &str| number(item, name).unwrap_or(0);
        let owned = |name: &str| text(item, name).map(str::to_owned);
        let stored = match text(item, "state") {
            // An operator may have set something before there was a state.
            None | Some("closed") => Stored::Closed,
            Some("open") => Stored::Open { until_ms: amount("open_until_ms") },
            Some("half_open") => Stored::HalfOpen {
                successes: amount("successes"),
                probe: owned("probe").map(|owner| (owner, amount("probe_until_ms"))),
            },
            Some(other) => Stored::Unknown(other.to_owned()),
        };
        Some(Self {
            specialist: specialist.to_owned(),
            reason: owned("reason"),
            forced: owned("forced"),
            stored,
        })
    }

    /// The circuit of a specialist that has no item.
    pub(crate) fn closed(specialist: &str) -> Self {
        Self {
            specialist: specialist.to_owned(),
            reason: None,
            forced: None,
            stored: Stored::Closed,
        }
    }

    /// The state at a time, whatever an operator says.
    pub(crate) fn state(&self, now_ms: u64) -> State {
        let left = |until_ms: u64| until_ms.saturating_sub(now_ms).div_ceil(1_000);
        match &self.stored {
            Stored::Closed => State::Closed,
            Stored::Open { until_ms } if left(*until_ms) > 0 => {
                State::Open { seconds: left(*until_ms) }
            }
            Stored::Open { .. } => State::HalfOpen { successes: 0, probe: None },
            Stored::HalfOpen { successes, probe } => {
                let out = probe.as_ref().map(|(owner, until_ms)| (owner.clone(), left(*until_ms)));
                State::HalfOpen {
                    successes: *successes,
                    probe: out.filter(|(_, seconds)| *seconds > 0),
                }
            }
            Stored::Unknown(state) => State::Unknown(state.clone()),
        }
    }

    /// Whether requests pass as if there were no circuit.
    pub(crate) fn is_plainly_closed(&self, now_ms: u64) -> bool {
        self.forced.is_none() && self.state(now_ms) == State::Closed
    }
}

impl State {
    /// `open for another 12 s`
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Closed => "closed".to_owned(),
            Self::Open { seconds } => format!("open for another {}", span(*seconds)),
            Self::HalfOpen { probe: None, successes: 0 } => "half open, no probe yet".to_owned(),
            Self::HalfOpen { probe: None, .. } => "half open, no probe out".to_owned(),
            Self::HalfOpen { probe: Some((_, seconds)), .. } => {
                format!("half open, probe out for {}", span(*seconds))
            }
            Self::Unknown(state) => format!("`{}`, which is no state", printable(state)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuits::tests::item;

    const NOW: u64 = 1_795_262_400_000;

    fn circuit(texts: &[(&str, &str)], numbers: &[(&str, u64)]) -> Circuit {
        Circuit::parse(&item("billing", texts, numbers)).unwrap()
    }

    #[test]
    fn an_open_circuit_admits_a_probe_when_its_time_has_passed() {
        let open = circuit(&[("state", "open")], &[("open_until_ms", NOW)]);
        assert_eq!(open.state(NOW - 1_001), State::Open { seconds: 2 });
        assert_eq!(open.state(NOW - 1), State::Open { seconds: 1 });
        assert_eq!(open.state(NOW).describe(), "half open, no probe yet");
    }

    #[test]
    fn the_place_of_a_lost_probe_is_free_again() {
        let texts = [("state", "half_open"), ("probe", "r1")];
        let half_open = circuit(&texts, &[("successes", 1), ("probe_until_ms", NOW)]);
        let out = State::HalfOpen { successes: 1, probe: Some(("r1".to_owned(), 3)) };
        assert_eq!(half_open.state(NOW - 2_500), out);
        assert_eq!(out.describe(), "half open, probe out for 3 s");
        assert_eq!(half_open.state(NOW).describe(), "half open, no probe out");
    }

    #[test]
    fn an_item_that_only_an_operator_wrote_is_a_closed_circuit_that_is_forced() {
        let forced = circuit(&[("forced", "open")], &[]);
        assert_eq!(forced.state(NOW), State::Closed);
        assert!(!forced.is_plainly_closed(NOW));
        assert!(circuit(&[], &[]).is_plainly_closed(NOW));
    }

    #[test]
    fn what_is_no_circuit_is_left_out() {
        let mut other = item("billing", &[], &[]);
        other.insert("sk".to_owned(), stand_ins::table::AttributeValue::S("DAY#1".into()));
        assert_eq!(Circuit::parse(&other), None);
        let odd = circuit(&[("state", "ajar\n")], &[]);
        assert_eq!(odd.state(NOW).describe(), "`ajar\u{fffd}`, which is no state");
    }
}
