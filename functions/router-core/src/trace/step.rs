//! What an agent did while it answered, as far as it tells.

use super::{Fact, Kind, Scope, Value, key};
use crate::units::{Timestamp, Tokens};

/// One thing that an agent did. It has times of its own: the router only hears of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it did.
    pub work: Work,
    /// The step that this one is a part of, by its place among the attempt's: what a
    /// collaborator does is a part of its invocation.
    pub within: Option<usize>,
    /// When it began.
    pub start: Timestamp,
    /// When it ended; `None`: the answer ended, or broke off, before that was told.
    pub end: Option<Timestamp>,
}

/// What an agent can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// It invoked a model.
    Model {
        /// Which.
        model: Option<String>,
        /// The input and output tokens that it used, once they are reported.
        usage: Option<(Tokens, Tokens)>,
    },
    /// It used a tool.
    Tool {
        /// What kind of tool.
        kind: ToolKind,
        /// Which.
        name: Option<String>,
    },
    /// It invoked another agent.
    Collaborator {
        /// Whom.
        name: Option<String>,
    },
}

/// A kind of tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolKind {
    /// Something that the agent's side runs: an action group, a code interpreter.
    Extension,
    /// Something that is looked up in: a knowledge base.
    DataStore,
}

impl Step {
    /// Records the steps of an attempt, which ended at `end`, as parts of it.
    pub(crate) fn record_all(steps: Vec<Step>, attempt: Scope<'_>, end: Timestamp) {
        let mut recorded: Vec<Scope<'_>> = Vec::new();
        for step in steps {
            let parent = step.within.and_then(|place| recorded.get(place).copied());
            let parent = parent.unwrap_or(attempt);
            recorded.push(step.record(parent, end));
        }
    }

    fn record<'r>(self, parent: Scope<'r>, attempt_ended: Timestamp) -> Scope<'r> {
        let Self { work, start, end, .. } = self;
        let (operation, kind) = match &work {
            Work::Model { .. } => (key::CHAT, Kind::Client),
            Work::Tool { .. } => (key::EXECUTE_TOOL, Kind::Internal),
            Work::Collaborator { .. } => (key::INVOKE_AGENT, Kind::Client),
        };
        let (name_key, name) = match &work {
            Work::Model { model, .. } => (key::MODEL, model),
            Work::Tool { name, .. } => (key::TOOL_NAME, name),
            Work::Collaborator { name } => (key::AGENT_NAME, name),
        };
        let span = match name {
            Some(name) => parent.begin(kind, format_args!("{operation} {name}"), start),
            None => parent.begin(kind, format_args!("{operation}"), start),
        };
        span.note(|| {
            let common: [Fact; 2] =
                [(key::OPERATION, operation.into()), (key::PROVIDER, key::BEDROCK.into())];
            common.into_iter().chain(name.clone().map(|name| (name_key, name.into())))
        });
        match work {
            Work::Model { usage: Some((input, output)), .. } => span.note(|| {
                [(key::INPUT_TOKENS, input.0.into()), (key::OUTPUT_TOKENS, output.0.into())]
            }),
            Work::Tool { kind, .. } => {
                span.note(|| [(key::TOOL_TYPE, Value::from(kind.as_str()))]);
            }
            Work::Model { usage: None, .. } | Work::Collaborator { .. } => {}
        }
        if end.is_none() {
            span.fail("incomplete");
        }
        span.end(end.unwrap_or(attempt_ended));
        span
    }
}

impl ToolKind {
    /// The kind as the conventions spell it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Extension => "extension",
            Self::DataStore => "datastore",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Recorder;

    #[test]
    fn steps_keep_their_own_times_and_collaborators_have_parts() {
        let recorder = Recorder::new(None, "r-1");
        let attempt = recorder.scope().begin(Kind::Client, format_args!("attempt"), Timestamp(0));
        let model = |usage| Work::Model { model: Some("nova".to_owned()), usage };
        let steps = vec![
            Step { work: model(None), within: None, start: Timestamp(1), end: Some(Timestamp(3)) },
            Step {
                work: Work::Collaborator { name: Some("helper".to_owned()) },
                within: None,
                start: Timestamp(3),
                end: Some(Timestamp(8)),
            },
            Step {
                work: model(Some((Tokens(30), Tokens(4)))),
                within: Some(1),
                start: Timestamp(4),
                end: Some(Timestamp(7)),
            },
            Step {
                work: Work::Tool { kind: ToolKind::DataStore, name: None },
                within: None,
                start: Timestamp(8),
                end: None,
            },
        ];
        Step::record_all(steps, attempt, Timestamp(20));
        attempt.end(Timestamp(20));
        let spans = recorder.finish().spans;
        let told: Vec<_> = spans
            .iter()
            .map(|span| (&*span.name, span.parent, span.start.0, span.end.0, span.failure))
            .collect();
        assert_eq!(
            told,
            [
                ("attempt", None, 0, 20, None),
                ("chat nova", Some(0), 1, 3, None),
                ("invoke_agent helper", Some(0), 3, 8, None),
                ("chat nova", Some(2), 4, 7, None),
                ("execute_tool", Some(0), 8, 20, Some("incomplete")),
            ]
        );
        let tokens: Vec<&Value> = spans[3].facts[3..].iter().map(|(_, value)| value).collect();
        assert_eq!(tokens, [&Value::Count(30), &Value::Count(4)]);
    }
}
