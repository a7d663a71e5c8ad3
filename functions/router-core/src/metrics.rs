//! The port to CloudWatch, and what is published there.
//!
//! [`crate::views::metrics`] makes the data of a request from its journal.

use std::borrow::Cow;
use std::future::Future;
use std::time::Duration;

use crate::policy::Policy;
use crate::units::Timestamp;

/// A unit of CloudWatch's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A count.
    Count,
    /// Milliseconds.
    Milliseconds,
    /// Percent.
    Percent,
    /// A number without a unit.
    None,
}

impl Unit {
    /// CloudWatch's name of the unit.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Milliseconds => "Milliseconds",
            Self::Percent => "Percent",
            Self::None => "None",
        }
    }
}

/// One value of one metric in one dimension set.
#[derive(Clone, Debug, PartialEq)]
pub struct Datum<'e> {
    /// The metric's name.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// The value.
    pub value: f64,
    /// The dimensions, by name.
    pub dimensions: Vec<(&'static str, Cow<'e, str>)>,
}

/// All that one request tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch<'e> {
    /// The time of the request.
    pub timestamp: Timestamp,
    /// The data.
    pub data: Vec<Datum<'e>>,
}

/// Where metrics go.
pub trait MetricsSink {
    /// Publishes a batch within `within`, or writes it where it will be found. It cannot
    /// fail: no metric is lost, and none delays an answer longer than this.
    fn publish(&self, batch: &Batch<'_>, within: Duration) -> impl Future<Output = ()> + Send;
}

/// The first request of a function's environment, told as Powertools tells it: under the names of
/// the function and its service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColdStart {
    /// The function's name.
    pub function_name: String,
    /// The service that it belongs to.
    pub service: String,
}

/// The class that an intent counts in: itself when the policy knows it, `none` when it was
/// not given, `other` otherwise. A model's inventions must not become paid metrics.
pub fn intent_class(intent: Option<&str>, policy: &Policy) -> String {
    match intent {
        None => "none".to_owned(),
        Some(intent) if policy.knows_intent(intent) => intent.to_owned(),
        Some(_) => "other".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::policy;

    #[test]
    fn intents_are_a_closed_set() {
        let policy = policy();
        assert_eq!(intent_class(Some("delivery"), &policy), "delivery");
        assert_eq!(intent_class(Some("astrology"), &policy), "other");
        assert_eq!(intent_class(None, &policy), "none");
    }
}
