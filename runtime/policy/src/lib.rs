#![doc = include_str!("../README.md")]
//!
//! **What is different.** Unlike in torchvision's or timm's random augmentation, a draw depends on
//! the seed, the epoch and the image's index alone, and never on threads, batches or what was drawn
//! before; [`Executor`] documents every number that is drawn. Pixels are Pillow's, byte for byte.
//! Ops such as SamplePairing, which mix another image in, are given a set of images to choose from
//! ([`Executor::with_partners`]); without one they are an error and not skipped.
//!
//! **Untrusted input.** [`Policy::parse`], [`Plan::parse`] and [`convert`] refuse what is malformed
//! with an error that names the place, and never panic or clamp. They read at most [`MAX_BYTES`]
//! bytes with at most [`MAX_DEPTH`] levels. A policy can ask for as many ops an image as fit into
//! that size, so how long an image takes is bounded by the file and not by the format.
//!
//! **Features.** `builtin` (on by default): the built-in ops, for [`Executor::builtin`]. `rayon`:
//! [`Executor::apply_batch`] on all threads of the current pool. `image`: buffers of the crate
//! `image` as images of this one (the module `interop`).

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
