//! The steps of an agent, put together from the trace parts of its answer.
//!
//! A part tells either the beginning or the end of a step; the two have the same trace id.
//! Names, times and token counts are taken and nothing else: a trace quotes prompts, answers,
//! arguments and results.

use aws_sdk_bedrockagentruntime::types::{InvocationInput, Metadata, Observation, TracePart};
use aws_smithy_types::DateTime;
use router_core::trace::{Step, ToolKind, Work};
use router_core::units::{Timestamp, Tokens};

use super::told::Told;

/// An agent that goes in circles must not fill the memory.
const MAX_STEPS: usize = 200;

/// A longer name is none.
const MAX_NAME_BYTES: usize = 100;

/// The steps so far; none are taken where nobody wants them.
#[derive(Debug, Default)]
pub(super) struct Steps {
    are_wanted: bool,
    steps: Vec<Step>,
    /// Those whose end was not told: the trace id and the place among the steps.
    open: Vec<(Option<String>, usize)>,
}

impl Steps {
    /// Steps that are gathered if they are wanted.
    pub(super) fn wanted(are_wanted: bool) -> Self {
        Self { are_wanted, ..Self::default() }
    }

    /// Takes in what a part tells of a step.
    pub(super) fn take(&mut self, part: &TracePart) {
        if !self.are_wanted {
            return;
        }
        let told = part.trace().and_then(Told::by);
        let (Some(told), Some(at)) = (told, part.event_time().and_then(timestamp)) else { return };
        match told {
            Told::ModelBegins(input) => {
                let model = input.foundation_model().and_then(|model| {
                    // An inference profile is named by an ARN, which names the account.
                    name(model.rsplit('/').next().unwrap_or(model))
                });
                self.begin(part, input.trace_id(), Work::Model { model, usage: None }, at);
            }
            Told::ModelEnds { trace_id, metadata } => {
                let of_model = |work: &Work| matches!(work, Work::Model { .. });
                if !self.is_open(trace_id, of_model) {
                    self.begin(part, trace_id, Work::Model { model: None, usage: None }, at);
                }
                if let Some(step) = self.end(trace_id, metadata, at, of_model) {
                    let reported = metadata.and_then(usage);
                    if let Work::Model { usage, .. } = &mut step.work {
                        *usage = reported;
                    }
                }
            }
            Told::InvocationBegins(input) => {
                if let Some(work) = work(input) {
                    self.begin(part, input.trace_id(), work, at);
                }
            }
            Told::Observed(observation) => {
                if let Some(metadata) = output(observation) {
                    let of_invocation = |work: &Work| !matches!(work, Work::Model { .. });
                    self.end(observation.trace_id(), metadata, at, of_invocation);
                }
            }
        }
    }

    /// All steps, in the order in which they began.
    pub(super) fn finish(self) -> Vec<Step> {
        self.steps
    }

    fn begin(&mut self, part: &TracePart, trace_id: Option<&str>, work: Work, start: Timestamp) {
        if self.steps.len() < MAX_STEPS {
            let within = part.collaborator_name().and_then(|name| self.invocation_of(name));
            self.open.push((trace_id.map(str::to_owned), self.steps.len()));
            self.steps.push(Step { work, within, start, end: None });
        }
    }

    fn end(
        &mut self,
        trace_id: Option<&str>,
        metadata: Option<&Metadata>,
        at: Timestamp,
        is_of_kind: impl Fn(&Work) -> bool,
    ) -> Option<&mut Step> {
        let open = self.position(trace_id, is_of_kind)?;
        let (_, place) = self.open.remove(open);
        let step = self.steps.get_mut(place)?;
        let time = |of: fn(&Metadata) -> Option<&DateTime>| metadata.and_then(of);
        step.start = time(Metadata::start_time).and_then(timestamp).unwrap_or(step.start);
        step.end = Some(time(Metadata::end_time).and_then(timestamp).unwrap_or(at));
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

/// What an invocation's input says that the agent does.
fn work(input: &InvocationInput) -> Option<Work> {
    let tool = |kind, text: Option<&str>| Work::Tool { kind, name: text.and_then(name) };
    if let Some(input) = input.action_group_invocation_input() {
        return Some(tool(ToolKind::Extension, input.action_group_name()));
    }
    if let Some(input) = input.knowledge_base_lookup_input() {
        return Some(tool(ToolKind::DataStore, input.knowledge_base_id()));
    }
    if input.code_interpreter_invocation_input().is_some() {
        return Some(tool(ToolKind::Extension, Some("code_interpreter")));
    }
    let input = input.agent_collaborator_invocation_input()?;
    Some(Work::Collaborator { name: input.agent_collaborator_name().and_then(name) })
}

/// The metadata of what an invocation came to; `None` for an observation of anything else.
fn output(observation: &Observation) -> Option<Option<&Metadata>> {
    if let Some(output) = observation.action_group_invocation_output() {
        return Some(output.metadata());
    }
    if let Some(output) = observation.knowledge_base_lookup_output() {
        return Some(output.metadata());
    }
    if let Some(output) = observation.code_interpreter_invocation_output() {
        return Some(output.metadata());
    }
    observation.agent_collaborator_invocation_output().map(|output| output.metadata())
}

/// A text that can be the name of a model, an action group, a knowledge base or an agent. No
/// sentence can.
fn name(text: &str) -> Option<String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    let is_name = (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(is_allowed);
    is_name.then(|| text.to_owned())
}

fn usage(metadata: &Metadata) -> Option<(Tokens, Tokens)> {
    let usage = metadata.usage()?;
    let tokens = |count: Option<i32>| Tokens(u64::try_from(count.unwrap_or(0)).unwrap_or(0));
    Some((tokens(usage.input_tokens()), tokens(usage.output_tokens())))
}

fn timestamp(time: &DateTime) -> Option<Timestamp> {
    u64::try_from(time.to_millis().ok()?).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use aws_sdk_bedrockagentruntime::types::{
        ActionGroupInvocationInput, ActionGroupInvocationOutput, AgentCollaboratorInvocationInput,
        AgentCollaboratorInvocationOutput, FinalResponse, KnowledgeBaseLookupInput,
        ModelInvocationInput, OrchestrationModelInvocationOutput, OrchestrationTrace, RawResponse,
        Trace, Usage,
    };

    use super::*;

    /// A part of the orchestration, told `at` milliseconds.
    fn part(at: i64, trace: OrchestrationTrace) -> TracePart {
        TracePart::builder()
            .event_time(DateTime::from_millis(at))
            .trace(Trace::OrchestrationTrace(trace))
            .build()
    }

    fn of_a_collaborator(mut part: TracePart, name: &str) -> TracePart {
        part.collaborator_name = Some(name.to_owned());
        part
    }

    fn model_begins(id: &str) -> OrchestrationTrace {
        let input = ModelInvocationInput::builder()
            .trace_id(id)
            .foundation_model(
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.nova-v1:0",
            )
            .text("SECRET");
        OrchestrationTrace::ModelInvocationInput(input.build())
    }

    fn model_ends(id: &str) -> OrchestrationTrace {
        let usage = Usage::builder().input_tokens(30).output_tokens(4).build();
        let output = OrchestrationModelInvocationOutput::builder()
            .trace_id(id)
            .raw_response(RawResponse::builder().content("SECRET").build())
            .metadata(Metadata::builder().usage(usage).build());
        OrchestrationTrace::ModelInvocationOutput(output.build())
    }

    fn calls(id: &str, action_group: &str) -> OrchestrationTrace {
        let group = ActionGroupInvocationInput::builder()
            .action_group_name(action_group)
            .function("SECRET")
            .build();
        let input = InvocationInput::builder().trace_id(id).action_group_invocation_input(group);
        OrchestrationTrace::InvocationInput(input.build())
    }

    fn called(id: &str, from: i64, to: i64) -> OrchestrationTrace {
        let metadata = Metadata::builder()
            .start_time(DateTime::from_millis(from))
            .end_time(DateTime::from_millis(to));
        let output =
            ActionGroupInvocationOutput::builder().text("SECRET").metadata(metadata.build());
        let observation =
            Observation::builder().trace_id(id).action_group_invocation_output(output.build());
        OrchestrationTrace::Observation(observation.build())
    }

    fn read(parts: impl IntoIterator<Item = TracePart>) -> Vec<Step> {
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
        let invoked = AgentCollaboratorInvocationInput::builder().agent_collaborator_name("helper");
        let invoked = InvocationInput::builder()
            .trace_id("t-0")
            .agent_collaborator_invocation_input(invoked.build());
        let answered = AgentCollaboratorInvocationOutput::builder().build();
        let answered =
            Observation::builder().trace_id("t-0").agent_collaborator_invocation_output(answered);
        let steps = read([
            part(10, OrchestrationTrace::InvocationInput(invoked.build())),
            of_a_collaborator(part(11, model_begins("u-0")), "helper"),
            of_a_collaborator(part(12, model_ends("u-0")), "helper"),
            part(13, OrchestrationTrace::Observation(answered.build())),
        ]);
        let helper = Work::Collaborator { name: Some("helper".to_owned()) };
        let part_of_it = step(model(Some((30, 4))), Some(0), 11, Some(12));
        assert_eq!(steps, [step(helper, None, 10, Some(13)), part_of_it]);
    }

    #[test]
    fn what_did_not_come_to_its_end_has_none_and_a_final_answer_ends_nothing() {
        let answer = FinalResponse::builder().text("SECRET").build();
        let answer = Observation::builder().trace_id("t-0").final_response(answer).build();
        let base = KnowledgeBaseLookupInput::builder().knowledge_base_id("KB12345678");
        let lookup = InvocationInput::builder()
            .trace_id("t-0")
            .knowledge_base_lookup_input(base.text("SECRET").build());
        let steps = read([
            part(10, OrchestrationTrace::InvocationInput(lookup.build())),
            part(11, OrchestrationTrace::Observation(answer)),
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
