//! Which requests to DynamoDB fail, and how.

/// One way in which a request to DynamoDB fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Status 500; nothing is applied.
    ServerError,
    /// Status 500, although the request was applied.
    ServerErrorAfterApplying,
    /// Status 500; the request is applied when [`Faults::release`](super::Faults::release) is called.
    ServerErrorThenApplied,
    /// The connection closes without an answer; nothing is applied.
    Close,
    /// The connection closes without an answer, although the request was applied.
    CloseAfterApplying,
    /// No answer until the caller leaves; nothing is applied.
    Hang,
    /// No answer until the caller leaves, although the request was applied.
    HangAfterApplying,
    /// `TransactionConflictException`, with which one write is refused.
    TransactionConflict,
    /// `TransactionCanceledException`, with `TransactionConflict` as the reason of the first item.
    TransactionCanceled,
    /// `ProvisionedThroughputExceededException`.
    ThroughputExceeded,
    /// `ThrottlingException`.
    Throttling,
}

impl Fault {
    /// Lets the next request of this operation (`UpdateItem`, `TransactWriteItems`, …) fail.
    pub fn on(self, operation: &str) -> FaultRule {
        FaultRule {
            operation: operation.to_owned(),
            containing: String::new(),
            after: 0,
            times: 1,
            fault: self,
        }
    }
}

/// Which requests fail, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRule {
    operation: String,
    containing: String,
    after: usize,
    times: usize,
    fault: Fault,
}

impl FaultRule {
    /// Lets the first `count` of the requests pass.
    pub fn after(self, count: usize) -> Self {
        Self { after: count, ..self }
    }

    /// Lets `times` requests fail, one after the other.
    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// Counts only requests whose JSON contains this text.
    pub fn containing(self, text: &str) -> Self {
        Self { containing: text.to_owned(), ..self }
    }

    /// How many more requests it lets fail.
    pub(super) fn left(&self) -> usize {
        self.times
    }

    /// How the request fails, if it does by this rule, which has been used once more then.
    pub(super) fn strike(&mut self, operation: &str, body: &[u8]) -> Option<Fault> {
        let is_meant = self.times > 0 && self.operation == operation;
        if !is_meant || !contains(body, self.containing.as_bytes()) {
            return None;
        }
        if self.after > 0 {
            self.after -= 1;
            return None;
        }
        self.times -= 1;
        Some(self.fault)
    }
}

fn contains(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|window| window == text)
}
