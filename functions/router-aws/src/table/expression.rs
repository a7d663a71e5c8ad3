//! One conditional write, put together clause by clause.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::number;

/// An update and its condition. Every attribute is named through a placeholder: DynamoDB has
/// some six hundred reserved words, and a hold's name has characters that it does not take.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expression {
    pub(crate) names: HashMap<String, String>,
    pub(crate) values: HashMap<String, AttributeValue>,
    sets: Vec<String>,
    removes: Vec<String>,
    conditions: Vec<String>,
}

impl Expression {
    /// Sets an attribute.
    pub(crate) fn set(&mut self, attribute: &str, value: AttributeValue) {
        let clause = format!("{} = {}", self.name(attribute), self.value(value));
        self.sets.push(clause);
    }

    /// Adds to a number that counts as zero where it is absent.
    pub(crate) fn add(&mut self, attribute: &str, amount: i128) {
        let name = self.name(attribute);
        let zero = self.value(number(0));
        let amount = self.value(AttributeValue::N(amount.to_string()));
        self.sets.push(format!("{name} = if_not_exists({name}, {zero}) + {amount}"));
    }

    /// Sets an attribute to what another was before, or to zero.
    pub(crate) fn copy(&mut self, from: &str, to: &str) {
        let (from, to) = (self.name(from), self.name(to));
        let zero = self.value(number(0));
        self.sets.push(format!("{to} = if_not_exists({from}, {zero})"));
    }

    /// Sets an attribute where it is absent.
    pub(crate) fn set_if_absent(&mut self, attribute: &str, value: AttributeValue) {
        let name = self.name(attribute);
        let value = self.value(value);
        self.sets.push(format!("{name} = if_not_exists({name}, {value})"));
    }

    pub(crate) fn remove(&mut self, attribute: &str) {
        let name = self.name(attribute);
        self.removes.push(name);
    }

    /// On the condition that the attribute is there.
    pub(crate) fn require(&mut self, attribute: &str) {
        let name = self.name(attribute);
        self.conditions.push(format!("attribute_exists({name})"));
    }

    /// On the condition that the attribute is not there.
    pub(crate) fn require_absent(&mut self, attribute: &str) {
        let name = self.name(attribute);
        self.conditions.push(format!("attribute_not_exists({name})"));
    }

    /// On the condition that the attribute compares to the value.
    pub(crate) fn compare(&mut self, attribute: &str, operator: &str, value: AttributeValue) {
        let clause = format!("{} {operator} {}", self.name(attribute), self.value(value));
        self.conditions.push(clause);
    }

    /// On the condition that the attribute is absent or compares to the value.
    pub(crate) fn compare_if_there(
        &mut self,
        attribute: &str,
        operator: &str,
        value: AttributeValue,
    ) {
        let name = self.name(attribute);
        let value = self.value(value);
        let clause = format!("(attribute_not_exists({name}) OR {name} {operator} {value})");
        self.conditions.push(clause);
    }

    /// The update expression.
    pub(crate) fn update(&self) -> String {
        let mut text = String::new();
        if !self.sets.is_empty() {
            text = format!("SET {}", self.sets.join(", "));
        }
        if !self.removes.is_empty() {
            text = format!("{text} REMOVE {}", self.removes.join(", "));
        }
        text.trim_start().to_owned()
    }

    /// The condition expression.
    pub(crate) fn condition(&self) -> String {
        self.conditions.join(" AND ")
    }

    fn name(&mut self, attribute: &str) -> String {
        let known = self.names.iter().find(|(_, name)| *name == attribute);
        if let Some((placeholder, _)) = known {
            return placeholder.clone();
        }
        let placeholder = format!("#n{}", self.names.len());
        self.names.insert(placeholder.clone(), attribute.to_owned());
        placeholder
    }

    fn value(&mut self, value: AttributeValue) -> String {
        let known = self.values.iter().find(|(_, known)| **known == value);
        if let Some((placeholder, _)) = known {
            return placeholder.clone();
        }
        let placeholder = format!(":v{}", self.values.len());
        self.values.insert(placeholder.clone(), value);
        placeholder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attribute_and_each_value_has_one_placeholder() {
        let mut write = Expression::default();
        write.add("steps", 1);
        write.compare_if_there("steps", "<=", number(11));
        write.require_absent("hold#r/0/0");
        write.remove("old");
        assert_eq!(write.update(), "SET #n0 = if_not_exists(#n0, :v0) + :v1 REMOVE #n2");
        assert_eq!(
            write.condition(),
            "(attribute_not_exists(#n0) OR #n0 <= :v2) AND attribute_not_exists(#n1)"
        );
        assert_eq!(write.names["#n1"], "hold#r/0/0");
        assert_eq!(write.values.len(), 3);
    }
}
