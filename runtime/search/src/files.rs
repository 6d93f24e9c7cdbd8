//! Files that are written atomically, and logs of which a crash can damage only the last line. Every line,
//! and every file of JSON that a run reads again, has a checksum.

mod error;
mod fault;
mod log;
mod whole;

pub(crate) use self::error::REPEAT;
pub use self::error::{FileError, FileErrorKind, MAX_BYTES};
pub use self::fault::FaultPoint;
pub use self::log::Log;
pub(crate) use self::whole::{Files, parse};
pub use self::whole::{open, read, read_json};
pub use faa_system::with_checksum;
