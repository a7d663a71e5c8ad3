//! Forcing circuits by hand.
//!
//! An operator's word is one attribute of the circuit's item, which goes before its state and
//! which the router never writes. So it is set whatever the item says, and nothing else of it
//! changes.

use std::fmt;

use stand_ins::table::AttributeValue;
use stand_ins::table::{TABLE_NAME, Table, key};

use super::CircuitsError;
use super::circuit::ALL;

/// What an operator says about circuits, each named once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Force(Vec<(String, Word)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Open,
    Closed,
    None,
}

/// One thing that is wrong with `--force`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    found: String,
    rule: String,
}

impl Force {
    /// Reads `billing=open,*=none` for the specialists there are; all mistakes at once.
    pub(crate) fn parse(texts: &[String], known: &[&str]) -> Result<Self, Vec<Mistake>> {
        let mut words: Vec<(String, Word)> = Vec::new();
        let mut mistakes = Vec::new();
        for setting in texts.iter().flat_map(|text| text.split(',')).map(str::trim) {
            let mut wrong =
                |rule: String| mistakes.push(Mistake { found: setting.to_owned(), rule });
            let Some((name, word)) = setting.split_once('=') else {
                wrong("it must be NAME=open, NAME=closed or NAME=none".to_owned());
                continue;
            };
            if name != ALL && !known.contains(&name) {
                let known = known.join(", ");
                wrong(format!("there is no such specialist, only {known}, or `*` for all"));
                continue;
            }
            let word = match word {
                "open" => Word::Open,
                "closed" => Word::Closed,
                "none" => Word::None,
                _ => {
                    wrong("a circuit is forced open or closed, or `none` leaves it alone".into());
                    continue;
                }
            };
            if words.iter().any(|(other, _)| other == name) {
                wrong("it must be given once".to_owned());
            }
            words.push((name.to_owned(), word));
        }
        if mistakes.is_empty() { Ok(Self(words)) } else { Err(mistakes) }
    }

    /// Sets or removes the attribute, one circuit after the other.
    pub(crate) async fn write(&self, table: &Table) -> Result<(), CircuitsError> {
        for (name, word) in &self.0 {
            let update = table
                .client()
                .update_item()
                .table_name(TABLE_NAME)
                .set_key(Some(key(&format!("CIRCUIT#{name}"), "STATE")));
            let set = |word: &str| {
                let update = update.clone().update_expression("SET forced = :word");
                update.expression_attribute_values(":word", AttributeValue::S(word.to_owned()))
            };
            let update = match word {
                Word::Open => set("open"),
                Word::Closed => set("closed"),
                Word::None => update.update_expression("REMOVE forced"),
            };
            if let Err(error) = update.send().await {
                return Err(CircuitsError::Force {
                    specialist: name.clone(),
                    source: error.into_source().unwrap_or_else(Box::from),
                });
            }
        }
        Ok(())
    }
}

impl fmt::Display for Force {
    /// `billing is forced open, orders is left alone`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, word)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            let what = match word {
                Word::Open => "forced open",
                Word::Closed => "forced closed",
                Word::None => "left alone",
            };
            write!(f, "{comma}{name} is {what}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.found.escape_debug(), self.rule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::circuits::tests::item;

    fn parse(texts: &[&str]) -> Result<Force, Vec<String>> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        Force::parse(&texts, &["billing", "orders"])
            .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn several_circuits_are_forced_at_once() {
        let force = parse(&["billing=open, orders=none", "*=closed"]).unwrap();
        let said = "billing is forced open, orders is left alone, * is forced closed";
        assert_eq!(force.to_string(), said);
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        assert_eq!(
            parse(&["billing,astrology=open,orders=ajar", "billing=open,billing=none"])
                .unwrap_err(),
            [
                "`billing`: it must be NAME=open, NAME=closed or NAME=none",
                "`astrology=open`: there is no such specialist, only billing, orders, or `*` for \
                 all",
                "`orders=ajar`: a circuit is forced open or closed, or `none` leaves it alone",
                "`billing=none`: it must be given once",
            ]
        );
    }

    #[tokio::test]
    async fn only_the_operators_attribute_changes() {
        let table = Table::start().await.unwrap();
        let numbers = [("stamp", 7), ("open_until_ms", 1_000)];
        let before = item("billing", &[("state", "open"), ("reason", "timeout")], &numbers);
        table.put_item(before.clone()).await.unwrap();
        for (word, forced) in [("open", Some("open")), ("closed", Some("closed")), ("none", None)] {
            parse(&[&format!("billing={word}")]).unwrap().write(&table).await.unwrap();
            let mut expected = before.clone();
            expected.extend(
                forced.map(|word| ("forced".to_owned(), AttributeValue::S(word.to_owned()))),
            );
            assert_eq!(table.scan().await.unwrap(), [expected], "{word}");
        }
    }

    #[tokio::test]
    async fn a_circuit_without_an_item_is_forced_as_well() {
        let table = Table::start().await.unwrap();
        parse(&["*=open"]).unwrap().write(&table).await.unwrap();
        assert_eq!(table.scan().await.unwrap(), [item("*", &[("forced", "open")], &[])]);
    }
}
