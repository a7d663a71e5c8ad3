//! The machines on a database in memory: what is held, charged and drawn.

mod funding;
mod gateways;
mod repeats;
mod session;
mod users;

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::charge::Charge;
use crate::doubles::policy;
use crate::error::Cause;
use crate::ids::{Fingerprint, HoldId, RootSession, SpecialistName, Tenant, UserMark};
use crate::ledger::{Counted, Hour, Limit, Purpose};
use crate::ledger::{Exhausted, HoldRequest, Holds, Payer, Reservation, ReserveError, Settlement};
use crate::policy::{GatewayHour, SessionLimits, TenantDay, UserDay};
use crate::store::{Answer, Item, ItemKey, Request};
use crate::store::{Value, memory};
use crate::units::{Learnt, MicroUsd, Moment, Share, Timestamp, Tokens};

/// The middle of 2026-05-28.
const NOON: Timestamp = Timestamp(1_779_969_600_000);
const DAY: Duration = Duration::from_secs(86_400);
const HOLD_LIFE: Duration = Duration::from_secs(90);

/// A session of `acme` and the items of its table.
struct Book {
    items: BTreeMap<ItemKey, Item>,
    session: RootSession,
    tenant: Tenant,
    user: Option<UserMark>,
    limits: SessionLimits,
    day: TenantDay,
    user_day: Option<UserDay>,
    gateway_hour: Option<GatewayHour>,
    specialist: SpecialistName,
    fingerprint: Option<Fingerprint>,
    now: Timestamp,
    /// How often a reservation may be begun.
    rounds: u32,
    only_below: Option<Share>,
    /// How many requests the last reservation or settlement made.
    requests: usize,
    /// How long the last reservation waited before each of its requests.
    pauses: Vec<Option<Duration>>,
}

impl Book {
    /// A session may use 12 steps, 80,000 tokens and 0.50 USD; a block is 0.10 USD.
    fn new() -> Self {
        Self {
            items: BTreeMap::new(),
            session: RootSession::parse("sessionId", "s").unwrap(),
            tenant: Tenant::default(),
            user: None,
            limits: policy().session,
            day: TenantDay {
                max_cost: MicroUsd(1_000_000),
                block: MicroUsd(100_000),
                tenants: BTreeSet::new(),
            },
            user_day: None,
            gateway_hour: None,
            specialist: SpecialistName::parse("billing").unwrap(),
            fingerprint: None,
            now: NOON,
            rounds: reserving::ROUNDS,
            only_below: None,
            requests: 0,
            pauses: Vec::new(),
        }
    }

    fn payer(&self) -> Payer<'_> {
        let Self { session, limits, tenant, day, .. } = self;
        Payer {
            session,
            limits,
            tenant,
            user: self.user.as_ref(),
            tenant_day: day,
            user_day: self.user_day.as_ref(),
            gateway_hour: self.gateway_hour.as_ref(),
        }
    }

    /// Takes a hold of 1,000 tokens and so many micro-dollars for each id.
    fn take(&mut self, ids: &[&HoldId], micro_usd: u64) -> Result<Holds, ReserveError> {
        let ask = charge(1_000, micro_usd);
        self.take_for(ids, ask, Purpose::Invocation, |_, _| None)
    }

    /// `instead` answers in place of the table.
    fn take_for(
        &mut self,
        ids: &[&HoldId],
        ask: Charge,
        purpose: Purpose,
        instead: impl Fn(usize, &Request) -> Option<Answer>,
    ) -> Result<Holds, ReserveError> {
        let mut items = std::mem::take(&mut self.items);
        let holds: Vec<HoldRequest<'_>> = ids
            .iter()
            .map(|id| HoldRequest {
                id,
                specialist: &self.specialist,
                fingerprint: self.fingerprint.as_ref(),
                ask,
                purpose,
            })
            .collect();
        let reservation = Reservation {
            payer: self.payer(),
            opening: None,
            holds: &holds,
            now: self.now,
            asked: Learnt::at(self.now, Moment::default()),
            expires: self.now.after(HOLD_LIFE),
            only_below: self.only_below,
        };
        let mut pauses = Vec::new();
        let mut reserving = Reserving::begin(&reservation).unwrap().with_rounds(self.rounds);
        let reserved = loop {
            let request = reserving.request();
            let answer = instead(pauses.len(), request);
            let answer = answer.unwrap_or_else(|| memory::apply(&mut items, request));
            pauses.push(reserving.pause(&reservation));
            reserving = match reserving.on(&reservation, answer) {
                Next::Send(next) => next,
                Next::Done(reserved) => break reserved,
            };
        };
        (self.items, self.requests, self.pauses) = (items, pauses.len(), pauses);
        reserved
    }

    fn settle(&mut self, all: &[(&HoldId, Charge, Charge)]) -> Result<(), Cause> {
        let counted = Counted::by(&self.payer(), self.now);
        self.settle_as(counted, all)
    }

    /// Settles holds that were counted so when they were taken.
    fn settle_as(
        &mut self,
        counted: Counted,
        all: &[(&HoldId, Charge, Charge)],
    ) -> Result<(), Cause> {
        let mut items = std::mem::take(&mut self.items);
        let settlements: Vec<Settlement<'_>> = all
            .iter()
            .map(|(id, held, used)| Settlement {
                id,
                specialist: &self.specialist,
                held: *held,
                used: *used,
                counted,
                stale: &[],
                told: &[],
                left: None,
            })
            .collect();
        let payer = self.payer();
        let mut requests = 0;
        let mut settling = Settling::begin(&payer, &settlements).unwrap();
        let settled = loop {
            let answer = memory::apply(&mut items, settling.request());
            requests += 1;
            settling = match settling.on(&payer, &settlements, answer) {
                Next::Send(next) => next,
                Next::Done(settled) => break settled,
            };
        };
        (self.items, self.requests) = (items, requests);
        settled
    }

    fn item(&self) -> &Item {
        &self.items[&ItemKey::session(&self.session)]
    }

    fn item_mut(&mut self) -> &mut Item {
        self.items.get_mut(&ItemKey::session(&self.session)).unwrap()
    }

    /// Steps; committed and spent micro-dollars; drawn, and what is left of that.
    fn numbers(&self) -> [u64; 5] {
        [
            "steps",
            "committed_micro_usd",
            "spent_micro_usd",
            "drawn_micro_usd",
            "tenant_room_micro_usd",
        ]
        .map(|name| self.item().number(name))
    }

    /// What a tenant's or specialist's day has drawn and spent.
    fn day_of(&self, key: &ItemKey) -> (u64, u64) {
        let day = self.items.get(key).cloned().unwrap_or_default();
        (day.number("drawn_micro_usd"), day.number("spent_micro_usd"))
    }
}

fn charge(tokens: u64, micro_usd: u64) -> Charge {
    Charge { tokens: Tokens(tokens), cost: MicroUsd(micro_usd) }
}

fn id(number: usize) -> HoldId {
    HoldId::new("r", 0, number)
}

fn exhausted(reserved: Result<Holds, ReserveError>) -> Exhausted {
    let Err(ReserveError::Exhausted(exhausted)) = reserved else { panic!("{reserved:?}") };
    *exhausted
}

#[test]
fn a_sessions_first_hold_draws_a_block_and_the_next_one_needs_a_write_alone() {
    let mut book = Book::new();
    let holds = book.take(&[&id(0)], 40_000).unwrap();
    assert_eq!((book.requests, holds.account.steps), (2, 1));
    assert_eq!(book.numbers(), [1, 40_000, 0, 100_000, 60_000]);
    assert_eq!(book.item().number("expires_at"), (NOON.0 + 86_400_000) / 1_000);

    book.take(&[&id(1)], 60_000).unwrap();
    assert_eq!(book.requests, 1);
    assert_eq!(book.numbers(), [2, 100_000, 0, 100_000, 0]);
    assert_eq!(book.day_of(&ItemKey::tenant_day("default", "2026-05-28")), (100_000, 0));
}

#[test]
fn holds_of_one_reservation_are_taken_together_in_lanes_of_their_own() {
    let mut book = Book::new();
    book.limits.max_cost = MicroUsd(70_000);
    let refused = exhausted(book.take(&[&id(0), &id(1)], 40_000));
    assert_eq!((refused.limit, refused.asked, book.items.len()), (Limit::Cost, 80_000, 0));
    let holds = book.take(&[&id(0), &id(1)], 35_000).unwrap();
    assert_ne!(holds.lanes[0], holds.lanes[1]);
    assert_eq!(book.numbers()[..2], [2, 70_000]);
}

#[test]
fn a_repeated_reservation_finds_its_hold_and_one_after_the_settlement_is_told_so() {
    let mut book = Book::new();
    book.take(&[&id(0)], 40_000).unwrap();
    book.take(&[&id(0)], 40_000).unwrap();
    assert_eq!(book.numbers()[..2], [1, 40_000]);

    let held = charge(1_000, 40_000);
    book.settle(&[(&id(0), held, charge(300, 9_000))]).unwrap();
    assert_eq!((book.requests, book.numbers()), (1, [1, 9_000, 9_000, 100_000, 91_000]));
    let again = book.take(&[&id(0)], 40_000);
    assert!(matches!(again, Err(ReserveError::AlreadySettled(found)) if found == id(0)));
    book.settle(&[(&id(0), held, charge(300, 9_000))]).unwrap();
    assert_eq!(book.numbers()[2], 9_000, "a second settlement changes nothing");
}

#[test]
fn a_hold_that_is_gone_keeps_no_other_from_being_settled() {
    let mut book = Book::new();
    book.take(&[&id(0), &id(1)], 20_000).unwrap();
    let (held, used) = (charge(1_000, 20_000), charge(100, 5_000));
    book.settle(&[(&id(0), held, used)]).unwrap();
    book.settle(&[(&id(0), held, used), (&id(1), held, used)]).unwrap();
    assert_eq!((book.requests, book.numbers()[1..3].to_vec()), (2, vec![10_000, 10_000]));
    assert_eq!(book.item().number("tokens#billing"), 200);
}

#[test]
fn of_holds_taken_together_none_is_taken_again_after_one_is_gone() {
    let mut book = Book::new();
    book.take(&[&id(0), &id(1)], 20_000).unwrap();
    book.settle(&[(&id(0), charge(1_000, 20_000), charge(0, 0))]).unwrap();
    book.item_mut().0.retain(|name, _| !name.starts_with("recent_"));
    let again = book.take(&[&id(0), &id(1)], 20_000);
    assert!(matches!(again, Err(ReserveError::AlreadySettled(found)) if found == id(0)));
}

#[test]
fn what_a_dead_invocation_holds_is_charged_by_the_next_one() {
    let mut book = Book::new();
    book.take(&[&id(0)], 40_000).unwrap();
    book.now = NOON.after(HOLD_LIFE);
    let holds = book.take(&[&id(1)], 30_000).unwrap();
    assert_eq!((holds.expired_holds, book.numbers()), (1, [2, 70_000, 40_000, 100_000, 30_000]));
    assert_eq!(book.item().number("micro_usd#billing"), 40_000);
    assert_eq!(holds.account.spent.cost, MicroUsd(40_000));
    book.settle(&[(&id(0), charge(1_000, 40_000), charge(0, 0))]).unwrap();
    assert_eq!(book.numbers()[2], 40_000, "its settlement comes too late");
}

#[test]
fn a_refusal_tells_of_the_expired_holds_that_it_found() {
    let mut book = Book::new();
    book.limits.max_steps = 1;
    book.take(&[&id(0)], 40_000).unwrap();
    book.now = NOON.after(HOLD_LIFE);
    let refused = exhausted(book.take(&[&id(1)], 30_000));
    assert_eq!((refused.limit, refused.expired_holds), (Limit::Steps, 1));
    assert!(refused.is_for_good());
}

#[test]
fn what_is_left_of_a_day_is_drawn_exactly_and_no_more() {
    let mut book = Book::new();
    book.day.max_cost = MicroUsd(130_000);
    book.take(&[&id(0)], 100_000).unwrap();
    book.take(&[&id(1)], 20_000).unwrap();
    assert_eq!(book.numbers()[3..], [120_000, 0]);
    let refused = exhausted(book.take(&[&id(2)], 20_000));
    assert_eq!((refused.limit, refused.asked, refused.max), (Limit::Tenant, 20_000, 130_000));
    assert_eq!((refused.settled, refused.held), (0, 120_000));
    assert_eq!(book.numbers()[..2], [2, 120_000]);
}

#[test]
fn a_sessions_first_hold_draws_exactly_what_is_left_of_a_day() {
    let mut book = Book::new();
    book.day.max_cost = MicroUsd(50_000);
    book.take(&[&id(0)], 40_000).unwrap();
    assert_eq!(book.numbers()[3..], [40_000, 0]);
    book.session = RootSession::parse("sessionId", "other").unwrap();
    assert_eq!(exhausted(book.take(&[&id(1)], 20_000)).limit, Limit::Tenant);
}

#[test]
fn what_was_spent_is_folded_into_the_days_with_the_next_block() {
    let mut book = Book::new();
    book.take(&[&id(0)], 100_000).unwrap();
    book.settle(&[(&id(0), charge(1_000, 100_000), charge(700, 90_000))]).unwrap();
    book.take(&[&id(1)], 50_000).unwrap();
    let tenant = ItemKey::tenant_day("default", "2026-05-28");
    assert_eq!((book.requests, book.day_of(&tenant)), (3, (200_000, 90_000)));
    let specialist = ItemKey::specialist_day(&book.specialist, "2026-05-28");
    assert_eq!(book.items[&specialist].number("spent_tokens"), 700);
    assert_eq!(book.day_of(&specialist).1, 90_000);
    book.settle(&[(&id(1), charge(1_000, 50_000), charge(100, 10_000))]).unwrap();
    book.take(&[&id(2)], 120_000).unwrap();
    assert_eq!(book.day_of(&tenant), (300_000, 100_000), "each once");
}

#[test]
fn what_was_drawn_the_day_before_is_spent_there() {
    let mut book = Book::new();
    book.take(&[&id(0)], 80_000).unwrap();
    book.settle(&[(&id(0), charge(1_000, 80_000), charge(700, 80_000))]).unwrap();
    book.now = NOON.after(DAY - Duration::from_secs(1));
    book.take(&[&id(1)], 50_000).unwrap();
    assert_eq!(book.day_of(&ItemKey::tenant_day("default", "2026-05-28")), (100_000, 80_000));
    assert_eq!(book.day_of(&ItemKey::tenant_day("default", "2026-05-29")), (100_000, 0));
    assert_eq!(book.item().number("unfolded#2026-05-28"), 20_000);
    assert_eq!(book.item().number("unfolded#2026-05-29"), 100_000);
}

#[test]
fn a_limit_that_an_operator_sets_is_obeyed_and_one_that_is_none_refuses() {
    let mut book = Book::new();
    book.take(&[&id(0)], 10_000).unwrap();
    book.item_mut().set("limit_steps", Value::number(2));
    let account = book.take(&[&id(1)], 10_000).unwrap().account;
    assert_eq!((book.requests, account.limits.steps), (2, 2));
    assert_eq!(exhausted(book.take(&[&id(2)], 10_000)).max, 2);
    book.item_mut().set("limit_tokens", Value::text("many"));
    let refused = book.take(&[&id(2)], 10_000);
    assert!(matches!(refused, Err(ReserveError::Unusable(_))), "{refused:?}");
}

#[test]
fn a_session_is_its_first_tenants_and_users() {
    let mut book = Book::new();
    book.user = Some(UserMark::of(&Tenant::default(), "u-1"));
    book.take(&[&id(0)], 10_000).unwrap();
    for user in [None, Some(UserMark::of(&Tenant::default(), "u-2"))] {
        book.user = user;
        assert!(matches!(book.take(&[&id(1)], 10_000), Err(ReserveError::OtherUser)));
    }
    book.user = Some(UserMark::of(&Tenant::default(), "u-1"));
    book.tenant = Tenant::parse("globex").unwrap();
    assert!(matches!(book.take(&[&id(1)], 10_000), Err(ReserveError::OtherTenant)));
}

#[test]
fn a_session_that_was_idle_for_too_long_begins_anew() {
    let mut book = Book::new();
    book.take(&[&id(0)], 40_000).unwrap();
    book.now = NOON.after(DAY);
    let holds = book.take(&[&id(1)], 10_000).unwrap();
    assert_eq!((holds.account.steps, holds.expired_holds), (1, 0));
    assert_eq!(book.numbers(), [1, 10_000, 0, 100_000, 90_000]);
}

#[test]
fn a_session_does_not_end_before_a_hold_that_was_to_expire_later() {
    let mut book = Book::new();
    book.limits.idle_ttl = Duration::from_secs(1);
    book.take(&[&id(0)], 10_000).unwrap();
    let end = book.item().number("expires_at");
    assert_eq!(end, NOON.after(HOLD_LIFE).epoch_seconds());
    book.now = Timestamp(NOON.0 - 10_000);
    book.take(&[&id(1)], 10_000).unwrap();
    assert_eq!((book.item().number("expires_at"), book.requests), (end, 2));
}

#[test]
fn the_same_request_is_asked_as_often_as_it_may_be() {
    let mut book = Book::new();
    book.limits.max_repeats = Some(2);
    book.fingerprint = Some(Fingerprint::of(&book.specialist, "Where is it?"));
    book.take(&[&id(0)], 1_000).unwrap();
    book.take(&[&id(1)], 1_000).unwrap();
    let refused = book.take(&[&id(2)], 1_000);
    assert!(matches!(refused, Err(ReserveError::Repeated { times: 2, .. })), "{refused:?}");
    let mut book =
        Book { limits: SessionLimits { max_repeats: Some(1), ..book.limits }, ..Book::new() };
    book.fingerprint = Some(Fingerprint::of(&book.specialist, "Where is it?"));
    let together = book.take(&[&id(0), &id(1)], 1_000);
    assert!(matches!(together, Err(ReserveError::Repeated { times: 0, .. })), "{together:?}");
}

#[test]
fn a_request_is_not_made_more_often_at_once_than_it_may_be_in_all() {
    let mut book = Book::new();
    book.limits.max_repeats = Some(2);
    book.take(&[&id(0)], 1_000).unwrap();
    book.fingerprint = Some(Fingerprint::of(&book.specialist, "Where is it?"));
    let together = book.take(&[&id(1), &id(2), &id(3)], 1_000);
    assert!(matches!(together, Err(ReserveError::Repeated { times: 0, .. })), "{together:?}");
    assert_eq!(book.numbers()[0], 1, "none of them is taken");
    book.take(&[&id(1), &id(2)], 1_000).unwrap();
}

#[test]
fn a_retry_takes_tokens_and_money_and_no_step() {
    let mut book = Book::new();
    book.limits.max_steps = 1;
    book.take(&[&id(0)], 10_000).unwrap();
    let none = |_: usize, _: &Request| None;
    book.take_for(&[&id(1)], charge(1_000, 10_000), Purpose::Retry, none).unwrap();
    assert_eq!(book.numbers()[..2], [1, 20_000]);
    assert_eq!(book.item().number("turns#billing"), 1);
    let refused = book.take_for(&[&id(2)], charge(80_000, 0), Purpose::Retry, none);
    assert_eq!(exhausted(refused).limit, Limit::Tokens);
}

#[test]
fn a_session_that_others_write_all_the_time_is_given_up() {
    let mut book = Book::new();
    let contended = |_: usize, request: &Request| {
        matches!(request, Request::Transact(_)).then_some(Answer::Contended)
    };
    let ask = charge(1_000, 10_000);
    let reserved = book.take_for(&[&id(0)], ask, Purpose::Invocation, contended);
    assert!(matches!(reserved, Err(ReserveError::Unusable(_))), "{reserved:?}");
    assert_eq!(book.requests, 2 * reserving::ROUNDS as usize);
    book.rounds = 2;
    book.take_for(&[&id(0)], ask, Purpose::Invocation, contended).unwrap_err();
    assert_eq!(book.requests, 4);
}

#[test]
fn those_who_met_at_a_session_wait_before_they_begin_again() {
    let mut book = Book::new();
    let contended =
        |number: usize, _: &Request| matches!(number, 1 | 3).then_some(Answer::Contended);
    book.take_for(&[&id(0)], charge(1_000, 10_000), Purpose::Invocation, contended).unwrap();
    let wait = |round| Some(backoff(id(0).spread(), round));
    assert_eq!(book.pauses, [None, None, wait(0), wait(0), wait(1), wait(1)]);
}

#[test]
fn what_the_table_does_not_answer_is_told_apart_from_what_it_cannot_use() {
    let ask = charge(1_000, 10_000);
    let mut book = Book::new();
    let silent = |_: usize, _: &Request| Some(Answer::Unavailable("no answer".into()));
    let reserved = book.take_for(&[&id(0)], ask, Purpose::Invocation, silent);
    assert!(matches!(reserved, Err(ReserveError::Unavailable(_))));
    let odd = |_: usize, _: &Request| Some(Answer::Unusable("a string".into()));
    let reserved = book.take_for(&[&id(0)], ask, Purpose::Invocation, odd);
    assert!(matches!(reserved, Err(ReserveError::Unusable(_))));
}

#[test]
fn expired_holds_that_another_router_moves_keep_no_reservation_waiting() {
    let mut book = Book::new();
    book.take(&[&id(0)], 10_000).unwrap();
    book.now = NOON.after(HOLD_LIFE);
    let moved = |number: usize, _: &Request| {
        (number == 1).then_some(Answer::Refused { write: 0, item: None })
    };
    let ask = charge(1_000, 10_000);
    let holds = book.take_for(&[&id(1)], ask, Purpose::Invocation, moved).unwrap();
    assert_eq!((holds.expired_holds, book.requests), (0, 2));
}

#[test]
fn a_further_round_waits_longer_and_each_hold_in_its_own_way() {
    for round in 0..9 {
        let most = Duration::from_micros(5_000 << round.min(5));
        assert!(backoff(id(0).spread(), round) < most);
        assert!((0..64).any(|number| backoff(id(number).spread(), round) > most / 2), "{round}");
    }
    assert_ne!(backoff(id(0).spread(), 1), backoff(id(1).spread(), 1));
    assert_ne!(backoff(id(0).spread(), 1), backoff(id(0).spread(), 2));
}
