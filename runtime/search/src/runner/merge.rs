//! Selects the sub-policies of the policy from the trials.

use faa_policy::SubPolicy;

use crate::trial::Trial;

/// The sub-policies of the `top_n` trials of a round with the highest rewards. Ties go to the earlier
/// trial. Of the sub-policies of a candidate with the same sequence of ops, only the first is included.
pub fn best_sub_policies(trials: &[Trial], top_n: usize) -> Vec<SubPolicy> {
    let mut ranked: Vec<_> = trials.iter().collect();
    // The sort is stable, and trials are in the order in which they were run.
    ranked.sort_by(|a, b| b.reward.total_cmp(&a.reward));
    ranked
        .into_iter()
        .take(top_n)
        .flat_map(|trial| without_repeats(&trial.candidate))
        .collect()
}

fn without_repeats(candidate: &[SubPolicy]) -> Vec<SubPolicy> {
    let mut unique: Vec<SubPolicy> = Vec::new();
    for sub_policy in candidate {
        let has_same_ops = |other: &SubPolicy| ops(other).eq(ops(sub_policy));
        if !unique.iter().any(has_same_ops) {
            unique.push(sub_policy.clone());
        }
    }
    unique
}

fn ops(sub_policy: &SubPolicy) -> impl Iterator<Item = &str> {
    sub_policy.iter().map(|step| step.op.as_str())
}

#[cfg(test)]
mod tests {
    use faa_policy::{Step, Strength};

    use super::*;

    fn sub_policy(ops: &[&str], magnitude: f64) -> SubPolicy {
        let step = |op: &&str| Step::new(*op, 1.0, Strength::Magnitude(magnitude));
        ops.iter().map(step).collect()
    }

    fn trial(reward: f64, candidate: Vec<SubPolicy>) -> Trial {
        Trial {
            reward,
            candidate,
            ..Trial::example()
        }
    }

    #[test]
    fn the_best_trials_are_selected_and_ties_go_to_the_earlier() {
        let trials: Vec<_> = [(0.1, "A"), (0.9, "B"), (0.5, "C"), (0.9, "D"), (0.5, "E")]
            .map(|(reward, op)| trial(reward, vec![sub_policy(&[op], 0.5)]))
            .into();
        let selected: Vec<_> = best_sub_policies(&trials, 3)
            .iter()
            .map(|steps| steps[0].op.clone())
            .collect();
        assert_eq!(selected, ["B", "D", "C"]);
    }

    #[test]
    fn repeated_ops_are_dropped_within_a_candidate_but_not_across_candidates() {
        let first = vec![
            sub_policy(&["A", "B"], 0.1),
            sub_policy(&["B", "A"], 0.2),
            sub_policy(&["A", "B"], 0.3),
        ];
        let second = vec![sub_policy(&["A", "B"], 0.4)];
        let merged = best_sub_policies(&[trial(0.9, first), trial(0.8, second)], 2);
        let expected = [
            sub_policy(&["A", "B"], 0.1),
            sub_policy(&["B", "A"], 0.2),
            sub_policy(&["A", "B"], 0.4),
        ];
        assert_eq!(merged, expected);
    }
}
