//! Files that are written atomically, and logs of which a crash can damage only the last line.

mod error;
mod fault;
mod log;
mod whole;

pub use self::error::{FileError, FileErrorKind, MAX_BYTES};
pub use self::fault::FaultPoint;
pub use self::log::Log;
pub(crate) use self::whole::Files;
pub use self::whole::{read, read_json};
