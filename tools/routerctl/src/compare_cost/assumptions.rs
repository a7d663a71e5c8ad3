//! Everything that the comparison assumes, each with its flag.

use serde_json::{Value, json};
use stand_ins::print::grouped;

use super::prices::Named;

/// So many tokens a part of a request may have.
const MAX_TOKENS: u64 = 100_000;

/// What is assumed of a month and of one request. Tokens are of one request or one call.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Assumptions {
    /// Requests of users in a month
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) requests: u64,

    /// What the one agent runs on
    #[arg(long, value_name = "MODEL", default_value = "claude-sonnet-4-6", help_heading = SINGLE)]
    pub(crate) single_agent_model: String,

    /// What it reads: prompt, tool definitions, question
    #[arg(long, value_name = "TOKENS", default_value_t = 1_750, help_heading = SINGLE)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=MAX_TOKENS))]
    pub(crate) single_agent_input: u64,

    /// What it writes: the answer
    #[arg(long, value_name = "TOKENS", default_value_t = 250, help_heading = SINGLE)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=MAX_TOKENS))]
    pub(crate) single_agent_output: u64,

    /// What the supervisor runs on
    #[arg(long, value_name = "MODEL", default_value = "claude-sonnet-4-6", help_heading = SUPERVISOR)]
    pub(crate) supervisor_model: String,

    /// Its rounds: in each but the last it calls specialists, in the last it answers. 1: the
    /// specialist's answer is passed on as it is
    #[arg(long, value_name = "N", default_value_t = 2, help_heading = SUPERVISOR)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=20))]
    pub(crate) rounds: u64,

    /// Its prompt with the list of specialists, read in each round
    #[arg(long, value_name = "TOKENS", default_value_t = 200, help_heading = SUPERVISOR)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=MAX_TOKENS))]
    pub(crate) supervisor_prompt: u64,

    /// The definitions of its tools, read in each round
    #[arg(long, value_name = "TOKENS", default_value_t = 150, help_heading = SUPERVISOR)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=MAX_TOKENS))]
    pub(crate) tool_definitions: u64,

    /// The user's question, read in each round
    #[arg(long, value_name = "TOKENS", default_value_t = 100, help_heading = SUPERVISOR)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=MAX_TOKENS))]
    pub(crate) question: u64,

    /// One call of a specialist, which the supervisor writes and the specialist reads
    #[arg(long, value_name = "TOKENS", default_value_t = 50, help_heading = SUPERVISOR)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=MAX_TOKENS))]
    pub(crate) call: u64,

    /// The answer that the supervisor writes
    #[arg(long, value_name = "TOKENS", default_value_t = 250, help_heading = SUPERVISOR)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=MAX_TOKENS))]
    pub(crate) answer: u64,

    /// Specialists that are called in a request, on average, such as 1.2
    #[arg(long, value_name = "N", default_value = "1", help_heading = SPECIALISTS)]
    #[arg(value_parser = Thousandths::parse)]
    pub(crate) specialists_per_request: Thousandths,

    /// What they run on, and which share of the calls each has: MODEL, or MODEL=40,OTHER=60
    #[arg(long, value_name = "MODEL[=PERCENT],…", default_value = "claude-sonnet-4-6")]
    #[arg(value_parser = Shares::parse, help_heading = SPECIALISTS)]
    pub(crate) specialist_models: Shares,

    /// A specialist's prompt and tools
    #[arg(long, value_name = "TOKENS", default_value_t = 200, help_heading = SPECIALISTS)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=MAX_TOKENS))]
    pub(crate) specialist_prompt: u64,

    /// A specialist's answer, which the supervisor reads
    #[arg(long, value_name = "TOKENS", default_value_t = 250, help_heading = SPECIALISTS)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=MAX_TOKENS))]
    pub(crate) specialist_output: u64,

    /// Calls after which a fallback is asked too, such as 0.5
    #[arg(long, value_name = "PERCENT", default_value = "1", help_heading = SPECIALISTS)]
    #[arg(value_parser = Percent::parse)]
    pub(crate) fallbacks: Percent,

    /// What the fallback runs on
    #[arg(long, value_name = "MODEL", default_value = "claude-haiku-4-5", help_heading = SPECIALISTS)]
    pub(crate) fallback_model: String,

    /// Calls of models that are made twice, of the one agent too
    #[arg(long, value_name = "PERCENT", default_value = "2")]
    #[arg(value_parser = Percent::parse)]
    pub(crate) retries: Percent,

    /// The cheaper model of the last table
    #[arg(long, value_name = "MODEL", default_value = "claude-haiku-4-5")]
    pub(crate) small_model: String,

    /// A model's price, in USD for a million tokens; may be given several times
    #[arg(long = "price", value_name = "NAME=IN,OUT", value_parser = Named::parse)]
    pub(crate) prices: Vec<Named>,
}

const SINGLE: &str = "One large agent";
const SUPERVISOR: &str = "The supervisor";
const SPECIALISTS: &str = "Its specialists";

/// A number with up to three decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thousandths(pub(crate) u64);

/// A share in hundredths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Percent(pub(crate) u64);

/// Models with their percent of the calls, which add up to 100.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shares(pub(crate) Vec<(String, u64)>);

impl Thousandths {
    fn parse(text: &str) -> Result<Self, String> {
        let number = scaled(text, 3).filter(|number| (1..=10_000).contains(number));
        let rule = "it must be a number above 0 and up to 10, with up to three decimals";
        number.map(Self).ok_or_else(|| rule.to_owned())
    }
}

impl Percent {
    fn parse(text: &str) -> Result<Self, String> {
        let number = scaled(text, 2).filter(|number| *number <= 10_000);
        let rule = "it must be a number from 0 to 100, with up to two decimals";
        number.map(Self).ok_or_else(|| rule.to_owned())
    }
}

impl Shares {
    /// One model for all calls.
    pub(crate) fn all(model: String) -> Self {
        Self(vec![(model, 100)])
    }

    fn parse(text: &str) -> Result<Self, String> {
        let rule = "it must be a model, or models with whole percents that add up to 100, such as \
                    large=40,small=60";
        let share = |part: &str| match part.split_once('=') {
            None => Some((part.to_owned(), 100)),
            Some((name, percent)) => Some((name.to_owned(), percent.parse().ok()?)),
        };
        let shares: Option<Vec<(String, u64)>> = text.split(',').map(share).collect();
        let is_whole = |shares: &Vec<(String, u64)>| {
            shares.iter().all(|(name, percent)| !name.is_empty() && *percent <= 100)
                && shares.iter().map(|(_, percent)| percent).sum::<u64>() == 100
        };
        shares.filter(is_whole).map(Self).ok_or_else(|| rule.to_owned())
    }
}

/// Reads a decimal number of at most so many decimals, exactly.
fn scaled(text: &str, decimals: usize) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let fits = !whole.is_empty() && fraction.len() <= decimals;
    let is_number = fits && is_digits(whole) && is_digits(fraction);
    let number = || format!("{whole}{fraction:0<decimals$}").parse().ok();
    is_number.then(number).flatten()
}

/// A number in hundredths, as people write it: `1`, `0.5`, `12.25`.
pub(crate) fn decimal(number: u64, decimals: usize) -> String {
    let digits = format!("{number:0>width$}", width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let text = format!("{whole}.{fraction}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
impl Assumptions {
    /// Those of a command line.
    pub(crate) fn of(text: &str) -> Self {
        use clap::Parser as _;

        #[derive(clap::Parser)]
        struct Program {
            #[command(flatten)]
            assumptions: Assumptions,
        }

        Program::parse_from(["program"].into_iter().chain(text.split_whitespace())).assumptions
    }
}

impl Assumptions {
    /// Each flag with its value and what it is of, for people.
    pub(crate) fn listed(&self) -> [(&'static str, String, &'static str); 19] {
        let shares = self.specialist_models.0.iter().map(|share| match share {
            (name, 100) => name.clone(),
            (name, percent) => format!("{name}={percent}"),
        });
        let shares: Vec<String> = shares.collect();
        [
            ("requests", grouped(self.requests), "a month"),
            ("single-agent-model", self.single_agent_model.clone(), "the one agent"),
            ("single-agent-input", grouped(self.single_agent_input), "prompt, tools, question"),
            ("single-agent-output", grouped(self.single_agent_output), "answer"),
            ("supervisor-model", self.supervisor_model.clone(), "the supervisor"),
            ("rounds", grouped(self.rounds), "of the supervisor; the last one answers"),
            ("supervisor-prompt", grouped(self.supervisor_prompt), "read in each round"),
            ("tool-definitions", grouped(self.tool_definitions), "read in each round"),
            ("question", grouped(self.question), "read in each round"),
            ("call", grouped(self.call), "written by the supervisor, read by a specialist"),
            ("answer", grouped(self.answer), "written by the supervisor"),
            (
                "specialists-per-request",
                decimal(self.specialists_per_request.0, 3),
                "calls, on average",
            ),
            ("specialist-models", shares.join(","), "the specialists"),
            ("specialist-prompt", grouped(self.specialist_prompt), "read in each call"),
            ("specialist-output", grouped(self.specialist_output), "read by the supervisor, too"),
            ("fallbacks", format!("{} %", decimal(self.fallbacks.0, 2)), "of the calls"),
            ("fallback-model", self.fallback_model.clone(), "the fallback"),
            ("retries", format!("{} %", decimal(self.retries.0, 2)), "of all calls of models"),
            ("small-model", self.small_model.clone(), "in the last table"),
        ]
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
        let share = |(name, percent): &(String, u64)| json!({ "model": name, "percent": percent });
        json!({
            "requests": self.requests,
            "single_agent_model": self.single_agent_model,
            "single_agent_input": self.single_agent_input,
            "single_agent_output": self.single_agent_output,
            "supervisor_model": self.supervisor_model,
            "rounds": self.rounds,
            "supervisor_prompt": self.supervisor_prompt,
            "tool_definitions": self.tool_definitions,
            "question": self.question,
            "call": self.call,
            "answer": self.answer,
            "specialists_per_1000_requests": self.specialists_per_request.0,
            "specialist_models": self.specialist_models.0.iter().map(share).collect::<Value>(),
            "specialist_prompt": self.specialist_prompt,
            "specialist_output": self.specialist_output,
            "fallbacks_per_10000": self.fallbacks.0,
            "fallback_model": self.fallback_model,
            "retries_per_10000": self.retries.0,
            "small_model": self.small_model,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    #[test]
    fn every_flag_but_prices_is_shown() {
        let command = Assumptions::augment_args(clap::Command::new("program"));
        let flags = command.get_arguments().filter_map(clap::Arg::get_long);
        let shown = Assumptions::of("").listed().map(|(flag, ..)| flag);
        let json = Assumptions::of("").json();
        assert_eq!(json.as_object().unwrap().len(), shown.len());
        let mut flags: Vec<&str> = flags.filter(|flag| *flag != "price").collect();
        let mut shown = shown.to_vec();
        flags.sort_unstable();
        shown.sort_unstable();
        assert_eq!(shown, flags);
    }

    #[test]
    fn numbers_with_decimals_are_read_exactly_and_written_as_they_are_read() {
        for text in ["1", "0.5", "1.2", "9.999", "10"] {
            assert_eq!(decimal(Thousandths::parse(text).unwrap().0, 3), text);
        }
        for wrong in ["0", "", "-1", "1.2345", "10.001", "1,5", "x", ".5", "1e3"] {
            assert!(Thousandths::parse(wrong).is_err(), "{wrong}");
        }
        let percents = ["0", "0.25", "100"].map(|text| Percent::parse(text).unwrap().0);
        assert_eq!(percents, [0, 25, 10_000]);
        assert!(["100.01", "1.234", "%"].iter().all(|wrong| Percent::parse(wrong).is_err()));
    }

    #[test]
    fn shares_add_up_to_a_hundred() {
        let shares = |text: &str| Shares::parse(text).map(|Shares(shares)| shares.len());
        assert_eq!((shares("a"), shares("a=40,b=60")), (Ok(1), Ok(2)));
        let max = u64::MAX;
        for wrong in ["", "a=40", "a=40,b=61", "a,b", "=100", "a=x", &format!("a={max},b=101")] {
            assert!(shares(wrong).is_err(), "{wrong}");
        }
    }
}
