//! Whose budget pays: sessions, tenants, users.

use std::fmt;

use sha2::{Digest, Sha256};

use super::hex_digest;

/// How the name of a gateway's session begins.
const GATEWAY: &str = "gateway/";

/// What stands before the name of a root session that would be taken for a gateway's.
const ROOT: &str = "root/";

/// The longest session id that is accepted, in bytes.
pub const MAX_SESSION_ID_BYTES: usize = 1_024;

/// The session that a budget belongs to, by the name under which it
/// is kept.
///
/// That is its id, but for two kinds. A gateway's session `x` is `gateway/x`. A root session
/// whose own id is `gateway/…`, or `gateway/…` after one `root/` or more, is kept with one
/// `root/` more. So no two sessions have one name, and every other id is a name as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RootSession(String);

impl RootSession {
    /// The root session with this id: any text of 1 to 1,024 bytes.
    ///
    /// # Errors
    ///
    /// A [`SessionError`] that names `place`, where the id was found.
    pub fn parse(place: &'static str, id: &str) -> Result<Self, SessionError> {
        check_length(place, id)?;
        Ok(Self(if is_like_a_gateways(id) { format!("{ROOT}{id}") } else { id.to_owned() }))
    }

    /// The session whose name another router has passed on.
    ///
    /// # Errors
    ///
    /// A [`SessionError`] that names `place`, where the name was found.
    pub fn passed_on(place: &'static str, name: &str) -> Result<Self, SessionError> {
        // The id does not pay for a prefix of ours.
        let without_prefix = name.strip_prefix(ROOT).or_else(|| name.strip_prefix(GATEWAY));
        let id = without_prefix.filter(|_| is_like_a_gateways(name)).unwrap_or(name);
        check_length(place, id)?;
        Ok(Self(name.to_owned()))
    }

    /// The session of a gateway's call, whose `id` no application vouches for.
    ///
    /// # Errors
    ///
    /// A [`SessionError`] that names `place`, where the id was found.
    pub(crate) fn of_gateway(place: &'static str, id: &str) -> Result<Self, SessionError> {
        check_length(place, id)?;
        Ok(Self(format!("{GATEWAY}{id}")))
    }

    /// Whether its id came through a gateway, and no application vouches for it.
    pub fn is_gateways(&self) -> bool {
        self.0.starts_with(GATEWAY)
    }

    /// The name under which it is kept.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of a root session that was not passed on by another router.
    pub(crate) fn id(&self) -> &str {
        self.0.strip_prefix(ROOT).filter(|id| is_like_a_gateways(id)).unwrap_or(&self.0)
    }

    /// A short mark by which sessions are told apart where their names are not needed.
    pub fn mark(&self) -> SessionMark {
        let [one, two, three, four, ..] = <[u8; 32]>::from(Sha256::digest(&self.0));
        SessionMark(u32::from_be_bytes([one, two, three, four]))
    }
}

/// Whether a name is that of a gateway's session, or is only kept from being it by `root/`.
fn is_like_a_gateways(name: &str) -> bool {
    name.trim_start_matches(ROOT).starts_with(GATEWAY)
}

fn check_length(place: &'static str, id: &str) -> Result<(), SessionError> {
    match id.len() {
        0 => Err(SessionError::Empty { place }),
        1..=MAX_SESSION_ID_BYTES => Ok(()),
        bytes => Err(SessionError::TooLong { place, bytes }),
    }
}

/// The first 32 bits of a digest of a session's name. Two sessions hardly ever share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionMark(u32);

impl SessionMark {
    /// Reads a mark that was written down; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        u32::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for SessionMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Display for RootSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why an event does not say whose budget it is to be charged to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// There is no session id at all.
    #[error("`{place}` is missing; it must be a string of 1 to 1024 bytes")]
    Missing {
        /// The field or attribute that was looked at.
        place: &'static str,
    },
    /// The session id is the empty string.
    #[error("`{place}` is empty; it must be a string of 1 to 1024 bytes")]
    Empty {
        /// The field or attribute that was looked at.
        place: &'static str,
    },
    /// The session id is longer than 1,024 bytes.
    #[error("`{place}` has {bytes} bytes; it must be a string of 1 to 1024 bytes")]
    TooLong {
        /// The field or attribute that was looked at.
        place: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// A field holds another kind of JSON value than it must.
    #[error("`{place}` is {found}; it must be {expected}")]
    WrongKind {
        /// The field that was looked at.
        place: &'static str,
        /// The kind of value that was found.
        found: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// There are more session attributes than the router forwards.
    #[error("the session attributes have {bytes} bytes; at most {most} are allowed")]
    TooManyAttributes {
        /// Their size.
        bytes: usize,
        /// The size that is allowed.
        most: usize,
    },
    /// The hop counter is not a number; it may have been tampered with.
    #[error("attribute `router_hops` is not a whole number")]
    Hops,
}

/// The tenant that a session draws its money from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tenant(String);

impl Tenant {
    /// Reads a tenant's id: 1 to 1,024 bytes of any kind.
    ///
    /// # Errors
    ///
    /// A [`SessionError`].
    pub fn parse(id: &str) -> Result<Self, SessionError> {
        check_length("tenant_id", id)?;
        Ok(Self(id.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Tenant {
    /// The tenant of a request that names none.
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A user of a tenant, as a session remembers whose it is: a digest that says no word of who
/// that is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserMark(String);

impl UserMark {
    /// The mark of the user whom `tenant` calls `id`.
    pub fn of(tenant: &Tenant, id: &str) -> Self {
        let mut digest = hex_digest(&format!("{}/{tenant}/{id}", tenant.0.len()));
        digest.truncate(32);
        Self(digest)
    }

    /// Reads a mark that was written down; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let is_mark = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_mark.then(|| Self(text.to_owned()))
    }

    /// The mark as 32 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_sessions_have_one_name() {
        let root = |id| RootSession::parse("sessionId", id).unwrap();
        let of_gateway = |id| RootSession::of_gateway("session_id", id).unwrap();
        let ids = [
            "x",
            "root/x",
            "gateway/x",
            "root/gateway/x",
            "root/root/gateway/x",
            "root/",
            "gateway/",
        ];
        let sessions: Vec<RootSession> =
            ids.into_iter().flat_map(|id| [root(id), of_gateway(id)]).collect();
        for (index, session) in sessions.iter().enumerate() {
            assert!(!sessions[..index].contains(session), "{session}");
        }
        for id in ids {
            assert!(of_gateway(id).is_gateways() && !root(id).is_gateways(), "{id}");
            assert_eq!(root(id).id(), id);
        }
        assert_eq!(root("gateway/x").as_str(), "root/gateway/x");
        assert_eq!(of_gateway("gateway/x").as_str(), "gateway/gateway/x");
        assert_eq!(root("root/x").as_str(), "root/x", "it is like no gateway's");
        assert_eq!(Tenant::parse("gateway/x").unwrap().as_str(), "gateway/x");
    }

    #[test]
    fn a_mark_that_was_written_down_is_read_as_the_same() {
        let mark = RootSession::parse("sessionId", "s").unwrap().mark();
        assert_eq!(SessionMark::parse(&mark.to_string()), Some(mark));
        assert_eq!(SessionMark(0xa0).to_string(), "000000a0");
    }
}
