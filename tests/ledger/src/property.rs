//! Any sequence of reserving, settling, repeating and expiring keeps the books right.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use router_aws::DynamoLedger;
use router_core::charge::Charge;
use router_core::ledger::ReserveError;
use router_core::units::Timestamp;

use crate::books::charge;
use crate::payer::{HOLD_LIFE, Payer, START, id};
use crate::table::TableUnderTest;

const MAX_STEPS: u64 = 12;
const MAX_TOKENS: u64 = 1_000;
const MAX_MICRO_USD: u64 = 900;

/// Something that a router does. A hold is named by its place among those reserved so far.
#[derive(Clone, Debug)]
enum Action {
    Reserve {
        tokens: u64,
        micro_usd: u64,
    },
    /// The same reservation again, as after a lost answer.
    Repeat(prop::sample::Index),
    Settle {
        hold: prop::sample::Index,
        tokens: u64,
        micro_usd: u64,
    },
    /// Time goes by.
    Wait {
        seconds: u64,
    },
}

fn action() -> impl Strategy<Value = Action> {
    let any_hold = any::<prop::sample::Index>;
    prop_oneof![
        4 => (0..400_u64, 0..400_u64)
            .prop_map(|(tokens, micro_usd)| Action::Reserve { tokens, micro_usd }),
        2 => any_hold().prop_map(Action::Repeat),
        4 => (any_hold(), 0..450_u64, 0..450_u64)
            .prop_map(|(hold, tokens, micro_usd)| Action::Settle { hold, tokens, micro_usd }),
        2 => (1..80_u64).prop_map(|seconds| Action::Wait { seconds }),
    ]
}

/// What has become of one reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Refused,
    Held { expires: Timestamp },
    Settled(Charge),
    Expired,
}

/// What ought to be in the books, told by somebody who sees every answer.
struct Session<'a> {
    payer: Payer,
    table: &'a TableUnderTest,
    ledger: DynamoLedger,
    now: Timestamp,
    asks: Vec<Charge>,
    fates: Vec<Fate>,
    expired_holds: u64,
}

impl Session<'_> {
    async fn act(&mut self, action: &Action) {
        let pick =
            |hold: &prop::sample::Index, holds: usize| (holds > 0).then(|| hold.index(holds));
        match action {
            Action::Wait { seconds } => {
                self.now = self.now.after(Duration::from_secs(*seconds));
            }
            Action::Reserve { tokens, micro_usd } => {
                self.asks.push(charge(*tokens, *micro_usd));
                self.fates.push(Fate::Refused);
                self.reserve(self.asks.len() - 1).await;
            }
            Action::Repeat(hold) => {
                let Some(place) = pick(hold, self.asks.len()) else { return };
                // Of what has expired or was settled long ago the item knows nothing any more. Such
                // a duplicate would be charged again: too much, and documented.
                let known = match self.fates[place] {
                    Fate::Refused => true,
                    Fate::Held { expires } => self.now < expires,
                    Fate::Settled(_) => {
                        let books = self.table.session_or_nothing(self.payer.session.as_str());
                        books.await.remembers(&id(place))
                    }
                    Fate::Expired => false,
                };
                if known {
                    self.reserve(place).await;
                }
            }
            Action::Settle { hold, tokens, micro_usd } => {
                let Some(place) = pick(hold, self.asks.len()) else { return };
                let used = charge(*tokens, *micro_usd);
                self.payer.settle(&self.ledger, &id(place), self.asks[place], used).await.unwrap();
                // It is too late only when somebody has collected the hold.
                if matches!(self.fates[place], Fate::Held { .. }) {
                    self.fates[place] = Fate::Settled(used);
                }
            }
        }
        self.check().await;
    }

    async fn reserve(&mut self, place: usize) {
        let id = id(place);
        let result = self.payer.reserve(&self.ledger, &id, self.asks[place], self.now).await;
        match (&result, self.fates[place]) {
            (Ok(hold), fate @ (Fate::Refused | Fate::Held { .. })) => {
                self.expired_holds += u64::from(hold.expired_holds);
                if fate == Fate::Refused {
                    let expires = self.now.after(HOLD_LIFE);
                    self.fates[place] = Fate::Held { expires };
                }
            }
            (Err(ReserveError::AlreadySettled(_)), Fate::Settled(_)) => {}
            // A used-up session is refused without a look at its item.
            (Err(ReserveError::Exhausted(_)), _) => {}
            (result, fate) => panic!("{fate:?} was reserved again: {result:?}"),
        }
        // Whoever reads the item moves what has expired, if it came to reading.
        let books = self.table.session_or_nothing(self.payer.session.as_str()).await;
        for (place, fate) in self.fates.iter_mut().enumerate() {
            let Fate::Held { expires } = *fate else { continue };
            if !books.holds_for(&crate::payer::id(place)) {
                assert!(expires <= self.now, "hold {place} is gone too early");
                *fate = Fate::Expired;
            }
        }
    }

    async fn check(&self) {
        let books = self.table.session_or_nothing(self.payer.session.as_str()).await;
        books.assert_balanced();
        let (mut committed, mut spent, mut overrun) =
            (Charge::default(), Charge::default(), Charge::default());
        let mut held = BTreeMap::new();
        let mut steps = 0;
        for (place, (ask, fate)) in self.asks.iter().zip(&self.fates).enumerate() {
            let (charged, settled) = match fate {
                Fate::Refused => continue,
                Fate::Held { .. } => {
                    held.insert(id(place).as_str().to_owned(), *ask);
                    (*ask, Charge::default())
                }
                Fate::Settled(used) => (*used, *used),
                Fate::Expired => (*ask, *ask),
            };
            steps += 1;
            committed = committed.plus(charged);
            spent = spent.plus(settled);
            overrun = overrun.plus(settled.minus(*ask));
        }
        // Each hold is charged exactly once, and nothing else is.
        assert_eq!(books.holds(), held);
        assert_eq!((books.committed(), books.spent()), (committed, spent));
        assert_eq!(books.steps(), steps);
        // Nothing passes a limit but by what calls used beyond their holds.
        assert!(steps <= MAX_STEPS);
        assert!(committed.tokens.0 <= MAX_TOKENS + overrun.tokens.0, "{books:?}");
        assert!(committed.cost.0 <= MAX_MICRO_USD + overrun.cost.0, "{books:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_reservation_is_charged_exactly_once_and_no_limit_is_passed(
        actions in prop::collection::vec(action(), 1..32),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let table = TableUnderTest::start().await;
            let mut session = Session {
                payer: Payer::new()
                    .with_limits(MAX_STEPS, MAX_TOKENS, MAX_MICRO_USD)
                    .with_day(1_000_000, 300),
                ledger: table.ledger(),
                table: &table,
                now: START,
                asks: Vec::new(),
                fates: Vec::new(),
                expired_holds: 0,
            };
            for action in &actions {
                session.act(action).await;
            }
            let expired = session.fates.iter().filter(|fate| **fate == Fate::Expired).count();
            assert!(session.expired_holds <= expired as u64, "none is counted twice");
        });
    }
}
