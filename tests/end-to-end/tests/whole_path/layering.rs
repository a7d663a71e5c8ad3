//! The one boundary that matters between the crates, also where `cargo deny` is not installed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The crates that `package` needs, directly or not, outside tests.
fn needs(package: &str) -> Vec<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let tree = Command::new(cargo)
        .args(["tree", "--package", package, "--edges", "normal", "--prefix", "none"])
        .args(["--format", "{p}", "--locked", "--offline"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let lines = String::from_utf8(tree.stdout).unwrap();
    lines.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn decisions_know_nothing_of_aws_of_a_runtime_or_of_the_network() {
    let foreign: Vec<String> = needs("router-core")
        .into_iter()
        .filter(|name| {
            ["aws-", "opentelemetry"].iter().any(|prefix| name.starts_with(prefix))
                || ["lambda_runtime", "tokio", "hyper", "reqwest", "prost"].contains(&name.as_str())
        })
        .collect();
    assert!(foreign.is_empty(), "router-core needs {foreign:?}");
    assert!(needs("router-aws").iter().any(|name| name == "aws-sdk-dynamodb"));
}

/// The rooms of `router-core` from the top floor down, as docs/architecture.md draws them. Code may
/// use what stands below it, and nothing that stands above it or beside it.
const FLOORS: [&[&str]; 14] = [
    &["front"],
    &["handler"],
    &["task"],
    &["budget", "views"],
    &["request"],
    &["deadline", "journal", "ports"],
    &["supervisor"],
    &["incident", "invocation", "ledger", "routing"],
    &["charge", "circuit", "metrics", "retry", "wire"],
    &["escalation", "policy", "trace"],
    &["scratchpad"],
    &["store"],
    &["error", "guard", "ids", "json", "outcome", "stop"],
    &["units"],
];

fn floor_of(room: &str) -> usize {
    let floor = FLOORS.iter().position(|rooms| rooms.contains(&room));
    floor.unwrap_or_else(|| panic!("`{room}` stands on no floor"))
}

/// The rooms that a file uses outside its tests.
fn used_by(source: &str) -> BTreeSet<&str> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|path| path.split(|c| !is_part(c)).next().unwrap_or_default())
        .collect()
}

#[test]
fn each_room_of_the_core_uses_only_what_stands_below_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../functions/router-core/src");
    let mut looked_at = BTreeSet::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            let room = name.split(['/', '.']).next().unwrap().to_owned();
            if ["lib", "doubles"].contains(&room.as_str()) || name.contains("tests") {
                continue;
            }
            let floor = floor_of(&room);
            for used in used_by(&fs::read_to_string(&path).unwrap()) {
                let is_below = used == room || floor_of(used) > floor;
                assert!(is_below, "{name} uses `{used}`, which does not stand below `{room}`");
            }
            looked_at.insert(room);
        }
    }
    let rooms: BTreeSet<String> = FLOORS.concat().into_iter().map(str::to_owned).collect();
    assert_eq!(looked_at, rooms, "a room that is gone, or that stands on no floor");
}

#[test]
fn ports_know_nothing_of_lambdas_runtime() {
    let needs_runtime =
        |package| needs(package).iter().any(|name| name.starts_with("lambda_runtime"));
    assert!(needs_runtime("router-lambda") && !needs_runtime("router-aws"));
}
