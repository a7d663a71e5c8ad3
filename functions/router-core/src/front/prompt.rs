//! What the supervisor is told beside what the user says.

use crate::policy::{Policy, SupervisorRules};
use crate::wire::tools::catalog;

/// Said where the policy has no `instruction`.
const INSTRUCTION: &str = "You answer a user's requests. Have the departments below work on what is \
                           theirs, with the tools, and answer the user with what they say. Say \
                           nothing that no department has said.";

/// Said in the last round.
const LAST_ROUND: &str = "No tool can be called any more. Answer the user now, with what you have.";

/// The supervisor's prompt: the policy's instruction, and the list of departments.
pub fn prompt_of(policy: &Policy, rules: &SupervisorRules) -> String {
    let instruction = rules.callee.model.instruction.as_deref().unwrap_or(INSTRUCTION);
    format!("{}\n\nThe departments:\n{}", instruction.trim_end(), catalog::departments(policy))
}

/// The prompt of a round, with what is to be known in it.
pub(super) fn of_round(prompt: &str, news: &[String], is_last: bool) -> String {
    let last = is_last.then_some(LAST_ROUND);
    let parts = [prompt.trim_end()].into_iter().chain(news.iter().map(String::as_str)).chain(last);
    parts.collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doubles::policy_with;

    fn prompt(instruction: &str) -> String {
        let policy = policy_with(&format!(
            "[supervisor]\nagent = \"S/L\"\nmax_tokens_per_call = 8000\n{instruction}\n\
             price = {{ input_usd_per_mtok = 1.0, output_usd_per_mtok = 5.0 }}"
        ))
        .unwrap();
        prompt_of(&policy, policy.supervisor().unwrap())
    }

    #[test]
    fn the_instruction_comes_before_the_list_that_the_policy_makes() {
        let prompt = prompt("instruction = \"You route for a shop.\"");
        assert!(
            prompt.starts_with("You route for a shop.\n\nThe departments:\n- billing: refunds")
        );
        assert!(prompt.contains("- general: everything else"), "{prompt}");
        assert!(self::prompt("").starts_with(INSTRUCTION));
    }

    #[test]
    fn only_the_last_round_says_that_it_is() {
        let news = ["A person has answered.".to_owned()];
        assert_eq!(of_round("Route.\n", &news, false), "Route.\n\nA person has answered.");
        assert_eq!(of_round("Route.\n", &[], true), format!("Route.\n\n{LAST_ROUND}"));
    }
}
