//! What agents remember of their sessions: how often they answered, and which calls of tools wait for
//! their results.
//!
//! A harness hands its calls over one by one and goes on when the result of the one that waits has
//! come, in the same session, after the call itself, with the tools named again. Until then it takes
//! nothing else. What does not fit is refused: the guide says of stale, missing and duplicate results
//! that they do not resume.
//! <https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/harness-tools.html>

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::asked::Asked;
use super::dialogue::Dialogue;
use super::failure::Failure;
use super::kind::AgentKind;
use super::tool_call::ToolCall;

/// All sessions, by agent and id.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<BTreeMap<(String, String), Session>>);

#[derive(Clone, Debug, Default)]
struct Session {
    /// How many replies of the script it had.
    turns: u32,
    /// What the user asked last.
    asked: String,
    /// Calls whose results have not come. The first one was handed over.
    waiting: VecDeque<ToolCall>,
    /// The tools that were offered when they were made.
    offered: Vec<String>,
}

/// What a reply can depend on.
#[derive(Debug)]
pub(super) struct Scene {
    /// Which reply of the session this will be; of a model, of its conversation.
    pub(super) turn: u32,
    /// What the user asked last.
    pub(super) asked: String,
    pub(super) brings_results: bool,
    pub(super) offers_tools: bool,
    /// The call that a harness hands over before it asks its model again.
    pub(super) next_call: Option<ToolCall>,
}

impl Sessions {
    /// Looks at the session that is asked.
    ///
    /// # Errors
    ///
    /// What the service would say of a request that does not fit it.
    pub(super) fn enter(&self, asked: &Asked) -> Result<Scene, Failure> {
        let session = self.lock().get(&key(asked)).cloned().unwrap_or_default();
        let scene = Scene {
            turn: session.turns + 1,
            asked: asked.input_text.clone(),
            brings_results: false,
            offers_tools: false,
            next_call: None,
        };
        match (&asked.dialogue, asked.kind) {
            (Some(dialogue), AgentKind::Harness) => session.resume(dialogue, scene),
            (Some(dialogue), _) => Ok(Scene {
                turn: dialogue.turns() + 1,
                brings_results: !dialogue.results().is_empty(),
                offers_tools: !dialogue.tools.is_empty(),
                ..scene
            }),
            (None, _) => Ok(scene),
        }
    }

    /// The request was answered, with these calls.
    pub(super) fn leave(&self, asked: &Asked, scene: Scene, calls: Vec<ToolCall>) {
        let mut sessions = self.lock();
        let session = sessions.entry(key(asked)).or_default();
        if scene.next_call.is_some() {
            session.waiting.pop_front();
            return;
        }
        session.turns += 1;
        session.asked = scene.asked;
        session.waiting = calls.into();
        session.offered = asked.dialogue.as_ref().map(|it| it.tools.clone()).unwrap_or_default();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, String), Session>> {
        // Every change is complete in itself, so a panic elsewhere leaves nothing half-done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Checks what a harness is sent in this session.
    fn resume(self, dialogue: &Dialogue, scene: Scene) -> Result<Scene, Failure> {
        let (results, tools) = (dialogue.results(), &dialogue.tools);
        let Some(waiting) = self.waiting.front() else {
            return if results.is_empty() {
                Ok(Scene { offers_tools: !tools.is_empty(), ..scene })
            } else {
                Err(Failure::validation("no call of a tool waits for these results"))
            };
        };
        if results != [waiting.id.clone()] || dialogue.is_mixed() {
            return Err(Failure::validation("the session waits for the result of one call alone"));
        }
        if dialogue.answered_calls() != [waiting.id.clone()] {
            return Err(Failure::validation("a result must follow the call that it is of"));
        }
        if dialogue.has_result_as("json") {
            return Err(Failure::validation("json is not supported in a toolResult"));
        }
        if self.offered.contains(&waiting.name) && !tools.contains(&waiting.name) {
            return Err(Failure::validation("the tools of the call must be given again"));
        }
        Ok(Scene {
            asked: self.asked,
            brings_results: true,
            offers_tools: !tools.is_empty(),
            next_call: self.waiting.get(1).cloned(),
            ..scene
        })
    }
}

fn key(asked: &Asked) -> (String, String) {
    (asked.agent.clone(), asked.session_id.clone())
}
