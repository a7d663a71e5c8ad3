//! The function's settings, read from the environment and checked once, at cold start.
//!
//! Every mistake is reported at once, with the setting's name, what was found and the rule.
//! There is no falling back to something harmless: a function that is set up wrongly does
//! not start.

mod endpoints;
mod traces;

use std::collections::BTreeMap;
use std::fmt;

use router_core::json::kind;
use router_core::policy::{Mistake, NOT_SHOWN, Policy, may_be_secret};
use serde_json::Value;
pub use traces::{Headers, Sampler, TraceSettings};
use tracing::level_filters::LevelFilter;

/// The checked settings of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The routing policy, with an agent for each specialist.
    pub policy: Policy,
    /// The table with the budgets.
    pub budget_table: String,
    /// Whether an interceptor of the gateway vouches for the session in the arguments.
    pub gateway_injects_session: bool,
    /// CloudWatch's namespace of the metrics.
    pub metrics_namespace: String,
    /// How traces are exported; `None`: there are none.
    pub traces: Option<TraceSettings>,
}

/// All that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError(pub Vec<Mistake>);

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mistakes: Vec<String> = self.0.iter().map(Mistake::to_string).collect();
        write!(f, "{} wrong in the settings: {}", mistakes.len(), mistakes.join("; "))
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    /// Reads the settings through `var`, which looks an environment variable up, and
    /// `read_file`, which a policy of the form `file:<path>` is read with. Where
    /// `ROUTING_POLICY` is unset, `default_policy` is the policy.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] with every mistake there is.
    pub fn from_vars(
        var: impl Fn(&str) -> Option<String>,
        read_file: impl Fn(&str) -> std::io::Result<String>,
        default_policy: &str,
    ) -> Result<Self, SettingsError> {
        // A template can leave a variable empty, but not leave it out.
        let var = |name: &str| var(name).filter(|value| !value.is_empty());
        let mut mistakes = Vec::new();
        let budget_table =
            budget_table(var("BUDGET_TABLE_NAME")).unwrap_or_else(noted(&mut mistakes));
        let gateway_injects_session = gateway_injects_session(var("GATEWAY_INJECTS_SESSION"))
            .unwrap_or_else(noted(&mut mistakes));
        let metrics_namespace =
            metrics_namespace(var("METRICS_NAMESPACE")).unwrap_or_else(noted(&mut mistakes));
        mistakes.extend(endpoints::mistakes(var));
        let traces = TraceSettings::from_vars(var);
        let traces = traces.unwrap_or_else(|found| {
            mistakes.extend(found);
            None
        });
        let agents = agents(var("SPECIALIST_AGENTS"));
        let policy = policy_text(var("ROUTING_POLICY"), read_file, default_policy);
        let agents = agents.map_err(|mistake| mistakes.push(mistake)).ok();
        let policy = policy.map_err(|mistake| vec![mistake]);
        match policy.and_then(|text| Policy::parse(&text, agents.as_ref())) {
            Ok(policy) if mistakes.is_empty() => Ok(Self {
                policy,
                budget_table,
                gateway_injects_session,
                metrics_namespace,
                traces,
            }),
            policy => {
                mistakes.extend(policy.err().into_iter().flatten());
                Err(SettingsError(mistakes))
            }
        }
    }
}

/// How the function logs. Read apart from the settings, whose mistakes go to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// The name under which the function logs.
    pub service: String,
    /// The least severe level that is logged.
    pub level: LevelFilter,
    /// What is wrong with the level, if something is; then it is `INFO`.
    pub mistake: Option<Mistake>,
}

impl LogSettings {
    /// Reads `POWERTOOLS_SERVICE_NAME` and `POWERTOOLS_LOG_LEVEL`, or `AWS_LAMBDA_LOG_LEVEL`.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Self {
        let var = |name: &str| var(name).filter(|value| !value.is_empty());
        let service =
            var("POWERTOOLS_SERVICE_NAME").unwrap_or_else(|| "service_undefined".to_owned());
        let names = ["POWERTOOLS_LOG_LEVEL", "AWS_LAMBDA_LOG_LEVEL"];
        let given = names.into_iter().find_map(|name| var(name).map(|value| (name, value)));
        let Some((name, value)) = given else {
            return Self { service, level: LevelFilter::INFO, mistake: None };
        };
        let level = match value.to_ascii_uppercase().as_str() {
            "TRACE" => Some(LevelFilter::TRACE),
            "DEBUG" => Some(LevelFilter::DEBUG),
            "INFO" => Some(LevelFilter::INFO),
            "WARN" | "WARNING" => Some(LevelFilter::WARN),
            "ERROR" | "CRITICAL" | "FATAL" => Some(LevelFilter::ERROR),
            "SILENT" => Some(LevelFilter::OFF),
            _ => None,
        };
        let rule = "it must be TRACE, DEBUG, INFO, WARN, ERROR, CRITICAL or SILENT";
        let mistake = level.is_none().then(|| mistake(name, &value, rule));
        Self { service, level: level.unwrap_or(LevelFilter::INFO), mistake }
    }
}

/// Takes a mistake down and goes on with a value that nobody will see.
fn noted<T: Default>(mistakes: &mut Vec<Mistake>) -> impl FnOnce(Mistake) -> T {
    |mistake| {
        mistakes.push(mistake);
        T::default()
    }
}

fn budget_table(value: Option<String>) -> Result<String, Mistake> {
    let rule = "it must name the DynamoDB table with the budgets, or be its ARN";
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-:/".contains(&byte);
    match value {
        Some(name) if (3..=1_024).contains(&name.len()) && name.bytes().all(is_allowed) => Ok(name),
        Some(other) => Err(mistake("BUDGET_TABLE_NAME", &other, rule)),
        None => Err(missing("BUDGET_TABLE_NAME", rule)),
    }
}

fn gateway_injects_session(value: Option<String>) -> Result<bool, Mistake> {
    match value.as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(mistake("GATEWAY_INJECTS_SESSION", other, "it must be true or false")),
    }
}

fn metrics_namespace(value: Option<String>) -> Result<String, Mistake> {
    let Some(name) = value else { return Ok("BedrockSupervisor".to_owned()) };
    // https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_./#-: ".contains(&byte);
    let is_reserved = name.starts_with("AWS/") || name.starts_with(':');
    if name.len() <= 255 && name.bytes().all(is_allowed) && !is_reserved {
        return Ok(name);
    }
    let rule = "it must be up to 255 letters, digits, blanks and ._/#-:, and must not start with \
                `AWS/` or `:`";
    Err(mistake("METRICS_NAMESPACE", &name, rule))
}

fn agents(value: Option<String>) -> Result<BTreeMap<String, String>, Mistake> {
    let Some(text) = value else { return Ok(BTreeMap::new()) };
    let found = match serde_json::from_str(&text) {
        Ok(Value::Object(agents)) => {
            let text = |value: Value| value.as_str().map(str::to_owned);
            let agents = agents.into_iter().map(|(name, value)| Some((name, text(value)?)));
            match agents.collect() {
                Some(agents) => return Ok(agents),
                None => "an object with a value that is no text",
            }
        }
        Ok(other) => kind(&other),
        Err(_) => "not JSON",
    };
    let rule = "it must be a JSON object that gives each specialist a text";
    Err(told("SPECIALIST_AGENTS", found, rule))
}

fn policy_text(
    value: Option<String>,
    read_file: impl Fn(&str) -> std::io::Result<String>,
    default_policy: &str,
) -> Result<String, Mistake> {
    let Some(text) = value else { return Ok(default_policy.to_owned()) };
    let Some(path) = text.strip_prefix("file:") else { return Ok(text) };
    read_file(path).map_err(|error| {
        mistake("ROUTING_POLICY", &text, &format!("the file cannot be read, {error}"))
    })
}

/// A mistake with what was found, unless that may be a credential.
fn mistake(setting: &str, found: &str, rule: &str) -> Mistake {
    if may_be_secret(found) || found.contains('=') {
        return told(setting, NOT_SHOWN, rule);
    }
    let shown: String = found.chars().take(80).collect();
    told(setting, &format!("\"{}\"", shown.escape_debug()), rule)
}

/// A mistake that tells what was found, in place of quoting it.
fn told(setting: &str, found: &str, rule: &str) -> Mistake {
    Mistake { setting: setting.to_owned(), found: found.to_owned(), rule: rule.to_owned() }
}

fn missing(setting: &str, rule: &str) -> Mistake {
    told(setting, "not set", rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"
        [routing]
        fallback = "general"
        [session]
        max_steps = 1
        max_tokens = 10
        max_cost_usd = 1.0
        [specialists.general]
        description = "everything"
        max_tokens_per_call = 10
        price = { input_usd_per_mtok = 1.0, output_usd_per_mtok = 1.0 }
    "#;

    fn read(vars: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let var = |name: &str| {
            vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let read_file = |path: &str| match path {
            "policy.toml" => Ok(POLICY.replace("max_steps = 1", "max_steps = 7")),
            _ => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
        };
        Settings::from_vars(var, read_file, POLICY)
    }

    const TABLE: (&str, &str) = ("BUDGET_TABLE_NAME", "budget");
    const AGENTS: (&str, &str) = ("SPECIALIST_AGENTS", r#"{"general": "GENERAL001/LIVE000001"}"#);

    fn messages(vars: &[(&str, &str)]) -> Vec<String> {
        read(vars).unwrap_err().0.iter().map(Mistake::to_string).collect()
    }

    #[test]
    fn what_is_not_set_has_its_documented_value() {
        let settings = read(&[TABLE, AGENTS, ("METRICS_NAMESPACE", "")]).unwrap();
        assert_eq!(settings.metrics_namespace, "BedrockSupervisor");
        assert!(!settings.gateway_injects_session);
        assert_eq!(settings.policy.session.max_steps, 1);
    }

    #[test]
    fn a_policy_is_given_as_a_text_or_as_a_file() {
        let text = POLICY.replace("max_steps = 1", "max_steps = 3");
        let settings = read(&[TABLE, AGENTS, ("ROUTING_POLICY", &text)]).unwrap();
        assert_eq!(settings.policy.session.max_steps, 3);
        let settings = read(&[TABLE, AGENTS, ("ROUTING_POLICY", "file:policy.toml")]).unwrap();
        assert_eq!(settings.policy.session.max_steps, 7);
        let found = messages(&[TABLE, AGENTS, ("ROUTING_POLICY", "file:absent.toml")]);
        assert!(found[0].starts_with("`ROUTING_POLICY` is \"file:absent.toml\": the file"));
    }

    #[test]
    fn all_mistakes_are_reported_at_once_and_by_name() {
        let found = messages(&[
            ("GATEWAY_INJECTS_SESSION", "yes"),
            ("METRICS_NAMESPACE", "AWS/Bedrock"),
            ("SPECIALIST_AGENTS", "{}"),
        ]);
        let names: Vec<&str> = found.iter().map(|text| text.split(' ').next().unwrap()).collect();
        assert_eq!(
            names,
            [
                "`BUDGET_TABLE_NAME`",
                "`GATEWAY_INJECTS_SESSION`",
                "`METRICS_NAMESPACE`",
                "`specialists.general.agent`"
            ]
        );
        assert_eq!(found[1], "`GATEWAY_INJECTS_SESSION` is \"yes\": it must be true or false");
    }

    #[test]
    fn no_mistake_quotes_a_credential() {
        let names = [
            "BUDGET_TABLE_NAME",
            "GATEWAY_INJECTS_SESSION",
            "METRICS_NAMESPACE",
            "ROUTING_POLICY",
            "SPECIALIST_AGENTS",
            "AWS_ENDPOINT_URL",
            "AWS_ENDPOINT_URL_DYNAMODB",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            "OTEL_EXPORTER_OTLP_HEADERS",
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "OTEL_RESOURCE_ATTRIBUTES",
            "OTEL_TRACES_EXPORTER",
            "OTEL_TRACES_SAMPLER",
            "OTEL_SDK_DISABLED",
        ];
        for value in [
            "https://user:SECRET@host/path",
            "user:SECRET@host",
            "https://host?token=SECRET",
            "https://host/#SECRET",
            "https://user:SECRET%40host",
            "file:https://user:SECRET@host",
            "x,api-key=SECRET,\"",
            r#"{"general": "https://user:SECRET@host"}"#,
            r#"{"https://user:SECRET@host": "GENERAL001/LIVE000001"}"#,
        ] {
            for name in names {
                let otlp = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
                let vars = [(name, value), TABLE, AGENTS, otlp];
                let Err(error) = read(&vars) else { continue };
                assert!(!error.to_string().contains("SECRET"), "{name} {value}: {error}");
            }
            let mistake = LogSettings::from_vars(|_| Some(value.to_owned())).mistake.unwrap();
            assert!(!mistake.to_string().contains("SECRET"), "{mistake}");
        }
        for agents in [r#"{"general": ["SECRET"]}"#, r#"["SECRET"]"#, "SECRET"] {
            let found = messages(&[TABLE, ("SPECIALIST_AGENTS", agents)]);
            assert!(!found[0].contains("SECRET"), "{found:?}");
        }
        let policy = POLICY.replace("= 10\n", "= \"https://user:SECRET@host\"\n");
        let found = messages(&[TABLE, AGENTS, ("ROUTING_POLICY", &policy)]);
        assert!(found.len() > 1 && found.iter().all(|text| !text.contains("SECRET")), "{found:?}");
    }

    #[test]
    fn a_malformed_endpoint_is_named_with_what_was_found_and_the_rule() {
        let found = messages(&[TABLE, AGENTS, ("AWS_ENDPOINT_URL_DYNAMODB", "localhost:8000")]);
        let expected = "`AWS_ENDPOINT_URL_DYNAMODB` is \"localhost:8000\": it must be a URL with";
        assert!(found[0].starts_with(expected), "{found:?}");
        let url = ("AWS_ENDPOINT_URL_DYNAMODB", "https://user:SECRET@host");
        let found = messages(&[TABLE, AGENTS, url]);
        assert!(found[0].contains("is not shown, since it may be a credential: it"), "{found:?}");
    }

    #[test]
    fn agents_are_a_json_object_of_texts() {
        for text in ["[]", "{\"general\": 7}", "general=X/Y"] {
            let policy = POLICY.replace("max_steps = 1", "max_steps = 0");
            let vars = [TABLE, ("SPECIALIST_AGENTS", text), ("ROUTING_POLICY", &policy)];
            let found = messages(&vars);
            assert!(found[0].starts_with("`SPECIALIST_AGENTS`"), "{found:?}");
            assert!(found[1].starts_with("`session.max_steps`"), "the policy is read too");
            assert_eq!(found.len(), 2, "and nothing is said of agents that nobody could read");
        }
    }

    #[test]
    fn a_log_level_is_one_of_powertools_names() {
        let level = |vars: &[(&str, &str)]| {
            let var = |name: &str| {
                vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            };
            LogSettings::from_vars(var)
        };
        assert_eq!(level(&[]).level, LevelFilter::INFO);
        assert_eq!(level(&[("AWS_LAMBDA_LOG_LEVEL", "debug")]).level, LevelFilter::DEBUG);
        let both = [("POWERTOOLS_LOG_LEVEL", "WARNING"), ("AWS_LAMBDA_LOG_LEVEL", "DEBUG")];
        assert_eq!(level(&both).level, LevelFilter::WARN);
        let wrong = level(&[("POWERTOOLS_LOG_LEVEL", "loud")]);
        assert_eq!(wrong.mistake.unwrap().setting, "POWERTOOLS_LOG_LEVEL");
    }
}
