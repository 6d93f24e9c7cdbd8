use core::slice;

use faa_op::{Affine, Size};

use crate::SimdLevel;
use crate::affine::{Source, sample};

/// A label of a mask: `u8` or `u16`.
pub trait Label: Copy + private::Label {}

impl Label for u8 {}
impl Label for u16 {}

/// Fills `labels`, a mask of this size, with those of `source`, of the same size, that lie where `map` leads by
/// [the rule of Pillow](Affine#sampling), or with `fill` where that is outside.
///
/// Geometric ops move images by the same function, so a mask moves exactly as they do.
///
/// # Panics
///
/// If a mask does not have `width × height` labels, at least one.
pub fn move_labels<L: Label>(map: &Affine, source: &[L], labels: &mut [L], size: Size, fill: L) {
    let area = size.width.checked_mul(size.height);
    let expected = area.filter(|&area| area > 0).expect("a mask has labels");
    assert_eq!(
        [source.len(), labels.len()],
        [expected; 2],
        "a label per pixel"
    );
    L::move_all(map, source, labels, size, fill);
}

mod private {
    use super::{Affine, Size};

    pub trait Label: Sized {
        fn move_all(map: &Affine, source: &[Self], labels: &mut [Self], size: Size, fill: Self);
    }
}

impl private::Label for u8 {
    fn move_all(map: &Affine, source: &[u8], labels: &mut [u8], size: Size, fill: u8) {
        move_pixels::<1>(map, source, labels.as_chunks_mut().0, size, [fill]);
    }
}

impl private::Label for u16 {
    #[expect(
        unsafe_code,
        reason = "labels of two bytes are moved as pixels of two bytes"
    )]
    fn move_all(map: &Affine, source: &[u16], labels: &mut [u16], size: Size, fill: u16) {
        // SAFETY: two bytes of any content are a `u16`, any bytes of one are bytes, bytes can lie anywhere, and
        // the slices keep their places and lengths.
        let (source, labels) = unsafe {
            (
                slice::from_raw_parts(source.as_ptr().cast::<u8>(), source.len() * 2),
                slice::from_raw_parts_mut(labels.as_mut_ptr().cast::<[u8; 2]>(), labels.len()),
            )
        };
        move_pixels(map, source, labels, size, fill.to_ne_bytes());
    }
}

fn move_pixels<const N: usize>(
    map: &Affine,
    samples: &[u8],
    pixels: &mut [[u8; N]],
    size: Size,
    fill: [u8; N],
) {
    let stride = size.width * N;
    let source = Source {
        samples,
        stride,
        size,
    };
    sample(SimdLevel::best(), source, pixels, map.0, fill);
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;
    use alloc::vec::Vec;

    use faa_op::{Channels, Op, Rectangle, Stream, Warp};

    use super::*;
    use crate::builtin_ops;
    use crate::testing::try_apply;

    const CASES: usize = if cfg!(miri) { 30 } else { 10_000 };

    /// A random value for an op: within its range, beyond it, and where exact paths and absurd matrices begin.
    fn random_value(op: &dyn Op, stream: &mut Stream) -> f64 {
        const SPECIAL: [f64; 10] = [
            0.0,
            90.0,
            180.0,
            270.0,
            -90.0,
            1.0,
            0.5,
            -1e9,
            1e300,
            f64::MAX,
        ];
        let Some(range) = op.spec().value_range() else {
            return 0.0;
        };
        match stream.below(10) {
            0 => SPECIAL[stream.below(10) as usize],
            1 | 2 => 10.0 * range.value_at(stream.unit()),
            _ => range.value_at(stream.unit()),
        }
    }

    /// A random size of at most so many pixels, and now and then a square.
    fn random_size(max: usize, stream: &mut Stream) -> Size {
        let mut side = |max: usize| 1 + stream.below(max as u64) as usize;
        let width = side(if cfg!(miri) { 9 } else { max.isqrt() * 2 });
        let square = side(4) == 1 && width * width <= max;
        let height = if square {
            width
        } else {
            side((max / width).min(300))
        };
        Size { width, height }
    }

    /// What an op makes of labels as pixels of one channel.
    fn by_the_op(op: &dyn Op, value: f64, seed: u64, size: Size, labels: &[u8]) -> Vec<u8> {
        let shape = (size.width, size.height);
        try_apply(op, value, seed, shape, Channels::L, labels).unwrap()
    }

    /// Every label is different, so this holds for each pixel alone. An op moves two bytes of a label as two
    /// images, and where it brings in nothing both are 0, which is no label.
    #[test]
    fn labels_go_where_the_op_moves_the_pixels() {
        let ops = builtin_ops();
        let stream = &mut Stream::for_op(2);
        let geometric: Vec<_> = (ops.iter())
            .filter(|op| {
                let value = op.spec().value_range().map_or(0.0, |range| range.high);
                let size = Size {
                    width: 9,
                    height: 7,
                };
                matches!(op.warp(value, size, 0), Warp::Affine(_))
            })
            .collect();
        let names: Vec<_> = geometric.iter().map(|op| op.spec().name()).collect();
        let expected = "ShearX ShearY TranslateX TranslateY Rotate FlipX FlipY CropPad TranslateXAbs TranslateYAbs";
        assert_eq!(names.join(" "), expected);
        for case in 0..CASES {
            let op = geometric[stream.below(geometric.len() as u64) as usize].as_ref();
            let (value, seed) = (random_value(op, stream), stream.next_u64());
            let wide = case % 2 == 0;
            let size = random_size(if wide { 65_535 } else { 255 }, stream);
            let Warp::Affine(map) = op.warp(value, size, seed) else {
                panic!("{} {value}", op.spec().name());
            };
            let context = format!("{} {value} {seed} {size:?}", op.spec().name());
            let labels: Vec<u16> = (1..=(size.width * size.height) as u16).collect();
            let byte = |index: usize| -> Vec<u8> {
                let bytes: Vec<u8> = (labels.iter())
                    .map(|label| label.to_le_bytes()[index])
                    .collect();
                by_the_op(op, value, seed, size, &bytes)
            };
            let fill = 60_123;
            let truth = byte(0).into_iter().zip(byte(1)).map(|(low, high)| {
                let label = u16::from_le_bytes([low, high]);
                if label == 0 { fill } else { label }
            });
            let truth: Vec<u16> = truth.collect();
            let mut moved = vec![7; labels.len()];
            move_labels(&map, &labels, &mut moved, size, fill);
            assert!(moved == truth, "{context}");
            if !wide {
                let narrow = |labels: &[u16]| -> Vec<u8> {
                    labels
                        .iter()
                        .map(|&label| if label == fill { 9 } else { label as u8 })
                        .collect()
                };
                let mut moved = vec![7; labels.len()];
                move_labels(&map, &narrow(&labels), &mut moved, size, 9);
                assert!(moved == narrow(&truth), "{context}");
            }
        }
    }

    #[test]
    fn exactly_the_erased_pixels_are_painted() {
        let ops = builtin_ops();
        let stream = &mut Stream::for_op(3);
        for _ in 0..CASES {
            let op = ops
                .get(["Cutout", "CutoutAbs"][stream.below(2) as usize])
                .unwrap();
            let (value, seed) = (random_value(op.as_ref(), stream), stream.next_u64());
            let size = random_size(900, stream);
            let area = match op.warp(value, size, seed) {
                Warp::Erase(area) => area,
                Warp::Identity => Rectangle {
                    left: 0,
                    top: 0,
                    right: 0,
                    bottom: 0,
                },
                other => panic!("{other:?}"),
            };
            let painted = by_the_op(
                op.as_ref(),
                value,
                seed,
                size,
                &vec![0; size.width * size.height],
            );
            for (index, &level) in painted.iter().enumerate() {
                let (x, y) = (index % size.width, index / size.width);
                let inside =
                    (area.left..area.right).contains(&x) && (area.top..area.bottom).contains(&y);
                assert_eq!(
                    level != 0,
                    inside,
                    "{} {value} {size:?} {area:?}",
                    op.spec().name()
                );
            }
        }
    }

    #[test]
    fn every_other_op_leaves_pixels_in_their_places() {
        let (size, seed) = (
            Size {
                width: 9,
                height: 7,
            },
            1,
        );
        let ops = builtin_ops();
        let staying = ops.iter().filter(|op| {
            let value = op.spec().value_range().map_or(0.0, |range| range.high);
            op.warp(value, size, seed) == Warp::Identity
        });
        let names: Vec<_> = staying.map(|op| op.spec().name()).collect();
        assert_eq!(
            names.join(" "),
            "AutoContrast Invert Equalize Solarize Posterize Contrast Color Brightness Sharpness SamplePairing \
             Identity SolarizeAdd PosterizeBits"
        );
        for op in ops.iter().filter(|op| op.spec().value_range().is_some()) {
            assert_eq!(
                op.warp(f64::NAN, size, seed),
                Warp::Unknown,
                "{}",
                op.spec().name()
            );
        }
    }

    /// The numbers of the map itself, which boxes and points follow: a square image's own corners are turned.
    #[test]
    fn maps_of_exact_moves_are_exact() {
        let ops = builtin_ops();
        let size = Size {
            width: 8,
            height: 8,
        };
        let map = |name: &str, value: f64| match ops.get(name).unwrap().warp(value, size, 0) {
            Warp::Affine(map) => map,
            other => panic!("{other:?}"),
        };
        // The upper right corner comes from the lower right one if the image is turned left.
        assert_eq!(map("Rotate", -90.0).map([8.0, 0.0]), [0.0, 0.0]);
        assert_eq!(map("Rotate", 90.0).map([8.0, 0.0]), [8.0, 8.0]);
        assert_eq!(map("Rotate", 180.0).map([8.0, 0.0]), [0.0, 8.0]);
        assert_eq!(map("FlipX", 0.0).map([8.0, 3.0]), [0.0, 3.0]);
        assert_eq!(map("FlipY", 0.0).map([2.0, 0.0]), [2.0, 8.0]);
        assert_eq!(map("Rotate", 360.0), Affine::IDENTITY);
    }

    #[test]
    #[should_panic(expected = "a label per pixel")]
    fn masks_of_another_size_are_refused() {
        let size = Size {
            width: 2,
            height: 2,
        };
        move_labels(&Affine::IDENTITY, &[1_u8; 4], &mut [0; 3], size, 0);
    }
}
