//! Float functions that give the same bits on every platform.
//!
//! The platform's own `sin` differs from one C library to the next, and WebAssembly has none; ops
//! use these instead.

pub use libm::{atan2, ceil, cos, floor, log, round, sin, sqrt};
