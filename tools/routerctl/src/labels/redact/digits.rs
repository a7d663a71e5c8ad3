//! Groups of digits in a text, in any script, and what may stand between them.

use std::ops::Range;

/// The zero of each script's ten decimal digits (Unicode 14, general category `Nd`).
const ZEROS: [u32; 66] = [
    0x0030, 0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6,
    0x0D66, 0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80,
    0x1A90, 0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0,
    0xFF10, 0x104A0, 0x10D30, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0,
    0x11650, 0x116C0, 0x11730, 0x118E0, 0x11950, 0x11C50, 0x11D50, 0x11DA0, 0x16A60, 0x16AC0,
    0x16B50, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E950, 0x1FBF0,
];

/// Digits without anything between them that a reader sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Where they stand, in bytes.
    pub(super) span: Range<usize>,
    /// Their values, 0 to 9.
    pub(super) digits: Vec<u8>,
}

impl Group {
    pub(super) fn len(&self) -> usize {
        self.digits.len()
    }

    /// The number that they write, if there are at most eight of them.
    pub(super) fn value(&self) -> Option<u32> {
        let value =
            |digits: &[u8]| digits.iter().fold(0, |sum, digit| sum * 10 + u32::from(*digit));
        (self.len() <= 8).then(|| value(&self.digits))
    }
}

/// All groups of a text, in order.
pub(super) fn groups(text: &str) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (at, char) in text.char_indices() {
        let end = at + char.len_utf8();
        let Some(digit) = digit(char) else {
            // What makes a keycap of a digit goes with it.
            let last = groups.last_mut().filter(|last| last.span.end == at);
            if let Some(last) = last.filter(|_| matches!(char, '\u{fe0f}' | '\u{20e3}')) {
                last.span.end = end;
            }
            continue;
        };
        match groups.last_mut() {
            Some(last) if text[last.span.end..at].chars().all(is_invisible) => {
                last.span.end = end;
                last.digits.push(digit);
            }
            _ => groups.push(Group { span: at..end, digits: vec![digit] }),
        }
    }
    groups
}

/// What a reader sees between two groups that follow each other.
pub(super) fn between(text: &str, first: &Group, second: &Group) -> Vec<char> {
    let between = text[first.span.end..second.span.start].chars();
    between.filter(|char| !is_invisible(*char)).collect()
}

pub(super) fn digit(char: char) -> Option<u8> {
    let zero = ZEROS.iter().rev().find(|zero| **zero <= u32::from(char))?;
    u8::try_from(u32::from(char) - zero).ok().filter(|digit| *digit < 10)
}

/// A space that does not end a line or a table's column.
pub(super) fn is_space(char: char) -> bool {
    let is_break = matches!(char, '\t'..='\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
    char.is_whitespace() && !is_break
}

pub(super) fn is_dash(char: char) -> bool {
    matches!(
        char,
        '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}'
    )
}

/// What takes no room: soft hyphens, joiners, marks of direction, and what makes a digit a keycap.
pub(super) fn is_invisible(char: char) -> bool {
    matches!(
        char,
        '\u{ad}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{2069}'
            | '\u{20e3}'
            | '\u{fe0f}'
            | '\u{feff}'
    )
}
