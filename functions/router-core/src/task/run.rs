//! The run of one task: its candidates, one after the other.

use std::time::Duration;

use tracing::{Instrument, Span, debug, field, info_span, warn};

use super::answer::Answer;
use super::attempts::{Granted, Invocation};
use super::callee::AskSpecialist;
use super::candidates::{Candidate, Candidates, Role};
use super::context::{TaskContext, owner};
use crate::circuit::Admission;
use crate::deadline;
use crate::error::chain;
use crate::escalation::Source;
use crate::ids::HoldId;
use crate::journal::Fact;
use crate::metrics::intent_class;
use crate::outcome::Reason;
use crate::policy::Specialist;
use crate::ports::Ports;
use crate::request::{Request, TaskEnd, Waiting};
use crate::routing::{Ask, Decision, decide};
use crate::units::Timestamp;
use crate::views::messages;

/// Has a task answered, if it may be and can be, unless it is stopped.
pub(crate) async fn run<P: Ports>(context: TaskContext<'_, P>) -> TaskEnd {
    match TaskRun::begin(context) {
        Ok(mut run) => {
            let turn = run.turn().await;
            run.finish(turn).await
        }
        Err(end) => end,
    }
}

/// A task that is under way.
pub(super) struct TaskRun<'t, P> {
    pub(super) context: TaskContext<'t, P>,
    pub(super) candidates: Candidates<'t>,
}

/// What a task does next.
pub(super) enum Turn<'t> {
    /// It invokes a candidate, once there is a hold.
    Invoke(Ready<'t>),
    /// It has ended.
    End(TaskEnd),
}

/// A candidate whose circuit lets it be invoked.
pub(super) struct Ready<'t> {
    pub(super) candidate: Candidate<'t>,
    /// The identity of the hold that is needed.
    pub(super) id: HoldId,
    /// When the first attempt must have ended; see [`Admission::Pass`].
    pub(super) probe_deadline: Timestamp,
}

/// What came of one candidate.
pub(super) enum Progress {
    /// It answered; see [`TaskEnd::Answered`].
    Answered { text: String, generation: Option<u64> },
    /// Another one is to be asked.
    TryNext,
    /// A person is asked.
    Escalated { waiting: Waiting },
    /// None is to be asked any more.
    Stop,
    /// A rule forbids every call that might follow.
    Refused { reason: Reason, message: String },
}

impl<'t, P: Ports> TaskRun<'t, P> {
    /// Decides about the task: whom it asks, or why it asks none.
    pub(super) fn begin(context: TaskContext<'t, P>) -> Result<Self, TaskEnd> {
        let (Request { policy, caller, .. }, task) = (context.request, context.task);
        let intent = task.intent.as_deref();
        let named = policy.resolve(&task.specialist, intent);
        context.note(Fact::Asked {
            specialist: named.map(|named| named.name.clone()),
            intent_class: intent_class(intent, policy),
        });
        let ask = Ask { specialist: &task.specialist, intent, confidence: task.confidence };
        match decide(&ask, caller, policy) {
            Decision::Invoke(plan) => {
                let (first, detour) = (plan.first.name.clone(), plan.detour);
                context.note(Fact::Chosen { first, detour });
                if detour.is_some() {
                    let of = named.unwrap_or(plan.first).name.clone();
                    context.note(Fact::FellBack { of });
                }
                Ok(Self { context, candidates: Candidates::new(&plan) })
            }
            Decision::RefuseLoop => {
                let reason = Reason::LoopDetected;
                context.note(Fact::Declined { specialist: None, reason });
                Err(TaskEnd::Refused { reason, message: messages::too_many_routers() })
            }
            Decision::RefuseUnverified(specialist) => {
                let reason = Reason::IdentityNotVerified;
                let name = Some(specialist.name.clone());
                context.note(Fact::Declined { specialist: name, reason });
                Err(TaskEnd::Refused { reason, message: messages::not_verified(&specialist.name) })
            }
        }
    }

    /// Turns to the next candidate that may be invoked.
    pub(super) async fn turn(&mut self) -> Turn<'t> {
        while let Some(candidate) = self.candidates.next() {
            let progress = match self.approach(candidate).await {
                Ok(ready) => return Turn::Invoke(ready),
                Err(progress) => progress,
            };
            if let Some(end) = self.end(candidate, progress) {
                return Turn::End(end);
            }
        }
        // Only an open circuit keeps a candidate from being called.
        Turn::End(self.without_answer(Reason::CircuitOpen, messages::all_circuits_open()))
    }

    /// Carries out what the task does next, until it has ended.
    pub(super) async fn finish(mut self, mut turn: Turn<'t>) -> TaskEnd {
        loop {
            match turn {
                Turn::End(end) => return self.hand_over(end).await,
                Turn::Invoke(ready) => {
                    let granted = self.take(&ready).await;
                    turn = self.go_on(ready, granted).await;
                }
            }
        }
    }

    /// Invokes a candidate for which there is a hold, or not after all, and turns to the next if it
    /// does not answer.
    pub(super) async fn go_on(
        &mut self,
        ready: Ready<'t>,
        granted: Result<Granted, Progress>,
    ) -> Turn<'t> {
        let Ready { candidate, id, probe_deadline } = ready;
        let progress = match granted {
            Ok(granted) => self.use_hold(&candidate, granted, probe_deadline).await,
            Err(progress) => {
                self.context.withdraw(candidate.specialist, &owner(&id, 1)).await;
                progress
            }
        };
        self.leave(&progress);
        match self.end(candidate, progress) {
            Some(end) => Turn::End(end),
            None => self.turn().await,
        }
    }

    /// How the task ends with what came of a candidate; `None`: it goes on.
    fn end(&self, candidate: Candidate<'t>, progress: Progress) -> Option<TaskEnd> {
        match progress {
            Progress::Answered { text, generation } => {
                let by = candidate.specialist.name.clone();
                Some(TaskEnd::Answered { by, text, generation })
            }
            Progress::TryNext => None,
            Progress::Escalated { waiting } => {
                let by = Some(candidate.specialist.name.clone());
                Some(TaskEnd::Escalated { by, waiting })
            }
            Progress::Stop => Some(self.stopped()),
            Progress::Refused { reason, message } => Some(self.without_answer(reason, message)),
        }
    }

    /// Leaves a candidate that is not invoked after all, and ends the task.
    pub(super) async fn give_up(self, ready: Ready<'t>) -> TaskEnd {
        let Ready { candidate, id, .. } = ready;
        self.context.withdraw(candidate.specialist, &owner(&id, 1)).await;
        self.context.note(Fact::CandidateLeft { refused: Some(Reason::NotReached) });
        self.stopped()
    }

    /// The end of a task for which no other specialist is asked.
    fn stopped(&self) -> TaskEnd {
        if self.candidates.has_invoked() { TaskEnd::Failed } else { not_reached() }
    }

    /// The end of a task that was not answered. The rule counts only if no specialist was called.
    fn without_answer(&self, reason: Reason, message: String) -> TaskEnd {
        if self.candidates.has_invoked() {
            TaskEnd::Failed
        } else {
            TaskEnd::Refused { reason, message }
        }
    }

    /// Does all that comes before a candidate's hold.
    async fn approach(&mut self, candidate: Candidate<'t>) -> Result<Ready<'t>, Progress> {
        if self.context.stop.is_stopped() {
            self.context.note(Fact::Stopped);
            return Err(Progress::Stop);
        }
        if self.time_for(candidate.specialist).is_none() {
            return Err(self.out_of_time());
        }
        // The hold of the invocation before would count against the next one.
        let within = deadline::time_to_finish(self.context.request.remaining());
        self.context.purse().settle(Some(self.context.place), within).await;
        self.context.note(Fact::CandidateTaken { specialist: candidate.specialist.name.clone() });
        let approached = self.recall_or_admit(candidate).await;
        if let Err(progress) = &approached {
            self.leave(progress);
        }
        approached
    }

    /// Notes that the task is done with a candidate.
    fn leave(&self, progress: &Progress) {
        let refused = match progress {
            Progress::Refused { reason, .. } => Some(*reason),
            _ => None,
        };
        self.context.note(Fact::CandidateLeft { refused });
    }

    async fn recall_or_admit(&mut self, candidate: Candidate<'t>) -> Result<Ready<'t>, Progress> {
        let Candidate { specialist, .. } = candidate;
        let within = deadline::time_to_finish(self.context.request.remaining());
        let prompt = &self.context.task.prompt;
        let recalled =
            self.context.purse().recall(self.context.place, &specialist.name, prompt, within).await;
        if let Some(text) = recalled {
            self.note_fallback(&candidate);
            return Err(Progress::Answered { text, generation: None });
        }
        let id = self.context.next_hold();
        let probe_deadline = self.pass_circuit(specialist, &owner(&id, 1)).await?;
        Ok(Ready { candidate, id, probe_deadline })
    }

    /// Invokes a candidate for which there is a hold, if there is still time.
    async fn use_hold(
        &mut self,
        candidate: &Candidate<'t>,
        granted: Granted,
        probe_deadline: Timestamp,
    ) -> Progress {
        let Candidate { specialist, .. } = *candidate;
        // A probe whose hold took this long to get has lost its place.
        let has_time =
            probe_deadline.since(self.context.request.now()) >= deadline::SHORTEST_ATTEMPT;
        let Some(window) = self.time_for(specialist).filter(|_| has_time) else {
            self.context.give_up(specialist, &granted).await;
            return self.out_of_time();
        };
        self.note_fallback(candidate);
        self.candidates.invoke(specialist);
        let span = self.span(specialist, &granted);
        let window_end = self.context.request.now().after(window);
        self.invoke(specialist, granted, window_end).instrument(span).await
    }

    /// Invokes the specialist until it answers or another attempt would not help, and notes what
    /// it cost, whatever comes of it.
    async fn invoke(
        &mut self,
        specialist: &'t Specialist,
        granted: Granted,
        window_end: Timestamp,
    ) -> Progress {
        let mut pads = self.context.read_pads(specialist, granted.at).await;
        let given = std::mem::take(&mut pads.given);
        let mut callee = AskSpecialist::new(given);
        let mut invocation = Invocation::begin(granted, window_end);
        self.context.note(Fact::InvocationStarted { specialist: specialist.name.clone() });
        let result = invocation.run(&self.context, specialist, &mut callee).await;
        let (progress, failure) = match result {
            Ok(Answer::Text(text)) => {
                self.context.write_pad(specialist, &pads, &text).await;
                let generation = Some(invocation.lane().generation);
                (Progress::Answered { text, generation }, None)
            }
            Ok(Answer::OutOfScope { suggest }) => {
                let (policy, caller) = (self.context.request.policy, self.context.request.caller);
                let intent = self.context.task.intent.as_deref();
                let suggested = suggest.and_then(|name| policy.resolve(&name, intent));
                self.candidates.hand_off(suggested, caller);
                (Progress::TryNext, Some(Reason::OutOfScope))
            }
            Ok(Answer::Escalate { reason }) => {
                let failure = Some(Reason::Escalated);
                self.context.note(Fact::InvocationEnded { failure });
                let source = Source::Specialist(specialist.name.clone());
                return match self.ask_person(source, &reason).await {
                    Ok(waiting) => Progress::Escalated { waiting },
                    Err(_) => Progress::TryNext,
                };
            }
            Err(error) => {
                warn!(error = chain(&error), specialist.name = %specialist.name, "no answer");
                let may_fall_back = error.allows_fallback();
                let progress = if may_fall_back { Progress::TryNext } else { Progress::Stop };
                (progress, Some(error.reason()))
            }
        };
        self.context.note(Fact::InvocationEnded { failure });
        progress
    }

    fn span(&self, specialist: &Specialist, granted: &Granted) -> Span {
        info_span!(
            "invoke_specialist",
            session.id = %self.context.request.caller.root,
            specialist.name = %specialist.name,
            hold_micro_usd = granted.held.map(|held| held.cost.0),
            attempts = field::Empty,
            input_tokens = field::Empty,
            output_tokens = field::Empty,
            cost_micro_usd = field::Empty,
            outcome = field::Empty,
        )
    }

    fn note_fallback(&self, candidate: &Candidate<'t>) {
        if let Role::Fallback { of } = candidate.role {
            self.context.note(Fact::FellBack { of: of.name.clone() });
        }
    }

    /// The time for one invocation and all its attempts, if there is enough left to start it.
    fn time_for(&self, specialist: &Specialist) -> Option<Duration> {
        let now = self.context.request.now();
        let circuits = self.context.request.ports.circuits();
        let followers = self.candidates.followers(specialist, |other| circuits.rejects(other, now));
        deadline::window(self.context.request.remaining(), followers + self.context.to_come)
    }

    fn out_of_time(&self) -> Progress {
        self.context.note(Fact::OutOfTime);
        Progress::Refused { reason: Reason::Deadline, message: messages::no_time_left() }
    }

    /// Whether the specialist's circuit lets `attempt`, the first of an invocation, go, and until
    /// when.
    async fn pass_circuit(
        &self,
        specialist: &'t Specialist,
        attempt: &str,
    ) -> Result<Timestamp, Progress> {
        match self.context.admit(specialist, attempt).await {
            Admission::Pass { until } => Ok(until),
            Admission::Reject => {
                debug!(specialist.name = %specialist.name, "not called: its circuit is open");
                self.context.note(Fact::CircuitRejected { specialist: specialist.name.clone() });
                Err(Progress::TryNext)
            }
            Admission::RejectAll => {
                warn!("not called: an operator has stopped all calls");
                self.context.note(Fact::AllStopped);
                Err(refused(Reason::CircuitOpen, messages::stopped()))
            }
        }
    }
}

/// The end of a task that has not begun and does not begin any more.
pub(super) fn not_reached() -> TaskEnd {
    TaskEnd::Refused { reason: Reason::NotReached, message: messages::not_reached() }
}

pub(super) fn refused(reason: Reason, message: String) -> Progress {
    Progress::Refused { reason, message }
}
