//! What the model check takes for a database agrees with real ones on any request.

use std::collections::BTreeMap;

use proptest::prelude::*;
use router_core::store::memory;
use router_core::store::{
    Answer, Change, Comparison, Condition, Item, ItemKey, Put, Request, Update, Value, Write,
};

use crate::ministack;
use crate::table::TableUnderTest;

/// Attributes that are numbers, strings and maps; the ledger never lets one change its kind.
const NUMBERS: [&str; 3] = ["steps", "room", "folds"];
const TEXTS: [&str; 2] = ["tenant", "recent_1"];
const MAPS: [&str; 2] = ["hold#a", "hold#b"];

fn number() -> impl Strategy<Value = Value> {
    (-3..4_i128).prop_map(Value::Number)
}

fn text() -> impl Strategy<Value = Value> {
    "[ab]{1,2}".prop_map(Value::Text)
}

fn map() -> impl Strategy<Value = Value> {
    number().prop_map(|number| Value::Map(Item::from([("tokens", number)])))
}

fn name(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(names).prop_map(str::to_owned)
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![name(&NUMBERS), name(&TEXTS), name(&MAPS)]
}

fn comparison() -> impl Strategy<Value = Comparison> {
    use Comparison::{AtLeast, AtMost, Different, Equal, Greater, Less};
    prop::sample::select(&[Equal, Different, Less, AtMost, Greater, AtLeast][..])
}

/// Values of two kinds are compared as well: an operator may have set an attribute by hand.
fn condition() -> impl Strategy<Value = Condition> {
    let scalar = prop_oneof![name(&NUMBERS), name(&TEXTS)];
    let one = prop_oneof![
        any_name().prop_map(Condition::Exists),
        any_name().prop_map(Condition::Absent),
        Just(Condition::Exists("pk".to_owned())),
        Just(Condition::Absent("pk".to_owned())),
        (scalar, comparison(), prop_oneof![number(), text()])
            .prop_map(|(name, comparison, value)| Condition::Compare(name, comparison, value)),
    ];
    prop_oneof![
        3 => one.clone(),
        1 => prop::collection::vec(one, 1..3).prop_map(Condition::Any),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (name(&NUMBERS), number()).prop_map(|(name, value)| Change::Set(name, value)),
        (name(&TEXTS), text()).prop_map(|(name, value)| Change::Set(name, value)),
        (name(&MAPS), map()).prop_map(|(name, value)| Change::Set(name, value)),
        (name(&NUMBERS), number()).prop_map(|(name, value)| Change::SetIfAbsent(name, value)),
        (name(&NUMBERS), -3..4_i128).prop_map(|(name, amount)| Change::Add(name, amount)),
        (name(&NUMBERS), name(&NUMBERS)).prop_map(|(from, to)| Change::Copy { from, to }),
        any_name().prop_map(Change::Remove),
    ]
}

fn update(key: ItemKey) -> impl Strategy<Value = Update> {
    let conditions = prop::collection::vec(condition(), 0..3);
    (conditions, prop::collection::vec(change(), 0..4)).prop_map(
        move |(conditions, mut changes)| {
            changes.push(Change::Set("stamp".to_owned(), Value::number(1)));
            // No attribute is set twice.
            changes.sort_by_key(|change| changed(change).to_owned());
            changes.dedup_by(|one, other| changed(one) == changed(other));
            Update { key: key.clone(), conditions, changes }
        },
    )
}

fn changed(change: &Change) -> &str {
    match change {
        Change::Set(name, _)
        | Change::SetIfAbsent(name, _)
        | Change::Add(name, _)
        | Change::Copy { to: name, .. }
        | Change::Remove(name) => name,
    }
}

fn write(key: ItemKey) -> impl Strategy<Value = Write> {
    let put = (prop::collection::vec(condition(), 0..2), number(), text()).prop_map({
        let key = key.clone();
        move |(conditions, steps, tenant)| {
            let item = Item::from([("steps", steps), ("tenant", tenant)]);
            Write::Put(Put { key: key.clone(), item, conditions })
        }
    });
    prop_oneof![3 => update(key).prop_map(Write::Update), 1 => put]
}

fn keys() -> [ItemKey; 2] {
    ["one", "other"].map(|id| ItemKey::incident("2026-11-21", id))
}

fn request() -> impl Strategy<Value = Request> {
    let [one, other] = keys();
    prop_oneof![
        3 => update(one.clone()).prop_map(Request::Update),
        2 => (write(one.clone()), write(other)).prop_map(|(a, b)| Request::Transact(vec![a, b])),
        1 => Just(Request::Read(one)),
    ]
}

/// An answer without the keys, which only a database shows.
fn seen(answer: Answer) -> String {
    let without_key = |item: Option<Item>| {
        item.map(|Item(mut attributes)| {
            attributes.retain(|name, _| name != "pk" && name != "sk");
            attributes
        })
    };
    match answer {
        Answer::Done(item) => format!("done {:?}", without_key(item)),
        Answer::Refused { write, item } => format!("refused {write} {:?}", without_key(item)),
        other => format!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_models_database_and_a_real_one_agree_on_any_request(
        requests in prop::collection::vec(request(), 1..24)
    ) {
        if ministack::is_under_test() {
            // Beside all other tests it may answer too late. The SDK then sends the write again, and
            // one that does not recognise itself is refused.
            return Ok(());
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let table = TableUnderTest::start().await;
            let real = table.connect();
            let mut items: BTreeMap<ItemKey, Item> = BTreeMap::new();
            for request in &requests {
                let expected = seen(memory::apply(&mut items, request));
                prop_assert_eq!(seen(real.send(request).await), expected, "{:?}", request);
            }
            Ok(())
        })?;
    }
}
