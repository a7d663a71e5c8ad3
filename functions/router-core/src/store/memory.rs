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
