//! The policy file: what is read, what is refused, and what is written.

#[cfg(feature = "builtin")]
mod convert;
mod malformed;
mod round_trip;
#[cfg(feature = "builtin")]
// What the files hold does not matter to Miri, and reading them takes minutes.
#[cfg(not(miri))]
mod shipped;
