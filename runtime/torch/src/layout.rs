//! Images are `[images, channels, height, width]`, channels last in memory.

use tch::{TchError, Tensor};

/// The tensor, copied if it is not channels last in memory.
pub(crate) fn channels_last(tensor: &Tensor) -> Result<Tensor, TchError> {
    if is_channels_last(tensor)? {
        return Ok(tensor.shallow_clone());
    }
    let rows = tensor.f_permute([0, 2, 3, 1])?.f_contiguous()?;
    rows.f_permute([0, 3, 1, 2])
}

/// Whether it is channels last in memory, without gaps.
pub(crate) fn is_channels_last(tensor: &Tensor) -> Result<bool, TchError> {
    if let [_, channels, height, width] = tensor.size()[..]
        && tensor.stride() == [height * width * channels, 1, width * channels, channels]
    {
        return Ok(true);
    }
    // Strides of dimensions with a single element do not matter.
    Ok(tensor.f_permute([0, 2, 3, 1])?.is_contiguous())
}
