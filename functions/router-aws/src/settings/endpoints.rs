//! Where the services are, if not where AWS has them: the SDK's own settings.
//!
//! The SDK looks at them when it makes a request, and tells of a malformed one then, at each
//! request, with an error that quotes all of it. Here it stops the function at cold start.

use aws_smithy_runtime_api::http::Request;
use router_core::policy::Mistake;

use super::{Lookup, mistake, set};

/// The endpoint of all services, and those of the services that the function calls, itself or for
/// its credentials:
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>.
const NAMES: [&str; 10] = [
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE",
    "AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
    "AWS_ENDPOINT_URL_CLOUDWATCH",
    "AWS_ENDPOINT_URL_CODEDEPLOY",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_LAMBDA",
    "AWS_ENDPOINT_URL_SNS",
    "AWS_ENDPOINT_URL_STS",
];

/// Checks `AWS_ENDPOINT_URL` and its variants for one service.
///
/// # Errors
///
/// Every mistake there is.
pub fn check_all(var: Lookup<'_>) -> Result<(), Vec<Mistake>> {
    let checked = |name| check(name, &set(var, name)?).err();
    let mistakes: Vec<Mistake> = NAMES.into_iter().filter_map(checked).collect();
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}

/// Checks that the value of a setting is a URL to which requests can be sent.
pub(super) fn check(name: &str, url: &str) -> Result<(), Mistake> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let authority = rest.map(|rest| &rest[..rest.find('/').unwrap_or(rest.len())]);
    let is_plain = !url.contains(['?', '#', '@', '\\']);
    if authority.is_some_and(is_host_with_port) && is_plain && Request::get(url).is_ok() {
        return Ok(());
    }
    let rule = "it must be a URL with http or https, a host, a port from 1 to 65535 or none, and \
                no user, query or fragment";
    Err(mistake(name, url, rule))
}

fn is_host_with_port(authority: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    // An IPv6 address has colons of its own, in brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, is_port(port)),
        _ => (authority, true),
    };
    let is_ipv6 = |host: &str| {
        let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        address.is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
    };
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    port && (is_ipv6(host) || !host.is_empty() && host.bytes().all(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls_to_which_requests_can_be_sent() {
        for url in [
            "http://localhost:8000",
            "https://dynamodb.eu-west-1.amazonaws.com",
            "https://vpce-1.dynamodb.eu-west-1.vpce.amazonaws.com/",
            "http://127.0.0.1:4566/path",
            "http://[::1]:8000",
        ] {
            assert_eq!(check("X", url), Ok(()), "{url}");
        }
        for url in [
            "localhost:8000",
            "dynamodb.eu-west-1.amazonaws.com",
            "//localhost:8000",
            "ftp://localhost",
            "http:/localhost",
            "HTTP//localhost",
            "http://",
            "http://:8000",
            "http://host:",
            "http://host:80a0",
            "http://host:0",
            "http://host:65536",
            "http://host:-1",
            "http://host:80:80",
            "http://my host",
            " http://host",
            "http://host ",
            "http://host/a b",
            "http://user@host",
            "http://host?x",
            "http://host#x",
            "http://[::1",
            "http://[zz]:1",
            "http://hös",
            "http://host\\x",
            "http://host\n",
        ] {
            assert!(check("X", url).is_err(), "{url}");
        }
    }

    #[test]
    fn every_endpoint_of_the_sdk_is_looked_at() {
        let found = check_all(&|name| Some(format!("user:SECRET@{name}"))).unwrap_err();
        let found: Vec<String> = found.iter().map(Mistake::to_string).collect();
        assert_eq!(found.len(), NAMES.len());
        assert!(found.iter().all(|text| text.starts_with("`AWS_ENDPOINT_URL")), "{found:?}");
        assert!(found.iter().all(|text| !text.contains("SECRET")), "{found:?}");
        assert_eq!(check_all(&|_| None), Ok(()));
    }
}
