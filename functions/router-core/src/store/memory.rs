//! What a database does with a request, in memory: conditions and changes taken literally. It knows
//! nothing of budgets. The tests and the model check run on it; a test holds it to real databases.

use std::collections::BTreeMap;

use super::{Answer, Change, Comparison, Condition, Item, ItemKey, Request, Update, Value, Write};

/// Some items.
pub trait Items {
    /// The item with this key.
    fn get(&self, key: &ItemKey) -> Option<&Item>;
    /// Writes the item in the place of any that is there.
    fn put(&mut self, key: &ItemKey, item: Item);
}

impl Items for BTreeMap<ItemKey, Item> {
    fn get(&self, key: &ItemKey) -> Option<&Item> {
        self.get(key)
    }

    fn put(&mut self, key: &ItemKey, item: Item) {
        self.insert(key.clone(), item);
    }
}

/// Does what is asked, as one step.
pub fn apply(items: &mut impl Items, request: &Request) -> Answer {
    match request {
        Request::Read(key) => Answer::Done(items.get(key).cloned()),
        Request::Update(update) => match changed(items, update) {
            Ok(item) => {
                items.put(&update.key, item.clone());
                Answer::Done(Some(item))
            }
            Err(refusal) => refusal,
        },
        Request::Transact(writes) => {
            let mut done = Vec::new();
            for (place, write) in writes.iter().enumerate() {
                match written(items, write) {
                    Ok(item) => done.push(item),
                    Err(Answer::Refused { item, .. }) => {
                        return Answer::Refused { write: place, item };
                    }
                    Err(answer) => return answer,
                }
            }
            for (key, item) in done {
                items.put(key, item);
            }
            Answer::Done(None)
        }
    }
}

fn written<'w>(items: &impl Items, write: &'w Write) -> Result<(&'w ItemKey, Item), Answer> {
    match write {
        Write::Update(update) => Ok((&update.key, changed(items, update)?)),
        Write::Put(put) => {
            check(items.get(&put.key), &put.conditions)?;
            Ok((&put.key, put.item.clone()))
        }
    }
}

fn changed(items: &impl Items, update: &Update) -> Result<Item, Answer> {
    let found = items.get(&update.key);
    check(found, &update.conditions)?;
    let before = found.cloned().unwrap_or_default();
    let mut after = before.clone();
    for change in &update.changes {
        match change {
            Change::Set(name, value) => after.set(name, value.clone()),
            Change::SetIfAbsent(name, value) => {
                after.set(name, before.get(name).unwrap_or(value).clone());
            }
            Change::Add(name, amount) => match before.get(name) {
                None => after.set(name, Value::Number(*amount)),
                Some(Value::Number(number)) => after.set(name, Value::Number(number + amount)),
                Some(_) => return Err(Answer::Unusable("no number can be added to it".into())),
            },
            Change::Copy { from, to } => {
                after.set(to, before.get(from).cloned().unwrap_or(Value::Number(0)));
            }
            Change::Remove(name) => drop(after.0.remove(name)),
        }
    }
    Ok(after)
}

fn check(found: Option<&Item>, conditions: &[Condition]) -> Result<(), Answer> {
    match conditions.iter().all(|condition| holds(found, condition)) {
        true => Ok(()),
        false => Err(Answer::Refused { write: 0, item: found.cloned() }),
    }
}

fn holds(found: Option<&Item>, condition: &Condition) -> bool {
    // The key is in every item that is there.
    let is_there = |name: &str| found.is_some_and(|item| name == "pk" || item.has(name));
    match condition {
        Condition::Exists(name) => is_there(name),
        Condition::Absent(name) => !is_there(name),
        Condition::Any(conditions) => conditions.iter().any(|one| holds(found, one)),
        Condition::Compare(name, comparison, asked) => {
            match (found.and_then(|item| item.get(name)), asked) {
                (Some(Value::Number(value)), Value::Number(asked)) => {
                    compares(value, *comparison, asked)
                }
                (Some(Value::Text(value)), Value::Text(asked)) => {
                    compares(value, *comparison, asked)
                }
                (value, asked) => match comparison {
                    Comparison::Equal => value == Some(asked),
                    Comparison::Different => value != Some(asked),
                    _ => false,
                },
            }
        }
    }
}

fn compares<T: Ord>(value: &T, comparison: Comparison, asked: &T) -> bool {
    match comparison {
        Comparison::Equal => value == asked,
        Comparison::Different => value != asked,
        Comparison::Less => value < asked,
        Comparison::AtMost => value <= asked,
        Comparison::Greater => value > asked,
        Comparison::AtLeast => value >= asked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Put;

    const ALL: [Comparison; 6] = [
        Comparison::Equal,
        Comparison::Different,
        Comparison::Less,
        Comparison::AtMost,
        Comparison::Greater,
        Comparison::AtLeast,
    ];

    fn item() -> Item {
        Item::from([
            ("number", Value::number(5)),
            ("text", Value::text("m")),
            ("map", Value::Map(Item::default())),
        ])
    }

    fn key(sk: &str) -> ItemKey {
        ItemKey { pk: "P".to_owned(), sk: sk.to_owned() }
    }

    /// Changes an item that is there; what an update does to it is `describe`d.
    fn update(describe: impl FnOnce(&mut Update)) -> (Answer, BTreeMap<ItemKey, Item>) {
        let mut items = BTreeMap::from([(key("a"), item())]);
        let mut update = Update::of(key("a"));
        describe(&mut update);
        (apply(&mut items, &Request::Update(update)), items)
    }

    #[test]
    fn two_values_of_one_kind_compare_and_others_are_only_different() {
        let [_, different, ..] = ALL;
        let equal = [true, false, false, true, false, true];
        let less = [false, true, true, true, false, false];
        let greater = [false, true, false, false, true, true];
        let only_different = ALL.map(|comparison| comparison == different);
        for (name, asked, expected) in [
            ("number", Value::number(5), equal),
            ("number", Value::number(6), less),
            ("number", Value::number(4), greater),
            ("text", Value::text("m"), equal),
            ("text", Value::text("n"), less),
            ("text", Value::text("l"), greater),
            ("number", Value::text("5"), only_different),
            ("text", Value::number(5), only_different),
            ("absent", Value::number(5), only_different),
            ("map", Value::Map(item()), only_different),
        ] {
            let found = ALL.map(|comparison| {
                let condition = Condition::Compare(name.to_owned(), comparison, asked.clone());
                holds(Some(&item()), &condition)
            });
            assert_eq!(found, expected, "{name} {asked:?}");
        }
        let same = Condition::Compare("map".to_owned(), Comparison::Equal, item().0["map"].clone());
        assert!(holds(Some(&item()), &same));
    }

    #[test]
    fn an_item_that_is_there_has_its_key_and_one_that_is_not_has_nothing() {
        for (found, name, is_there) in [
            (Some(&item()), "number", true),
            (Some(&item()), "absent", false),
            (Some(&Item::default()), "pk", true),
            (None, "pk", false),
            (None, "number", false),
        ] {
            assert_eq!(holds(found, &Condition::Exists(name.to_owned())), is_there, "{name}");
            assert_eq!(holds(found, &Condition::Absent(name.to_owned())), !is_there, "{name}");
            let either = |one: Condition| Condition::Any(vec![one, Condition::Exists("x".into())]);
            assert_eq!(holds(found, &either(Condition::Exists(name.to_owned()))), is_there);
        }
    }

    #[test]
    fn a_change_reads_the_item_as_it_was_before_the_write() {
        let (answer, items) = update(|update| {
            update.require("number");
            update.add("number", 2);
            update.add("new", 3);
            update.copy("number", "copy");
            update.copy("absent", "zero");
            update.set_if_absent("text", Value::text("z"));
            update.set_if_absent("first", Value::text("z"));
            update.remove("map");
        });
        let expected = Item::from([
            ("number", Value::number(7)),
            ("new", Value::number(3)),
            ("copy", Value::number(5)),
            ("zero", Value::number(0)),
            ("text", Value::text("m")),
            ("first", Value::text("z")),
        ]);
        assert_eq!(items[&key("a")], expected);
        assert!(matches!(answer, Answer::Done(Some(item)) if item == expected));
    }

    #[test]
    fn a_write_whose_condition_does_not_hold_shows_the_item_and_changes_nothing() {
        let (answer, items) = update(|update| {
            update.require_absent("number");
            update.set("number", Value::number(9));
        });
        assert!(
            matches!(answer, Answer::Refused { write: 0, item: Some(found) } if found == item())
        );
        assert_eq!(items[&key("a")], item());
        let (answer, items) = update(|update| update.add("text", 1));
        assert!(matches!(answer, Answer::Unusable(_)), "{answer:?}");
        assert_eq!(items[&key("a")], item());
    }

    #[test]
    fn of_several_writes_all_are_made_or_none() {
        let mut items = BTreeMap::from([(key("a"), item())]);
        let new = || Item::from([("number", Value::number(1))]);
        let put = |conditions| Write::Put(Put { key: key("b"), item: new(), conditions });
        let mut taking = Update::of(key("a"));
        taking.add("number", -5);
        let taking = || Write::Update(taking.clone());
        let is_there = vec![Condition::Exists("pk".to_owned())];
        let refused = apply(&mut items, &Request::Transact(vec![taking(), put(is_there)]));
        assert!(matches!(refused, Answer::Refused { write: 1, item: None }), "{refused:?}");
        assert_eq!((items[&key("a")].number("number"), items.len()), (5, 1));
        let done = apply(&mut items, &Request::Transact(vec![taking(), put(Vec::new())]));
        assert!(matches!(done, Answer::Done(None)), "{done:?}");
        assert_eq!((items[&key("a")].number("number"), &items[&key("b")]), (0, &new()));
        let read = apply(&mut items, &Request::Read(key("b")));
        assert!(matches!(read, Answer::Done(Some(found)) if found == new()));
        assert!(matches!(apply(&mut items, &Request::Read(key("c"))), Answer::Done(None)));
    }
}
