//! A session's budget as the commands show it.

use router_aws::Table;
use router_core::ids::{RootSession, Tenant};
use router_core::ledger::Statement;
use router_core::policy::Policy;
use router_core::store::{Answer, Item, ItemKey, Request};
use router_core::units::{MicroUsd, Timestamp};
use serde_json::{Map, Value, json};
use stand_ins::print::{counted, grouped, printable, span, usd, utc};

use crate::Failure;
use crate::print::Head::{Left, Right};
use crate::print::{signed_usd, table};

/// How many of its tenant's days are shown at most.
const MOST_DAYS: usize = 3;

/// A session with its item.
pub(crate) struct Session {
    pub(crate) name: RootSession,
    pub(crate) item: Item,
    pub(crate) statement: Statement,
}

/// A limit: its name on the command line and for people, settled, held, and in force.
pub(crate) struct LimitLine {
    pub(crate) name: &'static str,
    title: &'static str,
    settled: u64,
    held: u64,
    pub(crate) limit: u64,
    by_hand: bool,
    show: fn(u64) -> String,
}

/// The name of a session as it is listed, or as the application knows it.
pub(crate) fn parse_name(text: &str) -> Result<RootSession, String> {
    RootSession::passed_on("SESSION", text).map_err(|error| error.to_string())
}

impl Session {
    /// Reads the session.
    pub(crate) async fn find(
        table: &Table,
        name: &RootSession,
        policy: &Policy,
    ) -> Result<Self, Failure> {
        match table.send(&Request::Read(ItemKey::session(name))).await {
            Answer::Done(Some(item)) => {
                let statement = Statement::of(&item, &policy.session);
                Ok(Self { name: name.clone(), item, statement })
            }
            Answer::Done(None) => Err(unknown(name)),
            Answer::Unavailable(cause) | Answer::Unusable(cause) => Err(Failure::Table(cause)),
            Answer::Refused { .. } | Answer::Contended => {
                Err(Failure::Table("the session is being written".into()))
            }
        }
    }

    /// The session's four limits.
    pub(crate) fn limits(&self) -> [LimitLine; 4] {
        let Statement { account, set_by_hand, holds, .. } = &self.statement;
        let (spent, committed, limits) = (account.spent, account.committed, account.limits);
        // A hold has one step. Which of them are hand-offs, the item does not say.
        let under_way = u64::try_from(holds.len()).unwrap_or(u64::MAX).min(account.steps);
        let tokens = committed.tokens.0.saturating_sub(spent.tokens.0);
        let cost = committed.cost.0.saturating_sub(spent.cost.0);
        let line = |name, title, settled, held, limit, by_hand, show| LimitLine {
            name,
            title,
            settled,
            held,
            limit,
            by_hand,
            show,
        };
        let steps = account.steps - under_way;
        let by_hand = set_by_hand;
        [
            line(
                "steps",
                "steps",
                steps,
                under_way,
                limits.steps,
                by_hand.steps.is_some(),
                grouped,
            ),
            line(
                "tokens",
                "tokens",
                spent.tokens.0,
                tokens,
                limits.tokens.0,
                by_hand.tokens.is_some(),
                grouped,
            ),
            line(
                "cost_usd",
                "cost",
                spent.cost.0,
                cost,
                limits.cost.0,
                by_hand.cost.is_some(),
                usd,
            ),
            line(
                "handoffs",
                "hand-offs",
                account.handoffs,
                0,
                limits.handoffs,
                by_hand.handoffs.is_some(),
                grouped,
            ),
        ]
    }

    pub(crate) fn json(&self, now: Timestamp) -> Value {
        let statement = &self.statement;
        let limits = self.limits();
        let limits = limits.iter().map(|limit| (limit.json_name().to_owned(), limit.json()));
        let holds = statement.holds.iter().map(|hold| {
            json!({
                "id": hold.id, "specialist": hold.specialist, "tokens": hold.charge.tokens.0,
                "micro_usd": hold.charge.cost.0, "expires_at_ms": hold.expires.0,
                "is_expired": hold.is_expired(now),
            })
        });
        let specialists = statement.specialists.iter().map(|(name, used)| {
            let charge = used.charge;
            json!({
                "specialist": name.as_str(), "turns": used.turns, "tokens": charge.tokens.0,
                "micro_usd": charge.cost.0,
            })
        });
        json!({
            "session": self.name.as_str(),
            "tenant": statement.tenant,
            "user": statement.user,
            "limits": limits.collect::<Map<String, Value>>(),
            "holds": holds.collect::<Value>(),
            "specialists": specialists.collect::<Value>(),
            "drawn_micro_usd": statement.drawn.0,
            "room_micro_usd": i64::try_from(statement.room_micro_usd).unwrap_or(i64::MIN),
            "ends_at": statement.ends,
            "is_over": statement.is_over(now),
            "closed_at_ms": statement.closed_at.map(|at| at.0),
        })
    }

    /// One session for people, with its tenant's days.
    pub(crate) fn text(&self, days: &[TenantDayLine], now: Timestamp) -> String {
        let mut text = format!("Session {}\n{}\n\n", printable(self.name.as_str()), self.end(now));
        let heads = [
            Left(""),
            Right("settled"),
            Right("held"),
            Right("left"),
            Right("limit"),
            Left("set by"),
        ];
        text += &table(heads, self.limits().iter().map(LimitLine::row));
        text += &self.holds(now);
        if !self.statement.specialists.is_empty() {
            text += "\nSettled by specialist\n";
            let heads = [Left("specialist"), Right("tokens"), Right("cost"), Right("turns")];
            let rows = self.statement.specialists.iter().map(|(name, used)| {
                let (tokens, cost) = (grouped(used.charge.tokens.0), usd(used.charge.cost.0));
                [name.to_string(), tokens, cost, grouped(used.turns)]
            });
            text += &table(heads, rows);
        }
        let tenant = self.statement.tenant.as_deref();
        let tenant = tenant.map_or("none until the first request".to_owned(), printable);
        text += &format!(
            "\nTenant: {tenant}; {} drawn from its day, {} of it neither settled nor held.\n",
            usd(self.statement.drawn.0),
            signed_usd(self.statement.room_micro_usd),
        );
        if !days.is_empty() {
            text += "\nThe days that pay, all of their sessions together\n";
            let heads = [
                Left("tenant"),
                Left("UTC day"),
                Right("drawn"),
                Right("spent*"),
                Right("left"),
                Right("limit"),
            ];
            text += &table(heads, days.iter().map(TenantDayLine::row));
            text += "* what sessions have spent up to their latest draw; `cost` counts all of it\n";
        }
        text
    }

    fn end(&self, now: Timestamp) -> String {
        let closed = self.statement.closed_at.map(|at| {
            format!(
                "Closed {}: its limits are what it had used, until --raise opens it again. ",
                utc(at.0 / 1_000)
            )
        });
        let end = match self.statement.ends {
            None => "It has no end yet: no specialist was called in it.".to_owned(),
            Some(ends) if self.statement.is_over(now) => {
                let ago = span((now.0 / 1_000).saturating_sub(ends));
                format!("Over since {} ({ago} ago): the next request begins it anew.", utc(ends))
            }
            Some(ends) => {
                let left = span(ends.saturating_sub(now.0 / 1_000));
                format!("It ends {} (in {left}) unless a specialist is called before.", utc(ends))
            }
        };
        format!("{}{end}", closed.unwrap_or_default())
    }

    fn holds(&self, now: Timestamp) -> String {
        let holds = &self.statement.holds;
        if holds.is_empty() {
            return "\nNo holds: no call is under way.\n".to_owned();
        }
        let rows = holds.iter().map(|hold| {
            let (expires, now_seconds) = (hold.expires.0 / 1_000, now.0 / 1_000);
            let when = match hold.is_expired(now) {
                true => format!("EXPIRED {} ago", span(now_seconds.saturating_sub(expires))),
                false => format!("in {}", span(expires.saturating_sub(now_seconds))),
            };
            let charge = hold.charge;
            let (tokens, cost) = (grouped(charge.tokens.0), usd(charge.cost.0));
            [hold.specialist.clone(), tokens, cost, when, hold.id.clone()]
        });
        let heads =
            [Left("specialist"), Right("tokens"), Right("cost"), Left("expires"), Left("id")];
        let expired = holds.iter().filter(|hold| hold.is_expired(now)).count();
        let more = match expired {
            0 => String::new(),
            expired => format!(", {expired} expired: the next request charges them in full"),
        };
        format!("\n{}{more}\n{}", counted(holds.len(), "hold"), table(heads, rows))
    }
}

impl LimitLine {
    /// What can still be reserved.
    pub(crate) fn left(&self) -> String {
        (self.show)(self.left_number())
    }

    /// An amount in the limit's unit.
    pub(crate) fn show(&self, amount: u64) -> String {
        (self.show)(amount)
    }

    /// Its name in JSON: money is whole micro-dollars wherever a program reads it.
    pub(crate) fn json_name(&self) -> &'static str {
        if self.name == "cost_usd" { "cost_micro_usd" } else { self.name }
    }

    fn left_number(&self) -> u64 {
        self.limit.saturating_sub(self.settled).saturating_sub(self.held)
    }

    fn json(&self) -> Value {
        let Self { settled, held, limit, by_hand, .. } = self;
        let left = self.left_number();
        json!({
            "settled": settled, "held": held, "left": left, "limit": limit, "set_by_hand": by_hand,
        })
    }

    fn row(&self) -> [String; 6] {
        let Self { title, settled, held, limit, by_hand, show, .. } = self;
        let by = if *by_hand { "hand" } else { "policy" };
        [(*title).to_owned(), show(*settled), show(*held), self.left(), show(*limit), by.to_owned()]
    }
}

/// One day of a tenant.
pub(crate) struct TenantDayLine {
    tenant: String,
    date: String,
    drawn: u64,
    spent: u64,
    limit: MicroUsd,
}

impl TenantDayLine {
    /// The latest days of the tenant who pays for the session, the latest first.
    pub(crate) async fn of(
        table: &Table,
        session: &Session,
        policy: &Policy,
    ) -> Result<Vec<Self>, Failure> {
        let tenant = session.statement.tenant.as_deref();
        let Some(tenant) = tenant.and_then(|tenant| Tenant::parse(tenant).ok()) else {
            return Ok(Vec::new());
        };
        let payer = policy.tenant_day.payer(&tenant);
        let days = table.partition(&ItemKey::tenant_day(&payer, "").pk).await?;
        let days = days.into_iter().rev().filter_map(|(key, item)| {
            Some(Self {
                tenant: payer.as_str().to_owned(),
                date: key.sk.strip_prefix("DAY#")?.to_owned(),
                drawn: item.number("drawn_micro_usd"),
                spent: item.number("spent_micro_usd"),
                limit: policy.tenant_day.max_cost,
            })
        });
        Ok(days.take(MOST_DAYS).collect())
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "tenant": self.tenant, "date": self.date, "drawn_micro_usd": self.drawn,
            "spent_micro_usd": self.spent, "limit_micro_usd": self.limit.0,
        })
    }

    fn row(&self) -> [String; 6] {
        let Self { tenant, date, drawn, spent, limit } = self;
        let left = limit.0.saturating_sub(*drawn);
        [tenant.clone(), date.clone(), usd(*drawn), usd(*spent), usd(left), usd(limit.0)]
    }
}

/// The error of a session that is not there.
pub(crate) fn unknown(name: &RootSession) -> Failure {
    Failure::Refused(format!(
        "the table has no session `{}`; `routerctl budget` lists those that it has",
        printable(name.as_str())
    ))
}
