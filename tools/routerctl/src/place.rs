//! Where the table is: in an account, or where the sandbox's last run left it.

use std::path::{Path, PathBuf};

use router_aws::policy::{PolicyStore, StoredPolicy};
use router_aws::settings::routing;
use router_aws::{Table, aws_configuration, aws_configuration_in, emulator_configuration};
use router_core::policy::{Mistake, Policy, SCHEMAS_INLINE, SchemaFiles};
use stand_ins::last_run::LastRun;
use stand_ins::table;

use crate::{Failure, read_file};

/// The table that a command works on.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which table")]
pub(crate) struct Place {
    /// The table of a deployed stack, by name or ARN
    #[arg(long, value_name = "NAME")]
    table: Option<String>,

    /// The table's region [default: the AWS environment's]
    #[arg(long, value_name = "REGION", requires = "table")]
    region: Option<String>,

    /// The table that the sandbox's last run left; so where no --table is given
    #[arg(long, conflicts_with = "table")]
    last_run: bool,
}

/// A table that is open.
pub(crate) struct Opened {
    pub(crate) table: Table,
    /// The emulator of the last run's table ends with it.
    _emulator: Option<table::Table>,
}

impl Place {
    pub(crate) async fn open(&self) -> Result<Opened, Failure> {
        if let Some(name) = &self.table {
            let config = match &self.region {
                Some(region) => aws_configuration_in(region.clone()).await,
                None => aws_configuration().await,
            };
            return Ok(Opened { table: Table::new(&config, name), _emulator: None });
        }
        let emulator = LastRun::find().open_table().await?;
        let config = emulator_configuration(&emulator.url()).await;
        let table = Table::new(&config, emulator.name());
        Ok(Opened { table, _emulator: Some(emulator) })
    }

    /// The policy that functions go by: the table's, else the one that the last run was given.
    async fn policy_text(&self, opened: &Opened) -> Result<String, Failure> {
        let stored = opened.stored_policy().await?;
        let of_run = || LastRun::find().policy().filter(|_| self.table.is_none());
        stored.toml.or_else(of_run).ok_or(Failure::NoPolicy)
    }
}

impl Opened {
    pub(crate) fn policy_store(&self) -> PolicyStore {
        PolicyStore::new(self.table.clone())
    }

    pub(crate) async fn stored_policy(&self) -> Result<StoredPolicy, Failure> {
        Ok(self.policy_store().read().await?)
    }
}

/// A table with the policy that its functions go by.
#[derive(Debug, clap::Args)]
pub(crate) struct Governed {
    #[command(flatten)]
    pub(crate) place: Place,

    /// The policy (TOML) [default: the one in the table, or the last run's]
    #[arg(long, value_name = "FILE", help_heading = "Which table")]
    policy: Option<PathBuf>,
}

impl Governed {
    pub(crate) async fn open(&self) -> Result<(Opened, Policy), Failure> {
        // What is wrong with the file is told without a table.
        let from_file = self.policy.as_deref().map(read_file).transpose()?;
        let files = self.policy.as_deref().map(schemas_beside);
        let from_file = from_file.as_deref().zip(files);
        let from_file = from_file.map(|(text, files)| parse(text, &files)).transpose()?;
        let opened = self.place.open().await?;
        let policy = match from_file {
            Some(policy) => policy,
            None => parse(&self.place.policy_text(&opened).await?, &inline)?,
        };
        Ok((opened, policy))
    }
}

/// The policy that something is made from.
#[derive(Debug, clap::Args)]
pub(crate) struct Source {
    /// The policy (TOML) [default: the one in the table]
    #[arg(value_name = "FILE", conflicts_with_all = ["table", "last_run"])]
    file: Option<PathBuf>,

    #[command(flatten)]
    place: Place,
}

impl Source {
    pub(crate) async fn policy(&self) -> Result<Policy, Failure> {
        self.policy_with(Ok).await
    }

    /// The policy, with a change of its text.
    pub(crate) async fn policy_with(
        &self,
        change: impl FnOnce(String) -> Result<String, Failure>,
    ) -> Result<Policy, Failure> {
        match &self.file {
            Some(path) => parse(&change(read_file(path)?)?, &schemas_beside(path)),
            None => {
                let text = self.place.policy_text(&self.place.open().await?).await?;
                parse(&change(text)?, &inline)
            }
        }
    }
}

/// The schemas that a policy's file names, relative to its folder.
pub(crate) fn schemas_beside(policy: &Path) -> impl Fn(&str) -> Result<String, String> + use<> {
    let read = |path: &str| std::fs::read_to_string(path);
    routing::beside(&policy.to_string_lossy(), read)
}

fn inline(_: &str) -> Result<String, String> {
    Err(SCHEMAS_INLINE.to_owned())
}

fn parse(text: &str, files: SchemaFiles<'_>) -> Result<Policy, Failure> {
    Policy::parse_with_files(text, None, files)
        .map_err(|mistakes| Failure::Mistakes(listed(&mistakes)))
}

/// Mistakes, a line each.
pub(crate) fn listed(mistakes: &[Mistake]) -> String {
    let lines: Vec<String> = mistakes.iter().map(|mistake| format!("  {mistake}")).collect();
    lines.join("\n")
}
