//! The name of a network.

use std::fmt;
use std::str::FromStr;

use crate::as_string::serde_as_string;
use crate::error::{ConfigError, ConfigErrorKind};

/// A WideResNet's depth and width, named `wrn-40-2` in files and on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    depth: usize,
    width: usize,
}

const MAX_DEPTH: usize = 1_000;
const MAX_WIDTH: usize = 100;

impl Model {
    /// Checks depth and width.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the depth is not 6n + 4 from 10 to 1,000, or the width not from 1 to 100.
    pub fn new(depth: usize, width: usize) -> Result<Self, ConfigError> {
        let valid_depth = (10..=MAX_DEPTH).contains(&depth) && depth % 6 == 4;
        match valid_depth && (1..=MAX_WIDTH).contains(&width) {
            true => Ok(Self { depth, width }),
            false => Err(unknown(&format!("wrn-{depth}-{width}"))),
        }
    }

    /// The number of layers: 6n + 4, for n blocks in each of the three groups.
    pub fn depth(self) -> usize {
        self.depth
    }

    /// The widening factor k: the groups have 16k, 32k and 64k channels.
    pub fn width(self) -> usize {
        self.width
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wrn-{}-{}", self.depth, self.width)
    }
}

impl FromStr for Model {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        let read = || {
            let (depth, width) = name.strip_prefix("wrn-")?.split_once('-')?;
            Self::new(depth.parse().ok()?, width.parse().ok()?).ok()
        };
        read().ok_or_else(|| unknown(name))
    }
}

fn unknown(name: &str) -> ConfigError {
    ConfigError::new(
        ConfigErrorKind::Name,
        format!(
            "`{name}` is not a network: use wrn-DEPTH-WIDTH with a depth of 6n + 4 (10, 16, 28, 40 …, at \
         most {MAX_DEPTH}) and a width from 1 to {MAX_WIDTH}"
        ),
    )
}

serde_as_string!(Model);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for name in ["wrn-10-1", "wrn-16-2", "wrn-28-10", "wrn-40-2"] {
            assert_eq!(name.parse::<Model>().unwrap().to_string(), name);
        }
        for name in [
            "wrn-9-1",
            "wrn-4-1",
            "wrn-41-2",
            "wrn-10-0",
            "wrn-1006-1",
            "wrn-10-101",
            "wrn-10",
            "resnet",
            "wrn-18446744073709551616-1",
        ] {
            let error = name.parse::<Model>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{name}` is not")), "{error}");
        }
    }
}
