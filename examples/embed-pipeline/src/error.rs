use std::error::Error;

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
