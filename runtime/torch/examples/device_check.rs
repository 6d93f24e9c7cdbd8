//! Compares a device with the CPU, on the same weights, images and draws.
//!
//! ```text
//! cargo run --release -p faa-torch --example device_check -- DATA wrn-D-K IMAGES EPOCHS DEVICE THREADS
//! ```
//!
//! A network is trained on the CPU, for `EPOCHS` epochs on `IMAGES` of the training images, and
//! saved. From that file, the device must classify as the CPU does, in 32-bit floats and in bf16,
//! and learn the same from one batch. Trained on the device from the same first weights, the
//! network must have about the same losses. And two backends in parallel on the device must find
//! what one finds alone.
//!
//! Every comparison is a line: `ok` or `DIFFERS`, what was compared, what was found, and what is
//! allowed. The program ends with 1 where anything differs. With `cpu` as the device it tries itself.

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
use faa_search::results::Evaluation;
use faa_search::results::Score;
use faa_search::space::Space;
use faa_search::{Backend, NetworkFiles};
use faa_torch::network::{Folded, Mode, Role};
use faa_torch::sgd::Sgd;
use faa_torch::{BackendConfig, TorchBackend, TorchNetwork};
use tch::{Device, Kind, Reduction, TchError, Tensor, no_grad};

/// What a difference may be, from the least to the most; relative to what it should be.
type Allowed = [f64; 2];

const EQUAL: Allowed = [0.0, 0.0];
/// Logits and losses, in 32-bit floats. Sums in another order, and other algorithms of convolution,
/// differ by up to 1e-5; convolutions in TF32, whose factors have 11 bits, by more than is allowed.
const FLOAT32: Allowed = [0.0, 1e-4];
/// Logits in bf16. Its 8 bits round by up to 0.2 %, in some forty layers after each other; where
/// there is no difference, it was not used.
const BF16: Allowed = [1e-4, 0.05];
/// The norm of a gradient, which is a sum over all weights.
const NORM: Allowed = [0.0, 1e-4];
/// A step. On the way back, ReLU lets all or nothing through for an input that is almost 0.
const STEP: Allowed = [0.0, 1e-3];
/// Losses of the first epoch and of later ones. A training amplifies rounding from step to step,
/// until two are as much alike as those of two seeds.
const CURVE_FLOAT32: [Allowed; 2] = [[0.0, 0.02], [0.0, 0.1]];
const CURVE_BF16: [Allowed; 2] = [[0.0, 0.05], [0.0, 0.1]];

/// Images of the batch that is looked at closely.
const BATCH: usize = 128;
const LEARNING_RATE: f64 = 0.05;
/// Candidates that each backend scores, and how often an image is augmented for one.
const CANDIDATES: u64 = 4;
const DRAWS: usize = 5;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [data, model, images, epochs, word, threads] = arguments.as_slice() else {
        bail!("six arguments are needed; see the head of this file");
    };
    let threads = threads.parse()?;
    let device = shared::device(word)?;
    let dataset = shared::load(data, threads)?;
    let setup = Setup {
        training: TrainingConfig {
            epochs: epochs.parse()?,
            batch: 64_usize.try_into()?,
            learning_rate: LEARNING_RATE,
            warmup_epochs: 1,
            ..shared::training(model)?
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

/// What the comparisons were, so far.
#[derive(Default)]
struct Outcome {
    compared: usize,
    differing: usize,
}

impl Outcome {
    fn compare(&mut self, what: &str, found: f64, [least, most]: Allowed) {
        // What is not a number is in no range.
        let within = (least..=most).contains(&found);
        self.compared += 1;
        self.differing += usize::from(!within);
        let word = if within { "ok" } else { "DIFFERS" };
        println!("{word:<8} {what}: {found:.1e}, allowed {least:.0e} to {most:.0e}");
    }

    fn compare_numbers(&mut self, what: &str, found: f64, expected: f64, allowed: Allowed) {
        self.compare(what, (found / expected - 1.0).abs(), allowed);
    }

    fn compare_tensors(
        &mut self,
        what: &str,
        found: &Tensor,
        expected: &Tensor,
        allowed: Allowed,
    ) -> Result<(), TchError> {
        let length = |tensor: &Tensor| tensor.f_norm()?.f_double_value(&[]);
        let off = length(&found.f_sub(expected)?)?;
        self.compare(what, off / length(expected)?, allowed);
        Ok(())
    }

    fn compare_curves(
        &mut self,
        what: &str,
        found: &[f64],
        expected: &[f64],
        allowed: [Allowed; 2],
    ) {
        for (epoch, (found, expected)) in found.iter().zip(expected).enumerate() {
            let what = format!("{what}, loss of epoch {}", epoch + 1);
            self.compare_numbers(&what, *found, *expected, allowed[epoch.min(1)]);
        }
    }

    fn compare_seen(
        &mut self,
        found: &Seen,
        expected: &Seen,
        images: usize,
    ) -> Result<(), TchError> {
        let logits = &expected.evaluated;
        self.compare_tensors("logits", &found.evaluated, logits, FLOAT32)?;
        self.compare_tensors("logits, folded", &found.folded, logits, FLOAT32)?;
        self.compare_tensors("logits, folded, bf16", &found.bf16, logits, BF16)?;
        let (evaluation, reference) = (found.evaluation, expected.evaluation);
        self.compare_numbers("evaluation, loss", evaluation.loss, reference.loss, FLOAT32);
        let off = (evaluation.error - reference.error).abs();
        self.compare("evaluation, error", off, two_of(images));
        self.compare_tensors("weights as loaded", &found.before, &expected.before, EQUAL)?;
        self.compare_numbers("norm of a gradient", found.norm, expected.norm, NORM);
        self.compare_tensors("a step of the weights", &found.step, &expected.step, STEP)?;
        let (statistics, reference) = (&found.statistics, &expected.statistics);
        self.compare_tensors(
            "running statistics after a step",
            statistics,
            reference,
            FLOAT32,
        )
    }

    fn compare_verdicts(&mut self, what: &str, found: &[Score], expected: &[Score], images: usize) {
        for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
            let what = format!("{what}, candidate {}", place + 1);
            let loss = format!("{what}, loss");
            self.compare_numbers(&loss, found.loss, expected.loss, FLOAT32);
            let off = (found.any - expected.any).abs();
            self.compare(&format!("{what}, any"), off, two_of(images));
            let off = (found.mean - expected.mean).abs();
            self.compare(&format!("{what}, mean"), off, two_of(images));
        }
    }
}

/// Two of so many images may be so near to a border between classes that rounding decides.
fn two_of(images: usize) -> Allowed {
    [0.0, 2.0 / images as f64]
}

/// What is compared.
struct Setup {
    dataset: Arc<Dataset>,
    images: Vec<usize>,
    training: TrainingConfig,
    threads: usize,
}

/// What a network gives for a batch and learns from it; tensors are on the CPU, in 64-bit floats.
struct Seen {
    evaluated: Tensor,
    folded: Tensor,
    bf16: Tensor,
    evaluation: Evaluation,
    /// All learnt numbers, and by how much a step changes them.
    before: Tensor,
    step: Tensor,
    /// Of the gradient.
    norm: f64,
    statistics: Tensor,
}

impl Setup {
    fn compare(&self, device: Device, outcome: &mut Outcome) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("network.safetensors");
        let mut backend = self.score(Device::Cpu, Precision::Float32, self.threads)?;
        let (network, reference) = self.train(&mut backend)?;
        backend.save(&network, &file)?;

        let (found, expected) = (self.see(device, &file)?, self.see(Device::Cpu, &file)?);
        outcome.compare_seen(&found, &expected, self.images.len())?;

        for (precision, what, allowed) in [
            (Precision::Float32, "training, float32", CURVE_FLOAT32),
            (Precision::Bf16, "training, bf16", CURVE_BF16),
        ] {
            let mut backend = self.score(device, precision, self.threads)?;
            let (_, losses) = self.train(&mut backend)?;
            outcome.compare_curves(what, &losses, &reference, allowed);
        }
        self.compare_side_by_side(device, &file, outcome)
    }

    /// Judges that share a device have streams of their own there, and threads of their own here.
    fn compare_side_by_side(
        &self,
        device: Device,
        file: &Path,
        outcome: &mut Outcome,
    ) -> Result<()> {
        let (verdicts, losses) = self.work(device, file, self.threads)?;
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
            outcome.compare_verdicts(&what, &found, &verdicts, self.images.len());
            outcome.compare_curves(&what, &curve, &losses, CURVE_BF16);
        }
        Ok(())
    }

    /// The verdicts on some candidates, in 32-bit floats, and the losses of a training in bf16.
    fn work(&self, device: Device, file: &Path, threads: usize) -> Result<(Vec<Score>, Vec<f64>)> {
        let mut backend = self.score(device, Precision::Float32, threads)?;
        let network = backend.load(&self.training, file)?;
        let ops = SEARCHED_OPS.map(str::to_owned);
        let mut verdicts = Vec::new();
        for seed in 0..CANDIDATES {
            let candidate = Space::of(&ops, 5, 2).random_policy("candidate", 5, seed);
            let task = ScoringTask {
                images: &self.images,
                training: &self.training,
                candidate: &candidate,
                draws: DRAWS,
                seed,
            };
            verdicts.push(backend.score(&network, &task, &StopFlag::new())?);
        }
        let mut backend = self.score(device, Precision::Bf16, threads)?;
        let (_, losses) = self.train(&mut backend)?;
        Ok((verdicts, losses))
    }

    fn score(&self, device: Device, precision: Precision, threads: usize) -> Result<TorchBackend> {
        let config = BackendConfig {
            device,
            threads,
            precision,
        };
        let dataset = Arc::clone(&self.dataset);
        Ok(TorchBackend::new(dataset, builtin_ops(), config))
    }

    /// A trained network, and the losses of its epochs.
    fn train(&self, backend: &mut TorchBackend) -> Result<(TorchNetwork, Vec<f64>)> {
        let task = TrainTask {
            images: &self.images,
            training: &self.training,
            policy: None,
            seed: 1,
        };
        let (mut network, mut losses) = (backend.begin(&task)?, Vec::new());
        for number in 0..self.training.epochs.get() {
            let epoch = backend.epoch(&mut network, &task, number, &StopFlag::new())?;
            losses.push(epoch.loss);
        }
        Ok((network, losses))
    }

    fn see(&self, device: Device, file: &Path) -> Result<Seen> {
        let mut backend = self.score(device, Precision::Float32, self.threads)?;
        let loaded = backend.load(&self.training, file)?;
        let (network, (images, labels)) = (loaded.network(), self.batch(device)?);
        let evaluated = no_grad(|| network.forward(&images, Mode::Evaluate))?;
        let [folded, bf16] = [Kind::Float, Kind::BFloat16].map(|kind| {
            let folded = Folded::new(network, kind)?;
            on_cpu(&folded.forward(&images)?)
        });
        let chosen = Images::Train(&self.images);
        let evaluation = backend.evaluate(&loaded, chosen, &StopFlag::new())?;

        let before = flat(network.store().learnt())?;
        let logits = network.forward(&images, Mode::Train)?;
        let (labels, mean) = (&labels, Reduction::Mean);
        let loss = logits.f_cross_entropy_loss::<Tensor>(labels, None, mean, -100, 0.0)?;
        let norm = Sgd::new(network, &self.training)?.step(network, &loss, LEARNING_RATE)?;
        let after = flat(network.store().learnt())?;
        let statistics = network
            .store()
            .iter()
            .filter(|(spec, _)| spec.role == Role::Statistic);
        Ok(Seen {
            evaluated: on_cpu(&evaluated)?,
            folded: folded?,
            bf16: bf16?,
            evaluation,
            step: after.f_sub(&before)?,
            before,
            norm: norm.f_double_value(&[])?,
            statistics: flat(statistics.map(|(_, tensor)| tensor))?,
        })
    }

    /// Some of the images as the network sees them, `[images, 3, height, width]` with the channels
    /// innermost in memory, and their classes.
    fn batch(&self, device: Device) -> Result<(Tensor, Tensor)> {
        let Dataset {
            width,
            height,
            train,
            ..
        } = &*self.dataset;
        let statistics = self.dataset.channel_statistics();
        let normal = |(place, byte): (usize, &u8)| {
            let (mean, deviation) = (statistics.mean[place % 3], statistics.std[place % 3]);
            ((f64::from(*byte) / 255.0 - mean) / deviation) as f32
        };
        let chosen = shared::spread(&self.dataset, BATCH);
        let pixels = chosen.iter().flat_map(|image| train.image(*image));
        let pixels: Vec<f32> = pixels.enumerate().map(normal).collect();
        let label = |image: &usize| i64::from(train.labels[*image]);
        let labels: Vec<i64> = chosen.iter().map(label).collect();
        let size = [chosen.len(), *height, *width, 3].map(|side| side as i64);
        let images = Tensor::f_from_slice(&pixels)?.f_view(size)?;
        Ok((
            images.f_to_device(device)?.f_permute([0, 3, 1, 2])?,
            Tensor::f_from_slice(&labels)?.f_to_device(device)?,
        ))
    }
}

/// All numbers of some tensors in a row.
fn flat<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Result<Tensor, TchError> {
    let rows = tensors
        .into_iter()
        .map(|tensor| on_cpu(tensor)?.f_reshape([-1]));
    Tensor::f_cat(&rows.collect::<Result<Vec<_>, TchError>>()?, 0)
}

/// A copy that nothing changes.
fn on_cpu(tensor: &Tensor) -> Result<Tensor, TchError> {
    tensor
        .f_detach()?
        .f_to_device(Device::Cpu)?
        .f_to_kind(Kind::Double)
}
