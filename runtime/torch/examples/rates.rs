//! Measures scoring and training on this machine, and writes a network and its logits for comparison
//! with PyTorch. `runtime/torch/study/compare_pytorch.py` runs this program.
//!
//! ```text
//! cargo run --release -p faa-torch --example rates -- DATA wrn-D-K IMAGES BATCH DEVICE PRECISION THREADS FOLDER
//! ```
//!
//! `FOLDER` receives `network.safetensors`, and for the first test images `images.f32` (normalised,
//! `[images, height, width, 3]`), `logits-float32.f32` and `logits-bf16.f32`. Rates, in images per
//! second, are printed as a line of JSON.

#[path = "shared/measure.rs"]
mod measure;
#[path = "shared/normalised.rs"]
mod normalised;
mod shared;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use faa_ops_builtin::builtin_ops;
use faa_search::backend::{ScoringTask, StopFlag, TrainTask};
use faa_search::config::SEARCHED_OPS;
use faa_search::space::Space;
use faa_search::{Backend, NetworkFiles};
use faa_torch::network::Folded;
use faa_torch::{BackendConfig, TorchBackend};
use measure::{measure, precision_of};
use normalised::normalised;
use tch::{Device, Kind, Tensor, no_grad};

/// The number of images whose logits are written.
const COMPARED: usize = 64;
/// The number of augmented versions of each image in a trial.
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
        bail!("expected eight arguments; see the first lines of this file");
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
    let mut training = shared::training(model)?;
    training.batch = batch.parse()?;
    let all = shared::spread(&dataset, images);
    let stop = StopFlag::new();
    let task = TrainTask {
        images: &all,
        training: &training,
        policy: None,
        seed: 1,
    };

    let mut network = backend.begin(&task)?;
    let mut epoch = 0;
    let trained = measure(|| {
        backend.epoch(&mut network, &task, epoch, &stop)?;
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
    println!(r#"{{"train": {trained:.1}, "search": {scored:.1}}}"#);

    let folder = Path::new(folder);
    fs::create_dir_all(folder)?;
    backend.save(&network, &folder.join("network.safetensors"))?;
    let count = COMPARED.min(dataset.test.len());
    let pixels = &dataset.test.pixels[..count * dataset.test.stride()];
    let images = normalised(&dataset, pixels)?;
    write_floats(&folder.join("images.f32"), &images)?;
    let images = images.to_device(device).permute([0, 3, 1, 2]);
    for (kind, name) in [(Kind::Float, "float32"), (Kind::BFloat16, "bf16")] {
        let folded = Folded::new(network.network(), kind)?;
        let logits = no_grad(|| folded.forward(&images))?;
        write_floats(&folder.join(format!("logits-{name}.f32")), &logits)?;
    }
    Ok(())
}

fn write_floats(path: &Path, tensor: &Tensor) -> Result<()> {
    let values = Vec::<f32>::try_from(tensor.to_device(Device::Cpu).contiguous().view(-1))?;
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    Ok(fs::write(path, bytes)?)
}
