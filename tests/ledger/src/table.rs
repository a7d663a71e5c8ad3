//! A table of its own for each test, behind the proxy that lets its requests fail.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ScalarAttributeType,
};
use router_aws::{DynamoCircuits, DynamoLedger};
use router_core::ledger::Hour;
use router_core::units::Timestamp;
use stand_ins::table::Table;
use stand_ins::table_faults::Faults;

use crate::books::{Books, Item};
use crate::ministack::{self, Ministack};
use crate::payer::Payer;

/// An empty table in a DynamoDB of the kind that is under test.
pub(crate) struct TableUnderTest {
    region: String,
    name: String,
    client: Client,
    dynamodb: DynamoDb,
}

/// What keeps the table.
enum DynamoDb {
    /// The emulator that the sandbox embeds.
    Embedded(Table),
    /// ministack, with a proxy of the sandbox's in front.
    Ministack { faults: Faults, _running: Arc<Ministack> },
}

impl TableUnderTest {
    pub(crate) async fn start() -> Self {
        static TABLES: AtomicUsize = AtomicUsize::new(0);
        // The SDK allows all clients of a region a number of retries together. A test has a
        // region of its own, so that others do not use them up.
        let region = format!("test-{}", TABLES.fetch_add(1, Ordering::Relaxed));
        if !ministack::is_under_test() {
            let table = Table::start().await.unwrap();
            return Self {
                region,
                name: stand_ins::table::TABLE_NAME.to_owned(),
                client: table.client().clone(),
                dynamodb: DynamoDb::Embedded(table),
            };
        }
        let running = tokio::task::spawn_blocking(Ministack::shared).await.unwrap();
        let faults = Faults::before(running.address()).await.unwrap();
        let client = Client::new(&configuration(&region, &url(running.address())));
        let name = "budgets".to_owned();
        create(&client, &name).await;
        Self { region, name, client, dynamodb: DynamoDb::Ministack { faults, _running: running } }
    }

    /// A ledger as a further function process has it.
    pub(crate) fn ledger(&self) -> DynamoLedger {
        DynamoLedger::new(self.connect())
    }

    /// The circuits as a further function process has them.
    pub(crate) fn circuits(&self) -> DynamoCircuits {
        DynamoCircuits::new(self.connect())
    }

    pub(crate) fn connect(&self) -> router_aws::Table {
        let config = configuration(&self.region, &self.faults().url());
        router_aws::Table::new(&config, &self.name)
    }

    pub(crate) fn faults(&self) -> &Faults {
        match &self.dynamodb {
            DynamoDb::Embedded(table) => table.faults(),
            DynamoDb::Ministack { faults, .. } => faults,
        }
    }

    /// What a function has to be told to use this table.
    pub(crate) fn environment(&self) -> [(String, String); 4] {
        [
            ("AWS_ENDPOINT_URL_DYNAMODB", self.faults().url()),
            ("BUDGET_TABLE_NAME", self.name.clone()),
            ("AWS_REGION", self.region.clone()),
            ("AWS_DEFAULT_REGION", self.region.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
    }

    /// The books of a session that has begun.
    pub(crate) async fn session(&self, id: &str) -> Books {
        let books = self.session_or_nothing(id).await;
        assert_ne!(books.attributes(), 0, "session `{id}` has begun");
        books
    }

    /// The books of a session, empty if it has not begun.
    pub(crate) async fn session_or_nothing(&self, id: &str) -> Books {
        Books::of(self.item(&format!("SESSION#{id}"), "BUDGET").await.unwrap_or_default())
    }

    /// The item of a tenant's day, empty if it is absent.
    pub(crate) async fn tenant_day(&self, tenant: &str, date: &str) -> Books {
        let item = self.item(&format!("TENANT#{tenant}"), &format!("DAY#{date}")).await;
        Books::of(item.unwrap_or_default())
    }

    /// The item of the day of a payer's user, empty if it is absent.
    pub(crate) async fn user_day(&self, payer: &Payer, date: &str) -> Books {
        let user = payer.user.as_ref().unwrap().as_str();
        let item = self.item(&format!("USER#{user}"), &format!("DAY#{date}")).await;
        Books::of(item.unwrap_or_default())
    }

    /// The item of the gateways' hour, empty if it is absent.
    pub(crate) async fn gateway_hour(&self, at: Timestamp) -> Books {
        let item = self.item("GATEWAY", &format!("HOUR#{}", Hour::of(at))).await;
        Books::of(item.unwrap_or_default())
    }

    /// The item of a specialist's day, empty if it is absent.
    pub(crate) async fn specialist_day(&self, specialist: &str, date: &str) -> Books {
        let item = self.item(&format!("SPECIALIST#{specialist}"), &format!("DAY#{date}")).await;
        Books::of(item.unwrap_or_default())
    }

    pub(crate) async fn item(&self, pk: &str, sk: &str) -> Option<Item> {
        let get = self.client.get_item().table_name(&self.name).consistent_read(true);
        let found = get.key("pk", text(pk)).key("sk", text(sk)).send().await.unwrap();
        found.item
    }

    /// Sets an attribute of a session's item by hand, as an operator does.
    pub(crate) async fn set(&self, session: &str, path: &[&str], value: AttributeValue) {
        self.set_at(&format!("SESSION#{session}"), "BUDGET", path, value).await;
    }

    /// Takes an attribute out of a session's item.
    pub(crate) async fn remove(&self, session: &str, attribute: &str) {
        let update = self.client.update_item().table_name(&self.name);
        let update = update.key("pk", text(&format!("SESSION#{session}")));
        let update = update.key("sk", text("BUDGET")).update_expression("REMOVE #name");
        update.expression_attribute_names("#name", attribute).send().await.unwrap();
    }

    /// Sets an attribute of any item by hand.
    pub(crate) async fn set_at(&self, pk: &str, sk: &str, path: &[&str], value: AttributeValue) {
        let places: Vec<String> = (0..path.len()).map(|place| format!("#p{place}")).collect();
        let mut update = self
            .client
            .update_item()
            .table_name(&self.name)
            .key("pk", text(pk))
            .key("sk", text(sk))
            .update_expression(format!("SET {} = :value", places.join(".")))
            .expression_attribute_values(":value", value);
        for (place, name) in places.iter().zip(path) {
            update = update.expression_attribute_names(place, *name);
        }
        update.send().await.unwrap();
    }
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn configuration(region: &str, endpoint: &str) -> SdkConfig {
    // Nothing of the machine's own configuration takes part.
    let credentials = Credentials::new("test", "test", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(endpoint)
        .build()
}

async fn create(client: &Client, name: &str) {
    let mut create =
        client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for (name, kind) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
        let text = ScalarAttributeType::S;
        let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(text);
        let key = KeySchemaElement::builder().attribute_name(name).key_type(kind);
        create = create
            .attribute_definitions(attribute.build().unwrap())
            .key_schema(key.build().unwrap());
    }
    create.send().await.unwrap();
}
