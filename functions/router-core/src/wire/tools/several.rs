//! The arguments of `invoke_specialists`.

use serde_json::Value;

use super::{Arguments, BadArguments, Task, bad, shown};
use crate::json::{self, kind};
use crate::policy::{Join, Policy};

/// Stands in a pipeline's request for the answer of the stage before.
pub const PREVIOUS: &str = "{{previous}}";

/// Several sub-tasks, and how they belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Several {
    /// The tasks: one at least, and no more than the policy allows.
    pub tasks: Vec<Task>,
    /// How they belong together.
    pub mode: Mode,
}

/// How several tasks belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They run at once.
    Parallel(Join),
    /// Each is a stage that may ask for what the one before it answered.
    Pipeline,
}

impl Mode {
    /// How many of so many tasks must be answered for the whole to be.
    pub fn answers_wanted(self, tasks: usize) -> usize {
        match self {
            Self::Parallel(join) => join.answers_wanted(tasks),
            Self::Pipeline => tasks,
        }
    }
}

impl Several {
    pub(super) fn parse(arguments: &Arguments, policy: &Policy) -> Result<Self, BadArguments> {
        let mode = mode(arguments, policy)?;
        let Some(tasks) = arguments.array("tasks")? else {
            return Err(bad(
                "`tasks` is missing. Give a JSON array of objects with `specialist_type` \
                            and `request`."
                    .to_owned(),
            ));
        };
        let most = policy.several.max_tasks;
        if tasks.is_empty() || tasks.len() > most {
            let found = tasks.len();
            return Err(bad(format!("`tasks` has {found} tasks; it must have 1 to {most}.")));
        }
        let tasks: Vec<Task> = tasks
            .iter()
            .enumerate()
            .map(|(place, task)| {
                let within = |error: BadArguments| in_task(place, &error.message);
                let arguments = object(task).map_err(within)?;
                let task = Task::parse(&arguments, policy).map_err(within)?;
                let has_one_before = place > 0 && mode == Mode::Pipeline;
                if task.prompt.contains(PREVIOUS) && !has_one_before {
                    let rule = "only a stage of a pipeline that follows another may have it";
                    return Err(in_task(place, &format!("`request` has `{PREVIOUS}`; {rule}.")));
                }
                Ok(task)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { tasks, mode })
    }
}

fn mode(arguments: &Arguments, policy: &Policy) -> Result<Mode, BadArguments> {
    let join = match arguments.text("join")? {
        None => policy.several.join,
        Some(text) => {
            let named = Join::NAMES.into_iter().find(|(name, _)| *name == text);
            let wrong = || not_one_of("join", text, "`all`, `quorum` or `first`");
            named.ok_or_else(wrong)?.1
        }
    };
    match arguments.text("mode")? {
        None => Err(bad("`mode` is missing. Give `parallel` or `pipeline`.".to_owned())),
        Some("parallel") => Ok(Mode::Parallel(join)),
        Some("pipeline") => Ok(Mode::Pipeline),
        Some(text) => Err(not_one_of("mode", text, "`parallel` or `pipeline`")),
    }
}

fn not_one_of(name: &str, found: &str, allowed: &str) -> BadArguments {
    let found = shown(&Value::from(found));
    bad(format!("`{name}` is `{found}`; it must be {allowed}."))
}

/// A task's arguments: an object, or a string that holds one.
fn object(task: &Value) -> Result<Arguments, BadArguments> {
    let read = match task {
        Value::String(text) => json::read(text.as_bytes()).ok(),
        _ => None,
    };
    match read.as_ref().unwrap_or(task) {
        Value::Object(object) => Ok(Arguments::from_object(object)),
        other => Err(bad(format!("it is {}; it must be an object.", kind(other)))),
    }
}

fn in_task(place: usize, message: &str) -> BadArguments {
    bad(format!("Task {} of `tasks`: {message}", place + 1))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doubles::policy;

    fn parse(arguments: Value) -> Result<Several, String> {
        let arguments = Arguments::from_object(arguments.as_object().unwrap());
        Several::parse(&arguments, &policy()).map_err(|bad| bad.message)
    }

    fn two() -> Value {
        json!([{"specialist_type": "orders", "request": "Where is it?", "task_id": "a"},
            {"specialist_type": "billing", "request": "What was paid?", "confidence": "0.9"}])
    }

    #[test]
    fn tasks_come_as_an_array_as_a_string_and_as_strings_in_an_array() {
        let array = two();
        let texts: Vec<String> = array.as_array().unwrap().iter().map(Value::to_string).collect();
        for tasks in [array.clone(), array.to_string().into(), texts.into()] {
            let several = parse(json!({"tasks": tasks, "mode": "parallel"})).unwrap();
            assert_eq!(several.mode, Mode::Parallel(Join::All));
            assert_eq!(several.tasks[0].task_id.as_deref(), Some("a"));
            assert_eq!(several.tasks[1].specialist, "billing");
            assert_eq!(several.tasks[1].confidence, Some(0.9));
        }
    }

    #[test]
    fn the_call_says_what_is_waited_for_or_else_the_policy() {
        for (join, expected) in
            [("all", Join::All), ("quorum", Join::Quorum), ("first", Join::First)]
        {
            let several = parse(json!({"tasks": two(), "mode": "parallel", "join": join}));
            assert_eq!(several.unwrap().mode, Mode::Parallel(expected));
        }
        let mut policy = policy();
        policy.several.join = Join::First;
        let call = json!({"tasks": two(), "mode": "parallel", "join": null});
        let arguments = Arguments::from_object(call.as_object().unwrap());
        let several = Several::parse(&arguments, &policy).unwrap();
        assert_eq!(several.mode, Mode::Parallel(Join::First));
    }

    #[test]
    fn a_mistake_is_told_with_its_place_what_was_found_and_what_is_allowed() {
        let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let many: Vec<Value> = std::iter::repeat_n(two()[0].clone(), 1_000).collect();
        let cases = [
            ("tasks", json!(null), "`tasks` is missing."),
            ("tasks", json!(" "), "`tasks` is missing."),
            ("tasks", json!([]), "`tasks` has 0 tasks; it must have 1 to 10."),
            ("tasks", json!(many), "`tasks` has 1000 tasks; it must have 1 to 10."),
            ("tasks", json!("[{specialist"), "`tasks` is not JSON; it must be a JSON array."),
            ("tasks", json!({"a": 1}), "`tasks` is an object; it must be a JSON array."),
            ("tasks", json!("7"), "`tasks` is a number; it must be a JSON array."),
            ("tasks", json!(nested), "Task 1 of `tasks`: it is an array; it must be an object."),
            (
                "tasks",
                json!(["orders"]),
                "Task 1 of `tasks`: it is a string; it must be an object.",
            ),
            (
                "tasks",
                json!([two()[0], {"request": "r"}]),
                "Task 2 of `tasks`: `specialist_type` is missing. Give one of: billing, ",
            ),
            ("mode", json!(null), "`mode` is missing. Give `parallel` or `pipeline`."),
            ("mode", json!("both"), "`mode` is `both`; it must be `parallel` or `pipeline`."),
            ("join", json!("any"), "`join` is `any`; it must be `all`, `quorum` or `first`."),
            ("join", json!(2), "`join` is a number; it must be a string."),
        ];
        for (name, value, expected) in cases {
            let mut arguments = json!({"tasks": two(), "mode": "parallel"});
            arguments[name] = value;
            let message = parse(arguments).unwrap_err();
            assert!(message.starts_with(expected), "{message}");
            assert!(message.len() < 400, "{message}");
        }
    }

    #[test]
    fn only_a_stage_that_follows_another_may_ask_for_what_came_before() {
        let asks = json!({"specialist_type": "orders", "request": "About {{previous}}?"});
        let tasks = |first: &Value, second: &Value| json!([first, second]);
        let plain = &two()[0];
        assert!(parse(json!({"tasks": tasks(plain, &asks), "mode": "pipeline"})).is_ok());
        for (tasks, mode, place) in
            [(tasks(&asks, plain), "pipeline", 1), (tasks(plain, &asks), "parallel", 2)]
        {
            let message = parse(json!({"tasks": tasks, "mode": mode})).unwrap_err();
            let expected = format!("Task {place} of `tasks`: `request` has `{{{{previous}}}}`;");
            assert!(message.starts_with(&expected), "{message}");
        }
    }
}
