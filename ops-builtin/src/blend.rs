//! Blending of two levels by a factor, as Pillow's `Image.blend` has it, in single precision or, with the
//! same results, in integers of 16 bits.

use core::ops::RangeInclusive;

use crate::SimdLevel;
use crate::simd::each_level;
use crate::simd::sets::Compiled;

#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod x86;

/// A level on the line from `base` at factor 0 to `level` at factor 1: Pillow's `Image.blend`, which
/// computes in single precision, truncates, and clips outside 0 … 1.
///
/// A factor that overflows an `f32` makes NaN of equal levels and so 0, here as there; but there it
/// does that to alpha too.
#[inline(always)]
#[expect(
    unsafe_code,
    reason = "a checked conversion to an integer is not vectorised"
)]
pub(crate) fn blend(base: u8, level: u8, factor: f32) -> u8 {
    let (base, level) = (f32::from(base), f32::from(level));
    let blended = base + factor * (level - base);
    // Written so that each comparison is one instruction, and NaN becomes 0.
    let blended = if blended > 0.0 { blended } else { 0.0 };
    let blended = if blended < 255.0 { blended } else { 255.0 };
    // SAFETY: it is a number from 0 to 255.
    unsafe { blended.to_int_unchecked::<i32>() as u8 }
}

/// A way to compute [`blend`] with one factor.
pub(crate) trait Blend: Copy {
    /// Blends bases with as many levels, a multiple of 64.
    fn blend<const B: usize>(
        self,
        set: impl BlendIntegers,
        bases: &[u8; B],
        levels: &[u8; B],
    ) -> [u8; B];
}

/// The way that suits a factor and an image.
#[derive(Clone, Copy)]
pub(crate) enum Blending {
    InFloats(InFloats),
    InIntegers(InIntegers),
}

/// The smallest image, in samples, for which looking for the constants of [`InIntegers`] pays.
const MIN_SAMPLES: usize = 2048;

impl Blending {
    /// The faster way that is right for these bases and all levels.
    pub(crate) fn new(
        level: SimdLevel,
        factor: f32,
        bases: RangeInclusive<u8>,
        samples: usize,
    ) -> Self {
        let integers = (samples >= MIN_SAMPLES)
            .then(|| InIntegers::find(level, factor, bases))
            .flatten();
        integers.map_or(Self::InFloats(InFloats(factor)), Self::InIntegers)
    }
}

#[derive(Clone, Copy)]
pub(crate) struct InFloats(f32);

impl Blend for InFloats {
    #[inline(always)]
    fn blend<const B: usize>(
        self,
        _: impl BlendIntegers,
        bases: &[u8; B],
        levels: &[u8; B],
    ) -> [u8; B] {
        in_parts(bases, levels, |base, level| blend(base, level, self.0))
    }
}

/// `level + ⌊slope · |factor − 1| …⌋` with one product of 16 bits, for the factors between 0 and 2 for which
/// constants are found that give the same as floats.
///
/// For the difference d of level and base, the result is `level + ⌊(factor − 1) · d⌋`, clipped. The
/// upper half of a product of 16 bits is such a floor of `slope · (d + shift) / 65536`, where `shift` keeps
/// the sum positive, and leaves in the lower half a constant that rounds as floats do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InIntegers {
    /// All bits, which turns the difference around, where the factor is below 1.
    turn: u16,
    shift: u16,
    slope: u16,
    /// What `shift` adds to the upper half of the product.
    excess: u16,
}

impl Blend for InIntegers {
    #[inline(always)]
    fn blend<const B: usize>(
        self,
        set: impl BlendIntegers,
        bases: &[u8; B],
        levels: &[u8; B],
    ) -> [u8; B] {
        set.blend_integers(self, bases, levels)
    }
}

/// The instructions of a level, by which integers are blended.
pub(crate) trait BlendIntegers: Copy {
    /// [`Blend::blend`] with these constants.
    fn blend_integers<const B: usize>(
        self,
        constants: InIntegers,
        bases: &[u8; B],
        levels: &[u8; B],
    ) -> [u8; B];
}

impl BlendIntegers for Compiled {
    #[inline(always)]
    fn blend_integers<const B: usize>(
        self,
        constants: InIntegers,
        bases: &[u8; B],
        levels: &[u8; B],
    ) -> [u8; B] {
        in_parts(bases, levels, |base, level| {
            let (base, level) = (u16::from(base), u16::from(level));
            let difference = level.wrapping_sub(base) ^ constants.turn;
            let shifted = u32::from(difference.wrapping_add(constants.shift));
            let product = (shifted * u32::from(constants.slope)) >> 16;
            let blended = level
                .wrapping_add(product as u16)
                .wrapping_sub(constants.excess);
            blended.cast_signed().clamp(0, 255) as u8
        })
    }
}

/// Blends levels one by one, but in parts of a length of which the compiler makes vectors.
#[inline(always)]
fn in_parts<const B: usize>(
    bases: &[u8; B],
    levels: &[u8; B],
    blend: impl Fn(u8, u8) -> u8,
) -> [u8; B] {
    const PART: usize = 64;
    let mut result = [0; B];
    for part in (0..B).step_by(PART) {
        for index in part..part + PART {
            result[index] = blend(bases[index], levels[index]);
        }
    }
    result
}

/// What is kept free on both sides of a shift, so that no difference leaves 16 bits.
const MARGIN: u32 = 256;

impl InIntegers {
    /// Constants that are right for these bases and all levels.
    fn find(level: SimdLevel, factor: f32, bases: RangeInclusive<u8>) -> Option<Self> {
        if !(factor > 0.0 && factor < 2.0) {
            return None;
        }
        let differences = differences(factor, bases);
        let nearest = faa_op::math::round(f64::from(factor - 1.0) * 65536.0) as i32;
        [nearest, nearest + 1, nearest - 1]
            .into_iter()
            .find_map(|slope| {
                let (low, high) = offsets(level, factor, slope, differences);
                Self::with(slope, low, high)
            })
    }

    /// The constants for a slope, in 65536ths, and an offset from `low` to `high`.
    fn with(slope: i32, low: i32, high: i32) -> Option<Self> {
        let turned = slope < 0;
        let slope = u16::try_from(slope.unsigned_abs()).ok()?;
        let (low, high) = (u32::try_from(low).ok()?, u32::try_from(high).ok()?);
        // The shift whose product with the slope ends in the offset: the offset divided by the slope, modulo
        // 65536, which takes an odd slope and, for each factor of two in it, a bit less.
        let padded = u32::from(slope) | 1 << 16;
        let twos = padded.trailing_zeros();
        let inverse = inverse(padded >> twos);
        let period = 1 << (16 - twos);
        (low.next_multiple_of(1 << twos)..=high)
            .step_by(1 << twos)
            .find_map(|offset| {
                let shift = (offset >> twos).wrapping_mul(inverse) % period;
                let shift = shift + MARGIN.saturating_sub(shift).next_multiple_of(period);
                (shift < (1 << 16) - MARGIN).then(|| Self {
                    turn: if turned { u16::MAX } else { 0 },
                    // Turning all bits around makes −d − 1 of d.
                    shift: shift as u16 + u16::from(turned),
                    slope,
                    excess: ((u32::from(slope) * shift - offset) >> 16) as u16,
                })
            })
    }

    /// The same for one base, which becomes a part of the constants: to be given 0 instead.
    pub(crate) fn about(self, base: u8) -> Self {
        let base = u16::from(base);
        let shift = match self.turn {
            0 => self.shift.wrapping_sub(base),
            _ => self.shift.wrapping_add(base),
        };
        Self { shift, ..self }
    }
}

/// The range of differences (level − base), its end excluded, outside which every level is clipped, and so is what
/// [`InIntegers`] makes of it.
fn differences(factor: f32, bases: RangeInclusive<u8>) -> (i32, i32) {
    let up = i32::from(255 - bases.start());
    let down = i32::from(*bases.end());
    // The quotient of a tiny factor is the largest integer.
    let reach = |levels: i32| levels.min(((levels as f32 / factor) as i32).saturating_add(1));
    (-reach(down), reach(up) + 1)
}

/// The inverse of an odd number modulo 2³².
fn inverse(odd: u32) -> u32 {
    // Each step doubles the number of bits that are right, of which there are three at first.
    (0..4).fold(odd, |inverse, _| {
        inverse.wrapping_mul(2_u32.wrapping_sub(odd.wrapping_mul(inverse)))
    })
}

each_level! {
    /// The lowest and the highest offset with which `⌊(slope · d + offset) / 65536⌋` is what floats make of
    /// `(factor − 1) · d` for all differences d, from the first to before the second; none if the highest
    /// is less.
    fn offsets(factor: f32, slope: i32, differences: (i32, i32)) -> (i32, i32) {
        /// A product this close below a whole number may become that when the base is added.
        const CLOSE: f32 = 1.0 - 1.0 / 65536.0;
        /// So large a float has no fraction, so adding it rounds to a whole number.
        const ROUND: f32 = (3 << 22) as f32;
        let (mut low, mut high) = (0, 0);
        for difference in differences.0..differences.1 {
            let product = factor * difference as f32;
            let nearest = (product + ROUND).to_bits().wrapping_sub(ROUND.to_bits()) as i32;
            let floor = nearest - i32::from(nearest as f32 > product);
            let certain = product - floor as f32 <= CLOSE;
            let rest = ((floor - difference) << 16).wrapping_sub(slope.wrapping_mul(difference));
            low = low.max(if certain { rest } else { i32::MAX });
            high = high.min(rest);
        }
        (low, high.saturating_add(0xffff))
    }
}

#[cfg(test)]
mod tests {
    use faa_op::Stream;

    use super::*;
    use crate::simd::sets::each_set;

    each_set! {
        fn blend_all(set: impl BlendIntegers, constants: InIntegers, bases: &[u8; 256], levels: &[u8; 256]) -> [u8; 256] {
            constants.blend(set, bases, levels)
        }
    }

    /// Every level.
    const LEVELS: [u8; 256] = {
        let mut levels = [0; 256];
        let mut level = 0;
        while level < 256 {
            levels[level] = level as u8;
            level += 1;
        }
        levels
    };

    /// What floats make of every level, and what integers do at each level of vector instructions, given the
    /// base or as constants about it.
    fn check(integers: InIntegers, base: u8, factor: f32) {
        let expected = LEVELS.map(|level| blend(base, level, factor));
        for level in SimdLevel::available() {
            let result = blend_all(level, integers, &[base; 256], &LEVELS);
            assert_eq!(result, expected, "{level} {factor} {base}");
            let result = blend_all(level, integers.about(base), &[0; 256], &LEVELS);
            assert_eq!(result, expected, "{level} {factor} about {base}");
        }
    }

    /// The factors of a policy, and those at which a way to compute may fail.
    fn factors() -> impl Iterator<Item = f32> {
        let mut stream = Stream::for_op(3);
        let drawn = (0..if cfg!(miri) { 0 } else { 300 }).map(move |_| stream.unit() as f32 * 2.0);
        let ends = [f32::MIN_POSITIVE, 1e-9, 0.001, 1.0 / 3.0, 1.999_999_9];
        (1..20)
            .map(|tenths| tenths as f32 / 10.0)
            .chain(ends)
            .chain(drawn)
    }

    #[test]
    fn integers_blend_as_floats_do_for_every_base_and_level() {
        let (mut found, mut count) = (0, 0);
        for factor in factors() {
            count += 1;
            let Some(integers) = InIntegers::find(SimdLevel::best(), factor, 0..=255) else {
                continue;
            };
            found += 1;
            for base in (0..=255).step_by(if cfg!(miri) { 51 } else { 1 }) {
                check(integers, base, factor);
            }
        }
        // There is a search only because it nearly always succeeds.
        assert!(found * 100 >= count * 95, "{found} of {count}");
    }

    #[test]
    fn integers_blend_as_floats_do_for_one_base() {
        for (base, factor) in (0..=255_u8)
            .step_by(17)
            .flat_map(|b| factors().map(move |f| (b, f)))
        {
            let Some(integers) = InIntegers::find(SimdLevel::best(), factor, base..=base) else {
                continue;
            };
            check(integers, base, factor);
        }
    }

    #[test]
    fn every_level_of_vector_instructions_finds_the_same_constants() {
        for factor in factors() {
            let found = SimdLevel::available().map(|level| {
                InIntegers::find(level, factor, 0..=255).map(|found| (found.slope, found.shift))
            });
            let found: alloc::vec::Vec<_> = found.collect();
            assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{factor}");
        }
    }

    #[test]
    fn differences_stay_within_255_levels() {
        for factor in factors() {
            assert!(differences(factor, 0..=255).0 >= -255, "{factor}");
            assert!(differences(factor, 0..=255).1 <= 256, "{factor}");
        }
        assert_eq!(differences(f32::MIN_POSITIVE, 255..=255), (-255, 1));
        assert_eq!(differences(1.5, 0..=255), (-171, 172));
    }

    #[test]
    fn other_factors_are_left_to_floats() {
        for factor in [0.0, -0.5, 2.0, 1e9, f32::INFINITY, f32::NAN] {
            assert!(InIntegers::find(SimdLevel::best(), factor, 0..=255).is_none());
        }
    }
}
