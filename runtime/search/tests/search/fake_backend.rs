//! A backend without a network.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use faa_ops_builtin::builtin_ops;
use faa_policy::Strength;
use faa_search::backend::{
    BackendError, DatasetInfo, Images, NetworkFiles, ScoringTask, StopFlag, TrainTask,
};
use faa_search::config::{Preset, SearchConfig, TrainingConfig};
use faa_search::files::FaultPoint;
use faa_search::results::{Divergence, Epoch, Evaluation, Prediction, Rates, Score, Summary};
use faa_search::{Backend, Event, Run, RunConfig, RunDirectory, RunError};
use faa_system::write_whole;

/// Scores candidates by the probability and magnitude of their Rotate steps.
#[derive(Clone, Default)]
pub(crate) struct FakeBackend {
    pub(crate) trained: Vec<(usize, bool, usize)>,
    pub(crate) scored: usize,
    pub(crate) epochs: usize,
    /// What the networks of a training lose; 1 if there is none.
    pub(crate) loss: Option<fn(&TrainTask<'_>) -> f64>,
    /// The op with which trainings diverge.
    pub(crate) diverge_with: Option<&'static str>,
    /// The images of a training, and the epoch in which it diverges.
    pub(crate) diverge: Option<(Vec<usize>, usize)>,
    /// Whether evaluation returns a loss of NaN.
    pub(crate) nan_loss: bool,
    /// Whether every training fails.
    pub(crate) fail: bool,
    /// A device, and how many backends will measure it.
    pub(crate) shared: Option<(Arc<SharedDevice>, usize)>,
    /// The total number of epochs and trials after which the run is stopped.
    pub(crate) budget: Option<usize>,
}

/// A device that several backends share, each of which gets its part.
#[derive(Default)]
pub(crate) struct SharedDevice {
    jobs: Mutex<usize>,
    more: Condvar,
}

impl SharedDevice {
    /// The number of jobs that measure at the same time, once there are as many as expected. Fewer are
    /// given up after a while.
    fn measure(&self, expected: usize) -> usize {
        let mut jobs = self.jobs.lock().unwrap();
        *jobs += 1;
        self.more.notify_all();
        let (patience, too_few) = (Duration::from_secs(20), |jobs: &mut usize| *jobs < expected);
        *self
            .more
            .wait_timeout_while(jobs, patience, too_few)
            .unwrap()
            .0
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
        DatasetInfo::new([60, 20], [8, 8], 3)
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
        (done.epoch, done.images, done.learning_rate) = (epoch, task.images.len(), learning_rate);
        (done.loss, done.error, done.seconds) = (1.0, 0.5, 0.1);
        Ok(done)
    }

    fn classify_augmented(
        &mut self,
        _: &f64,
        _: &ScoringTask<'_>,
        _: &StopFlag,
    ) -> Result<Vec<Prediction>, BackendError> {
        Err(BackendError::other("scores are made directly"))
    }

    fn classify(
        &mut self,
        _: &f64,
        _: Images<'_>,
        _: &StopFlag,
    ) -> Result<Vec<Prediction>, BackendError> {
        Err(BackendError::other("evaluations are made directly"))
    }

    fn score(
        &mut self,
        _: &f64,
        task: &ScoringTask<'_>,
        stop: &StopFlag,
    ) -> Result<Score, BackendError> {
        stop.check()?;
        let steps: Vec<_> = task.candidate.sub_policies().iter().flatten().collect();
        let scores = steps.iter().map(|step| match step.strength {
            Strength::Magnitude(magnitude) if step.op == "Rotate" => step.probability * magnitude,
            _ => 0.0,
        });
        let any = scores.sum::<f64>() / steps.len() as f64;
        self.scored += 1;
        self.spend(stop);
        Ok(Score::new(any, any / 2.0, 1.0 - any))
    }

    fn evaluate(
        &mut self,
        network: &f64,
        _: Images<'_>,
        _: &StopFlag,
    ) -> Result<Evaluation, BackendError> {
        let loss = if self.nan_loss { f64::NAN } else { *network };
        Ok(Evaluation::new(network / 4.0, loss))
    }

    fn rates(&mut self, _: &TrainingConfig, _: &StopFlag) -> Result<Rates, BackendError> {
        let shared = self.shared.as_ref();
        let jobs = shared.map_or(1, |(device, jobs)| device.measure(*jobs)) as f64;
        Ok(Rates::new(100.0 / jobs, 400.0 / jobs))
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
}

pub(crate) fn config() -> RunConfig {
    let mut config = RunConfig::for_search(Preset::Demo, "glyphs");
    config.common.training.epochs = 2.try_into().unwrap();
    config.common.training.warmup_epochs = 1;
    config.final_trainings.epochs = None;
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
    (0..60).map(|image| image % 3).collect()
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
    let (labels, ops, mut events) = (labels(), builtin_ops(), Vec::new());
    let run = Run::new(config, &labels, &ops, backends, directory);
    (run.run(stop, &mut |event| events.push(event)), events)
}

/// The content of a run's policy file.
pub(crate) fn policy_of(run: &Path) -> String {
    fs::read_to_string(run.join("policy.json")).unwrap()
}
