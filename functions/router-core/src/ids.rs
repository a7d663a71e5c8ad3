//! Names and identities that everything else uses.
//!
//! Each is checked when it is made, so a value is valid wherever it turns up.

mod lane;
mod session;
mod ticket;

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

pub use lane::{Lane, specialist_session_id};
pub use session::{MAX_SESSION_ID_BYTES, RootSession, SessionError, SessionMark, Tenant, UserMark};
pub use ticket::{TaskMark, Ticket};

/// The longest path of a specialist.
const MAX_PATH_BYTES: usize = 100;

/// The name of a specialist, or its path where it stands on a lower level: names with `/` between
/// them, each a letter and then letters, digits, `-` and `_`, 40 at most, and 100 characters in all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpecialistName(Arc<str>);

impl SpecialistName {
    /// Reads a name or a path; `None` when it is not one.
    pub fn parse(path: &str) -> Option<Self> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_name = |name: &str| {
            (1..=40).contains(&name.len())
                && name.starts_with(|first: char| first.is_ascii_alphabetic())
                && name.bytes().all(is_part)
        };
        let is_valid = path.len() <= MAX_PATH_BYTES && path.split('/').all(is_name);
        is_valid.then(|| Self(path.into()))
    }

    /// The path of the specialist of this name on the level below; `None` when it is not a name, or
    /// makes the path too long.
    pub fn below(&self, name: &str) -> Option<Self> {
        if name.contains('/') { None } else { Self::parse(&format!("{self}/{name}")) }
    }

    /// On which level it stands, from 1.
    pub fn level(&self) -> usize {
        self.0.split('/').count()
    }

    /// Whether it stands somewhere below `other`.
    pub fn is_below(&self, other: &Self) -> bool {
        self.0.strip_prefix(&*other.0).is_some_and(|rest| rest.starts_with('/'))
    }

    /// A name that stands in for one that was reported as a mistake. No policy has it.
    pub(crate) fn placeholder() -> Self {
        Self("".into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SpecialistName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The ids of settled holds are remembered in this many places, so that a session's item stays
/// small. A duplicate that arrives after its place was used again becomes a hold that expires:
/// charged too much, never too little.
pub const RECENT_IDS: u64 = 16;

/// The identity of one hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HoldId {
    text: String,
    place: u64,
}

impl HoldId {
    /// The id of the hold for the `invocation`th invocation of the `task`th task of one
    /// execution of a Lambda request. It never depends on content: two equal requests are two
    /// charges, and so are two executions of one request that Lambda delivers twice.
    pub fn new(execution_id: &str, task: usize, invocation: usize) -> Self {
        let text = format!("{execution_id}/{task}/{invocation}");
        let number = (task as u64).wrapping_add(7_u64.wrapping_mul(invocation as u64));
        let place = fnv1a(execution_id).wrapping_add(number) % RECENT_IDS;
        Self { text, place }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// In which of [`RECENT_IDS`] places the id is remembered after its hold was settled. The
    /// first holds of up to so many tasks of one request have a place each.
    pub fn place(&self) -> u64 {
        self.place
    }

    /// A number that is the same whenever it is asked for, and hardly ever that of another id.
    pub fn spread(&self) -> u64 {
        fnv1a(&self.text)
    }
}

/// Spreads texts over numbers (FNV-1a, 64 bits).
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// What is asked of whom, so that a repetition can be recognised without keeping the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of asking `specialist` for `request`. Upper case, lower case and white
    /// space make no difference.
    pub fn of(specialist: &SpecialistName, request: &str) -> Self {
        Self(digest(specialist.as_str(), request))
    }

    /// The fingerprint of a pipeline whose stages ask these specialists, as the model names them,
    /// for these requests.
    pub fn of_pipeline<'a>(stages: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let stages: Vec<String> = stages.map(|(name, request)| digest(name, request)).collect();
        Self(digest("pipeline", &stages.join(" ")))
    }

    /// Reads a fingerprint that was written down; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let valid = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        valid.then(|| Self(text.to_owned()))
    }

    /// The fingerprint as 32 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// 32 hexadecimal digits of asking `name` for `request`, however it is spaced and capitalised.
fn digest(name: &str, request: &str) -> String {
    let words: Vec<String> = request.split_whitespace().map(str::to_lowercase).collect();
    let mut digest = hex_digest(&format!("{name}/{}", words.join(" ")));
    digest.truncate(32);
    digest
}

/// A SHA-256 digest in hexadecimal digits.
pub(crate) fn hex_digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_is_recognised_whatever_its_case_and_spacing() {
        let of = |name: &str, request: &str| {
            Fingerprint::of(&SpecialistName::parse(name).unwrap(), request)
        };
        assert_eq!(of("orders", "Where is  it?\n"), of("orders", " where IS it?"));
        assert_ne!(of("orders", "Where is it?"), of("billing", "Where is it?"));
        assert_ne!(of("orders", "Where is it?"), of("orders", "Whereis it?"));
    }

    #[test]
    fn a_specialists_name_begins_with_a_letter_and_has_40_characters_at_most() {
        let longest = "a".repeat(40);
        for name in ["a", "Z9", "b-c_1", &longest] {
            assert_eq!(SpecialistName::parse(name).unwrap().as_str(), name);
        }
        let too_long = "a".repeat(41);
        for name in ["", "1a", "-a", "_a", "a b", "é", &too_long] {
            assert_eq!(SpecialistName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_path_is_names_with_slashes_and_has_100_characters_at_most() {
        let billing = SpecialistName::parse("billing").unwrap();
        let refund = billing.below("refund").unwrap();
        assert_eq!((refund.as_str(), refund.level(), billing.level()), ("billing/refund", 2, 1));
        assert!(refund.is_below(&billing) && !billing.is_below(&billing));
        assert!(!SpecialistName::parse("billings/refund").unwrap().is_below(&billing));
        for name in ["", "1a", "a/b", "/", "a b"] {
            assert_eq!(billing.below(name), None, "{name}");
        }
        for path in ["/a", "a/", "a//b", "a/1", "a/b/"] {
            assert_eq!(SpecialistName::parse(path), None, "{path}");
        }
        let [part, rest] = [40, 18].map(|length| "a".repeat(length));
        assert!(SpecialistName::parse(&format!("{part}/{part}/{rest}")).is_some());
        assert!(SpecialistName::parse(&format!("{part}/{part}/{rest}a")).is_none());
    }

    #[test]
    fn a_fingerprint_is_read_as_it_was_written_and_nothing_else_is_one() {
        let billing = SpecialistName::parse("billing").unwrap();
        let fingerprint = Fingerprint::of(&billing, "Where is it?");
        assert_eq!(fingerprint.as_str().len(), 32);
        assert_eq!(Fingerprint::parse(fingerprint.as_str()), Some(fingerprint.clone()));
        let text = fingerprint.as_str();
        for other in [&text[1..], &format!("{text}0"), &format!("{}g", &text[1..])] {
            assert_eq!(Fingerprint::parse(other), None, "{other}");
        }
    }

    #[test]
    fn texts_are_spread_as_fnv_1a_does() {
        // The test vectors of the algorithm's authors.
        assert_eq!(fnv1a(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a("foobar"), 0x8594_4171_f739_67e8);
        let spread = |invocation| HoldId::new("r", 0, invocation).spread();
        assert_eq!(spread(1), fnv1a("r/0/1"));
        assert_ne!(spread(1), spread(2));
    }
}
