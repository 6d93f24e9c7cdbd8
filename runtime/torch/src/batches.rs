//! Batches of augmented images, prefetched on CPU threads.

use std::sync::mpsc::sync_channel;
use std::thread;

use faa_data::{ChannelStatistics, Split};
use faa_op::{Channels, ImageMut, ImageRef};
use faa_policy::{ApplyError, Workspace};
use faa_search::backend::{BackendError, StopFlag};
use faa_search::pipeline::{Pipeline, TaskPartners};
use rayon::prelude::*;
use tch::{Device, Kind, TchError, Tensor};

use crate::error::torch;
use crate::shim;

/// How many augmented batches are queued for the network.
const PREFETCH: usize = 2;

/// One image of a batch, and the epoch that its augmentation is drawn for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// The image's index in its split.
    pub(crate) image: usize,
    /// The epoch; in scoring and evaluation, which have no epochs, the number of the draw.
    pub(crate) epoch: u32,
}

/// Makes batches of augmented images, like PyTorch's `DataLoader`.
#[derive(Clone, Copy)]
pub(crate) struct DataLoader<'a> {
    pub(crate) split: &'a Split,
    /// Width and height, in pixels.
    pub(crate) size: [usize; 2],
    /// The augmentation; `None` leaves images unchanged.
    pub(crate) pipeline: Option<&'a Pipeline>,
    /// Indices of the images that ops such as SamplePairing may mix in.
    pub(crate) partners: &'a [usize],
    /// 1 augments a batch on the calling thread, any other number on rayon's pool.
    pub(crate) threads: usize,
}

/// A batch on the device.
#[derive(Debug)]
pub(crate) struct Batch {
    /// `[images, height, width, 3]`, one byte per value.
    pub(crate) pixels: Tensor,
    /// Class indices, `[images]`.
    pub(crate) labels: Tensor,
}

/// A batch in the host's memory, which is pinned if it goes to a GPU.
pub(crate) struct HostBatch {
    /// `[images, height, width, 3]`, one byte per value.
    pixels: Tensor,
    /// Class indices, `[images]`.
    labels: Tensor,
}

impl DataLoader<'_> {
    /// Passes every batch of samples to `consume`, in order. Batches are augmented on CPU threads, ahead of
    /// `consume`, to be uploaded to `device`.
    pub(crate) fn for_each<'s>(
        &self,
        batches: impl Iterator<Item = &'s [Sample]> + Send,
        device: Device,
        stop: &StopFlag,
        mut consume: impl FnMut(HostBatch) -> Result<(), TchError>,
    ) -> Result<(), BackendError> {
        thread::scope(|scope| {
            let (sender, receiver) = sync_channel(PREFETCH);
            scope.spawn(move || {
                for samples in batches {
                    // The receiver is dropped when `consume` fails or the run is stopped.
                    if sender.send(self.augment(samples, device)).is_err() {
                        break;
                    }
                }
            });
            for batch in receiver {
                stop.check()?;
                consume(batch?).map_err(torch)?;
            }
            Ok(())
        })
    }

    /// Augments a batch, to be uploaded to `device`.
    pub(crate) fn augment(
        &self,
        samples: &[Sample],
        device: Device,
    ) -> Result<HostBatch, BackendError> {
        let [width, height] = self.size;
        let stride = width * height * 3;
        // Zeroing this and copying it into a tensor take 5 µs of a batch's 10 ms or more on a CPU, and
        // need no uninitialised memory.
        let mut pixels = vec![0; samples.len() * stride];
        let partners = TaskPartners::new(self.split, self.size, self.partners);
        let workspace = || Workspace::with_partners(&partners);
        let one = |workspace: &mut Workspace<'_>, (pixels, sample): (&mut [u8], &Sample)| {
            let source = self.split.image(sample.image);
            let Some(pipeline) = self.pipeline else {
                pixels.copy_from_slice(source);
                return Ok(());
            };
            let source = ImageRef::new(source, width, height, Channels::Rgb)
                .expect("images of a split have its size");
            let mut image = ImageMut::new(pixels, width, height, Channels::Rgb)
                .expect("a chunk has the size of an image");
            let (epoch, index) = (sample.epoch, sample.image as u64);
            pipeline.apply_to(source, &mut image, epoch, index, workspace)
        };
        let augmented: Result<(), ApplyError> = if self.threads == 1 {
            let mut workspace = workspace();
            let mut images = pixels.chunks_exact_mut(stride).zip(samples);
            images.try_for_each(|image| one(&mut workspace, image))
        } else {
            let images = pixels.par_chunks_exact_mut(stride).zip(samples);
            images.try_for_each_init(workspace, one)
        };
        augmented.map_err(BackendError::other)?;

        let label = |sample: &Sample| i64::from(self.split.labels[sample.image]);
        let labels: Vec<i64> = samples.iter().map(label).collect();
        let size = [samples.len() as i64, height as i64, width as i64, 3];
        let batch = || {
            Ok(HostBatch {
                pixels: for_upload(Tensor::f_from_slice(&pixels)?.f_view(size)?, device)?,
                labels: for_upload(Tensor::f_from_slice(&labels)?, device)?,
            })
        };
        batch().map_err(torch)
    }
}

impl HostBatch {
    /// Copies the batch to a device.
    pub(crate) fn upload(&self, device: Device) -> Result<Batch, TchError> {
        let upload = |tensor: &Tensor| tensor.f_to_device_(device, tensor.kind(), true, false);
        Ok(Batch {
            pixels: upload(&self.pixels)?,
            labels: upload(&self.labels)?,
        })
    }

    /// Copies the batch to that of `target`, if it has the same size. Returns whether it has.
    pub(crate) fn upload_to(&self, target: &mut Batch) -> Result<bool, TchError> {
        if self.pixels.size() != target.pixels.size() {
            return Ok(false);
        }
        shim::copy(&mut target.pixels, &self.pixels)?;
        shim::copy(&mut target.labels, &self.labels)?;
        Ok(true)
    }
}

/// Copies a tensor to pinned memory if it goes to a GPU.
fn for_upload(tensor: Tensor, device: Device) -> Result<Tensor, TchError> {
    if !device.is_cuda() {
        return Ok(tensor);
    }
    let mut pinned = shim::pinned(&tensor.size(), tensor.kind())?;
    pinned.f_copy_(&tensor)?;
    Ok(pinned)
}

/// From bytes to the network's input: `(byte / 255 − mean) / std`, per channel.
#[derive(Debug)]
pub(crate) struct Normalise {
    scale: Tensor,
    shift: Tensor,
}

impl Normalise {
    /// For images with these statistics. A constant channel is only shifted.
    pub(crate) fn new(statistics: ChannelStatistics, device: Device) -> Result<Self, TchError> {
        let mean = statistics.mean;
        let std = statistics.std.map(|std| if std > 0.0 { std } else { 1.0 });
        let scale = std.map(|std| (1.0 / (255.0 * std)) as f32);
        let shift = [0, 1, 2].map(|channel| (-mean[channel] / std[channel]) as f32);
        Ok(Self {
            scale: Tensor::f_from_slice(&scale)?.f_to_device(device)?,
            shift: Tensor::f_from_slice(&shift)?.f_to_device(device)?,
        })
    }

    /// New handles to the same tensors, for another thread.
    pub(crate) fn shallow_clone(&self) -> Self {
        Self {
            scale: self.scale.shallow_clone(),
            shift: self.shift.shallow_clone(),
        }
    }

    /// The network's input, `[images, 3, height, width]` and channels last in memory, from bytes,
    /// `[images, height, width, 3]`.
    pub(crate) fn apply(&self, pixels: &Tensor) -> Result<Tensor, TchError> {
        let size = pixels.size();
        let pixels = pixels.f_to_kind(Kind::Float)?;
        let values = match self.device() {
            // Libtorch's inner loop is over the last dimension: a row of pixels takes a tenth of the time of three
            // channels.
            Device::Cpu => {
                let of_row = |values: &Tensor| values.f_repeat([size[2]]);
                let mut rows = pixels.f_view([-1, 3 * size[2]])?;
                rows.f_mul_(&of_row(&self.scale)?)?
                    .f_add_(&of_row(&self.shift)?)?
                    .f_view(size.as_slice())?
            }
            _ => self.shift.f_addcmul(&pixels, &self.scale)?,
        };
        values.f_permute([0, 3, 1, 2])
    }

    pub(crate) fn device(&self) -> Device {
        self.scale.device()
    }
}
