//! Metrics Insights, as far as the alarms use it.
//!
//! CloudWatch User Guide, "Metrics Insights query components and syntax" and "Alarms on Metrics
//! Insights queries": a query with `GROUP BY` returns a series for each group, and each of them is a
//! contributor to the alarm with a state of its own. New groups join by themselves.

use std::collections::{BTreeMap, BTreeSet};

use crate::data::{Minute, Published};
use crate::metric::{MetricId, Statistic};

/// "You can currently query only the most recent three hours of data."
pub const MINUTES_BACK: usize = 3 * 60;

/// The values of the dimensions by which a query groups.
pub type Group = Vec<String>;

/// A query over all metrics of one name in one set of dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// What is made of the values of a group.
    pub statistic: Statistic,
    /// The metrics' name.
    pub metric: String,
    /// Their namespace.
    pub namespace: String,
    /// The names of their dimensions: all of them, and no others.
    pub dimensions: BTreeSet<String>,
    /// What dimensions must be, or must not.
    conditions: Vec<Condition>,
    /// The dimensions by which series are told apart.
    pub group_by: Vec<String>,
    /// Whether the highest come first.
    descending: bool,
    /// How many series are returned at most.
    limit: Option<usize>,
}

#[derive(Clone, Debug, PartialEq)]
struct Condition {
    dimension: String,
    is: bool,
    value: String,
}

impl Query {
    /// Whether a text is meant to be a query.
    pub fn is_meant(text: &str) -> bool {
        text.trim_start().starts_with("SELECT")
    }

    /// Reads a query of the form `SELECT AVG|COUNT|MAX|MIN|SUM(metric) FROM
    /// SCHEMA("namespace", dimension, …) [WHERE dimension =|!= 'value' [AND …]] GROUP BY
    /// dimension, … ORDER BY AVG|…() [ASC|DESC] [LIMIT number]`. An alarm needs both groups and an
    /// order.
    ///
    /// # Errors
    ///
    /// What is asked, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rest = Rest(text);
        rest.word("SELECT")?;
        let function = rest.name()?;
        let statistic = statistic(function)?;
        rest.word("(")?;
        let metric = rest.name()?.to_owned();
        rest.word(")")?;
        rest.word("FROM")?;
        rest.word("SCHEMA")?;
        rest.word("(")?;
        let namespace = rest.quoted('"')?.to_owned();
        let mut dimensions = BTreeSet::new();
        while rest.takes(",") {
            dimensions.insert(rest.name()?.to_owned());
        }
        rest.word(")")?;
        let conditions = if rest.takes("WHERE") { rest.conditions()? } else { Vec::new() };
        rest.word("GROUP")?;
        rest.word("BY")?;
        let mut group_by = vec![rest.name()?.to_owned()];
        while rest.takes(",") {
            group_by.push(rest.name()?.to_owned());
        }
        rest.word("ORDER")?;
        rest.word("BY")?;
        rest.word(function)?;
        rest.word("(")?;
        rest.word(")")?;
        let descending = rest.takes("DESC");
        if !descending {
            rest.takes("ASC");
        }
        let limit = if rest.takes("LIMIT") { Some(rest.number()?) } else { None };
        if !rest.0.trim().is_empty() {
            return Err(rest.asked("the end"));
        }
        let asked = group_by.iter().chain(conditions.iter().map(|one| &one.dimension));
        if let Some(unknown) = asked.into_iter().find(|name| !dimensions.contains(*name)) {
            return Err(format!("`{unknown}` is no dimension of the schema"));
        }
        Ok(Self {
            statistic,
            metric,
            namespace,
            dimensions,
            conditions,
            group_by,
            descending,
            limit,
        })
    }

    /// The group of a metric; `None` of one that the query does not look at.
    pub fn group(&self, metric: &MetricId) -> Option<Group> {
        let is_meant = metric.namespace == self.namespace
            && metric.name == self.metric
            && metric.dimensions.keys().eq(&self.dimensions)
            && self.conditions.iter().all(|one| one.holds(metric));
        is_meant.then(|| self.group_by.iter().map(|name| metric.dimensions[name].clone()).collect())
    }

    /// The metrics of each group.
    pub fn groups<'p>(&self, published: &'p Published) -> BTreeMap<Group, Vec<&'p MetricId>> {
        let mut groups: BTreeMap<Group, Vec<&MetricId>> = BTreeMap::new();
        for metric in published.metrics() {
            if let Some(group) = self.group(metric) {
                groups.entry(group).or_default().push(metric);
            }
        }
        groups
    }

    /// What each group comes to in these minutes, those without a value left out, and those that
    /// are beyond the limit too.
    pub fn points<'g>(
        &self,
        groups: &'g BTreeMap<Group, Vec<&MetricId>>,
        published: &Published,
        first: Minute,
        last: Minute,
    ) -> Vec<(&'g Group, f64)> {
        let of_group = |(group, metrics): (&'g Group, &Vec<&MetricId>)| {
            let values = metrics.iter().map(|metric| published.values(metric, first, last));
            let point = self.statistic.of(&mut values.collect::<Vec<_>>().concat())?;
            Some((group, point))
        };
        let mut points: Vec<_> = groups.iter().filter_map(of_group).collect();
        points.sort_by(|(_, left), (_, right)| left.total_cmp(right));
        if self.descending {
            points.reverse();
        }
        points.truncate(self.limit.unwrap_or(usize::MAX));
        points
    }
}

fn statistic(function: &str) -> Result<Statistic, String> {
    Ok(match function {
        "AVG" => Statistic::Average,
        "COUNT" => Statistic::SampleCount,
        "MAX" => Statistic::Maximum,
        "MIN" => Statistic::Minimum,
        "SUM" => Statistic::Sum,
        _ => return Err(format!("`{function}` is none of AVG, COUNT, MAX, MIN and SUM")),
    })
}

impl Condition {
    fn holds(&self, metric: &MetricId) -> bool {
        (metric.dimensions.get(&self.dimension) == Some(&self.value)) == self.is
    }
}

/// What is left of a query's text.
struct Rest<'t>(&'t str);

impl<'t> Rest<'t> {
    fn takes(&mut self, word: &str) -> bool {
        let found = self.0.trim_start().strip_prefix(word);
        let is_part = |rest: &str| rest.starts_with(|next: char| next.is_ascii_alphanumeric());
        let is_name = word.ends_with(|last: char| last.is_ascii_alphanumeric());
        match found {
            Some(rest) if !(is_name && is_part(rest)) => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn word(&mut self, word: &str) -> Result<(), String> {
        if self.takes(word) { Ok(()) } else { Err(self.asked(&format!("`{word}`"))) }
    }

    fn name(&mut self) -> Result<&'t str, String> {
        let text = self.0.trim_start();
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let length = text.find(|letter| !is_part(letter)).unwrap_or(text.len());
        if length == 0 {
            return Err(self.asked("a name"));
        }
        self.0 = &text[length..];
        Ok(&text[..length])
    }

    fn number(&mut self) -> Result<usize, String> {
        let asked = self.asked("a number");
        self.name()?.parse().map_err(|_| asked)
    }

    fn quoted(&mut self, quote: char) -> Result<&'t str, String> {
        let inner = self.0.trim_start().strip_prefix(quote);
        let Some((inner, rest)) = inner.and_then(|inner| inner.split_once(quote)) else {
            return Err(self.asked(&format!("a text in {quote}")));
        };
        self.0 = rest;
        Ok(inner)
    }

    fn conditions(&mut self) -> Result<Vec<Condition>, String> {
        let mut conditions = Vec::new();
        loop {
            let dimension = self.name()?.to_owned();
            let is = !self.takes("!=");
            if is {
                self.word("=")?;
            }
            let value = self.quoted('\'')?.to_owned();
            conditions.push(Condition { dimension, is, value });
            if !self.takes("AND") {
                return Ok(conditions);
            }
        }
    }

    fn asked(&self, what: &str) -> String {
        format!("{what} is asked before `{}`", self.0.trim_start())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERRORS: &str =
        r#"SELECT AVG(Errors) FROM SCHEMA("N", Who) GROUP BY Who ORDER BY AVG() DESC"#;

    fn metric(dimensions: &[(&str, &str)]) -> MetricId {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        MetricId {
            namespace: "N".to_owned(),
            name: "Errors".to_owned(),
            dimensions: dimensions.iter().map(owned).collect(),
        }
    }

    /// One value a metric, in minute 0, and what the query makes of them.
    fn points(query: &str, values: &[(&[(&str, &str)], f64)]) -> Vec<(String, f64)> {
        let query = Query::parse(query).unwrap();
        let mut published = Published::default();
        for (dimensions, value) in values {
            let series = published.series(&metric(dimensions), "Count");
            published.add(series, 0, &[*value]);
        }
        let groups = query.groups(&published);
        let points = query.points(&groups, &published, 0, 4);
        points.into_iter().map(|(group, value)| (group.join("/"), value)).collect()
    }

    #[test]
    fn each_group_is_a_series_of_its_own_in_the_order_that_is_asked() {
        let values: [(&[_], f64); 3] =
            [(&[("Who", "a")], 0.0), (&[("Who", "b")], 1.0), (&[("Who", "b")], 0.0)];
        assert_eq!(points(ERRORS, &values), [("b".to_owned(), 0.5), ("a".to_owned(), 0.0)]);
        let rising = ERRORS.replace("DESC", "ASC LIMIT 1");
        assert_eq!(points(&rising, &values), [("a".to_owned(), 0.0)]);
        let of_a = ERRORS.replace("GROUP", "WHERE Who != 'b' GROUP");
        assert_eq!(points(&of_a, &values), [("a".to_owned(), 0.0)]);
        let sum = ERRORS.replace("AVG", "SUM");
        assert_eq!(points(&sum, &values)[0], ("b".to_owned(), 1.0));
    }

    #[test]
    fn a_schema_is_all_dimensions_of_a_metric_and_no_others() {
        let other: [(&[_], f64); 2] = [(&[], 1.0), (&[("Who", "a"), ("Where", "x")], 1.0)];
        assert_eq!(points(ERRORS, &other), []);
        let both = ERRORS.replace("Who)", "Who, Where)");
        assert_eq!(points(&both, &other), [("a".to_owned(), 1.0)]);
    }

    #[test]
    fn what_is_no_query_of_an_alarm_is_told() {
        for (part, other, told) in [
            ("AVG(Errors)", "P90(Errors)", "`P90` is none of"),
            ("GROUP BY Who ", "", "`GROUP` is asked"),
            (" ORDER BY AVG() DESC", "", "`ORDER` is asked"),
            ("GROUP BY Who", "GROUP BY Where", "`Where` is no dimension"),
            ("BY AVG()", "BY SUM()", "`AVG` is asked"),
            ("DESC", "DESC LIMIT many", "a number is asked"),
            ("DESC", "DESCENDING", "the end is asked"),
            ("SCHEMA(\"N\", Who)", "SCHEMA(N, Who)", "a text in \""),
        ] {
            let problem = Query::parse(&ERRORS.replace(part, other)).unwrap_err();
            assert!(problem.contains(told), "{problem}");
        }
    }
}
