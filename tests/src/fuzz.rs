//! What is fuzzed: functions that take any bytes, and panic where something is wrong.
//!
//! They are ordinary functions so that they cannot rot: `tests/tests/fuzzing.rs` runs them on seeds,
//! on former findings and on some thousands of other inputs, without a fuzzer. The fuzzer's own
//! targets, in `tests/fuzz`, only call them.

mod executor;
mod input;
mod op;
mod text;

pub use executor::executor;
pub use op::op;
pub use text::{foreign, plan, policy};

/// A function that is fuzzed, by the name of its target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What `cargo xtask fuzz` calls it.
    pub name: &'static str,
    /// What is run.
    pub body: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 5] = [
    target("policy", policy),
    target("foreign", foreign),
    target("plan", plan),
    target("executor", executor),
    target("op", op),
];

const fn target(name: &'static str, body: fn(&[u8])) -> Target {
    Target { name, body }
}
