//! E-mail addresses, also with letters of any script, and with `(at)` and `(dot)`.

use std::ops::Range;

use super::digits::{is_invisible, is_space};

/// Where e-mail addresses stand.
pub(super) fn find(text: &str) -> Vec<Range<usize>> {
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let byte = |index: usize| chars.get(index).map_or(text.len(), |(byte, _)| *byte);
    let chars: Vec<char> = chars.iter().map(|(_, char)| *char).collect();
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let Some(sign) = sign(&chars, at) else {
            at += 1;
            continue;
        };
        at = sign.end;
        let Some(start) = local_start(&chars[..sign.start], sign.may_stand_apart) else { continue };
        let Some(end) = domain_end(&chars, sign.end, sign.may_stand_apart) else { continue };
        at = end;
        let span = byte(start)..byte(end);
        if found.last().is_none_or(|last| last.end <= span.start) {
            found.push(span);
        }
    }
    found
}

/// What stands for `@`.
struct Sign {
    start: usize,
    end: usize,
    /// Whether spaces may be around it: around a plain sign only on both sides, as in `a @ b.de`.
    may_stand_apart: bool,
}

fn sign(chars: &[char], at: usize) -> Option<Sign> {
    if matches!(chars[at], '@' | '\u{ff20}' | '\u{fe6b}') {
        let is_apart = at > 0
            && is_space(chars[at - 1])
            && chars.get(at + 1).is_some_and(|char| is_space(*char));
        return Some(Sign { start: at, end: at + 1, may_stand_apart: is_apart });
    }
    let len = bracketed(&chars[at..], "at")?;
    Some(Sign { start: at, end: at + len, may_stand_apart: true })
}

/// How long a bracketed word is that stands at the beginning: `(at)`, `[ AT ]`, `{dot}`.
fn bracketed(chars: &[char], word: &str) -> Option<usize> {
    let close = match chars.first()? {
        '(' => ')',
        '[' => ']',
        '{' => '}',
        _ => return None,
    };
    let end = chars.iter().take(word.len() + 4).position(|char| *char == close)?;
    let inner: String = chars[1..end].iter().collect();
    let is_word = inner.trim().eq_ignore_ascii_case(word) || (word == "dot" && inner.trim() == ".");
    is_word.then_some(end + 1)
}

fn local_start(before: &[char], may_stand_apart: bool) -> Option<usize> {
    let is_apart = may_stand_apart && before.last().is_some_and(|char| is_space(*char));
    let end = if is_apart { before.len() - 1 } else { before.len() };
    let before = &before[..end];
    if before.last() == Some(&'"') {
        // Such as "anna berg"@example.com.
        let quoted = before[..end - 1].iter().rev().take(64).position(|char| *char == '"')?;
        return Some(end - 2 - quoted);
    }
    let len = before.iter().rev().take_while(|char| is_local(**char)).count();
    // What stands around an address, such as a quote, is none of it.
    let begins = |char: char| is_letter_or_digit(char) || matches!(char, '_' | '+');
    (end - len..end).find(|index| begins(before[*index]))
}

/// The end of a domain with at least two labels, or of an address in brackets.
fn domain_end(chars: &[char], sign_end: usize, may_stand_apart: bool) -> Option<usize> {
    let is_apart = may_stand_apart && chars.get(sign_end).is_some_and(|char| is_space(*char));
    let start = if is_apart { sign_end + 1 } else { sign_end };
    if chars.get(start) == Some(&'[') {
        let is_address = |char: &char| char.is_ascii_hexdigit() || "IPv:.".contains(*char);
        let len = chars[start + 1..].iter().take_while(|char| is_address(char)).count();
        let close = start + 1 + len;
        return (len > 6 && chars.get(close) == Some(&']')).then_some(close + 1);
    }
    let (mut at, mut label, mut labels, mut end) = (start, String::new(), 0, None);
    loop {
        let char = chars.get(at).copied();
        if let Some(char) = char.filter(|char| is_letter_or_digit(*char) || *char == '-') {
            label.push(char);
            at += 1;
            // A domain's last label is letters; the numbers of a version are no domain.
            let is_last = label.chars().filter(|char| char.is_alphabetic()).count() > 1;
            if labels > 0 && is_last && char != '-' {
                end = Some(at);
            }
        } else if let Some(len) = dot(&chars[at..]).filter(|_| !label.is_empty()) {
            at += len;
            labels += 1;
            label.clear();
        } else {
            return end;
        }
    }
}

/// How long what stands for a dot is.
fn dot(chars: &[char]) -> Option<usize> {
    let spaces = chars.iter().take(1).filter(|char| is_space(**char)).count();
    match chars.get(spaces)? {
        '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}' if spaces == 0 => Some(1),
        _ => {
            let word = spaces + bracketed(&chars[spaces..], "dot")?;
            let after = chars[word..].iter().take(1).filter(|char| is_space(**char)).count();
            Some(word + after)
        }
    }
}

fn is_local(char: char) -> bool {
    is_letter_or_digit(char) || "._%+-&~'!$^".contains(char)
}

/// Accents that stand by themselves belong to their letter.
fn is_letter_or_digit(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '\u{300}'..='\u{36f}') || is_invisible(char)
}
