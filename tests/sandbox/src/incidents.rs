//! The incidents of a run's table: requests that a specialist did not answer.

mod incident;

use stand_ins::table::Item;

pub(crate) use self::incident::Incident;

/// How many of the items are incidents.
pub(crate) fn count(items: &[Item]) -> usize {
    items.iter().filter_map(Incident::parse).count()
}

/// The incidents among the items, oldest first.
pub(crate) fn all(items: &[Item]) -> Vec<Incident<'_>> {
    let mut incidents: Vec<Incident<'_>> = items.iter().filter_map(Incident::parse).collect();
    incidents.sort_by_key(|incident| (incident.number("at_ms"), incident.date, incident.id));
    incidents
}

#[cfg(test)]
mod tests {
    use stand_ins::table::AttributeValue;
    use stand_ins::table::key;

    use super::*;

    /// An incident's item: its place among the requests, texts and numbers.
    pub(super) fn item(id: &str, texts: &[(&str, &str)], numbers: &[(&str, u64)]) -> Item {
        let mut item = key("INCIDENT#2026-11-21", id);
        for (name, value) in texts {
            item.insert((*name).to_owned(), AttributeValue::S((*value).to_owned()));
        }
        for (name, value) in numbers {
            item.insert((*name).to_owned(), AttributeValue::N(value.to_string()));
        }
        item
    }

    #[test]
    fn the_oldest_comes_first_and_other_items_are_none() {
        let items = [
            item("r2/0/1", &[], &[("at_ms", 2_000)]),
            key("TENANT#acme", "DAY#2026-11-21"),
            item("r2/0/0", &[], &[("at_ms", 2_000)]),
            item("r9/0/0", &[], &[("at_ms", 999)]),
        ];
        let ids: Vec<&str> = all(&items).iter().map(|incident| incident.id).collect();
        assert_eq!(ids, ["r9/0/0", "r2/0/0", "r2/0/1"]);
        assert_eq!(count(&items), 3);
    }
}
