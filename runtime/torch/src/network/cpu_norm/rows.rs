//! The computations, on slices: rows of as many elements as there are channels.
//!
//! Each is a loop that the compiler turns into vectors, over [`LANES`] channels. NaN propagates.
#![allow(
    clippy::needless_range_loop,
    reason = "a loop over lanes reads like a line of a vector's arithmetic"
)]

use std::mem::MaybeUninit;

use crate::cpu::{Element, Number, vectorised};

/// Channels that are computed together: a multiple of the numbers in a vector. Every layer of a WideResNet has a
/// multiple of 16.
pub(super) const LANES: usize = 16;
/// Rows that are summed in the format of the computation, before their sum is added to one of 64 bits: few
/// enough to stay in the innermost cache while each group of channels is read.
const ROWS: usize = 64;

vectorised! {
    /// Adds `added` to `x`, and sums and sums of squares to `sums`.
    pub(super) fn add_and_sum<T>(x: &mut [T], added: Option<&[T]>, sums: &mut [Vec<f64>; 2]) {
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
    pub(super) fn affine_relu<T>(x: &[T], affine: &[Vec<T::Number>; 2], out: &mut [MaybeUninit<T>]) {
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
    /// Adds to `sums` the sums of the gradient with respect to ReLU's input, and of its products with `x − mean`.
    pub(super) fn sum_gradient<T>(
        gradient: &[T],
        x: &[T],
        affine: &[Vec<T::Number>; 2],
        mean: &[T::Number],
        sums: &mut [Vec<f64>; 2],
    ) {
        let channels = mean.len();
        let blocks = gradient.chunks(ROWS * channels);
        for (gradient, x) in blocks.zip(x.chunks(ROWS * channels)) {
            for first in (0..channels).step_by(LANES) {
                let [scale, shift] = affine.each_ref().map(|it| *lanes(it, first));
                let mean = *lanes(mean, first);
                let mut of_block = [[T::Number::default(); LANES]; 2];
                let rows = gradient.chunks_exact(channels);
                for (gradient, x) in rows.zip(x.chunks_exact(channels)) {
                    let (gradient, x) = (lanes(gradient, first), lanes(x, first));
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
    pub(super) fn gradient_of_x<T>(
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

    #[test]
    fn nan_propagates() {
        let x = [f32::NAN; LANES];
        let affine = [vec![1.0; LANES], vec![0.0; LANES]];
        let mut out = [MaybeUninit::new(0.0); LANES];
        affine_relu::<f32>(&x, &affine, &mut out);
        #[expect(unsafe_code, reason = "a test of uninitialised memory")]
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
