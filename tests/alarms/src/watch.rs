//! Judges alarms over a timeline.
//!
//! CloudWatch User Guide, "Evaluating an alarm": an alarm is evaluated every minute, over windows
//! that end with that minute. A period of five minutes is first the minutes 1 to 5, then 2 to 6.

use std::collections::{BTreeMap, BTreeSet};

use crate::alarm::MetricAlarm;
use crate::composite::CompositeAlarm;
use crate::data::{Minute, Published};
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
        let of_alarm = |alarm: &MetricAlarm| {
            (0..minutes).map(|minute| Point::of(alarm, published, minute)).collect()
        };
        Watch { alarms: self, points: self.metric.iter().map(of_alarm).collect() }
    }
}

/// What the alarms see of a timeline.
#[derive(Clone, Debug)]
pub struct Watch<'a> {
    alarms: &'a Alarms,
    /// The data points of each metric alarm, by the minute with which their period ends.
    points: Vec<Vec<Point>>,
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
        let metric = self.alarms.metric.iter().zip(&self.points);
        let mut states: BTreeMap<String, Vec<State>> = metric
            .map(|(alarm, points)| (alarm.name.clone(), states(alarm, points, further)))
            .collect();
        let minutes = self.points.first().map_or(0, Vec::len);
        for alarm in &self.alarms.composite {
            let state = |minute: Minute| {
                let now = states.iter().map(|(name, states)| (name.as_str(), states[minute]));
                if alarm.rule.holds(&now.collect()) { State::Alarm } else { State::Ok }
            };
            let of_alarm = (0..minutes).map(state).collect();
            states.insert(alarm.name.clone(), of_alarm);
        }
        History { states }
    }
}

fn states(alarm: &MetricAlarm, points: &[Point], further: usize) -> Vec<State> {
    let length = alarm.rule.evaluation_periods + further;
    let mut state = State::InsufficientData;
    let at = |minute: Minute| {
        let ends =
            (0..length).rev().map(|ago| minute.checked_sub(ago * alarm.watched.period_minutes));
        let range: Vec<Option<Point>> = ends
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
    /// The data point of the period that ends with this minute.
    fn of(alarm: &MetricAlarm, published: &Published, minute: Minute) -> Self {
        let watched = &alarm.watched;
        let first = (minute + 1).saturating_sub(watched.period_minutes);
        let mut samples = 0;
        let mut metric = |id: &str| {
            let input = watched.inputs.get(id)?;
            let mut values = published.values(&input.metric, first, minute);
            samples += values.len();
            input.statistic.of(&mut values)
        };
        let point = watched.expression.at(&mut metric);
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
