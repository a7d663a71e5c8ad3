//! What the tests share: the template, the recorded requests, and the timeline they are laid on.

mod ask;
mod recordings;
mod request;
mod timeline;

use std::path::Path;

use alarms::template::Template;
use alarms::watch::Alarms;

pub(crate) use recordings::{Recordings, SPECIALISTS, recordings};
pub(crate) use request::Request;
pub(crate) use timeline::{Timeline, Traffic};

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

pub(crate) fn template() -> Template {
    Template::read(&root().join("template.yaml")).unwrap()
}

pub(crate) fn alarms() -> Alarms {
    Alarms::of(&template()).unwrap()
}
