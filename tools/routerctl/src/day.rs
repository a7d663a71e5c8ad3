//! Which UTC days a command looks at.

use std::time::Duration;

use router_core::units::Timestamp;
use stand_ins::print::parse_utc;

const DAY: Duration = Duration::from_secs(86_400);

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
}

impl Days {
    /// The days, the first one first.
    pub(crate) fn dates(&self, now: Timestamp) -> Vec<String> {
        let last = match &self.date {
            Date::Today => now,
            Date::Yesterday => before(now, 1),
            Date::Day(date) => start_of(date).unwrap_or(now),
        };
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
}
