//! `sandbox circuits`: what an operator sees of the specialists' circuits, and does about them.
//!
//! As with `budget`, nothing here is of the sandbox only: the same attributes are there in AWS,
//! and setting the same one forces a circuit there.

mod circuit;
mod force;
mod rules;
mod view;

use std::io;

use stand_ins::clock;
use stand_ins::table::BoxError;
use stand_ins::table::{Item, TableError};

pub(crate) use self::circuit::{Circuit, State};
pub(crate) use self::rules::Policy;

use self::circuit::ALL;
use self::force::{Force, Mistake};
use self::view::View;
use crate::paint::{Paint, counted};
use stand_ins::last_run::{LastRun, OpenError, SHIPPED_POLICY};

/// Show the specialists' circuits, or force them
///
/// Shows the circuit of each specialist of the last run (or of one that is under way): closed,
/// open and for how long, or half open and whether a probe is out; how many failures in a row
/// count, when it last changed and why it opened, and what an operator has forced.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Force circuits: NAME=open, NAME=closed, or NAME=none to leave it to the router again
    #[arg(long, value_name = "NAME=WORD,…")]
    force: Vec<String>,
}

const AFTER_HELP: &str = "\
Examples:
  cargo run -p sandbox -- circuits                        all of them
  cargo run -p sandbox -- circuits --force billing=open   nobody asks billing any more
  cargo run -p sandbox -- circuits --force '*=open'       nobody asks anybody
  cargo run -p sandbox -- circuits --force billing=none,'*=none'

What is forced is the attribute `forced` of the circuit's item (`open` or `closed`). It goes
before the circuit's state, holds until it is removed, and takes effect within 5 seconds.

Exit codes:
  0  shown
  2  no run yet, mistakes in --force, or an unreadable policy";

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CircuitsError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{} in `--force`{}", counted(.0.len(), "mistake"), lines(.0))]
    Mistakes(Vec<Mistake>),
    #[error("cannot tell the specialists of the policy of the last run")]
    Policy(#[from] toml::de::Error),
    #[error("the circuit of `{specialist}` was not forced")]
    Force {
        specialist: String,
        #[source]
        source: BoxError,
    },
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("cannot write the circuits")]
    Output(#[from] io::Error),
}

/// Shows all circuits, after forcing what is asked for.
pub(crate) async fn run(arguments: Arguments, paint: Paint) -> Result<(), CircuitsError> {
    let last_run = LastRun::find();
    let table = last_run.open_table().await?;
    let policy = last_run.policy().unwrap_or_else(|| SHIPPED_POLICY.to_owned());
    let policy = Policy::parse(&policy)?;
    let mut view = View::new(io::stdout(), paint, &policy, clock::now_ms());
    if !arguments.force.is_empty() {
        let circuits = all(&table.scan().await?, &policy);
        let known: Vec<&str> = circuits.iter().map(|circuit| &*circuit.specialist).collect();
        let known: Vec<&str> = known.into_iter().filter(|name| *name != ALL).collect();
        let force = Force::parse(&arguments.force, &known).map_err(CircuitsError::Mistakes)?;
        force.write(&table).await?;
        view.note(&format!("Now {force}.\nIt takes effect within 5 seconds.\n"))?;
    }
    Ok(view.list(&all(&table.scan().await?, &policy))?)
}

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

fn lines(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| format!("\n  {mistake}")).collect()
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
