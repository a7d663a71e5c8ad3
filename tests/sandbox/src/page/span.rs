//! A span of a trace, as whoever receives traces has to give it to the page.

/// One piece of work that a trace tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The trace, in hexadecimal digits.
    pub(crate) trace_id: String,
    /// The span within it.
    pub(crate) span_id: String,
    /// The span that this one is a part of; one that is not there counts as none.
    pub(crate) parent_id: Option<String>,
    /// What was done.
    pub(crate) name: String,
    /// When it began, in nanoseconds since 1970.
    pub(crate) start_ns: u64,
    /// When it ended.
    pub(crate) end_ns: u64,
    /// What is known of it: names with values.
    pub(crate) attributes: Vec<(String, String)>,
    /// Why it failed, if it did; empty where no reason was given.
    pub(crate) failure: Option<String>,
}

impl From<&stand_ins::traces::Span> for Span {
    fn from(span: &stand_ins::traces::Span) -> Self {
        let reason = span.attributes.get("error.type").cloned().unwrap_or_default();
        Self {
            trace_id: span.trace_id.clone(),
            span_id: span.id.clone(),
            parent_id: Some(span.parent.clone()).filter(|parent| !parent.is_empty()),
            name: span.name.clone(),
            start_ns: span.start,
            end_ns: span.end,
            attributes: span.attributes.clone().into_iter().collect(),
            failure: span.failed.then_some(reason),
        }
    }
}

impl Span {
    /// An attribute's value.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        let attribute = self.attributes.iter().find(|(attribute, _)| attribute == name);
        attribute.map(|(_, value)| value.as_str())
    }
}
