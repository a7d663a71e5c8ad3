//! What a session's item says: its attributes, limits, lanes and repetitions.

use super::*;
use crate::ids::Lane;
use crate::ledger::session::hold_attribute;
use crate::ledger::{Counted, Limits};

fn take_one(book: &mut Book, number: usize, purpose: Purpose) -> Result<Holds, ReserveError> {
    book.take_for(&[&id(number)], charge(1_000, 10_000), purpose, |_, _| None)
}

fn settlement<'a>(id: &'a HoldId, specialist: &'a SpecialistName) -> Settlement<'a> {
    let (held, used) = (charge(1_000, 10_000), charge(300, 4_000));
    Settlement {
        id,
        specialist,
        held,
        counted: Counted::default(),
        used,
        stale: &[],
        told: &[],
        left: None,
    }
}

/// Settles in one write, which the table does at once.
fn settle(book: &mut Book, settlements: &[Settlement<'_>]) {
    let settling = Settling::begin(&book.payer(), settlements).unwrap();
    let answer = memory::apply(&mut book.items, settling.request());
    assert!(matches!(answer, Answer::Done(_)), "{answer:?}");
}

#[test]
fn the_attributes_have_the_names_that_the_table_has_them_under() {
    let mut book = Book::new();
    book.user = Some(UserMark::of(&Tenant::default(), "u-1"));
    book.limits.max_repeats = Some(9);
    let fingerprint = Fingerprint::of(&book.specialist, "Where is it?");
    book.fingerprint = Some(fingerprint.clone());
    // The first begins the session, and the second finds it.
    for number in [0, 1] {
        take_one(&mut book, number, Purpose::Invocation).unwrap();
        let steps = number as u64 + 1;
        for (name, value) in [
            ("steps".to_owned(), steps),
            ("committed_tokens".to_owned(), 1_000 * steps),
            ("turns#billing".to_owned(), steps),
            (format!("seen#{}", fingerprint.as_str()), steps),
            (format!("asked_at#{}", fingerprint.as_str()), number as u64),
            ("unfolded#2026-05-28".to_owned(), 100_000),
        ] {
            assert_eq!(book.item().number(&name), value, "{name}");
        }
        let hold = book.item().map(&format!("hold#{}", id(number).as_str())).unwrap();
        assert_eq!(hold.text("specialist"), Some("billing"));
        let numbers = ["tokens", "micro_usd", "expires_at_ms"].map(|name| hold.number(name));
        assert_eq!(numbers, [1_000, 10_000, NOON.after(HOLD_LIFE).0]);
    }
    assert_eq!(book.item().text("tenant"), Some("default"));
    assert_eq!(book.item().text("user"), book.user.as_ref().map(UserMark::as_str));

    let (id, specialist) = (id(0), book.specialist.clone());
    let left = Some(Lane::default());
    let stale = &[fingerprint];
    settle(&mut book, &[Settlement { stale, left, ..settlement(&id, &specialist) }]);
    for (name, value) in
        [("tokens#billing", 300), ("micro_usd#billing", 4_000), ("times_left#billing", 1)]
    {
        assert_eq!(book.item().number(name), value, "{name}");
    }
    let recent = format!("recent_{}", id.place());
    assert_eq!(book.item().text(&recent), Some(id.as_str()));
    let gone = ["hold#r/0/0", "seen#", "asked_at#"];
    assert_eq!(gone.map(|name| book.item().beginning(name).count()), [0; 3], "{:?}", book.item());
}

#[test]
fn each_limit_that_an_operator_sets_goes_before_the_policys_while_it_is_there() {
    for (name, limit, enough) in [
        ("limit_steps", Limit::Steps, 2),
        ("limit_handoffs", Limit::Handoffs, 1),
        ("limit_tokens", Limit::Tokens, 2_000),
        ("limit_micro_usd", Limit::Cost, 20_000),
    ] {
        let mut book = Book::new();
        take_one(&mut book, 0, Purpose::Invocation).unwrap();
        book.item_mut().set(name, Value::number(enough - 1));
        let refused = exhausted(take_one(&mut book, 1, Purpose::Handoff));
        assert_eq!((refused.limit, refused.max), (limit, enough - 1));
        book.item_mut().set(name, Value::number(enough));
        let Limits { steps, handoffs, tokens, cost } =
            take_one(&mut book, 1, Purpose::Handoff).unwrap().account.limits;
        let policys = Limits::from(&book.limits);
        let (in_force, of_policy) = match limit {
            Limit::Steps => (steps, policys.steps),
            Limit::Handoffs => (handoffs, policys.handoffs),
            Limit::Tokens => (tokens.0, policys.tokens.0),
            _ => (cost.0, policys.cost.0),
        };
        assert_eq!(in_force, enough);
        assert_ne!(in_force, of_policy);
        book.item_mut().0.remove(name);
        let account = take_one(&mut book, 2, Purpose::Handoff).unwrap().account;
        assert_eq!(account.limits, policys, "the policy's holds again");
        for none in [Value::Number(-1), Value::text("7"), Value::Other] {
            book.item_mut().set(name, none);
            let refused = take_one(&mut book, 3, Purpose::Handoff);
            let Err(ReserveError::Unusable(cause)) = refused else { panic!("{refused:?}") };
            assert!(cause.to_string().contains(name), "{cause}");
        }
    }
}

#[test]
fn a_limit_that_is_passed_already_refuses_what_needs_more_of_it_and_nothing_else() {
    let mut book = Book::new();
    for number in [0, 1] {
        take_one(&mut book, number, Purpose::Invocation).unwrap();
    }
    book.item_mut().set("limit_steps", Value::number(1));
    assert_eq!(exhausted(take_one(&mut book, 2, Purpose::Invocation)).limit, Limit::Steps);
    take_one(&mut book, 2, Purpose::Retry).unwrap();
}

#[test]
fn a_session_that_an_operator_set_up_by_hand_is_begun_as_it_is() {
    let mut book = Book::new();
    let by_hand = Item::from([("limit_steps", Value::number(3))]);
    book.items.insert(ItemKey::session(&book.session), by_hand);
    // All of a block is needed at once, which leaves no room.
    let holds = book.take(&[&id(0)], 100_000).unwrap();
    assert_eq!((holds.account.steps, holds.account.limits.steps), (1, 3));
    assert_eq!(book.numbers(), [1, 100_000, 0, 100_000, 0]);
    book.now = NOON.after(DAY - Duration::from_secs(1));
    assert_eq!(book.take(&[&id(1)], 1).unwrap().account.limits.steps, 3, "it is not over yet");
}

#[test]
fn what_overlaps_has_a_lane_of_its_own_and_what_follows_goes_on_in_the_first() {
    let mut book = Book::new();
    let numbers =
        |holds: Holds| -> Vec<u64> { holds.lanes.into_iter().map(|lane| lane.number).collect() };
    let first = book.take(&[&id(0), &id(1)], 1_000).unwrap();
    assert_eq!(numbers(first), [0, 2]);
    assert_eq!(numbers(book.take(&[&id(2), &id(3)], 1_000).unwrap()), [3, 4]);
    let billing = std::mem::replace(&mut book.specialist, SpecialistName::parse("orders").unwrap());
    assert_eq!(numbers(book.take(&[&id(4)], 1_000).unwrap()), [0], "another specialist's");
    book.specialist = billing;
    // All of those have expired, and another router is charging them.
    book.now = NOON.after(HOLD_LIFE);
    let moved = |number: usize, _: &Request| {
        (number == 1).then_some(Answer::Refused { write: 0, item: None })
    };
    let ask = charge(1_000, 1_000);
    let alone = book.take_for(&[&id(5)], ask, Purpose::Invocation, moved).unwrap();
    assert_eq!(numbers(alone), [0]);
}

#[test]
fn a_hold_without_a_step_of_its_own_leads_to_a_lane_that_no_step_leads_to() {
    let mut book = Book::new();
    take_one(&mut book, 0, Purpose::Invocation).unwrap();
    let ids: Vec<HoldId> = (0..8).map(|run| HoldId::new(&format!("run-{run}"), 0, 1)).collect();
    assert!(ids.iter().any(|id| id.spread() >> 63 == 1), "of both kinds");
    assert!(ids.iter().any(|id| id.spread() >> 63 == 0), "of both kinds");
    let mut take = |id: &HoldId| {
        let ask = charge(1_000, 10_000);
        book.take_for(&[id], ask, Purpose::Retry, |_, _| None).unwrap().lanes[0].number
    };
    let lanes: Vec<u64> = ids.iter().map(&mut take).collect();
    for (place, lane) in lanes.iter().enumerate() {
        assert!(lane >> 63 == 1 && !lanes[..place].contains(lane), "{lane:x}");
    }
    assert_eq!(take(&ids[7]), lanes[7], "it is found where it was taken");
}

#[test]
fn a_lane_that_was_left_is_not_used_again() {
    let mut book = Book::new();
    let specialist = book.specialist.clone();
    for times_left in 0..3 {
        let id = id(times_left);
        let lane = book.take(&[&id], 10_000).unwrap().lanes[0];
        assert_eq!(lane.number, Lane::home(times_left as u64));
        settle(&mut book, &[Settlement { left: Some(lane), ..settlement(&id, &specialist) }]);
    }
    // Of two that were left at once, the one that was left last counts.
    let ids = [id(3), id(4)];
    book.take(&[&ids[0], &ids[1]], 10_000).unwrap();
    let of_home = |times_left| Some(Lane { generation: 0, number: Lane::home(times_left) });
    let both = [(&ids[0], of_home(3)), (&ids[1], of_home(2))];
    settle(&mut book, &both.map(|(id, left)| Settlement { left, ..settlement(id, &specialist) }));
    assert_eq!(book.take(&[&id(5)], 10_000).unwrap().lanes[0].number, Lane::home(4));
}

#[test]
fn a_specialists_session_is_replaced_after_its_turns() {
    let mut book = Book::new();
    book.limits.max_turns_per_specialist = 2;
    let mut generations = |numbers: &[usize]| -> Vec<u64> {
        let ids: Vec<HoldId> = numbers.iter().map(|number| id(*number)).collect();
        let holds = book.take(&ids.iter().collect::<Vec<_>>(), 1_000).unwrap();
        holds.lanes.into_iter().map(|lane| lane.generation).collect()
    };
    assert_eq!(generations(&[0]), [0]);
    assert_eq!(generations(&[1, 2, 3, 4]), [0, 1, 1, 2]);
    assert_eq!(generations(&[5]), [2]);
    assert_eq!(generations(&[6]), [3]);
}

#[test]
fn of_many_requests_those_that_were_asked_longest_ago_are_not_counted_any_more() {
    let mut book = Book::new();
    book.limits.max_repeats = Some(2);
    (book.limits.max_steps, book.limits.max_cost) = (100, MicroUsd(10_000_000));
    let requests: Vec<Fingerprint> = (0..18)
        .map(|number| Fingerprint::of(&book.specialist, &format!("request {number}")))
        .collect();
    let mut stale_after = |step: usize, request: usize| {
        book.fingerprint = Some(requests[request].clone());
        book.take(&[&id(step)], 100).unwrap().stale
    };
    for number in 0..15 {
        assert_eq!(stale_after(number, number), []);
    }
    assert_eq!(stale_after(15, 0), [], "the first one is asked again");
    assert_eq!(stale_after(16, 15), [], "sixteen are counted");
    assert_eq!(stale_after(17, 16), requests[1..2]);
    assert_eq!(stale_after(18, 17), requests[1..3]);
}

#[test]
fn a_dead_invocation_is_charged_its_tokens_too() {
    let mut book = Book::new();
    book.take(&[&id(0), &id(1)], 10_000).unwrap();
    book.now = NOON.after(HOLD_LIFE);
    let account = book.take(&[&id(2)], 10_000).unwrap().account;
    assert_eq!((account.spent, account.committed), (charge(2_000, 20_000), charge(3_000, 30_000)));
    assert_eq!(book.item().number("tokens#billing"), 2_000);
}

#[test]
fn a_settlement_that_met_others_is_sent_again_and_one_without_an_answer_is_given_up() {
    let mut book = Book::new();
    book.take(&[&id(0), &id(1)], 10_000).unwrap();
    let (ids, specialist) = ([id(0), id(1)], book.specialist.clone());
    let settlements = [&ids[0], &ids[1]].map(|id| settlement(id, &specialist));
    let begin = || Settling::begin(&book.payer(), &settlements).unwrap();
    let on = |answer| begin().on(&book.payer(), &settlements, answer);
    let Next::Send(again) = on(Answer::Contended) else { panic!("given up") };
    assert_eq!(again.request(), begin().request());
    assert_eq!((begin().pause(), again.pause()), (None, Some(backoff(ids[0].spread(), 1))));
    for answer in [Answer::Unavailable("silent".into()), Answer::Unusable("odd".into())] {
        assert!(matches!(on(answer), Next::Done(Err(_))));
    }
    // Refused for nothing, and not for a hold that is gone.
    let answer = Answer::Refused { write: 0, item: Some(book.item().clone()) };
    assert!(matches!(on(answer), Next::Done(Err(_))));
    // Once one of them is known to be gone, it stays out.
    let mut without_first = book.item().clone();
    without_first.0.remove(&hold_attribute(&ids[0]));
    let answer = Answer::Refused { write: 0, item: Some(without_first) };
    let Next::Send(rest) = on(answer) else { panic!("given up") };
    let answer = Answer::Refused { write: 0, item: Some(book.item().clone()) };
    let next = rest.on(&book.payer(), &settlements, answer);
    assert!(matches!(next, Next::Done(Err(_))), "{next:?}");
    assert!(matches!(on(Answer::Refused { write: 0, item: None }), Next::Done(Ok(()))));
}
