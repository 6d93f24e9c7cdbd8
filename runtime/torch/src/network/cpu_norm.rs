//! Batch norm and ReLU on a CPU, fused, forward and backward.
//!
//! Images are rows of channels: all pixels of all images, channels last. Libtorch's functions would read and write
//! each image about twice as often.

mod rows;

use tch::{TchError, Tensor};

use self::rows::LANES;
use crate::cpu::{each_kind, elements, elements_mut, misuse, numbers, uninitialised};
use crate::layout::channels_last;

/// Two numbers for each channel.
pub(super) type Pair = [Vec<f64>; 2];

/// Adds `added` to `x` in place. Returns the sums over all pixels of each channel, and those of the squares.
pub(super) fn add_and_sum(x: &mut Tensor, added: Option<&Tensor>) -> Result<Pair, TchError> {
    *x = channels_last(x)?;
    let added = added.map(channels_last).transpose()?;
    let channels = channels_of(x)?;
    let mut sums = [vec![0.0; channels], vec![0.0; channels]];
    each_kind!(x.kind(), T => {
        let added = added.as_ref().map(|it| elements::<T>(it, x)).transpose()?;
        rows::add_and_sum(elements_mut::<T>(x)?, added, &mut sums);
    });
    Ok(sums)
}

/// `relu(scale · x + shift)`.
pub(super) fn affine_relu(x: &Tensor, affine: &Pair) -> Result<Tensor, TchError> {
    if channels_of(x)? != affine[0].len() {
        return Err(misuse("scales are not those of the channels"));
    }
    let x = &channels_last(x)?;
    let mut out = x.f_empty_like()?;
    each_kind!(x.kind(), T => {
        let out = uninitialised::<T>(&mut out, x)?;
        rows::affine_relu(elements::<T>(x, x)?, &affine.each_ref().map(|it| numbers::<T>(it)), out);
    });
    Ok(out)
}

/// Returns the sums over all pixels of the gradient with respect to ReLU's input, `scale · x + shift`, and those of its
/// products with `x − mean`. `gradient` is that with respect to ReLU's output.
pub(super) fn sum_gradient(
    gradient: &Tensor,
    x: &Tensor,
    affine: &Pair,
    mean: &[f64],
) -> Result<Pair, TchError> {
    let channels = channels_of(x)?;
    let mut sums = [vec![0.0; channels], vec![0.0; channels]];
    each_kind!(x.kind(), T => {
        let x = elements::<T>(x, gradient)?;
        let mean = numbers::<T>(mean);
        let gradient = elements::<T>(gradient, gradient)?;
        rows::sum_gradient(gradient, x, &affine.each_ref().map(|it| numbers::<T>(it)), &mean, &mut sums);
    });
    Ok(sums)
}

/// Changes the gradient with respect to the output of ReLU, `g`, to that with respect to `x`, plus `skip`:
/// `factors[0] · g′ + factors[1] · x + factors[2] + skip`, where `g′` is `g` if `scale · x + shift` is positive,
/// and otherwise 0.
pub(super) fn gradient_of_x(
    gradient: &mut Tensor,
    skip: Option<&Tensor>,
    x: &Tensor,
    affine: &Pair,
    factors: &[Vec<f64>; 3],
) -> Result<(), TchError> {
    let skip = skip.map(channels_last).transpose()?;
    each_kind!(x.kind(), T => {
        let skip = skip.as_ref().map(|it| elements::<T>(it, x)).transpose()?;
        let x = elements::<T>(x, gradient)?;
        let factors = factors.each_ref().map(|it| numbers::<T>(it));
        rows::gradient_of_x(elements_mut::<T>(gradient)?, skip, x, &affine.each_ref().map(|it| numbers::<T>(it)), &factors);
    });
    Ok(())
}

/// The channels of images.
fn channels_of(images: &Tensor) -> Result<usize, TchError> {
    match images.size().as_slice() {
        [_, channels, _, _] if channels % LANES as i64 == 0 => Ok(*channels as usize),
        size => Err(misuse(&format!("images have a size of {size:?}"))),
    }
}
