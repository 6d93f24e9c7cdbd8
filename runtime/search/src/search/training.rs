//! The trainings of a search: one for every fold, and those at the end.

use std::path::Path;

use faa_policy::Policy;

use super::{FinalResult, Search, SearchError, check_finite, failed, network_file, result_file};
use crate::config::{Control, Recipe};
use crate::event::{Event, Training};
use crate::files::{append_line, read_json, write_json, write_whole};
use crate::folds::Fold;
use crate::judge::{Epoch, Evaluation, Images, Judge, TrainTask};
use crate::seeds::{Purpose, derive};
use crate::space::Space;

impl<J: Judge> Search<'_, J> {
    /// The network of a fold: trained on D_M, without a policy.
    pub(super) fn fold_network(
        &mut self,
        number: usize,
        fold: &Fold,
    ) -> Result<J::Network, SearchError> {
        let training = Training::Fold(number);
        let task = TrainTask {
            images: &fold.train,
            recipe: &self.config.training,
            policy: None,
            seed: derive(self.config.seed, Purpose::FoldTraining, &[number as u64]),
        };
        let folder = self.run.fold(number)?;
        let (network, resumed) = self.train(training, task, &folder)?;
        let evaluation = self.evaluate(training, &network, Images::Train(&fold.judge))?;
        (self.observe)(Event::TrainingDone {
            training,
            evaluation,
            resumed,
        });
        Ok(network)
    }

    /// The trainings on all images, with the policy and its controls.
    pub(super) fn train_finals(
        &mut self,
        policy: &Policy,
    ) -> Result<Vec<FinalResult>, SearchError> {
        let mut results: Vec<FinalResult> = Vec::new();
        for (control, seed) in self.final_trainings() {
            let evaluation = self.train_final(policy, control, seed)?;
            match results.iter_mut().find(|result| result.control == control) {
                Some(result) => result.errors.push(evaluation.error),
                None => results.push(FinalResult {
                    control,
                    errors: vec![evaluation.error],
                }),
            }
        }
        Ok(results)
    }

    /// One training on all images of the training split, measured on the test split.
    fn train_final(
        &mut self,
        policy: &Policy,
        control: Control,
        seed: usize,
    ) -> Result<Evaluation, SearchError> {
        let training = Training::Final { control, seed };
        let folder = self.run.final_training(control, seed)?;
        if let Some(evaluation) = read_json::<Evaluation>(&result_file(&folder))? {
            (self.observe)(Event::TrainingDone {
                training,
                evaluation,
                resumed: true,
            });
            return Ok(evaluation);
        }
        let config = self.config;
        let random = || {
            let seed = derive(config.seed, Purpose::RandomPolicy, &[seed as u64]);
            Space::new(&config.explore).random_policy("random", policy.sub_policies().len(), seed)
        };
        let (policy, cutout) = match control {
            Control::None => (None, 0),
            Control::Cutout => (None, config.training.cutout),
            Control::Random => (Some(random()), config.training.cutout),
            Control::Policy => (Some(policy.clone()), config.training.cutout),
        };
        let epochs = config.finals.epochs;
        let recipe = Recipe {
            epochs,
            cutout,
            ..config.training.clone()
        };
        let images: Vec<usize> = (0..self.labels.len()).collect();
        let task = TrainTask {
            images: &images,
            recipe: &recipe,
            policy: policy.as_ref(),
            // Controls of one seed share first weights and the order of images.
            seed: derive(config.seed, Purpose::FinalTraining, &[seed as u64]),
        };
        let (network, _) = self.train(training, task, &folder)?;
        let evaluation = self.evaluate(training, &network, Images::Test)?;
        write_json(&result_file(&folder), &evaluation)?;
        (self.observe)(Event::TrainingDone {
            training,
            evaluation,
            resumed: false,
        });
        Ok(evaluation)
    }

    /// Every control with every seed.
    pub(super) fn final_trainings(&self) -> impl Iterator<Item = (Control, usize)> + use<J> {
        let (controls, seeds) = (
            self.config.finals.controls.clone(),
            self.config.finals.seeds.get(),
        );
        (0..seeds).flat_map(move |seed| {
            controls
                .clone()
                .into_iter()
                .map(move |control| (control, seed))
        })
    }

    /// Trains a network, or finds it trained; says which.
    fn train(
        &mut self,
        training: Training,
        task: TrainTask<'_>,
        folder: &Path,
    ) -> Result<(J::Network, bool), SearchError> {
        let (stage, file) = (training.to_string(), network_file(folder));
        let epochs = task.recipe.epochs.get();
        (self.observe)(Event::TrainingStarted { training, epochs });
        if file.exists() {
            let network = self
                .judge
                .load(task.recipe, &file)
                .map_err(failed(&stage))?;
            return Ok((network, true));
        }
        let log = folder.join("epochs.jsonl");
        // A training that was stopped begins again, and its log with it.
        write_whole(&log, b"")?;
        let mut logged = Ok(());
        let observe = &mut self.observe;
        let on_epoch = &mut |epoch: &Epoch| {
            if logged.is_ok() {
                logged = append_line(&log, epoch);
            }
            observe(Event::EpochDone {
                training,
                epoch: *epoch,
            });
        };
        let network = self
            .judge
            .train(&task, on_epoch, self.stop)
            .map_err(failed(&stage))?;
        // The network is worth more than its log.
        self.judge.save(&network, &file).map_err(failed(&stage))?;
        logged?;
        Ok((network, false))
    }

    fn evaluate(
        &mut self,
        training: Training,
        network: &J::Network,
        images: Images<'_>,
    ) -> Result<Evaluation, SearchError> {
        let stage = training.to_string();
        let evaluation = self
            .judge
            .evaluate(network, images, self.stop)
            .map_err(failed(&stage))?;
        check_finite(&stage, &[evaluation.error, evaluation.loss])?;
        Ok(evaluation)
    }
}
