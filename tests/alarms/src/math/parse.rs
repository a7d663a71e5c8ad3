//! The grammar of metric math, the loosest binding first:
//!
//! ```text
//! either  = both ("OR" both)*                  also ||
//! both    = compare ("AND" compare)*           also &&
//! compare = sum [("==" | "!=" | "<=" | ">=" | "<" | ">") sum]
//! sum     = product (("+" | "-") product)*
//! product = unary (("*" | "/") unary)*
//! unary   = "-" unary | number | id | function | "(" either ")"
//! ```

use super::{Expression, Operator};

/// Where and why a text is no metric math.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at} of `{text}`: asked is {asked}")]
pub struct SyntaxError {
    text: String,
    at: usize,
    asked: String,
}

/// The operators of one level; of two that begin alike, the longer first.
const OR: [(&str, Operator); 2] = [("OR", Operator::Or), ("||", Operator::Or)];
const AND: [(&str, Operator); 2] = [("AND", Operator::And), ("&&", Operator::And)];
const COMPARE: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
];
const SUM: [(&str, Operator); 2] = [("+", Operator::Add), ("-", Operator::Subtract)];
const PRODUCT: [(&str, Operator); 2] = [("*", Operator::Multiply), ("/", Operator::Divide)];

/// The levels of binary operators, the loosest first.
const LEVELS: [&[(&str, Operator)]; 5] = [&OR, &AND, &COMPARE, &SUM, &PRODUCT];

pub(super) fn parse(text: &str) -> Result<Expression, SyntaxError> {
    let mut parser = Parser { text, at: 0 };
    let expression = parser.binary(0)?;
    parser.skip_blanks();
    if parser.at < text.len() { Err(parser.error("the end")) } else { Ok(expression) }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Parser<'t> {
    fn binary(&mut self, level: usize) -> Result<Expression, SyntaxError> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.binary(level + 1)?;
        while let Some((_, operator)) = operators.iter().find(|(symbol, _)| self.takes(symbol)) {
            let right = self.binary(level + 1)?;
            left = Expression::Binary(*operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expression, SyntaxError> {
        if self.takes("-") {
            return Ok(Expression::Negative(Box::new(self.unary()?)));
        }
        if self.takes("(") {
            let inner = self.binary(0)?;
            self.expect(")")?;
            return Ok(inner);
        }
        let word = self.word();
        match word.bytes().next() {
            Some(b'0'..=b'9') => self.number(word).map(Expression::Number),
            Some(b'a'..=b'z') => Ok(Expression::Id(word.to_owned())),
            Some(b'A'..=b'Z') => self.function(word),
            _ => Err(self.error("an operand")),
        }
    }

    fn function(&mut self, name: &str) -> Result<Expression, SyntaxError> {
        self.expect("(")?;
        let function = match name {
            "IF" => {
                let condition = Box::new(self.binary(0)?);
                self.expect(",")?;
                let then = Box::new(self.binary(0)?);
                let otherwise =
                    if self.takes(",") { Some(Box::new(self.binary(0)?)) } else { None };
                Expression::If(condition, then, otherwise)
            }
            "FILL" => {
                let series = Box::new(self.binary(0)?);
                self.expect(",")?;
                let filler = self.word();
                Expression::Fill(series, self.number(filler)?)
            }
            "SUM" => {
                self.expect("[")?;
                let mut parts = vec![self.binary(0)?];
                while self.takes(",") {
                    parts.push(self.binary(0)?);
                }
                self.expect("]")?;
                Expression::Sum(parts)
            }
            _ => return Err(self.error("IF, FILL or SUM")),
        };
        self.expect(")")?;
        Ok(function)
    }

    /// Letters, digits, underscores and points, as many as there are.
    fn word(&mut self) -> &'t str {
        self.skip_blanks();
        let rest = &self.text[self.at..];
        let is_part = |letter: char| letter.is_ascii_alphanumeric() || "_.".contains(letter);
        let length = rest.find(|letter| !is_part(letter)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn number(&self, word: &str) -> Result<f64, SyntaxError> {
        word.parse().map_err(|_| self.error("a number"))
    }

    fn expect(&mut self, symbol: &str) -> Result<(), SyntaxError> {
        if self.takes(symbol) { Ok(()) } else { Err(self.error(&format!("`{symbol}`"))) }
    }

    fn takes(&mut self, symbol: &str) -> bool {
        self.skip_blanks();
        let found = self.text[self.at..].starts_with(symbol);
        if found {
            self.at += symbol.len();
        }
        found
    }

    fn skip_blanks(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn error(&self, asked: &str) -> SyntaxError {
        SyntaxError { text: self.text.to_owned(), at: self.at, asked: asked.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_metric_math_is_told_with_its_place() {
        let told = |text| parse(text).unwrap_err().to_string();
        assert_eq!(told("a +"), "at byte 3 of `a +`: asked is an operand");
        assert_eq!(told("a b"), "at byte 2 of `a b`: asked is the end");
        assert_eq!(told("RATE(a)"), "at byte 5 of `RATE(a)`: asked is IF, FILL or SUM");
        assert_eq!(told("IF(a)"), "at byte 4 of `IF(a)`: asked is `,`");
        assert_eq!(told("1.2.3"), "at byte 5 of `1.2.3`: asked is a number");
        assert_eq!(told("FILL(a, LINEAR)"), "at byte 14 of `FILL(a, LINEAR)`: asked is a number");
    }
}
