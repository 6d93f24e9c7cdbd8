//! What the page computes from trials, policies and errors.

use std::collections::BTreeMap;

use faa_policy::{Step, Strength, SubPolicy};
use faa_search::statistics::mean;

/// Above this factor, the top n candidates count as having moved towards doing nothing: they leave an
/// image untouched this many times as often as uniformly random candidates.
pub(super) const UNTOUCHED_FACTOR: f64 = 1.5;

/// Below this fraction of the change of a pixel by random policies, a policy counts as doing next to
/// nothing.
pub(super) const CHANGE_FACTOR: f64 = 0.5;

/// With fewer sub-policies in the top n than this, their mean is more a matter of luck than of the
/// search.
/// Π(1 − p) of two uniform probabilities has a mean of 0.25 and a standard deviation of 0.22, so
/// that the mean of 20 exceeds 0.375 by chance once in about a hundred times.
pub(super) const MIN_SUB_POLICIES: usize = 20;

/// The highest of the values up to each index.
pub(super) fn best_so_far(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut best = f64::NEG_INFINITY;
    let highest = |value: f64| {
        best = best.max(value);
        best
    };
    values.into_iter().map(highest).collect()
}

/// An estimate of the expected highest of `draws` values from where a sample comes from: the mean
/// of the highest over all choices of `draws` values of the sample, without replacement.
///
/// With the sample in order, x₁ ≤ … ≤ xₘ, the highest of n values is xᵢ in C(i−1, n−1) of the
/// C(m, n) choices, so the mean is Σ xᵢ · C(i−1, n−1) / C(m, n). It has no bias if the sample is
/// independent. The closer n is to m, the fewer values it depends on: for n = m it is xₘ.
///
/// `None` for 0 draws, and for more than the sample has.
pub(super) fn expected_best(sample: &[f64], draws: usize) -> Option<f64> {
    if draws == 0 || draws > sample.len() {
        return None;
    }
    let mut falling = sample.to_vec();
    falling.sort_unstable_by(|a, b| b.total_cmp(a));
    // C(m−1, n−1) / C(m, n) is n/m, and C(i−2, n−1) / C(i−1, n−1) is (i−n) / (i−1).
    let mut weight = draws as f64 / falling.len() as f64;
    let mut expected = 0.0;
    for (rank, value) in (draws..=falling.len()).rev().zip(&falling) {
        expected += weight * value;
        // The last rank may be 1, and its ratio is not used.
        weight *= (rank - draws) as f64 / (rank - 1).max(1) as f64;
    }
    Some(expected)
}

/// How sub-policies use one op.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OpUse {
    /// The steps that name it.
    pub(super) steps: usize,
    /// Their fraction of all steps.
    pub(super) fraction: f64,
    /// Their mean probability.
    pub(super) probability: f64,
    /// The magnitudes of those that have one.
    magnitudes: Vec<f64>,
}

impl OpUse {
    fn of(steps: &[&Step], all: usize) -> Self {
        let magnitude = |step: &&Step| match step.strength {
            Strength::Magnitude(magnitude) => Some(magnitude),
            _ => None,
        };
        let probabilities = steps.iter().map(|step| step.probability);
        Self {
            steps: steps.len(),
            fraction: steps.len() as f64 / all as f64,
            probability: probabilities.sum::<f64>() / steps.len() as f64,
            magnitudes: steps.iter().filter_map(magnitude).collect(),
        }
    }

    pub(super) fn magnitude(&self) -> Option<f64> {
        mean(&self.magnitudes)
    }

    /// The mean distance of the magnitudes from `centre`, itself a magnitude.
    pub(super) fn distance(&self, centre: f64) -> Option<f64> {
        let distances = self.magnitudes.iter().map(|of| (of - centre).abs());
        mean(&distances.collect::<Vec<_>>())
    }
}

pub(super) fn op_uses<'a>(
    sub_policies: impl IntoIterator<Item = &'a SubPolicy>,
) -> BTreeMap<&'a str, OpUse> {
    let mut steps = BTreeMap::<&str, Vec<&Step>>::new();
    for step in sub_policies.into_iter().flatten() {
        steps.entry(&step.op).or_default().push(step);
    }
    let all: usize = steps.values().map(Vec::len).sum();
    let op_use = |(op, steps): (&'a str, Vec<&Step>)| (op, OpUse::of(&steps, all));
    steps.into_iter().map(op_use).collect()
}

/// The probability that a draw applies no op: one of the sub-policies is drawn uniformly, so it is
/// the mean over them of Π(1 − p), the product over a sub-policy's steps.
///
/// `None` if there are none.
pub(super) fn untouched<'a>(sub_policies: impl IntoIterator<Item = &'a SubPolicy>) -> Option<f64> {
    mean_product(sub_policies, |step| 1.0 - step.probability)
}

/// What [`untouched`] is on average if every probability is drawn uniformly from 0 to 1 and
/// independently: ½ for each step, so (½)^steps for a sub-policy.
pub(super) fn untouched_if_uniform<'a>(
    sub_policies: impl IntoIterator<Item = &'a SubPolicy>,
) -> Option<f64> {
    mean_product(sub_policies, |_| 0.5)
}

/// The mean over sub-policies of the product over their steps.
fn mean_product<'a>(
    sub_policies: impl IntoIterator<Item = &'a SubPolicy>,
    factor: impl Fn(&Step) -> f64,
) -> Option<f64> {
    let product = |steps: &SubPolicy| steps.iter().map(&factor).product();
    let products: Vec<f64> = sub_policies.into_iter().map(product).collect();
    mean(&products)
}

/// How much is done to images by the top n candidates and by random ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Activity {
    /// How many sub-policies the top n candidates have.
    pub(super) top_n: usize,
    /// The probability that a draw from the top n candidates applies no op.
    pub(super) untouched: f64,
    /// That of uniformly random candidates.
    pub(super) untouched_if_uniform: f64,
    /// The mean change of a pixel by the policy and by random policies, in levels, if it was measured.
    pub(super) change: Option<(f64, f64)>,
}

/// Whether a search has fallen back to the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// There are too few sub-policies in the top n to tell.
    TooFew,
    /// The top n candidates do much less to images than random ones.
    TowardsNothing {
        /// They apply no op much more often.
        untouched: bool,
        /// They change pixels much less.
        change: bool,
    },
    /// They apply ops often enough, but how much pixels change was not measured.
    NotMeasured,
    /// Neither is the case.
    NoSign,
}

impl Activity {
    /// Compares the top n candidates with uniformly random ones, not with all trials: a sampler that
    /// learns to do nothing affects all trials.
    pub(super) fn finding(&self) -> Finding {
        if self.top_n < MIN_SUB_POLICIES {
            return Finding::TooFew;
        }
        let untouched = self.untouched > UNTOUCHED_FACTOR * self.untouched_if_uniform;
        let change = self
            .change
            .is_some_and(|(policy, random)| policy < CHANGE_FACTOR * random);
        match (untouched || change, self.change) {
            (true, _) => Finding::TowardsNothing { untouched, change },
            (false, None) => Finding::NotMeasured,
            (false, Some(_)) => Finding::NoSign,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: Option<f64>, expected: f64) -> bool {
        found.is_some_and(|found| (found - expected).abs() < 1e-12)
    }

    fn sub_policy(steps: &[(&str, f64, f64)]) -> SubPolicy {
        let step = |&(op, probability, magnitude): &(&str, f64, f64)| {
            Step::new(op, probability, Strength::Magnitude(magnitude))
        };
        steps.iter().map(step).collect()
    }

    #[test]
    fn the_best_so_far_never_falls() {
        assert_eq!(best_so_far([0.2, 0.1, 0.5, 0.4]), [0.2, 0.2, 0.5, 0.5]);
        assert!(best_so_far([]).is_empty());
    }

    #[test]
    fn the_expected_best_is_the_mean_over_all_choices() {
        // Of one, the mean; of two from {1, 2, 3}: 2 once and 3 twice; of all, the best.
        let sample = [3.0, 1.0, 2.0];
        assert!(close(expected_best(&sample, 1), 2.0));
        assert!(close(expected_best(&sample, 2), 8.0 / 3.0));
        assert!(close(expected_best(&sample, 3), 3.0));
        // Of two from {−1, 0, 2, 6}: 0 once, 2 twice and 6 three times. Of three: 2 once, 6 thrice.
        let sample = [6.0, -1.0, 2.0, 0.0];
        assert!(close(expected_best(&sample, 2), 22.0 / 6.0));
        assert!(close(expected_best(&sample, 3), 5.0));
        assert!(close(expected_best(&[0.5, 0.5, 0.5], 2), 0.5));
        assert!(close(expected_best(&[0.25], 1), 0.25));
    }

    #[test]
    fn there_is_no_expected_best_of_more_than_the_sample() {
        for draws in [0, 4, usize::MAX] {
            assert_eq!(expected_best(&[3.0, 1.0, 2.0], draws), None);
            assert_eq!(expected_best(&[], draws), None);
        }
        assert_eq!(expected_best(&[], 1), None);
    }

    #[test]
    fn the_expected_best_of_large_samples_is_finite_and_exact() {
        // The expected highest of n of the numbers from 1 to m is n(m + 1)/(n + 1); C(2000, 1000)
        // is beyond floats.
        let sample: Vec<f64> = (1..=2000_u32)
            .map(|number| f64::from(number) / 2000.0)
            .collect();
        for draws in [1, 2, 20, 1000, 1999, 2000] {
            let n = draws as f64;
            let expected = n * 2001.0 / (n + 1.0) / 2000.0;
            assert!(close(expected_best(&sample, draws), expected), "{draws}");
        }
    }

    #[test]
    fn uses_are_counted_and_averaged_by_op() {
        let all = [
            sub_policy(&[("A", 0.2, 0.4), ("B", 1.0, 0.5)]),
            sub_policy(&[("A", 0.6, 0.8), ("A", 0.4, 0.0)]),
        ];
        let uses = op_uses(&all);
        assert_eq!(uses.keys().copied().collect::<Vec<_>>(), ["A", "B"]);
        let a = &uses["A"];
        assert_eq!((a.steps, a.fraction), (3, 0.75));
        assert!(close(Some(a.probability), 0.4) && close(a.magnitude(), 0.4));
        assert!(close(a.distance(0.5), 0.3));
        assert!(op_uses(&[]).is_empty());
    }

    #[test]
    fn an_op_without_magnitudes_has_no_mean_one() {
        let all = [vec![Step::new("Invert", 1.0, Strength::Unstated)]];
        let uses = op_uses(&all);
        assert_eq!(uses["Invert"].magnitude(), None);
        assert_eq!(uses["Invert"].distance(0.5), None);
    }

    #[test]
    fn an_image_is_untouched_if_every_step_is_skipped() {
        let all = [
            sub_policy(&[("A", 0.5, 0.0), ("B", 0.2, 0.0)]),
            sub_policy(&[("A", 1.0, 0.0), ("B", 0.0, 0.0)]),
        ];
        // 0.5 × 0.8 and 0.
        assert!(close(untouched(&all), 0.2));
        assert!(close(untouched_if_uniform(&all), 0.25));
        assert_eq!(untouched(&[]), None);
    }

    #[test]
    fn a_search_that_does_nothing_is_found_out_by_either_sign() {
        let activity = |untouched, change| Activity {
            top_n: 50,
            untouched,
            untouched_if_uniform: 0.25,
            change,
        };
        let nothing = |untouched, change| Finding::TowardsNothing { untouched, change };
        for (untouched, change, finding) in [
            (0.3, None, Finding::NotMeasured),
            (0.3, Some((20.0, 30.0)), Finding::NoSign),
            (0.4, None, nothing(true, false)),
            (0.4, Some((20.0, 30.0)), nothing(true, false)),
            (0.3, Some((14.0, 30.0)), nothing(false, true)),
            (0.9, Some((1.0, 30.0)), nothing(true, true)),
        ] {
            assert_eq!(activity(untouched, change).finding(), finding);
        }
        let few = Activity {
            top_n: 19,
            ..activity(0.9, None)
        };
        assert_eq!(few.finding(), Finding::TooFew);
    }
}
