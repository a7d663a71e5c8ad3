//! Server-sent events out of the bytes of a body, as the HTML standard has them:
//! <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>
//!
//! One thing is more lenient: an event that the end of the body cut off before its empty line
//! counts. That a body ended in order is known from the connection.

/// One event; `id` and `retry` mean nothing to a caller that does not reconnect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// The field `event`; empty where there is none.
    pub(super) name: Vec<u8>,
    /// The lines of `data`, with a line feed between two of them.
    pub(super) data: Vec<u8>,
}

/// What is left of the bytes that came so far.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// A line whose end has not come.
    line: Vec<u8>,
    /// An event whose end has not come.
    event: Event,
    has_data: bool,
    has_begun: bool,
    /// The last byte was a carriage return, with which a line feed may belong together.
    after_return: bool,
}

impl Decoder {
    /// Takes bytes in, split wherever the connection did, and gives the events that they end.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        let mut rest = bytes;
        if !rest.is_empty() && std::mem::take(&mut self.after_return) {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.line.extend_from_slice(&rest[..end]);
            let is_return = rest[end] == b'\r';
            rest = &rest[end + 1..];
            if is_return {
                self.after_return = rest.is_empty();
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
            let line = std::mem::take(&mut self.line);
            events.extend(self.take_line(&line));
        }
        self.line.extend_from_slice(rest);
        events
    }

    /// The body has ended: the event that it ended in.
    pub(super) fn finish(mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        self.take_line(&line).or_else(|| self.take_line(b""))
    }

    /// How many bytes are kept.
    pub(super) fn len(&self) -> usize {
        self.line.len() + self.event.name.len() + self.event.data.len()
    }

    fn take_line(&mut self, line: &[u8]) -> Option<Event> {
        let line = if std::mem::replace(&mut self.has_begun, true) {
            line
        } else {
            line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line)
        };
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        // A line that begins with a colon is a comment: a field without a name.
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let value = line.get(colon + 1..).unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &line[..colon] {
            b"event" => self.event.name = value.to_vec(),
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push(b'\n');
                }
                self.event.data.extend_from_slice(value);
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Name and data of each event of `body`, which comes in pieces of these sizes.
    fn decoded(body: &[u8], sizes: &[usize]) -> Vec<(String, String)> {
        let mut decoder = Decoder::default();
        let mut events = Vec::new();
        let mut rest = body;
        for size in sizes {
            let (piece, later) = rest.split_at((*size).min(rest.len()));
            events.extend(decoder.take(piece));
            rest = later;
        }
        events.extend(decoder.take(rest));
        events.extend(decoder.finish());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        events.into_iter().map(|event| (text(event.name), text(event.data))).collect()
    }

    fn data(body: &str) -> Vec<String> {
        decoded(body.as_bytes(), &[]).into_iter().map(|(_, data)| data).collect()
    }

    #[test]
    fn an_event_ends_with_an_empty_line_whatever_ends_its_lines() {
        for end in ["\n", "\r\n", "\r"] {
            let body = "data: one\n\nevent: two\ndata: 2\n\n".replace('\n', end);
            let expected = [("", "one"), ("two", "2")].map(|(n, d)| (n.into(), d.into()));
            assert_eq!(decoded(body.as_bytes(), &[]), expected, "{end:?}");
        }
    }

    #[test]
    fn the_lines_of_an_event_are_put_together() {
        assert_eq!(data("data: one\ndata:\ndata: two\n\n"), ["one\n\ntwo"]);
    }

    #[test]
    fn one_blank_after_the_colon_is_no_data() {
        assert_eq!(data("data:one\n\ndata:  two\n\ndata\n\n"), ["one", " two", ""]);
    }

    #[test]
    fn comments_and_other_fields_are_left_out() {
        assert_eq!(data(": ping\n\nid: 7\nretry: 10\ndata: one\nmore: x\n\n:\n\n"), ["one"]);
        assert_eq!(data("\u{feff}data: one\n\n"), ["one"]);
        assert_eq!(data("event: lonely\n\ndata: one\n\n"), ["one"]);
    }

    #[test]
    fn the_last_event_may_lack_its_empty_line() {
        assert_eq!(data("data: one\n\ndata: two\n"), ["one", "two"]);
        assert_eq!(data("data: one\n\ndata: two"), ["one", "two"]);
        assert_eq!(data(""), [""; 0]);
        assert_eq!(data("\n"), [""; 0]);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_connection_splits_the_bytes(
            body in "(data: ?[aé🙂]{0,3}|event: x|: c|\u{feff})?(\n|\r|\r\n){1,2}(data: [é🙂]{0,3}(\n|\r\n){0,2}){0,4}",
            sizes in prop::collection::vec(0..5_usize, 0..40),
        ) {
            prop_assert_eq!(decoded(body.as_bytes(), &sizes), decoded(body.as_bytes(), &[]));
        }
    }
}
