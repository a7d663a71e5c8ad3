//! The runbook's commands, run as they are printed.

use router_core::outcome::Reason;

use crate::world::{Owned, World};
use crate::{Place, shipped};

const RUNBOOK: &str = include_str!("../../../../docs/runbook.md");
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The commands of the program, as a shell would split them.
fn commands() -> Vec<Vec<&'static str>> {
    let lines = RUNBOOK.lines().filter_map(|line| line.strip_prefix("routerctl "));
    lines.map(|line| line.split(' ').map(|word| word.trim_matches('\'')).collect()).collect()
}

#[tokio::test]
async fn every_command_of_the_runbook_runs_as_printed() {
    let place = Place::after_a_run(&shipped()).await;
    let world = World::of(&place).await;
    for (number, session) in ["throttled-in-stream", "orders", "broken-stream"].iter().enumerate() {
        let owner = Owned::new(&format!("5f1c0a52-{session}"), "acme", Some("u-17"));
        world.spend(&owner, number, 4_000).await;
        world.incident(&owner, &format!("r{number}/0/0"), Reason::Throttled).await;
    }
    assert!(commands().len() > 50);
    for command in commands() {
        let words: Vec<String> = command
            .iter()
            .map(|word| match word.ends_with(".toml") {
                true => format!("{ROOT}/{word}"),
                false => (*word).to_owned(),
            })
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (code, said) = place.run(&words);
        // A difference of two policies has an exit code of its own.
        let is_difference = code == 1 && command.starts_with(&["policy", "diff"]);
        assert!(code == 0 || is_difference, "{command:?}: {code} {said}");
    }
}
