//! What a part of an agent's trace tells, as far as anybody here wants to know.

use aws_sdk_bedrockagentruntime::types::{
    InvocationInput, Metadata, ModelInvocationInput, Observation, OrchestrationTrace,
    PostProcessingTrace, PreProcessingTrace, RoutingClassifierTrace, Trace,
};

/// Something that a trace part tells. Its kinds differ by the agent's phase alone.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told<'t> {
    /// A model invocation begins.
    ModelBegins(&'t ModelInvocationInput),
    /// A model invocation has ended.
    ModelEnds {
        /// The id of the step, by which beginning and end are told to belong together.
        trace_id: Option<&'t str>,
        /// Its times and its usage. Other parts of a trace may carry usage too, which would
        /// count the same tokens twice.
        metadata: Option<&'t Metadata>,
    },
    /// A tool or another agent is invoked.
    InvocationBegins(&'t InvocationInput),
    /// Something was observed: among others, what an invocation came to.
    Observed(&'t Observation),
}

/// A model invocation's end, from the output of whichever phase.
macro_rules! model_ends {
    ($output:expr) => {
        Told::ModelEnds { trace_id: $output.trace_id(), metadata: $output.metadata() }
    };
}

impl<'t> Told<'t> {
    /// What `trace` tells, if it is of one of these kinds.
    pub(super) fn by(trace: &'t Trace) -> Option<Self> {
        use OrchestrationTrace as O;
        use PostProcessingTrace as Post;
        use PreProcessingTrace as Pre;
        use RoutingClassifierTrace as R;
        Some(match trace {
            Trace::OrchestrationTrace(O::ModelInvocationInput(input))
            | Trace::PreProcessingTrace(Pre::ModelInvocationInput(input))
            | Trace::PostProcessingTrace(Post::ModelInvocationInput(input))
            | Trace::RoutingClassifierTrace(R::ModelInvocationInput(input)) => {
                Self::ModelBegins(input)
            }
            Trace::OrchestrationTrace(O::ModelInvocationOutput(output)) => model_ends!(output),
            Trace::PreProcessingTrace(Pre::ModelInvocationOutput(output)) => model_ends!(output),
            Trace::PostProcessingTrace(Post::ModelInvocationOutput(output)) => model_ends!(output),
            Trace::RoutingClassifierTrace(R::ModelInvocationOutput(output)) => model_ends!(output),
            Trace::OrchestrationTrace(O::InvocationInput(input))
            | Trace::RoutingClassifierTrace(R::InvocationInput(input)) => {
                Self::InvocationBegins(input)
            }
            Trace::OrchestrationTrace(O::Observation(observation))
            | Trace::RoutingClassifierTrace(R::Observation(observation)) => {
                Self::Observed(observation)
            }
            _ => return None,
        })
    }
}
