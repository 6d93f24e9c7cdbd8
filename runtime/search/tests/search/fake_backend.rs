//! A backend without a network.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use faa_ops_builtin::builtin_ops;
use faa_policy::Strength;
use faa_search::backend::{
    BackendError, DatasetInfo, Images, NetworkFiles, ScoringTask, StopFlag, TrainTask,
};
use faa_search::config::{Preset, SearchConfig, TrainingConfig};
use faa_search::files::FaultPoint;
use faa_search::results::{Divergence, Epoch, Evaluation, Prediction, Rates, Score};
use faa_search::seeds::{Purpose, derive};
use faa_search::summary::Summary;
use faa_search::{Backend, Event, Run, RunConfig, RunDirectory, RunError};
use faa_system::write_whole;

/// Scores candidates by the probability and magnitude of their Rotate steps.
#[derive(Clone, Default)]
pub(crate) struct FakeBackend {
    pub(crate) trained: Vec<(usize, bool, usize)>,
    pub(crate) scored: usize,
    /// The candidates' rewards instead of their true ones.
    pub(crate) reward: Option<fn(&ScoringTask<'_>) -> f64>,
    pub(crate) epochs: usize,
    /// The validation loss of a training's network, and four times its error; 1 if there is none.
    pub(crate) loss: Option<fn(&TrainTask<'_>) -> f64>,
    /// The op with which trainings diverge.
    pub(crate) diverge_with: Option<&'static str>,
    /// The images of a training, and the epoch in which it diverges.
    pub(crate) diverge: Option<(Vec<usize>, usize)>,
    /// Whether evaluation returns a loss of NaN.
    pub(crate) nan_loss: bool,
    /// Whether every training fails.
    pub(crate) fail: bool,
    /// Without it, a backend has a device of its own.
    pub(crate) shared: Option<Arc<SharedDevice>>,
    /// Called before it takes part in a measurement.
    pub(crate) before_measuring: Option<StopCheck>,
    /// Without a shared device, the images per second of training, if not 100.
    pub(crate) rate: Option<f64>,
    /// The total number of epochs and trials after which the run is stopped.
    pub(crate) budget: Option<usize>,
}

/// A function such as [`StopFlag::check`].
pub(crate) type StopCheck = fn(&StopFlag) -> Result<(), BackendError>;

/// A device that several backends share equally.
pub(crate) struct SharedDevice {
    /// Its rates of training with one job, two jobs and so on; it has no memory for more.
    rates: Vec<f64>,
    /// The number of jobs that measure now.
    jobs: AtomicUsize,
}

impl SharedDevice {
    pub(crate) fn new(rates: &[f64]) -> Arc<Self> {
        let (rates, jobs) = (rates.to_vec(), AtomicUsize::new(0));
        Arc::new(Self { rates, jobs })
    }

    fn measure(&self, stop: &StopFlag, in_step: &dyn Fn()) -> Result<f64, BackendError> {
        if self.jobs.fetch_add(1, Ordering::SeqCst) >= self.rates.len() {
            return Err(BackendError::out_of_memory("the device is full"));
        }
        in_step();
        let jobs = self.jobs.load(Ordering::SeqCst);
        in_step();
        stop.check()?;
        Ok(self.rates[jobs - 1] / jobs as f64)
    }
}

impl FakeBackend {
    fn spend(&mut self, stop: &StopFlag) {
        if let Some(budget) = &mut self.budget {
            *budget -= 1;
            if *budget == 0 {
                stop.set();
            }
        }
    }
}

impl FakeBackend {
    /// The network of a training, which is its loss.
    fn network(&self, task: &TrainTask<'_>) -> f64 {
        self.loss.map_or(1.0, |loss| loss(task))
    }
}

/// Whether a training's sampler draws from this op.
pub(crate) fn draws(task: &TrainTask<'_>, op: &str) -> bool {
    let sampler = task.policy.and_then(|policy| policy.sampler());
    sampler.is_some_and(|sampler| sampler.ops.iter().any(|it| it.op == op))
}

impl Backend for FakeBackend {
    type Network = f64;

    fn device(&self) -> String {
        "cpu".into()
    }

    fn dataset(&self) -> DatasetInfo {
        let classes = ["left", "right", "straight"].map(str::to_owned);
        DatasetInfo::new([60, 20], [8, 8], classes.to_vec())
    }

    fn begin(&mut self, task: &TrainTask<'_>) -> Result<f64, BackendError> {
        Ok(self.network(task))
    }

    fn epoch(
        &mut self,
        _: &mut f64,
        task: &TrainTask<'_>,
        epoch: usize,
        stop: &StopFlag,
    ) -> Result<Epoch, BackendError> {
        stop.check()?;
        if self.fail {
            return Err(BackendError::other("out of memory"));
        }
        let learning_rate = task.training.learning_rate;
        let diverges = self.diverge_with.is_some_and(|op| draws(task, op));
        if diverges || self.diverge == Some((task.images.to_vec(), epoch)) {
            return Err(Divergence::new(epoch, learning_rate).into());
        }
        if epoch + 1 == task.training.epochs.get() {
            let with_policy = task.policy.is_some();
            let trained = (task.images.len(), with_policy, task.training.cutout);
            self.trained.push(trained);
        }
        self.epochs += 1;
        self.spend(stop);
        let mut done = Epoch::default();
        let (size, count) = task.training.batches(task.images.len());
        (done.epoch, done.images, done.learning_rate) = (epoch, size * count, learning_rate);
        (done.loss, done.error, done.seconds) = (1.0, 0.5, 0.1);
        Ok(done)
    }

    fn classify_augmented(
        &mut self,
        _: &f64,
        task: &ScoringTask<'_>,
        stop: &StopFlag,
    ) -> Result<Vec<Prediction>, BackendError> {
        stop.check()?;
        let sampler = task.candidate.sampler();
        let op = sampler.and_then(|it| it.ops.first());
        let op = op.ok_or_else(|| BackendError::other("only an audit classifies one op"))?;
        self.scored += usize::from(op.op != "Identity");
        self.spend(stop);
        let value = op.values.map(|values| values.low);
        let draws = |image: &usize| {
            let one = classified(&op.op, value, *image, task.seed);
            std::iter::repeat_n(one, task.draws)
        };
        Ok(task.images.iter().flat_map(draws).collect())
    }

    fn classify(
        &mut self,
        _: &f64,
        images: Images<'_>,
        _: &StopFlag,
    ) -> Result<Vec<Prediction>, BackendError> {
        let [_, test] = self.dataset().images;
        let count = images.of_training().map_or(test, <[usize]>::len);
        let loss = if self.nan_loss { f32::NAN } else { 1.0 };
        // Every fourth image is classified wrongly.
        let prediction = |image: usize| {
            let label = image as u32 % 3;
            let class = if image.is_multiple_of(4) {
                label + 1
            } else {
                label
            };
            Prediction::new(label, class, loss)
        };
        Ok((0..count).map(prediction).collect())
    }

    fn evaluate(
        &mut self,
        network: &f64,
        images: Images<'_>,
        stop: &StopFlag,
    ) -> Result<Evaluation, BackendError> {
        let predictions = self.classify(network, images, stop)?;
        let mut evaluation = Evaluation::by_class(&predictions, &self.dataset().classes);
        if self.loss.is_some() {
            (evaluation.error, evaluation.loss) = (network / 4.0, *network);
        }
        Ok(evaluation)
    }

    fn score(
        &mut self,
        _: &f64,
        task: &ScoringTask<'_>,
        stop: &StopFlag,
    ) -> Result<Score, BackendError> {
        stop.check()?;
        let any = match self.reward {
            Some(reward) => reward(task),
            None => true_reward(task),
        };
        self.scored += 1;
        self.spend(stop);
        Ok(Score::new(any, any / 2.0, 1.0 - any))
    }

    fn rates(
        &mut self,
        _: &TrainingConfig,
        stop: &StopFlag,
        in_step: &dyn Fn(),
    ) -> Result<Rates, BackendError> {
        if let Some(before) = self.before_measuring {
            before(stop)?;
        }
        let rate = match &self.shared {
            None => {
                in_step();
                stop.check()?;
                self.rate.unwrap_or(100.0)
            }
            Some(device) => {
                let rate = device.measure(stop, in_step);
                device.jobs.fetch_sub(1, Ordering::SeqCst);
                rate?
            }
        };
        Ok(Rates::new(rate, 4.0 * rate))
    }
}

impl NetworkFiles for FakeBackend {
    fn save_checkpoint(&self, _: &f64, epochs: usize, file: &Path) -> Result<(), BackendError> {
        write_whole(file, epochs.to_string().as_bytes()).map_err(BackendError::other)
    }

    fn load_checkpoint(
        &mut self,
        task: &TrainTask<'_>,
        file: &Path,
    ) -> Result<(f64, usize), BackendError> {
        let epochs = fs::read_to_string(file).map_err(BackendError::other)?;
        let epochs = epochs.parse().map_err(BackendError::other)?;
        Ok((self.network(task), epochs))
    }

    fn save(&self, network: &f64, file: &Path) -> Result<(), BackendError> {
        write_whole(file, network.to_string().as_bytes()).map_err(BackendError::other)
    }

    fn load(&mut self, _: &TrainingConfig, file: &Path) -> Result<f64, BackendError> {
        let network = fs::read_to_string(file).map_err(BackendError::other)?;
        network.parse().map_err(BackendError::other)
    }

    fn load_any(&mut self, file: &Path) -> Result<f64, BackendError> {
        let content = fs::read_to_string(file).map_err(BackendError::other)?;
        let network = content.parse();
        network.map_err(|_| BackendError::other("this is no network"))
    }
}

/// The answer to an image under an op: `FlipX` turns left into right, `Rotate` breaks right beyond 30° one way
/// and everything beyond 60° the other way, `Invert` breaks everything. Every op makes mistakes in one image
/// of twenty, each in different ones.
fn classified(op: &str, value: Option<f64>, image: usize, seed: u64) -> Prediction {
    let label = labels_of(image);
    let number = value.map_or(0, f64::to_bits);
    let hash = derive(
        seed ^ number,
        Purpose::Trial,
        &[image as u64, op.len() as u64],
    );
    let breaks = match (op, value) {
        ("FlipX", _) => label == 0,
        ("Rotate", Some(value)) => value < -60.0 || (value > 30.0 && label == 1),
        ("Invert", _) => true,
        _ => false,
    };
    match breaks || hash.is_multiple_of(20) {
        true => Prediction::new(label, (label + 1) % 3, 2.0),
        false => Prediction::new(label, label, 0.5),
    }
}

fn labels_of(image: usize) -> u32 {
    image as u32 % 3
}

/// The reward of a candidate without noise.
pub(crate) fn true_reward(task: &ScoringTask<'_>) -> f64 {
    let steps: Vec<_> = task.candidate.sub_policies().iter().flatten().collect();
    let scores = steps.iter().map(|step| match step.strength {
        Strength::Magnitude(magnitude) if step.op == "Rotate" => step.probability * magnitude,
        _ => 0.0,
    });
    scores.sum::<f64>() / steps.len() as f64
}

pub(crate) fn config() -> RunConfig {
    let mut config = RunConfig::for_search(Preset::Demo, "glyphs");
    config.common.training.epochs = 2.try_into().unwrap();
    config.common.training.warmup_epochs = 1;
    // So that an epoch has all images.
    config.common.training.batch = NonZeroUsize::MIN;
    config.final_trainings.epochs = None;
    config.final_trainings.seeds = NonZeroUsize::new(1);
    let search = search_in(&mut config);
    search.trials = 30.try_into().unwrap();
    search.rounds = 2.try_into().unwrap();
    search.top_n = 3.try_into().unwrap();
    config
}

pub(crate) fn search_in(config: &mut RunConfig) -> &mut SearchConfig {
    config.search.as_mut().unwrap()
}

pub(crate) fn labels() -> Vec<u32> {
    (0..60).map(labels_of).collect()
}

pub(crate) type Outcome = (Result<Summary, RunError>, Vec<Event>);

/// A run with one backend, without its events.
pub(crate) fn run(
    out: &Path,
    config: &RunConfig,
    backend: &mut FakeBackend,
) -> Result<Summary, RunError> {
    run_on(out, config, std::slice::from_mut(backend)).0
}

/// A run that is not stopped, with its events.
pub(crate) fn run_on(out: &Path, config: &RunConfig, backends: &mut [FakeBackend]) -> Outcome {
    let directory = RunDirectory::open(out, config, 1).unwrap();
    run_in(&directory, config, backends, &StopFlag::new())
}

/// A run with one backend that is interrupted at a write; `None` if that happened while the directory was
/// opened.
pub(crate) fn run_until(
    fault: &FaultPoint,
    out: &Path,
    config: &RunConfig,
    backend: &mut FakeBackend,
) -> Option<Result<Summary, RunError>> {
    let directory = RunDirectory::open_with(out, config, 1, fault.clone()).ok()?;
    let backends = std::slice::from_mut(backend);
    Some(run_in(&directory, config, backends, &StopFlag::new()).0)
}

pub(crate) fn run_in(
    directory: &RunDirectory,
    config: &RunConfig,
    backends: &mut [FakeBackend],
    stop: &StopFlag,
) -> Outcome {
    run_as(directory, config, backends, stop, |run| run)
}

/// A run with further settings.
pub(crate) fn run_as(
    directory: &RunDirectory,
    config: &RunConfig,
    backends: &mut [FakeBackend],
    stop: &StopFlag,
    set: fn(Run<'_, FakeBackend>) -> Run<'_, FakeBackend>,
) -> Outcome {
    let (labels, ops, mut events) = (labels(), builtin_ops(), Vec::new());
    let run = set(Run::new(config, &labels, &ops, backends, directory));
    (run.run(stop, &mut |event| events.push(event)), events)
}

/// The content of a run's policy file.
pub(crate) fn policy_of(run: &Path) -> String {
    fs::read_to_string(run.join("policy.json")).unwrap()
}

/// The number of candidates of a fold that were scored again.
pub(crate) fn rescored(run: &Path, fold: usize) -> usize {
    let log = fs::read_to_string(run.join(format!("fold-{fold}/rescorings.jsonl")));
    log.unwrap().lines().count()
}
