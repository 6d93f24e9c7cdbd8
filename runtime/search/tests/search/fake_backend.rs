//! A stand-in for the network.

use std::fs;
use std::path::Path;

use faa_ops_builtin::builtin_ops;
use faa_policy::Strength;
use faa_search::backend::{
    BackendError, DatasetInfo, Divergence, Epoch, Evaluation, Images, Rates, ScoringTask, StopFlag,
    TrainTask,
};
use faa_search::config::{Preset, RunConfig, TrainingConfig};
use faa_search::trial::Score;
use faa_search::{Backend, Event, RunDirectory, Search, SearchError, Summary, Task};

/// A judge without a network: it likes strong and likely Rotate, and nothing else.
#[derive(Default)]
pub(crate) struct FakeBackend {
    pub(crate) trained: Vec<(usize, bool, usize)>,
    pub(crate) scored: usize,
    pub(crate) epochs: usize,
    /// The images of a training whose loss becomes no number in some epoch.
    pub(crate) diverge: Option<(Vec<usize>, usize)>,
    /// Whether networks give no numbers when they are evaluated.
    pub(crate) broken: bool,
    /// Whether every training fails.
    pub(crate) fail: bool,
    /// Stop after this many epochs and trials in all.
    pub(crate) budget: Option<usize>,
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

impl Backend for FakeBackend {
    type Network = ();

    fn facts(&self) -> DatasetInfo {
        DatasetInfo {
            images: [60, 20],
            size: [8, 8],
            classes: 3,
        }
    }

    fn begin(&mut self, _: &TrainTask<'_>) -> Result<(), BackendError> {
        Ok(())
    }

    fn epoch(
        &mut self,
        (): &mut (),
        task: &TrainTask<'_>,
        epoch: usize,
        stop: &StopFlag,
    ) -> Result<Epoch, BackendError> {
        stop.check()?;
        if self.fail {
            return Err(BackendError::other("out of memory"));
        }
        let learning_rate = task.training.learning_rate;
        if self.diverge == Some((task.images.to_vec(), epoch)) {
            return Err(Divergence {
                epoch,
                learning_rate,
            }
            .into());
        }
        if epoch + 1 == task.training.epochs.get() {
            let with_policy = task.policy.is_some();
            let trained = (task.images.len(), with_policy, task.training.cutout);
            self.trained.push(trained);
        }
        self.epochs += 1;
        self.spend(stop);
        Ok(Epoch {
            epoch,
            loss: 1.0,
            error: 0.5,
            learning_rate,
            seconds: 0.1,
            images: task.images.len(),
        })
    }

    fn checkpoint(&self, (): &(), epochs: usize, file: &Path) -> Result<(), BackendError> {
        fs::write(file, epochs.to_string()).map_err(BackendError::other)
    }

    fn resume(&mut self, _: &TrainTask<'_>, file: &Path) -> Result<((), usize), BackendError> {
        let epochs = fs::read_to_string(file).map_err(BackendError::other)?;
        Ok(((), epochs.parse().map_err(BackendError::other)?))
    }

    fn score(
        &mut self,
        (): &(),
        task: &ScoringTask<'_>,
        stop: &StopFlag,
    ) -> Result<Score, BackendError> {
        stop.check()?;
        let steps: Vec<_> = task.candidate.sub_policies().iter().flatten().collect();
        let liked = steps.iter().map(|step| match step.strength {
            Strength::Magnitude(magnitude) if step.op == "Rotate" => step.probability * magnitude,
            _ => 0.0,
        });
        let any = liked.sum::<f64>() / steps.len() as f64;
        self.scored += 1;
        self.spend(stop);
        Ok(Score {
            any,
            mean: any / 2.0,
            loss: 1.0 - any,
        })
    }

    fn evaluate(
        &mut self,
        (): &(),
        _: Images<'_>,
        _: &StopFlag,
    ) -> Result<Evaluation, BackendError> {
        Ok(Evaluation {
            error: 0.25,
            loss: if self.broken { f64::NAN } else { 1.0 },
        })
    }

    fn save(&self, (): &(), file: &Path) -> Result<(), BackendError> {
        fs::write(file, b"trained").map_err(BackendError::other)
    }

    fn load(&mut self, _: &TrainingConfig, _: &Path) -> Result<(), BackendError> {
        Ok(())
    }

    fn rates(&mut self, _: &TrainingConfig, _: &StopFlag) -> Result<Rates, BackendError> {
        Ok(Rates {
            train: 100.0,
            classify: 400.0,
        })
    }
}

pub(crate) fn config() -> RunConfig {
    let mut config = RunConfig::preset(Preset::Demo, "glyphs");
    config.training.epochs = 2.try_into().unwrap();
    config.training.warmup_epochs = 1;
    config.search.trials = 30.try_into().unwrap();
    config.search.rounds = 2.try_into().unwrap();
    config.search.top_n = 3.try_into().unwrap();
    config.final_trainings.epochs = 2.try_into().unwrap();
    config
}

pub(crate) fn labels() -> Vec<u32> {
    (0..60).map(|image| image % 3).collect()
}

/// A search by one judge, its events thrown away.
pub(crate) fn search(
    out: &Path,
    config: &RunConfig,
    backend: &mut FakeBackend,
) -> Result<Summary, SearchError> {
    search_with(
        out,
        config,
        std::slice::from_mut(backend),
        &StopFlag::new(),
        &mut Vec::new(),
    )
}

pub(crate) fn search_with(
    out: &Path,
    config: &RunConfig,
    backends: &mut [FakeBackend],
    stop: &StopFlag,
    events: &mut Vec<Event>,
) -> Result<Summary, SearchError> {
    let search = Search {
        config,
        labels: &labels(),
        ops: &builtin_ops(),
        backends,
        run: &RunDirectory::open(out, Task::Search(config), 1).unwrap(),
        stop,
        observe: &mut |event| events.push(event),
    };
    search.run("cpu")
}

/// The policy of a run, as its file has it.
pub(crate) fn policy_of(run: &Path) -> String {
    fs::read_to_string(run.join("policy.json")).unwrap()
}
