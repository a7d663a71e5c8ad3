//! What a specialist is given of the scratchpad, and the key that its answer becomes.

use std::collections::BTreeMap;

use tracing::warn;

use super::context::TaskContext;
use crate::deadline;
use crate::error::chain;
use crate::journal::{Fact, NotWritten};
use crate::policy::{PadKey, Specialist};
use crate::ports::Ports;
use crate::scratchpad::{GIVEN_AS, NewPad, Put, Scratchpad, Seen, value_of};
use crate::store::Version;
use crate::units::Timestamp;
use crate::wire::caller::Attributes;

/// The scratchpad as a specialist finds it.
#[derive(Debug, Default)]
pub(super) struct Pads {
    /// What it is given, by name.
    pub(super) given: Attributes,
    /// The version on which its answer is written, and until when it lasts; `None`: that is not known.
    seen: Option<(u64, Timestamp)>,
}

impl<P: Ports> TaskContext<'_, P> {
    /// Reads what the specialist may read, and the version of the key that it writes, for an
    /// invocation whose hold was asked for `at` that time. Where the table gives no answer, or there
    /// is no hold, it is asked without. No key outlives its session, which another may begin anew.
    pub(super) async fn read_pads(&self, specialist: &Specialist, at: Option<Timestamp>) -> Pads {
        let policy = self.request.policy;
        let may_read = |key: &&PadKey| key.readers.contains(&specialist.name);
        let read: Vec<&str> =
            policy.pad_keys().filter(may_read).map(|key| key.name.as_str()).collect();
        let written = policy.written_by(specialist).map(|key| key.name.as_str());
        let mut keys = read.clone();
        keys.extend(written.filter(|key| !read.contains(key)));
        let Some(at) = at.filter(|_| !keys.is_empty()) else { return Pads::default() };
        let (session, now) = (&self.request.caller.root, self.request.now());
        let within = deadline::before_call(self.request.remaining());
        let scratchpad = self.request.ports.scratchpad();
        let found = match scratchpad.read(session, &keys, now, within).await {
            Ok(found) => found,
            Err(error) => {
                warn!(
                    error = chain(&error),
                    specialist.name = %specialist.name,
                    "asked without the scratchpad"
                );
                return Pads::default();
            }
        };
        self.renew(&read, &found, at).await;
        let given = read.iter().filter_map(|key| {
            let pad = found.get(*key)?.pad.as_ref()?;
            Some((format!("{GIVEN_AS}{key}"), pad.as_text()))
        });
        let given = given.collect();
        let end = at.after(policy.session.idle_ttl);
        let seen = written.map(|key| (found.get(key).map_or(0, |seen| seen.version), end));
        Pads { given, seen }
    }

    /// Has what is given last on.
    async fn renew(&self, keys: &[&str], found: &BTreeMap<String, Seen>, at: Timestamp) {
        let idle_ttl = self.request.policy.session.idle_ttl;
        for key in keys {
            let pad = found.get(*key).and_then(|seen| seen.pad.as_ref());
            let Some((pad, expires_at)) =
                pad.and_then(|pad| Some((pad, pad.renewed(at, idle_ttl)?)))
            else {
                continue;
            };
            let within = deadline::before_call(self.request.remaining());
            let (scratchpad, session) =
                (self.request.ports.scratchpad(), &self.request.caller.root);
            scratchpad.renew(session, key, pad, expires_at, within).await;
        }
    }

    /// Has an answer of the specialist's become its key, if it has one. An answer that cannot is an
    /// answer all the same, and the supervisor is told.
    pub(super) async fn write_pad(&self, specialist: &Specialist, pads: &Pads, answer: &str) {
        let Some(key) = self.request.policy.written_by(specialist) else { return };
        let value = value_of(answer);
        let fact = match self.put(key, pads, &value).await {
            Ok(version) => Fact::PadWritten { key: key.name.clone(), version },
            Err(why) => Fact::PadNotWritten { key: key.name.clone(), why },
        };
        self.note(fact);
    }

    async fn put(&self, key: &PadKey, pads: &Pads, value: &str) -> Result<u64, NotWritten> {
        if value.len() > key.max_bytes {
            return Err(NotWritten::TooLong { bytes: value.len(), most: key.max_bytes });
        }
        let (seen, end) = pads.seen.ok_or(NotWritten::Unavailable)?;
        let now = self.request.now();
        let pad = NewPad {
            session: &self.request.caller.root,
            key: &key.name,
            value,
            writer: key.writer.as_str(),
            version: Version { seen, author: &format!("{}/{}", self.request.id, self.place) },
            now,
            idle_ttl: end.since(now),
        };
        let within = deadline::after_call(self.request.remaining());
        match self.request.ports.scratchpad().write(&pad, within).await {
            Ok(Put::Stored(version)) => Ok(version),
            Ok(Put::Overtaken) => Err(NotWritten::Overtaken),
            Err(error) => {
                warn!(error = chain(&error), key = key.name, "the answer is not in the scratchpad");
                Err(NotWritten::Unavailable)
            }
        }
    }
}
