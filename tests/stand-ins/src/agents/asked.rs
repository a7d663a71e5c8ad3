//! What an agent is asked, whichever service it is asked through.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::header::{AUTHORIZATION, HeaderMap};
use hyper::{Method, Request};
use serde::Deserialize;

use super::dialogue::Dialogue;
use super::failure::Failure;
use super::fault::Exception;
use super::kind::AgentKind;
use super::{harness, model, runtime};

/// What a script can depend on, whichever the service.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) kind: AgentKind,
    pub(super) agent: String,
    pub(super) region: Option<String>,
    pub(super) session_id: String,
    pub(super) input_text: String,
    pub(super) session_attributes: BTreeMap<String, String>,
    pub(super) enable_trace: bool,
    /// The messages that a harness or a model is sent.
    pub(super) dialogue: Option<Dialogue>,
}

impl Asked {
    pub(super) fn read(request: &Request<Bytes>) -> Result<Self, Failure> {
        [runtime::read, harness::read, model::read]
            .iter()
            .find_map(|read| read(request))
            .unwrap_or_else(|| {
                Self::of_bedrock(request).ok_or_else(|| Exception::VALIDATION.into())
            })
    }

    /// Reads an `InvokeAgent`.
    fn of_bedrock(request: &Request<Bytes>) -> Option<Self> {
        let [agent_id, alias_id, session_id] = route(request.method(), request.uri().path())?;
        let body: Invocation = serde_json::from_slice(request.body()).ok()?;
        Some(Self {
            kind: AgentKind::Bedrock,
            agent: format!("{agent_id}/{alias_id}"),
            region: region(request.headers()),
            session_id,
            input_text: body.input_text,
            session_attributes: body.session_state.session_attributes,
            enable_trace: body.enable_trace,
            dialogue: None,
        })
    }
}

/// The value of a parameter in a request's query.
pub(super) fn query<'r>(request: &'r Request<Bytes>, name: &str) -> Option<&'r str> {
    let pairs = request.uri().query()?.split('&');
    pairs
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// A region knows its own agents only. A request without a signature is a test's.
pub(super) fn is_signed_for_region_of(arn: &str, service: &str, headers: &HeaderMap) -> bool {
    let region = arn.split(':').nth(3).unwrap_or_default();
    let scope = format!("/{region}/{service}/aws4_request");
    headers
        .get(AUTHORIZATION)
        .is_none_or(|value| value.to_str().is_ok_and(|value| value.contains(&scope)))
}

/// The region that a request is signed for: `Credential=KEY/DATE/REGION/SERVICE/aws4_request`.
pub(super) fn region(headers: &HeaderMap) -> Option<String> {
    let (_, credential) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once("Credential=")?;
    credential.split('/').nth(2).map(str::to_owned)
}

/// The part of an `InvokeAgent` body that a script can depend on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    #[serde(default)]
    input_text: String,
    #[serde(default)]
    enable_trace: bool,
    #[serde(default)]
    session_state: SessionState,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SessionState {
    #[serde(default)]
    session_attributes: BTreeMap<String, String>,
}

/// Agent, alias and session of `POST /agents/{}/agentAliases/{}/sessions/{}/text`.
fn route(method: &Method, path: &str) -> Option<[String; 3]> {
    let segments: Vec<&str> = path.split('/').collect();
    let ["", "agents", agent, "agentAliases", alias, "sessions", session, "text"] = segments[..]
    else {
        return None;
    };
    if *method != Method::POST {
        return None;
    }
    Some([percent_decode(agent)?, percent_decode(alias)?, percent_decode(session)?])
}

/// The SDK percent-encodes also what a path may hold as it is, such as `:`.
pub(super) fn percent_decode(segment: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'%' {
            let (digits, tail) = tail.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok()?;
            decoded.push(u8::from_str_radix(digits, 16).ok()?);
            rest = tail;
        } else {
            decoded.push(byte);
            rest = tail;
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_operations_own_path_is_routed() {
        assert_eq!(
            route(&Method::POST, "/agents/A/agentAliases/B/sessions/a%3Ab/text"),
            Some(["A".into(), "B".into(), "a:b".into()])
        );
        assert_eq!(route(&Method::GET, "/agents/A/agentAliases/B/sessions/s/text"), None);
        assert_eq!(route(&Method::POST, "/agents/A/agentAliases/B/sessions/%4/text"), None);
    }
}
