//! The comparison, for people.

use stand_ins::print::grouped;

use super::assumptions::decimal;
use super::claim::{self, Claimed, Fit};
use super::prices::Price;
use super::reckoning::{Kind, Way, counted_once};
use super::{Comparison, LEFT_OUT, Variant};
use crate::print::Head::{Left, Right};
use crate::print::table;

impl Comparison {
    pub(super) fn text(&self) -> String {
        let sections = [
            self.assumed(),
            self.priced(),
            way("One large agent", &self.single),
            way("A supervisor with specialists", &self.supervised),
            self.result(),
            self.claim(),
            self.variants(),
            left_out(),
        ];
        sections.join("\n")
    }

    fn assumed(&self) -> String {
        let rows = self.assumptions.listed().into_iter();
        let rows = rows.map(|(flag, value, what)| [format!("--{flag}"), value, what.to_owned()]);
        let heads = [Left("flag"), Right("value"), Left("of what")];
        format!(
            "What is assumed; tokens are of one request, or of one call\n{}",
            table(heads, rows)
        )
    }

    fn priced(&self) -> String {
        let rows = self.prices.models.iter().map(|(name, price)| {
            [name.clone(), dollars(price.input), dollars(price.output), price.source.clone()]
        });
        let heads = [Left("model"), Right("input"), Right("output"), Left("source")];
        let Self { prices, .. } = self;
        format!(
            "Prices of {} for a million tokens (tools/routerctl/prices.toml)\n{}\
             functions: {}, a request to the router for each call\n",
            prices.date,
            table(heads, rows),
            prices.functions.source
        )
    }

    fn result(&self) -> String {
        let (single, supervised) = (self.single.micro_usd(), self.supervised.micro_usd());
        let less_or_more = if supervised < single { "less" } else { "more" };
        format!(
            "The supervisor costs {} {less_or_more} a month ({}).\n",
            dollars(supervised.abs_diff(single)),
            change(single, supervised),
        )
    }

    fn claim(&self) -> String {
        let (single, supervised) = (claim::SINGLE, claim::SUPERVISED);
        let saving = claim::saving();
        let same_price = single.micro_usd - saving.by_fewer_tokens;
        let fits = claim::fits(&self.prices).into_iter().map(|(name, price, one, several)| {
            [name.to_owned(), fit(one, single, price), fit(several, supervised, price)]
        });
        let heads = [Left("model"), Left("one large agent"), Left("supervisor and specialists")];
        let (once, billed) = (counted_once(&self.assumptions), self.billed());
        let rounds = self.assumptions.rounds;
        format!(
            "The claim: {requests} requests a month cost {} with one large agent, {} with a supervisor\n\
             and three specialists\n\
             1. {} tokens a request for {} are {} for a million tokens, {} for {} are {}.\n   \
             At one price the latter would cost {}: {} of the {} saved are fewer tokens,\n   \
             and {} are a price {} % lower. That is a claim of fewer tokens, not of a cheaper way of working.\n\
             2. With these models it takes such a share of output to come to these prices:\n{}\
             3. A supervisor reads again. The same texts are {} tokens if each is counted once, and\n   \
             {} are billed in {} ({} input, {} output), without retries and fallbacks.\n\
             4. The functions cost {} here. The claim has nothing for them.\n",
            dollars(single.micro_usd),
            dollars(supervised.micro_usd),
            grouped(single.tokens),
            dollars(single.micro_usd),
            dollars(single.per_mtok()),
            grouped(supervised.tokens),
            dollars(supervised.micro_usd),
            dollars(supervised.per_mtok()),
            dollars(same_price),
            dollars(saving.by_fewer_tokens),
            dollars(saving.all),
            dollars(saving.by_price),
            decimal((single.per_mtok() - supervised.per_mtok()) * 10_000 / single.per_mtok(), 2),
            indented(&table(heads, fits)),
            grouped(once),
            grouped(billed.0 + billed.1),
            if rounds == 1 { "1 round".to_owned() } else { format!("{rounds} rounds") },
            grouped(billed.0),
            grouped(billed.1),
            dollars(self.supervised.functions_micro_usd()),
            requests = grouped(claim::REQUESTS),
        )
    }

    /// The input and output tokens of a request, on average, without retries and fallbacks.
    fn billed(&self) -> (u64, u64) {
        let parts = || self.supervised.of_kind(Kind::Call);
        let of_request = |tokens: u64| tokens.div_ceil(self.assumptions.requests);
        let input = parts().map(|part| part.input_tokens).sum();
        let output = parts().map(|part| part.output_tokens).sum();
        (of_request(input), of_request(output))
    }

    fn variants(&self) -> String {
        let one = self.variants.first().map_or(0, |variant| variant.micro_usd);
        let rows = self.variants.iter().map(|Variant { name, rounds, micro_usd }| {
            let rounds = rounds.map_or("-".to_owned(), grouped);
            [name.clone(), rounds, dollars(*micro_usd), change(one, *micro_usd)]
        });
        let heads = [Left("way"), Right("rounds"), Right("a month"), Right("change")];
        format!(
            "Where a saving comes from: the same with {} as the small model, or one round\n{}",
            self.assumptions.small_model,
            table(heads, rows)
        )
    }
}

fn way(title: &str, way: &Way) -> String {
    let row = |what: &str, paid_for: &str, input: u64, output: u64, micro_usd: u64| {
        let tokens = |tokens: u64| if tokens == 0 { "-".to_owned() } else { grouped(tokens) };
        [what.to_owned(), paid_for.to_owned(), tokens(input), tokens(output), dollars(micro_usd)]
    };
    let rows = way.parts.iter().map(|part| {
        row(part.what, &part.paid_for, part.input_tokens, part.output_tokens, part.micro_usd)
    });
    let sum = row("all", "", way.input_tokens(), way.output_tokens(), way.micro_usd());
    let heads = [Left("part"), Left("paid for"), Right("input"), Right("output"), Right("a month")];
    format!("{title}\n{}", table(heads, rows.chain([sum])))
}

fn fit(fit: Fit, claimed: Claimed, price: &Price) -> String {
    match fit {
        Fit::Output(share) => format!("{} % output", decimal(share, 2)),
        Fit::TooCheap => format!("none: at least {}", dollars(claimed.at_least(price))),
        Fit::TooExpensive => "none: output alone would cost less".to_owned(),
    }
}

fn left_out() -> String {
    let lines: Vec<String> = LEFT_OUT.iter().map(|what| format!("- {what}\n")).collect();
    format!("Left out\n{}", lines.concat())
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("   {line}\n")).collect()
}

/// Micro-dollars in cents, rounded half up; only ever printed.
fn dollars(micro_usd: u64) -> String {
    let cents = micro_usd.saturating_add(5_000) / 10_000;
    format!("${}.{:02}", grouped(cents / 100), cents % 100)
}

/// A part of a whole in percent, rounded half up to tenths.
fn share(part: u64, whole: u64) -> String {
    let (part, whole) = (u128::from(part), u128::from(whole));
    let tenths = (part * 2_000 + whole).checked_div(whole * 2).unwrap_or_default();
    format!("{}.{} %", tenths / 10, tenths % 10)
}

fn change(before: u64, after: u64) -> String {
    match after.cmp(&before) {
        std::cmp::Ordering::Equal => "-".to_owned(),
        _ if before == 0 => "-".to_owned(),
        std::cmp::Ordering::Less => format!("-{}", share(before - after, before)),
        std::cmp::Ordering::Greater => format!("+{}", share(after - before, before)),
    }
}
