//! How large the modelled world is, and what may be missing from the protocol.

use std::time::Duration;

use router_core::circuit::REMEMBERED;

/// The bounds of a check. Times are in ticks of [`TICK`]; runs may be as long as they like.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How many processes there are, each with a memory of its own.
    pub processes: usize,
    /// How many attempts a process has under way at once. With more than one, an answer of the
    /// table is on its way for a step of its own, in which the others may act.
    pub tasks: usize,
    /// Failures in a row that open the circuit.
    pub failures: u8,
    /// The least number of sessions that those are of. Attempts are made for as many.
    pub sessions: u8,
    /// Probes in a row that close it.
    pub probes: u8,
    /// How long it stays open.
    pub open: u8,
    /// How long a probe has its place.
    pub place: u8,
    /// How long it takes at most to admit an attempt, or to report its verdict.
    pub longest_exchange: u8,
    /// Whether attempts vanish, and processes die.
    pub vanishing: bool,
    /// Whether answers are lost, and the change is then repeated.
    pub lost_answers: bool,
    /// Whether a process gives a change up that may have been stored, or may be yet.
    pub given_up: bool,
    /// Whether reads fail, so that what was known before holds on.
    pub failed_reads: bool,
    /// How many copies of changes may be on their way at once, for as long as they like.
    pub late_copies: usize,
    /// What is missing from the protocol.
    pub flaw: Option<Flaw>,
}

/// As long as a process goes by its memory.
pub const TICK: Duration = REMEMBERED;

impl Default for Setup {
    /// Two processes with one attempt each, and every fault.
    fn default() -> Self {
        Self {
            processes: 2,
            tasks: 1,
            failures: 2,
            sessions: 1,
            probes: 2,
            open: 2,
            place: 1,
            longest_exchange: 1,
            vanishing: true,
            lost_answers: true,
            given_up: true,
            failed_reads: true,
            late_copies: 1,
            flaw: None,
        }
    }
}

impl Setup {
    /// Whether the protocol has this flaw.
    pub(crate) fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// Whether others of the process may act while an answer is on its way to it.
    pub(crate) fn answers_travel(&self) -> bool {
        self.tasks > 1
    }
}

/// What is missing from the protocol, so that a rule can be seen to break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// A change is stored whatever the stamp is by then.
    ChangedBlindly,
    /// A repeated change whose answer was lost is not recognised.
    NotRecognised,
    /// Any change that came next is taken for one's own.
    RecognisedByStamp,
    /// All attempts of a process are one owner.
    OwnerIsProcess,
    /// A probe has its place until it reports.
    ProbeForEver,
    /// While a circuit is half open, everybody's verdict counts.
    EverybodyHasASay,
    /// An attempt that says nothing of its specialist counts as failed.
    UnknownIsFailing,
    /// A success ends also the failures that were counted after its report was begun.
    RunEndedBlindly,
    /// It is not asked which sessions failures are of.
    OpensForOneSession,
    /// A process goes by what it read once.
    RemembersForEver,
    /// A process remembers the answer that came last, though it may know of a later change.
    MemoryGoesBack,
}

impl Flaw {
    /// Every flaw.
    pub const ALL: [Self; 11] = [
        Self::ChangedBlindly,
        Self::NotRecognised,
        Self::RecognisedByStamp,
        Self::OwnerIsProcess,
        Self::ProbeForEver,
        Self::EverybodyHasASay,
        Self::UnknownIsFailing,
        Self::RunEndedBlindly,
        Self::OpensForOneSession,
        Self::RemembersForEver,
        Self::MemoryGoesBack,
    ];
}
