//! The steps of an agent, put together from the trace parts of its answer.
//!
//! A part tells either the beginning or the end of a step; the two have the same trace id.
//! Names, times and token counts are taken and nothing else: a trace quotes prompts, answers,
//! arguments and results.

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use router_core::trace::{Step, ToolKind, Work};
use router_core::units::Timestamp;
use serde_json::Value;

use super::trace_event::TraceEvent;
use crate::usage::Report;

/// An agent that goes in circles must not fill the memory.
const MAX_STEPS: usize = 200;

/// A longer name is none.
const MAX_NAME_BYTES: usize = 100;

/// The steps so far; none are taken where they are not wanted.
#[derive(Debug, Default)]
pub(super) struct Steps {
    are_wanted: bool,
    steps: Vec<Step>,
    /// Those whose end has not come: the trace id and the place among the steps.
    open: Vec<(Option<String>, usize)>,
}

impl Steps {
    /// Steps that are gathered if they are wanted.
    pub(super) fn wanted(are_wanted: bool) -> Self {
        Self { are_wanted, ..Self::default() }
    }

    /// Takes in what a part tells of a step.
    pub(super) fn take(&mut self, part: &Value) {
        if !self.are_wanted {
            return;
        }
        let (Some(told), Some(at)) = (TraceEvent::by(part), timestamp(&part["eventTime"])) else {
            return;
        };
        match told {
            TraceEvent::ModelBegins(input) => {
                let model = input["foundationModel"].as_str().and_then(|model| {
                    // An inference profile is named by an ARN, which names the account.
                    name(model.rsplit('/').next().unwrap_or(model))
                });
                self.begin(part, trace_id(input), Work::Model { model, usage: None }, at);
            }
            TraceEvent::ModelEnds(output) => {
                let (trace_id, metadata) = (trace_id(output), &output["metadata"]);
                let of_model = |work: &Work| matches!(work, Work::Model { .. });
                if !self.is_open(trace_id, of_model) {
                    self.begin(part, trace_id, Work::Model { model: None, usage: None }, at);
                }
                if let Some(step) = self.end(trace_id, metadata, at, of_model)
                    && let Work::Model { usage, .. } = &mut step.work
                {
                    let used = Report::of(&metadata["usage"]).used;
                    *usage = metadata["usage"]
                        .is_object()
                        .then(|| (used.all_input(), used.all_output()));
                }
            }
            TraceEvent::InvocationBegins(input) => {
                if let Some(work) = work(input) {
                    self.begin(part, trace_id(input), work, at);
                }
            }
            TraceEvent::Observed(observation) => {
                if let Some(metadata) = output(observation) {
                    let of_invocation = |work: &Work| !matches!(work, Work::Model { .. });
                    self.end(trace_id(observation), metadata, at, of_invocation);
                }
            }
            TraceEvent::Guardrail(_) | TraceEvent::Failure(_) => {}
        }
    }

    /// All steps, in the order in which they began.
    pub(super) fn finish(self) -> Vec<Step> {
        self.steps
    }

    fn begin(&mut self, part: &Value, trace_id: Option<&str>, work: Work, start: Timestamp) {
        if self.steps.len() < MAX_STEPS {
            let within =
                part["collaboratorName"].as_str().and_then(|name| self.invocation_of(name));
            self.open.push((trace_id.map(str::to_owned), self.steps.len()));
            self.steps.push(Step { work, within, start, end: None });
        }
    }

    fn end(
        &mut self,
        trace_id: Option<&str>,
        metadata: &Value,
        at: Timestamp,
        is_of_kind: impl Fn(&Work) -> bool,
    ) -> Option<&mut Step> {
        let open = self.position(trace_id, is_of_kind)?;
        let (_, place) = self.open.remove(open);
        let step = self.steps.get_mut(place)?;
        step.start = timestamp(&metadata["startTime"]).unwrap_or(step.start);
        step.end = Some(timestamp(&metadata["endTime"]).unwrap_or(at));
        Some(step)
    }

    fn is_open(&self, trace_id: Option<&str>, is_of_kind: impl Fn(&Work) -> bool) -> bool {
        self.position(trace_id, is_of_kind).is_some()
    }

    fn position(
        &self,
        trace_id: Option<&str>,
        is_of_kind: impl Fn(&Work) -> bool,
    ) -> Option<usize> {
        self.open.iter().rposition(|(id, place)| {
            id.as_deref() == trace_id && is_of_kind(&self.steps[*place].work)
        })
    }

    /// The invocation of a collaborator that is under way.
    fn invocation_of(&self, collaborator: &str) -> Option<usize> {
        let is_it = |work: &Work| matches!(work, Work::Collaborator { name: Some(name) } if name == collaborator);
        let (_, place) = self.open.iter().rfind(|(_, place)| is_it(&self.steps[*place].work))?;
        Some(*place)
    }
}

/// A longer id than a name is none, too: it is kept until the step ends.
fn trace_id(told: &Value) -> Option<&str> {
    told["traceId"].as_str().filter(|id| id.len() <= MAX_NAME_BYTES)
}

/// What an invocation's input says that the agent does.
fn work(input: &Value) -> Option<Work> {
    let named = |name_of: &Value| name_of.as_str().and_then(name);
    let tool = |kind, name| Some(Work::Tool { kind, name });
    let (group, base) = (&input["actionGroupInvocationInput"], &input["knowledgeBaseLookupInput"]);
    let collaborator = &input["agentCollaboratorInvocationInput"];
    if group.is_object() {
        tool(ToolKind::Extension, named(&group["actionGroupName"]))
    } else if base.is_object() {
        tool(ToolKind::DataStore, named(&base["knowledgeBaseId"]))
    } else if input["codeInterpreterInvocationInput"].is_object() {
        tool(ToolKind::Extension, name("code_interpreter"))
    } else if collaborator.is_object() {
        Some(Work::Collaborator { name: named(&collaborator["agentCollaboratorName"]) })
    } else {
        None
    }
}

/// The metadata of what an invocation came to; `None` for an observation of anything else.
fn output(observation: &Value) -> Option<&Value> {
    [
        "actionGroupInvocationOutput",
        "knowledgeBaseLookupOutput",
        "codeInterpreterInvocationOutput",
        "agentCollaboratorInvocationOutput",
    ]
    .iter()
    .map(|kind| &observation[kind])
    .find(|output| output.is_object())
    .map(|output| &output["metadata"])
}

/// A text that can be the name of a model, an action group, a knowledge base or an agent. No
/// sentence can.
fn name(text: &str) -> Option<String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    let is_name = (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(is_allowed);
    is_name.then(|| text.to_owned())
}

fn timestamp(time: &Value) -> Option<Timestamp> {
    let time = DateTime::from_str(time.as_str()?, Format::DateTimeWithOffset).ok()?;
    u64::try_from(time.to_millis().ok()?).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use router_core::units::Tokens;
    use serde_json::json;

    use super::*;

    fn time(millis: i64) -> String {
        DateTime::from_millis(millis).fmt(Format::DateTime).unwrap()
    }

    /// A part of the orchestration, sent `at` milliseconds.
    fn part(at: i64, trace: Value) -> Value {
        json!({ "eventTime": time(at), "trace": { "orchestrationTrace": trace } })
    }

    fn of_a_collaborator(mut part: Value, name: &str) -> Value {
        part["collaboratorName"] = name.into();
        part
    }

    fn model_begins(id: &str) -> Value {
        json!({ "modelInvocationInput": {
            "traceId": id,
            "foundationModel": "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.nova-v1:0",
            "text": "SECRET",
        }})
    }

    fn model_ends(id: &str) -> Value {
        json!({ "modelInvocationOutput": {
            "traceId": id,
            "rawResponse": { "content": "SECRET" },
            "metadata": { "usage": { "inputTokens": 30, "outputTokens": 4 } },
        }})
    }

    fn calls(id: &str, action_group: &str) -> Value {
        let group = json!({ "actionGroupName": action_group, "function": "SECRET" });
        json!({ "invocationInput": { "traceId": id, "actionGroupInvocationInput": group } })
    }

    fn called(id: &str, from: i64, to: i64) -> Value {
        let metadata = json!({ "startTime": time(from), "endTime": time(to) });
        let output = json!({ "text": "SECRET", "metadata": metadata });
        json!({ "observation": { "traceId": id, "actionGroupInvocationOutput": output } })
    }

    fn read(parts: impl IntoIterator<Item = Value>) -> Vec<Step> {
        let mut steps = Steps::wanted(true);
        parts.into_iter().for_each(|part| steps.take(&part));
        steps.finish()
    }

    fn model(usage: Option<(u64, u64)>) -> Work {
        let usage = usage.map(|(input, output)| (Tokens(input), Tokens(output)));
        Work::Model { model: Some("us.nova-v1:0".to_owned()), usage }
    }

    fn action_group(name: &str) -> Work {
        Work::Tool { kind: ToolKind::Extension, name: Some(name.to_owned()) }
    }

    fn step(work: Work, within: Option<usize>, start: u64, end: Option<u64>) -> Step {
        Step { work, within, start: Timestamp(start), end: end.map(Timestamp) }
    }

    #[test]
    fn model_and_tool_calls_have_their_own_times_and_the_agents_word_goes_first() {
        let steps = read([
            part(10, model_begins("t-0")),
            part(20, model_ends("t-0")),
            part(21, calls("t-0", "Orders")),
            part(30, called("t-0", 22, 29)),
            part(31, model_begins("t-1")),
            part(40, model_ends("t-1")),
        ]);
        assert_eq!(
            steps,
            [
                step(model(Some((30, 4))), None, 10, Some(20)),
                step(action_group("Orders"), None, 22, Some(29)),
                step(model(Some((30, 4))), None, 31, Some(40)),
            ]
        );
        assert!(!format!("{steps:?}").contains("SECRET"));
    }

    #[test]
    fn what_a_collaborator_does_is_a_part_of_its_invocation() {
        let invoked = json!({ "agentCollaboratorName": "helper" });
        let invoked = json!({ "traceId": "t-0", "agentCollaboratorInvocationInput": invoked });
        let answered = json!({ "traceId": "t-0", "agentCollaboratorInvocationOutput": {} });
        let steps = read([
            part(10, json!({ "invocationInput": invoked })),
            of_a_collaborator(part(11, model_begins("u-0")), "helper"),
            of_a_collaborator(part(12, model_ends("u-0")), "helper"),
            part(13, json!({ "observation": answered })),
        ]);
        let helper = Work::Collaborator { name: Some("helper".to_owned()) };
        let part_of_it = step(model(Some((30, 4))), Some(0), 11, Some(12));
        assert_eq!(steps, [step(helper, None, 10, Some(13)), part_of_it]);
    }

    #[test]
    fn what_did_not_come_to_its_end_has_none_and_a_final_answer_ends_nothing() {
        let answer = json!({ "traceId": "t-0", "finalResponse": { "text": "SECRET" } });
        let lookup = json!({ "knowledgeBaseId": "KB12345678", "text": "SECRET" });
        let lookup = json!({ "traceId": "t-0", "knowledgeBaseLookupInput": lookup });
        let steps = read([
            part(10, json!({ "invocationInput": lookup })),
            part(11, json!({ "observation": answer })),
        ]);
        let name = Some("KB12345678".to_owned());
        let lookup = Work::Tool { kind: ToolKind::DataStore, name };
        assert_eq!(steps, [step(lookup, None, 10, None)]);
    }

    #[test]
    fn a_model_calls_end_without_a_beginning_is_a_step_all_the_same() {
        let steps = read([part(20, model_ends("t-0"))]);
        let unnamed = Work::Model { model: None, usage: Some((Tokens(30), Tokens(4))) };
        assert_eq!(steps, [step(unnamed, None, 20, Some(20))]);
    }

    #[test]
    fn a_sentence_is_no_name() {
        let steps = read([part(1, calls("t-0", "my card number is 4111"))]);
        assert_eq!(steps[0].work, Work::Tool { kind: ToolKind::Extension, name: None });
        assert_eq!(name(&"x".repeat(101)), None);
    }

    #[test]
    fn an_agent_that_goes_in_circles_is_followed_for_a_while() {
        let steps = read((0..300).map(|at| part(at, calls("t-0", "Orders"))));
        assert_eq!(steps.len(), MAX_STEPS);
    }

    #[test]
    fn nothing_is_gathered_where_nobody_wants_it() {
        let mut steps = Steps::wanted(false);
        steps.take(&part(10, model_begins("t-0")));
        assert_eq!(steps.finish(), []);
    }
}
