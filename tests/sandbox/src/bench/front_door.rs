//! What the front door adds to its supervisor's own time.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use stand_ins::supervisors::{FRONT_DOOR, Kind, routing, with_front_door};
use stand_ins::{Options, Sandbox};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::BenchError;
use super::process::Usage;
use super::spread::{Latency, Spread, micros};
use super::subject::Subject;

/// Requests that are measured, of each of two kinds, and those before them.
const REQUESTS: usize = 300;
const WARM_UP: usize = 20;
/// Requests of each kind in a session.
const IN_SESSION: usize = 5;
const STARTS: usize = 10;

/// A front door with a supervisor of one kind, which answers by itself, or asks one specialist and then
/// answers; agents answer at once.
#[derive(Debug, Serialize)]
pub(super) struct Door {
    /// What plays the supervisor.
    pub(super) supervisor: &'static str,
    pub(super) requests: usize,
    /// What is left of a request's time without that in which stand-ins of agents were at work: of one
    /// that the supervisor answers in its first round.
    pub(super) round_us: Latency,
    /// The same of one for which it asks a specialist first: two rounds, and what the router adds to the
    /// specialist.
    pub(super) with_specialist_us: Latency,
    /// From when the supervisor was asked the last time to when the first of its text was at the client.
    pub(super) first_text_us: Latency,
    /// From the process's start to its first poll of the Runtime API.
    pub(super) start_us: Spread,
    pub(super) peak_kib: u64,
}

pub(super) async fn measure(function: &Subject) -> Result<Vec<Door>, BenchError> {
    let mut doors = Vec::new();
    for kind in [Kind::Harness, Kind::Model] {
        doors.push(of(function, kind).await?);
    }
    Ok(doors)
}

async fn of(function: &Subject, kind: Kind) -> Result<Door, BenchError> {
    let replies = routing(kind).replace("delay_ms = 20", "delay_ms = 0");
    let alone = format!(
        "[[supervisor.replies]]\nwhen = \"{ALONE}\"\nanswer = \"Good morning to you, what can I do?\"\n\
         chunks = 6\nusage = [{{ input = 900, output = 60 }}]\n"
    );
    let replies = alone + &replies;
    let options = with_front_door(kind, &replies, Options::default());
    let mut options = options.map_err(stand_ins::SandboxError::from)?;
    let only = BTreeMap::from_iter(options.functions.remove_entry(FRONT_DOOR));
    options.functions = only;
    for of_function in options.functions.values_mut() {
        of_function.executable = Some(function.executable.clone());
        of_function.env.extend(function.env.clone());
    }
    let sandbox = Sandbox::start(options).await?;
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        sandbox.renew_processes().await?;
        starts.extend(sandbox.processes().iter().map(|process| micros(process.started_in)));
    }
    let (mut rounds, mut with_specialist) = (Vec::new(), Vec::new());
    let mut first_texts = Vec::new();
    for number in 0..WARM_UP + REQUESTS {
        let alone = ask(&sandbox, number, ALONE).await?;
        let both = ask(&sandbox, number, "I have lost my password.").await?;
        if number >= WARM_UP {
            rounds.push(alone.overhead);
            with_specialist.push(both.overhead);
            first_texts.extend([alone.first_text, both.first_text]);
        }
    }
    let ids = sandbox.processes().into_iter().map(|process| process.id);
    let Usage { peak_kib, .. } = Usage::of(ids).map_err(BenchError::Process)?;
    sandbox.stop().await;
    Ok(Door {
        supervisor: kind.name(),
        requests: REQUESTS,
        round_us: Latency::of(&rounds),
        with_specialist_us: Latency::of(&with_specialist),
        first_text_us: Latency::of(&first_texts),
        start_us: Spread::of(starts),
        peak_kib,
    })
}

/// What the supervisor answers by itself.
const ALONE: &str = "Good morning!";

struct Asked {
    overhead: Duration,
    first_text: Duration,
}

async fn ask(sandbox: &Sandbox, number: usize, input: &str) -> Result<Asked, BenchError> {
    // A tenant's day has room for so many sessions and a few more.
    let tenant = format!("bench-{}", number / 50);
    let body = json!({
        "input": input,
        "session_id": format!("bench-{}", number / IN_SESSION),
        "attributes": { "tenant_id": tenant },
    });
    let event = json!({
        "version": "2.0",
        "headers": { "accept": "text/event-stream" },
        "requestContext": { "http": { "method": "POST", "path": "/" } },
        "body": body.to_string(),
    });
    let before = sandbox.agents().calls().len();
    let (sender, mut pieces) = mpsc::unbounded_channel();
    let (began, began_at) = (Instant::now(), sandbox.agents().elapsed());
    let asking = sandbox.stream(FRONT_DOOR, event.to_string(), sender);
    let listening = async {
        let (mut first_text, mut done, mut all) = (None, None, String::new());
        while let Some(piece) = pieces.recv().await {
            // A piece may hold several events.
            all.push_str(&String::from_utf8_lossy(&piece));
            if all.contains("event: text") {
                first_text.get_or_insert_with(|| began.elapsed());
            }
            if all.contains("event: done") {
                done.get_or_insert_with(|| began.elapsed());
            }
        }
        first_text.zip(done).ok_or(all)
    };
    let (_, heard) = tokio::join!(asking, listening);
    let (first_text, done) = heard.map_err(BenchError::NotAnswered)?;
    let calls = sandbox.agents().calls().split_off(before);
    let at_work: Duration = calls.iter().filter_map(|call| call.took).sum();
    let last = calls.iter().rfind(|call| call.specialist == "supervisor");
    let asked_at = last.map_or(Duration::ZERO, |call| call.began.saturating_sub(began_at));
    Ok(Asked {
        overhead: done.saturating_sub(at_work),
        first_text: first_text.saturating_sub(asked_at),
    })
}
