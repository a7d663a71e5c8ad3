//! Judges alarms over a timeline.
//!
//! CloudWatch User Guide, "Evaluating an alarm": an alarm is evaluated every minute, over windows
//! that end with that minute. A period of five minutes is first the minutes 1 to 5, then 2 to 6.

use std::collections::{BTreeMap, BTreeSet};

use crate::alarm::{MetricAlarm, Source};
use crate::composite::CompositeAlarm;
use crate::data::{Minute, Published};
use crate::insights::{Group, MINUTES_BACK};
use crate::judge::State;
use crate::template::{Template, TemplateError};

/// All alarms of a template.
#[derive(Clone, Debug)]
pub struct Alarms {
    /// Those on metrics.
    pub metric: Vec<MetricAlarm>,
    /// Those on other alarms.
    pub composite: Vec<CompositeAlarm>,
}

/// The states of all alarms, minute by minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    states: BTreeMap<String, Vec<State>>,
}

impl Alarms {
    /// Reads the alarms of a template.
    ///
    /// # Errors
    ///
    /// As [`MetricAlarm::all`] and [`CompositeAlarm::all`].
    pub fn of(template: &Template) -> Result<Self, TemplateError> {
        Ok(Self { metric: MetricAlarm::all(template)?, composite: CompositeAlarm::all(template)? })
    }

    /// The names of all alarms.
    pub fn names(&self) -> BTreeSet<&str> {
        let metric = self.metric.iter().map(|alarm| alarm.name.as_str());
        metric.chain(self.composite.iter().map(|alarm| alarm.name.as_str())).collect()
    }

    /// The data points of all alarms, at the end of each of the first `minutes` minutes.
    pub fn over(&self, published: &Published, minutes: Minute) -> Watch<'_> {
        let of_alarm = |alarm| contributors(alarm, published, minutes);
        Watch { alarms: self, minutes, contributors: self.metric.iter().map(of_alarm).collect() }
    }
}

/// What the alarms see of a timeline.
#[derive(Clone, Debug)]
pub struct Watch<'a> {
    alarms: &'a Alarms,
    minutes: Minute,
    /// The contributors to each metric alarm.
    contributors: Vec<Contributors>,
}

/// The data points of each contributor, by the minute with which their period ends. An alarm on
/// named metrics has one, without a name.
type Contributors = BTreeMap<Group, Vec<Point>>;

fn contributors(alarm: &MetricAlarm, published: &Published, minutes: Minute) -> Contributors {
    let query = match &alarm.watched.source {
        Source::Named { .. } => {
            let points = (0..minutes).map(|minute| Point::of(alarm, published, minute)).collect();
            return [(Group::new(), points)].into();
        }
        Source::Queried(query) => query,
    };
    let groups = query.groups(published);
    let missing = vec![Point::MISSING; minutes];
    let mut found: Contributors =
        groups.keys().map(|group| (group.clone(), missing.clone())).collect();
    for minute in 0..minutes {
        let first = alarm.first_of_period(minute);
        for (group, value) in query.points(&groups, published, first, minute) {
            let breaching = Some(alarm.comparison.is_breaching(value, alarm.threshold));
            if let Some(points) = found.get_mut(group) {
                points[minute] = Point { breaching, samples: 0 };
            }
        }
    }
    // Without any series, the alarm has a state all the same.
    if found.is_empty() {
        found.insert(Group::new(), missing);
    }
    found
}

impl MetricAlarm {
    fn first_of_period(&self, last: Minute) -> Minute {
        (last + 1).saturating_sub(self.watched.period_minutes)
    }
}

/// A data point of an alarm.
#[derive(Clone, Copy, Debug)]
struct Point {
    /// Whether it is a bad one; `None` where it is missing.
    breaching: Option<bool>,
    /// How many values it is made of.
    samples: usize,
}

impl Watch<'_> {
    /// Judges the alarms, which are new when the timeline begins.
    ///
    /// `further` is how many data points CloudWatch looks back beyond an alarm's evaluation
    /// periods where some are missing. The guide has 2 in an example, and says no more.
    pub fn judge(&self, further: usize) -> History {
        let metric = self.alarms.metric.iter().zip(&self.contributors);
        let mut states: BTreeMap<String, Vec<State>> = metric
            .map(|(alarm, contributors)| {
                let of_each: Vec<Vec<State>> =
                    contributors.values().map(|points| states(alarm, points, further)).collect();
                let state = |minute| together(of_each.iter().map(|states| states[minute]));
                (alarm.name.clone(), (0..self.minutes).map(state).collect())
            })
            .collect();
        for alarm in &self.alarms.composite {
            let state = |minute: Minute| {
                let now = states.iter().map(|(name, states)| (name.as_str(), states[minute]));
                if alarm.rule.holds(&now.collect()) { State::Alarm } else { State::Ok }
            };
            let of_alarm = (0..self.minutes).map(state).collect();
            states.insert(alarm.name.clone(), of_alarm);
        }
        History { states }
    }

    /// The contributors that raise an alarm at the end of a minute, as `DescribeAlarmContributors`
    /// would name them.
    pub fn raising(&self, alarm: &str, minute: Minute, further: usize) -> BTreeSet<&Group> {
        let metric = self.alarms.metric.iter().zip(&self.contributors);
        let meant = metric.filter(|(it, _)| it.name == alarm);
        let of_alarm = meant.flat_map(|(it, contributors)| {
            contributors.iter().filter(move |(_, points)| {
                states(it, points, further).get(minute) == Some(&State::Alarm)
            })
        });
        of_alarm.map(|(group, _)| group).collect()
    }
}

/// "The alarm is in ALARM state while any contributor is."
fn together(states: impl Iterator<Item = State>) -> State {
    let rank = |state: &State| match state {
        State::Alarm => 2,
        State::Ok => 1,
        State::InsufficientData => 0,
    };
    states.max_by_key(rank).unwrap_or(State::InsufficientData)
}

fn states(alarm: &MetricAlarm, points: &[Point], further: usize) -> Vec<State> {
    let length = alarm.rule.evaluation_periods + further;
    let mut state = State::InsufficientData;
    let is_queried = matches!(alarm.watched.source, Source::Queried(_));
    let at = |minute: Minute| {
        // What began earlier is not found by a query any more.
        let earliest = if is_queried { (minute + 1).saturating_sub(MINUTES_BACK) } else { 0 };
        let ends =
            (0..length).rev().map(|ago| minute.checked_sub(ago * alarm.watched.period_minutes));
        let range: Vec<Option<Point>> = ends
            .map(|end| end.filter(|end| alarm.first_of_period(*end) >= earliest))
            .map(|end| end.map(|end| points[end]).filter(|point| point.breaching.is_some()))
            .collect();
        if !has_too_few_samples(alarm, &range) {
            let breaching: Vec<Option<bool>> =
                range.iter().map(|point| point.and_then(|point| point.breaching)).collect();
            state = alarm.rule.judge(&breaching, state);
        }
        state
    };
    (0..points.len()).map(at).collect()
}

/// Whether the data points that decide are made of too few values for a percentile. No value at
/// all is taken for missing data; the guide does not say which it is.
fn has_too_few_samples(alarm: &MetricAlarm, range: &[Option<Point>]) -> bool {
    let Some(least) = alarm.least_samples else { return false };
    let decide = range.iter().rev().flatten().take(alarm.rule.evaluation_periods);
    let samples: usize = decide.map(|point| point.samples).sum();
    (1..least).contains(&samples)
}

impl Point {
    const MISSING: Self = Self { breaching: None, samples: 0 };

    /// The data point of the period that ends with this minute, of named metrics.
    fn of(alarm: &MetricAlarm, published: &Published, minute: Minute) -> Self {
        let Source::Named { inputs, expression } = &alarm.watched.source else {
            return Self::MISSING;
        };
        let first = alarm.first_of_period(minute);
        let mut samples = 0;
        let mut metric = |id: &str| {
            let input = inputs.get(id)?;
            let mut values = published.values(&input.metric, first, minute);
            samples += values.len();
            input.statistic.of(&mut values)
        };
        let point = expression.at(&mut metric);
        let breaching = point.map(|point| alarm.comparison.is_breaching(point, alarm.threshold));
        Self { breaching, samples }
    }
}

impl History {
    /// The alarms that were raised at any time.
    pub fn raised(&self) -> BTreeSet<&str> {
        let raised = |states: &Vec<State>| states.contains(&State::Alarm);
        self.states.iter().filter(|(_, states)| raised(states)).map(|(name, _)| &**name).collect()
    }

    /// The alarms that are in a state at the end of a minute.
    pub fn in_state(&self, state: State, minute: Minute) -> BTreeSet<&str> {
        let is_meant = |states: &Vec<State>| states.get(minute) == Some(&state);
        self.states.iter().filter(|(_, states)| is_meant(states)).map(|(name, _)| &**name).collect()
    }

    /// The first minute at whose end an alarm is raised.
    pub fn first_raised(&self, alarm: &str) -> Option<Minute> {
        self.states.get(alarm)?.iter().position(|state| *state == State::Alarm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::MetricId;

    const MANY: &str = "
        Resources:
          Many:
            Type: AWS::CloudWatch::Alarm
            Properties:
              AlarmDescription: D
              Namespace: N
              MetricName: M
              Statistic: Sum
              Period: 300
              ComparisonOperator: GreaterThanThreshold
              Threshold: 10
              EvaluationPeriods: 2
              TreatMissingData: notBreaching
              AlarmActions: []
          Any:
            Type: AWS::CloudWatch::CompositeAlarm
            Properties:
              AlarmDescription: D
              AlarmRule: !Sub ALARM(\"${Many}\")
              AlarmActions: []";

    /// One value of metric `M` in each of these minutes.
    fn published(minutes: impl IntoIterator<Item = Minute>, value: f64) -> Published {
        let metric = MetricId {
            namespace: "N".to_owned(),
            name: "M".to_owned(),
            dimensions: BTreeMap::new(),
        };
        let mut published = Published::default();
        let series = published.series(&metric, "Count");
        for minute in minutes {
            published.add(series, minute, &[value]);
        }
        published
    }

    fn history(text: &str, published: &Published, minutes: Minute) -> History {
        let alarms = Alarms::of(&Template::parse(text).unwrap()).unwrap();
        alarms.over(published, minutes).judge(2)
    }

    #[test]
    fn windows_move_with_every_minute() {
        // 3 a minute: more than 10 in five minutes as soon as four of them have it.
        let history = history(MANY, &published(20..40, 3.0), 60);
        // The last five minutes and the five before them.
        assert_eq!(history.first_raised("Many"), Some(20 + 3 + 5));
        assert_eq!(history.first_raised("Any"), Some(28));
        assert_eq!(history.raised(), ["Any", "Many"].into());
        assert_eq!(history.in_state(State::Ok, 27), ["Any", "Many"].into());
    }

    /// "CloudWatch alarms might repeatedly re-evaluate the last set of data points for a period of
    /// time after the metric has stopped flowing."
    #[test]
    fn the_last_data_points_are_judged_until_they_leave_the_evaluation_range() {
        let history = history(MANY, &published(0..20, 3.0), 60);
        // Four periods back from minute 30, only the two that end in 15 and 20 have data.
        assert_eq!(history.in_state(State::Alarm, 30), ["Any", "Many"].into());
        assert_eq!(history.in_state(State::Ok, 35), ["Any", "Many"].into());
    }

    /// Each has its own state: that of the alarm is the worst of them.
    #[test]
    fn one_contributor_raises_the_alarm_and_is_named() {
        let text = "
            Resources:
              Each:
                Type: AWS::CloudWatch::Alarm
                Properties:
                  AlarmDescription: D
                  Metrics:
                    - Id: q
                      Period: 300
                      Expression: >-
                        SELECT SUM(M) FROM SCHEMA(\"N\", Who) GROUP BY Who ORDER BY SUM() DESC
                  ComparisonOperator: GreaterThanThreshold
                  Threshold: 10
                  EvaluationPeriods: 2
                  TreatMissingData: notBreaching
                  AlarmActions: []";
        let mut both = Published::default();
        for (who, value) in [("a", 2.0), ("b", 3.0)] {
            let metric = MetricId {
                namespace: "N".to_owned(),
                name: "M".to_owned(),
                dimensions: [("Who".to_owned(), who.to_owned())].into(),
            };
            let series = both.series(&metric, "Count");
            (20..40).for_each(|minute| both.add(series, minute, &[value]));
        }
        let alarms = Alarms::of(&Template::parse(text).unwrap()).unwrap();
        let watch = alarms.over(&both, 300);
        let history = watch.judge(2);
        assert_eq!(history.first_raised("Each"), Some(28));
        assert_eq!(watch.raising("Each", 30, 2), [&vec!["b".to_owned()]].into());
        assert_eq!(history.in_state(State::Ok, 299), ["Each"].into());
        // Without any series.
        let none = alarms.over(&Published::default(), 10).judge(2);
        assert_eq!(none.in_state(State::Ok, 9), ["Each"].into());
    }

    #[test]
    fn a_query_finds_nothing_that_is_older_than_three_hours() {
        let text = "
            Resources:
              Costly:
                Type: AWS::CloudWatch::Alarm
                Properties:
                  AlarmDescription: D
                  Metrics:
                    - Id: q
                      Period: 3600
                      Expression: SELECT SUM(M) FROM SCHEMA(\"N\", Who) GROUP BY Who ORDER BY SUM()
                  ComparisonOperator: GreaterThanThreshold
                  Threshold: 10
                  EvaluationPeriods: 1
                  TreatMissingData: notBreaching
                  AlarmActions: []";
        let metric = MetricId {
            namespace: "N".to_owned(),
            name: "M".to_owned(),
            dimensions: [("Who".to_owned(), "a".to_owned())].into(),
        };
        let mut published = Published::default();
        let series = published.series(&metric, "Count");
        published.add(series, 0, &[11.0]);
        let alarms = Alarms::of(&Template::parse(text).unwrap()).unwrap();
        // However far back it looks for data where some are missing.
        let history = alarms.over(&published, 300).judge(5);
        assert_eq!(history.in_state(State::Alarm, MINUTES_BACK - 1), ["Costly"].into());
        assert_eq!(history.in_state(State::Ok, MINUTES_BACK + 59), ["Costly"].into());
    }

    #[test]
    fn a_percentile_of_few_samples_leaves_the_alarm_as_it_is() {
        let text = MANY
            .replace("Statistic: Sum", "ExtendedStatistic: p90")
            .replace("Threshold: 10", "Threshold: 1")
            .replace("D\n", "D\n              EvaluateLowSampleCountPercentile: ignore\n");
        let text = text.split("          Any:").next().unwrap();
        let few = history(text, &published(0..30, 3.0), 30);
        assert_eq!(few.in_state(State::InsufficientData, 29), ["Many"].into());
        let mut many = published(0..30, 3.0);
        let metric = many.metrics().next().unwrap().clone();
        let series = many.series(&metric, "Count");
        for minute in 0..30 {
            many.add(series, minute, &[3.0; 9]);
        }
        let enough = history(text, &many, 30);
        assert_eq!(enough.first_raised("Many"), Some(9), "with the hundredth sample");
    }
}
