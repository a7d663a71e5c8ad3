//! Money from the days: what is drawn, and which day what is spent belongs to.

use super::*;

/// The tenant's day that many days after the first one.
fn tenant_day(days: usize) -> ItemKey {
    ItemKey::tenant_day("default", ["2026-05-28", "2026-05-29", "2026-05-30"][days])
}

fn spend(book: &mut Book, number: usize, micro_usd: u64) {
    let used = charge(100, micro_usd);
    book.settle(&[(&id(number), charge(1_000, micro_usd), used)]).unwrap();
}

#[test]
fn a_hold_that_costs_nothing_needs_no_money_even_after_an_overrun() {
    let mut book = Book::new();
    book.take(&[&id(0)], 10_000).unwrap();
    book.item_mut().set("tenant_room_micro_usd", Value::Number(-5));
    book.take(&[&id(1)], 0).unwrap();
    assert_eq!(book.requests, 1);
    book.take(&[&id(2)], 10_000).unwrap();
    assert_eq!(book.numbers()[3..], [200_000, 90_000 - 5], "the overrun is made up for first");
}

#[test]
fn more_than_a_block_is_drawn_where_more_is_needed() {
    let mut book = Book::new();
    book.take(&[&id(0)], 150_000).unwrap();
    assert_eq!(book.numbers()[3..], [150_000, 0]);
    book.take(&[&id(1)], 20_000).unwrap();
    book.take(&[&id(2)], 200_000).unwrap();
    assert_eq!(book.numbers()[3..], [370_000, 0]);
}

#[test]
fn a_day_that_has_less_left_than_is_needed_is_asked_once() {
    let mut book = Book::new();
    book.day.max_cost = MicroUsd(110_000);
    book.take(&[&id(0)], 100_000).unwrap();
    for (micro_usd, left) in [(10_001, 100_000), (10_000, 110_000)] {
        let drawn = book.take(&[&id(1)], micro_usd);
        assert_eq!(drawn.is_ok(), micro_usd == 10_000);
        assert_eq!(book.day_of(&tenant_day(0)).0, left);
        // One finds no money, and one that the day has no block left.
        assert_eq!(book.requests, if drawn.is_ok() { 4 } else { 2 });
    }
}

#[test]
fn room_that_another_request_has_taken_meanwhile_is_not_counted_on() {
    let mut book = Book::new();
    book.take(&[&id(0)], 50_000).unwrap();
    let mut overtaken = book.items.clone();
    let session = ItemKey::session(&book.session);
    overtaken.get_mut(&session).unwrap().set("tenant_room_micro_usd", Value::number(19_999));
    // 120,000 are needed: 50,000 are there, and a block brings 100,000.
    let meanwhile = |number: usize, request: &Request| {
        (number == 1).then(|| memory::apply(&mut overtaken.clone(), request))
    };
    book.take_for(&[&id(1)], charge(1_000, 120_000), Purpose::Invocation, meanwhile).unwrap();
    assert_eq!(book.requests, 5, "it is begun again");
    assert_eq!(book.numbers()[3..], [200_000, 30_000]);
}

#[test]
fn what_is_spent_belongs_to_the_first_day_that_it_was_drawn_from() {
    let mut book = Book::new();
    // Drawn: 100,000 on each of three days. Spent: 60,000 and 90,000 after the second draw.
    book.take(&[&id(0)], 60_000).unwrap();
    book.now = NOON.after(DAY - Duration::from_secs(1));
    book.take(&[&id(1)], 90_000).unwrap();
    spend(&mut book, 0, 60_000);
    spend(&mut book, 1, 90_000);
    book.now = book.now.after(DAY - Duration::from_secs(1));
    book.take(&[&id(2)], 80_000).unwrap();
    let of_days = [0, 1, 2].map(|days| book.day_of(&tenant_day(days)));
    assert_eq!(of_days, [(100_000, 100_000), (100_000, 50_000), (100_000, 0)]);
    assert!(!book.item().has("unfolded#2026-05-28"), "all of it is spent");
    let unfolded = ["unfolded#2026-05-29", "unfolded#2026-05-30"];
    assert_eq!(unfolded.map(|name| book.item().number(name)), [50_000, 100_000]);
    assert_eq!(book.item().number("folded_micro_usd"), 150_000);
}

#[test]
fn a_day_of_which_nothing_was_spent_is_left_alone() {
    let mut book = Book::new();
    book.take(&[&id(0)], 60_000).unwrap();
    book.item_mut().set("unfolded#2026-05-01", Value::number(0));
    book.item_mut().set("unfolded#2026-05-02", Value::number(70_000));
    // What another request has changed meanwhile of the one does not matter to this.
    let mut changed = book.items.clone();
    let session = ItemKey::session(&book.session);
    changed.get_mut(&session).unwrap().set("unfolded#2026-05-02", Value::number(80_000));
    let meanwhile = |number: usize, request: &Request| {
        (number == 1).then(|| memory::apply(&mut changed.clone(), request))
    };
    let ask = charge(1_000, 60_000);
    book.take_for(&[&id(1)], ask, Purpose::Invocation, meanwhile).unwrap();
    assert_eq!(book.requests, 3);
    book.take(&[&id(2)], 60_000).unwrap();
    assert!(!book.item().has("unfolded#2026-05-01"), "there is nothing left to spend of it");
    assert_eq!(book.item().number("unfolded#2026-05-02"), 70_000);
    for date in ["2026-05-01", "2026-05-02"] {
        assert!(!book.items.contains_key(&ItemKey::tenant_day("default", date)), "{date}");
    }
}

#[test]
fn a_specialist_that_spent_nothing_since_is_not_written_again() {
    let mut book = Book::new();
    let day = |book: &Book| ItemKey::specialist_day(&book.specialist, "2026-05-28");
    let billing = day(&book);
    book.take(&[&id(0)], 100_000).unwrap();
    spend(&mut book, 0, 100_000);
    book.specialist = SpecialistName::parse("orders").unwrap();
    book.take(&[&id(1)], 100_000).unwrap();
    spend(&mut book, 1, 100_000);
    let folded = book.items.remove(&billing).unwrap();
    assert_eq!((folded.number("spent_tokens"), folded.number("spent_micro_usd")), (100, 100_000));
    book.take(&[&id(2)], 100_000).unwrap();
    assert!(!book.items.contains_key(&billing));
    assert_eq!(book.day_of(&day(&book)).1, 100_000);
    assert_eq!(book.item().number("unfolded#2026-05-28"), 300_000 - 200_000);
    assert_eq!(book.item().number("folded_tokens#orders"), 100);
    assert_eq!(book.item().number("folded_micro_usd#orders"), 100_000);
}

#[test]
fn a_session_folds_what_it_has_spent_once_for_each_of_its_versions() {
    let mut book = Book::new();
    book.take(&[&id(0)], 100_000).unwrap();
    let folds = book.item().number("folds");
    assert_eq!(folds, NOON.0, "another session of this name cannot have it");
    book.take(&[&id(1)], 100_000).unwrap();
    assert_eq!(book.item().number("folds"), folds + 1);
    // One that was set up by hand has none yet.
    book.item_mut().0.remove("folds");
    book.take(&[&id(2)], 100_000).unwrap();
    assert_eq!((book.item().number("folds"), book.requests), (1, 3));
}
