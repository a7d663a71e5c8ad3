//! Which UTC days a command looks at.

use std::time::Duration;

use router_core::units::Timestamp;
use stand_ins::print::parse_utc;

const DAY: Duration = Duration::from_secs(86_400);

/// How many days before today still have items.
const KEPT_DAYS: u32 = 90;

/// The days that are looked at at most.
const MAX_DAYS: u32 = 366;

/// Some days.
#[derive(Debug, clap::Args)]
pub(crate) struct Days {
    /// The last UTC day to look at: 2026-11-21, today or yesterday
    #[arg(long, value_name = "DATE", default_value = "today", value_parser = Date::parse)]
    date: Date,

    /// How many days, that one included
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=90))]
    days: u16,
}

/// The days from one to another.
#[derive(Debug, clap::Args)]
pub(crate) struct Span {
    /// The first UTC day to look at: 2026-11-21, today or yesterday [default: the first of the 90
    /// that are kept]
    #[arg(long, value_name = "DATE", value_parser = Date::parse)]
    since: Option<Date>,

    /// The last UTC day to look at
    #[arg(long, value_name = "DATE", default_value = "today", value_parser = Date::parse)]
    until: Date,
}

/// Days that cannot be looked at, and what is allowed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SpanError {
    #[error("`--since` is {since}, after `--until`, which is {until}: it must not be later")]
    Backwards { since: String, until: String },
    #[error(
        "`--since` is {0}: it must not be over a year before `--until`, as items are kept for 90 days"
    )]
    TooLong(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Date {
    Today,
    Yesterday,
    Day(String),
}

impl Date {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "today" => Ok(Self::Today),
            "yesterday" => Ok(Self::Yesterday),
            date if start_of(date).is_some() => Ok(Self::Day(date.to_owned())),
            _ => Err("allowed are a date such as 2026-11-21, `today` and `yesterday`".to_owned()),
        }
    }

    /// A moment of that day.
    fn on(&self, now: Timestamp) -> Timestamp {
        match self {
            Self::Today => now,
            Self::Yesterday => before(now, 1),
            Self::Day(date) => start_of(date).unwrap_or(now),
        }
    }
}

impl Span {
    /// The days, the first one first.
    pub(crate) fn dates(&self, now: Timestamp) -> Result<Vec<String>, SpanError> {
        let until = self.until.on(now);
        let since = self.since.as_ref().map_or_else(|| before(now, KEPT_DAYS), |date| date.on(now));
        let (first, last) = (since.date(), until.date());
        if self.since.is_some() && first > last {
            return Err(SpanError::Backwards { since: first, until: last });
        }
        let days = (0..=MAX_DAYS).map(|days| before(until, days).date());
        let mut days: Vec<String> = days.take_while(|date| *date >= first).collect();
        if days.len() > MAX_DAYS as usize {
            return Err(SpanError::TooLong(first));
        }
        days.reverse();
        Ok(days)
    }
}

impl Days {
    /// The days, the first one first.
    pub(crate) fn dates(&self, now: Timestamp) -> Vec<String> {
        let last = self.date.on(now);
        (0..u32::from(self.days)).rev().map(|days| before(last, days).date()).collect()
    }
}

fn before(at: Timestamp, days: u32) -> Timestamp {
    let millis = u64::try_from((DAY * days).as_millis()).unwrap_or(u64::MAX);
    Timestamp(at.0.saturating_sub(millis))
}

/// The first moment of a date from 1970 to 9999, if it is one.
fn start_of(date: &str) -> Option<Timestamp> {
    let seconds = parse_utc(&format!("{date}T00:00:00Z"))?;
    Some(Timestamp(seconds.checked_mul(1_000)?)).filter(|at| at.date() == date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_named_by_the_last_of_them() {
        let days = |date: &str, days| Days { date: Date::parse(date).unwrap(), days };
        let now = Timestamp(1_795_262_400_000);
        assert_eq!(days("today", 1).dates(now), ["2026-11-21"]);
        assert_eq!(days("yesterday", 2).dates(now), ["2026-11-19", "2026-11-20"]);
        assert_eq!(days("2026-03-01", 2).dates(now), ["2026-02-28", "2026-03-01"]);
        for wrong in
            ["", "2026-02-30", "2026-1-1", "tomorrow", "2026-11-21T00:00:00Z", "1969-01-01"]
        {
            assert!(Date::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn days_are_named_by_the_first_and_the_last_of_them() {
        let days = |since: Option<&str>, until: &str| {
            let since = since.map(|date| Date::parse(date).unwrap());
            let span = Span { since, until: Date::parse(until).unwrap() };
            span.dates(Timestamp(1_795_262_400_000))
        };
        assert_eq!(days(Some("today"), "today").unwrap(), ["2026-11-21"]);
        assert_eq!(days(Some("2026-02-28"), "2026-03-01").unwrap(), ["2026-02-28", "2026-03-01"]);
        let kept = days(None, "today").unwrap();
        assert_eq!((kept.len(), kept[0].as_str()), (91, "2026-08-23"));
        assert_eq!(days(None, "2026-01-01").unwrap(), [""; 0], "nothing is kept of then");
        let error = days(Some("today"), "yesterday").unwrap_err().to_string();
        assert!(error.contains("`--since` is 2026-11-21, after `--until`, which is 2026-11-20"));
        assert_eq!(days(Some("2025-11-21"), "today").unwrap().len(), 366);
        let error = days(Some("2025-11-20"), "today").unwrap_err();
        assert_eq!(error, SpanError::TooLong("2025-11-20".to_owned()));
    }
}
