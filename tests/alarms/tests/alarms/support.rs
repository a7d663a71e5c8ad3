//! What the tests share: the templates, the recorded requests, and the timeline they are laid on.

mod ask;
mod recordings;
mod request;
mod timeline;

use std::path::Path;

use alarms::dashboard::Widget;
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

fn nested(stack: &str) -> Template {
    template().nested(root(), stack).unwrap()
}

pub(crate) fn alarms() -> Alarms {
    Alarms::of(&nested("Alarms")).unwrap()
}

/// The alarms that the front door's stack brings.
pub(crate) fn alarms_of_front_door() -> Alarms {
    let template = Template::read(&root().join("stacks/front-door.yaml")).unwrap();
    let namespace = ("MetricsNamespace", "BedrockSupervisor");
    let given = [("Prefix", "router"), ("AlarmTopicArn", "AlarmTopic"), namespace];
    Alarms::of(&template.given(given)).unwrap()
}

pub(crate) fn widgets() -> Vec<Widget> {
    Widget::all(&nested("Dashboard")).unwrap()
}
