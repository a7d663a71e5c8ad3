//! How a function logs. Read apart from the other settings, whose mistakes go to the log.

use router_core::policy::Mistake;
use tracing::level_filters::LevelFilter;

use super::{first_set, mistake, set};

/// How a function logs.
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
        let service =
            set(&var, "POWERTOOLS_SERVICE_NAME").unwrap_or_else(|| "service_undefined".to_owned());
        let names = ["POWERTOOLS_LOG_LEVEL", "AWS_LAMBDA_LOG_LEVEL"];
        let Some((name, value)) = first_set(var, names) else {
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

#[cfg(test)]
mod tests {
    use super::*;

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
