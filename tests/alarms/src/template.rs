//! The template, with its parameters at their defaults, and the stacks nested in it, with what it
//! gives them.
//!
//! What only a deployment knows has a stand-in: a resource's name is its logical id, and an
//! attribute of it is `LogicalId.Attribute`. Intrinsic functions that no alarm and no dashboard
//! needs are not known, and refused where they are met.

mod yaml;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

/// What a stack would say for the pseudo parameters.
const PSEUDO: [(&str, &str); 4] = [
    ("AWS::AccountId", "123456789012"),
    ("AWS::Partition", "aws"),
    ("AWS::Region", "eu-central-1"),
    ("AWS::StackName", "router"),
];

/// A CloudFormation template.
#[derive(Clone, Debug)]
pub struct Template {
    /// The parameters that have a value.
    parameters: BTreeMap<String, Value>,
    mappings: Value,
    resources: BTreeMap<String, Resource>,
}

/// A resource as it is written.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its type, such as `AWS::CloudWatch::Alarm`.
    pub kind: String,
    properties: Value,
}

/// Why a template, or a part of it, cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The file cannot be read.
    #[error("the template cannot be read")]
    Read(#[from] std::io::Error),
    /// It is no YAML, or of a form that templates do not have.
    #[error("the template is no YAML of a template: {0}")]
    Yaml(String),
    /// A name that neither a parameter with a value nor a resource has, nor a mapping's key.
    #[error("`{0}` is no resource, no parameter with a value, and no key of a mapping")]
    UnknownName(String),
    /// An intrinsic function that is not known here.
    #[error("`{0}` is not known here")]
    UnknownFunction(String),
    /// Properties of a resource that are not those of its type, as far as it is known here.
    #[error("`{resource}`: {problem}")]
    Properties {
        /// The resource's logical id.
        resource: String,
        /// What is wrong.
        problem: String,
    },
}

impl Template {
    /// Reads a template from a file.
    ///
    /// # Errors
    ///
    /// [`TemplateError::Read`] and [`TemplateError::Yaml`].
    pub fn read(path: &Path) -> Result<Self, TemplateError> {
        Self::parse(&std::fs::read_to_string(path)?)
    }

    /// Reads a template.
    ///
    /// # Errors
    ///
    /// [`TemplateError::Yaml`].
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut root = yaml::parse(text)?;
        let section = |root: &mut Value, name| match root.get_mut(name).map(Value::take) {
            Some(Value::Object(entries)) => entries,
            _ => Map::new(),
        };
        let parameters = section(&mut root, "Parameters")
            .into_iter()
            .filter_map(|(name, mut parameter)| Some((name, parameter.get_mut("Default")?.take())))
            .collect();
        let resources = section(&mut root, "Resources")
            .into_iter()
            .map(|(name, mut resource)| {
                let kind = resource["Type"].as_str().unwrap_or_default().to_owned();
                let properties = resource.get_mut("Properties").map(Value::take);
                (name, Resource { kind, properties: properties.unwrap_or(Value::Null) })
            })
            .collect();
        let mappings = Value::Object(section(&mut root, "Mappings"));
        Ok(Self { parameters, mappings, resources })
    }

    /// The template of a stack that is nested in this one, which is in `folder`, with the parameters
    /// that it is given.
    ///
    /// # Errors
    ///
    /// As [`Template::read`] and [`Template::properties`].
    pub fn nested(&self, folder: &Path, name: &str) -> Result<Self, TemplateError> {
        let unknown = || TemplateError::UnknownName(name.to_owned());
        let stack = self.resources.get(name).ok_or_else(unknown)?;
        let url = self.property(stack, "TemplateURL")?;
        let mut template = Self::read(&folder.join(url.as_str().ok_or_else(unknown)?))?;
        if let Value::Object(given) = self.property(stack, "Parameters")? {
            template.parameters.extend(given);
        }
        Ok(template)
    }

    /// The same with these values of parameters, of which a stack that is given more than is known here
    /// needs some only.
    #[must_use]
    pub fn given<const N: usize>(mut self, parameters: [(&str, &str); N]) -> Self {
        self.parameters.extend(parameters.map(|(name, value)| (name.to_owned(), value.into())));
        self
    }

    /// The resources of a type, by logical id.
    pub fn of_type<'t>(&'t self, kind: &'t str) -> impl Iterator<Item = (&'t str, &'t Resource)> {
        let is_meant = move |(_, resource): &(&String, &Resource)| resource.kind == kind;
        self.resources.iter().filter(is_meant).map(|(name, resource)| (name.as_str(), resource))
    }

    /// A property of a resource, resolved; [`Value::Null`] when it is not there.
    ///
    /// # Errors
    ///
    /// As [`Template::properties`], for this property alone.
    pub fn property(&self, resource: &Resource, name: &str) -> Result<Value, TemplateError> {
        resource.properties.get(name).map_or(Ok(Value::Null), |value| self.resolve(value))
    }

    /// All properties of a resource, resolved.
    ///
    /// # Errors
    ///
    /// [`TemplateError::UnknownName`] and [`TemplateError::UnknownFunction`].
    pub fn properties(&self, resource: &Resource) -> Result<Value, TemplateError> {
        self.resolve(&resource.properties)
    }

    fn resolve(&self, value: &Value) -> Result<Value, TemplateError> {
        match value {
            Value::Object(entries) => match function(entries) {
                Some(("Ref", Value::String(name))) => self.named(name),
                Some(("Fn::Sub", Value::String(text))) => self.substitute(text, &Map::new()),
                Some(("Fn::Sub", Value::Array(arguments))) => match arguments.as_slice() {
                    [Value::String(text), values @ Value::Object(_)] => {
                        let values = self.resolve(values)?;
                        self.substitute(text, values.as_object().unwrap_or(&Map::new()))
                    }
                    _ => Err(TemplateError::UnknownFunction("Fn::Sub".to_owned())),
                },
                Some(("Fn::FindInMap", Value::Array(keys))) => self.mapped(keys),
                Some(("Fn::GetAtt", Value::String(name))) => self.attribute(name),
                Some((function, _)) => Err(TemplateError::UnknownFunction(function.to_owned())),
                None => {
                    let resolve =
                        |(name, value): (&String, &Value)| Ok((name.clone(), self.resolve(value)?));
                    entries.iter().map(resolve).collect()
                }
            },
            Value::Array(values) => values.iter().map(|value| self.resolve(value)).collect(),
            plain => Ok(plain.clone()),
        }
    }

    fn named(&self, name: &str) -> Result<Value, TemplateError> {
        let pseudo = PSEUDO.iter().find(|(pseudo, _)| *pseudo == name);
        if let Some((_, value)) = pseudo {
            return Ok((*value).into());
        }
        if let Some(default) = self.parameters.get(name) {
            return Ok(default.clone());
        }
        let is_resource = self.resources.contains_key(name);
        is_resource.then(|| name.into()).ok_or_else(|| TemplateError::UnknownName(name.to_owned()))
    }

    fn attribute(&self, name: &str) -> Result<Value, TemplateError> {
        let resource = name.split_once('.').map(|(resource, _)| resource);
        let is_resource = resource.is_some_and(|resource| self.resources.contains_key(resource));
        is_resource.then(|| name.into()).ok_or_else(|| TemplateError::UnknownName(name.to_owned()))
    }

    fn mapped(&self, keys: &[Value]) -> Result<Value, TemplateError> {
        let mut found = &self.mappings;
        for key in keys {
            let key = self.resolve(key)?;
            let inner = key.as_str().and_then(|key| found.get(key));
            found = inner.ok_or_else(|| TemplateError::UnknownName(as_text(&key)))?;
        }
        Ok(found.clone())
    }

    /// `own` are the values that the text alone knows.
    fn substitute(&self, text: &str, own: &Map<String, Value>) -> Result<Value, TemplateError> {
        let mut result = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let unclosed = || TemplateError::Yaml(format!("`${{` is not closed in `{text}`"));
            let (name, after) = after.split_once('}').ok_or_else(unclosed)?;
            result.push_str(before);
            match name.strip_prefix('!') {
                Some(literal) => result.push_str(&format!("${{{literal}}}")),
                None if own.contains_key(name) => result.push_str(&as_text(&own[name])),
                None if name.contains('.') => result.push_str(&as_text(&self.attribute(name)?)),
                None => result.push_str(&as_text(&self.named(name)?)),
            }
            rest = after;
        }
        result.push_str(rest);
        Ok(result.into())
    }
}

/// The intrinsic function that an object is, with its argument.
fn function(entries: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (name, argument) = entries.iter().next()?;
    let is_function = entries.len() == 1 && (name == "Ref" || name.starts_with("Fn::"));
    is_function.then_some((name, argument))
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TEXT: &str = r#"
        Parameters:
          Threshold: { Type: Number, Default: 0.85 }
          Agent: { Type: String }
        Mappings:
          Limits: { Cost: { Usd: 5 } }
        Resources:
          Topic:
            Type: AWS::SNS::Topic
          Alarm:
            Type: AWS::CloudWatch::Alarm
            Properties:
              Threshold: !Ref Threshold
              AlarmActions: [!Ref Topic]
              Text: !Sub ${Threshold} of ${AWS::StackName}, ${Topic.Arn}, ${!Verbatim}
              Arn: !GetAtt Topic.Arn
              Limit: !FindInMap [Limits, Cost, Usd]
              Other: !FindInMap [Limits, Steps, Usd]
              Told: !Sub ["${Usd} USD of ${Topic}", { Usd: !FindInMap [Limits, Cost, Usd] }]
              Long: { "Fn::Sub": "${Topic}" }
              Agent: !Ref Agent
              Joined: !Join ["-", [a, b]]
              Date: "2012-10-17"
    "#;

    fn property(name: &str) -> Result<Value, TemplateError> {
        let template = Template::parse(TEXT).unwrap();
        let (_, alarm) = template.of_type("AWS::CloudWatch::Alarm").next().unwrap();
        template.property(alarm, name)
    }

    #[test]
    fn references_are_resolved_to_defaults_and_logical_ids() {
        assert_eq!(property("Threshold").unwrap(), json!(0.85));
        assert_eq!(property("AlarmActions").unwrap(), json!(["Topic"]));
        assert_eq!(property("Text").unwrap(), json!("0.85 of router, Topic.Arn, ${Verbatim}"));
        assert_eq!(property("Arn").unwrap(), json!("Topic.Arn"));
        assert_eq!(property("Long").unwrap(), json!("Topic"));
        assert_eq!(property("Limit").unwrap(), json!(5));
        assert_eq!(property("Told").unwrap(), json!("5 USD of Topic"));
        assert_eq!(property("Date").unwrap(), json!("2012-10-17"));
        assert_eq!(property("Absent").unwrap(), Value::Null);
    }

    #[test]
    fn what_cannot_be_known_is_an_error() {
        assert!(
            matches!(property("Agent"), Err(TemplateError::UnknownName(name)) if name == "Agent")
        );
        assert!(
            matches!(property("Other"), Err(TemplateError::UnknownName(name)) if name == "Steps")
        );
        assert!(matches!(property("Joined"), Err(TemplateError::UnknownFunction(_))));
    }
}
