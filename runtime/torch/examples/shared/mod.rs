//! Shared by the examples.

use std::sync::Arc;

use anyhow::Result;
use faa_data::{Dataset, LoadOptions};
use faa_search::config::{Preset, RunConfig, TrainingConfig};
use faa_search::device::DeviceName;
use faa_torch::device::{CudaSupport, prepare_cuda};
use tch::{Device, Tensor};

/// Sets the thread counts of libtorch and rayon, and loads the data set.
pub(crate) fn load(data: &str, threads: usize) -> Result<Arc<Dataset>> {
    tch::set_num_threads(i32::try_from(threads)?);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()?;
    let dataset = Dataset::load(&data.parse()?, &LoadOptions::default())?;
    Ok(Arc::new(dataset))
}

/// Evenly spaced indices of `count` training images. Most data sets are sorted by class, so every class
/// has its fraction.
pub(crate) fn spread(dataset: &Dataset, count: usize) -> Vec<usize> {
    let all = dataset.train.len();
    let count = count.min(all);
    (0..count).map(|index| index * all / count).collect()
}

/// The device of this name. CUDA, which takes seconds to load, is loaded only for names other than `cpu`.
pub(crate) fn device(name: &str) -> Result<Device> {
    let name: DeviceName = name.parse()?;
    if name == DeviceName::Cpu {
        return Ok(Device::Cpu);
    }
    let device = CudaSupport::load().choose(name)?;
    if device.is_cuda() {
        prepare_cuda()?;
    }
    Ok(device)
}

/// The paper's hyperparameters, for the network of this name, `wrn-D-K`.
pub(crate) fn training(model: &str) -> Result<TrainingConfig> {
    let mut it = RunConfig::for_search(Preset::Cifar10, "").common.training;
    it.model = model.parse()?;
    Ok(it)
}

/// Pixels as the network sees them, `[images, height, width, 3]` in 32-bit floats on the CPU: `images` of
/// `width` × `height`, each channel normalised by the data set's statistics.
pub(crate) fn normalised(dataset: &Dataset, pixels: &[u8]) -> Result<Tensor> {
    let statistics = dataset.channel_statistics();
    let normalise = |(index, byte): (usize, &u8)| {
        let (mean, std) = (statistics.mean[index % 3], statistics.std[index % 3]);
        ((f64::from(*byte) / 255.0 - mean) / std) as f32
    };
    let values: Vec<f32> = pixels.iter().enumerate().map(normalise).collect();
    let size = [-1, dataset.height as i64, dataset.width as i64, 3];
    Ok(Tensor::f_from_slice(&values)?.f_view(size)?)
}
