//! Faults that are laid over the script, and may change while the agents run.
//!
//! A fault strikes a share of its specialist's attempts. The share is spread evenly and begins
//! with the first attempt, without a random number: half of the attempts is every second one, and
//! what happened once happens again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fault::Fault;
use super::script::Script;

/// A fault for one specialist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injection {
    /// The specialist's name in the script.
    pub specialist: String,
    /// What goes wrong.
    pub fault: Fault,
    /// How often.
    pub rate: Rate,
}

/// A share of attempts, exact to a millionth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(u32);

impl Rate {
    /// Every attempt.
    pub const ALWAYS: Self = Self(MILLION);

    /// A decimal from 0 to 1.
    pub fn parse(text: &str) -> Option<Self> {
        let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let share: f64 = text.parse().ok().filter(|_| is_decimal)?;
        // In this range the rounded product is exact.
        (0.0..=1.0).contains(&share).then(|| Self((share * f64::from(MILLION)).round() as u32))
    }

    /// Whether attempt `n`, counted from 0, is one of the share.
    fn strikes(self, n: u64) -> bool {
        let struck = |attempts: u64| {
            (u128::from(attempts) * u128::from(self.0)).div_ceil(u128::from(MILLION))
        };
        struck(n.saturating_add(1)) > struck(n)
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", f64::from(self.0) / f64::from(MILLION))
    }
}

const MILLION: u32 = 1_000_000;

/// The specialist that stands for all that are not named.
const ALL: &str = "*";

/// What can be wrong with faults to inject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the faults to inject have mistakes:\n  {}", .0.join("\n  "))]
pub struct InjectionError(
    /// One mistake each: what was found, what is allowed.
    pub Vec<String>,
);

impl Injection {
    /// Reads `SPECIALIST=FAULT[:RATE][,…]` for the specialists of `script`: `*` stands for all
    /// that are not named, and without a rate every attempt fails.
    ///
    /// # Errors
    ///
    /// All mistakes of the text.
    pub fn parse_list(text: &str, script: &Script) -> Result<Vec<Self>, InjectionError> {
        let known: Vec<&str> = script.specialists.keys().map(String::as_str).collect();
        let has = |specialist: &str, fault: Fault| {
            script.specialists.get(specialist).is_none_or(|known| fault.is_of(known.kind))
        };
        let mut faults: BTreeMap<&str, (Fault, Rate)> = BTreeMap::new();
        let mut mistakes = Vec::new();
        for setting in text.split(',').map(str::trim) {
            match parse_one(setting, &known) {
                Ok((specialist, ..)) if faults.contains_key(specialist) => {
                    mistakes.push(format!("`{setting}`: `{specialist}` must be given once"));
                }
                Ok((specialist, fault, _)) if !has(specialist, fault) => {
                    mistakes.push(format!(
                        "`{setting}`: an agent of {specialist}'s kind does not have this fault"
                    ));
                }
                Ok((specialist, fault, rate)) => {
                    faults.insert(specialist, (fault, rate));
                }
                Err(mistake) => mistakes.push(format!("`{}`: {mistake}", setting.escape_debug())),
            }
        }
        if !mistakes.is_empty() {
            return Err(InjectionError(mistakes));
        }
        let others = faults.remove(ALL);
        let of = |specialist: &str| faults.get(specialist).copied().or(others);
        let injection = |specialist: &str| {
            let (fault, rate) = of(specialist).filter(|(fault, _)| has(specialist, *fault))?;
            Some(Self { specialist: specialist.to_owned(), fault, rate })
        };
        Ok(known.into_iter().filter_map(injection).collect())
    }
}

fn parse_one<'a>(setting: &'a str, known: &[&str]) -> Result<(&'a str, Fault, Rate), String> {
    let Some((specialist, fault)) = setting.split_once('=') else {
        return Err("it must be SPECIALIST=FAULT or SPECIALIST=FAULT:RATE".to_owned());
    };
    let mut wrong = Vec::new();
    if specialist != ALL && !known.contains(&specialist) {
        let known = known.join(", ");
        wrong.push(format!("there is no specialist `{specialist}`, only {known}, or `*` for all"));
    }
    // Some faults have a colon in their name.
    let (fault, rate) = match fault.rsplit_once(':') {
        Some((fault, rate)) if rate.starts_with(|first| "0123456789.+-".contains(first)) => {
            (fault, Rate::parse(rate).ok_or(rate))
        }
        _ => (fault, Ok(Rate::ALWAYS)),
    };
    let parsed = fault.parse::<Fault>();
    if let Err(allowed) = &parsed {
        wrong.push(format!("there is no fault `{fault}`; {allowed}"));
    }
    if let Err(rate) = &rate {
        wrong.push(format!("the rate is `{rate}`, allowed is a decimal from 0 to 1"));
    }
    match (parsed, rate) {
        (Ok(fault), Ok(rate)) if wrong.is_empty() => Ok((specialist, fault, rate)),
        _ => Err(wrong.join("; ")),
    }
}

/// The faults in force.
#[derive(Debug, Default)]
pub(super) struct Injections(Mutex<BTreeMap<String, InForce>>);

#[derive(Clone, Copy, Debug)]
struct InForce {
    fault: Fault,
    rate: Rate,
    attempts: u64,
}

impl Injections {
    /// From now on, instead of what was in force for the specialist.
    pub(super) fn set(&self, specialist: &str, fault: Fault, rate: Rate) {
        self.lock().insert(specialist.to_owned(), InForce { fault, rate, attempts: 0 });
    }

    pub(super) fn clear(&self, specialist: &str) {
        self.lock().remove(specialist);
    }

    pub(super) fn clear_all(&self) {
        self.lock().clear();
    }

    /// The fault that strikes the specialist's next attempt, if one does.
    pub(super) fn strike(&self, specialist: &str) -> Option<Fault> {
        let mut in_force = self.lock();
        let InForce { fault, rate, attempts } = in_force.get_mut(specialist)?;
        let struck = rate.strikes(*attempts);
        *attempts += 1;
        struck.then_some(*fault)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, InForce>> {
        // Every change is complete in itself, so a panic elsewhere leaves nothing half-done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::DEFAULT_SCRIPT;
    use super::*;

    fn parse(text: &str) -> Result<Vec<String>, Vec<String>> {
        let script = Script::parse(DEFAULT_SCRIPT).unwrap();
        let shown = |it: &Injection| format!("{} {} {}", it.specialist, it.fault, it.rate);
        let parsed = Injection::parse_list(text, &script).map_err(|error| error.0)?;
        Ok(parsed.iter().map(shown).collect())
    }

    fn struck(rate: &str, attempts: usize) -> String {
        let faults = Injections::default();
        faults.set("a", Fault::Hang, Rate::parse(rate).unwrap());
        let mark = |_| if faults.strike("a").is_some() { 'x' } else { '.' };
        (0..attempts).map(mark).collect()
    }

    #[test]
    fn a_rate_is_the_number_after_the_last_colon() {
        assert_eq!(
            parse("billing=throttle:0.5, orders=before:badGatewayException,support=slow=2s:1"),
            Ok(vec![
                "billing before:throttlingException 0.5".to_owned(),
                "orders before:badGatewayException 1".to_owned(),
                "support slow=2000ms 1".to_owned(),
            ])
        );
        let with_both = parse("general=in-stream:conflictException:0.25").unwrap();
        assert_eq!(with_both, ["general in-stream:conflictException 0.25"]);
    }

    #[test]
    fn the_star_stands_for_all_that_are_not_named() {
        assert_eq!(
            parse("orders=hang,*=break:0.1").unwrap(),
            [
                "billing close-in-stream 0.1",
                "general close-in-stream 0.1",
                "orders hang 1",
                "support close-in-stream 0.1",
            ]
        );
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let text =
            "billing,astrology=hang,orders=explode:2,general=hang,general=hang,general=hang:-1";
        let found = parse(text).unwrap_err();
        let beginnings = [
            "`billing`: it must be SPECIALIST=FAULT",
            "`astrology=hang`: there is no specialist `astrology`, only billing, general, orders, \
             support, or `*`",
            "`orders=explode:2`: there is no fault `explode`; allowed are throttle, ",
            "`general=hang`: `general` must be given once",
            "`general=hang:-1`: the rate is `-1`, allowed is a decimal from 0 to 1",
        ];
        assert_eq!(found.len(), beginnings.len(), "{found:#?}");
        for (mistake, beginning) in found.iter().zip(beginnings) {
            assert!(mistake.starts_with(beginning), "{mistake}");
        }
        assert!(found[2].ends_with("; the rate is `2`, allowed is a decimal from 0 to 1"));
        assert_eq!(parse("").unwrap_err().len(), 1);
    }

    #[test]
    fn a_rate_is_spread_evenly_and_begins_with_the_first_attempt() {
        assert_eq!(struck("0.5", 6), "x.x.x.");
        assert_eq!(struck("0.3", 10), "x..x..x...");
        assert_eq!((struck("1", 3), struck("0", 3)), ("xxx".to_owned(), "...".to_owned()));
        let often = struck("0.123456", 1_000_000);
        assert_eq!(often.matches('x').count(), 123_456);
    }

    #[test]
    fn a_rate_is_a_decimal_from_0_to_1() {
        for text in ["", ".", "1.1", "-0.5", "+1", "1e-3", "nan", "0,5"] {
            assert_eq!(Rate::parse(text), None, "{text}");
        }
        assert_eq!(Rate::parse(".25").unwrap().to_string(), "0.25");
    }

    #[test]
    fn a_fault_is_in_force_until_it_is_cleared() {
        let faults = Injections::default();
        assert_eq!(faults.strike("a"), None);
        faults.set("a", Fault::Hang, Rate::ALWAYS);
        faults.set("b", Fault::Empty, Rate::ALWAYS);
        faults.set("a", Fault::Close, Rate::ALWAYS);
        assert_eq!(
            (faults.strike("a"), faults.strike("b")),
            (Some(Fault::Close), Some(Fault::Empty))
        );
        faults.clear("a");
        assert_eq!((faults.strike("a"), faults.strike("b")), (None, Some(Fault::Empty)));
        faults.clear_all();
        assert_eq!(faults.strike("b"), None);
    }
}
