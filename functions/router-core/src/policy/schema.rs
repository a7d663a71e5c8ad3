//! JSON Schemas that answers must fit.
//!
//! A schema is the operator's, the text that it checks is a model's. So a schema is only taken if no
//! text can make the check long: its references stay inside and never lead back to themselves, it is
//! small also when all of them are followed, and its patterns run in linear time. What is left out:
//! recursive schemas, anchors, and documents of their own inside.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

use crate::json;

/// The most bytes that a schema may have.
const MAX_BYTES: usize = 32_768;
/// The most values that a schema may have when each reference counts as what it stands for.
const MAX_VALUES: usize = 5_000;
/// The deepest nesting that it may have then.
const MAX_DEPTH: usize = 64;
/// The most bytes that a compiled pattern may take.
const MAX_PATTERN_BYTES: usize = 100_000;

/// A model is told of so many mistakes at once.
const TOLD_MISTAKES: usize = 5;
/// Each of them is told up to this many characters.
const TOLD_CHARS: usize = 200;

/// Keywords that lead elsewhere in ways that are not followed here.
const NOT_FOLLOWED: [&str; 5] =
    ["$dynamicRef", "$recursiveRef", "$anchor", "$dynamicAnchor", "$recursiveAnchor"];

/// A checked and compiled JSON Schema, of draft 7, 2019-09 or 2020-12.
#[derive(Clone)]
pub struct Schema {
    source: Value,
    validator: Arc<Validator>,
}

/// Why a text is no schema that is taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// It is too long.
    #[error("it has {0} bytes; at most {MAX_BYTES} are allowed")]
    TooLong(usize),
    /// It is no JSON object or boolean.
    #[error("it is not JSON of an object")]
    NotAnObject,
    /// A reference leads out of it.
    #[error("the reference `{0}` leads out of the schema; only `#/…` is allowed")]
    Outside(String),
    /// A reference leads to nothing.
    #[error("the reference `{0}` leads to nothing")]
    Dangling(String),
    /// A reference leads back to itself.
    #[error("the reference `{0}` leads back to itself; recursive schemas are not taken")]
    Recursive(String),
    /// It has a keyword that is not followed.
    #[error("`{0}` is not taken inside a schema; use `$ref` to `#/…`")]
    NotFollowed(&'static str),
    /// It is too large when all references are followed.
    #[error(
        "it has more than {MAX_VALUES} values, or is nested more than {MAX_DEPTH} deep, where all references are followed"
    )]
    TooLarge,
    /// It breaks a rule of JSON Schema.
    #[error("it is no JSON Schema: {0}")]
    Malformed(String),
}

impl Schema {
    /// Reads and compiles a schema.
    ///
    /// # Errors
    ///
    /// [`SchemaError`] for the first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        if text.len() > MAX_BYTES {
            return Err(SchemaError::TooLong(text.len()));
        }
        let Ok(source @ Value::Object(_)) = json::read(text.as_bytes()) else {
            return Err(SchemaError::NotAnObject);
        };
        let size = Measure { root: &source, known: BTreeMap::new(), open: Vec::new() }
            .of(&source, true)?;
        if size.values > MAX_VALUES || size.depth > MAX_DEPTH {
            return Err(SchemaError::TooLarge);
        }
        let patterns = PatternOptions::regex().size_limit(MAX_PATTERN_BYTES);
        let validator = jsonschema::options()
            .offline()
            .with_pattern_options(patterns)
            .build(&source)
            .map_err(|error| SchemaError::Malformed(told(&error)))?;
        Ok(Self { source, validator: Arc::new(validator) })
    }

    /// What of a value does not fit, in words for the model that wrote it; nothing where all fits.
    pub fn mistakes_in(&self, value: &Value) -> Vec<String> {
        self.validator.iter_errors(value).take(TOLD_MISTAKES).map(|error| told(&error)).collect()
    }
}

/// A mistake with its place.
fn told(error: &ValidationError<'_>) -> String {
    let place = error.instance_path().to_string();
    let at = if place.is_empty() { String::new() } else { format!("at `{place}`: ") };
    format!("{at}{error}").chars().take(TOLD_CHARS).collect()
}

/// Two schemas of one text are the same.
impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.source).finish()
    }
}

/// How large a part of a schema is where its references are followed.
#[derive(Clone, Copy, Default)]
struct Size {
    values: usize,
    depth: usize,
}

impl Size {
    fn and(self, other: Self) -> Self {
        let values = self.values.saturating_add(other.values);
        Self { values, depth: self.depth.max(other.depth) }
    }
}

/// Measures a schema. It takes every `$ref` for a reference, also one in plain data: that refuses a
/// few odd schemas, and misses no reference.
struct Measure<'s> {
    root: &'s Value,
    /// What the references that were followed stand for.
    known: BTreeMap<&'s str, Size>,
    /// Those that are being followed.
    open: Vec<&'s str>,
}

impl<'s> Measure<'s> {
    fn of(&mut self, value: &'s Value, is_root: bool) -> Result<Size, SchemaError> {
        let mut size = Size::default();
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    if let Some(keyword) = NOT_FOLLOWED.into_iter().find(|it| it == key) {
                        return Err(SchemaError::NotFollowed(keyword));
                    }
                    size = size.and(match value {
                        Value::String(_) if key == "$id" && !is_root => {
                            return Err(SchemaError::NotFollowed("$id"));
                        }
                        Value::String(reference) if key == "$ref" => self.followed(reference)?,
                        value => self.of(value, false)?,
                    });
                }
            }
            Value::Array(values) => {
                for value in values {
                    size = size.and(self.of(value, false)?);
                }
            }
            _ => {}
        }
        Ok(Size { values: size.values.saturating_add(1), depth: size.depth.saturating_add(1) })
    }

    fn followed(&mut self, reference: &'s str) -> Result<Size, SchemaError> {
        if let Some(size) = self.known.get(reference) {
            return Ok(*size);
        }
        if reference == "#" || self.open.contains(&reference) {
            return Err(SchemaError::Recursive(shortened(reference)));
        }
        // With `%` a pointer has another spelling of the same place.
        let pointer =
            reference.strip_prefix('#').filter(|it| it.starts_with('/') && !it.contains('%'));
        let Some(pointer) = pointer else {
            return Err(SchemaError::Outside(shortened(reference)));
        };
        let Some(target) = self.root.pointer(pointer) else {
            return Err(SchemaError::Dangling(shortened(reference)));
        };
        self.open.push(reference);
        let size = self.of(target, false)?;
        self.open.pop();
        self.known.insert(reference, size);
        Ok(size)
    }
}

fn shortened(reference: &str) -> String {
    reference.chars().take(TOLD_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(schema: Value) -> Result<Schema, SchemaError> {
        Schema::parse(&schema.to_string())
    }

    fn refused(schema: Value) -> String {
        parse(schema).unwrap_err().to_string()
    }

    #[test]
    fn a_value_that_does_not_fit_is_told_with_its_place() {
        let schema = parse(json!({"type": "object", "required": ["order"],
            "properties": {"order": {"$ref": "#/$defs/id"}, "total": {"type": "integer"}},
            "$defs": {"id": {"type": "string", "pattern": "^[0-9]+$"}}}))
        .unwrap();
        assert_eq!(schema.mistakes_in(&json!({"order": "4711", "total": 3})), [""; 0]);
        let mistakes = schema.mistakes_in(&json!({"order": "x", "total": "3"}));
        assert_eq!(mistakes.len(), 2);
        assert!(mistakes[0].starts_with("at `/order`: "), "{mistakes:?}");
        assert_eq!(schema.mistakes_in(&json!([])).len(), 1);
    }

    #[test]
    fn mistakes_are_few_and_short_whatever_a_model_wrote() {
        let schema = parse(json!({"items": {"type": "integer"}})).unwrap();
        let mistakes = schema.mistakes_in(&json!(vec!["é".repeat(10_000); 1_000]));
        assert_eq!(mistakes.len(), TOLD_MISTAKES);
        assert!(mistakes.iter().all(|mistake| mistake.chars().count() <= TOLD_CHARS));
    }

    #[test]
    fn no_reference_leads_out_of_a_schema() {
        for reference in [
            "http://json-schema.org/draft-07/schema#",
            "https://example.com/a.json",
            "file:///etc/passwd",
            "other.json#/a",
            "#name",
            "#/%24defs/a",
        ] {
            let found = refused(json!({"$defs": {"a": {}}, "items": {"$ref": reference}}));
            assert!(found.contains("leads out of the schema"), "{reference}: {found}");
        }
        for keyword in NOT_FOLLOWED {
            assert!(refused(json!({"items": {keyword: "#a"}})).contains("is not taken"));
        }
        let inner = json!({"$id": "https://example.com/b", "$ref": "#/a"});
        assert!(refused(json!({"items": inner})).contains("`$id` is not taken"));
        let unknown = json!({"$schema": "https://example.com/dialect"});
        assert!(matches!(parse(unknown), Err(SchemaError::Malformed(_))));
    }

    #[test]
    fn no_reference_leads_back_to_itself_by_whatever_way() {
        for schema in [
            json!({"$ref": "#"}),
            json!({"properties": {"child": {"$ref": "#"}}}),
            json!({"properties": {"a": {"items": {"$ref": "#/properties/a"}}}}),
            json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"not": {"$ref": "#/$defs/a"}}},
                "$ref": "#/$defs/a"}),
            json!({"properties": {"enum": {"$ref": "#/properties"}}}),
        ] {
            assert!(matches!(parse(schema.clone()), Err(SchemaError::Recursive(_))), "{schema}");
        }
        assert!(refused(json!({"$ref": "#/$defs/a"})).contains("leads to nothing"));
    }

    #[test]
    fn a_schema_that_grows_by_its_references_is_too_large() {
        let mut defs = serde_json::Map::new();
        for level in 0..40 {
            let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
            defs.insert(format!("d{level}"), json!({"allOf": [next, next]}));
        }
        defs.insert("d40".to_owned(), json!({"type": "string"}));
        let bomb = json!({"$defs": defs, "$ref": "#/$defs/d0"});
        assert_eq!(parse(bomb).unwrap_err(), SchemaError::TooLarge);
        let nested = (0..100).fold(json!({}), |schema, _| json!({"items": schema}));
        assert_eq!(parse(nested).unwrap_err(), SchemaError::TooLarge);
        let long = json!({"description": "x".repeat(MAX_BYTES)});
        assert!(matches!(parse(long), Err(SchemaError::TooLong(_))));
    }

    #[test]
    fn what_is_no_schema_is_refused_when_it_is_read() {
        for text in ["", "7", "[]", "true", "{", &"[".repeat(10_000)] {
            assert_eq!(Schema::parse(text).unwrap_err(), SchemaError::NotAnObject, "{text:.20}");
        }
        for schema in [
            json!({"type": "text"}),
            json!({"pattern": "("}),
            json!({"pattern": "(a{1000}){1000}"}),
            json!({"pattern": "(a)\\1"}),
            json!({"minimum": "three"}),
        ] {
            assert!(matches!(parse(schema.clone()), Err(SchemaError::Malformed(_))), "{schema}");
        }
    }
}
