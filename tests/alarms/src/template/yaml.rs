//! YAML with CloudFormation's short tags, as the JSON that it stands for.

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Number, Value};

use super::TemplateError;

/// Reads one document. `!Ref x` becomes `{"Ref": "x"}`, every other tag `!Name x` becomes
/// `{"Fn::Name": x}`.
pub(super) fn parse(text: &str) -> Result<Value, TemplateError> {
    let documents =
        Yaml::load_from_str(text).map_err(|error| TemplateError::Yaml(error.to_string()))?;
    match documents.as_slice() {
        [document] => to_json(document),
        other => Err(TemplateError::Yaml(format!("{} documents, asked is one", other.len()))),
    }
}

fn to_json(node: &Yaml<'_>) -> Result<Value, TemplateError> {
    match node {
        Yaml::Value(scalar) => of_scalar(scalar),
        Yaml::Sequence(nodes) => nodes.iter().map(to_json).collect(),
        Yaml::Mapping(entries) => {
            let mut object = Map::new();
            for (key, value) in entries {
                let Some(name) = key.as_str() else {
                    return Err(TemplateError::Yaml(format!("the key {key:?} is no text")));
                };
                object.insert(name.to_owned(), to_json(value)?);
            }
            Ok(Value::Object(object))
        }
        Yaml::Tagged(tag, node) => {
            let prefix =
                if matches!(tag.suffix.as_str(), "Ref" | "Condition") { "" } else { "Fn::" };
            let name = format!("{prefix}{}", tag.suffix);
            Ok(Value::Object(Map::from_iter([(name, to_json(node)?)])))
        }
        Yaml::Alias(_) | Yaml::BadValue | Yaml::Representation(..) => {
            Err(TemplateError::Yaml(format!("{node:?} has no value")))
        }
    }
}

fn of_scalar(scalar: &Scalar<'_>) -> Result<Value, TemplateError> {
    Ok(match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => (*value).into(),
        Scalar::Integer(value) => (*value).into(),
        Scalar::FloatingPoint(value) => Number::from_f64(value.into_inner())
            .ok_or_else(|| TemplateError::Yaml(format!("{value} is no number of JSON")))?
            .into(),
        Scalar::String(text) => text.as_ref().into(),
    })
}
