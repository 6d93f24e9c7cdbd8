//! Compares a device with the CPU, on the same weights, images and draws.
//!
//! ```text
//! cargo run --release -p faa-torch --example device_check -- DATA wrn-D-K IMAGES EPOCHS DEVICE THREADS
//! ```
//!
//! A network is trained on the CPU, for `EPOCHS` epochs on `IMAGES` of the training images, and
//! saved. Loaded from that file, it must give the same logits on the device as on the CPU, in 32-bit
//! floats and in bf16, and the same training step on one batch. A network that is trained on the device
//! from the same initial weights must have similar losses. Two backends in parallel on the device must
//! give the results of one alone.
//!
//! Every comparison is a line: `ok` or `DIFFERS`, the quantity, its difference, and the tolerance. The
//! exit status is 1 if anything differs. With `cpu` as the device, the program checks itself.

mod shared;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use anyhow::{Result, bail};
use faa_data::Dataset;
use faa_ops_builtin::builtin_ops;
use faa_search::backend::{Images, ScoringTask, StopFlag, TrainTask};
use faa_search::config::{Precision, SEARCHED_OPS, TrainingConfig};
use faa_search::results::{Evaluation, Score};
use faa_search::space::Space;
use faa_search::{Backend, NetworkFiles};
use faa_torch::network::{Folded, Role, Trainable, WideResNet};
use faa_torch::sgd::Sgd;
use faa_torch::{BackendConfig, TorchBackend, TorchNetwork};
use tch::{Device, Kind, TchError, Tensor};

/// The minimum and maximum of a difference, relative to the expected value.
type Tolerance = [f64; 2];

const EQUAL: Tolerance = [0.0, 0.0];
/// Logits and losses, in 32-bit floats. A different order of summation, or a different convolution
/// algorithm, changes them by up to 1e-5; TF32, whose factors have 11 bits, by more than the tolerance.
const FLOAT32: Tolerance = [0.0, 1e-4];
/// Logits in bf16. Its 8 bits round by up to 0.2 % in each of up to forty layers; without a difference,
/// bf16 was not used.
const BF16: Tolerance = [1e-4, 0.05];
/// A gradient and a step, in the format of the network and that of the computation, against those of the CPU in
/// 64-bit floats. In these, semantics are compared: kernels do not matter. In the others, rounding moves the
/// inputs of some ReLUs across 0, where its gradient jumps: up to 2.6e-3 was seen in float32 on an H200, and 0.16 in
/// bf16; about three times that is allowed.
const STEPS: [(&str, [Kind; 2], Tolerance); 3] = [
    ("float64", [Kind::Double, Kind::Double], [0.0, 1e-9]),
    ("float32", [Kind::Float, Kind::Float], [0.0, 8e-3]),
    ("bf16", [Kind::Float, Kind::BFloat16], [1e-3, 0.5]),
];
/// Losses of the first epoch and of later ones. Training amplifies rounding from step to step, until two
/// runs differ as much as with different seeds.
const CURVE_FLOAT32: [Tolerance; 2] = [[0.0, 0.02], [0.0, 0.1]];
const CURVE_BF16: [Tolerance; 2] = [[0.0, 0.05], [0.0, 0.1]];

/// The batch size of the comparison of logits and of one step.
const BATCH: usize = 128;
/// A 32-bit float, as which a GPU reads it.
const LEARNING_RATE: f64 = 0.0625;
/// The number of candidates that each backend scores.
const CANDIDATES: u64 = 4;
/// The number of augmented versions of each image per candidate.
const DRAWS: usize = 5;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, model, images, epochs, word, threads] = arguments.as_slice() else {
        bail!("expected six arguments; see the first lines of this file");
    };
    let threads = threads.parse()?;
    let device = shared::device(word)?;
    let dataset = shared::load(data, threads)?;
    let setup = Setup {
        training: {
            let mut it = shared::training(model)?;
            it.epochs = epochs.parse()?;
            it.batch = 64_usize.try_into()?;
            it.learning_rate = LEARNING_RATE;
            it.warmup_epochs = 1;
            it
        },
        images: shared::spread(&dataset, images.parse()?),
        dataset,
        threads,
    };
    println!("{word} against cpu: {model}, {images} images of {data}, {threads} threads");
    let mut outcome = Outcome::default();
    setup.compare(device, &mut outcome)?;
    println!(
        "{} comparisons, {} of which differ",
        outcome.compared, outcome.differing
    );
    Ok(ExitCode::from(u8::from(outcome.differing > 0)))
}

/// The number of comparisons so far, and how many of them differ.
#[derive(Default)]
struct Outcome {
    compared: usize,
    differing: usize,
}

impl Outcome {
    fn compare(&mut self, what: &str, found: f64, [min, max]: Tolerance) {
        // NaN is in no range.
        let within = (min..=max).contains(&found);
        self.compared += 1;
        self.differing += usize::from(!within);
        let word = if within { "ok" } else { "DIFFERS" };
        println!("{word:<8} {what}: {found:.1e}, allowed {min:.0e} to {max:.0e}");
    }

    fn compare_values(&mut self, what: &str, found: f64, expected: f64, tolerance: Tolerance) {
        self.compare(what, (found / expected - 1.0).abs(), tolerance);
    }

    fn compare_tensors(
        &mut self,
        what: &str,
        found: &Tensor,
        expected: &Tensor,
        tolerance: Tolerance,
    ) -> Result<(), TchError> {
        let norm = |tensor: &Tensor| tensor.f_norm()?.f_double_value(&[]);
        let difference = norm(&found.f_sub(expected)?)?;
        self.compare(what, difference / norm(expected)?, tolerance);
        Ok(())
    }

    fn compare_curves(
        &mut self,
        what: &str,
        found: &[f64],
        expected: &[f64],
        tolerances: [Tolerance; 2],
    ) {
        for (epoch, (found, expected)) in found.iter().zip(expected).enumerate() {
            let what = format!("{what}, loss of epoch {}", epoch + 1);
            self.compare_values(&what, *found, *expected, tolerances[epoch.min(1)]);
        }
    }

    fn compare_measured(
        &mut self,
        found: &Measured,
        expected: &Measured,
        images: usize,
    ) -> Result<(), TchError> {
        let logits = &expected.logits;
        self.compare_tensors("logits", &found.logits, logits, FLOAT32)?;
        self.compare_tensors("logits, folded", &found.folded, logits, FLOAT32)?;
        self.compare_tensors("logits, folded, bf16", &found.bf16, logits, BF16)?;
        let (evaluation, reference) = (&found.evaluation, &expected.evaluation);
        self.compare_values("evaluation, loss", evaluation.loss, reference.loss, FLOAT32);
        let difference = (evaluation.error - reference.error).abs();
        self.compare("evaluation, error", difference, two_of(images));
        self.compare_tensors(
            "weights as loaded",
            &found.weights,
            &expected.weights,
            EQUAL,
        )?;
        // In 64-bit floats.
        let expected = &expected.steps[0];
        for ((name, _, tolerance), found) in STEPS.iter().zip(&found.steps) {
            let parts = [
                ("gradient", &found.gradient, &expected.gradient),
                ("a step of the weights", &found.step, &expected.step),
            ];
            for (what, found, expected) in parts {
                self.compare_tensors(&format!("{what}, {name}"), found, expected, *tolerance)?;
            }
            let what = format!("running statistics after a step, {name}");
            let tolerance = [0.0, tolerance[1]];
            self.compare_tensors(&what, &found.statistics, &expected.statistics, tolerance)?;
        }
        Ok(())
    }

    fn compare_scores(&mut self, what: &str, found: &[Score], expected: &[Score], images: usize) {
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            let what = format!("{what}, candidate {}", index + 1);
            let loss = format!("{what}, loss");
            self.compare_values(&loss, found.loss, expected.loss, FLOAT32);
            let difference = (found.any - expected.any).abs();
            self.compare(&format!("{what}, any"), difference, two_of(images));
            let difference = (found.mean - expected.mean).abs();
            self.compare(&format!("{what}, mean"), difference, two_of(images));
        }
    }
}

/// Allows two of the images to be classified differently, since rounding can decide between classes.
fn two_of(images: usize) -> Tolerance {
    [0.0, 2.0 / images as f64]
}

/// The data and hyperparameters of all comparisons.
struct Setup {
    dataset: Arc<Dataset>,
    images: Vec<usize>,
    training: TrainingConfig,
    threads: usize,
}

/// A network's outputs for a batch, and training steps on it; tensors are on the CPU, in 64-bit floats.
struct Measured {
    logits: Tensor,
    folded: Tensor,
    bf16: Tensor,
    evaluation: Evaluation,
    /// All parameters.
    weights: Tensor,
    /// One for each of [`STEPS`], on the same batch.
    steps: Vec<Step>,
}

/// A training step; tensors are on the CPU, in 64-bit floats.
struct Step {
    gradient: Tensor,
    /// How it changes the parameters.
    step: Tensor,
    /// Running means and variances after it.
    statistics: Tensor,
}

impl Setup {
    fn compare(&self, device: Device, outcome: &mut Outcome) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("network.safetensors");
        let mut backend = self.backend(Device::Cpu, Precision::Float32, self.threads)?;
        let (network, reference) = self.train(&mut backend)?;
        backend.save(&network, &file)?;

        let (found, expected) = (
            self.measure(device, &file)?,
            self.measure(Device::Cpu, &file)?,
        );
        outcome.compare_measured(&found, &expected, self.images.len())?;

        for (precision, what, tolerances) in [
            (Precision::Float32, "training, float32", CURVE_FLOAT32),
            (Precision::Bf16, "training, bf16", CURVE_BF16),
        ] {
            let mut backend = self.backend(device, precision, self.threads)?;
            let (_, losses) = self.train(&mut backend)?;
            outcome.compare_curves(what, &losses, &reference, tolerances);
        }
        self.compare_parallel(device, &file, outcome)
    }

    /// Two backends on one device each have a CUDA stream and CPU threads of their own.
    fn compare_parallel(&self, device: Device, file: &Path, outcome: &mut Outcome) -> Result<()> {
        let (scores, losses) = self.work(device, file, self.threads)?;
        let threads = (self.threads / 2).max(1);
        let work = || self.work(device, file, threads);
        let both = thread::scope(|scope| {
            let workers = [scope.spawn(work), scope.spawn(work)];
            workers.map(|worker| match worker.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        });
        for (number, found) in (1..).zip(both) {
            let (found, curve) = found?;
            let what = format!("backend {number} of 2");
            outcome.compare_scores(&what, &found, &scores, self.images.len());
            outcome.compare_curves(&what, &curve, &losses, CURVE_BF16);
        }
        Ok(())
    }

    /// The scores of some candidates, in 32-bit floats, and the losses of a training in bf16.
    fn work(&self, device: Device, file: &Path, threads: usize) -> Result<(Vec<Score>, Vec<f64>)> {
        let mut backend = self.backend(device, Precision::Float32, threads)?;
        let network = backend.load(&self.training, file)?;
        let ops = SEARCHED_OPS.map(str::to_owned);
        let mut scores = Vec::new();
        for seed in 0..CANDIDATES {
            let candidate = Space::of(&ops, 5, 2).random_policy("candidate", 5, seed);
            let mut task = ScoringTask::new(&self.images, &self.training, &candidate, DRAWS);
            task.seed = seed;
            scores.push(backend.score(&network, &task, &StopFlag::new())?);
        }
        let mut backend = self.backend(device, Precision::Bf16, threads)?;
        let (_, losses) = self.train(&mut backend)?;
        Ok((scores, losses))
    }

    fn backend(
        &self,
        device: Device,
        precision: Precision,
        threads: usize,
    ) -> Result<TorchBackend> {
        let config = BackendConfig::new(device, threads, precision);
        let dataset = Arc::clone(&self.dataset);
        Ok(TorchBackend::new(dataset, builtin_ops(), config))
    }

    /// A trained network, and the losses of its epochs.
    fn train(&self, backend: &mut TorchBackend) -> Result<(TorchNetwork, Vec<f64>)> {
        let task = TrainTask::new(&self.images, &self.training, 1);
        let (mut network, mut losses) = (backend.begin(&task)?, Vec::new());
        for number in 0..self.training.epochs.get() {
            let epoch = backend.epoch(&mut network, &task, number, &StopFlag::new())?;
            losses.push(epoch.loss);
        }
        Ok((network, losses))
    }

    fn measure(&self, device: Device, file: &Path) -> Result<Measured> {
        let mut backend = self.backend(device, Precision::Float32, self.threads)?;
        let loaded = backend.load(&self.training, file)?;
        let (network, (images, labels)) = (loaded.network(), self.batch(device)?);
        let evaluated = network.forward(&images)?;
        let [folded, bf16] = [Kind::Float, Kind::BFloat16].map(|kind| {
            let folded = Folded::new(network, kind)?;
            on_cpu(&folded.forward(&images)?)
        });
        let chosen = Images::Train(&self.images);
        let evaluation = backend.evaluate(&loaded, chosen, &StopFlag::new())?;

        let steps = STEPS.iter().map(|(_, kinds, _)| {
            let network = copy_of(network, kinds[0])?;
            self.step(&network, kinds[1], &images, &labels)
        });
        Ok(Measured {
            logits: on_cpu(&evaluated)?,
            folded: folded?,
            bf16: bf16?,
            evaluation,
            weights: flat(network.store().parameters())?,
            steps: steps.collect::<Result<_>>()?,
        })
    }

    fn step(
        &self,
        network: &WideResNet,
        kind: Kind,
        images: &Tensor,
        labels: &Tensor,
    ) -> Result<Step> {
        let before = flat(network.store().parameters())?;
        let mut trainable = Trainable::new(network, kind, 1)?;
        let (logits, pass) = trainable.forward(images)?;
        let gradient = trainable.backward(pass, &logits, labels)?;
        let rate = Sgd::learning_rate(network, LEARNING_RATE)?;
        drop(Sgd::new(network, &self.training)?.step(network, gradient, &rate)?);
        let statistics = network
            .store()
            .iter()
            .filter(|(spec, _)| spec.role == Role::Buffer);
        Ok(Step {
            gradient: on_cpu(gradient)?,
            step: flat(network.store().parameters())?.f_sub(&before)?,
            statistics: flat(statistics.map(|(_, tensor)| tensor))?,
        })
    }

    /// Some normalised images, `[images, 3, height, width]` and channels last in memory, and their labels.
    fn batch(&self, device: Device) -> Result<(Tensor, Tensor)> {
        let train = &self.dataset.train;
        let chosen = shared::spread(&self.dataset, BATCH);
        let pixels: Vec<&[u8]> = chosen.iter().map(|image| train.image(*image)).collect();
        let images = shared::normalised(&self.dataset, &pixels.concat())?;
        let label = |image: &usize| i64::from(train.labels[*image]);
        let labels: Vec<i64> = chosen.iter().map(label).collect();
        Ok((
            images.f_to_device(device)?.f_permute([0, 3, 1, 2])?,
            Tensor::f_from_slice(&labels)?.f_to_device(device)?,
        ))
    }
}

/// A copy of a network on its device, in another format.
fn copy_of(network: &WideResNet, kind: Kind) -> Result<WideResNet> {
    let mut tensors = network.store().iter();
    let copy = WideResNet::of_kind(network.shape(), kind, network.device(), |_| {
        let (_, tensor) = tensors.next().expect("both have the same tensors");
        let values = tensor.to_device(Device::Cpu).contiguous().view(-1);
        Vec::<f32>::try_from(values).expect("a loaded network has 32-bit floats")
    });
    Ok(copy?)
}

/// All elements of some tensors, as one row.
fn flat<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Result<Tensor, TchError> {
    let rows = tensors
        .into_iter()
        .map(|tensor| on_cpu(tensor)?.f_reshape([-1]));
    Tensor::f_cat(&rows.collect::<Result<Vec<_>, TchError>>()?, 0)
}

/// A copy on the CPU, in 64-bit floats.
fn on_cpu(tensor: &Tensor) -> Result<Tensor, TchError> {
    tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)
}
