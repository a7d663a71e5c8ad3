//! How large the modelled world is.

use crate::Flaw;

/// The bounds of a check. Amounts are in one small unit of money, times in ticks.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How many routers there are.
    pub routers: u8,
    /// How many requests each gets, one after the other.
    pub requests: u8,
    /// How many branches each request has: holds that are taken and settled together. With more
    /// than one, the last of them is stopped before its specialist has answered.
    pub branches: u8,
    /// What a session may spend.
    pub limit: u8,
    /// How many invocations a session may have.
    pub max_steps: u8,
    /// What the tenant may spend in the day.
    pub day_limit: u8,
    /// What a session draws from the day at a time.
    pub block: u8,
    /// What its user may spend in the day, where that is limited.
    pub user_limit: Option<u8>,
    /// How many invocations all gateway sessions may have in the hour, and what they may spend, if the
    /// session is one of them.
    pub gateway_limits: Option<(u8, u8)>,
    /// Whether the routers are front doors: every other request of one is a round of its supervisor,
    /// which takes no step.
    pub front_doors: bool,
    /// What the requests ask for, in turn.
    pub asks: Vec<u8>,
    /// What a call uses more than its hold (or less), each possible one.
    pub overruns: Vec<i8>,
    /// How long after its reservation a hold expires, in turn.
    pub hold_lives: Vec<u8>,
    /// How long a session lasts without a reservation.
    pub idle_ttl: u8,
    /// The last tick.
    pub horizon: u8,
    /// A copy of a write arrives at most this many ticks after its reservation was begun, or
    /// its call ended.
    pub longest_delay: u8,
    /// In how many attributes the ids of settled holds are remembered.
    pub recent_slots: u8,
    /// How many rounds a reservation has.
    pub rounds: u8,
    /// How many routers die.
    pub crashes: u8,
    /// How many answers are lost.
    pub lost_answers: u8,
    /// How many copies of writes arrive late.
    pub late_copies: u8,
    /// How many requests are delivered a second time.
    pub redeliveries: u8,
    /// The limit that an operator may set for the session.
    pub raised_limit: Option<u8>,
    /// What is missing from the protocol.
    pub flaw: Option<Flaw>,
}

impl Default for Setup {
    /// Two routers with two requests each, and one fault of each kind.
    fn default() -> Self {
        Self {
            routers: 2,
            requests: 2,
            branches: 1,
            limit: 4,
            max_steps: 4,
            day_limit: 5,
            block: 1,
            user_limit: None,
            gateway_limits: None,
            front_doors: false,
            asks: vec![2, 1],
            overruns: vec![-1, 0, 1],
            hold_lives: vec![2],
            idle_ttl: 4,
            horizon: 5,
            longest_delay: 2,
            recent_slots: 2,
            rounds: 3,
            crashes: 1,
            lost_answers: 1,
            late_copies: 1,
            redeliveries: 0,
            raised_limit: None,
            flaw: None,
        }
    }
}

impl Setup {
    /// Whether the protocol has this flaw.
    pub(crate) fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// How many holds there can be, one more than the routers' for [`crate::properties`].
    pub(crate) fn hold_ids(&self) -> u8 {
        (self.routers * self.requests + self.redeliveries + 1) * self.branches
    }

    /// Whether the hold `id` is of a round of a supervisor.
    pub(crate) fn is_round(&self, id: u8) -> bool {
        self.front_doors && (id / self.branches / self.routers).is_multiple_of(2)
    }

    /// The hold for the second execution of the very first request, when as many as
    /// `left` may be delivered again.
    pub(crate) fn id_of_redelivery(&self, left: u8) -> u8 {
        if self.has(Flaw::IdOfRequest) { 0 } else { self.hold_ids() - self.branches * (1 + left) }
    }

    /// In which of the attributes a settled hold's id is remembered.
    pub(crate) fn recent_slot(&self, id: u8) -> usize {
        usize::from(id % self.recent_slots)
    }
}

/// The element of a list for the hold `id`, in turn.
pub(crate) fn in_turn(values: &[u8], id: u8) -> u8 {
    values.get(usize::from(id) % values.len().max(1)).copied().unwrap_or_default()
}
