//! What is gathered from the events of one answer's stream.

use aws_sdk_bedrockagentruntime::types::{
    GuardrailAction, Metadata, ResponseStream, Trace, TracePart,
};
use router_core::invocation::{InvokeError, Outcome, Usage};
use router_core::units::{TokenUse, Tokens};

use super::steps::Steps;
use super::told::Told;

/// An answer as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The answer's bytes. A character may be split over two chunks, so they become a text
    /// only at the end.
    bytes: Vec<u8>,
    input: u64,
    output: u64,
    reported_usage: bool,
    gave_up: bool,
    guardrail_intervened: bool,
    returned_control: bool,
    steps: Steps,
}

impl Reading {
    /// An answer of which nothing was read, with or without what the agent does meanwhile.
    pub(super) fn new(wants_steps: bool) -> Self {
        Self { steps: Steps::wanted(wants_steps), ..Self::default() }
    }

    /// Takes an event in. Usage may come after the last chunk, so the stream has to be read
    /// to its end.
    pub(super) fn take(&mut self, event: ResponseStream) {
        match event {
            ResponseStream::Chunk(part) => {
                if let Some(bytes) = part.bytes {
                    self.bytes.extend_from_slice(bytes.as_ref());
                }
            }
            ResponseStream::Trace(part) => self.take_trace(&part),
            ResponseStream::ReturnControl(_) => self.returned_control = true,
            // Files, and whatever later versions of the service send.
            _ => {}
        }
    }

    /// The stream ended in order.
    pub(super) fn finish(self) -> Outcome {
        let usage = if self.reported_usage {
            Usage::Reported(TokenUse::new(self.input, self.output))
        } else {
            Usage::UNKNOWN
        };
        // A guardrail's and a failure's apology comes as text, and looks like an answer.
        let result = if self.guardrail_intervened {
            Err(InvokeError::Guardrail)
        } else if self.returned_control {
            Err(InvokeError::ReturnedControl)
        } else if self.gave_up {
            Err(InvokeError::GaveUp)
        } else if self.bytes.is_empty() {
            Err(InvokeError::EmptyAnswer)
        } else {
            String::from_utf8(self.bytes)
                .map_err(|_| InvokeError::StreamBroken("the answer is no valid UTF-8".into()))
        };
        Outcome { result, usage, steps: self.steps.finish() }
    }

    /// The stream ended otherwise: text received before is no answer, and usage reported
    /// before is only a part. A guardrail's word stands all the same.
    pub(super) fn broken_off(self, error: InvokeError) -> Outcome {
        let usage = Usage::AtLeast(TokenUse::new(self.input, self.output));
        let error = if self.guardrail_intervened { InvokeError::Guardrail } else { error };
        Outcome { result: Err(error), usage, steps: self.steps.finish() }
    }

    /// The stream is left, since another model invocation begins and more tokens than `max`
    /// have been used before it.
    pub(super) fn cut(self, max: Tokens) -> Outcome {
        let usage = Usage::Cut(TokenUse::new(self.input, self.output));
        Outcome { usage, ..self.broken_off(InvokeError::TooManyTokens { max }) }
    }

    /// Whether this event begins a model invocation that `max` tokens do not allow any more.
    pub(super) fn goes_too_far(&self, event: &ResponseStream, max: Tokens) -> bool {
        self.input.saturating_add(self.output) > max.0 && begins_model_invocation(event)
    }

    fn take_trace(&mut self, part: &TracePart) {
        // A collaborator's mishap is its supervisor's to mend; the tokens count all the same.
        let is_own = part.collaborator_name.is_none()
            && part.caller_chain.as_ref().is_none_or(|chain| chain.len() <= 1);
        match &part.trace {
            Some(Trace::FailureTrace(_)) => self.gave_up |= is_own,
            Some(Trace::GuardrailTrace(trace)) => {
                let intervened = trace.action == Some(GuardrailAction::Intervened);
                self.guardrail_intervened |= is_own && intervened;
            }
            Some(trace) => {
                if let Some(Told::ModelEnds { metadata, .. }) = Told::by(trace) {
                    self.take_usage(metadata);
                }
            }
            None => {}
        }
        self.steps.take(part);
    }

    fn take_usage(&mut self, metadata: Option<&Metadata>) {
        if let Some(usage) = metadata.and_then(|metadata| metadata.usage.as_ref()) {
            let tokens = |count: Option<i32>| u64::try_from(count.unwrap_or(0)).unwrap_or(0);
            self.input = self.input.saturating_add(tokens(usage.input_tokens));
            self.output = self.output.saturating_add(tokens(usage.output_tokens));
            self.reported_usage = true;
        }
    }
}

fn begins_model_invocation(event: &ResponseStream) -> bool {
    let ResponseStream::Trace(part) = event else { return false };
    matches!(part.trace.as_ref().and_then(Told::by), Some(Told::ModelBegins(_)))
}

#[cfg(test)]
mod tests {
    use aws_sdk_bedrockagentruntime::primitives::Blob;
    use aws_sdk_bedrockagentruntime::types::{
        Caller, FailureTrace, GuardrailTrace, ModelInvocationInput, Observation,
        OrchestrationModelInvocationOutput, OrchestrationTrace, PayloadPart, Usage as TraceUsage,
    };

    use super::*;

    fn chunk(bytes: &[u8]) -> ResponseStream {
        ResponseStream::Chunk(PayloadPart::builder().bytes(Blob::new(bytes)).build())
    }

    fn part(trace: Trace) -> TracePart {
        let own = Caller::AgentAliasArn("arn".to_owned());
        TracePart::builder().caller_chain(own).trace(trace).build()
    }

    fn of_a_collaborator(mut part: TracePart) -> ResponseStream {
        part.collaborator_name = Some("helper".to_owned());
        ResponseStream::Trace(part)
    }

    fn metadata(input: i32, output: i32) -> Metadata {
        let usage = TraceUsage::builder().input_tokens(input).output_tokens(output).build();
        Metadata::builder().usage(usage).build()
    }

    fn model_call(input: i32, output: i32) -> Trace {
        let call = OrchestrationModelInvocationOutput::builder().metadata(metadata(input, output));
        Trace::OrchestrationTrace(OrchestrationTrace::ModelInvocationOutput(call.build()))
    }

    fn read(events: impl IntoIterator<Item = ResponseStream>) -> Reading {
        let mut reading = Reading::default();
        events.into_iter().for_each(|event| reading.take(event));
        reading
    }

    #[test]
    fn a_character_may_be_split_over_chunks() {
        let bytes = "naïve 🙂".as_bytes();
        let outcome = read(bytes.iter().map(|byte| chunk(&[*byte]))).finish();
        assert_eq!(outcome.result.unwrap(), "naïve 🙂");
    }

    #[test]
    fn bytes_that_are_no_text_are_a_broken_stream() {
        let outcome = read([chunk(&[0xff])]).finish();
        assert!(matches!(outcome.result, Err(InvokeError::StreamBroken(_))));
    }

    #[test]
    fn usage_is_the_sum_over_all_model_invocations_also_of_collaborators() {
        let events = [
            ResponseStream::Trace(part(model_call(300, 20))),
            of_a_collaborator(part(model_call(100, 10))),
            chunk(b"answer"),
            ResponseStream::Trace(part(model_call(40, 5))),
        ];
        let usage = read(events).finish().usage;
        assert_eq!(usage, Usage::Reported(TokenUse::new(440, 35)));
    }

    #[test]
    fn usage_on_other_parts_of_the_trace_is_not_counted_again() {
        let observation = Observation::builder().build();
        let events = [
            ResponseStream::Trace(part(Trace::OrchestrationTrace(
                OrchestrationTrace::Observation(observation),
            ))),
            chunk(b"answer"),
        ];
        assert_eq!(read(events).finish().usage, Usage::UNKNOWN);
    }

    #[test]
    fn apologies_are_told_from_answers() {
        let gave_up = || part(Trace::FailureTrace(FailureTrace::builder().build()));
        let blocked = || {
            let trace = GuardrailTrace::builder().action(GuardrailAction::Intervened).build();
            part(Trace::GuardrailTrace(trace))
        };
        let sorry = || chunk(b"Sorry, I am unable to assist you with this request.");
        let outcome = read([ResponseStream::Trace(gave_up()), sorry()]).finish();
        assert!(matches!(outcome.result, Err(InvokeError::GaveUp)));
        let outcome = read([ResponseStream::Trace(blocked()), sorry()]).finish();
        assert!(matches!(outcome.result, Err(InvokeError::Guardrail)));
        // A collaborator's mishap is not the specialist's.
        let outcome =
            read([of_a_collaborator(gave_up()), of_a_collaborator(blocked()), sorry()]).finish();
        assert!(outcome.result.is_ok());
    }

    #[test]
    fn a_stream_without_text_is_no_answer() {
        let outcome = read([ResponseStream::Trace(part(model_call(10, 0)))]).finish();
        assert!(matches!(outcome.result, Err(InvokeError::EmptyAnswer)));
        assert_eq!(outcome.usage, Usage::Reported(TokenUse::new(10, 0)));
    }

    #[test]
    fn a_stream_that_broke_off_is_no_answer_and_its_usage_is_a_part() {
        let events = [chunk(b"half an ans"), ResponseStream::Trace(part(model_call(10, 2)))];
        let outcome = read(events).broken_off(InvokeError::Throttled);
        assert!(outcome.result.is_err());
        assert_eq!(outcome.usage, Usage::AtLeast(TokenUse::new(10, 2)));
    }

    #[test]
    fn a_guardrails_word_stands_also_where_the_stream_breaks_off() {
        let trace = GuardrailTrace::builder().action(GuardrailAction::Intervened).build();
        let reading = read([ResponseStream::Trace(part(Trace::GuardrailTrace(trace)))]);
        let outcome = reading.broken_off(InvokeError::Throttled);
        assert!(matches!(outcome.result, Err(InvokeError::Guardrail)));
    }

    #[test]
    fn a_call_goes_too_far_when_it_begins_another_model_invocation_with_too_many_tokens() {
        let input = ModelInvocationInput::builder().build();
        let input = OrchestrationTrace::ModelInvocationInput(input);
        let begins = ResponseStream::Trace(part(Trace::OrchestrationTrace(input)));
        let reading = read([ResponseStream::Trace(part(model_call(90, 11)))]);
        assert!(reading.goes_too_far(&begins, Tokens(100)));
        assert!(!reading.goes_too_far(&begins, Tokens(101)));
        assert!(!reading.goes_too_far(&chunk(b"the answer"), Tokens(100)), "it is kept");
        let outcome = reading.cut(Tokens(100));
        assert!(matches!(outcome.result, Err(InvokeError::TooManyTokens { max: Tokens(100) })));
        assert_eq!(outcome.usage, Usage::Cut(TokenUse::new(90, 11)));
    }
}
