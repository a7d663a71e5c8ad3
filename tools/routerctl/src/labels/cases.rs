//! Which incidents become labelled cases, and why the others do not.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::corrections::Corrections;
use super::redact::redact;

/// What an incident tells of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Incident {
    pub(crate) id: String,
    /// The specialist that answered in the end.
    pub(crate) answered_by: Option<String>,
    /// What was asked, where it was kept.
    pub(crate) request: Option<String>,
}

/// A text with the specialist that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    text: String,
    specialist: String,
    source: Source,
}

/// Where a label comes from, with an incident's id.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Correction(String),
    Incident(String),
}

/// Why an incident becomes no case, or a correction has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    NotRecorded,
    NobodyAnswered,
    NotInPolicy,
    Duplicate,
    ConflictingLabels,
    CorrectionOfNoIncident,
}

/// The cases, and the ids of what became none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Labelled {
    pub(crate) cases: Vec<Case>,
    pub(crate) left_out: BTreeMap<Why, Vec<String>>,
}

/// Labels what incidents kept, in their order.
///
/// A correction is of the whole task of its incident: where several specialists in a row did not
/// answer, the task has an incident for each.
pub(crate) fn label(
    incidents: &[Incident],
    corrections: &Corrections,
    names: &BTreeSet<String>,
) -> Labelled {
    let mut labelled = Labelled::default();
    let tasks: BTreeSet<&str> = incidents.iter().map(|incident| task(&incident.id)).collect();
    let unknown = corrections.0.keys().filter(|id| !tasks.contains(task(id)));
    unknown.for_each(|id| labelled.leave_out(Why::CorrectionOfNoIncident, id));

    let of_tasks: BTreeMap<&str, (&str, &str)> = corrections
        .0
        .iter()
        .rev()
        .map(|(id, name)| (task(id), (id.as_str(), name.as_str())))
        .collect();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut texts: Vec<Vec<(&str, Case)>> = Vec::new();
    for incident in incidents {
        let own = corrections.0.get(&incident.id).map(|name| (incident.id.as_str(), name.as_str()));
        let correction = own.or_else(|| of_tasks.get(task(&incident.id)).copied());
        match case(incident, correction, names) {
            Err(why) => labelled.leave_out(why, &incident.id),
            Ok(case) => {
                let place = *places.entry(case.text.clone()).or_insert(texts.len());
                if place == texts.len() {
                    texts.push(Vec::new());
                }
                texts[place].push((&incident.id, case));
            }
        }
    }
    for mut cases in texts {
        // A person's word comes first; the sort is stable, so that else the first incident does.
        cases.sort_by_key(|(_, case)| matches!(case.source, Source::Incident(_)));
        let agree = cases.iter().all(|(_, case)| case.specialist == cases[0].1.specialist);
        let (kept, why) = if agree { (1, Why::Duplicate) } else { (0, Why::ConflictingLabels) };
        for (id, _) in cases.drain(kept..) {
            labelled.leave_out(why, id);
        }
        labelled.cases.extend(cases.into_iter().map(|(_, case)| case));
    }
    labelled
}

/// An incident's id begins with its request and the place of its task.
fn task(id: &str) -> &str {
    id.rsplit_once('/').map_or(id, |(task, _)| task)
}

fn case(
    incident: &Incident,
    correction: Option<(&str, &str)>,
    names: &BTreeSet<String>,
) -> Result<Case, Why> {
    let request = incident.request.as_deref().filter(|request| !request.trim().is_empty());
    let text = redact(request.ok_or(Why::NotRecorded)?);
    let (specialist, source) = match (correction, &incident.answered_by) {
        (Some((id, name)), _) => (name, Source::Correction(id.to_owned())),
        (None, Some(name)) => (name.as_str(), Source::Incident(incident.id.clone())),
        (None, None) => return Err(Why::NobodyAnswered),
    };
    if !names.contains(specialist) {
        return Err(Why::NotInPolicy);
    }
    Ok(Case { text, specialist: specialist.to_owned(), source })
}

impl Labelled {
    fn leave_out(&mut self, why: Why, id: &str) {
        self.left_out.entry(why).or_default().push(id.to_owned());
    }
}

impl Case {
    pub(crate) fn json(&self) -> Value {
        let source = match &self.source {
            Source::Correction(id) => format!("correction:{id}"),
            Source::Incident(id) => format!("incident:{id}"),
        };
        json!({ "text": self.text, "specialist": self.specialist, "source": source })
    }
}

impl Why {
    /// For programs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NotRecorded => "request_not_recorded",
            Self::NobodyAnswered => "nobody_answered",
            Self::NotInPolicy => "specialist_not_in_policy",
            Self::Duplicate => "duplicate",
            Self::ConflictingLabels => "conflicting_labels",
            Self::CorrectionOfNoIncident => "correction_of_no_incident",
        }
    }

    /// For people.
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Self::NotRecorded => "what was asked was not kept (record_requests)",
            Self::NobodyAnswered => "no specialist answered, and no correction names one",
            Self::NotInPolicy => "the specialist that answered is not in the policy",
            Self::Duplicate => "the same text has the same label already",
            Self::ConflictingLabels => "the same text has different labels: correct them",
            Self::CorrectionOfNoIncident => {
                "a correction's id is of no incident that was looked at"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incident(id: &str, answered_by: &str, request: &str) -> Incident {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Incident { id: id.to_owned(), answered_by: some(answered_by), request: some(request) }
    }

    fn labelled(incidents: &[Incident], corrections: &[(&str, &str)]) -> (Vec<Value>, Value) {
        let corrections =
            corrections.iter().map(|(id, name)| ((*id).to_owned(), (*name).to_owned())).collect();
        let names = ["billing", "orders", "general"].map(str::to_owned).into();
        let Labelled { cases, left_out } = label(incidents, &Corrections(corrections), &names);
        let left_out: BTreeMap<&str, &Vec<String>> =
            left_out.iter().map(|(why, ids)| (why.as_str(), ids)).collect();
        (cases.iter().map(Case::json).collect(), json!(left_out))
    }

    fn case(text: &str, specialist: &str, source: &str) -> Value {
        json!({ "text": text, "specialist": specialist, "source": source })
    }

    #[test]
    fn the_label_is_the_specialist_that_answered_in_the_end() {
        let incidents = [
            incident("r1/0/0", "orders", "Where is #4711? Write to a@example.com"),
            incident("r2/0/0", "", "Nobody can say"),
            incident("r3/0/0", "general", ""),
            incident("r4/0/0", "astrology", "My stars?"),
        ];
        let (cases, left_out) = labelled(&incidents, &[]);
        let text = "Where is #4711? Write to <email>";
        assert_eq!(cases, [case(text, "orders", "incident:r1/0/0")]);
        let expected = json!({
            "nobody_answered": ["r2/0/0"], "request_not_recorded": ["r3/0/0"],
            "specialist_not_in_policy": ["r4/0/0"],
        });
        assert_eq!(left_out, expected);
    }

    #[test]
    fn a_correction_overrides_the_label_and_gives_one_where_there_is_none() {
        let incidents = [
            incident("r1/0/0", "general", "My invoice is wrong"),
            incident("r2/0/0", "", "My parcel?"),
            incident("r3/0/0", "astrology", "My refund?"),
            incident("r4/0/0", "general", ""),
        ];
        let corrections = [
            ("r1/0/0", "billing"),
            ("r2/0/0", "orders"),
            ("r3/0/0", "billing"),
            ("r4/0/0", "billing"),
            ("r9/0/0", "billing"),
        ];
        let (cases, left_out) = labelled(&incidents, &corrections);
        let expected = [
            case("My invoice is wrong", "billing", "correction:r1/0/0"),
            case("My parcel?", "orders", "correction:r2/0/0"),
            case("My refund?", "billing", "correction:r3/0/0"),
        ];
        assert_eq!(cases, expected);
        let expected = json!({
            "request_not_recorded": ["r4/0/0"], "correction_of_no_incident": ["r9/0/0"],
        });
        assert_eq!(left_out, expected, "no correction brings back a text");
    }

    #[test]
    fn a_correction_is_of_the_whole_task() {
        let incidents = [
            incident("r1/0/0", "general", "My invoice is wrong"),
            incident("r1/0/1", "general", "My invoice is wrong"),
            incident("r1/1/0", "general", "My parcel?"),
        ];
        let (cases, left_out) = labelled(&incidents, &[("r1/0/1", "billing")]);
        let expected = [
            case("My invoice is wrong", "billing", "correction:r1/0/1"),
            case("My parcel?", "general", "incident:r1/1/0"),
        ];
        assert_eq!(cases, expected);
        assert_eq!(left_out, json!({ "duplicate": ["r1/0/1"] }));
        // Also by the id of one of its incidents that is not looked at.
        let (cases, left_out) = labelled(&incidents[2..], &[("r1/1/1", "orders")]);
        assert_eq!(cases, [case("My parcel?", "orders", "correction:r1/1/1")]);
        assert_eq!(left_out, json!({}), "it has had its effect");
    }

    #[test]
    fn the_same_text_is_one_case_or_none() {
        let incidents = [
            incident("r1/0/0", "orders", "Where is it? Call 030 1234567"),
            incident("r2/0/0", "orders", "Where is it? Call +49 170 1234567"),
            incident("r3/0/0", "billing", "Refund, please"),
            incident("r4/0/0", "general", "Refund, please"),
            incident("r5/0/0", "orders", "where is it?"),
        ];
        let (cases, left_out) = labelled(&incidents, &[]);
        let expected = [
            case("Where is it? Call <phone>", "orders", "incident:r1/0/0"),
            case("where is it?", "orders", "incident:r5/0/0"),
        ];
        assert_eq!(cases, expected, "texts are compared as they are printed");
        let expected =
            json!({ "duplicate": ["r2/0/0"], "conflicting_labels": ["r3/0/0", "r4/0/0"] });
        assert_eq!(left_out, expected);
        // A person's word is the source where it agrees, and settles it where it makes all agree.
        let (cases, left_out) = labelled(&incidents[2..4], &[("r4/0/0", "billing")]);
        assert_eq!(cases, [case("Refund, please", "billing", "correction:r4/0/0")]);
        assert_eq!(left_out, json!({ "duplicate": ["r3/0/0"] }));
    }
}
