//! What a policy says about circuits.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The specialists of a policy. Whatever else it says is the function's to check.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Policy {
    specialists: BTreeMap<String, Specialist>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Specialist {
    circuit: Rules,
}

/// When a specialist is no longer asked, and when it is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Rules {
    /// Failures in a row that open the circuit.
    pub(crate) failures: u64,
    /// How long it stays open, and how long a failure is remembered.
    pub(crate) open_seconds: u64,
    /// Successes in a row that close it again.
    pub(crate) probes: u64,
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

    /// The rules for a specialist; for one that the policy does not know, the usual ones.
    pub(crate) fn rules(&self, specialist: &str) -> Rules {
        self.specialists.get(specialist).map(|specialist| specialist.circuit).unwrap_or_default()
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self { failures: 5, open_seconds: 30, probes: 3 }
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

    #[test]
    fn what_a_policy_leaves_out_has_its_default() {
        let text = "[specialists.a]\nprice = 1\n[specialists.b]\ncircuit = { failures = 2 }\n";
        let policy = Policy::parse(text).unwrap();
        assert_eq!(policy.rules("a"), Rules::default());
        assert_eq!(policy.rules("b"), Rules { failures: 2, ..Rules::default() });
        assert_eq!(policy.rules("nobody"), Rules::default());
    }
}
