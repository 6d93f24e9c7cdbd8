//! The policy file: what is read, what is refused, and what is written.

#[cfg(feature = "builtin")]
mod foreign;
mod malformed;
mod round_trip;
#[cfg(feature = "builtin")]
mod shipped;
