//! `routerctl erase`: removes what was kept of the words of a user, a tenant or a session.
//!
//! What goes is every item of a session but its budget (answers that are given again, pads, turns,
//! stages), and incidents and escalations that name one of the sessions. Counters stay until they
//! expire: a budget must not begin anew because its owner asked to be forgotten.

use std::collections::{BTreeMap, BTreeSet};

use clap::ArgGroup;
use clap::builder::NonEmptyStringValueParser;
use router_aws::Table;
use router_aws::table::KeyPart;
use router_core::ids::{RootSession, Tenant, UserMark};
use router_core::store::{Item, ItemKey};
use serde_json::{Value, json};
use stand_ins::print::{counted, printable};

use crate::place::Place;
use crate::policy::line;
use crate::print::Head::Left;
use crate::print::table;
use crate::session::parse_name;
use crate::{Failure, Said};

/// The sort key of a session's counters.
const BUDGET: &str = "BUDGET";

/// Erase what was kept of a user's, a tenant's or a session's words
///
/// Removes answers, scratchpads, turns, stages, incidents and escalations, and lists what it
/// removes. Counters stay until they expire (sessions' budgets, days of tenants, users and
/// specialists), or a budget could be begun anew by this. It reads the whole table, and needs
/// dynamodb:Scan and Query, which no function has, and DeleteItem.
///
/// What a request that is under way writes afterwards is not removed: `close` the sessions first.
/// Incidents of a version that did not note their session are not found; they are counted.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[command(group = ArgGroup::new("whose").required(true).multiple(true).args(["user", "tenant", "session"]))]
pub(crate) struct Arguments {
    /// The user_id that the application gives; with --tenant where it names one
    #[arg(long, value_name = "USER_ID", conflicts_with = "session")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    user: Option<String>,

    /// All of a tenant's; with --user, whose user that is [default then: default]
    #[arg(long, value_name = "TENANT_ID", conflicts_with = "session")]
    #[arg(value_parser = parse_tenant)]
    tenant: Option<Tenant>,

    /// One root session's (of a gateway's session: gateway/ID)
    #[arg(long, value_name = "SESSION", value_parser = parse_name)]
    session: Option<RootSession>,

    /// Only list what would be removed
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    place: Place,
}

/// Whose items are removed.
enum Whose<'a> {
    Session(&'a RootSession),
    Tenant(&'a Tenant),
    User(UserMark),
}

fn parse_tenant(text: &str) -> Result<Tenant, String> {
    Tenant::parse(text).map_err(|error| error.to_string())
}

pub(crate) async fn run(arguments: &Arguments, json: bool) -> Result<Said, Failure> {
    let default = Tenant::default();
    let whose = match (&arguments.session, &arguments.user, &arguments.tenant) {
        (Some(session), ..) => Whose::Session(session),
        (None, Some(user), tenant) => {
            Whose::User(UserMark::of(tenant.as_ref().unwrap_or(&default), user))
        }
        (None, None, Some(tenant)) => Whose::Tenant(tenant),
        (None, None, None) => return Err(Failure::Usage("name whose words to erase".to_owned())),
    };
    let opened = arguments.place.open().await?;
    let found = find(&opened.table, &whose).await?;
    if !arguments.dry_run {
        for key in &found.erased {
            opened.table.delete(key).await?;
        }
    }
    Ok(said(arguments, &found, json))
}

/// What is there of an owner.
struct Found {
    /// What is to be removed.
    erased: Vec<ItemKey>,
    /// The budgets that stay.
    kept: Vec<ItemKey>,
    /// Incidents that do not say whose they are.
    unowned: usize,
}

async fn find(table: &Table, whose: &Whose<'_>) -> Result<Found, Failure> {
    let beginnings = ["SESSION#", "INCIDENT#", "ESCALATION#"];
    let items = table.scan(KeyPart::Partition, &beginnings).await?;
    let is_owned = |item: &Item| match whose {
        Whose::Session(session) => item.text("session") == Some(session.as_str()),
        Whose::Tenant(tenant) => item.text("tenant") == Some(tenant.as_str()),
        Whose::User(user) => item.text("user") == Some(user.as_str()),
    };
    let sessions = items.iter().filter(|(key, item)| match whose {
        Whose::Session(session) => key.pk == ItemKey::session(session).pk,
        Whose::Tenant(_) | Whose::User(_) => key.sk == BUDGET && is_owned(item),
    });
    let sessions: BTreeSet<&str> = sessions.map(|(key, _)| key.pk.as_str()).collect();
    let (mut erased, mut kept, mut unowned) = (Vec::new(), Vec::new(), 0);
    for (key, item) in &items {
        let is_of_session = key.pk.starts_with("SESSION#");
        // What people wrote and what failed belongs to whom the session belongs to, also where its
        // own item does not say so.
        let of = item.text("session").map(|session| format!("SESSION#{session}"));
        let is_found = match is_of_session {
            true => sessions.contains(key.pk.as_str()),
            false => is_owned(item) || of.is_some_and(|of| sessions.contains(of.as_str())),
        };
        match (is_found, is_of_session && key.sk == BUDGET) {
            (true, true) => kept.push(key.clone()),
            (true, false) => erased.push(key.clone()),
            (false, _) if !is_of_session && !item.has("session") => unowned += 1,
            (false, _) => {}
        }
    }
    erased.sort();
    kept.sort();
    Ok(Found { erased, kept, unowned })
}

/// `INCIDENT`, `PAD`
fn kind(key: &ItemKey) -> &str {
    let of = if key.pk.starts_with("SESSION#") { &key.sk } else { &key.pk };
    of.split('#').next().unwrap_or(of)
}

fn said(arguments: &Arguments, found: &Found, json: bool) -> Said {
    let Found { erased, kept, unowned } = found;
    let dry_run = arguments.dry_run;
    if json {
        let keys = |keys: &[ItemKey]| {
            let keys = keys.iter();
            keys.map(|key| json!({ "kind": kind(key), "pk": key.pk, "sk": key.sk })).collect()
        };
        let (erased, kept): (Value, Value) = (keys(erased), keys(kept));
        return line(&json!({
            "dry_run": dry_run, "erased": erased, "kept": kept, "without_owner": unowned,
        }));
    }
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for key in erased {
        *kinds.entry(kind(key)).or_default() += 1;
    }
    let verb = if dry_run { "would be erased" } else { "erased" };
    let mut text = format!("{} {verb}", counted(erased.len(), "item"));
    let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    if kinds.is_empty() && kept.is_empty() {
        text += ": the table has no session of this owner (is the --tenant right?)\n";
    } else if kinds.is_empty() {
        text.push('\n');
    } else {
        text += &format!(": {}\n", kinds.join(", "));
        let rows = erased.iter().map(|key| [key.pk.clone(), key.sk.clone()]);
        text += &table([Left("pk"), Left("sk")], rows);
    }
    if !kept.is_empty() {
        let names = kept.iter().map(|key| format!("\n  {}", printable(&key.pk)));
        let counters = counted(kept.len(), "budget");
        let until = if kept.len() == 1 { "it expires" } else { "they expire" };
        text += &format!("{counters} kept until {until}:{}\n", names.collect::<String>());
    }
    if *unowned > 0 {
        text += &format!("{} that do not say whose they are stay\n", counted(*unowned, "incident"));
    }
    Said::well(text)
}
