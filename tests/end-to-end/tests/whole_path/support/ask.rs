//! Events, built from what a test is about.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value, json};
use stand_ins::events::Form;

/// One call of a tool of the action group. Every new one has a session of its own.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    form: Form,
    tool: String,
    arguments: Map<String, Value>,
    session_id: Option<Value>,
    attributes: Map<String, Value>,
    prompt_attributes: Map<String, Value>,
    input_text: String,
}

impl Ask {
    /// Has `specialist` asked for `request`, by a user who has not signed in.
    pub(crate) fn of(specialist: &str, request: &str) -> Self {
        static SESSIONS: AtomicUsize = AtomicUsize::new(0);
        let session = format!("session-{}", SESSIONS.fetch_add(1, Ordering::Relaxed));
        let ask = Self {
            form: Form::Function,
            tool: "invoke_specialist_agent".to_owned(),
            arguments: Map::new(),
            session_id: Some(session.into()),
            attributes: Map::new(),
            prompt_attributes: Map::new(),
            input_text: "What the user wrote.".to_owned(),
        };
        ask.argument("specialist_type", specialist).argument("request", request)
    }

    /// Has several specialists asked, by a verified user: each with its name as the task's id.
    pub(crate) fn several(mode: &str, tasks: &[(&str, &str)]) -> Self {
        let task = |(specialist, request): &(&str, &str)| json!({ "specialist_type": specialist, "request": request, "task_id": specialist });
        let tasks: Value = tasks.iter().map(task).collect();
        let ask = Self::of("", "").without("specialist_type").without("request").verified();
        let ask = ask.tool("invoke_specialists").argument("mode", mode);
        ask.argument("tasks", tasks.to_string())
    }

    pub(crate) fn orders(request: &str) -> Self {
        Self::of("orders", request)
    }

    /// Asks of orders in this form with `SECRET` in all that users, models and applications write,
    /// as it should be and in every way that is refused for what it says.
    pub(crate) fn all_with_secrets(request: &str, form: Form) -> Vec<Self> {
        let ask = Self::orders(&format!("SECRET-REQUEST {request}"))
            .form(form)
            .input_text("SECRET-INPUT")
            .attribute("user_id", "SECRET-ATTRIBUTE")
            .attribute("SECRET-NAME", "x")
            .prompt_attribute("note", "SECRET-PROMPT")
            .argument("intent", "SECRET-INTENT")
            .argument("task_id", "SECRET-TASK");
        vec![
            ask.clone(),
            ask.clone().argument("specialist_type", "SECRET-SPECIALIST"),
            ask.clone().argument("specialist_type", "<SECRET-SPECIALIST>"),
            ask.clone().argument("confidence", "SECRET-CONFIDENCE"),
            ask.clone().tool("SECRET-TOOL"),
            ask.attribute("bad", vec!["SECRET-ATTRIBUTE"]),
        ]
    }

    /// By a user whose identity the application has verified.
    pub(crate) fn verified(self) -> Self {
        self.attribute("identity_verified", "true")
    }

    pub(crate) fn session(mut self, id: impl Into<Value>) -> Self {
        self.session_id = Some(id.into());
        self
    }

    pub(crate) fn without_session(mut self) -> Self {
        self.session_id = None;
        self
    }

    pub(crate) fn tool(mut self, tool: &str) -> Self {
        self.tool = tool.to_owned();
        self
    }

    pub(crate) fn argument(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.arguments.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn without(mut self, argument: &str) -> Self {
        self.arguments.remove(argument);
        self
    }

    pub(crate) fn attribute(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.attributes.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn prompt_attribute(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.prompt_attributes.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn input_text(mut self, text: &str) -> Self {
        self.input_text = text.to_owned();
        self
    }

    /// In this form.
    pub(crate) fn form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// The session that the event names.
    pub(crate) fn session_id(&self) -> &str {
        self.session_id.as_ref().and_then(Value::as_str).unwrap_or_default()
    }

    /// The root session, which pays.
    pub(crate) fn payer(&self) -> String {
        let root = self.attributes.get("root_session_id").and_then(Value::as_str);
        root.unwrap_or(self.session_id()).to_owned()
    }

    /// The event as Bedrock or a gateway sends it.
    pub(crate) fn event(&self) -> Value {
        let listed = |arguments: &Map<String, Value>| -> Vec<Value> {
            let entry = |(name, value)| json!({ "name": name, "type": "string", "value": value });
            arguments.iter().map(entry).collect()
        };
        let mut event = match self.form {
            Form::Gateway => {
                let mut event = Value::Object(self.arguments.clone());
                if !self.attributes.is_empty() {
                    event["session_attributes"] = self.attributes.clone().into();
                }
                if let Some(id) = &self.session_id {
                    event["session_id"] = id.clone();
                }
                return event;
            }
            Form::Function => json!({
                "function": self.tool,
                "parameters": listed(&self.arguments),
            }),
            Form::OpenApi => json!({
                "apiPath": format!("/{}", self.tool),
                "httpMethod": "POST",
                "parameters": [],
                "requestBody": { "content": { "application/json": {
                    "properties": listed(&self.arguments),
                }}},
            }),
        };
        event["messageVersion"] = "1.0".into();
        event["agent"] = json!({ "name": "s", "id": "S", "alias": "A", "version": "1" });
        event["actionGroup"] = "specialists".into();
        event["inputText"] = self.input_text.clone().into();
        event["sessionAttributes"] = self.attributes.clone().into();
        event["promptSessionAttributes"] = self.prompt_attributes.clone().into();
        if let Some(id) = &self.session_id {
            event["sessionId"] = id.clone();
        }
        event
    }

    /// The client context that belongs to the event.
    pub(crate) fn client_context(&self) -> Option<Value> {
        let tool = format!("router___{}", self.tool);
        (self.form == Form::Gateway)
            .then(|| json!({ "custom": { "bedrockAgentCoreToolName": tool } }))
    }
}
