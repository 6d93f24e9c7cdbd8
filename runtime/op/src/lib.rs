//! The trait of faa-runtime's image operations, [`Op`], and the few types that it uses.
//!
//! ```
//! use faa_op::{Call, Channels, ImageMut, Op, OpError, OpSpec, Scratch};
//!
//! struct Threshold(OpSpec);
//!
//! impl Op for Threshold {
//!     fn spec(&self) -> &OpSpec {
//!         &self.0
//!     }
//!
//!     fn apply(&self, image: &mut ImageMut<'_>, value: f64, _: &mut Call<'_>) -> Result<(), OpError> {
//!         for sample in image.samples_mut() {
//!             *sample = if f64::from(*sample) < value { 0 } else { 255 };
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let op = Threshold(OpSpec::new("Threshold", "black below, white above").range(0.0, 255.0, "level"));
//! let mut pixels = [10, 200, 128, 90];
//! let mut image = ImageMut::new(&mut pixels, 2, 2, Channels::L)?;
//! op.apply(&mut image, 100.0, &mut Call::new(0, &mut Scratch::new()))?;
//! assert_eq!(pixels, [0, 255, 255, 0]);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! An op changes an 8-bit image in place. It is given everything that it may depend on: the pixels, a
//! value in the op's own unit, and a [`Call`] that holds a seed and working memory. So the same source
//! gives the same bytes whether it is compiled in, built to WebAssembly, or loaded as a native
//! library.
//!
//! **What is different.** Unlike torchvision's or timm's transforms, an op draws nothing from a global
//! generator: all its randomness comes from the call's seed. It is never skipped "with a probability",
//! and it does not choose its own strength: a policy decides both. It works on bytes, not on floats,
//! and keeps the image's size. The crate `faa-ops-builtin` has the usual ops, `faa-policy` applies
//! policies of them.
//!
//! **Untrusted input.** Views check their shape when they are made, without overflow, so an op cannot
//! be given an image whose pixels are missing. [`text::clean`] makes text from strangers fit for a
//! terminal. What an op's own code does with an image is up to the op: to run one that is not trusted,
//! use a plugin and the crate `faa-plugin`.
//!
//! The crate needs no `std`.

#![no_std]

extern crate alloc;

pub mod abi;
mod call;
mod error;
mod image;
pub mod math;
mod set;
mod spec;
mod stream;
mod tables;
pub mod text;

pub use call::{Call, Scratch};
pub use error::{OpError, ShapeError};
pub use image::{Channels, ImageMut, ImageRef};
pub use set::{DuplicateOp, OpSet};
pub use spec::{OpSpec, ValueRange};
pub use stream::{DrawKey, Stream};
pub use tables::LookupTables;

/// One image transformation.
///
/// An implementation is a pure function of its arguments: the same image, value, seed and partner
/// give the same bytes, on every machine and whatever was computed before.
pub trait Op: Send + Sync {
    /// The op's name, summary and range of values; the same on every call.
    fn spec(&self) -> &OpSpec;

    /// Changes `image` in place.
    ///
    /// `value` is in the op's own unit and is finite; it may lie outside the range of the
    /// specification, which only bounds what policies and searches use. Ops without a value
    /// ignore it.
    ///
    /// # Errors
    ///
    /// Whatever the op cannot do, as an [`OpError`]. The image may then hold anything.
    fn apply(
        &self,
        image: &mut ImageMut<'_>,
        value: f64,
        call: &mut Call<'_>,
    ) -> Result<(), OpError>;

    /// Overwrites `image` with what [`Op::apply`] makes of `source`, an image of the same shape.
    ///
    /// The same bytes as a copy followed by `apply`, which is the default. An op that reads each pixel
    /// once can save the copy.
    ///
    /// # Errors
    ///
    /// [`OpError::SourceShape`], and what `apply` returns.
    fn apply_from(
        &self,
        source: ImageRef<'_>,
        image: &mut ImageMut<'_>,
        value: f64,
        call: &mut Call<'_>,
    ) -> Result<(), OpError> {
        image.copy_from(source).map_err(|_| OpError::SourceShape)?;
        self.apply(image, value, call)
    }

    /// The op's tables, if all that it does to a sample follows from the sample's channel and level
    /// and from `value`: neighbouring point ops are then one pass over the pixels.
    ///
    /// Applying the tables gives the same bytes as [`Op::apply`] with any seed. `None` also if
    /// `apply` would fail.
    fn lookup_tables(&self, value: f64, channels: Channels) -> Option<LookupTables> {
        let _ = (value, channels);
        None
    }
}
