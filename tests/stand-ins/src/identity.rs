//! The names that AWS would make up: account, region, request ids, trace ids.

use std::hash::{BuildHasher, RandomState};
use std::time::SystemTime;

use crate::clock;

/// The account in every ARN of the sandbox, the one of AWS's own examples.
pub(crate) const ACCOUNT: &str = "123456789012";

/// The region that the functions believe to run in.
pub(crate) const REGION: &str = "us-east-1";

/// The ARN of a function.
pub(crate) fn function_arn(name: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}")
}

/// A random id in the form of a version 4 UUID.
pub(crate) fn uuid() -> String {
    let (high, low) = (random(), random());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        (low >> 48) & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    )
}

/// A `lambda-runtime-trace-id` as Lambda sends it, sampled.
pub(crate) fn trace_id(now: SystemTime) -> String {
    let seconds = clock::unix_millis(now) / 1000;
    let root = random() >> 32;
    format!("Root=1-{seconds:08x}-{root:08x}{:016x};Parent={:016x};Sampled=1", random(), random())
}

/// Each `RandomState` has keys of its own, so each hash of nothing differs.
fn random() -> u64 {
    RandomState::new().hash_one(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_have_the_form_of_a_uuid_and_differ() {
        let id = uuid();
        let lengths: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
        assert_ne!(id, uuid());
    }
}
