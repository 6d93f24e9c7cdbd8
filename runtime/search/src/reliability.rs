//! How far the ranking of candidates by their rewards can be trusted.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::statistics::{CONFIDENCE, normal_quantile};

/// The maximum number of random candidates per fold that are scored twice to measure the reliability.
pub const RANDOM_CANDIDATES: usize = 20;

/// The reliability of the reward: the rank correlation between two scorings of the same random
/// candidates, which differ in their random draws alone.
///
/// By classical test theory, the correlation of two measurements is the fraction of the variance between
/// candidates that is not noise. It is also the fraction of a candidate's lead over the mean that is left
/// on average when it is scored again. Both scorings have the same network and images, so the noise of
/// these is not part of it: for other images it would be lower.
///
/// Only random candidates are used. Among candidates that were selected by their reward, the first
/// scoring is biased.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Reliability {
    /// The mean of the folds' correlations, each weighted by its number of candidates minus 3, from −1
    /// to 1.
    ///
    /// Rewards are compared within a fold alone, because networks of different folds differ.
    pub correlation: f64,
    /// The 95 % confidence interval of the mean.
    pub interval: [f64; 2],
    /// The folds in which it could be measured.
    pub folds: Vec<FoldReliability>,
}

/// The reliability of the reward on one fold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FoldReliability {
    /// The fold.
    pub fold: usize,
    /// The number of candidates.
    pub candidates: usize,
    /// Spearman's rank correlation.
    pub correlation: f64,
    /// Its 95 % confidence interval.
    pub interval: [f64; 2],
}

/// What a reliability means for the selection of candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReliabilityLevel {
    /// Below 0.5: more of the differences between candidates is noise than not.
    ByChance,
    /// From 0.5 to 0.8.
    PartlyByChance,
    /// At least 0.8: at most a fifth of the variance between candidates is noise.
    Reliable,
}

impl Reliability {
    /// The reliability that the first and second rewards of each fold's random candidates amount to.
    ///
    /// A fold is omitted if it has fewer than four candidates, or if all first or all second rewards are
    /// equal. `None` if no fold is left.
    pub fn of<'a>(folds: impl IntoIterator<Item = (usize, &'a [[f64; 2]])>) -> Option<Self> {
        let fold = |(fold, rewards): (usize, &[[f64; 2]])| {
            let candidates = rewards.len();
            let freedom = candidates.checked_sub(3).filter(|it| *it > 0)?;
            let correlation = spearman(rewards)?;
            Some(FoldReliability {
                fold,
                candidates,
                correlation,
                interval: interval(correlation, freedom),
            })
        };
        let folds: Vec<FoldReliability> = folds.into_iter().filter_map(fold).collect();
        let freedom: usize = folds.iter().map(|it| it.candidates - 3).sum();
        let weighted = |it: &FoldReliability| (it.candidates - 3) as f64 * it.correlation;
        let correlation = folds.iter().map(weighted).sum::<f64>() / freedom as f64;
        (freedom > 0).then(|| Self {
            correlation,
            interval: interval(correlation, freedom),
            folds,
        })
    }

    /// What it means for the selection of candidates.
    pub fn level(&self) -> ReliabilityLevel {
        match self.correlation {
            low if low < 0.5 => ReliabilityLevel::ByChance,
            middle if middle < 0.8 => ReliabilityLevel::PartlyByChance,
            _ => ReliabilityLevel::Reliable,
        }
    }
}

impl fmt::Display for Reliability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, high] = self.interval;
        let (correlation, level) = (self.correlation, self.level());
        write!(
            f,
            "{correlation:.2} (95 % interval {low:.2} to {high:.2}): {level}"
        )
    }
}

impl fmt::Display for ReliabilityLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByChance => {
                "the reward selects little better than chance; use more images, more draws, or \
                 --objective train"
            }
            Self::PartlyByChance => {
                "the reward selects partly by chance; more images or more draws would help"
            }
            Self::Reliable => "the reward ranks candidates reliably",
        })
    }
}

/// Spearman's rank correlation: Pearson's correlation of the ranks, where equal values share the mean of
/// their ranks. `None` if all values of either side are equal, or there are none.
pub fn spearman(pairs: &[[f64; 2]]) -> Option<f64> {
    let ranks = |side: usize| ranks(&pairs.iter().map(|pair| pair[side]).collect::<Vec<_>>());
    let (first, second) = (ranks(0), ranks(1));
    // Of ranks from 1 to n, shared or not.
    let mean = (pairs.len() as f64 + 1.0) / 2.0;
    let sum = |a: &[f64], b: &[f64]| -> f64 {
        let products = a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean));
        products.sum()
    };
    let squares = sum(&first, &first) * sum(&second, &second);
    (squares > 0.0).then(|| (sum(&first, &second) / squares.sqrt()).clamp(-1.0, 1.0))
}

/// The ranks of values, from 1. Equal values have the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut below = 0;
    for equal in order.chunk_by(|a, b| values[*a] == values[*b]) {
        for index in equal {
            ranks[*index] = below as f64 + (equal.len() as f64 + 1.0) / 2.0;
        }
        below += equal.len();
    }
    ranks
}

/// The 95 % confidence interval of a rank correlation ρ: tanh(artanh ρ ± 1.96 √((1 + ρ²/2) / (n − 3))),
/// with the variance of Bonett and Wright, *Sample size requirements for estimating Pearson, Kendall and
/// Spearman correlations*, Psychometrika 65 (2000). `freedom` is n − 3, at least 1; for a mean over
/// folds, the sum of theirs.
fn interval(correlation: f64, freedom: usize) -> [f64; 2] {
    let error = ((1.0 + correlation * correlation / 2.0) / freedom as f64).sqrt();
    let quantile = normal_quantile((1.0 - CONFIDENCE) / 2.0);
    [-1.0, 1.0].map(|side| (correlation.atanh() + side * quantile * error).tanh())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
    }

    fn pairs(first: &[f64], second: &[f64]) -> Vec<[f64; 2]> {
        let pairs = first.iter().zip(second);
        pairs.map(|(first, second)| [*first, *second]).collect()
    }

    /// The values are those of SciPy 1.17.1, `scipy.stats.spearmanr`.
    #[test]
    fn rank_correlations_are_scipys() {
        let cases: [(&[f64], &[f64], f64); 4] = [
            (
                &[
                    21., 4., 9., 12., 35., 18., 10., 22., 24., 1., 6., 8., 13., 16., 19.,
                ],
                &[
                    67., 28., 30., 28., 52., 40., 25., 37., 44., 10., 14., 20., 28., 40., 51.,
                ],
                0.869_963_904_042_687_3,
            ),
            (
                &[
                    0.8525, 0.861875, 0.85375, 0.84375, 0.861875, 0.8475, 0.85375, 0.861875,
                ],
                &[0.855, 0.8575, 0.85, 0.8475, 0.8575, 0.855, 0.855, 0.86],
                0.835_443_037_974_683_8,
            ),
            (
                &[3., 1., 4., 1., 5., 9., 2., 6.],
                &[2., 7., 1., 8., 2., 8., 1., 8.],
                0.198_853_681_209_924_67,
            ),
            (&[1., 2., 3., 4., 5.], &[5., 3., 4., 1., 2.], -0.8),
        ];
        for (first, second, expected) in cases {
            assert_close(spearman(&pairs(first, second)).unwrap(), expected);
        }
    }

    #[test]
    fn constant_rewards_have_no_correlation() {
        assert_eq!(spearman(&[]), None);
        assert_eq!(
            spearman(&pairs(&[1.0; 5], &[1.0, 2.0, 3.0, 4.0, 5.0])),
            None
        );
        let falling = pairs(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]);
        assert_eq!(spearman(&falling), Some(-1.0));
        // 0 and −0 are equal.
        assert_eq!(ranks(&[0.0, -1.0, -0.0]), [2.5, 1.0, 2.5]);
    }

    /// The example in the documentation of `ci.spear` in R's package `statpsych`.
    #[test]
    fn the_interval_is_that_of_bonett_and_wright() {
        let [low, high] = interval(0.869_963_9, 15 - 3);
        assert!((low - 0.584_095_1).abs() < 1e-6, "{low}");
        assert!((high - 0.963_829_7).abs() < 1e-6, "{high}");
        assert_eq!(interval(1.0, 1), [1.0, 1.0]);
        assert_eq!(interval(-1.0, 1), [-1.0, -1.0]);
    }

    #[test]
    fn folds_are_weighted_and_those_without_a_correlation_are_omitted() {
        let rising: Vec<[f64; 2]> = (0..8).map(|it| [f64::from(it); 2]).collect();
        let falling: Vec<[f64; 2]> = (0..13).map(|it| [f64::from(it), f64::from(-it)]).collect();
        let constant = [[1.0; 2]; 20];
        let folds: [&[[f64; 2]]; 4] = [&rising, &constant, &falling, &rising[..3]];
        let reliability = Reliability::of(folds.into_iter().enumerate()).unwrap();
        // (5 · 1 − 10 · 1) / 15.
        assert_close(reliability.correlation, -1.0 / 3.0);
        assert_eq!(reliability.interval, interval(reliability.correlation, 15));
        let folds: Vec<_> = reliability.folds.iter().map(|it| it.fold).collect();
        assert_eq!(folds, [0, 2]);
        assert_eq!(Reliability::of([(0, &constant[..])]), None);
        assert_eq!(Reliability::of([]), None);
    }

    #[test]
    fn a_verdict_says_what_to_do() {
        let words = |correlation| {
            let reliability = Reliability {
                correlation,
                interval: [0.1, 0.494],
                folds: Vec::new(),
            };
            reliability.to_string()
        };
        assert_eq!(
            words(0.31),
            "0.31 (95 % interval 0.10 to 0.49): the reward selects little better than chance; use more \
             images, more draws, or --objective train"
        );
        assert!(
            words(0.5).ends_with("selects partly by chance; more images or more draws would help")
        );
        assert!(words(0.8).ends_with("the reward ranks candidates reliably"));
    }
}
