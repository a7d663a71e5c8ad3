//! The faults of `--fail`: which events they touch, and what came of it.
//!
//! Nobody has said what an event is to come to under faults. So where a fault can touch it, an
//! event is held to the rules for every reply only. It can where the specialist was asked, or was
//! to be asked: its circuit may have opened before.

use std::collections::BTreeMap;
use std::time::Duration;

use stand_ins::agents::{Fault, Injection};
use stand_ins::events::{self, Case, Expectation, Played};
use stand_ins::lambda::Outcome;
use stand_ins::{Options, SandboxError};

/// The faults of a run and what they have done so far.
#[derive(Clone, Debug)]
pub(crate) struct Injected {
    faults: Vec<Injection>,
    attempts: BTreeMap<String, Attempts>,
    statuses: BTreeMap<String, usize>,
}

/// A specialist's attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attempts {
    /// All of them.
    pub(crate) all: usize,
    /// Those that the fault struck.
    pub(crate) faulted: usize,
}

/// What nobody minds to wait for.
const SHORT: Duration = Duration::from_secs(5);

impl Injected {
    /// The faults among the options; mistakes are found before anything is built.
    pub(crate) fn new(options: &Options) -> Result<Self, SandboxError> {
        let script = options.check()?;
        let faults = match &options.fail {
            Some(text) => Injection::parse_list(text, &script)?,
            None => Vec::new(),
        };
        Ok(Self { faults, attempts: BTreeMap::new(), statuses: BTreeMap::new() })
    }

    /// The faults, each with the attempts of its specialist.
    pub(crate) fn faults(&self) -> impl Iterator<Item = (&Injection, Attempts)> {
        self.faults
            .iter()
            .map(|fault| (fault, self.attempts.get(&fault.specialist).copied().unwrap_or_default()))
    }

    /// How many events ended with each status.
    pub(crate) fn statuses(&self) -> &BTreeMap<String, usize> {
        &self.statuses
    }

    /// What somebody should know who waits for a run with a function of this timeout.
    pub(crate) fn warning(&self, timeout: Duration) -> Option<&'static str> {
        let waits = |fault: &Injection| match fault.fault {
            Fault::Slow(time) => time > SHORT,
            Fault::Hang | Fault::HangInStream | Fault::Drip(_) => true,
            Fault::Before(_)
            | Fault::InStream(_)
            | Fault::Close
            | Fault::Reset
            | Fault::CloseInStream
            | Fault::BadChecksum
            | Fault::Empty
            | Fault::UnknownEvent
            | Fault::SoftFailure
            | Fault::Guardrail
            | Fault::Masked
            | Fault::ReturnControl
            | Fault::Stop(_) => false,
        };
        let long = timeout > SHORT && self.faults.iter().any(waits);
        long.then_some(
            "Attempts that hang or are slow take their time. With `--timeout 4` an event has 4 s \
             in all,\nand each attempt its share of them.\n",
        )
    }

    /// Takes note of an event.
    pub(crate) fn count(&mut self, case: &Case, played: &Played) {
        for call in &played.calls {
            let attempts = self.attempts.entry(call.specialist.clone()).or_default();
            attempts.all += 1;
            attempts.faulted += usize::from(call.injected.is_some());
        }
        let body = events::body(case, played);
        let status = body.as_ref().and_then(|body| body["status"].as_str());
        let status = match (&played.invocation.outcome, status) {
            (Outcome::Response(_), Some(status)) => status,
            (Outcome::Response(_), None) => "without a status",
            (Outcome::FunctionError(_), _) => "ended in an error",
            (Outcome::TimedOut, _) => "timed out",
        };
        *self.statuses.entry(status.to_owned()).or_default() += 1;
    }

    /// The case by which the event is judged.
    pub(crate) fn judged(&self, case: &Case, played: &Played) -> Case {
        let mut judged = case.clone();
        if self.touches(case, played) {
            judged.expectation = None;
        }
        judged
    }

    fn touches(&self, case: &Case, played: &Played) -> bool {
        let fails = |name: &str| self.faults.iter().any(|fault| fault.specialist == name);
        let called = || played.calls.iter().any(|call| fails(&call.specialist));
        match &case.expectation {
            // What must call no specialist is not touched by their faults, also where it does.
            Some(Expectation { calls: Some(calls), .. }) => {
                !calls.is_empty() && (calls.iter().any(|name| fails(name)) || called())
            }
            Some(Expectation { error: Some(_), .. }) => called(),
            // It does not say who is asked.
            Some(_) | None => !self.faults.is_empty(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use bytes::Bytes;
    use stand_ins::agents::{Call, Ending};
    use stand_ins::events::Charged;
    use stand_ins::lambda::Invocation;

    use super::*;

    pub(crate) fn injected(text: &str) -> Injected {
        Injected::new(&Options { fail: Some(text.to_owned()), ..Options::default() }).unwrap()
    }

    fn case(name: &str) -> Case {
        events::load(&events::folder().join(name).with_extension("json")).unwrap()
    }

    /// An event for which these were asked, the first of them under a fault.
    pub(crate) fn played(called: &[&str]) -> Played {
        let call = |(index, specialist): (usize, &&str)| Call {
            specialist: (*specialist).to_owned(),
            agent: "A/B".to_owned(),
            region: None,
            session_id: "s".to_owned(),
            input_text: String::new(),
            session_attributes: BTreeMap::new(),
            enable_trace: true,
            trace_parent: None,
            baggage: None,
            body: serde_json::Value::Null,
            injected: (index == 0).then_some(Fault::Hang),
            ending: Ending::Played,
            began: Duration::ZERO,
            took: None,
        };
        Played {
            invocation: Invocation {
                request_id: "id".to_owned(),
                outcome: Outcome::Response(Bytes::from_static(b"{}")),
                duration: Duration::ZERO,
            },
            calls: called.iter().enumerate().map(call).collect(),
            batches: Vec::new(),
            charged: Charged::default(),
            refusals: Vec::new(),
            lines: Vec::new(),
        }
    }

    #[test]
    fn an_event_is_judged_as_usual_where_no_fault_can_touch_it() {
        let is_judged = |faults: &str, name: &str, called: &[&str]| {
            injected(faults).judged(&case(name), &played(called)).expectation.is_some()
        };
        assert!(is_judged("billing=hang", "orders", &["orders"]));
        assert!(is_judged("billing=hang", "identity-not-verified", &[]));
        assert!(!is_judged("billing=hang:0", "billing", &[]), "its circuit may be open");
        assert!(!is_judged("general=hang", "orders", &["orders", "general"]));
        assert!(is_judged("billing=hang", "identity-not-verified", &["billing"]), "a wrong call");
        let mut no_form = case("missing-argument");
        no_form.expectation =
            serde_json::from_str(r#"{ "about": "no form", "error": "UnknownEventForm" }"#).unwrap();
        let judged = injected("*=hang").judged(&no_form, &played(&[]));
        assert_eq!(judged.expectation, no_form.expectation);
    }

    #[test]
    fn attempts_and_statuses_are_counted() {
        let mut injected = injected("orders=hang,billing=empty");
        for called in [&["orders", "general"][..], &["orders", "orders"], &[]] {
            injected.count(&case("orders"), &played(called));
        }
        let counted: Vec<(&str, Attempts)> =
            injected.faults().map(|(fault, attempts)| (&*fault.specialist, attempts)).collect();
        let orders = Attempts { all: 3, faulted: 2 };
        assert_eq!(counted, [("billing", Attempts::default()), ("orders", orders)]);
        assert_eq!(injected.statuses(), &[("without a status".to_owned(), 3)].into());
    }

    #[test]
    fn whoever_would_wait_for_long_is_told_how_not_to() {
        let usual = Duration::from_secs(30);
        assert!(injected("orders=hang").warning(usual).is_some());
        assert!(injected("orders=hang").warning(Duration::from_secs(4)).is_none());
        assert!(injected("orders=slow").warning(usual).is_some());
        assert!(injected("orders=throttle,billing=slow=1s").warning(usual).is_none());
    }

    #[test]
    fn mistakes_are_found_before_anything_is_built() {
        let options = Options { fail: Some("orders=explode".to_owned()), ..Options::default() };
        assert!(matches!(Injected::new(&options), Err(SandboxError::Fail(_))));
    }
}
