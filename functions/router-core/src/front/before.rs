//! A request that goes to what was there before the supervisor.

use tracing::warn;

use super::told::Told;
use super::{End, FrontPorts, Question, Shared};
use crate::deadline;
use crate::error::chain;
use crate::invocation::InvokeError;
use crate::journal::Fact;
use crate::policy::Split;
use crate::request::Request;
use crate::split::{Inquiry, Predecessor};

/// Asks the predecessor once, and passes its answer on.
pub(super) async fn ask<F: FrontPorts>(
    shared: &Shared<'_, F>,
    split: &Split,
    question: &Question,
) -> End {
    let Request { ports, caller, journal, .. } = shared.request;
    let inquiry = Inquiry {
        current: &split.current,
        request: question.as_it_came(),
        input: &question.input,
        session: &caller.root,
        attributes: &caller.attributes,
        timeout: deadline::before_call(shared.request.remaining()),
    };
    let asked = ports.predecessor().ask(&inquiry).await;
    let cost = asked.as_ref().ok().and_then(|answer| answer.cost);
    let failure = asked.as_ref().err().map(InvokeError::reason);
    journal.add(shared.request.now(), Fact::PredecessorAnswered { cost, failure });
    match asked {
        Ok(answer) => {
            (shared.told)(Told::Text(&answer.text));
            End::answered(answer.text)
        }
        Err(error) => {
            warn!(error = chain(&error), "what was there before the supervisor did not answer");
            End::failed(error.reason())
        }
    }
}
