//! `sandbox budget`: what an operator sees of the sessions of the last run, and does about them.
//!
//! The table is read as the last run left it, or has it now if it is still under way. Nothing
//! here is of the sandbox only: the same attributes are there in AWS, and setting the same ones
//! raises a limit there.

mod limit;
mod raise;
mod session;
mod view;

use std::fs;
use std::io;
use std::path::PathBuf;

use stand_ins::clock;
use stand_ins::table::BoxError;
use stand_ins::table::{Item, TableError, key};

use self::limit::Policy;
use self::raise::{Mistake, Raise};
use self::session::Session;
use self::view::View;
use crate::paint::{Paint, counted, printable};
use stand_ins::last_run::{LastRun, OpenError, SHIPPED_POLICY};

/// How many sessions an error names.
const MOST_NAMED: usize = 20;

/// Show a session's budget, or raise its limits
///
/// Shows the budget of a session of the last run (or of one that is under way): each limit with
/// what is settled, held and left, the holds and when they expire, what each specialist used, and
/// the money drawn from the tenant. Without a session: which sessions there are.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// The root session's id; without it, all sessions are listed
    session: Option<String>,

    /// New limits for the session: steps, tokens, cost_usd, handoffs
    #[arg(long, value_name = "NAME=VALUE,…", requires = "session")]
    raise: Option<String>,

    /// The policy, for limits that nobody raised (TOML) [default: the last run's]
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

const AFTER_HELP: &str = "\
Examples:
  cargo run -p sandbox -- budget                          which sessions there are
  cargo run -p sandbox -- budget 5f1c0a52-orders          one of them
  cargo run -p sandbox -- budget 5f1c0a52-orders --raise steps=20,tokens=100000,cost_usd=1.0

A raised limit is an attribute of the session's item (limit_steps, limit_tokens,
limit_micro_usd, limit_handoffs) and holds until the session ends. Each value is the
new limit itself, must be above the one in force, and takes effect within 5 seconds.

Exit codes:
  0  shown
  2  no run yet, no such session, mistakes in --raise, or an unreadable file";

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BudgetError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the last run has no session `{}`; {}", printable(.unknown), named(.known))]
    UnknownSession { unknown: String, known: Vec<String> },
    #[error("session `{}` is over: its next call begins it anew, under the policy's limits",
        printable(.0))]
    Over(String),
    #[error("{} in `--raise`{}", counted(.0.len(), "mistake"), lines(.0))]
    Mistakes(Vec<Mistake>),
    #[error("cannot read {}", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot tell the limits of the policy {from}")]
    Policy {
        from: String,
        #[source]
        source: toml::de::Error,
    },
    #[error("the limits were not raised")]
    Raise(#[source] BoxError),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error("cannot write the budget")]
    Output(#[from] io::Error),
}

/// Shows what is asked for, after raising what is asked for.
pub(crate) async fn run(arguments: Arguments, paint: Paint) -> Result<(), BudgetError> {
    let last_run = LastRun::find();
    let policy = read_policy(arguments.policy, &last_run)?;
    let table = last_run.open_table().await?;
    let now_ms = clock::now_ms();
    let mut view = View::new(io::stdout(), paint, &policy, now_ms);
    let items = table.scan().await?;
    let Some(id) = arguments.session else {
        return Ok(view.list(&sessions(&items))?);
    };
    let session = find(&items, &id)?;
    let Some(raise) = arguments.raise else {
        return Ok(view.session(&session, &items)?);
    };
    let raise = Raise::parse(&raise, &session, &policy).map_err(BudgetError::Mistakes)?;
    if session.is_over(now_ms) {
        return Err(BudgetError::Over(id));
    }
    raise.write(&table, &session).await?;
    let done = raise.describe(&session, &policy);
    view.note(&format!("Raised {done}.\nIt takes effect within 5 seconds.\n"))?;
    let items = table.scan().await?;
    Ok(view.session(&find(&items, &id)?, &items)?)
}

/// The sessions among the items, by name.
fn sessions(items: &[Item]) -> Vec<Session> {
    let mut sessions: Vec<Session> = items.iter().filter_map(Session::parse).collect();
    sessions.sort_by(|a, b| a.id.cmp(&b.id));
    sessions
}

fn find(items: &[Item], id: &str) -> Result<Session, BudgetError> {
    let mut sessions = sessions(items);
    match sessions.iter().position(|session| session.id == id) {
        Some(index) => Ok(sessions.swap_remove(index)),
        None => {
            let known = sessions.into_iter().map(|session| session.id).collect();
            Err(BudgetError::UnknownSession { unknown: id.to_owned(), known })
        }
    }
}

fn read_policy(file: Option<PathBuf>, last_run: &LastRun) -> Result<Policy, BudgetError> {
    let (text, from) = match (file, last_run.policy()) {
        (Some(path), _) => {
            let from = format!("in {}", path.display());
            let text = fs::read_to_string(&path);
            (text.map_err(|source| BudgetError::Read { path, source })?, from)
        }
        (None, Some(text)) => (text, "of the last run".to_owned()),
        (None, None) => (SHIPPED_POLICY.to_owned(), "that is shipped".to_owned()),
    };
    Policy::parse(&text).map_err(|source| BudgetError::Policy { from, source })
}

/// The key of a session's item.
fn session_key(session: &str) -> Item {
    key(&format!("SESSION#{session}"), "BUDGET")
}

fn named(known: &[String]) -> String {
    if known.is_empty() {
        return "it has none".to_owned();
    }
    let names: String =
        known.iter().take(MOST_NAMED).map(|id| format!("\n  {}", printable(id))).collect();
    match known.len().saturating_sub(MOST_NAMED) {
        0 => format!("it has{names}"),
        more => format!("it has{names}\n  and {more} more, which `budget` lists"),
    }
}

fn lines(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| format!("\n  {mistake}")).collect()
}

#[cfg(test)]
mod tests {
    use stand_ins::table::AttributeValue;

    use super::*;

    /// A session's item with these numbers.
    pub(super) fn item(session: &str, numbers: &[(&str, u64)]) -> Item {
        let mut item = session_key(session);
        for (name, value) in numbers {
            item.insert((*name).to_owned(), AttributeValue::N(value.to_string()));
        }
        item
    }

    /// 12 steps, 80,000 tokens, $0.50, 6 hand-offs, the same thing three times.
    pub(super) fn policy() -> Policy {
        let text = "[session]\nmax_steps = 12\nmax_tokens = 80_000\nmax_cost_usd = 0.50\n\
                    max_repeats = 3\n";
        Policy::parse(text).unwrap()
    }

    #[test]
    fn an_unknown_session_is_told_which_there_are() {
        let items = [item("b", &[]), item("a", &[])];
        assert_eq!(find(&items, "a").unwrap().id, "a");
        let error = find(&items, "c").unwrap_err();
        assert_eq!(error.to_string(), "the last run has no session `c`; it has\n  a\n  b");
        let error = find(&[], "c").unwrap_err();
        assert_eq!(error.to_string(), "the last run has no session `c`; it has none");
    }

    #[test]
    fn a_long_list_of_sessions_is_cut() {
        let items: Vec<Item> = (0..25).map(|id| item(&format!("{id:02}"), &[])).collect();
        let error = find(&items, "c").unwrap_err().to_string();
        assert!(error.ends_with("\n  19\n  and 5 more, which `budget` lists"), "{error}");
    }

    #[test]
    fn what_is_no_budget_is_no_session() {
        let mut pad = item("a", &[]);
        pad.insert("sk".to_owned(), AttributeValue::S("PAD#x".to_owned()));
        assert_eq!(sessions(&[pad]), []);
    }
}
