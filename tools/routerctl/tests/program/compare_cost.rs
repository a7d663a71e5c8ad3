//! The comparison of two ways of working, which needs no table.

use serde_json::{Value, json};

use crate::Place;
use crate::operator::held;

const COSTS: &str = include_str!("../../../../docs/costs.md");
const PRICES: &str = include_str!("../../prices.toml");

/// The commands of the page, with what it prints below each.
fn printed() -> Vec<(&'static str, &'static str)> {
    let after_sh = COSTS.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("\n```\n"));
    let commands = after_sh.filter_map(|(command, rest)| {
        let said = rest.trim_start().strip_prefix("```text\n")?.split_once("```\n")?.0;
        Some((command.strip_prefix("cargo run -p routerctl -- ")?, said))
    });
    commands.collect()
}

#[test]
fn the_page_shows_what_the_program_prints() {
    let place = Place::new();
    let printed = printed();
    assert!(!printed.is_empty());
    for (command, expected) in printed {
        let (code, said) = place.run(&command.split(' ').collect::<Vec<_>>());
        assert_eq!((code, said.as_str()), (0, expected), "{command}");
    }
}

/// The sentences of the page that tell of other assumptions: `flags`: cost of the supervisor's way.
#[test]
fn the_page_says_what_other_assumptions_come_to() {
    let place = Place::new();
    let rows = COSTS.lines().filter_map(|line| line.strip_prefix("| `--")?.split_once("` | "));
    let rows: Vec<_> = rows.collect();
    assert!(rows.len() > 2);
    for (flags, rest) in rows {
        let flags = format!("compare-cost --{flags}");
        let text = place.run(&flags.split(' ').collect::<Vec<_>>()).1;
        for cell in rest.trim_end_matches(" |").split(" | ").take(2) {
            assert!(text.contains(&format!("${cell}\n")), "{flags}: {cell} is not in {text}");
        }
    }
}

#[test]
fn all_sums_are_there_for_programs() {
    let place = Place::new();
    let said = held(&place, "compare-cost", &["compare-cost"]);
    for way in ["single_agent", "supervisor"] {
        let way = &said[way];
        for key in ["input_tokens", "output_tokens", "cost_micro_usd"] {
            let parts = way["parts"].as_array().unwrap().iter();
            let sum: u64 = parts.map(|part| part[key].as_u64().unwrap()).sum();
            assert_eq!(way[key], sum, "{key}");
        }
    }
    assert_eq!(said["single_agent"]["cost_micro_usd"], 9_180_000_000_u64);
    assert_eq!(said["difference_micro_usd"], 3_749_800_000_u64);
    assert_eq!(said["claim"]["saved_by_fewer_tokens_micro_usd"], 1_280_000_000_u64);
    let own =
        ["compare-cost", "--price", "own=0.5,0.5", "--single-agent-model", "own", "--rounds", "1"];
    let said = held(&place, "compare-cost", &own);
    assert_eq!(said["single_agent"]["parts"][0]["cost_micro_usd"], 875_000_000);
    let models = said["prices"]["models"].as_array().unwrap().iter();
    let model = models.clone().find(|model| model["model"] == "own").unwrap();
    assert_eq!((models.count(), &model["source"]), (4, &json!("--price")));
}

#[test]
fn a_wrong_assumption_is_named_with_what_is_allowed() {
    let place = Place::new();
    let (code, said) = place.run(&["compare-cost", "--supervisor-model", "gpt"]);
    assert_eq!(code, 2);
    assert!(said.contains("`--supervisor-model` has `gpt`, whose price is not known"), "{said}");
    for wrong in [["--requests", "0"], ["--rounds", "21"], ["--retries", "101"], ["--price", "x"]] {
        assert_eq!(place.run(&[&["compare-cost"], &wrong[..]].concat()).0, 2, "{wrong:?}");
    }
}

/// The functions' prices, in cents of a dollar, stand in the page's tables.
#[test]
fn the_functions_cost_what_the_page_reckons() {
    let prices: toml::Table = PRICES.parse().unwrap();
    let functions = |group: &str, name: &str| {
        let price = prices["functions"][group][name].as_integer().unwrap();
        assert_eq!(price % 10_000, 0, "whole cents");
        price / 10_000
    };
    let row = |what: &str| {
        let rows = COSTS.lines().filter(|line| line.contains(what) && line.starts_with("| "));
        let cents = rows.map(|row| row.trim_matches(['|', ' ', '*']).rsplit(' ').next().unwrap());
        cents
            .map(|cents| cents.trim_matches('*').replace('.', "").parse::<i64>().unwrap())
            .sum::<i64>()
    };
    let of_requests = |name| functions("per_million_requests", name);
    assert_eq!(of_requests("lambda"), row("Lambda, arm64"));
    let dynamodb = row("on demand") + row("a block of") + row("circuits: 5 items");
    assert_eq!(of_requests("dynamodb"), dynamodb);
    assert_eq!(of_requests("cloudwatch"), row("`PutMetricData` ×") + row("log, 1 KB"));
    let all = ["lambda", "dynamodb", "cloudwatch"].map(of_requests).iter().sum::<i64>();
    assert_eq!(all, row("for a million requests"));
    let month = |name| functions("per_month", name);
    for (name, words) in [
        ("metrics", format!("metrics × 0.30 = {}", month("metrics") / 100)),
        ("alarms", format!("{} alarms × 0.10", month("alarms") / 10)),
        ("dashboard", format!("a dashboard at {}", month("dashboard") / 100)),
    ] {
        assert!(COSTS.contains(&words), "{name}: `{words}`");
    }
}

/// What the example's agents cost is written once in the stack, and once in the file of prices.
#[test]
fn the_models_cost_what_the_stack_says() {
    let prices: toml::Table = PRICES.parse().unwrap();
    let stack = include_str!("../../../../stacks/example-agents.yaml");
    let mut count = 0;
    for (name, price) in prices["models"].as_table().unwrap() {
        let of_model = stack.split(&format!("\n    {name}:\n")).nth(1).unwrap();
        let of_model: Vec<&str> = of_model.lines().take(4).collect();
        let Value::Object(price) = serde_json::to_value(price).unwrap() else { panic!("{name}") };
        let usd = |key: &str| format!("{:?}", price[key].as_f64().unwrap() / 1e6);
        assert_eq!(of_model[2].trim(), format!("InputPrice: \"{}\"", usd("input")));
        assert_eq!(of_model[3].trim(), format!("OutputPrice: \"{}\"", usd("output")));
        count += 1;
    }
    assert_eq!(count, stack.matches("InputPrice:").count());
}
