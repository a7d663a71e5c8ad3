//! Sharing the sessions between the supervisor and what was there before it: who goes where, and the
//! port through which the predecessor is asked.
//!
//! A session's path is read from a digest of its name. So each request of a session takes the same
//! path, and a session that goes to the supervisor at 5 percent still goes there at 25. No budget
//! covers the predecessor: it is asked once, and what it says it cost is told and never charged.

use std::future::Future;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::ids::{RootSession, hex_digest};
use crate::invocation::InvokeError;
use crate::policy::{AgentRef, Current, Split};
use crate::units::MicroUsd;
use crate::wire::caller::Attributes;

/// The way that a session's requests take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// To the supervisor.
    Supervisor,
    /// To what was there before it.
    Current,
}

impl Path {
    /// Its name as a dimension of metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Supervisor => "supervisor",
            Self::Current => "current",
        }
    }
}

/// The path that the requests of `session` take.
pub fn path_of(split: &Split, session: &RootSession) -> Path {
    // The words before it keep this digest apart from that by which sessions are traced: else the
    // traced ones would all take the same path.
    let digest = <[u8; 32]>::from(Sha256::digest(format!("split/{session}")));
    let [one, two, three, four, ..] = digest;
    let place = u64::from(u32::from_be_bytes([one, two, three, four]));
    // Where the session stands among all, in millionths.
    let millionths = (place * 1_000_000) >> 32;
    if millionths < u64::from(split.share.0) { Path::Supervisor } else { Path::Current }
}

/// The agent session in which `agent`, the predecessor, serves `session`: the session's own name
/// where the agent's service accepts it, so that a conversation goes on that was begun before the
/// front door, else a digest of it.
pub fn agent_session_id(agent: &AgentRef, session: &RootSession) -> String {
    let name = session.as_str();
    // https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_InvokeAgent.html and
    // https://docs.aws.amazon.com/bedrock-agentcore/latest/APIReference/API_InvokeHarness.html
    let (lengths, marks) = match agent {
        AgentRef::Bedrock(_) => (2..=100, "._:-"),
        AgentRef::Runtime(_) | AgentRef::Harness(_) | AgentRef::Model(_) => (33..=100, "-_"),
    };
    let is_part = |c: char| c.is_ascii_alphanumeric() || marks.contains(c);
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if lengths.contains(&name.len()) && begins_well && name.chars().all(is_part) {
        return name.to_owned();
    }
    hex_digest(&format!("current/{name}"))
}

/// A request as it is handed to the predecessor.
#[derive(Clone, Copy, Debug)]
pub struct Inquiry<'a> {
    /// What was there before.
    pub current: &'a Current,
    /// The request's JSON as it came, which a function gets.
    pub request: &'a [u8],
    /// What the user wrote, which an agent gets.
    pub input: &'a str,
    /// The session that the request belongs to.
    pub session: &'a RootSession,
    /// The attributes that the application gave, which an agent gets where it can.
    pub attributes: &'a Attributes,
    /// From the start to the last byte of the answer.
    pub timeout: Duration,
}

/// What the predecessor answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The answer: some text.
    pub text: String,
    /// What it says that it cost; `None`: it does not say.
    pub cost: Option<MicroUsd>,
}

/// Asks what was there before the supervisor.
pub trait Predecessor {
    /// Asks once, without retrying: a repeated request is a second run, with a second bill. It ends
    /// within `inquiry.timeout`.
    ///
    /// # Errors
    ///
    /// [`InvokeError`] where no answer came: the function raised an error or answered without a text,
    /// the service refused the request, or the time was up.
    fn ask(
        &self,
        inquiry: &Inquiry<'_>,
    ) -> impl Future<Output = Result<Answer, InvokeError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Share;

    fn session(name: &str) -> RootSession {
        RootSession::parse("session_id", name).unwrap()
    }

    fn at(percent: u32) -> Split {
        let current = Current::Agent(AgentRef::parse("OLD/LIVE").unwrap());
        Split { current, share: Share(percent * 10_000) }
    }

    fn of_10_000(percent: u32) -> Vec<bool> {
        let split = at(percent);
        let goes = |n| path_of(&split, &session(&format!("s-{n}"))) == Path::Supervisor;
        (0..10_000).map(goes).collect()
    }

    #[test]
    fn a_share_of_the_sessions_goes_to_the_supervisor() {
        let count = |percent| of_10_000(percent).into_iter().filter(|goes| *goes).count();
        assert_eq!((count(0), count(100)), (0, 10_000));
        // Within four standard deviations of a fair draw.
        for (percent, within) in [(5, 413..=587), (25, 2_327..=2_673), (50, 4_800..=5_200)] {
            let count = count(percent);
            assert!(within.contains(&count), "{count} of 10,000 at {percent} %");
        }
    }

    #[test]
    fn a_session_that_goes_to_the_supervisor_still_goes_there_when_the_share_grows() {
        let shares = [0, 1, 5, 25, 26, 99, 100].map(of_10_000);
        for both in shares.windows(2) {
            assert!(both[0].iter().zip(&both[1]).all(|(less, more)| *more || !less));
        }
    }

    #[test]
    fn the_sessions_of_a_share_are_not_those_whose_mark_is_low() {
        let is_low =
            |n: &usize| session(&format!("s-{n}")).mark().to_string().as_str() < "40000000";
        let goes = of_10_000(25);
        let both = (0..10_000).filter(is_low).filter(|n| goes[*n]).count();
        // A quarter of a quarter.
        assert!((520..=730).contains(&both), "{both}");
    }

    #[test]
    fn an_agent_keeps_the_session_that_the_application_names_where_its_service_accepts_it() {
        let harness = "arn:aws:bedrock-agentcore:us-east-1:123456789012:harness/old-a1b2c3d4e5";
        let id = |agent: &str, name: &str| {
            agent_session_id(&AgentRef::parse(agent).unwrap(), &session(name))
        };
        let uuid = "0b6e0f4c-8e0a-4b53-9d4e-2f4c9d1a7b11";
        for (agent, name) in [("OLD/LIVE", "s:1"), ("OLD/LIVE", uuid), (harness, uuid)] {
            assert_eq!(id(agent, name), name);
        }
        let long = "x".repeat(101);
        for (agent, name) in [
            ("OLD/LIVE", "s"),
            ("OLD/LIVE", "Ann's"),
            ("OLD/LIVE", &long),
            (harness, "s-1"),
            (harness, &long),
        ] {
            let id = id(agent, name);
            assert!(id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{name}: {id}");
        }
        assert_ne!(id(harness, "s-1"), id(harness, "s-2"));
    }
}
