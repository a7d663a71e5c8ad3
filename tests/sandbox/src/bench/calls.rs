//! Calls by service and operation.

use std::collections::BTreeMap;

use stand_ins::Sandbox;
use stand_ins::agents::AgentKind;

/// How often each operation was called, by its name with its service: `DynamoDB.UpdateItem`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Calls(pub(super) BTreeMap<String, usize>);

impl Calls {
    /// Since the sandbox's start.
    pub(super) fn so_far(sandbox: &Sandbox) -> Self {
        let table = sandbox.table().faults().requests();
        let mut calls: BTreeMap<String, usize> =
            table.into_iter().map(|(name, count)| (format!("DynamoDB.{name}"), count)).collect();
        for call in sandbox.agents().calls() {
            let name = match AgentKind::of(&call.agent) {
                Some(AgentKind::Runtime) => "AgentCore.InvokeAgentRuntime",
                Some(AgentKind::Harness) => "AgentCore.InvokeHarness",
                Some(AgentKind::Model) => "Bedrock.ConverseStream",
                Some(AgentKind::Bedrock) | None => INVOKE_AGENT,
            };
            *calls.entry(name.to_owned()).or_default() += 1;
        }
        calls.insert(PUT_METRIC_DATA.to_owned(), sandbox.metrics().batches().len());
        calls.retain(|_, count| *count > 0);
        Self(calls)
    }

    /// Those that came after `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let more = |(name, count): (&String, &usize)| {
            let more = count - earlier.0.get(name).unwrap_or(&0);
            (more > 0).then(|| (name.clone(), more))
        };
        Self(self.0.iter().filter_map(more).collect())
    }

    /// The mean for each of `requests`.
    pub(super) fn per(&self, requests: usize) -> BTreeMap<String, f64> {
        let mean = |count: usize| count as f64 / requests.max(1) as f64;
        self.0.iter().map(|(name, count)| (name.clone(), mean(*count))).collect()
    }
}

impl std::fmt::Display for Calls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let each: Vec<String> =
            self.0.iter().map(|(name, count)| format!("{count} {name}")).collect();
        f.write_str(&each.join(", "))
    }
}

pub(super) const INVOKE_AGENT: &str = "Bedrock.InvokeAgent";
pub(super) const PUT_METRIC_DATA: &str = "CloudWatch.PutMetricData";
pub(super) const UPDATE_ITEM: &str = "DynamoDB.UpdateItem";
pub(super) const READ_CIRCUITS: &str = "DynamoDB.BatchGetItem";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_that_came_later_are_told() {
        let calls = |each: &[(&str, usize)]| {
            Calls(each.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect())
        };
        let earlier = calls(&[(UPDATE_ITEM, 2), (INVOKE_AGENT, 1)]);
        let later = calls(&[(UPDATE_ITEM, 4), (INVOKE_AGENT, 1), (PUT_METRIC_DATA, 1)]);
        let since = later.since(&earlier);
        assert_eq!(since.to_string(), "1 CloudWatch.PutMetricData, 2 DynamoDB.UpdateItem");
        assert_eq!(since.per(2)[UPDATE_ITEM], 1.0);
    }
}
