//! The hardware and precision of a run.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::ranges::in_range;
use crate::device::DeviceName;
use crate::error::ConfigError;

/// The hardware that a run may use. On a CPU, results may depend on the number of threads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Resources {
    /// At least one.
    pub devices: Vec<DeviceName>,
    /// The total number of CPU threads.
    pub threads: usize,
    /// The number of folds or trainings that run in parallel; `None` for one per device.
    pub jobs: Option<usize>,
}

impl Resources {
    /// This number of CPU threads, and one job per device.
    pub fn new(devices: Vec<DeviceName>, threads: usize) -> Self {
        Self {
            devices,
            threads,
            jobs: None,
        }
    }

    /// Checks that the numbers of threads and jobs are in their ranges.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with the option's name.
    pub fn check(&self) -> Result<(), ConfigError> {
        in_range("--threads", self.threads, 1.0..=4_096.0)?;
        let jobs = self.jobs.unwrap_or(1);
        in_range("--jobs", jobs, 1.0..=256.0)
    }
}

/// The hardware and precision that a run has used. Results depend on them by rounding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Environment {
    /// The devices: `cpu`, `cuda:0`.
    pub device: String,
    /// The total number of CPU threads.
    pub threads: usize,
    /// The number of folds or trainings that run in parallel.
    pub jobs: usize,
    /// The format that candidates are scored in: `float32` or `bf16`.
    pub scoring: String,
    /// The format that networks are trained in.
    pub training: String,
    /// The processor's name.
    pub processor: String,
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {} threads, {} jobs, scoring in {}, training in {}, {}",
            self.device, self.threads, self.jobs, self.scoring, self.training, self.processor
        )
    }
}
