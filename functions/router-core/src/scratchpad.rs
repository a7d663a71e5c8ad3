//! The scratchpad: what specialists and people have written down in a session for others to read.
//!
//! Each key is an item. A value is written on the version that its writer has seen, so of two that
//! write at once the later one is told, and replaces nothing. A key lives as long as a session that
//! is left alone, counted from when it was written, or given to a specialist, for the last time: so
//! it never outlives its session. Left out: who may read and write, which the policy says.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use serde_json::Value as Json;

use crate::error::Cause;
use crate::ids::RootSession;
use crate::json;
use crate::store::{Answer, Comparison, Item, ItemKey, Request, Update, Value, Version, Written};
use crate::units::Timestamp;

/// How the names begin under which a specialist gets what it may read.
pub const GIVEN_AS: &str = "scratchpad.";

/// What is written under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pad {
    /// The value, as JSON text.
    pub value: String,
    /// The specialist or the person that wrote it.
    pub writer: String,
    /// Which version of the key it is, from 1.
    pub version: u64,
    /// When it was written.
    pub at: Timestamp,
    /// When it is gone, in epoch seconds.
    pub expires_at: u64,
}

/// What the table has of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The version on which the next value is written.
    pub version: u64,
    /// What is written there, if it is not gone.
    pub pad: Option<Pad>,
}

/// A value that is to be written.
#[derive(Clone, Copy, Debug)]
pub struct NewPad<'a> {
    /// The session.
    pub session: &'a RootSession,
    /// The key.
    pub key: &'a str,
    /// The value, as JSON text.
    pub value: &'a str,
    /// Who writes it.
    pub writer: &'a str,
    /// The version that the writer has seen, and who makes the change.
    pub version: Version<'a>,
    /// The time.
    pub now: Timestamp,
    /// How long a session that is left alone lasts.
    pub idle_ttl: Duration,
}

/// What came of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is there, in this version.
    Stored(u64),
    /// Another value was written meanwhile, and stays.
    Overtaken,
}

/// The table gave no usable answer. A value may have been written.
#[derive(Debug, thiserror::Error)]
#[error("the scratchpad gave no answer")]
pub struct PadError(#[source] pub Cause);

/// Keeps the scratchpads of all sessions.
pub trait Scratchpad {
    /// What is written under these keys of a session, within `within`. A key that no one has
    /// written to is as in [`Seen::default`].
    ///
    /// # Errors
    ///
    /// [`PadError`] when the table gave no answer for one of them.
    fn read(
        &self,
        session: &RootSession,
        keys: &[&str],
        now: Timestamp,
        within: Duration,
    ) -> impl Future<Output = Result<BTreeMap<String, Seen>, PadError>> + Send;

    /// Writes a value within `within`, if the key is in the version that its writer has seen. The
    /// same change made again finds what it has written.
    ///
    /// # Errors
    ///
    /// [`PadError`] when the table gave no answer.
    fn write(
        &self,
        pad: &NewPad<'_>,
        within: Duration,
    ) -> impl Future<Output = Result<Put, PadError>> + Send;

    /// Has a key, which a specialist is given, last as long again as one that is written `now`. It
    /// cannot fail: at worst the key ends sooner.
    fn renew(
        &self,
        session: &RootSession,
        key: &str,
        pad: &Pad,
        expires_at: u64,
        within: Duration,
    ) -> impl Future<Output = ()> + Send;
}

impl Seen {
    /// What an item says at `now`.
    pub fn of(item: &Item, now: Timestamp) -> Self {
        let version = Version::of(item);
        let expires_at = item.number("expires_at");
        let pad = item.text("value").filter(|_| expires_at > now.0 / 1_000).map(|value| Pad {
            value: value.to_owned(),
            writer: item.text("writer").unwrap_or_default().to_owned(),
            version,
            at: Timestamp(item.number("at_ms")),
            expires_at,
        });
        Self { version, pad }
    }
}

impl Pad {
    /// The value as a specialist gets it: a string as it is, anything else as JSON.
    pub fn as_text(&self) -> String {
        match self.as_json() {
            Json::String(text) => text,
            _ => self.value.clone(),
        }
    }

    /// The value.
    pub fn as_json(&self) -> Json {
        json::read(self.value.as_bytes()).unwrap_or_else(|_| Json::from(self.value.clone()))
    }

    /// When the key is gone if it is renewed `now`, in epoch seconds; `None` where it lasts long
    /// enough.
    pub fn renewed(&self, now: Timestamp, idle_ttl: Duration) -> Option<u64> {
        let half = now.after(idle_ttl / 2).epoch_seconds();
        (self.expires_at < half).then(|| now.after(idle_ttl).epoch_seconds())
    }
}

impl NewPad<'_> {
    /// What the table is asked.
    pub fn request(&self) -> Request {
        let mut write = self.version.update(ItemKey::pad(self.session, self.key));
        for (name, value) in written(self.value, self.writer, self.now) {
            write.set(name, value);
        }
        let expires_at = self.now.after(self.idle_ttl).epoch_seconds();
        write.set("expires_at", Value::number(expires_at));
        Request::Update(write)
    }

    /// What an answer to that means.
    ///
    /// # Errors
    ///
    /// [`PadError`] when it does not say whether the value was written.
    pub fn outcome(&self, answer: Answer) -> Result<Put, PadError> {
        match self.version.outcome(answer) {
            Ok(Written::Stored) => Ok(Put::Stored(self.version.seen + 1)),
            Ok(Written::Overtaken(_)) => Ok(Put::Overtaken),
            Err(Answer::Unusable(cause) | Answer::Unavailable(cause)) => Err(PadError(cause)),
            Err(_) => Err(PadError("the key was being written all the time".into())),
        }
    }
}

/// The attributes of a value.
pub(crate) fn written(value: &str, writer: &str, now: Timestamp) -> [(&'static str, Value); 3] {
    [
        ("value", Value::text(value)),
        ("writer", Value::text(writer)),
        ("at_ms", Value::number(now.0)),
    ]
}

/// What has a key last until `expires_at`, in epoch seconds, if it is still in this version.
pub fn renewal(session: &RootSession, key: &str, pad: &Pad, expires_at: u64) -> Request {
    let mut write = Update::of(ItemKey::pad(session, key));
    write.compare("stamp", Comparison::Equal, Value::number(pad.version));
    write.set("expires_at", Value::number(expires_at));
    Request::Update(write)
}

/// The value that an answer becomes, as JSON text: what it says, where it is JSON of an object or an
/// array; else a string.
pub fn value_of(answer: &str) -> String {
    match json::read(answer.as_bytes()) {
        Ok(Json::Object(_) | Json::Array(_)) => answer.to_owned(),
        _ => Json::from(answer).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory;

    const TTL: Duration = Duration::from_secs(100);

    fn session() -> RootSession {
        RootSession::parse("sessionId", "s").unwrap()
    }

    type Items = BTreeMap<ItemKey, Item>;

    fn put(items: &mut Items, seen: u64, author: &str, value: &str, now: u64) -> Put {
        let session = session();
        let pad = NewPad {
            session: &session,
            key: "facts",
            value,
            writer: "orders",
            version: Version { seen, author },
            now: Timestamp(now),
            idle_ttl: TTL,
        };
        let answer = memory::apply(items, &pad.request());
        pad.outcome(answer).unwrap()
    }

    fn seen(items: &Items, now: u64) -> Seen {
        let item = items.get(&ItemKey::pad(&session(), "facts")).cloned().unwrap_or_default();
        Seen::of(&item, Timestamp(now))
    }

    #[test]
    fn of_two_that_write_at_once_the_later_one_is_told_and_the_first_stays() {
        let mut items = Items::new();
        assert_eq!(put(&mut items, 0, "a", "\"first\"", 0), Put::Stored(1));
        assert_eq!(put(&mut items, 0, "b", "\"second\"", 0), Put::Overtaken);
        assert_eq!(seen(&items, 0).pad.unwrap().as_text(), "first");
        assert_eq!(put(&mut items, 1, "b", "\"second\"", 0), Put::Stored(2));
        let pad = seen(&items, 0).pad.unwrap();
        assert_eq!((pad.as_text(), pad.version), ("second".to_owned(), 2));
    }

    #[test]
    fn a_write_whose_answer_was_lost_is_made_once() {
        let mut items = Items::new();
        for _ in 0..2 {
            assert_eq!(put(&mut items, 0, "a", "1", 0), Put::Stored(1));
        }
    }

    #[test]
    fn a_key_that_is_gone_has_no_value_and_goes_on_counting_its_versions() {
        let mut items = Items::new();
        put(&mut items, 0, "a", "1", 0);
        assert!(seen(&items, 99_999).pad.is_some());
        assert_eq!(seen(&items, 100_000), Seen { version: 1, pad: None });
        assert_eq!(put(&mut items, 1, "b", "2", 200_000), Put::Stored(2));
    }

    #[test]
    fn a_key_that_is_given_to_a_specialist_lasts_on() {
        let mut items = Items::new();
        put(&mut items, 0, "a", "1", 0);
        let pad = seen(&items, 0).pad.unwrap();
        assert_eq!(pad.renewed(Timestamp(49_000), TTL), None);
        let expires_at = pad.renewed(Timestamp(60_000), TTL).unwrap();
        assert_eq!(expires_at, 160);
        memory::apply(&mut items, &renewal(&session(), "facts", &pad, expires_at));
        assert!(seen(&items, 159_000).pad.is_some());
        put(&mut items, 1, "a", "2", 159_000);
        let answer = memory::apply(&mut items, &renewal(&session(), "facts", &pad, 1));
        assert!(matches!(answer, Answer::Refused { .. }), "it is another value now");
    }

    #[test]
    fn an_answer_is_kept_as_what_it_says() {
        for (answer, value) in [
            ("{\"order\": 1}", "{\"order\": 1}"),
            ("[1]", "[1]"),
            ("12", "\"12\""),
            ("It is \"there\".", "\"It is \\\"there\\\".\""),
        ] {
            assert_eq!(value_of(answer), value);
        }
    }
}
