//! The program as a person or a script runs it: what it says, and with which exit code.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use stand_ins::table::Table;
use tempfile::TempDir;

/// A folder for a test's files, with a copy of the program that keeps its last run there.
struct Place {
    folder: TempDir,
}

/// What the program said, and its exit code.
struct Said {
    out: String,
    error: String,
    code: Option<i32>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        // The mark of a target folder.
        fs::write(folder.path().join("CACHEDIR.TAG"), "").unwrap();
        fs::hard_link(env!("CARGO_BIN_EXE_sandbox"), folder.path().join("sandbox-copy")).unwrap();
        Self { folder }
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn run(&self, arguments: &[&str]) -> Said {
        let mut program = Command::new(self.folder.path().join("sandbox-copy"));
        let output = program.args(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Said { out: text(output.stdout), error: text(output.stderr), code: output.status.code() }
    }

    /// Whether the last run left a table with this session.
    fn has_session(&self, id: &str) -> bool {
        let file = self.folder.path().join("sandbox/table.db");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            // Opening makes the file where there is none.
            if !file.is_file() {
                return false;
            }
            let table = Table::open(&file).await.unwrap();
            table.session_budget(id).await.is_ok_and(|budget| budget.is_some())
        })
    }
}

impl Said {
    /// What it says went wrong, without what cargo writes while it builds the function.
    fn failure(&self) -> &str {
        self.error.find("error: ").map_or("", |start| &self.error[start..])
    }
}

fn event(name: &str) -> String {
    let events = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events");
    let path: PathBuf = events.join(name).with_extension("json");
    path.to_str().unwrap().to_owned()
}

#[test]
fn an_event_is_as_expected_only_where_something_says_what_to_expect() {
    let place = Place::new();
    let unknown = place.write("foo.json", r#"{"foo":1}"#);
    let broken = place.write("broken.json", r#"{"function": "#);
    let said = place.run(&[&unknown, &broken]);
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(said.out.ends_with("\n0 of 2 events as expected\n"), "{}", said.out);
    assert!(said.out.contains("event: expected `function`, `apiPath`"), "{}", said.out);

    let expected = place.write("expected/foo.json", r#"{"about":"a","error":"UnknownEventForm"}"#);
    let said = place.run(&[&unknown]);
    assert_eq!((said.code, said.out.contains("1 of 1 event as expected")), (Some(0), true));
    fs::write(expected, r#"{"about":"a","error":"UnknownEventForm","calls":["orders"]}"#).unwrap();
    assert_eq!(place.run(&[&unknown]).code, Some(1));

    let alone = place.write("alone.json", fs::read(event("general")).unwrap());
    let said = place.run(&[&alone]);
    assert_eq!(said.code, Some(0), "{}", said.out);
    assert!(!said.out.contains("as expected"), "{}", said.out);
    assert!(said.out.contains("1 event with a valid reply, not compared"), "{}", said.out);
}

#[test]
fn a_run_that_does_not_start_says_why_and_leaves_the_last_run_alone() {
    let place = Place::new();
    let billing = event("billing");
    assert!(!place.has_session("5f1c0a52-billing"), "there is no run yet");
    assert_eq!(place.run(&[&billing]).code, Some(0));
    let has_the_last_run = || place.has_session("5f1c0a52-billing");
    assert!(has_the_last_run());

    let policy = place.write("policy.toml", "[routing]\nfallback = \"generel\"\n[session]\n");
    let no_toml = place.write("no.toml", "[routing");
    let long = place.write("long.toml", "#".repeat(200_000));
    let script = place.write("agents.toml", "x = 1");
    let unreadable = place.write("bytes.toml", b"\xff");
    let expectation = place.write("a.json", "{}");
    place.write("expected/a.json", r#"{"about":"a","bodi":{}}"#);
    let elsewhere = place.write("b.json", "{}");
    place.write("expected/b.json", r#"{"about":"b","calls":[],"function":"other-router"}"#);
    let in_use = TcpListener::bind("127.0.0.1:0").unwrap();
    let in_use = in_use.local_addr().unwrap();
    // The first of three in a row is free or not; the last is in use.
    let (address, first) = (in_use.to_string(), format!("127.0.0.1:{}", in_use.port() - 2));
    for (arguments, reason) in [
        (&["--policy", &policy][..], "`routing.fallback` is \"generel\": it must name"),
        (&["--policy", &no_toml], "`ROUTING_POLICY` is not TOML, line 1"),
        (&["--policy", &long], "the function's process cannot be started"),
        (&["--policy", "nowhere.toml"], "cannot read nowhere.toml"),
        (&["--agents", &script], "the agents' script has mistakes"),
        (&["--agents", &unreadable], "cannot read"),
        (&["--fail", "nobody=hang"], "there is no specialist `nobody`"),
        (&["--listen", &address], &address),
        (&["--listen", &first], "127.0.0.1:"),
        (&["--listen", "127.0.0.1:65535"], "the stand-ins need 4 ports in a row"),
        (&["--invoke", "no-such-program"], "there is no program no-such-program"),
        (&["nowhere.json"], "cannot read nowhere.json"),
        (&[&expectation], "unknown field `bodi`"),
        (&[&elsewhere], "b goes to the function `other-router`; there is only supervisor-router"),
    ] {
        let said = place.run(&[&[&*billing], arguments].concat());
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.error);
        let failure = said.failure();
        assert!(failure.contains(reason), "{arguments:?}: {}", said.error);
        assert!(!failure.contains("{\""), "for people: {failure}");
        assert!(has_the_last_run(), "after {arguments:?}");
    }
    assert_eq!(place.run(&[&event("general")]).code, Some(0));
    assert!(!has_the_last_run(), "a run that starts begins anew");
}

#[test]
fn requests_make_as_many_calls_as_they_must() {
    let place = Place::new();
    let said = place.run(&["bench", "--short"]);
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.error);
    let ordinary = "1 Bedrock.InvokeAgent, 1 CloudWatch.PutMetricData, 2 DynamoDB.UpdateItem";
    assert!(said.out.contains(&format!("ordinary request, 4 specialists: {ordinary}")));
    assert!(!said.out.contains("!!"), "{}", said.out);
}

#[test]
fn another_roster_is_a_policy_and_a_list_of_agents() {
    let roster = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rosters/logistics");
    let file = |name: &str| roster.join(name).to_str().unwrap().to_owned();
    let said = Place::new().run(&[
        "--policy",
        &file("routing.toml"),
        "--agents",
        &file("agents.toml"),
        &file("events/shipment.json"),
        &file("events/billing.json"),
        &file("events/stock.json"),
        &file("events/written-stock.json"),
        &file("events/credit-limit.json"),
    ]);
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.error);
    assert!(said.out.contains("5 of 5 events as expected"), "{}", said.out);
}

#[test]
fn a_run_goes_on_where_the_last_one_ended() {
    let place = Place::new();
    let next = event("escalation-next");
    let said = place.run(&["--go-on", &next]);
    assert_eq!((said.code, said.failure().contains("table.db")), (Some(2), true), "{}", said.error);
    assert_eq!(place.run(&[&event("escalation-asked")]).code, Some(0));
    let said = place.run(&["--go-on", &next]);
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.error);
    assert!(said.out.contains("1 × ESCALATION"), "what was asked is still there: {}", said.out);
}
