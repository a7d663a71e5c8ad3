//! Writes and items in DynamoDB's own form. Nothing is decided here.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use router_core::store::{Change, Comparison, Condition, Item, ItemKey, Update, Value};

/// The attributes of an item, as the SDK has them.
pub(crate) type Attributes = HashMap<String, AttributeValue>;

/// An item without its key: no reader needs that, but of a circuit, which has it in `pk`.
pub(crate) fn item_of(attributes: Attributes) -> Item {
    Item(attributes.into_iter().map(|(name, value)| (name, value_of(value))).collect())
}

/// The attributes of a key.
pub(crate) fn key_attributes(key: &ItemKey) -> Attributes {
    HashMap::from([
        ("pk".to_owned(), AttributeValue::S(key.pk.clone())),
        ("sk".to_owned(), AttributeValue::S(key.sk.clone())),
    ])
}

/// A whole item.
pub(crate) fn with_key(key: &ItemKey, item: &Item) -> Attributes {
    let mut attributes = attributes(item);
    attributes.extend(key_attributes(key));
    attributes
}

fn attributes(item: &Item) -> Attributes {
    item.0.iter().map(|(name, value)| (name.clone(), attribute(value))).collect()
}

fn attribute(value: &Value) -> AttributeValue {
    match value {
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::Text(text) => AttributeValue::S(text.clone()),
        Value::Map(item) => AttributeValue::M(attributes(item)),
        Value::Other => AttributeValue::Null(true),
    }
}

fn value_of(value: AttributeValue) -> Value {
    match value {
        AttributeValue::N(number) => number.parse().map_or(Value::Other, Value::Number),
        AttributeValue::S(text) => Value::Text(text),
        AttributeValue::M(map) => Value::Map(item_of(map)),
        _ => Value::Other,
    }
}

/// The expressions of a write. Every attribute is named through a placeholder: DynamoDB has some
/// six hundred reserved words, and a hold's name has characters that it does not take.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    names: BTreeMap<String, String>,
    values: BTreeMap<Value, String>,
    pub(super) condition: Option<String>,
    pub(super) update: String,
}

impl Expressions {
    pub(super) fn of_update(update: &Update) -> Self {
        let mut this = Self::of_conditions(&update.conditions);
        let (mut sets, mut removes) = (Vec::new(), Vec::new());
        for change in &update.changes {
            match this.change(change) {
                (clause, true) => sets.push(clause),
                (name, false) => removes.push(name),
            }
        }
        let parts = [("SET", sets), ("REMOVE", removes)].into_iter();
        let parts = parts.filter(|(_, clauses)| !clauses.is_empty());
        let parts: Vec<String> =
            parts.map(|(word, clauses)| format!("{word} {}", clauses.join(", "))).collect();
        this.update = parts.join(" ");
        this
    }

    pub(super) fn of_conditions(conditions: &[Condition]) -> Self {
        let mut this = Self::default();
        let clauses: Vec<String> = conditions.iter().map(|one| this.condition(one)).collect();
        this.condition = Some(clauses.join(" AND ")).filter(|text| !text.is_empty());
        this
    }

    pub(super) fn names(&self) -> Option<HashMap<String, String>> {
        let names = self.names.iter();
        Some(names.map(|(name, placeholder)| (placeholder.clone(), name.clone())).collect())
    }

    /// `None` where there are none: DynamoDB takes no empty map of values.
    pub(super) fn values(&self) -> Option<Attributes> {
        let values = self.values.iter();
        let values: Attributes =
            values.map(|(value, placeholder)| (placeholder.clone(), attribute(value))).collect();
        Some(values).filter(|values| !values.is_empty())
    }

    /// A clause, and whether it sets something.
    fn change(&mut self, change: &Change) -> (String, bool) {
        let clause = match change {
            Change::Remove(name) => return (self.name(name), false),
            Change::Set(name, value) => format!("{} = {}", self.name(name), self.value(value)),
            Change::SetIfAbsent(name, value) => {
                let (name, value) = (self.name(name), self.value(value));
                format!("{name} = if_not_exists({name}, {value})")
            }
            Change::Add(name, amount) => {
                let (name, zero) = (self.name(name), self.value(&Value::Number(0)));
                let amount = self.value(&Value::Number(*amount));
                format!("{name} = if_not_exists({name}, {zero}) + {amount}")
            }
            Change::Copy { from, to } => {
                let (from, to) = (self.name(from), self.name(to));
                format!("{to} = if_not_exists({from}, {})", self.value(&Value::Number(0)))
            }
        };
        (clause, true)
    }

    fn condition(&mut self, condition: &Condition) -> String {
        match condition {
            Condition::Exists(name) => format!("attribute_exists({})", self.name(name)),
            Condition::Absent(name) => format!("attribute_not_exists({})", self.name(name)),
            Condition::Compare(name, comparison, value) => {
                format!("{} {} {}", self.name(name), operator(*comparison), self.value(value))
            }
            Condition::Any(conditions) => {
                let clauses: Vec<String> =
                    conditions.iter().map(|one| self.condition(one)).collect();
                format!("({})", clauses.join(" OR "))
            }
        }
    }

    fn name(&mut self, attribute: &str) -> String {
        if let Some(known) = self.names.get(attribute) {
            return known.clone();
        }
        let placeholder = format!("#n{}", self.names.len());
        self.names.insert(attribute.to_owned(), placeholder.clone());
        placeholder
    }

    fn value(&mut self, value: &Value) -> String {
        let next = self.values.len();
        self.values.entry(value.clone()).or_insert_with(|| format!(":v{next}")).clone()
    }
}

fn operator(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "=",
        Comparison::Different => "<>",
        Comparison::Less => "<",
        Comparison::AtMost => "<=",
        Comparison::Greater => ">",
        Comparison::AtLeast => ">=",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attribute_and_each_value_has_one_placeholder() {
        let mut update = Update::of(ItemKey::policy());
        update.add("steps", 1);
        update.require_room("steps", 1, 12);
        update.require_absent("hold#r/0/0");
        update.remove("old");
        let write = Expressions::of_update(&update);
        assert_eq!(write.update, "SET #n0 = if_not_exists(#n0, :v1) + :v2 REMOVE #n2");
        assert_eq!(
            write.condition.as_deref(),
            Some("(attribute_not_exists(#n0) OR #n0 <= :v0) AND attribute_not_exists(#n1)")
        );
        assert_eq!(write.names().unwrap()["#n1"], "hold#r/0/0");
        assert_eq!(write.values().unwrap().len(), 3);
    }

    #[test]
    fn an_item_is_read_as_it_was_written() {
        let hold = Item::from([("specialist", Value::text("billing"))]);
        let item = Item::from([("room", Value::Number(-3)), ("hold#r", Value::Map(hold))]);
        assert_eq!(item_of(attributes(&item)), item);
    }

    #[test]
    fn what_no_router_writes_is_there_and_cannot_be_read() {
        for odd in [AttributeValue::N("1.5".to_owned()), AttributeValue::Bool(true)] {
            assert_eq!(value_of(odd), Value::Other);
        }
    }
}
