//! Takes e-mail addresses, card numbers and phone numbers out of a text.
//!
//! Each one is replaced by a word for its kind; everything else stays as it is, byte for byte. It goes by
//! form alone: names, postal addresses and account numbers stay. Where a form is ambiguous, the words
//! before a number decide ([`phone`]).

mod card;
mod digits;
mod email;
mod iban;
mod phone;
#[cfg(test)]
mod tests;

use std::ops::Range;

/// The text with `<email>`, `<card>` and `<phone>` for what was there.
pub(crate) fn redact(text: &str) -> String {
    // An address may have digits in it, and a card's digits may look like those of a phone.
    let text = replaced(text, &email::find(text), "<email>");
    let text = replaced(&text, &outside_of_accounts(&text, card::find(&text)), "<card>");
    replaced(&text, &outside_of_accounts(&text, phone::find(&text)), "<phone>")
}

/// The spans that share nothing with the number of an account.
fn outside_of_accounts(text: &str, mut spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let accounts = iban::find(text);
    let is_of = |span: &Range<usize>, account: &Range<usize>| {
        span.start < account.end && account.start < span.end
    };
    spans.retain(|span| !accounts.iter().any(|account| is_of(span, account)));
    spans
}

/// The text with `word` in the place of each span. Spans are in order and do not overlap.
fn replaced(text: &str, spans: &[Range<usize>], word: &str) -> String {
    let mut said = String::with_capacity(text.len());
    let mut end = 0;
    for span in spans {
        said += &text[end..span.start];
        said += word;
        end = span.end;
    }
    said + &text[end..]
}
