//! Augmentation policies: the file format, and the executor that applies them.
//!
//! ```
//! use faa_op::{Channels, DrawKey, ImageMut, ImageRef};
//! use faa_policy::{Executor, Policy, Workspace};
//!
//! // Or a shipped one: faa_policy::shipped().
//! let policy = Policy::parse(
//!     br#"{"format": "faa-policy", "version": 1, "name": "example", "sub_policies": [
//!         [{"op": "Rotate", "probability": 0.8, "magnitude": 0.7},
//!          {"op": "Brightness", "probability": 0.5, "value": 1.3}]
//!     ]}"#,
//! )?;
//! let executor = Executor::builtin(&policy)?; // Once; it is Send + Sync.
//! let workspace = &mut Workspace::new(); // One per thread.
//!
//! // One image, in place: pass 0 of a training with seed 1 over image 7 of the data set.
//! let mut pixels = vec![128; 32 * 32 * 3];
//! let mut image = ImageMut::new(&mut pixels, 32, 32, Channels::Rgb)?;
//! let key = DrawKey { seed: 1, epoch: 0, index: 7 };
//! executor.apply(&mut image, key, workspace)?;
//!
//! // From a decoder's buffer into a batch's.
//! let decoded = vec![128; 32 * 32 * 3];
//! let decoded = ImageRef::new(&decoded, 32, 32, Channels::Rgb)?;
//! executor.apply_to(decoded, &mut image, key, workspace)?;
//!
//! // A batch, on all cores with the feature `rayon`.
//! let mut batch = vec![128; 64 * 32 * 32 * 3];
//! let mut images = Vec::new();
//! for (index, pixels) in (0..).zip(batch.chunks_exact_mut(32 * 32 * 3)) {
//!     let image = ImageMut::new(pixels, 32, 32, Channels::Rgb)?;
//!     images.push((DrawKey { seed: 1, epoch: 0, index }, image));
//! }
//! executor.apply_batch(&mut images, workspace)?;
//! # drop(images);
//! assert_eq!(pixels, batch[7 * 32 * 32 * 3..][..32 * 32 * 3]);
//!
//! // What was drawn, to be logged, and replayed without the policy.
//! let line = executor.plan(key, workspace).to_json();
//! let plan = faa_policy::Plan::parse(line.as_bytes())?;
//! let mut again = vec![128; 32 * 32 * 3];
//! let mut image = ImageMut::new(&mut again, 32, 32, Channels::Rgb)?;
//! plan.replay(&faa_ops_builtin::builtin_ops(), &mut image, workspace)?;
//! assert_eq!(again, pixels);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A custom op is an implementation of [`Op`](faa_op::Op) in the set that the executor is
//! built with:
//!
//! ```
//! use std::sync::Arc;
//!
//! use faa_op::{Call, ImageMut, Op, OpError, OpSpec};
//! use faa_policy::{Executor, Policy};
//!
//! /// Darkens random rows; the value is how many.
//! struct Scanlines(OpSpec);
//!
//! impl Op for Scanlines {
//!     fn spec(&self) -> &OpSpec {
//!         &self.0
//!     }
//!
//!     fn apply(&self, image: &mut ImageMut<'_>, value: f64, call: &mut Call<'_>) -> Result<(), OpError> {
//!         let mut stream = call.stream(); // All of an op's randomness comes from its seed.
//!         for _ in 0..value as usize {
//!             let y = stream.below(image.height() as u64) as usize;
//!             image.row_mut(y).iter_mut().for_each(|sample| *sample /= 2);
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let mut ops = faa_ops_builtin::builtin_ops();
//! let spec = OpSpec::new("Scanlines", "darkens some rows").range(0.0, 20.0, "rows");
//! ops.insert(Arc::new(Scanlines(spec)))?;
//! let policy = Policy::parse(
//!     br#"{"format": "faa-policy", "version": 1, "name": "mine", "sampler": {
//!         "count": 2, "bins": 31, "ops": [
//!             {"op": "Scanlines"},
//!             {"op": "Rotate", "low": 0, "high": 135, "centre": 0},
//!             {"op": "Identity"}]}}"#,
//! )?;
//! let executor = Executor::new(&policy, &ops)?;
//! # assert_eq!(executor.partner_op(), None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **What is different.** In torchvision's or timm's random augmentation, draws depend on a global
//! generator. Here a draw depends only on the seed, the epoch and the image's index, and never on
//! threads, batches or earlier draws; [`Executor`] documents every number that is drawn. Pixels are
//! Pillow's, byte for byte. Ops such as SamplePairing, which mix in a partner image, choose from the
//! images that the workspace was given ([`Workspace::with_partners`]); without any, applying the policy
//! is an error, and the op is not silently skipped. With serde a [`Policy`] and a [`Plan`] are the JSON
//! of their files.
//!
//! **Untrusted input.** [`Policy::parse`], [`Plan::parse`] and [`convert`] refuse whatever is
//! malformed with an error that names its path, and never panic or clamp; so does deserialising. They
//! read at most [`MAX_BYTES`] bytes, nested at most [`MAX_DEPTH`] levels deep. Error messages are short
//! and safe to print to a terminal. A policy can ask for as many ops per image as fit into a file of
//! that size, so the time per image is bounded by the file, not by the format.
//!
//! **Features.** `builtin` (on by default): the built-in ops, for [`Executor::builtin`]. `rayon`:
//! [`Executor::apply_batch`] uses all threads of the current pool. `image`: views of the crate
//! `image`'s buffers (the module `interop`).

mod convert;
mod draw;
mod error;
mod executor;
#[cfg(feature = "image")]
pub mod interop;
mod one_pass;
mod parse;
mod partners;
mod plan;
mod policy;
mod provenance;
mod resolve;
mod sampler;
mod shipped;
mod steps;
mod tree;
mod workspace;
mod write;

pub use convert::{Converted, Warning, convert};
pub use error::{ApplyError, PolicyError, PolicyErrorKind, ReplayError, ReplayErrorKind};
pub use executor::Executor;
pub use partners::{PackedImages, Partners};
pub use plan::{Plan, PlannedStep};
pub use policy::{Policy, Rule, SEARCHED_OPS, Step, Strength, SubPolicy, nearest_name};
pub use provenance::Provenance;
pub use sampler::{Sampler, SamplerOp, SamplerValues};
pub use shipped::{Shipped, shipped};
pub use tree::{MAX_BYTES, MAX_DEPTH};
pub use workspace::Workspace;

/// The example of the README, run as a test.
#[cfg(all(doctest, feature = "builtin"))]
#[doc = include_str!("../../../README.md")]
mod readme {}
