//! What a guardrail did to a request or an answer.

use serde_json::Value;

/// Whether a guardrail's trace says that it blocked. One that intervened may also have masked
/// what it found, and then the masked text is the answer. So it blocked unless its findings say
/// otherwise, all of them: a policy of a kind that is not known here counts like any other.
pub(super) fn has_blocked(trace: &Value) -> bool {
    let intervened = is_one_of(&trace["action"], &["INTERVENED", "GUARDRAIL_INTERVENED"]);
    let mut actions = Vec::new();
    for assessments in ["inputAssessments", "outputAssessments"] {
        find_actions(&trace[assessments], &mut actions);
    }
    let masked = |action: &&Value| is_one_of(action, &["ANONYMIZED", "NONE"]);
    intervened && (actions.is_empty() || !actions.iter().all(masked))
}

/// Gathers what was done about each finding, however deep it is in the assessments.
fn find_actions<'t>(value: &'t Value, actions: &mut Vec<&'t Value>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| find_actions(value, actions)),
        Value::Object(members) => {
            for (name, value) in members {
                if name == "action" && !value.is_null() {
                    actions.push(value);
                } else {
                    find_actions(value, actions);
                }
            }
        }
        _ => {}
    }
}

fn is_one_of(action: &Value, words: &[&str]) -> bool {
    action.as_str().is_some_and(|action| words.iter().any(|word| action.eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// An assessment with one finding of each kind that the API reference of `GuardrailTrace` and
    /// of `ApplyGuardrail` knows, by what was done about it.
    fn assessments(action: &str) -> Vec<Value> {
        vec![
            json!({ "topicPolicy": { "topics": [{ "name": "t", "action": action }] } }),
            json!({ "contentPolicy": { "filters": [{ "type": "HATE", "action": action }] } }),
            json!({ "wordPolicy": { "customWords": [{ "match": "w", "action": action }] } }),
            json!({ "wordPolicy": { "managedWordLists": [{ "match": "w", "action": action }] } }),
            json!({ "sensitiveInformationPolicy": {
                "piiEntities": [{ "type": "EMAIL", "match": "SECRET", "action": action }] } }),
            json!({ "sensitiveInformationPolicy": {
                "regexes": [{ "name": "r", "match": "SECRET", "action": action }] } }),
            json!({ "contextualGroundingPolicy": {
                "filters": [{ "type": "GROUNDING", "score": 0.2, "action": action }] } }),
            json!({ "aLaterPolicy": { "findings": [{ "deep": { "action": action } }] } }),
        ]
    }

    #[test]
    fn one_finding_of_any_kind_that_is_blocked_blocks() {
        for place in ["inputAssessments", "outputAssessments"] {
            for action in ["BLOCKED", "blocked", "SOMETHING_NEW"] {
                for blocked in assessments(action) {
                    let found = [assessments("ANONYMIZED"), vec![blocked.clone()]].concat();
                    let trace = json!({ "action": "INTERVENED", place: found });
                    assert!(has_blocked(&trace), "{blocked}");
                }
            }
        }
    }

    #[test]
    fn findings_that_are_all_masked_or_let_through_block_nothing() {
        let masked = [assessments("ANONYMIZED"), assessments("NONE")].concat();
        for place in ["inputAssessments", "outputAssessments"] {
            for found in masked.iter().map(|one| vec![one.clone()]).chain([masked.clone()]) {
                assert!(!has_blocked(&json!({ "action": "INTERVENED", place: found })));
            }
        }
    }

    #[test]
    fn one_that_intervened_and_lists_nothing_has_blocked() {
        for trace in [
            json!({ "action": "INTERVENED" }),
            json!({ "action": "INTERVENED", "inputAssessments": null, "outputAssessments": [] }),
            json!({ "action": "INTERVENED", "inputAssessments": [{ "topicPolicy": {} }] }),
            json!({ "action": "guardrail_intervened", "outputAssessments": [{ "wordPolicy":
                { "customWords": [{ "match": "w", "action": null }] } }] }),
        ] {
            assert!(has_blocked(&trace), "{trace}");
        }
    }

    #[test]
    fn one_that_did_not_intervene_has_not_blocked() {
        for trace in [
            json!({ "action": "NONE", "inputAssessments": assessments("BLOCKED") }),
            json!({ "action": null }),
            json!({}),
        ] {
            assert!(!has_blocked(&trace), "{trace}");
        }
    }
}
