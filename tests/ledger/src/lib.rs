//! The budget ledger, and the circuits beside it, on real DynamoDB implementations, with everything going wrong that can.
//!
//! Most tests drive `router_aws::DynamoLedger` directly, with times of their own,
//! and look at the items afterwards: what is asserted is always what was charged. Those of
//! `processes` drive the whole product in real function processes, some of which are killed.
//!
//! Each test has a table of its own in the DynamoDB emulator that the sandbox embeds. With
//! `LEDGER_TEST_MINISTACK=1` all of them run once more, on
//! ministack, an implementation by other people, so that
//! the ledger is not tuned to one. `tests/ministack/install` installs it;
//! `LEDGER_TEST_MINISTACK=only` leaves the first run out.

#![cfg(test)]

mod agreement;
mod books;
mod circuits;
mod concurrency;
mod expiry;
mod faults;
mod limits;
mod ministack;
mod operator;
mod owners;
mod payer;
mod processes;
mod property;
mod repeats;
mod requests;
mod retries;
mod several;
mod size;
mod table;
mod tenants;
