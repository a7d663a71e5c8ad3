//! Parts of a request, kept apart so that a panic in one takes nothing else with it.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tracing::error;

/// Runs a part of a request; `None`: it panicked, which the panic hook has logged.
pub(crate) async fn guarded<T>(part: &'static str, work: impl Future<Output = T>) -> Option<T> {
    // Boxed, since futures around calls of an SDK are many kilobytes, moved at each layer.
    let worked = AssertUnwindSafe(Box::pin(work)).catch_unwind().await;
    if worked.is_err() {
        error!(part, "a part of the request panicked");
    }
    worked.ok()
}
