//! The line between the function and its table, and what can happen on it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the line does with what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Passes everything on.
    Good,
    /// Loses the table's answers: what was asked is done.
    Mute,
    /// Loses what the table is asked: nothing is done.
    Deaf,
}

/// A line to a table. Dropping it cuts it.
#[derive(Debug)]
pub(crate) struct TableLine {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    table: watch::Sender<Option<String>>,
    line: watch::Sender<Line>,
    /// How many of the next connections are deaf or mute, whatever the line is.
    bad: (AtomicUsize, Line),
}

impl TableLine {
    /// A line whose first `count` connections are `bad` and all others good.
    pub(crate) async fn with_bad(count: usize, bad: Line) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let bad = (AtomicUsize::new(count), bad);
        let (table, line) = (watch::Sender::new(None), watch::Sender::new(Line::Good));
        let shared = Arc::new(Shared { table, line, bad });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, accepting }
    }

    pub(crate) async fn good() -> Self {
        Self::with_bad(0, Line::Good).await
    }

    /// What `AWS_ENDPOINT_URL_DYNAMODB` has to be.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The table at the other end; connections wait for it.
    pub(crate) fn leads_to(&self, table_url: &str) {
        let address = table_url.trim_start_matches("http://").to_owned();
        self.shared.table.send_replace(Some(address));
    }

    /// From now on all connections are like this.
    pub(crate) fn becomes(&self, line: Line) {
        self.shared.line.send_replace(line);
    }
}

impl Drop for TableLine {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let (left, bad) = &shared.bad;
        let take = |left: usize| left.checked_sub(1);
        let is_bad = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok();
        let fixed = is_bad.then_some(*bad);
        tokio::spawn(connect(client, Arc::clone(&shared), fixed));
    }
}

async fn connect(client: TcpStream, shared: Arc<Shared>, fixed: Option<Line>) {
    let mut table = shared.table.subscribe();
    let address = table.wait_for(Option::is_some).await.unwrap().clone().unwrap();
    let server = TcpStream::connect(address).await.unwrap();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let passes = |lost: Line| {
        let line = shared.line.subscribe();
        move || fixed.unwrap_or(*line.borrow()) != lost
    };
    tokio::join!(
        pass(from_client, to_server, passes(Line::Deaf)),
        pass(from_server, to_client, passes(Line::Mute)),
    );
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, passes: impl Fn() -> bool) {
    let mut buffer = vec![0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if passes() && to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
