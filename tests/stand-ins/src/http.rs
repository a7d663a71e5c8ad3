//! The small HTTP/1.1 server that every stand-in is built on.
//!
//! A handler sees a whole request and answers with a response, or with a [`HangUp`]: then the
//! connection ends without one. A body may end in a [`HangUp`] as well, which ends the connection
//! in its middle. A framework would make either awkward, and broken connections are half of what
//! the sandbox is for.
//!
//! When a client leaves early, the handler's future or the body is dropped, so a guard kept in
//! them notices. Dropping a [`Server`] closes all its connections.

use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// The connection ends without a response, or in the middle of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HangUp {
    /// It is closed in order, as by a server that shuts down.
    #[error("the connection is closed on purpose")]
    Close,
    /// It is reset, as by a server that is gone.
    #[error("the connection is reset on purpose")]
    Reset,
}

/// A response body: either whole or a stream that may break.
pub(crate) type Body = UnsyncBoxBody<Bytes, HangUp>;

/// What a handler gives back.
pub(crate) type Reply = Result<Response<Body>, HangUp>;

/// A body that is sent at once.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A response with this status, content type and body.
pub(crate) fn response(
    status: StatusCode,
    content_type: &'static str,
    bytes: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(whole(bytes));
    *response.status_mut() = status;
    let content_type = hyper::header::HeaderValue::from_static(content_type);
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, content_type);
    response
}

/// A free port of the loopback interface.
pub(crate) const ANY_LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A listener with its connections.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Starts to listen on a free port of the loopback interface and answers each request with
    /// `handler`.
    pub(crate) async fn start<H, F>(handler: H) -> io::Result<Self>
    where
        H: Fn(Request<Bytes>) -> F + Clone + Send + 'static,
        F: Future<Output = Reply> + Send + 'static,
    {
        Self::start_at(ANY_LOOPBACK, handler).await
    }

    /// As [`Server::start`], elsewhere; port 0 is a free one.
    pub(crate) async fn start_at<H, F>(address: SocketAddr, handler: H) -> io::Result<Self>
    where
        H: Fn(Request<Bytes>) -> F + Clone + Send + 'static,
        F: Future<Output = Reply> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| at(address, &error))?;
        Self::on(listener, handler)
    }

    /// Answers each request that comes through `listener` with `handler`.
    pub(crate) fn on<H, F>(listener: TcpListener, handler: H) -> io::Result<Self>
    where
        H: Fn(Request<Bytes>) -> F + Clone + Send + 'static,
        F: Future<Output = Reply> + Send + 'static,
    {
        Self::unread_on(listener, move |request: Request<Incoming>| {
            let handler = handler.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.map_err(|_| HangUp::Close)?.to_bytes();
                handler(Request::from_parts(parts, body)).await
            }
        })
    }

    /// The same, for a handler that reads the request's body itself, as it comes.
    pub(crate) fn unread_on<H, F>(listener: TcpListener, handler: H) -> io::Result<Self>
    where
        H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Reply> + Send + 'static,
    {
        let address = listener.local_addr()?;
        Ok(Self { address, accepting: tokio::spawn(accept(listener, handler)) })
    }

    /// Stops as dropping does, and returns once the port is closed.
    pub(crate) async fn stop(mut self) {
        self.accepting.abort();
        // The error says that it was aborted.
        let _ = (&mut self.accepting).await;
    }

    /// Host and port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as a URL without a path.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The system does not say which address it is that cannot be used.
fn at(address: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{address}: {error}"))
}

async fn accept<H, F>(listener: TcpListener, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    // The set ends its connections when this task ends.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream, handler.clone()));
                }
            }
        }
    }
}

async fn serve<H, F>(stream: TcpStream, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    // Small frames must not wait for each other's acknowledgement. If the socket refuses, they
    // merely come later.
    let _ = stream.set_nodelay(true);
    let service = service_fn(handler);
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // An error is a client that left, or a hang-up on purpose: both are normal here.
    let Err(error) = (&mut connection).await else { return };
    let cause = error.source().and_then(|cause| cause.downcast_ref());
    if cause == Some(&HangUp::Reset) {
        // A socket that must not linger is reset when it closes. If it refuses, it is closed.
        let _ = connection.into_parts().io.into_inner().set_zero_linger();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Sends `request` as it is and returns all bytes up to the end of the connection.
    pub(crate) async fn exchange(address: SocketAddr, request: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        // A reset connection is an end as well.
        let _ = stream.read_to_end(&mut answer).await;
        answer
    }

    /// A `POST` after whose answer the server closes the connection.
    pub(crate) fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
        );
        [head.as_bytes(), body].concat()
    }

    #[tokio::test]
    async fn a_hang_up_closes_the_connection_without_a_response() {
        let server = Server::start(|_| async { Err(HangUp::Close) }).await.unwrap();
        assert_eq!(exchange(server.address(), &post("/", "", b"{}")).await, b"");
    }

    #[tokio::test]
    async fn a_reset_is_no_orderly_end() {
        for (hang_up, ends_in_order) in [(HangUp::Close, true), (HangUp::Reset, false)] {
            let server = Server::start(move |_| async move { Err(hang_up) }).await.unwrap();
            let mut stream = TcpStream::connect(server.address()).await.unwrap();
            stream.write_all(&post("/", "", b"{}")).await.unwrap();
            let read = stream.read_to_end(&mut Vec::new()).await;
            assert_eq!(read.is_ok(), ends_in_order, "{hang_up:?}: {read:?}");
        }
    }

    #[tokio::test]
    async fn a_handler_sees_the_whole_request() {
        let server = Server::start(|request: Request<Bytes>| async move {
            Ok(response(StatusCode::OK, "text/plain", request.into_body()))
        });
        let answer = exchange(server.await.unwrap().address(), &post("/", "", b"echo")).await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\necho"), "{answer}");
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let first = Server::start(|_| async { Err(HangUp::Close) }).await.unwrap();
        let address = first.address();
        let second = Server::start_at(address, |_| async { Err(HangUp::Close) }).await;
        let error = second.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().starts_with(&format!("{address}: ")), "{error}");
    }
}
