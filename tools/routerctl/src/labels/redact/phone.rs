//! Phone numbers, in international and national spellings.
//!
//! A plus, a leading zero, an area code in parentheses or a national grouping tells a phone number. What
//! could as well be another number, such as `612 345 678`, is one after a word such as `phone`; after `#`
//! or a word such as `order` it is none. Dates and amounts are none either. When in doubt a text loses a
//! number rather than that a person's number stays.

mod context;

use std::ops::Range;

use self::context::{Context, is_money, is_part_of_a_word};
use super::digits::{Group, between, groups, is_dash, is_invisible, is_space};

/// The digits that an international number has at most, after the plus (ITU-T E.164).
const MAX_DIGITS: usize = 15;

/// Where phone numbers stand.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let groups = groups(text);
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut first = 0;
    while first < groups.len() {
        if is_date(text, &groups, first) {
            first += 3;
        } else if let Some(count) = hours(text, &groups, first) {
            first += count;
        } else if let Some((start, more)) = Run::of(text, &groups, first).phone(found.last()) {
            found.push(start..groups[first + more].span.end);
            first += more + 1;
        } else {
            first += 1;
        }
    }
    found
}

/// Groups that may belong to one number.
struct Run<'a> {
    text: &'a str,
    groups: &'a [Group],
    /// Whether a plus or a word for a phone stands before them.
    is_sure: bool,
}

impl<'a> Run<'a> {
    /// The longest one that begins with a group.
    fn of(text: &'a str, groups: &'a [Group], first: usize) -> Self {
        let belongs = |next: &usize| {
            is_separator(&between(text, &groups[next - 1], &groups[*next]))
                && !is_date(text, groups, *next)
        };
        let more = (first + 1..groups.len()).take_while(belongs).count();
        Self { text, groups: &groups[first..=first + more], is_sure: false }
    }

    /// Where a phone number begins that has the first group, and how many more groups it has.
    fn phone(&mut self, last: Option<&Range<usize>>) -> Option<(usize, usize)> {
        let first = self.groups[0].span.start;
        let seen = self.text[..first].trim_end_matches(is_invisible);
        if let Some(plus) = plus(seen) {
            self.is_sure = true;
            let is_apart = seen.ends_with(is_space);
            let min = if is_apart { 9 } else { 8 };
            let more = self.window(MAX_DIGITS, min).filter(|_| self.digit(0) != Some(0));
            return more.map(|more| (self.with_parenthesis(plus, more), more));
        }
        let start = if seen.ends_with(['(', '\u{ff08}']) { self.before(1) } else { first };
        let context = Context::of(&self.text[..start]);
        self.is_sure = context == Context::Phone;
        let is_none = context == Context::Reference && !self.has_area_code(start < first);
        if is_none || is_money(&self.text[..start], "") {
            return None;
        }
        // What a separator joins to a phone number is another one, such as `0171 2345678/0172 7654322`.
        let goes_on = last.is_some_and(|last| {
            is_separator(&self.text[last.end..first].chars().collect::<Vec<char>>())
        });
        if context != Context::Phone && !goes_on && is_part_of_a_word(&self.text[..start]) {
            return None;
        }
        let more = match context {
            Context::Phone => self.window(MAX_DIGITS, 7),
            _ => self.national(start < first),
        };
        more.map(|more| (self.with_parenthesis(first, more), more))
    }

    fn national(&self, is_in_parentheses: bool) -> Option<usize> {
        let lens: Vec<usize> = self.groups.iter().map(Group::len).take(4).collect();
        let digits = |range: Range<usize>| range.map(|place| self.digit(place));
        let zeros = digits(0..3).take_while(|digit| *digit == Some(0)).count();
        match (zeros, lens.as_slice()) {
            // An order of a marketplace, such as `028-1234567-1234569`.
            (_, [3, 7, 7]) if self.is_dashed(1) && self.is_dashed(2) => None,
            (2, _) => self.window(2 + MAX_DIGITS, 10),
            // `0.12345678` is a decimal number.
            (1, [1, ..]) if self.separator(1).contains(&'.') => None,
            (1, [8]) if is_compact_date(&self.groups[0]) => None,
            // Pairs are a French number, which has five, or days with months.
            (1, _) => self.window(14, 8).filter(|more| *more > 3 || !self.are_pairs(*more)),
            (0, [1..=5, ..]) if is_in_parentheses && self.separator(1).contains(&')') => {
                self.window(13, 9)
            }
            (0, [1, ..]) if self.separator(1).contains(&'(') => self.window(11, 11),
            (0, [3, 3, 4, ..]) => self.fixed(2),
            (0, [3, 7]) if self.is_dashed(1) && self.is_american(0) => self.fixed(1),
            (0, [1, 3, 3, 2]) if self.is_russian() => self.fixed(4),
            (0, [1, 3, 3, 4]) if self.digit(0) == Some(1) => self.fixed(3),
            // With spaces, as with dots, these could be thousands.
            (0, [3, 3, 3]) if self.is_dashed(1) && self.is_dashed(2) => self.fixed(2),
            (0, [5, 5]) if self.digit(0).is_some_and(|digit| digit > 5) => self.fixed(1),
            (0, [3, 4, 4, ..]) if self.is_chinese_mobile() => self.fixed(2),
            (0, [10, ..]) if self.is_american(0) => self.fixed(0),
            (0, [11, ..]) if self.is_chinese_mobile() => self.fixed(0),
            (0, [11, ..]) if self.digit(0) == Some(1) && self.is_american(1) => self.fixed(0),
            _ => None,
        }
    }

    /// How many groups follow the first one in a number of `min` to `max` digits.
    fn window(&self, max: usize, min: usize) -> Option<usize> {
        let mut digits = self.groups[0].len();
        let mut more = 0;
        while let Some(next) = self.groups.get(more + 1) {
            let rest: usize = self.groups[more + 1..].iter().map(Group::len).sum();
            let begins = next.digits[0] == 0 || self.separator(more + 1).contains(&'(');
            let begins_another = digits >= 8 && rest >= 8 && begins;
            let ends = digits >= 8 && matches!(self.separator(more + 1)[..], ['.', ' ']);
            if digits + next.len() > max || begins_another || ends {
                break;
            }
            digits += next.len();
            more += 1;
        }
        // The last numbers may be amounts, or have a unit.
        while more > 0 && self.is_something_else(more) {
            digits -= self.groups[more].len();
            more -= 1;
        }
        let fits = (min..=max).contains(&digits) && !self.is_something_else(more);
        fits.then_some(more)
    }

    fn fixed(&self, more: usize) -> Option<usize> {
        (!self.is_something_else(more)).then_some(more)
    }

    /// Whether what follows a group makes it an amount or a part of a word. `x` begins an extension,
    /// and a longer word may only lack its space.
    fn is_something_else(&self, more: usize) -> bool {
        let after = &self.text[self.groups[more].span.end..];
        let is_letter = |char: char| char.is_lowercase() || char.is_uppercase();
        let rest = after.trim_start_matches(is_letter);
        let word = after[..after.len() - rest.len()].to_lowercase();
        if is_money("", after) || is_unit(&word) {
            return true;
        }
        let is_word = word.chars().count() > 3 && !rest.starts_with(char::is_numeric);
        !word.is_empty() && !word.starts_with('x') && !self.is_sure && !is_word
    }

    /// The parenthesis that the number closes belongs to it.
    fn with_parenthesis(&self, start: usize, more: usize) -> usize {
        let number = &self.text[start..self.groups[more].span.end];
        let count = |wanted: char| number.chars().filter(|char| narrow(*char) == wanted).count();
        let before = self.text[..start].char_indices().next_back();
        match before {
            Some((at, char)) if narrow(char) == '(' && count(')') > count('(') => at,
            _ => start,
        }
    }

    /// Where so many characters before the first group begin, without what takes no room.
    fn before(&self, chars: usize) -> usize {
        let before = self.text[..self.groups[0].span.start].char_indices().rev();
        let seen = before.filter(|(_, char)| !is_invisible(*char));
        seen.take(chars).last().map_or(0, |(at, _)| at)
    }

    /// What stands before a group.
    fn separator(&self, group: usize) -> Vec<char> {
        let groups = (self.groups.get(group.wrapping_sub(1)), self.groups.get(group));
        let (Some(first), Some(second)) = groups else { return Vec::new() };
        let between = between(self.text, first, second).into_iter();
        between.map(|char| if is_dot(char) { '.' } else { narrow(char) }).collect()
    }

    fn digit(&self, place: usize) -> Option<u8> {
        self.groups.iter().flat_map(|group| &group.digits).nth(place).copied()
    }

    fn are_pairs(&self, more: usize) -> bool {
        self.groups[..=more].iter().all(|group| group.len() == 2)
    }

    /// Whether it is written as `(415) 555-2671`, which is a phone number whatever stands before it.
    fn has_area_code(&self, is_in_parentheses: bool) -> bool {
        let lens: Vec<usize> = self.groups.iter().map(Group::len).take(3).collect();
        is_in_parentheses && lens == [3, 3, 4] && self.separator(1).contains(&')')
    }

    fn is_dashed(&self, group: usize) -> bool {
        matches!(self.separator(group)[..], [dash] if is_dash(dash))
    }

    /// Neither an area code nor an exchange begins with 0 or 1.
    fn is_american(&self, from: usize) -> bool {
        let is_high = |place| self.digit(place).is_some_and(|digit| digit > 1);
        is_high(from) && is_high(from + 3)
    }

    /// `8 912 345 67 89`
    fn is_russian(&self) -> bool {
        self.digit(0) == Some(8) && self.groups.get(4).is_some_and(|group| group.len() == 2)
    }

    fn is_chinese_mobile(&self) -> bool {
        self.digit(0) == Some(1) && self.digit(1).is_some_and(|digit| digit > 2)
    }
}

/// Where a plus stands that the text ends with, but for parentheses and spaces. One after a digit adds.
fn plus(text: &str) -> Option<usize> {
    let text = text.trim_end_matches(['(', '\u{ff08}']).trim_end_matches(is_space);
    let text = text.trim_end_matches(is_invisible);
    let before = text.strip_suffix(['+', '\u{ff0b}', '\u{207a}'])?;
    let adds = before.chars().next_back().is_some_and(char::is_numeric);
    (!adds).then_some(before.len())
}

fn is_unit(word: &str) -> bool {
    const UNITS: &str = "\
        kg g mg lb lbs oz km m cm mm ft l ml gb mb kb tb kw kwh w v mah hz mhz h min s sec ms pcs stk";
    UNITS.split(' ').any(|unit| unit == word)
}

fn is_separator(between: &[char]) -> bool {
    let is_allowed = |char: &char| {
        let char = narrow(*char);
        is_space(char) || is_dash(char) || is_dot(char) || matches!(char, '/' | '(' | ')')
    };
    (1..=3).contains(&between.len()) && between.iter().all(is_allowed)
}

fn narrow(char: char) -> char {
    match char {
        '\u{ff08}' => '(',
        '\u{ff09}' => ')',
        '\u{ff0f}' => '/',
        _ => char,
    }
}

fn is_dot(char: char) -> bool {
    matches!(char, '.' | '\u{b7}' | '\u{2022}' | '\u{2027}' | '\u{ff0e}')
}

/// Whether three groups are a day, a month and a year, in any order that is in use.
fn is_date(text: &str, groups: &[Group], at: usize) -> bool {
    let [first, second, third, rest @ ..] = &groups[at..] else { return false };
    let joined = |left: &Group, right: &Group| -> Option<char> {
        let between = between(text, left, right);
        let signs: Vec<char> = between.iter().copied().filter(|char| !is_space(*char)).collect();
        match signs[..] {
            [] if between == [' '] => Some(' '),
            [sign @ ('.' | '/')] => Some(sign),
            [sign] if is_dash(sign) => Some('-'),
            _ => None,
        }
    };
    let Some(sign) = joined(first, second) else { return false };
    if joined(second, third) != Some(sign) {
        return false;
    }
    let day_and_month = |one: &Group, other: &Group| match (one.value(), other.value()) {
        (Some(one), Some(other)) => is_day_and_month(one, other),
        _ => false,
    };
    match [first.len(), second.len(), third.len()] {
        [1..=2, 1..=2, 4] => is_year(third) && day_and_month(first, second),
        [4, 1..=2, 1..=2] if sign != ' ' => is_year(first) && day_and_month(second, third),
        // Five pairs are a French phone number.
        [2, 2, 2] if sign != ' ' => {
            let before = at.checked_sub(1).and_then(|before| joined(&groups[before], first));
            let after = rest.first().and_then(|next| joined(third, next));
            ![before, after].contains(&Some(sign)) && day_and_month(first, second)
        }
        _ => false,
    }
}

/// How many groups opening hours have that begin with a group: `0900-1700`, `14.00-16.00`. After a word
/// for a phone only those with dots are hours.
fn hours(text: &str, groups: &[Group], at: usize) -> Option<usize> {
    let groups = &groups[at..];
    let lens: Vec<usize> = groups.iter().map(Group::len).take(5).collect();
    let joint = |place: usize| between(text, &groups[place - 1], &groups[place]);
    let is_dashed = |place: usize| matches!(joint(place)[..], [dash] if is_dash(dash));
    let is_time = |hour: u32, minute: u32| hour <= 24 && minute < 60 && minute.is_multiple_of(5);
    let value = |place: usize| groups[place].value().unwrap_or(u32::MAX);
    match lens[..] {
        [4, 4, ..] if is_dashed(1) => {
            let is_alone = groups.len() == 2 || !is_separator(&joint(2));
            let are_times = [0, 1].iter().all(|at| is_time(value(*at) / 100, value(*at) % 100));
            let before = &text[..groups[0].span.start];
            (is_alone && are_times && Context::of(before) != Context::Phone).then_some(2)
        }
        [2, 2, 2, 2, ..] if joint(1) == ['.'] && is_dashed(2) && joint(3) == ['.'] => {
            let are_times = is_time(value(0), value(1)) && is_time(value(2), value(3));
            are_times.then_some(4)
        }
        _ => None,
    }
}

/// `27112026`
fn is_compact_date(group: &Group) -> bool {
    let Some(value) = group.value() else { return false };
    is_day_and_month(value / 1_000_000, value / 10_000 % 100)
        && (1900..2100).contains(&(value % 10_000))
}

fn is_year(group: &Group) -> bool {
    group.value().is_some_and(|year| (1900..2100).contains(&year))
}

fn is_day_and_month(one: u32, other: u32) -> bool {
    let (small, large) = (one.min(other), one.max(other));
    (1..=12).contains(&small) && (1..=31).contains(&large)
}
