//! International bank account numbers, whose digits are neither a card's nor a phone's.

use std::ops::Range;

use super::digits::is_space;

/// The characters that an IBAN has (ISO 13616-1): country, check digits, 11 to 30 of the account.
const CHARS: Range<usize> = 15..35;

/// Where IBANs stand whose check digits are right.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut before = None;
    for (at, char) in text.char_indices() {
        let goes_on = before.is_some_and(char::is_alphanumeric);
        let is_inside = found.last().is_some_and(|last| at < last.end);
        before = Some(char);
        if goes_on || is_inside {
            continue;
        }
        if let Some(len) = len(&text[at..]) {
            found.push(at..at + len);
        }
    }
    found
}

/// How many bytes the longest IBAN has that a text begins with.
fn len(text: &str) -> Option<usize> {
    let is_in_place = |place: usize, char: char| match place {
        0 | 1 => char.is_ascii_uppercase(),
        2 | 3 => char.is_ascii_digit(),
        _ => char.is_ascii_digit() || char.is_ascii_uppercase(),
    };
    let mut chars: Vec<char> = Vec::new();
    let mut longest = None;
    for (at, char) in text.char_indices() {
        if is_space(char) && chars.len() >= 4 {
            continue;
        }
        if chars.len() == CHARS.end - 1 || !is_in_place(chars.len(), char) {
            break;
        }
        chars.push(char);
        if CHARS.contains(&chars.len()) && is_valid(&chars) {
            longest = Some(at + 1);
        }
    }
    longest
}

/// The check of ISO/IEC 7064, MOD 97-10: country and check digits stand last, and letters count from 10.
fn is_valid(chars: &[char]) -> bool {
    let (check, account) = chars.split_at(4);
    let values = account.iter().chain(check).filter_map(|char| char.to_digit(36));
    let rest = values.fold(0, |rest, value| match value {
        0..10 => (rest * 10 + value) % 97,
        _ => (rest * 100 + value) % 97,
    });
    rest == 1
}
