//! Checks a world of the size that its arguments say: of the ledger
//! (`cargo run --release -p model -- --routers 3 --requests 1`) or of the circuits
//! (`cargo run --release -p model -- circuit --processes 3`).

mod arguments;

use std::fmt::Debug;
use std::hash::Hash;
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Instant;

use model::{World, circuit};
use stateright::{Checker, Model, Path};

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    let checked = if arguments.next_if(|first| first == "circuit").is_some() {
        arguments::circuit(arguments).map(|setup| {
            println!("{setup:#?}");
            check(circuit::World::new(setup), |state: &circuit::State| format!("{:?}", state.table))
        })
    } else {
        arguments::ledger(arguments).map(|setup| {
            println!("{setup:#?}");
            check(World::new(setup), |state: &model::State| format!("{:?}", state.table))
        })
    };
    checked.unwrap_or_else(|problem| {
        eprintln!("{problem}\n{}", arguments::USAGE);
        ExitCode::FAILURE
    })
}

#[expect(clippy::disallowed_methods, reason = "the check is timed, nothing is decided by it")]
fn check<M>(world: M, table: impl Fn(&M::State) -> String) -> ExitCode
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + PartialEq + Send + Sync,
    M::Action: Clone + Debug + PartialEq + Send + Sync,
{
    let started = Instant::now();
    let threads = available_parallelism().map_or(1, usize::from);
    let checker = world.checker().threads(threads).spawn_bfs().join();
    println!(
        "{} states, {} of them different, depth {}, {} s",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth(),
        started.elapsed().as_secs(),
    );
    let discoveries = checker.discoveries();
    let mut is_kept = true;
    for property in checker.model().properties() {
        let path = discoveries.get(property.name);
        let is_rule = property.expectation.discovery_is_failure();
        let is_broken = is_rule && path.is_some();
        is_kept &= !is_broken;
        let outcome = match path {
            Some(_) if is_rule => "FAILED",
            // Not every world is large enough for everything to happen.
            None if !is_rule => "never ",
            Some(_) | None => "ok    ",
        };
        println!("{outcome} {}", property.name);
        if let Some(path) = path.filter(|_| is_broken) {
            print_path(path.clone(), &table);
        }
    }
    if is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Each step, and the table where the step has changed it.
fn print_path<S, A: Debug>(path: Path<S, A>, table: impl Fn(&S) -> String) {
    let mut shown = String::new();
    for (state, action) in path.into_vec() {
        let table = table(&state);
        if shown != table {
            println!("    {table}");
        }
        if let Some(action) = action {
            println!("  {action:?}");
        }
        shown = table;
    }
}
