use std::error::Error;

use crate::backend::{BackendError, BackendErrorKind};
use crate::error::ConfigError;
use crate::files::{FileError, FileErrorKind};

/// A run ended early.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct RunError {
    kind: RunErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// Why a run ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunErrorKind {
    /// On request; starting the same run again continues it.
    Stopped,
    /// The configuration is impossible.
    Config,
    /// A file of the run could not be read or written, or does not belong to this run.
    File,
    /// A different process works on a job of the run.
    InUse,
    /// Jobs that this one needs are not done.
    NotReady,
    /// Losses became infinite or NaN, and no network is left to continue with.
    Diverged,
    /// Training or scoring failed.
    Backend,
}

impl RunError {
    /// Why the run ended.
    pub fn kind(&self) -> RunErrorKind {
        self.kind
    }

    pub(super) fn new(kind: RunErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    pub(super) fn all_diverged() -> Self {
        let message =
            "all trainings diverged: choose a different --out and a lower --learning-rate";
        Self::new(RunErrorKind::Diverged, message)
    }

    /// The loss of this step of the run is infinite or NaN.
    pub(super) fn not_finite(stage: &str) -> Self {
        let message = format!(
            "{stage} gave a loss that is infinite or NaN: the network has diverged; try a lower \
             learning rate"
        );
        Self::new(RunErrorKind::Diverged, message)
    }
}

impl From<ConfigError> for RunError {
    fn from(error: ConfigError) -> Self {
        Self::new(RunErrorKind::Config, error.to_string())
    }
}

impl From<FileError> for RunError {
    fn from(error: FileError) -> Self {
        Self {
            kind: match error.kind() {
                FileErrorKind::InUse => RunErrorKind::InUse,
                _ => RunErrorKind::File,
            },
            message: error.to_string(),
            source: error.source.map(Into::into),
        }
    }
}

/// For `map_err`, with the step of the run.
pub(super) fn failed(stage: &str) -> impl FnOnce(BackendError) -> RunError {
    let message = format!("{stage} failed");
    move |source| match source.kind() {
        BackendErrorKind::Stopped => RunError::new(RunErrorKind::Stopped, source.to_string()),
        BackendErrorKind::OutOfMemory => RunError {
            source: Some(source.into()),
            ..RunError::new(
                RunErrorKind::Backend,
                format!(
                    "{message} for lack of memory: a smaller --batch or --model needs less, and so do fewer --jobs"
                ),
            )
        },
        _ => RunError {
            source: Some(source.into()),
            ..RunError::new(RunErrorKind::Backend, message)
        },
    }
}
