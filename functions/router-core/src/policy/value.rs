//! A value of the policy file: read, or shown in a mistake.

use toml::Value;

use crate::units::MicroUsd;

/// Values from a policy file are shown up to this length.
const SHOWN_CHARS: usize = 60;

/// An amount of up to a million dollars.
pub(super) fn parse_usd(value: &Value) -> Option<MicroUsd> {
    MicroUsd::parse_usd(&as_decimal(value)?).filter(|amount| amount.0 <= 1_000_000_000_000)
}

/// A TOML number in decimal digits. TOML floats are binary, but printing one gives the
/// shortest decimal that means it, which is what the file says.
pub(super) fn as_decimal(value: &Value) -> Option<String> {
    match value {
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        _ => None,
    }
}

pub(super) fn show(value: &Value) -> String {
    shorten(&value.to_string())
}

pub(super) fn shorten(text: &str) -> String {
    shorten_to(SHOWN_CHARS, text)
}

pub(super) fn shorten_to(most_chars: usize, text: &str) -> String {
    let escaped = text.replace('\n', "\\n");
    match escaped.char_indices().nth(most_chars) {
        Some((end, _)) => format!("{}…", &escaped[..end]),
        None => escaped,
    }
}
