//! How far jobs are, and how long what remains of them takes: both from their records, so that it is known
//! wherever a job runs.

use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};

use serde::{Deserialize, Serialize};

use crate::config::RunConfig;
use crate::files::FileError;
use crate::layout::{Layout, TrainingFiles, TrainingId};
use crate::selection::scorings_left;

/// How far a job is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JobProgress {
    /// The number of attempts that have begun.
    pub attempts: usize,
    /// The machine of the last one.
    pub host: Option<String>,
    /// The duration of the recorded steps, in seconds.
    pub seconds_done: f64,
    /// The duration of the remaining steps, if they are as fast as the recorded ones of this job, or else of
    /// other jobs of its kind; `None` if there are none.
    pub seconds_left: Option<f64>,
    /// This in words; empty before the first attempt.
    pub summary: String,
}

/// The steps of a job that are alike.
#[derive(Clone, Copy, Debug, Default)]
struct Steps {
    recorded: usize,
    seconds: f64,
    left: usize,
}

/// The epochs of a job, and its scorings: trials and second ones, or an audit's measurements.
type Work = [Steps; 2];

/// How far each of these jobs is, of which some are done.
pub(crate) fn progress(
    config: &RunConfig,
    layout: &Layout,
    jobs: &[(TrainingId, bool)],
) -> Result<Vec<JobProgress>, FileError> {
    let mut works = Vec::new();
    let mut kinds: HashMap<Discriminant<TrainingId>, Work> = HashMap::new();
    for (id, is_done) in jobs {
        let mut work = work(config, &layout.training(*id), *id)?;
        let kind = kinds.entry(discriminant(id)).or_default();
        for (steps, kind) in work.iter_mut().zip(kind) {
            kind.recorded += steps.recorded;
            kind.seconds += steps.seconds;
            steps.left = if *is_done { 0 } else { steps.left };
        }
        works.push(work);
    }
    let progress = jobs.iter().zip(works).map(|((id, _), work)| {
        let kind = kinds[&discriminant(id)];
        let attempts = layout.training(*id).attempts().read()?;
        let mut progress = JobProgress {
            attempts: attempts.len(),
            host: attempts.last().map(|it| it.host.clone()),
            seconds_done: work.iter().map(|it| it.seconds).sum(),
            seconds_left: work
                .iter()
                .zip(kind)
                .map(|(it, kind)| it.seconds_left(kind))
                .sum(),
            summary: String::new(),
        };
        progress.summary = progress.in_words(work);
        Ok(progress)
    });
    progress.collect()
}

/// The remaining time of all jobs one after the other, of which `later` are not in the list. Those of which
/// nothing is known count as much as the mean of the others; `None` if nothing is known of any.
pub(crate) fn seconds_left<'a>(
    jobs: impl Iterator<Item = &'a JobProgress> + Clone,
    later: usize,
) -> Option<f64> {
    let known = jobs
        .clone()
        .filter_map(|it| Some((it.seconds_done, it.seconds_left?)));
    let unknown = later + jobs.filter(|it| it.seconds_left.is_none()).count();
    let (count, all, left) = known.fold((0, 0.0, 0.0), |(count, all, sum), (done, left)| {
        (count + 1, all + done + left, sum + left)
    });
    (count > 0).then(|| left + unknown as f64 * all / f64::from(count))
}

fn work(config: &RunConfig, files: &TrainingFiles, id: TrainingId) -> Result<Work, FileError> {
    let training = &config.common.training;
    let epochs = match id {
        TrainingId::Audit if config.audit.as_ref().is_some_and(|it| it.network.is_some()) => 0,
        TrainingId::Audit | TrainingId::Fold(_) => training.epochs.get(),
        TrainingId::Halving { rung, .. } => {
            (config.halving.as_ref()).map_or(0, |it| it.epochs_in(rung).get())
        }
        TrainingId::Final { .. } => config.final_epochs().get(),
    };
    let epochs_left = |recorded: usize| match files.is_evaluated() {
        true => 0,
        false => epochs.saturating_sub(recorded),
    };
    let trained = Steps::new(
        files.epochs().read()?.iter().map(|it| it.seconds),
        epochs_left,
    );
    let measured = match (id, &config.search, &config.audit) {
        (TrainingId::Fold(_), Some(search), _) => {
            let (trials, rescorings) = (files.trials().read()?, files.rescorings().read()?);
            let seconds = trials.iter().map(|it| it.seconds);
            let seconds = seconds.chain(rescorings.iter().map(|it| it.seconds));
            Steps::new(seconds, |_| scorings_left(search, &trials, &rescorings))
        }
        (TrainingId::Audit, _, Some(audit)) => {
            let points = files.points().read()?;
            let left = |recorded| audit.points().count().saturating_sub(recorded);
            Steps::new(points.iter().map(|it| it.seconds), left)
        }
        _ => Steps::default(),
    };
    Ok([trained, measured])
}

impl Steps {
    fn new(seconds: impl Iterator<Item = f64>, left: impl Fn(usize) -> usize) -> Self {
        let (recorded, seconds) = seconds.fold((0, 0.0), |(n, sum), it| (n + 1, sum + it));
        Self {
            recorded,
            seconds,
            left: left(recorded),
        }
    }

    fn seconds_left(&self, kind: Self) -> Option<f64> {
        let known = [*self, kind].into_iter().find(|it| it.recorded > 0);
        match (self.left, known) {
            (0, _) => Some(0.0),
            (left, known) => known.map(|it| left as f64 * it.seconds / it.recorded as f64),
        }
    }
}

impl JobProgress {
    fn in_words(&self, work: Work) -> String {
        let Some(host) = &self.host else {
            return String::new();
        };
        let mut words = Vec::new();
        for (steps, name) in work.iter().zip(["epochs", "scorings"]) {
            let all = steps.recorded + steps.left;
            if all > 0 {
                words.push(format!("{} of {all} {name}", steps.recorded));
            }
        }
        let left = self.seconds_left.filter(|it| *it > 0.0);
        words.extend(left.map(|it| format!("{} left", duration(it))));
        words.push(format!("on {host}"));
        if self.attempts > 1 {
            words.push(format!("attempt {}", self.attempts));
        }
        words.join(", ")
    }
}

/// A duration with the precision of an estimate.
fn duration(seconds: f64) -> String {
    match seconds {
        ..100.0 => format!("{seconds:.0} s"),
        ..6_000.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_is_that_of_a_job_or_of_its_kind() {
        let steps = |recorded, seconds, left| Steps {
            recorded,
            seconds,
            left,
        };
        let kind = steps(10, 20.0, 0);
        assert_eq!(steps(2, 6.0, 3).seconds_left(kind), Some(9.0));
        assert_eq!(steps(0, 0.0, 3).seconds_left(kind), Some(6.0));
        assert_eq!(steps(0, 0.0, 3).seconds_left(Steps::default()), None);
        assert_eq!(steps(0, 0.0, 0).seconds_left(Steps::default()), Some(0.0));
    }

    #[test]
    fn jobs_of_which_nothing_is_known_count_as_the_mean_of_the_others() {
        let job = |done, left| JobProgress {
            seconds_done: done,
            seconds_left: left,
            ..JobProgress::default()
        };
        let jobs = [job(10.0, Some(0.0)), job(5.0, Some(15.0)), job(3.0, None)];
        assert_eq!(seconds_left(jobs.iter(), 1), Some(15.0 + 2.0 * 15.0));
        assert_eq!(seconds_left(jobs[2..].iter(), 1), None);
    }

    #[test]
    fn progress_is_said_in_words() {
        let mut progress = JobProgress {
            attempts: 1,
            seconds_left: Some(240.0),
            ..JobProgress::default()
        };
        let steps = |recorded, left| Steps {
            recorded,
            left,
            ..Steps::default()
        };
        let work = [steps(2, 0), steps(7, 17)];
        assert_eq!(progress.in_words(work), "");
        progress.host = Some("a".to_owned());
        let expected = "2 of 2 epochs, 7 of 24 scorings, 4 min left, on a";
        assert_eq!(progress.in_words(work), expected);
        (progress.attempts, progress.seconds_left) = (2, None);
        let expected = "1 of 4 epochs, on a, attempt 2";
        assert_eq!(progress.in_words([steps(1, 3), steps(0, 0)]), expected);
        assert_eq!(
            [99.0, 100.0, 9_000.0].map(duration),
            ["99 s", "2 min", "2.5 h"]
        );
    }
}
