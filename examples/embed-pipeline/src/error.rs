use std::error::Error;
use std::path::Path;

use faa_op::text::clean;

/// Why there are no batches, or no more.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct LoadError {
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl LoadError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn because(
        message: impl Into<String>,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self {
            source: Some(Box::new(source)),
            ..Self::new(message)
        }
    }
}

/// A path as messages show it: names in a folder are whatever somebody gave them.
pub(crate) fn shown(path: &Path) -> String {
    clean(&path.to_string_lossy(), usize::MAX)
}
