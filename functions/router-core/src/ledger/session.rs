//! A session's item, as it was read: what it says of holds, turns, days and limits.

use super::counted::{Counted, Hour};
use super::source::Source;
use super::statement::Held;
use super::terms::{SetByHand, Terms};
use super::{Account, Exhausted, HoldRequest, Holds, Limits, Purpose, Reservation, ReserveError};
use crate::charge::Charge;
use crate::escalation::{ANSWERED, due_attribute, ticket_attribute};
use crate::ids::{Fingerprint, HoldId, Lane, SpecialistName, TaskMark, Tenant, Ticket, UserMark};
use crate::store::{Item, Value};
use crate::units::{MicroUsd, Timestamp, Tokens};

/// How the names of all holds begin.
const HOLD: &str = "hold#";
/// How the names of all attributes begin with the tokens that a specialist has used.
const TOKENS: &str = "tokens#";
/// How the names of all repetition counters begin.
const SEEN: &str = "seen#";

/// The attributes in which an operator sets limits: steps, hand-offs, tokens, micro-dollars.
const LIMITS: [&str; 4] = ["limit_steps", "limit_handoffs", "limit_tokens", "limit_micro_usd"];

/// The item remembers this many different requests.
const SEEN_REQUESTS: usize = 16;
/// At most this many expired holds are moved by one write, which has to stay small.
const EXPIRED_AT_ONCE: usize = 10;

/// A session's item as it was read, and the limits that hold where it sets none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct SessionItem {
    item: Item,
    limits: Limits,
}

/// What a dead invocation holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ExpiredHold {
    pub(super) attribute: String,
    pub(super) specialist: Option<SpecialistName>,
    pub(super) tokens: u64,
    pub(super) micro_usd: u64,
    pub(super) counted: Counted,
}

/// What a session drew from a day and that day's item does not have as spent, in micro-dollars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DayShare {
    /// The UTC date.
    pub(super) date: String,
    /// What of it is spent.
    pub(super) spent: u64,
    /// What of it is not.
    pub(super) rest: i128,
}

impl SessionItem {
    pub(super) fn new(item: Item, limits: &Limits) -> Self {
        Self { item, limits: *limits }
    }

    /// The item with other attributes, under the same limits.
    pub(super) fn with(self, item: Item) -> Self {
        Self { item, ..self }
    }

    /// The item under the limits that it sets, and those it was read with where it sets none.
    pub(super) fn under_its_own_limits(self) -> Self {
        let (limits, _) = self.limits_over(&self.limits);
        Self { limits, ..self }
    }

    pub(super) fn account(&self) -> Account {
        Account::of_item(&self.item, self.limits)
    }

    /// The terms that a reservation has to go by: the policy's limits, where an operator has set
    /// no others in the item, and the session's end, where it is later.
    pub(super) fn terms(&self, reservation: &Reservation<'_>) -> Terms {
        let (limits, set_by_hand) = self.limits_over(&Limits::from(reservation.payer.limits));
        let ends_later = self.expires_at() > reservation.session_expiry();
        Terms { limits, set_by_hand, ends_later }
    }

    /// A limit that an operator has set to something that is none.
    pub(super) fn malformed_limit(&self) -> Option<&'static str> {
        LIMITS.into_iter().find(|name| self.item.has(name) && self.limit(name).is_none())
    }

    /// The limit that an operator has set in this attribute.
    pub(super) fn limit(&self, name: &str) -> Option<u64> {
        match self.item.get(name)? {
            Value::Number(limit) => u64::try_from(*limit).ok(),
            _ => None,
        }
    }

    /// The policy's limits with those that are set in the item over them.
    fn limits_over(&self, policy: &Limits) -> (Limits, SetByHand) {
        let [steps, handoffs, tokens, cost] = LIMITS.map(|name| self.limit(name));
        let limits = Limits {
            steps: steps.unwrap_or(policy.steps),
            handoffs: handoffs.unwrap_or(policy.handoffs),
            tokens: tokens.map_or(policy.tokens, Tokens),
            cost: cost.map_or(policy.cost, MicroUsd),
        };
        let set_by_hand = SetByHand {
            steps: steps.is_some(),
            handoffs: handoffs.is_some(),
            tokens: tokens.is_some(),
            cost: cost.is_some(),
        };
        (limits, set_by_hand)
    }

    /// The holds that were just written, in an item that shows who else is there.
    pub(super) fn holds(&self, reservation: &Reservation<'_>) -> Holds {
        let mut step = self.account().steps.saturating_sub(reservation.demand().steps);
        self.holds_with(reservation, |place, HoldRequest { purpose, .. }| {
            step += purpose.steps();
            match purpose {
                Purpose::Invocation | Purpose::Handoff => step,
                Purpose::Retry | Purpose::Round | Purpose::Seat => {
                    without_a_step(reservation.holds[place].id)
                }
            }
        })
    }

    /// Holds that were written earlier. Who came in between cannot be told any more, so an
    /// occupied specialist is asked in a lane that no other can have.
    pub(super) fn holds_found(&self, reservation: &Reservation<'_>) -> Holds {
        self.holds_with(reservation, |_, request| without_a_step(request.id))
    }

    /// The holds, each in the lane of its own that `number` gives it where its specialist is
    /// occupied.
    fn holds_with(
        &self,
        reservation: &Reservation<'_>,
        mut number: impl FnMut(usize, &HoldRequest<'_>) -> u64,
    ) -> Holds {
        let lanes = reservation.holds.iter().enumerate().map(|(place, request)| {
            let is_occupied = self.is_occupied(reservation, place);
            let number = Lane::number_of(number(place, request), self.home(request), is_occupied);
            Lane { generation: self.generation(reservation, place), number }
        });
        Holds {
            account: self.account(),
            lanes: lanes.collect(),
            expired_holds: 0,
            stale: self.stale_fingerprints(),
            answered: self.answered(),
        }
    }

    fn home(&self, request: &HoldRequest<'_>) -> u64 {
        Lane::home(self.number(&times_left_attribute(request.specialist)))
    }

    pub(super) fn has_hold(&self, id: &HoldId) -> bool {
        self.item.has(&hold_attribute(id))
    }

    pub(super) fn was_settled(&self, id: &HoldId) -> bool {
        self.item.text(&recent_attribute(id)) == Some(id.as_str())
    }

    /// The ticket that a task waits for.
    pub(super) fn ticket_of(&self, task: &TaskMark, now: Timestamp) -> Option<Ticket> {
        let is_open = self.due(task) > now;
        self.item.text(&ticket_attribute(task)).filter(|_| is_open).and_then(Ticket::parse)
    }

    /// When that ticket expires.
    fn due(&self, task: &TaskMark) -> Timestamp {
        Timestamp(self.number(&due_attribute(task)))
    }

    /// Tickets that people have answered, of which the supervisor was not told yet.
    pub(super) fn answered(&self) -> Vec<Ticket> {
        self.item.beginning(ANSWERED).filter_map(|(ticket, _)| Ticket::parse(ticket)).collect()
    }

    /// Whether what a reservation asks for is there already, as far as a write shows it.
    pub(super) fn has_ticket(&self, reservation: &Reservation<'_>) -> bool {
        reservation.opening.is_some_and(|opening| {
            self.ticket_of(opening.task, reservation.now).as_ref() == Some(opening.ticket)
        })
    }

    /// Whether the session has been idle for so long that it counts as absent.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.item.has("expires_at") && self.expires_at() <= now.0 / 1_000
    }

    fn expires_at(&self) -> u64 {
        self.number("expires_at")
    }

    pub(super) fn belongs_to_tenant(&self, tenant: &Tenant) -> bool {
        self.item.text("tenant").is_none_or(|owner| owner == tenant.as_str())
    }

    /// Whether the session is this user's, or still has none.
    pub(super) fn belongs_to_user(&self, user: Option<&UserMark>) -> bool {
        self.item.text("user").is_none_or(|owner| user.is_some_and(|user| owner == user.as_str()))
    }

    /// What is left of the money drawn from a day; less than nothing after an overrun.
    pub(super) fn room(&self, source: Source) -> i128 {
        self.item.signed(source.room())
    }

    /// Why a reservation that the session's item could hold is refused, if it is: for a repetition,
    /// or for a limit.
    pub(super) fn refuse(&self, reservation: &Reservation<'_>) -> Option<ReserveError> {
        let (account, demand) = (self.account(), reservation.demand());
        let nearly = |share| account.nearest_from(share, &demand);
        let told = |exhausted| Box::new(Exhausted { answered: self.answered(), ..exhausted });
        let repeated = self.repeated(reservation).or_else(|| self.waiting(reservation));
        repeated
            .or_else(|| {
                reservation.only_below.and_then(nearly).map(told).map(ReserveError::NearlyExhausted)
            })
            .or_else(|| account.exhausted_by(&demand).map(told).map(ReserveError::Exhausted))
    }

    /// The ticket that the task waits for which is to get one.
    fn waiting(&self, reservation: &Reservation<'_>) -> Option<ReserveError> {
        let task = reservation.opening?.task;
        let ticket = self.ticket_of(task, reservation.now)?;
        let (due, answered) = (self.due(task), self.answered());
        Some(ReserveError::Waiting { ticket, due, answered })
    }

    /// What was asked as often as it may be.
    fn repeated(&self, reservation: &Reservation<'_>) -> Option<ReserveError> {
        let max = reservation.payer.limits.max_repeats?;
        reservation.fingerprints().into_iter().find_map(|(fingerprint, asked)| {
            let times = self.number(&seen_attribute(fingerprint));
            let is_too_often = times.saturating_add(asked) > max;
            let fingerprint = fingerprint.clone();
            is_too_often.then_some(ReserveError::Repeated { times, fingerprint })
        })
    }

    /// What was drawn from days before `today` and is not in their items as spent yet, by date,
    /// the first day first.
    pub(super) fn unfolded_before(&self, source: Source, today: &str) -> Vec<(&str, u64)> {
        let days = self.item.beginning(source.unfolded_prefix()).map(|(date, _)| date);
        let before = days.filter(|date| *date < today);
        before.map(|date| (date, self.number(&source.unfolded(date)))).collect()
    }

    /// What was drawn from each day of a source, the first day first, with what of it is spent now;
    /// and what was spent beyond all of that.
    pub(super) fn shares(&self, source: Source) -> (Vec<DayShare>, u64) {
        let spent = self.number(source.spent());
        let mut left = spent.saturating_sub(self.number(source.folded()));
        let drawn = self.item.beginning(source.unfolded_prefix()).map(|(date, _)| {
            let unfolded = self.item.signed(&source.unfolded(date));
            let spent = left.min(u64::try_from(unfolded).unwrap_or(0));
            left -= spent;
            DayShare { date: date.to_owned(), spent, rest: unfolded - i128::from(spent) }
        });
        (drawn.collect(), left)
    }

    /// What invocations hold, those first that expire first.
    pub(super) fn held(&self) -> Vec<Held> {
        let holds = self.holds_listed().map(|(id, hold)| Held {
            id: id.to_owned(),
            specialist: hold.text("specialist").unwrap_or_default().to_owned(),
            charge: Charge {
                tokens: Tokens(hold.number("tokens")),
                cost: MicroUsd(hold.number("micro_usd")),
            },
            expires: Timestamp(hold.number("expires_at_ms")),
        });
        let mut holds: Vec<Held> = holds.collect();
        holds.sort_by(|a, b| (a.expires, &a.id).cmp(&(b.expires, &b.id)));
        holds
    }

    /// What was spent by specialist, with what of it is in the specialists' days already:
    /// tokens spent, micro-dollars spent, tokens folded, micro-dollars folded.
    pub(super) fn by_specialist(&self) -> Vec<(SpecialistName, [u64; 4])> {
        let names = self.item.beginning(TOKENS).map(|(name, _)| name);
        names
            .filter_map(SpecialistName::parse)
            .map(|name| {
                let amounts = [
                    self.number(&tokens_attribute(&name)),
                    self.number(&micro_usd_attribute(&name)),
                    self.number(&format!("folded_{}", tokens_attribute(&name))),
                    self.number(&format!("folded_{}", micro_usd_attribute(&name))),
                ];
                (name, amounts)
            })
            .collect()
    }

    pub(super) fn expired_holds(&self, now: Timestamp) -> Vec<ExpiredHold> {
        let expired = self.holds_listed().filter(|(_, hold)| !is_live(hold, now));
        expired
            .map(|(id, hold)| ExpiredHold {
                attribute: format!("{HOLD}{id}"),
                specialist: hold.text("specialist").and_then(SpecialistName::parse),
                tokens: hold.number("tokens"),
                micro_usd: hold.number("micro_usd"),
                counted: Counted {
                    hour: hold.text("gateway_hour").and_then(Hour::parse),
                    of_user: hold.number("of_user") > 0,
                },
            })
            .take(EXPIRED_AT_ONCE)
            .collect()
    }

    /// The holds by their ids.
    fn holds_listed(&self) -> impl Iterator<Item = (&str, &Item)> {
        self.item.beginning(HOLD).filter_map(|(id, value)| match value {
            Value::Map(hold) => Some((id, hold)),
            _ => None,
        })
    }

    pub(super) fn number(&self, name: &str) -> u64 {
        self.item.number(name)
    }

    /// Whether another live invocation of the same specialist is under way: one that is not of the
    /// reservation, or one that comes before this one in it.
    fn is_occupied(&self, reservation: &Reservation<'_>, place: usize) -> bool {
        let (before, rest) = reservation.holds.split_at(place);
        let Some(request) = rest.first() else { return false };
        let is_own = |id: &str| reservation.holds.iter().any(|own| own.id.as_str() == id);
        before.iter().any(|other| other.specialist == request.specialist)
            || self.holds_listed().any(|(id, hold)| {
                !is_own(id)
                    && hold.text("specialist") == Some(request.specialist.as_str())
                    && is_live(hold, reservation.now)
            })
    }

    /// Which of the specialist's sessions the turn that was just counted belongs to.
    fn generation(&self, reservation: &Reservation<'_>, place: usize) -> u64 {
        let (_, rest) = reservation.holds.split_at(place);
        let Some((request, later)) = rest.split_first() else { return 0 };
        let of_later = later.iter().filter(|other| other.specialist == request.specialist);
        let turns_of_later: u64 = of_later.map(|other| other.purpose.steps()).sum();
        let turns = self.number(&turns_attribute(request.specialist));
        let turns = turns.saturating_sub(turns_of_later);
        turns.saturating_sub(1) / reservation.payer.limits.max_turns_per_specialist.max(1)
    }

    /// The requests that were asked longest ago, where there are more than are kept.
    fn stale_fingerprints(&self) -> Vec<Fingerprint> {
        let seen = self.item.beginning(SEEN).map(|(fingerprint, _)| fingerprint);
        let mut seen: Vec<Fingerprint> = seen.filter_map(Fingerprint::parse).collect();
        seen.sort_by_key(|fingerprint| self.number(&asked_at_attribute(fingerprint)));
        seen.truncate(seen.len().saturating_sub(SEEN_REQUESTS));
        seen
    }
}

/// Whether a hold's invocation may still be under way.
fn is_live(hold: &Item, now: Timestamp) -> bool {
    Timestamp(hold.number("expires_at_ms")) > now
}

/// The attribute of a hold. A map of holds would not do: DynamoDB cannot create a map and
/// put something into it in one update.
pub(super) fn hold_attribute(id: &HoldId) -> String {
    format!("{HOLD}{}", id.as_str())
}

/// The attribute in which the id of a settled hold is remembered.
pub(super) fn recent_attribute(id: &HoldId) -> String {
    format!("recent_{}", id.place())
}

/// The attribute that counts a specialist's turns in the session.
pub(super) fn turns_attribute(specialist: &SpecialistName) -> String {
    format!("turns#{specialist}")
}

/// The attribute that counts how often a specialist's lane was left while the agent may still
/// have been at work. A version of the router that does not know it stays in lane 0.
pub(super) fn times_left_attribute(specialist: &SpecialistName) -> String {
    format!("times_left#{specialist}")
}

/// The attribute with the tokens that a specialist has used in the session.
pub(super) fn tokens_attribute(specialist: &SpecialistName) -> String {
    format!("{TOKENS}{specialist}")
}

/// The attribute with the micro-dollars that a specialist has used in the session.
pub(super) fn micro_usd_attribute(specialist: &SpecialistName) -> String {
    format!("micro_usd#{specialist}")
}

/// The attribute that counts how often the same was asked.
pub(super) fn seen_attribute(fingerprint: &Fingerprint) -> String {
    format!("{SEEN}{}", fingerprint.as_str())
}

/// The attribute with the step at which the same was asked last.
pub(super) fn asked_at_attribute(fingerprint: &Fingerprint) -> String {
    format!("asked_at#{}", fingerprint.as_str())
}

/// The number of a lane that does not come from a step that was just taken. No step leads to it,
/// and two ids hardly ever lead to the same number.
fn without_a_step(id: &HoldId) -> u64 {
    id.spread() | 1 << 63
}
