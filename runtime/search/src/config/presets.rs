use std::num::NonZeroUsize;

use faa_ops_builtin::builtin_ops;

use super::{
    AuditConfig, Augmentation, CommonConfig, FinalTrainings, FoldAugment, FoldConfig,
    HalvingConfig, Precision, Preset, RandomPolicy, RangedOp, Reward, RunConfig, SEARCHED_OPS,
    SearchConfig, TrainingConfig, TrialDraws,
};
use crate::model::Model;
use crate::sampler::TpeConfig;

impl RunConfig {
    /// A search with a preset's constants, on the given data set.
    pub fn for_search(preset: Preset, data: &str) -> Self {
        let (training, final_epochs) = match preset {
            Preset::Demo => (demo_training(), 160),
            Preset::Default | Preset::Cifar10 | Preset::Cifar10Reduced => (paper_training(), 200),
        };
        Self {
            common: CommonConfig {
                data: data.to_owned(),
                image_size: None,
                group_by: None,
                seed: 0,
                training,
                precision: Precision::Auto,
                plugins: Vec::new(),
            },
            audit: None,
            search: Some(SearchConfig::preset(preset)),
            halving: None,
            final_trainings: FinalTrainings {
                augmentations: [&Augmentation::BASELINES[..], &[Augmentation::Policy]].concat(),
                seeds: None,
                epochs: Some(count(final_epochs)),
                policy: None,
                random: None,
            },
        }
    }

    /// A search by short trainings with a preset's constants, on the given data set. A search by density
    /// matching on the same images contributes a policy. There is no audit, which depends on the ops at
    /// hand: [`audit::configure`](crate::audit::configure) makes one.
    pub fn for_halving(preset: Preset, data: &str) -> Self {
        let mut config = Self::for_search(preset, data);
        let split = match preset {
            Preset::Demo => Preset::Demo,
            Preset::Default | Preset::Cifar10 | Preset::Cifar10Reduced => Preset::Cifar10Reduced,
        };
        config.search = Some(SearchConfig {
            folds: FoldConfig {
                // All that halving trains on, which may be fewer.
                images: None,
                ..SearchConfig::preset(split).folds
            },
            ..SearchConfig::preset(preset)
        });
        config.halving = Some(HalvingConfig::preset(preset));
        if preset == Preset::Demo {
            // It takes minutes, most of which would go into more baselines.
            config.final_trainings.augmentations = vec![
                Augmentation::Cutout,
                Augmentation::TrivialAugment,
                Augmentation::Policy,
            ];
        }
        config.final_trainings.random = Some(random_policy());
        config
    }

    /// Trainings with a preset's constants, without a search. There are no augmentations to train with
    /// yet. Random policies have 50 sub-policies, as many as the paper's search takes from one round of
    /// one fold (10 candidates of 5).
    pub fn for_training(preset: Preset, data: &str) -> Self {
        let mut config = Self::for_search(preset, data);
        config.search = None;
        config.common.training.epochs = config.final_epochs();
        config.final_trainings.epochs = None;
        config.final_trainings.augmentations.clear();
        config.final_trainings.random = Some(random_policy());
        config
    }

    /// An audit with a preset's constants, without a search or final trainings. Its network is trained
    /// without flips, because whether flips are safe is one of the questions.
    pub fn for_audit(preset: Preset, data: &str, audit: AuditConfig) -> Self {
        let mut config = Self::for_search(preset, data);
        config.search = None;
        config.audit = Some(audit);
        config.common.training.flip = false;
        config.final_trainings.augmentations.clear();
        config
    }
}

fn random_policy() -> RandomPolicy {
    RandomPolicy {
        ops: SEARCHED_OPS.map(str::to_owned).to_vec(),
        sub_policies: count(50),
        ops_per_sub_policy: count(2),
    }
}

impl SearchConfig {
    /// A search with a preset's constants.
    pub fn preset(preset: Preset) -> Self {
        let (folds, held_out, images) = match preset {
            Preset::Demo => (2, None, None),
            Preset::Default | Preset::Cifar10 => (5, None, None),
            Preset::Cifar10Reduced => (5, Some(0.4), NonZeroUsize::new(4000)),
        };
        let (rounds, trials, top_n) = match preset {
            Preset::Demo => (1, 40, 5),
            Preset::Default | Preset::Cifar10 | Preset::Cifar10Reduced => (2, 200, 10),
        };
        let (trial_draws, finalists) = match preset {
            Preset::Default | Preset::Demo => (TrialDraws::Common, 3),
            Preset::Cifar10 | Preset::Cifar10Reduced => (TrialDraws::Fresh, 0),
        };
        Self {
            folds: FoldConfig {
                count: count(folds),
                held_out,
                images,
            },
            ops: SEARCHED_OPS.map(str::to_owned).to_vec(),
            rounds: count(rounds),
            trials: count(trials),
            batch_proposals: NonZeroUsize::MIN,
            top_n: count(top_n),
            finalists,
            sub_policies: count(5),
            ops_per_sub_policy: count(2),
            draws: count(5),
            trial_draws,
            fold_augment: FoldAugment::Base,
            reward: Reward::Any,
            sampler: TpeConfig::default(),
        }
    }
}

impl HalvingConfig {
    /// A search with a preset's constants, over TrivialAugment's ops.
    pub fn preset(preset: Preset) -> Self {
        let (images, entrants, reduction, rungs) = match preset {
            Preset::Demo => (500, 8, 4, 2),
            Preset::Default | Preset::Cifar10 | Preset::Cifar10Reduced => (4_000, 64, 4, 3),
        };
        let (epochs, early_epochs, seeds) = match preset {
            // On `glyphs`, networks learn colours in 20 epochs, and orientations after 80: with fewer in the
            // last rung, nothing that harms orientations would be noticed.
            Preset::Demo => (120, 40, 2),
            Preset::Default | Preset::Cifar10 | Preset::Cifar10Reduced => (100, 50, 3),
        };
        Self {
            ops: RangedOp::trivial_augment(&builtin_ops()),
            images: count(images),
            held_out: 0.25,
            entrants: count(entrants),
            reduction: count(reduction),
            rungs: count(rungs),
            epochs: count(epochs),
            early_epochs: count(early_epochs),
            seeds: count(seeds),
        }
    }
}

fn paper_training() -> TrainingConfig {
    TrainingConfig {
        model: model(40, 2),
        epochs: count(200),
        batch: count(128),
        learning_rate: 0.1,
        warmup_epochs: 5,
        momentum: 0.9,
        weight_decay: 2e-4,
        clip_norm: 5.0,
        crop_padding: 4,
        flip: true,
        cutout: 16,
    }
}

fn demo_training() -> TrainingConfig {
    TrainingConfig {
        model: model(10, 1),
        epochs: count(160),
        batch: count(32),
        warmup_epochs: 2,
        crop_padding: 2,
        cutout: 4,
        ..paper_training()
    }
}

fn model(depth: usize, width: usize) -> Model {
    Model::new(depth, width).expect("presets have valid networks")
}

fn count(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).expect("presets have no zero counts")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_differs_from_the_paper_in_what_tames_the_noise_alone() {
        let [default, paper] = [Preset::Default, Preset::Cifar10].map(SearchConfig::preset);
        assert_eq!((paper.trial_draws, paper.finalists), (TrialDraws::Fresh, 0));
        let tamed = SearchConfig {
            trial_draws: TrialDraws::Common,
            finalists: 3,
            ..paper
        };
        assert_eq!(default, tamed);
        let training = |preset| RunConfig::for_training(preset, "glyphs");
        assert_eq!(training(Preset::Default), training(Preset::Cifar10));
    }

    #[test]
    fn a_search_that_was_recorded_before_there_were_second_scorings_is_as_published() {
        let paper = SearchConfig::preset(Preset::Cifar10);
        let mut recorded = serde_json::to_value(&paper).unwrap();
        for key in ["trial_draws", "finalists", "fold_augment"] {
            recorded.as_object_mut().unwrap().remove(key).unwrap();
        }
        let read: SearchConfig = serde_json::from_value(recorded).unwrap();
        assert_eq!(read, paper);
    }
}
