//! The proposal of points by the tree-structured Parzen estimator (TPE).
//!
//! TPE is the sampler of Bergstra et al., "Algorithms for Hyper-Parameter
//! Optimization" (NIPS 2011), section 4. The trials seen so far are split by
//! their loss at the quantile γ. Of each dimension, l(x) is the density of the
//! trials below the quantile and g(x) that of the others; the expected
//! improvement grows with l(x)/g(x) (eq. 2 and section 4.1), so of some
//! candidates drawn from l the one with the largest ratio is proposed. A
//! continuous dimension has an adaptive Parzen estimator, a choice has
//! re-weighted counts (section 4.2).
//!
//! The estimators are those of the crate `tpe`. This module adds the start-up
//! trials, several dimensions, and proposals that depend on nothing but the
//! history and a seed. `SAMPLER.md` beside this crate has the measurements by which the
//! crate and the settings below were chosen.

use std::fmt;
use std::num::NonZeroUsize;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};
use tpe::{TpeOptimizer, TpeOptimizerBuilder};

/// The constants of the sampler. By default those by which it was compared with
/// hyperopt (`SAMPLER.md`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TpeConfig {
    /// The number of first trials drawn uniformly, as in hyperopt. An estimate
    /// from fewer trials says more about their luck than about the objective.
    pub start_up_trials: usize,
    /// The quantile γ: the share of the trials which l(x) is estimated from,
    /// above 0 and at most 1.
    pub gamma: f64,
    /// The number of candidates drawn from l(x) for each dimension of a
    /// proposal.
    pub candidates: NonZeroUsize,
}

/// Uniform first trials where nothing else is said.
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
    /// One of a number of options, without an order among them. Its coordinate
    /// is the index of the option, as a float.
    Choice {
        /// The number of options, at least one.
        options: usize,
    },
    /// A continuous value in [0, 1].
    Unit,
}

/// A TPE sampler, which proposes points of low loss.
///
/// A proposal depends on the dimensions, on the observations and their order,
/// and on the seed, and on nothing else: making it leaves no trace in the
/// sampler. A search is hence resumed by observing its recorded trials in their
/// order; the proposals then go on as if it had never stopped.
///
/// On another platform a proposal after the start-up trials may differ in its
/// last digits, since logarithm, exponential and cosine are the platform's.
#[derive(Debug)]
pub struct Sampler {
    dimensions: Vec<Dimension>,
    /// One optimizer for each dimension, each told all the trials.
    optimizers: Vec<TpeOptimizer>,
    start_up_trials: usize,
    observed: usize,
}

impl Sampler {
    /// A sampler over the product of the given dimensions, without history.
    ///
    /// # Panics
    ///
    /// If a choice has no options, or γ is not within its bounds.
    pub fn new(dimensions: &[Dimension], config: &TpeConfig) -> Self {
        let optimizer = |dimension: &Dimension| dimension.optimizer(config);
        Self {
            dimensions: dimensions.to_vec(),
            optimizers: dimensions.iter().map(optimizer).collect(),
            start_up_trials: config.start_up_trials,
            observed: 0,
        }
    }

    /// The number of trials observed.
    pub fn observed(&self) -> usize {
        self.observed
    }

    /// Proposes the point of the next trial, one coordinate for each dimension.
    ///
    /// The seed should differ from trial to trial; seeds that follow each other
    /// are as good as any.
    pub fn propose(&mut self, seed: u64) -> Vec<f64> {
        // `StdRng` may become another generator in a later release of `rand`;
        // ChaCha8 stays what it is, and so do the searches recorded with it.
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        if self.observed < self.start_up_trials {
            return self
                .dimensions
                .iter()
                .map(|dimension| dimension.uniform(&mut rng))
                .collect();
        }
        self.optimizers
            .iter_mut()
            .map(|optimizer| match optimizer.ask(&mut rng) {
                Ok(coordinate) => coordinate,
                Err(never) => match never {},
            })
            .collect()
    }

    /// Adds a trial to the history: a point, proposed or not, and its loss.
    ///
    /// The loss may be infinite, for a trial which failed.
    ///
    /// # Errors
    ///
    /// If the point is not in the space or the loss is not a number; the
    /// history is then left as it was.
    pub fn observe(&mut self, point: &[f64], loss: f64) -> Result<(), ObserveError> {
        if point.len() != self.dimensions.len() {
            return Err(ObserveError::Length {
                expected: self.dimensions.len(),
                found: point.len(),
            });
        }
        for (index, (dimension, &value)) in self.dimensions.iter().zip(point).enumerate() {
            if !dimension.contains(value) {
                return Err(ObserveError::Coordinate { index, value });
            }
        }
        if loss.is_nan() {
            return Err(ObserveError::Loss);
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

/// Why an observation was refused.
#[derive(Debug, Clone, PartialEq)]
pub enum ObserveError {
    /// The point has not one coordinate for each dimension.
    Length {
        /// The number of dimensions.
        expected: usize,
        /// The number of coordinates.
        found: usize,
    },
    /// A coordinate is not in its dimension.
    Coordinate {
        /// The index of the dimension.
        index: usize,
        /// The coordinate.
        value: f64,
    },
    /// The loss is not a number.
    Loss,
}

impl fmt::Display for ObserveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { expected, found } => {
                write!(
                    f,
                    "the point has {found} coordinates, the space {expected} dimensions"
                )
            }
            Self::Coordinate { index, value } => {
                write!(
                    f,
                    "coordinate {index} of the point, {value}, is not in its dimension"
                )
            }
            Self::Loss => write!(f, "the loss is not a number"),
        }
    }
}

impl std::error::Error for ObserveError {}

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
            // The ranges of the crate are half-open; this one still has 1 in it.
            Self::Unit => (tpe::parzen_estimator(), tpe::range(0.0, 1.0_f64.next_up())),
        };
        TpeOptimizerBuilder::new()
            .gamma(config.gamma)
            .candidates(config.candidates.get())
            .build(estimator, range.expect("a choice has at least one option"))
            .expect("the settings are in the range of the crate")
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

    /// A bowl whose height depends on the choices. It is rounded so that losses
    /// tie, an order among equals being easily lost in a replay.
    fn loss(point: &[f64]) -> f64 {
        let choices = (point[0] - 4.0).abs() / 5.0 + (point[1] - 1.0).abs() / 2.0;
        let bowl: f64 = point[2..].iter().map(|x| (x - 0.3) * (x - 0.3)).sum();
        ((choices + bowl) * 50.0).round() / 50.0
    }

    /// Goes on with a search to the given number of trials, each trial's seed
    /// made of that of the search and the trial's number.
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
        let mut first = Sampler::new(&SPACE, &TpeConfig::default());
        let mut second = Sampler::new(&SPACE, &TpeConfig::default());
        search(&mut first, 0, 40);
        search(&mut second, 0, 40);
        // Proposals made in between must not matter.
        for seed in 0..5 {
            first.propose(seed);
        }
        assert_eq!(first.propose(7), second.propose(7));
        assert_ne!(first.propose(7), first.propose(8));
    }

    #[test]
    fn replayed_search_goes_on_as_the_uninterrupted_one() {
        let whole = search(&mut Sampler::new(&SPACE, &TpeConfig::default()), 3, 60);
        for stop in [0, 10, START_UP_TRIALS, 21, 45] {
            let mut resumed = Sampler::new(&SPACE, &TpeConfig::default());
            for (point, loss) in &whole[..stop] {
                resumed.observe(point, *loss).unwrap();
            }
            assert_eq!(search(&mut resumed, 3, 60), whole[stop..]);
        }
    }

    #[test]
    fn proposals_are_in_the_space() {
        for (point, _) in search(&mut Sampler::new(&SPACE, &TpeConfig::default()), 1, 100) {
            assert!(
                SPACE
                    .iter()
                    .zip(&point)
                    .all(|(dimension, &x)| dimension.contains(x))
            );
        }
    }

    #[test]
    fn finds_lower_losses_than_random_search() {
        let searches = 10;
        let (mut tpe, mut random) = (0.0, 0.0);
        for seed in 0..searches {
            let lowest = |losses: Vec<f64>| losses.into_iter().fold(f64::INFINITY, f64::min);
            let trials = search(&mut Sampler::new(&SPACE, &TpeConfig::default()), seed, 60);
            tpe += lowest(trials.into_iter().map(|(_, loss)| loss).collect());
            // A sampler told nothing goes on with its start-up draws.
            let mut untold = Sampler::new(&SPACE, &TpeConfig::default());
            random += lowest(
                (0..60)
                    .map(|t| loss(&untold.propose(1000 * seed + t)))
                    .collect(),
            );
        }
        assert!(
            tpe < 0.5 * random,
            "mean best loss {tpe} against {random}, each times {searches}"
        );
    }

    #[test]
    fn start_up_draws_are_those_of_recorded_searches() {
        assert_eq!(
            Sampler::new(&SPACE, &TpeConfig::default()).propose(42),
            [
                1.0,
                2.0,
                0.950275407672484,
                0.4275164028565197,
                0.6273605211973403
            ]
        );
    }

    #[test]
    fn accepts_the_ends_of_the_dimensions_and_failed_trials() {
        let mut sampler = Sampler::new(&SPACE, &TpeConfig::default());
        for _ in 0..START_UP_TRIALS {
            sampler
                .observe(&[5.0, 2.0, 1.0, 1.0, 1.0], f64::INFINITY)
                .unwrap();
            sampler.observe(&[0.0, 0.0, 0.0, 0.0, 0.0], 0.0).unwrap();
        }
        let point = sampler.propose(0);
        assert!(
            SPACE
                .iter()
                .zip(&point)
                .all(|(dimension, &x)| dimension.contains(x))
        );
    }

    #[test]
    fn refuses_what_is_not_in_the_space() {
        let mut sampler = Sampler::new(&SPACE, &TpeConfig::default());
        assert_eq!(
            sampler.observe(&[0.0; 4], 0.0),
            Err(ObserveError::Length {
                expected: 5,
                found: 4
            })
        );
        for (index, value) in [(0, 6.0), (0, 0.5), (1, -1.0), (2, 1.5), (3, -0.1)] {
            let mut point = [0.0; 5];
            point[index] = value;
            assert_eq!(
                sampler.observe(&point, 0.0),
                Err(ObserveError::Coordinate { index, value })
            );
        }
        assert!(
            sampler
                .observe(&[0.0, 0.0, f64::NAN, 0.0, 0.0], 0.0)
                .is_err()
        );
        assert_eq!(
            sampler.observe(&[0.0; 5], f64::NAN),
            Err(ObserveError::Loss)
        );
        assert_eq!(sampler.observed(), 0);
    }

    #[test]
    #[should_panic(expected = "at least one option")]
    fn a_choice_without_options_panics() {
        Sampler::new(&[Dimension::Choice { options: 0 }], &TpeConfig::default());
    }
}
