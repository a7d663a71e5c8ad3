//! Adding up what an answer tells of the tokens it used.
//!
//! An agent may report it three times over: once for the whole call, once with each event of a
//! model, once in each message. Each way is added up for itself, and the largest counts. An
//! answer's usage is known if one of the ways reported all of it, and no other way reports more.

use std::collections::BTreeMap;

use router_core::charge::Usage;
use router_core::units::TokenUse;

use super::usage::Told;

/// What was reported so far.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// Of the whole call, which only grows: the last report is the largest.
    total: Told,
    /// By the events of the model.
    events: Calls,
    /// By complete messages.
    messages: Calls,
}

impl Meter {
    /// What the whole call used.
    pub(super) fn total(&mut self, told: Told) {
        self.total = self.total.or(told);
    }

    /// A model call begins, which will tell what it used.
    pub(super) fn call_begins(&mut self) {
        self.events.begun += 1;
    }

    /// About how many bytes are kept.
    pub(super) fn len(&self) -> usize {
        self.events.len() + self.messages.len()
    }

    /// How many model calls have begun.
    pub(super) fn begun(&self) -> usize {
        self.events.begun
    }

    /// A model call used this. A name, where it has one, tells it from other calls: a second report
    /// of the same call has grown.
    pub(super) fn call(&mut self, name: Option<&str>, told: Told) {
        self.events.entry(name, |before| before.grown_to(told));
    }

    /// A piece of a message used this, beside what its other pieces used.
    pub(super) fn piece(&mut self, name: Option<&str>, told: Told) {
        self.events.entry(Some(name.unwrap_or_default()), |before| match (before, told) {
            (before, Told::Nothing) => before,
            (Told::Nothing, told) => told,
            (Told::All(_), _) | (_, Told::All(_)) => Told::All(before.used().plus(told.used())),
            _ => before.plus(told),
        });
    }

    /// A message's model call used this.
    pub(super) fn message(&mut self, name: Option<&str>, told: Told) {
        self.messages.entry(name, |before| before.grown_to(told));
    }

    /// The least that was used.
    pub(super) fn used(&self) -> TokenUse {
        self.best().used()
    }

    /// Of an answer that ended in order.
    pub(super) fn usage(&self) -> Usage {
        match self.best() {
            Told::All(used) => Usage::Reported(used),
            least => Usage::AtLeast(least.used()),
        }
    }

    fn best(&self) -> Told {
        let ways = [self.total, self.events.told(), self.messages.told()];
        let surest = ways.into_iter().fold(Told::Nothing, Told::or);
        let largest =
            ways.map(|way| way.one_of_several()).into_iter().fold(Told::Nothing, Told::or);
        if largest.used().total() > surest.used().total() { largest } else { surest }
    }
}

/// What was reported of model calls one by one.
#[derive(Debug, Default)]
struct Calls {
    /// How many have begun, where the stream says so.
    begun: usize,
    by_name: BTreeMap<String, Told>,
    /// The bytes of all names.
    name_bytes: usize,
}

impl Calls {
    fn entry(&mut self, name: Option<&str>, change: impl FnOnce(Told) -> Told) {
        let name = name.map_or_else(|| format!("call {}", self.by_name.len()), str::to_owned);
        let length = name.len();
        let told = self.by_name.entry(name).or_insert_with(|| {
            self.name_bytes += length;
            Told::default()
        });
        *told = change(*told);
    }

    fn len(&self) -> usize {
        self.name_bytes + self.by_name.len() * size_of::<(String, Told)>()
    }

    /// All of it, if every call that is known reported all of it.
    fn told(&self) -> Told {
        let sum = self.by_name.values().copied().reduce(Told::plus).unwrap_or_default();
        if self.begun > self.by_name.len() { sum.one_of_several() } else { sum }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: u64, output: u64) -> Told {
        Told::All(TokenUse::new(input, output))
    }

    fn reported(input: u64, output: u64) -> Usage {
        Usage::Reported(TokenUse::new(input, output))
    }

    fn at_least(input: u64, output: u64) -> Usage {
        Usage::AtLeast(TokenUse::new(input, output))
    }

    #[test]
    fn model_calls_are_summed_and_a_total_is_taken_once() {
        let mut meter = Meter::default();
        assert_eq!(meter.usage(), Usage::UNKNOWN);
        meter.call(None, all(3, 1));
        meter.call(None, all(4, 2));
        assert_eq!(meter.usage(), reported(7, 3));
        meter.total(all(3, 1));
        meter.total(all(7, 3));
        meter.message(None, all(4, 2));
        assert_eq!(meter.usage(), reported(7, 3));
    }

    #[test]
    fn the_same_call_told_again_is_one_call() {
        let mut meter = Meter::default();
        meter.call(Some("a"), all(3, 1));
        meter.call(Some("a"), all(3, 5));
        meter.piece(Some("b"), all(4, 0));
        meter.piece(Some("b"), all(0, 2));
        meter.message(Some("b"), all(4, 2));
        meter.message(Some("b"), all(4, 2));
        assert_eq!(meter.usage(), reported(7, 7));
    }

    #[test]
    fn a_call_that_told_nothing_makes_the_usage_unknown() {
        let mut meter = Meter::default();
        meter.call_begins();
        meter.call(None, all(3, 1));
        meter.call_begins();
        assert_eq!(meter.usage(), at_least(3, 1));
        meter.call(None, Told::Nothing);
        assert_eq!(meter.usage(), at_least(3, 1));
        meter.total(all(9, 9));
        assert_eq!(meter.usage(), reported(9, 9), "the agent's own total is all");
    }

    #[test]
    fn what_one_way_tells_of_a_part_is_not_less_than_what_another_tells_of_all() {
        let mut meter = Meter::default();
        meter.total(all(3, 1));
        meter.call_begins();
        meter.call(None, all(30, 10));
        meter.call_begins();
        assert_eq!(meter.usage(), at_least(30, 10));
    }
}
