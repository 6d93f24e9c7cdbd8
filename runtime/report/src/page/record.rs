//! The content of a run directory. Nothing is locked or changed: a search may be writing there.

use std::num::NonZeroUsize;
use std::path::Path;

use faa_policy::Policy;
use faa_search::audit::{Audit, Point};
use faa_search::config::{Augmentation, RunConfig};
use faa_search::directory::RunRecord;
use faa_search::environment::Environment;
use faa_search::files::{FileError, read, read_json};
use faa_search::halving::{Entrant, RungTraining};
use faa_search::layout::{Layout, TrainingFiles, TrainingId};
use faa_search::results::{Divergence, Epoch, Evaluation};
use faa_search::seed_count::SeedCount;
use faa_search::selection::RoundResults;
use faa_search::trial::{Rescoring, Trial};

use super::error::ReportErrorKind;

/// A run, as far as it has come.
pub(super) struct Record {
    pub(super) run: RunRecord,
    /// What the run was worked on with, in order.
    pub(super) environments: Vec<Environment>,
    /// How the number of seeds was chosen, if the run chose it.
    pub(super) seed_count: Option<SeedCount>,
    /// The network of an audit, and how many points it has measured, if it has begun.
    pub(super) audit: Option<AuditRecord>,
    /// The folds that have begun, in order.
    pub(super) folds: Vec<FoldRecord>,
    /// The policies of successive halving, by rung.
    pub(super) entrants: Vec<Entrant>,
    /// The trainings of successive halving that have begun, in order.
    pub(super) rung_trainings: Vec<RungRecord>,
    /// The policy that was found or given.
    pub(super) policy: Option<Policy>,
    /// The final trainings that have begun, by augmentation and seed.
    pub(super) final_trainings: Vec<FinalRecord>,
    /// Whether the summary exists, which a run writes last.
    pub(super) finished: bool,
}

pub(super) struct AuditRecord {
    pub(super) training: TrainingRecord,
    /// The measurements so far.
    pub(super) points: Vec<Point>,
    /// What they amount to, once all are made.
    pub(super) findings: Option<Audit>,
}

pub(super) struct FoldRecord {
    pub(super) number: usize,
    pub(super) training: TrainingRecord,
    pub(super) trials: Vec<Trial>,
    pub(super) rescorings: Vec<Rescoring>,
}

pub(super) struct RungRecord {
    pub(super) rung: usize,
    pub(super) entrant: usize,
    pub(super) seed: usize,
    pub(super) training: TrainingRecord,
}

pub(super) struct FinalRecord {
    pub(super) augmentation: Augmentation,
    pub(super) seed: usize,
    pub(super) training: TrainingRecord,
}

pub(super) struct TrainingRecord {
    pub(super) epochs: Vec<Epoch>,
    /// How the network does: on the test split for a final training, on the held-out images for all others.
    pub(super) evaluation: Option<Evaluation>,
    pub(super) diverged: Option<Divergence>,
}

impl Record {
    /// Reads a run directory.
    ///
    /// # Errors
    ///
    /// [`ReportErrorKind`] where there is no run of this version, or a file of it is damaged. A torn last
    /// line of a log is passed over.
    pub(super) fn read(path: &Path) -> Result<Self, ReportErrorKind> {
        let layout = Layout::new(path);
        let run = RunRecord::read(&layout)?;
        let run = run.ok_or_else(|| ReportErrorKind::NotARunDirectory(path.to_owned()))?;
        let (mut audit, mut folds, mut rung_trainings) = (None, Vec::new(), Vec::new());
        let mut final_trainings = Vec::new();
        for id in layout.trainings()? {
            let files = layout.training(id);
            let training = TrainingRecord::read(&files)?;
            match id {
                TrainingId::Audit => {
                    audit = Some(AuditRecord {
                        training,
                        points: files.points().read()?,
                        findings: read_json(&layout.audit_file())?,
                    });
                }
                TrainingId::Fold(number) => folds.push(FoldRecord {
                    number,
                    training,
                    trials: files.trials().read()?,
                    rescorings: files.rescorings().read()?,
                }),
                TrainingId::Halving {
                    rung,
                    entrant,
                    seed,
                } => rung_trainings.push(RungRecord {
                    rung,
                    entrant,
                    seed,
                    training,
                }),
                TrainingId::Final { augmentation, seed } => final_trainings.push(FinalRecord {
                    augmentation,
                    seed,
                    training,
                }),
            }
        }
        Ok(Self {
            run,
            environments: layout.environment().read()?,
            seed_count: SeedCount::read(&layout)?,
            audit,
            folds,
            entrants: layout.entrants().read()?,
            rung_trainings,
            policy: read_policy(&layout)?,
            final_trainings,
            finished: layout.summary_file().exists(),
        })
    }

    pub(super) fn config(&self) -> &RunConfig {
        &self.run.config
    }

    /// The number of seeds per final training, once that is known.
    pub(super) fn seeds(&self) -> Option<usize> {
        let chosen = self.seed_count.map(|it| it.seeds);
        let seeds = self.config().final_trainings.seeds.or(chosen);
        seeds.map(NonZeroUsize::get)
    }

    /// Whether the run searches for its policy, or was given one.
    pub(super) fn is_search(&self) -> bool {
        self.config().is_search()
    }

    /// The data set, as after `--data`.
    pub(super) fn data(&self) -> &str {
        &self.config().common.data
    }

    /// How many images of the training split an epoch of a final training had: all but those that did not
    /// fill a batch.
    pub(super) fn train_images(&self) -> Option<usize> {
        let mut epochs = (self.final_trainings.iter()).flat_map(|run| &run.training.epochs);
        epochs.next().map(|epoch| epoch.images)
    }

    /// The trainings of successive halving that are finished or have diverged.
    pub(super) fn rung_results(&self) -> Vec<RungTraining> {
        let all = self.rung_trainings.iter();
        let is_over =
            |it: &&RungRecord| it.training.evaluation.is_some() || it.training.diverged.is_some();
        let result = |it: &RungRecord| {
            // A kill may have come between the two files of a training that diverged.
            let training = &it.training;
            let evaluation = training.evaluation.clone();
            let evaluation = evaluation.filter(|_| training.diverged.is_none());
            RungTraining::new(it.rung, it.entrant, it.seed, evaluation)
        };
        all.filter(is_over).map(result).collect()
    }

    /// All trials, with the number of their fold.
    pub(super) fn trials(&self) -> impl Iterator<Item = (usize, &Trial)> {
        self.folds.iter().flat_map(|fold| {
            let number = fold.number;
            fold.trials.iter().map(move |trial| (number, trial))
        })
    }
}

impl FoldRecord {
    pub(super) fn rounds(&self) -> impl Iterator<Item = RoundResults<'_>> {
        let rounds = self.trials.chunk_by(|a, b| a.round == b.round);
        rounds.map(|trials| {
            let mut rescored = self.rescorings.chunk_by(|a, b| a.round == b.round);
            let of_round = rescored.find(|them| them[0].round == trials[0].round);
            RoundResults::new(trials, of_round.unwrap_or_default())
        })
    }
}

impl TrainingRecord {
    fn read(files: &TrainingFiles) -> Result<Self, FileError> {
        Ok(Self {
            epochs: files.epochs().read()?,
            evaluation: read_json(&files.evaluation())?,
            diverged: read_json(&files.diverged())?,
        })
    }
}

fn read_policy(layout: &Layout) -> Result<Option<Policy>, ReportErrorKind> {
    let path = layout.policy_file();
    let Some(json) = read(&path)? else {
        return Ok(None);
    };
    let parsed = Policy::parse(&json).map(Some);
    parsed.map_err(|source| ReportErrorKind::Policy { path, source })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use faa_search::directory::FORMAT;
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;
    use crate::page::tests::Run;

    /// A run directory with these files.
    fn run(files: &[(&str, &str)]) -> TempDir {
        let put = |run: Run, (name, text): &(&str, &str)| run.put(name, text);
        files.iter().fold(Run::new("glyphs"), put).0
    }

    fn error_of(folder: &TempDir) -> ReportErrorKind {
        Record::read(folder.path()).err().unwrap()
    }

    const EPOCH: &str =
        r#"{"epoch":0,"loss":1.5,"error":0.5,"learning_rate":0.1,"seconds":2.0,"images":30}"#;

    #[test]
    fn a_torn_last_line_is_passed_over_and_left_as_it_is() {
        let log = format!("{EPOCH}\n{{\"epoch\":1,\"lo");
        let folder = run(&[("fold-0/epochs.jsonl", &log)]);
        let content = || fs::read(folder.path().join("fold-0/epochs.jsonl")).unwrap();
        let before = content();
        let record = Record::read(folder.path()).unwrap();
        assert_eq!(record.folds[0].training.epochs.len(), 1);
        assert_eq!(content(), before);
    }

    #[test]
    fn a_damaged_line_is_named() {
        let log = format!("{EPOCH}\n{{\"epoch\":1,\"lo\n{EPOCH}\n");
        let error = error_of(&run(&[("fold-0/epochs.jsonl", &log)])).to_string();
        let words = "epochs.jsonl, line 2, is damaged";
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn folds_and_final_trainings_are_in_order() {
        let evaluation = r#"{"error":0.25,"loss":1.0}"#;
        let folder = run(&[
            ("fold-10/epochs.jsonl", ""),
            ("fold-2/epochs.jsonl", ""),
            ("fold-x/epochs.jsonl", "not read"),
            ("final/policy-0/evaluation.json", evaluation),
            ("final/policy-0/epochs.jsonl", &format!("{EPOCH}\n")),
            ("final/none-10/evaluation.json", evaluation),
            ("final/none-9/evaluation.json", evaluation),
            ("final/mine/evaluation.json", "not read"),
            ("final/my-own-1/evaluation.json", "not read"),
        ]);
        let record = Record::read(folder.path()).unwrap();
        let folds: Vec<_> = record.folds.iter().map(|fold| fold.number).collect();
        assert_eq!(folds, [2, 10]);
        let final_trainings: Vec<_> = (record.final_trainings.iter())
            .map(|run| (run.augmentation.name(), run.seed))
            .collect();
        assert_eq!(final_trainings, [("none", 9), ("none", 10), ("policy", 0)]);
        assert_eq!(record.train_images(), Some(30));
    }

    #[test]
    fn environments_are_read_in_order_and_may_be_absent() {
        let record = Record::read(run(&[]).path()).unwrap();
        assert!(record.environments.is_empty());
        let line = |threads: usize| {
            let environment = json!({"build": "a", "device": "cpu", "threads": threads, "jobs": 1,
                "scoring": "bf16", "training": "float32", "processor": "any"});
            format!("{environment}\n")
        };
        let log = format!("{}{}{{\"thr", line(2), line(1));
        let record = Record::read(run(&[("environment.jsonl", &log)]).path()).unwrap();
        let threads = record.environments.iter().map(|with| with.threads);
        assert_eq!(threads.collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn a_run_of_a_different_version_and_a_damaged_one_are_named() {
        let other = r#"{"version": "0.0.1", "config": {"unknown": 1}}"#;
        let error = error_of(&run(&[("run.json", other)])).to_string();
        let expected = "run.json was written by version 0.0.1, in format 1; this is";
        assert!(error.contains(expected), "{error}");
        let damaged =
            json!({"format": FORMAT, "version": "1", "config": {}, "data_digest": "0"}).to_string();
        for json in ["{\"version\"", "[]", damaged.as_str()] {
            let error = error_of(&run(&[("run.json", json)])).to_string();
            assert!(error.contains("run.json, line 1, is damaged"), "{error}");
        }
    }

    #[test]
    fn a_folder_without_a_run_and_a_damaged_policy_are_errors() {
        let error = error_of(&tempfile::tempdir().unwrap());
        assert!(
            matches!(error, ReportErrorKind::NotARunDirectory(_)),
            "{error}"
        );
        let policy = r#"{"format": "faa-policy", "version": 2}"#;
        let error = error_of(&run(&[("policy.json", policy)]));
        assert!(matches!(error, ReportErrorKind::Policy { .. }), "{error}");
    }
}
