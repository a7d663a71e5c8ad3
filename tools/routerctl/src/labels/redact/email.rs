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
        let Some(end) = domain_end(&chars, &sign) else { continue };
        if sign.needs_known_end && !is_common_end(&chars[sign.end..end]) {
            continue;
        }
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
    /// Whether spaces may be around it.
    may_stand_apart: bool,
    /// Whether it is a word, after which dots are words, too.
    is_spoken: bool,
    /// Whether it could as well begin a name, as in `ask @anna.berg`.
    needs_known_end: bool,
}

/// The last labels of most addresses.
const COMMON_ENDS: &str = "\
    at au be br ca ch cn co com cz de dk es eu fi fr ie in info io it jp me net nl no org pl pt ru se uk us";

fn sign(chars: &[char], at: usize) -> Option<Sign> {
    let space_at =
        |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(|c| is_space(*c));
    let before = space_at(at.checked_sub(1));
    let plain = |len: usize| {
        let (end, after) = (at + len, space_at(Some(at + len)));
        let (may_stand_apart, needs_known_end) = (before || after, before && !after);
        Sign { start: at, end, may_stand_apart, is_spoken: false, needs_known_end }
    };
    let is_sign = |char: &&char| matches!(char, '@' | '\u{ff20}' | '\u{fe6b}');
    let signs = chars[at..].iter().take_while(is_sign).count();
    if signs > 0 {
        return Some(plain(signs));
    }
    // As links and pages have it.
    let begins = |word: &str| word.chars().enumerate().all(|(n, c)| chars.get(at + n) == Some(&c));
    if let Some(coded) = ["%40", "&#64;"].into_iter().find(|coded| begins(coded)) {
        return Some(plain(coded.len()));
    }
    let (len, is_spoken) = match bracketed(&chars[at..], "at") {
        Some(len) => (len, false),
        None => (spoken(chars, at, "at")?, true),
    };
    let (end, may_stand_apart) = (at + len, true);
    Some(Sign { start: at, end, may_stand_apart, is_spoken, needs_known_end: is_spoken })
}

/// How long a word is that stands between spaces.
fn spoken(chars: &[char], at: usize, word: &str) -> Option<usize> {
    let is_it = word.chars().enumerate().all(|(place, letter)| {
        chars.get(at + place).is_some_and(|char| char.eq_ignore_ascii_case(&letter))
    });
    let stands = at > 0
        && is_space(chars[at - 1])
        && chars.get(at + word.len()).is_some_and(|char| is_space(*char));
    (is_it && stands).then_some(word.len())
}

/// Whether a domain has at least two labels, the last of which most addresses have.
fn is_common_end(domain: &[char]) -> bool {
    let last = domain.iter().rev().take_while(|char| char.is_alphabetic()).count();
    let end: String = domain[domain.len() - last..].iter().collect();
    COMMON_ENDS.split(' ').any(|common| end.eq_ignore_ascii_case(common))
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
fn domain_end(chars: &[char], sign: &Sign) -> Option<usize> {
    let sign_end = sign.end;
    let is_apart = sign.may_stand_apart && chars.get(sign_end).is_some_and(|char| is_space(*char));
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
        } else if let Some(len) = dot(chars, at, sign.is_spoken).filter(|_| !label.is_empty()) {
            at += len;
            labels += 1;
            label.clear();
        } else {
            return end;
        }
    }
}

/// How long what stands for a dot is.
fn dot(chars: &[char], at: usize, is_spoken: bool) -> Option<usize> {
    let rest = &chars[at..];
    let spaces = rest.iter().take(1).filter(|char| is_space(**char)).count();
    let ends = |from: usize| {
        let len = rest[from..].iter().take_while(|char| char.is_alphabetic()).count();
        is_common_end(&rest[from..from + len])
    };
    match rest.get(spaces)? {
        // `anna at home.` is no address, so that after a word a word has to follow.
        '.' | ',' if is_spoken => None,
        '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}' if spaces == 0 => Some(1),
        // Mistyped: `example .com`, `example,com`.
        '.' if ends(2) => Some(2),
        ',' if spaces == 0 && ends(1) => Some(1),
        _ => {
            let word = match bracketed(&rest[spaces..], "dot") {
                Some(len) => len,
                None if is_spoken => spoken(chars, at + spaces, "dot")?,
                None => return None,
            };
            let word = spaces + word;
            let after = rest[word..].iter().take(1).filter(|char| is_space(**char)).count();
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
