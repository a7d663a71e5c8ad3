//! Specialists on several levels: a specialist may have specialists of its own.
//!
//! One that has is a *router node*. It need not have an agent: what is asked of it then goes to the
//! specialist below it whose intent it is, or to its fallback.

use std::collections::BTreeSet;

use super::reader::Mistakes;
use super::{Policy, Specialist, SpecialistName};

/// The levels of a policy. Each is a further name that a supervisor has to know.
pub(super) const MAX_LEVELS: usize = 4;

/// A specialist that has specialists of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterNode {
    /// Its path.
    pub name: SpecialistName,
    /// What it is for, in words.
    pub description: String,
    /// The classes of requests that it serves itself.
    pub intents: BTreeSet<String>,
    /// Who is asked in its place when neither an intent nor an agent of its own says who.
    pub fallback: Vec<SpecialistName>,
}

/// What a supervisor is told of a specialist or a router node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed<'p> {
    /// Its path.
    pub name: &'p SpecialistName,
    /// What it is for, in words.
    pub description: &'p str,
    /// The classes of requests that it serves.
    pub intents: &'p BTreeSet<String>,
}

impl Policy {
    /// The specialist that is asked where this name or path is: itself, or of a router node the one
    /// below it whose `intent` it is, else its own agent, else its fallback. `None`: the policy has no
    /// such name.
    pub fn resolve(&self, name: &str, intent: Option<&str>) -> Option<&Specialist> {
        let mut name = SpecialistName::parse(name)?;
        // The policy's reader has made sure that it ends sooner.
        for _ in 0..=self.routers.len() {
            let Some(node) = self.routers.get(&name) else { break };
            let serves = |specialist: &&Specialist| {
                let is_below = specialist.name.is_below(&node.name);
                is_below && intent.is_some_and(|intent| specialist.intents.contains(intent))
            };
            if let Some(specialist) = self.specialists().find(serves) {
                return Some(specialist);
            }
            if self.specialists.contains_key(&name) {
                break;
            }
            name = node.fallback.first().unwrap_or(&self.fallback).clone();
        }
        self.specialists.get(&name)
    }

    /// All router nodes, by path.
    pub fn routers(&self) -> impl Iterator<Item = &RouterNode> {
        self.routers.values()
    }

    /// All that a supervisor may name, by path.
    pub fn listed(&self) -> impl Iterator<Item = Listed<'_>> {
        let specialists = self.specialists().map(|specialist| Listed {
            name: &specialist.name,
            description: &specialist.description,
            intents: &specialist.intents,
        });
        let has_agent = |node: &&RouterNode| self.specialists.contains_key(&node.name);
        let routers = self.routers().filter(move |node| !has_agent(node)).map(|node| Listed {
            name: &node.name,
            description: &node.description,
            intents: &node.intents,
        });
        let mut listed: Vec<Listed<'_>> = specialists.chain(routers).collect();
        listed.sort_by_key(|listed| listed.name);
        listed.into_iter()
    }

    /// Reports router nodes without an agent whose fallbacks lead to no agent, and a fallback of last
    /// resort that is none.
    pub(super) fn check_levels(&self, mistakes: &Mistakes) {
        let has_agent = |name| self.specialists.contains_key(name);
        for node in self.routers().filter(|node| !has_agent(&node.name)) {
            let mut seen = vec![&node.name];
            let mut next = node.fallback.first().unwrap_or(&self.fallback);
            while !has_agent(next) {
                let Some(below) = self.routers.get(next).filter(|_| !seen.contains(&next)) else {
                    mistakes.add(
                        format!("specialists.{}.fallback", setting(&node.name)),
                        format!("`{next}`, by which it comes back to itself"),
                        "the fallbacks of a router node without an agent must lead to one",
                    );
                    break;
                };
                seen.push(next);
                next = below.fallback.first().unwrap_or(&self.fallback);
            }
        }
        if self.routers.contains_key(&self.fallback) && !has_agent(&self.fallback) {
            let found = format!("`{}`, which has no agent", self.fallback);
            mistakes.add("routing.fallback".to_owned(), found, "it must be one that has");
        }
    }
}

/// The path as the policy's tables have it.
pub(super) fn setting(name: &SpecialistName) -> String {
    name.as_str().replace('/', ".specialists.")
}
