use std::path::PathBuf;

use faa_policy::PolicyError;
use faa_search::files::FileError;

/// Why a report cannot be written.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ReportError(#[from] ReportErrorKind);

impl ReportError {
    /// The reason.
    pub fn kind(&self) -> &ReportErrorKind {
        &self.0
    }
}

/// The reasons why a report cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportErrorKind {
    /// The folder is not a run directory.
    #[error("{} holds no run: there is no run.json in it; name the --out of a search, a training or an audit", .0.display())]
    NotARunDirectory(PathBuf),
    /// The file to be written exists, and is not a report.
    #[error("{} exists and is not a report: choose a different file, or use --force", .0.display())]
    Exists(PathBuf),
    /// A file is not a valid policy.
    #[error("cannot read the policy in {}", path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: PolicyError,
    },
    /// A file cannot be read or written, or is damaged.
    #[error(transparent)]
    File(#[from] FileError),
}
