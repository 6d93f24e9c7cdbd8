#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;

pub mod abi;
mod call;
mod error;
mod image;
pub mod math;
mod set;
mod shape;
mod spec;
mod stream;
mod tables;
pub mod text;
mod warp;

pub use call::{Call, Scratch};
pub use error::{OpError, OpErrorKind, OpResult};
pub use image::{ImageMut, ImageRef};
pub use set::{DuplicateOp, OpSet};
pub use shape::{Channels, ShapeError, ShapeErrorKind};
pub use spec::{OpSpec, ValueRange};
pub use stream::{DrawKey, Stream};
pub use tables::LookupTables;
pub use warp::{Affine, FIELD_ONE, Point, Rectangle, Size, Warp};

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
    fn apply(&self, image: &mut ImageMut<'_>, value: f64, call: &mut Call<'_>) -> OpResult;

    /// Overwrites `image` with what [`Op::apply`] makes of `source`, an image of the same shape.
    ///
    /// The same bytes as a copy followed by `apply`, which is the default. An op that reads each pixel
    /// once can save the copy.
    ///
    /// # Errors
    ///
    /// [`OpErrorKind::SourceShape`], and what `apply` returns.
    fn apply_from(
        &self,
        source: ImageRef<'_>,
        image: &mut ImageMut<'_>,
        value: f64,
        call: &mut Call<'_>,
    ) -> OpResult {
        image
            .copy_from(source)
            .map_err(|_| OpErrorKind::SourceShape)?;
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

    /// Where the op takes the pixels of its result from, for an image of this size, so that masks, boxes and
    /// keypoints can follow ([`Warp`]).
    ///
    /// What it says holds for every image of the size, whatever it shows, and for [`Op::apply`] with the same
    /// value and seed. By default nothing is known, and an executor refuses to move anything along with such an
    /// op. An op that only changes colours, or mixes them with those of a partner, is [`Warp::Identity`].
    /// [`Warp::Unknown`] also for a value that `apply` would refuse.
    fn warp(&self, value: f64, size: Size, seed: u64) -> Warp {
        let _ = (value, size, seed);
        Warp::Unknown
    }

    /// Where each pixel of the result is taken from, if [`Op::warp`] says [`Warp::Field`] for these arguments.
    ///
    /// Overwrites `sources`, one [position](Point) x, y for each pixel of an image of this size, in rows from the top,
    /// in units of 1/256 pixel ([`FIELD_ONE`]), rounded down. `Op::apply` makes every pixel of the result the pixel
    /// of the source in which its position lies, and a position outside the image means that nothing is taken from it.
    /// Positions of neighbours are expected to be close to each other, as points and boxes follow what lies between
    /// them.
    ///
    /// # Errors
    ///
    /// By default [`OpErrorKind::UnknownWarp`], and whatever the op cannot do.
    fn field(&self, value: f64, size: Size, seed: u64, sources: &mut [[i32; 2]]) -> OpResult {
        let _ = (value, size, seed, sources);
        Err(OpErrorKind::UnknownWarp.into())
    }
}
