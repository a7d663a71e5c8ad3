use std::collections::BTreeMap;

use super::*;
use crate::scratchpad::Seen;
use crate::store::{Answer, Item, ItemKey, Next, Value, memory};

type Items = BTreeMap<ItemKey, Item>;

const OPENED: Timestamp = Timestamp(1_795_742_400_000);
const TTL: Duration = Duration::from_secs(86_400);
const WITHIN: Duration = Duration::from_secs(14_400);

fn session() -> RootSession {
    RootSession::parse("sessionId", "s").unwrap()
}

fn escalation() -> Escalation {
    let (session, task) = (session(), TaskMark::of_id("t1"));
    Escalation {
        ticket: Ticket::new(&session, &task, "r", OPENED),
        session,
        tenant: Tenant::default(),
        user: None,
        task,
        task_id: Some("t1".to_owned()),
        source: Source::Specialist(SpecialistName::parse("billing").unwrap()),
        reason: "above my limit".to_owned(),
        summary: "A refund of 900 EUR".to_owned(),
        tried: vec![(SpecialistName::parse("billing").unwrap(), Reason::Escalated)],
        pad_keys: vec!["order_facts".to_owned()],
        left: (9, 61_200, MicroUsd(310_000)),
        opened: OPENED,
        due: OPENED.after(WITHIN),
        idle_ttl: TTL,
    }
}

/// A table with the escalation, and the session that waits for it.
fn table() -> Items {
    let mut items = Items::new();
    let escalation = escalation();
    memory::apply(&mut items, &kept(&escalation, "router"));
    let waiting = Item::from([
        ("expires_at", Value::number(OPENED.after(TTL).epoch_seconds())),
        (&ticket_attribute(&escalation.task), Value::text(escalation.ticket.as_str())),
        (&due_attribute(&escalation.task), Value::number(escalation.due.0)),
    ]);
    items.insert(ItemKey::session(&session()), waiting);
    items
}

fn claim(by: &str) -> Action {
    Action::Claim { by: by.to_owned() }
}

fn answer(by: &str, text: &str) -> Action {
    Action::Answer { by: by.to_owned(), text: text.to_owned() }
}

fn at(minutes: u64) -> Timestamp {
    OPENED.after(Duration::from_secs(60 * minutes))
}

fn change(items: &mut Items, action: &Action, author: &str, now: Timestamp) -> End {
    let ticket = escalation().ticket;
    let change = Change { ticket: &ticket, action, author, now };
    let mut changing = Changing::begin(&change);
    loop {
        let answer = memory::apply(items, changing.request());
        changing = match changing.on(&change, answer) {
            Next::Send(changing) => changing,
            Next::Done(end) => return end,
        };
    }
}

type End = Result<Changed, NotChanged>;

fn refused(end: End) -> Refused {
    match end {
        Err(NotChanged::Refused(refused)) => refused,
        other => panic!("{other:?}"),
    }
}

fn state_in(items: &Items) -> State {
    let ticket = escalation().ticket;
    of_item(ticket.clone(), &items[&ItemKey::escalation(&ticket)]).unwrap().1
}

fn answered_pad(items: &Items, now: Timestamp) -> Option<String> {
    let key = ItemKey::pad(&session(), &answer_key(&escalation().ticket));
    Seen::of(items.get(&key)?, now).pad.map(|pad| pad.as_text())
}

#[test]
fn an_escalation_is_read_as_it_was_kept_and_kept_once() {
    let mut items = table();
    let (kept_one, ticket) = (escalation(), escalation().ticket);
    let read = of_item(ticket.clone(), &items[&ItemKey::escalation(&ticket)]);
    assert_eq!(read, Some((kept_one.clone(), State::Open)));
    let again = Escalation { reason: "another".to_owned(), ..kept_one };
    let answer = memory::apply(&mut items, &kept(&again, "other"));
    assert!(matches!(answer, Answer::Refused { .. }));
}

#[test]
fn of_two_people_who_claim_one_wins_and_the_other_is_told_by_whom() {
    let mut items = table();
    assert!(change(&mut items, &claim("ann"), "1", at(1)).unwrap().is_new);
    let lost = change(&mut items, &claim("bob"), "2", at(2));
    assert_eq!(refused(lost).to_string(), "`ann` has claimed it");
    let lost = change(&mut items, &answer("bob", "no"), "3", at(3));
    assert_eq!(refused(lost), Refused::ClaimedBy("ann".to_owned()));
    assert!(!change(&mut items, &claim("ann"), "4", at(4)).unwrap().is_new, "it is hers already");
}

#[test]
fn an_answer_reaches_its_session_and_frees_the_task() {
    let mut items = table();
    let changed = change(&mut items, &answer("ann", "Yes, pay it."), "1", at(60)).unwrap();
    assert!(changed.is_new && changed.is_delivered);
    assert_eq!(answered_pad(&items, at(60)), Some("Yes, pay it.".to_owned()));
    let session = &items[&ItemKey::session(&session())];
    assert!(!session.has(&ticket_attribute(&escalation().task)));
    assert!(!session.has(&due_attribute(&escalation().task)));
    assert!(session.has(&format!("{ANSWERED}{}", escalation().ticket)));
    assert_eq!(session.number("expires_at"), at(60).after(TTL).epoch_seconds());
    let twice = change(&mut items, &answer("ann", "Yes, pay it."), "2", at(61)).unwrap();
    assert!(!twice.is_new && twice.is_delivered);
    for (by, text) in [("ann", "No."), ("bob", "Yes, pay it.")] {
        let lost = change(&mut items, &answer(by, text), "3", at(62));
        assert_eq!(refused(lost), Refused::AnsweredBy("ann".to_owned()));
    }
}

#[test]
fn an_answer_that_comes_too_late_is_told_so_and_changes_nothing() {
    let mut items = table();
    change(&mut items, &claim("ann"), "1", at(1)).unwrap();
    assert_eq!(refused(change(&mut items, &Action::Expire, "2", at(239))), Refused::NotDue);
    let late = change(&mut items, &answer("ann", "Yes."), "3", at(240));
    assert_eq!(refused(late), Refused::Expired);
    assert!(change(&mut items, &Action::Expire, "4", at(240)).unwrap().is_delivered);
    assert!(!change(&mut items, &Action::Expire, "5", at(245)).unwrap().is_new);
    assert_eq!(refused(change(&mut items, &claim("bob"), "6", at(1))), Refused::Expired);
    assert_eq!(answered_pad(&items, at(240)), None);
    assert!(!items[&ItemKey::session(&session())].has(&ticket_attribute(&escalation().task)));
}

#[test]
fn an_answer_for_a_session_that_is_over_is_kept_and_delivered_to_none() {
    let ends = [
        Item::from([("expires_at", Value::number(at(1).epoch_seconds()))]),
        Item::default(),
        Item::from([("expires_at", Value::number(at(9_999).epoch_seconds()))]),
    ];
    for end in ends {
        let mut items = table();
        items.insert(ItemKey::session(&session()), end.clone());
        let changed = change(&mut items, &answer("ann", "Yes."), "1", at(2)).unwrap();
        assert!(changed.is_new && !changed.is_delivered);
        assert_eq!(state_in(&items), changed.state);
        assert_eq!(answered_pad(&items, at(2)), None);
        assert_eq!(items[&ItemKey::session(&session())], end, "another begins in its place");
    }
}

#[test]
fn what_is_no_escalation_is_unknown() {
    let mut items = Items::new();
    let unknown = change(&mut items, &claim("ann"), "1", at(1)).unwrap_err();
    assert_eq!(unknown.to_string(), "there is no such ticket");
}

/// One who changes the escalation, and may be killed or told nothing at any request.
#[derive(Clone)]
struct Actor {
    action: Action,
    author: &'static str,
    now: Timestamp,
    /// How often it is begun again after it was killed.
    deliveries_left: u32,
    changing: Option<Changing>,
    ended: Option<bool>,
}

impl Actor {
    fn new(action: Action, author: &'static str, now: Timestamp) -> Self {
        Self { action, author, now, deliveries_left: 1, changing: None, ended: None }
    }

    /// Makes the next request; `is_heard`: its answer arrives.
    fn step(&mut self, items: &mut Items, is_heard: bool) {
        let ticket = escalation().ticket;
        let (action, author, now) = (&self.action, self.author, self.now);
        let change = Change { ticket: &ticket, action, author, now };
        let changing = self.changing.take().unwrap_or_else(|| Changing::begin(&change));
        let answer = memory::apply(items, changing.request());
        if !is_heard {
            // Killed with the request on its way: it is delivered once more, or never.
            match self.deliveries_left.checked_sub(1) {
                Some(left) => self.deliveries_left = left,
                None => self.ended = Some(false),
            }
            return;
        }
        match changing.on(&change, answer) {
            Next::Send(changing) => self.changing = Some(changing),
            Next::Done(end) => self.ended = Some(end.is_ok()),
        }
    }
}

/// Goes through every order of the actors' requests, with and without their answers.
fn explore(items: &Items, actors: &[Actor], seen: &mut u64) {
    check(items);
    *seen += 1;
    let going = (0..actors.len()).filter(|place| actors[*place].ended.is_none());
    for place in going {
        for is_heard in [true, false] {
            let (mut items, mut actors) = (items.clone(), actors.to_vec());
            actors[place].step(&mut items, is_heard);
            explore(&items, &actors, seen);
        }
    }
}

/// What holds at every moment.
fn check(items: &Items) {
    let state = state_in(items);
    let session = &items[&ItemKey::session(&session())];
    let is_waiting = session.has(&ticket_attribute(&escalation().task));
    let is_told = session.has(&format!("{ANSWERED}{}", escalation().ticket));
    let pad = answered_pad(items, at(1));
    match &state {
        State::Open | State::Claimed { .. } => assert!(is_waiting && !is_told && pad.is_none()),
        State::Answered { text, .. } => {
            assert!(!is_waiting && is_told);
            assert_eq!(pad.as_ref(), Some(text), "the answer that counts is the one to be read");
        }
        State::Expired => assert!(!is_waiting && !is_told && pad.is_none()),
    }
}

#[test]
fn no_order_of_requests_crashes_and_repeated_deliveries_leaves_half_an_answer() {
    let pairs = [
        [claim("ann"), claim("bob")],
        [answer("ann", "Yes."), answer("bob", "No.")],
        [claim("ann"), answer("bob", "No.")],
    ];
    let mut seen = 0;
    for [one, two] in pairs {
        let actors = [Actor::new(one, "1", at(1)), Actor::new(two, "2", at(1))];
        explore(&table(), &actors, &mut seen);
    }
    // By the desk's clock the time is over, by the person's it is not.
    let late =
        [Actor::new(answer("ann", "Yes."), "1", at(239)), Actor::new(Action::Expire, "2", at(240))];
    explore(&table(), &late, &mut seen);
    assert!(seen > 10_000, "{seen} states were seen");
}
