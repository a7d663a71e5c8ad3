//! The events that reach the action group, in their three forms.
//!
//! Bedrock sends an action group's call in one of two forms, and an AgentCore gateway calls
//! a Lambda target in a third. All three carry a tool's name, its arguments and some word of
//! the session. An [`Event`] is what they have in common; its [`Form`] says how to reply.
//!
//! Events are read leniently where nothing depends on it (unknown fields, absent optional
//! ones) and strictly where something does: a session id or an attribute that is not what it
//! must be refuses the request, so that nothing is charged to the wrong session.

mod client_context;

use serde_json::{Map, Value};

use crate::ids::{RootSession, SessionError, Tenant};
use crate::json::{self, NotJson, kind};
use crate::wire::caller::{Attributes, Caller};
use crate::wire::tools::Arguments;

pub use client_context::GATEWAY_TOOL_NAME;

/// How an event came and how it is to be answered. The strings are echoed in the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// An action group defined by function details.
    Function {
        /// The action group's name.
        action_group: String,
        /// The function, which is the tool.
        function: String,
    },
    /// An action group defined by an OpenAPI schema.
    OpenApi {
        /// The action group's name.
        action_group: String,
        /// The path's template; its last segment is the tool.
        api_path: String,
        /// The HTTP method.
        http_method: String,
    },
    /// A Lambda target of an AgentCore gateway.
    Gateway,
}

/// One call of a tool of the action group.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// How it came.
    pub form: Form,
    /// The tool's name, as it came.
    pub tool: String,
    /// The tool's arguments, or what is wrong with the list of them.
    pub arguments: Result<Arguments, MalformedArguments>,
    /// Who is calling, or why that is unknown.
    pub caller: Result<Caller, SessionError>,
    /// The session attributes that are strings, to be returned.
    pub session_attributes: Attributes,
    /// The prompt session attributes that are strings, to be returned.
    pub prompt_session_attributes: Attributes,
}

/// The event is in none of the three forms.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the event is {event}, and the client context with `{GATEWAY_TOOL_NAME}` is {client_context}; \
     this function answers Bedrock action groups, whose events have `apiPath` or `function`, and \
     AgentCore gateways, which name the tool in the client context"
)]
pub struct UnknownEventForm {
    /// What was found in place of an action group's event.
    event: &'static str,
    /// What was found in place of a client context that names a tool.
    client_context: &'static str,
}

/// A list of arguments that is not in the event's form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{place}` is {found}; it must be {expected}")]
pub struct MalformedArguments {
    /// The field.
    pub place: &'static str,
    /// The kind of value that was found.
    pub found: &'static str,
    /// What it must be.
    pub expected: &'static str,
}

impl Event {
    /// Reads an event from the bytes of an invocation and of its client context, if it has one.
    /// `gateway_injects_session` says whether an interceptor of the gateway vouches for the
    /// session in the arguments.
    ///
    /// # Errors
    ///
    /// [`UnknownEventForm`] when nothing says in which form to reply. Everything else that is
    /// wrong is kept in the event, to be replied to.
    pub fn read(
        payload: &[u8],
        client_context: Option<&[u8]>,
        gateway_injects_session: bool,
    ) -> Result<Self, UnknownEventForm> {
        let payload = json::read(payload);
        match client_context::gateway_tool(client_context) {
            Ok(tool) => Ok(Self::from_gateway(payload.as_ref(), &tool, gateway_injects_session)),
            Err(client_context) => Self::from_action_group(payload.as_ref())
                .map_err(|event| UnknownEventForm { event, client_context }),
        }
    }

    /// The event of an action group, or what was found instead.
    fn from_action_group(payload: Result<&Value, &NotJson>) -> Result<Self, &'static str> {
        let payload = payload.map_err(|_| "not JSON")?;
        let event = payload.as_object().ok_or(kind(payload))?;
        let present = |field: &str| event.get(field).is_some_and(|value| !value.is_null());
        let text = |field: &str| event.get(field).and_then(Value::as_str).unwrap_or("").to_owned();
        let (form, tool, arguments) = if present("apiPath") {
            let api_path = text("apiPath");
            let tool = api_path.trim_end_matches('/').rsplit('/').next().unwrap_or("").to_owned();
            let form = Form::OpenApi {
                action_group: text("actionGroup"),
                api_path,
                http_method: text("httpMethod"),
            };
            (form, tool, openapi_arguments(event))
        } else if present("function") {
            let function = text("function");
            let form =
                Form::Function { action_group: text("actionGroup"), function: function.clone() };
            (form, function, listed_arguments("parameters", event.get("parameters")))
        } else {
            return Err("an object with neither `apiPath` nor `function`");
        };
        let session_attributes = attributes("sessionAttributes", event);
        let prompt_session_attributes = attributes("promptSessionAttributes", event);
        let caller = session_attributes.checked().and_then(|attributes| {
            prompt_session_attributes.checked()?;
            Caller::from_attributes(attributes, || {
                session_id("sessionId", event, RootSession::parse)
            })
        });
        Ok(Self {
            form,
            tool,
            arguments,
            caller,
            session_attributes: session_attributes.strings,
            prompt_session_attributes: prompt_session_attributes.strings,
        })
    }

    fn from_gateway(payload: Result<&Value, &NotJson>, tool: &str, injects_session: bool) -> Self {
        // The client context has `<target>___<tool>`, with three underscores.
        let tool = tool.rsplit_once("___").map_or(tool, |(_, tool)| tool).to_owned();
        let nothing = Map::new();
        let (event, arguments) = match payload {
            Ok(Value::Object(event)) => (event, Ok(Arguments::from_object(event))),
            other => {
                let found = other.map_or("not JSON", kind);
                let (place, expected) = ("the event", "a JSON object of arguments");
                (&nothing, Err(MalformedArguments { place, found, expected }))
            }
        };
        let caller = if injects_session {
            attributes("session_attributes", event).checked().and_then(|attributes| {
                Caller::from_attributes(attributes, || {
                    session_id("session_id", event, RootSession::parse)
                })
            })
        } else {
            session_id("session_id", event, RootSession::of_gateway).map(|root| Caller {
                root,
                tenant: Tenant::default(),
                user: None,
                hops: 0,
                identity_verified: false,
                attributes: Attributes::new(),
            })
        };
        Self {
            form: Form::Gateway,
            tool,
            arguments,
            caller,
            session_attributes: Attributes::new(),
            prompt_session_attributes: Attributes::new(),
        }
    }
}

fn session_id(
    place: &'static str,
    event: &Map<String, Value>,
    read: fn(&'static str, &str) -> Result<RootSession, SessionError>,
) -> Result<RootSession, SessionError> {
    match event.get(place) {
        None | Some(Value::Null) => Err(SessionError::Missing { place }),
        Some(Value::String(id)) => read(place, id),
        Some(other) => Err(SessionError::WrongKind {
            place,
            found: kind(other),
            expected: "a string of 1 to 1024 bytes",
        }),
    }
}

/// An attribute map as it came: its strings, and what else was in it.
struct ReceivedAttributes {
    strings: Attributes,
    mistake: Option<SessionError>,
}

impl ReceivedAttributes {
    fn checked(&self) -> Result<Attributes, SessionError> {
        match &self.mistake {
            Some(mistake) => Err(mistake.clone()),
            None => Ok(self.strings.clone()),
        }
    }
}

fn attributes(place: &'static str, event: &Map<String, Value>) -> ReceivedAttributes {
    let expected = "an object whose values are strings";
    let mut strings = Attributes::new();
    let mut mistake = None;
    match event.get(place) {
        None | Some(Value::Null) => {}
        Some(Value::Object(map)) => {
            for (name, value) in map {
                match value {
                    Value::String(text) => {
                        strings.insert(name.clone(), text.clone());
                    }
                    other => {
                        let found = match other {
                            Value::Null => "an object with a null",
                            Value::Bool(_) => "an object with a boolean",
                            Value::Number(_) => "an object with a number",
                            _ => "an object with a nested value",
                        };
                        mistake = Some(SessionError::WrongKind { place, found, expected });
                    }
                }
            }
        }
        Some(other) => {
            mistake = Some(SessionError::WrongKind { place, found: kind(other), expected });
        }
    }
    ReceivedAttributes { strings, mistake }
}

/// Properties of the request body go before parameters of path and query.
fn openapi_arguments(event: &Map<String, Value>) -> Result<Arguments, MalformedArguments> {
    let content = event.get("requestBody").and_then(|body| body.get("content")?.as_object());
    let mut bodies: Vec<_> = content
        .into_iter()
        .flatten()
        .filter_map(|(media_type, body)| Some((BodyKind::of(media_type)?, body)))
        .collect();
    bodies.sort_by_key(|(kind, _)| *kind);
    let mut arguments = Arguments::default();
    for (_, body) in bodies {
        let properties =
            listed_arguments("requestBody.content[…].properties", body.get("properties"))?;
        arguments = arguments.or(properties);
    }
    Ok(arguments.or(listed_arguments("parameters", event.get("parameters"))?))
}

/// The kinds of request bodies that hold arguments; the first goes before the second. Bedrock
/// lists the properties of both alike.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum BodyKind {
    Json,
    Form,
}

impl BodyKind {
    /// The kind of a media type, whatever its case and parameters.
    fn of(media_type: &str) -> Option<Self> {
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        let essence = essence.to_ascii_lowercase();
        let (_, subtype) = essence.split_once('/')?;
        match essence.as_str() {
            "application/x-www-form-urlencoded" | "multipart/form-data" => Some(Self::Form),
            // https://mimesniff.spec.whatwg.org/#json-mime-type, and what came before it.
            _ if subtype == "json" || subtype == "x-json" || subtype.ends_with("+json") => {
                Some(Self::Json)
            }
            _ => None,
        }
    }
}

/// Arguments listed as objects with `name` and `value`.
fn listed_arguments(
    place: &'static str,
    list: Option<&Value>,
) -> Result<Arguments, MalformedArguments> {
    let malformed = |found, expected| MalformedArguments { place, found, expected };
    let list = match list {
        None | Some(Value::Null) => return Ok(Arguments::default()),
        Some(Value::Array(list)) => list,
        Some(other) => {
            return Err(malformed(kind(other), "an array of objects with `name` and `value`"));
        }
    };
    let mut arguments = Map::new();
    for entry in list {
        let Some(name) = entry.get("name").and_then(Value::as_str) else {
            return Err(malformed(
                "an array with an entry that has no name",
                "an array of objects with `name` and `value`",
            ));
        };
        arguments.insert(name.to_owned(), entry.get("value").cloned().unwrap_or_default());
    }
    Ok(Arguments::from_object(&arguments))
}

#[cfg(test)]
mod tests;
