//! The money side: what a session's item says.

use stand_ins::Sandbox;
use stand_ins::table::Item;

/// What a session has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) steps: u64,
    pub(crate) tokens: u64,
    pub(crate) micro_usd: u64,
}

/// What the session has used; `None` when it has no item. Nothing may be held any more.
pub(crate) async fn account(sandbox: &Sandbox, session: &str) -> Option<Account> {
    let item = sandbox.table().session_budget(session).await.unwrap()?;
    nothing_held(&item);
    Some(used(&item))
}

/// The items of all sessions that were charged.
pub(crate) async fn sessions(sandbox: &Sandbox) -> Vec<Item> {
    let mut items = sandbox.table().scan().await.unwrap();
    items.retain(|item| item["sk"].as_s().is_ok_and(|sk| sk == "BUDGET"));
    items
}

/// Asserts that no hold is left in the item and that what is committed is what was spent.
pub(crate) fn nothing_held(item: &Item) {
    let holds: Vec<&String> = item.keys().filter(|name| name.starts_with("hold#")).collect();
    assert!(holds.is_empty(), "left over: {holds:?}");
    for what in ["tokens", "micro_usd"] {
        let [committed, spent] = ["committed", "spent"].map(|state| format!("{state}_{what}"));
        assert_eq!(number(item, &committed), number(item, &spent), "{committed} and {spent}");
    }
}

fn used(item: &Item) -> Account {
    Account {
        steps: number(item, "steps"),
        tokens: number(item, "spent_tokens"),
        micro_usd: number(item, "spent_micro_usd"),
    }
}

fn number(item: &Item, name: &str) -> u64 {
    let value = item.get(name).unwrap_or_else(|| panic!("`{name}` is missing"));
    value.as_n().unwrap().parse().unwrap()
}
