//! The spans of one request as a waterfall: which one is a part of which, and when it ran.

use std::collections::HashMap;

use super::span::Span;

/// The most spans that are drawn. An agent that tells of its steps may have had hundreds.
const MOST_ROWS: usize = 80;

/// What of a span is shown beside its name, if it has it: the first of each list.
const SAID: [&[&str]; 2] = [&["router.outcome", "router.status"], &["router.reason"]];

/// The spans of one request, in the order in which they are drawn.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Waterfall {
    /// One for each span, a parent before its children, siblings in the order they began.
    pub(crate) rows: Vec<Row>,
    /// From the first beginning to the last end, in nanoseconds.
    pub(crate) length_ns: u64,
    /// The traces that the spans are of.
    pub(crate) trace_ids: Vec<String>,
    /// How many spans are left out.
    pub(crate) left_out: usize,
}

/// One span.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// How many spans it is within.
    pub(crate) depth: usize,
    /// What was done.
    pub(crate) name: String,
    /// Where it begins and ends, as shares of the whole length: from 0 to 1.
    pub(crate) place: (f64, f64),
    /// How long it took.
    pub(crate) length_ns: u64,
    /// What came of it, in a few words; may be empty.
    pub(crate) said: String,
    /// Whether it failed.
    pub(crate) failed: bool,
    /// All that is known of it, a line each.
    pub(crate) facts: Vec<String>,
}

impl Waterfall {
    /// The waterfall of all these spans; `None` where there are none. No span is lost: one whose
    /// parent is missing, or that is within itself, is drawn as if it had none.
    pub(crate) fn of(spans: &[Span]) -> Option<Self> {
        let begin = spans.iter().map(|span| span.start_ns).min()?;
        let end = spans.iter().map(|span| span.end_ns.max(span.start_ns)).max()?;
        let length_ns = end - begin;
        let share = |ns: u64| match length_ns {
            0 => 0.0,
            length => ns.saturating_sub(begin) as f64 / length as f64,
        };
        let row = |(place, depth): (usize, usize)| {
            let span = &spans[place];
            let end_ns = span.end_ns.max(span.start_ns);
            Row {
                depth,
                name: span.name.clone(),
                place: (share(span.start_ns), share(end_ns)),
                length_ns: end_ns - span.start_ns,
                said: said(span),
                failed: span.failure.is_some(),
                facts: facts(span),
            }
        };
        let order = order(spans);
        let left_out = order.len().saturating_sub(MOST_ROWS);
        let rows = order.into_iter().take(MOST_ROWS).map(row).collect();
        let mut trace_ids: Vec<String> = spans.iter().map(|span| span.trace_id.clone()).collect();
        trace_ids.sort();
        trace_ids.dedup();
        Some(Self { rows, length_ns, trace_ids, left_out })
    }
}

/// The places of all spans in the order of drawing, each with its depth.
fn order(spans: &[Span]) -> Vec<(usize, usize)> {
    let mut by_start: Vec<usize> = (0..spans.len()).collect();
    by_start.sort_by_key(|&place| spans[place].start_ns);
    let mut known = HashMap::new();
    for &place in &by_start {
        // Of two spans with one id the first is the parent of all that name it.
        known.entry((&*spans[place].trace_id, &*spans[place].span_id)).or_insert(place);
    }
    let parent = |place: usize| {
        let span = &spans[place];
        known.get(&(&*span.trace_id, span.parent_id.as_deref()?)).copied()
    };
    let mut children = HashMap::<Option<usize>, Vec<usize>>::new();
    for &place in &by_start {
        children.entry(parent(place)).or_default().push(place);
    }
    let mut order = Vec::with_capacity(spans.len());
    let mut drawn = vec![false; spans.len()];
    // Those without a parent come first; whatever is not below one of them is within itself.
    let roots = children.get(&None).cloned().unwrap_or_default();
    for root in roots.into_iter().chain(by_start.iter().copied()) {
        let mut waiting = vec![(root, 0)];
        while let Some((place, depth)) = waiting.pop() {
            if std::mem::replace(&mut drawn[place], true) {
                continue;
            }
            order.push((place, depth));
            let below = children.get(&Some(place)).map_or(&[][..], Vec::as_slice);
            waiting.extend(below.iter().rev().map(|&child| (child, depth + 1)));
        }
    }
    order
}

fn said(span: &Span) -> String {
    let of = |names: &&[&str]| names.iter().find_map(|name| span.attribute(name));
    let mut said: Vec<&str> = SAID.iter().filter_map(of).collect();
    if let Some(why) = &span.failure {
        said.push(if why.is_empty() { "error" } else { why });
    }
    // A span that failed often says why twice.
    said.dedup();
    said.join(", ")
}

fn facts(span: &Span) -> Vec<String> {
    span.attributes.iter().map(|(name, value)| format!("{name} = {value}")).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A span from and to so many milliseconds after its request began.
    pub(crate) fn span(id: &str, parent: Option<&str>, from_ms: u64, to_ms: u64) -> Span {
        let began_ns = 1_795_262_400_000_000_000;
        Span {
            trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
            span_id: id.to_owned(),
            parent_id: parent.map(str::to_owned),
            name: id.to_owned(),
            start_ns: began_ns + from_ms * 1_000_000,
            end_ns: began_ns + to_ms * 1_000_000,
            attributes: Vec::new(),
            failure: None,
        }
    }

    fn drawn(spans: &[Span]) -> Vec<(String, usize)> {
        let waterfall = Waterfall::of(spans).unwrap();
        waterfall.rows.into_iter().map(|row| (row.name, row.depth)).collect()
    }

    fn named(rows: &[(&str, usize)]) -> Vec<(String, usize)> {
        rows.iter().map(|(name, depth)| ((*name).to_owned(), *depth)).collect()
    }

    #[test]
    fn parents_come_before_their_children_and_siblings_as_they_began() {
        // As they end, which is the order in which spans are exported.
        let spans = [
            span("reserve", Some("request"), 2, 5),
            span("attempt 1", Some("invocation"), 6, 20),
            span("attempt 2", Some("invocation"), 25, 60),
            span("invocation", Some("request"), 5, 61),
            span("settle", Some("request"), 61, 64),
            // Its parent is Lambda's, of which nobody exports a span.
            span("request", Some("lambda"), 0, 65),
        ];
        let expected = [
            ("request", 0),
            ("reserve", 1),
            ("invocation", 1),
            ("attempt 1", 2),
            ("attempt 2", 2),
            ("settle", 1),
        ];
        assert_eq!(drawn(&spans), named(&expected));
    }

    #[test]
    fn places_are_shares_of_the_whole_length() {
        let spans = [span("a", None, 10, 50), span("b", Some("a"), 20, 30), span("c", None, 5, 10)];
        let waterfall = Waterfall::of(&spans).unwrap();
        assert_eq!(waterfall.length_ns, 45_000_000);
        let places: Vec<(f64, f64)> = waterfall.rows.iter().map(|row| row.place).collect();
        let at = |ms: f64| ms / 45.0;
        assert_eq!(places, [(0.0, at(5.0)), (at(5.0), 1.0), (at(15.0), at(25.0))]);
        assert_eq!(waterfall.rows[2].length_ns, 10_000_000);
    }

    #[test]
    fn no_span_is_lost_and_none_is_drawn_twice() {
        let spans = [
            span("a", Some("b"), 0, 1),
            span("b", Some("a"), 1, 2),
            span("self", Some("self"), 2, 3),
            span("orphan", Some("gone"), 3, 4),
            span("orphan", Some("gone"), 4, 5),
            span("child", Some("orphan"), 4, 5),
        ];
        let expected =
            [("orphan", 0), ("child", 1), ("orphan", 0), ("a", 0), ("b", 1), ("self", 0)];
        assert_eq!(drawn(&spans), named(&expected));
    }

    #[test]
    fn a_span_of_another_trace_is_no_parent() {
        let mut other = span("request", None, 0, 9);
        other.trace_id = "another".to_owned();
        let spans = [other, span("attempt", Some("request"), 1, 2)];
        assert_eq!(drawn(&spans), named(&[("request", 0), ("attempt", 0)]));
        assert_eq!(Waterfall::of(&spans).unwrap().trace_ids.len(), 2);
    }

    #[test]
    fn odd_times_are_drawn_all_the_same() {
        let backwards = Waterfall::of(&[span("a", None, 9, 3)]).unwrap();
        assert_eq!((backwards.length_ns, backwards.rows[0].place), (0, (0.0, 0.0)));
        // A child that ran on another machine, whose clock is behind.
        let spans = [span("a", None, 10, 20), span("b", Some("a"), 0, 5)];
        let places: Vec<_> =
            Waterfall::of(&spans).unwrap().rows.into_iter().map(|row| row.place).collect();
        assert_eq!(places, [(0.5, 1.0), (0.0, 0.25)]);
        assert_eq!(Waterfall::of(&[]), None);
    }

    #[test]
    fn a_span_says_what_came_of_it() {
        let mut failed = span("attempt", None, 0, 1);
        let attributes = [("router.attempt", "2"), ("router.outcome", "throttled")];
        failed.attributes =
            attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        failed.failure = Some("throttled".to_owned());
        let row = Waterfall::of(&[failed.clone()]).unwrap().rows.remove(0);
        assert_eq!((row.said.as_str(), row.failed), ("throttled", true));
        assert_eq!(row.facts, ["router.attempt = 2", "router.outcome = throttled"]);
        failed.failure = Some(String::new());
        assert_eq!(Waterfall::of(&[failed]).unwrap().rows[0].said, "throttled, error");
    }

    #[test]
    fn of_very_many_spans_the_first_are_drawn() {
        let spans: Vec<Span> = (0..100).map(|n| span(&n.to_string(), None, n, n + 1)).collect();
        let waterfall = Waterfall::of(&spans).unwrap();
        assert_eq!((waterfall.rows.len(), waterfall.left_out), (MOST_ROWS, 100 - MOST_ROWS));
    }
}
