//! A call of a tool: carried out whatever panics on the way, with what is left to do after it.

use futures_util::future::{join, join_all};

use super::work::{self, Kept, Worked};
use crate::budget::purse::Purse;
use crate::deadline;
use crate::guard::guarded;
use crate::ids::SpecialistName;
use crate::incident::Incident;
use crate::journal::{Entry, Fact};
use crate::policy::Policy;
use crate::ports::Ports;
use crate::request::Request;
use crate::task;
use crate::views;
use crate::wire::reply::{Body, TaskBody};
use crate::wire::tools::{Task, ToolRequest};

/// A call that was carried out. What it used is settled by [`Served::settle`].
pub(crate) struct Served {
    /// What the supervisor is told.
    pub(crate) body: Body,
    /// The tasks, each as it was asked.
    tasks: Vec<Task>,
    kept: Vec<Kept>,
}

/// Carries out a call, and notes how each of its tasks ended.
pub(crate) async fn serve<P: Ports>(
    request: Request<'_, P>,
    call: &ToolRequest,
    panicked: impl FnOnce() -> Body,
) -> Served {
    let Worked { body, tasks, kept } =
        match guarded("the tasks", work::carry_out(request, call)).await {
            Some(worked) => worked,
            None => {
                guarded("the recovery", task::recover(request, None)).await;
                let (tasks, kept) = (call.tasks().to_vec(), Vec::new());
                Worked { body: panicked(), tasks, kept }
            }
        };
    for place in 0..tasks.len() {
        let told = body.results.as_ref().and_then(|results| results.get(place));
        let told = told.unwrap_or(&body.whole);
        let (status, reason) = (told.status, told.reason);
        let specialist = named(told, request.policy);
        request.note(place, Fact::TaskEnded { status, reason, specialist });
    }
    Served { body, tasks, kept }
}

impl Served {
    /// What is kept of those of its tasks that did not go well.
    pub(crate) fn incidents<P: Ports>(&self, request: Request<'_, P>) -> Vec<Incident> {
        let Request { id, caller, policy, journal, .. } = request;
        let view =
            |entries: &[Entry]| views::incidents::of(entries, id, caller, &self.tasks, policy);
        journal.read(view)
    }

    /// Settles what was held, and keeps the answers that may be given again.
    pub(crate) async fn settle<P: Ports>(&self, request: Request<'_, P>) {
        let within = deadline::time_to_finish(request.remaining());
        let purse = Purse(request);
        let settling = guarded("the settlement", purse.settle(None, within));
        let keeping = guarded("keeping answers", async {
            let keep = async |Kept { place, specialist, generation, answer }: &Kept| {
                let prompt = &self.tasks[*place].prompt;
                purse.keep(specialist, prompt, *generation, answer, within).await;
            };
            join_all(self.kept.iter().map(keep)).await;
        });
        join(settling, keeping).await;
    }
}

/// The specialist that is named to the supervisor.
pub(crate) fn named(told: &TaskBody, policy: &Policy) -> Option<SpecialistName> {
    let named = told.specialist.as_deref().and_then(|name| policy.find(name));
    named.map(|specialist| specialist.name.clone())
}
