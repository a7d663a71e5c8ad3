//! `routerctl cost`: what was spent, by tenant, user, specialist, gateway or day.
//!
//! It adds up the days' items and what sessions have spent since the last time that they told
//! those items. What a session spent that ended without drawing again, and that DynamoDB has
//! removed, is in no item.

use std::collections::BTreeMap;

use clap::ValueEnum;
use router_aws::SystemClock;
use router_aws::table::KeyPart;
use router_core::ids::Tenant;
use router_core::ledger::Unfolded;
use router_core::policy::Policy;
use router_core::store::{Item, ItemKey};
use router_core::units::Clock;
use serde_json::{Value, json};
use stand_ins::print::{grouped, usd};

use crate::day::Days;
use crate::place::Governed;
use crate::policy::line;
use crate::print::Head::{Left, Right};
use crate::print::table;
use crate::{Failure, Said};

/// Show what was spent, the most expensive first
///
/// By tenant, user, specialist, gateway hour or day, from the days that the table keeps for 90 days
/// and from what the sessions have spent since. It reads the whole table.
///
/// What cannot be known from the table: what was spent in the last block of a session that has
/// ended since without `close` (at most tenant_day.block_usd each). CloudWatch's `Cost` and
/// `UnreportedCost` have that too, by specialist. Users are digests of tenant and user_id; they are
/// there where the policy limits a user's day. Spending that no day's item has yet counts to the
/// day that its money was drawn from; of a specialist, to the last of those days.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// What the cost is added up by
    #[arg(long, value_name = "WHAT", default_value = "tenant")]
    by: By,

    #[command(flatten)]
    days: Days,

    #[command(flatten)]
    governed: Governed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// The tenants whose days pay
    Tenant,
    /// One user_id of one tenant, as a digest
    User,
    /// The specialists that were called
    Specialist,
    /// The hours of all gateway sessions together
    Gateway,
    /// All tenants together, day by day
    Day,
}

/// What one of them has spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    spent: u64,
    /// Money that sessions have drawn and may not have spent; not for specialists.
    drawn: u64,
    /// Only for specialists.
    tokens: u64,
}

pub(crate) async fn run(arguments: &Arguments, json: bool) -> Result<Said, Failure> {
    let (opened, policy) = arguments.governed.open().await?;
    let now = SystemClock.now();
    let dates = arguments.days.dates(now);
    let items = opened.table.scan(KeyPart::Sort, &["DAY#", "HOUR#", "BUDGET"]).await?;
    let sums = sums(&items, arguments.by, &policy, &dates, &now.date());
    let mut rows: Vec<(String, Sum)> = sums.into_iter().collect();
    if arguments.by != By::Day {
        rows.sort_by_key(|(_, sum)| std::cmp::Reverse((sum.spent, sum.drawn)));
    }
    let by = arguments.by.to_possible_value().map(|value| value.get_name().to_owned());
    let by = by.unwrap_or_default();
    let (from, to) = (dates.first().cloned(), dates.last().cloned());
    if json {
        let rows = rows.iter().map(|(name, sum)| {
            let Sum { spent, drawn, tokens } = sum;
            json!({
                "name": name, "spent_micro_usd": spent, "drawn_micro_usd": drawn, "tokens": tokens,
            })
        });
        let rows: Value = rows.collect();
        return Ok(line(&json!({ "by": by, "from": from, "to": to, "rows": rows })));
    }
    let days = match (from, to) {
        (Some(from), Some(to)) if from != to => format!("{from} to {to}"),
        (_, to) => to.unwrap_or_default(),
    };
    if rows.is_empty() {
        let hint = match arguments.by {
            By::User => " The router keeps users' days only where the policy limits them.",
            By::Gateway => " Gateway sessions have hours only where the policy limits them.",
            By::Tenant | By::Specialist | By::Day => "",
        };
        return Ok(Said::well(format!("Nothing was spent, {days} (UTC).{hint}\n")));
    }
    let mut text = format!("Spent by {by}, {days} (UTC)\n");
    text += &if arguments.by == By::Specialist {
        let heads = [Left("specialist"), Right("spent"), Right("tokens")];
        let rows = rows.into_iter();
        table(heads, rows.map(|(name, sum)| [name, usd(sum.spent), grouped(sum.tokens)]))
    } else {
        let heads = [Left("name"), Right("spent"), Right("drawn")];
        let rows = rows.into_iter();
        let text = table(heads, rows.map(|(name, sum)| [name, usd(sum.spent), usd(sum.drawn)]));
        text + "drawn: what sessions took from the day in blocks, spent or not\n"
    };
    Ok(Said::well(text))
}

fn sums(
    items: &[(ItemKey, Item)],
    by: By,
    policy: &Policy,
    dates: &[String],
    today: &str,
) -> BTreeMap<String, Sum> {
    let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
    let is_asked = |date: &str| dates.iter().any(|asked| asked == date);
    for (key, item) in items {
        let (kind, name) = key.pk.split_once('#').unwrap_or((&key.pk, ""));
        let place = key.sk.strip_prefix("DAY#").or_else(|| key.sk.strip_prefix("HOUR#"));
        if let Some((date, place)) = place.and_then(|place| Some((place.get(..10)?, place))) {
            let name = match (by, kind) {
                (By::Tenant, "TENANT") | (By::User, "USER") | (By::Specialist, "SPECIALIST") => {
                    name
                }
                (By::Gateway, "GATEWAY") => place,
                (By::Day, "TENANT") => date,
                _ => continue,
            };
            if is_asked(date) {
                let sum = sums.entry(name.to_owned()).or_default();
                sum.spent += item.number("spent_micro_usd");
                sum.drawn += item.number("drawn_micro_usd");
                sum.tokens += item.number("spent_tokens");
            }
        } else if key.sk == "BUDGET" && kind == "SESSION" {
            add_session(&mut sums, item, by, policy, &is_asked, today);
        }
    }
    sums.retain(|_, sum| *sum != Sum::default());
    sums
}

/// Adds what a session has spent and no day's item has yet.
fn add_session(
    sums: &mut BTreeMap<String, Sum>,
    item: &Item,
    by: By,
    policy: &Policy,
    is_asked: &impl Fn(&str) -> bool,
    today: &str,
) {
    let unfolded = Unfolded::of(item, today);
    let tenant = item.text("tenant").and_then(|tenant| Tenant::parse(tenant).ok());
    let payer = tenant.map(|tenant| policy.tenant_day.payer(&tenant));
    let days = unfolded.days.iter().filter(|(date, _)| is_asked(date));
    match by {
        By::Tenant | By::Day => {
            for (date, spent) in days {
                let name = match (by, &payer) {
                    (By::Tenant, Some(payer)) => payer.as_str(),
                    (By::Tenant, None) => continue,
                    _ => date,
                };
                sums.entry(name.to_owned()).or_default().spent += spent.0;
            }
        }
        By::Specialist => {
            let last = unfolded.days.last().map_or(today, |(date, _)| date);
            for (name, charge) in unfolded.specialists.iter().filter(|_| is_asked(last)) {
                let sum = sums.entry(name.to_string()).or_default();
                sum.spent += charge.cost.0;
                sum.tokens += charge.tokens.0;
            }
        }
        // Their items are written with each draw; what is not in them yet is no more than a block.
        By::User | By::Gateway => {}
    }
}
