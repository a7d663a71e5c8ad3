//! What the words around a number say of it.

use super::super::digits::{digit, is_dash, is_invisible, is_space};

/// So many characters before a number are looked at.
const LOOK_BACK: usize = 60;

/// So many words before a number may say what it is.
const WORDS: usize = 4;

/// Words that a phone number follows.
const PHONE: &str = "\
    call callback called calling calls cell cellphone celular contact dial erreichbar fax fon handy \
    hotline mobil mobile movil móvil natel ph phone phones portable reach ring sms tel telno telnr tlf \
    tél wa whatsapp wsp";

/// How words begin that a phone number follows.
const PHONE_STEMS: &str = "phonen telef telep téléph teléf handyn mobiln rufn anruf тел";

/// Words that another number follows.
const REFERENCE: &str = "\
    account ean gtin iban id imei invoice isbn item order orders parcel po ref reference serial shipment \
    sku ticket tracking upc article version";

/// How words begin that another number follows.
const REFERENCE_STEMS: &str = "\
    artikel auftrag bestell commande factur fattura konto kundenn ordine pedido rechnung sendung";

/// Words that another number follows if a word such as `number` stands between.
const NUMBERED: &str = "\
    booking confirmation case customer claim transaction receipt package contract reservation delivery \
    policy vertrag buchung vorgang kunde paket beleg";

/// A number is a person's after these words: `my number`.
const NUMBER: &str = "number nummer numero número numéro num nr no n";
const PERSONS: &str = "my our your his her their meine unsere deine mi mon mio";

/// Words that may stand between a word of a reference and its number: `order number is`.
const FILLERS: &str = "\
    number numbers nummer nummern numero número numéro num no nr n id ids code is are was ist sind war \
    lautet es est";

/// The same in scripts that put no spaces between words.
const PHONE_PARTS: &str = "电话 手机 電話 携帯 전화";
const REFERENCE_PARTS: &str = "订单 訂單 注文 주문";

/// What a number is by the words before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Context {
    Phone,
    /// The number of an order, an account or something else that is no phone.
    Reference,
    Unknown,
}

impl Context {
    /// By the nearest word that says something, before the number. A word of a reference speaks of the
    /// first number after it only, and only if nothing but [`FILLERS`] stands between.
    pub(super) fn of(before: &str) -> Self {
        let before = before.trim_end_matches(|char| is_space(char) || is_invisible(char));
        if before.ends_with(['#', '\u{ff03}', '\u{2116}', '\u{b0}', '\u{ba}']) {
            return Self::Reference;
        }
        let mut word = String::new();
        let (mut words, mut has_digits, mut follows, mut after) = (0, false, None, [None; 2]);
        let mut said = Self::Unknown;
        let (mut is_number, mut is_id, mut is_apart) = (false, false, false);
        let chars = before.chars().rev().filter(|char| !is_invisible(*char));
        for char in chars.chain([' ']).take(LOOK_BACK) {
            if char.is_alphabetic() || matches!(char, '\u{300}'..='\u{36f}') {
                word.insert(0, char);
                continue;
            }
            if !word.is_empty() {
                let lower = word.to_lowercase();
                if is_number && is_one_of(PERSONS, &lower) {
                    return Self::Phone;
                }
                if (is_number || is_id) && !has_digits && !is_apart && is_one_of(NUMBERED, &lower) {
                    return Self::Reference;
                }
                is_number = is_one_of(NUMBER, &lower);
                is_id = lower == "id";
                is_apart |= ends_a_sentence(&lower, after);
                match Self::of_word(&lower) {
                    Self::Phone => return Self::Phone,
                    Self::Reference if !has_digits && !is_apart => return Self::Reference,
                    Self::Reference => return said,
                    Self::Unknown
                        if !has_digits && !is_apart && is_number_sign(&lower, follows) =>
                    {
                        said = Self::Reference;
                    }
                    Self::Unknown => {}
                }
                is_apart |= !is_one_of(FILLERS, &lower);
                words += 1;
                word.clear();
            }
            if words == WORDS {
                break;
            }
            has_digits |= digit(char).is_some();
            is_apart |= ends_a_clause(char);
            after = [Some(char), follows];
            follows = Some(char);
        }
        said
    }

    fn of_word(word: &str) -> Self {
        let begins = |stems: &str| stems.split(' ').any(|stem| word.starts_with(stem));
        let has = |parts: &str| parts.split(' ').any(|part| word.contains(part));
        if is_one_of(PHONE, word) || begins(PHONE_STEMS) || has(PHONE_PARTS) {
            Self::Phone
        } else if is_one_of(REFERENCE, word)
            || begins(REFERENCE_STEMS)
            || has(REFERENCE_PARTS)
            || word.strip_suffix("nummer").is_some_and(|kind| !kind.is_empty())
        {
            Self::Reference
        } else {
            Self::Unknown
        }
    }
}

fn is_one_of(words: &str, word: &str) -> bool {
    words.split(' ').any(|one| one == word)
}

/// Whether a word says that a number comes, of which the word before it may say more: `Nr.`, `No.`. An
/// English `no` without its dot is an answer.
fn is_number_sign(word: &str, follows: Option<char>) -> bool {
    ["n", "nr", "num"].contains(&word) || (word == "no" && follows == Some('.'))
}

/// Whether what was said before does not speak of what comes after.
fn ends_a_clause(char: char) -> bool {
    let is_break = char.is_whitespace() && !is_space(char);
    is_break || matches!(char, '?' | '!' | ',' | ';' | '。' | '！' | '？' | '，' | '、' | '…')
}

/// Whether a full stop and a space follow a word that they do not abbreviate.
fn ends_a_sentence(word: &str, after: [Option<char>; 2]) -> bool {
    let is_abbreviated = is_one_of("nr no num n ref po art acc kd", word);
    let is_space_or_none = after[1].is_none_or(char::is_whitespace);
    after[0] == Some('.') && is_space_or_none && !is_abbreviated
}

/// Whether a number goes on a word or a longer number: `A0301234567`, `INV-0301234567`, `4711-0301234567`.
pub(super) fn is_part_of_a_word(before: &str) -> bool {
    let is_letter = |char: char| char.is_lowercase() || char.is_uppercase();
    let mut before = before.chars().rev().filter(|char| !is_invisible(*char));
    let Some(last) = before.next() else { return false };
    match last {
        '/' => {
            before.next().is_some_and(|char| is_letter(char) || char.is_numeric() || char == '/')
        }
        '.' => before.next().is_some_and(char::is_numeric),
        joint if joint == '_' || is_dash(joint) => {
            before.next().is_some_and(|char| is_letter(char) || char.is_numeric())
        }
        other => is_letter(other) || other.is_numeric(),
    }
}

/// Whether a currency or a percent sign stands directly before or after a number.
pub(super) fn is_money(before: &str, after: &str) -> bool {
    const CODES: &str = "\
        usd eur gbp chf jpy cny inr cad aud pln sek nok dkk euro euros dollar dollars \
        pounds yen rs";
    let is_wide = |char: char| matches!(char, '\u{ff04}' | '\u{ffe1}' | '\u{ffe5}');
    let is_narrow = |char: char| matches!(char, '$' | '%' | '¢'..='¥' | '\u{20a0}'..='\u{20cf}');
    let is_sign = |char: char| is_narrow(char) || is_wide(char);
    let is_not_seen = |char: char| is_space(char) || is_invisible(char);
    let before = before.trim_end_matches(is_not_seen);
    let after = after.trim_start_matches(is_not_seen);
    if after.starts_with(is_sign) {
        return true;
    }
    // After a number the sign or the code is that number's.
    let is_prefix = |rest: &str| !rest.trim_end_matches(is_not_seen).ends_with(char::is_numeric);
    if let Some(rest) = before.strip_suffix(is_sign) {
        return !before.ends_with('%') && is_prefix(rest);
    }
    let is_code = |word: &str| is_one_of(CODES, &word.to_lowercase());
    let rest = before.trim_end_matches(char::is_alphabetic);
    let first: String = after.chars().take(8).take_while(|c| c.is_alphabetic()).collect();
    is_code(&before[rest.len()..]) && is_prefix(rest) || is_code(&first)
}
