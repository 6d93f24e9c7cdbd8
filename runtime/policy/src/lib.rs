#![doc = include_str!("../README.md")]
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
//! **Masks, boxes and keypoints** ([`Targets`]) move along with the pixels, with the same draw
//! ([`Executor::apply_with_targets`]). Masks are exactly what the ops would make of them as images. An op that
//! does not say where it moves pixels ([`Op::warp`](faa_op::Op::warp)) is refused by name.
//!
//! **Features.** `builtin` (on by default): the built-in ops, for [`Executor::builtin`], and targets, since masks
//! are moved by the code of these ops. `rayon`:
//! [`Executor::apply_batch`] uses all threads of the current pool. `image`: views of the crate
//! `image`'s buffers (the module `interop`).

mod convert;
mod draw;
mod error;
mod executor;
#[cfg(feature = "image")]
pub mod interop;
mod misread;
#[cfg(feature = "builtin")]
mod movement;
mod object;
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
#[cfg(feature = "builtin")]
mod targets;
mod tree;
#[cfg(feature = "builtin")]
mod with_targets;
mod workspace;
mod write;

pub use convert::{Converted, Warning, convert};
pub use error::{
    ApplyError, MAX_BYTES, MAX_DEPTH, PolicyError, PolicyErrorKind, ReplayError, ReplayErrorKind,
};
pub use executor::Executor;
pub use partners::{PackedImages, Partners};
pub use plan::{Plan, PlannedStep};
pub use policy::{Policy, Rule, SEARCHED_OPS, Step, Strength, SubPolicy, nearest_name};
pub use provenance::Provenance;
pub use sampler::{Sampler, SamplerOp, SamplerValues};
pub use shipped::{Shipped, shipped};
#[cfg(feature = "builtin")]
pub use targets::{BoundingBox, BoxLimits, Erased, Keypoint, Mask, RotatedBox, Targets};
pub use workspace::Workspace;
