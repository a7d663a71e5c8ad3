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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_a_number_of_up_to_a_million_dollars() {
        let million = MicroUsd(1_000_000_000_000);
        for (value, amount) in [
            (Value::Integer(1_000_000), Some(million)),
            (Value::Float(0.1), Some(MicroUsd(100_000))),
            (Value::Integer(1_000_001), None),
            (Value::Float(1_000_000.5), None),
            (Value::Integer(-1), None),
            (Value::String("1".to_owned()), None),
        ] {
            assert_eq!(parse_usd(&value), amount, "{value}");
        }
    }

    #[test]
    fn what_is_shown_is_one_line_of_so_many_characters() {
        for (text, shown) in
            [("four", "four"), ("fives", "five…"), ("a\nb", "a\\nb"), ("éàüö", "éàüö"), ("", "")]
        {
            assert_eq!(shorten_to(4, text), shown);
        }
        assert_eq!(shorten(&"x".repeat(60)), "x".repeat(60));
        assert_eq!(show(&Value::Boolean(true)), "true");
        assert_eq!(show(&Value::String("x".repeat(60))), format!("\"{}…", "x".repeat(59)));
    }
}
