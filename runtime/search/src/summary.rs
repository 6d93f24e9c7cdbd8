//! The results of a run: the test errors, and what the policy is worth.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::Augmentation;
use crate::halving::HalvingResult;
use crate::reliability::Reliability;
use crate::results::{ClassErrors, Evaluation};
use crate::statistics::{binomial_noise, mean, percent, sample_deviation, welch_interval};

/// The results of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Summary {
    /// The policy's file, if there is a policy.
    pub policy: Option<PathBuf>,
    /// The policy's number of sub-policies; 0 for a sampler.
    pub sub_policies: usize,
    /// The file that says which ops are safe, if they were audited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<PathBuf>,
    /// The reliability of the reward, if there was a search by density matching and it could be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reliability: Option<Reliability>,
    /// What successive halving found, if the run searched by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halving: Option<HalvingResult>,
    /// The final trainings, in the order of the configuration.
    pub final_trainings: Vec<FinalResult>,
    /// The policy against each baseline, in the same order.
    pub comparisons: Vec<Comparison>,
}

impl Summary {
    /// The summary of these results, without an audit or a search.
    pub fn new(
        policy: Option<PathBuf>,
        sub_policies: usize,
        final_trainings: Vec<FinalResult>,
    ) -> Self {
        Self {
            policy,
            sub_policies,
            audit: None,
            reliability: None,
            halving: None,
            comparisons: comparisons(&final_trainings),
            final_trainings,
        }
    }
}

/// Test errors of one augmentation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FinalResult {
    /// The augmentation.
    pub augmentation: Augmentation,
    /// The fraction of test images that were classified wrongly after the last epoch, for each seed.
    pub errors: Vec<f64>,
    /// Their mean, if there is one at least.
    pub mean: Option<f64>,
    /// Their sample standard deviation, if there are two at least.
    pub std: Option<f64>,
    /// The number of further seeds, whose trainings diverged.
    pub diverged: usize,
    /// Images and errors by class, summed over seeds; empty if they were not recorded for all seeds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_class: Vec<ClassErrors>,
}

impl FinalResult {
    /// The result of trainings with these evaluations, one per seed, and of others that diverged.
    pub fn new<'a>(
        augmentation: Augmentation,
        evaluations: impl IntoIterator<Item = &'a Evaluation>,
        diverged: usize,
    ) -> Self {
        let evaluations: Vec<&Evaluation> = evaluations.into_iter().collect();
        let errors: Vec<f64> = evaluations.iter().map(|it| it.error).collect();
        Self {
            augmentation,
            mean: mean(&errors),
            std: sample_deviation(&errors),
            errors,
            diverged,
            by_class: summed(&evaluations),
        }
    }

    /// The mean error in percent with its standard deviation, for people: `6.57 ± 0.10 %`.
    pub fn error(&self) -> String {
        match (self.mean, self.std) {
            (Some(mean), Some(std)) => {
                format!("{:.2} ± {}", 100.0 * mean, percent(std, 2))
            }
            (Some(mean), None) => percent(mean, 2),
            (None, _) => "–".to_owned(),
        }
    }

    /// The number of test images, if errors were recorded by class.
    fn images(&self) -> Option<usize> {
        let images = (self.by_class.iter()).fold(0_usize, |sum, it| sum.saturating_add(it.images));
        images
            .checked_div(self.errors.len())
            .filter(|images| *images > 0)
    }
}

/// The sums of images and errors by class; none if the classes are not the same in all evaluations.
fn summed(evaluations: &[&Evaluation]) -> Vec<ClassErrors> {
    let Some((first, others)) = evaluations.split_first() else {
        return Vec::new();
    };
    let mut sums = first.by_class.clone();
    for other in others {
        let name = |it: &ClassErrors| it.class.clone();
        if !(other.by_class.iter().map(name)).eq(sums.iter().map(name)) {
            return Vec::new();
        }
        for (sum, one) in sums.iter_mut().zip(&other.by_class) {
            sum.images = sum.images.saturating_add(one.images);
            sum.errors = sum.errors.saturating_add(one.errors);
        }
    }
    sums
}

/// The policy against a baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Comparison {
    /// The baseline.
    pub baseline: Augmentation,
    /// The policy's mean test error minus that of the baseline, −1 to 1: negative if the policy is better.
    pub difference: f64,
    /// The 95 % interval of the difference over seeds ([`welch_interval`]). `None` with one seed, or if
    /// errors do not differ between seeds.
    pub interval: Option<[f64; 2]>,
    /// Without an interval: how large a difference is explained by the size of the test split alone
    /// ([`binomial_noise`]), if that size was recorded.
    pub noise: Option<f64>,
    /// What follows from the numbers.
    pub result: ComparisonResult,
    /// The number of trainings that are compared: with the policy, with the baseline.
    pub seeds: [usize; 2],
    /// The number of further trainings with either, which diverged.
    pub diverged: usize,
}

/// What a comparison shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ComparisonResult {
    /// The whole interval is on the policy's side.
    Better,
    /// The whole interval is on the baseline's side.
    Worse,
    /// The interval contains 0; or, without one, the difference is no larger than the noise.
    EqualWithinNoise,
    /// There is no interval, and the difference is larger than the noise of the test split alone.
    Undecided,
}

/// The policy against each baseline, in their order. An augmentation of which no training has finished
/// is not compared.
pub fn comparisons(results: &[FinalResult]) -> Vec<Comparison> {
    let is_policy = |it: &&FinalResult| it.augmentation == Augmentation::Policy;
    let Some(policy) = results.iter().find(is_policy) else {
        return Vec::new();
    };
    let baselines = results.iter().filter(|it| !is_policy(it));
    baselines
        .filter_map(|it| Comparison::of(policy, it))
        .collect()
}

impl Comparison {
    fn of(policy: &FinalResult, baseline: &FinalResult) -> Option<Self> {
        let means = [policy.mean?, baseline.mean?];
        let difference = means[0] - means[1];
        let interval = welch_interval(&policy.errors, &baseline.errors);
        let noise = match interval {
            Some(_) => None,
            None => policy.images().map(|images| binomial_noise(means, images)),
        };
        let result = match interval {
            Some([_, high]) if high < 0.0 => ComparisonResult::Better,
            Some([low, _]) if low > 0.0 => ComparisonResult::Worse,
            Some(_) => ComparisonResult::EqualWithinNoise,
            None if difference.abs() <= noise.unwrap_or(0.0) => ComparisonResult::EqualWithinNoise,
            None => ComparisonResult::Undecided,
        };
        Some(Self {
            baseline: baseline.augmentation,
            difference,
            interval,
            noise,
            result,
            seeds: [policy.errors.len(), baseline.errors.len()],
            diverged: policy.diverged.saturating_add(baseline.diverged),
        })
    }

    /// The difference in percentage points with its interval, for people: `−0.61 (−0.92 to −0.31)`.
    pub fn points(&self) -> String {
        match self.interval {
            Some(interval) => format!("{} ({})", points(self.difference), range(interval)),
            None => points(self.difference),
        }
    }

    /// What the comparison shows, as a sentence.
    pub fn sentence(&self) -> String {
        let name = self.baseline.in_words();
        let said = match (self.result, self.interval) {
            (ComparisonResult::Better, Some([low, high])) => {
                format!(
                    "better than {name} by {} points (95 %)",
                    range([-high, -low])
                )
            }
            (ComparisonResult::Worse, Some(interval)) => {
                format!("worse than {name} by {} points (95 %)", range(interval))
            }
            (_, Some(interval)) => {
                format!("equal to {name} within noise ({} points)", range(interval))
            }
            (ComparisonResult::EqualWithinNoise, None) => {
                let difference = points(self.difference);
                format!(
                    "equal to {name} within noise ({difference} points); {}",
                    self.caveat()
                )
            }
            (_, None) => {
                let side = if self.difference < 0.0 {
                    "better"
                } else {
                    "worse"
                };
                let difference = points(self.difference.abs());
                format!("{difference} points {side} than {name}; {}", self.caveat())
            }
        };
        let diverged = match self.diverged {
            0 => String::new(),
            1 => "; 1 training that diverged is left out".to_owned(),
            count => format!("; {count} trainings that diverged are left out"),
        };
        format!("The policy is {said}{diverged}.")
    }

    /// Why there is no interval, and what is known in its place.
    fn caveat(&self) -> String {
        let why = match self.seeds.contains(&1) {
            true => "one seed",
            false => "no difference between seeds",
        };
        match self.noise {
            Some(noise) => format!(
                "{why}: no interval; differences within about {} points are noise",
                points(noise)
            ),
            None => format!("{why}: no interval"),
        }
    }
}

/// A class's mean test errors over seeds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ClassChange {
    /// The name of the class.
    pub class: String,
    /// Its number of test images.
    pub images: usize,
    /// The fraction of them that is classified wrongly with the base augmentation alone.
    pub base: f64,
    /// The same with the policy and the base augmentation.
    pub policy: f64,
}

impl ClassChange {
    /// The policy's error minus that without it.
    pub fn change(&self) -> f64 {
        self.policy - self.base
    }
}

/// The errors by class with the policy and with the base augmentation alone, which is also returned:
/// Cutout, or crop and flip where that was not trained. The class that gains most is first.
///
/// `None` if one of them has not been trained or has no errors by class. Classes without test images are
/// left out.
pub fn class_changes(results: &[FinalResult]) -> Option<(Augmentation, Vec<ClassChange>)> {
    let find = |wanted| {
        let has_classes = |it: &&FinalResult| it.augmentation == wanted && !it.by_class.is_empty();
        results.iter().find(has_classes)
    };
    let policy = find(Augmentation::Policy)?;
    let base = find(Augmentation::Cutout).or_else(|| find(Augmentation::None))?;
    let pairs = policy.by_class.iter().zip(&base.by_class);
    let change = |(policy_class, base_class): (&ClassErrors, &ClassErrors)| {
        let change = ClassChange {
            class: policy_class.class.clone(),
            images: policy_class.images / policy.errors.len(),
            base: base_class.error()?,
            policy: policy_class.error()?,
        };
        Some(change).filter(|_| policy_class.class == base_class.class)
    };
    let mut changes: Vec<ClassChange> = pairs.filter_map(change).collect();
    // The sort is stable.
    changes.sort_by(|a, b| a.change().total_cmp(&b.change()));
    Some((base.augmentation, changes))
}

/// The `each` classes that gain most and the `each` that lose most, or all if there are no more.
pub fn largest_changes(changes: &[ClassChange], each: usize) -> impl Iterator<Item = &ClassChange> {
    let gains = each.min(changes.len());
    let losses = each.min(changes.len() - gains);
    changes[..gains]
        .iter()
        .chain(&changes[changes.len() - losses..])
}

/// A difference of fractions in percentage points, for people.
pub fn points(difference: f64) -> String {
    let text = format!("{:.2}", 100.0 * difference);
    match text.strip_prefix('-') {
        Some("0.00") => "0.00".to_owned(),
        Some(digits) => format!("−{digits}"),
        None => text,
    }
}

fn range([low, high]: [f64; 2]) -> String {
    format!("{} to {}", points(low), points(high))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Results of these errors on two classes of 50 images, the second of which has all errors.
    fn result(augmentation: Augmentation, errors: &[f64]) -> FinalResult {
        let evaluation = |error: &f64| {
            let mut evaluation = Evaluation::new(*error, 1.0);
            let class = |class: &str, error: f64| ClassErrors {
                class: class.to_owned(),
                images: 50,
                errors: (100.0 * error).round() as usize,
            };
            evaluation.by_class = vec![class("cat", 0.0), class("dog", *error)];
            evaluation
        };
        let evaluations: Vec<Evaluation> = errors.iter().map(evaluation).collect();
        FinalResult::new(augmentation, &evaluations, 0)
    }

    #[test]
    fn comparisons_are_said_in_words() {
        type Case<'a> = (&'a [f64], &'a [f64], &'a str, &'a str, ComparisonResult);
        let cases: [Case<'_>; 7] = [
            (
                &[0.0649, 0.0668, 0.0655],
                &[0.0703, 0.0699, 0.0712],
                "−0.47 (−0.67 to −0.27)",
                "The policy is better than Cutout by 0.27 to 0.67 points (95 %).",
                ComparisonResult::Better,
            ),
            (
                &[0.2935, 0.301, 0.2875],
                &[0.2715, 0.264, 0.2701],
                "2.55 (1.16 to 3.93)",
                "The policy is worse than Cutout by 1.16 to 3.93 points (95 %).",
                ComparisonResult::Worse,
            ),
            (
                &[0.0649, 0.0712, 0.0655],
                &[0.0703, 0.0649, 0.069],
                "−0.09 (−0.82 to 0.64)",
                "The policy is equal to Cutout within noise (−0.82 to 0.64 points).",
                ComparisonResult::EqualWithinNoise,
            ),
            // 1.96 · √((0.2 · 0.8 + 0.25 · 0.75) / 100).
            (
                &[0.2],
                &[0.25],
                "−5.00",
                "The policy is equal to Cutout within noise (−5.00 points); one seed: no interval; \
                 differences within about 11.55 points are noise.",
                ComparisonResult::EqualWithinNoise,
            ),
            (
                &[0.2],
                &[0.4, 0.4],
                "−20.00",
                "The policy is 20.00 points better than Cutout; one seed: no interval; differences \
                 within about 12.40 points are noise.",
                ComparisonResult::Undecided,
            ),
            (
                &[0.3; 3],
                &[0.1; 3],
                "20.00",
                "The policy is 20.00 points worse than Cutout; no difference between seeds: no \
                 interval; differences within about 10.74 points are noise.",
                ComparisonResult::Undecided,
            ),
            (
                &[0.0],
                &[0.0],
                "0.00",
                "The policy is equal to Cutout within noise (0.00 points); one seed: no interval; \
                 differences within about 0.00 points are noise.",
                ComparisonResult::EqualWithinNoise,
            ),
        ];
        for (policy, baseline, points, sentence, found) in cases {
            let results = [
                result(Augmentation::Cutout, baseline),
                result(Augmentation::Policy, policy),
            ];
            let [comparison] = &comparisons(&results)[..] else {
                panic!("there is one baseline");
            };
            assert_eq!(comparison.points(), points);
            assert_eq!(comparison.sentence(), sentence);
            assert_eq!(comparison.result, found);
        }
    }

    #[test]
    fn trainings_that_diverged_and_old_records_are_mentioned() {
        let of = |augmentation, errors: &[f64], diverged| {
            let evaluations: Vec<_> = errors.iter().map(|it| Evaluation::new(*it, 1.0)).collect();
            FinalResult::new(augmentation, &evaluations, diverged)
        };
        let results = [
            of(Augmentation::None, &[], 3),
            of(Augmentation::Random, &[0.3], 2),
            of(Augmentation::Policy, &[0.2, 0.2, 0.2], 0),
        ];
        let sentences: Vec<String> = comparisons(&results)
            .iter()
            .map(Comparison::sentence)
            .collect();
        let expected = "The policy is 10.00 points better than a random policy; one seed: no interval; \
                        2 trainings that diverged are left out.";
        assert_eq!(sentences, [expected]);
        assert_eq!(comparisons(&results[..2]), []);
        assert_eq!(class_changes(&results), None);
        assert_eq!(
            results.each_ref().map(FinalResult::error),
            ["–", "30.00 %", "20.00 ± 0.00 %"]
        );
    }

    #[test]
    fn classes_are_in_the_order_of_their_change() {
        let results = [
            result(Augmentation::None, &[0.9]),
            result(Augmentation::Cutout, &[0.25, 0.15]),
            result(Augmentation::Policy, &[0.1]),
        ];
        let (base, changes) = class_changes(&results).unwrap();
        assert_eq!(base, Augmentation::Cutout);
        let found = changes
            .iter()
            .map(|it| (it.class.as_str(), it.images, it.base, it.policy));
        assert_eq!(
            found.collect::<Vec<_>>(),
            [("dog", 50, 0.4, 0.2), ("cat", 50, 0.0, 0.0)]
        );
        assert_eq!(
            class_changes(&results[1..]).unwrap().0,
            Augmentation::Cutout
        );
        assert_eq!(class_changes(&results[..2]), None);

        let numbered = |change: usize| ClassChange {
            class: change.to_string(),
            images: 1,
            base: 0.0,
            policy: change as f64,
        };
        let changes: Vec<ClassChange> = (0..5).map(numbered).collect();
        let named = |each| {
            largest_changes(&changes, each)
                .map(|it| it.class.as_str())
                .collect::<String>()
        };
        assert_eq!(
            [0, 1, 2, 3, 9].map(named),
            ["", "04", "0134", "01234", "01234"]
        );
    }
}
