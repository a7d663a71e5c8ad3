//! `PutMetricData` as the current SDK sends it: Smithy RPC v2 CBOR, compressed when large.

use std::io::Read;

use ciborium::Value;
use flate2::read::GzDecoder;
use serde::Deserialize;

/// The decoded request, unchecked.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct RawBatch {
    #[serde(rename = "Namespace")]
    pub(super) namespace: Option<String>,
    #[serde(rename = "MetricData", default)]
    pub(super) data: Vec<RawDatum>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RawDatum {
    #[serde(rename = "MetricName")]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) dimensions: Vec<RawDimension>,
    /// Seconds since 1970; the tag that says so is skipped.
    pub(super) timestamp: Option<f64>,
    pub(super) value: Option<f64>,
    #[serde(default)]
    pub(super) values: Vec<f64>,
    #[serde(default)]
    pub(super) counts: Vec<f64>,
    pub(super) unit: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RawDimension {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) value: String,
}

/// The body is not what the protocol says.
#[derive(Debug, thiserror::Error)]
pub(super) enum DecodeError {
    #[error("the body is not gzip")]
    Gzip(#[source] std::io::Error),
    #[error("the body is not the CBOR of PutMetricData")]
    Cbor(#[source] ciborium::de::Error<std::io::Error>),
    #[error("the body is not the JSON of PutMetricData")]
    Json(#[source] serde_json::Error),
}

/// Decodes a request's body.
pub(super) fn decode(body: &[u8], gzip: bool) -> Result<RawBatch, DecodeError> {
    let mut plain = Vec::new();
    let body = if gzip {
        GzDecoder::new(body).read_to_end(&mut plain).map_err(DecodeError::Gzip)?;
        &plain
    } else {
        body
    };
    ciborium::from_reader(body).map_err(DecodeError::Cbor)
}

/// Decodes the body of a request in JSON.
pub(super) fn decode_json(body: &[u8]) -> Result<RawBatch, DecodeError> {
    serde_json::from_slice(body).map_err(DecodeError::Json)
}

/// The empty answer to a batch that was taken.
pub(super) fn accepted() -> Vec<u8> {
    encode(Vec::new())
}

/// An error's body, with the absolute name of its shape.
pub(super) fn error(shape: &str, message: &str) -> Vec<u8> {
    let shape = format!("com.amazonaws.cloudwatch#{shape}");
    encode(vec![
        (Value::from("__type"), Value::from(shape)),
        (Value::from("message"), Value::from(message)),
    ])
}

fn encode(entries: Vec<(Value, Value)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing to memory does not fail, and an empty body is what a broken service might send.
    let _ = ciborium::into_writer(&Value::Map(entries), &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    /// `{_ "Namespace": "N", "MetricData": [{_ "MetricName": "M", "Timestamp": 1(2.5),
    /// "Value": 1.0, "Unit": "Count"}]}`, byte for byte as the SDK's encoder writes it.
    pub(in super::super) const BODY: &[u8] = b"\xbf\x69Namespace\x61N\x6aMetricData\x81\xbf\
        \x6aMetricName\x61M\x69Timestamp\xc1\xfb\x40\x04\x00\x00\x00\x00\x00\x00\
        \x65Value\xfb\x3f\xf0\x00\x00\x00\x00\x00\x00\x64Unit\x65Count\xff\xff";

    #[test]
    fn a_body_of_the_sdk_is_understood() {
        let batch = decode(BODY, false).unwrap();
        assert_eq!(batch.namespace.as_deref(), Some("N"));
        let datum = &batch.data[0];
        assert_eq!((datum.name.as_deref(), datum.unit.as_deref()), (Some("M"), Some("Count")));
        assert_eq!((datum.timestamp, datum.value), (Some(2.5), Some(1.0)));
    }

    #[test]
    fn a_compressed_body_is_the_same_batch() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(BODY).unwrap();
        let compressed = encoder.finish().unwrap();
        assert_eq!(decode(&compressed, true).unwrap(), decode(BODY, false).unwrap());
        assert!(matches!(decode(BODY, true), Err(DecodeError::Gzip(_))));
        assert!(matches!(decode(b"{}", false), Err(DecodeError::Cbor(_))));
    }

    #[test]
    fn a_body_in_json_is_the_same_batch() {
        let body = br#"{"Namespace": "N", "MetricData": [
            {"MetricName": "M", "Timestamp": 2.5, "Value": 1.0, "Unit": "Count"}]}"#;
        assert_eq!(decode_json(body).unwrap(), decode(BODY, false).unwrap());
        assert!(matches!(decode_json(b"["), Err(DecodeError::Json(_))));
    }

    #[test]
    fn a_taken_batch_is_answered_with_an_empty_map() {
        assert_eq!(accepted(), [0xa0]);
    }
}
