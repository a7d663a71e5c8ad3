//! A policy and agents whose numbers are easy to add up.
//!
//! A specialist holds 8,000 tokens, which at the dearer price are 120,000 micro-dollars; general
//! holds 4,000, which are 16,000. That is also what an attempt of unknown usage costs. An answer
//! of a specialist uses 500 + 100 tokens, 3,000 micro-dollars; one of general 200 + 50, 360.

/// What a session may use. What is not named is out of the way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_steps: u64,
    pub(crate) max_tokens: u64,
    pub(crate) max_cost_usd: f64,
    pub(crate) max_handoffs: u64,
    pub(crate) max_turns_per_specialist: u64,
}

impl Limits {
    pub(crate) const NONE: Self = Self {
        max_steps: 10_000,
        max_tokens: 1_000_000_000,
        max_cost_usd: 5_000.0,
        max_handoffs: 6,
        max_turns_per_specialist: 10,
    };
}

/// Keys of a specialist whose circuit stays closed however often it fails, and whose retries
/// hardly wait.
pub(crate) const PATIENT: &str = "circuit = { failures = 10_000 }
    retry = { base_delay_ms = 1, max_delay_ms = 4 }";

/// The shipped policy's specialists with short waits where the agents are slow: support may take
/// 600 ms and billing may be silent for 400 ms; orders and general may take their time. No
/// circuit opens, and retries come at once.
pub(crate) fn policy(limits: Limits) -> String {
    policy_with(limits, PATIENT)
}

/// As [`policy`], with `keys` for each specialist in place of [`PATIENT`].
pub(crate) fn policy_with(limits: Limits, keys: &str) -> String {
    let Limits { max_steps, max_tokens, max_cost_usd, max_handoffs, max_turns_per_specialist } =
        limits;
    let of_support = if keys.contains("timeout_ms") { "" } else { "timeout_ms = 600" };
    let specialist = |name: &str, intents: &str, own_keys: &str| {
        format!(
            "[specialists.{name}]
            description = \"{name}\"
            intents = [{intents}]
            max_tokens_per_call = 8000
            price = {{ input_usd_per_mtok = 3.0, output_usd_per_mtok = 15.0 }}
            {keys}
            {own_keys}"
        )
    };
    [
        format!(
            "[routing]
            fallback = \"general\"
            [session]
            max_steps = {max_steps}
            max_tokens = {max_tokens}
            max_cost_usd = {max_cost_usd:?}
            max_handoffs = {max_handoffs}
            max_turns_per_specialist = {max_turns_per_specialist}"
        ),
        specialist("billing", "\"refund\"", "idle_timeout_ms = 400"),
        specialist("orders", "\"delivery\"", "requires_verified_identity = false"),
        specialist(
            "support",
            "\"account\"",
            &format!("requires_verified_identity = false\n{of_support}"),
        ),
        format!(
            "[specialists.general]
            description = \"general\"
            requires_verified_identity = false
            max_tokens_per_call = 4000
            price = {{ input_usd_per_mtok = 0.8, output_usd_per_mtok = 4.0 }}
            {keys}"
        ),
    ]
    .join("\n")
}

/// The agents of [`policy`], all well.
const AGENTS: &str = r#"
[billing]
agent = "BILLING001/LIVE000001"
replies = [
    { when = "[suggest general]", answer = '{"out_of_scope": true, "suggest": "general"}', usage = [{ input = 500, output = 100 }] },
    { when = "[suggest orders]", answer = '{"out_of_scope": true, "suggest": "orders"}', usage = [{ input = 500, output = 100 }] },
    { when = "[hang-in-stream]", fault = "hang-in-stream" },
    { answer = "billing says yes", usage = [{ input = 500, output = 100 }] },
]
[support]
agent = "SUPPORT001/LIVE000001"
replies = [
    { when = "[hang]", fault = "hang" },
    { when = "[drip]", answer_bytes = 1000, chunks = 1000, gap_ms = 20 },
    { answer = "support says yes", usage = [{ input = 500, output = 100 }] },
]
[general]
agent = "GENERAL001/LIVE000001"
replies = [
    { when = "[nobody]", fault = "before:accessDeniedException" },
    { answer = "general says yes", usage = [{ input = 200, output = 50 }] },
]
[orders]
agent = "ORDERS0001/LIVE000001"
[[orders.replies]]
when = "[suggest billing]"
answer = '{"out_of_scope": true, "suggest": "billing"}'
usage = [{ input = 500, output = 100 }]
[[orders.replies]]
when = "[out of scope]"
answer = '{"out_of_scope": true}'
usage = [{ input = 500, output = 100 }]
"#;

/// The agents, where orders also has each of these replies (TOML keys) for a request that
/// contains its marker.
pub(crate) fn agents_with<'a>(orders: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut script = AGENTS.to_owned();
    for (marker, reply) in orders {
        script.push_str(&format!("[[orders.replies]]\nwhen = \"{marker}\"\n{reply}\n"));
    }
    script.push_str(
        "[[orders.replies]]\nanswer = \"orders says yes\"\n\
         usage = [{ input = 500, output = 100 }]\n",
    );
    script
}

/// The AgentCore runtime of [`on_runtime`].
pub(crate) const RUNTIME: &str =
    "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/orders-AbCdEf1234";

/// These agents, with orders on [`RUNTIME`], where it answers in this format.
pub(crate) fn on_runtime(agents: &str, format: &str) -> String {
    agents
        .replace("ORDERS0001/LIVE000001", RUNTIME)
        .replace("[[orders.replies]]", &format!("[[orders.replies]]\nformat = \"{format}\""))
}
