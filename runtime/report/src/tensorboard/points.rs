//! Points of the curves: from events, and from the logs of the run directory.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;

use super::record::Point;
use faa_search::files::FileError;
use faa_search::layout::TrainingId;
use faa_search::results::{Epoch, Evaluation};
use faa_search::trial::Trial;

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

pub(super) fn result_point(
    training: TrainingId,
    evaluation: &Evaluation,
    step: usize,
    time: f64,
) -> Point {
    let [error, loss] = match training {
        TrainingId::Fold(_) => ["held_out/error", "held_out/loss"],
        TrainingId::Final { .. } => ["test/error", "test/loss"],
    };
    let values = vec![(error, evaluation.error), (loss, evaluation.loss)];
    Point { step, time, values }
}

/// The epochs of a training, as its `epochs.jsonl` tells them.
pub(super) fn recorded_epochs(log: &Path) -> Result<Vec<Point>, FileError> {
    let (epochs, changed) = read_log::<Epoch>(log)?;
    let times = dated_back(changed, epochs.iter().map(|epoch| epoch.seconds));
    let dated = epochs.iter().zip(times);
    let points = dated.map(|(epoch, time)| epoch_point(epoch, time));
    Ok(points.collect())
}

/// The trials of a fold, as its `trials.jsonl` tells them.
pub(super) fn recorded_trials(log: &Path) -> Result<Vec<Point>, FileError> {
    let (trials, changed) = read_log::<Trial>(log)?;
    let times = dated_back(changed, trials.iter().map(|trial| trial.seconds));
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

/// The values of a log up to the first line that is damaged or torn, and when it was last changed.
///
/// Unlike the search, this does not repair the log, which may be written to at the same time.
fn read_log<T: DeserializeOwned>(log: &Path) -> Result<(Vec<T>, f64), FileError> {
    let read = || -> io::Result<(Vec<u8>, SystemTime)> {
        Ok((fs::read(log)?, fs::metadata(log)?.modified()?))
    };
    let (content, changed) = match read() {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0.0)),
        Err(error) => return Err(FileError::io("read", log)(error)),
    };
    let lines = content.split_inclusive(|byte| *byte == b'\n');
    let values = lines.map_while(|line| serde_json::from_slice::<T>(line).ok());
    Ok((values.collect(), unix_seconds(changed)))
}

/// When steps were over that took so many seconds each, and of which the last was over at `end`.
fn dated_back(end: f64, seconds: impl DoubleEndedIterator<Item = f64>) -> Vec<f64> {
    let mut over = end;
    let mut times = Vec::new();
    for seconds in seconds.rev() {
        times.push(over);
        over -= seconds;
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
