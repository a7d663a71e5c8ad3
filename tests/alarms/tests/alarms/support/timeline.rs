//! Recorded requests, laid on a timeline.

use alarms::data::{Minute, Published, SeriesId};

use super::Request;
use super::request::Told;

/// Requests that come again and again, so many a minute.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    cycle: Vec<Request>,
    others: Option<(usize, Vec<Request>)>,
    per_minute: usize,
}

impl Traffic {
    /// These requests, in turn.
    pub(crate) fn of(cycle: Vec<Request>, per_minute: usize) -> Self {
        assert!(!cycle.is_empty(), "no traffic was recorded");
        Self { cycle, others: None, per_minute }
    }

    /// The same, but every `nth` request is one of `others`, in turn.
    pub(crate) fn with_every(&self, nth: usize, others: &[Request]) -> Self {
        assert!(!others.is_empty(), "no traffic was recorded");
        Self { others: Some((nth, others.to_vec())), ..self.clone() }
    }

    /// The same, so many a minute.
    pub(crate) fn at(&self, per_minute: usize) -> Self {
        Self { per_minute, ..self.clone() }
    }

    /// How many requests come in a minute.
    pub(crate) fn per_minute(&self) -> usize {
        self.per_minute
    }
}

/// All that one request tells, and where it goes.
type Placed<'r> = Vec<(SeriesId, &'r [f64])>;

/// What was published in the minutes so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timeline {
    pub(crate) published: Published,
    pub(crate) minutes: Minute,
}

impl Timeline {
    /// Lets this traffic come for so many minutes more.
    pub(crate) fn then(mut self, minutes: Minute, traffic: &Traffic) -> Self {
        let own = self.place(&traffic.cycle);
        let others = traffic.others.as_ref().map(|(_, others)| self.place(others));
        let nth = traffic.others.as_ref().map_or(usize::MAX, |(nth, _)| *nth);
        let (mut own, mut others) = (own.iter().cycle(), others.iter().flatten().cycle());
        for at in 0..minutes * traffic.per_minute {
            let next = if at % nth == nth - 1 { others.next() } else { own.next() };
            for (series, values) in next.into_iter().flatten() {
                self.published.add(*series, self.minutes + at / traffic.per_minute, values);
            }
        }
        self.minutes += minutes;
        self
    }

    /// Lets nothing happen for so many minutes more.
    pub(crate) fn silence(mut self, minutes: Minute) -> Self {
        self.minutes += minutes;
        self
    }

    fn place<'r>(&mut self, requests: &'r [Request]) -> Vec<Placed<'r>> {
        let mut place = |told: &'r Told| {
            (self.published.series(&told.metric, &told.unit), told.values.as_slice())
        };
        requests.iter().map(|request| request.metrics.iter().map(&mut place).collect()).collect()
    }
}
