//! Fuzz targets: functions that take any bytes, and panic if something is wrong.
//!
//! They are ordinary functions, so that they stay tested: `tests/tests/fuzzing.rs` runs them on seeds, on
//! former findings and on thousands of generated inputs, without a fuzzer. The targets in `tests/fuzz` only
//! call them.

mod annotations;
mod dataset;
mod executor;
mod image;
mod input;
mod module;
mod op;
mod targets;
mod text;

pub use annotations::{coco, mask, yolo};
pub use dataset::dataset;
pub use executor::executor;
pub use image::image;
pub use module::{module, smith, spec};
pub use op::op;
pub use targets::targets;
pub use text::{convert, plan, policy};

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name in `cargo xtask fuzz`.
    pub name: &'static str,
    /// The function.
    pub body: fn(&[u8]),
    /// The number of inputs that `cargo test` generates for it.
    pub inputs: u64,
}

/// All targets.
pub const TARGETS: [Target; 14] = [
    target("policy", policy, 4000),
    target("convert", convert, 4000),
    target("plan", plan, 4000),
    target("spec", spec, 4000),
    // Each input is compiled, and some reach the time limit.
    target("module", module, 400),
    target("smith", smith, 400),
    // Each input is written to up to six files.
    target("dataset", dataset, 1500),
    target("image", image, 4000),
    target("coco", coco, 4000),
    target("yolo", yolo, 4000),
    target("mask", mask, 4000),
    target("executor", executor, 4000),
    target("targets", targets, 4000),
    target("op", op, 4000),
];

const fn target(name: &'static str, body: fn(&[u8]), inputs: u64) -> Target {
    Target { name, body, inputs }
}
