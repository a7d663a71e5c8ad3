//! What a tool is asked for, carried out and put into words.

use super::people::escalate;
use super::rehearsal::rehearse;
use super::scratchpad::read_scratchpad;
use crate::ids::SpecialistName;
use crate::journal::Entry;
use crate::ports::Ports;
use crate::request::{Request, TaskEnd};
use crate::stop::Stop;
use crate::task::{self, TaskContext};
use crate::views::body;
use crate::wire::reply::{Body, TaskBody};
use crate::wire::tools::{Mode, Several, Task, ToolRequest};

/// What came of a call.
pub(super) struct Worked {
    pub(super) body: Body,
    /// The tasks, each as it was asked.
    pub(super) tasks: Vec<Task>,
    pub(super) kept: Vec<Kept>,
}

/// An answer that may be given again.
pub(super) struct Kept {
    /// Of which of the tasks it is.
    pub(super) place: usize,
    pub(super) specialist: SpecialistName,
    pub(super) generation: u64,
    pub(super) answer: String,
}

impl Worked {
    /// A call that is no specialist's.
    fn alone(body: Body) -> Self {
        Self { body, tasks: Vec::new(), kept: Vec::new() }
    }
}

/// Carries out a call.
pub(super) async fn carry_out<P: Ports>(request: Request<'_, P>, call: &ToolRequest) -> Worked {
    if request.caller.is_rehearsal() {
        return Worked::alone(rehearse(call, request.caller, request.policy));
    }
    match call {
        ToolRequest::InvokeSpecialistAgent(task) => one(request, task).await,
        ToolRequest::InvokeSpecialists(several) => all(request, several).await,
        ToolRequest::ReadScratchpad(read) => Worked::alone(read_scratchpad(request, read).await),
        ToolRequest::EscalateToHuman(asked) => Worked::alone(escalate(request, asked).await),
    }
}

async fn one<P: Ports>(request: Request<'_, P>, task: &Task) -> Worked {
    let stop = Stop::default();
    let end = task::run(TaskContext::new(request, 0, task, &stop, 0)).await;
    let kept = Kept::of(0, &end).into_iter().collect();
    let view = |entries: &[Entry]| body::of_one(entries, end, task, request.policy);
    Worked { body: request.journal.read(view), tasks: vec![task.clone()], kept }
}

async fn all<P: Ports>(request: Request<'_, P>, several: &Several) -> Worked {
    let tasks = &several.tasks;
    let wanted = several.mode.answers_wanted(tasks.len());
    let ended = match several.mode {
        Mode::Parallel(join) => {
            let ends = task::parallel(request, tasks, join).await;
            tasks.iter().cloned().zip(ends).collect()
        }
        Mode::Pipeline => task::pipeline(request, tasks).await,
    };
    let kept = ended.iter().enumerate().filter_map(|(place, (_, end))| Kept::of(place, end));
    let kept = kept.collect();
    let (tasks, ends): (Vec<Task>, Vec<TaskEnd>) = ended.into_iter().unzip();
    let view = |entries: &[Entry]| {
        let ends = tasks.iter().zip(ends).enumerate();
        let told = |(place, (task, end))| body::of_task(entries, place, end, task, request.policy);
        let results: Vec<TaskBody> = ends.map(told).collect();
        body::of_several(entries, results, wanted, request.policy)
    };
    Worked { body: request.journal.read(view), tasks, kept }
}

impl Kept {
    /// What of a task's end may be given again: not an answer that was given again itself.
    fn of(place: usize, end: &TaskEnd) -> Option<Self> {
        match end {
            TaskEnd::Answered { by, text, generation: Some(generation) } => {
                let (specialist, answer) = (by.clone(), text.clone());
                Some(Self { place, specialist, generation: *generation, answer })
            }
            _ => None,
        }
    }
}
