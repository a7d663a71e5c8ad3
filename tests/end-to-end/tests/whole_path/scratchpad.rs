//! What specialists write down for each other, and answers that must fit a schema.

use serde_json::{Value, json};
use stand_ins::Options;
use stand_ins::agents::Call;
use stand_ins::events::Form;
use stand_ins::table_faults::Fault;

use crate::faults::{GENERAL, ORDERS};
use crate::support::{Ask, Cast, Limits, Told, World, agents_with, policy};

/// Orders writes `order_facts`, which billing may read, and its answers must fit a schema.
fn policy_with_facts() -> String {
    let orders = "[specialists.orders]\n";
    let writes = format!(
        "{orders}writes = \"order_facts\"\n\
         output_schema = {{ type = \"object\", required = [\"order\"] }}\n"
    );
    let key = "[scratchpad.order_facts]\nwriter = \"orders\"\nreaders = [\"billing\"]\n";
    format!("{}\n{key}", policy(Limits::NONE).replace(orders, &writes))
}

/// What orders says for a request with each of these markers.
const REPLIES: [(&str, &str); 4] = [
    ("cannot be used", "answer = '{\"order\": 4712}'\nusage = [{ input = 500, output = 100 }]"),
    ("[never]", "answer = 'no'\nusage = [{ input = 500, output = 100 }]"),
    ("[late]", "answer = 'no'\nusage = [{ input = 500, output = 100 }]"),
    ("[facts]", "answer = '{\"order\": 4711}'\nusage = [{ input = 500, output = 100 }]"),
];

async fn world_of(cast: Cast, replies: &[(&str, &str)], more: Options) -> World {
    let agents = Some(cast.of(&agents_with(replies.iter().copied())));
    World::start(Options { agents, policy: Some(policy_with_facts()), ..more }).await
}

async fn world() -> World {
    world_of(Cast::Bedrock, &REPLIES, Options::default()).await
}

fn read(session: &str, keys: &str) -> Ask {
    let ask = Ask::of("", "").without("specialist_type").without("request");
    ask.tool("read_scratchpad").argument("keys", keys).session(session).verified()
}

fn answer(told: &Told) -> Value {
    serde_json::from_str(told.body["answer"].as_str().unwrap()).unwrap()
}

/// What of the scratchpad an agent of this kind got.
fn given(cast: Cast, call: &Call) -> Option<String> {
    let name = "scratchpad.order_facts";
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let leading = |content: &Value| {
        let text = text(&content[0]["text"]).filter(|_| content[1].is_object())?;
        text.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned))
    };
    match cast {
        Cast::Bedrock => text(&call.body["sessionState"]["promptSessionAttributes"][name]),
        Cast::Stream | Cast::Json | Cast::Strands => text(&call.body["session_attributes"][name]),
        Cast::Harness | Cast::Model => leading(&call.body["messages"][0]["content"]),
    }
}

#[tokio::test]
async fn an_agent_of_each_kind_gets_what_it_may_read_and_no_other_does() {
    for cast in Cast::ALL {
        let world = world_of(cast, &REPLIES, Options::default()).await;
        let ask =
            |specialist: &str, request: &str| Ask::of(specialist, request).session("s").verified();
        let told = world.ask(&ask("orders", "[facts]")).await;
        assert_eq!(told.outcome(), ("answered", None), "{cast:?}");
        assert_eq!(given(cast, &told.calls[0]), None, "{cast:?}: nothing is written yet");
        let told = world.ask(&ask("billing", "Refund it.")).await;
        let facts = Some("{\"order\": 4711}".to_owned());
        assert_eq!(given(cast, &told.calls[0]), facts, "{cast:?}");
        assert!(told.calls[0].input_text.contains("Refund it."), "{cast:?}");
        let told = world.ask(&ask("support", "Help.")).await;
        assert_eq!(given(cast, &told.calls[0]), None, "{cast:?}: it may not read it");
        let found = answer(&world.ask(&read("s", "order_facts")).await);
        let expected = json!({ "value": { "order": 4711 }, "writer": "orders", "version": 1 });
        assert_eq!(found["order_facts"], expected, "{cast:?}");
    }
}

#[tokio::test]
async fn the_scratchpad_is_read_in_each_form_at_no_cost() {
    let world = world().await;
    world.ask(&Ask::orders("[facts]").session("s").verified()).await;
    let spent = world.account(&read("s", "x")).await;
    for form in [Form::Function, Form::OpenApi, Form::Gateway] {
        let session = if form == Form::Gateway { "g" } else { "s" };
        if form == Form::Gateway {
            world.ask(&Ask::orders("[facts]").session("g").form(form)).await;
        }
        let ask = read(session, "[\"order_facts\", \"salaries\"]").form(form);
        let told = world.ask(&ask).await;
        assert_eq!(told.outcome(), ("answered", None), "{form:?}");
        let found = answer(&told);
        assert_eq!(found["order_facts"]["value"]["order"], 4711, "{form:?}");
        assert_eq!(found["salaries"], Value::Null, "{form:?}: it is no key of the policy");
        told.nobody_was_called();
    }
    assert_eq!(world.account(&read("s", "x")).await, spent);
}

#[tokio::test]
async fn two_requests_that_write_one_key_at_once_lose_nothing_silently() {
    let slow = REPLIES.map(|(marker, reply)| (marker, format!("{reply}\ndelay_ms = 400")));
    let slow: Vec<(&str, &str)> = slow.iter().map(|(marker, reply)| (*marker, &**reply)).collect();
    let options = Options { processes: 2, ..Options::default() };
    let world = world_of(Cast::Bedrock, &slow, options).await;
    let event = || Ask::orders("[facts]").session("s").verified().event().to_string();
    let (one, two) = tokio::join!(world.invoke(event(), None), world.invoke(event(), None));
    let messages: Vec<Option<String>> = [one, two]
        .iter()
        .map(|invocation| {
            let body = Form::Function.body(&invocation.json().unwrap()).unwrap();
            assert_eq!(body["status"], "answered");
            body["message"].as_str().map(str::to_owned)
        })
        .collect();
    let told: Vec<&String> = messages.iter().flatten().collect();
    assert_eq!(told.len(), 1, "the later one is told: {messages:?}");
    assert!(told[0].contains("`order_facts` was written by another request meanwhile"));
    let found = answer(&world.ask(&read("s", "order_facts")).await);
    assert_eq!(found["order_facts"]["version"], 1);
}

#[tokio::test]
async fn a_key_that_cannot_be_written_is_told_and_takes_no_answer() {
    let world = world().await;
    world.table().faults().script(Fault::ServerError.on("UpdateItem").containing("PAD#").times(9));
    let ask = Ask::orders("[facts]").session("s").verified();
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("answered", None));
    assert!(told.body["message"].as_str().unwrap().contains("could not be kept as `order_facts`"));
    world.was_charged(&ask, 1, &[ORDERS], "the answer").await;
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_asked_for_once_more_under_a_hold_of_its_own() {
    let world = world().await;
    let ask = Ask::orders("[late]").verified();
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("answered", None));
    assert_eq!(told.body["answer"], "{\"order\": 4712}");
    assert_eq!((told.called(), &told.body["attempts"]), (vec!["orders"; 2], &json!(2)));
    assert!(told.calls[1].input_text.starts_with("[late]\n\nYour last answer to this cannot"));
    assert_eq!(told.metric("OutputInvalid", "Specialist=orders"), Some(1.0));
    world.was_charged(&ask, 1, &[ORDERS, ORDERS], "both answers").await;
}

#[tokio::test]
async fn an_answer_that_never_fits_is_left_to_the_fallback_and_both_attempts_are_charged() {
    let world = world_of(Cast::Bedrock, &REPLIES[1..], Options::default()).await;
    let ask = Ask::orders("[never]").verified();
    let told = world.ask(&ask).await;
    assert_eq!(told.outcome(), ("fell_back", Some("output_invalid")));
    assert_eq!(told.called(), ["orders", "orders", "general"]);
    assert_eq!(told.metric("OutputInvalid", ""), Some(2.0));
    assert_eq!(told.metric("SpecialistErrors", "Specialist=orders"), Some(1.0));
    world.was_charged(&ask, 2, &[ORDERS, ORDERS, GENERAL], "all of them").await;
    let found = answer(&world.ask(&read(ask.session_id(), "order_facts")).await);
    assert_eq!(found["order_facts"], Value::Null, "what does not fit is written nowhere");
}

#[tokio::test]
async fn neither_a_value_nor_what_does_not_fit_is_logged() {
    let replies =
        [("[secret]", "answer = '{\"SECRET-KEY\": 1}'\nusage = [{ input = 1, output = 1 }]")];
    let world = world_of(Cast::Bedrock, &replies, Options::default()).await;
    let told = world.ask(&Ask::orders("[secret]").session("s").verified()).await;
    assert_eq!(told.outcome(), ("fell_back", Some("output_invalid")));
    world.ask(&read("s", "SECRET-NAME")).await;
    let lines = [world.logs(), world.errors()].concat();
    assert!(lines.iter().all(|line| !line.contains("SECRET")), "{lines:?}");
}
