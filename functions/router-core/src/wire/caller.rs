//! Who is calling: the root session, its hops, and what the application vouches for.
//!
//! All of it comes from attributes that the application sets (or from the envelope that
//! Bedrock fills in), never from arguments, which a model wrote.

use std::collections::BTreeMap;

use crate::ids::hex_digest;
use crate::ids::{RootSession, SessionError, Tenant, UserMark};
use crate::scratchpad::GIVEN_AS;

/// String attributes of a Bedrock session.
pub type Attributes = BTreeMap<String, String>;

/// The attribute that carries the budget's session through nested supervisors.
pub const ROOT_SESSION_ID: &str = "root_session_id";
/// Where that is found.
const ROOT_SESSION_PLACE: &str = "sessionAttributes.root_session_id";
/// The attribute that counts how many routers a request has passed.
pub const ROUTER_HOPS: &str = "router_hops";
/// The attribute that names the tenant.
const TENANT_ID: &str = "tenant_id";
/// The attribute that names the user.
const USER_ID: &str = "user_id";
/// The attribute by which the application vouches for the user's identity.
const IDENTITY_VERIFIED: &str = "identity_verified";

/// The attribute by which the application asks for a rehearsal.
pub const DRY_RUN: &str = "dry_run";

/// The most bytes that the names and values of session attributes may have together. They are
/// forwarded with every call.
const MAX_ATTRIBUTES_BYTES: usize = 100_000;

/// The caller of the action group, as far as the application vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The session whose budget pays.
    pub root: RootSession,
    /// The tenant that the session belongs to.
    pub tenant: Tenant,
    /// The user that the session is to belong to. An empty `user_id` is none.
    pub user: Option<UserMark>,
    /// How many routers the request passed before this one.
    pub hops: u64,
    /// Whether the application says that it verified who the user is.
    pub identity_verified: bool,
    /// The session attributes as received.
    pub attributes: Attributes,
}

impl Caller {
    /// Reads who is calling from the session attributes, or from `session_id` where they do
    /// not name a root session.
    ///
    /// # Errors
    ///
    /// A [`SessionError`] when no usable session id is there, or the hop counter is malformed.
    pub fn from_attributes(
        attributes: Attributes,
        session_id: impl FnOnce() -> Result<RootSession, SessionError>,
    ) -> Result<Self, SessionError> {
        let bytes = attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > MAX_ATTRIBUTES_BYTES {
            return Err(SessionError::TooManyAttributes { bytes, most: MAX_ATTRIBUTES_BYTES });
        }
        let hops = match attributes.get(ROUTER_HOPS) {
            Some(hops) => parse_hops(hops)?,
            None => 0,
        };
        let root = match attributes.get(ROOT_SESSION_ID) {
            // Only a router counts hops, and it passes on the name that the session is kept by.
            Some(name) if hops > 0 => RootSession::passed_on(ROOT_SESSION_PLACE, name)?,
            Some(id) => RootSession::parse(ROOT_SESSION_PLACE, id)?,
            None => session_id()?,
        };
        let tenant = match attributes.get(TENANT_ID) {
            Some(id) => Tenant::parse(id)?,
            None => Tenant::default(),
        };
        let user_id = attributes.get(USER_ID).filter(|id| !id.is_empty());
        let user = user_id.map(|id| UserMark::of(&tenant, id));
        let identity_verified =
            attributes.get(IDENTITY_VERIFIED).is_some_and(|value| value == "true");
        Ok(Self { root, tenant, user, hops, identity_verified, attributes })
    }

    /// Whether the application wants to hear whom the request would reach, and nobody to be called.
    pub fn is_rehearsal(&self) -> bool {
        self.attributes.get(DRY_RUN).is_some_and(|value| value == "true")
    }

    /// Who the user is, as far as the application vouches for it, without saying it: a digest
    /// that is the same for the same user of the same tenant.
    pub fn identity(&self) -> String {
        let user = self.user.as_ref().map_or("", UserMark::as_str);
        hex_digest(&format!("{}/{user}/{}", self.identity_verified, self.tenant))
    }

    /// The session attributes that a specialist gets: those received, the root session, and
    /// one hop more. What another router has given of its scratchpad stays where it was given.
    pub fn forwarded_attributes(&self) -> Attributes {
        let mut attributes = self.attributes.clone();
        attributes.retain(|name, _| !name.starts_with(GIVEN_AS));
        attributes.insert(ROOT_SESSION_ID.to_owned(), self.root.as_str().to_owned());
        attributes.insert(ROUTER_HOPS.to_owned(), self.hops.saturating_add(1).to_string());
        attributes
    }
}

/// Reads a hop counter. One too large for a number is still a count, and above any limit.
fn parse_hops(text: &str) -> Result<u64, SessionError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(SessionError::Hops);
    }
    Ok(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::MAX_SESSION_ID_BYTES;

    fn attributes<const N: usize>(pairs: [(&str, &str); N]) -> Attributes {
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    fn caller<const N: usize>(pairs: [(&str, &str); N]) -> Result<Caller, SessionError> {
        Caller::from_attributes(attributes(pairs), || RootSession::parse("sessionId", "s-1"))
    }

    #[test]
    fn the_root_session_of_the_attributes_goes_before_the_session_id() {
        assert_eq!(caller([(ROOT_SESSION_ID, "root")]).unwrap().root.as_str(), "root");
        assert_eq!(caller([]).unwrap().root.as_str(), "s-1");
    }

    #[test]
    fn a_session_id_has_1_to_1024_bytes_of_any_kind() {
        assert!(RootSession::parse("sessionId", "a/b\n\"é\u{0}").is_ok());
        assert!(RootSession::parse("sessionId", &"x".repeat(1_024)).is_ok());
        assert!(matches!(RootSession::parse("sessionId", ""), Err(SessionError::Empty { .. })));
        let too_long = RootSession::parse("sessionId", &"x".repeat(1_025));
        assert!(matches!(too_long, Err(SessionError::TooLong { bytes: 1_025, .. })));
        assert!(caller([(ROOT_SESSION_ID, "")]).is_err());
        let own = format!("gateway/{}", "x".repeat(1_020));
        assert!(RootSession::parse("sessionId", &own).is_err(), "the prefix is its own");
    }

    #[test]
    fn a_router_further_down_finds_the_same_session() {
        let longest = "x".repeat(MAX_SESSION_ID_BYTES);
        let root = |id: &str| RootSession::parse("sessionId", id).unwrap();
        let of_gateway = |id: &str| RootSession::of_gateway("session_id", id).unwrap();
        let own = format!("gateway/{}", "x".repeat(1_016));
        for session in [
            root("x"),
            root(&longest),
            root("gateway/x"),
            root(&own),
            root("root/gateway/x"),
            of_gateway("x"),
            of_gateway(&longest),
            of_gateway("root/gateway/x"),
        ] {
            let first = Caller { root: session.clone(), ..caller([]).unwrap() };
            let session_id = || Err(SessionError::Missing { place: "sessionId" });
            let next = Caller::from_attributes(first.forwarded_attributes(), session_id);
            assert_eq!(next.unwrap().root, session);
        }
        let too_long = [(ROOT_SESSION_ID, &*format!("{longest}x")), (ROUTER_HOPS, "1")];
        assert!(caller(too_long).is_err());
    }

    #[test]
    fn a_specialist_is_told_the_root_session_and_one_hop_more() {
        let forwarded =
            caller([("user_id", "u"), (ROUTER_HOPS, "1")]).unwrap().forwarded_attributes();
        assert_eq!(
            forwarded,
            attributes([("user_id", "u"), (ROOT_SESSION_ID, "s-1"), (ROUTER_HOPS, "2")])
        );
    }

    #[test]
    fn attributes_are_limited_since_every_call_forwards_them() {
        assert!(caller([("notes", &"x".repeat(99_000))]).is_ok());
        assert!(caller([("notes", &"x".repeat(100_000))]).is_err());
    }

    #[test]
    fn a_hop_counter_that_is_no_count_is_refused_and_a_huge_one_is_a_count() {
        assert_eq!(caller([(ROUTER_HOPS, "-1")]), Err(SessionError::Hops));
        assert_eq!(caller([(ROUTER_HOPS, "")]), Err(SessionError::Hops));
        assert_eq!(caller([(ROUTER_HOPS, "99999999999999999999999")]).unwrap().hops, u64::MAX);
    }

    #[test]
    fn whoever_names_no_tenant_is_the_default_one() {
        assert_eq!(caller([]).unwrap().tenant.as_str(), "default");
        assert_eq!(caller([(TENANT_ID, "acme")]).unwrap().tenant.as_str(), "acme");
        assert!(caller([(TENANT_ID, "")]).is_err());
    }

    #[test]
    fn users_are_told_apart_and_so_are_verified_and_unverified_ones() {
        let of = |user, verified| {
            caller([(USER_ID, user), (IDENTITY_VERIFIED, verified)]).unwrap().identity()
        };
        assert_eq!(of("u-1", "true"), of("u-1", "true"));
        assert_ne!(of("u-1", "true"), of("u-2", "true"));
        assert_ne!(of("u-1", "true"), of("u-1", "false"));
        let of_tenant = |tenant| caller([(USER_ID, "u-1"), (TENANT_ID, tenant)]).unwrap();
        assert_ne!(of_tenant("a").identity(), of_tenant("b").identity());
        assert_ne!(of_tenant("a").user, of_tenant("b").user);
    }

    #[test]
    fn a_user_is_remembered_by_a_digest_and_an_empty_id_is_no_user() {
        let user = |id| caller([(USER_ID, id)]).unwrap().user;
        assert_eq!(user("u-1"), user("u-1"));
        assert_ne!(user("u-1"), user("u-2"));
        let mark = user("u-1").unwrap();
        assert!(mark.as_str().len() == 32 && !mark.as_str().contains("u-1"));
        assert_eq!((user(""), caller([]).unwrap().user), (None, None));
    }

    #[test]
    fn only_the_word_true_verifies_an_identity() {
        assert!(caller([(IDENTITY_VERIFIED, "true")]).unwrap().identity_verified);
        for value in ["True", "1", "yes", " true", ""] {
            assert!(!caller([(IDENTITY_VERIFIED, value)]).unwrap().identity_verified, "{value}");
        }
    }

    #[test]
    fn only_the_word_true_makes_a_rehearsal() {
        assert!(caller([(DRY_RUN, "true")]).unwrap().is_rehearsal());
        for value in ["True", "1", "yes", " true", ""] {
            assert!(!caller([(DRY_RUN, value)]).unwrap().is_rehearsal(), "{value}");
        }
        assert!(!caller([]).unwrap().is_rehearsal());
    }

    #[test]
    fn attributes_may_have_as_many_bytes_as_are_allowed_and_no_more() {
        let name = "n".repeat(10);
        let of = |bytes: usize| {
            let value = "v".repeat(bytes - name.len());
            caller([(name.as_str(), value.as_str())])
        };
        assert!(of(MAX_ATTRIBUTES_BYTES).is_ok());
        assert!(of(MAX_ATTRIBUTES_BYTES + 1).is_err());
    }

    #[test]
    fn only_a_router_passes_on_a_name_that_a_session_is_kept_by() {
        let root = |hops| {
            let pairs = [(ROUTER_HOPS, hops), (ROOT_SESSION_ID, "root/gateway/s")];
            caller(pairs).unwrap().root.to_string()
        };
        assert_eq!(root("1"), "root/gateway/s");
        assert_ne!(root("0"), root("1"));
    }
}
