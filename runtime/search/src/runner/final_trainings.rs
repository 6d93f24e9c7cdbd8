//! The trainings on all images, with the policy and with what it is compared with.

use faa_policy::Policy;

use super::error::RunError;
use super::workers::{Worker, Workers};
use crate::backend::{Images, NetworkFiles, TrainTask};
use crate::config::check::trivial_augment;
use crate::config::{Augmentation, FinalTrainings, RunConfig, TrainingConfig};
use crate::layout::TrainingId;
use crate::results::{Evaluation, FinalResult, Outcome};
use crate::seeds::{Purpose, derive};
use crate::space::Space;

/// Trains the final networks.
pub(super) struct Trainer<'a> {
    pub(super) config: &'a RunConfig,
    /// How many images the training split has.
    pub(super) images: usize,
    /// That of [`Augmentation::Policy`].
    pub(super) policy: Option<&'a Policy>,
}

/// Every augmentation with every seed: all augmentations of the first seed first.
pub(super) fn every_training(finals: &FinalTrainings) -> impl Iterator<Item = TrainingId> {
    (0..finals.seeds.get()).flat_map(|seed| {
        let augmentations = finals.augmentations.iter().copied();
        augmentations.map(move |augmentation| TrainingId::Final { augmentation, seed })
    })
}

impl Trainer<'_> {
    /// Trains everything that is not trained yet.
    pub(super) fn train<B: NetworkFiles>(
        &self,
        workers: &Workers<'_>,
        backends: &mut [B],
    ) -> Result<Vec<FinalResult>, RunError> {
        let finals = &self.config.final_trainings;
        let all: Vec<TrainingId> = every_training(finals).collect();
        let outcomes = workers.run_parallel(backends, all.iter(), |worker, id| match id {
            TrainingId::Final { augmentation, seed } => {
                self.train_one(worker, *augmentation, *seed)
            }
            TrainingId::Fold(_) => unreachable!("folds are no final trainings"),
        })?;
        let result = |wanted: &Augmentation| {
            let mut result = FinalResult {
                augmentation: *wanted,
                errors: Vec::new(),
                diverged: 0,
            };
            for (id, outcome) in all.iter().zip(&outcomes) {
                match (id, outcome) {
                    (TrainingId::Final { augmentation, .. }, _) if augmentation != wanted => {}
                    (_, Outcome::Done(evaluation)) => result.errors.push(evaluation.error),
                    (_, Outcome::Diverged(_)) => result.diverged += 1,
                }
            }
            result
        };
        Ok(finals.augmentations.iter().map(result).collect())
    }

    /// One training, evaluated on the test split after its last epoch.
    fn train_one<B: NetworkFiles>(
        &self,
        worker: &mut Worker<'_, '_, B>,
        augmentation: Augmentation,
        seed: usize,
    ) -> Result<Outcome<Evaluation>, RunError> {
        let common = &self.config.common;
        let policy = self.policy_of(augmentation, seed);
        let training = TrainingConfig {
            epochs: self.config.final_trainings.epochs,
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
            // All augmentations of one seed share first weights and the order of images.
            seed: derive(common.seed, Purpose::FinalTraining, &[seed as u64]),
        };
        let id = TrainingId::Final { augmentation, seed };
        Ok(match worker.train(id, &task, Images::Test)? {
            Outcome::Done((_, evaluation)) => Outcome::Done(evaluation),
            Outcome::Diverged(divergence) => Outcome::Diverged(divergence),
        })
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
            Augmentation::TrivialAugment => Some(trivial_augment()),
            Augmentation::Policy => self.policy.cloned(),
        }
    }

    /// Where random policies are drawn from, and how many sub-policies they have.
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
