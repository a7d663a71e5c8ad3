//! What brings an invocation of the gate: a deployment, the schedule, or a caller.

use router_aws::deployments::Hook;
use router_core::json::{self, kind};
use routing_gate::settings::CasesAt;
use serde_json::Value;

/// What brings an invocation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A deployment that waits to hear whether traffic may come.
    Hook(Hook),
    /// It is time for the nightly replay.
    Schedule,
    /// A caller, who gets a report.
    Direct {
        /// The cases, if not those of the settings.
        cases: Option<CasesAt>,
        /// Whether the texts of misrouted requests are wanted.
        texts: bool,
    },
}

/// What is wrong with an event: what was found, and what is allowed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {found}; it must be {rule}")]
pub(crate) struct Mistake {
    name: &'static str,
    found: &'static str,
    rule: &'static str,
}

impl Event {
    /// Reads an event.
    ///
    /// # Errors
    ///
    /// The mistake of one that asks for nothing which the gate can do.
    pub(crate) fn read(payload: &[u8]) -> Result<Self, Mistake> {
        let rule = "a JSON object";
        let event = json::read(payload).map_err(|_| Mistake {
            name: "the event",
            found: "not JSON",
            rule,
        })?;
        if !event.is_object() {
            return Err(Mistake { name: "the event", found: kind(&event), rule });
        }
        let deployment = event["DeploymentId"].as_str();
        let execution = event["LifecycleEventHookExecutionId"].as_str();
        if let (Some(deployment), Some(execution)) = (deployment, execution) {
            let (deployment, execution) = (deployment.to_owned(), execution.to_owned());
            return Ok(Self::Hook(Hook { deployment, execution }));
        }
        if event["source"] == "aws.events" && event["detail-type"] == "Scheduled Event" {
            return Ok(Self::Schedule);
        }
        let (name, rule) = ("`cases`", CasesAt::RULE);
        let cases = match &event["cases"] {
            Value::Null => None,
            Value::String(text) => {
                let place = CasesAt::parse(text);
                Some(place.ok_or(Mistake { name, found: "another string", rule })?)
            }
            other => return Err(Mistake { name, found: kind(other), rule }),
        };
        let texts = match &event["texts"] {
            Value::Null => false,
            Value::Bool(texts) => *texts,
            other => {
                let rule = "true or false";
                return Err(Mistake { name: "`texts`", found: kind(other), rule });
            }
        };
        Ok(Self::Direct { cases, texts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(event: Value) -> Result<Event, String> {
        Event::read(event.to_string().as_bytes()).map_err(|mistake| mistake.to_string())
    }

    #[test]
    fn a_deployment_the_schedule_and_a_caller_are_told_apart() {
        let event = json!({"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "e"});
        let hook = Hook { deployment: "d-1".to_owned(), execution: "e".to_owned() };
        assert_eq!(read(event), Ok(Event::Hook(hook)));
        let event = json!({"source": "aws.events", "detail-type": "Scheduled Event"});
        assert_eq!(read(event), Ok(Event::Schedule));
        assert_eq!(read(json!({})), Ok(Event::Direct { cases: None, texts: false }));
        let cases = Some(CasesAt::File("a.jsonl".to_owned()));
        let event = json!({"cases": "file:a.jsonl", "texts": true, "other": 1});
        assert_eq!(read(event), Ok(Event::Direct { cases, texts: true }));
    }

    #[test]
    fn the_repositorys_events_are_what_they_are_named() {
        let read = |text: &str| Event::read(text.as_bytes()).unwrap();
        let hook = read(include_str!("../../../events/routing-gate/hook.json"));
        assert!(matches!(hook, Event::Hook(_)), "{hook:?}");
        let night = read(include_str!("../../../events/routing-gate/night.json"));
        assert_eq!(night, Event::Schedule);
        let report = read(include_str!("../../../events/routing-gate/report.json"));
        assert_eq!(report, Event::Direct { cases: Some(CasesAt::Example), texts: false });
    }

    #[test]
    fn an_event_that_asks_for_nothing_is_told_what_it_must_be() {
        let found = Event::read(b"{").unwrap_err().to_string();
        assert_eq!(found, "the event is not JSON; it must be a JSON object");
        for (event, beginning) in [
            (json!([]), "the event is an array; "),
            (json!({"cases": 7}), "`cases` is a number; it must be example, file:"),
            (json!({"cases": "SECRET"}), "`cases` is another string; "),
            (json!({"texts": "yes"}), "`texts` is a string; it must be true or false"),
        ] {
            let told = read(event).unwrap_err();
            assert!(told.starts_with(beginning), "{told}");
        }
    }
}
