//! Batches of augmented images, made on CPU threads ahead of the network.

use std::sync::mpsc::sync_channel;
use std::thread;

use faa_op::{Channels, ImageMut};
use faa_policy::{ApplyError, Workspace};
use faa_search::data::Split;
use faa_search::judge::{JudgeError, StopFlag};
use faa_search::pipeline::Pipeline;
use rayon::prelude::*;
use tch::{Device, Kind, TchError, Tensor};

/// How many batches may wait for the network.
const AHEAD: usize = 2;

/// An image on its way to the network: which, and in which pass over the data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw {
    pub(crate) image: usize,
    pub(crate) epoch: u32,
}

/// Where the images come from and what happens to them.
pub(crate) struct Source<'a> {
    pub(crate) split: &'a Split,
    pub(crate) size: [usize; 2],
    /// Without it, images stay as they are.
    pub(crate) pipeline: Option<&'a Pipeline>,
}

/// A batch on the device.
pub(crate) struct Batch {
    /// Normalised images, `[images, 3, height, width]`, channels innermost in memory.
    pub(crate) images: Tensor,
    /// Classes, `[images]`.
    pub(crate) labels: Tensor,
}

impl Batch {
    pub(crate) fn len(&self) -> i64 {
        self.labels.size()[0]
    }
}

/// A batch in memory: all pixels, and the classes.
type Raw = (Vec<u8>, Vec<i64>);

impl Source<'_> {
    /// Hands every batch of `size` draws (the last may have fewer) to `consume`, in order, on the
    /// device of `normalise`.
    pub(crate) fn for_each(
        &self,
        draws: &[Draw],
        size: usize,
        normalise: &Normalise,
        stop: &StopFlag,
        mut consume: impl FnMut(Batch) -> Result<(), TchError>,
    ) -> Result<(), JudgeError> {
        thread::scope(|scope| {
            let (sender, receiver) = sync_channel::<Result<Raw, ApplyError>>(AHEAD);
            scope.spawn(move || {
                for draws in draws.chunks(size) {
                    // The consumer is gone once it has failed or was stopped.
                    if sender.send(self.augment(draws)).is_err() {
                        break;
                    }
                }
            });
            for raw in receiver {
                stop.check()?;
                let batch = self.upload(raw.map_err(JudgeError::other)?, normalise);
                batch.and_then(&mut consume).map_err(JudgeError::other)?;
            }
            Ok(())
        })
    }

    fn augment(&self, draws: &[Draw]) -> Result<Raw, ApplyError> {
        let [width, height] = self.size;
        let stride = width * height * 3;
        let mut pixels = vec![0; draws.len() * stride];
        pixels
            .par_chunks_exact_mut(stride)
            .zip(draws)
            .try_for_each_init(Workspace::new, |workspace, (pixels, draw)| {
                pixels.copy_from_slice(self.split.image(draw.image));
                let Some(pipeline) = self.pipeline else {
                    return Ok(());
                };
                let mut image = ImageMut::new(pixels, width, height, Channels::Rgb)
                    .expect("a chunk has the size of an image");
                pipeline.apply(&mut image, draw.epoch, draw.image as u64, workspace)
            })?;
        let label = |draw: &Draw| i64::from(self.split.labels[draw.image]);
        Ok((pixels, draws.iter().map(label).collect()))
    }

    fn upload(&self, (pixels, labels): Raw, normalise: &Normalise) -> Result<Batch, TchError> {
        let [width, height] = self.size;
        let size = [labels.len() as i64, height as i64, width as i64, 3];
        let pixels = Tensor::f_from_data_size(&pixels, &size, Kind::Uint8)?;
        Ok(Batch {
            images: normalise.apply(&pixels)?,
            labels: Tensor::f_from_slice(&labels)?.f_to_device(normalise.device())?,
        })
    }
}

/// From bytes to what the network sees: `(byte / 255 − mean) / deviation`, channel by channel.
pub(crate) struct Normalise {
    scale: Tensor,
    shift: Tensor,
}

impl Normalise {
    /// `mean` and `deviation` are on a scale where 255 is 1. A channel that never varies is only
    /// shifted.
    pub(crate) fn new(
        mean: [f64; 3],
        deviation: [f64; 3],
        device: Device,
    ) -> Result<Self, TchError> {
        let deviation = deviation.map(|deviation| if deviation > 0.0 { deviation } else { 1.0 });
        let scale = deviation.map(|deviation| (1.0 / (255.0 * deviation)) as f32);
        let shift = [0, 1, 2].map(|channel| (-mean[channel] / deviation[channel]) as f32);
        Ok(Self {
            scale: Tensor::f_from_slice(&scale)?.f_to_device(device)?,
            shift: Tensor::f_from_slice(&shift)?.f_to_device(device)?,
        })
    }

    /// From bytes `[images, height, width, 3]`, which travel to the device as bytes.
    pub(crate) fn apply(&self, pixels: &Tensor) -> Result<Tensor, TchError> {
        let pixels = pixels.f_to_device(self.device())?.f_to_kind(Kind::Float)?;
        self.shift
            .f_addcmul(&pixels, &self.scale)?
            .f_permute([0, 3, 1, 2])
    }

    fn device(&self) -> Device {
        self.scale.device()
    }
}
