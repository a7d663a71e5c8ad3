//! What the arguments ask for.

use std::fmt::Debug;
use std::str::FromStr;

use model::{Flaw, Setup, circuit};

/// What the arguments may be.
pub(crate) const USAGE: &str = "arguments, each with a number: --routers --requests --branches --limit \
--max-steps --day-limit --block --idle-ttl --horizon --longest-delay --recent-slots --rounds \
--crashes --lost-answers --late-copies --redeliveries --raised-limit; --flaw with a name; with numbers: --asks \
--hold-lives --overruns\n\
after `circuit`, each with a number: --processes --tasks --failures --sessions --probes --open --place \
--longest-exchange --late-copies; with `true` or `false`: --vanishing --lost-answers --given-up \
--failed-reads; --flaw with a name";

/// The world of the ledger.
pub(crate) fn ledger(mut arguments: impl Iterator<Item = String>) -> Result<Setup, String> {
    let mut setup = Setup::default();
    while let Some((name, value)) = next(&mut arguments)? {
        match name.as_str() {
            "--routers" => setup.routers = parse(&value)?,
            "--requests" => setup.requests = parse(&value)?,
            "--branches" => setup.branches = parse(&value)?,
            "--limit" => setup.limit = parse(&value)?,
            "--max-steps" => setup.max_steps = parse(&value)?,
            "--day-limit" => setup.day_limit = parse(&value)?,
            "--block" => setup.block = parse(&value)?,
            "--asks" => setup.asks = numbers(&value)?,
            "--overruns" => setup.overruns = numbers(&value)?,
            "--hold-lives" => setup.hold_lives = numbers(&value)?,
            "--idle-ttl" => setup.idle_ttl = parse(&value)?,
            "--horizon" => setup.horizon = parse(&value)?,
            "--longest-delay" => setup.longest_delay = parse(&value)?,
            "--recent-slots" => setup.recent_slots = parse(&value)?,
            "--rounds" => setup.rounds = parse(&value)?,
            "--crashes" => setup.crashes = parse(&value)?,
            "--lost-answers" => setup.lost_answers = parse(&value)?,
            "--late-copies" => setup.late_copies = parse(&value)?,
            "--redeliveries" => setup.redeliveries = parse(&value)?,
            "--raised-limit" => setup.raised_limit = Some(parse(&value)?),
            "--flaw" => setup.flaw = Some(flaw(&value, &Flaw::ALL)?),
            _ => return Err(format!("`{name}` is unknown")),
        }
    }
    Ok(setup)
}

/// The world of the circuits.
pub(crate) fn circuit(
    mut arguments: impl Iterator<Item = String>,
) -> Result<circuit::Setup, String> {
    let mut setup = circuit::Setup::default();
    while let Some((name, value)) = next(&mut arguments)? {
        match name.as_str() {
            "--processes" => setup.processes = parse(&value)?,
            "--tasks" => setup.tasks = parse(&value)?,
            "--failures" => setup.failures = parse(&value)?,
            "--sessions" => setup.sessions = parse(&value)?,
            "--probes" => setup.probes = parse(&value)?,
            "--open" => setup.open = parse(&value)?,
            "--place" => setup.place = parse(&value)?,
            "--longest-exchange" => setup.longest_exchange = parse(&value)?,
            "--vanishing" => setup.vanishing = parse(&value)?,
            "--lost-answers" => setup.lost_answers = parse(&value)?,
            "--given-up" => setup.given_up = parse(&value)?,
            "--failed-reads" => setup.failed_reads = parse(&value)?,
            "--late-copies" => setup.late_copies = parse(&value)?,
            "--flaw" => setup.flaw = Some(flaw(&value, &circuit::Flaw::ALL)?),
            _ => return Err(format!("`{name}` is unknown")),
        }
    }
    Ok(setup)
}

/// The next argument with its value.
fn next(arguments: &mut impl Iterator<Item = String>) -> Result<Option<(String, String)>, String> {
    let Some(name) = arguments.next() else { return Ok(None) };
    let value = arguments.next().ok_or(format!("`{name}` has no value"))?;
    Ok(Some((name, value)))
}

fn parse<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not a value of this kind"))
}

fn numbers<N: FromStr>(text: &str) -> Result<Vec<N>, String> {
    text.split(',').map(parse).collect()
}

fn flaw<F: Copy + Debug>(name: &str, flaws: &[F]) -> Result<F, String> {
    let found = flaws.iter().copied().find(|flaw| format!("{flaw:?}") == name);
    found.ok_or(format!("`{name}` is none of {flaws:?}"))
}
