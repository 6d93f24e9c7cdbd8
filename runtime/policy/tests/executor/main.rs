//! What the executor does to images, with the built-in ops and with doubles of the tests.
#![cfg(feature = "builtin")]

mod determinism;
mod digests;
mod doubles;
mod draws;
mod partners;
mod properties;
mod random_targets;
mod refusals;
mod targets;
