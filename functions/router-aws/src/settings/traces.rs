//! Where traces go: the settings of OpenTelemetry's SDKs, under their own names.
//!
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/> and
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/> say what
//! each means. Here no endpoint means no traces, not `localhost`; an export gets one second, not
//! ten, since a function pays for the wait; and a value that the specifications would have
//! ignored stops the function, like any other mistake.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use router_core::policy::{Mistake, NOT_SHOWN};
use router_core::trace::{TraceId, Value};

use super::{endpoints, mistake, noted, set, told};

/// How long an export may take where nothing else is set.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);

/// How traces are exported.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    /// Where they go: a URL with its path.
    pub endpoint: String,
    /// Sent with each export.
    pub headers: Headers,
    /// How long an export may take.
    pub timeout: Duration,
    /// Whether exports are compressed.
    pub gzip: bool,
    /// What is known of the function, whatever it does.
    pub resource: BTreeMap<String, Value>,
    /// Which sessions are traced.
    pub sampler: Sampler,
}

/// Headers whose values are never shown.
#[derive(Clone, PartialEq)]
pub struct Headers(pub Vec<(String, String)>);

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// Which sessions are traced: a share of them, each with all of its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampler {
    /// How many of 2^63 traces.
    below: u64,
}

impl Sampler {
    const ALL: Self = Self { below: 1 << 63 };
    const NONE: Self = Self { below: 0 };

    fn share(share: f64) -> Self {
        Self { below: (share * Self::ALL.below as f64) as u64 }
    }

    /// Whether the trace is taken.
    pub fn takes(self, id: TraceId) -> bool {
        let [.., a, b, c, d, e, f, g, h] = id.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1 < self.below
    }
}

impl Default for Sampler {
    /// All of them.
    fn default() -> Self {
        Self::ALL
    }
}

impl TraceSettings {
    /// Reads the settings; `None` where no traces are wanted, whatever else is set.
    ///
    /// # Errors
    ///
    /// Every mistake there is.
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, Vec<Mistake>> {
        let var = &|name: &str| set(&var, name);
        let mut mistakes = Vec::new();
        let is_off = is_off(var).unwrap_or_else(noted(&mut mistakes));
        let endpoint = endpoint(var).unwrap_or_else(noted(&mut mistakes));
        let Some(endpoint) = endpoint.filter(|_| !is_off) else {
            return if mistakes.is_empty() { Ok(None) } else { Err(mistakes) };
        };
        protocol(var).unwrap_or_else(noted(&mut mistakes));
        let headers = headers(var).unwrap_or_else(noted(&mut mistakes));
        let timeout = timeout(var).unwrap_or_else(noted(&mut mistakes));
        let gzip = gzip(var).unwrap_or_else(noted(&mut mistakes));
        let resource = resource(var).unwrap_or_else(noted(&mut mistakes));
        let sampler = sampler(var).unwrap_or_else(noted(&mut mistakes));
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let headers = Headers(headers);
        let settings = Self { endpoint, headers, timeout, gzip, resource, sampler };
        Ok((sampler != Sampler::NONE).then_some(settings))
    }
}

/// A setting with the name under which it was found: the one for traces alone goes first.
fn of_traces(var: impl Fn(&str) -> Option<String>, setting: &str) -> Option<(String, String)> {
    [format!("OTEL_EXPORTER_OTLP_TRACES_{setting}"), format!("OTEL_EXPORTER_OTLP_{setting}")]
        .into_iter()
        .find_map(|name| var(&name).map(|value| (name, value)))
}

fn is_off(var: impl Fn(&str) -> Option<String>) -> Result<bool, Mistake> {
    let disabled = var("OTEL_SDK_DISABLED");
    let is_disabled = match disabled.as_deref().map(str::to_ascii_lowercase).as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(mistake("OTEL_SDK_DISABLED", other, "it must be true or false")),
    };
    match var("OTEL_TRACES_EXPORTER").as_deref() {
        None | Some("otlp") => Ok(is_disabled),
        Some("none") => Ok(true),
        Some(other) => Err(mistake("OTEL_TRACES_EXPORTER", other, "it must be otlp or none")),
    }
}

fn endpoint(var: impl Fn(&str) -> Option<String>) -> Result<Option<String>, Mistake> {
    let Some((name, found)) = of_traces(var, "ENDPOINT") else { return Ok(None) };
    let endpoint = match name.as_str() {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => format!("{}/v1/traces", found.trim_end_matches('/')),
        _ => found.clone(),
    };
    endpoints::check(&name, &endpoint).map(|()| Some(endpoint))
}

fn protocol(var: impl Fn(&str) -> Option<String>) -> Result<(), Mistake> {
    match of_traces(var, "PROTOCOL") {
        Some((name, found)) if found != "http/protobuf" => {
            Err(mistake(&name, &found, "it must be http/protobuf"))
        }
        _ => Ok(()),
    }
}

fn headers(var: impl Fn(&str) -> Option<String>) -> Result<Vec<(String, String)>, Mistake> {
    let Some((name, found)) = of_traces(var, "HEADERS") else { return Ok(Vec::new()) };
    let is_name = |name: &str| {
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let is_value = |value: &str| value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    pairs(&found)
        .filter(|pairs| pairs.iter().all(|(name, value)| is_name(name) && is_value(value)))
        .map(|pairs| {
            pairs.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect()
        })
        .ok_or_else(|| {
            let rule = "it must be a list like name=value,name=value, its values percent-encoded";
            told(&name, NOT_SHOWN, rule)
        })
}

fn timeout(var: impl Fn(&str) -> Option<String>) -> Result<Duration, Mistake> {
    let Some((name, found)) = of_traces(var, "TIMEOUT") else { return Ok(DEFAULT_TIMEOUT) };
    match found.parse() {
        Ok(millis @ 1..=30_000) => Ok(Duration::from_millis(millis)),
        _ => Err(mistake(&name, &found, "it must be 1 to 30000, in milliseconds")),
    }
}

fn gzip(var: impl Fn(&str) -> Option<String>) -> Result<bool, Mistake> {
    match of_traces(var, "COMPRESSION") {
        Some((name, found)) if found != "gzip" && found != "none" => {
            Err(mistake(&name, &found, "it must be gzip or none"))
        }
        found => Ok(found.is_some_and(|(_, found)| found == "gzip")),
    }
}

/// What Lambda says of the function, and what the settings say, which goes first.
fn resource(var: impl Fn(&str) -> Option<String>) -> Result<BTreeMap<String, Value>, Mistake> {
    let of_lambda = [
        ("cloud.region", "AWS_REGION"),
        ("faas.name", "AWS_LAMBDA_FUNCTION_NAME"),
        ("faas.version", "AWS_LAMBDA_FUNCTION_VERSION"),
        ("faas.instance", "AWS_LAMBDA_LOG_STREAM_NAME"),
        ("service.name", "AWS_LAMBDA_FUNCTION_NAME"),
        ("service.name", "POWERTOOLS_SERVICE_NAME"),
    ];
    let fixed = [("cloud.provider", "aws"), ("cloud.platform", "aws_lambda")];
    let mut resource: BTreeMap<String, Value> =
        fixed.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    resource.extend(
        of_lambda.iter().filter_map(|(key, name)| Some(((*key).to_owned(), var(name)?.into()))),
    );
    let memory: Option<u64> =
        var("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").and_then(|megabytes| megabytes.parse().ok());
    resource.extend(memory.map(|mb| ("faas.max_memory".to_owned(), (mb << 20).into())));
    if let Some(found) = var("OTEL_RESOURCE_ATTRIBUTES") {
        let rule = "it must be a list like key=value,key=value, its values percent-encoded";
        let given =
            pairs(&found).ok_or_else(|| told("OTEL_RESOURCE_ATTRIBUTES", NOT_SHOWN, rule))?;
        resource.extend(given.into_iter().map(|(key, value)| (key, value.into())));
    }
    resource.extend(var("OTEL_SERVICE_NAME").map(|name| ("service.name".to_owned(), name.into())));
    Ok(resource)
}

/// A request's parent is no trace of ours, so samplers that look at it decide by what they do
/// without one.
fn sampler(var: impl Fn(&str) -> Option<String>) -> Result<Sampler, Mistake> {
    let Some(found) = var("OTEL_TRACES_SAMPLER") else { return Ok(Sampler::ALL) };
    match found.strip_prefix("parentbased_").unwrap_or(&found) {
        "always_on" => Ok(Sampler::ALL),
        "always_off" => Ok(Sampler::NONE),
        "traceidratio" => {
            let Some(share) = var("OTEL_TRACES_SAMPLER_ARG") else { return Ok(Sampler::ALL) };
            match share.parse() {
                Ok(number) if (0.0..=1.0).contains(&number) => Ok(Sampler::share(number)),
                _ => Err(mistake("OTEL_TRACES_SAMPLER_ARG", &share, "it must be 0 to 1")),
            }
        }
        _ => {
            let rule = "it must be always_on, always_off or traceidratio, with parentbased_ before \
                        it or without";
            Err(mistake("OTEL_TRACES_SAMPLER", &found, rule))
        }
    }
}

/// Reads `key=value,key=value`, with values percent-encoded.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        let key = key.trim();
        (!key.is_empty()).then(|| (key.to_owned(), value.into_owned()))
    };
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use router_core::ids::RootSession;

    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Option<TraceSettings>, Vec<Mistake>> {
        TraceSettings::from_vars(|name: &str| {
            vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");

    fn settings(vars: &[(&str, &str)]) -> TraceSettings {
        let vars: Vec<_> = std::iter::once(ENDPOINT).chain(vars.iter().copied()).collect();
        read(&vars).unwrap().unwrap()
    }

    #[test]
    fn without_an_endpoint_there_are_no_traces_whatever_else_is_set() {
        let others = [("OTEL_SERVICE_NAME", "shop"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
        assert_eq!(read(&others), Ok(None));
        for off in [
            ("OTEL_SDK_DISABLED", "True"),
            ("OTEL_TRACES_EXPORTER", "none"),
            ("OTEL_TRACES_SAMPLER", "always_off"),
        ] {
            assert_eq!(read(&[ENDPOINT, off]), Ok(None), "{off:?}");
        }
    }

    #[test]
    fn an_endpoint_for_all_signals_gets_a_path_and_one_for_traces_is_taken_as_it_is() {
        assert_eq!(settings(&[]).endpoint, "http://collector:4318/v1/traces");
        let of_traces = (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "https://xray.eu-west-1.amazonaws.com/v1/traces",
        );
        assert_eq!(settings(&[of_traces]).endpoint, of_traces.1);
    }

    #[test]
    fn what_is_not_set_has_its_documented_value() {
        let settings = settings(&[]);
        assert_eq!((settings.timeout, settings.gzip), (Duration::from_secs(1), false));
        assert_eq!(settings.headers.0, []);
        assert!(settings.sampler.takes(TraceId([0xff; 16])));
    }

    #[test]
    fn what_is_set_for_traces_goes_first() {
        let settings = settings(&[
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "900"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "300"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "Api-Key=a%20b%3D, x-team = shop"),
        ]);
        assert_eq!((settings.timeout, settings.gzip), (Duration::from_millis(300), true));
        let headers = [("api-key", "a b="), ("x-team", "shop")];
        assert_eq!(settings.headers.0, headers.map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert!(!format!("{settings:?}").contains("a b="), "a header is a secret");
    }

    #[test]
    fn the_service_has_the_name_that_is_set_most_clearly() {
        let name = |vars: &[(&str, &str)]| settings(vars).resource["service.name"].clone();
        let mut vars = vec![("AWS_LAMBDA_FUNCTION_NAME", "function")];
        assert_eq!(name(&vars), "function".into());
        vars.push(("POWERTOOLS_SERVICE_NAME", "powertools"));
        assert_eq!(name(&vars), "powertools".into());
        vars.push(("OTEL_RESOURCE_ATTRIBUTES", "service.name=resource,team=a%2Cb"));
        assert_eq!(name(&vars), "resource".into());
        vars.push(("OTEL_SERVICE_NAME", "otel"));
        assert_eq!(name(&vars), "otel".into());
        assert_eq!(settings(&vars).resource["team"], "a,b".into());
        assert_eq!(settings(&vars).resource["faas.name"], "function".into());
    }

    #[test]
    fn a_share_of_the_sessions_is_traced_each_as_a_whole() {
        let sampler = settings(&[
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ])
        .sampler;
        let taken = (0..1_000).filter(|number| {
            let session = RootSession::parse("sessionId", &format!("session {number}")).unwrap();
            sampler.takes(TraceId::of(Some(&session), "r-1"))
        });
        assert!((200..300).contains(&taken.count()));
    }

    #[test]
    fn all_mistakes_are_reported_at_once_and_no_secret_with_them() {
        let mistakes = read(&[
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1s"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
            ("OTEL_RESOURCE_ATTRIBUTES", "team"),
            ("OTEL_TRACES_SAMPLER", "xray"),
        ])
        .unwrap_err();
        let settings: Vec<&str> = mistakes.iter().map(|mistake| &*mistake.setting).collect();
        assert_eq!(
            settings,
            [
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
                "OTEL_EXPORTER_OTLP_HEADERS",
                "OTEL_EXPORTER_OTLP_TIMEOUT",
                "OTEL_EXPORTER_OTLP_COMPRESSION",
                "OTEL_RESOURCE_ATTRIBUTES",
                "OTEL_TRACES_SAMPLER"
            ]
        );
        assert!(!mistakes[1].to_string().contains("secret"));
    }

    #[test]
    fn an_endpoint_is_a_url_of_a_host() {
        for endpoint in [
            "collector:4318",
            "ftp://collector",
            "http://",
            "http:///v1",
            "http://a b",
            "https://h?q",
        ] {
            let mistakes = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]).unwrap_err();
            assert_eq!(mistakes[0].setting, "OTEL_EXPORTER_OTLP_ENDPOINT", "{endpoint}");
        }
    }
}
