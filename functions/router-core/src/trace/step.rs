//! What an agent did while it answered, as far as it tells.

use super::{Kind, Span, Value, key};
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
    /// The step as a span that is a part of the one at `parent`. A step that did not end has ended
    /// with its attempt, at `attempt_ended`.
    pub(crate) fn span(&self, parent: usize, attempt_ended: Timestamp) -> Span {
        let (operation, kind, name) = match &self.work {
            Work::Model { model, .. } => {
                (key::CHAT, Kind::Client, model.as_ref().map(|name| (key::MODEL, name)))
            }
            Work::Tool { name, .. } => {
                let name = name.as_ref().map(|name| (key::TOOL_NAME, name));
                (key::EXECUTE_TOOL, Kind::Internal, name)
            }
            Work::Collaborator { name } => {
                let name = name.as_ref().map(|name| (key::AGENT_NAME, name));
                (key::INVOKE_AGENT, Kind::Client, name)
            }
        };
        let mut attributes =
            vec![(key::OPERATION, operation.into()), (key::PROVIDER, key::BEDROCK.into())];
        attributes.extend(name.map(|(key, name)| (key, Value::from(name.clone()))));
        match self.work {
            Work::Model { usage: Some((input, output)), .. } => attributes.extend([
                (key::INPUT_TOKENS, input.0.into()),
                (key::OUTPUT_TOKENS, output.0.into()),
            ]),
            Work::Tool { kind, .. } => attributes.push((key::TOOL_TYPE, kind.as_str().into())),
            Work::Model { usage: None, .. } | Work::Collaborator { .. } => {}
        }
        Span {
            id: None,
            name: match name {
                Some((_, name)) => format!("{operation} {name}"),
                None => operation.to_owned(),
            },
            kind,
            parent: Some(parent),
            start: self.start,
            end: self.end.unwrap_or(attempt_ended).max(self.start),
            attributes,
            failure: self.end.is_none().then_some("incomplete"),
        }
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

    fn span(work: Work, end: Option<u64>) -> Span {
        let step = Step { work, within: None, start: Timestamp(4), end: end.map(Timestamp) };
        step.span(7, Timestamp(20))
    }

    #[test]
    fn a_step_keeps_its_own_times_and_says_what_it_used() {
        let usage = Some((Tokens(30), Tokens(4)));
        let model = span(Work::Model { model: Some("nova".to_owned()), usage }, Some(9));
        assert_eq!((&*model.name, model.parent, model.kind), ("chat nova", Some(7), Kind::Client));
        assert_eq!((model.start, model.end, model.failure), (Timestamp(4), Timestamp(9), None));
        let tokens: Vec<&Value> = model.attributes[3..].iter().map(|(_, value)| value).collect();
        assert_eq!(tokens, [&Value::Count(30), &Value::Count(4)]);
        let helper = span(Work::Collaborator { name: Some("helper".to_owned()) }, Some(9));
        assert_eq!(helper.name, "invoke_agent helper");
    }

    #[test]
    fn a_step_of_which_no_end_was_told_ends_incomplete_with_its_attempt() {
        let tool = span(Work::Tool { kind: ToolKind::DataStore, name: None }, None);
        assert_eq!(
            (&*tool.name, tool.end, tool.failure),
            ("execute_tool", Timestamp(20), Some("incomplete"))
        );
        assert_eq!(tool.attributes[2], (key::TOOL_TYPE, "datastore".into()));
    }
}
