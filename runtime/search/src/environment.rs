//! The hardware and precision of a run.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::VERSION;
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
    /// The number of folds or trainings that run in parallel. `None` chooses it: one per device on a CPU,
    /// and on GPUs the number that is measured to be the fastest.
    pub jobs: Option<usize>,
}

impl Resources {
    /// The most jobs of a run.
    pub const MAX_JOBS: usize = 256;

    /// This number of CPU threads, and an automatic number of jobs.
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
        in_range("--jobs", jobs, 1.0..=Self::MAX_JOBS as f64)
    }
}

/// The build, hardware and precision that a run has used. Results depend on the latter two by rounding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Environment {
    /// The program: its version, and a digest of its file.
    pub build: String,
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

impl Environment {
    /// An environment of this program, in which nothing else is set.
    pub fn of_this_build() -> Self {
        Self {
            build: faa_system::build(VERSION),
            ..Self::default()
        }
    }

    /// With a different number of jobs.
    #[must_use]
    pub fn with_jobs(self, jobs: usize) -> Self {
        Self { jobs, ..self }
    }

    /// Whether all is the same but the build.
    pub(crate) fn is_same_hardware(&self, other: &Self) -> bool {
        let build = other.build.clone();
        Self {
            build,
            ..self.clone()
        } == *other
    }
}

/// Without the build.
impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {} threads, {} jobs, scoring in {}, training in {}, {}",
            self.device, self.threads, self.jobs, self.scoring, self.training, self.processor
        )
    }
}
