//! What both ways of working cost, part by part, from the assumptions alone.
//!
//! Whole micro-dollars and whole tokens of a month; each part is rounded up. The bounds of the
//! assumptions keep every sum within 63 bits.

use super::assumptions::Assumptions;
use super::prices::{Functions, Price, Prices};

const MILLION: u64 = 1_000_000;

/// What a way of working costs in a month.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) parts: Vec<Part>,
}

/// One reason to pay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) what: &'static str,
    pub(crate) kind: Kind,
    /// The model, or what else it is paid for.
    pub(crate) paid_for: String,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
    pub(crate) micro_usd: u64,
}

/// What kind of reason it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A model's call as it is meant to be.
    Call,
    /// A model's call since another did not go well.
    Repair,
    Function,
}

/// The models of a way, with their prices.
#[derive(Clone, Copy, Debug)]
struct Model<'a> {
    name: &'a str,
    price: &'a Price,
}

/// One large agent.
pub(crate) fn single(assumed: &Assumptions, prices: &Prices) -> Result<Way, String> {
    let model = model(prices, "--single-agent-model", &assumed.single_agent_model)?;
    let mut way = Way::default();
    let tokens = |tokens| times(assumed.requests, tokens, 1);
    way.add("prompt, tools, question: read", model, tokens(assumed.single_agent_input), 0);
    way.add("answer: written", model, 0, tokens(assumed.single_agent_output));
    way.add_retries(assumed);
    Ok(way)
}

/// A supervisor with specialists, and the functions between them.
pub(crate) fn supervised(assumed: &Assumptions, prices: &Prices) -> Result<Way, String> {
    let supervisor = model(prices, "--supervisor-model", &assumed.supervisor_model)?;
    let fallback = model(prices, "--fallback-model", &assumed.fallback_model)?;
    let (rounds, requests) = (assumed.rounds, assumed.requests);
    let invocations = |tokens| times(requests, tokens * assumed.specialists_per_request.0, 1_000);
    let fallbacks = |tokens| {
        let shares = assumed.specialists_per_request.0 * assumed.fallbacks.0;
        times(requests, tokens * shares, 1_000 * 10_000)
    };
    let mut way = Way::default();

    let each_round = assumed.supervisor_prompt + assumed.tool_definitions + assumed.question;
    let read = times(requests, each_round * rounds, 1);
    way.add("supervisor: prompt, tools, question, in each round", supervisor, read, 0);
    // The calls are spread evenly over all rounds but the last, and each later round reads them with
    // their answers: 1/(R-1) of them, 2/(R-1), …, all of them, which is R/2 times all.
    if rounds > 1 {
        let read = assumed.call + assumed.specialist_output;
        let read = times(requests, read * assumed.specialists_per_request.0 * rounds, 2_000);
        way.add("supervisor: calls and answers so far, again", supervisor, read, 0);
    }
    way.add("supervisor: calls, written", supervisor, 0, invocations(assumed.call));
    if rounds > 1 {
        way.add("supervisor: answer, written", supervisor, 0, times(requests, assumed.answer, 1));
    }
    let input = assumed.specialist_prompt + assumed.call;
    for (name, percent) in &assumed.specialist_models.0 {
        let specialist = model(prices, "--specialist-models", name)?;
        let share = |tokens| times(invocations(tokens), *percent, 100);
        let (input, output) = (share(input), share(assumed.specialist_output));
        way.add("specialists: prompt and task, read; answer, written", specialist, input, output);
    }
    let (input, output) = (fallbacks(input), fallbacks(assumed.specialist_output));
    way.add("fallbacks: the same again", fallback, input, output);
    if let Some(part) = way.parts.last_mut() {
        part.kind = Kind::Repair;
    }
    way.add_retries(assumed);
    way.add_functions(&prices.functions, invocations(1));
    Ok(way)
}

/// The tokens of a supervised request if each is counted once, as if nothing were read again. Those of
/// several specialists are rounded up.
pub(crate) fn counted_once(assumed: &Assumptions) -> u64 {
    let read = assumed.supervisor_prompt + assumed.tool_definitions + assumed.question;
    let of_specialist = assumed.call + assumed.specialist_prompt + assumed.specialist_output;
    let answer = if assumed.rounds > 1 { assumed.answer } else { 0 };
    read + times(of_specialist, assumed.specialists_per_request.0, 1_000) + answer
}

impl Way {
    pub(crate) fn micro_usd(&self) -> u64 {
        self.parts.iter().map(|part| part.micro_usd).sum()
    }

    pub(crate) fn input_tokens(&self) -> u64 {
        self.parts.iter().map(|part| part.input_tokens).sum()
    }

    pub(crate) fn output_tokens(&self) -> u64 {
        self.parts.iter().map(|part| part.output_tokens).sum()
    }

    /// The parts of one kind.
    pub(crate) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(move |part| part.kind == kind)
    }

    /// What the functions add.
    pub(crate) fn functions_micro_usd(&self) -> u64 {
        self.of_kind(Kind::Function).map(|part| part.micro_usd).sum()
    }

    fn add(&mut self, what: &'static str, model: Model<'_>, input_tokens: u64, output_tokens: u64) {
        let Model { name, price: Price { input, output, .. } } = model;
        let micro_usd =
            times(input_tokens, *input, MILLION) + times(output_tokens, *output, MILLION);
        let (kind, paid_for) = (Kind::Call, name.to_owned());
        self.parts.push(Part { what, kind, paid_for, input_tokens, output_tokens, micro_usd });
    }

    /// Every call of a model may have to be made again; one that failed is paid like any other.
    fn add_retries(&mut self, assumed: &Assumptions) {
        let share = |amount| times(amount, assumed.retries.0, 10_000);
        self.parts.push(Part {
            what: "retries of all these",
            kind: Kind::Repair,
            paid_for: "the same models".to_owned(),
            input_tokens: share(self.input_tokens()),
            output_tokens: share(self.output_tokens()),
            micro_usd: share(self.micro_usd()),
        });
    }

    fn add_functions(&mut self, functions: &Functions, requests: u64) {
        let Functions { per_million_requests: per, per_month: month, .. } = functions;
        let of_requests = |price| times(requests, price, MILLION);
        for (what, micro_usd) in [
            ("functions: Lambda", of_requests(per.lambda)),
            ("functions: DynamoDB", of_requests(per.dynamodb)),
            ("functions: CloudWatch, by request", of_requests(per.cloudwatch)),
            (
                "functions: metrics, alarms, dashboard",
                month.metrics + month.alarms + month.dashboard,
            ),
        ] {
            let (kind, paid_for) = (Kind::Function, "AWS".to_owned());
            let (input_tokens, output_tokens) = (0, 0);
            self.parts.push(Part { what, kind, paid_for, input_tokens, output_tokens, micro_usd });
        }
    }
}

fn model<'a>(prices: &'a Prices, flag: &str, name: &'a str) -> Result<Model<'a>, String> {
    match prices.models.get(name) {
        Some(price) => Ok(Model { name, price }),
        None => {
            let known: Vec<&str> = prices.models.keys().map(String::as_str).collect();
            let known = known.join(", ");
            Err(format!(
                "`{flag}` has `{name}`, whose price is not known: it must be one of {known}, or have a \
                 `--price {name}=IN,OUT`"
            ))
        }
    }
}

/// `amount` × `factor` / `divisor`, rounded up.
pub(crate) fn times(amount: u64, factor: u64, divisor: u64) -> u64 {
    let product = u128::from(amount) * u128::from(factor);
    u64::try_from(product.div_ceil(u128::from(divisor))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(text: &str) -> (Assumptions, Way, Way) {
        let assumed = Assumptions::of(text);
        let prices = Prices::with(&assumed.prices).unwrap();
        let ways = (single(&assumed, &prices).unwrap(), supervised(&assumed, &prices).unwrap());
        (assumed, ways.0, ways.1)
    }

    fn parts(way: &Way) -> Vec<(u64, u64, u64)> {
        let part = |part: &Part| (part.input_tokens, part.output_tokens, part.micro_usd);
        way.parts.iter().map(part).collect()
    }

    /// Reckoned by hand, for a million requests at 3 and 15 USD, fallbacks at 1 and 5 USD.
    #[test]
    fn the_example_comes_to_what_it_comes_to_by_hand() {
        let (assumed, single, supervised) = way("");
        let of_single = [
            (1_750_000_000, 0, 5_250_000_000),
            (0, 250_000_000, 3_750_000_000),
            // 2 % of 9,000 USD.
            (35_000_000, 5_000_000, 180_000_000),
        ];
        assert_eq!(parts(&single), of_single);
        assert_eq!(single.micro_usd(), 9_180_000_000);
        let of_supervised = [
            // (200 + 150 + 100) × 2 rounds, and 50 + 250 read once again.
            (900_000_000, 0, 2_700_000_000),
            (300_000_000, 0, 900_000_000),
            (0, 50_000_000, 750_000_000),
            (0, 250_000_000, 3_750_000_000),
            // 200 + 50 in, 250 out.
            (250_000_000, 250_000_000, 4_500_000_000),
            // 1 % of these, at a third of the price.
            (2_500_000, 2_500_000, 15_000_000),
            // 2 % of 12,615 USD.
            (29_050_000, 11_050_000, 252_300_000),
            (0, 0, 16_870_000),
            (0, 0, 5_630_000),
            (0, 0, 10_500_000),
            (0, 0, 29_500_000),
        ];
        assert_eq!(parts(&supervised), of_supervised);
        assert_eq!(supervised.functions_micro_usd(), 62_500_000);
        assert_eq!(supervised.micro_usd(), 12_929_800_000);
        assert_eq!(counted_once(&assumed), 1_200, "as the claim has it");
    }

    #[test]
    fn each_round_reads_what_came_before_it() {
        let read_again = |text: &str| way(text).2.parts[1].input_tokens / 1_000_000;
        // Calls of 50 with answers of 250: after the first of two rounds all of them are read once.
        assert_eq!(read_again("--specialists-per-request 1 --rounds 2"), 300);
        assert_eq!(read_again("--specialists-per-request 3 --rounds 2"), 900);
        // One specialist in each of three rounds: 300 + 600 + 900.
        assert_eq!(read_again("--specialists-per-request 3 --rounds 4"), 1_800);
        assert_eq!(read_again("--specialists-per-request 1.5 --rounds 2"), 450);
    }

    #[test]
    fn in_one_round_the_specialists_answer_is_passed_on() {
        let (assumed, _, supervised) = way("--rounds 1 --retries 0 --fallbacks 0");
        // 450 + 250 read, 50 + 250 written, and the functions.
        assert_eq!(
            (supervised.input_tokens(), supervised.output_tokens()),
            (700_000_000, 300_000_000)
        );
        assert_eq!(supervised.micro_usd(), 2_100_000_000 + 4_500_000_000 + 62_500_000);
        assert_eq!(counted_once(&assumed), 950);
    }

    #[test]
    fn the_specialists_share_the_requests() {
        let mix =
            "--specialist-models claude-sonnet-4-6=40,nova=60 --price nova=0.5,2 --fallbacks 0";
        let (_, _, supervised) = way(mix);
        // 40 % of 250 and 250 at 3 and 15, 60 % at 0.5 and 2.
        assert_eq!(
            parts(&supervised)[4..6],
            [(100_000_000, 100_000_000, 1_800_000_000), (150_000_000, 150_000_000, 375_000_000),]
        );
    }

    #[test]
    fn parts_of_a_micro_dollar_are_rounded_up() {
        let (_, single, supervised) =
            way("--requests 1 --single-agent-input 1 --single-agent-output 0");
        assert_eq!(parts(&single), [(1, 0, 3), (0, 0, 0), (1, 0, 1)]);
        // Three parts of 16.87, 5.63 and 10.5 micro-dollars.
        assert_eq!(supervised.functions_micro_usd(), 17 + 6 + 11 + 29_500_000);
    }

    #[test]
    fn a_model_without_a_price_is_named_with_what_is_allowed() {
        let assumed = Assumptions::of("--specialist-models nova");
        let error = supervised(&assumed, &Prices::with(&[]).unwrap()).unwrap_err();
        let expected = "`--specialist-models` has `nova`, whose price is not known: it must be one of \
                        claude-haiku-4-5, claude-sonnet-4-5, claude-sonnet-4-6, or have a `--price \
                        nova=IN,OUT`";
        assert_eq!(error, expected);
    }

    #[test]
    fn the_largest_assumptions_fit() {
        let (_, single, supervised) =
            way("--requests 100000000 --single-agent-input 100000 --single-agent-output 100000 \
             --supervisor-prompt 100000 --tool-definitions 100000 --question 100000 --call 100000 \
             --answer 100000 --specialist-prompt 100000 --specialist-output 100000 --rounds 20 \
             --specialists-per-request 10 --retries 100 --fallbacks 100 --price x=1000,1000 \
             --single-agent-model x --supervisor-model x --specialist-models x --fallback-model x");
        for way in [single, supervised] {
            assert!(i64::try_from(way.micro_usd()).is_ok());
            let sum: u128 = way.parts.iter().map(|part| u128::from(part.micro_usd)).sum();
            assert_eq!(sum, u128::from(way.micro_usd()));
        }
    }
}
