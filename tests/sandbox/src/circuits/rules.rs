//! The specialists of a policy.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

/// The specialists of a policy. Whatever else it says is the function's to check.
#[derive(Debug, Deserialize)]
pub(crate) struct Policy {
    specialists: BTreeMap<String, IgnoredAny>,
}

impl Policy {
    /// Reads what is needed.
    pub(crate) fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// The names of all specialists, sorted.
    pub(crate) fn specialists(&self) -> impl Iterator<Item = &str> {
        self.specialists.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stand_ins::last_run::SHIPPED_POLICY;

    #[test]
    fn the_shipped_policy_is_read() {
        let policy = Policy::parse(SHIPPED_POLICY).unwrap();
        let names: Vec<&str> = policy.specialists().collect();
        assert_eq!(names, ["billing", "general", "orders", "support"]);
    }
}
