//! E-mail addresses, also with letters of any script, with `(at)` and `(dot)`, with an encoded sign, and
//! with a space or a comma that slipped in.

use std::ops::Range;

use super::digits::{is_invisible, is_space};

/// Last labels that tell a domain with a slip in it from words.
const TOP_LEVEL: &str = "\
    com net org info biz edu gov io co me eu de at ch li fr it es pt nl be lu uk ie us ca mx br ar au nz \
    in jp cn kr sg hk tw ru ua pl cz sk hu ro bg gr tr se no dk fi is ee lv lt hr si rs za il ae app dev \
    example test online shop";

/// What stands for `@` where characters are encoded.
const ENCODED: [&str; 5] = ["%2540", "%40", "&#64;", "&#x40;", "&commat;"];

/// What stands for a dot there.
const ENCODED_DOTS: [&str; 2] = ["%252E", "%2E"];

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
        if sign.needs_known && !ends_with_known(&chars[sign.end..end]) {
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
    /// Whether only a domain with a known last label makes it one: `anna @gmail.com`, but not a name
    /// such as `@anna.berg`.
    needs_known: bool,
}

fn sign(chars: &[char], at: usize) -> Option<Sign> {
    if let Some(len) = encoded(&chars[at..], &ENCODED) {
        return Some(Sign { start: at, end: at + len, may_stand_apart: false, needs_known: false });
    }
    let signs = chars[at..].iter().take_while(|char| is_sign(**char)).count();
    if signs > 0 {
        let is_after_space = at > 0 && is_space(chars[at - 1]);
        let end = at + signs;
        let is_before_space = chars.get(end).is_some_and(|char| is_space(*char));
        return Some(Sign {
            start: at,
            end,
            may_stand_apart: is_after_space || is_before_space,
            needs_known: is_after_space != is_before_space,
        });
    }
    if let Some(len) = bracketed(&chars[at..], "at") {
        return Some(Sign { start: at, end: at + len, may_stand_apart: true, needs_known: false });
    }
    let end = at + spoken(&chars[at..], &["at", "ät"])?;
    // Only a domain whose dot is spoken too makes a sign of the word.
    let label = chars[end..].iter().take_while(|char| is_letter_or_digit(**char)).count();
    spoken(&chars[end + label..], &DOTS)?;
    Some(Sign { start: at, end, may_stand_apart: false, needs_known: true })
}

const DOTS: [&str; 3] = ["dot", "punkt", "point"];

fn is_sign(char: char) -> bool {
    matches!(char, '@' | '\u{ff20}' | '\u{fe6b}')
}

/// How long an encoded sign is that stands at the beginning.
fn encoded(chars: &[char], signs: &[&str]) -> Option<usize> {
    let is_at = |sign: &&&str| {
        chars.len() >= sign.len()
            && chars.iter().zip(sign.chars()).all(|(one, other)| one.eq_ignore_ascii_case(&other))
    };
    signs.iter().find(is_at).map(|sign| sign.len())
}

/// How long a word with a space on both sides is, with the spaces.
fn spoken(chars: &[char], words: &[&str]) -> Option<usize> {
    let (_, rest) = chars.split_first().filter(|(space, _)| is_space(**space))?;
    let len = rest.iter().take(8).position(|char| is_space(*char))?;
    let word = rest[..len].iter().collect::<String>().to_lowercase();
    words.contains(&word.as_str()).then_some(len + 2)
}

/// Whether the last label is one that many domains have.
fn ends_with_known(domain: &[char]) -> bool {
    let label: Vec<char> =
        domain.iter().rev().take_while(|char| is_letter_or_digit(**char)).copied().collect();
    is_known(&label.into_iter().rev().collect::<Vec<char>>())
}

fn is_known(label: &[char]) -> bool {
    let label = label.iter().collect::<String>().to_lowercase();
    TOP_LEVEL.split(' ').any(|known| known == label)
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
    let sign = if word == "dot" { "." } else { "@" };
    let is_word = inner.trim().eq_ignore_ascii_case(word) || inner.trim() == sign;
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
        } else if let Some(len) = dot(&chars[at..], labels).filter(|_| !label.is_empty()) {
            at += len;
            labels += 1;
            label.clear();
        } else {
            return end;
        }
    }
}

/// How long what stands for a dot after so many others is.
fn dot(chars: &[char], dots: usize) -> Option<usize> {
    if let Some(len) = spoken(chars, &DOTS).or_else(|| slip(chars).filter(|_| dots == 0)) {
        return Some(len);
    }
    let spaces = chars.iter().take(1).filter(|char| is_space(**char)).count();
    match chars.get(spaces)? {
        '.' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}' if spaces == 0 => Some(1),
        '%' if spaces == 0 => encoded(chars, &ENCODED_DOTS),
        _ => {
            let word = spaces + bracketed(&chars[spaces..], "dot")?;
            let after = chars[word..].iter().take(1).filter(|char| is_space(**char)).count();
            Some(word + after)
        }
    }
}

/// How long a comma for a dot is, or a dot with a space beside it, where a known last label follows.
fn slip(chars: &[char]) -> Option<usize> {
    let len = match chars {
        [space, '.', ..] if is_space(*space) => 2,
        ['.', space, ..] if is_space(*space) => 2,
        [',', ..] => 1,
        _ => return None,
    };
    let label = chars[len..].iter().take_while(|char| is_letter_or_digit(**char)).count();
    is_known(&chars[len..len + label]).then_some(len)
}

fn is_local(char: char) -> bool {
    is_letter_or_digit(char) || "._%+-&~'!$^".contains(char)
}

/// Accents that stand by themselves belong to their letter.
fn is_letter_or_digit(char: char) -> bool {
    char.is_alphanumeric() || matches!(char, '\u{300}'..='\u{36f}') || is_invisible(char)
}
