//! Checks a world of the size that its arguments say:
//! `cargo run --release -p model -- --routers 3 --requests 1`.

use std::process::ExitCode;
use std::str::FromStr;
use std::thread::available_parallelism;
use std::time::Instant;

use model::{Action, Flaw, Setup, State, World};
use stateright::{Checker, Model, Path};

const USAGE: &str = "arguments, each with a number: --routers --requests --limit --max-steps \
--day-limit --block --idle-ttl --horizon --longest-delay --recent-slots --rounds --crashes \
--lost-answers --late-copies --raised-limit; --flaw with a name; with numbers: --asks --hold-lives --overruns";

fn main() -> ExitCode {
    let setup = match read(std::env::args().skip(1)) {
        Ok(setup) => setup,
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    println!("{setup:#?}");
    check(setup)
}

#[expect(clippy::disallowed_methods, reason = "the check is timed, nothing is decided by it")]
fn check(setup: Setup) -> ExitCode {
    let started = Instant::now();
    let threads = available_parallelism().map_or(1, usize::from);
    let checker = World::new(setup).checker().threads(threads).spawn_bfs().join();
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
        let is_bad = path.is_some() == property.expectation.discovery_is_failure();
        is_kept &= !is_bad;
        println!("{} {}", if is_bad { "FAILED" } else { "ok    " }, property.name);
        if let Some(path) = path.filter(|_| is_bad) {
            print_path(path.clone());
        }
    }
    if is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Each step, and the table where the step has changed it.
fn print_path(path: Path<State, Action>) {
    let mut shown = None;
    for (state, action) in path.into_vec() {
        if shown.as_ref() != Some(&state.table) {
            println!("    {:?}", state.table);
        }
        if let Some(action) = action {
            println!("  {action:?}");
        }
        shown = Some(state.table);
    }
}

fn read(mut arguments: impl Iterator<Item = String>) -> Result<Setup, String> {
    let mut setup = Setup::default();
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(format!("`{name}` has no value"))?;
        match name.as_str() {
            "--routers" => setup.routers = number(&value)?,
            "--requests" => setup.requests = number(&value)?,
            "--limit" => setup.limit = number(&value)?,
            "--max-steps" => setup.max_steps = number(&value)?,
            "--day-limit" => setup.day_limit = number(&value)?,
            "--block" => setup.block = number(&value)?,
            "--asks" => setup.asks = numbers(&value)?,
            "--overruns" => setup.overruns = numbers(&value)?,
            "--hold-lives" => setup.hold_lives = numbers(&value)?,
            "--idle-ttl" => setup.idle_ttl = number(&value)?,
            "--horizon" => setup.horizon = number(&value)?,
            "--longest-delay" => setup.longest_delay = number(&value)?,
            "--recent-slots" => setup.recent_slots = number(&value)?,
            "--rounds" => setup.rounds = number(&value)?,
            "--crashes" => setup.crashes = number(&value)?,
            "--lost-answers" => setup.lost_answers = number(&value)?,
            "--late-copies" => setup.late_copies = number(&value)?,
            "--raised-limit" => setup.raised_limit = Some(number(&value)?),
            "--flaw" => setup.flaw = Some(flaw(&value)?),
            _ => return Err(format!("`{name}` is unknown")),
        }
    }
    Ok(setup)
}

fn number<N: FromStr>(text: &str) -> Result<N, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number of this kind"))
}

fn numbers<N: FromStr>(text: &str) -> Result<Vec<N>, String> {
    text.split(',').map(number).collect()
}

fn flaw(name: &str) -> Result<Flaw, String> {
    let found = Flaw::ALL.into_iter().find(|flaw| format!("{flaw:?}") == name);
    found.ok_or(format!("`{name}` is none of {:?}", Flaw::ALL))
}
