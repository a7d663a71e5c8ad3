//! What was published, minute by minute.

use std::collections::{BTreeSet, HashMap};

use crate::metric::MetricId;

/// A minute of the timeline, counted from its beginning.
pub type Minute = usize;

/// All values of all metrics on one timeline.
#[derive(Clone, Debug, Default)]
pub struct Published {
    places: HashMap<MetricId, SeriesId>,
    series: Vec<Series>,
}

/// Where the values of one metric of a [`Published`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeriesId(usize);

#[derive(Clone, Debug, Default)]
struct Series {
    units: BTreeSet<String>,
    by_minute: Vec<Vec<f64>>,
}

impl Published {
    /// Where the values of a metric go, which from now on has been published with this unit.
    pub fn series(&mut self, metric: &MetricId, unit: &str) -> SeriesId {
        let next = SeriesId(self.series.len());
        let place = *self.places.entry(metric.clone()).or_insert(next);
        if place == next {
            self.series.push(Series::default());
        }
        self.series[place.0].units.insert(unit.to_owned());
        place
    }

    /// Adds values that were published in one minute.
    pub fn add(&mut self, place: SeriesId, minute: Minute, values: &[f64]) {
        let by_minute = &mut self.series[place.0].by_minute;
        if by_minute.len() <= minute {
            by_minute.resize(minute + 1, Vec::new());
        }
        by_minute[minute].extend_from_slice(values);
    }

    /// The metrics.
    pub fn metrics(&self) -> impl Iterator<Item = &MetricId> {
        self.places.keys()
    }

    /// The units that a metric was published with; empty when it was not published at all.
    pub fn units(&self, metric: &MetricId) -> BTreeSet<&str> {
        let series = self.places.get(metric).map(|place| &self.series[place.0]);
        series.map(|series| series.units.iter().map(String::as_str).collect()).unwrap_or_default()
    }

    /// The values of the minutes from `first` to `last`, both included, in no order.
    pub fn values(&self, metric: &MetricId, first: Minute, last: Minute) -> Vec<f64> {
        let Some(place) = self.places.get(metric) else { return Vec::new() };
        let by_minute = &self.series[place.0].by_minute;
        let end = by_minute.len().min(last + 1);
        by_minute.get(first..end).unwrap_or_default().concat()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_values_of_a_window_are_those_of_its_minutes() {
        let metric = MetricId {
            namespace: "N".to_owned(),
            name: "M".to_owned(),
            dimensions: BTreeMap::new(),
        };
        let mut published = Published::default();
        let series = published.series(&metric, "Count");
        published.add(series, 2, &[1.0]);
        published.add(series, 3, &[2.0, 3.0]);
        assert_eq!(published.series(&metric, "Count"), series);
        published.add(series, 5, &[4.0]);
        assert_eq!(published.values(&metric, 0, 1), [0.0; 0]);
        assert_eq!(published.values(&metric, 2, 3), [1.0, 2.0, 3.0]);
        assert_eq!(published.values(&metric, 4, 9), [4.0]);
        assert_eq!(published.values(&metric, 6, 9), [0.0; 0]);
        assert_eq!(published.units(&metric), ["Count"].into());
        let other = MetricId { name: "O".to_owned(), ..metric };
        assert_eq!(published.values(&other, 0, 9), [0.0; 0]);
        assert!(published.units(&other).is_empty());
    }
}
