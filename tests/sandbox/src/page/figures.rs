//! The numbers behind the pictures, from the metrics that CloudWatch received.
//!
//! As in CloudWatch, a datum belongs to exactly its dimensions: what was published for one
//! specialist is no part of what was published for all.

use std::collections::{BTreeMap, BTreeSet};

use stand_ins::metrics::{Batch, Datum};

/// The metrics that add up to what was charged.
const CHARGED: [&str; 2] = ["Cost", "UnreportedCost"];

/// The metrics of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures<'a>(&'a [Batch]);

impl<'a> Figures<'a> {
    /// Those of these batches.
    pub(crate) fn of(batches: &'a [Batch]) -> Self {
        Self(batches)
    }

    /// All values that were published without dimensions, in their order.
    pub(crate) fn values(&self, metric: &str) -> Vec<f64> {
        self.data(metric).filter(|datum| datum.dimensions.is_empty()).flat_map(values).collect()
    }

    /// The sum of what was published without dimensions.
    pub(crate) fn sum(&self, metric: &str) -> f64 {
        self.values(metric).iter().sum()
    }

    /// What was charged: the usage that was reported, and what was charged beyond it.
    pub(crate) fn charged(&self) -> f64 {
        CHARGED.into_iter().map(|metric| self.sum(metric)).sum()
    }

    /// The same by specialist.
    pub(crate) fn charged_by_specialist(&self) -> BTreeMap<&'a str, f64> {
        let mut charged = BTreeMap::new();
        for (specialist, values) in CHARGED.iter().flat_map(|metric| self.by(metric, "Specialist"))
        {
            *charged.entry(specialist).or_default() += values.iter().sum::<f64>();
        }
        charged
    }

    /// The values by one dimension, where it was the only one.
    pub(crate) fn by(&self, metric: &str, dimension: &str) -> BTreeMap<&'a str, Vec<f64>> {
        let mut by = BTreeMap::<&str, Vec<f64>>::new();
        for datum in self.data(metric).filter(|datum| datum.dimensions.len() == 1) {
            if let Some(value) = datum.dimensions.get(dimension) {
                by.entry(value).or_default().extend(values(datum));
            }
        }
        by
    }

    /// The values by two dimensions, where there was no other.
    pub(crate) fn by_both(
        &self,
        metric: &str,
        [first, second]: [&str; 2],
    ) -> BTreeMap<(&'a str, &'a str), Vec<f64>> {
        let mut by = BTreeMap::<(&str, &str), Vec<f64>>::new();
        for datum in self.data(metric).filter(|datum| datum.dimensions.len() == 2) {
            let dimensions = &datum.dimensions;
            if let (Some(first), Some(second)) = (dimensions.get(first), dimensions.get(second)) {
                by.entry((first, second)).or_default().extend(values(datum));
            }
        }
        by
    }

    /// The values of one dimension wherever it was the only one, whatever the metric.
    pub(crate) fn names(&self, dimension: &str) -> BTreeSet<&'a str> {
        let data = self.0.iter().flat_map(|batch| &batch.data);
        let alone = data.filter(|datum| datum.dimensions.len() == 1);
        alone.filter_map(|datum| datum.dimensions.get(dimension).map(String::as_str)).collect()
    }

    fn data(&self, metric: &str) -> impl Iterator<Item = &'a Datum> {
        let data = self.0.iter().flat_map(|batch| &batch.data);
        data.filter(move |datum| datum.name == metric)
    }
}

fn values(datum: &Datum) -> impl Iterator<Item = f64> {
    datum.values.iter().copied()
}

/// The least of the values that `percent` of them do not exceed (the nearest rank, so it is
/// always a value that occurred); `None` where there are no values.
pub(crate) fn percentile(values: &[f64], percent: u32) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent as usize).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A datum; dimensions as `Specialist=billing,…`.
    pub(crate) fn datum(name: &str, dimensions: &str, values: &[f64]) -> Datum {
        let pairs = dimensions.split(',').filter_map(|pair| pair.split_once('='));
        Datum {
            name: name.to_owned(),
            unit: "None".to_owned(),
            values: values.to_vec(),
            dimensions: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            timestamp: None,
        }
    }

    pub(crate) fn batch(data: Vec<Datum>) -> Batch {
        Batch { namespace: "N".to_owned(), data }
    }

    #[test]
    fn each_value_counts_in_its_own_dimensions_only() {
        let batches = [
            batch(vec![datum("Cost", "", &[3.0]), datum("Cost", "Specialist=a", &[1.0, 2.0])]),
            batch(vec![datum("Cost", "Specialist=b", &[4.0]), datum("Other", "", &[9.0])]),
            batch(vec![datum("Cost", "Specialist=a,Limit=x", &[5.0]), datum("Cost", "", &[4.0])]),
        ];
        let figures = Figures::of(&batches);
        assert_eq!((figures.values("Cost"), figures.sum("Cost")), (vec![3.0, 4.0], 7.0));
        let by = figures.by("Cost", "Specialist");
        assert_eq!(by, BTreeMap::from([("a", vec![1.0, 2.0]), ("b", vec![4.0])]));
        let both = figures.by_both("Cost", ["Specialist", "Limit"]);
        assert_eq!(both, BTreeMap::from([(("a", "x"), vec![5.0])]));
        assert_eq!(figures.names("Specialist"), BTreeSet::from(["a", "b"]));
        assert_eq!(figures.sum("Missing"), 0.0);
    }

    #[test]
    fn a_percentile_is_the_least_value_that_so_many_do_not_exceed() {
        let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(
            [50, 90, 99, 100].map(|p| percentile(&hundred, p).unwrap()),
            [50.0, 90.0, 99.0, 100.0]
        );
        let three = [30.0, 10.0, 20.0];
        assert_eq!(
            [0, 33, 34, 50, 67, 99].map(|p| percentile(&three, p).unwrap()),
            [10.0, 10.0, 20.0, 20.0, 30.0, 30.0]
        );
        assert_eq!(percentile(&[7.0], 50), Some(7.0));
        assert_eq!(percentile(&[], 50), None);
    }
}
