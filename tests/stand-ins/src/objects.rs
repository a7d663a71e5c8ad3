//! Stand-in of Amazon S3: files that were put beforehand, as `GetObject` gives them
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>).
//!
//! Buckets are in the path, as where the endpoint's host is an address.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use hyper::{Method, Request, StatusCode};

use crate::http::{Reply, Server, response};

/// The running stand-in.
#[derive(Debug)]
pub struct Objects(Server);

impl Objects {
    /// Starts to listen, with these files by `bucket/key`.
    ///
    /// # Errors
    ///
    /// When no port of the loopback interface is free.
    pub async fn start(files: BTreeMap<String, String>) -> io::Result<Self> {
        let files = Arc::new(files);
        let handler = move |request| std::future::ready(answer(&files, &request));
        Ok(Self(Server::start(handler).await?))
    }

    /// What `AWS_ENDPOINT_URL_S3` has to be.
    pub fn url(&self) -> String {
        self.0.url()
    }
}

fn answer(files: &BTreeMap<String, String>, request: &Request<Bytes>) -> Reply {
    let refused = |status, code: &str| {
        let body = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
        Ok(response(status, "application/xml", body))
    };
    if request.method() != Method::GET {
        return refused(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed");
    }
    if request.headers().get("authorization").is_none() {
        return refused(StatusCode::FORBIDDEN, "AccessDenied");
    }
    match files.get(request.uri().path().trim_start_matches('/')) {
        Some(file) => Ok(response(StatusCode::OK, "application/jsonl", file.clone())),
        None => refused(StatusCode::NOT_FOUND, "NoSuchKey"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::exchange;

    #[tokio::test]
    async fn a_file_is_given_to_those_who_sign_and_no_other_is() {
        let files = BTreeMap::from([("bucket/a/b.txt".to_owned(), "it".to_owned())]);
        let objects = Objects::start(files).await.unwrap();
        for (request, expected) in [
            ("GET /bucket/a/b.txt", "200 OK"),
            ("GET /bucket/b.txt", "404 Not Found"),
            ("PUT /bucket/a/b.txt", "405 Method Not Allowed"),
        ] {
            let head = "host: s3\r\nauthorization: AWS4\r\nconnection: close\r\n\r\n";
            let request = format!("{request}?x-id=GetObject HTTP/1.1\r\n{head}");
            let answer = exchange(objects.0.address(), request.as_bytes()).await;
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{answer}");
        }
        let unsigned = "GET /bucket/a/b.txt HTTP/1.1\r\nhost: s3\r\nconnection: close\r\n\r\n";
        let answer = exchange(objects.0.address(), unsigned.as_bytes()).await;
        assert!(String::from_utf8_lossy(&answer).contains("AccessDenied"));
    }
}
