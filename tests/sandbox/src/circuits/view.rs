//! What an operator sees of the circuits.
//!
//! Everything fits into 100 columns, but for names that are longer than their column.

use std::io::{self, Write};

use super::circuit::{ALL, Circuit, State};
use super::rules::Policy;
use crate::paint::{Paint, cut, printable, utc};

/// Writes the view.
pub(crate) struct View<'a, W> {
    out: W,
    paint: Paint,
    policy: &'a Policy,
    now_ms: u64,
}

impl<'a, W: Write> View<'a, W> {
    /// A view to `out`, as of a time in milliseconds since 1970.
    pub(crate) fn new(out: W, paint: Paint, policy: &'a Policy, now_ms: u64) -> Self {
        Self { out, paint, policy, now_ms }
    }

    /// A text above what follows.
    pub(crate) fn note(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// All circuits, one a line, and more of those that are not closed.
    pub(crate) fn list(&mut self, circuits: &[Circuit]) -> io::Result<()> {
        let heads = format!(
            "{:<20} {:<32} {:>8}  {:<23}  {}",
            "specialist", "state", "failures", "changed", "forced"
        );
        writeln!(self.out, "{}", self.paint.faint(&heads))?;
        for circuit in circuits {
            self.circuit(circuit)?;
        }
        self.out.flush()
    }

    fn circuit(&mut self, circuit: &Circuit) -> io::Result<()> {
        let forced = match circuit.forced.as_deref() {
            None => "-".to_owned(),
            Some(word) => self.paint.bad(&printable(word)),
        };
        if circuit.specialist == ALL {
            return writeln!(self.out, "{:<89}  {forced}", "* (all specialists)");
        }
        let rules = self.policy.rules(&circuit.specialist);
        let state = circuit.state(self.now_ms);
        let described = format!("{:<32}", state.describe());
        let described = match state {
            State::Closed => self.paint.good(&described),
            State::Open { .. } | State::HalfOpen { .. } | State::Unknown(_) => {
                self.paint.bad(&described)
            }
        };
        let failures = match state {
            State::Closed => {
                let failures = circuit.failures(rules, self.now_ms);
                format!("{failures} of {}", rules.failures)
            }
            State::Open { .. } | State::HalfOpen { .. } | State::Unknown(_) => "-".to_owned(),
        };
        let changed = circuit.changed_ms.map_or("-".to_owned(), |millis| utc(millis / 1_000));
        writeln!(
            self.out,
            "{:<20} {described} {failures:>8}  {changed:<23}  {forced}",
            cut(&printable(&circuit.specialist), 20),
        )?;
        for more in more(circuit, &state, rules.probes) {
            writeln!(self.out, "{}", self.paint.faint(&format!("  {more}")))?;
        }
        Ok(())
    }
}

/// What else there is to know of a circuit that is not closed, in lines.
fn more(circuit: &Circuit, state: &State, probes: u64) -> Vec<String> {
    let mut more = Vec::new();
    if *state != State::Closed {
        more.extend(circuit.reason.iter().map(|why| format!("it opened for: {}", printable(why))));
    }
    if let State::HalfOpen { successes, probe } = state {
        more.push(format!("{successes} of {probes} probes in a row answered"));
        more.extend(probe.iter().map(|(owner, _)| format!("probe of {}", printable(owner))));
    }
    more
}

#[cfg(test)]
mod tests {
    use clap::ColorChoice;

    use super::*;
    use crate::circuits::all;
    use crate::circuits::tests::item;

    /// 2026-11-21 12:00:00 UTC
    const NOON: u64 = 1_795_262_400_000;

    fn printed(items: &[stand_ins::table::Item]) -> String {
        let policy = "specialists = { billing = {}, general = {}, orders = {}, support = {} }";
        let policy = Policy::parse(policy).unwrap();
        let mut out = Vec::new();
        let mut view = View::new(&mut out, Paint::new(ColorChoice::Never), &policy, NOON);
        view.list(&all(items, &policy)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_operator_sees_every_specialist_and_more_of_those_in_trouble() {
        let shown = printed(&[
            item(
                "billing",
                &[("state", "open"), ("reason", "throttled"), ("forced", "closed")],
                &[("open_until_ms", NOON + 12_000), ("changed_at_ms", NOON - 18_000)],
            ),
            item(
                "support",
                &[("state", "half_open"), ("reason", "timeout"), ("probe", "5c1e/0/0")],
                &[
                    ("successes", 2),
                    ("probe_until_ms", NOON + 21_000),
                    ("changed_at_ms", NOON - 400),
                ],
            ),
            item(
                "orders",
                &[("state", "closed"), ("reason", "stream_broken")],
                &[("failures", 3), ("changed_at_ms", NOON - 2_000)],
            ),
            item("*", &[("forced", "open")], &[]),
        ]);
        assert_eq!(shown, include_str!("view.txt"), "{shown}");
    }

    #[test]
    fn everything_fits_into_100_columns() {
        let name = "s".repeat(40);
        let shown = printed(&[item(
            &name,
            &[
                ("state", "half_open"),
                ("reason", "stream_broken"),
                ("probe", "11111111-2222-4333-8444-555555555555"),
                ("forced", "closed"),
            ],
            &[("probe_until_ms", NOON + 800_000), ("changed_at_ms", NOON), ("successes", 2)],
        )]);
        assert!(shown.contains("probe out for 13 min"), "{shown}");
        for line in shown.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}
