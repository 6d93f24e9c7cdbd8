use core::ops::Range;

use faa_op::{Channels, ImageMut, OpSpec, Rectangle, Size, Stream, Warp};

use crate::SimdLevel;
use crate::builtin::{builtin, implement};
use crate::color::luma;

/// The fill of [`Cutout`], and the default of [`CutoutAbs`]: about the mean colour of CIFAR-10, as in
/// the published code of AutoAugment's followers.
const FILL: [u8; 3] = [125, 123, 114];

builtin! {
    /// Paints a square at a random position in the colour (125, 123, 114).
    ///
    /// The value is the side as a fraction of the width, 0 … 0.2; at 0 or below nothing happens. L
    /// gets the luminance of the colour; RGBA gets the colour and keeps its alpha, while Pillow
    /// would make it opaque.
    ///
    /// Draws the square's centre, x and then y, as `unit()` times width and height. With
    /// `v = value · width` the square starts at `x0 = trunc(max(0, x − v / 2))` and ends, that pixel
    /// included, at `trunc(min(width, x0 + v))`, and likewise in y. So a square that is moved in at
    /// the left or top keeps its size, and one that sticks out at the right or bottom loses some.
    ///
    /// Source: the `Cutout` of Fast AutoAugment's public code, with Pillow's `ImageDraw.rectangle`.
    Cutout,
    OpSpec::new("Cutout", "erases a square at a random position").range(0.0, 0.2, "fraction of width"),
    paints cutout,
    warp erase_square
}

fn cutout(image: &mut ImageMut<'_>, value: f64, seed: u64) {
    if value > 0.0 {
        fill(image, drawn_square(value, image.size(), seed), FILL);
    }
}

fn erase_square(value: f64, size: Size, seed: u64) -> Warp {
    if value > 0.0 {
        Warp::erase(drawn_square(value, size, seed))
    } else {
        Warp::Identity
    }
}

fn drawn_square(value: f64, size: Size, seed: u64) -> Rectangle {
    let side = value * size.width as f64;
    let mut stream = Stream::for_op(seed);
    let columns = drawn_span(stream.unit(), side, size.width);
    let rows = drawn_span(stream.unit(), side, size.height);
    rectangle(columns, rows)
}

/// The pixels of one dimension that a side about `unit · length` covers when Pillow draws it.
fn drawn_span(unit: f64, side: f64, length: usize) -> Range<usize> {
    let start = (unit * length as f64 - side / 2.0).max(0.0) as usize;
    let end = (start as f64 + side) as usize;
    start..end.saturating_add(1).min(length)
}

/// Paints a square about a random pixel, clipped at the border.
///
/// The value is the side in pixels, 0 … 64, truncated to an integer; below 2 nothing happens. A
/// square about a pixel reaches half its side, rounded down, to both sides, so an odd side covers
/// one pixel less. L gets the luminance of the fill; RGBA gets the fill and keeps its alpha.
///
/// Draws the centre, x and then y, as `below(width)` and `below(height)`.
///
/// Source: DeVries and Taylor, *Improved regularization of convolutional neural networks with
/// Cutout* (2017), and its public code, which covers `centre − side / 2 .. centre + side / 2`.
#[derive(Clone, Debug)]
pub struct CutoutAbs {
    spec: OpSpec,
    fill: [u8; 3],
}

impl CutoutAbs {
    pub(crate) fn at(_: SimdLevel) -> Self {
        Self::default()
    }

    /// The op with a custom fill, such as the mean colour of a data set.
    pub fn with_fill(fill: [u8; 3]) -> Self {
        let spec = OpSpec::new("CutoutAbs", "erases a square about a random pixel");
        Self {
            spec: spec.range(0.0, 64.0, "pixels"),
            fill,
        }
    }
}

impl Default for CutoutAbs {
    /// The op with the fill of [`Cutout`].
    fn default() -> Self {
        Self::with_fill(FILL)
    }
}

implement!(
    CutoutAbs,
    |op, pixels, value, call| {
        let image = pixels.copied();
        fill(
            image,
            square_about_pixel(value, image.size(), call.seed),
            op.fill,
        );
        Ok(())
    },
    warp | value,
    size,
    seed | Warp::erase(square_about_pixel(value, size, seed))
);

fn square_about_pixel(value: f64, size: Size, seed: u64) -> Rectangle {
    let half = value as usize / 2;
    let mut stream = Stream::for_op(seed);
    let mut span = |length: usize| {
        let centre = stream.below(length as u64) as usize;
        centre.saturating_sub(half)..centre.saturating_add(half).min(length)
    };
    let (columns, rows) = (span(size.width), span(size.height));
    rectangle(columns, rows)
}

fn rectangle(columns: Range<usize>, rows: Range<usize>) -> Rectangle {
    Rectangle {
        left: columns.start,
        top: rows.start,
        right: columns.end,
        bottom: rows.end,
    }
}

fn fill(image: &mut ImageMut<'_>, area: Rectangle, color: [u8; 3]) {
    let (channels, count) = (image.channels(), image.channels().count());
    let stride = image.width() * count;
    let first = area.top * stride + area.left * count;
    let first = first..first + (area.right - area.left) * count;
    for y in 0..area.bottom - area.top {
        let start = first.start + y * stride;
        let row = &mut image.samples_mut()[start..][..first.len()];
        match channels {
            Channels::L => row.fill(luma(color)),
            Channels::Rgb if y == 0 => row.as_chunks_mut().0.fill(color),
            // Copied, because the pixels of three bytes are written one by one.
            Channels::Rgb => image.samples_mut().copy_within(first.clone(), start),
            Channels::Rgba => {
                for pixel in row.as_chunks_mut::<4>().0 {
                    pixel[..3].copy_from_slice(&color);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;
    use alloc::vec::Vec;

    use super::*;
    use crate::builtin_ops;
    use crate::testing::{apply, try_apply};

    /// The columns and rows that are painted of an image of 6 × 5 pixels.
    fn painted(name: &str, value: f64, seed: u64) -> Option<(Range<usize>, Range<usize>)> {
        let result = apply(name, value, seed, (6, 5), Channels::L, &[0; 30]);
        let painted: Vec<usize> = (0..30).filter(|&index| result[index] != 0).collect();
        let (first, last) = (painted.first()?, painted.last()?);
        // Of a rectangle, the first and the last pixel are opposite corners.
        let columns = first % 6..last % 6 + 1;
        let rows = first / 6..last / 6 + 1;
        assert_eq!(painted.len(), columns.len() * rows.len());
        Some((columns, rows))
    }

    /// The boxes of Pillow 13.0's rectangle, with draws from a Philox written apart.
    #[test]
    fn squares_lie_where_the_seed_puts_them() {
        assert_eq!(painted("Cutout", 0.5, 0), Some((0..4, 2..5)));
        assert_eq!(painted("Cutout", 0.5, 1), Some((0..4, 0..4)));
        assert_eq!(painted("Cutout", 0.5, 3), Some((2..6, 0..4)));
        assert_eq!(painted("Cutout", 0.5, 4), Some((3..6, 2..5)));
        assert_eq!(painted("CutoutAbs", 3.0, 5), Some((1..3, 1..3)));
        assert_eq!(painted("CutoutAbs", 4.9, 0), Some((0..2, 1..5)));
        assert_eq!(painted("CutoutAbs", 4.0, 3), Some((1..5, 0..2)));
        assert_eq!(painted("CutoutAbs", 1e300, 3), Some((0..6, 0..5)));
    }

    #[test]
    fn the_smallest_cutout_is_one_pixel_and_none_is_drawn_below() {
        let (columns, rows) = painted("Cutout", 5e-324, 8).unwrap();
        assert_eq!((columns.len(), rows.len()), (1, 1));
        for (name, value) in [("Cutout", 0.0), ("Cutout", -1.0), ("CutoutAbs", -9.0)] {
            assert_eq!(painted(name, value, 8), None, "{name} {value}");
        }
    }

    #[test]
    fn a_custom_fill_replaces_the_default() {
        let mut ops = builtin_ops();
        ops.replace(Arc::new(CutoutAbs::with_fill([10, 20, 30])));
        let fill = |channels: Channels| {
            let (op, source) = (ops.get("CutoutAbs").unwrap(), [99; 4]);
            let source = &source[..channels.count()];
            try_apply(op.as_ref(), 2.0, 0, (1, 1), channels, source).unwrap()
        };
        assert_eq!(fill(Channels::L), [luma([10, 20, 30])]);
        assert_eq!(fill(Channels::Rgb), [10, 20, 30]);
        assert_eq!(fill(Channels::Rgba), [10, 20, 30, 99]);
    }
}
