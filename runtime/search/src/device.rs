//! The name of a device.

use std::fmt;
use std::str::FromStr;

use crate::as_string::serde_as_string;
use crate::error::{ConfigError, ConfigErrorKind};

/// A device, as named on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceName {
    /// `auto`: the first CUDA device, or the CPU if there is none.
    Auto,
    /// `cpu`.
    Cpu,
    /// `cuda:N`; `cuda` is `cuda:0`.
    Cuda(usize),
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl FromStr for DeviceName {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        let index = || name.strip_prefix("cuda:")?.parse().ok();
        match name {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => index().map(Self::Cuda).ok_or_else(|| {
                ConfigError::new(
                    ConfigErrorKind::Name,
                    format!("`{name}` is not a device: use auto, cpu, cuda or cuda:N"),
                )
            }),
        }
    }
}

serde_as_string!(DeviceName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for name in ["auto", "cpu", "cuda:0", "cuda:7"] {
            assert_eq!(name.parse::<DeviceName>().unwrap().to_string(), name);
        }
        assert_eq!("cuda".parse(), Ok(DeviceName::Cuda(0)));
        for name in ["", "tpu", "cuda:", "cuda:x", "cuda:-1"] {
            assert!(name.parse::<DeviceName>().is_err());
        }
    }
}
