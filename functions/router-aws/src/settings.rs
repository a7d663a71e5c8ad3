//! The functions' settings, read from the environment and checked once, at cold start.
//!
//! There is a type for each concern, and a function reads those that it needs: one without
//! specialists needs no policy. Every mistake of all of them is reported at once, with the
//! setting's name, what was found and the rule. There is no falling back to something harmless: a
//! function that is set up wrongly does not start.

mod agents;
pub mod endpoints;
mod escalations;
mod log;
mod metrics;
pub mod routing;
mod traces;

pub use agents::Agents;
pub use escalations::EscalationSettings;
pub use log::LogSettings;
pub use metrics::{Delivery, MetricsSettings};
use router_core::policy::{Mistake, NOT_SHOWN, may_be_secret};
pub use traces::{Headers, Sampler, TraceSettings};

/// Looks an environment variable up.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What is wrong with the settings, over all concerns.
#[derive(Debug, Default)]
pub struct Mistakes(pub Vec<Mistake>);

impl Mistakes {
    /// The settings of a concern; its mistakes where there are some.
    pub fn take<T>(&mut self, settings: Result<T, Vec<Mistake>>) -> Option<T> {
        settings.map_err(|found| self.0.extend(found)).ok()
    }
}

/// Where budgets, circuits and incidents are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSettings {
    /// The table's name, or its ARN.
    pub name: String,
}

impl TableSettings {
    /// Reads `BUDGET_TABLE_NAME`.
    ///
    /// # Errors
    ///
    /// Every mistake there is.
    pub fn from_vars(var: Lookup<'_>) -> Result<Self, Vec<Mistake>> {
        let name = budget_table(set(var, "BUDGET_TABLE_NAME")).map_err(|mistake| vec![mistake])?;
        Ok(Self { name })
    }
}

/// What the gateway in front of the function does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewaySettings {
    /// Whether an interceptor vouches for the session in the arguments.
    pub injects_session: bool,
}

impl GatewaySettings {
    /// Reads `GATEWAY_INJECTS_SESSION`.
    ///
    /// # Errors
    ///
    /// Every mistake there is.
    pub fn from_vars(var: Lookup<'_>) -> Result<Self, Vec<Mistake>> {
        let injects_session = gateway_injects_session(set(var, "GATEWAY_INJECTS_SESSION"));
        Ok(Self { injects_session: injects_session.map_err(|mistake| vec![mistake])? })
    }
}

/// The value of a variable. A template can leave one empty, but not leave it out.
fn set(var: impl Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    var(name).filter(|value| !value.is_empty())
}

/// The first of `names` that is set, with its value.
fn first_set(
    var: impl Fn(&str) -> Option<String>,
    names: [&'static str; 2],
) -> Option<(&'static str, String)> {
    names.into_iter().find_map(|name| set(&var, name).map(|value| (name, value)))
}

/// Takes a mistake down and goes on with a value that is not used.
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
pub(crate) mod tests {
    use router_core::policy::Policy;

    use super::routing::{CompiledIn, PolicySettings};
    use super::*;

    /// The smallest policy, of one specialist and one step.
    pub(crate) const POLICY: &str = r#"
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

    /// Reads all concerns, as a function does that has them all.
    fn read(vars: &[(&str, &str)]) -> Result<(GatewaySettings, Policy), Vec<Mistake>> {
        let var: Lookup<'_> =
            &|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let read_file = |path: &str| match path {
            "policy.toml" => Ok(POLICY.replace("max_steps = 1", "max_steps = 7")),
            _ => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
        };
        let mut mistakes = Mistakes::default();
        mistakes.take(TableSettings::from_vars(var));
        let gateway = mistakes.take(GatewaySettings::from_vars(var));
        mistakes.take(MetricsSettings::from_vars(var));
        mistakes.take(endpoints::check_all(var));
        mistakes.take(TraceSettings::from_vars(var));
        let policy = mistakes.take(routing::policy(var, read_file, CompiledIn::alone(POLICY)));
        match (gateway, policy) {
            (Some(gateway), Some(PolicySettings::Fixed(policy))) if mistakes.0.is_empty() => {
                Ok((gateway, *policy))
            }
            _ => Err(mistakes.0),
        }
    }

    const TABLE: (&str, &str) = ("BUDGET_TABLE_NAME", "budget");
    const AGENTS: (&str, &str) = ("SPECIALIST_AGENTS", r#"{"general": "GENERAL001/LIVE000001"}"#);

    fn messages(vars: &[(&str, &str)]) -> Vec<String> {
        read(vars).unwrap_err().iter().map(Mistake::to_string).collect()
    }

    #[test]
    fn what_is_not_set_has_its_documented_value() {
        let (gateway, policy) = read(&[TABLE, AGENTS, ("ROUTING_POLICY", "")]).unwrap();
        assert!(!gateway.injects_session);
        assert_eq!(policy.session.max_steps, 1);
    }

    #[test]
    fn a_policy_is_given_as_a_text_or_as_a_file() {
        let text = POLICY.replace("max_steps = 1", "max_steps = 3");
        let (_, policy) = read(&[TABLE, AGENTS, ("ROUTING_POLICY", &text)]).unwrap();
        assert_eq!(policy.session.max_steps, 3);
        let (_, policy) = read(&[TABLE, AGENTS, ("ROUTING_POLICY", "file:policy.toml")]).unwrap();
        assert_eq!(policy.session.max_steps, 7);
        let found = messages(&[TABLE, AGENTS, ("ROUTING_POLICY", "file:absent.toml")]);
        assert!(found[0].starts_with("`ROUTING_POLICY` is \"file:absent.toml\": the file"));
    }

    #[test]
    fn a_schema_in_a_file_lies_beside_its_policy() {
        let named = POLICY.replace("price =", "output_schema = \"schemas/a.json\"\nprice =");
        let policy = named.clone();
        let read = |vars: &[(&str, &str)], schemas| {
            let vars: Vec<(String, String)> =
                vars.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
            let var: Lookup<'_> =
                &|name| vars.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
            let read_file = |path: &str| match path {
                "etc/policy.toml" => Ok(policy.clone()),
                "etc/schemas/a.json" => Ok("{\"type\": \"object\"}".to_owned()),
                _ => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
            };
            let compiled_in = CompiledIn { toml: String::leak(policy.clone()), schemas };
            routing::policy(var, read_file, compiled_in)
        };
        let schema = |read: Result<PolicySettings, Vec<Mistake>>| match read {
            Ok(PolicySettings::Fixed(policy)) => {
                assert!(policy.fallback().output_schema.is_some());
                "read".to_owned()
            }
            Ok(PolicySettings::InTable(_)) => "in the table".to_owned(),
            Err(mistakes) => mistakes[0].to_string(),
        };
        let file = ("ROUTING_POLICY", "file:etc/policy.toml");
        assert_eq!(schema(read(&[AGENTS, file], &[])), "read");
        assert_eq!(schema(read(&[AGENTS], &[("schemas/a.json", "{}")])), "read");
        let absent = schema(read(&[AGENTS], &[]));
        assert!(absent.contains("no such file was beside the policy when the function was built"));
        let inline = schema(read(&[AGENTS, ("ROUTING_POLICY", &named)], &[]));
        assert!(inline.contains("must hold its schemas inline"), "{inline}");
    }

    #[test]
    fn all_mistakes_are_reported_at_once_and_by_name() {
        let found = messages(&[
            ("AWS_ENDPOINT_URL_STS", "sts"),
            ("GATEWAY_INJECTS_SESSION", "yes"),
            ("METRICS_DELIVERY", "mail"),
            ("METRICS_NAMESPACE", "AWS/Bedrock"),
            ("OTEL_SDK_DISABLED", "perhaps"),
            ("POLICY_REFRESH_SECONDS", "soon"),
            ("SPECIALIST_AGENTS", "{}"),
        ]);
        let names: Vec<&str> = found.iter().map(|text| text.split(' ').next().unwrap()).collect();
        assert_eq!(
            names,
            [
                "`BUDGET_TABLE_NAME`",
                "`GATEWAY_INJECTS_SESSION`",
                "`METRICS_NAMESPACE`",
                "`METRICS_DELIVERY`",
                "`AWS_ENDPOINT_URL_STS`",
                "`OTEL_SDK_DISABLED`",
                "`POLICY_REFRESH_SECONDS`",
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
            "METRICS_DELIVERY",
            "METRICS_NAMESPACE",
            "POLICY_REFRESH_SECONDS",
            "POWERTOOLS_METRICS_NAMESPACE",
            "ROUTING_POLICY",
            "SPECIALISTS",
            "SPECIALIST_AGENTS",
            "SPECIALIST_ARNS",
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
                let Err(found) = read(&vars) else { continue };
                let found: Vec<String> = found.iter().map(Mistake::to_string).collect();
                assert!(!found.concat().contains("SECRET"), "{name} {value}: {found:?}");
            }
            let mistake = LogSettings::from_vars(|_| Some(value.to_owned())).mistake.unwrap();
            assert!(!mistake.to_string().contains("SECRET"), "{mistake}");
        }
        let secret = "https://user:SECRET@host";
        let vars = [
            TABLE,
            ("SPECIALISTS", "https://u:SECRET@h,https://u:SECRET@h"),
            ("SPECIALIST_ARNS", secret),
        ];
        assert!(!messages(&vars).concat().contains("SECRET"));
        let vars = [TABLE, ("SPECIALISTS", secret), ("SPECIALIST_ARNS", secret)];
        assert!(!messages(&vars).concat().contains("SECRET"));
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
            assert_eq!(found.len(), 2, "and nothing is said of agents that could not be read");
        }
    }

    #[test]
    fn each_disagreement_of_agents_and_policy_names_the_variable_that_gave_them() {
        let vars = |names, arns| [TABLE, ("SPECIALISTS", names), ("SPECIALIST_ARNS", arns)];
        let (_, policy) = read(&vars("general", "GENERAL001/LIVE000001")).unwrap();
        assert_eq!(policy.fallback().agent.to_string(), "GENERAL001/LIVE000001");
        let found = messages(&vars("general,astrology", "general,A/B"));
        assert!(found[0].starts_with("`SPECIALIST_ARNS.general` is \"general\": "), "{found:?}");
        let expected =
            "`SPECIALISTS` is an agent for `astrology`: the policy has no such specialist";
        assert_eq!(found[1..], [expected]);
    }

    #[test]
    fn without_agents_each_specialist_is_named_with_what_to_set() {
        let found = messages(&[TABLE, ("SPECIALISTS", ""), ("SPECIALIST_ARNS", "")]);
        let [found] = &found[..] else { panic!("{found:?}") };
        let expected = "`specialists.general.agent` is missing: the specialist needs an agent";
        assert!(found.starts_with(expected), "{found}");
        assert!(found.contains("in SPECIALISTS and its ARN in SPECIALIST_ARNS"), "{found}");
    }

    #[test]
    fn a_policy_in_the_table_is_not_read_here_but_all_else_is_checked() {
        let table = ("ROUTING_POLICY", "table");
        let read = |vars: &[(&str, &str)]| {
            let var: Lookup<'_> = &|name| {
                vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            };
            routing::policy(var, |_| panic!("no file is read"), CompiledIn::alone("no policy"))
        };
        for (seconds, expected) in [("", 60), ("5", 5), ("0", 0)] {
            let settings = read(&[table, AGENTS, ("POLICY_REFRESH_SECONDS", seconds)]).unwrap();
            let PolicySettings::InTable(policy) = settings else { panic!("{settings:?}") };
            assert_eq!(policy.refresh.as_secs(), expected);
        }
        for seconds in ["-1", "1.5", "60s", "86401"] {
            let vars = [table, ("SPECIALISTS", "a,"), ("POLICY_REFRESH_SECONDS", seconds)];
            let found: Vec<String> =
                read(&vars).unwrap_err().into_iter().map(|mistake| mistake.setting).collect();
            assert_eq!(found, ["SPECIALISTS", "SPECIALIST_ARNS", "POLICY_REFRESH_SECONDS"]);
        }
    }
}
