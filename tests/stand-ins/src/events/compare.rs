//! The comparison of JSON values, and its result in words.

use serde_json::Value;

/// One difference between what was expected and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Where: `body.status`, `metrics.Cost[Specialist=billing]`.
    pub path: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl Mismatch {
    pub(super) fn new(path: &str, expected: &str, found: &Value) -> Self {
        let found = if found.is_null() { "nothing".to_owned() } else { short(found) };
        Self { path: path.to_owned(), expected: expected.to_owned(), found }
    }
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: expected {}, found {}", self.path, self.expected, self.found)
    }
}

/// Whether the values are equal. A value that is absent counts as `null`.
pub(super) fn same(path: &str, expected: &Value, found: &Value, mismatches: &mut Vec<Mismatch>) {
    let equal = match (expected.as_f64(), found.as_f64()) {
        // 1 and 1.0 are one number to whoever writes an expectation.
        (Some(expected), Some(found)) => expected == found,
        _ => expected == found,
    };
    if !equal {
        let expected = if expected.is_null() { "nothing".to_owned() } else { short(expected) };
        mismatches.push(Mismatch::new(path, &expected, found));
    }
}

/// Whether `found` has all that `expected` has: each key of an object, each element of an array
/// of the same length, everything else equal.
pub(super) fn subset(path: &str, expected: &Value, found: &Value, mismatches: &mut Vec<Mismatch>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (key, value) in expected {
                let path = format!("{path}.{key}");
                match found.get(key) {
                    Some(found) => subset(&path, value, found, mismatches),
                    None => mismatches.push(Mismatch {
                        path,
                        expected: short(value),
                        found: "no such key".to_owned(),
                    }),
                }
            }
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
                subset(&format!("{path}[{index}]"), expected, found, mismatches);
            }
        }
        (Value::Array(expected), Value::Array(elements)) => {
            let expected = format!("{} elements", expected.len());
            let found = format!("{}: {}", elements.len(), short(found));
            mismatches.push(Mismatch { path: path.to_owned(), expected, found });
        }
        _ => same(path, expected, found, mismatches),
    }
}

/// The value as JSON, cut to what a person still reads.
fn short(value: &Value) -> String {
    const MOST: usize = 300;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mismatches(expected: &Value, found: &Value) -> Vec<String> {
        let mut mismatches = Vec::new();
        subset("body", expected, found, &mut mismatches);
        mismatches.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn keys_that_are_not_expected_are_not_compared() {
        let found =
            json!({ "status": "answered", "budget": { "steps_left": 9, "tokens_left": 1 } });
        let expected = json!({ "status": "answered", "budget": { "steps_left": 9 } });
        assert_eq!(mismatches(&expected, &found), [""; 0]);
    }

    #[test]
    fn each_difference_is_named_with_its_place() {
        let expected = json!({ "a": "x", "b": null, "c": [{ "d": 1 }, { "d": 2 }], "e": 1 });
        let found = json!({ "a": "y", "b": 0, "c": [{ "d": 1 }, { "d": 3 }] });
        assert_eq!(
            mismatches(&expected, &found),
            [
                "body.a: expected \"x\", found \"y\"",
                "body.b: expected nothing, found 0",
                "body.c[1].d: expected 2, found 3",
                "body.e: expected 1, found no such key",
            ]
        );
    }

    #[test]
    fn arrays_must_have_the_same_length() {
        assert_eq!(
            mismatches(&json!([1]), &json!([1, 2])),
            ["body: expected 1 elements, found 2: [1,2]"]
        );
    }

    #[test]
    fn numbers_are_compared_by_value() {
        assert_eq!(mismatches(&json!(1), &json!(1.0)), [""; 0]);
    }
}
