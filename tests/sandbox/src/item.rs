//! Reading the table's items.

use serde_json::Value;
use stand_ins::table::AttributeValue;
use stand_ins::table::Item;

/// A string attribute.
pub(crate) fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

/// A number attribute that is a whole number and not below zero.
pub(crate) fn number(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// A value as JSON; what has no counterpart becomes `null`.
pub(crate) fn json(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => text.as_str().into(),
        AttributeValue::N(digits) => {
            serde_json::from_str(digits).unwrap_or_else(|_| digits.as_str().into())
        }
        AttributeValue::Bool(truth) => (*truth).into(),
        AttributeValue::L(list) => list.iter().map(json).collect(),
        AttributeValue::Ss(texts) => texts.iter().map(String::as_str).collect(),
        AttributeValue::M(map) => {
            Value::Object(map.iter().map(|(name, value)| (name.clone(), json(value))).collect())
        }
        _ => Value::Null,
    }
}

/// The items `<kind>#<name>` / `DAY#<date>` with name and date, sorted.
pub(crate) fn days<'a>(items: &'a [Item], kind: &str) -> Vec<(&'a str, &'a str, &'a Item)> {
    let mut days: Vec<_> = items
        .iter()
        .filter_map(|item| {
            let name = text(item, "pk")?.strip_prefix(kind)?.strip_prefix('#')?;
            Some((name, text(item, "sk")?.strip_prefix("DAY#")?, item))
        })
        .collect();
    days.sort_by_key(|(name, date, _)| (*name, *date));
    days
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn attributes_become_json_of_their_type() {
        let map = Item::from([
            ("s".to_owned(), AttributeValue::S("a".to_owned())),
            ("n".to_owned(), AttributeValue::N("12".to_owned())),
            ("fraction".to_owned(), AttributeValue::N("0.5".to_owned())),
            ("list".to_owned(), AttributeValue::L(vec![AttributeValue::Bool(true)])),
            ("nothing".to_owned(), AttributeValue::Null(true)),
        ]);
        let expected =
            json!({ "s": "a", "n": 12, "fraction": 0.5, "list": [true], "nothing": null });
        assert_eq!(super::json(&AttributeValue::M(map)), expected);
    }
}
