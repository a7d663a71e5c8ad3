//! Whom to tell that a person is asked.

use router_core::policy::Mistake;

use super::{Lookup, mistake, set};

const TOPIC: &str = "ESCALATION_TOPIC_ARN";

/// Where people hear of escalations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EscalationSettings {
    /// The ARN of an SNS topic; `None`: they are kept and shown, and nobody is told.
    pub topic: Option<String>,
}

impl EscalationSettings {
    /// Reads `ESCALATION_TOPIC_ARN`.
    ///
    /// # Errors
    ///
    /// Every mistake there is.
    pub fn from_vars(var: Lookup<'_>) -> Result<Self, Vec<Mistake>> {
        let topic = set(var, TOPIC);
        let rule = "it must be the ARN of an SNS topic that is no FIFO topic, \
                    arn:aws:sns:<region>:<account>:<name>";
        match topic.as_deref() {
            Some(arn) if !is_topic(arn) => Err(vec![mistake(TOPIC, arn, rule)]),
            _ => Ok(Self { topic }),
        }
    }
}

fn is_topic(arn: &str) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    matches!(parts[..], ["arn", partition, "sns", region, account, name]
        if partition.starts_with("aws")
            && !region.is_empty() && region.bytes().all(is_name)
            && account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())
            && (1..=256).contains(&name.len()) && name.bytes().all(is_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arn: &str) -> Result<EscalationSettings, String> {
        let var: Lookup<'_> = &|name| (name == TOPIC).then(|| arn.to_owned());
        EscalationSettings::from_vars(var).map_err(|mistakes| mistakes[0].to_string())
    }

    #[test]
    fn a_topic_is_named_by_its_arn_or_not_at_all() {
        assert_eq!(read("").unwrap().topic, None);
        for arn in [
            "arn:aws:sns:eu-central-1:123456789012:people",
            "arn:aws-cn:sns:cn-north-1:123456789012:p_1-2",
        ] {
            assert_eq!(read(arn).unwrap().topic.as_deref(), Some(arn));
        }
        for arn in [
            "people",
            "arn:aws:sqs:eu-central-1:123456789012:people",
            "arn:aws:sns:eu-central-1:12345:people",
            "arn:aws:sns:eu-central-1:123456789012:people.fifo",
            "arn:aws:sns::123456789012:people",
            "arn:aws:sns:eu-central-1:123456789012:people:subscription",
        ] {
            let message = read(arn).unwrap_err();
            assert!(message.starts_with("`ESCALATION_TOPIC_ARN` is \""), "{message}");
        }
    }
}
