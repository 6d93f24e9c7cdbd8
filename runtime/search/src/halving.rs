//! Successive halving over short trainings: its policies, their additive model, and its results.
//!
//! Everything here is a pure function of the configuration and the records of a run; the runner trains,
//! and a report reads.

mod bracket;
mod entrant;
mod explanation;
mod model;
mod result;
mod space;
mod training;

pub use self::entrant::{Entrant, Origin};
pub use self::explanation::{Change, Effect};
pub use self::model::{Estimate, Observation, Ridge};
pub use self::result::{HalvingResult, Standing};
pub use self::space::{Point, PolicySpace};
pub use self::training::{RungTraining, mean_losses};

pub(crate) use self::bracket::{Bracket, Progress, fixed_policies};
