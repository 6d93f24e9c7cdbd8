use std::path::Path;
use std::time::{Duration, Instant};

use faa_op::{OpSet, Stream};
use faa_search::config::Recipe;
use faa_search::data::Dataset;
use faa_search::judge::{
    Epoch, Evaluation, Facts, Images, Judge, JudgeError, JudgeTask, Rates, StopFlag, TrainTask,
};
use faa_search::pipeline::Pipeline;
use faa_search::seeds::{Purpose, derive, shuffle};
use faa_search::trial::Verdict;
use tch::{Device, Kind, Reduction, TchError, Tensor, no_grad};

use crate::batches::{Batch, Draw, Normalise, Source};
use crate::network::{Mode, Shape, WideResNet};
use crate::schedule::Schedule;
use crate::sgd::Sgd;
use crate::{checkpoint, init};

/// Images that are classified at once; more gain nothing on a CPU and little on a GPU.
const CLASSIFY_BATCH: usize = 250;

/// The judge of policies that people use.
pub struct TorchJudge {
    dataset: Dataset,
    ops: OpSet,
    device: Device,
    normalise: Normalise,
    mean: [u8; 3],
}

impl TorchJudge {
    /// A judge of policies made of `ops`, on this data set and device.
    ///
    /// # Errors
    ///
    /// What libtorch reports.
    pub fn new(dataset: Dataset, ops: OpSet, device: Device) -> Result<Self, TchError> {
        let statistics = dataset.channel_statistics();
        if device.is_cuda() {
            // Images of a run have one size, so measuring every algorithm once pays off.
            tch::Cuda::cudnn_set_benchmark(true);
        }
        Ok(Self {
            normalise: Normalise::new(statistics.mean, statistics.std, device)?,
            mean: statistics.mean.map(|mean| (mean * 255.0).round() as u8),
            dataset,
            ops,
            device,
        })
    }

    /// Checks what only the network knows of a recipe.
    ///
    /// # Errors
    ///
    /// Where there is no WideResNet of that depth and width.
    pub fn check(&self, recipe: &Recipe) -> Result<(), JudgeError> {
        self.shape(recipe).map(drop)
    }

    fn shape(&self, recipe: &Recipe) -> Result<Shape, JudgeError> {
        Shape::new(recipe.depth, recipe.width, self.dataset.classes.len())
            .map_err(JudgeError::other)
    }

    fn new_network(&self, recipe: &Recipe, seed: u64) -> Result<WideResNet, JudgeError> {
        let mut stream = Stream::for_op(derive(seed, Purpose::Weights, &[]));
        WideResNet::new(self.shape(recipe)?, self.device, |spec| {
            init::he_normal(spec, &mut stream)
        })
        .map_err(JudgeError::other)
    }

    fn source<'a>(&'a self, images: &Images<'_>, pipeline: Option<&'a Pipeline>) -> Source<'a> {
        Source {
            split: match images {
                Images::Train(_) => &self.dataset.train,
                Images::Test => &self.dataset.test,
            },
            size: [self.dataset.width, self.dataset.height],
            pipeline,
        }
    }
}

impl Judge for TorchJudge {
    type Network = WideResNet;

    fn facts(&self) -> Facts {
        Facts {
            images: [self.dataset.train.len(), self.dataset.test.len()],
            size: [self.dataset.width, self.dataset.height],
            classes: self.dataset.classes.len(),
        }
    }

    fn train(
        &mut self,
        task: &TrainTask<'_>,
        on_epoch: &mut dyn FnMut(&Epoch),
        stop: &StopFlag,
    ) -> Result<WideResNet, JudgeError> {
        let recipe = task.recipe;
        let pipeline = Pipeline::new(task.policy, recipe, &self.ops, self.mean, task.seed)
            .map_err(JudgeError::other)?;
        let network = self.new_network(recipe, task.seed)?;
        let mut sgd =
            Sgd::new(&network, recipe.weight_decay, recipe.clip_norm).map_err(JudgeError::other)?;
        let batch = recipe.batch.get();
        let steps_an_epoch = task.images.len().div_ceil(batch);
        let schedule = Schedule {
            peak: recipe.learning_rate,
            warmup: recipe.warmup_epochs * steps_an_epoch,
            steps: recipe.epochs.get() * steps_an_epoch,
        };
        let source = self.source(&Images::Train(task.images), Some(&pipeline));
        for epoch in 0..recipe.epochs.get() {
            let started = Instant::now();
            let mut tally = Tally::new(self.device).map_err(JudgeError::other)?;
            let mut step = epoch * steps_an_epoch;
            source.for_each(
                &epoch_draws(task, epoch),
                batch,
                &self.normalise,
                stop,
                |batch| {
                    let logits = network.forward(&batch.images, Mode::Train)?;
                    let losses = cross_entropy(&logits, &batch)?;
                    drop(sgd.step(&network, &losses.f_mean(None)?, schedule.rate(step))?);
                    step += 1;
                    tally.add(&logits, &losses, &batch)
                },
            )?;
            let learning_rate = schedule.rate(step - 1);
            let Evaluation { error, loss } = tally.evaluation().map_err(JudgeError::other)?;
            if !loss.is_finite() {
                return Err(JudgeError::Diverged {
                    loss,
                    epoch,
                    learning_rate,
                });
            }
            let (seconds, images) = (started.elapsed().as_secs_f64(), task.images.len());
            on_epoch(&Epoch {
                epoch,
                loss,
                error,
                learning_rate,
                seconds,
                images,
            });
        }
        Ok(network)
    }

    fn judge(
        &mut self,
        network: &WideResNet,
        task: &JudgeTask<'_>,
        stop: &StopFlag,
    ) -> Result<Verdict, JudgeError> {
        let pipeline = Pipeline::new(
            Some(task.candidate),
            task.recipe,
            &self.ops,
            self.mean,
            task.seed,
        )
        .map_err(JudgeError::other)?;
        let draw = |image| {
            (0..task.draws).map(move |draw| Draw {
                image,
                epoch: draw as u32,
            })
        };
        let draws: Vec<Draw> = task.images.iter().flat_map(|image| draw(*image)).collect();
        // All draws of an image are in one batch, side by side.
        let batch = (CLASSIFY_BATCH / task.draws).max(1) * task.draws;
        let mut tally = Tally::new(self.device).map_err(torch)?;
        let mut any = Tensor::f_zeros([], (Kind::Int64, self.device)).map_err(torch)?;
        let source = self.source(&Images::Train(task.images), Some(&pipeline));
        no_grad(|| {
            source.for_each(&draws, batch, &self.normalise, stop, |batch| {
                let logits = network.forward(&batch.images, Mode::Evaluate)?;
                let right = tally.add_losses(&logits, &batch)?;
                let by_image = right.f_view((-1, task.draws as i64))?;
                drop(any.f_add_(&by_image.f_any_dim(1, false)?.f_sum(Kind::Int64)?)?);
                Ok(())
            })
        })?;
        let (mean, loss) = tally.right_and_loss().map_err(torch)?;
        let any = any.f_double_value(&[]).map_err(torch)? / task.images.len() as f64;
        Ok(Verdict { any, mean, loss })
    }

    fn evaluate(
        &mut self,
        network: &WideResNet,
        images: Images<'_>,
        stop: &StopFlag,
    ) -> Result<Evaluation, JudgeError> {
        let draw = |image| Draw { image, epoch: 0 };
        let draws: Vec<Draw> = match images {
            Images::Train(images) => images.iter().map(|image| draw(*image)).collect(),
            Images::Test => (0..self.dataset.test.len()).map(draw).collect(),
        };
        let mut tally = Tally::new(self.device).map_err(torch)?;
        no_grad(|| {
            self.source(&images, None).for_each(
                &draws,
                CLASSIFY_BATCH,
                &self.normalise,
                stop,
                |batch| {
                    let logits = network.forward(&batch.images, Mode::Evaluate)?;
                    tally.add_losses(&logits, &batch).map(drop)
                },
            )
        })?;
        tally.evaluation().map_err(torch)
    }

    fn save(&self, network: &WideResNet, file: &Path) -> Result<(), JudgeError> {
        checkpoint::save(network.store(), file).map_err(JudgeError::other)
    }

    fn load(&mut self, recipe: &Recipe, file: &Path) -> Result<WideResNet, JudgeError> {
        checkpoint::load(self.shape(recipe)?, self.device, file).map_err(JudgeError::other)
    }

    fn rates(&mut self, recipe: &Recipe, stop: &StopFlag) -> Result<Rates, JudgeError> {
        let network = self.new_network(recipe, 0)?;
        let mut sgd =
            Sgd::new(&network, recipe.weight_decay, recipe.clip_norm).map_err(JudgeError::other)?;
        let pipeline =
            Pipeline::new(None, recipe, &self.ops, self.mean, 0).map_err(JudgeError::other)?;
        let source = self.source(&Images::Train(&[]), Some(&pipeline));
        let train = self.rate(&source, recipe.batch.get(), stop, |batch| {
            let logits = network.forward(&batch.images, Mode::Train)?;
            sgd.step(
                &network,
                &cross_entropy(&logits, &batch)?.f_mean(None)?,
                0.0,
            )
            .map(drop)
        })?;
        let classify = no_grad(|| {
            self.rate(&source, CLASSIFY_BATCH, stop, |batch| {
                network.forward(&batch.images, Mode::Evaluate).map(drop)
            })
        })?;
        Ok(Rates { train, classify })
    }
}

impl TorchJudge {
    /// Images per second of some work, over about a second and after a batch to warm up.
    fn rate(
        &self,
        source: &Source<'_>,
        batch: usize,
        stop: &StopFlag,
        mut work: impl FnMut(Batch) -> Result<(), TchError>,
    ) -> Result<f64, JudgeError> {
        const LONG_ENOUGH: Duration = Duration::from_secs(1);
        let images = self.dataset.train.len();
        let (mut done, mut elapsed, mut epoch) = (0, Duration::ZERO, 0);
        while elapsed < LONG_ENOUGH {
            let draw = |place| Draw {
                image: place % images,
                epoch,
            };
            let draws: Vec<Draw> = (0..batch * 4).map(draw).collect();
            let started = Instant::now();
            source.for_each(&draws, batch, &self.normalise, stop, &mut work)?;
            synchronise(self.device);
            // The first batches pay for the choice of algorithms and for memory.
            if epoch > 0 {
                (done, elapsed) = (done + draws.len(), elapsed + started.elapsed());
            }
            epoch += 1;
        }
        Ok(done as f64 / elapsed.as_secs_f64())
    }
}

/// All images of a task, in the order of this epoch.
fn epoch_draws(task: &TrainTask<'_>, epoch: usize) -> Vec<Draw> {
    let mut images = task.images.to_vec();
    shuffle(
        &mut images,
        derive(task.seed, Purpose::Shuffle, &[epoch as u64]),
    );
    images
        .into_iter()
        .map(|image| Draw {
            image,
            epoch: epoch as u32,
        })
        .collect()
}

fn torch(error: TchError) -> JudgeError {
    JudgeError::other(error)
}

fn cross_entropy(logits: &Tensor, batch: &Batch) -> Result<Tensor, TchError> {
    logits.f_cross_entropy_loss(&batch.labels, None::<&Tensor>, Reduction::None, -100, 0.0)
}

fn synchronise(device: Device) {
    if let Device::Cuda(index) = device {
        tch::Cuda::synchronize(index as i64);
    }
}

/// Sums over batches that stay on the device until they are asked for.
struct Tally {
    loss: Tensor,
    right: Tensor,
    images: i64,
}

impl Tally {
    fn new(device: Device) -> Result<Self, TchError> {
        Ok(Self {
            loss: Tensor::f_zeros([], (Kind::Double, device))?,
            right: Tensor::f_zeros([], (Kind::Int64, device))?,
            images: 0,
        })
    }

    /// Adds a batch whose losses are known; tells which images were classified right.
    fn count(
        &mut self,
        logits: &Tensor,
        losses: &Tensor,
        batch: &Batch,
    ) -> Result<Tensor, TchError> {
        let right = logits.f_argmax(1, false)?.f_eq_tensor(&batch.labels)?;
        drop(self.loss.f_add_(&losses.f_detach()?.f_sum(Kind::Double)?)?);
        drop(self.right.f_add_(&right.f_sum(Kind::Int64)?)?);
        self.images += batch.len();
        Ok(right)
    }

    fn add(&mut self, logits: &Tensor, losses: &Tensor, batch: &Batch) -> Result<(), TchError> {
        no_grad(|| self.count(logits, losses, batch).map(drop))
    }

    fn add_losses(&mut self, logits: &Tensor, batch: &Batch) -> Result<Tensor, TchError> {
        self.count(logits, &cross_entropy(logits, batch)?, batch)
    }

    /// The share of images that were classified right, and the mean loss.
    fn right_and_loss(&self) -> Result<(f64, f64), TchError> {
        let images = self.images as f64;
        let share = |sum: &Tensor| sum.f_double_value(&[]).map(|sum| sum / images);
        Ok((share(&self.right)?, share(&self.loss)?))
    }

    fn evaluation(&self) -> Result<Evaluation, TchError> {
        let (right, loss) = self.right_and_loss()?;
        Ok(Evaluation {
            error: 1.0 - right,
            loss,
        })
    }
}
