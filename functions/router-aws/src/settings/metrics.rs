//! Which metrics are published, and how.

use router_core::policy::Mistake;

use super::{Lookup, first_set, mistake, noted, set};

/// Which metrics are published, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsSettings {
    /// Their namespace.
    pub namespace: String,
    /// How they reach CloudWatch.
    pub delivery: Delivery,
}

/// How metrics reach CloudWatch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// With one call a request, for which the reply waits.
    #[default]
    Api,
    /// Through the log, from which CloudWatch takes them.
    Log,
}

impl MetricsSettings {
    /// Reads `METRICS_NAMESPACE`, or `POWERTOOLS_METRICS_NAMESPACE`, and `METRICS_DELIVERY`.
    ///
    /// # Errors
    ///
    /// Every mistake there is.
    pub fn from_vars(var: Lookup<'_>) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let names = ["METRICS_NAMESPACE", "POWERTOOLS_METRICS_NAMESPACE"];
        let namespace = namespace(first_set(var, names)).unwrap_or_else(noted(&mut mistakes));
        let delivery = delivery(set(var, "METRICS_DELIVERY")).unwrap_or_else(noted(&mut mistakes));
        if mistakes.is_empty() { Ok(Self { namespace, delivery }) } else { Err(mistakes) }
    }
}

fn namespace(found: Option<(&'static str, String)>) -> Result<String, Mistake> {
    let Some((setting, name)) = found else { return Ok("BedrockSupervisor".to_owned()) };
    // https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_./#-: ".contains(&byte);
    let is_reserved = name.starts_with("AWS/") || name.starts_with(':');
    if name.len() <= 255 && name.bytes().all(is_allowed) && !is_reserved {
        return Ok(name);
    }
    let rule = "it must be up to 255 letters, digits, blanks and ._/#-:, and must not start with \
                `AWS/` or `:`";
    Err(mistake(setting, &name, rule))
}

fn delivery(value: Option<String>) -> Result<Delivery, Mistake> {
    match value.as_deref() {
        None | Some("api") => Ok(Delivery::Api),
        Some("log") => Ok(Delivery::Log),
        Some(other) => Err(mistake("METRICS_DELIVERY", other, "it must be api or log")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<MetricsSettings, Vec<Mistake>> {
        MetricsSettings::from_vars(&|name| {
            vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn what_is_not_set_or_empty_has_its_documented_value() {
        let default =
            MetricsSettings { namespace: "BedrockSupervisor".to_owned(), delivery: Delivery::Api };
        assert_eq!(read(&[]).unwrap(), default);
        assert_eq!(read(&[("METRICS_NAMESPACE", ""), ("METRICS_DELIVERY", "")]).unwrap(), default);
    }

    #[test]
    fn the_routers_own_name_of_the_namespace_overrides_that_of_powertools() {
        let powertools = ("POWERTOOLS_METRICS_NAMESPACE", "Shop");
        assert_eq!(read(&[powertools]).unwrap().namespace, "Shop");
        assert_eq!(read(&[powertools, ("METRICS_NAMESPACE", "Own")]).unwrap().namespace, "Own");
        let mistakes = read(&[("POWERTOOLS_METRICS_NAMESPACE", "AWS/Shop")]).unwrap_err();
        assert_eq!(mistakes[0].setting, "POWERTOOLS_METRICS_NAMESPACE");
    }

    #[test]
    fn metrics_are_delivered_in_one_of_two_ways_to_the_letter() {
        assert_eq!(read(&[("METRICS_DELIVERY", "api")]).unwrap().delivery, Delivery::Api);
        assert_eq!(read(&[("METRICS_DELIVERY", "log")]).unwrap().delivery, Delivery::Log);
        for other in ["LOG", "Api", " log", "emf", "api,log", "true", "0"] {
            let mistakes = read(&[("METRICS_DELIVERY", other)]).unwrap_err();
            let expected = format!("`METRICS_DELIVERY` is \"{other}\": it must be api or log");
            assert_eq!(mistakes[0].to_string(), expected);
        }
    }
}
