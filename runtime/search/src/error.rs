//! What is wrong with a configuration.

/// A configuration, or a name in it, is impossible. The message names the option.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    kind: ConfigErrorKind,
    message: String,
}

/// What makes a configuration impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigErrorKind {
    /// A number, or a product of several, is out of its range.
    Range,
    /// Settings contradict each other, or one is missing.
    Contradiction,
    /// An op is unknown, is named twice, or cannot be used like this; or a policy does not fit the ops.
    Ops,
    /// The images are too few, or all of one class.
    Images,
    /// A name is not one of a network or device.
    Name,
}

impl ConfigError {
    pub(crate) fn new(kind: ConfigErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, message }
    }

    /// What is wrong.
    pub fn kind(&self) -> ConfigErrorKind {
        self.kind
    }
}
