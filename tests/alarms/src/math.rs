//! Metric math, as far as the template uses it.
//!
//! The rules are those of the CloudWatch User Guide, "Using math expressions with CloudWatch
//! metrics". All of it works on one period at a time, so that an expression is worked out for one
//! data point from the data points of its metrics. Functions that look at other periods, which
//! the guide advises against in alarms, are not known.

mod parse;

use std::collections::BTreeSet;

pub use self::parse::SyntaxError;

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// A number.
    Number(f64),
    /// A metric, or another expression, by its id.
    Id(String),
    /// Minus.
    Negative(Box<Expression>),
    /// Two operands.
    Binary(Operator, Box<Expression>, Box<Expression>),
    /// `IF(condition, then, otherwise)`; without the last, what is not `then` is dropped.
    If(Box<Expression>, Box<Expression>, Option<Box<Expression>>),
    /// `FILL(series, number)`.
    Fill(Box<Expression>, f64),
    /// `SUM([a, b, …])`.
    Sum(Vec<Expression>),
}

/// An operator between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of arithmetic and logic")]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Equal,
    NotEqual,
    LessOrEqual,
    GreaterOrEqual,
    Less,
    Greater,
    And,
    Or,
}

/// What an expression comes to in one period.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Point {
    /// A number that is the same in every period.
    Scalar(f64),
    /// The data point of a time series, if it has one in this period.
    Series(Option<f64>),
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    ///
    /// What is no metric math, or none of the functions known here.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        parse::parse(text)
    }

    /// The data point of one period, from those of the metrics; `None` when there is none.
    pub fn at(&self, metric: &mut impl FnMut(&str) -> Option<f64>) -> Option<f64> {
        match self.point(metric) {
            Point::Scalar(value) => Some(value),
            Point::Series(point) => point,
        }
    }

    /// The ids that it refers to.
    pub fn ids(&self) -> BTreeSet<&str> {
        match self {
            Self::Number(_) => BTreeSet::new(),
            Self::Id(id) => [id.as_str()].into(),
            Self::Negative(inner) | Self::Fill(inner, _) => inner.ids(),
            Self::Binary(_, left, right) => &left.ids() | &right.ids(),
            Self::If(condition, then, otherwise) => {
                let parts = [Some(condition), Some(then), otherwise.as_ref()];
                parts.into_iter().flatten().flat_map(|part| part.ids()).collect()
            }
            Self::Sum(parts) => parts.iter().flat_map(Self::ids).collect(),
        }
    }

    fn point(&self, metric: &mut impl FnMut(&str) -> Option<f64>) -> Point {
        match self {
            Self::Number(value) => Point::Scalar(*value),
            Self::Id(id) => Point::Series(metric(id)),
            Self::Negative(inner) => match inner.point(metric) {
                Point::Scalar(value) => Point::Scalar(-value),
                Point::Series(point) => Point::Series(point.map(|value| -value)),
            },
            Self::Binary(operator, left, right) => {
                combine(*operator, left.point(metric), right.point(metric))
            }
            Self::If(condition, then, otherwise) => {
                let condition = condition.point(metric);
                let then = then.point(metric);
                let otherwise = otherwise.as_ref().map(|otherwise| otherwise.point(metric));
                Point::Series(choose(condition, then, otherwise))
            }
            Self::Fill(inner, filler) => match inner.point(metric) {
                Point::Series(None) => Point::Series(Some(*filler)),
                point => point,
            },
            // Missing values are treated as 0, unless all are missing.
            Self::Sum(parts) => parts
                .iter()
                .map(|part| part.point(metric))
                .reduce(|sum, part| combine(Operator::Add, sum, part))
                .unwrap_or(Point::Series(None)),
        }
    }
}

/// "Missing values in a time series are treated as 0", where the other series has one; and a
/// data point that would be divided by zero is dropped.
fn combine(operator: Operator, left: Point, right: Point) -> Point {
    let (left, right, is_scalar) = match (left, right) {
        (Point::Scalar(left), Point::Scalar(right)) => (left, right, true),
        (Point::Series(None), _) if !matches!(right, Point::Series(Some(_))) => {
            return Point::Series(None);
        }
        (_, Point::Series(None)) if !matches!(left, Point::Series(Some(_))) => {
            return Point::Series(None);
        }
        (left, right) => (left.or_zero(), right.or_zero(), false),
    };
    let truth = |holds| Some(if holds { 1.0 } else { 0.0 });
    let result = match operator {
        Operator::Add => Some(left + right),
        Operator::Subtract => Some(left - right),
        Operator::Multiply => Some(left * right),
        Operator::Divide => (right != 0.0).then(|| left / right),
        Operator::Equal => truth(left == right),
        Operator::NotEqual => truth(left != right),
        Operator::LessOrEqual => truth(left <= right),
        Operator::GreaterOrEqual => truth(left >= right),
        Operator::Less => truth(left < right),
        Operator::Greater => truth(left > right),
        Operator::And => truth(left != 0.0 && right != 0.0),
        Operator::Or => truth(left != 0.0 || right != 0.0),
    };
    match result {
        Some(value) if is_scalar => Point::Scalar(value),
        result => Point::Series(result),
    }
}

impl Point {
    fn or_zero(self) -> f64 {
        match self {
            Self::Scalar(value) => value,
            Self::Series(point) => point.unwrap_or(0.0),
        }
    }
}

/// The guide's "Using IF expressions": where the condition is missing, so is the result; a
/// missing `then` is 0; a missing `otherwise` is dropped.
fn choose(condition: Point, then: Point, otherwise: Option<Point>) -> Option<f64> {
    let condition = match condition {
        Point::Scalar(value) => value,
        Point::Series(point) => point?,
    };
    if condition != 0.0 {
        return Some(then.or_zero());
    }
    match otherwise? {
        Point::Scalar(value) => Some(value),
        Point::Series(point) => point,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Series = [Option<f64>];

    /// What an expression makes of these series, period by period.
    fn series(text: &str, metrics: &[(&str, &Series)]) -> Vec<Option<f64>> {
        let expression = Expression::parse(text).unwrap();
        let length = metrics.first().map_or(1, |(_, points)| points.len());
        (0..length)
            .map(|at| {
                expression.at(&mut |id| {
                    let (_, points) = metrics.iter().find(|(name, _)| *name == id).unwrap();
                    points[at]
                })
            })
            .collect()
    }

    fn points<const N: usize>(values: [f64; N]) -> Vec<Option<f64>> {
        values.map(Some).to_vec()
    }

    #[test]
    fn the_guides_table_of_comparisons() {
        let metrics: [(&str, &Series); 2] = [
            ("metric1", &[Some(30.0), Some(20.0), Some(0.0), Some(0.0)]),
            ("metric2", &[Some(20.0), None, Some(20.0), None]),
        ];
        for (text, expected) in [
            ("metric1 < metric2", [0.0, 0.0, 1.0, 0.0]),
            ("metric1 >= 30", [1.0, 0.0, 0.0, 0.0]),
            ("metric1 > 15 AND metric2 > 15", [1.0, 0.0, 0.0, 0.0]),
        ] {
            assert_eq!(series(text, &metrics), points(expected), "{text}");
        }
    }

    #[test]
    fn the_guides_tables_of_if() {
        let metrics: [(&str, &Series); 3] = [
            ("metric1", &[Some(1.0), Some(1.0), Some(0.0), Some(0.0), None]),
            ("metric2", &[Some(30.0), None, Some(0.0), Some(0.0), Some(30.0)]),
            ("metric3", &[Some(0.0), Some(0.0), Some(20.0), None, Some(20.0)]),
        ];
        let check = |text, expected: [Option<f64>; 5]| {
            assert_eq!(series(text, &metrics), expected, "{text}");
        };
        check("IF(metric1, metric2, metric3)", [Some(30.0), Some(0.0), Some(20.0), None, None]);
        check("IF(metric1, 5, metric3)", [Some(5.0), Some(5.0), Some(20.0), None, None]);
        check("IF(metric1, metric2, 5)", [Some(30.0), Some(0.0), Some(5.0), Some(5.0), None]);
        check("IF(metric1, metric2)", [Some(30.0), Some(0.0), None, None, None]);
    }

    #[test]
    fn missing_is_zero_beside_a_value_and_a_division_by_zero_is_dropped() {
        let metrics: [(&str, &Series); 2] = [
            ("a", &[Some(6.0), Some(6.0), None, None]),
            ("b", &[Some(3.0), None, Some(3.0), None]),
        ];
        assert_eq!(series("a + b", &metrics), [Some(9.0), Some(6.0), Some(3.0), None]);
        assert_eq!(series("a / b", &metrics), [Some(2.0), None, Some(0.0), None]);
        assert_eq!(series("SUM([a, b])", &metrics), [Some(9.0), Some(6.0), Some(3.0), None]);
        assert_eq!(series("FILL(a, 1)", &metrics), points([6.0, 6.0, 1.0, 1.0]));
        assert_eq!(series("2 * a", &metrics), [Some(12.0), Some(12.0), None, None]);
    }

    #[test]
    fn operators_bind_as_in_arithmetic() {
        for (text, value) in [
            ("1 + 2 * 3", 7.0),
            ("(1 + 2) * 3", 9.0),
            ("10 - 4 - 3", 3.0),
            ("-2 * -3", 6.0),
            ("1 + 1 == 2 AND 2 > 1 OR 0", 1.0),
            ("1 OR 0 AND 0", 1.0),
            ("1 && 0 || 0.5", 1.0),
            ("1 <= 1", 1.0),
            ("1 != 1", 0.0),
        ] {
            assert_eq!(series(text, &[]), [Some(value)], "{text}");
        }
    }

    #[test]
    fn the_ids_of_an_expression_are_all_that_it_needs() {
        let expression = Expression::parse("IF(a >= 20, 100 * FILL(b, 0) / a, -c)").unwrap();
        assert_eq!(expression.ids(), ["a", "b", "c"].into());
    }
}
