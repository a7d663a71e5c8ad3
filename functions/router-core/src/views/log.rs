//! The one line that tells the whole story of a request, without a word of what was asked or
//! answered.

use std::time::Duration;

use tracing::{Span, info};

use super::metrics::overhead;
use super::{Invocation, invocations};
use crate::journal::Entry;
use crate::outcome::Reason;
use crate::units::Timestamp;
use crate::wire::reply::Body;

/// Writes the line, and completes the request's span, at `now`.
pub(crate) fn write(entries: &[Entry], body: &Body, now: Timestamp) {
    complete(&Span::current(), body);
    let invocations = invocations(entries);
    let sum = |of: fn(&Invocation<'_>) -> u64| -> u64 { invocations.iter().map(of).sum() };
    let took: Duration = entries.first().map_or(Duration::ZERO, |first| now.since(first.at));
    let overhead = overhead(entries, &invocations, now);
    info!(
        attempts = body.whole.attempts,
        input_tokens = sum(|invocation| invocation.used.all_input().0),
        output_tokens = sum(|invocation| invocation.used.all_output().0),
        cost_micro_usd = sum(|invocation| invocation.charge.cost.0),
        latency_ms = took.as_millis() as u64,
        overhead_ms = overhead.as_millis() as u64,
        steps_left = body.budget.map(|budget| budget.steps_left),
        tokens_left = body.budget.map(|budget| budget.tokens_left),
        cost_left_micro_usd = body.budget.map(|budget| budget.cost_left.0),
        "request answered"
    );
}

/// The same for a request of which nothing was done.
pub(crate) fn write_rehearsed(body: &Body) {
    complete(&Span::current(), body);
    info!("request rehearsed");
}

/// Completes the request's span with what came of it.
fn complete(span: &Span, body: &Body) {
    span.record("specialist.used", body.whole.specialist.as_deref());
    span.record("status", body.whole.status.as_str());
    span.record("reason", body.whole.reason.map(Reason::as_str));
}
