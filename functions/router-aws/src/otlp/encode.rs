//! A request's trace as an OTLP message.

use std::collections::BTreeMap;

use prost::Message;
use router_core::trace::{Kind, Span, Trace, Value, key};
use router_core::units::Timestamp;

use super::Invocation;
use super::message::{
    self, AnyValue, AnyValueKind, ExportTraceServiceRequest, InstrumentationScope, KeyValue,
    Resource, ResourceSpans, ScopeSpans, SpanKind, Status, StatusCode,
};
use super::xray;

/// Under which the spans are sent: the library that gathers them.
const SCOPE: &str = "router-core";

/// The bytes of one export.
pub(super) fn encode(
    resource: &BTreeMap<String, Value>,
    trace: &Trace,
    invocation: &Invocation,
) -> Vec<u8> {
    let attributes = resource.iter().map(|(key, value)| attribute(key, value)).collect();
    let scope = InstrumentationScope {
        name: SCOPE.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let mut spans: Vec<message::Span> =
        trace.spans.iter().enumerate().map(|(place, one)| span(trace, place, one)).collect();
    if let Some(request) = spans.first_mut() {
        request.links.extend(invocation.xray_trace.as_deref().and_then(xray::link));
        request.attributes.extend(of_invocation(trace, invocation));
    }
    let schema_url = key::SCHEMA_URL.to_owned();
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, schema_url }];
    let resource = Some(Resource { attributes });
    let resource_spans = vec![ResourceSpans { resource, scope_spans }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn span(trace: &Trace, place: usize, span: &Span) -> message::Span {
    let facts = span.attributes.iter().map(|(key, value)| attribute(key, value));
    let failure = span.failure.map(|reason| attribute(key::ERROR_TYPE, &reason.into()));
    let parent = span.parent.map(|parent| trace.span_id(parent).0.to_vec());
    let kind = match span.kind {
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
        Kind::Internal => SpanKind::Internal,
    };
    message::Span {
        trace_id: trace.id.0.to_vec(),
        span_id: trace.span_id(place).0.to_vec(),
        parent_span_id: parent.unwrap_or_default(),
        name: span.name.clone(),
        kind: kind.into(),
        start_time_unix_nano: nanoseconds(span.start),
        end_time_unix_nano: nanoseconds(span.end),
        attributes: facts.chain(failure).collect(),
        links: Vec::new(),
        status: span.failure.map(|_| Status { code: StatusCode::Error.into() }),
    }
}

/// What Lambda says of the invocation that brought the request.
fn of_invocation(trace: &Trace, invocation: &Invocation) -> [KeyValue; 3] {
    let cold_start = AnyValue { value: Some(AnyValueKind::Bool(invocation.is_cold)) };
    [
        attribute("faas.invocation_id", &trace.request_id.clone().into()),
        attribute("faas.trigger", &"other".into()),
        KeyValue { key: "faas.coldstart".to_owned(), value: Some(cold_start) },
    ]
}

fn attribute(key: &str, value: &Value) -> KeyValue {
    let value = match value {
        Value::Text(text) => AnyValueKind::String(text.to_string()),
        Value::Count(count) => AnyValueKind::Int(i64::try_from(*count).unwrap_or(i64::MAX)),
    };
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

fn nanoseconds(time: Timestamp) -> u64 {
    time.0.saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests {
    use router_core::trace::TraceId;

    use super::*;

    #[test]
    fn a_trace_is_written_with_its_parents_its_times_and_its_failures() {
        let span = |name: &str, kind, parent, start, end| Span {
            id: None,
            name: name.to_owned(),
            kind,
            parent,
            start: Timestamp(start),
            end: Timestamp(end),
            attributes: Vec::new(),
            failure: None,
        };
        let request = span("request", Kind::Server, None, 1_000, 1_003);
        let part = Span {
            attributes: vec![("count", 7_u64.into())],
            failure: Some("timeout"),
            ..span("part", Kind::Client, Some(0), 1_001, 1_002)
        };
        let id = TraceId::of(None, "r-1");
        let trace = Trace { id, request_id: "r-1".to_owned(), spans: vec![request, part] };
        let header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0";
        let invocation = Invocation { is_cold: true, xray_trace: Some(header.to_owned()) };
        let resource = BTreeMap::from([("service.name".to_owned(), "shop".into())]);
        let bytes = encode(&resource, &trace, &invocation);

        let sent = ExportTraceServiceRequest::decode(&*bytes).unwrap();
        let resource_spans = &sent.resource_spans[0];
        let service = &resource_spans.resource.as_ref().unwrap().attributes[0];
        assert_eq!(service, &attribute("service.name", &"shop".into()));
        let [request, part] = &*resource_spans.scope_spans[0].spans else { panic!("not two") };
        assert_eq!((&request.trace_id, &*request.parent_span_id), (&part.trace_id, &[][..]));
        assert_eq!(part.parent_span_id, request.span_id);
        assert_eq!(
            (part.start_time_unix_nano, part.end_time_unix_nano),
            (1_001_000_000, 1_002_000_000)
        );
        let expected = [attribute("count", &7.into()), attribute("error.type", &"timeout".into())];
        assert_eq!(part.attributes, expected);
        assert_eq!(part.status, Some(Status { code: StatusCode::Error.into() }));
        assert_eq!(request.status, None);
        let link = &request.links[0];
        assert_eq!((link.trace_id.len(), link.span_id.len()), (16, 8));
        assert!(request.attributes.contains(&attribute("faas.invocation_id", &"r-1".into())));
    }
}
