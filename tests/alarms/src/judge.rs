//! From data points to the state of an alarm, some of the points missing.
//!
//! The rules are those of the CloudWatch User Guide, "Configuring how CloudWatch alarms treat
//! missing data", with its sections "How alarm state is evaluated when data is missing" and
//! "Avoiding premature transitions to alarm state". The tests are the tables of that page.

use serde::Deserialize;

/// The state of an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Within the threshold.
    Ok,
    /// Outside of it.
    Alarm,
    /// Not enough is known.
    InsufficientData,
}

/// What a missing data point counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MissingData {
    /// A good one.
    NotBreaching,
    /// A bad one.
    Breaching,
    /// The alarm stays as it is.
    Ignore,
    /// Nothing.
    Missing,
}

/// How many data points decide, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// How many of the newest data points are looked at, at least 1.
    pub evaluation_periods: usize,
    /// How many of these have to be bad, at least 1.
    pub datapoints_to_alarm: usize,
    /// What a missing one counts as.
    pub missing: MissingData,
}

impl Rule {
    /// The state that follows from the data points of the evaluation range, the oldest first:
    /// whether each is breaching, `None` where it is missing.
    ///
    /// The evaluation range is longer than the evaluation periods by a number that the guide
    /// does not say, save for one example. Real points of all the range are used before any
    /// missing one is filled in.
    ///
    /// One answer is not in today's guide: with [`MissingData::Missing`], too few points that
    /// are all breaching and young leave the alarm without enough data. An older edition of the
    /// page had it in its tables.
    pub fn judge(self, range: &[Option<bool>], current: State) -> State {
        let Self { evaluation_periods, datapoints_to_alarm, missing } = self;
        let real: Vec<bool> = range.iter().flatten().copied().collect();
        let evaluated = &real[real.len().saturating_sub(evaluation_periods)..];
        let breaching = evaluated.iter().filter(|breaching| **breaching).count();
        let filled = evaluation_periods - evaluated.len();
        let enough = |breaching| {
            if breaching >= datapoints_to_alarm { State::Alarm } else { State::Ok }
        };
        let undecided = filled > 0 && breaching < datapoints_to_alarm && breaching == real.len();
        match missing {
            MissingData::Breaching => enough(breaching + filled),
            MissingData::Ignore if undecided => current,
            MissingData::Missing if undecided => {
                let oldest = range.iter().position(|point| *point == Some(true));
                let age = oldest.map_or(0, |at| range.len() - at);
                if age >= datapoints_to_alarm { State::Alarm } else { State::InsufficientData }
            }
            MissingData::NotBreaching | MissingData::Ignore | MissingData::Missing => {
                enough(breaching)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use State::{Alarm, InsufficientData, Ok};

    /// A range as the guide writes it: `0` is good, `X` bad, `-` missing, the newest on the right.
    fn range(text: &str) -> Vec<Option<bool>> {
        let point = |letter| match letter {
            "0" => Some(false),
            "X" => Some(true),
            "-" => None,
            _ => panic!("{letter}"),
        };
        text.split(' ').map(point).collect()
    }

    /// The states for missing, ignore, breaching and notBreaching. For ignore, `None` is the
    /// current state.
    type Row = (&'static str, State, Option<State>, State, State);

    fn check(datapoints_to_alarm: usize, rows: &[Row]) {
        for &(text, missing, ignore, breaching, not_breaching) in rows {
            for current in [Ok, Alarm, InsufficientData] {
                let judged = |missing| {
                    Rule { evaluation_periods: 3, datapoints_to_alarm, missing }
                        .judge(&range(text), current)
                };
                assert_eq!(judged(MissingData::Missing), missing, "{text}");
                assert_eq!(judged(MissingData::Ignore), ignore.unwrap_or(current), "{text}");
                assert_eq!(judged(MissingData::Breaching), breaching, "{text}");
                assert_eq!(judged(MissingData::NotBreaching), not_breaching, "{text}");
            }
        }
    }

    #[test]
    fn the_guides_table_of_three_out_of_three() {
        check(
            3,
            &[
                ("0 - X - X", Ok, Some(Ok), Ok, Ok),
                ("0 - - - -", Ok, Some(Ok), Ok, Ok),
                ("- - - - -", InsufficientData, None, Alarm, Ok),
                ("0 X X - X", Alarm, Some(Alarm), Alarm, Alarm),
                ("- - X - -", Alarm, None, Alarm, Ok),
            ],
        );
    }

    #[test]
    fn the_guides_table_of_two_out_of_three() {
        check(
            2,
            &[
                ("0 - X - X", Alarm, Some(Alarm), Alarm, Alarm),
                ("0 0 X 0 X", Alarm, Some(Alarm), Alarm, Alarm),
                ("0 - X - -", Ok, Some(Ok), Alarm, Ok),
                ("- - - - 0", Ok, Some(Ok), Alarm, Ok),
                ("- - - X -", Alarm, None, Alarm, Ok),
            ],
        );
    }

    /// "The alarm does not go immediately into ALARM state when the data is either …".
    #[test]
    fn one_young_breach_is_no_alarm_yet() {
        for text in ["- - - - X", "- - - X -"] {
            let rule = Rule {
                evaluation_periods: 3,
                datapoints_to_alarm: 3,
                missing: MissingData::Missing,
            };
            assert_eq!(rule.judge(&range(text), Ok), InsufficientData, "{text}");
        }
    }

    /// The figure of "Evaluating an alarm": three periods of three are above the threshold from
    /// the third to the fifth period, one is below it in the sixth, one above in the ninth.
    #[test]
    fn the_guides_figure_of_an_alarm() {
        let rule =
            Rule { evaluation_periods: 3, datapoints_to_alarm: 3, missing: MissingData::Missing };
        let points = range("0 0 X X X 0 0 0 X 0");
        let states: Vec<State> =
            (3..=points.len()).map(|end| rule.judge(&points[..end], Ok)).collect();
        assert_eq!(states, [Ok, Ok, Alarm, Ok, Ok, Ok, Ok, Ok]);
    }

    #[test]
    fn breaches_need_not_follow_each_other() {
        let rule = Rule {
            evaluation_periods: 5,
            datapoints_to_alarm: 2,
            missing: MissingData::NotBreaching,
        };
        assert_eq!(rule.judge(&range("X 0 0 0 X"), Ok), Alarm);
        assert_eq!(rule.judge(&range("X 0 0 0 0 X"), Ok), Ok, "the first is too old");
    }
}
