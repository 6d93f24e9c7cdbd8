//! What the examples that try a device have in common.

use std::sync::Arc;

use anyhow::{Context, Result};
use faa_search::config::{Preset, RunConfig, TrainingConfig};
use faa_search::data::{Dataset, LoadOptions};
use faa_torch::device::CudaSupport;
use tch::Device;

/// The images, after libtorch and rayon were told how many threads there are.
pub(crate) fn load(data: &str, threads: usize) -> Result<Arc<Dataset>> {
    tch::set_num_threads(i32::try_from(threads)?);
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()?;
    let dataset = Dataset::load(&data.parse()?, &LoadOptions::default())?;
    Ok(Arc::new(dataset))
}

/// `count` of the training images, as many of every class: images lie class by class in most sets.
pub(crate) fn spread(dataset: &Dataset, count: usize) -> Vec<usize> {
    let all = dataset.train.len();
    let count = count.min(all);
    (0..count).map(|place| place * all / count).collect()
}

/// Loading CUDA takes seconds, which work on the CPU need not wait for.
pub(crate) fn device(word: &str) -> Result<Device> {
    match word {
        "cpu" => Ok(Device::Cpu),
        _ => Ok(CudaSupport::load().choose(word)?),
    }
}

/// The paper's recipe for the network `wrn-D-K`.
pub(crate) fn training(model: &str) -> Result<TrainingConfig> {
    let numbers = model
        .strip_prefix("wrn-")
        .and_then(|rest| rest.split_once('-'));
    let (depth, width) = numbers.context("a network is named wrn-D-K")?;
    Ok(TrainingConfig {
        depth: depth.parse()?,
        width: width.parse()?,
        ..RunConfig::preset(Preset::Cifar10, "").training
    })
}
