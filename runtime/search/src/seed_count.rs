//! How many seeds final trainings have, if the configuration leaves it open.

use std::fmt;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::config::SEEDS;
use crate::files::{FileError, REPEAT, read_json};
use crate::layout::Layout;

/// An hour: above it, there is one seed instead of [`SEEDS`].
const LIMIT_SECONDS: f64 = 3600.0;

/// A number of seeds and the reason for it. It is chosen when a run begins and recorded in its directory,
/// since another machine, or the same one on a busier day, would choose differently.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SeedCount {
    /// The number of seeds per augmentation.
    pub seeds: NonZeroUsize,
    /// The estimated duration of all final trainings with 3 seeds, in seconds.
    pub estimated_seconds: f64,
}

impl SeedCount {
    /// Reads the choice of a run; `None` if it has not made one.
    ///
    /// # Errors
    ///
    /// [`FileError`] if the file cannot be read or is damaged.
    pub fn read(layout: &Layout) -> Result<Option<Self>, FileError> {
        let path = layout.seeds_file();
        match read_json::<Self>(&path)? {
            Some(choice) if choice.seeds > SEEDS => {
                let reason = format!("{} seeds are never chosen", choice.seeds);
                Err(FileError::damaged(&path, 1, &reason, REPEAT))
            }
            choice => Ok(choice),
        }
    }

    /// The choice for this estimate.
    pub(crate) fn choose(estimated_seconds: f64) -> Self {
        let seeds = match estimated_seconds < LIMIT_SECONDS {
            true => SEEDS,
            false => NonZeroUsize::MIN,
        };
        Self {
            seeds,
            estimated_seconds,
        }
    }
}

/// The choice and its reason, for people.
impl fmt::Display for SeedCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.seeds.get() == 1 { "" } else { "s" };
        let side = match self.estimated_seconds < LIMIT_SECONDS {
            true => "under",
            false => "over",
        };
        let minutes = (self.estimated_seconds / 60.0).ceil();
        write!(
            f,
            "{} seed{plural} per final training, because all of them with {SEEDS} seeds were estimated at ",
            self.seeds
        )?;
        match minutes < 120.0 {
            true => write!(f, "{minutes} min")?,
            false => write!(f, "{:.1} h", minutes / 60.0)?,
        }
        write!(f, ", {side} an hour")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_three_seeds_if_they_take_under_an_hour() {
        for (seconds, words) in [
            (
                0.5,
                "3 seeds per final training, because all of them with 3 seeds were estimated at 1 min, under an hour",
            ),
            (
                3599.0,
                "3 seeds per final training, because all of them with 3 seeds were estimated at 60 min, under an hour",
            ),
            (
                3600.0,
                "1 seed per final training, because all of them with 3 seeds were estimated at 60 min, over an hour",
            ),
            (
                9000.0,
                "1 seed per final training, because all of them with 3 seeds were estimated at 2.5 h, over an hour",
            ),
        ] {
            assert_eq!(SeedCount::choose(seconds).to_string(), words);
        }
        assert_eq!(SeedCount::choose(f64::NAN).seeds.get(), 1);
    }
}
