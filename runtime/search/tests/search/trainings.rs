//! Trainings without a search.

use std::fs;
use std::num::NonZeroUsize;

use faa_ops_builtin::builtin_ops;
use faa_policy::Policy;
use faa_search::config::{Augmentation, Preset};
use faa_search::files::{FileErrorKind, with_checksum};
use faa_search::summary::ComparisonResult;
use faa_search::{RunConfig, RunDirectory};

use crate::fake_backend::{FakeBackend, config, run};

const POLICY: &str = r#"{"format": "faa-policy", "version": 1, "name": "mine",
    "sub_policies": [[{"op": "Rotate", "probability": 0.5, "magnitude": 0.9}]]}"#;

fn training() -> RunConfig {
    let mut training = RunConfig::for_training(Preset::Demo, "glyphs");
    training.common.training = config().common.training;
    let trainings = &mut training.final_trainings;
    trainings.augmentations = Augmentation::ALL.to_vec();
    trainings.seeds = NonZeroUsize::new(3);
    trainings.policy = Some(Policy::parse(POLICY.as_bytes()).unwrap());
    training
}

#[test]
fn everything_is_trained_with_every_seed() {
    let folder = tempfile::tempdir().unwrap();
    let mut backend = FakeBackend::default();
    let summary = run(folder.path(), &training(), &mut backend).unwrap();
    let count = |policy, cutout| {
        let wanted = |trained: &&(usize, bool, usize)| **trained == (60, policy, cutout);
        backend.trained.iter().filter(wanted).count()
    };
    // All augmentations but crop and flip alone include Cutout.
    let counts = [count(false, 0), count(false, 4), count(true, 4)];
    assert_eq!(counts, [3, 3, 12]);
    for result in &summary.final_trainings {
        assert_eq!(result.errors, [0.25; 3]);
        // Of 20 test images, those with a number that 4 divides are wrong: 0, 4, 8, 12 and 16.
        let by_class = result.by_class.iter();
        let by_class = by_class.map(|it| (it.class.as_str(), it.images, it.errors));
        let expected = [
            ("left", 3 * 7, 3 * 2),
            ("right", 3 * 7, 3 * 2),
            ("straight", 3 * 6, 3),
        ];
        assert_eq!(by_class.collect::<Vec<_>>(), expected);
    }
    // The seeds do not differ, so there is no interval.
    let results = summary.comparisons.iter();
    let results: Vec<_> = results.map(|it| (it.result, it.interval)).collect();
    assert_eq!(results, [(ComparisonResult::EqualWithinNoise, None); 5]);
    let written = Policy::parse(&fs::read(summary.policy.unwrap()).unwrap()).unwrap();
    assert_eq!(written.name, "mine");
}

/// Builds before this one did not count errors by class.
#[test]
fn an_evaluation_without_classes_is_continued_from() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &training(), &mut FakeBackend::default()).unwrap();
    let evaluation = folder.path().join("final/policy-0/evaluation.json");
    let counted = fs::read_to_string(&evaluation).unwrap();
    assert!(
        counted.contains("\"class\": \"straight\",\n      \"images\": 6,\n      \"errors\": 1\n")
    );
    fs::write(&evaluation, with_checksum(r#"{"error": 0.5, "loss": 1.0}"#)).unwrap();
    let summary = run(folder.path(), &training(), &mut FakeBackend::default()).unwrap();
    let policy = summary.final_trainings.last().unwrap();
    assert_eq!((policy.errors[0], policy.by_class.len()), (0.5, 0));
}

#[test]
fn a_missing_policy_or_unknown_op_is_an_error_before_anything_is_trained() {
    let error = |change: fn(&mut RunConfig)| {
        let mut training = training();
        change(&mut training);
        training.check(&builtin_ops()).unwrap_err().to_string()
    };
    let missing = error(|run| run.final_trainings.policy = None);
    assert_eq!(missing, "there is no policy to train with");
    let unknown = error(|run| {
        let policy = POLICY.replace("Rotate", "Rotat");
        run.final_trainings.policy = Some(Policy::parse(policy.as_bytes()).unwrap());
    });
    assert!(unknown.contains("did you mean `Rotate`?"), "{unknown}");
    let nothing = error(|run| run.final_trainings.augmentations.clear());
    assert_eq!(
        nothing,
        "there is no search, no audit and no final training"
    );
    let twice = error(|run| run.final_trainings.augmentations.push(Augmentation::Cutout));
    assert_eq!(twice, "`cutout` is named twice among the final trainings");
}

#[test]
fn a_directory_belongs_to_one_command() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &training(), &mut FakeBackend::default()).unwrap();
    let error = RunDirectory::open(folder.path(), &config(), 1).unwrap_err();
    assert_eq!(error.kind(), FileErrorKind::DifferentRun);
    assert!(
        error.to_string().contains("was created by `train`"),
        "{error}"
    );
}
