//! What a gate asks, how, and what it wants to see: settings, read and checked once.

use std::time::Duration;

use router_core::policy::{Mistake, NOT_SHOWN, may_be_secret};
use router_core::units::{MicroUsd, Share};

use crate::run::Rules;
use crate::score::Thresholds;

/// Where cases are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CasesAt {
    /// In the function: those of the example's roster.
    Example,
    /// In a file beside the function.
    File(String),
    /// In a file in Amazon S3.
    Object(ObjectAt),
}

impl CasesAt {
    /// What must be said where cases are named.
    pub const RULE: &'static str = "example, file:<path> of a file in the package, or \
                                     s3://<bucket>/<key>";

    /// Reads where cases are; `None` where that is no place.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "example" => Some(Self::Example),
            Some(("file", path)) if !path.is_empty() => Some(Self::File(path.to_owned())),
            _ => ObjectAt::parse(text).map(Self::Object),
        }
    }
}

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectAt {
    /// The bucket.
    pub bucket: String,
    /// The key in it.
    pub key: String,
}

impl ObjectAt {
    /// Reads `s3://bucket/key`; `None` where that is no place. A bucket's name has 3 to 63 lower-case
    /// letters, digits, hyphens and dots, a key 1 to 1,024 bytes
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>).
    pub fn parse(text: &str) -> Option<Self> {
        let (bucket, key) = text.strip_prefix("s3://")?.split_once('/')?;
        let may_be_in_name =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        let is_bucket = (3..=63).contains(&bucket.len()) && bucket.bytes().all(may_be_in_name);
        let is_key = (1..=1_024).contains(&key.len());
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        (is_bucket && is_key).then_some(Self { bucket, key })
    }
}

/// The settings of a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateSettings {
    /// The cases, where an event does not say.
    pub cases: CasesAt,
    /// What a run may cost.
    pub max_cost: MicroUsd,
    /// How a run is made.
    pub rules: Rules,
    /// What its score must reach.
    pub thresholds: Thresholds,
}

impl Default for GateSettings {
    fn default() -> Self {
        let thresholds = Thresholds::default();
        Self {
            cases: CasesAt::Example,
            max_cost: MicroUsd(5_000_000),
            rules: Rules {
                width: 8,
                max_attempts: 8,
                max_delay: Duration::from_secs(20),
                max_undecided: thresholds.max_undecided,
            },
            thresholds,
        }
    }
}

impl GateSettings {
    /// Reads `GATE_CASES`, `GATE_MAX_COST_USD`, `GATE_CONCURRENCY`, `GATE_MAX_ATTEMPTS`,
    /// `GATE_MAX_DELAY_MS` and the thresholds; what is not set has its documented value.
    ///
    /// # Errors
    ///
    /// Every mistake there is.
    pub fn from_vars(var: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<Mistake>> {
        let mut reader = Reader { var, mistakes: Vec::new() };
        let GateSettings { cases, max_cost, rules, thresholds } = Self::default();
        let Thresholds { min_accuracy, min_lower_bound, min_recall, p95_below_ms, max_undecided } =
            thresholds;
        let millis = |millis: Duration| u64::try_from(millis.as_millis()).unwrap_or(u64::MAX);
        let thresholds = Thresholds {
            min_accuracy: reader.share("GATE_MIN_ACCURACY", min_accuracy),
            min_lower_bound: reader.share("GATE_MIN_LOWER_BOUND", min_lower_bound),
            min_recall: reader.share("GATE_MIN_RECALL", min_recall),
            p95_below_ms: reader.number("GATE_P95_BELOW_MS", 1..=900_000, p95_below_ms),
            max_undecided: reader.share("GATE_MAX_UNDECIDED", max_undecided),
        };
        let width = reader.number("GATE_CONCURRENCY", 1..=100, rules.width as u64);
        let max_delay = reader.number("GATE_MAX_DELAY_MS", 0..=60_000, millis(rules.max_delay));
        let settings = Self {
            cases: reader
                .read("GATE_CASES", &format!("it must be {}", CasesAt::RULE), CasesAt::parse)
                .unwrap_or(cases),
            max_cost: reader
                .read("GATE_MAX_COST_USD", COST_RULE, |text| {
                    MicroUsd::parse_usd(text).filter(|cost| (1..=MOST_COST).contains(&cost.0))
                })
                .unwrap_or(max_cost),
            rules: Rules {
                width: usize::try_from(width).unwrap_or(usize::MAX),
                max_attempts: reader.number("GATE_MAX_ATTEMPTS", 1..=20, rules.max_attempts),
                max_delay: Duration::from_millis(max_delay),
                max_undecided: thresholds.max_undecided,
            },
            thresholds,
        };
        if reader.mistakes.is_empty() { Ok(settings) } else { Err(reader.mistakes) }
    }
}

/// A thousand dollars.
const MOST_COST: u64 = 1_000_000_000;

const COST_RULE: &str = "it must be an amount in US dollars from 0.000001 to 1000";

/// Reads a share: a decimal from 0 to 1, with six decimals at most.
pub fn share(text: &str) -> Option<Share> {
    let millionths = MicroUsd::parse_usd(text).filter(|share| share.0 <= 1_000_000)?;
    u32::try_from(millionths.0).ok().map(Share)
}

struct Reader<'v> {
    var: &'v dyn Fn(&str) -> Option<String>,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    /// A template can leave a setting empty, but not leave it out.
    fn read<T>(
        &mut self,
        name: &str,
        rule: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = (self.var)(name).filter(|text| !text.is_empty())?;
        let parsed = parse(&text);
        if parsed.is_none() {
            let shown: String = text.chars().take(80).collect();
            let is_secret = may_be_secret(&text) || text.contains('=');
            let quoted = || format!("\"{}\"", shown.escape_debug());
            let found = if is_secret { NOT_SHOWN.to_owned() } else { quoted() };
            self.mistakes.push(Mistake { setting: name.to_owned(), found, rule: rule.to_owned() });
        }
        parsed
    }

    fn number(&mut self, name: &str, range: std::ops::RangeInclusive<u64>, default: u64) -> u64 {
        let rule = format!("it must be a whole number from {} to {}", range.start(), range.end());
        let parse = |text: &str| text.parse().ok().filter(|number| range.contains(number));
        self.read(name, &rule, parse).unwrap_or(default)
    }

    fn share(&mut self, name: &str, default: Share) -> Share {
        let rule = "it must be a decimal number from 0 to 1, with at most six decimals";
        self.read(name, rule, share).unwrap_or(default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<GateSettings, Vec<String>> {
        let var = |name: &str| {
            vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let told = |mistakes: Vec<Mistake>| mistakes.iter().map(ToString::to_string).collect();
        GateSettings::from_vars(&var).map_err(told)
    }

    #[test]
    fn what_is_not_set_has_its_documented_value() {
        assert_eq!(read(&[]), Ok(GateSettings::default()));
        assert_eq!(read(&[("GATE_CASES", ""), ("GATE_P95_BELOW_MS", "")]), read(&[]));
    }

    #[test]
    fn everything_is_a_setting() {
        let settings = read(&[
            ("GATE_CASES", "file:cases/mine.jsonl"),
            ("GATE_MAX_COST_USD", "0.5"),
            ("GATE_CONCURRENCY", "2"),
            ("GATE_MAX_ATTEMPTS", "3"),
            ("GATE_MAX_DELAY_MS", "0"),
            ("GATE_MIN_ACCURACY", "0.95"),
            ("GATE_MIN_LOWER_BOUND", "0.9"),
            ("GATE_MIN_RECALL", "1"),
            ("GATE_P95_BELOW_MS", "900"),
            ("GATE_MAX_UNDECIDED", "0"),
        ]);
        let thresholds = Thresholds {
            min_accuracy: Share(950_000),
            min_lower_bound: Share(900_000),
            min_recall: Share(1_000_000),
            p95_below_ms: 900,
            max_undecided: Share(0),
        };
        let expected = GateSettings {
            cases: CasesAt::File("cases/mine.jsonl".to_owned()),
            max_cost: MicroUsd(500_000),
            rules: Rules {
                width: 2,
                max_attempts: 3,
                max_delay: Duration::ZERO,
                max_undecided: Share(0),
            },
            thresholds,
        };
        assert_eq!(settings, Ok(expected));
    }

    #[test]
    fn every_mistake_is_told_and_no_credential_quoted() {
        let mistakes = read(&[
            ("GATE_CASES", "https://user:SECRET@host"),
            ("GATE_MAX_COST_USD", "0"),
            ("GATE_CONCURRENCY", "0"),
            ("GATE_MAX_ATTEMPTS", "many"),
            ("GATE_MAX_DELAY_MS", "-1"),
            ("GATE_MIN_ACCURACY", "90"),
            ("GATE_MIN_LOWER_BOUND", "1.1"),
            ("GATE_MIN_RECALL", "x"),
            ("GATE_P95_BELOW_MS", "2s"),
            ("GATE_MAX_UNDECIDED", "1.0000001"),
        ])
        .unwrap_err();
        assert_eq!(mistakes.len(), 10, "{mistakes:?}");
        assert!(mistakes.iter().all(|text| text.starts_with("`GATE_")), "{mistakes:?}");
        assert!(!mistakes.concat().contains("SECRET"), "{mistakes:?}");
        let of_accuracy = "`GATE_MIN_ACCURACY` is \"90\": it must be a decimal number from 0 to 1, \
                           with at most six decimals";
        assert_eq!(mistakes[0], of_accuracy);
    }

    #[test]
    fn cases_are_the_examples_in_a_file_or_in_s3() {
        assert_eq!(CasesAt::parse("example"), Some(CasesAt::Example));
        let in_s3 = ObjectAt { bucket: "bucket".to_owned(), key: "key".to_owned() };
        assert_eq!(CasesAt::parse("s3://bucket/key"), Some(CasesAt::Object(in_s3)));
        for text in ["", "examples", "file:", "cases.jsonl", "s3://bucket"] {
            assert_eq!(CasesAt::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_place_is_a_bucket_and_a_key() {
        let expected = ObjectAt { bucket: "my-cases.eu".to_owned(), key: "a/b c.jsonl".to_owned() };
        assert_eq!(ObjectAt::parse("s3://my-cases.eu/a/b c.jsonl"), Some(expected));
        let long_key = format!("s3://bucket/{}", "k".repeat(1_025));
        for text in [
            "",
            "s3://",
            "s3://bucket",
            "s3://bucket/",
            "s3:///key",
            "s3://ab/key",
            "s3://Bucket/key",
            "s3://bu_cket/key",
            "S3://bucket/key",
            "https://bucket/key",
            "user:secret@s3://bucket/key",
            &long_key,
        ] {
            assert_eq!(ObjectAt::parse(text), None, "{text}");
        }
    }
}
