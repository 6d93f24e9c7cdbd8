//! The paths of the files in a run directory.
//!
//! ```text
//! run.json                        the program's version and the configuration
//! seeds.json                      the number of seeds of final trainings, if the run chose it
//! environment.jsonl               the hardware and precision used, a line per change
//! fold-0/epochs.jsonl             a line per epoch of the fold's network
//! fold-0/checkpoint.safetensors   weights and momentum after the last epoch, during training
//! fold-0/network.safetensors      the trained network
//! fold-0/evaluation.json          its evaluation on the images that candidates are scored on
//! fold-0/diverged.json            replaces these three if its loss became infinite or NaN
//! fold-0/trials.jsonl             a line per trial on the fold
//! fold-0/rescorings.jsonl         a line per candidate that was scored again
//! fold-0/attempts.jsonl           a line per attempt at the fold: the machine, the times, and digests
//! fold-0/lock                     locked while a process works on the fold
//! audit/…                         the network of an audit, like a fold's, and:
//! audit/points.jsonl              a line per op and value
//! audit.json                      which ops are safe
//! halving/entrants.jsonl          a line per policy and rung of successive halving
//! halving/rung-0/3-0/…            a training of rung 0: policy 3, seed 0; without its network
//! policy.json                     the policy that was found or given
//! final/cutout-0/…                a final training, like a fold, evaluated on the test split
//! summary.json                    the test errors of all final trainings; written last
//! origin                          a keyed digest, by which the command line knows its user's data set
//! report.html, tensorboard/       generated from these files, for people
//! lock                            locked while a process works on the run as a whole
//! ```
//!
//! A fold, an audit, a short and a final training are jobs. Each has a folder of its own, and different
//! processes may work on different jobs at the same time.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::attempt::Attempt;
use crate::audit::Point;
use crate::config::Augmentation;
use crate::environment::Environment;
use crate::files::{FileError, Log};
use crate::halving::Entrant;
use crate::results::Epoch;
use crate::trial::{Rescoring, Trial};

/// The paths of the files in a run directory. It writes nothing.
#[derive(Clone, Debug)]
pub struct Layout {
    path: PathBuf,
}

/// A training of a run, and the job that it is a part of: a fold, for example, is a training and trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainingId {
    /// The training of an audit's network.
    Audit,
    /// The training of a fold's network; the fold is counted from 0.
    Fold(usize),
    /// A short training of successive halving.
    Halving {
        /// The rung, from 0.
        rung: usize,
        /// The policy's number.
        entrant: usize,
        /// The number of the seed within the rung, from 0.
        seed: usize,
    },
    /// A final training.
    Final {
        /// Its augmentation.
        augmentation: Augmentation,
        /// The number of its seed, from 0.
        seed: usize,
    },
}

impl fmt::Display for TrainingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Audit => write!(f, "training for the audit"),
            Self::Fold(fold) => write!(f, "training of fold {fold}"),
            Self::Halving {
                rung,
                entrant,
                seed,
            } => write!(
                f,
                "training of entrant {entrant} in rung {}, seed {seed}",
                // People count rungs from 1.
                rung.saturating_add(1)
            ),
            Self::Final { augmentation, seed } => {
                write!(
                    f,
                    "final training with {}, seed {seed}",
                    augmentation.name()
                )
            }
        }
    }
}

impl TrainingId {
    /// The path of its folder in the run directory, with `/` between names.
    pub fn folder(self) -> String {
        match self {
            Self::Audit => "audit".to_owned(),
            Self::Fold(fold) => format!("fold-{fold}"),
            Self::Halving {
                rung,
                entrant,
                seed,
            } => format!("halving/rung-{rung}/{entrant}-{seed}"),
            Self::Final { augmentation, seed } => format!("final/{}-{seed}", augmentation.name()),
        }
    }
}

impl Layout {
    /// The layout of this directory.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The version and configuration of the run.
    pub fn run_file(&self) -> PathBuf {
        self.path.join("run.json")
    }

    /// The hardware and precision used, a line per change.
    pub fn environment(&self) -> Log<Environment> {
        Log::new(self.path.join("environment.jsonl"))
    }

    /// The number of seeds of final trainings, if the run chose it.
    pub fn seeds_file(&self) -> PathBuf {
        self.path.join("seeds.json")
    }

    /// The policy.
    pub fn policy_file(&self) -> PathBuf {
        self.path.join("policy.json")
    }

    /// Which ops are safe, if the run audits them.
    pub fn audit_file(&self) -> PathBuf {
        self.path.join("audit.json")
    }

    /// The test errors of the final trainings.
    pub fn summary_file(&self) -> PathBuf {
        self.path.join("summary.json")
    }

    /// The report.
    pub fn report_file(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// The keyed digest that shows that the user named the data set.
    pub fn origin_file(&self) -> PathBuf {
        self.path.join("origin")
    }

    /// The folder of successive halving.
    pub(crate) fn halving_folder(&self) -> PathBuf {
        self.path.join("halving")
    }

    /// The policies of successive halving, a line per policy and rung.
    pub fn entrants(&self) -> Log<Entrant> {
        Log::new(self.halving_folder().join("entrants.jsonl"))
    }

    pub(crate) fn lock_file(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// The files of a training.
    pub fn training(&self, id: TrainingId) -> TrainingFiles {
        TrainingFiles {
            folder: self.path.join(id.folder()),
        }
    }

    /// The folder of TensorBoard's event files for a training.
    pub fn tensorboard(&self, id: TrainingId) -> PathBuf {
        self.path.join("tensorboard").join(id.folder())
    }

    /// All trainings that have a folder: an audit's, then folds, rungs and final ones, each kind in
    /// ascending order. Folders with other names are ignored.
    ///
    /// # Errors
    ///
    /// [`FileError`] if a folder cannot be listed.
    pub fn trainings(&self) -> Result<Vec<TrainingId>, FileError> {
        let audit = |name: &str| (name == "audit").then_some(TrainingId::Audit);
        let fold = |name: &str| Some(TrainingId::Fold(name.strip_prefix("fold-")?.parse().ok()?));
        let final_training = |name: &str| {
            let (name, seed) = name.rsplit_once('-')?;
            let mut known = Augmentation::ALL.into_iter();
            Some(TrainingId::Final {
                augmentation: known.find(|augmentation| augmentation.name() == name)?,
                seed: seed.parse().ok()?,
            })
        };
        let rung = |name: &str| name.strip_prefix("rung-")?.parse().ok();
        let of_rung = |rung, name: &str| {
            let (entrant, seed) = name.split_once('-')?;
            Some(TrainingId::Halving {
                rung,
                entrant: entrant.parse().ok()?,
                seed: seed.parse().ok()?,
            })
        };
        let folders = names_in(&self.path)?;
        let rungs = names_in(&self.halving_folder())?;
        let final_folders = names_in(&self.path.join("final"))?;
        let training = |name: &String| audit(name).or_else(|| fold(name));
        let mut ids: Vec<TrainingId> = folders.iter().filter_map(training).collect();
        for number in rungs.iter().filter_map(|name| rung(name)) {
            let folders = names_in(&self.halving_folder().join(format!("rung-{number}")))?;
            ids.extend(folders.iter().filter_map(|name| of_rung(number, name)));
        }
        ids.extend(final_folders.iter().filter_map(|name| final_training(name)));
        ids.retain(|id| self.path.join(id.folder()).is_dir());
        ids.sort();
        Ok(ids)
    }
}

/// The paths of the files of one training.
#[derive(Clone, Debug)]
pub struct TrainingFiles {
    folder: PathBuf,
}

impl TrainingFiles {
    /// Their folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The log of epochs.
    pub fn epochs(&self) -> Log<Epoch> {
        Log::new(self.folder.join("epochs.jsonl"))
    }

    /// The log of trials, if this is a fold.
    pub fn trials(&self) -> Log<Trial> {
        Log::new(self.folder.join("trials.jsonl"))
    }

    /// The log of candidates that were scored again, if this is a fold.
    pub fn rescorings(&self) -> Log<Rescoring> {
        Log::new(self.folder.join("rescorings.jsonl"))
    }

    /// The log of points, if this is an audit.
    pub fn points(&self) -> Log<Point> {
        Log::new(self.folder.join("points.jsonl"))
    }

    /// What an unfinished training continues from.
    pub fn checkpoint(&self) -> PathBuf {
        self.folder.join("checkpoint.safetensors")
    }

    /// The trained network.
    pub fn network(&self) -> PathBuf {
        self.folder.join("network.safetensors")
    }

    /// The network's evaluation: on the test split for a final training, on the held-out images for all
    /// others.
    pub fn evaluation(&self) -> PathBuf {
        self.folder.join("evaluation.json")
    }

    /// The epoch in which the loss became infinite or NaN, if it did.
    pub fn diverged(&self) -> PathBuf {
        self.folder.join("diverged.json")
    }

    /// The attempts at this job.
    pub fn attempts(&self) -> Log<Attempt> {
        Log::new(self.folder.join("attempts.jsonl"))
    }

    pub(crate) fn lock_file(&self) -> PathBuf {
        self.folder.join("lock")
    }

    /// Whether the training has diverged, and what it leaves was removed.
    pub(crate) fn has_diverged(&self) -> bool {
        self.diverged().exists() && !self.checkpoint().exists() && !self.network().exists()
    }

    /// Whether the result of the training is recorded.
    pub(crate) fn is_recorded(&self) -> bool {
        self.evaluation().exists() || self.has_diverged()
    }

    /// Whether no epoch remains of a training whose network is needed afterwards.
    pub(crate) fn is_trained(&self) -> bool {
        self.network().exists() || self.diverged().exists()
    }

    /// Whether no epoch remains of a training of which only the evaluation is needed.
    pub(crate) fn is_evaluated(&self) -> bool {
        self.is_trained() || self.evaluation().exists()
    }
}

/// The names of the entries of a folder; none if it does not exist.
pub(crate) fn names_in(folder: &Path) -> Result<Vec<String>, FileError> {
    let list = || -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let name =
            |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
        entries.map(name).collect()
    };
    list().map_err(FileError::io("list", folder))
}
