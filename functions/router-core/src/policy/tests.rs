use super::*;
use crate::ids::Tenant;
use crate::units::{MicroUsd, Share};

const MINIMAL: &str = r#"
[routing]
fallback = "general"

[session]
max_steps = 12
max_tokens = 80_000
max_cost_usd = 0.50

[specialists.general]
agent = "GENERAL001/LIVE000001"
description = "everything else"
max_tokens_per_call = 4000
price = { input_usd_per_mtok = 0.25, output_usd_per_mtok = 1 }

[specialists.billing]
agent = "BILLING001/LIVE000001"
description = "refunds"
max_tokens_per_call = 8000
price = { input_usd_per_mtok = 3.0, output_usd_per_mtok = 15.0 }
"#;

fn parse(text: &str) -> Result<Policy, Vec<Mistake>> {
    Policy::parse(text, Some(&BTreeMap::new()))
}

/// The minimal policy with one line for another, and what is then said to be wrong.
fn mistakes(line: &str, replacement: &str) -> Vec<String> {
    assert!(MINIMAL.contains(line), "{line}");
    let text = MINIMAL.replacen(line, replacement, 1);
    parse(&text).unwrap_err().iter().map(Mistake::to_string).collect()
}

#[test]
fn a_key_that_is_absent_has_its_documented_value() {
    let policy = parse(MINIMAL).unwrap();
    assert_eq!((policy.min_confidence, policy.max_hops), (0.5, 3));
    assert_eq!(policy.session.max_handoffs, 6);
    assert_eq!(policy.session.max_turns_per_specialist, 10);
    assert_eq!(
        (policy.session.warn_at, policy.session.degrade_at),
        (Share(800_000), Share(900_000))
    );
    assert_eq!(policy.session.idle_ttl, Duration::from_secs(86_400));
    assert_eq!(policy.session.on_ledger_failure, OnLedgerFailure::Refuse);
    assert_eq!(policy.tenant_day.max_cost, MicroUsd(25_000_000));
    assert_eq!(policy.tenant_day.block, MicroUsd(20_000));
    let billing = policy.find("billing").unwrap();
    assert!(billing.requires_verified_identity);
    assert_eq!(billing.unknown_usage, Tokens(8_000));
    assert_eq!(billing.timeout, Duration::from_secs(20));
    assert_eq!(billing.idle_timeout, Duration::from_secs(10));
    assert_eq!(billing.retry.max_attempts, 3);
    assert_eq!(billing.circuit.slow_call, Duration::from_secs(8));
    assert_eq!(billing.circuit.sessions, 2);
    assert_eq!(billing.fallback, std::slice::from_ref(&policy.fallback));
    assert!(policy.find("general").unwrap().fallback.is_empty(), "itself is skipped");
}

#[test]
fn a_session_may_be_warned_and_degraded_at_the_same_share() {
    let both = "max_steps = 12\nwarn_at = 0.7\ndegrade_at = 0.7";
    let session = parse(&MINIMAL.replace("max_steps = 12", both)).unwrap().session;
    assert_eq!((session.warn_at, session.degrade_at), (Share(700_000), Share(700_000)));
}

#[test]
fn money_is_read_exactly() {
    let policy = parse(MINIMAL).unwrap();
    assert_eq!(policy.session.max_cost, MicroUsd(500_000));
    let price = policy.find("general").unwrap().price;
    assert_eq!(price.input_per_mtok, MicroUsd(250_000));
    assert_eq!(price.output_per_mtok, MicroUsd(1_000_000));
}

#[test]
fn a_default_gives_way_to_a_shorter_timeout() {
    let text =
        MINIMAL.replace("description = \"refunds\"", "description = \"r\"\ntimeout_ms = 500");
    let policy = parse(&text).unwrap();
    let billing = policy.find("billing").unwrap();
    assert_eq!(billing.idle_timeout, Duration::from_millis(500));
    assert_eq!(billing.circuit.slow_call, Duration::from_millis(500));
}

#[test]
fn agents_of_the_environment_go_before_those_of_the_policy() {
    let agents = BTreeMap::from([("billing".to_owned(), "B2/TSTALIASID".to_owned())]);
    let policy = Policy::parse(MINIMAL, Some(&agents)).unwrap();
    assert_eq!(policy.find("billing").unwrap().agent.to_string(), "B2/TSTALIASID");
    assert_eq!(policy.find("general").unwrap().agent.to_string(), "GENERAL001/LIVE000001");
}

#[test]
fn an_agent_and_a_degraded_one_may_run_on_agentcore() {
    let arn = "arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/billing-AbCdEf1234";
    let text = MINIMAL.replace(
        "agent = \"BILLING001/LIVE000001\"",
        &format!("agent = \"{arn}\"\ndegraded_agent = \"{arn}/runtime-endpoint/CHEAP\""),
    );
    let policy = Policy::parse(&text, None).unwrap();
    let billing = policy.find("billing").unwrap();
    assert_eq!(billing.agent.to_string(), arn);
    let degraded = billing.degraded_agent.as_ref().unwrap().to_string();
    assert_eq!(degraded, format!("{arn}/runtime-endpoint/CHEAP"));
    let agents = BTreeMap::from([("general".to_owned(), arn.to_owned())]);
    let policy = Policy::parse(&text, Some(&agents)).unwrap();
    assert_eq!(policy.find("general").unwrap().agent.to_string(), arn);
}

#[test]
fn a_wrong_agent_is_shown_as_a_whole_with_the_rule_that_it_breaks() {
    let arn = "arn:aws:bedrock-agentcore:us-east-1:123456789012:gateway/billing-AbCdEf1234";
    let text = MINIMAL.replace("BILLING001/LIVE000001", arn);
    let agents = BTreeMap::from([("general".to_owned(), arn.to_owned())]);
    let found = Policy::parse(&text, Some(&agents)).unwrap_err();
    let messages: Vec<String> = found.iter().map(Mistake::to_string).collect();
    let rule = AgentRef::parse(arn).unwrap_err();
    let of = |setting| format!("`{setting}` is \"{arn}\": {rule}");
    assert_eq!(messages, [of("specialists.billing.agent"), of("SPECIALIST_AGENTS.general")]);
}

#[test]
fn agents_and_specialists_must_match() {
    let agents = BTreeMap::from([
        ("billing".to_owned(), "no alias".to_owned()),
        ("astrology".to_owned(), "A/B".to_owned()),
    ]);
    let text = MINIMAL.replace("agent = \"GENERAL001/LIVE000001\"", "");
    let found = Policy::parse(&text, Some(&agents)).unwrap_err();
    let settings: Vec<&str> = found.iter().map(|mistake| mistake.setting.as_str()).collect();
    assert_eq!(
        settings,
        ["SPECIALIST_AGENTS.billing", "specialists.general.agent", "SPECIALIST_AGENTS"]
    );
}

#[test]
fn each_rule_names_its_key_and_what_was_found() {
    let cases = [
        ("max_steps = 12", "max_steps = 0", "`session.max_steps` is 0: it must be a whole"),
        ("max_steps = 12", "", "`session.max_steps` is missing: it must be a whole"),
        (
            "max_steps = 12",
            "max_steps = 12\nmax_stepps = 1",
            "`session.max_stepps` is an unknown key",
        ),
        ("max_steps = 12", "max_steps = \"12\"", "`session.max_steps` is \"12\""),
        ("0.50", "0.0000001", "`session.max_cost_usd` is 0.0000001: it must be an amount above 0"),
        ("0.50", "-1.0", "`session.max_cost_usd` is -1"),
        ("0.50", "inf", "`session.max_cost_usd` is inf"),
        (
            "\"general\"\n",
            "\"nobody\"\n",
            "`routing.fallback` is \"nobody\": it must name a specialist",
        ),
        ("\"general\"\n", "\"general\"\nmin_confidence = 1.5\n", "`routing.min_confidence` is 1.5"),
        (
            "= 0.50",
            "= 0.50\nwarn_at = 0.95",
            "`session.warn_at` is 0.95: it must not be above degrade_at",
        ),
        ("= 0.50", "= 0.50\non_ledger_failure = \"panic\"", "one of \"refuse\", \"allow\""),
        ("= 8000", "= 80001", "it must not be above session.max_tokens, 80000"),
        ("\"refunds\"", "\"\"", "`specialists.billing.description` is \"\""),
        (
            "\"refunds\"",
            "\"r\"\nfallback = [\"nobody\"]",
            "`specialists.billing.fallback` is [\"nobody\"]",
        ),
        (
            "\"refunds\"",
            "\"r\"\ntimeout_ms = 5\nidle_timeout_ms = 6",
            "must not be above timeout_ms, 5",
        ),
        (
            "\"refunds\"",
            "\"r\"\ntimeout_ms = 5\ncircuit = { slow_call_ms = 6 }",
            "circuit.slow_call_ms` is 6",
        ),
        (
            "\"refunds\"",
            "\"r\"\ncircuit = { sessions = 0 }",
            "`specialists.billing.circuit.sessions` is 0",
        ),
        (
            "\"refunds\"",
            "\"r\"\nretry = { base_delay_ms = 3000 }",
            "must not be above max_delay_ms, 2000",
        ),
        ("[specialists.billing]", "[specialists.'../b']", "`specialists.../b` is not a name"),
        (
            "output_usd_per_mtok = 15.0",
            "",
            "`specialists.billing.price.output_usd_per_mtok` is missing",
        ),
        ("[session]", "[tenants]", "`session` is missing: the table is required"),
    ];
    for (line, replacement, expected) in cases {
        let found = mistakes(line, replacement);
        assert!(found.iter().any(|mistake| mistake.contains(expected)), "{expected}: {found:?}");
    }
}

#[test]
fn one_mistake_is_reported_once() {
    assert_eq!(mistakes("\"general\"\n", "\"nobody\"\n").len(), 1);
    assert_eq!(mistakes("\"refunds\"", "\"\"").len(), 1);
    assert_eq!(mistakes("max_tokens = 80_000", "max_tokens = -1").len(), 1);
    let timeouts = "\"r\"\ntimeout_ms = 0\nidle_timeout_ms = 6";
    assert_eq!(mistakes("\"refunds\"", timeouts).len(), 1);
    let agents = BTreeMap::from([("general".to_owned(), "A/B".to_owned())]);
    let nothing = Policy::parse("", Some(&agents)).unwrap_err();
    let settings: Vec<&str> = nothing.iter().map(|mistake| mistake.setting.as_str()).collect();
    assert_eq!(settings, ["routing", "session", "specialists"]);
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let text = MINIMAL.replace("12", "0").replace("0.50", "0").replace("8000", "-1");
    assert_eq!(parse(&text).unwrap_err().len(), 3);
}

#[test]
fn a_fallback_is_asked_once() {
    let names = "\"r\"\nfallback = [\"general\", \"billing\", \"general\"]";
    let policy = parse(&MINIMAL.replace("\"refunds\"", names)).unwrap();
    assert_eq!(policy.find("billing").unwrap().fallback, std::slice::from_ref(&policy.fallback));
}

#[test]
fn an_intent_belongs_to_one_specialist() {
    let text = MINIMAL
        .replace("\"everything else\"", "\"e\"\nintents = [\"refund\"]")
        .replace("\"refunds\"", "\"r\"\nintents = [\"refund\"]");
    let found = parse(&text).unwrap_err();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].setting, "specialists.general.intents");
    assert_eq!(found[0].found, "`refund`, which `billing` has too");
}

#[test]
fn a_text_that_is_no_toml_is_told_its_line() {
    let found = parse("[routing]\nfallback = ").unwrap_err();
    assert_eq!(found[0].setting, "ROUTING_POLICY");
    assert!(found[0].found.contains("line 2"), "{found:?}");
}

#[test]
fn a_tenant_that_is_not_listed_shares_the_day_of_the_default_one() {
    let text = format!("{MINIMAL}\n[tenant_day]\ntenants = [\"acme\"]\n");
    let day = parse(&text).unwrap().tenant_day;
    let payer = |id: &str| day.payer(&Tenant::parse(id).unwrap());
    assert_eq!((payer("acme").as_str(), payer("other").as_str()), ("acme", "default"));
    let all = parse(MINIMAL).unwrap().tenant_day;
    assert_eq!(all.payer(&Tenant::parse("other").unwrap()).as_str(), "other");
}

#[test]
fn what_may_be_a_credential_is_not_quoted() {
    for secret in
        ["https://h/p?key=1", "https://h/#t", "https://h/%41", "user@host", "https://u:p@h"]
    {
        assert!(may_be_secret(secret), "{secret}");
    }
    for plain in ["https://h/p", "what?", "50%", "#1"] {
        assert!(!may_be_secret(plain), "{plain}");
    }
}

#[test]
fn what_is_optional_is_read_where_it_is_there() {
    let text = MINIMAL.replace("max_steps = 12", "max_steps = 12\nmax_repeats = 5").replace(
        "output_usd_per_mtok = 1 }",
        "output_usd_per_mtok = 1, cache_read_usd_per_mtok = 0.1, cache_write_usd_per_mtok = 2 }",
    );
    let policy = parse(&text).unwrap();
    assert_eq!(policy.session.max_repeats, Some(5));
    let price = policy.find("general").unwrap().price;
    assert_eq!(price.cache_read_per_mtok, MicroUsd(100_000));
    assert_eq!(price.cache_write_per_mtok, MicroUsd(2_000_000));
}

#[test]
fn a_model_has_settings_of_its_own_and_an_empty_instruction_is_none() {
    let with = |lines: &str| {
        let line = "description = \"refunds\"";
        parse(&MINIMAL.replace(line, &format!("{line}\n{lines}")))
    };
    let model = |lines| with(lines).unwrap().find("billing").unwrap().model.clone();
    assert_eq!(model(""), ModelSettings::default());
    assert_eq!(model("instruction = ' '"), ModelSettings::default());
    let expected = ModelSettings {
        instruction: Some("Be kind.".to_owned()),
        temperature: Some(0.1),
        max_output_tokens: Some(1_000),
    };
    let lines = "instruction = 'Be kind.'\ntemperature = 0.1\nmax_output_tokens = 1_000";
    assert_eq!(model(lines), expected);
    for (line, setting) in [
        ("instruction = 7", "specialists.billing.instruction"),
        ("temperature = 1.1", "specialists.billing.temperature"),
        ("temperature = -0.1", "specialists.billing.temperature"),
        ("max_output_tokens = 0", "specialists.billing.max_output_tokens"),
    ] {
        let found = with(line).unwrap_err();
        assert_eq!(found.len(), 1, "{line}");
        assert_eq!(found[0].setting, setting);
    }
}

#[test]
fn the_gateways_hour_is_limited_unless_the_policy_says_otherwise_and_a_users_day_is_not() {
    let policy = parse(MINIMAL).unwrap();
    let usual = GatewayHour { max_steps: 600, max_cost: MicroUsd(5_000_000) };
    assert_eq!((policy.gateway_hour, policy.user_day), (usual, None));
    let tables = "[gateway_hour]\nmax_steps = 7\n[user_day]\nmax_cost_usd = 0.5";
    let policy = parse(&format!("{MINIMAL}\n{tables}")).unwrap();
    assert_eq!(policy.gateway_hour.max_steps, 7);
    assert_eq!(policy.user_day, Some(UserDay { max_cost: MicroUsd(500_000) }));
    for (table, setting) in [
        ("[gateway_hour]\nmax_steps = 0", "gateway_hour.max_steps"),
        ("[gateway_hour]\nmax_cost_usd = 0", "gateway_hour.max_cost_usd"),
        ("[gateway_hour]\nmax_tokens = 1", "gateway_hour.max_tokens"),
        ("[user_day]", "user_day.max_cost_usd"),
        ("[user_day]\nmax_cost_usd = -1", "user_day.max_cost_usd"),
        ("[user_day]\nmax_cost_usd = 1\nblock_usd = 1", "user_day.block_usd"),
    ] {
        let found = parse(&format!("{MINIMAL}\n{table}")).unwrap_err();
        let settings: Vec<&str> = found.iter().map(|mistake| &*mistake.setting).collect();
        assert_eq!(settings, [setting], "{table}");
    }
    let no_table = parse(&format!("user_day = 2\n{MINIMAL}")).unwrap_err();
    assert_eq!(no_table[0].setting, "user_day");
}

/// A tree: billing with an agent of its own and two below it, legal without an agent.
const TREE: &str = r#"
[specialists.billing]
description = "money"
max_tokens_per_call = 8000
price = { input_usd_per_mtok = 3.0, output_usd_per_mtok = 15.0 }
[specialists.billing.specialists.refund]
description = "refunds"
intents = ["refund"]
max_tokens_per_call = 8000
price = { input_usd_per_mtok = 3.0, output_usd_per_mtok = 15.0 }
[specialists.billing.specialists.invoice]
description = "invoices"
intents = ["invoice"]
max_tokens_per_call = 8000
price = { input_usd_per_mtok = 3.0, output_usd_per_mtok = 15.0 }
[specialists.legal]
description = "contracts"
[specialists.legal.specialists.privacy]
description = "data"
intents = ["privacy"]
max_tokens_per_call = 8000
price = { input_usd_per_mtok = 3.0, output_usd_per_mtok = 15.0 }
[specialists.general]
description = "the rest"
max_tokens_per_call = 4000
price = { input_usd_per_mtok = 1.0, output_usd_per_mtok = 5.0 }
"#;

fn tree_and(more: &str) -> Result<Policy, Vec<Mistake>> {
    let head = "[routing]\nfallback = 'general'\n[session]\nmax_steps = 9\nmax_tokens = 80_000\n\
                max_cost_usd = 1\n";
    let names = ["billing", "billing/refund", "billing/invoice", "legal/privacy", "general"];
    let agents = names.map(|name| (name.to_owned(), "AGENT/LIVE".to_owned())).into();
    Policy::parse(&format!("{head}{TREE}{more}"), Some(&agents))
}

#[test]
fn a_router_node_is_resolved_by_path_else_by_intent_else_to_its_agent_else_to_its_fallback() {
    let policy = tree_and("").unwrap();
    for (name, intent, expected) in [
        ("billing/refund", None, Some("billing/refund")),
        ("billing/refund", Some("invoice"), Some("billing/refund")),
        ("billing", Some("invoice"), Some("billing/invoice")),
        ("billing", Some("privacy"), Some("billing")),
        ("billing", None, Some("billing")),
        ("legal", Some("privacy"), Some("legal/privacy")),
        ("legal", None, Some("general")),
        ("legal/tax", None, None),
        ("refund", None, None),
        ("billing/", None, None),
    ] {
        let resolved = policy.resolve(name, intent).map(|specialist| specialist.name.as_str());
        assert_eq!(resolved, expected, "{name} {intent:?}");
    }
    let names: Vec<&str> = policy.listed().map(|listed| listed.name.as_str()).collect();
    let expected =
        ["billing", "billing/invoice", "billing/refund", "general", "legal", "legal/privacy"];
    assert_eq!(names, expected);
    assert!(policy.knows_intent("privacy"));
    assert!(policy.find("legal").is_none(), "it has no agent");
}

#[test]
fn levels_without_end_and_fallbacks_that_come_back_are_refused() {
    let deep = "[specialists.a.specialists.b.specialists.c.specialists.d.specialists.e]\n";
    let mistakes = tree_and(deep).unwrap_err();
    let path = "specialists.a.specialists.b.specialists.c.specialists.d.specialists";
    assert!(mistakes.iter().any(|mistake| mistake.setting == path), "{mistakes:?}");

    let round = "[specialists.one]\ndescription = 'x'\nfallback = ['two']\nspecialists = {}\n\
                 [specialists.two]\ndescription = 'x'\nfallback = ['one']\nspecialists = {}\n";
    let mistakes = tree_and(round).unwrap_err();
    let of =
        |name: &str| mistakes.iter().any(|m| m.setting == format!("specialists.{name}.fallback"));
    assert!(of("one") && of("two"), "{mistakes:?}");

    let to_itself =
        "[specialists.legal2]\ndescription = 'x'\nfallback = ['legal2']\nspecialists = {}\n";
    assert!(tree_and(to_itself).is_ok(), "itself is skipped, and the last resort is left");
}

#[test]
fn a_lower_level_has_the_rules_of_the_first() {
    for (more, setting, found) in [
        (
            "[specialists.legal.specialists.tax]\ndescription = 'x'\nintents = ['refund']\n\
             max_tokens_per_call = 1\nprice = { input_usd_per_mtok = 1, output_usd_per_mtok = 1 }\n\
             agent = 'A/B'\n",
            "specialists.legal.specialists.tax.intents",
            "`refund`, which `billing/refund` has too",
        ),
        (
            "[specialists.legal.specialists.tax]\ndescription = 'x'\nmax_tokens_per_call = 1\n\
             price = { input_usd_per_mtok = 1, output_usd_per_mtok = 1 }\n",
            "specialists.legal.specialists.tax.agent",
            "missing",
        ),
        (
            "[specialists.other]\ndescription = 'x'\nfallback = ['legal/tax']\nspecialists = {}\n",
            "specialists.other.fallback",
            "[\"legal/tax\"]",
        ),
        (
            "[specialists.other]\ndescription = 'x'\nfrom = 'legal'\nspecialists = {}\n",
            "specialists.other.from",
            "an unknown key",
        ),
    ] {
        let mistakes = tree_and(more).unwrap_err();
        let [mistake] = &mistakes[..] else { panic!("{mistakes:?}") };
        assert_eq!((mistake.setting.as_str(), mistake.found.as_str()), (setting, found));
    }
}
