//! Several tasks at once.
//!
//! The first of them, as many as the policy lets run at once, are held for in one write, all or none.
//! Each then goes its own way, with its own lane, attempts, circuit and fallbacks, and the next begins
//! where one has ended. What they used is settled together when the last has ended.

use std::future::Future;
use std::ops::Range;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;

use super::attempts::Granted;
use super::context::TaskContext;
use super::recovery::recovered;
use super::run::{Progress, Ready, TaskRun, Turn, not_reached, run};
use crate::budget::purse::Purse;
use crate::deadline;
use crate::guard::guarded;
use crate::outcome::Reason;
use crate::policy::Join;
use crate::ports::Ports;
use crate::request::{Request, TaskEnd};
use crate::stop::Stop;
use crate::wire::tools::Task;

/// Has the tasks answered, as many as `join` waits for; the ends are in the order of the tasks.
pub(crate) async fn parallel<P: Ports>(
    request: Request<'_, P>,
    tasks: &[Task],
    join: Join,
) -> Vec<TaskEnd> {
    let stops: Vec<Stop> = tasks.iter().map(|_| Stop::default()).collect();
    let wanted = join.answers_wanted(tasks.len());
    let ends = tasks.iter().map(|_| None).collect();
    let mut several = SeveralRuns { request, tasks, stops: &stops, wanted, ends };
    several.run().await;
    several.ends.into_iter().map(|end| end.unwrap_or_else(not_reached)).collect()
}

struct SeveralRuns<'t, P> {
    request: Request<'t, P>,
    tasks: &'t [Task],
    stops: &'t [Stop],
    /// How many answers are waited for.
    wanted: usize,
    /// How each task ended; `None`: it did not yet, or did not begin.
    ends: Vec<Option<TaskEnd>>,
}

/// A task before its first invocation.
type Begun<'t, P> = (TaskRun<'t, P>, Ready<'t>);

/// Where a task goes on.
enum Start<'t, P> {
    /// With a hold that was asked for together with those of others, or without it.
    Granted(Box<(Begun<'t, P>, Result<Granted, Progress>)>),
    /// At its beginning.
    Alone,
}

impl<'t, P: Ports> SeveralRuns<'t, P> {
    async fn run(&mut self) {
        let width = self.request.policy.several.width.min(self.tasks.len());
        self.request.refresh_circuits().await;
        let begun = self.begin(0..width).await;
        if self.has_enough() {
            join_all(begun.into_iter().map(|(run, ready)| run.give_up(ready))).await;
            return;
        }
        let mut running = FuturesUnordered::new();
        for (place, start) in self.take(begun).await {
            running.push(self.branch(place, start));
        }
        let mut waiting = width..self.tasks.len();
        loop {
            while running.len() < width
                && !self.has_enough()
                && let Some(place) = waiting.find(|place| self.ends[*place].is_none())
            {
                running.push(self.branch(place, Start::Alone));
            }
            let Some((place, end)) = running.next().await else { return };
            self.ends[place] = Some(end);
            if self.has_enough() {
                self.stops.iter().for_each(Stop::stop);
            }
        }
    }

    /// Does all that comes before the holds of these tasks. Some end by it.
    async fn begin(&mut self, places: Range<usize>) -> Vec<Begun<'t, P>> {
        let request = self.request;
        let begin = |place| {
            let context = self.context(place);
            guarded("the beginning of a task", async {
                let mut run = TaskRun::begin(context)?;
                let turn = match run.turn().await {
                    Turn::End(end) => Turn::End(run.hand_over(end).await),
                    turn @ Turn::Invoke(_) => turn,
                };
                Ok((run, turn))
            })
        };
        let turned = join_all(places.clone().map(begin)).await;
        let mut begun = Vec::new();
        for (place, turned) in places.zip(turned) {
            match turned {
                Some(Ok((run, Turn::Invoke(ready)))) => begun.push((run, ready)),
                Some(Ok((_, Turn::End(end))) | Err(end)) => self.ends[place] = Some(end),
                None => self.ends[place] = Some(recovered(request, place).await),
            }
        }
        begun
    }

    /// Takes a hold for each of the tasks, all or none: without, the tasks that wait are refused too.
    /// One that asks for what was asked too often is refused alone.
    async fn take(&mut self, mut begun: Vec<Begun<'t, P>>) -> Vec<(usize, Start<'t, P>)> {
        let place_of = |(run, _): &Begun<'t, P>| run.context.place;
        let mut starts = Vec::new();
        while !begun.is_empty() {
            let wanted: Vec<_> = begun.iter().map(|(run, ready)| run.wanted(ready)).collect();
            let within = deadline::before_call(self.request.remaining());
            let only_below = Some(self.request.policy.session.degrade_at);
            let error = match Purse(self.request).take_all(&wanted, only_below, within).await {
                Ok(taken) => {
                    starts.extend(begun.into_iter().zip(taken).map(|(begun, taken)| {
                        // From the share on from which cheaper agents answer, nothing is taken here.
                        let granted = Ok(begun.0.granted(&begun.1, &taken, false));
                        (place_of(&begun), Start::Granted(Box::new((begun, granted))))
                    }));
                    break;
                }
                Err(error) => error,
            };
            let repeats = wanted.iter().map(|wanted| wanted.repeats(&error)).collect::<Vec<_>>();
            let is_of_all = !repeats.contains(&true);
            let mut others = Vec::new();
            for (begun, repeats) in begun.into_iter().zip(repeats) {
                if is_of_all || repeats {
                    let granted = begun.0.without_hold(&begun.1, &error);
                    if let (Err(Progress::Refused { reason, message }), true) =
                        (&granted, is_of_all)
                    {
                        self.refuse_the_rest(*reason, message);
                    }
                    starts.push((place_of(&begun), Start::Granted(Box::new((begun, granted)))));
                } else {
                    others.push(begun);
                }
            }
            begun = others;
        }
        starts
    }

    /// Refuses the tasks that are not held for yet.
    fn refuse_the_rest(&mut self, reason: Reason, message: &str) {
        let width = self.request.policy.several.width;
        for end in self.ends.iter_mut().skip(width) {
            *end = Some(TaskEnd::Refused { reason, message: message.to_owned() });
        }
    }

    /// Has one task answered.
    fn branch(
        &self,
        place: usize,
        start: Start<'t, P>,
    ) -> impl Future<Output = (usize, TaskEnd)> + use<'t, P> {
        let (request, context) = (self.request, self.context(place));
        async move {
            let answering = guarded("a task", async {
                match start {
                    Start::Granted(begun) => {
                        let ((mut run, ready), granted) = *begun;
                        let turn = run.go_on(ready, granted).await;
                        run.finish(turn).await
                    }
                    Start::Alone => run(context).await,
                }
            });
            match answering.await {
                Some(end) => (place, end),
                None => (place, recovered(request, place).await),
            }
        }
    }

    fn context(&self, place: usize) -> TaskContext<'t, P> {
        let width = self.request.policy.several.width;
        // Those that wait for a place get a share of the time.
        let to_come = (self.tasks.len() - 1) / width - place / width;
        TaskContext::new(self.request, place, &self.tasks[place], &self.stops[place], to_come)
    }

    /// Whether as many tasks are answered as are waited for.
    fn has_enough(&self) -> bool {
        let is_answer = |end: &&Option<TaskEnd>| matches!(end, Some(TaskEnd::Answered { .. }));
        self.ends.iter().filter(is_answer).count() >= self.wanted
    }
}
