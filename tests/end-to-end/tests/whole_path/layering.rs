//! The one boundary that matters between the crates, also where `cargo deny` is not installed.

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

#[test]
fn ports_know_nothing_of_lambdas_runtime() {
    let needs_runtime =
        |package| needs(package).iter().any(|name| name.starts_with("lambda_runtime"));
    assert!(needs_runtime("router-lambda") && !needs_runtime("router-aws"));
}
