//! `routerctl close`: ends a session, and returns what it drew and did not use.

use router_aws::{SystemClock, Table};
use router_core::ids::RootSession;
use router_core::ledger::{Close, Closed, Closing, Next, NotClosed};
use router_core::units::{Clock, MicroUsd};
use serde_json::{Value, json};
use stand_ins::print::{counted, printable, usd, utc};

use crate::place::Governed;
use crate::policy::line;
use crate::session::{parse_name, unknown};
use crate::{Failure, Said};

/// Close a session: its tenant's day gets back what it drew and did not use
///
/// The money goes back in one transaction. A session with a call under way (an open hold) is not
/// closed; holds of dead calls are charged in full first. The session's counters stay: a later
/// request is refused (budget_steps), since the limits are now what was used, until
/// `budget SESSION --raise` opens it again or it has been idle for the policy's idle_ttl_seconds.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Arguments {
    /// The root session's id (of a gateway's session: gateway/ID)
    #[arg(value_parser = parse_name)]
    session: RootSession,

    #[command(flatten)]
    governed: Governed,
}

pub(crate) async fn run(arguments: &Arguments, json: bool) -> Result<Said, Failure> {
    let (opened, policy) = arguments.governed.open().await?;
    let (session, now) = (&arguments.session, SystemClock.now());
    let close = Close { session, tenant_day: &policy.tenant_day, now };
    let closed = closed(&opened.table, &close).await?;
    let returned: u64 = closed.returned.iter().map(|(_, amount)| amount.0).sum();
    if json {
        let days = |days: &[(String, MicroUsd)]| {
            let days = days.iter();
            days.map(|(date, amount)| json!({ "date": date, "micro_usd": amount.0 })).collect()
        };
        let (days, user_days): (Value, Value) =
            (days(&closed.returned), days(&closed.returned_to_user));
        return Ok(line(&json!({
            "session": session.as_str(), "tenant": closed.payer, "was_closed": closed.was_closed,
            "returned_micro_usd": returned, "days": days, "user_days": user_days,
            "expired_holds": closed.expired_holds,
        })));
    }
    let name = printable(session.as_str());
    if closed.was_closed {
        let sentence = "was closed before, and has nothing to return";
        return Ok(Said::well(format!("session {name} {sentence}\n")));
    }
    let tenant = closed.payer.as_deref().map_or("no tenant".to_owned(), printable);
    let mut text = format!("session {name} is closed; {} went back to {tenant}\n", usd(returned));
    for (date, amount) in &closed.returned {
        text += &format!("  {} to {date}\n", usd(amount.0));
    }
    for (date, amount) in &closed.returned_to_user {
        text += &format!("  {} to its user's {date}\n", usd(amount.0));
    }
    if closed.expired_holds > 0 {
        let holds = usize::try_from(closed.expired_holds).unwrap_or(usize::MAX);
        text += &format!("{} of dead calls charged in full\n", counted(holds, "hold"));
    }
    Ok(Said::well(text))
}

async fn closed(table: &Table, close: &Close<'_>) -> Result<Closed, Failure> {
    let mut closing = Closing::begin(close);
    loop {
        let answer = table.send(closing.request()).await;
        closing = match closing.on(close, answer) {
            Next::Send(next) => next,
            Next::Done(done) => return done.map_err(|error| refusal(error, close)),
        };
    }
}

fn refusal(error: NotClosed, close: &Close<'_>) -> Failure {
    match error {
        NotClosed::Unknown => unknown(close.session),
        NotClosed::Held(ref holds) => {
            let lines = holds.iter().map(|hold| {
                let (specialist, expires) = (&hold.specialist, utc(hold.expires.0 / 1_000));
                format!("\n  {}, until {expires} at the latest", printable(specialist))
            });
            let lines: String = lines.collect();
            Failure::Refused(format!("{error}; close it when they are settled:{lines}"))
        }
        NotClosed::Day(_) | NotClosed::Contended | NotClosed::Unusable(_) => {
            Failure::Refused(format!("nothing was returned: {error}"))
        }
        NotClosed::Unavailable(cause) => Failure::Table(cause),
    }
}
