//! How long work takes that several jobs share.

use crate::results::{JobRates, Rates};

/// The numbers of images that remain of an item: an audit, a fold or a training.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Work {
    pub(super) train: f64,
    pub(super) classify: f64,
}

/// The known rates, in ascending order of the numbers of jobs; at least one.
#[derive(Debug)]
pub(super) struct Speeds(Vec<JobRates>);

impl Work {
    /// A training on this many images, over all epochs.
    pub(super) fn training(images: usize) -> Self {
        Self {
            train: images as f64,
            classify: 0.0,
        }
    }

    pub(super) fn is_done(self) -> bool {
        self.train == 0.0 && self.classify == 0.0
    }

    /// Its duration at these rates.
    pub(super) fn seconds(self, rates: Rates) -> f64 {
        self.train / rates.train + self.classify / rates.classify
    }

    fn without(self, done: f64) -> Self {
        Self {
            train: self.train * (1.0 - done),
            classify: self.classify * (1.0 - done),
        }
    }
}

impl Speeds {
    /// # Panics
    ///
    /// If there are none.
    pub(super) fn new(mut measured: Vec<JobRates>) -> Self {
        assert!(!measured.is_empty(), "at least one rate is known");
        measured.sort_by_key(|it| it.jobs);
        Self(measured)
    }

    /// The rates of this many jobs together.
    pub(super) fn of(&self, jobs: usize) -> Rates {
        // A job is not slower with fewer jobs beside it. So the rate that it has beside more of them is
        // the conservative guess for a number of jobs that was not measured.
        let known = self.0.iter().find(|it| it.jobs >= jobs);
        let known = known.or(self.0.last()).expect("at least one rate is known");
        let fraction = jobs as f64 / known.jobs as f64;
        Rates::new(
            known.rates.train * fraction,
            known.rates.classify * fraction,
        )
    }

    /// The duration of `work`, of which each of `workers` takes the next item when it is free, as in
    /// `run_parallel`: five equal items take four workers two rounds, and in the last one, one of them
    /// works alone. All items that are in work at the same time are equally fast.
    pub(super) fn seconds(&self, work: &[Work], workers: usize) -> f64 {
        let mut queue = work.iter().copied().filter(|work| !work.is_done());
        let mut running: Vec<Work> = queue.by_ref().take(workers).collect();
        let mut seconds = 0.0;
        while !running.is_empty() {
            let jobs = running.len() as f64;
            let Rates { train, classify } = self.of(running.len());
            let rates = Rates::new(train / jobs, classify / jobs);
            // Until the first of them is done.
            let left = running.iter().map(|work| work.seconds(rates));
            let step = left.fold(f64::INFINITY, f64::min);
            seconds += step;
            running.retain_mut(|work| {
                let left = work.seconds(rates);
                *work = work.without(step / left);
                left > step
            });
            running.extend(queue.by_ref().take(workers - running.len()));
        }
        seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speeds<const N: usize>(train: [(usize, f64); N]) -> Speeds {
        let measured = train.map(|(jobs, rate)| JobRates::new(jobs, Rates::new(rate, 10.0 * rate)));
        Speeds::new(measured.to_vec())
    }

    fn folds(count: usize) -> Vec<Work> {
        let fold = Work {
            train: 100.0,
            classify: 1_000.0,
        };
        vec![fold; count]
    }

    #[test]
    fn work_is_shared_in_rounds() {
        // With every job as fast as alone, a fold takes two seconds.
        let scaling = speeds([(1, 100.0), (2, 200.0), (4, 400.0)]);
        // With one device that two jobs fill.
        let shared = speeds([(1, 100.0), (2, 160.0), (4, 160.0)]);
        for (speeds, count, workers, expected) in [
            (&scaling, 0, 4, 0.0),
            (&scaling, 1, 4, 2.0),
            (&scaling, 4, 4, 2.0),
            (&scaling, 5, 4, 4.0),
            (&scaling, 8, 4, 4.0),
            (&scaling, 5, 1, 10.0),
            (&shared, 2, 4, 2.5),
            (&shared, 4, 4, 5.0),
            // The last one is alone.
            (&shared, 5, 4, 7.0),
            // Three are as slow each as four.
            (&shared, 3, 4, 5.0),
            (&shared, 6, 4, 7.5),
        ] {
            let seconds = speeds.seconds(&folds(count), workers);
            assert!(
                (seconds - expected).abs() < 1e-9,
                "{count}, {workers}: {seconds}"
            );
        }
    }

    #[test]
    fn a_worker_that_is_done_early_takes_the_next_item() {
        let item = |train| Work {
            train,
            classify: 0.0,
        };
        let scaling = speeds([(1, 100.0), (2, 200.0)]);
        let work = [100.0, 10.0, 0.0, 10.0, 80.0].map(item);
        // One worker does 100, the other 10, 10 and 80.
        assert!((scaling.seconds(&work, 2) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn numbers_of_jobs_that_were_not_measured_are_guessed_conservatively() {
        let shared = speeds([(4, 200.0), (1, 100.0)]);
        let train = [1, 2, 4, 8].map(|jobs| shared.of(jobs).train);
        assert_eq!(train, [100.0, 100.0, 200.0, 400.0]);
    }

    #[test]
    fn impossible_rates_end() {
        for rate in [0.0, f64::NAN, f64::INFINITY] {
            let seconds = speeds([(1, rate)]).seconds(&folds(3), 2);
            assert!(seconds.is_nan() || seconds == 0.0 || seconds == f64::INFINITY);
        }
    }
}
