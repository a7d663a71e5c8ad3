//! CloudWatch's rules for `PutMetricData`, as far as a sender can break them.
//!
//! Sources: the API reference of `PutMetricData`, `MetricDatum` and `Dimension`.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use super::wire::{RawBatch, RawDatum};

/// The closed set of `StandardUnit`.
const UNITS: [&str; 27] = [
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
    "None",
];

const MOST_DATA: usize = 1000;
const MOST_DIMENSIONS: usize = 30;
const MOST_VALUES: usize = 150;
const OLDEST: Duration = Duration::from_secs(14 * 24 * 3600);
const NEWEST: Duration = Duration::from_secs(2 * 3600);

/// A broken rule, by the code under which CloudWatch refuses the whole batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Violation {
    /// `MissingParameter`
    Missing(String),
    /// `InvalidParameterValue`
    InvalidValue(String),
    /// `InvalidParameterCombination`
    InvalidCombination(String),
}

impl Violation {
    /// The name of the exception's shape and its code in the Query protocol.
    pub(super) fn names(&self) -> (&'static str, &'static str) {
        match self {
            Self::Missing(_) => ("MissingRequiredParameterException", "MissingParameter"),
            Self::InvalidValue(_) => ("InvalidParameterValueException", "InvalidParameterValue"),
            Self::InvalidCombination(_) => {
                ("InvalidParameterCombinationException", "InvalidParameterCombination")
            }
        }
    }

    pub(super) fn message(&self) -> &str {
        match self {
            Self::Missing(text) | Self::InvalidValue(text) | Self::InvalidCombination(text) => text,
        }
    }
}

/// Checks a whole batch, which CloudWatch takes or refuses as one.
pub(super) fn check(batch: &RawBatch, now: SystemTime) -> Result<(), Violation> {
    let namespace = required(batch.namespace.as_deref(), "Namespace")?;
    name("Namespace", namespace, 255)?;
    if namespace.starts_with("AWS/") {
        return Err(Violation::InvalidValue("the namespace `AWS/` is reserved".to_owned()));
    }
    if batch.data.is_empty() {
        return Err(Violation::Missing("MetricData is empty".to_owned()));
    }
    if batch.data.len() > MOST_DATA {
        let found = batch.data.len();
        return invalid(format!("MetricData has {found} members, at most {MOST_DATA} are allowed"));
    }
    batch.data.iter().try_for_each(|datum| check_datum(datum, now))
}

fn check_datum(datum: &RawDatum, now: SystemTime) -> Result<(), Violation> {
    let metric = required(datum.name.as_deref(), "MetricName")?;
    name("MetricName", metric, 255)?;
    if let Some(unit) = &datum.unit
        && !UNITS.contains(&unit.as_str())
    {
        return invalid(format!("{metric}: Unit is `{unit}`"));
    }
    check_dimensions(metric, datum)?;
    check_values(metric, datum)?;
    if let Some(timestamp) = datum.timestamp {
        let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let from = since_1970.saturating_sub(OLDEST).as_secs_f64();
        let to = (since_1970 + NEWEST).as_secs_f64();
        if !(from..=to).contains(&timestamp) {
            return invalid(format!("{metric}: Timestamp {timestamp} is too old or too new"));
        }
    }
    Ok(())
}

fn check_dimensions(metric: &str, datum: &RawDatum) -> Result<(), Violation> {
    let found = datum.dimensions.len();
    if found > MOST_DIMENSIONS {
        return invalid(format!("{metric}: {found} Dimensions, at most {MOST_DIMENSIONS}"));
    }
    let mut names = BTreeSet::new();
    for dimension in &datum.dimensions {
        name("Dimension.Name", &dimension.name, 255)?;
        let value = &dimension.value;
        if value.trim().is_empty() || value.len() > 1024 || !value.is_ascii() {
            return invalid(format!("{metric}: the value of `{}` is {value:?}", dimension.name));
        }
        if !names.insert(&dimension.name) {
            return invalid(format!("{metric}: the dimension `{}` comes twice", dimension.name));
        }
    }
    Ok(())
}

fn check_values(metric: &str, datum: &RawDatum) -> Result<(), Violation> {
    match (&datum.value, datum.values.as_slice()) {
        (None, []) => return Err(Violation::Missing(format!("{metric}: Value is missing"))),
        (Some(_), [_, ..]) => {
            let text = format!("{metric}: Value and Values exclude each other");
            return Err(Violation::InvalidCombination(text));
        }
        _ => {}
    }
    if datum.values.len() > MOST_VALUES {
        return invalid(format!("{metric}: more than {MOST_VALUES} Values"));
    }
    if !datum.counts.is_empty() && datum.counts.len() != datum.values.len() {
        return invalid(format!("{metric}: Values and Counts differ in length"));
    }
    let limit = 2f64.powi(360);
    let usable = |value: &f64| value.is_finite() && value.abs() <= limit;
    match datum.value.iter().chain(&datum.values).find(|value| !usable(value)) {
        Some(value) => invalid(format!("{metric}: a value is {value}")),
        None => Ok(()),
    }
}

fn required<'a>(value: Option<&'a str>, parameter: &str) -> Result<&'a str, Violation> {
    value.ok_or_else(|| Violation::Missing(format!("{parameter} is missing")))
}

fn name(parameter: &str, value: &str, most: usize) -> Result<(), Violation> {
    let bad = value.trim().is_empty()
        || value.len() > most
        || value.starts_with(':')
        || !value.is_ascii()
        || value.bytes().any(|byte| byte.is_ascii_control());
    if bad { invalid(format!("{parameter} is {value:?}")) } else { Ok(()) }
}

fn invalid(text: String) -> Result<(), Violation> {
    Err(Violation::InvalidValue(text))
}

#[cfg(test)]
mod tests {
    use super::super::wire::RawDimension;
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn datum() -> RawDatum {
        RawDatum {
            name: Some("Cost".into()),
            dimensions: vec![RawDimension { name: "Specialist".into(), value: "billing".into() }],
            value: Some(1.0),
            unit: Some("Count".into()),
            ..RawDatum::default()
        }
    }

    fn refused(change: impl FnOnce(&mut RawDatum)) -> Violation {
        let mut datum = datum();
        change(&mut datum);
        let batch = RawBatch { namespace: Some("N".into()), data: vec![datum] };
        check(&batch, NOW).unwrap_err()
    }

    #[test]
    fn a_plain_datum_is_taken() {
        let batch = RawBatch { namespace: Some("N".into()), data: vec![datum()] };
        assert_eq!(check(&batch, NOW), Ok(()));
    }

    #[test]
    fn what_cloudwatch_refuses_is_refused() {
        let value = |change: fn(&mut RawDatum)| {
            assert!(matches!(refused(change), Violation::InvalidValue(_)))
        };
        value(|datum| datum.unit = Some("Dollars".into()));
        value(|datum| datum.value = Some(f64::NAN));
        value(|datum| datum.value = Some(f64::INFINITY));
        value(|datum| datum.dimensions[0].value = " ".into());
        value(|datum| datum.dimensions[0].name = String::new());
        value(|datum| datum.dimensions = vec![datum.dimensions[0].clone(); 31]);
        value(|datum| datum.dimensions = vec![datum.dimensions[0].clone(); 2]);
        value(|datum| datum.timestamp = Some(3.0 * 3600.0));
        assert!(matches!(refused(|datum| datum.value = None), Violation::Missing(_)));
        let both = refused(|datum| datum.values = vec![1.0]);
        assert!(matches!(both, Violation::InvalidCombination(_)));
    }

    #[test]
    fn a_batch_needs_a_namespace_of_its_own() {
        for (namespace, missing) in [(None, true), (Some(""), false), (Some("AWS/Lambda"), false)] {
            let batch = RawBatch { namespace: namespace.map(str::to_owned), data: vec![datum()] };
            let violation = check(&batch, NOW).unwrap_err();
            assert_eq!(matches!(violation, Violation::Missing(_)), missing, "{namespace:?}");
        }
    }
}
