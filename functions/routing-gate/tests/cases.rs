//! The requests that are shipped hold what they promise.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use router_core::policy::Policy;
use routing_gate::cases::{Case, Kind, Names, parse};

/// No two texts have more of their parts in common than this.
const MOST_ALIKE: f64 = 0.5;

/// So many requests at most begin with the same four words.
const MOST_OF_A_BEGINNING: usize = 10;

struct Shipped {
    names: Names,
    fallback: String,
    cases: Vec<Case>,
}

fn shipped(cases: &str, policy: &str) -> Shipped {
    let read = |file: &str| {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file))
            .unwrap_or_else(|error| panic!("{file}: {error}"))
    };
    let policy = Policy::parse(&read(policy), None)
        .unwrap_or_else(|mistakes| panic!("{policy}: {mistakes:#?}"));
    let names = Names::of(&policy);
    let cases =
        parse(read(cases).as_bytes(), &names).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    Shipped { names, fallback: policy.fallback().name.to_string(), cases }
}

fn example() -> Shipped {
    shipped("cases/example.jsonl", "../supervisor-router/routing.toml")
}

fn second() -> Shipped {
    shipped("cases/second.jsonl", "../../tests/rosters/logistics/routing.toml")
}

fn both() -> [Shipped; 2] {
    [example(), second()]
}

fn counts<K: Ord>(keys: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    keys.fold(BTreeMap::new(), |mut counts, key| {
        *counts.entry(key).or_default() += 1;
        counts
    })
}

#[test]
fn there_are_as_many_as_promised() {
    assert_eq!(example().cases.len(), 1_000);
    assert_eq!(second().cases.len(), 200);
}

/// Each specialist has its part of all requests, give or take an eighth of that.
#[test]
fn specialists_have_about_as_many_requests_as_each_other() {
    for Shipped { names, cases, .. } in both() {
        let part = cases.len() / names.0.len();
        let routes = counts(cases.iter().map(|case| &case.specialist));
        for name in names.0.keys() {
            let found = routes.get(name).copied().unwrap_or_default();
            assert!(found.abs_diff(part) <= part / 8, "{name}: {found}, about {part} are right");
        }
    }
}

#[test]
fn every_intent_occurs_and_those_of_a_specialist_about_equally_often() {
    for Shipped { names, cases, .. } in both() {
        let intents = counts(cases.iter().map(|case| (&case.specialist, case.intent.as_ref())));
        for (specialist, its) in &names.0 {
            let found = its.iter().map(|intent| {
                intents.get(&(specialist, Some(intent))).copied().unwrap_or_default()
            });
            let found: Vec<usize> = found.collect();
            if let (Some(least), Some(most)) = (found.iter().min(), found.iter().max()) {
                assert!(*least > 0 && most - least <= 3, "{specialist}: {found:?}");
            }
        }
    }
}

#[test]
fn one_in_five_is_out_of_scope_and_belongs_to_the_fallback_and_all_others_have_an_intent() {
    for Shipped { fallback, cases, .. } in both() {
        let (outside, inside): (Vec<_>, Vec<_>) =
            cases.iter().partition(|case| case.kind == Some(Kind::OutOfScope));
        assert_eq!(outside.len() * 5, cases.len());
        for case in outside {
            assert_eq!((&case.specialist, &case.intent), (&fallback, &None), "{case:?}");
        }
        for case in inside {
            assert!(case.intent.is_some() && case.kind.is_some(), "{case:?}");
        }
    }
}

/// In percent, at least: of each file, and for kinds also of each specialist but the fallback.
#[test]
fn every_kind_and_every_language_has_its_share() {
    let kinds = [(Kind::Plain, 35), (Kind::Typos, 8), (Kind::TwoWishes, 8), (Kind::FollowUp, 8)];
    let languages = [("en", 65), ("de", 12), ("es", 10)];
    for Shipped { names, fallback, cases } in both() {
        let others = names.0.keys().filter(|&name| *name != fallback);
        let of = |name: &String| {
            cases.iter().filter(|case| case.specialist == *name).collect::<Vec<_>>()
        };
        for group in others.map(of).chain([cases.iter().collect()]) {
            for (kind, percent) in kinds {
                let found = group.iter().filter(|case| case.kind == Some(kind)).count();
                assert!(found * 100 >= percent * group.len(), "{kind:?}: {found} of {group:#?}");
            }
        }
        let found = counts(cases.iter().map(|case| case.language.as_deref().unwrap_or_default()));
        assert_eq!(found.len(), languages.len(), "{found:?}");
        for (language, percent) in languages {
            let found = found.get(language).copied().unwrap_or_default();
            assert!(found * 100 >= percent * cases.len(), "{language}: {found}");
        }
    }
}

/// So that a gate may take the first few of a file.
#[test]
fn every_tenth_of_a_file_has_requests_of_every_specialist() {
    for Shipped { names, cases, .. } in both() {
        for tenth in cases.chunks(cases.len() / 10) {
            let routes = counts(tenth.iter().map(|case| &case.specialist));
            assert_eq!(routes.len(), names.0.len(), "from line {}", tenth[0].line);
        }
    }
}

#[test]
fn lengths_differ_from_a_word_to_several_sentences() {
    for Shipped { cases, .. } in both() {
        let lengths: Vec<usize> = cases.iter().map(|case| words(&case.text).len()).collect();
        let share = |is: fn(usize) -> bool| lengths.iter().filter(|&&words| is(words)).count();
        assert!(share(|words| words <= 5) * 20 >= cases.len(), "short ones");
        assert!(share(|words| words >= 15) * 20 >= cases.len(), "long ones");
        assert!(lengths.iter().all(|&words| words <= 60));
    }
}

/// Where an address, or a number that could be of a card or a phone, is in a text.
fn personal(text: &str) -> Option<&'static str> {
    let is_part = |c: char| c.is_alphanumeric() || "._%+-".contains(c);
    let chars: Vec<char> = text.chars().collect();
    if chars.windows(3).any(|near| near[1] == '@' && is_part(near[0]) && is_part(near[2])) {
        return Some("an e-mail address");
    }
    // Digits in a row, and what people write between those of a number.
    let is_between = |c: char| " -./()+".contains(c);
    let mut digits = 0;
    for c in chars {
        if c.is_ascii_digit() {
            digits += 1;
        } else if !is_between(c) {
            digits = 0;
        }
        if digits >= 7 {
            return Some("a number of seven or more digits");
        }
    }
    None
}

#[test]
fn no_text_has_an_address_or_a_number_of_a_person() {
    for case in both().iter().flat_map(|shipped| &shipped.cases) {
        assert_eq!(personal(&case.text), None, "{case:?}");
    }
}

#[test]
fn what_is_personal_is_found() {
    for text in
        ["write to a.b@example.org", "0170 / 555 01 23", "4111 1111 1111 1111", "+1 (555) 010-9999"]
    {
        assert!(personal(text).is_some(), "{text}");
    }
    for text in ["no @ on the keyboard", "between 91, 97, 99 and 2,340", "order B-2207 of 2024"] {
        assert_eq!(personal(text), None, "{text}");
    }
}

/// The words of a text in lower case, without punctuation.
fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

/// All runs of so many items; the whole where there are fewer.
fn grams<T: Ord + Clone>(items: &[T], length: usize) -> BTreeSet<Vec<T>> {
    items.windows(length.min(items.len()).max(1)).map(<[T]>::to_vec).collect()
}

/// What two texts have in common of all that they have (Jaccard).
fn alike<T: Ord>(one: &BTreeSet<T>, other: &BTreeSet<T>) -> f64 {
    let common = one.intersection(other).count();
    let all = one.len() + other.len() - common;
    if all == 0 { 1.0 } else { common as f64 / all as f64 }
}

/// The grams, as numbers: comparing half a million pairs of texts takes a while.
fn numbered<T: Ord>(texts: Vec<BTreeSet<Vec<T>>>) -> Vec<BTreeSet<usize>> {
    let mut numbers = BTreeMap::new();
    let mut number = |gram| {
        let next = numbers.len();
        *numbers.entry(gram).or_insert(next)
    };
    texts.into_iter().map(|grams| grams.into_iter().map(&mut number).collect()).collect()
}

fn most_alike(texts: &[BTreeSet<usize>]) -> (f64, usize, usize) {
    let mut most = (0.0, 0, 0);
    for (place, one) in texts.iter().enumerate() {
        for (other_place, other) in texts.iter().enumerate().skip(place + 1) {
            // So different in size, they cannot have more in common.
            let (small, large) = (one.len().min(other.len()), one.len().max(other.len()));
            if small as f64 <= most.0 * large as f64 {
                continue;
            }
            let found = alike(one, other);
            if found > most.0 {
                most = (found, place, other_place);
            }
        }
    }
    most
}

#[test]
fn no_two_requests_are_nearly_the_same() {
    for Shipped { cases, .. } in both() {
        let words: Vec<_> = cases.iter().map(|case| words(&case.text)).collect();
        let of_words = words.iter().map(|words| grams(words, 3)).collect();
        let of_characters = words
            .iter()
            .map(|words| grams(&words.join(" ").chars().collect::<Vec<_>>(), 5))
            .collect();
        for texts in [numbered(of_words), numbered(of_characters)] {
            let (found, one, other) = most_alike(&texts);
            let (one, other) = (&cases[one], &cases[other]);
            assert!(found <= MOST_ALIKE, "{found}: lines {} and {}", one.line, other.line);
        }
    }
}

#[test]
fn requests_that_are_nearly_the_same_are_found() {
    let texts = [
        "hello",
        "Please send the blue bike that I ordered to my sister in Leeds.",
        "na du",
        "please send the red bike that i ordered to my sister in leeds!!",
    ];
    let texts = texts.map(|text| words(text).join(" ").chars().collect::<Vec<_>>());
    let texts = numbered(texts.iter().map(|text| grams(text, 5)).collect());
    let (found, one, other) = most_alike(&texts);
    assert!(found > MOST_ALIKE, "{found}");
    assert_eq!((one, other), (1, 3));
    assert_eq!(alike(&texts[1], &texts[1]), 1.0);
    assert_eq!(alike(&texts[0], &texts[2]), 0.0);
}

#[test]
fn no_beginning_is_a_template() {
    for Shipped { cases, .. } in both() {
        let beginnings = cases.iter().filter_map(|case| {
            let words = words(&case.text);
            (words.len() >= 4).then(|| words[..4].join(" "))
        });
        for (beginning, found) in counts(beginnings) {
            assert!(found <= MOST_OF_A_BEGINNING, "{found} requests begin with `{beginning}`");
        }
    }
}
