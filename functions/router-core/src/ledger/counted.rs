//! What a hold counts against beside its session and the session's tenant.

use std::fmt;

use super::Payer;
use crate::units::Timestamp;

/// A UTC hour, written as `2026-11-21T09`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(u64);

impl Hour {
    const MILLIS: u64 = 3_600_000;

    /// The hour of a time.
    pub fn of(now: Timestamp) -> Self {
        Self(now.0 / Self::MILLIS)
    }

    /// When it began.
    fn start(self) -> Timestamp {
        Timestamp(self.0.saturating_mul(Self::MILLIS))
    }

    /// Reads what was written of an hour.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits: Vec<&str> = text.split(['-', 'T']).collect();
        let [year, month, day, hour] = digits[..] else { return None };
        let month = time::Month::try_from(month.parse::<u8>().ok()?).ok()?;
        let date =
            time::Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()?;
        let start = date.with_hms(hour.parse().ok()?, 0, 0).ok()?.assume_utc();
        let seconds = u64::try_from(start.unix_timestamp()).ok()?;
        Some(Self(seconds / 3_600)).filter(|hour| hour.to_string() == text)
    }
}

impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}T{:02}", self.start().date(), self.0 % 24)
    }
}

/// What a hold counts against beside its session and the session's tenant. It is settled there as
/// it was taken, whatever hour it is and whatever the policy says by then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counted {
    /// The hour of all gateway sessions together.
    pub hour: Option<Hour>,
    /// The day of the session's user.
    pub of_user: bool,
}

impl Counted {
    /// What a hold counts against that `payer` takes now.
    pub fn by(payer: &Payer<'_>, now: Timestamp) -> Self {
        Self {
            hour: payer.gateway_hour.map(|_| Hour::of(now)),
            of_user: payer.user_day.is_some() && payer.user.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_utc_and_is_read_as_it_is_written() {
        let nine = 1_764_147_600_000;
        let before = Hour::of(Timestamp(nine - 1));
        assert_eq!(before.to_string(), "2025-11-26T08");
        assert_eq!(Hour::of(Timestamp(nine)).to_string(), "2025-11-26T09");
        assert_eq!(Hour::of(Timestamp(nine + 3_599_999)).to_string(), "2025-11-26T09");
        assert_eq!(Hour::parse("2025-11-26T08"), Some(before));
        for text in ["", "2025-11-26", "2025-11-26T24", "2025-13-26T08", "2025-11-26T8"] {
            assert_eq!(Hour::parse(text), None, "{text}");
        }
    }
}
