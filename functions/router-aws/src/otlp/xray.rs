//! What X-Ray is owed: a link to the trace that Lambda began, and a signature.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use router_core::units::Timestamp;

use super::message::Link;

/// The link that the header of X-Ray's trace gives, such as
/// `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1`. The two parts
/// of the root are a W3C trace id:
/// <https://docs.aws.amazon.com/xray/latest/devguide/xray-api-sendingdata.html#xray-api-traceids>.
pub(super) fn link(header: &str) -> Option<Link> {
    let part = |name| header.split(';').find_map(|part| part.trim().strip_prefix(name));
    let trace_id = bytes::<16>(&part("Root=1-")?.replacen('-', "", 1))?.to_vec();
    let span_id = bytes::<8>(part("Parent=")?)?.to_vec();
    Some(Link { trace_id, span_id })
}

fn bytes<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let is_hex = hex.len() == 2 * N && hex.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = u128::from_str_radix(hex, 16).ok().filter(|number| is_hex && *number != 0)?;
    let all = number.to_be_bytes();
    all.last_chunk().copied()
}

/// The region of an endpoint of X-Ray's own, which wants its requests signed:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-OTLPEndpoint.html>.
pub(super) fn region(endpoint: &str) -> Option<String> {
    let host = endpoint.strip_prefix("https://xray.")?.split(['/', ':']).next()?;
    let host = host.strip_suffix(".cn").unwrap_or(host);
    let region = host.strip_suffix(".amazonaws.com")?;
    (!region.is_empty() && !region.contains('.')).then(|| region.to_owned())
}

/// Signs a request to X-Ray.
pub(super) fn signed(
    mut request: HttpRequest,
    region: &str,
    credentials: Credentials,
    now: Timestamp,
) -> Result<HttpRequest, BoxError> {
    let identity = credentials.into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("xray")
        .time(UNIX_EPOCH + Duration::from_millis(now.0))
        .settings(SigningSettings::default())
        .build()?
        .into();
    let body = request.body().bytes().unwrap_or_default();
    let signable = SignableRequest::new(
        request.method(),
        request.uri(),
        request.headers().iter(),
        SignableBody::Bytes(body),
    )?;
    let (instructions, _) = sign(signable, &params)?.into_parts();
    for (name, value) in instructions.headers() {
        request.headers_mut().try_insert(name.to_owned(), value.to_owned())?;
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::body::SdkBody;

    use super::*;

    #[test]
    fn the_root_and_the_parent_of_xrays_trace_are_a_link() {
        let header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
        let link = link(header).unwrap();
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(hex(&link.trace_id), "5759e988bd862e3fe1be46a994272793");
        assert_eq!(hex(&link.span_id), "53995c3f42cd8ad8");
    }

    #[test]
    fn a_header_without_both_is_no_link() {
        for header in [
            "",
            "Root=1-5759e988-bd862e3fe1be46a994272793",
            "Root=1-5759e988-bd862e3fe1be46a99427279;Parent=53995c3f42cd8ad8",
            "Root=1-5759e988-bd862e3fe1be46a99427279x;Parent=53995c3f42cd8ad8",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=0000000000000000",
            "Root=2-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8",
        ] {
            assert_eq!(link(header), None, "{header}");
        }
    }

    #[test]
    fn only_xrays_own_endpoints_are_signed_for() {
        let region = |endpoint| region(endpoint);
        let xray = "https://xray.eu-west-1.amazonaws.com/v1/traces";
        assert_eq!(region(xray).as_deref(), Some("eu-west-1"));
        let china = "https://xray.cn-north-1.amazonaws.com.cn:443/v1/traces";
        assert_eq!(region(china).as_deref(), Some("cn-north-1"));
        for other in [
            "http://xray.eu-west-1.amazonaws.com/v1/traces",
            "https://xray.eu-west-1.amazonaws.com.example.org/v1/traces",
            "https://xray.amazonaws.com/v1/traces",
            "https://collector.example.org/xray.eu-west-1.amazonaws.com",
        ] {
            assert_eq!(region(other), None, "{other}");
        }
    }

    #[test]
    fn a_request_is_signed_for_xray_with_its_session_token() {
        let mut request = HttpRequest::new(SdkBody::from(&b"spans"[..]));
        request.set_method("POST").unwrap();
        request.set_uri("https://xray.eu-west-1.amazonaws.com/v1/traces").unwrap();
        request.headers_mut().insert("content-type", "application/x-protobuf");
        let credentials = Credentials::new("AKID", "secret", Some("token".into()), None, "test");
        let now = Timestamp(1_700_000_000_000);
        let signed = signed(request, "eu-west-1", credentials, now).unwrap();
        let header = |name| signed.headers().get(name).unwrap();
        assert_eq!(header("x-amz-date"), "20231114T221320Z");
        assert_eq!(header("x-amz-security-token"), "token");
        let authorization = header("authorization");
        let scope = "AWS4-HMAC-SHA256 Credential=AKID/20231114/eu-west-1/xray/aws4_request, \
                     SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature=";
        assert!(authorization.starts_with(scope), "{authorization}");
    }
}
