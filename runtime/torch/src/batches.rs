//! Batches of augmented images, made on CPU threads ahead of the network.

use std::sync::mpsc::sync_channel;
use std::thread;

use faa_data::Split;
use faa_op::{Channels, ImageMut, ImageRef};
use faa_policy::{ApplyError, Workspace};
use faa_search::backend::{BackendError, StopFlag};
use faa_search::pipeline::{Pipeline, TaskPartners};
use rayon::prelude::*;
use tch::{Device, Kind, TchError, Tensor};

use crate::shim;
use crate::statistics::Statistics;

/// How many batches may wait for the network.
const AHEAD: usize = 2;

/// An image on its way to the network: which, and in which pass over the data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw {
    pub(crate) image: usize,
    pub(crate) epoch: u32,
}

/// Where the images come from and what happens to them.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) split: &'a Split,
    pub(crate) size: [usize; 2],
    /// Without it, images stay as they are.
    pub(crate) pipeline: Option<&'a Pipeline>,
    /// What ops that mix may mix in.
    pub(crate) partners: &'a [usize],
    /// Whether a batch is augmented on the thread that asks for it, with 1, or on all of rayon's.
    pub(crate) threads: usize,
}

/// A batch on the device.
pub(crate) struct Batch {
    /// Normalised images, `[images, 3, height, width]`, channels innermost in memory.
    pub(crate) images: Tensor,
    /// Classes, `[images]`.
    pub(crate) labels: Tensor,
}

/// A batch in memory: pixels, `[images, height, width, 3]`, and classes.
pub(crate) struct Raw {
    pixels: Tensor,
    labels: Tensor,
}

impl Source<'_> {
    /// Hands every batch of draws to `consume`, in order, on the device of `normalise`. Batches are
    /// augmented ahead, on CPU threads.
    pub(crate) fn for_each<'d>(
        &self,
        batches: impl Iterator<Item = &'d [Draw]> + Send,
        normalise: &Normalise,
        stop: &StopFlag,
        mut consume: impl FnMut(Batch) -> Result<(), TchError>,
    ) -> Result<(), BackendError> {
        let device = normalise.device();
        thread::scope(|scope| {
            let (sender, receiver) = sync_channel(AHEAD);
            scope.spawn(move || {
                for draws in batches {
                    // The consumer is gone once it has failed or was stopped.
                    if sender.send(self.augment(draws, device)).is_err() {
                        break;
                    }
                }
            });
            for raw in receiver {
                stop.check()?;
                let batch = self.upload(&raw?, normalise);
                batch.and_then(&mut consume).map_err(BackendError::other)?;
            }
            Ok(())
        })
    }

    /// Augments a batch.
    pub(crate) fn augment(&self, draws: &[Draw], device: Device) -> Result<Raw, BackendError> {
        let [width, height] = self.size;
        let stride = width * height * 3;
        let size = [draws.len() as i64, height as i64, width as i64, 3];
        let label = |draw: &Draw| i64::from(self.split.labels[draw.image]);
        let labels: Vec<i64> = draws.iter().map(label).collect();
        let empty = |size: &[i64], kind| match device.is_cuda() {
            true => shim::pinned(size, kind),
            false => Tensor::f_empty(size, (kind, Device::Cpu)),
        };
        let mut raw = Raw {
            pixels: empty(&size, Kind::Uint8).map_err(BackendError::other)?,
            labels: empty(&size[..1], Kind::Int64).map_err(BackendError::other)?,
        };
        let labels = Tensor::f_from_slice(&labels).map_err(BackendError::other)?;
        raw.labels.f_copy_(&labels).map_err(BackendError::other)?;
        let partners = TaskPartners {
            split: self.split,
            size: self.size,
            images: self.partners,
        };
        let workspace = || Workspace::with_partners(&partners);
        let one = |workspace: &mut Workspace<'_>, (pixels, draw): (&mut [u8], &Draw)| {
            let source = self.split.image(draw.image);
            let Some(pipeline) = self.pipeline else {
                pixels.copy_from_slice(source);
                return Ok(());
            };
            let source = ImageRef::new(source, width, height, Channels::Rgb)
                .expect("images of a split have its size");
            let mut image = ImageMut::new(pixels, width, height, Channels::Rgb)
                .expect("a chunk has the size of an image");
            let (epoch, index) = (draw.epoch, draw.image as u64);
            pipeline.apply_to(source, &mut image, epoch, index, workspace)
        };
        let pixels = bytes_of(&mut raw.pixels);
        let augmented: Result<(), ApplyError> = if self.threads == 1 {
            let mut workspace = workspace();
            let mut images = pixels.chunks_exact_mut(stride).zip(draws);
            images.try_for_each(|image| one(&mut workspace, image))
        } else {
            let images = pixels.par_chunks_exact_mut(stride).zip(draws);
            images.try_for_each_init(workspace, one)
        };
        augmented.map_err(BackendError::other)?;
        Ok(raw)
    }

    /// Brings a batch to the device, as bytes, and normalises it there.
    pub(crate) fn upload(&self, raw: &Raw, normalise: &Normalise) -> Result<Batch, TchError> {
        let to_device =
            |tensor: &Tensor| tensor.f_to_device_(normalise.device(), tensor.kind(), true, false);
        Ok(Batch {
            images: normalise.apply(&to_device(&raw.pixels)?)?,
            labels: to_device(&raw.labels)?,
        })
    }
}

/// The bytes of a new tensor of bytes in memory.
#[expect(
    unsafe_code,
    reason = "tch hands out a tensor's memory as a pointer only"
)]
fn bytes_of(tensor: &mut Tensor) -> &mut [u8] {
    let length = tensor.numel();
    // SAFETY: a new tensor of bytes is contiguous, so that its memory has as many bytes as it has
    // elements; nobody else has a handle to it, and the borrow keeps it alive.
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), length) }
}

/// From bytes to what the network sees: `(byte / 255 − mean) / deviation`, channel by channel.
pub(crate) struct Normalise {
    scale: Tensor,
    shift: Tensor,
}

impl Normalise {
    /// For images with these statistics. A channel that never varies is only shifted.
    pub(crate) fn new(statistics: Statistics, device: Device) -> Result<Self, TchError> {
        let Statistics { mean, deviation } = statistics;
        let deviation = deviation.map(|deviation| if deviation > 0.0 { deviation } else { 1.0 });
        let scale = deviation.map(|deviation| (1.0 / (255.0 * deviation)) as f32);
        let shift = [0, 1, 2].map(|channel| (-mean[channel] / deviation[channel]) as f32);
        Ok(Self {
            scale: Tensor::f_from_slice(&scale)?.f_to_device(device)?,
            shift: Tensor::f_from_slice(&shift)?.f_to_device(device)?,
        })
    }

    /// Other handles to the same numbers, for another thread.
    pub(crate) fn share(&self) -> Self {
        Self {
            scale: self.scale.shallow_clone(),
            shift: self.shift.shallow_clone(),
        }
    }

    /// From bytes `[images, height, width, 3]` on the device.
    fn apply(&self, pixels: &Tensor) -> Result<Tensor, TchError> {
        let pixels = pixels.f_to_kind(Kind::Float)?;
        self.shift
            .f_addcmul(&pixels, &self.scale)?
            .f_permute([0, 3, 1, 2])
    }

    pub(crate) fn device(&self) -> Device {
        self.scale.device()
    }
}
