//! Metrics, and the statistics of their values.

use std::collections::BTreeMap;
use std::fmt;

/// One metric: CloudWatch knows it by its name and exactly its dimensions.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MetricId {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The dimensions. A metric without them is another metric, not the sum over them.
    pub dimensions: BTreeMap<String, String>,
}

impl fmt::Display for MetricId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<String> =
            self.dimensions.iter().map(|(name, value)| format!("{name}={value}")).collect();
        write!(out, "{} {} [{}]", self.namespace, self.name, pairs.join(","))
    }
}

/// What is made of the values of a period, as the guide's page "CloudWatch statistics
/// definitions" lists it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    /// How many values there are.
    SampleCount,
    /// Their sum.
    Sum,
    /// Their mean.
    Average,
    /// The lowest.
    Minimum,
    /// The highest.
    Maximum,
    /// The value that this percentage of the values does not exceed, above 0 and below 100.
    Percentile(f64),
}

impl Statistic {
    /// Reads a statistic as `Statistic`, `ExtendedStatistic` or `Stat` name it.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "SampleCount" => Self::SampleCount,
            "Sum" => Self::Sum,
            "Average" => Self::Average,
            "Minimum" => Self::Minimum,
            "Maximum" => Self::Maximum,
            _ => {
                let percent: f64 = text.strip_prefix('p')?.parse().ok()?;
                (0.0 < percent && percent < 100.0).then_some(Self::Percentile(percent))?
            }
        })
    }

    /// The statistic of these values; `None` of no values.
    ///
    /// CloudWatch documents no interpolation between values: a percentile is the smallest value
    /// that enough values do not exceed. CloudWatch itself may say a value close to it.
    pub fn of(self, values: &mut [f64]) -> Option<f64> {
        if values.is_empty() {
            return None;
        }
        let count = values.len() as f64;
        Some(match self {
            Self::SampleCount => count,
            Self::Sum => values.iter().sum(),
            Self::Average => values.iter().sum::<f64>() / count,
            Self::Minimum => values.iter().copied().fold(f64::INFINITY, f64::min),
            Self::Maximum => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Self::Percentile(percent) => {
                let rank = (percent * count / 100.0).ceil().max(1.0) as usize;
                let (_, value, _) = values.select_nth_unstable_by(rank - 1, f64::total_cmp);
                *value
            }
        })
    }

    /// How many values this statistic needs to be statistically significant, in the sense of the
    /// guide's page "Percentile-based alarms and low data samples": 10 / (1 - p), below the
    /// median 10 / p. `None` for what is no percentile.
    pub fn significant_samples(self) -> Option<usize> {
        let Self::Percentile(percent) = self else { return None };
        let rare = if percent >= 50.0 { 100.0 - percent } else { percent };
        Some((1_000.0 / rare).ceil() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(statistic: &str, values: &[f64]) -> Option<f64> {
        Statistic::parse(statistic).unwrap().of(&mut values.to_vec())
    }

    #[test]
    fn statistics_are_those_of_the_guide() {
        let values = [4.0, 1.0, 3.0, 2.0];
        for (statistic, value) in [
            ("SampleCount", 4.0),
            ("Sum", 10.0),
            ("Average", 2.5),
            ("Minimum", 1.0),
            ("Maximum", 4.0),
            ("p50", 2.0),
            ("p75", 3.0),
            ("p99", 4.0),
            ("p0.1", 1.0),
        ] {
            assert_eq!(of(statistic, &values), Some(value), "{statistic}");
            assert_eq!(of(statistic, &[]), None, "{statistic}");
        }
    }

    #[test]
    fn a_percentile_leaves_the_rest_of_the_values_above_it() {
        let values: Vec<f64> = (1..=1_000).map(f64::from).collect();
        assert_eq!(of("p99", &values), Some(990.0));
        assert_eq!(of("p90", &values), Some(900.0));
        assert_eq!(of("p99.9", &values), Some(999.0));
    }

    #[test]
    fn only_statistics_are_statistics() {
        for text in ["p0", "p100", "p", "median", "average", "tm90", ""] {
            assert_eq!(Statistic::parse(text), None, "{text}");
        }
    }

    /// The guide's own example is the p99 with 1,000 samples.
    #[test]
    fn a_percentile_needs_ten_values_on_its_rarer_side() {
        let samples = |text| Statistic::parse(text).unwrap().significant_samples();
        assert_eq!(samples("p99"), Some(1_000));
        assert_eq!(samples("p90"), Some(100));
        assert_eq!(samples("p50"), Some(20));
        assert_eq!(samples("p10"), Some(100));
        assert_eq!(samples("Sum"), None);
    }
}
