//! A server that can go down and come back at the same address.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use hyper::Request;
use tokio::net::TcpSocket;
use tokio::sync::Mutex;

use crate::http::{Reply, Server};

/// A server that may be down.
#[derive(Debug)]
pub(crate) struct Presence {
    address: SocketAddr,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Up(Server),
    /// The socket keeps the port from being given to anybody else; it does not listen.
    Down(TcpSocket),
    /// While it changes, and for good if the port is lost on the way.
    Gone,
}

impl Presence {
    /// A server that is up.
    pub(crate) fn of(server: Server) -> Self {
        Self { address: server.address(), state: Mutex::new(State::Up(server)) }
    }

    /// Host and port, whether it is up or down.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes all connections and refuses new ones.
    pub(crate) async fn go_down(&self) -> io::Result<()> {
        let mut state = self.state.lock().await;
        if let State::Up(server) = std::mem::replace(&mut *state, State::Gone) {
            server.stop().await;
        }
        let socket = TcpSocket::new_v4()?;
        // Connections that have just been closed still occupy it.
        socket.set_reuseaddr(true)?;
        socket.bind(self.address)?;
        *state = State::Down(socket);
        Ok(())
    }

    /// Serves again, unless it does anyway.
    pub(crate) async fn come_back<H, F>(&self, handler: H) -> io::Result<()>
    where
        H: Fn(Request<Bytes>) -> F + Clone + Send + 'static,
        F: Future<Output = Reply> + Send + 'static,
    {
        let mut state = self.state.lock().await;
        *state = match std::mem::replace(&mut *state, State::Gone) {
            State::Up(server) => State::Up(server),
            State::Down(socket) => State::Up(Server::on(socket.listen(1024)?, handler)?),
            State::Gone => return Err(io::ErrorKind::AddrNotAvailable.into()),
        };
        Ok(())
    }
}
