//! `routerctl policy`: checks a policy, compares it with the one in the table, or puts it there.

mod changes;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use router_aws::SystemClock;
use router_aws::policy::{MAX_POLICY_BYTES, Pushed};
use router_aws::settings::{Agents, Lookup};
use router_core::policy::{Mistake, Policy, SCHEMAS_INLINE, SchemaFiles};
use router_core::units::Clock;
use serde_json::{Value, json};

use crate::place::{Place, listed, schemas_beside};
use crate::policy::changes::Change;
use crate::{Failure, Said, read_file};

/// What is done with a policy.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Tell every mistake of a policy; needs no account
    Check {
        /// The policy (TOML)
        file: PathBuf,

        #[command(flatten)]
        roster: Roster,
    },
    /// Show what a policy changes in the one that the table has
    ///
    /// Compares key by key: comments and order do not count. Where the table has no policy,
    /// functions go by the one that is compiled into them, and every key is new here.
    #[command(verbatim_doc_comment)]
    Diff {
        /// The policy (TOML)
        file: PathBuf,

        #[command(flatten)]
        place: Place,
    },
    /// Put a policy into the table, unless it has mistakes
    ///
    /// Functions with ROUTING_POLICY=table look for it after a reply, every POLICY_REFRESH_SECONDS,
    /// and go by it from the next request on. The policy before it is kept: `push --previous`
    /// brings it back. Nothing is written if another author has changed the table's in between.
    #[command(verbatim_doc_comment)]
    Push {
        /// The policy (TOML)
        #[arg(required_unless_present = "previous", conflicts_with = "previous")]
        file: Option<PathBuf>,

        /// The policy that the table had before its present one
        #[arg(long)]
        previous: bool,

        #[command(flatten)]
        roster: Roster,

        #[command(flatten)]
        place: Place,
    },
}

/// The specialists that have an agent.
#[derive(Debug, clap::Args)]
pub(crate) struct Roster {
    /// The specialists that have agents, as in the stack's parameter [default: not checked]
    #[arg(long, value_name = "NAME,…")]
    specialists: Option<String>,
}

pub(crate) async fn run(command: Command, json: bool) -> Result<Said, Failure> {
    match command {
        Command::Check { file, roster } => check(&file, &roster, json),
        Command::Diff { file, place } => diff(&file, &place, json).await,
        Command::Push { file, roster, place, .. } => push(file, &roster, &place, json).await,
    }
}

fn check(file: &Path, roster: &Roster, json: bool) -> Result<Said, Failure> {
    Ok(match roster.check(&read_file(file)?, &schemas_beside(file)) {
        Ok(policy) if json => {
            let names: Vec<&str> = policy.specialists().map(|one| one.name.as_str()).collect();
            line(&json!({ "mistakes": [], "specialists": names }))
        }
        Ok(policy) => {
            let count = policy.specialists().count();
            Said::well(format!("{} is right, with {count} specialists\n", file.display()))
        }
        Err(mistakes) => refusal(&format!("{}", file.display()), &mistakes, json),
    })
}

async fn diff(file: &Path, place: &Place, json: bool) -> Result<Said, Failure> {
    let text = read_file(file)?;
    let stored = place.open().await?.stored_policy().await?;
    let before = stored.toml.as_deref();
    let changes = changes::between(before.unwrap_or_default(), &text);
    if json {
        let changes: Value = changes.iter().map(Change::json).collect();
        let said = line(&json!({ "table_has_policy": before.is_some(), "changes": changes }));
        return Ok(Said { is_well: changes == json!([]), ..said });
    }
    let mut text = match before {
        None => "the table has no policy: functions go by the one that is compiled in\n".to_owned(),
        Some(before) if before == text => "the table has this policy\n".to_owned(),
        Some(_) if changes.is_empty() => "no key differs\n".to_owned(),
        Some(_) => String::new(),
    };
    text.extend(changes.iter().map(|change| format!("{change}\n")));
    Ok(Said { is_well: changes.is_empty(), ..Said::well(text) })
}

async fn push(
    file: Option<PathBuf>,
    roster: &Roster,
    place: &Place,
    json: bool,
) -> Result<Said, Failure> {
    // A policy in the table holds its schemas itself. What is wrong with the file is told without a
    // table.
    let inline = |_: &str| Err(SCHEMAS_INLINE.to_owned());
    let from_file = file.as_deref().map(read_file).transpose()?;
    if let Some(Err(mistakes)) = from_file.as_deref().map(|text| roster.check(text, &inline)) {
        return Ok(refusal("the policy", &mistakes, json));
    }
    let table = place.open().await?;
    let stored = table.stored_policy().await?;
    let text = match from_file {
        Some(text) => text,
        None => {
            let text = stored.previous.clone().ok_or(Failure::NoPrevious)?;
            if let Err(mistakes) = roster.check(&text, &inline) {
                return Ok(refusal("the previous policy", &mistakes, json));
            }
            text
        }
    };
    let (outcome, sentence, is_well) = if stored.toml.as_ref() == Some(&text) {
        ("unchanged", "the table has this policy already", true)
    } else {
        match table.policy_store().push(&text, &stored, SystemClock.now()).await? {
            Pushed::Stored => ("pushed", "the policy is in the table", true),
            Pushed::Lost => (
                "lost",
                "nothing was written: the table's policy was changed meanwhile. Look at `policy diff`",
                false,
            ),
        }
    };
    let said = if json {
        line(&json!({ "outcome": outcome }))
    } else {
        Said::well(format!("{sentence}\n"))
    };
    Ok(Said { is_well, ..said })
}

impl Roster {
    /// Reads a policy as a function does that has agents for these specialists.
    fn check(&self, text: &str, files: SchemaFiles<'_>) -> Result<Policy, Vec<Mistake>> {
        if text.len() > MAX_POLICY_BYTES {
            let found = format!("{} bytes long", text.len());
            let rule = format!("a table takes {MAX_POLICY_BYTES}");
            return Err(vec![Mistake { setting: "ROUTING_POLICY".to_owned(), found, rule }]);
        }
        let Some(names) = &self.specialists else {
            return Policy::parse_with_files(text, None, files);
        };
        // Which agents they are is the stack's business.
        let any: Vec<&str> = names.split(',').map(|_| "AGENT/ALIAS").collect();
        let var: Lookup<'_> = &|name| match name {
            "SPECIALISTS" => Some(names.clone()),
            "SPECIALIST_ARNS" => Some(any.join(",")),
            _ => None,
        };
        Agents::from_vars(var)?.parse_policy_with_files(text, files)
    }
}

/// Mistakes, for people or programs.
fn refusal(what: &str, mistakes: &[Mistake], json: bool) -> Said {
    let member = |mistake: &Mistake| {
        let Mistake { setting, found, rule } = mistake;
        json!({ "setting": setting, "found": found, "rule": rule })
    };
    let said = if json {
        line(&json!({ "mistakes": mistakes.iter().map(member).collect::<Value>() }))
    } else {
        Said::well(format!("{what} has mistakes:\n{}\n", listed(mistakes)))
    };
    Said { is_well: false, ..said }
}

/// A program's line.
pub(crate) fn line(value: &Value) -> Said {
    Said::well(format!("{value}\n"))
}
