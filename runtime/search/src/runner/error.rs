use std::path::PathBuf;

use crate::backend::BackendError;
use crate::config::check::ConfigError;
use crate::files::FileError;
use crate::sampler::ObserveError;

/// A run ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// On request; starting the same run again continues it.
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
        /// The expected trial, as `round.trial`.
        expected: String,
        /// The recorded trial.
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
        /// The number of epochs in it.
        found: usize,
        /// The number of epochs of the checkpoint.
        expected: usize,
        /// The checkpoint.
        checkpoint: PathBuf,
    },
    /// All trainings diverged: those of all folds, or without a search all final ones.
    #[error("all trainings diverged: choose a different --out and a lower --learning-rate")]
    AllDiverged,
    /// A network has a loss that is infinite or NaN.
    #[error(
        "{stage} gave a loss that is infinite or NaN: the network has diverged; try a lower \
         learning rate"
    )]
    NotFinite {
        /// The step of the run.
        stage: String,
    },
    /// The sampler rejected a trial.
    #[error("the sampler rejected a trial")]
    Sampler(#[from] ObserveError),
    /// Training or scoring failed.
    #[error("{stage} failed")]
    Backend {
        /// The step of the run.
        stage: String,
        /// The reason.
        source: BackendError,
    },
}

/// For `map_err`, with the step of the run.
pub(super) fn failed(stage: &str) -> impl FnOnce(BackendError) -> RunError {
    let stage = stage.to_owned();
    move |source| match source {
        BackendError::Stopped => RunError::Stopped,
        source => RunError::Backend { stage, source },
    }
}
