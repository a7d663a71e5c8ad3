//! What the real function publishes: healthy requests, and every sickness.
//!
//! All of it with the shipped policy, but for the requests that the policy must let pass when
//! the table is down.

use std::collections::BTreeMap;

use serde_json::json;
use stand_ins::lambda::Outcome;
use stand_ins::supervisors::{FRONT_DOOR, Kind, routing, with_front_door};
use stand_ins::table::{AttributeValue, key};
use stand_ins::table_faults::Fault;
use stand_ins::{Options, Sandbox};
use tokio::sync::OnceCell;

use super::Request;
use super::ask::{Recorder, new_session};

/// The specialists of the shipped policy.
pub(crate) const SPECIALISTS: [&str; 4] = ["billing", "orders", "support", "general"];

/// Recorded requests, by what they are.
#[derive(Debug)]
pub(crate) struct Recordings {
    /// Answered by whom they name, a few of each specialist.
    pub(crate) answered: BTreeMap<&'static str, Vec<Request>>,
    /// Handed over, because the specialist asked for said that it is not its job.
    pub(crate) mistaken: Vec<Request>,
    /// For a specialist that does not exist.
    pub(crate) unknown: Vec<Request>,
    /// Without an answer of this specialist, which is well otherwise.
    pub(crate) broken: BTreeMap<&'static str, Request>,
    /// Dear ones of each specialist.
    pub(crate) dear: BTreeMap<&'static str, Request>,
    /// A session of as many different requests as its budget has steps.
    pub(crate) long_session: Vec<Request>,
    /// The requests of that session after its budget was used up.
    pub(crate) past_the_limit: Vec<Request>,
    /// The same request again and again, refused at last.
    pub(crate) looping: Vec<Request>,
    /// For a person.
    pub(crate) escalated: Request,
    /// Orders, which answers nobody any more.
    pub(crate) down: Vec<Request>,
    /// Requests that found a hold of a dead invocation.
    pub(crate) expired: Vec<Request>,
    /// Let pass although the table does not answer.
    pub(crate) uncounted: Vec<Request>,
    /// Refused because the table does not answer.
    pub(crate) unserved: Vec<Request>,
    /// After which a policy in the table was refused.
    pub(crate) rejected: Request,
    /// Answered by the front door.
    pub(crate) front_door: Vec<Request>,
    /// What the newest version of the function answers, while an older one answers all others.
    pub(crate) newest: Newest,
}

/// Requests to the newest version.
#[derive(Debug)]
pub(crate) struct Newest {
    /// Answered by whom they name, one of each specialist.
    pub(crate) answered: Vec<Request>,
    /// Handed over, because the specialist asked for said that it is not its job.
    pub(crate) mistaken: Request,
    /// Without an answer of whom they name, one of each specialist.
    pub(crate) broken: Vec<Request>,
    /// Dear ones.
    pub(crate) dear: Vec<Request>,
}

impl Recordings {
    /// All requests.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Request> {
        let Self { answered, mistaken, unknown, broken, dear, .. } = self;
        let Self { long_session, past_the_limit, looping, down, .. } = self;
        let Self { expired, uncounted, unserved, front_door, newest, .. } = self;
        let lists = [mistaken, unknown, long_session, past_the_limit, looping, down];
        let more = [expired, uncounted, unserved, front_door];
        let newest_too = [&newest.answered, &newest.broken, &newest.dear];
        answered
            .values()
            .flatten()
            .chain(broken.values())
            .chain(dear.values())
            .chain(lists.into_iter().flatten())
            .chain(more.into_iter().flatten())
            .chain(newest_too.into_iter().flatten())
            .chain([&newest.mistaken, &self.rejected, &self.escalated])
    }
}

/// The recordings, made once in this process.
pub(crate) async fn recordings() -> &'static Recordings {
    static RECORDINGS: OnceCell<Recordings> = OnceCell::const_new();
    RECORDINGS.get_or_init(record).await
}

/// Agents that do what the request says in brackets. `[no orders]` gets no answer from orders, and
/// one from its fallback. It is an empty answer: no second attempt is made, and its usage is known.
fn agents() -> String {
    let agent = |(name, dear): (&str, &str)| {
        let upper = name.to_uppercase();
        format!(
            "[{name}]
            agent = \"{upper:0<10.10}/LIVE000001\"
            replies = [
                {{ when = \"[no {name}]\", fault = \"empty\", usage = [{{ input = 200, output = 0 }}] }},
                {{ when = \"[not my job]\", answer = '{{\"out_of_scope\": true, \"suggest\": \"support\"}}', usage = [{{ input = 200, output = 12 }}] }},
                {{ when = \"[for a person]\", answer = '{{\"escalate\": \"above my limit\"}}', usage = [{{ input = 200, output = 12 }}] }},
                {{ when = \"[dear]\", answer = \"A long story.\", usage = [{{ {dear} }}] }},
                {{ answer = \"A short answer.\", usage = [{{ input = 300, output = 50 }}] }},
            ]"
        )
    };
    let dear = "input = 7000, output = 900";
    let agents = [("billing", dear), ("orders", dear), ("support", dear)];
    let general = ("general", "input = 3000, output = 900");
    agents.into_iter().chain([general]).map(agent).collect::<Vec<_>>().join("\n")
}

fn options() -> Options {
    Options { agents: Some(agents()), ..Options::default() }
}

async fn record() -> Recordings {
    let well = Recorder::start(options()).await;
    let (mut answered, mut broken, mut dear) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for specialist in SPECIALISTS {
        let mut requests = Vec::new();
        for round in 0..3 {
            let session = new_session();
            for what in ["Where is it?", "And the other one?"] {
                requests
                    .push(well.ask_in(&session, &format!("{specialist}: {what} {round}")).await);
            }
        }
        answered.insert(specialist, requests);
        dear.insert(specialist, well.ask(&format!("{specialist}: [dear] Tell me all.")).await);
        // The successes around it keep the circuit closed.
        broken
            .insert(specialist, well.ask(&format!("{specialist}: [no {specialist}] Where?")).await);
        well.ask(&format!("{specialist}: Where is it?")).await;
    }
    let mistaken = vec![
        well.ask("billing: [not my job] I forgot my password.").await,
        well.ask("orders: [not my job] I forgot my password.").await,
    ];
    let unknown = vec![well.ask("astrology: What will the day bring?").await];

    let session = new_session();
    let mut requests = Vec::new();
    for step in 1..=20 {
        requests.push(well.ask_in(&session, &format!("orders: What of parcel {step}?")).await);
    }
    let past_the_limit = requests.split_off(12);
    let long_session = requests;

    let session = new_session();
    let mut looping = Vec::new();
    for _ in 0..8 {
        looping.push(well.ask_in(&session, "support: Why?").await);
    }
    let escalated = well.ask("orders: [for a person] Refund 900 EUR.").await;
    let expired = expired(&well).await;
    well.stop().await;

    let ill = Recorder::start(options()).await;
    let mut down = Vec::new();
    for parcel in 0..8 {
        down.push(ill.ask(&format!("orders: [no orders] What of parcel {parcel}?")).await);
    }
    ill.stop().await;

    let newest = newest().await;

    let unserved = without_table(options()).await;
    let policy =
        std::fs::read_to_string(super::root().join("functions/supervisor-router/routing.toml"));
    let policy =
        policy.unwrap().replace("on_ledger_failure = \"refuse\"", "on_ledger_failure = \"allow\"");
    let uncounted = without_table(Options { policy: Some(policy), ..options() }).await;

    Recordings {
        answered,
        mistaken,
        unknown,
        broken,
        dear,
        long_session,
        past_the_limit,
        looping,
        escalated,
        down,
        expired,
        uncounted,
        unserved,
        rejected: rejected().await,
        front_door: front_door().await,
        newest,
    }
}

/// A request for each specialist. What a round took is replaced, as other times are.
async fn front_door() -> Vec<Request> {
    let kind = Kind::Harness;
    let options = with_front_door(kind, &routing(kind), options()).unwrap();
    let sandbox = Sandbox::start(options).await.expect("the sandbox starts");
    for asked in ["A refund, please.", "Where is my order?", "My password is lost.", "Hello."] {
        let attributes = json!({ "identity_verified": "true" });
        let event = json!({ "input": asked, "attributes": attributes }).to_string();
        let invocation = sandbox.invoke_function(FRONT_DOOR, None, event, None).await;
        assert!(matches!(invocation.outcome, Outcome::Response(_)), "{:?}", invocation.outcome);
    }
    assert_eq!(sandbox.metrics().refusals(), [""; 0]);
    let batches = sandbox.metrics().batches();
    sandbox.stop().await;
    let request = |batch| Request::of_function("FrontDoorFunction", batch);
    batches.iter().map(|batch| request(batch).with("DecisionLatency", 1_200.0)).collect()
}

/// The table has a policy that is none.
async fn rejected() -> Request {
    let env = [("ROUTING_POLICY", "table"), ("POLICY_REFRESH_SECONDS", "0")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let recorder = Recorder::start(Options { env, ..options() }).await;
    let mut item = key("POLICY", "CURRENT");
    item.insert("toml".to_owned(), AttributeValue::S("[routing".to_owned()));
    recorder.sandbox().table().put_item(item).await.unwrap();
    let request = recorder.ask_before_a_refused_policy("orders: Where is it?").await;
    recorder.stop().await;
    request
}

/// The version is called as the template calls it, since only a deployment knows its number.
async fn newest() -> Newest {
    let version = "SupervisorRouterFunction.Version.Version".to_owned();
    let env = [("AWS_LAMBDA_FUNCTION_VERSION".to_owned(), version)].into();
    let recorder = Recorder::start(Options { env, ..options() }).await;
    let (mut answered, mut broken, mut dear) = (Vec::new(), Vec::new(), Vec::new());
    for specialist in SPECIALISTS {
        answered.push(recorder.ask(&format!("{specialist}: Where is it?")).await);
        broken.push(recorder.ask(&format!("{specialist}: [no {specialist}] Where?")).await);
    }
    for specialist in ["billing", "orders", "support"] {
        dear.push(recorder.ask(&format!("{specialist}: [dear] Tell me all.")).await);
    }
    let mistaken = recorder.ask("billing: [not my job] I forgot my password.").await;
    recorder.stop().await;
    Newest { answered, mistaken, broken, dear }
}

async fn without_table(options: Options) -> Vec<Request> {
    let alone = Recorder::start(Options { table_down: true, ..options }).await;
    let mut requests = Vec::new();
    for specialist in SPECIALISTS {
        requests.push(alone.ask(&format!("{specialist}: Where is it?")).await);
    }
    alone.stop().await;
    requests
}

/// A request whose settlement was lost, and one of the same session after its hold expired.
/// Instead of waiting for that, the time at which it expires is put back.
async fn expired(recorder: &Recorder) -> Vec<Request> {
    let session = new_session();
    recorder.ask_in(&session, "general: Where are you?").await;
    let table = recorder.sandbox().table();
    // The first update takes the hold; all attempts to settle it fail.
    table.faults().script(Fault::ServerError.on("UpdateItem").after(1).times(3));
    let lost = recorder.ask_in(&session, "general: When are you open?").await;
    assert_eq!(table.faults().left(), 0, "the settlement was not tried three times");
    let mut item = table.session_budget(&session).await.unwrap().unwrap();
    let hold = item.iter_mut().find(|(name, _)| name.starts_with("hold#"));
    let Some((_, AttributeValue::M(hold))) = hold else { panic!("the hold was settled") };
    hold.insert("expires_at_ms".to_owned(), AttributeValue::N("1".to_owned()));
    table.put_item(item).await.unwrap();
    vec![lost, recorder.ask_in(&session, "general: And on Sundays?").await]
}
