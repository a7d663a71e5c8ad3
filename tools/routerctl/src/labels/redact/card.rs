//! Card numbers: 13 to 19 digits with spaces or dashes between them, or groups of four with another sign, whose
//! check digit is right, and whose beginning and length are an issuer's.

use std::ops::Range;

use super::digits::{Group, between, groups, is_dash, is_space};

/// Where card numbers stand.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let groups = groups(text);
    let mut found = Vec::new();
    let mut first = 0;
    while first < groups.len() {
        match last_group(text, &groups[first..]) {
            Some(more) => {
                found.push(groups[first].span.start..groups[first + more].span.end);
                first += more + 1;
            }
            None => first += 1,
        }
    }
    found
}

/// How many groups after the first one belong to the longest card number that begins there.
fn last_group(text: &str, groups: &[Group]) -> Option<usize> {
    let mut digits = groups.first()?.digits.clone();
    let (mut longest, mut are_fours) = (None, true);
    for more in 0..groups.len() {
        if more > 0 {
            let between = between(text, &groups[more - 1], &groups[more]);
            are_fours &= groups[more - 1].len() == 4;
            let is_joined = is_separator(&between) || are_fours && is_other_separator(&between);
            if !is_joined {
                break;
            }
            digits.extend(&groups[more].digits);
        }
        match digits.len() {
            0..13 => {}
            13..=19 if is_an_issuers(&digits) && is_luhn_valid(&digits) => longest = Some(more),
            13..=19 => {}
            _ => break,
        }
    }
    longest
}

/// A space, a dash, or a dash between spaces.
fn is_separator(between: &[char]) -> bool {
    let is_allowed = between.iter().all(|char| is_space(*char) || is_dash(*char));
    is_allowed && (1..=3).contains(&between.len())
}

/// What stands between groups of four, where it can be nothing but a card's number.
fn is_other_separator(between: &[char]) -> bool {
    matches!(between, ['.' | '/' | '_' | '\t'])
}

/// Whether a number of that length begins so: the ranges that ISO/IEC 7812-2's register gives to Visa,
/// Mastercard and Maestro, American Express, Diners Club, JCB, Discover, UnionPay, RuPay, Mir and Troy, as
/// the networks publish them.
fn is_an_issuers(digits: &[u8]) -> bool {
    let first_four = digits.iter().take(4).fold(0, |value, digit| value * 10 + u32::from(*digit));
    matches!(
        (first_four, digits.len()),
        (4000..5000, 13 | 16 | 19)
            | (3400..3500 | 3700..3800, 15)
            | (3000..3060 | 3095 | 3600..3700 | 3800..4000, 14..=19)
            | (3528..3590 | 2200..2205, 16..=19)
            | (2221..2721 | 5100..5600 | 8100..8300 | 9792, 16)
            | (5000..5100 | 5600..7000, _)
    )
}

/// The check of ISO/IEC 7812-1, annex B: every second digit from the right is doubled.
fn is_luhn_valid(digits: &[u8]) -> bool {
    let weigh = |(place, digit): (usize, &u8)| match (place % 2, digit * 2) {
        (0, _) => u32::from(*digit),
        (_, doubled @ 0..10) => u32::from(doubled),
        (_, doubled) => u32::from(doubled - 9),
    };
    digits.iter().rev().enumerate().map(weigh).sum::<u32>().is_multiple_of(10)
}
