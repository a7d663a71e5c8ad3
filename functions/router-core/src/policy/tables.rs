//! The tables of a policy, each with its keys, what they may be, and what they are by default.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use toml::{Table, Value};

use super::levels::{MAX_LEVELS, RouterNode};
use super::reader::Section;
use super::{
    CircuitRules, Escalation, GatewayHour, Join, ModelSettings, OnLedgerFailure, Retry,
    SchemaFiles, SessionLimits, SeveralTasks, Specialist, SpecialistName, TenantDay, UserDay,
};
use crate::ids::RECENT_IDS;
use crate::units::{MicroUsd, Price, Share, Tokens};

pub(super) fn read_session(section: &Section<'_>) -> SessionLimits {
    let degrade_at = section.share("degrade_at", Share(900_000));
    let warn_at = section.share("warn_at", Share(800_000).min(degrade_at));
    if warn_at > degrade_at && !section.is_wrong("warn_at") && !section.is_wrong("degrade_at") {
        let found = MicroUsd(warn_at.0.into()).to_usd().to_string();
        section.mistake("warn_at", &found, "it must not be above degrade_at");
    }
    let limits = SessionLimits {
        max_steps: section.integer("max_steps", 1..=10_000, None),
        max_tokens: Tokens(section.integer("max_tokens", 1..=1_000_000_000, None)),
        max_cost: section.usd("max_cost_usd", None),
        max_handoffs: section.integer("max_handoffs", 0..=10_000, Some(6)),
        max_turns_per_specialist: section.integer("max_turns_per_specialist", 1..=10_000, Some(10)),
        warn_at,
        degrade_at,
        idle_ttl: section.seconds("idle_ttl_seconds", 1..=31_536_000, 86_400),
        on_ledger_failure: section.choice(
            "on_ledger_failure",
            &[("refuse", OnLedgerFailure::Refuse), ("allow", OnLedgerFailure::Allow)],
        ),
        max_repeats: section.optional_integer("max_repeats", 1..=10_000),
        repeat_window: section
            .optional_integer("repeat_window_seconds", 1..=86_400)
            .map(Duration::from_secs),
    };
    section.finish();
    limits
}

pub(super) fn read_tenant_day(section: &Section<'_>) -> TenantDay {
    let day = TenantDay {
        max_cost: section.usd("max_cost_usd", Some(MicroUsd(25_000_000))),
        block: section.usd("block_usd", Some(MicroUsd(20_000))),
        tenants: section.strings("tenants").unwrap_or_default().into_iter().collect(),
    };
    section.finish();
    day
}

pub(super) fn read_user_day(section: &Section<'_>) -> UserDay {
    let day = UserDay { max_cost: section.usd("max_cost_usd", None) };
    section.finish();
    day
}

pub(super) fn read_gateway_hour(section: &Section<'_>) -> GatewayHour {
    let hour = GatewayHour {
        max_steps: section.integer("max_steps", 1..=1_000_000, Some(600)),
        max_cost: section.usd("max_cost_usd", Some(MicroUsd(5_000_000))),
    };
    section.finish();
    hour
}

/// No call has more tasks: the first holds of so many have a place each among the ids of settled
/// holds that a session remembers.
const MOST_TASKS: u64 = RECENT_IDS;

pub(super) fn read_several(section: &Section<'_>) -> SeveralTasks {
    let tasks = |key, default| {
        let number = section.integer(key, 1..=MOST_TASKS, Some(default));
        usize::try_from(number).unwrap_or(usize::MAX)
    };
    let several = SeveralTasks {
        max_tasks: tasks("max_tasks", 10),
        width: tasks("width", 8),
        join: section.choice("join", &Join::NAMES),
    };
    section.finish();
    several
}

pub(super) fn read_escalation(section: &Section<'_>) -> Escalation {
    let escalation = Escalation {
        answer_within: section.seconds("answer_within_seconds", 60..=2_592_000, 14_400),
        after_failure: section.boolean("after_failure", false),
    };
    section.finish();
    escalation
}

/// What is known before the specialists are read.
pub(super) struct Known<'a> {
    pub(super) agents: Option<&'a BTreeMap<String, String>>,
    pub(super) names: BTreeSet<SpecialistName>,
    pub(super) fallback: &'a SpecialistName,
    pub(super) files: SchemaFiles<'a>,
}

/// All names and paths of specialists that parse, without a word about the others: the code that reads
/// their tables reports them.
pub(super) fn all_names(policy: &Table) -> BTreeSet<SpecialistName> {
    fn add(table: &Table, above: Option<&SpecialistName>, names: &mut BTreeSet<SpecialistName>) {
        let below = table.get("specialists").and_then(Value::as_table);
        for (name, table) in below.into_iter().flatten() {
            let Some(name) = path(above, name) else { continue };
            if let Some(table) = table.as_table().filter(|_| name.level() < MAX_LEVELS) {
                add(table, Some(&name), names);
            }
            names.insert(name);
        }
    }
    let mut names = BTreeSet::new();
    add(policy, None, &mut names);
    names
}

fn path(above: Option<&SpecialistName>, name: &str) -> Option<SpecialistName> {
    match above {
        Some(above) => above.below(name),
        None => SpecialistName::parse(name).filter(|name| name.level() == 1),
    }
}

/// What is said of a specialist's agent. It is not looked at while it has none: that may be so in one
/// environment only.
const OF_AN_AGENT: [&str; 14] = [
    "degraded_agent",
    "output_schema",
    "writes",
    "instruction",
    "temperature",
    "max_output_tokens",
    "requires_verified_identity",
    "max_tokens_per_call",
    "unknown_usage_tokens",
    "timeout_ms",
    "idle_timeout_ms",
    "retry",
    "circuit",
    "price",
];

type Tree = (BTreeMap<SpecialistName, Specialist>, BTreeMap<SpecialistName, RouterNode>);

pub(super) fn read_specialists(root: &Section<'_>, known: &Known<'_>) -> Tree {
    let mut tree = Tree::default();
    read_level(&root.required_section("specialists"), None, known, &mut tree);
    tree
}

fn read_level(
    level: &Section<'_>,
    above: Option<&SpecialistName>,
    known: &Known<'_>,
    tree: &mut Tree,
) {
    let rule = "a specialist's name is a letter, then letters, digits, `-` and `_`, 40 at most, and \
                100 with those of the levels above";
    for (name, section) in level.sections() {
        match path(above, &name) {
            Some(name) => read_with_those_below(name, &section, known, tree),
            None => section.mistake_here("not a name", rule),
        }
    }
}

/// Reads a specialist, and those that it has itself.
fn read_with_those_below(
    name: SpecialistName,
    section: &Section<'_>,
    known: &Known<'_>,
    tree: &mut Tree,
) {
    let Some(below) = section.optional_section("specialists") else {
        tree.0.insert(name.clone(), read_specialist(name, section, known));
        return;
    };
    if name.level() == MAX_LEVELS {
        section.mistake("specialists", "a table", &format!("{MAX_LEVELS} levels are enough"));
        return;
    }
    read_level(&below, Some(&name), known, tree);
    if section.names_agent(&name, known.agents) {
        let specialist = read_specialist(name.clone(), section, known);
        let Specialist { description, intents, fallback, .. } = specialist.clone();
        tree.0.insert(name.clone(), specialist);
        tree.1.insert(name.clone(), RouterNode { name, description, intents, fallback });
    } else {
        let node = RouterNode {
            description: section.text("description"),
            intents: section.strings("intents").unwrap_or_default().into_iter().collect(),
            fallback: read_fallback(&name, section, known),
            name: name.clone(),
        };
        section.ignore(&OF_AN_AGENT);
        section.finish();
        tree.1.insert(name, node);
    }
}

/// Who is asked in the place of a specialist; never itself.
fn read_fallback(
    name: &SpecialistName,
    section: &Section<'_>,
    known: &Known<'_>,
) -> Vec<SpecialistName> {
    let named = section.specialists("fallback", &known.names);
    let mut fallback = named.unwrap_or_else(|| vec![known.fallback.clone()]);
    let mut seen = BTreeSet::from([name.clone()]);
    fallback.retain(|fallback| seen.insert(fallback.clone()));
    fallback
}

fn read_specialist(name: SpecialistName, section: &Section<'_>, known: &Known<'_>) -> Specialist {
    let max_tokens_per_call =
        Tokens(section.integer("max_tokens_per_call", 1..=1_000_000_000, None));
    let unknown_usage = Some(max_tokens_per_call.0);
    let timeout = section.millis("timeout_ms", 1..=900_000, 20_000);
    let specialist = Specialist {
        description: section.text("description"),
        agent: section.agent(&name, known.agents),
        degraded_agent: section.optional_agent("degraded_agent"),
        model: ModelSettings {
            instruction: section.optional_text("instruction"),
            temperature: section.optional_fraction("temperature"),
            // What the service takes is a 32-bit number.
            max_output_tokens: section.optional_integer("max_output_tokens", 1..=1_000_000_000),
        },
        intents: section.strings("intents").unwrap_or_default().into_iter().collect(),
        output_schema: section.schema("output_schema", known.files),
        writes: section.optional_text("writes"),
        fallback: read_fallback(&name, section, known),
        requires_verified_identity: section.boolean("requires_verified_identity", true),
        max_tokens_per_call,
        unknown_usage: Tokens(section.integer(
            "unknown_usage_tokens",
            1..=1_000_000_000,
            unknown_usage,
        )),
        timeout,
        idle_timeout: section.millis_up_to("idle_timeout_ms", 10_000, "timeout_ms", timeout),
        retry: read_retry(&section.section("retry")),
        circuit: read_circuit(&section.section("circuit"), timeout),
        price: read_price(&section.required_section("price")),
        name,
    };
    section.finish();
    specialist
}

pub(super) fn read_retry(section: &Section<'_>) -> Retry {
    let max_delay = section.millis("max_delay_ms", 1..=900_000, 2_000);
    let retry = Retry {
        max_attempts: section.integer("max_attempts", 1..=10, Some(3)),
        base_delay: section.millis_up_to("base_delay_ms", 100, "max_delay_ms", max_delay),
        max_delay,
    };
    section.finish();
    retry
}

pub(super) fn read_circuit(section: &Section<'_>, timeout: Duration) -> CircuitRules {
    let rules = CircuitRules {
        failures: section.integer("failures", 1..=10_000, Some(5)),
        // Each is kept in the circuit's item, which has to stay small.
        sessions: section.integer("sessions", 1..=32, Some(2)) as usize,
        open: section.seconds("open_seconds", 1..=86_400, 30),
        probes: section.integer("probes", 1..=1_000, Some(3)),
        slow_call: section.millis_up_to("slow_call_ms", 8_000, "timeout_ms", timeout),
    };
    section.finish();
    rules
}

pub(super) fn read_price(section: &Section<'_>) -> Price {
    let usual =
        Price::new(section.price("input_usd_per_mtok"), section.price("output_usd_per_mtok"));
    let cache_read = section.optional_price("cache_read_usd_per_mtok");
    let cache_write = section.optional_price("cache_write_usd_per_mtok");
    section.finish();
    Price {
        cache_read_per_mtok: cache_read.unwrap_or(usual.cache_read_per_mtok),
        cache_write_per_mtok: cache_write.unwrap_or(usual.cache_write_per_mtok),
        ..usual
    }
}
