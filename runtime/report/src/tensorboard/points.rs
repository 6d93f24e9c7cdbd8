//! The points of the curves, from events and from logs.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use faa_search::files::{FileError, Log};
use faa_search::layout::TrainingId;
use faa_search::results::{Epoch, Evaluation};
use faa_search::trial::Trial;

use super::record::Point;

pub(super) fn epoch_point(epoch: &Epoch, time: f64) -> Point {
    let step = epoch.epoch;
    let images_per_second = epoch.images as f64 / epoch.seconds;
    let values = vec![
        ("train/loss", epoch.loss),
        ("train/error", epoch.error),
        ("train/learning_rate", epoch.learning_rate),
        ("train/images_per_second", images_per_second),
    ];
    Point { step, time, values }
}

pub(super) fn trial_point(step: usize, reward: f64, best: f64, time: f64) -> Point {
    let values = vec![("search/reward", reward), ("search/best", best)];
    Point { step, time, values }
}

pub(super) fn evaluation_point(
    training: TrainingId,
    evaluation: &Evaluation,
    step: usize,
    time: f64,
) -> Point {
    let [error, loss] = match training {
        TrainingId::Audit | TrainingId::Fold(_) | TrainingId::Halving { .. } => {
            ["validation/error", "validation/loss"]
        }
        TrainingId::Final { .. } => ["test/error", "test/loss"],
    };
    let values = vec![(error, evaluation.error), (loss, evaluation.loss)];
    Point { step, time, values }
}

pub(super) fn recorded_epochs(log: &Log<Epoch>) -> Result<Vec<Point>, FileError> {
    let epochs = log.read()?;
    let seconds = epochs.iter().map(|epoch| epoch.seconds);
    let times = dated_back(modified(log.path())?, seconds);
    let dated = epochs.iter().zip(times);
    let points = dated.map(|(epoch, time)| epoch_point(epoch, time));
    Ok(points.collect())
}

pub(super) fn recorded_trials(log: &Log<Trial>) -> Result<Vec<Point>, FileError> {
    let trials = log.read()?;
    let seconds = trials.iter().map(|trial| trial.seconds);
    let times = dated_back(modified(log.path())?, seconds);
    let mut points = Vec::new();
    let mut best = f64::NEG_INFINITY;
    for (step, (trial, time)) in trials.iter().zip(times).enumerate() {
        if trial.trial == 0 {
            best = f64::NEG_INFINITY;
        }
        best = best.max(trial.reward);
        points.push(trial_point(step, trial.reward, best, time));
    }
    Ok(points)
}

/// When a file was last changed; 0 if there is none.
fn modified(path: &Path) -> Result<f64, FileError> {
    match fs::metadata(path).and_then(|metadata| metadata.modified()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0.0),
        modified => Ok(unix_seconds(modified.map_err(FileError::io("read", path))?)),
    }
}

/// When steps ended that took these numbers of seconds and of which the last ended at `end`.
fn dated_back(end: f64, seconds: impl DoubleEndedIterator<Item = f64>) -> Vec<f64> {
    let mut time = end;
    let mut times = Vec::new();
    for seconds in seconds.rev() {
        times.push(time);
        time -= seconds;
    }
    times.reverse();
    times
}

/// Seconds since 1970.
pub(super) fn unix_seconds(time: SystemTime) -> f64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_dated_back_from_the_end() {
        let times = dated_back(10.0, [1.0, 2.0, 3.0].into_iter());
        assert_eq!(times, [5.0, 7.0, 10.0]);
    }
}
