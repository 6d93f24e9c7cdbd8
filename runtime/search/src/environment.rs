//! The hardware and precision of a run.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::check::{Number, OutOfRange, Range};
use crate::device::DeviceName;

/// The hardware that a run may use. On a CPU, results may depend on the number of threads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// At least one.
    pub devices: Vec<DeviceName>,
    /// The total number of CPU threads.
    pub threads: usize,
    /// The number of folds or trainings that run in parallel; `None` for one per device.
    pub jobs: Option<usize>,
}

impl Resources {
    /// Checks that the numbers of threads and jobs are in their ranges.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`], with the option's name.
    pub fn check(&self) -> Result<(), OutOfRange> {
        let bounded = [
            ("--threads", self.threads, 4_096),
            ("--jobs", self.jobs.unwrap_or(1), 256),
        ];
        for (option, number, max) in bounded {
            if !(1..=max).contains(&number) {
                return Err(OutOfRange {
                    option,
                    value: Number::Count(number),
                    range: Range::Closed(1.0, max as f64),
                });
            }
        }
        Ok(())
    }
}

/// The hardware and precision that a run has used. Results depend on them by rounding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
        let Self {
            device,
            threads,
            jobs,
            scoring,
            training,
            processor,
        } = self;
        write!(
            f,
            "{device}, {threads} threads, {jobs} jobs, scoring in {scoring}, training in {training}, \
             {processor}"
        )
    }
}
