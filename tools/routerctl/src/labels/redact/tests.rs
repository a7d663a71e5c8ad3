use proptest::prelude::*;

use super::redact;

/// Each text with what it becomes, where `*` stands for what is taken out.
fn all_become(word: &str, texts: &[(&str, &str)]) {
    for (text, expected) in texts {
        assert_eq!(redact(text), expected.replace('*', word), "{text}");
    }
}

fn all_stay(texts: &[&str]) {
    for text in texts {
        assert_eq!(redact(text), *text);
    }
}

#[test]
fn an_address_is_found_in_any_spelling() {
    let wholes = [
        "anna@example.com",
        "ANNA.BERG+shop@Mail.Example.CO.UK",
        "o'neill_99%x@sub-domain.example.museum",
        "jörg@müller.de",
        "jose\u{301}@example.com",
        "用户@例子.公司",
        "почта@пример.рф",
        "anna@xn--mller-kva.xn--p1ai",
        "anna\u{ff20}example\u{ff0e}com",
        "anna@example。com",
        "an\u{200b}na@exam\u{ad}ple.com",
        "anna @ example.com",
        "anna(at)example.com",
        "anna [at] example [dot] com",
        "anna (AT) example(dot)com",
        "\"anna berg\"@example.com",
        "anna@[192.168.0.1]",
        "4111111111111111@example.com",
        "+4930123456@example.com",
    ];
    for whole in wholes {
        assert_eq!(redact(whole), "<email>", "{whole}");
        let text = format!("Write to {whole}, please.");
        assert_eq!(redact(&text), "Write to <email>, please.");
    }
}

#[test]
fn what_is_glued_to_an_address_stays() {
    let texts = [
        ("(anna@example.com)", "(*)"),
        ("<anna@example.com>", "<*>"),
        ("'anna@example.com'", "'*'"),
        ("mailto:anna@example.com?subject=x", "mailto:*?subject=x"),
        ("email=anna@example.com&x=1", "email=*&x=1"),
        ("It is anna@example.com.", "It is *."),
        ("a@example.com,b@example.com;c@example.com", "*,*;*"),
        ("anna@example.com-", "*-"),
        ("邮箱:anna@example.com。谢谢", "邮箱:*"),
    ];
    // A full stop that could be a domain's, with a word behind it, is taken for one.
    let (last, exact) = (texts[texts.len() - 1], &texts[..texts.len() - 1]);
    all_become("<email>", exact);
    assert_eq!(redact(last.0), "邮箱:<email>");
}

#[test]
fn an_address_with_a_slip_or_an_encoded_sign_is_found() {
    all_become(
        "<email>",
        &[
            ("write to anna @gmail.com please", "write to * please"),
            ("anna@ gmail.com", "*"),
            ("mail anna.berg@ example.com", "mail *"),
            ("anna.berg@example .com please", "* please"),
            ("anna@gmail. com", "*"),
            (
                "https://shop.example/reset?email=anna.berg%40example.com&x=1",
                "https://shop.example/reset?email=*&x=1",
            ),
            ("mailto:anna%40example.com", "mailto:*"),
            ("anna&#64;example.com", "*"),
            ("anna%40example%2Ecom", "*"),
            ("anna[@]example[.]com", "*"),
            ("anna (@) example.com", "*"),
            ("anna at gmail dot com", "*"),
            ("Schreib an anna at gmx punkt de bitte", "Schreib an * bitte"),
            ("anna@@example.com", "*"),
            ("anna@example,com", "*"),
        ],
    );
}

#[test]
fn what_only_has_the_sign_of_an_address_stays() {
    all_stay(&[
        "Follow @anna.berg on the app",
        "3 shirts @ 20 each",
        "anna@localhost",
        "upgrade react@18.2.0 and @types/node",
        "meet me at example.com",
        "@",
        "a@",
        "@@@@",
        "anna@example",
        "look (at) this",
        "Meet me at home, not at work.",
        "I was at the dot matrix printer.",
        "20%40 of it",
    ]);
}

#[test]
fn a_card_number_is_found_in_any_spelling() {
    let wholes = [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111 - 1111 - 1111 - 1111",
        "4111\u{a0}1111\u{202f}1111\u{2009}1111",
        "4111\u{2013}1111\u{2011}1111\u{2212}1111",
        "41\u{200b}1111111111\u{ad}1111",
        "\u{664}\u{661}\u{661}\u{661} \u{661}\u{661}\u{661}\u{661} \u{661}\u{661}\u{661}\u{661} \u{661}\u{661}\u{661}\u{661}",
        "\u{ff14}\u{ff11}\u{ff11}\u{ff11}\u{ff11}\u{ff11}\u{ff11}\u{ff11}\u{ff11}\u{ff11}\u{ff11}\u{ff11}\u{ff11}\u{ff11}\u{ff11}\u{ff11}",
        "3782 822463 10005",
        "30569309025904",
        "4222222222222",
        "6304000000000000000",
        "5555 5555-5555 4444",
        "4111.1111.1111.1111",
        "4111/1111/1111/1111",
        "4111_1111_1111_1111",
        "#4111111111111111",
    ];
    for whole in wholes {
        let hash = if whole.starts_with('#') { "#" } else { "" };
        assert_eq!(redact(whole), format!("{hash}<card>"), "{whole}");
        let text = format!("Card({}),ok", whole.trim_start_matches('#'));
        assert_eq!(redact(&text), "Card(<card>),ok", "{whole}");
    }
}

#[test]
fn a_card_number_is_found_among_other_digits() {
    all_become(
        "<card>",
        &[
            ("4111 1111 1111 1111 12/27 CVV 123", "* 12/27 CVV 123"),
            ("order 4711: 4111111111111111.", "order 4711: *."),
            ("4711 4111 1111 1111 1111", "4711 *"),
            ("4111 1111 1111 1111 5500 0000 0000 0004", "* *"),
            ("card4111111111111111end", "card*end"),
            ("卡号4111111111111111。", "卡号*。"),
        ],
    );
}

#[test]
fn digits_with_a_wrong_check_digit_or_length_are_no_card() {
    all_stay(&[
        // Devices, parcels and orders whose last digit is one by the same rule.
        "356938035643809",
        "490154203237518",
        "112-4978690-7366258",
        "4111 1111 1111 1112",
        "4111111111111112",
        "4111 1111 1111",
        "41111111111111111111",
        "4111\n1111\n1111\n1111",
        "4111,1111,1111,1111",
        "41.111.111.111.111.11",
        "550e8400-e29b-41d4-a716-446655440000",
    ]);
}

#[test]
fn the_number_of_an_account_stays_whatever_its_digits_are() {
    all_stay(&[
        "IBAN DE44 5001 0517 5407 3249 31",
        "DE95 4111 1111 1111 1111 00",
        "DE89370400440532013000",
        "GB29 NWBK 6016 1331 9268 19, please",
        "MT84 MALT 0110 0001 2345 MTLC AST0 01S",
    ]);
    all_become(
        "<card>",
        &[("DE89370400440532013000 4111 1111 1111 1111", "DE89370400440532013000 *")],
    );
}

#[test]
fn a_phone_number_is_found_in_any_spelling() {
    let wholes = [
        // International.
        "+49 30 1234567",
        "+49 (0)30 1234567",
        "+49 (0) 30 / 12 34 56 78",
        "(+49) 170 1234567",
        "+(49) 170 1234567",
        "+ 49 170 1234567",
        "+491701234567",
        "+1 (415) 555-2671",
        "+1.415.555.2671",
        "+1-415-555-2671",
        "+44\u{a0}20\u{a0}7946\u{a0}0958",
        "+86 138 0013 8000",
        "+91-98765-43210",
        "+7 (495) 123-45-67",
        "+33 1 42 68 53 00",
        "\u{ff0b}\u{ff14}\u{ff19} 30 1234567",
        "+\u{664}\u{669} \u{663}\u{660} \u{661}\u{662}\u{663}\u{664}\u{665}\u{666}\u{667}",
        "0049 30 1234567",
        "00491701234567",
        "00 49 170 1234567",
        "+49\u{2011}30\u{2013}1234567",
        "+49\u{200b}30\u{ad}1234567",
        // National.
        "030 1234567",
        "030/1234567",
        "(030) 123 45 67",
        "(030)1234567",
        "0170-1234567",
        "01701234567",
        "01 42 68 53 00",
        "01.42.68.53.00",
        "01.12.10.11.12",
        "020 7946 0958",
        "(415) 555-2671",
        "415-555-2671",
        "415.555.2671",
        "415-5552671",
        "8 912 345 67 89",
        "555 123 4567",
        "1-800-555-0199",
        "1 (800) 555-0199",
        "8 (495) 123-45-67",
        "4155552671",
        "(11) 91234-5678",
        "138 0013 8000",
        "13800138000",
        "98765 43210",
        "9876543210",
        "612-345-678",
        "03-1234-5678",
        "010-1234-5678",
        "\u{660}\u{663}\u{660} \u{661}\u{662}\u{663}\u{664}\u{665}\u{666}\u{667}",
        "0️⃣3️⃣0️⃣1️⃣2️⃣3️⃣4️⃣5️⃣6️⃣7️⃣",
        "\u{ff08}030\u{ff09}1234567",
    ];
    for whole in wholes {
        assert_eq!(redact(whole), "<phone>", "{whole}");
        let text = format!("I am at {whole}, or \"{whole}\"; reach me ({whole}).");
        let expected = "I am at <phone>, or \"<phone>\"; reach me (<phone>).";
        assert_eq!(redact(&text), expected, "{whole}");
    }
}

#[test]
fn a_word_for_a_phone_makes_a_phone_number_of_what_could_be_another() {
    all_become(
        "<phone>",
        &[
            ("Mi teléfono es 612 345 678", "Mi teléfono es *"),
            ("Phone number: 12345678", "Phone number: *"),
            ("Tel.-Nr.: 123 45 67", "Tel.-Nr.: *"),
            ("tel:555-0199", "tel:*"),
            ("call 22 12 34 56 now", "call * now"),
            ("mobile 555 0199", "mobile *"),
            ("tel0301234567", "tel*"),
            ("My number is 555-0199", "My number is *"),
            ("Meine Nummer: 612 345 678", "Meine Nummer: *"),
            ("my nr 0171 2345678", "my nr *"),
            ("meine Nr. 0171 2345678", "meine Nr. *"),
            ("my number 0301234571", "my number *"),
            ("the contact number is 0301234571", "the contact number is *"),
            ("https://wa.me/491701234567", "https://wa.me/*"),
            ("You reach me on 12 34 56 78.", "You reach me on *."),
            ("我的电话是12345678。", "我的电话是*。"),
            ("About order #4711, call 612345678", "About order #4711, call *"),
        ],
    );
}

#[test]
fn a_phone_number_is_found_beside_other_numbers() {
    all_become(
        "<phone>",
        &[
            ("order #4711 030 1234567", "order #4711 *"),
            ("030 1234567 / 040 7654321", "* / *"),
            ("030 1234567, 040 7654321", "*, *"),
            ("415-555-2671 415-555-2672", "* *"),
            ("on 27.11.2026 030 1234567", "on 27.11.2026 *"),
            ("030 1234567 27.11.2026", "* 27.11.2026"),
            ("+49 170 1234567 20 EUR", "* 20 EUR"),
            ("030 1234567x12", "*x12"),
            ("_030 1234567_", "_*_"),
            ("请拨打13800138000谢谢", "请拨打*谢谢"),
            ("Is it 4711? No, 030 1234567", "Is it 4711? No, *"),
        ],
    );
}

#[test]
fn a_reference_in_an_earlier_clause_says_nothing_of_a_number() {
    all_become(
        "<phone>",
        &[
            ("Where is my order? 0171 2345678", "Where is my order? *"),
            ("Where is my order? (202) 555-0143", "Where is my order? *"),
            ("Where is my parcel? Thanks, Anna 0171 2345678", "Where is my parcel? Thanks, Anna *"),
            (
                "Please cancel my order. Anna Berg, 0171 2345678",
                "Please cancel my order. Anna Berg, *",
            ),
            ("I never got my invoice! 2025550143", "I never got my invoice! *"),
            ("Wo ist meine Bestellung? 0171 2345678", "Wo ist meine Bestellung? *"),
            ("Meine Rechnung fehlt. 0171 2345679", "Meine Rechnung fehlt. *"),
            ("the item is broken, 01711234567", "the item is broken, *"),
            ("Cancel my order\n0171 2345678", "Cancel my order\n*"),
            ("where is my order (415) 555-2671", "where is my order *"),
        ],
    );
}

#[test]
fn an_amount_before_a_phone_number_keeps_its_currency() {
    all_become(
        "<phone>",
        &[
            ("refund 20 EUR 0171 2345671", "refund 20 EUR *"),
            ("I want 50 euros 0171 2345671", "I want 50 euros *"),
            ("I paid 30€ 0171 2345673", "I paid 30€ *"),
            ("I paid 30 dollars (202) 555-0143", "I paid 30 dollars *"),
            ("Refund my 30 pounds 07911 123457", "Refund my 30 pounds *"),
            ("discount 20% 0171 1234567", "discount 20% *"),
        ],
    );
}

#[test]
fn a_phone_number_may_be_joined_to_another() {
    for text in [
        "0171 2345678/0172 7654322",
        "9876543210/9876543211",
        "2025550143/2025550144",
        "(202) 555-0143/(202) 555-0144",
    ] {
        assert_eq!(redact(text), "<phone>/<phone>", "{text}");
    }
    assert_eq!(redact("01711234567-01721234567"), "<phone>-<phone>");
}

#[test]
fn a_word_may_be_glued_to_the_end_of_a_phone_number() {
    all_become(
        "<phone>",
        &[
            ("+49 171 2345678Danke", "*Danke"),
            ("+491712345678and", "*and"),
            ("call 0171 2345678Danke", "call *Danke"),
            ("0171 2345678Danke", "*Danke"),
            ("my number is 01711234567and my order", "my number is *and my order"),
        ],
    );
    all_stay(&["+15000000kg", "0301234567ml"]);
}

#[test]
fn the_number_of_a_booking_or_a_marketplace_stays() {
    all_stay(&[
        "booking number 0301234571",
        "my customer number is 0301234571",
        "my confirmation number is 0301234571",
        "customer number: 0301234571",
        "booking nr 0301234571",
        "claim number: 0301234571",
        "transaction id 0301234571",
        "Where is 028-1234567-1234569?",
    ]);
}

#[test]
fn hours_and_days_stay_and_a_sentence_ends_a_number() {
    all_stay(&[
        "we are open 0900-1700 on Monday",
        "call 14.00-16.00",
        "08.00-12.00 13.00-18.00",
        "01.02. 03.04. 05.06.",
    ]);
    all_become("<phone>", &[("call 030 1234567. 2 items", "call *. 2 items")]);
}

#[test]
fn orders_dates_amounts_and_other_numbers_stay() {
    all_stay(&[
        // Orders and the like.
        "Where is order #4711?",
        "order 4155552671",
        "order #0301234567",
        "# 0301234567",
        "Order no. 030-1234567",
        "Bestellung Nr. 0301234567",
        "Vorgangsnummer 0301234567",
        "my order number is 0301234567",
        "ID_0301234567",
        "订单13800138000",
        "invoice 2026-0012345",
        "INV-0301234567",
        "A0301234567",
        "SKU 030-1234567-2",
        "ISBN 0-306-40615-2",
        "tracking 00340434161094042557",
        "4711",
        "12345678",
        "1234567890123",
        // Dates and times.
        "01.02.2026",
        "01/02/2026 14:30",
        "1.2.2026",
        "02-03-2026",
        "2026-11-27T03:04:05Z",
        "2026-11-27 14:30:00",
        "01.02.26 bis 03.02.26",
        "01.02.2026-03.02.2026",
        "01.02.2026 10.30",
        "04 12 2026",
        "01022026",
        "1795262400",
        "from 2024-2025",
        "05/06 07/08",
        "01-02-03-04",
        "on 1/2/26 and 3/4/26",
        "10:30-11:30",
        "call me on 27 11 2026",
        "call me at 10.30",
        // Amounts and measures.
        "1,234,567.89 USD",
        "1.234.567,89 €",
        "1 234 567 EUR",
        "$0301234567",
        "0.12345678",
        "0,123456789",
        "+1500000 EUR",
        "+1200000 users",
        "12345678 + 23456789",
        "0301234567 %",
        "612 345 678",
        "sizes 36 38 40 42",
        "between 500-1000",
        "0301234567kg",
        "192.168.100.200",
        "0.12.34567890",
        "call 112",
        "24/7",
        "1/2",
        "00012345678",
        "",
        "…",
    ]);
}

proptest! {
    #[test]
    fn text_without_digits_and_signs_stays(text in "[^0-9@\u{ff20}\u{fe6b}(\\[{\\p{N}]*") {
        prop_assert_eq!(redact(&text), text);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[ 0-9+(@)./#a\u{664}\u{ad}é–-]{0,40}") {
        redact(&text);
    }

    /// What is around a number that a separator does not join to it.
    #[test]
    fn numbers_of_people_do_not_stay(before in "[a-z ,.!?:;]{0,20}", after in "[,!?:;][a-z ]{0,20}") {
        for number in ["+49 30 1234567", "4111 1111 1111 1111"] {
            let text = format!("{before} {number}{after}");
            prop_assert!(!redact(&text).contains("11 11") && !redact(&text).contains("1234567"), "{}", text);
        }
    }
}
