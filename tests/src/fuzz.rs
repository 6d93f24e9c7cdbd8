//! What is fuzzed: functions that take any bytes, and panic if something is wrong.
//!
//! They are ordinary functions so that they cannot rot: `tests/tests/fuzzing.rs` runs them on seeds,
//! on former findings and on some thousands of other inputs, without a fuzzer. The fuzzer's own
//! targets, in `tests/fuzz`, only call them.

mod dataset;
mod executor;
mod input;
mod module;
mod op;
mod text;

pub use dataset::dataset;
pub use executor::executor;
pub use module::{module, smith, spec};
pub use op::op;
pub use text::{foreign, plan, policy};

/// A function that is fuzzed, by the name of its target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What `cargo xtask fuzz` calls it.
    pub name: &'static str,
    /// What is run.
    pub body: fn(&[u8]),
    /// How many inputs `cargo test` makes for it.
    pub inputs: u64,
}

/// All of them.
pub const TARGETS: [Target; 9] = [
    target("policy", policy, 4000),
    target("foreign", foreign, 4000),
    target("plan", plan, 4000),
    target("spec", spec, 4000),
    // Each is compiled, and some run into their limits of time.
    target("module", module, 400),
    target("smith", smith, 400),
    // Each is a file, or six.
    target("dataset", dataset, 1500),
    target("executor", executor, 4000),
    target("op", op, 4000),
];

const fn target(name: &'static str, body: fn(&[u8]), inputs: u64) -> Target {
    Target { name, body, inputs }
}
