use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;

use crate::abi::{
    STATUS_FAILED, STATUS_UNSUPPORTED_SHAPE, TABLES_BYTES, WarpNumbers, warp_numbers,
};
use crate::{Call, Channels, ImageMut, Op, OpError, OpErrorKind, Size};

/// The ops of a plugin. An op's number is its index.
pub struct Registry(pub Vec<Box<dyn Op>>);

/// The shape of an image, as the host passes it.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The number of channels.
    pub channels: u32,
}

impl Shape {
    /// `width × height × channels`; `None` if that is too large to address.
    pub fn samples(self) -> Option<usize> {
        let samples = u64::from(self.width)
            .checked_mul(u64::from(self.height))?
            .checked_mul(u64::from(self.channels))?;
        usize::try_from(samples).ok()
    }
}

impl Registry {
    /// Applies an op by its number.
    pub fn apply(
        &self,
        op: u32,
        pixels: &mut [u8],
        shape: Shape,
        value: f64,
        call: &mut Call<'_>,
    ) -> Result<(), OpError> {
        let op = self.op(op)?;
        let channels = channels(shape.channels)?;
        let (width, height) = (shape.width as usize, shape.height as usize);
        let image = ImageMut::new(pixels, width, height, channels);
        let mut image = image.map_err(|error| OpError::failed(error.to_string()))?;
        op.apply(&mut image, value, call)
    }

    /// The lookup tables of an op: red's, green's and blue's.
    pub fn lookup_tables(
        &self,
        op: u32,
        channel_count: u32,
        value: f64,
    ) -> Option<[u8; TABLES_BYTES]> {
        let op = self.op(op).ok()?;
        let tables = op.lookup_tables(value, channels(channel_count).ok()?)?;
        let mut bytes = [0; TABLES_BYTES];
        bytes.copy_from_slice(tables.tables().as_flattened());
        Some(bytes)
    }

    /// The numbers of an op's warp.
    pub fn warp(
        &self,
        op: u32,
        (width, height): (u32, u32),
        value: f64,
        seed: u64,
    ) -> Option<WarpNumbers> {
        let size = Size {
            width: width as usize,
            height: height as usize,
        };
        warp_numbers(self.op(op).ok()?.warp(value, size, seed))
    }

    /// Overwrites the field of an op, which has as many positions as the image has pixels.
    pub fn field(
        &self,
        op: u32,
        (width, height): (u32, u32),
        value: f64,
        seed: u64,
        sources: &mut [[i32; 2]],
    ) -> Result<(), OpError> {
        let size = Size {
            width: width as usize,
            height: height as usize,
        };
        self.op(op)?.field(value, size, seed, sources)
    }

    fn op(&self, op: u32) -> Result<&dyn Op, OpError> {
        let op = self.0.get(op as usize).map(AsRef::as_ref);
        op.ok_or_else(|| OpError::failed("there is no op with this number"))
    }
}

/// The status for an error.
pub fn status(error: &OpError) -> i32 {
    match error.kind() {
        OpErrorKind::UnsupportedShape { .. } => STATUS_UNSUPPORTED_SHAPE,
        _ => STATUS_FAILED,
    }
}

fn channels(count: u32) -> Result<Channels, OpError> {
    Channels::from_count(count as usize)
        .ok_or_else(|| OpError::failed("images have 1, 3 or 4 channels"))
}
