//! `routerctl compare-cost`: one large agent, or a supervisor with specialists.
//!
//! Checks a claim, and reckons both ways from assumptions that are all shown and can all be changed. It
//! needs no table. Prices come from the repository's dated file, or from the user.

mod assumptions;
mod claim;
mod prices;
mod reckoning;
mod report;

use serde_json::{Value, json};

use crate::compare_cost::assumptions::Assumptions;
use crate::compare_cost::claim::Fit;
use crate::compare_cost::prices::Prices;
use crate::compare_cost::reckoning::{Part, Way};
use crate::policy::line;
use crate::{Failure, Said};

/// Compare the cost of one large agent with that of a supervisor with specialists
///
/// Checks the claim that a million requests a month cost 3,200 USD with one large agent and 1,800 USD
/// with a supervisor and three specialists, and reckons both part by part. Every assumption is
/// printed and has a flag; the example's make 2,000 tokens of a request to the one agent, and 1,200
/// of one to the supervisor if none is counted twice. It needs no account.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = AFTER_HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    assumptions: Assumptions,
}

const AFTER_HELP: &str = "\
Each round of a supervisor reads its prompt, its tools, the question, and all calls and answers so far.
A retry and a fallback are paid like the call before them. Prices are those of
tools/routerctl/prices.toml; what the functions cost is reckoned in docs/costs.md.";

/// What is not reckoned.
const LEFT_OUT: [&str; 6] = [
    "rounds of tools within the one agent, a specialist, or a fallback: their tokens are what the flags say",
    "prompt caches and batches: no price of theirs is in the file, and they help both ways",
    "AgentCore's runtimes, harnesses and gateway, and guardrails: no price of theirs is in the file",
    "earlier messages of a session, which both ways read again",
    "the tables' and logs' storage, and another function in front of the supervisor",
    "what a wrong answer costs, and what it costs to look after several agents",
];

/// The same assumptions with other models, or other rounds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Variant {
    name: String,
    /// None for one agent.
    rounds: Option<u64>,
    micro_usd: u64,
}

/// All that is told.
struct Comparison {
    assumptions: Assumptions,
    prices: Prices,
    single: Way,
    supervised: Way,
    variants: Vec<Variant>,
}

pub(crate) fn run(arguments: &Arguments, json: bool) -> Result<Said, Failure> {
    let assumptions = arguments.assumptions.clone();
    let prices = Prices::with(&assumptions.prices).map_err(Failure::Usage)?;
    let comparison = Comparison::of(assumptions, prices).map_err(Failure::Usage)?;
    Ok(if json { line(&comparison.json()) } else { Said::well(comparison.text()) })
}

impl Comparison {
    fn of(assumptions: Assumptions, prices: Prices) -> Result<Self, String> {
        let single = reckoning::single(&assumptions, &prices)?;
        let supervised = reckoning::supervised(&assumptions, &prices)?;
        let variants = variants(&assumptions, &prices)?;
        Ok(Self { assumptions, prices, single, supervised, variants })
    }

    fn json(&self) -> Value {
        let models = self.prices.models.iter().map(|(name, price)| {
            json!({
                "model": name, "input_micro_usd_per_mtok": price.input,
                "output_micro_usd_per_mtok": price.output, "source": price.source,
            })
        });
        let variants = self.variants.iter().map(|variant| {
            let Variant { name, rounds, micro_usd } = variant;
            json!({ "name": name, "rounds": rounds, "cost_micro_usd": micro_usd })
        });
        json!({
            "prices": { "date": self.prices.date, "models": models.collect::<Value>() },
            "functions_source": self.prices.functions.source,
            "assumptions": self.assumptions.json(),
            "single_agent": self.single.json(),
            "supervisor": self.supervised.json(),
            "difference_micro_usd": self.difference(),
            "tokens_counted_once": reckoning::counted_once(&self.assumptions),
            "claim": self.claim_json(),
            "variants": variants.collect::<Value>(),
            "left_out": LEFT_OUT,
        })
    }

    fn claim_json(&self) -> Value {
        let side = |claimed: claim::Claimed| {
            json!({
                "tokens_per_request": claimed.tokens, "cost_micro_usd": claimed.micro_usd,
                "micro_usd_per_mtok": claimed.per_mtok(),
            })
        };
        let fit = |fit: Fit| match fit {
            Fit::Output(share) => json!(share),
            Fit::TooCheap | Fit::TooExpensive => Value::Null,
        };
        let fits =
            claim::fits(&self.prices).into_iter().map(|(name, price, single, supervised)| {
                json!({
                    "model": name,
                    "single_agent_output_per_10000": fit(single),
                    "single_agent_at_least_micro_usd": claim::SINGLE.at_least(price),
                    "supervisor_output_per_10000": fit(supervised),
                    "supervisor_at_least_micro_usd": claim::SUPERVISED.at_least(price),
                })
            });
        let claim::Saving { all, by_fewer_tokens, by_price } = claim::saving();
        json!({
            "requests": claim::REQUESTS,
            "single_agent": side(claim::SINGLE),
            "supervisor": side(claim::SUPERVISED),
            "saved_micro_usd": all,
            "saved_by_fewer_tokens_micro_usd": by_fewer_tokens,
            "saved_by_price_micro_usd": by_price,
            "models": fits.collect::<Value>(),
        })
    }

    /// What the supervisor costs beyond the one agent; less than nothing if it saves.
    fn difference(&self) -> i64 {
        let [supervised, single] = [&self.supervised, &self.single]
            .map(|way| i64::try_from(way.micro_usd()).unwrap_or(i64::MAX));
        supervised - single
    }
}

impl Way {
    fn json(&self) -> Value {
        let part = |part: &Part| {
            let Part { what, paid_for, input_tokens, output_tokens, micro_usd, .. } = part;
            json!({
                "part": what, "paid_for": paid_for, "input_tokens": input_tokens,
                "output_tokens": output_tokens, "cost_micro_usd": micro_usd,
            })
        };
        json!({
            "parts": self.parts.iter().map(part).collect::<Value>(),
            "input_tokens": self.input_tokens(),
            "output_tokens": self.output_tokens(),
            "cost_micro_usd": self.micro_usd(),
        })
    }
}

/// Where a saving can come from: a smaller model, or one round less.
fn variants(assumed: &Assumptions, prices: &Prices) -> Result<Vec<Variant>, String> {
    let small = || assumed.small_model.clone();
    let one = |name: &str, assumed: &Assumptions| {
        let micro_usd = reckoning::single(assumed, prices)?.micro_usd();
        Ok::<_, String>(Variant { name: name.to_owned(), rounds: None, micro_usd })
    };
    let several = |name: &str, assumed: &Assumptions| {
        let micro_usd = reckoning::supervised(assumed, prices)?.micro_usd();
        Ok::<_, String>(Variant { name: name.to_owned(), rounds: Some(assumed.rounds), micro_usd })
    };
    let small_supervisor = Assumptions { supervisor_model: small(), ..assumed.clone() };
    let small_specialists =
        Assumptions { specialist_models: assumptions::Shares::all(small()), ..assumed.clone() };
    let all_small = Assumptions {
        single_agent_model: small(),
        supervisor_model: small(),
        ..small_specialists.clone()
    };
    let passed_on = |assumed: &Assumptions| Assumptions { rounds: 1, ..assumed.clone() };
    Ok(vec![
        one("one agent", assumed)?,
        one("one small agent", &all_small)?,
        several("supervisor and specialists", assumed)?,
        several("small supervisor", &small_supervisor)?,
        several("small specialists", &small_specialists)?,
        several("small supervisor and specialists", &all_small)?,
        several("answer passed on", &passed_on(assumed))?,
        several("answer passed on, small supervisor", &passed_on(&small_supervisor))?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variants_change_one_thing_each() {
        let assumed = Assumptions::of("--retries 0 --fallbacks 0");
        let prices = Prices::with(&[]).unwrap();
        let variants = variants(&assumed, &prices).unwrap();
        let micro_usd = variants.iter().map(|variant| variant.micro_usd);
        // By hand, in dollars: 1,750 and 250 at 3 and 15, and at 1 and 5; then 1,200 and 300 of the supervisor
        // with 250 and 250 of specialists, at either; then 450 and 50 with 250 and 250.
        let models = [9_000, 3_000, 8_100 + 4_500, 2_700 + 4_500, 8_100 + 1_500, 2_700 + 1_500];
        let models = [&models[..], &[2_100 + 4_500, 700 + 4_500]].concat();
        let functions = |place| if place < 2 { 0 } else { 62_500_000 };
        let expected = (0..).zip(models).map(|(place, usd)| usd * 1_000_000 + functions(place));
        assert_eq!(micro_usd.collect::<Vec<_>>(), expected.collect::<Vec<u64>>());
    }
}
