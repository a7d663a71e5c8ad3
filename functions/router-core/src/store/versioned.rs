//! A change of an item that several processes may change at once: compare and swap.
//!
//! The item has the number of its version, `stamp`, and the author of it, `written_by`. A change is
//! made on the version that it was decided on, so of two at once one is made and the other one is
//! shown the item. By the author, a process that repeats a change because its answer was lost
//! sees that the version in the item is its own: an author makes one change of a version.

use super::{Answer, Comparison, Item, ItemKey, Update, Value};

const STAMP: &str = "stamp";
const AUTHOR: &str = "written_by";

/// The version that a change is made on, and who makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version<'a> {
    /// The number of the version; zero for an item that is not there, or that only an operator has
    /// written.
    pub seen: u64,
    /// Who makes the change; no other change of this version has the same author.
    pub author: &'a str,
}

/// What came of a change.
#[derive(Debug, PartialEq, Eq)]
pub enum Written {
    /// It was made.
    Stored,
    /// Another one was made before it, which left the item like this.
    Overtaken(Item),
}

impl Version<'_> {
    /// The version that an item is.
    pub fn of(item: &Item) -> u64 {
        item.number(STAMP)
    }

    /// A change of the item to the next version; what else it changes is to be added.
    pub fn update(&self, key: ItemKey) -> Update {
        let mut update = Update::of(key);
        match self.seen {
            0 => update.require_absent(STAMP),
            seen => update.compare(STAMP, Comparison::Equal, Value::number(seen)),
        }
        update.set(STAMP, Value::number(self.seen + 1));
        update.set(AUTHOR, Value::text(self.author));
        update
    }

    /// Whether a version is the one that this change makes: an earlier try's, whose answer was lost.
    pub fn was_made(&self, stamp: u64, author: &str) -> bool {
        author == self.author && stamp == self.seen + 1
    }

    /// What came of the change, by the answer to it.
    ///
    /// # Errors
    ///
    /// The answer, when it does not say whether the change was made.
    pub fn outcome(&self, answer: Answer) -> Result<Written, Answer> {
        match answer {
            Answer::Done(_) => Ok(Written::Stored),
            Answer::Refused { item, .. } => {
                let item = item.unwrap_or_default();
                let author = item.text(AUTHOR).unwrap_or_default();
                Ok(match self.was_made(Self::of(&item), author) {
                    true => Written::Stored,
                    false => Written::Overtaken(item),
                })
            }
            answer => Err(answer),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::store::{Request, memory};

    #[test]
    fn of_two_changes_of_one_version_one_is_made_and_the_next_is_made_on_that() {
        let mut items = BTreeMap::new();
        for (seen, author, found) in [
            (0, "a", None),
            (0, "b", Some((1, "a"))),
            (0, "a", None),
            (1, "b", None),
            (1, "a", Some((2, "b"))),
            (3, "a", Some((2, "b"))),
            (2, "a", None),
        ] {
            let version = Version { seen, author };
            let request = Request::Update(version.update(ItemKey::policy()));
            let written = version.outcome(memory::apply(&mut items, &request)).unwrap();
            let expected = found.map_or(Written::Stored, |(stamp, author)| {
                Written::Overtaken(Item::from([
                    (STAMP, Value::number(stamp)),
                    (AUTHOR, Value::text(author)),
                ]))
            });
            assert_eq!(written, expected, "{author} on {seen}");
        }
    }

    fn refused_by(stamp: u64, author: &str) -> Answer {
        let item = Item::from([(STAMP, Value::number(stamp)), (AUTHOR, Value::text(author))]);
        Answer::Refused { write: 0, item: Some(item) }
    }

    #[test]
    fn a_change_whose_answer_was_lost_is_recognised_by_its_author_and_version() {
        let version = Version { seen: 3, author: "a" };
        assert_eq!(version.outcome(refused_by(4, "a")).unwrap(), Written::Stored);
        for (stamp, author) in [(4, "b"), (5, "a"), (3, "a")] {
            let outcome = version.outcome(refused_by(stamp, author)).unwrap();
            assert!(matches!(outcome, Written::Overtaken(_)), "{stamp} {author}");
        }
    }

    #[test]
    fn an_item_that_is_gone_is_shown_as_one_without_attributes() {
        let outcome = Version { seen: 3, author: "a" }
            .outcome(Answer::Refused { write: 0, item: None })
            .unwrap();
        assert_eq!(outcome, Written::Overtaken(Item::default()));
    }

    #[test]
    fn a_table_that_does_not_answer_leaves_open_whether_the_change_was_made() {
        let version = Version { seen: 0, author: "a" };
        assert!(version.outcome(Answer::Unavailable("no answer".into())).is_err());
    }
}
