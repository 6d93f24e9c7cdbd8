//! The computations, on slices: rows of as many elements as there are channels.
//!
//! Each is a loop that the compiler turns into vectors, over [`LANES`] channels. NaN propagates.
#![allow(
    unsafe_code,
    reason = "functions for the features of x86-64 are called; on other processors there are none"
)]
#![allow(
    clippy::needless_range_loop,
    reason = "a loop over lanes reads like a line of a vector's arithmetic"
)]

use std::mem::MaybeUninit;
use std::ops::{Add, Mul, Sub};

use tch::Kind;

/// Channels that are computed together: a multiple of the numbers in a vector. Every layer of a WideResNet has a
/// multiple of 16.
pub(super) const LANES: usize = 16;
/// Rows that are summed in the format of the computation, before their sum is added to one of 64 bits: few
/// enough to stay in the innermost cache while each group of channels is read.
const ROWS: usize = 64;

/// The format of images in memory.
pub(super) trait Element: Copy + 'static {
    /// Libtorch's name of it.
    const KIND: Kind;
    /// The format that is computed in.
    type Number: Number;

    fn get(self) -> Self::Number;
    fn of(number: Self::Number) -> Self;

    fn to_f64(self) -> f64 {
        self.get().into()
    }

    fn of_f64(value: f64) -> Self {
        Self::of(Self::Number::of_f64(value))
    }
}

/// A format for computation.
pub(super) trait Number:
    Copy
    + Default
    + PartialOrd
    + Into<f64>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
{
    fn of_f64(value: f64) -> Self;
}

impl Number for f32 {
    fn of_f64(value: f64) -> Self {
        value as f32
    }
}

impl Number for f64 {
    fn of_f64(value: f64) -> Self {
        value
    }
}

macro_rules! is_its_own_number {
    ($number:ty, $kind:ident) => {
        impl Element for $number {
            const KIND: Kind = Kind::$kind;
            type Number = $number;

            #[inline(always)]
            fn get(self) -> $number {
                self
            }

            #[inline(always)]
            fn of(number: $number) -> Self {
                number
            }
        }
    };
}
is_its_own_number!(f32, Float);
is_its_own_number!(f64, Double);

/// The upper half of a 32-bit float.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(super) struct Bf16(u16);

impl Element for Bf16 {
    const KIND: Kind = Kind::BFloat16;
    type Number = f32;

    #[inline(always)]
    fn get(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }

    /// Rounds to the nearest one, and to an even one between two.
    #[inline(always)]
    fn of(number: f32) -> Self {
        let bits = number.to_bits();
        let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        // Rounding could turn NaN into infinity.
        let nan = bits >> 16 | 0x40;
        Self(if number.is_nan() { nan } else { rounded } as u16)
    }
}

/// In the format that elements of `T` are computed in.
pub(super) fn numbers<T: Element>(values: &[f64]) -> Vec<T::Number> {
    values.iter().map(|it| T::Number::of_f64(*it)).collect()
}

/// Compiles a function over formats for each kind of vectors, and calls the best that this CPU has. What the
/// body calls must be `inline(always)` to be compiled with it.
macro_rules! vectorised {
    ($(#[$docs:meta])* fn $name:ident<T>($($argument:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$docs])*
        pub(super) fn $name<T: Element>($($argument: $type),*) {
            #[inline(always)]
            fn compiled<T: Element>($($argument: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn avx2<T: Element>($($argument: $type),*) {
                compiled($($argument),*);
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
            fn avx512<T: Element>($($argument: $type),*) {
                compiled($($argument),*);
            }

            #[cfg(target_arch = "x86_64")]
            {
                use std::arch::is_x86_feature_detected as has;
                if has!("avx512f") && has!("avx512bw") && has!("avx512dq") && has!("avx512vl") {
                    // SAFETY: The CPU has these features.
                    return unsafe { avx512($($argument),*) };
                }
                if has!("avx2") {
                    // SAFETY: As above.
                    return unsafe { avx2($($argument),*) };
                }
            }
            compiled($($argument),*);
        }
    };
}

vectorised! {
    /// Adds `added` to `x`, and sums and sums of squares to `sums`.
    fn add_and_sum<T>(x: &mut [T], added: Option<&[T]>, sums: &mut [Vec<f64>; 2]) {
        let channels = sums[0].len();
        for (block, x) in x.chunks_mut(ROWS * channels).enumerate() {
            let added = added.map(|added| &added[block * ROWS * channels..][..x.len()]);
            for first in (0..channels).step_by(LANES) {
                let mut of_block = [[T::Number::default(); LANES]; 2];
                for (row, x) in x.chunks_exact_mut(channels).enumerate() {
                    let x = lanes_mut(x, first);
                    if let Some(added) = added {
                        let added = lanes(added, row * channels + first);
                        for lane in 0..LANES {
                            x[lane] = T::of(x[lane].get() + added[lane].get());
                        }
                    }
                    for lane in 0..LANES {
                        let x = x[lane].get();
                        of_block[0][lane] = of_block[0][lane] + x;
                        of_block[1][lane] = of_block[1][lane] + x * x;
                    }
                }
                add_to(sums, first, of_block);
            }
        }
    }
}

vectorised! {
    /// Writes `relu(scale · x + shift)`.
    fn affine_relu<T>(x: &[T], affine: &[Vec<T::Number>; 2], out: &mut [MaybeUninit<T>]) {
        let [scale, shift] = affine;
        let channels = scale.len();
        for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
            for first in (0..channels).step_by(LANES) {
                let (x, out) = (lanes(x, first), lanes_mut(out, first));
                let (scale, shift) = (lanes(scale, first), lanes(shift, first));
                for lane in 0..LANES {
                    let value = x[lane].get() * scale[lane] + shift[lane];
                    out[lane].write(T::of(unless_negative(value, value)));
                }
            }
        }
    }
}

vectorised! {
    /// Adds `added` to `gradient`, and to `sums` the sums of the gradient with respect to ReLU's input, and of its
    /// products with `x − mean`.
    fn sum_gradient<T>(
        gradient: &mut [T],
        added: Option<&[T]>,
        x: &[T],
        affine: &[Vec<T::Number>; 2],
        mean: &[T::Number],
        sums: &mut [Vec<f64>; 2],
    ) {
        let channels = mean.len();
        let blocks = gradient.chunks_mut(ROWS * channels);
        for (block, (gradient, x)) in blocks.zip(x.chunks(ROWS * channels)).enumerate() {
            let added = added.map(|added| &added[block * ROWS * channels..][..x.len()]);
            for first in (0..channels).step_by(LANES) {
                let [scale, shift] = affine.each_ref().map(|it| *lanes(it, first));
                let mean = *lanes(mean, first);
                let mut of_block = [[T::Number::default(); LANES]; 2];
                let rows = gradient.chunks_exact_mut(channels);
                for (row, (gradient, x)) in rows.zip(x.chunks_exact(channels)).enumerate() {
                    let (gradient, x) = (lanes_mut(gradient, first), lanes(x, first));
                    if let Some(added) = added {
                        let added = lanes(added, row * channels + first);
                        for lane in 0..LANES {
                            gradient[lane] = T::of(gradient[lane].get() + added[lane].get());
                        }
                    }
                    for lane in 0..LANES {
                        let x = x[lane].get();
                        let value = x * scale[lane] + shift[lane];
                        let gradient = unless_negative(value, gradient[lane].get());
                        of_block[0][lane] = of_block[0][lane] + gradient;
                        of_block[1][lane] = of_block[1][lane] + gradient * (x - mean[lane]);
                    }
                }
                add_to(sums, first, of_block);
            }
        }
    }
}

vectorised! {
    /// Changes the gradient with respect to ReLU's output to `factors[0] · g + factors[1] · x + factors[2] + skip`,
    /// where `g` is the gradient with respect to ReLU's input.
    fn gradient_of_x<T>(
        gradient: &mut [T],
        skip: Option<&[T]>,
        x: &[T],
        affine: &[Vec<T::Number>; 2],
        factors: &[Vec<T::Number>; 3],
    ) {
        let channels = affine[0].len();
        let rows = gradient.chunks_exact_mut(channels).zip(x.chunks_exact(channels));
        for (row, (gradient, x)) in rows.enumerate() {
            for first in (0..channels).step_by(LANES) {
                let (gradient, x) = (lanes_mut(gradient, first), lanes(x, first));
                let [scale, shift] = affine.each_ref().map(|it| lanes(it, first));
                let [of_gradient, of_x, constant] = factors.each_ref().map(|it| lanes(it, first));
                let mut result = [T::Number::default(); LANES];
                for lane in 0..LANES {
                    let x = x[lane].get();
                    let value = x * scale[lane] + shift[lane];
                    let gradient = unless_negative(value, gradient[lane].get());
                    result[lane] = of_gradient[lane] * gradient + (of_x[lane] * x + constant[lane]);
                }
                if let Some(skip) = skip {
                    let skip = lanes(skip, row * channels + first);
                    for lane in 0..LANES {
                        result[lane] = result[lane] + skip[lane].get();
                    }
                }
                for lane in 0..LANES {
                    gradient[lane] = T::of(result[lane]);
                }
            }
        }
    }
}

/// `then` if the number is positive or NaN, and otherwise 0.
#[inline(always)]
fn unless_negative<N: Number>(number: N, then: N) -> N {
    let zero = N::default();
    if number <= zero { zero } else { then }
}

#[inline(always)]
fn lanes<T>(row: &[T], first: usize) -> &[T; LANES] {
    let lanes = &row[first..first + LANES];
    lanes.try_into().expect("it has this length")
}

#[inline(always)]
fn lanes_mut<T>(row: &mut [T], first: usize) -> &mut [T; LANES] {
    let lanes = &mut row[first..first + LANES];
    lanes.try_into().expect("it has this length")
}

#[inline(always)]
fn add_to<N: Number>(sums: &mut [Vec<f64>; 2], first: usize, terms: [[N; LANES]; 2]) {
    for (sums, terms) in sums.iter_mut().zip(terms) {
        for (sum, term) in lanes_mut(sums, first).iter_mut().zip(terms) {
            *sum += term.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use tch::Tensor;

    /// Around every number of 16 bits, and exactly between two.
    #[test]
    fn numbers_are_rounded_as_by_libtorch() {
        let halves = (0..=u32::from(u16::MAX)).map(|bits| bits << 16);
        let lower = [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff];
        let numbers = halves.flat_map(|upper| lower.map(|lower| f32::from_bits(upper | lower)));
        let numbers: Vec<f32> = numbers.collect();
        let rounded = Tensor::from_slice(&numbers).to_kind(Kind::BFloat16);
        let expected = Vec::<f32>::try_from(rounded.to_kind(Kind::Float)).unwrap();
        for (number, expected) in numbers.into_iter().zip(expected) {
            let found = Bf16::of(number).get();
            let same = found.to_bits() == expected.to_bits();
            assert!(same || found.is_nan() && number.is_nan(), "{number:e}");
        }
    }

    #[test]
    fn nan_propagates() {
        let x = [f32::NAN; LANES];
        let affine = [vec![1.0; LANES], vec![0.0; LANES]];
        let mut out = [MaybeUninit::new(0.0); LANES];
        affine_relu::<f32>(&x, &affine, &mut out);
        // SAFETY: All were initialised.
        let out = out.map(|it| unsafe { it.assume_init() });
        assert!(out.iter().all(|it: &f32| it.is_nan()));
        let mut gradient = [1.0; LANES];
        let factors = [1.0, 1.0, 0.0].map(|factor| vec![factor; LANES]);
        gradient_of_x::<f32>(&mut gradient, None, &x, &affine, &factors);
        assert!(gradient.iter().all(|it| it.is_nan()));
        let mut sums = [vec![0.0; LANES], vec![0.0; LANES]];
        add_and_sum::<f32>(&mut { x }, Some(&[0.0; LANES]), &mut sums);
        assert!(sums.concat().iter().all(|it| it.is_nan()));
    }
}
