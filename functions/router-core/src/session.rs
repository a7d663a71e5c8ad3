//! Who is calling: the root session, its hops, and what the application vouches for.
//!
//! All of it comes from attributes that the application sets (or from the envelope that
//! Bedrock fills in), never from arguments, which a model wrote.

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest, Sha256};

use crate::policy::SpecialistName;

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

/// How the name of a gateway's session begins.
const GATEWAY: &str = "gateway/";

/// What stands before the name of a root session that would be taken for a gateway's.
const ROOT: &str = "root/";

/// The most bytes that the names and values of session attributes may have together. They are
/// forwarded with every call.
const MAX_ATTRIBUTES_BYTES: usize = 100_000;

/// The longest session id that is accepted, in bytes.
pub const MAX_SESSION_ID_BYTES: usize = 1_024;

/// The session that a budget belongs to, whoever calls within it, by the name under which it
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
    fn passed_on(place: &'static str, name: &str) -> Result<Self, SessionError> {
        // The id does not pay for a prefix of ours.
        let without_prefix = name.strip_prefix(ROOT).or_else(|| name.strip_prefix(GATEWAY));
        let id = without_prefix.filter(|_| is_like_a_gateways(name)).unwrap_or(name);
        check_length(place, id)?;
        Ok(Self(name.to_owned()))
    }

    /// The session of a gateway's call, whose `id` nobody vouches for.
    ///
    /// # Errors
    ///
    /// A [`SessionError`] that names `place`, where the id was found.
    pub(crate) fn of_gateway(place: &'static str, id: &str) -> Result<Self, SessionError> {
        check_length(place, id)?;
        Ok(Self(format!("{GATEWAY}{id}")))
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
    #[error("`{place}` is missing; it must be a text of 1 to 1024 bytes")]
    Missing {
        /// The field or attribute that was looked at.
        place: &'static str,
    },
    /// The session id is the empty text.
    #[error("`{place}` is empty; it must be a text of 1 to 1024 bytes")]
    Empty {
        /// The field or attribute that was looked at.
        place: &'static str,
    },
    /// The session id is longer than 1,024 bytes.
    #[error("`{place}` has {bytes} bytes; it must be a text of 1 to 1024 bytes")]
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
    /// There are more session attributes than anybody should forward.
    #[error(
        "the session attributes have {bytes} bytes; at most {MAX_ATTRIBUTES_BYTES} are allowed"
    )]
    TooManyAttributes {
        /// Their size.
        bytes: usize,
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
        check_length("sessionAttributes.tenant_id", id)?;
        Ok(Self(id.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Tenant {
    /// The tenant of whoever names none.
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

    /// The mark as 32 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is asked of whom, so that a repetition can be recognised without keeping the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of asking `specialist` for `request`. Upper case, lower case and white
    /// space make no difference.
    pub fn of(specialist: &SpecialistName, request: &str) -> Self {
        let words: Vec<String> = request.split_whitespace().map(str::to_lowercase).collect();
        let mut digest = hex_digest(&format!("{specialist}/{}", words.join(" ")));
        digest.truncate(32);
        Self(digest)
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
            return Err(SessionError::TooManyAttributes { bytes });
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

    /// Who the user is, as far as the application vouches for it, without saying it: a digest
    /// that is the same for the same user of the same tenant.
    pub fn identity(&self) -> String {
        let user = self.user.as_ref().map_or("", UserMark::as_str);
        hex_digest(&format!("{}/{user}/{}", self.identity_verified, self.tenant))
    }

    /// The session attributes that a specialist gets: those received, the root session, and
    /// one hop more.
    pub fn forwarded_attributes(&self) -> Attributes {
        let mut attributes = self.attributes.clone();
        attributes.insert(ROOT_SESSION_ID.to_owned(), self.root.0.clone());
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

/// Which of a specialist's own sessions an invocation runs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lane {
    /// Moves on after `max_turns_per_specialist` turns, so that no memory grows without end.
    pub generation: u64,
    /// 0, unless another invocation of the specialist is under way in the same root session, or
    /// was left while it may still be at work: then a number that no other such invocation of the
    /// session has. See [`Lane::number_of`].
    pub number: u64,
}

/// Marks the lane beside another one. No step leads to it, since a session has at most 10,000.
const BESIDE: u64 = 1 << 40;

/// Marks the lanes that take the place of lane 0 after it was left.
const AFTER_LEAVING: u64 = 1 << 50;

impl Lane {
    /// The number of the lane of an invocation that took the session's `step`th step.
    ///
    /// Two invocations at once must not share a Bedrock session, and one after the other
    /// should, since the specialist remembers the first. The hold is written before its
    /// writer knows who else is there, so a lane cannot be claimed in it; but the answer to
    /// that write shows every live hold, and the step number is the writer's alone. An invocation
    /// that finds the specialist unoccupied takes the [home lane](Lane::home); those after it
    /// find it occupied.
    pub fn number_of(step: u64, home: u64, specialist_is_occupied: bool) -> u64 {
        if specialist_is_occupied { step } else { home }
    }

    /// The number of the lane in which invocations follow each other, after invocations in the
    /// lane before it were left `times_left` times while the agent may still have been at work.
    pub fn home(times_left: u64) -> u64 {
        if times_left == 0 { 0 } else { AFTER_LEAVING | times_left }
    }

    /// What [`Lane::home`] has to be called with once an invocation in this lane was left; `None`
    /// when no later invocation comes here.
    pub fn times_left_now(self) -> Option<u64> {
        match self.number & !BESIDE {
            0 => Some(1),
            number if number >> 50 == 1 => Some((number ^ AFTER_LEAVING) + 1),
            _ => None,
        }
    }

    /// The lane beside this one, for an invocation that finds its own in use after all.
    pub fn beside(self) -> Self {
        Self { number: self.number ^ BESIDE, ..self }
    }
}

/// The session id under which `specialist` serves `root`: 64 hexadecimal digits, valid for a
/// Bedrock agent (2 to 100 characters) and for an AgentCore runtime (33 or more).
pub fn specialist_session_id(
    root: &RootSession,
    specialist: &SpecialistName,
    lane: Lane,
) -> String {
    // The root session comes last: it alone may contain the separator.
    let Lane { generation, number } = lane;
    hex_digest(&format!("{specialist}/{generation}/{number}/{root}"))
}

fn hex_digest(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(root(id).id(), id);
        }
        assert_eq!(root("gateway/x").as_str(), "root/gateway/x");
        assert_eq!(of_gateway("gateway/x").as_str(), "gateway/gateway/x");
        assert_eq!(root("root/x").as_str(), "root/x", "it is like no gateway's");
        assert_eq!(Tenant::parse("gateway/x").unwrap().as_str(), "gateway/x");
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
    fn a_repetition_is_recognised_whatever_its_case_and_spacing() {
        let of = |name: &str, request: &str| {
            Fingerprint::of(&SpecialistName::parse(name).unwrap(), request)
        };
        assert_eq!(of("orders", "Where is  it?\n"), of("orders", " where IS it?"));
        assert_ne!(of("orders", "Where is it?"), of("billing", "Where is it?"));
        assert_ne!(of("orders", "Where is it?"), of("orders", "Whereis it?"));
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
    fn specialists_sessions_generations_and_lanes_never_share_a_session_id() {
        let id = |root: &str, name: &str, generation, number| {
            let root = RootSession::parse("sessionId", root).unwrap();
            let name = SpecialistName::parse(name).unwrap();
            specialist_session_id(&root, &name, Lane { generation, number })
        };
        let ids = [
            id("s", "billing", 0, 0),
            id("s", "orders", 0, 0),
            id("t", "billing", 0, 0),
            id("s", "billing", 1, 0),
            id("s", "billing", 0, 1),
            id("0/s", "billing", 0, 0),
            id("1/s", "billing", 0, 0),
        ];
        for (index, one) in ids.iter().enumerate() {
            assert!(one.len() == 64 && one.bytes().all(|byte| byte.is_ascii_hexdigit()));
            assert!(!ids[..index].contains(one));
        }
    }

    #[test]
    fn invocations_that_overlap_have_different_lanes() {
        // The first finds nobody; those that come while it runs find it, or each other.
        assert_eq!(Lane::number_of(1, 0, false), 0);
        assert_eq!(Lane::number_of(2, 0, true), 2);
        assert_eq!(Lane::number_of(3, 0, true), 3);
        // One that comes when all are done continues the first conversation.
        assert_eq!(Lane::number_of(4, 0, false), 0);
    }

    #[test]
    fn every_lane_that_is_left_is_followed_by_another_one() {
        let in_lane = |number| Lane { generation: 0, number };
        let mut seen = Vec::new();
        let mut times_left = 0;
        for _ in 0..5 {
            let lane = in_lane(Lane::home(times_left));
            assert!(!seen.contains(&lane.number) && !seen.contains(&lane.beside().number));
            seen.extend([lane.number, lane.beside().number]);
            let next = lane.times_left_now().unwrap();
            assert_eq!(lane.beside().times_left_now(), Some(next), "both are left alone");
            assert_eq!(next, times_left + 1);
            times_left = next;
        }
        // Those of invocations that overlapped are used once.
        for number in [1, 10_000, 1 << 63, 1 << 63 | 7 << 50] {
            assert_eq!(in_lane(number).times_left_now(), None, "{number}");
        }
    }
}
