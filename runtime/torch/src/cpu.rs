//! Tensors on a CPU as slices.

mod number;

use std::mem::MaybeUninit;

use tch::{Device, TchError, Tensor};

pub(crate) use self::number::{Bf16, Element, Number, numbers, vectorised};
use crate::layout::is_channels_last;

/// A block for the type of a kind's elements.
macro_rules! each_kind {
    ($kind:expr, $element:ident => $block:block) => {
        match $kind {
            tch::Kind::Float => {
                type $element = f32;
                $block
            }
            tch::Kind::BFloat16 => {
                type $element = $crate::cpu::Bf16;
                $block
            }
            tch::Kind::Double => {
                type $element = f64;
                $block
            }
            other => {
                return Err($crate::cpu::misuse(&format!(
                    "elements of {other:?} are not supported"
                )))
            }
        }
    };
}

pub(crate) use each_kind;

/// The numbers of a vector, such as a parameter.
pub(crate) fn read(vector: &Tensor) -> Result<Vec<f64>, TchError> {
    each_kind!(vector.kind(), T => {
        let values = elements::<T>(vector, vector)?.iter();
        Ok(values.map(|it| it.to_f64()).collect())
    })
}

/// Replaces the numbers of a vector.
pub(crate) fn write(vector: &Tensor, values: &[f64]) -> Result<(), TchError> {
    let mut vector = vector.shallow_clone();
    each_kind!(vector.kind(), T => {
        let elements = elements_mut::<T>(&mut vector)?;
        let pairs = elements.iter_mut().zip(values);
        pairs.for_each(|(element, value)| *element = <T as Element>::of_f64(*value));
    });
    Ok(())
}

/// The elements of a tensor that has the size of `like`.
pub(crate) fn elements<'a, T: Element>(
    tensor: &'a Tensor,
    like: &Tensor,
) -> Result<&'a [T], TchError> {
    let (pointer, len) = checked::<T>(tensor, like)?;
    #[expect(unsafe_code, reason = "tch does not lend a tensor's memory")]
    // SAFETY: The tensor has as many elements of this format in its memory, without gaps, and is borrowed. Other
    // handles to the same memory do not write to it meanwhile: each member of a team writes to its own tensors, and
    // the first one also to running statistics, which nobody reads then. Gradients are added up, and weights updated,
    // after all members have returned; the parts that threads get there do not overlap.
    Ok(unsafe { std::slice::from_raw_parts(pointer, len) })
}

/// The elements of a tensor, to be changed.
pub(crate) fn elements_mut<T: Element>(tensor: &mut Tensor) -> Result<&mut [T], TchError> {
    let (pointer, len) = checked::<T>(tensor, tensor)?;
    #[expect(unsafe_code, reason = "as above")]
    // SAFETY: As above, and this handle is borrowed mutably. The callers hold no slice of the same memory.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer, len) })
}

/// The elements of a new tensor of the size of `like`.
pub(crate) fn uninitialised<'a, T: Element>(
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

pub(crate) fn misuse(what: &str) -> TchError {
    TchError::Torch(format!("a computation on the CPU is impossible: {what}"))
}
