//! The program as a person or a script runs it: what it says, and with which exit code.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod compare_cost;
mod evaluate;
mod labels;
mod operator;
mod people;
mod runbook;
mod world;

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use stand_ins::table::{Item, Table, key};
use tempfile::TempDir;

const SHIPPED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../functions/supervisor-router/routing.toml");

/// A target folder with the program and what a run of the sandbox left.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::write(folder.path().join("CACHEDIR.TAG"), "").unwrap();
        fs::hard_link(env!("CARGO_BIN_EXE_routerctl"), folder.path().join("copy")).unwrap();
        Self { folder }
    }

    /// As a run leaves it that was given this policy.
    async fn after_a_run(policy: &str) -> Self {
        let place = Self::new();
        let kept = place.folder.path().join("sandbox");
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("policy.toml"), policy).unwrap();
        Table::start_in(&kept.join("table.db")).await.unwrap();
        place
    }

    /// The table that the run left.
    async fn table(&self) -> Table {
        Table::open(&self.folder.path().join("sandbox/table.db")).await.unwrap()
    }

    async fn item(&self) -> Option<Item> {
        self.table().await.item(&key("POLICY", "CURRENT")).await.unwrap()
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The exit code with what stands on both outputs.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output =
            Command::new(self.folder.path().join("copy")).args(arguments).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    }

    /// What stands on each of both outputs.
    fn outputs(&self, arguments: &[&str]) -> (String, String) {
        let mut program = Command::new(self.folder.path().join("copy"));
        let output = program.args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    }

    fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let (code, text) = self.run(&[arguments, &["--json"]].concat());
        (code, serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}")))
    }
}

fn shipped() -> String {
    fs::read_to_string(SHIPPED).unwrap()
}

#[test]
fn a_policy_is_checked_without_any_account() {
    let place = Place::new();
    assert_eq!(place.run(&["policy", "check", SHIPPED]).0, 0);
    let (code, said) = place.json(&["policy", "check", SHIPPED]);
    let names = json!(["billing", "general", "orders", "support"]);
    assert_eq!((code, said), (0, json!({ "mistakes": [], "specialists": names })));

    let wrong = shipped().replace("max_steps = 12", "max_steps = 0\nmax_step = 1");
    let wrong = place.write("wrong.toml", &wrong);
    let (code, said) = place.run(&["policy", "check", &wrong]);
    assert_eq!(code, 1);
    assert!(said.contains("`session.max_steps` is 0: ") && said.contains("`session.max_step`"));
    let (code, said) = place.json(&["policy", "check", &wrong]);
    assert_eq!((code, &said["mistakes"][0]["setting"]), (1, &json!("session.max_steps")));

    let fits = ["policy", "check", SHIPPED, "--specialists", "billing,orders,support,general"];
    assert_eq!(place.run(&fits).0, 0);
    let (code, said) =
        place.run(&["policy", "check", SHIPPED, "--specialists", "billing,orders,support,x"]);
    assert_eq!(code, 1);
    assert!(said.contains("`specialists.general.agent` is missing"), "{said}");
    assert!(said.contains("`SPECIALISTS` is an agent for `x`"), "{said}");
    assert_eq!(place.run(&["policy", "check", "nowhere.toml"]).0, 2);
}

#[tokio::test]
async fn a_policy_is_pushed_compared_and_brought_back() {
    let place = Place::after_a_run(&shipped()).await;
    let (code, said) = place.run(&["policy", "diff", SHIPPED]);
    assert_eq!(code, 1);
    assert!(
        said.starts_with("the table has no policy") && said.contains("+ session.max_steps = 12")
    );
    assert_eq!(place.json(&["policy", "push", SHIPPED]), (0, json!({ "outcome": "pushed" })));
    assert_eq!(place.json(&["policy", "push", SHIPPED]), (0, json!({ "outcome": "unchanged" })));
    assert_eq!(
        place.run(&["policy", "diff", SHIPPED]),
        (0, "the table has this policy\n".to_owned())
    );

    let other = place.write("other.toml", &shipped().replace("max_steps = 12", "max_steps = 20"));
    let difference = "~ session.max_steps = 12 -> 20\n".to_owned();
    assert_eq!(place.run(&["policy", "diff", &other]), (1, difference));
    assert_eq!(place.run(&["policy", "push", &other, "--last-run"]).0, 0);
    let attribute = |item: &Item, name: &str| item[name].as_s().unwrap().clone();
    let item = place.item().await.unwrap();
    assert_eq!(attribute(&item, "previous"), shipped());
    assert!(attribute(&item, "toml").contains("max_steps = 20"));

    assert_eq!(place.json(&["policy", "push", "--previous"]), (0, json!({ "outcome": "pushed" })));
    assert_eq!(attribute(&place.item().await.unwrap(), "toml"), shipped());
}

#[tokio::test]
async fn a_policy_with_mistakes_is_not_pushed() {
    let place = Place::after_a_run(&shipped()).await;
    let large = format!("{}\n# {}", shipped(), "x".repeat(150_000));
    for text in ["", "[routing", &shipped().replace("max_steps = 12", "max_steps = 0"), &large] {
        let file = place.write("wrong.toml", text);
        assert_eq!(place.run(&["policy", "push", &file]).0, 1);
    }
    let agents = ["policy", "push", SHIPPED, "--specialists", "general"];
    assert_eq!(place.run(&agents).0, 1);
    assert_eq!(place.run(&["policy", "push", "--previous"]).0, 2, "there is none");
    assert_eq!(place.item().await, None);
}

#[tokio::test]
async fn schema_and_prompt_are_made_from_a_file_or_from_the_table() {
    let place = Place::new();
    assert_eq!(place.run(&["prompt"]).0, 2, "there was no run");
    let of_file = place.run(&["prompt", SHIPPED]);
    assert!(of_file.1.contains("- billing: refunds, invoices, payments, billing disputes"));
    let place = Place::after_a_run(&shipped()).await;
    assert_eq!(place.run(&["prompt"]), of_file);
    let file = place.write("p.toml", &shipped().replace("billing disputes", "billing quarrels"));
    assert_eq!(place.run(&["policy", "push", &file]).0, 0);
    assert!(place.run(&["prompt"]).1.contains("billing quarrels"));
    let (code, said) = place.run(&["schema", "--form", "openapi"]);
    let schema: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(code, 0);
    assert!(schema["paths"]["/invoke_specialist_agent"]["post"].is_object());
}
