//! The specialists' circuits, as the items of a run's table have them.

mod circuit;
mod rules;

use stand_ins::table::Item;

pub(crate) use self::circuit::{Circuit, State};
pub(crate) use self::rules::Policy;

use self::circuit::ALL;

/// The circuits of all specialists that the policy knows or that have one, by name; first what
/// is forced for all.
pub(crate) fn all(items: &[Item], policy: &Policy) -> Vec<Circuit> {
    let mut circuits: Vec<Circuit> = items.iter().filter_map(Circuit::parse).collect();
    let has_one = |name: &str| circuits.iter().any(|circuit| circuit.specialist == name);
    let missing: Vec<Circuit> =
        policy.specialists().filter(|name| !has_one(name)).map(Circuit::closed).collect();
    circuits.extend(missing);
    circuits.retain(|circuit| circuit.specialist != ALL || circuit.forced.is_some());
    circuits.sort_by(|a, b| {
        let place = |circuit: &Circuit| circuit.specialist != ALL;
        (place(a), &a.specialist).cmp(&(place(b), &b.specialist))
    });
    circuits
}

#[cfg(test)]
pub(crate) mod tests {
    use stand_ins::table::AttributeValue;
    use stand_ins::table::key;

    use super::*;

    /// A circuit's item with these attributes.
    pub(crate) fn item(specialist: &str, texts: &[(&str, &str)], numbers: &[(&str, u64)]) -> Item {
        let mut item = key(&format!("CIRCUIT#{specialist}"), "STATE");
        for (name, value) in texts {
            item.insert((*name).to_owned(), AttributeValue::S((*value).to_owned()));
        }
        for (name, value) in numbers {
            item.insert((*name).to_owned(), AttributeValue::N(value.to_string()));
        }
        item
    }

    #[test]
    fn a_specialist_without_a_circuit_has_a_closed_one() {
        let policy = Policy::parse("specialists = { billing = {}, orders = {} }").unwrap();
        let items = [item("orders", &[("forced", "open")], &[]), item("former", &[], &[])];
        let circuits = all(&items, &policy);
        assert_eq!(circuits[0], Circuit::closed("billing"));
        let names: Vec<&str> = circuits.iter().map(|circuit| &*circuit.specialist).collect();
        assert_eq!(names, ["billing", "former", "orders"]);
    }

    #[test]
    fn what_is_forced_for_all_comes_first_and_only_while_it_is() {
        let policy = Policy::parse("specialists = { '!' = {} }").unwrap();
        let forced = [item("*", &[("forced", "open")], &[])];
        assert_eq!(all(&forced, &policy)[0].specialist, ALL);
        assert_eq!(all(&[item("*", &[], &[])], &policy).len(), 1);
    }
}
