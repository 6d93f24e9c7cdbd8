//! Selects candidates: those that are scored again, and those whose sub-policies enter the policy.

use std::collections::BTreeSet;

use faa_policy::SubPolicy;

use crate::config::SearchConfig;
use crate::reliability::RANDOM_CANDIDATES;
use crate::trial::{Rescoring, Trial};

/// The trials of a round on one fold, and the second scorings of some of them.
#[derive(Clone, Copy, Debug)]
pub struct RoundResults<'a> {
    trials: &'a [Trial],
    rescorings: &'a [Rescoring],
}

impl<'a> RoundResults<'a> {
    /// Trials and second scorings of a round, each in the order of the trials' numbers.
    pub fn new(trials: &'a [Trial], rescorings: &'a [Rescoring]) -> Self {
        Self { trials, rescorings }
    }

    /// The trials, in their order.
    pub fn trials(&self) -> &'a [Trial] {
        self.trials
    }

    /// The reward of a trial's second scoring, if there was one.
    pub fn second_reward(&self, trial: &Trial) -> Option<f64> {
        let index = (self.rescorings).binary_search_by_key(&trial.trial, |it| it.trial);
        index.ok().map(|index| self.rescorings[index].reward)
    }

    /// The trials with the highest first rewards, [`SearchConfig::finalists`] × N of them, best first.
    pub fn finalists(&self, search: &SearchConfig) -> Vec<&'a Trial> {
        let count = search.finalists.saturating_mul(search.top_n.get());
        best(self.trials.iter().map(|trial| (trial.reward, trial)), count)
    }

    /// The trials that are scored again once the round is complete, by number: the finalists and, in the
    /// first round, the random candidates that the reliability is measured with.
    pub fn to_rescore(&self, search: &SearchConfig) -> BTreeSet<usize> {
        let all = self.finalists(search).into_iter();
        let all = all.chain(self.random_candidates(search));
        all.map(|trial| trial.trial).collect()
    }

    /// The N best trials, best first: of the finalists by the mean of both rewards, or of all by their first
    /// if there are no finalists, or not all of them have been scored again yet.
    ///
    /// The first reward of a finalist is high partly by luck, but no less is known from it: with equal normal
    /// noise, what both rewards say about a candidate is in their sum, whether or not it was selected by one
    /// of them. In simulations of 3 N finalists at reliabilities from 0.1 to 0.8, the mean gains 1.2 to 3.6
    /// times as much over a single scoring as the second reward alone.
    pub fn selected(&self, search: &SearchConfig) -> Vec<&'a Trial> {
        let with_mean = |trial: &'a Trial| {
            let second = self.second_reward(trial)?;
            Some(((trial.reward + second) / 2.0, trial))
        };
        let finalists = self.finalists(search).into_iter();
        let finalists: Option<Vec<_>> = finalists.map(with_mean).collect();
        let first = || self.trials.iter().map(|trial| (trial.reward, trial));
        let ranked = finalists.filter(|finalists| !finalists.is_empty());
        let ranked = ranked.unwrap_or_else(|| first().collect());
        best(ranked, search.top_n.get())
    }

    /// The sub-policies of the selected trials. Of the sub-policies of a candidate with the same sequence
    /// of ops, only the first is included.
    pub fn sub_policies(&self, search: &SearchConfig) -> Vec<SubPolicy> {
        let selected = self.selected(search).into_iter();
        selected
            .flat_map(|trial| without_repeats(&trial.candidate))
            .collect()
    }

    /// The first and second rewards of the random candidates that have both.
    pub fn random_rewards(&self, search: &SearchConfig) -> Vec<[f64; 2]> {
        let rewards = |trial: &Trial| Some([trial.reward, self.second_reward(trial)?]);
        let random = self.random_candidates(search);
        random.filter_map(rewards).collect()
    }

    /// The random candidates that are scored again: the first of the first round's start-up trials.
    fn random_candidates(
        &self,
        search: &SearchConfig,
    ) -> impl Iterator<Item = &'a Trial> + use<'a> {
        let count = random_candidates(search);
        let is_one = move |trial: &&Trial| trial.round == 0 && trial.trial < count;
        self.trials.iter().filter(is_one)
    }
}

/// How many trials and second scorings of a fold remain, at most. Which candidates are scored again is known once
/// a round is complete; before, it counts as many as there can be.
pub(crate) fn scorings_left(
    search: &SearchConfig,
    trials: &[Trial],
    rescorings: &[Rescoring],
) -> usize {
    let mut recorded = trials.chunks(search.trials.get());
    let rescored = (0..search.rounds.get()).map(|round| match recorded.next() {
        Some(trials) if trials.len() == search.trials.get() => {
            RoundResults::new(trials, &[]).to_rescore(search).len()
        }
        _ => max_rescorings(search, round),
    });
    let all = search.rounds.get() * search.trials.get() + rescored.sum::<usize>();
    all.saturating_sub(trials.len() + rescorings.len())
}

/// How many candidates of a round are scored again, at most: finalists may be among the random ones.
pub fn max_rescorings(search: &SearchConfig, round: usize) -> usize {
    let finalists = search.finalists.saturating_mul(search.top_n.get());
    let random = match round {
        0 => random_candidates(search),
        _ => 0,
    };
    let trials = search.trials.get();
    trials.min(finalists.saturating_add(random))
}

fn random_candidates(search: &SearchConfig) -> usize {
    RANDOM_CANDIDATES.min(search.sampler.start_up_trials)
}

/// The trials with the highest of these rewards, best first. Ties go to the earlier trial.
fn best<'a>(ranked: impl IntoIterator<Item = (f64, &'a Trial)>, count: usize) -> Vec<&'a Trial> {
    let mut ranked: Vec<_> = ranked.into_iter().collect();
    ranked.sort_by(|(a, first), (b, second)| {
        let by_reward = b.total_cmp(a);
        by_reward.then(first.trial.cmp(&second.trial))
    });
    let ranked = ranked.into_iter().take(count);
    ranked.map(|(_, trial)| trial).collect()
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
    use crate::config::Preset;

    fn sub_policy(ops: &[&str], magnitude: f64) -> SubPolicy {
        let step = |op: &&str| Step::new(*op, 1.0, Strength::Magnitude(magnitude));
        ops.iter().map(step).collect()
    }

    /// Trials with these rewards, and sub-policies of one op each, named `A`, `B` and so on.
    fn trials(rewards: &[f64]) -> Vec<Trial> {
        let trial = |(number, reward): (usize, &f64)| Trial {
            trial: number,
            reward: *reward,
            candidate: vec![sub_policy(&[&"ABCDEFGH"[number..=number]], 0.5)],
            ..Trial::example()
        };
        rewards.iter().enumerate().map(trial).collect()
    }

    /// Second scorings of all trials, with these rewards.
    fn rescorings(rewards: &[f64]) -> Vec<Rescoring> {
        let rescoring = |(trial, reward): (usize, &f64)| Rescoring {
            trial,
            reward: *reward,
            ..Rescoring::default()
        };
        rewards.iter().enumerate().map(rescoring).collect()
    }

    fn search(top_n: usize, finalists: usize) -> SearchConfig {
        let mut search = SearchConfig::preset(Preset::Demo);
        search.top_n = top_n.try_into().unwrap();
        search.finalists = finalists;
        search.sampler.start_up_trials = 2;
        search
    }

    fn names(round: RoundResults<'_>, search: &SearchConfig) -> String {
        let ops = round.sub_policies(search).into_iter();
        ops.map(|steps| steps[0].op.clone()).collect()
    }

    #[test]
    fn the_best_trials_are_selected_and_ties_go_to_the_earlier() {
        let trials = trials(&[0.1, 0.9, 0.5, 0.9, 0.5]);
        let round = RoundResults::new(&trials, &[]);
        assert_eq!(names(round, &search(3, 0)), "BDC");
    }

    #[test]
    fn finalists_are_selected_by_the_mean_of_both_rewards() {
        let trials = trials(&[0.125, 0.875, 0.5, 0.75, 0.5625, 0.625, 0.25, 0.375]);
        let second = rescorings(&[1.0, 0.0625, 0.9375, 0.625, 0.8125, 0.875, 1.0, 0.5]);
        let round = RoundResults::new(&trials, &second);
        let number = |trial: &Trial| trial.trial;
        let finalists = round.finalists(&search(2, 2)).into_iter().map(number);
        assert_eq!(finalists.collect::<Vec<_>>(), [1, 3, 5, 4]);
        // `D` and `E` have equal means, but different rewards. `C` has a higher mean than they, and `A` and
        // `G` have the highest second rewards, but these are no finalists.
        assert_eq!(names(round, &search(2, 2)), "FD");
        assert_eq!(names(round, &search(2, 0)), "BD");
        // Until all finalists have been scored again, the first rewards count.
        let incomplete = RoundResults::new(&trials, &second[..5]);
        assert_eq!(names(incomplete, &search(2, 2)), "BD");
        let all = round.selected(&search(2, 100));
        assert_eq!(all.into_iter().map(number).collect::<Vec<_>>(), [5, 2]);
    }

    #[test]
    fn finalists_and_random_candidates_are_scored_again() {
        let mut trials = trials(&[0.1, 0.9, 0.5, 0.8, 0.6, 0.7, 0.2, 0.3]);
        let numbers = |trials: &[Trial], finalists| -> Vec<usize> {
            let all = RoundResults::new(trials, &[]).to_rescore(&search(2, finalists));
            all.into_iter().collect()
        };
        assert_eq!(numbers(&trials, 1), [0, 1, 3]);
        assert_eq!(numbers(&trials, 0), [0, 1]);
        let second = rescorings(&[0.25; 8]);
        let rewards = RoundResults::new(&trials, &second).random_rewards(&search(2, 1));
        assert_eq!(rewards, [[0.1, 0.25], [0.9, 0.25]]);
        trials.iter_mut().for_each(|trial| trial.round = 1);
        assert_eq!(numbers(&trials, 1), [1, 3]);
        assert!(numbers(&trials, 0).is_empty());
        assert_eq!(
            [0, 1].map(|round| max_rescorings(&search(2, 3), round)),
            [8, 6]
        );
        assert_eq!(max_rescorings(&search(50, 1), 0), 40);
    }

    #[test]
    fn repeated_ops_are_dropped_within_a_candidate_but_not_across_candidates() {
        let mut trials = trials(&[0.9, 0.8]);
        trials[0].candidate = vec![
            sub_policy(&["A", "B"], 0.1),
            sub_policy(&["B", "A"], 0.2),
            sub_policy(&["A", "B"], 0.3),
        ];
        trials[1].candidate = vec![sub_policy(&["A", "B"], 0.4)];
        let merged = RoundResults::new(&trials, &[]).sub_policies(&search(2, 0));
        let expected = [
            sub_policy(&["A", "B"], 0.1),
            sub_policy(&["B", "A"], 0.2),
            sub_policy(&["A", "B"], 0.4),
        ];
        assert_eq!(merged, expected);
    }
}
