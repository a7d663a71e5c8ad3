//! The server behind a stand-in that passes requests on.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONNECTION, HeaderMap, TRANSFER_ENCODING};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::http::{Body, whole};

/// A connection that was idle for longer than this is not used again: its other end may be about
/// to close it.
const IDLE: Duration = Duration::from_secs(1);

/// The server, with connections that are free to be used again.
#[derive(Debug)]
pub(crate) struct Upstream {
    address: SocketAddr,
    idle: Mutex<Vec<(Instant, SendRequest<Full<Bytes>>)>>,
}

/// What it answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn into_response(mut self) -> Response<Body> {
        self.headers.remove(CONNECTION);
        self.headers.remove(TRANSFER_ENCODING);
        let mut response = Response::new(whole(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

impl Upstream {
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self { address, idle: Mutex::default() }
    }

    /// Posts the same to the same path there.
    pub(crate) async fn send(
        &self,
        path: &str,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> io::Result<Answer> {
        headers.remove(CONNECTION);
        let mut request = Request::post(path).body(Full::new(body)).map_err(io::Error::other)?;
        *request.headers_mut() = headers;
        let mut sender = self.connection().await?;
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        self.idle().push((Instant::now(), sender));
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    async fn connection(&self) -> io::Result<SendRequest<Full<Bytes>>> {
        loop {
            let Some((since, mut sender)) = self.idle().pop() else { break };
            if since.elapsed() < IDLE && sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let stream = TcpStream::connect(self.address).await?;
        // Small requests must not wait for each other's acknowledgement.
        stream.set_nodelay(true)?;
        let (mut sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // It ends when the sender is dropped; an error reaches the sender.
        tokio::spawn(async { connection.await.unwrap_or_default() });
        sender.ready().await.map_err(io::Error::other)?;
        Ok(sender)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Instant, SendRequest<Full<Bytes>>)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
