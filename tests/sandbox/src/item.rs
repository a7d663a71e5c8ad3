//! Reading the table's items.

use stand_ins::table::Item;

/// A string attribute.
pub(crate) fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

/// A number attribute that is a whole number and not below zero.
pub(crate) fn number(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// The items `<kind>#<name>` / `DAY#<date>` with name and date, sorted.
pub(crate) fn days<'a>(items: &'a [Item], kind: &str) -> Vec<(&'a str, &'a str, &'a Item)> {
    let mut days: Vec<_> = items
        .iter()
        .filter_map(|item| {
            let name = text(item, "pk")?.strip_prefix(kind)?.strip_prefix('#')?;
            Some((name, text(item, "sk")?.strip_prefix("DAY#")?, item))
        })
        .collect();
    days.sort_by_key(|(name, date, _)| (*name, *date));
    days
}
