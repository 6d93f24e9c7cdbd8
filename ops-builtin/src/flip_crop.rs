use faa_op::{Affine, ImageMut, ImageRef, OpSpec, Size, Stream, Warp};

use crate::SimdLevel;
use crate::builtin::{builtin, stay};
use crate::pixels::by_channels;
use crate::reverse::reverse;

builtin! {
    /// Leaves the image as it is.
    ///
    /// It has no value and draws nothing from its seed.
    Identity,
    OpSpec::new("Identity", "leaves the image as it is"),
    paints identity,
    warp stay
}

builtin! {
    /// Mirrors the image left to right, always: the probability is the policy's.
    ///
    /// It has no value and draws nothing from its seed. L, RGB and RGBA alike: alpha moves with its
    /// pixel.
    ///
    /// Source: Pillow's `ImageOps.mirror`.
    FlipX,
    OpSpec::new("FlipX", "mirrors the image left to right"),
    moves flip_x,
    warp mirror_columns
}

builtin! {
    /// Mirrors the image top to bottom, always: the probability is the policy's.
    ///
    /// It has no value and draws nothing from its seed. L, RGB and RGBA alike: alpha moves with its
    /// pixel.
    ///
    /// Source: Pillow's `ImageOps.flip`.
    FlipY,
    OpSpec::new("FlipY", "mirrors the image top to bottom"),
    moves flip_y,
    warp mirror_rows
}

builtin! {
    /// Pads the image with zeros on all sides and cuts its old size out of that at a random position.
    ///
    /// The value is the padding in pixels, 0 … 16, truncated to an integer; below 1 nothing
    /// happens. L, RGB and RGBA alike: alpha moves with its pixel, and the padding is 0 in every
    /// channel.
    ///
    /// Draws two offsets, that of x and then that of y, each as `below(2 · padding + 1)`: the pixel
    /// at (x, y) is taken from (x + offset − padding) of the old columns, and likewise of the rows.
    ///
    /// Source: the random crop of the usual training pipeline for CIFAR, torchvision's
    /// `RandomCrop(size, padding)`.
    CropPad,
    OpSpec::new("CropPad", "pads with zeros and crops back at a random position")
        .range(0.0, 16.0, "pixels"),
    moves crop_pad,
    warp crop
}

fn identity(_: &mut ImageMut<'_>, _: f64, _: u64) {}

fn flip_x(level: SimdLevel, source: ImageRef<'_>, image: &mut ImageMut<'_>, _: f64, _: u64) {
    by_channels!(image.channels(), N => for (y, row) in source.rows().enumerate() {
        reverse::<N>(level, row.as_chunks().0, image.row_mut(y).as_chunks_mut().0);
    });
}

fn mirror_columns(_: f64, size: Size, _: u64) -> Warp {
    Warp::Affine(Affine([-1.0, 0.0, size.width as f64, 0.0, 1.0, 0.0]))
}

fn flip_y(_: SimdLevel, source: ImageRef<'_>, image: &mut ImageMut<'_>, _: f64, _: u64) {
    let last = image.height() - 1;
    for (y, row) in source.rows().enumerate() {
        image.row_mut(last - y).copy_from_slice(row);
    }
}

fn mirror_rows(_: f64, size: Size, _: u64) -> Warp {
    Warp::Affine(Affine([1.0, 0.0, 0.0, 0.0, -1.0, size.height as f64]))
}

fn crop_pad(_: SimdLevel, source: ImageRef<'_>, image: &mut ImageMut<'_>, value: f64, seed: u64) {
    let [right, down] = crop_offsets(value, seed);
    let columns = overlap(right, image.width());
    let rows = overlap(down, image.height());
    let channels = image.channels().count();
    let start = columns.to * channels;
    let end = start + columns.length * channels;
    let mut from_rows = source.rows().skip(rows.from);
    for y in 0..image.height() {
        let row = image.row_mut(y);
        if !(rows.to..rows.to + rows.length).contains(&y) {
            row.fill(0);
        } else if let Some(from) = from_rows.next() {
            row[..start].fill(0);
            row[start..end].copy_from_slice(&from[columns.from * channels..][..end - start]);
            row[end..].fill(0);
        }
    }
}

/// How far to the right and down of its own place a pixel is taken from.
fn crop_offsets(value: f64, seed: u64) -> [i64; 2] {
    // Far less than 2³² pixels of padding move any image out of sight.
    let padding = value as u32;
    let mut stream = Stream::for_op(seed);
    [(); 2].map(|()| stream.below(2 * u64::from(padding) + 1) as i64 - i64::from(padding))
}

fn crop(value: f64, _: Size, seed: u64) -> Warp {
    let [right, down] = crop_offsets(value, seed);
    Warp::Affine(Affine([1.0, 0.0, right as f64, 0.0, 1.0, down as f64]))
}

/// The part of a row or column that is still there when index `to` is taken from `to + distance`.
fn overlap(distance: i64, length: usize) -> Overlap {
    let away = usize::try_from(distance.unsigned_abs()).map_or(length, |away| away.min(length));
    let (from, to) = if distance > 0 { (away, 0) } else { (0, away) };
    let length = length - away;
    Overlap { from, to, length }
}

struct Overlap {
    from: usize,
    to: usize,
    length: usize,
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use faa_op::Channels;

    use crate::testing::{apply, noise};

    #[test]
    fn flipping_reverses_pixels_not_samples() {
        let source = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        let result = apply("FlipX", 0.0, 0, (2, 2), Channels::Rgb, &source);
        assert_eq!(result, [4, 5, 6, 1, 2, 3, 10, 11, 12, 7, 8, 9]);
        let source = noise((5, 3), Channels::Rgba);
        let flip = |source: &[u8]| apply("FlipX", 0.0, 0, (5, 3), Channels::Rgba, source);
        assert_ne!(flip(&source), source);
        assert_eq!(flip(&flip(&source)), source);
        let source = [1, 2, 3, 4, 5, 6];
        let result = apply("FlipY", 0.0, 0, (2, 3), Channels::L, &source);
        assert_eq!(result, [5, 6, 3, 4, 1, 2]);
    }

    #[test]
    fn crops_are_taken_at_the_offsets_that_the_seed_gives() {
        let source: Vec<u8> = (1..=30).collect();
        let crop = |value, seed| apply("CropPad", value, seed, (6, 5), Channels::L, &source);
        // The offsets are 0 and 3, then 3 and 0, in a Philox written apart.
        #[rustfmt::skip]
        assert_eq!(crop(2.9, 0), [
            0, 0, 7, 8, 9, 10,
            0, 0, 13, 14, 15, 16,
            0, 0, 19, 20, 21, 22,
            0, 0, 25, 26, 27, 28,
            0, 0, 0, 0, 0, 0,
        ]);
        #[rustfmt::skip]
        assert_eq!(crop(2.0, 3), [
            0, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0,
            2, 3, 4, 5, 6, 0,
            8, 9, 10, 11, 12, 0,
            14, 15, 16, 17, 18, 0,
        ]);
    }

    #[test]
    fn every_offset_occurs() {
        let source = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        let mut results: Vec<_> = (0..50)
            .map(|seed| apply("CropPad", 1.0, seed, (3, 3), Channels::L, &source))
            .collect();
        results.sort();
        results.dedup();
        assert_eq!(results.len(), 9);
    }
}
