//! Networks in files, as safetensors.
//!
//! The file of a trained network holds all tensors, as 32-bit floats, and as metadata what is needed to
//! use it: the model, the names of the classes, and the mean and standard deviation of the training
//! images. A checkpoint holds the tensors, the momentum of all parameters, and the number of completed
//! epochs.
//!
//! Files are untrusted. Each is opened once; its header has a maximum size, and the tensors that it states
//! must be exactly those of the expected network before any of them is read.

mod description;
mod error;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use faa_data::{ChannelStatistics, Dataset};
use faa_search::config::TrainingConfig;
use safetensors::serialize;
use safetensors::tensor::{Dtype, Metadata as Header, TensorInfo, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tch::{Device, Kind, TchError, Tensor};

pub(crate) use self::description::Description;
use self::error::{CheckpointError, CheckpointErrorKind};
use crate::network::{ALIGNMENT, Role, Shape, Store, TensorSpec, WideResNet};
use crate::sgd::Sgd;

/// The maximum length of a header, in bytes; that of WRN-40-2 with 10 classes has 14,000.
const MAX_HEADER: u64 = 8 << 20;
/// The maximum size, in bytes, of the tensors of a network whose shape only its file states.
/// WRN-28-10 has 146 MB.
const MAX_TENSORS: usize = 4 << 30;

const MOMENTUM: &str = "momentum";
/// The key of the only metadata entry, which is JSON: safetensors writes several entries in random
/// order, so equal networks would not have equal files.
const METADATA_KEY: &str = "faa-runtime";

/// The metadata of a file.
#[derive(Default, Serialize, Deserialize)]
struct Metadata {
    /// The digest of the rest of the metadata, and of all tensors' names and bytes in the order of their
    /// names, which safetensors does not have: it detects damage only in its header.
    sha256: String,
    /// Of a trained network.
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<Description>,
    /// Of a checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    epochs: Option<usize>,
    /// Of a checkpoint: [`ALIGNMENT`], which determines the layout of its momentum.
    #[serde(skip_serializing_if = "Option::is_none")]
    alignment: Option<usize>,
}

/// Writes a trained network atomically.
pub(crate) fn save(
    store: &Store,
    description: Description,
    path: &Path,
) -> Result<(), CheckpointError> {
    let metadata = Metadata {
        network: Some(description),
        ..Metadata::default()
    };
    write(store, None, metadata, path).map_err(CheckpointError::of(path))
}

/// Writes atomically what a training continues from, after `epochs` completed ones.
pub(crate) fn save_training(
    store: &Store,
    sgd: &Sgd,
    epochs: usize,
    path: &Path,
) -> Result<(), CheckpointError> {
    let metadata = Metadata {
        epochs: Some(epochs),
        alignment: Some(ALIGNMENT),
        ..Metadata::default()
    };
    write(store, Some(sgd.momentum_buffer()), metadata, path).map_err(CheckpointError::of(path))
}

/// Reads a trained network of the given shape.
pub(crate) fn load(
    shape: Shape,
    device: Device,
    path: &Path,
) -> Result<WideResNet, CheckpointError> {
    let read = || {
        let mut values = NetworkFile::open(path)?.read(&shape.tensors())?;
        network(shape, device, &mut values)
    };
    read().map_err(CheckpointError::of(path))
}

/// Reads a trained network of any shape, for the classes and the size of a data set, and the statistics
/// that its images are normalised by.
pub(crate) fn load_any(
    data: &Dataset,
    device: Device,
    path: &Path,
) -> Result<(WideResNet, ChannelStatistics), CheckpointError> {
    let read = || {
        let file = NetworkFile::open(path)?;
        let description = file.metadata.network.as_ref();
        let description = description.filter(|description| description.is_valid());
        let parts = "model, classes, size and statistics";
        let description = description.ok_or(CheckpointErrorKind::Metadata(parts))?;
        description.check(data)?;
        let (shape, statistics) = (description.shape(), description.statistics());
        if file.header.data_len() > MAX_TENSORS {
            return Err(CheckpointErrorKind::TooLarge(MAX_TENSORS as u64));
        }
        let network = network(shape, device, &mut file.read(&shape.tensors())?)?;
        Ok((network, statistics))
    };
    read().map_err(CheckpointError::of(path))
}

/// Reads what [`save_training`] wrote.
pub(crate) fn load_training(
    shape: Shape,
    training: &TrainingConfig,
    device: Device,
    path: &Path,
) -> Result<(WideResNet, Sgd, usize), CheckpointError> {
    let read = || {
        let file = NetworkFile::open(path)?;
        let (epochs, alignment) = (file.metadata.epochs, file.metadata.alignment);
        if epochs.is_some() && alignment != Some(ALIGNMENT) {
            return Err(CheckpointErrorKind::Outdated);
        }
        let mut specs = shape.tensors();
        specs.push(TensorSpec {
            name: MOMENTUM.to_owned(),
            size: vec![Store::flat_len(&specs)],
            role: Role::Buffer,
        });
        let mut values = file.read(&specs)?;
        let network = network(shape, device, &mut values)?;
        let sgd = Sgd::new(&network, training)?;
        let momentum = values.next().expect("one for each specification");
        let mut buffer = sgd.momentum_buffer().shallow_clone();
        buffer.f_copy_(&Tensor::f_from_slice(&momentum)?)?;
        let epochs = epochs.ok_or(CheckpointErrorKind::Metadata("epochs"))?;
        Ok((network, sgd, epochs))
    };
    read().map_err(CheckpointError::of(path))
}

fn network(
    shape: Shape,
    device: Device,
    values: &mut impl Iterator<Item = Vec<f32>>,
) -> Result<WideResNet, CheckpointErrorKind> {
    let next = |_: &TensorSpec| values.next().expect("one for each specification");
    Ok(WideResNet::new(shape, device, next)?)
}

fn write(
    store: &Store,
    momentum: Option<&Tensor>,
    mut metadata: Metadata,
    path: &Path,
) -> Result<(), CheckpointErrorKind> {
    let named = store
        .iter()
        .map(|(spec, tensor)| (spec.name.as_str(), tensor));
    let tensors = named
        .chain(momentum.map(|momentum| (MOMENTUM, momentum)))
        .map(|(name, tensor)| Ok((name, tensor.size(), le_bytes(tensor)?)))
        .collect::<Result<Vec<_>, TchError>>()?;
    let named_bytes = tensors.iter().map(|(name, _, bytes)| (*name, &bytes[..]));
    let text = |metadata: &Metadata| {
        serde_json::to_string(metadata).expect("metadata can be written as JSON")
    };
    metadata.sha256 = digest_of(&text(&metadata), named_bytes.collect());
    let metadata = text(&metadata);
    let metadata = HashMap::from([(METADATA_KEY.to_owned(), metadata)]);
    let views = tensors.iter().map(|(name, size, bytes)| {
        let size = size.iter().map(|side| *side as usize).collect();
        let view = TensorView::new(Dtype::F32, size, bytes).expect("the bytes are the tensor's");
        (*name, view)
    });
    let file = serialize(views, Some(metadata)).expect("names are unique and sizes are right");
    faa_system::write_whole(path, &file).map_err(CheckpointErrorKind::Write)
}

/// A file whose header has been read, and agrees with its length.
struct NetworkFile {
    file: File,
    header: Header,
    metadata: Metadata,
    /// The metadata without its digest, as JSON.
    described: String,
}

impl NetworkFile {
    fn open(path: &Path) -> Result<Self, CheckpointErrorKind> {
        let opened = faa_system::open_regular(path, File::options().read(true));
        let (mut file, size) = opened.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput => CheckpointErrorKind::NotAFile,
            _ => error.into(),
        })?;
        let mut length = [0; 8];
        file.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER {
            return Err(CheckpointErrorKind::TooLarge(MAX_HEADER));
        }
        if length > size {
            return Err(CheckpointErrorKind::damaged("it ends early"));
        }
        let mut json = vec![0; length as usize];
        file.read_exact(&mut json)?;
        let header: Header = serde_json::from_slice(&json).map_err(CheckpointErrorKind::damaged)?;
        let stated = (8 + length).saturating_add(header.data_len() as u64);
        if stated != size {
            let found = size;
            let reason = format!("it has {found} bytes, and its header states {stated}");
            return Err(CheckpointErrorKind::damaged(reason));
        }
        let entries = header.metadata().as_ref();
        let read = || {
            let json = entries?.get(METADATA_KEY)?;
            let metadata: Metadata = serde_json::from_str(json).ok()?;
            let described = json.replacen(&metadata.sha256, "", 1);
            Some((metadata, described))
        };
        let (metadata, described) = read().ok_or(CheckpointErrorKind::Metadata("SHA-256"))?;
        Ok(Self {
            file,
            metadata,
            described,
            header,
        })
    }

    /// The values of the tensors, if they are those of the file, and no others are.
    fn read(
        mut self,
        specs: &[TensorSpec],
    ) -> Result<impl Iterator<Item = Vec<f32>> + use<>, CheckpointErrorKind> {
        for spec in specs {
            let TensorSpec { name, size, .. } = spec;
            let is_it = |info: &TensorInfo| {
                let shape = info.shape.iter().map(|side| *side as i64);
                info.dtype == Dtype::F32 && shape.eq(size.iter().copied())
            };
            if !self.header.info(name).is_some_and(is_it) {
                let reason = format!("`{name}` should be 32-bit floats of size {size:?}");
                return Err(CheckpointErrorKind::Different(reason));
            }
        }
        let (found, expected) = (self.header.tensors(), specs.len());
        if found.len() != expected {
            let reason = format!("it has {} tensors instead of {expected}", found.len());
            return Err(CheckpointErrorKind::Different(reason));
        }
        let mut data = vec![0; self.header.data_len()];
        self.file.read_exact(&mut data)?;
        let bytes = |(start, end): (usize, usize)| &data[start..end];
        let named = found.iter();
        let named = named.map(|(name, info)| (name.as_str(), bytes(info.data_offsets)));
        if self.metadata.sha256 != digest_of(&self.described, named.collect()) {
            let reason = "its content does not have the SHA-256 that it states";
            return Err(CheckpointErrorKind::damaged(reason));
        }
        let values = |spec: &TensorSpec| {
            let (chunks, _) = bytes(found[&spec.name].data_offsets).as_chunks::<4>();
            chunks.iter().copied().map(f32::from_le_bytes).collect()
        };
        Ok(specs.iter().map(values).collect::<Vec<_>>().into_iter())
    }
}

fn digest_of(described: &str, mut tensors: Vec<(&str, &[u8])>) -> String {
    tensors.sort_unstable_by_key(|(name, _)| *name);
    let mut hash = Sha256::new();
    hash.update(described);
    for (name, bytes) in tensors {
        hash.update(name);
        hash.update(bytes);
    }
    let hex = |byte: &u8| format!("{byte:02x}");
    hash.finalize().iter().map(hex).collect()
}

/// The elements of a tensor as 32-bit floats, little-endian and in row-major order, whatever its
/// memory layout.
fn le_bytes(tensor: &Tensor) -> Result<Vec<u8>, TchError> {
    const {
        assert!(
            cfg!(target_endian = "little"),
            "floats are written as they are"
        );
    };
    let tensor = tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
    let mut bytes = vec![0; tensor.numel() * size_of::<f32>()];
    tensor
        .f_contiguous()?
        .f_copy_data_u8(&mut bytes, tensor.numel())?;
    Ok(bytes)
}
