use std::path::PathBuf;

use crate::backend::BackendError;
use crate::config::check::ConfigError;
use crate::files::FileError;
use crate::sampler::ObserveError;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// On request; the same run, started again, continues.
    #[error("stopped on request")]
    Stopped,
    /// The configuration is impossible.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file of the run could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The trials in the run directory are not those of this search.
    #[error("{}, line {line}: expected trial {expected}, found {found}: move the file away to repeat its trials", path.display())]
    UnexpectedTrial {
        /// The log.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The trial that belongs there, as `round.trial`.
        expected: String,
        /// The trial that is there.
        found: String,
    },
    /// The log of a training has fewer epochs than its checkpoint.
    #[error(
        "{} holds {found} epochs, and {} was written after {expected}: \
         remove the checkpoint to train from the beginning",
        path.display(), checkpoint.display()
    )]
    MissingEpochs {
        /// The log.
        path: PathBuf,
        /// Its epochs.
        found: usize,
        /// Those of the checkpoint.
        expected: usize,
        /// The checkpoint.
        checkpoint: PathBuf,
    },
    /// No fold has a network to score candidates with, or no training came to its end.
    #[error("all trainings diverged: choose another --out and a lower --learning-rate")]
    AllDiverged,
    /// A network gives results that are infinite or NaN.
    #[error(
        "{stage} gave a loss that is infinite or NaN: the network has diverged; try a lower \
         learning rate"
    )]
    NotFinite {
        /// What was being done.
        stage: String,
    },
    /// A reward that is NaN.
    #[error("the sampler refused a trial")]
    Sampler(#[from] ObserveError),
    /// Training or scoring failed.
    #[error("{stage} failed")]
    Backend {
        /// What was being done.
        stage: String,
        /// The reason.
        source: BackendError,
    },
}

/// For `map_err`: what was being done.
pub(super) fn failed(stage: &str) -> impl FnOnce(BackendError) -> RunError {
    let stage = stage.to_owned();
    move |source| match source {
        BackendError::Stopped => RunError::Stopped,
        source => RunError::Backend { stage, source },
    }
}
