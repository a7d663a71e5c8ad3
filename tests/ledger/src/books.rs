//! What an item of the table says, and whether its numbers fit together.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use router_core::charge::Charge;
use router_core::ids::HoldId;
use router_core::units::{MicroUsd, Tokens};

/// An item as the SDK sees it.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// Tokens and micro-dollars.
pub(crate) const fn charge(tokens: u64, micro_usd: u64) -> Charge {
    Charge { tokens: Tokens(tokens), cost: MicroUsd(micro_usd) }
}

pub(crate) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// The accounts that an item keeps.
#[derive(Clone, Debug)]
pub(crate) struct Books(Item);

impl Books {
    pub(crate) fn of(item: Item) -> Self {
        Self(item)
    }

    /// A number, 0 where it is absent.
    pub(crate) fn signed(&self, name: &str) -> i64 {
        match self.0.get(name) {
            Some(AttributeValue::N(number)) => number.parse().unwrap(),
            None => 0,
            Some(other) => panic!("`{name}` is {other:?}"),
        }
    }

    /// A number that is not less than 0, or 0 where it is absent.
    pub(crate) fn number(&self, name: &str) -> u64 {
        u64::try_from(self.signed(name))
            .unwrap_or_else(|_| panic!("`{name}` is negative: {self:?}"))
    }

    pub(crate) fn steps(&self) -> u64 {
        self.number("steps")
    }

    pub(crate) fn committed(&self) -> Charge {
        charge(self.number("committed_tokens"), self.number("committed_micro_usd"))
    }

    pub(crate) fn spent(&self) -> Charge {
        charge(self.number("spent_tokens"), self.number("spent_micro_usd"))
    }

    pub(crate) fn drawn(&self) -> u64 {
        self.number("drawn_micro_usd")
    }

    /// What is held, by the hold's id.
    pub(crate) fn holds(&self) -> BTreeMap<String, Charge> {
        let holds = self.0.iter().filter_map(|(name, value)| {
            let hold = Self(value.as_m().ok()?.clone());
            let id = name.strip_prefix("hold#")?.to_owned();
            Some((id, charge(hold.number("tokens"), hold.number("micro_usd"))))
        });
        holds.collect()
    }

    pub(crate) fn holds_for(&self, id: &HoldId) -> bool {
        self.holds().contains_key(id.as_str())
    }

    /// Whether the id of a settled hold is still remembered.
    pub(crate) fn remembers(&self, id: &HoldId) -> bool {
        let id = AttributeValue::S(id.as_str().to_owned());
        self.0.iter().any(|(name, value)| name.starts_with("recent_") && *value == id)
    }

    /// What a specialist has used.
    pub(crate) fn spent_with(&self, specialist: &str) -> Charge {
        charge(
            self.number(&format!("tokens#{specialist}")),
            self.number(&format!("micro_usd#{specialist}")),
        )
    }

    /// How many attributes have a name that begins so.
    pub(crate) fn count(&self, prefix: &str) -> usize {
        self.0.keys().filter(|name| name.starts_with(prefix)).count()
    }

    pub(crate) fn attributes(&self) -> usize {
        self.0.len()
    }

    /// The item's size, nearly as DynamoDB reckons it.
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + size(value)).sum()
    }

    /// Asserts that what is committed is what is spent and held, that what is drawn is what is
    /// committed and left, and that the specialists' parts are the whole.
    pub(crate) fn assert_balanced(&self) -> &Self {
        let held = self.holds().into_values().fold(Charge::default(), Charge::plus);
        assert_eq!(self.committed(), self.spent().plus(held), "committed = spent + held: {self:?}");
        let drawn = self.signed("committed_micro_usd") + self.signed("tenant_room_micro_usd");
        assert_eq!(self.signed("drawn_micro_usd"), drawn, "drawn = committed + room: {self:?}");
        let names = self.0.keys().filter_map(|name| name.strip_prefix("tokens#"));
        let parts = names.map(|name| self.spent_with(name)).fold(Charge::default(), Charge::plus);
        assert_eq!(parts, self.spent(), "the specialists' parts are the whole: {self:?}");
        self
    }

    /// Asserts that it is all over: balanced, nothing held, exactly this spent.
    pub(crate) fn assert_settled(&self, spent: Charge) {
        self.assert_balanced();
        assert_eq!(self.holds(), BTreeMap::new());
        assert_eq!(self.spent(), spent);
        assert_eq!(self.committed(), spent);
    }
}

fn size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        AttributeValue::M(map) => {
            3 + map.iter().map(|(name, value)| 1 + name.len() + size(value)).sum::<usize>()
        }
        other => panic!("the ledger writes no {other:?}"),
    }
}
