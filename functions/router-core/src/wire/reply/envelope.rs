//! The envelope of a reply in each event form, fitted to Bedrock's size limit.

use serde::Serialize;

use super::{Body, TaskBody, echo};
use crate::ids::RootSession;
use crate::wire::caller::{Attributes, ROOT_SESSION_ID, ROUTER_HOPS};
use crate::wire::event::Form;

/// The largest reply that Bedrock takes from an action group's Lambda function: 25 KB over
/// the whole serialised JSON (Bedrock user guide, "Configure Lambda functions for agents").
pub const MAX_REPLY_BYTES: usize = 25_000;

/// The digits of the largest hop counter.
const MAX_HOPS_DIGITS: usize = 20;

/// Attributes that leave less than this for everything else are not returned.
const MIN_ROOM_BYTES: usize = 2_000;

/// A reply before it is put into words.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// What is said.
    pub body: Body,
    /// Whether the model is asked to call again with better arguments.
    pub reprompt: bool,
    /// Session attributes to give back: those received and ours.
    pub session_attributes: Attributes,
    /// Prompt session attributes to give back: those received.
    pub prompt_session_attributes: Attributes,
}

impl Reply {
    /// The reply as JSON text in the event's own form, at most [`MAX_REPLY_BYTES`] long.
    ///
    /// What does not fit is given up in this order: attributes that are not ours, echoed names
    /// longer than any that Bedrock allows, the ends of the longest answers, what else is said of
    /// each of several tasks, the end of the message.
    pub fn render(mut self, form: &Form) -> String {
        let mut form = form.clone();
        if !self.has_room(&form) {
            self.session_attributes.retain(|name, value| is_ours(name, value));
            self.prompt_session_attributes.clear();
        }
        if !self.has_room(&form) {
            form.shorten_echoes();
        }
        for texts in TEXTS {
            self.cut(&form, texts);
        }
        self.write(&form)
    }

    /// Where the reply is too long, cuts the longest of these texts to the common length with which
    /// it just fits.
    fn cut(&mut self, form: &Form, texts: Texts) {
        if self.size(form) <= MAX_REPLY_BYTES {
            return;
        }
        let mut uncut = self.body.clone();
        let lengths = texts(&mut uncut).into_iter().flatten().map(|text| text.len());
        let longest = lengths.max().unwrap_or(0);
        // Escaping only grows a text, so nothing past the limit can fit.
        let (mut length, mut too_long) = (0, longest.min(MAX_REPLY_BYTES));
        while too_long > length + 1 {
            let middle = length + (too_long - length) / 2;
            self.body = cut_to(middle, &uncut, texts);
            if self.size(form) <= MAX_REPLY_BYTES { length = middle } else { too_long = middle }
        }
        self.body = cut_to(length, &uncut, texts);
    }

    /// Whether there is room for the body: for all of it but its texts at least.
    fn has_room(&self, form: &Form) -> bool {
        let bare = TEXTS.iter().fold(self.body.clone(), |body, texts| cut_to(0, &body, *texts));
        let bare = to_json(&bare);
        self.room(form) >= MIN_ROOM_BYTES && self.wrap(form, &bare).len() <= MAX_REPLY_BYTES
    }

    /// What an empty body leaves of the limit.
    fn room(&self, form: &Form) -> usize {
        MAX_REPLY_BYTES.saturating_sub(self.wrap(form, "").len())
    }

    fn size(&self, form: &Form) -> usize {
        self.write(form).len()
    }

    fn write(&self, form: &Form) -> String {
        self.wrap(form, &to_json(&self.body))
    }

    /// Puts the body's JSON text into the form's envelope.
    fn wrap(&self, form: &Form, body: &str) -> String {
        match form {
            Form::Function { action_group, function } => {
                to_json(&self.envelope(FunctionResponse {
                    action_group,
                    function,
                    function_response: FunctionResult {
                        response_state: self.reprompt.then_some("REPROMPT"),
                        response_body: TextBody { text: Content { body } },
                    },
                }))
            }
            Form::OpenApi { action_group, api_path, http_method } => {
                to_json(&self.envelope(ApiResponse {
                    action_group,
                    api_path,
                    http_method,
                    http_status_code: if self.reprompt { 400 } else { 200 },
                    response_body: JsonBody { json: Content { body } },
                }))
            }
            Form::Gateway => body.to_owned(),
        }
    }

    fn envelope<R>(&self, response: R) -> Envelope<'_, R> {
        Envelope {
            message_version: "1.0",
            response,
            session_attributes: &self.session_attributes,
            prompt_session_attributes: &self.prompt_session_attributes,
        }
    }
}

/// Some of a body's texts.
type Texts = fn(&mut Body) -> Vec<&mut Option<String>>;

/// The texts that may be cut, in the order in which they are.
const TEXTS: [Texts; 3] = [answers, words_of_results, message];

fn answers(body: &mut Body) -> Vec<&mut Option<String>> {
    body.parts_mut().map(|part| &mut part.answer).collect()
}

fn words_of_results(body: &mut Body) -> Vec<&mut Option<String>> {
    let mut words = Vec::new();
    for TaskBody { message, asked, task_id, .. } in body.results.iter_mut().flatten() {
        words.extend([message, asked, task_id]);
    }
    words
}

fn message(body: &mut Body) -> Vec<&mut Option<String>> {
    vec![&mut body.whole.message]
}

/// The body with these texts cut to at most `length` bytes. Where that cuts an answer, it says so.
fn cut_to(length: usize, body: &Body, texts: Texts) -> Body {
    let mut cut = body.clone();
    for text in texts(&mut cut).into_iter().flatten() {
        text.truncate(text.floor_char_boundary(length));
    }
    let size = |part: &TaskBody| part.answer.as_ref().map(String::len);
    for (part, before) in cut.parts_mut().zip(body.parts()) {
        part.truncated |= size(part) < size(before);
    }
    cut.whole.truncated |= cut.results.iter().flatten().any(|result| result.truncated);
    cut
}

impl Form {
    fn shorten_echoes(&mut self) {
        match self {
            Self::Function { action_group, function } => {
                *action_group = echo(action_group);
                *function = echo(function);
            }
            Self::OpenApi { action_group, api_path, http_method } => {
                *action_group = echo(action_group);
                *api_path = echo(api_path);
                *http_method = echo(http_method);
            }
            Self::Gateway => {}
        }
    }
}

/// Whether an attribute is one of those that the router lives by. One that no router can have
/// written is not.
fn is_ours(name: &str, value: &str) -> bool {
    match name {
        ROOT_SESSION_ID => RootSession::parse(ROOT_SESSION_ID, value).is_ok(),
        ROUTER_HOPS => value.len() <= MAX_HOPS_DIGITS,
        _ => false,
    }
}

/// Texts, numbers and string maps, which is all there is here, always serialise.
fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a, R> {
    message_version: &'static str,
    response: R,
    session_attributes: &'a Attributes,
    prompt_session_attributes: &'a Attributes,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FunctionResponse<'a> {
    action_group: &'a str,
    function: &'a str,
    function_response: FunctionResult<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FunctionResult<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    response_state: Option<&'static str>,
    response_body: TextBody<'a>,
}

#[derive(Serialize)]
struct TextBody<'a> {
    #[serde(rename = "TEXT")]
    text: Content<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiResponse<'a> {
    action_group: &'a str,
    api_path: &'a str,
    http_method: &'a str,
    http_status_code: u16,
    response_body: JsonBody<'a>,
}

#[derive(Serialize)]
struct JsonBody<'a> {
    #[serde(rename = "application/json")]
    json: Content<'a>,
}

#[derive(Serialize)]
struct Content<'a> {
    body: &'a str,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::outcome::{Reason, Status};

    fn function_form() -> Form {
        Form::Function { action_group: "specialists".to_owned(), function: "invoke".to_owned() }
    }

    fn open_api_form() -> Form {
        Form::OpenApi {
            action_group: "specialists".to_owned(),
            api_path: "/invoke".to_owned(),
            http_method: "POST".to_owned(),
        }
    }

    fn reply(answer: &str) -> Reply {
        let answer = Some(answer.to_owned());
        let body = Body::from(TaskBody { answer, ..TaskBody::new(Status::Answered) });
        Reply {
            body,
            reprompt: false,
            session_attributes: Attributes::new(),
            prompt_session_attributes: Attributes::new(),
        }
    }

    fn attributes(name: &str, value: String) -> Attributes {
        Attributes::from([(name.to_owned(), value), (ROOT_SESSION_ID.to_owned(), "s".to_owned())])
    }

    /// The body inside a rendered reply.
    fn body(rendered: &str) -> Value {
        let reply: Value = serde_json::from_str(rendered).unwrap();
        let places = [
            "/response/functionResponse/responseBody/TEXT/body",
            "/response/responseBody/application~1json/body",
        ];
        match places.iter().find_map(|place| reply.pointer(place)) {
            Some(text) => serde_json::from_str(text.as_str().unwrap()).unwrap(),
            None => reply,
        }
    }

    #[test]
    fn each_form_has_its_own_envelope() {
        let mut reply = reply("é");
        let text = to_json(&reply.body);
        reply.reprompt = true;
        let parse = |rendered: String| serde_json::from_str::<Value>(&rendered).unwrap();
        assert_eq!(
            parse(reply.clone().render(&function_form())),
            json!({"messageVersion": "1.0", "response": {"actionGroup": "specialists",
                "function": "invoke", "functionResponse": {"responseState": "REPROMPT",
                "responseBody": {"TEXT": {"body": text}}}},
                "sessionAttributes": {}, "promptSessionAttributes": {}})
        );
        assert_eq!(
            parse(reply.clone().render(&open_api_form())),
            json!({"messageVersion": "1.0", "response": {"actionGroup": "specialists",
                "apiPath": "/invoke", "httpMethod": "POST", "httpStatusCode": 400,
                "responseBody": {"application/json": {"body": text}}},
                "sessionAttributes": {}, "promptSessionAttributes": {}})
        );
        assert_eq!(reply.render(&Form::Gateway), text);
    }

    #[test]
    fn a_normal_reply_has_no_response_state() {
        assert!(!reply("yes").render(&function_form()).contains("responseState"));
    }

    #[test]
    fn attributes_that_leave_no_room_are_not_returned_except_ours() {
        let mut reply = reply("yes");
        reply.session_attributes = attributes("notes", "x".repeat(24_000));
        reply.prompt_session_attributes = attributes("more", "y".to_owned());
        reply.session_attributes.insert(ROUTER_HOPS.to_owned(), "2".to_owned());
        let rendered: Value = serde_json::from_str(&reply.render(&function_form())).unwrap();
        let ours = json!({"root_session_id": "s", "router_hops": "2"});
        assert_eq!(rendered["sessionAttributes"], ours);
        assert_eq!(rendered["promptSessionAttributes"], json!({}));
    }

    #[test]
    fn attributes_in_our_name_that_are_not_ours_are_not_returned() {
        let mut reply = reply("yes");
        for name in [ROOT_SESSION_ID, ROUTER_HOPS] {
            reply.session_attributes.insert(name.to_owned(), "9".repeat(30_000));
        }
        let rendered: Value = serde_json::from_str(&reply.render(&function_form())).unwrap();
        assert_eq!(rendered["sessionAttributes"], json!({}));
    }

    #[test]
    fn attributes_that_leave_room_stay_and_the_answer_is_cut_around_them() {
        let mut reply = reply(&"x".repeat(30_000));
        reply.session_attributes = attributes("notes", "x".repeat(20_000));
        let rendered = reply.render(&function_form());
        assert_eq!(rendered.len(), MAX_REPLY_BYTES);
        let rendered: Value = serde_json::from_str(&rendered).unwrap();
        assert_eq!(rendered["sessionAttributes"]["notes"].as_str().unwrap().len(), 20_000);
    }

    #[test]
    fn attributes_and_names_are_given_up_only_where_they_leave_too_little_room() {
        let with_notes = |bytes: usize| Reply {
            session_attributes: attributes("notes", "x".repeat(bytes)),
            ..reply("yes")
        };
        let most = with_notes(0).room(&function_form()) - MIN_ROOM_BYTES;
        for (bytes, stay) in [(most, true), (most + 1, false)] {
            let rendered = with_notes(bytes).render(&function_form());
            assert_eq!(rendered.contains("notes"), stay, "{bytes}");
        }
        let named = |bytes: usize| Form::Function {
            action_group: "a".repeat(bytes),
            function: "invoke".to_owned(),
        };
        let most = reply("yes").room(&named(0)) - MIN_ROOM_BYTES;
        for (bytes, stays) in [(most, true), (most + 1, false)] {
            let rendered = reply("yes").render(&named(bytes));
            assert_eq!(rendered.contains(&"a".repeat(bytes)), stays, "{bytes}");
        }
    }

    #[test]
    fn what_just_fits_is_not_cut_and_what_is_a_byte_longer_is() {
        let most = MAX_REPLY_BYTES - reply("").render(&function_form()).len();
        for (bytes, kept) in [(most, most), (most + 1, most)] {
            let rendered = reply(&"x".repeat(bytes)).render(&function_form());
            assert!(rendered.len() <= MAX_REPLY_BYTES);
            let body = body(&rendered);
            assert_eq!(body["answer"].as_str().unwrap().len(), kept);
            assert_eq!(body["truncated"] == true, kept < bytes, "{bytes}");
        }
    }

    #[test]
    fn a_message_is_cut_where_it_must_be() {
        for (bytes, is_cut) in [(100, false), (30_000, true)] {
            let refused = Body::refused(Reason::BadRequest, "x".repeat(bytes));
            let rendered = Reply { body: refused, ..reply("") }.render(&function_form());
            let kept = body(&rendered)["message"].as_str().unwrap().len();
            assert_eq!((kept < bytes, rendered.len() == MAX_REPLY_BYTES), (is_cut, is_cut));
        }
    }

    #[test]
    fn even_hostile_names_leave_a_reply_that_fits() {
        let hostile = "\"\n".repeat(50_000);
        let form = Form::Function { action_group: hostile.clone(), function: hostile.clone() };
        let rendered = reply("yes").render(&form);
        assert!(rendered.len() <= MAX_REPLY_BYTES);
        assert_eq!(body(&rendered)["answer"], "yes");
    }

    proptest! {
        #[test]
        fn a_reply_fits_and_its_answer_is_cut_only_where_it_must_be(
            characters in proptest::collection::vec(any::<char>(), 0..20),
            repeats in 1..6_000_usize,
            form in prop_oneof![Just(function_form()), Just(open_api_form()), Just(Form::Gateway)],
        ) {
            let unit: String = characters.into_iter().collect();
            let answer = unit.repeat(repeats);
            let rendered = reply(&answer).render(&form);
            prop_assert!(rendered.len() <= MAX_REPLY_BYTES, "{}", rendered.len());
            let body = body(&rendered);
            let kept = body["answer"].as_str().unwrap();
            prop_assert!(answer.starts_with(kept));
            prop_assert_eq!(body["truncated"] == true, kept.len() < answer.len());
            if kept.len() < answer.len() {
                // One character more, twice escaped, takes 14 bytes at most.
                prop_assert!(rendered.len() + 14 > MAX_REPLY_BYTES);
            }
        }
    }
}
