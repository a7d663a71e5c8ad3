//! How a run went, in numbers of events.

use crate::paint::counted;

/// How many events went how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// As their expectations say.
    pub(crate) right: usize,
    /// Not so, or against the rules for every reply.
    pub(crate) wrong: usize,
    /// By the rules for every reply, without an expectation to compare them with.
    pub(crate) unjudged: usize,
}

impl Tally {
    /// Counts one event.
    pub(crate) fn add(&mut self, has_expectation: bool, has_mismatches: bool) {
        match (has_mismatches, has_expectation) {
            (true, _) => self.wrong += 1,
            (false, true) => self.right += 1,
            (false, false) => self.unjudged += 1,
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { right, wrong, unjudged } = *self;
        let judged = right + wrong;
        if judged > 0 {
            write!(f, "{right} of {} as expected", counted(judged, "event"))?;
        }
        if judged > 0 && unjudged > 0 {
            f.write_str("; ")?;
        }
        if unjudged > 0 {
            let events = counted(unjudged, "event");
            write!(f, "{events} with a valid reply, not compared with an expectation")?;
        }
        Ok(())
    }
}
