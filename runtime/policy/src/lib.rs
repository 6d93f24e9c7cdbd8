//! Augmentation policies: the file format, and the executor that applies them.
//!
//! ```
//! use faa_op::{Channels, DrawKey, ImageMut};
//! use faa_policy::{Executor, Policy, Workspace};
//!
//! let policy = Policy::parse(
//!     br#"{"format": "faa-policy", "version": 1, "name": "example", "sub_policies": [
//!         [{"op": "Rotate", "probability": 0.8, "magnitude": 0.7},
//!          {"op": "Brightness", "probability": 0.5, "magnitude": 0.4}]
//!     ]}"#,
//! )?;
//! let executor = Executor::builtin(&policy)?;
//!
//! let mut pixels = vec![128; 32 * 32 * 3];
//! let mut image = ImageMut::new(&mut pixels, 32, 32, Channels::Rgb)?;
//! let key = DrawKey { seed: 1, epoch: 0, index: 7 };
//! let plan = executor.plan(key); // What will be applied, to be logged or replayed.
//! executor.apply(&mut image, key, &mut Workspace::new())?;
//! # assert_eq!(plan.sub_policy, Some(0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Unlike torchvision's or timm's random augmentation, a draw here depends on the seed, the epoch
//! and the image's index alone, and never on threads, batches or what was drawn before.
//!
//! **Untrusted input.** [`Policy::parse`] refuses what is malformed with an error that names the
//! place, and never panics; a file may have 1 MiB.

mod convert;
mod draw;
mod error;
mod executor;
#[cfg(feature = "image")]
pub mod interop;
mod parse;
mod partners;
mod plan;
mod points;
mod policy;
mod resolve;
mod sampler;
mod shipped;
mod steps;
mod tree;
mod workspace;
mod write;

pub use convert::{Converted, Warning, convert};
pub use error::{ApplyError, PolicyError, Problem, ReplayError};
pub use executor::{Executor, Paired};
pub use partners::{PackedImages, Partners};
pub use plan::{Plan, PlannedStep};
pub use policy::{Policy, Provenance, Rule, Step, Strength, SubPolicy, nearest_name};
pub use sampler::{Sampler, SamplerOp, SamplerValues};
pub use shipped::{Shipped, shipped};
pub use tree::{MAX_BYTES, MAX_DEPTH};
pub use workspace::Workspace;

/// The example of the README, run as a test.
#[cfg(all(doctest, feature = "builtin"))]
#[doc = include_str!("../../../README.md")]
mod readme {}
