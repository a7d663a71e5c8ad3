//! One round: the supervisor is asked, under a hold, once its circuit lets it be.

use tracing::{Instrument, field, info_span, warn};

use super::FrontPorts;
use super::calls;
use super::told::Told;
use crate::budget::purse::Wanted;
use crate::charge::Charge;
use crate::circuit::Admission;
use crate::deadline;
use crate::error::chain;
use crate::ids::{HoldId, Lane, specialist_session_id};
use crate::invocation::{InvokeError, Outcome};
use crate::journal::{Entry, Fact};
use crate::ledger::{Purpose, ReserveError};
use crate::outcome::Reason;
use crate::policy::{OnLedgerFailure, Specialist};
use crate::request::Request;
use crate::supervisor::{Decided, Heard, Message, Round, Supervisor, Turn};
use crate::task::{Call, Callee, Granted, Invocation, TaskContext, owner, refusal};
use crate::units::{Clock, Timestamp};
use crate::wire::tools::catalog::Tool;

/// The place of a request's seat in the supervisor's conversation among its tasks.
pub(super) const SEAT: usize = 0;
/// The place of all of its rounds.
pub(super) const ROUNDS: usize = 1;
/// The place of the first task that a supervisor asks for.
pub(super) const FIRST_TASK: usize = 2;

/// The request's rounds so far, as far as the next one depends on them.
pub(super) struct Seat<'s, F> {
    pub(super) context: TaskContext<'s, F>,
    pub(super) callee: &'s Specialist,
    pub(super) told: &'s (dyn Fn(Told<'_>) + Sync),
    /// The supervisor's own session, once a round has begun.
    pub(super) lane: Option<Lane>,
}

/// What a round says to the supervisor.
pub(super) struct Said<'a> {
    /// The round's number, from 1.
    pub(super) round: u64,
    pub(super) prompt: &'a str,
    pub(super) messages: &'a [Message],
    pub(super) tools: &'a [Tool],
}

/// Why a round did not take place.
#[derive(Debug)]
pub(super) enum NoRound {
    /// The supervisor failed, or is not to be asked for a while.
    Failed {
        reason: Reason,
        /// Whether another may answer in its place.
        may_fall_back: bool,
    },
    /// A rule forbids it.
    Refused(Reason),
}

/// What a round needs and has got.
pub(super) struct Ready {
    granted: Granted,
    /// When it began.
    began: Timestamp,
}

impl Ready {
    /// Whether the session is known to be the caller's.
    pub(super) fn is_counted(&self) -> bool {
        self.granted.held.is_some()
    }

    /// The supervisor's own session.
    pub(super) fn lane(&self) -> Lane {
        self.granted.lane
    }
}

impl<F: FrontPorts> Seat<'_, F> {
    /// Gets what a round needs: the word of the supervisor's circuit, a hold, and in the first one a
    /// seat.
    pub(super) async fn prepare(&self) -> Result<Ready, NoRound> {
        let began = self.context.request.now();
        let specialist = self.callee.name.clone();
        self.context.note(Fact::CandidateTaken { specialist });
        let granted = self.grant().await;
        if let Err(no_round) = &granted {
            let refused = match no_round {
                NoRound::Refused(reason) => Some(*reason),
                NoRound::Failed { .. } => None,
            };
            self.context.note(Fact::CandidateLeft { refused });
        }
        Ok(Ready { granted: granted?, began })
    }

    async fn grant(&self) -> Result<Granted, NoRound> {
        let Request { policy, ports, .. } = self.context.request;
        if deadline::window(self.context.request.remaining(), 1).is_none() {
            self.context.note(Fact::OutOfTime);
            return Err(NoRound::Refused(Reason::Deadline));
        }
        let id = self.context.next_hold();
        let attempt = owner(&id, 1);
        let probe_deadline = match self.context.admit(self.callee, &attempt).await {
            Admission::Pass { until } => until,
            Admission::Reject => {
                let specialist = self.callee.name.clone();
                self.context.note(Fact::CircuitRejected { specialist });
                let reason = Reason::CircuitOpen;
                return Err(NoRound::Failed { reason, may_fall_back: true });
            }
            Admission::RejectAll => {
                self.context.note(Fact::AllStopped);
                return Err(NoRound::Refused(Reason::CircuitOpen));
            }
        };
        let seat = HoldId::new(self.context.request.id, SEAT, 0);
        let wanted = |task, id, purpose| {
            let (specialist, prompt) = (self.callee, "");
            Wanted { task, specialist, prompt, id, purpose }
        };
        let mut all = vec![wanted(ROUNDS, &id, Purpose::Round)];
        if self.lane.is_none() {
            all.insert(0, wanted(SEAT, &seat, Purpose::Seat));
        }
        let within = deadline::before_call(self.context.request.remaining());
        let is_degraded = false;
        match self.context.purse().take_all(&all, None, within).await {
            Ok(taken) => {
                let held = Some(Charge::hold(self.callee));
                let first = taken.first();
                let lane = self.lane.or(first.map(|taken| taken.lane)).unwrap_or_default();
                let at = first.map(|taken| taken.at);
                Ok(Granted { id, held, at, lane, probe_deadline, is_degraded })
            }
            Err(ReserveError::Unavailable(_))
                if policy.session.on_ledger_failure == OnLedgerFailure::Allow =>
            {
                warn!("the round goes uncounted");
                self.context.note(Fact::Uncounted);
                let lane = self.lane.unwrap_or_else(|| Lane {
                    // Whose conversation that of the session is cannot be told.
                    number: ports.clock().now().0,
                    ..Lane::default()
                });
                let (held, at) = (None, None);
                Ok(Granted { id, held, at, lane, probe_deadline, is_degraded })
            }
            Err(error) => {
                self.context.withdraw(self.callee, &attempt).await;
                let (reason, _for_a_model) = refusal(&error, self.callee);
                Err(NoRound::Refused(reason))
            }
        }
    }

    /// Asks the supervisor.
    pub(super) async fn ask(&mut self, ready: Ready, said: Said<'_>) -> Result<Turn, NoRound> {
        let Ready { granted, began } = ready;
        let request = self.context.request;
        let has_time = granted.probe_deadline.since(request.now()) >= deadline::SHORTEST_ATTEMPT;
        let window = deadline::window(request.remaining(), 1).filter(|_| has_time);
        let Some(window) = window else {
            self.context.give_up(self.callee, &granted).await;
            self.context.note(Fact::OutOfTime);
            self.context.note(Fact::CandidateLeft { refused: Some(Reason::Deadline) });
            return Err(NoRound::Refused(Reason::Deadline));
        };
        let window_end = request.now().after(window);
        let span = info_span!(
            "ask_supervisor",
            session.id = %request.caller.root,
            attempts = field::Empty,
            input_tokens = field::Empty,
            output_tokens = field::Empty,
            cost_micro_usd = field::Empty,
            outcome = field::Empty,
        );
        let mut asking =
            AskSupervisor { told: self.told, said, began, has_decided: false, has_acted: false };
        let mut invocation =
            Invocation::begin(granted, window_end).in_conversation(self.lane.is_some());
        let specialist = self.callee.name.clone();
        self.context.note(Fact::InvocationStarted { specialist });
        let running = invocation.run(&self.context, self.callee, &mut asking);
        let result = running.instrument(span).await;
        self.lane = Some(invocation.lane());
        let failure = result.as_ref().err().map(InvokeError::reason);
        self.context.note(Fact::InvocationEnded { failure });
        self.context.note(Fact::CandidateLeft { refused: None });
        result.map_err(|error| {
            warn!(error = chain(&error), "the supervisor did not answer");
            let may_fall_back = error.allows_fallback();
            NoRound::Failed { reason: error.reason(), may_fall_back }
        })
    }
}

/// Leaves the seat, if there is one: the supervisor's conversation goes on with the next request, or
/// without it where it `is_open`, waiting for what it will not get.
pub(super) fn leave<F: FrontPorts>(request: Request<'_, F>, lane: Option<Lane>, is_open: bool) {
    let id = HoldId::new(request.id, SEAT, 0);
    let was_held =
        |entry: &Entry| matches!(&entry.fact, Fact::Held { id: held, .. } if *held == id);
    if request.journal.read(|entries| entries.iter().any(was_held)) {
        let left = lane.filter(|_| is_open);
        let nothing = Charge::default();
        request.note(SEAT, Fact::Charged { id, used: nothing, left });
    }
}

/// The supervisor as it is called in a round.
struct AskSupervisor<'a> {
    told: &'a (dyn Fn(Told<'_>) + Sync),
    said: Said<'a>,
    /// When the round began.
    began: Timestamp,
    has_decided: bool,
    /// Whether its action group has carried out a call.
    has_acted: bool,
}

impl<F: FrontPorts> Callee<F> for AskSupervisor<'_> {
    type Answer = Turn;

    async fn call(&mut self, context: &TaskContext<'_, F>, call: &Call<'_>) -> Decided {
        let Call { specialist, agent, lane, timeout, trace } = call;
        let Request { policy, caller, ports, .. } = context.request;
        let round = Round {
            agent,
            session_id: &specialist_session_id(&caller.root, &specialist.name, *lane),
            root_session: &caller.root,
            attributes: &caller.forwarded_attributes(),
            prompt: self.said.prompt,
            messages: self.said.messages,
            tools: self.said.tools,
            model: &specialist.model,
            timeout: *timeout,
            idle_timeout: specialist.idle_timeout,
            max_tokens: specialist.max_tokens_per_call,
            trace: *trace,
            stop: context.stop,
        };
        let (clock, told) = (ports.clock(), self.told);
        let (mut first_heard, mut has_acted) = (None, false);
        let mut heard = |heard: Heard<'_>| {
            first_heard.get_or_insert_with(|| clock.now());
            match heard {
                Heard::Text(text) => told(Told::Text(text)),
                Heard::Carried(call) => {
                    has_acted = true;
                    if let Ok(request) = calls::read(call, policy) {
                        calls::tell_routes(told, policy, self.said.round, &call.name, &request);
                    }
                }
                Heard::Tool(_) => {}
            }
        };
        let Outcome { result, usage, steps } = ports.supervisor().decide(&round, &mut heard).await;
        self.has_acted |= has_acted;
        if let (Some(at), false) = (first_heard, self.has_decided) {
            self.has_decided = true;
            context.note(Fact::Decided { after: at.since(self.began) });
        }
        Outcome { result, usage, steps }
    }

    fn failure(_turn: &Turn) -> Option<Reason> {
        None
    }

    fn may_be_repeated(&self) -> bool {
        !self.has_acted
    }

    fn learn(&mut self, _error: &InvokeError) {}
}
