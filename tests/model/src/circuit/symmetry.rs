//! Processes are alike, and so are the attempts of one: of states that only differ in which of
//! them is which, one stands for all.

use std::hash::{DefaultHasher, Hash, Hasher};

use router_core::circuit::State as CircuitState;

use super::form::{each_author, each_circuit, owner};
use super::history::Holder;
use super::{Setup, State};

/// New numbers for processes and attempts: the old ones in the new order.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    processes: Vec<usize>,
    tasks: Vec<usize>,
    /// Old and new names of attempts.
    names: Vec<(String, String)>,
}

/// Every order but the one that changes nothing.
pub(crate) fn orders(setup: &Setup) -> Vec<Order> {
    let within = permutations(setup.tasks);
    let mut orders = Vec::new();
    for processes in permutations(setup.processes) {
        let mut each = vec![Vec::new()];
        for process in &processes {
            each = each
                .iter()
                .flat_map(|tasks: &Vec<usize>| {
                    within.iter().map(move |order| {
                        let moved = order.iter().map(|task| process * setup.tasks + task);
                        tasks.iter().copied().chain(moved).collect()
                    })
                })
                .collect();
        }
        orders.extend(each.into_iter().map(|tasks| Order::new(processes.clone(), tasks, setup)));
    }
    orders.retain(|order| !order.tasks.is_sorted());
    orders
}

impl Order {
    fn new(processes: Vec<usize>, tasks: Vec<usize>, setup: &Setup) -> Self {
        let names = tasks.iter().enumerate();
        let names = names.map(|(new, old)| (owner(*old, setup), owner(new, setup))).collect();
        Self { processes, tasks, names }
    }

    fn apply(&self, state: &State) -> State {
        let mut state = State {
            table: state.table.clone(),
            memories: self.processes.iter().map(|old| state.memories[*old].clone()).collect(),
            tasks: self.tasks.iter().map(|old| state.tasks[*old].clone()).collect(),
            late: state.late.clone(),
            history: state.history.clone(),
        };
        let run = self.tasks.iter().map(|old| state.history.run[*old]).collect();
        state.history.run = run;
        if let Some(Holder::Attempt(attempt)) = &mut state.history.holder {
            *attempt = self.new_of(*attempt);
        }
        for late in &mut state.late {
            late.by.attempt = late.by.attempt.map(|attempt| self.new_of(attempt));
        }
        each_circuit(&mut state, |circuit, _| {
            if let CircuitState::HalfOpen { probe: Some(probe), .. } = circuit {
                self.rename(&mut probe.owner, "");
            }
        });
        each_author(&mut state, |author| {
            self.rename(author, "?");
            self.rename(author, "!");
        });
        state
    }

    fn new_of(&self, attempt: usize) -> usize {
        self.tasks.iter().position(|old| *old == attempt).unwrap_or(attempt)
    }

    fn rename(&self, name: &mut String, suffix: &str) {
        let Some(stem) = name.strip_suffix(suffix) else { return };
        if let Some((_, new)) = self.names.iter().find(|(old, _)| old == stem) {
            *name = format!("{new}{suffix}");
        }
    }
}

/// The one of the states that stands for all.
pub(crate) fn representative(state: State, orders: &[Order]) -> State {
    let others = orders.iter().map(|order| order.apply(&state)).collect::<Vec<State>>();
    others.into_iter().chain([state.clone()]).min_by_key(hash).unwrap_or(state)
}

fn hash(state: &State) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

/// The orders of the numbers below `count`.
fn permutations(count: usize) -> Vec<Vec<usize>> {
    (0..count).fold(vec![Vec::new()], |orders, next| {
        let places = |order: &Vec<usize>| {
            let order = order.clone();
            (0..=order.len()).map(move |place| {
                let mut longer = order.clone();
                longer.insert(place, next);
                longer
            })
        };
        orders.iter().flat_map(places).collect()
    })
}
