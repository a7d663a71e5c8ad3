//! Logs as one JSON object a line, with the keys of Powertools for AWS Lambda.
//!
//! Fields of the spans that an event is in are put beside its own, so that a line can be
//! found by request, session or specialist. Of the lines of other crates, from `WARN` on, only
//! the place is logged: their words and fields may quote what a user wrote.

use std::fmt;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use router_core::units::Clock;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::settings::LogSettings;
use crate::{SystemClock, output};

/// The libraries whose lines are logged at the level of the settings.
const LIBRARIES: [&str; 3] = ["router_core", "router_aws", "router_lambda"];

/// Sends everything that this process logs to standard output; `function` is the crate whose
/// lines are logged as those of the libraries are. Panics are logged too, with their place and
/// without their message, which may quote what a user wrote.
pub fn init(settings: &LogSettings, function: &'static str) {
    let layer = JsonLines::new(settings, function, SystemClock, output::line);
    let subscriber = tracing_subscriber::registry().with(layer);
    if tracing::subscriber::set_global_default(subscriber).is_err() {
        tracing::warn!("logs go to another subscriber, which was set before");
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "a panic");
    }));
}

/// A line in the making, as [`output::line`] takes it.
type Rendering = Box<dyn FnOnce(u64) -> (String, bool)>;

/// Writes each event as a line.
struct JsonLines<C> {
    service: String,
    function: &'static str,
    level: LevelFilter,
    clock: C,
    write: fn(Rendering),
}

impl<C> JsonLines<C> {
    fn new(settings: &LogSettings, function: &'static str, clock: C, write: fn(Rendering)) -> Self {
        let LogSettings { service, level, .. } = settings;
        Self { service: service.clone(), function, level: *level, clock, write }
    }

    /// Whether the line or span is of this project.
    fn is_ours(&self, metadata: &Metadata<'_>) -> bool {
        let mut crates = LIBRARIES.into_iter().chain([self.function]);
        crates.any(|name| metadata.target().starts_with(name))
    }
}

impl<S, C> Layer<S> for JsonLines<C>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    C: Clock + 'static,
{
    fn enabled(&self, metadata: &Metadata<'_>, _context: Context<'_, S>) -> bool {
        let is_ours = self.is_ours(metadata);
        let level = if is_ours { self.level } else { self.level.min(LevelFilter::WARN) };
        // A line at `ERROR` needs the fields of the spans around it, whatever their level.
        (metadata.is_span() && is_ours) || *metadata.level() <= level
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Fields::default();
        let metadata = event.metadata();
        let millis = i64::try_from(self.clock.now().0).unwrap_or(i64::MAX);
        let timestamp = DateTime::from_millis(millis).fmt(Format::DateTimeWithOffset);
        line.put("level", metadata.level().as_str().into());
        line.put("timestamp", timestamp.unwrap_or_default().into());
        line.put("service", self.service.as_str().into());
        let place = metadata.line().map(|number| format!("{}:{number}", metadata.target()));
        line.put("location", place.unwrap_or_default().into());
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(fields) = span.extensions().get::<Fields>() {
                line.0.extend(fields.0.clone());
            }
        }
        if self.is_ours(metadata) {
            event.record(&mut line);
        } else {
            line.put("message", "another crate's line, whose words are left out".into());
        }
        (self.write)(Box::new(|lost| {
            if lost > 0 {
                line.put("lines_lost_before", lost.into());
            }
            (Value::Object(line.0).to_string(), true)
        }));
    }
}

/// Fields of a span or an event. A field without a value, as one that is recorded later, is
/// not there.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use router_core::units::{Moment, Timestamp};
    use tracing::{field, info, info_span};

    use super::*;

    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> Timestamp {
            Timestamp(1_700_000_000_123)
        }

        fn moment(&self) -> Moment {
            Moment::default()
        }

        async fn sleep(&self, _: std::time::Duration) {}
    }

    thread_local! {
        static WRITTEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    fn logged(level: LevelFilter, work: impl FnOnce()) -> Vec<Value> {
        let settings = LogSettings { service: "test".to_owned(), level, mistake: None };
        let layer = JsonLines::new(&settings, "a_function", Noon, |rendering| {
            WRITTEN.with_borrow_mut(|written| written.push(rendering(0).0));
        });
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, work);
        WRITTEN.take().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn an_event_is_a_line_with_the_fields_of_its_spans() {
        let lines = logged(LevelFilter::INFO, || {
            let span = info_span!("outer", function_request_id = "r-1", status = field::Empty);
            let _outer = span.enter();
            let inner = info_span!("inner", specialist.name = "orders", hold_micro_usd = 5_u64);
            let _inner = inner.enter();
            span.record("status", "answered");
            info!(attempts = 2_u64, reason = Option::<&str>::None, "said \"hello\"\n");
        });
        let line = &lines[0];
        assert_eq!(lines.len(), 1);
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "said \"hello\"\n");
        assert_eq!(line["timestamp"], "2023-11-14T22:13:20.123Z");
        assert_eq!(line["service"], "test");
        assert_eq!(line["function_request_id"], "r-1");
        assert_eq!(line["status"], "answered");
        assert_eq!(line["specialist.name"], "orders");
        assert_eq!((&line["attempts"], &line["hold_micro_usd"]), (&2.into(), &5.into()));
        assert_eq!(line.get("reason"), None);
    }

    #[test]
    fn lines_below_the_level_are_left_out_and_keep_no_span_from_the_others() {
        let lines = logged(LevelFilter::ERROR, || {
            let span = info_span!("outer", function_request_id = "r-1");
            let _outer = span.enter();
            info!("not this");
            tracing::error!("this");
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["function_request_id"], "r-1");
    }

    #[test]
    fn other_crates_are_heard_from_warn_on_without_their_words() {
        let lines = logged(LevelFilter::DEBUG, || {
            tracing::info!(target: "aws_smithy_runtime", "not this");
            tracing::warn!(target: "aws_smithy_runtime", error = "SECRET", "SECRET {}", 1);
        });
        assert_eq!(lines.len(), 1);
        assert!(lines[0]["location"].as_str().unwrap().starts_with("aws_smithy_runtime:"));
        assert!(!lines[0].to_string().contains("SECRET"));
    }
}
