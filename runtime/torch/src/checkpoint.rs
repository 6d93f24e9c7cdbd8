//! Networks in files, as safetensors.

use std::fs;
use std::path::{Path, PathBuf};

use faa_search::FileError;
use safetensors::tensor::{Dtype, SafeTensorError, TensorView};
use safetensors::{SafeTensors, serialize};
use tch::{Device, Kind, TchError, Tensor};

use crate::network::{Shape, Store, TensorSpec, WideResNet};

/// Why a file is not the network that was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not safetensors, or damaged.
    #[error("{} is damaged: move it away to train its network again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: SafeTensorError,
    },
    /// A tensor is missing or has another form than the network's.
    #[error("{} holds another network: `{tensor}` should be 32-bit floats of size {size:?}", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// The first tensor that does not fit.
        tensor: String,
        /// Its size in the network.
        size: Vec<i64>,
    },
    /// libtorch reported something.
    #[error(transparent)]
    Torch(#[from] TchError),
}

/// Writes all tensors of a network, whole or not at all.
pub(crate) fn save(store: &Store, path: &Path) -> Result<(), CheckpointError> {
    let tensors = store
        .iter()
        .map(|(spec, tensor)| Ok((spec, bytes_of(tensor)?)))
        .collect::<Result<Vec<_>, TchError>>()?;
    let views = tensors.iter().map(|(spec, bytes)| {
        let size = spec.size.iter().map(|side| *side as usize).collect();
        let view = TensorView::new(Dtype::F32, size, bytes).expect("the bytes are the tensor's");
        (&spec.name, view)
    });
    let file = serialize(views, None).expect("names are unique and sizes are right");
    Ok(faa_search::write_whole(path, &file)?)
}

/// Reads a network of the given shape.
pub(crate) fn load(
    shape: Shape,
    device: Device,
    path: &Path,
) -> Result<WideResNet, CheckpointError> {
    let file = fs::read(path).map_err(FileError::io("read", path))?;
    let tensors = SafeTensors::deserialize(&file).map_err(|source| CheckpointError::Damaged {
        path: path.to_owned(),
        source,
    })?;
    let specs = shape.tensors();
    for spec in &specs {
        if values_of(&tensors, spec).is_none() {
            return Err(CheckpointError::Other {
                path: path.to_owned(),
                tensor: spec.name.clone(),
                size: spec.size.clone(),
            });
        }
    }
    let values = |spec: &TensorSpec| values_of(&tensors, spec).expect("looked at above");
    Ok(WideResNet::new(shape, device, values)?)
}

fn values_of(tensors: &SafeTensors<'_>, spec: &TensorSpec) -> Option<Vec<f32>> {
    let view = tensors.tensor(&spec.name).ok()?;
    let same_size = view
        .shape()
        .iter()
        .map(|side| *side as i64)
        .eq(spec.size.iter().copied());
    if view.dtype() != Dtype::F32 || !same_size {
        return None;
    }
    let (chunks, _) = view.data().as_chunks::<4>();
    Some(
        chunks
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect(),
    )
}

/// The numbers of a tensor row by row, little-endian, whatever its layout in memory.
fn bytes_of(tensor: &Tensor) -> Result<Vec<u8>, TchError> {
    let tensor = tensor
        .f_detach()?
        .f_to_device(Device::Cpu)?
        .f_to_kind(Kind::Float)?;
    let mut values = vec![0_f32; tensor.numel()];
    tensor
        .f_contiguous()?
        .f_copy_data(&mut values, tensor.numel())?;
    Ok(values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect())
}
