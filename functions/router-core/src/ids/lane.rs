//! The sessions of a specialist's own in which its invocations run.

use super::{RootSession, SpecialistName, hex_digest};

/// Which of a specialist's own sessions an invocation runs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lane {
    /// Moves on after `max_turns_per_specialist` turns, so that no memory grows without end.
    pub generation: u64,
    /// 0, unless another invocation of the specialist is under way in the same root session, or
    /// was left while it may still be at work: then a number that no other such invocation of the
    /// session has. See [`Lane::number_of`].
    pub number: u64,
}

/// Marks the lane beside another one. No step leads to it, since a session has at most 10,000.
const SIBLING: u64 = 1 << 40;

/// Marks the lanes that take the place of lane 0 after it was left.
const AFTER_LEAVING: u64 = 1 << 50;

impl Lane {
    /// The number of the lane of an invocation that took the session's `step`th step.
    ///
    /// Two invocations at once must not share a Bedrock session, and one after the other
    /// should, since the specialist remembers the first. The hold is written before its
    /// writer knows who else is there, so a lane cannot be claimed in it; but the answer to
    /// that write shows every live hold, and the step number is the writer's alone. An invocation
    /// that finds the specialist unoccupied takes the [home lane](Lane::home); those after it
    /// find it occupied.
    pub fn number_of(step: u64, home: u64, specialist_is_occupied: bool) -> u64 {
        if specialist_is_occupied { step } else { home }
    }

    /// The number of the lane in which invocations follow each other, after invocations in the
    /// lane before it were left `times_left` times while the agent may still have been at work.
    pub fn home(times_left: u64) -> u64 {
        if times_left == 0 { 0 } else { AFTER_LEAVING | times_left }
    }

    /// What [`Lane::home`] has to be called with once an invocation in this lane was left; `None`
    /// when no later invocation comes here.
    pub fn times_left_now(self) -> Option<u64> {
        match self.number & !SIBLING {
            0 => Some(1),
            number if number >> 50 == 1 => Some((number ^ AFTER_LEAVING) + 1),
            _ => None,
        }
    }

    /// The lane beside this one, for an invocation that finds its own in use after all.
    pub fn sibling(self) -> Self {
        Self { number: self.number ^ SIBLING, ..self }
    }
}

/// The session id under which `specialist` serves `root`: 64 hexadecimal digits, valid for a
/// Bedrock agent (2 to 100 characters) and for an AgentCore runtime (33 or more).
pub fn specialist_session_id(
    root: &RootSession,
    specialist: &SpecialistName,
    lane: Lane,
) -> String {
    // The root session comes last: it alone may contain the separator.
    let Lane { generation, number } = lane;
    hex_digest(&format!("{specialist}/{generation}/{number}/{root}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specialists_sessions_generations_and_lanes_never_share_a_session_id() {
        let id = |root: &str, name: &str, generation, number| {
            let root = RootSession::parse("sessionId", root).unwrap();
            let name = SpecialistName::parse(name).unwrap();
            specialist_session_id(&root, &name, Lane { generation, number })
        };
        let ids = [
            id("s", "billing", 0, 0),
            id("s", "orders", 0, 0),
            id("t", "billing", 0, 0),
            id("s", "billing", 1, 0),
            id("s", "billing", 0, 1),
            id("0/s", "billing", 0, 0),
            id("1/s", "billing", 0, 0),
        ];
        for (index, one) in ids.iter().enumerate() {
            assert!(one.len() == 64 && one.bytes().all(|byte| byte.is_ascii_hexdigit()));
            assert!(!ids[..index].contains(one));
        }
    }

    #[test]
    fn invocations_that_overlap_have_different_lanes() {
        // The first finds the lane free; those that come while it runs find it, or each other.
        assert_eq!(Lane::number_of(1, 0, false), 0);
        assert_eq!(Lane::number_of(2, 0, true), 2);
        assert_eq!(Lane::number_of(3, 0, true), 3);
        // One that comes when all are done continues the first conversation.
        assert_eq!(Lane::number_of(4, 0, false), 0);
    }

    #[test]
    fn each_of_two_neighbouring_lanes_is_beside_the_other() {
        for number in [0, 7, Lane::home(1)] {
            let lane = Lane { generation: 2, number };
            assert_ne!(lane.sibling(), lane);
            assert_eq!(lane.sibling().sibling(), lane);
        }
    }

    #[test]
    fn every_lane_that_is_left_is_followed_by_another_one() {
        let in_lane = |number| Lane { generation: 0, number };
        let mut seen = Vec::new();
        let mut times_left = 0;
        for _ in 0..5 {
            let lane = in_lane(Lane::home(times_left));
            assert!(!seen.contains(&lane.number) && !seen.contains(&lane.sibling().number));
            seen.extend([lane.number, lane.sibling().number]);
            let next = lane.times_left_now().unwrap();
            assert_eq!(lane.sibling().times_left_now(), Some(next), "both are left alone");
            assert_eq!(next, times_left + 1);
            times_left = next;
        }
        // Those of invocations that overlapped are used once.
        for number in [1, 10_000, 1 << 63, 1 << 63 | 7 << 50] {
            assert_eq!(in_lane(number).times_left_now(), None, "{number}");
        }
    }
}
