//! The DynamoDB table, in an emulator that is spoken to over HTTP. It runs in this process, unless
//! the table is elsewhere.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
pub use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::error::{BuildError, SdkError};
pub use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use dynoxide::Database;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;

use crate::http::ANY_LOOPBACK;
use crate::identity::REGION;
use crate::table_faults::Faults;

/// The name of the table in this process.
pub const TABLE_NAME: &str = "sandbox-budgets";

/// What SQLite, in which the emulator keeps its tables, adds to the names of its files.
const DATABASE_SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

/// An item as the SDK sees it.
pub type Item = HashMap<String, AttributeValue>;

/// The key of an item.
pub fn key(pk: &str, sk: &str) -> Item {
    let text = |value: &str| AttributeValue::S(value.to_owned());
    Item::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

/// The table, with the emulator that it is in.
#[derive(Debug)]
pub struct Table {
    client: Client,
    name: String,
    faults: Faults,
    serving: Option<JoinHandle<()>>,
}

impl Table {
    /// Starts an empty emulator in memory and creates the table.
    ///
    /// # Errors
    ///
    /// [`TableError`] when the emulator cannot start or does not create the table.
    pub async fn start() -> Result<Self, TableError> {
        Self::start_at(ANY_LOOPBACK, None).await
    }

    /// Starts an empty emulator that keeps the table in `file`, in place of whatever is in there.
    ///
    /// # Errors
    ///
    /// As [`Table::start`], and [`TableError::File`] when the old file does not go away.
    pub async fn start_in(file: &Path) -> Result<Self, TableError> {
        Self::start_at(ANY_LOOPBACK, Some(file)).await
    }

    /// As [`Table::start`], or [`Table::start_in`] where there is a file, with [`Table::url`]
    /// elsewhere; port 0 is a free one.
    ///
    /// # Errors
    ///
    /// As those, and when the address cannot be listened on.
    pub async fn start_at(address: SocketAddr, file: Option<&Path>) -> Result<Self, TableError> {
        let table = match file {
            None => Self::serve(address, Database::memory()).await?,
            Some(file) => {
                remove(file)?;
                Self::serve(address, database_in(file)?).await?
            }
        };
        table.create().await?;
        Ok(table)
    }

    /// Starts an emulator with the table that an earlier one left, or is still writing, in `file`.
    ///
    /// # Errors
    ///
    /// As [`Table::start`].
    pub async fn open(file: &Path) -> Result<Self, TableError> {
        Self::go_on_at(ANY_LOOPBACK, file).await
    }

    /// As [`Table::open`], elsewhere; port 0 is a free one.
    ///
    /// # Errors
    ///
    /// As [`Table::start`].
    pub async fn go_on_at(address: SocketAddr, file: &Path) -> Result<Self, TableError> {
        Self::serve(address, database_in(file)?).await
    }

    /// The table `name` of the DynamoDB at `address`, as it is.
    ///
    /// # Errors
    ///
    /// When no port of the loopback interface is free for [`Table::faults`].
    pub async fn at(address: SocketAddr, name: &str) -> Result<Self, TableError> {
        let faults = Faults::before(address).await?;
        Ok(Self { client: client(address), name: name.to_owned(), faults, serving: None })
    }

    async fn serve(
        address: SocketAddr,
        database: dynoxide::errors::Result<Database>,
    ) -> Result<Self, TableError> {
        let database = database.map_err(|error| TableError::Emulator(error.to_string()))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let behind = listener.local_addr()?;
        let serving = Some(tokio::spawn(dynoxide::server::serve_on(listener, database)));
        let faults = Faults::at(address, behind).await?;
        Ok(Self { client: client(behind), name: TABLE_NAME.to_owned(), faults, serving })
    }

    /// What `AWS_ENDPOINT_URL_DYNAMODB` has to be.
    pub fn url(&self) -> String {
        self.faults.url()
    }

    /// What `BUDGET_TABLE_NAME` has to be.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What goes wrong with the requests of whoever comes through [`Table::url`], and how many
    /// they are. The methods of this type take another way.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The plain SDK client, for whatever has no method here.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The budget item of a root session.
    ///
    /// # Errors
    ///
    /// [`TableError::Request`] when the emulator refuses.
    pub async fn session_budget(&self, session_id: &str) -> Result<Option<Item>, TableError> {
        self.item(&key(&format!("SESSION#{session_id}"), "BUDGET")).await
    }

    /// The item with this key.
    ///
    /// # Errors
    ///
    /// [`TableError::Request`] when the emulator refuses.
    pub async fn item(&self, key: &Item) -> Result<Option<Item>, TableError> {
        let get = self.client.get_item().table_name(&self.name).set_key(Some(key.clone()));
        let found = get.consistent_read(true).send().await.map_err(TableError::request)?;
        Ok(found.item)
    }

    /// Removes the item with this key, if it is there.
    ///
    /// # Errors
    ///
    /// [`TableError::Request`] when the emulator refuses.
    pub async fn delete_item(&self, key: &Item) -> Result<(), TableError> {
        let delete = self.client.delete_item().table_name(&self.name).set_key(Some(key.clone()));
        delete.send().await.map(drop).map_err(TableError::request)
    }

    /// Writes an item as it is.
    ///
    /// # Errors
    ///
    /// [`TableError::Request`] when the emulator refuses.
    pub async fn put_item(&self, item: Item) -> Result<(), TableError> {
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        put.send().await.map(drop).map_err(TableError::request)
    }

    /// All items, in no order.
    ///
    /// # Errors
    ///
    /// [`TableError::Request`] when the emulator refuses.
    pub async fn scan(&self) -> Result<Vec<Item>, TableError> {
        let mut items = Vec::new();
        let mut start = None;
        loop {
            let page = self
                .client
                .scan()
                .table_name(&self.name)
                .consistent_read(true)
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(TableError::request)?;
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(items);
            }
        }
    }

    async fn create(&self) -> Result<(), TableError> {
        let mut create = self
            .client
            .create_table()
            .table_name(&self.name)
            .billing_mode(BillingMode::PayPerRequest);
        for (name, key_type) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
            create = create
                .attribute_definitions(
                    AttributeDefinition::builder()
                        .attribute_name(name)
                        .attribute_type(ScalarAttributeType::S)
                        .build()?,
                )
                .key_schema(
                    KeySchemaElement::builder().attribute_name(name).key_type(key_type).build()?,
                );
        }
        create.send().await.map(drop).map_err(TableError::request)
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

/// Why the table could not be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// No port of the loopback interface is free.
    #[error("the DynamoDB emulator cannot listen")]
    Listen(#[from] io::Error),
    /// The file of an earlier table cannot be removed.
    #[error("cannot remove {}", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The emulator did not start.
    #[error("the DynamoDB emulator did not start: {0}")]
    Emulator(String),
    /// A request is not complete; a mistake of this module.
    #[error("the request to the DynamoDB emulator is not complete")]
    Incomplete(#[from] BuildError),
    /// The emulator refused a request or gave no answer.
    #[error("the DynamoDB emulator refused a request")]
    Request(#[source] BoxError),
}

impl TableError {
    fn request<E, R>(error: SdkError<E, R>) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        // The service's own answer says more than "service error".
        Self::Request(error.into_source().unwrap_or_else(|error| Box::new(error)))
    }
}

/// An address that refuses connections for as long as this lives: a bound socket that does not
/// listen, so that nobody else gets the port.
#[derive(Debug)]
pub(crate) struct ClosedPort {
    address: SocketAddr,
    _socket: TcpSocket,
}

impl ClosedPort {
    pub(crate) fn reserve() -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        Ok(Self { address: socket.local_addr()?, _socket: socket })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Removes an emulator's file.
fn remove(file: &Path) -> Result<(), TableError> {
    for suffix in DATABASE_SUFFIXES {
        let mut path = file.as_os_str().to_owned();
        path.push(suffix);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(TableError::File { file: path.into(), source: error });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The file's database, made when it is not there.
fn database_in(file: &Path) -> Result<dynoxide::errors::Result<Database>, TableError> {
    let Some(path) = file.to_str() else {
        return Err(TableError::Emulator(format!("{} is no UTF-8", file.display())));
    };
    Ok(Database::new(path).and_then(|database| {
        // Waiting for the disk would slow each write down. What is written outlives this
        // process all the same, if not the machine.
        database.enable_bulk_loading()?;
        Ok(database)
    }))
}

fn client(address: SocketAddr) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .credentials_provider(Credentials::new("sandbox", "sandbox", None, None, "sandbox"))
        .endpoint_url(format!("http://{address}"))
        .build();
    Client::from_conf(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_session_has_no_budget_until_one_is_written() {
        let table = Table::start().await.unwrap();
        assert_eq!(table.session_budget("s").await.unwrap(), None);
        let text = |value: &str| AttributeValue::S(value.to_owned());
        let item = Item::from([
            ("pk".to_owned(), text("SESSION#s")),
            ("sk".to_owned(), text("BUDGET")),
            ("steps".to_owned(), AttributeValue::N("3".to_owned())),
        ]);
        table.put_item(item.clone()).await.unwrap();
        assert_eq!(table.session_budget("s").await.unwrap(), Some(item.clone()));
        assert_eq!(table.scan().await.unwrap(), [item]);
        table.delete_item(&key("SESSION#s", "BUDGET")).await.unwrap();
        assert_eq!(table.session_budget("s").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_table_in_a_file_is_there_for_the_next_and_begun_anew_on_demand() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("table.db");
        let item: Item = [("pk", "SESSION#s"), ("sk", "BUDGET")]
            .map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())))
            .into();
        let first = Table::start_in(&file).await.unwrap();
        first.put_item(item.clone()).await.unwrap();
        // Whether the first has ended or not.
        let second = Table::open(&file).await.unwrap();
        assert_eq!(second.scan().await.unwrap(), vec![item.clone()]);
        drop((first, second));
        assert_eq!(Table::open(&file).await.unwrap().scan().await.unwrap(), [item]);
        assert_eq!(Table::start_in(&file).await.unwrap().scan().await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_table_elsewhere_is_used_as_it_is() {
        let there = Table::start().await.unwrap();
        let address = there.url().strip_prefix("http://").unwrap().parse().unwrap();
        let table = Table::at(address, TABLE_NAME).await.unwrap();
        table.put_item(key("SESSION#s", "BUDGET")).await.unwrap();
        assert_eq!(there.scan().await.unwrap(), [key("SESSION#s", "BUDGET")]);
        let missing = Table::at(address, "another").await.unwrap();
        assert!(matches!(missing.scan().await, Err(TableError::Request(_))));
    }

    #[tokio::test]
    async fn a_closed_port_refuses_connections() {
        let port = ClosedPort::reserve().unwrap();
        let error = tokio::net::TcpStream::connect(port.address).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
