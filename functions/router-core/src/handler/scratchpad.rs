//! `read_scratchpad`: what specialists and people have written down, for the supervisor.

use futures_util::future::join;
use serde_json::{Map, Value, json};
use tracing::{error, warn};

use crate::budget::purse::Purse;
use crate::deadline;
use crate::error::chain;
use crate::escalation::ticket_of;
use crate::ledger::ReserveError;
use crate::outcome::{Reason, Status};
use crate::ports::Ports;
use crate::request::Request;
use crate::scratchpad::{Pad, Scratchpad};
use crate::views::{body, messages};
use crate::wire::reply::{Body, TaskBody};
use crate::wire::tools::ReadScratchpad;

/// Reads keys of the session's scratchpad. It costs nothing, and only who may use the session gets
/// to see it.
pub(super) async fn read_scratchpad<P: Ports>(
    request: Request<'_, P>,
    read: &ReadScratchpad,
) -> Body {
    let whole = match found(request, read).await {
        Ok(answer) => {
            let answer = Some(Value::Object(answer).to_string());
            TaskBody { answer, ..TaskBody::new(Status::Answered) }
        }
        Err((reason, message)) => TaskBody::refused(reason, message),
    };
    request.journal.read(|entries| body::with_session(Body::from(whole), entries, request.policy))
}

async fn found<P: Ports>(
    request: Request<'_, P>,
    read: &ReadScratchpad,
) -> Result<Map<String, Value>, (Reason, String)> {
    let is_key = |key: &&str| request.policy.pad_key(key).is_some() || ticket_of(key).is_some();
    let keys: Vec<&str> = read.keys.iter().map(String::as_str).filter(is_key).collect();
    let (session, now) = (&request.caller.root, request.now());
    let within = deadline::before_call(request.remaining());
    let purse = Purse(request);
    let reading = request.ports.scratchpad().read(session, &keys, now, within);
    let (looked, pads) = join(purse.look(within), reading).await;
    let unavailable = || (Reason::LedgerUnavailable, messages::scratchpad_unavailable());
    let account = looked.map_err(|failure| match failure {
        ReserveError::OtherTenant => (Reason::BadRequest, messages::not_yours("tenant")),
        ReserveError::OtherUser => (Reason::BadRequest, messages::not_yours("user")),
        failure => {
            error!(error = chain(&failure), "the scratchpad is not read");
            unavailable()
        }
    })?;
    let mut pads = pads.map_err(|failure| {
        warn!(error = chain(&failure), "the scratchpad is not read");
        unavailable()
    })?;
    let value = |key: &String| {
        // What is left of a session that is over is nobody's.
        let pad = pads.remove(key).and_then(|seen| seen.pad).filter(|_| account.is_some());
        (key.clone(), pad.map_or(Value::Null, |pad| told(&pad)))
    };
    Ok(read.keys.iter().map(value).collect())
}

fn told(pad: &Pad) -> Value {
    json!({ "value": pad.as_json(), "writer": pad.writer, "version": pad.version })
}
