//! Batch norm and ReLU on a CPU, fused, forward and backward.
//!
//! Images are rows of channels: all pixels of all images, channels last. Libtorch's functions would read and write
//! each image about twice as often.

mod rows;

use std::mem::MaybeUninit;

use tch::{Device, Kind, TchError, Tensor};

use self::rows::{Bf16, Element, LANES};
use crate::layout::{channels_last, is_channels_last};

/// Two numbers for each channel.
pub(super) type Pair = [Vec<f64>; 2];

/// A block for the type of a kind's elements.
macro_rules! each_kind {
    ($kind:expr, $element:ident => $block:block) => {
        match $kind {
            Kind::Float => {
                type $element = f32;
                $block
            }
            Kind::BFloat16 => {
                type $element = Bf16;
                $block
            }
            Kind::Double => {
                type $element = f64;
                $block
            }
            other => return Err(misuse(&format!("there is none for elements of {other:?}"))),
        }
    };
}

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
        rows::affine_relu(elements::<T>(x, x)?, &affine.each_ref().map(|it| rows::numbers::<T>(it)), out);
    });
    Ok(out)
}

/// The gradient with respect to the output of ReLU, in two terms, of which the second one is added to the first
/// in place. Returns the sums over all pixels of the gradient with respect to ReLU's input,
/// `scale · x + shift`, and those of its products with `x − mean`.
pub(super) fn sum_gradient(
    gradient: &mut Tensor,
    added: Option<&Tensor>,
    x: &Tensor,
    affine: &Pair,
    mean: &[f64],
) -> Result<Pair, TchError> {
    *gradient = channels_last(gradient)?;
    let added = added.map(channels_last).transpose()?;
    let channels = channels_of(x)?;
    let mut sums = [vec![0.0; channels], vec![0.0; channels]];
    each_kind!(x.kind(), T => {
        let added = added.as_ref().map(|it| elements::<T>(it, x)).transpose()?;
        let x = elements::<T>(x, gradient)?;
        let mean = rows::numbers::<T>(mean);
        let gradient = elements_mut::<T>(gradient)?;
        rows::sum_gradient(gradient, added, x, &affine.each_ref().map(|it| rows::numbers::<T>(it)), &mean, &mut sums);
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
        let factors = factors.each_ref().map(|it| rows::numbers::<T>(it));
        rows::gradient_of_x(elements_mut::<T>(gradient)?, skip, x, &affine.each_ref().map(|it| rows::numbers::<T>(it)), &factors);
    });
    Ok(())
}

/// The numbers of a vector, such as a parameter.
pub(super) fn read(vector: &Tensor) -> Result<Vec<f64>, TchError> {
    each_kind!(vector.kind(), T => {
        let values = elements::<T>(vector, vector)?.iter();
        Ok(values.map(|it| it.to_f64()).collect())
    })
}

/// Replaces the numbers of a vector.
pub(super) fn write(vector: &Tensor, values: &[f64]) -> Result<(), TchError> {
    let mut vector = vector.shallow_clone();
    each_kind!(vector.kind(), T => {
        let elements = elements_mut::<T>(&mut vector)?;
        let pairs = elements.iter_mut().zip(values);
        pairs.for_each(|(element, value)| *element = T::of_f64(*value));
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

/// The elements of a tensor that has the size of `like`.
fn elements<'a, T: Element>(tensor: &'a Tensor, like: &Tensor) -> Result<&'a [T], TchError> {
    let (pointer, len) = checked::<T>(tensor, like)?;
    #[expect(unsafe_code, reason = "tch does not lend a tensor's memory")]
    // SAFETY: The tensor has as many elements of this format in its memory, without gaps, and is borrowed. Handles
    // of other threads to the same memory only read it: each member of a team writes to its own tensors, and only
    // the first one to running statistics, which nobody reads meanwhile.
    Ok(unsafe { std::slice::from_raw_parts(pointer, len) })
}

/// The elements of a tensor, to be changed.
fn elements_mut<T: Element>(tensor: &mut Tensor) -> Result<&mut [T], TchError> {
    let (pointer, len) = checked::<T>(tensor, tensor)?;
    #[expect(unsafe_code, reason = "as above")]
    // SAFETY: As above, and this handle is borrowed mutably. The callers hold no slice of the same memory.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer, len) })
}

/// The elements of a new tensor of the size of `like`.
fn uninitialised<'a, T: Element>(
    tensor: &'a mut Tensor,
    like: &Tensor,
) -> Result<&'a mut [MaybeUninit<T>], TchError> {
    let (pointer, len) = checked::<T>(tensor, like)?;
    #[expect(unsafe_code, reason = "as above")]
    // SAFETY: As above.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer.cast(), len) })
}

fn checked<T: Element>(tensor: &Tensor, like: &Tensor) -> Result<(*mut T, usize), TchError> {
    let dense = match tensor.dim() {
        4 => is_channels_last(tensor)?,
        _ => tensor.is_contiguous(),
    };
    // An empty tensor has no memory.
    let pointer = match tensor.numel() {
        0 => std::ptr::dangling_mut(),
        _ => tensor.data_ptr().cast::<T>(),
    };
    let on_cpu = tensor.device() == Device::Cpu && tensor.kind() == T::KIND;
    if !dense || !on_cpu || !pointer.is_aligned() || tensor.size() != like.size() {
        let (kind, found, wanted) = (tensor.kind(), tensor.size(), like.size());
        let what = format!("a tensor of {kind:?} and size {found:?} does not fit {wanted:?}");
        return Err(misuse(&what));
    }
    Ok((pointer, tensor.numel()))
}

fn misuse(what: &str) -> TchError {
    TchError::Torch(format!("batch norm is impossible: {what}"))
}
