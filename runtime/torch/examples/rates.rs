//! Measures the explore stage and the training on this machine, and writes what is needed to check
//! them against PyTorch: `runtime/torch/study/compare_pytorch.py` runs this program, and says how.
//!
//! ```text
//! cargo run --release -p faa-torch --example rates -- DATA wrn-D-K IMAGES BATCH DEVICE PRECISION THREADS FOLDER
//! ```
//!
//! `FOLDER` receives `network.safetensors`, and for the first test images `images.f32` (normalised,
//! `[images, height, width, 3]`), `logits-float32.f32` and `logits-bf16.f32`. Rates go to standard output as a line of JSON.

#[path = "shared/measure.rs"]
mod measure;
mod shared;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use faa_data::Dataset;
use faa_ops_builtin::builtin_ops;
use faa_search::backend::{ScoringTask, StopFlag, TrainTask};
use faa_search::config::{SEARCHED_OPS, TrainingConfig};
use faa_search::space::Space;
use faa_search::{Backend, NetworkFiles};
use faa_torch::network::Folded;
use faa_torch::{BackendConfig, TorchBackend};
use measure::{measure, precision_of};
use tch::{Device, Kind, Tensor, no_grad};

/// Images whose logits are written.
const COMPARED: usize = 64;
/// How often an image is augmented in a trial.
const DRAWS: usize = 5;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [
        data,
        model,
        images,
        batch,
        device,
        precision,
        threads,
        folder,
    ] = arguments.as_slice()
    else {
        bail!("eight arguments are needed; see the head of this file");
    };
    let (threads, images) = (threads.parse()?, images.parse()?);
    let dataset = shared::load(data, threads)?;
    ensure!(
        dataset.train.len() >= images,
        "the data set has fewer images"
    );
    let device = shared::device(device)?;
    let config = BackendConfig {
        device,
        threads,
        precision: precision_of(precision)?,
    };
    let mut backend = TorchBackend::new(Arc::clone(&dataset), builtin_ops(), config);
    let training = TrainingConfig {
        batch: batch.parse()?,
        ..shared::training(model)?
    };
    let all = shared::spread(&dataset, images);
    let (train, stop) = (
        TrainTask {
            images: &all,
            training: &training,
            policy: None,
            seed: 1,
        },
        StopFlag::new(),
    );

    let mut network = backend.begin(&train)?;
    let mut epoch = 0;
    let learnt = measure(|| {
        backend.epoch(&mut network, &train, epoch, &stop)?;
        epoch += 1;
        Ok(images)
    })?;
    let ops = SEARCHED_OPS.map(str::to_owned);
    let mut trial = 0;
    let scored = measure(|| {
        let candidate = Space::of(&ops, 5, 2).random_policy("candidate", 5, trial);
        let task = ScoringTask {
            images: &all,
            training: &training,
            candidate: &candidate,
            draws: DRAWS,
            seed: trial,
        };
        backend.score(&network, &task, &stop)?;
        trial += 1;
        Ok(images * DRAWS)
    })?;
    println!(r#"{{"train": {learnt:.1}, "search": {scored:.1}}}"#);

    let folder = Path::new(folder);
    fs::create_dir_all(folder)?;
    backend.save(&network, &folder.join("network.safetensors"))?;
    let images = normalised(&dataset)?;
    write_floats(&folder.join("images.f32"), &images)?;
    let images = images.to_device(device).permute([0, 3, 1, 2]);
    for (kind, name) in [(Kind::Float, "float32"), (Kind::BFloat16, "bf16")] {
        let folded = Folded::new(network.network(), kind)?;
        let logits = no_grad(|| folded.forward(&images))?;
        write_floats(&folder.join(format!("logits-{name}.f32")), &logits)?;
    }
    Ok(())
}

/// The first test images as the network sees them, `[images, height, width, 3]`.
fn normalised(dataset: &Dataset) -> Result<Tensor> {
    let statistics = dataset.channel_statistics();
    let count = COMPARED.min(dataset.test.len());
    let pixels = &dataset.test.pixels[..count * dataset.test.stride()];
    let normal = |(place, byte): (usize, &u8)| {
        let (mean, deviation) = (statistics.mean[place % 3], statistics.std[place % 3]);
        ((f64::from(*byte) / 255.0 - mean) / deviation) as f32
    };
    let values: Vec<f32> = pixels.iter().enumerate().map(normal).collect();
    let size = [count, dataset.height, dataset.width, 3].map(|side| side as i64);
    Ok(Tensor::f_from_slice(&values)?.f_view(size)?)
}

fn write_floats(path: &Path, tensor: &Tensor) -> Result<()> {
    let values = Vec::<f32>::try_from(tensor.to_device(Device::Cpu).contiguous().view(-1))?;
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    Ok(fs::write(path, bytes)?)
}
