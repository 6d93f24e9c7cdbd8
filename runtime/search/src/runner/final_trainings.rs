//! The trainings on all images, with the policy and with the baselines.

use std::num::NonZeroUsize;

use faa_policy::Policy;

use super::error::RunError;
use super::workers::{Worker, Workers};
use crate::backend::{Images, NetworkFiles, TrainTask};
use crate::config::{Augmentation, RunConfig, TrainingConfig};
use crate::layout::TrainingId;
use crate::results::{Evaluation, Outcome};
use crate::seeds::{Purpose, derive};
use crate::space::Space;
use crate::summary::FinalResult;

/// Trains and evaluates the final networks.
pub(super) struct Trainer<'a> {
    pub(super) config: &'a RunConfig,
    /// The number of images in the training split.
    pub(super) images: usize,
    /// The policy of [`Augmentation::Policy`].
    pub(super) policy: Option<&'a Policy>,
}

impl Trainer<'_> {
    /// Does all trainings that are not yet recorded.
    pub(super) fn train<B: NetworkFiles>(
        &self,
        seeds: NonZeroUsize,
        workers: &Workers<'_>,
        backends: &mut [B],
    ) -> Result<Vec<FinalResult>, RunError> {
        let config = &self.config.final_trainings;
        let all: Vec<_> = config.trainings(seeds).collect();
        let outcomes =
            workers.run_parallel(backends, all.iter(), |worker, (augmentation, seed)| {
                self.train_one(worker, *augmentation, *seed)
            })?;
        let result = |wanted: &Augmentation| {
            let (mut evaluations, mut diverged) = (Vec::new(), 0);
            for ((augmentation, _), outcome) in all.iter().zip(&outcomes) {
                match outcome {
                    _ if augmentation != wanted => {}
                    Outcome::Done(evaluation) => evaluations.push(evaluation),
                    Outcome::Diverged(_) => diverged += 1,
                }
            }
            FinalResult::new(*wanted, evaluations, diverged)
        };
        Ok(config.augmentations.iter().map(result).collect())
    }

    /// Does one training, and evaluates its network on the test split.
    pub(super) fn train_one<B: NetworkFiles>(
        &self,
        worker: &mut Worker<'_, '_, B>,
        augmentation: Augmentation,
        seed: usize,
    ) -> Result<Outcome<Evaluation>, RunError> {
        let id = TrainingId::Final { augmentation, seed };
        let common = &self.config.common;
        let policy = self.policy_of(augmentation, seed);
        let training = TrainingConfig {
            epochs: self.config.final_epochs(),
            cutout: match augmentation {
                Augmentation::None => 0,
                _ => common.training.cutout,
            },
            ..common.training.clone()
        };
        let images: Vec<usize> = (0..self.images).collect();
        let task = TrainTask {
            images: &images,
            training: &training,
            policy: policy.as_ref(),
            // With the same seed, all augmentations have the same initial weights and order of images.
            seed: derive(common.seed, Purpose::FinalTraining, &[seed as u64]),
        };
        worker.train_and_evaluate(id, &task, Images::Test)
    }

    fn policy_of(&self, augmentation: Augmentation, seed: usize) -> Option<Policy> {
        match augmentation {
            Augmentation::None | Augmentation::Cutout => None,
            Augmentation::Random => {
                let (space, sub_policies) = self.random_space()?;
                let seed = derive(
                    self.config.common.seed,
                    Purpose::RandomPolicy,
                    &[seed as u64],
                );
                Some(space.random_policy("random", sub_policies, seed))
            }
            Augmentation::RandAugment | Augmentation::TrivialAugment => {
                augmentation.shipped_policy()
            }
            Augmentation::Policy => self.policy.cloned(),
        }
    }

    /// The space of random policies, and their number of sub-policies.
    fn random_space(&self) -> Option<(Space, usize)> {
        if let Some(random) = &self.config.final_trainings.random {
            let (sub_policies, steps) =
                (random.sub_policies.get(), random.ops_per_sub_policy.get());
            return Some((Space::of(&random.ops, sub_policies, steps), sub_policies));
        }
        let search = self.config.search.as_ref()?;
        let found = self.policy.map_or(0, |policy| policy.sub_policies().len());
        Some((Space::new(search), found))
    }
}
