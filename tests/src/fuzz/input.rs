//! Pictures and numbers made from a fuzzer's bytes.
//!
//! After the last byte, all of these are as simple as possible: the smallest shape, the lowest number. So
//! a finding with fewer bytes is simpler.

use std::array;

use arbitrary::{Result, Unstructured};
use faa_op::{Channels, Stream};

use crate::ways::Picture;

/// A picture of any shape: mostly small, which is fast; sometimes of a few hundred pixels per side, from
/// which on the executor fuses lookup tables; and sometimes one pixel high or wide, and so long that
/// coordinates overflow 16.16 fixed point.
pub(super) fn picture(input: &mut Unstructured<'_>) -> Result<Picture> {
    let channels = *input.choose(&[Channels::L, Channels::Rgb, Channels::Rgba])?;
    let mut side = |max: usize| input.int_in_range(1..=max);
    let (width, height) = match side(64)? {
        1..=54 => (side(24)?, side(24)?),
        55..=58 => (side(300)?, side(24)?),
        59..=62 => (side(100)?, side(160)?),
        63 => (side(300)?, side(100)?),
        _ => (side(70_000)?, 1),
    };
    let (width, height) = match input.ratio(7_u8, 8_u8)? {
        true => (width, height),
        false => (height, width),
    };
    let [seed, low, span] = input.arbitrary()?;
    let samples = noise(seed, low, span, width * height * channels.count());
    Ok(Picture {
        samples,
        width,
        height,
        channels,
    })
}

/// A picture of this shape, always the same.
pub(super) fn sample_picture(width: usize, height: usize) -> Picture {
    Picture {
        samples: noise(0, 0, 255, width * height * 3),
        width,
        height,
        channels: Channels::Rgb,
    }
}

/// A picture of the same shape as `other`.
pub(super) fn picture_like(input: &mut Unstructured<'_>, other: &Picture) -> Result<Picture> {
    let samples = noise(input.arbitrary()?, 0, 255, other.samples.len());
    Ok(Picture { samples, ..*other })
}

/// Noise of the levels from `low` to `low + span`. A short noise is repeated, for speed. Its length is a
/// prime number, so that rows and blocks do not align with it.
fn noise(seed: u8, low: u8, span: u8, length: usize) -> Vec<u8> {
    let mut stream = Stream::for_op(seed.into());
    let sample = |word: u32| low.wrapping_add((word % (u32::from(span) + 1)) as u8);
    let period: [u8; 1021] = array::from_fn(|_| sample(stream.next_u32()));
    let mut samples = period.repeat(length.div_ceil(period.len()));
    samples.truncate(length);
    samples
}

/// A number from 0 to 1, often one of these.
pub(super) fn unit_interval(input: &mut Unstructured<'_>) -> Result<f64> {
    Ok(match input.int_in_range(0..=3)? {
        0 => 0.0,
        1 => 1.0,
        _ => f64::from(input.arbitrary::<u32>()?) / f64::from(u32::MAX),
    })
}

/// Any number; often an integer or next to one, or one of the largest or smallest numbers.
pub(super) fn number(input: &mut Unstructured<'_>) -> Result<f64> {
    let integer = |input: &mut Unstructured<'_>| Ok(f64::from(input.arbitrary::<i16>()?));
    Ok(match input.int_in_range(0..=6)? {
        0 => f64::from(input.arbitrary::<i8>()?),
        1 => integer(input)? / 256.0,
        2 => integer(input)?.next_up(),
        3 => integer(input)?.next_down(),
        4 => f64::from(input.arbitrary::<f32>()?),
        5 => *input.choose(&[f64::MAX, f64::MIN, 1e308, -1e308, 5e-324, -0.0])?,
        _ => input.arbitrary()?,
    })
}
