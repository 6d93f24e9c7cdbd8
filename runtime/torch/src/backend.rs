//! [`Backend`] on libtorch.

mod classify;
mod learn;
mod totals;
mod trainer;

use std::cell::OnceCell;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use faa_data::{ChannelStatistics, Dataset};
use faa_op::{OpSet, Stream};
use faa_policy::Policy;
use faa_search::backend::{
    Backend, BackendError, DatasetInfo, Images, NetworkFiles, ScoringTask, StopFlag, TrainTask,
};
use faa_search::config::{Precision, SEARCHED_OPS, TrainingConfig};
use faa_search::pipeline::Pipeline;
use faa_search::results::{Epoch, Prediction, Rates};
use faa_search::seeds::{Purpose, derive};
use faa_search::space::Space;
use tch::{Device, Kind};

use self::trainer::Trainer;
use crate::batches::{DataLoader, Normalise, Sample};
use crate::checkpoint::{self, Description};
use crate::error::torch;
use crate::network::{Folded, Shape, WideResNet};
use crate::sgd::Sgd;
use crate::{device, init, shim};

/// Trains and scores networks with libtorch.
pub struct TorchBackend {
    dataset: Arc<Dataset>,
    ops: OpSet,
    device: Device,
    threads: usize,
    /// The formats of scoring and of training.
    precisions: [Kind; 2],
    statistics: ChannelStatistics,
}

impl fmt::Debug for TorchBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TorchBackend")
            .field("device", &self.device)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

/// The hardware and precision that a backend uses.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BackendConfig {
    /// The device of the networks.
    pub device: Device,
    /// CPU threads: on a CPU for all work, with a GPU for augmentation.
    pub threads: usize,
    /// The floating-point format that networks compute in.
    pub precision: Precision,
}

impl BackendConfig {
    /// All of them.
    pub fn new(device: Device, threads: usize, precision: Precision) -> Self {
        Self {
            device,
            threads,
            precision,
        }
    }
}

/// A network, with its trainer if it can be trained further.
#[derive(Debug)]
pub struct TorchNetwork {
    network: WideResNet,
    statistics: ChannelStatistics,
    trainer: Option<Trainer>,
    /// The form that scores candidates, created when the first one is scored.
    folded: OnceCell<Folded>,
}

impl TorchNetwork {
    fn new(network: WideResNet, statistics: ChannelStatistics, trainer: Option<Trainer>) -> Self {
        Self {
            network,
            statistics,
            trainer,
            folded: OnceCell::new(),
        }
    }

    /// The network.
    pub fn network(&self) -> &WideResNet {
        &self.network
    }
}

impl TorchBackend {
    /// A backend for policies made of `ops`, on this data set. With a CUDA device,
    /// [`prepare_cuda`](crate::device::prepare_cuda) must be called first.
    pub fn new(dataset: Arc<Dataset>, ops: OpSet, config: BackendConfig) -> Self {
        let device = config.device;
        let bf16 = match config.precision {
            Precision::Auto => [
                device.is_cuda() || device::multiplies_bf16_fast(),
                device.is_cuda(),
            ],
            Precision::Bf16 => [true; 2],
            _ => [false; 2],
        };
        Self {
            statistics: dataset.channel_statistics(),
            dataset,
            ops,
            device,
            threads: config.threads.max(1),
            precisions: bf16.map(|bf16| if bf16 { Kind::BFloat16 } else { Kind::Float }),
        }
    }

    /// The formats that candidates are scored in, and that networks are trained in: `float32` or
    /// `bf16`.
    pub fn precisions(&self) -> [&'static str; 2] {
        self.precisions.map(|kind| match kind {
            Kind::BFloat16 => "bf16",
            _ => "float32",
        })
    }

    fn shape(&self, training: &TrainingConfig) -> Shape {
        Shape::new(training.model, self.dataset.classes.len())
    }

    fn new_network(
        &self,
        training: &TrainingConfig,
        seed: u64,
    ) -> Result<WideResNet, BackendError> {
        let mut stream = Stream::for_op(derive(seed, Purpose::Weights, &[]));
        WideResNet::new(self.shape(training), self.device, |spec| {
            init::he_normal(spec, &mut stream)
        })
        .map_err(torch)
    }

    fn in_training(&self, network: WideResNet, sgd: Sgd) -> Result<TorchNetwork, BackendError> {
        let [_, kind] = self.precisions;
        let trainer =
            Trainer::new(&network, sgd, self.statistics, (kind, self.threads)).map_err(torch)?;
        Ok(TorchNetwork::new(network, self.statistics, Some(trainer)))
    }

    fn loader<'a>(&'a self, images: Images<'a>, pipeline: Option<&'a Pipeline>) -> DataLoader<'a> {
        let (split, partners) = match images.of_training() {
            Some(images) => (&self.dataset.train, images),
            None => (&self.dataset.test, [].as_slice()),
        };
        DataLoader {
            split,
            size: [self.dataset.width, self.dataset.height],
            pipeline,
            partners,
            threads: self.threads,
        }
    }

    fn normalise(&self, statistics: ChannelStatistics) -> Result<Normalise, BackendError> {
        Normalise::new(statistics, self.device).map_err(torch)
    }

    fn pipeline(
        &self,
        policy: Option<&Policy>,
        training: &TrainingConfig,
        seed: u64,
    ) -> Result<Pipeline, BackendError> {
        let mean = self.statistics.mean;
        let mean = mean.map(|mean| (mean * 255.0).round() as u8);
        Pipeline::new(policy, training, &self.ops, mean, seed).map_err(BackendError::other)
    }

    /// Sets libtorch's thread count and CUDA stream, which are settings of the calling thread.
    fn prepare_thread(&self) -> Result<(), BackendError> {
        device::use_one_thread();
        match self.device {
            Device::Cuda(index) => shim::set_stream(index).map_err(torch),
            _ => Ok(()),
        }
    }
}

impl Backend for TorchBackend {
    type Network = TorchNetwork;

    fn device(&self) -> String {
        device::name(self.device)
    }

    fn dataset(&self) -> DatasetInfo {
        let images = [self.dataset.train.len(), self.dataset.test.len()];
        let size = [self.dataset.width, self.dataset.height];
        DatasetInfo::new(images, size, self.dataset.classes.clone())
    }

    fn begin(&mut self, task: &TrainTask<'_>) -> Result<TorchNetwork, BackendError> {
        self.prepare_thread()?;
        let network = self.new_network(task.training, task.seed)?;
        let sgd = Sgd::new(&network, task.training).map_err(torch)?;
        self.in_training(network, sgd)
    }

    fn epoch(
        &mut self,
        network: &mut TorchNetwork,
        task: &TrainTask<'_>,
        epoch: usize,
        stop: &StopFlag,
    ) -> Result<Epoch, BackendError> {
        self.prepare_thread()?;
        network.folded.take();
        self.train_epoch(network, task, epoch, stop)
    }

    fn classify_augmented(
        &mut self,
        network: &TorchNetwork,
        task: &ScoringTask<'_>,
        stop: &StopFlag,
    ) -> Result<Vec<Prediction>, BackendError> {
        self.prepare_thread()?;
        let folded = match network.folded.get() {
            Some(folded) => folded,
            None => {
                let folded = Folded::new(&network.network, self.precisions[0]).map_err(torch)?;
                network.folded.get_or_init(|| folded)
            }
        };
        let pipeline = self.pipeline(Some(task.candidate), task.training, task.seed)?;
        let draws = |image: &usize| {
            let image = *image;
            (0..task.draws as u32).map(move |epoch| Sample { image, epoch })
        };
        let samples: Vec<Sample> = task.images.iter().flat_map(draws).collect();
        let loader = self.loader(Images::Train(task.images), Some(&pipeline));
        let normalise = self.normalise(network.statistics)?;
        self.classify_samples(folded, &normalise, &loader, &samples, stop)
    }

    fn classify(
        &mut self,
        network: &TorchNetwork,
        images: Images<'_>,
        stop: &StopFlag,
    ) -> Result<Vec<Prediction>, BackendError> {
        self.prepare_thread()?;
        // In 32-bit floats always: a reported error should not depend on rounding to bf16.
        let folded = Folded::new(&network.network, Kind::Float).map_err(torch)?;
        let sample = |image| Sample { image, epoch: 0 };
        let samples: Vec<Sample> = match images.of_training() {
            Some(images) => images.iter().copied().map(sample).collect(),
            None => (0..self.dataset.test.len()).map(sample).collect(),
        };
        let loader = self.loader(images, None);
        let normalise = self.normalise(network.statistics)?;
        self.classify_samples(&folded, &normalise, &loader, &samples, stop)
    }

    fn rates(
        &mut self,
        training: &TrainingConfig,
        stop: &StopFlag,
        in_step: &dyn Fn(),
    ) -> Result<Rates, BackendError> {
        let images: Vec<usize> = (0..self.dataset.train.len()).collect();
        // The steps are only timed, and should not make the loss diverge.
        let mut training = training.clone();
        training.learning_rate = 1e-12;
        let training = &training;
        let task = |count: usize| TrainTask::new(&images[..count.min(images.len())], training, 0);
        let mut network = self.begin(&task(0))?;
        let batch = training.batch.get();
        // A GPU needs many steps to be measured: in the first one, libraries prepare themselves, and the
        // second one is recorded.
        let grows = !self.device.is_cuda();
        let start = if grows { batch } else { 20 * batch };
        let train = rate(start, grows, in_step, |count| {
            self.epoch(&mut network, &task(count), 0, stop)
                .map(|epoch| epoch.images)
        })?;
        let ops = SEARCHED_OPS.map(str::to_owned);
        let candidate = Space::of(&ops, 5, 2).random_policy("any", 5, 0);
        let start = if grows {
            250
        } else {
            5 * self.classify_batch()
        };
        let classify = rate(start, grows, in_step, |count| {
            let images = &images[..(count / 5).clamp(1, images.len())];
            let task = ScoringTask::new(images, training, &candidate, 5);
            let classified = task.images.len() * task.draws;
            self.score(&network, &task, stop).map(|_| classified)
        })?;
        Ok(Rates::new(train, classify))
    }
}

impl NetworkFiles for TorchBackend {
    fn save_checkpoint(
        &self,
        network: &TorchNetwork,
        epochs: usize,
        file: &Path,
    ) -> Result<(), BackendError> {
        let trainer = network.trainer.as_ref().ok_or_else(no_optimizer)?;
        checkpoint::save_training(network.network.store(), trainer.sgd(), epochs, file)
            .map_err(BackendError::other)
    }

    fn load_checkpoint(
        &mut self,
        task: &TrainTask<'_>,
        file: &Path,
    ) -> Result<(TorchNetwork, usize), BackendError> {
        self.prepare_thread()?;
        let (shape, training) = (self.shape(task.training), task.training);
        let (network, sgd, epochs) = checkpoint::load_training(shape, training, self.device, file)
            .map_err(BackendError::other)?;
        Ok((self.in_training(network, sgd)?, epochs))
    }

    fn save(&self, network: &TorchNetwork, file: &Path) -> Result<(), BackendError> {
        let description =
            Description::new(network.network.shape(), &self.dataset, network.statistics);
        checkpoint::save(network.network.store(), description, file).map_err(BackendError::other)
    }

    fn load(
        &mut self,
        training: &TrainingConfig,
        file: &Path,
    ) -> Result<TorchNetwork, BackendError> {
        self.prepare_thread()?;
        let network = checkpoint::load(self.shape(training), self.device, file)
            .map_err(BackendError::other)?;
        Ok(TorchNetwork::new(network, self.statistics, None))
    }

    fn load_any(&mut self, file: &Path) -> Result<TorchNetwork, BackendError> {
        self.prepare_thread()?;
        let (network, statistics) =
            checkpoint::load_any(&self.dataset, self.device, file).map_err(BackendError::other)?;
        Ok(TorchNetwork::new(network, statistics, None))
    }
}

/// Images per second of `work`, measured for at least 0.4 seconds after a warm-up call, in which
/// memory is allocated and algorithms are chosen, and after `in_step`. `work` receives the number of images to process and
/// returns how many it processed.
fn rate(
    start: usize,
    grows: bool,
    in_step: &dyn Fn(),
    mut work: impl FnMut(usize) -> Result<usize, BackendError>,
) -> Result<f64, BackendError> {
    const MIN_DURATION: Duration = Duration::from_millis(400);
    work(start)?;
    in_step();
    let (mut processed, mut elapsed, mut count) = (0, Duration::ZERO, start);
    while elapsed < MIN_DURATION {
        let started = Instant::now();
        let done = work(count)?;
        elapsed += started.elapsed();
        processed += done;
        // There may be no more images.
        if grows && done >= count {
            count = count.saturating_mul(2);
        }
    }
    Ok(processed as f64 / elapsed.as_secs_f64())
}

fn no_optimizer() -> BackendError {
    BackendError::other("a network that was loaded cannot be trained further")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_data_set_is_measured_as_often_as_it_takes() {
        let images = 12;
        let measured = rate(4, true, &|| {}, |count| {
            assert!((4..=2 * images).contains(&count), "{count}");
            Ok(count.min(images))
        });
        assert!(measured.unwrap() > 0.0);
    }
}
