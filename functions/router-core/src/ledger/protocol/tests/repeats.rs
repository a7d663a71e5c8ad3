//! Answers that are given again.

use super::*;
use crate::ledger::{Recalled, Repeat, kept_answer, recalled};

const WINDOW: Duration = Duration::from_secs(60);

fn with_repeat<T>(book: &Book, identity: &str, look: impl FnOnce(&Repeat<'_>) -> T) -> T {
    let fingerprint = Fingerprint::of(&book.specialist, "Where is it?");
    let (payer, specialist, now) = (book.payer(), &book.specialist, book.now);
    look(&Repeat { payer, specialist, fingerprint: &fingerprint, identity, now })
}

/// A user's session, whose specialist has had one of its two turns, and the answer that is kept.
fn answered() -> (Book, Item) {
    let mut book = Book::new();
    book.limits.max_turns_per_specialist = 2;
    book.user = Some(UserMark::of(&Tenant::default(), "u-1"));
    book.take(&[&id(0)], 10_000).unwrap();
    let kept = with_repeat(&book, "u-1", |repeat| kept_answer(repeat, 0, "there", WINDOW));
    (book, kept.unwrap())
}

fn again(book: &Book, kept: &Item, identity: &str) -> Option<Recalled> {
    with_repeat(book, identity, |repeat| recalled(kept, book.item().clone(), repeat))
}

#[test]
fn an_answer_is_given_again_with_the_account_as_it_is() {
    let (mut book, kept) = answered();
    book.item_mut().set("limit_steps", Value::number(3));
    book.now = Timestamp(NOON.after(WINDOW).0 - 1);
    let Recalled { answer, account, .. } = again(&book, &kept, "u-1").unwrap();
    assert_eq!((answer.as_str(), account.steps, account.limits.steps), ("there", 1, 3));
    assert_eq!(account.limits.tokens, book.limits.max_tokens);
    assert_eq!(kept.number("expires_at"), NOON.after(WINDOW).epoch_seconds());
}

#[test]
fn an_answer_is_not_given_again_where_one_thing_is_not_as_it_was() {
    type Change = fn(&mut Book);
    let changes: [(&str, Change); 5] = [
        ("the window is over", |book| book.now = NOON.after(WINDOW)),
        ("another tenant's", |book| book.tenant = Tenant::parse("globex").unwrap()),
        ("no user's", |book| book.user = None),
        ("the specialist's next session", |book| drop(book.take(&[&id(1)], 10_000).unwrap())),
        ("a session that is over", |book| {
            book.item_mut().set("expires_at", Value::number(NOON.0 / 1_000));
        }),
    ];
    for (why, change) in changes {
        let (mut book, kept) = answered();
        change(&mut book);
        assert_eq!(again(&book, &kept, "u-1"), None, "{why}");
    }
    let (book, kept) = answered();
    assert_eq!(again(&book, &kept, "u-2"), None);
}

#[test]
fn an_answer_that_an_item_may_not_have_room_for_is_not_kept() {
    let (book, _) = answered();
    for (bytes, is_kept) in [(300_000, true), (300_001, false)] {
        let answer = "x".repeat(bytes);
        let kept = with_repeat(&book, "u-1", |repeat| kept_answer(repeat, 0, &answer, WINDOW));
        assert_eq!(kept.is_some(), is_kept, "{bytes}");
    }
}
