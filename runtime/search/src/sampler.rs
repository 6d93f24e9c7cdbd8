//! Proposes points by the tree-structured Parzen estimator (TPE).
//!
//! TPE is the sampler of Bergstra et al., "Algorithms for Hyper-Parameter
//! Optimization" (NIPS 2011), section 4. The trials seen so far are split by
//! their loss at the quantile γ. In each dimension, l(x) is the density of the
//! trials below the quantile, and g(x) that of the others. The expected
//! improvement grows with l(x)/g(x) (eq. 2 and section 4.1), so several
//! candidates are drawn from l, and the one with the largest ratio is proposed.
//! Densities are adaptive Parzen estimators for continuous dimensions, and
//! re-weighted counts for choices (section 4.2).
//!
//! Proposals of a batch, whose trials run at the same time, are made by the constant liar of Ginsbourger, Le
//! Riche and Carraro, "Kriging is well-suited to parallelize optimization" (2010), section 4.2, with the worst
//! loss as the lie: each counts the proposals before it in its batch as failed trials, so they differ. Optuna
//! does the same (`TPESampler`, `constant_liar`).
//!
//! The estimators are those of the crate `tpe`. This module adds the start-up
//! trials, several dimensions, and proposals that depend on nothing but the
//! history and a seed. The crate's `SAMPLER.md` has the measurements by which `tpe` and the
//! default settings were chosen.

use std::num::NonZeroUsize;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use tpe::{TpeOptimizer, TpeOptimizerBuilder};

/// The settings of the sampler. The defaults are those that were compared with
/// hyperopt (`SAMPLER.md`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TpeConfig {
    /// The number of first trials that are drawn uniformly, as in hyperopt.
    /// Densities estimated from fewer trials would be mostly noise.
    pub start_up_trials: usize,
    /// The quantile γ: the fraction of trials that are treated as good, from
    /// which l(x) is estimated. Above 0 and at most 1.
    pub gamma: f64,
    /// The number of candidates drawn from l(x) for each dimension of a
    /// proposal.
    pub candidates: NonZeroUsize,
}

/// The default of [`TpeConfig::start_up_trials`].
pub(crate) const START_UP_TRIALS: usize = 20;

impl Default for TpeConfig {
    fn default() -> Self {
        Self {
            start_up_trials: START_UP_TRIALS,
            gamma: 0.1,
            candidates: NonZeroUsize::new(24).expect("it is not 0"),
        }
    }
}

/// One dimension of a search space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// An unordered choice. Its coordinate is the index of the option, as a float.
    Choice {
        /// The number of options, at least one.
        options: usize,
    },
    /// A continuous value in [0, 1].
    Unit,
}

/// A TPE sampler, which proposes points that are likely to have a low loss.
///
/// A proposal depends on the dimensions, on the observations and their order,
/// and on the seed, and on nothing else: proposing does not change the sampler. So
/// a search is resumed by observing its recorded trials in order, after which the
/// proposals are those of an uninterrupted search.
///
/// Proposals after the start-up trials may differ in their last digits between
/// platforms, since logarithm, exponential and cosine are the platform's.
#[derive(Debug)]
pub struct Sampler {
    dimensions: Vec<Dimension>,
    config: TpeConfig,
    /// One per dimension, all of which observe every trial.
    optimizers: Vec<TpeOptimizer>,
    observed: usize,
}

impl Sampler {
    /// A sampler over the product of the given dimensions, without history.
    ///
    /// # Panics
    ///
    /// If a choice has no options, or γ is out of its range.
    pub fn new(dimensions: &[Dimension], config: &TpeConfig) -> Self {
        let optimizer = |dimension: &Dimension| dimension.optimizer(config);
        Self {
            dimensions: dimensions.to_vec(),
            config: *config,
            optimizers: dimensions.iter().map(optimizer).collect(),
            observed: 0,
        }
    }

    /// The number of trials observed.
    pub fn observed(&self) -> usize {
        self.observed
    }

    /// Proposes the point of the next trial, one coordinate per dimension.
    ///
    /// The seed should differ from trial to trial; consecutive seeds are fine.
    pub fn propose(&mut self, seed: u64) -> Vec<f64> {
        // `StdRng` may become a different generator in a later release of `rand`,
        // and recorded searches could then not be reproduced. ChaCha8 is fixed.
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        if self.observed < self.config.start_up_trials {
            let dimensions = self.dimensions.iter();
            return dimensions.map(|it| it.uniform(&mut rng)).collect();
        }
        let optimizers = self.optimizers.iter_mut();
        optimizers
            .map(|optimizer| {
                optimizer
                    .ask(&mut rng)
                    .unwrap_or_else(|never| match never {})
            })
            .collect()
    }

    /// Proposes the points of trials that run at the same time, one per seed. They depend on the history and
    /// the seeds alone, and so not on how many of the trials do run at the same time. For a single seed, the
    /// proposal is that of [`propose`](Self::propose).
    ///
    /// A point is drawn uniformly while the trials of the history and the points before it are fewer than the
    /// start-up trials, and in a batch without any history.
    pub fn propose_batch(&mut self, seeds: &[u64]) -> Vec<Vec<f64>> {
        let Some((&first, others)) = seeds.split_first() else {
            return Vec::new();
        };
        let mut points = vec![self.propose(first)];
        if others.is_empty() {
            return points;
        }
        let mut with_pending = self.copy();
        for &seed in others {
            // Without history, failed trials are all that could be taken for good ones.
            if self.observed > 0 {
                let pending = points.last().expect("there is the first");
                let observed = with_pending.observe(pending, f64::INFINITY);
                observed.expect("a proposal is in the space");
            }
            points.push(with_pending.propose(seed));
        }
        points
    }

    /// A sampler with the same history.
    fn copy(&self) -> Self {
        let mut copy = Self::new(&self.dimensions, &self.config);
        copy.observed = self.observed;
        for (copy, optimizer) in copy.optimizers.iter_mut().zip(&self.optimizers) {
            for (value, loss) in optimizer.trials() {
                let observed = copy.tell(value, loss);
                observed.expect("the original has observed it");
            }
        }
        copy
    }

    /// Adds a trial to the history: a point, proposed or not, and its loss.
    ///
    /// The loss may be infinite, for a trial that failed.
    ///
    /// # Errors
    ///
    /// If the point is not in the space or the loss is NaN. The history is then
    /// unchanged.
    pub fn observe(&mut self, point: &[f64], loss: f64) -> Result<(), ObserveError> {
        let (found, expected) = (point.len(), self.dimensions.len());
        if found != expected {
            return Err(ObserveError::new(
                ObserveErrorKind::Point,
                format!("the point has {found} coordinates, the space {expected} dimensions"),
            ));
        }
        for (index, (dimension, &value)) in self.dimensions.iter().zip(point).enumerate() {
            if !dimension.contains(value) {
                return Err(ObserveError::new(
                    ObserveErrorKind::Point,
                    format!("coordinate {index} of the point, {value}, is not in its dimension"),
                ));
            }
        }
        if loss.is_nan() {
            return Err(ObserveError::new(ObserveErrorKind::Loss, "the loss is NaN"));
        }
        for (optimizer, &value) in self.optimizers.iter_mut().zip(point) {
            optimizer
                .tell(value, loss)
                .expect("the coordinates and the loss are checked above");
        }
        self.observed += 1;
        Ok(())
    }
}

/// A trial was rejected: its point is not in the space, or its loss is NaN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ObserveError {
    kind: ObserveErrorKind,
    message: String,
}

/// Why a trial was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ObserveErrorKind {
    /// The point is not in the space.
    Point,
    /// The loss is NaN.
    Loss,
}

impl ObserveError {
    fn new(kind: ObserveErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, message }
    }

    /// Why the trial was rejected.
    pub fn kind(&self) -> ObserveErrorKind {
        self.kind
    }
}

impl Dimension {
    fn contains(&self, value: f64) -> bool {
        match *self {
            Self::Choice { options } => {
                value.fract() == 0.0 && (0.0..options as f64).contains(&value)
            }
            Self::Unit => (0.0..=1.0).contains(&value),
        }
    }

    fn uniform(&self, rng: &mut ChaCha8Rng) -> f64 {
        match *self {
            Self::Choice { options } => rng.random_range(0..options) as f64,
            Self::Unit => rng.random(),
        }
    }

    fn optimizer(&self, config: &TpeConfig) -> TpeOptimizer {
        let (estimator, range) = match *self {
            Self::Choice { options } => {
                (tpe::histogram_estimator(), tpe::categorical_range(options))
            }
            // The ranges of `tpe` are half-open; the end of this one makes 1 part of it.
            Self::Unit => (tpe::parzen_estimator(), tpe::range(0.0, 1.0_f64.next_up())),
        };
        TpeOptimizerBuilder::new()
            .gamma(config.gamma)
            .candidates(config.candidates.get())
            .build(estimator, range.expect("a choice has at least one option"))
            .expect("the settings are in the ranges of `tpe`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPACE: [Dimension; 5] = [
        Dimension::Choice { options: 6 },
        Dimension::Choice { options: 3 },
        Dimension::Unit,
        Dimension::Unit,
        Dimension::Unit,
    ];

    fn sampler() -> Sampler {
        Sampler::new(&SPACE, &TpeConfig::default())
    }

    fn is_in_space(point: &[f64]) -> bool {
        let mut coordinates = SPACE.iter().zip(point);
        coordinates.all(|(dimension, &x)| dimension.contains(x))
    }

    /// A quadratic whose minimum depends on the choices. It is rounded so that
    /// losses tie, since a replay could lose the order of equal losses.
    fn loss(point: &[f64]) -> f64 {
        let choices = (point[0] - 4.0).abs() / 5.0 + (point[1] - 1.0).abs() / 2.0;
        let bowl: f64 = point[2..].iter().map(|x| (x - 0.3) * (x - 0.3)).sum();
        ((choices + bowl) * 50.0).round() / 50.0
    }

    /// Continues a search up to the given number of trials. Each trial's seed is
    /// derived from the search's and the trial's number.
    fn search(sampler: &mut Sampler, seed: u64, trials: usize) -> Vec<(Vec<f64>, f64)> {
        (sampler.observed()..trials)
            .map(|trial| {
                let point = sampler.propose(1000 * seed + trial as u64);
                let loss = loss(&point);
                sampler.observe(&point, loss).unwrap();
                (point, loss)
            })
            .collect()
    }

    #[test]
    fn proposals_depend_on_history_and_seed_only() {
        let mut first = sampler();
        let mut second = sampler();
        search(&mut first, 0, 40);
        search(&mut second, 0, 40);
        // Proposals in between must not matter.
        for seed in 0..5 {
            first.propose(seed);
        }
        assert_eq!(first.propose(7), second.propose(7));
        assert_ne!(first.propose(7), first.propose(8));
    }

    #[test]
    fn a_replayed_search_continues_like_an_uninterrupted_one() {
        let whole = search(&mut sampler(), 3, 60);
        for stop in [0, 10, START_UP_TRIALS, 21, 45] {
            let mut resumed = sampler();
            for (point, loss) in &whole[..stop] {
                resumed.observe(point, *loss).unwrap();
            }
            assert_eq!(search(&mut resumed, 3, 60), whole[stop..]);
        }
    }

    #[test]
    fn a_batch_depends_on_history_and_seeds_only() {
        for observed in [0, 10, 40] {
            let (mut first, mut second) = (sampler(), sampler());
            search(&mut first, 0, observed);
            search(&mut second, 0, observed);
            assert_eq!(first.propose_batch(&[]), Vec::<Vec<f64>>::new());
            assert_eq!(first.propose_batch(&[7]), [second.propose(7)]);
            let batch = first.propose_batch(&[7, 8, 9]);
            assert_eq!(second.propose_batch(&[7, 8, 9]), batch);
            assert!(batch.iter().all(|point| is_in_space(point)));
            // A longer one begins with the shorter one, and leaves nothing behind.
            assert_eq!(second.propose_batch(&[7, 8, 9, 10])[..3], batch);
            assert_eq!(second.propose(8), first.propose(8));
            assert_eq!(first.observed(), observed);
        }
    }

    #[test]
    fn points_of_a_batch_avoid_each_other() {
        // Of two seeds that are equal, the second proposal takes the first for a failed trial.
        let mut sampler = sampler();
        search(&mut sampler, 0, 40);
        let batch = sampler.propose_batch(&[7, 7]);
        assert_ne!(batch[0], batch[1]);
        // Start-up draws are uniform whatever is pending.
        let mut without_history = self::sampler();
        let batch = without_history.propose_batch(&[7; 30]);
        assert!(batch.iter().all(|point| *point == batch[0]));
    }

    #[test]
    fn proposals_are_in_the_space() {
        for (point, _) in search(&mut sampler(), 1, 100) {
            assert!(is_in_space(&point), "{point:?}");
        }
    }

    #[test]
    fn finds_lower_losses_than_random_search() {
        let (mut tpe, mut random) = (0.0, 0.0);
        for seed in 0..10 {
            let lowest = |losses: Vec<f64>| losses.into_iter().fold(f64::INFINITY, f64::min);
            let trials = search(&mut sampler(), seed, 60).into_iter();
            tpe += lowest(trials.map(|(_, loss)| loss).collect());
            // Without observations, a sampler makes only start-up draws.
            let mut without_history = sampler();
            let mut draw = |trial| loss(&without_history.propose(1000 * seed + trial));
            random += lowest((0..60).map(&mut draw).collect());
        }
        assert!(tpe < 0.5 * random, "best losses: {tpe} against {random}");
    }

    #[test]
    fn start_up_draws_are_those_of_recorded_searches() {
        let units = [0.950275407672484, 0.4275164028565197, 0.6273605211973403];
        assert_eq!(sampler().propose(42), [&[1.0, 2.0], &units[..]].concat());
    }

    #[test]
    fn accepts_the_ends_of_the_dimensions_and_failed_trials() {
        let mut sampler = sampler();
        for _ in 0..START_UP_TRIALS {
            let last = [5.0, 2.0, 1.0, 1.0, 1.0];
            sampler.observe(&last, f64::INFINITY).unwrap();
            sampler.observe(&[0.0; 5], 0.0).unwrap();
        }
        let point = sampler.propose(0);
        assert!(is_in_space(&point), "{point:?}");
    }

    #[test]
    fn rejects_points_outside_the_space_and_losses_of_nan() {
        let mut sampler = sampler();
        let mut error = |point: &[f64], loss| {
            let error = sampler.observe(point, loss).unwrap_err();
            let is_point = error.kind() == ObserveErrorKind::Point;
            assert_eq!(is_point, !loss.is_nan());
            error.to_string()
        };
        let length = "the point has 4 coordinates, the space 5 dimensions";
        assert_eq!(error(&[0.0; 4], 0.0), length);
        for (index, value) in [
            (0, 6.0),
            (0, 0.5),
            (1, -1.0),
            (2, 1.5),
            (2, f64::NAN),
            (3, -0.1),
        ] {
            let mut point = [0.0; 5];
            point[index] = value;
            let expected = format!("coordinate {index} of the point, {value}, is not");
            assert!(error(&point, 0.0).starts_with(&expected));
        }
        assert_eq!(error(&[0.0; 5], f64::NAN), "the loss is NaN");
        assert_eq!(sampler.observed(), 0);
    }

    #[test]
    #[should_panic(expected = "at least one option")]
    fn a_choice_without_options_panics() {
        Sampler::new(&[Dimension::Choice { options: 0 }], &TpeConfig::default());
    }
}
