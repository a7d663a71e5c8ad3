//! The repository's event files.

use stand_ins::{Options, Sandbox, events};

use crate::support::{form_of, nothing_held, reply_mistakes, sessions};

/// One sandbox for all, as for a person who plays them: no case may depend on another.
#[tokio::test]
async fn every_event_file_is_answered_as_its_expectation_says_and_leaves_nothing_held() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let mut wrong = Vec::new();
    let cases = events::load_all().unwrap();
    assert!(cases.len() >= 19, "only {} event files were found", cases.len());
    for case in &cases {
        let played = events::play(&sandbox, case).await.unwrap();
        let mismatches = events::check(case, &played);
        wrong.extend(mismatches.iter().map(|mismatch| format!("{}: {mismatch}", case.name)));
        if let stand_ins::lambda::Outcome::Response(bytes) = &played.invocation.outcome {
            let event = serde_json::from_slice(&case.event).unwrap();
            let form = form_of(&event, case.client_context.as_ref()).unwrap();
            let mistakes = reply_mistakes(form, &event, bytes);
            wrong.extend(mistakes.iter().map(|mistake| format!("{}: {mistake}", case.name)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let items = sessions(&sandbox).await;
    assert!(items.len() >= 15, "only {} sessions were charged", items.len());
    items.iter().for_each(nothing_held);
    assert_eq!(sandbox.errors(), [""; 0]);
}
