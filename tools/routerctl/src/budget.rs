//! `routerctl budget`: what sessions have used and hold of their limits, and higher limits.

use clap::builder::NonEmptyStringValueParser;
use router_aws::SystemClock;
use router_aws::table::KeyPart;
use router_core::ids::RootSession;
use router_core::ledger::{SetLimits, Statement, raise};
use router_core::store::{Answer, Request};
use router_core::units::{Clock, MicroUsd, Timestamp, Tokens};
use serde_json::{Value, json};
use stand_ins::print::span;

use crate::place::{Governed, Opened};
use crate::policy::line;
use crate::print::Head::{Left, Right};
use crate::print::table;
use crate::session::{Session, TenantDayLine, parse_name};
use crate::{Failure, Said};

/// Show sessions' budgets, or raise the limits of one
///
/// Without a session: which there are, and what each has left; that reads the whole table. With
/// one: each limit with what is settled, held and left, the holds and when they expire, what each
/// specialist used, and the days of its tenant.
///
/// A raised limit is the session's own, in place of the policy's, until the session ends. Each
/// value is the new limit itself, not what is added. Functions obey it within 5 seconds. A session
/// that was closed is open again then, with the policy's limits where none is named.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// The root session's id (of a gateway's session: gateway/ID)
    #[arg(value_parser = parse_name)]
    session: Option<RootSession>,

    /// New limits for the session: steps, tokens, cost_usd, handoffs
    #[arg(long, value_name = "NAME=VALUE,…", requires = "session")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    raise: Option<String>,

    #[command(flatten)]
    governed: Governed,
}

pub(crate) async fn run(arguments: &Arguments, json: bool) -> Result<Said, Failure> {
    let to = arguments.raise.as_deref().map(parse_limits).transpose()?;
    let (opened, policy) = arguments.governed.open().await?;
    let now = SystemClock.now();
    let Some(name) = &arguments.session else {
        let mut sessions = all(&opened, &policy.session).await?;
        sessions.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        return Ok(if json {
            let sessions: Value = sessions.iter().map(|session| session.json(now)).collect();
            line(&json!({ "sessions": sessions }))
        } else {
            Said::well(list(&sessions, now))
        });
    };
    let mut session = Session::find(&opened.table, name, &policy).await?;
    let mut raised = Vec::new();
    if let Some(to) = to {
        let before = session;
        session = raised_session(&opened, &before, &policy, &to, now).await?;
        let pairs = before.limits().into_iter().zip(session.limits());
        raised = pairs.filter(|(before, after)| before.limit != after.limit).collect();
    }
    let days = TenantDayLine::of(&opened.table, &session, &policy).await?;
    if json {
        let raised: Value = raised
            .iter()
            .map(|(before, after)| {
                json!({ "limit": before.json_name(), "before": before.limit, "after": after.limit })
            })
            .collect();
        let days: Value = days.iter().map(TenantDayLine::json).collect();
        let session = session.json(now);
        return Ok(line(&json!({ "session": session, "tenant_days": days, "raised": raised })));
    }
    let mut text = String::new();
    for (before, after) in &raised {
        let (from, to) = (before.show(before.limit), after.show(after.limit));
        text += &format!("{} raised from {from} to {to}\n", before.name);
    }
    if !raised.is_empty() {
        text += "Functions obey it within 5 seconds.\n\n";
    }
    Ok(Said::well(text + &session.text(&days, now)))
}

/// All sessions of the table.
async fn all(
    opened: &Opened,
    policy: &router_core::policy::SessionLimits,
) -> Result<Vec<Session>, Failure> {
    let items = opened.table.scan(KeyPart::Sort, &["BUDGET"]).await?;
    let sessions = items.into_iter().filter_map(|(key, item)| {
        let name = RootSession::passed_on("pk", key.pk.strip_prefix("SESSION#")?).ok()?;
        let statement = Statement::of(&item, policy);
        Some(Session { name, item, statement })
    });
    Ok(sessions.collect())
}

async fn raised_session(
    opened: &Opened,
    session: &Session,
    policy: &router_core::policy::Policy,
    to: &SetLimits,
    now: Timestamp,
) -> Result<Session, Failure> {
    let update = raise(&session.name, &session.item, &policy.session, to, now)
        .map_err(|error| Failure::Refused(error.to_string()))?;
    match opened.table.send(&Request::Update(update)).await {
        Answer::Done(_) => Session::find(&opened.table, &session.name, policy).await,
        Answer::Refused { .. } => Err(Failure::Refused(
            "nothing was raised: the session's limits were changed meanwhile, or it ended. Look at \
             `budget SESSION`"
                .to_owned(),
        )),
        Answer::Contended => Err(Failure::Refused(
            "nothing was raised: a request is drawing money for the session at this moment. Try \
             again"
                .to_owned(),
        )),
        Answer::Unusable(cause) | Answer::Unavailable(cause) => Err(Failure::Table(cause)),
    }
}

/// Reads `steps=20,cost_usd=1.0`.
fn parse_limits(text: &str) -> Result<SetLimits, Failure> {
    let mut limits = SetLimits::default();
    for setting in text.split(',').map(str::trim) {
        let wrong = |rule: &str| Failure::Usage(format!("`{}`: {rule}", setting.escape_debug()));
        let (name, value) =
            setting.split_once('=').ok_or_else(|| wrong("it must be NAME=VALUE"))?;
        let whole = |most: u64| {
            let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
            let number = value.parse().ok().filter(|_| is_number);
            number.filter(|number| (1..=most).contains(number))
        };
        let is_twice = match name {
            "steps" | "handoffs" => {
                let rule = "it must be a whole number from 1 to 10000";
                let limit = whole(10_000).ok_or_else(|| wrong(rule))?;
                let place = if name == "steps" { &mut limits.steps } else { &mut limits.handoffs };
                place.replace(limit).is_some()
            }
            "tokens" => {
                let rule = "it must be a whole number from 1 to 1000000000";
                let limit = whole(1_000_000_000).ok_or_else(|| wrong(rule))?;
                limits.tokens.replace(Tokens(limit)).is_some()
            }
            "cost_usd" => {
                let rule = "it must be dollars above 0, up to 1000000, of six decimals at most";
                let most = MicroUsd(1_000_000_000_000);
                let limit = MicroUsd::parse_usd(value)
                    .filter(|limit| (MicroUsd(1)..=most).contains(limit))
                    .ok_or_else(|| wrong(rule))?;
                limits.cost.replace(limit).is_some()
            }
            _ => {
                let rule = "there is no such limit, only steps, tokens, cost_usd, handoffs";
                return Err(wrong(rule));
            }
        };
        if is_twice {
            return Err(wrong("it must be given once"));
        }
    }
    Ok(limits)
}

fn list(sessions: &[Session], now: Timestamp) -> String {
    if sessions.is_empty() {
        return "No session has a budget.\n".to_owned();
    }
    let rows = sessions.iter().map(|session| {
        let ends = match session.statement.ends {
            _ if session.statement.closed_at.is_some() => "closed".to_owned(),
            Some(_) if session.statement.is_over(now) => "over".to_owned(),
            Some(ends) => span(ends.saturating_sub(now.0 / 1_000)),
            None => "-".to_owned(),
        };
        let [steps, tokens, cost, _] = session.limits().map(|limit| limit.left());
        let holds = session.statement.holds.len().to_string();
        let tenant = session.statement.tenant.clone().unwrap_or_else(|| "-".to_owned());
        [session.name.to_string(), tenant, steps, tokens, cost, holds, ends]
    });
    let heads = [
        Left("session"),
        Left("tenant"),
        Right("steps left"),
        Right("tokens left"),
        Right("cost left"),
        Right("holds"),
        Left("ends in"),
    ];
    table(heads, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_exactly_and_each_once() {
        let limits = parse_limits("steps=20, tokens=100000,cost_usd=2.001003,handoffs=7").unwrap();
        let expected = SetLimits {
            steps: Some(20),
            tokens: Some(Tokens(100_000)),
            // As a float this would be one micro-dollar less.
            cost: Some(MicroUsd(2_001_003)),
            handoffs: Some(7),
        };
        assert_eq!(limits, expected);
        for (text, rule) in [
            ("steps", "`steps`: it must be NAME=VALUE"),
            ("steps=0", "`steps=0`: it must be a whole number from 1 to 10000"),
            ("steps=+5", "`steps=+5`: it must be a whole number from 1 to 10000"),
            ("handoffs=10001", "`handoffs=10001`: it must be a whole number from 1 to 10000"),
            ("tokens=1_000", "`tokens=1_000`: it must be a whole number from 1 to 1000000000"),
            ("turns=3", "only steps, tokens, cost_usd, handoffs"),
            ("cost_usd=0.0000001", "of six decimals at most"),
            ("cost_usd=0", "dollars above 0"),
            ("steps=20,steps=21", "`steps=21`: it must be given once"),
        ] {
            let error = parse_limits(text).unwrap_err().to_string();
            assert!(error.contains(rule), "{text}: {error}");
        }
    }
}
