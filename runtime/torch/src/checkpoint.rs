//! Networks in files, as safetensors.
//!
//! A trained network holds all its tensors under their names, as 32-bit floats, and in its metadata
//! what is needed to use it: the model, the names of the classes, and the mean and standard
//! deviation of the training images. A checkpoint within a training holds the tensors, the momentum
//! of all learnt numbers, and how many epochs there were.

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
use crate::network::{Shape, Store, TensorSpec, WideResNet};
use crate::sgd::Sgd;

const MOMENTUM: &str = "momentum";
/// The key of the one entry among the metadata, as JSON: the order of several would not be the same
/// each time.
const HEAD: &str = "faa-runtime";

/// What is in a file beside its tensors.
#[derive(Serialize, Deserialize)]
struct Head {
    /// Of all tensors' names and bytes, in the order of their names: safetensors itself notices
    /// damage in a file's head only.
    sha256: String,
    /// What a trained network is.
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<Description>,
    /// After how many epochs a checkpoint was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    epochs: Option<usize>,
}

/// Writes a trained network, whole or not at all.
pub(crate) fn save(
    store: &Store,
    described: Description,
    path: &Path,
) -> Result<(), CheckpointError> {
    let head = Head {
        sha256: String::new(),
        network: Some(described),
        epochs: None,
    };
    write(store, None, head, path)
}

/// Writes what a training goes on from, whole or not at all.
pub(crate) fn save_training(
    store: &Store,
    sgd: &Sgd,
    epochs: usize,
    path: &Path,
) -> Result<(), CheckpointError> {
    let head = Head {
        sha256: String::new(),
        network: None,
        epochs: Some(epochs),
    };
    write(store, Some(sgd.velocity()), head, path)
}

/// Reads what a network's file says of it. The network may be of any shape that exists.
pub(crate) fn describe(path: &Path) -> Result<Description, CheckpointError> {
    let file = fs::read(path).map_err(FileError::io("read", path))?;
    let described = read_head(&file, path)?.network;
    described
        .filter(Description::is_possible)
        .ok_or_else(|| CheckpointError::Metadata {
            path: path.to_owned(),
            what: "model, classes, size and statistics",
        })
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
        size: sgd.velocity().size(),
        role: crate::network::Role::Statistic,
    };
    let values = values_of(&tensors, &momentum).ok_or_else(|| other(&momentum, path))?;
    no_grad(|| {
        sgd.velocity()
            .shallow_clone()
            .f_copy_(&Tensor::f_from_slice(&values)?)
    })?;
    let epochs = read_head(&file, path)?.epochs;
    let epochs = epochs.ok_or_else(|| CheckpointError::Metadata {
        path: path.to_owned(),
        what: "epochs",
    })?;
    Ok((network, sgd, epochs))
}

fn write(
    store: &Store,
    momentum: Option<&Tensor>,
    mut head: Head,
    path: &Path,
) -> Result<(), CheckpointError> {
    let named = store
        .iter()
        .map(|(spec, tensor)| (spec.name.as_str(), tensor));
    let tensors = named
        .chain(momentum.map(|momentum| (MOMENTUM, momentum)))
        .map(|(name, tensor)| Ok((name, tensor.size(), bytes_of(tensor)?)))
        .collect::<Result<Vec<_>, TchError>>()?;
    head.sha256 = digest_of(
        tensors
            .iter()
            .map(|(name, _, bytes)| (*name, bytes.as_slice())),
    );
    let head = serde_json::to_string(&head).expect("it has a JSON form");
    let metadata = HashMap::from([(HEAD.to_owned(), head)]);
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
    if read_head(file, path)?.sha256 != digest {
        return Err(CheckpointError::Changed(path.to_owned()));
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

fn read_head(file: &[u8], path: &Path) -> Result<Head, CheckpointError> {
    let (_, metadata) = SafeTensors::read_metadata(file).map_err(damaged(path))?;
    let entries = metadata.metadata().as_ref();
    let head = entries.and_then(|entries| entries.get(HEAD));
    let head = head.and_then(|json| serde_json::from_str(json).ok());
    head.ok_or_else(|| CheckpointError::Metadata {
        path: path.to_owned(),
        what: "SHA-256",
    })
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
            return Err(other(spec, path));
        }
    }
    let values = |spec: &TensorSpec| values_of(tensors, spec).expect("looked at above");
    Ok(WideResNet::new(shape, device, values)?)
}

fn other(spec: &TensorSpec, path: &Path) -> CheckpointError {
    CheckpointError::Other {
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
