//! The record of what the stand-in agents were asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::fault::Fault;

/// One request that reached a scripted agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The specialist's name in the script.
    pub specialist: String,
    /// The agent as the script has it: `AGENTID/ALIASID`, `model:ID`, or an ARN.
    pub agent: String,
    /// The region that it was signed for; `None` of a request without a signature.
    pub region: Option<String>,
    /// The session of the agent, as it reads after percent-decoding; a model has none.
    pub session_id: String,
    /// What the agent was asked.
    pub input_text: String,
    /// The session attributes that came with it.
    pub session_attributes: BTreeMap<String, String>,
    /// Whether traces were asked for, which only Bedrock has.
    pub enable_trace: bool,
    /// The header `traceparent`, by which the agent's side joins a trace.
    pub trace_parent: Option<String>,
    /// The header `baggage`.
    pub baggage: Option<String>,
    /// All of the request's body.
    pub body: serde_json::Value,
    /// The injected fault that struck it; a fault of the script is none.
    pub injected: Option<Fault>,
    /// How far the call has come.
    pub ending: Ending,
    /// When it arrived, since the agents were started.
    pub began: Duration,
    /// How long it took; `None`: it runs.
    pub took: Option<Duration>,
}

/// How a call ended, if it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It runs.
    Running,
    /// The script was played to its end, be that an answer or a fault.
    Played,
    /// The caller left before that.
    CallerLeft,
}

/// All calls so far, and how many ran at once.
#[derive(Debug)]
pub(super) struct CallLog {
    started: Instant,
    inner: Mutex<Inner>,
    count: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Inner {
    calls: Vec<Call>,
    concurrency: BTreeMap<String, Concurrency>,
    used: BTreeMap<(String, usize), u32>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Concurrency {
    now: usize,
    greatest: usize,
}

impl CallLog {
    pub(super) fn new() -> Self {
        let (inner, count) = (Mutex::default(), watch::Sender::new(0));
        Self { started: Instant::now(), inner, count }
    }

    /// The time since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Records `call` as running from now on, until the answer is finished or dropped.
    pub(super) fn open(self: &Arc<Self>, call: Call) -> OpenCall {
        let call = Call { began: self.started.elapsed(), ..call };
        let mut inner = self.lock();
        let concurrency = inner.concurrency.entry(call.session_id.clone()).or_default();
        concurrency.now += 1;
        concurrency.greatest = concurrency.greatest.max(concurrency.now);
        let index = inner.calls.len();
        inner.calls.push(call);
        drop(inner);
        self.count.send_replace(index + 1);
        OpenCall { log: Arc::clone(self), index, ending: Ending::CallerLeft }
    }

    /// Whether a specialist's reply may be used once more; if so, it has been.
    pub(super) fn take_turn(&self, specialist: &str, reply: usize, times: Option<u32>) -> bool {
        let Some(times) = times else { return true };
        let mut inner = self.lock();
        let used = inner.used.entry((specialist.to_owned(), reply)).or_default();
        let free = *used < times;
        if free {
            *used += 1;
        }
        free
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    pub(super) fn greatest_at_once(&self, session_id: &str) -> usize {
        self.lock().concurrency.get(session_id).map_or(0, |concurrency| concurrency.greatest)
    }

    pub(super) async fn wait_for(&self, count: usize) {
        // It cannot fail: the sender lives as long as `self`.
        let _ = self.count.subscribe().wait_for(|calls| *calls >= count).await;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change is complete in itself, so a panic elsewhere leaves nothing half-done.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that runs. Dropping it means that the caller has left.
#[derive(Debug)]
pub(super) struct OpenCall {
    log: Arc<CallLog>,
    index: usize,
    ending: Ending,
}

impl OpenCall {
    /// The script was played to its end.
    pub(super) fn finish(mut self) {
        self.ending = Ending::Played;
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let now = self.log.started.elapsed();
        let mut inner = self.log.lock();
        let Some(call) = inner.calls.get_mut(self.index) else { return };
        call.ending = self.ending;
        call.took = Some(now.saturating_sub(call.began));
        let session_id = call.session_id.clone();
        if let Some(concurrency) = inner.concurrency.get_mut(&session_id) {
            concurrency.now -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(session_id: &str) -> Call {
        Call {
            specialist: "billing".into(),
            agent: "A/B".into(),
            region: None,
            session_id: session_id.into(),
            input_text: String::new(),
            session_attributes: BTreeMap::new(),
            enable_trace: false,
            trace_parent: None,
            baggage: None,
            body: serde_json::Value::Null,
            injected: None,
            ending: Ending::Running,
            began: Duration::ZERO,
            took: None,
        }
    }

    #[test]
    fn calls_at_once_are_counted_for_each_session() {
        let log = Arc::new(CallLog::new());
        let first = log.open(call("one"));
        let second = log.open(call("one"));
        drop(log.open(call("two")));
        first.finish();
        drop(second);
        drop(log.open(call("one")));
        assert_eq!(log.greatest_at_once("one"), 2);
        assert_eq!(log.greatest_at_once("two"), 1);
        assert_eq!(log.greatest_at_once("three"), 0);
    }

    #[test]
    fn a_call_knows_whether_it_was_played_or_left() {
        let log = Arc::new(CallLog::new());
        log.open(call("s")).finish();
        drop(log.open(call("s")));
        let _running = log.open(call("s"));
        let endings: Vec<Ending> = log.calls().iter().map(|call| call.ending).collect();
        assert_eq!(endings, [Ending::Played, Ending::CallerLeft, Ending::Running]);
    }

    #[test]
    fn a_reply_is_used_as_often_as_its_times_allow() {
        let log = CallLog::new();
        let turns: Vec<bool> = (0..3).map(|_| log.take_turn("billing", 0, Some(2))).collect();
        assert_eq!(turns, [true, true, false]);
        assert!(log.take_turn("billing", 1, Some(1)), "each reply counts for itself");
    }
}
