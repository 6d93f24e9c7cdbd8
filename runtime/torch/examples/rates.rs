//! Measures training, scoring and augmentation on this machine, or writes a network and its logits for
//! comparison with PyTorch.
//!
//! ```text
//! cargo run --release -p faa-torch --example rates -- DATA wrn-D-K IMAGES BATCH DEVICE PRECISION THREADS [FOLDER]
//! ```
//!
//! Prints a line of JSON. Rates are images per second, medians of five. `*_bare` is without any
//! augmentation, `*_base` with the base augmentation (crop, flip and Cutout), `*_policy` with a policy
//! before it. `augment_*` is augmentation alone, on all threads. `network` is the network alone, on images
//! that are already on the device; on a CPU it uses threads within each convolution, so scoring can be
//! faster there. `augmentation_of_*` is the fraction of time that augmentation adds, and
//! `scoring_of_network` the rate of scoring relative to that of the network alone.
//!
//! With `FOLDER`, only `train_base` and `scoring_policy` are measured, and the folder receives
//! `network.safetensors`, and for the first test images `images.f32` (normalised,
//! `[images, height, width, 3]`), `logits-float32.f32` and `logits-bf16.f32`.
//! `runtime/torch/study/compare_pytorch.py` reads them.

mod shared;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use faa_data::Dataset;
use faa_op::{Channels, ImageMut, ImageRef};
use faa_ops_builtin::builtin_ops;
use faa_policy::{Policy, Step, Strength, Workspace};
use faa_search::backend::{Images, ScoringTask, StopFlag, TrainTask};
use faa_search::config::{SEARCHED_OPS, TrainingConfig};
use faa_search::pipeline::{Pipeline, TaskPartners};
use faa_search::space::Space;
use faa_search::{Backend, NetworkFiles};
use faa_torch::network::Folded;
use faa_torch::{BackendConfig, TorchBackend, TorchNetwork};
use rayon::prelude::*;
use serde_json::json;
use tch::{Device, Kind, Tensor};

/// The number of measurements, of which the median is taken.
const REPEATS: usize = 5;
/// The number of augmented versions of each image in a trial.
const DRAWS: usize = 5;
/// The batch size for the network alone, which is the backend's on a GPU.
const NETWORK_BATCH: usize = 2_000;
/// The number of images whose logits are written.
const COMPARED: usize = 64;

fn main() -> Result<()> {
    faa_torch::keep_memory();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [
        data,
        model,
        images,
        batch,
        word,
        precision,
        threads,
        folder @ ..,
    ] = arguments.as_slice()
    else {
        bail!("expected seven or eight arguments; see the first lines of this file");
    };
    let threads = threads.parse()?;
    let device = shared::device(word)?;
    let dataset = shared::load(data, threads)?;
    let precision = serde_json::from_value(precision.as_str().into())
        .context("a precision is auto, float32 or bf16")?;
    let config = BackendConfig::new(device, threads, precision);
    let mut bench = Bench {
        backend: TorchBackend::new(Arc::clone(&dataset), builtin_ops(), config),
        images: shared::spread(&dataset, images.parse()?),
        stop: StopFlag::new(),
    };
    ensure!(!bench.images.is_empty(), "the number of images is 0");
    let mut training = shared::training(model)?;
    training.batch = batch.parse()?;
    let space = Space::of(&SEARCHED_OPS.map(str::to_owned), 5, 2);
    let candidate = space.random_policy("candidate", 5, 1);
    if let [folder] = folder {
        let (network, train_base) = bench.train(&training, None)?;
        let scoring_policy = bench.score(&network, &training, &candidate)?;
        println!(
            "{}",
            json!({"train_base": train_base, "scoring_policy": scoring_policy})
        );
        return write_network(&bench.backend, &network, &dataset, Path::new(folder));
    }

    // The steps are only timed, and should not make the loss diverge.
    training.learning_rate = 1e-12;
    let mut bare = training.clone();
    bare.crop_padding = 0;
    bare.flip = false;
    bare.cutout = 0;
    let policy = space.random_policy("policy", 50, 0);
    let (network, train_bare) = bench.train(&bare, None)?;
    let (_, train_base) = bench.train(&training, None)?;
    let (_, train_policy) = bench.train(&training, Some(&policy))?;
    let scoring_bare = bench.score(&network, &bare, &identity())?;
    let scoring_policy = bench.score(&network, &training, &candidate)?;
    let evaluate = bench.evaluate(&network)?;
    let kind = match bench.backend.precisions() {
        ["bf16", _] => Kind::BFloat16,
        _ => Kind::Float,
    };
    // The backend has set libtorch to one thread.
    tch::set_num_threads(i32::try_from(threads)?);
    let alone = network_alone(&network, kind, &dataset, bench.images.len() * DRAWS)?;
    let augment_train = augment(&dataset, &bench.images, &training, &policy)?;
    let augment_scoring = augment(&dataset, &bench.images, &training, &candidate)?;
    let line = json!({
        "model": model,
        "images": bench.images.len(),
        "batch": training.batch,
        "device": word,
        "precision": precision,
        "threads": threads,
        "train_bare": train_bare.round(),
        "train_base": train_base.round(),
        "train_policy": train_policy.round(),
        "scoring_bare": scoring_bare.round(),
        "scoring_policy": scoring_policy.round(),
        "evaluate": evaluate.round(),
        "network": alone.round(),
        "augment_train": augment_train.round(),
        "augment_scoring": augment_scoring.round(),
        "augmentation_of_training": thousandths(1.0 - train_policy / train_bare),
        "augmentation_of_scoring": thousandths(1.0 - scoring_policy / scoring_bare),
        "scoring_of_network": thousandths(scoring_policy / alone),
    });
    println!("{line}");
    Ok(())
}

/// Rounds to three decimals.
fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// A candidate that leaves every image unchanged.
fn identity() -> Policy {
    let step = Step::new("Identity", 0.0, Strength::Unstated);
    Policy::of_sub_policies("identity", vec![vec![step]])
}

/// The median rate of `work` in images per second, after a warm-up call. `work` returns how many images
/// it processed.
fn measure(mut work: impl FnMut() -> Result<usize>) -> Result<f64> {
    work()?;
    let mut rates = Vec::new();
    for _ in 0..REPEATS {
        let started = Instant::now();
        let images = work()?;
        rates.push(images as f64 / started.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    Ok(rates[REPEATS / 2])
}

/// Measurements through the backend.
struct Bench {
    backend: TorchBackend,
    images: Vec<usize>,
    stop: StopFlag,
}

impl Bench {
    /// A network after a few epochs, so that its running statistics are those of images, and the rate.
    fn train(
        &mut self,
        training: &TrainingConfig,
        policy: Option<&Policy>,
    ) -> Result<(TorchNetwork, f64)> {
        let (backend, images, stop) = (&mut self.backend, &self.images, &self.stop);
        let mut task = TrainTask::new(images, training, 1);
        task.policy = policy;
        let (mut network, mut epoch) = (backend.begin(&task)?, 0);
        let rate = measure(|| {
            backend.epoch(&mut network, &task, epoch, stop)?;
            epoch += 1;
            Ok(images.len())
        })?;
        Ok((network, rate))
    }

    fn score(
        &mut self,
        network: &TorchNetwork,
        training: &TrainingConfig,
        candidate: &Policy,
    ) -> Result<f64> {
        let (backend, images, stop) = (&mut self.backend, &self.images, &self.stop);
        let mut seed = 0;
        measure(|| {
            seed += 1;
            let mut task = ScoringTask::new(images, training, candidate, DRAWS);
            task.seed = seed;
            backend.score(network, &task, stop)?;
            Ok(images.len() * DRAWS)
        })
    }

    /// The rate on images without augmentation, in 32-bit floats.
    fn evaluate(&mut self, network: &TorchNetwork) -> Result<f64> {
        let (backend, images, stop) = (&mut self.backend, &self.images, &self.stop);
        measure(|| {
            backend.evaluate(network, Images::Train(images), stop)?;
            Ok(images.len())
        })
    }
}

/// The rate of the network on images that are already on its device.
fn network_alone(
    network: &TorchNetwork,
    kind: Kind,
    dataset: &Dataset,
    images: usize,
) -> Result<f64> {
    let device = network.network().device();
    let folded = Folded::new(network.network(), kind)?;
    let size = [NETWORK_BATCH, dataset.height, dataset.width, 3].map(|side| side as i64);
    let batch = Tensor::f_randn(size, (Kind::Float, device))?.f_permute([0, 3, 1, 2])?;
    let batches = images.div_ceil(NETWORK_BATCH);
    measure(|| {
        let mut logits = folded.forward(&batch)?;
        for _ in 1..batches {
            logits = folded.forward(&batch)?;
        }
        // The device executes in order, so reading the last result waits for all of them.
        let sum = logits.f_sum(Kind::Double)?.f_double_value(&[])?;
        ensure!(sum.is_finite(), "the network has an infinite or NaN output");
        Ok(batches * NETWORK_BATCH)
    })
}

/// The rate of augmentation alone, with the policy and the base augmentation.
fn augment(
    dataset: &Dataset,
    images: &[usize],
    training: &TrainingConfig,
    policy: &Policy,
) -> Result<f64> {
    let pipeline = Pipeline::new(Some(policy), training, &builtin_ops(), [128; 3], 1)?;
    let (width, height, stride) = (dataset.width, dataset.height, dataset.train.stride());
    let partners = TaskPartners::new(&dataset.train, [width, height], images);
    let mut pixels = vec![0_u8; images.len() * stride];
    let mut epoch = 0;
    measure(|| {
        epoch += 1;
        let one = |workspace: &mut Workspace<'_>, (pixels, image): (&mut [u8], &usize)| {
            let source = dataset.train.image(*image);
            let source = ImageRef::new(source, width, height, Channels::Rgb)
                .expect("images of a split have its size");
            let mut view = ImageMut::new(pixels, width, height, Channels::Rgb)
                .expect("a chunk has the size of an image");
            pipeline.apply_to(source, &mut view, epoch, *image as u64, workspace)
        };
        let chunks = pixels.par_chunks_exact_mut(stride).zip(images);
        chunks.try_for_each_init(|| Workspace::with_partners(&partners), one)?;
        Ok(images.len())
    })
}

/// Writes the network, some normalised test images, and the network's logits for them.
fn write_network(
    backend: &TorchBackend,
    network: &TorchNetwork,
    dataset: &Dataset,
    folder: &Path,
) -> Result<()> {
    fs::create_dir_all(folder)?;
    backend.save(network, &folder.join("network.safetensors"))?;
    let count = COMPARED.min(dataset.test.len());
    let pixels = &dataset.test.pixels[..count * dataset.test.stride()];
    let images = shared::normalised(dataset, pixels)?;
    write_floats(&folder.join("images.f32"), &images)?;
    let network = network.network();
    let images = images.to_device(network.device()).permute([0, 3, 1, 2]);
    for (kind, name) in [(Kind::Float, "float32"), (Kind::BFloat16, "bf16")] {
        let logits = Folded::new(network, kind)?.forward(&images)?;
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
