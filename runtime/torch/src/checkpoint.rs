//! Networks in files, as safetensors.
//!
//! The file of a trained network holds all tensors, as 32-bit floats, and as metadata what is needed to
//! use it: the model, the names of the classes, and the mean and standard deviation of the training
//! images. A checkpoint holds the tensors, the momentum of all parameters, and the number of completed
//! epochs.

mod description;
mod error;

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use faa_search::config::TrainingConfig;
use faa_search::files::FileError;
use safetensors::tensor::{Dtype, SafeTensorError, TensorView};
use safetensors::{SafeTensors, serialize};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tch::{Device, Kind, TchError, Tensor, no_grad};

pub(crate) use self::description::Description;
pub use self::error::CheckpointError;
use crate::network::{Role, Shape, Store, TensorSpec, WideResNet};
use crate::sgd::Sgd;

const MOMENTUM: &str = "momentum";
/// The key of the only metadata entry, which is JSON: safetensors writes several entries in random
/// order, so equal networks would not have equal files.
const METADATA_KEY: &str = "faa-runtime";

/// The metadata of a file.
#[derive(Serialize, Deserialize)]
struct Metadata {
    /// The digest of all tensors' names and bytes, in the order of their names, which safetensors does
    /// not have: it detects damage only in its header.
    sha256: String,
    /// Of a trained network.
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<Description>,
    /// Of a checkpoint: the number of completed epochs.
    #[serde(skip_serializing_if = "Option::is_none")]
    epochs: Option<usize>,
}

/// Writes a trained network atomically.
pub(crate) fn save(
    store: &Store,
    description: Description,
    path: &Path,
) -> Result<(), CheckpointError> {
    write(store, None, Some(description), None, path)
}

/// Writes atomically what a training continues from.
pub(crate) fn save_training(
    store: &Store,
    sgd: &Sgd,
    epochs: usize,
    path: &Path,
) -> Result<(), CheckpointError> {
    write(store, Some(sgd.momentum_buffer()), None, Some(epochs), path)
}

/// Reads the description in the file of a network of any shape.
pub(crate) fn read_description(path: &Path) -> Result<Description, CheckpointError> {
    let file = fs::read(path).map_err(FileError::io("read", path))?;
    let description = read_metadata(&file, path)?.network;
    let description = description.filter(Description::is_valid);
    description.ok_or_else(missing(path, "model, classes, size and statistics"))
}

/// Reads a network of the given shape.
pub(crate) fn load(
    shape: Shape,
    device: Device,
    path: &Path,
) -> Result<WideResNet, CheckpointError> {
    let file = fs::read(path).map_err(FileError::io("read", path))?;
    network_in(&parse(&file, path)?, shape, device, path)
}

/// Reads what [`save_training`] wrote.
pub(crate) fn load_training(
    shape: Shape,
    training: &TrainingConfig,
    device: Device,
    path: &Path,
) -> Result<(WideResNet, Sgd, usize), CheckpointError> {
    let file = fs::read(path).map_err(FileError::io("read", path))?;
    let tensors = parse(&file, path)?;
    let network = network_in(&tensors, shape, device, path)?;
    let sgd = Sgd::new(&network, training)?;
    let momentum = TensorSpec {
        name: MOMENTUM.to_owned(),
        size: sgd.momentum_buffer().size(),
        role: Role::Buffer,
    };
    let values = values_of(&tensors, &momentum).ok_or_else(|| wrong_tensor(&momentum, path))?;
    no_grad(|| {
        sgd.momentum_buffer()
            .shallow_clone()
            .f_copy_(&Tensor::f_from_slice(&values)?)
    })?;
    let epochs = read_metadata(&file, path)?.epochs;
    let epochs = epochs.ok_or_else(missing(path, "epochs"))?;
    Ok((network, sgd, epochs))
}

fn write(
    store: &Store,
    momentum: Option<&Tensor>,
    network: Option<Description>,
    epochs: Option<usize>,
    path: &Path,
) -> Result<(), CheckpointError> {
    let named = store
        .iter()
        .map(|(spec, tensor)| (spec.name.as_str(), tensor));
    let tensors = named
        .chain(momentum.map(|momentum| (MOMENTUM, momentum)))
        .map(|(name, tensor)| Ok((name, tensor.size(), le_bytes(tensor)?)))
        .collect::<Result<Vec<_>, TchError>>()?;
    let contents = tensors.iter();
    let metadata = Metadata {
        sha256: digest_of(contents.map(|(name, _, bytes)| (*name, bytes.as_slice()))),
        network,
        epochs,
    };
    let metadata = serde_json::to_string(&metadata).expect("metadata can be written as JSON");
    let metadata = HashMap::from([(METADATA_KEY.to_owned(), metadata)]);
    let views = tensors.iter().map(|(name, size, bytes)| {
        let size = size.iter().map(|side| *side as usize).collect();
        let view = TensorView::new(Dtype::F32, size, bytes).expect("the bytes are the tensor's");
        (*name, view)
    });
    let file = serialize(views, Some(metadata)).expect("names are unique and sizes are right");
    Ok(faa_system::write_whole(path, &file).map_err(FileError::io("write", path))?)
}

fn parse<'f>(file: &'f [u8], path: &Path) -> Result<SafeTensors<'f>, CheckpointError> {
    let tensors = SafeTensors::deserialize(file).map_err(damaged(path))?;
    let views = tensors.tensors();
    let digest = digest_of(
        views
            .iter()
            .map(|(name, view)| (name.as_str(), view.data())),
    );
    if read_metadata(file, path)?.sha256 != digest {
        return Err(CheckpointError::WrongDigest(path.to_owned()));
    }
    Ok(tensors)
}

fn digest_of<'t>(tensors: impl Iterator<Item = (&'t str, &'t [u8])>) -> String {
    let mut tensors: Vec<_> = tensors.collect();
    tensors.sort_unstable_by_key(|(name, _)| *name);
    let mut hash = Sha256::new();
    for (name, bytes) in tensors {
        hash.update(name);
        hash.update(bytes);
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn read_metadata(file: &[u8], path: &Path) -> Result<Metadata, CheckpointError> {
    let (_, header) = SafeTensors::read_metadata(file).map_err(damaged(path))?;
    let entries = header.metadata().as_ref();
    let json = entries.and_then(|entries| entries.get(METADATA_KEY));
    let metadata = json.and_then(|json| serde_json::from_str(json).ok());
    metadata.ok_or_else(missing(path, "SHA-256"))
}

/// The error of a file without a certain entry in its metadata.
fn missing(path: &Path, what: &'static str) -> impl FnOnce() -> CheckpointError {
    let path = path.to_owned();
    move || CheckpointError::Metadata { path, what }
}

fn damaged(path: &Path) -> impl FnOnce(SafeTensorError) -> CheckpointError {
    let path = path.to_owned();
    move |source| CheckpointError::Damaged { path, source }
}

fn network_in(
    tensors: &SafeTensors<'_>,
    shape: Shape,
    device: Device,
    path: &Path,
) -> Result<WideResNet, CheckpointError> {
    for spec in &shape.tensors() {
        if values_of(tensors, spec).is_none() {
            return Err(wrong_tensor(spec, path));
        }
    }
    let values = |spec: &TensorSpec| values_of(tensors, spec).expect("checked above");
    Ok(WideResNet::new(shape, device, values)?)
}

fn wrong_tensor(spec: &TensorSpec, path: &Path) -> CheckpointError {
    CheckpointError::WrongTensor {
        path: path.to_owned(),
        tensor: spec.name.clone(),
        size: spec.size.clone(),
    }
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

/// The elements of a tensor as 32-bit floats, little-endian and in row-major order, whatever its
/// memory layout.
fn le_bytes(tensor: &Tensor) -> Result<Vec<u8>, TchError> {
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
