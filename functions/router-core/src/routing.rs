//! Which specialist is asked, and who after it.
//!
//! A decision is a value made from values: it calls no port. Whether there is room in the
//! budget is not decided here; only the ledger knows, in the write that takes the hold.

use crate::outcome::Reason;
use crate::policy::{Policy, Specialist};
use crate::wire::caller::Caller;

/// A chain of fallbacks ends here, unless the specialist that is asked for names more itself.
/// Each one that may follow takes a share of the time away from those before it.
const MAX_FALLBACKS: usize = 4;

/// What the supervisor asks for, as far as routing is concerned.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask<'a> {
    /// The specialist that it names.
    pub specialist: &'a str,
    /// The class that it puts the request in, which chooses below a router node.
    pub intent: Option<&'a str>,
    /// How sure it is of that, 0 to 1, when it says so.
    pub confidence: Option<f64>,
}

/// What is to be done about a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision<'p> {
    /// Ask these specialists until one answers.
    Invoke(Plan<'p>),
    /// Call no specialist: the request has passed too many routers.
    RefuseLoop,
    /// Call no specialist: this one serves verified users only.
    RefuseUnverified(&'p Specialist),
}

/// Whom to ask, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan<'p> {
    /// The first to be asked.
    pub first: &'p Specialist,
    /// Why that is not the one that the supervisor named.
    pub detour: Option<Reason>,
    /// Who is asked next, should those before be unable to answer.
    pub fallbacks: Vec<&'p Specialist>,
}

/// Decides about one request.
pub fn decide<'p>(ask: &Ask<'_>, caller: &Caller, policy: &'p Policy) -> Decision<'p> {
    if is_loop(caller, policy) {
        return Decision::RefuseLoop;
    }
    let unsure = ask.confidence.is_some_and(|confidence| confidence < policy.min_confidence);
    let general = policy.fallback();
    let (first, detour) = match policy.resolve(ask.specialist, ask.intent) {
        None => (general, Some(Reason::UnknownSpecialist)),
        Some(asked) if unsure && asked.name != general.name => {
            (general, Some(Reason::LowConfidence))
        }
        Some(asked) => (asked, None),
    };
    if !may_serve(first, caller) {
        return Decision::RefuseUnverified(first);
    }
    Decision::Invoke(Plan {
        first,
        detour,
        fallbacks: fallbacks(first, policy, |next| may_serve(next, caller)),
    })
}

/// Who of those that `may` is asked in the place of `first`, in order: its own fallbacks, then
/// theirs, no specialist twice.
pub(crate) fn fallbacks<'p>(
    first: &'p Specialist,
    policy: &'p Policy,
    may: impl Fn(&Specialist) -> bool,
) -> Vec<&'p Specialist> {
    let mut chain = vec![first];
    let mut next = 0;
    while next < chain.len() {
        for fallback in policy.fallbacks_of(chain[next]) {
            let is_own = next == 0;
            let has_room = is_own || chain.len() <= MAX_FALLBACKS;
            let is_new = chain.iter().all(|known| known.name != fallback.name);
            if has_room && is_new && may(fallback) {
                chain.push(fallback);
            }
        }
        next += 1;
    }
    chain.split_off(1)
}

/// Whether the caller has passed so many routers that it must be going in circles.
pub fn is_loop(caller: &Caller, policy: &Policy) -> bool {
    caller.hops >= policy.max_hops
}

/// Whether the specialist's identity rule lets it serve this caller.
pub fn may_serve(specialist: &Specialist, caller: &Caller) -> bool {
    caller.identity_verified || !specialist.requires_verified_identity
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::{caller, policy, verified_caller};

    fn ask(specialist: &str) -> Ask<'_> {
        Ask { specialist, intent: None, confidence: None }
    }

    fn plan<'p>(ask: &Ask<'_>, caller: &Caller, policy: &'p Policy) -> Plan<'p> {
        match decide(ask, caller, policy) {
            Decision::Invoke(plan) => plan,
            refusal => panic!("refused: {refusal:?}"),
        }
    }

    fn names(specialists: &[&Specialist]) -> Vec<String> {
        specialists.iter().map(|specialist| specialist.name.to_string()).collect()
    }

    #[test]
    fn the_specialist_named_is_asked_first_and_its_fallbacks_in_order() {
        let policy = policy();
        let plan = plan(&ask("orders"), &verified_caller(), &policy);
        assert_eq!((plan.first.name.as_str(), plan.detour), ("orders", None));
        assert_eq!(names(&plan.fallbacks), ["support", "general"]);
    }

    #[test]
    fn an_unknown_specialist_goes_to_the_fallback_and_never_to_a_guess() {
        let policy = policy();
        for name in ["astrology", "Orders", "order", " orders", ""] {
            let plan = plan(&ask(name), &caller(), &policy);
            assert_eq!(plan.first.name.as_str(), "general", "{name}");
            assert_eq!(plan.detour, Some(Reason::UnknownSpecialist), "{name}");
        }
    }

    #[test]
    fn low_confidence_goes_to_the_fallback_and_the_threshold_itself_does_not() {
        let policy = policy();
        let sure = |confidence| Ask { confidence: Some(confidence), ..ask("orders") };
        assert_eq!(plan(&sure(0.49), &caller(), &policy).detour, Some(Reason::LowConfidence));
        assert_eq!(plan(&sure(0.5), &caller(), &policy).detour, None);
        let billing = Ask { confidence: Some(0.0), ..ask("billing") };
        let plan_for_billing = plan(&billing, &caller(), &policy);
        assert_eq!(plan_for_billing.first.name.as_str(), "general", "billing is not called");
        let general = Ask { confidence: Some(0.0), ..ask("general") };
        assert_eq!(plan(&general, &caller(), &policy).detour, None, "it is where it would go");
    }

    #[test]
    fn an_unverified_user_is_refused_where_the_identity_matters() {
        let policy = policy();
        let refused = Decision::RefuseUnverified(policy.find("billing").unwrap());
        assert_eq!(decide(&ask("billing"), &caller(), &policy), refused);
        assert_eq!(
            plan(&ask("billing"), &verified_caller(), &policy).first.name.as_str(),
            "billing"
        );
    }

    #[test]
    fn a_fallback_keeps_its_own_identity_rule() {
        let policy = policy();
        // Support answers verified users only: it is left out, and general is next.
        assert_eq!(names(&plan(&ask("orders"), &caller(), &policy).fallbacks), ["general"]);
    }

    #[test]
    fn a_chain_ends_after_four_fallbacks_unless_the_first_names_more_itself() {
        let chain = |of_first: &str| {
            let fallbacks = [of_first, "'c'", "'d'", "'e'", "'f'", "'g'", ""];
            let specialists = ["a", "b", "c", "d", "e", "f", "g"].iter().zip(fallbacks);
            let specialists: String = specialists
                .map(|(name, fallbacks)| {
                    format!(
                        "[specialists.{name}]
                        agent = 'AGENT/LIVE'
                        description = 'test'
                        fallback = [{fallbacks}]
                        requires_verified_identity = false
                        max_tokens_per_call = 8000
                        price = {{ input_usd_per_mtok = 3.0, output_usd_per_mtok = 15.0 }}
                        "
                    )
                })
                .collect();
            let session = "max_steps = 12\nmax_tokens = 80_000\nmax_cost_usd = 0.50";
            let text = format!("[routing]\nfallback = 'g'\n[session]\n{session}\n{specialists}");
            let policy = Policy::parse(&text, None).unwrap();
            names(&plan(&ask("a"), &caller(), &policy).fallbacks)
        };
        assert_eq!(chain("'b'"), ["b", "c", "d", "e"]);
        assert_eq!(chain("'b', 'd', 'f'"), ["b", "d", "f", "c"]);
        assert_eq!(chain("'g', 'f', 'e', 'd', 'c', 'b'"), ["g", "f", "e", "d", "c", "b"]);
    }

    #[test]
    fn a_request_that_passed_max_hops_routers_is_a_loop_whatever_it_asks() {
        let policy = policy();
        for (hops, refused) in [(2, false), (3, true), (u64::MAX, true)] {
            let caller = Caller { hops, ..caller() };
            let decision = decide(&ask("astrology"), &caller, &policy);
            assert_eq!(decision == Decision::RefuseLoop, refused, "{hops}");
        }
    }
}
