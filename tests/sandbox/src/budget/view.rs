//! What an operator sees of a session's budget.
//!
//! Everything fits into 100 columns, but for names and amounts that are longer than their column.

use std::io::{self, Write};

use stand_ins::table::Item;

use super::limit::{Limit, Policy};
use super::session::{Hold, Session};
use crate::item::{days, number};
use crate::paint::{Paint, counted, cut, grouped, printable, span, usd, utc};

/// How many of its tenant's days are shown at most.
const MOST_DAYS: usize = 3;

/// Writes the view.
pub(crate) struct View<'a, W> {
    out: W,
    paint: Paint,
    policy: &'a Policy,
    now_ms: u64,
}

impl<'a, W: Write> View<'a, W> {
    /// A view to `out`, as of a time in milliseconds since 1970.
    pub(crate) fn new(out: W, paint: Paint, policy: &'a Policy, now_ms: u64) -> Self {
        Self { out, paint, policy, now_ms }
    }

    /// A text above what follows.
    pub(crate) fn note(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// All sessions, one a line.
    pub(crate) fn list(&mut self, sessions: &[Session]) -> io::Result<()> {
        if sessions.is_empty() {
            return writeln!(self.out, "No session has a budget.");
        }
        self.note("Left in each session's budget:")?;
        let heads = ["steps", "tokens", "cost", "holds", "ends in", "session"];
        let row = |[steps, tokens, cost, holds, ends, session]: [&str; 6]| {
            format!("{steps:>6} {tokens:>13} {cost:>14} {holds:>5}  {ends:<11}  {session}")
        };
        self.heads(&row(heads))?;
        for session in sessions {
            let left = |limit: Limit| limit.show(session.left(limit, self.policy));
            let ends = match session.ends {
                Some(_) if session.is_over(self.now_ms) => "over".to_owned(),
                Some(ends) => span(ends - self.now_ms / 1_000),
                None => "-".to_owned(),
            };
            let [steps, tokens, cost] = [Limit::Steps, Limit::Tokens, Limit::Cost].map(left);
            let holds = grouped(session.holds.len() as u64);
            let session = printable(&session.id);
            writeln!(self.out, "{}", row([&steps, &tokens, &cost, &holds, &ends, &session]))?;
        }
        self.out.flush()
    }

    /// One session, with the days of its tenant among `items`.
    pub(crate) fn session(&mut self, session: &Session, items: &[Item]) -> io::Result<()> {
        let title = format!("Session {}", printable(&session.id));
        writeln!(self.out, "{}", self.paint.heading(&title))?;
        writeln!(self.out, "{}\n", self.end(session))?;
        self.limits(session)?;
        self.holds(&session.holds)?;
        self.specialists(session)?;
        self.requests(session)?;
        self.tenant(session, items)?;
        self.out.flush()
    }

    fn end(&self, session: &Session) -> String {
        let Some(ends) = session.ends else {
            return "It has no end yet: nobody has called a specialist in it.".to_owned();
        };
        let when = utc(ends);
        if session.is_over(self.now_ms) {
            let ago = span(self.now_ms / 1_000 - ends);
            return format!("Over since {when} ({ago} ago): the next call begins it anew.");
        }
        let left = span(ends - self.now_ms / 1_000);
        format!("It ends {when} (in {left}) unless a specialist is called before.")
    }

    fn limits(&mut self, session: &Session) -> io::Result<()> {
        self.heads(&format!(
            "{:<10} {:>13} {:>13} {:>13} {:>13}  {}",
            "", "settled", "held", "left", "limit", "set by"
        ))?;
        for limit in Limit::ALL {
            let in_force = session.limit(limit, self.policy);
            let left = session.left(limit, self.policy);
            let held = match limit {
                // The item counts hand-offs when they begin.
                Limit::Handoffs => "-".to_owned(),
                _ => limit.show(session.held(limit)),
            };
            let left_shown = format!("{:>13}", limit.show(left));
            let by = match session.set(limit) {
                Some(_) => {
                    format!("hand; policy: {}", limit.show(self.policy.limit(limit)))
                }
                None => "policy".to_owned(),
            };
            writeln!(
                self.out,
                "{:<10} {:>13} {held:>13} {} {:>13}  {by}",
                limit.title(),
                limit.show(session.settled(limit)),
                if left == 0 { self.paint.bad(&left_shown) } else { left_shown },
                limit.show(in_force),
            )?;
        }
        Ok(())
    }

    fn holds(&mut self, holds: &[Hold]) -> io::Result<()> {
        let expired = holds.iter().filter(|hold| hold.is_expired(self.now_ms)).count();
        match (holds.len(), expired) {
            (0, _) => return writeln!(self.out, "\nNo holds: no call is under way."),
            (all, 0) => self.title(&counted(all, "hold"))?,
            (all, expired) => self.title(&format!(
                "{}, {expired} expired: the session's next call charges them in full",
                counted(all, "hold")
            ))?,
        }
        self.heads(&format!(
            "{:<20} {:>13} {:>13}  {:<23}",
            "specialist", "tokens", "cost", "expires"
        ))?;
        for hold in holds {
            let expires = hold.expires_ms / 1_000;
            let now = self.now_ms / 1_000;
            let relative = if hold.is_expired(self.now_ms) {
                self.paint.bad(&format!("EXPIRED {} ago", span(now.saturating_sub(expires))))
            } else {
                format!("in {}", span(expires.saturating_sub(now)))
            };
            writeln!(
                self.out,
                "{:<20} {:>13} {:>13}  {:<23}  {relative}",
                cut(&printable(&hold.specialist), 20),
                grouped(hold.tokens),
                usd(hold.micro_usd),
                utc(expires),
            )?;
            let id = format!("  id {}", printable(&hold.id));
            writeln!(self.out, "{}", self.paint.faint(&id))?;
        }
        Ok(())
    }

    fn specialists(&mut self, session: &Session) -> io::Result<()> {
        if session.specialists.is_empty() {
            return Ok(());
        }
        self.title("Settled by specialist")?;
        self.heads(&format!(
            "{:<20} {:>13} {:>13} {:>7}",
            "specialist", "tokens", "cost", "turns"
        ))?;
        for (specialist, used) in &session.specialists {
            writeln!(
                self.out,
                "{:<20} {:>13} {:>13} {:>7}",
                cut(&printable(specialist), 20),
                grouped(used.tokens),
                usd(used.micro_usd),
                grouped(used.turns),
            )?;
        }
        Ok(())
    }

    fn requests(&mut self, session: &Session) -> io::Result<()> {
        let repeated = session.asked.iter().filter(|times| **times > 1).count();
        let most = session.asked.iter().copied().max().unwrap_or(0);
        let limit = match self.policy.max_repeats() {
            Some(max) => format!("the policy allows the same one {}", times(max)),
            None => "the policy does not limit repetitions".to_owned(),
        };
        let repeated = match (session.asked.len(), repeated) {
            (0, _) => "none is remembered".to_owned(),
            (all, 0) => format!("{all} remembered, none repeated"),
            (all, repeated) => {
                format!("{all} remembered, {repeated} of them repeated, up to {}", times(most))
            }
        };
        writeln!(self.out, "\nRequests: {repeated}; {limit}.")
    }

    fn tenant(&mut self, session: &Session, items: &[Item]) -> io::Result<()> {
        let Some(tenant) = &session.tenant else {
            return writeln!(self.out, "Tenant: none until the first call.");
        };
        let payer = self.policy.tenant_day.payer(tenant);
        let shown = match payer == tenant {
            true => printable(tenant),
            false => format!("{}, which shares the day of {}", printable(tenant), printable(payer)),
        };
        writeln!(self.out, "Tenant: {shown}.")?;
        let room = match u64::try_from(session.room) {
            Ok(room) => format!("{} of it neither settled nor held", usd(room)),
            Err(_) => {
                let over = u64::try_from(session.room.unsigned_abs()).unwrap_or(u64::MAX);
                format!("overdrawn by {}", usd(over))
            }
        };
        writeln!(self.out, "Money: {} drawn from the tenant, {room}.", usd(session.drawn))?;
        let days = days(items, "TENANT");
        let days: Vec<_> = days.into_iter().filter(|(name, ..)| *name == payer).collect();
        if days.is_empty() {
            return Ok(());
        }
        self.title("The tenant's days, all of its sessions together")?;
        self.heads(&format!(
            "{:<10} {:>13} {:>13} {:>13} {:>13}",
            "UTC day", "drawn", "spent*", "left", "limit"
        ))?;
        for (_, date, item) in days.iter().rev().take(MOST_DAYS) {
            let amount = |name| number(item, name).unwrap_or(0);
            let (drawn, limit) = (amount("drawn_micro_usd"), self.policy.tenant_day.limit());
            writeln!(
                self.out,
                "{date:<10} {:>13} {:>13} {:>13} {:>13}",
                usd(drawn),
                usd(amount("spent_micro_usd")),
                usd(limit.saturating_sub(drawn)),
                usd(limit),
            )?;
        }
        let footnote = "* what its sessions have spent up to their latest draw";
        writeln!(self.out, "{}", self.paint.faint(footnote))
    }

    fn title(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "\n{}", self.paint.heading(text))
    }

    fn heads(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", self.paint.faint(text.trim_end()))
    }
}

/// `once`, `3 times`
fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{} times", grouped(count)) }
}

#[cfg(test)]
mod tests {
    use clap::ColorChoice;
    use stand_ins::table::AttributeValue;

    use super::*;
    use crate::budget::tests::{item, policy};

    /// 2026-11-21 12:00:00 UTC
    const NOON: u64 = 1_795_262_400;

    fn printed(
        now_ms: u64,
        print: impl FnOnce(&mut View<'_, &mut Vec<u8>>) -> io::Result<()>,
    ) -> String {
        let (mut out, policy) = (Vec::new(), policy());
        let paint = Paint::new(ColorChoice::Never);
        print(&mut View::new(&mut out, paint, &policy, now_ms)).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn hold(specialist: &str, expires: u64) -> AttributeValue {
        let number = |number: u64| AttributeValue::N(number.to_string());
        AttributeValue::M(Item::from([
            ("specialist".to_owned(), AttributeValue::S(specialist.to_owned())),
            ("tokens".to_owned(), number(8_000)),
            ("micro_usd".to_owned(), number(120_000)),
            ("expires_at_ms".to_owned(), number(expires * 1_000)),
        ]))
    }

    fn full_item() -> Item {
        let mut item = item(
            "5f1c0a52-parcel",
            &[
                ("steps", 5),
                ("handoffs", 1),
                ("committed_tokens", 24_236),
                ("committed_micro_usd", 360_272),
                ("spent_tokens", 8_236),
                ("spent_micro_usd", 120_272),
                ("drawn_micro_usd", 380_000),
                ("tenant_room_micro_usd", 19_728),
                ("limit_steps", 20),
                ("expires_at", NOON + 86_399),
                ("turns#orders", 4),
                ("tokens#orders", 8_000),
                ("micro_usd#orders", 120_000),
                ("turns#general", 1),
                ("tokens#general", 236),
                ("micro_usd#general", 272),
                ("seen#00000000000000000000000000000001", 3),
                ("seen#00000000000000000000000000000002", 1),
            ],
        );
        item.insert("tenant".to_owned(), AttributeValue::S("acme".to_owned()));
        item.insert("hold#r1/0/0".to_owned(), hold("orders", NOON + 61));
        item.insert("hold#r0/0/0".to_owned(), hold("orders", NOON - 5));
        item
    }

    #[test]
    fn an_operator_sees_limits_holds_and_money() {
        let mut day = item("", &[("drawn_micro_usd", 1_380_000), ("spent_micro_usd", 900_000)]);
        day.insert("pk".to_owned(), AttributeValue::S("TENANT#acme".to_owned()));
        day.insert("sk".to_owned(), AttributeValue::S("DAY#2026-11-21".to_owned()));
        let session = Session::parse(&full_item()).unwrap();
        let shown = printed(NOON * 1_000, |view| view.session(&session, &[full_item(), day]));
        assert_eq!(shown, include_str!("view.txt"), "{shown}");
    }

    #[test]
    fn a_session_that_is_over_says_so() {
        let session = Session::parse(&item("s", &[("expires_at", NOON - 90)])).unwrap();
        let shown = printed(NOON * 1_000, |view| view.session(&session, &[]));
        let over =
            "Over since 2026-11-21 11:58:30 UTC (1 min 30 s ago): the next call begins it anew.";
        assert_eq!(shown.lines().nth(1), Some(over), "{shown}");
        let listed = printed(NOON * 1_000, |view| view.list(&[session]));
        assert!(listed.contains(" over "), "{listed}");
    }

    #[test]
    fn a_tenant_overdrawn_by_an_overrun_is_shown_as_such() {
        let mut item = full_item();
        let room = AttributeValue::N("-70".to_owned());
        item.insert("tenant_room_micro_usd".to_owned(), room);
        let session = Session::parse(&item).unwrap();
        let shown = printed(NOON * 1_000, |view| view.session(&session, &[]));
        assert!(
            shown.contains("$0.380000 drawn from the tenant, overdrawn by $0.000070."),
            "{shown}"
        );
    }

    #[test]
    fn everything_fits_into_100_columns() {
        let mut item = full_item();
        for (name, value) in [
            ("committed_micro_usd", 9_998_000_001_u64),
            ("spent_micro_usd", 9_997_000_001),
            ("committed_tokens", 999_999_999),
            ("limit_tokens", 1_000_000_000),
            ("limit_micro_usd", 9_999_000_000),
        ] {
            item.insert(name.to_owned(), AttributeValue::N(value.to_string()));
        }
        let id = format!("hold#{}/0/0", "8".repeat(36));
        item.insert(id, hold(&"s".repeat(40), NOON + 900_000));
        let session = Session::parse(&item).unwrap();
        let shown = printed(NOON * 1_000, |view| {
            view.session(&session, &[])?;
            view.list(&[session])
        });
        for line in shown.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}
