//! Trainings without a search.

use std::path::Path;

use faa_ops_builtin::builtin_ops;
use faa_policy::Policy;
use faa_search::backend::StopFlag;
use faa_search::config::{Augmentation, Precision, SEARCHED_OPS};
use faa_search::run::RunError;
use faa_search::train::RandomPolicy;
use faa_search::{RunDirectory, SearchError, Summary, Task, Train, TrainConfig};

use crate::fake_backend::{FakeBackend, config};

fn train_config() -> TrainConfig {
    TrainConfig {
        data: "glyphs".into(),
        image_size: None,
        seed: 3,
        training: config().training,
        augmentations: vec![
            Augmentation::None,
            Augmentation::Cutout,
            Augmentation::Random,
            Augmentation::TrivialAugment,
            Augmentation::Policy,
        ],
        seeds: 3.try_into().unwrap(),
        policy: Some(serde_json::from_str(POLICY).unwrap()),
        random: RandomPolicy {
            ops: SEARCHED_OPS.map(str::to_owned).to_vec(),
            sub_policies: 5.try_into().unwrap(),
            ops_per_sub_policy: 2.try_into().unwrap(),
        },
        precision: Precision::Auto,
        plugins: Vec::new(),
    }
}

const POLICY: &str = r#"{"format": "faa-policy", "version": 1, "name": "mine",
    "sub_policies": [[{"op": "Rotate", "probability": 0.5, "magnitude": 0.9}]]}"#;

fn train(
    out: &Path,
    config: &TrainConfig,
    backend: &mut FakeBackend,
) -> Result<Summary, SearchError> {
    let train = Train {
        config,
        images: 60,
        ops: &builtin_ops(),
        backends: std::slice::from_mut(backend),
        run: &RunDirectory::open(out, Task::Train(config), 1).unwrap(),
        stop: &StopFlag::new(),
        observe: &mut |_| (),
    };
    train.run("cpu")
}

#[test]
fn every_control_is_trained_with_every_seed() {
    let folder = tempfile::tempdir().unwrap();
    let mut backend = FakeBackend::default();
    let summary = train(folder.path(), &train_config(), &mut backend).unwrap();
    let count = |policy, cutout| {
        let wanted = |trained: &&(usize, bool, usize)| **trained == (60, policy, cutout);
        backend.trained.iter().filter(wanted).count()
    };
    // Crop and flip alone have no Cutout; everything else has it.
    assert_eq!(
        [count(false, 0), count(false, 16), count(true, 16)],
        [3, 3, 9]
    );
    for result in &summary.final_trainings {
        assert_eq!(result.errors, [0.25; 3]);
    }
    let written = Policy::parse(&std::fs::read(summary.policy.unwrap()).unwrap()).unwrap();
    assert_eq!(written.name, "mine");
}

#[test]
fn what_is_missing_or_unknown_is_told_before_anything_is_trained() {
    let mut config = train_config();
    config.policy = None;
    let error = config.check(&builtin_ops()).unwrap_err().to_string();
    assert_eq!(error, "there is no policy to train with");

    let mut config = train_config();
    config.policy = Some(serde_json::from_str(&POLICY.replace("Rotate", "Rotat")).unwrap());
    let error = config.check(&builtin_ops()).unwrap_err().to_string();
    assert!(error.contains("did you mean `Rotate`?"), "{error}");
}

#[test]
fn a_directory_belongs_to_one_command() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), &train_config(), &mut FakeBackend::default()).unwrap();
    let search = config();
    let error = RunDirectory::open(folder.path(), Task::Search(&search), 1).unwrap_err();
    assert!(matches!(error, RunError::OtherTask { .. }), "{error}");
}
