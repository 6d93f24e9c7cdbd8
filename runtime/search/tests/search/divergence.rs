//! Trainings whose loss becomes infinite or NaN.

use std::fs;

use faa_policy::Policy;
use faa_search::folds::stratified_folds;
use faa_search::layout::TrainingId;
use faa_search::{Event, RunConfig, RunErrorKind};

use crate::fake_backend::{
    FakeBackend, config, labels, policy_of, rescored, run, run_on, search_in,
};

/// A backend whose training of this fold diverges in its second epoch.
fn diverging(config: &RunConfig, fold: usize) -> FakeBackend {
    let split = &config.search.as_ref().unwrap().folds;
    let folds = stratified_folds(&labels(), split, config.common.seed).unwrap();
    FakeBackend {
        diverge: Some((folds[fold].train.clone(), 1)),
        ..FakeBackend::default()
    }
}

#[test]
fn a_search_continues_without_a_fold_that_diverges() {
    let (folder, config) = (tempfile::tempdir().unwrap(), config());
    let mut backends = [diverging(&config, 0)];
    let (summary, events) = run_on(folder.path(), &config, &mut backends);
    summary.unwrap();
    assert_eq!(backends[0].scored, 60 + rescored(folder.path(), 1));
    let is_divergence = |event: &&Event| matches!(event, Event::TrainingDiverged { .. });
    let Some(Event::TrainingDiverged {
        training: TrainingId::Fold(0),
        divergence,
    }) = events.iter().find(is_divergence)
    else {
        panic!("{events:?}");
    };
    let words = divergence.to_string();
    assert!(words.contains("in epoch 2 (learning rate 0.1)"), "{words}");
    let policy = Policy::parse(policy_of(folder.path()).as_bytes()).unwrap();
    assert_eq!(policy.provenance.get("diverged_folds"), Some([0]));
    assert!(!folder.path().join("fold-0/checkpoint.safetensors").exists());
    let recorded = fs::read_to_string(folder.path().join("fold-0/diverged.json")).unwrap();
    assert!(recorded.contains("learning_rate"), "{recorded}");

    // It would diverge again, and is not repeated.
    let mut backend = FakeBackend::default();
    run(folder.path(), &config, &mut backend).unwrap();
    assert_eq!((backend.epochs, backend.scored), (0, 0));
}

#[test]
fn a_final_training_that_diverges_is_counted() {
    let (folder, config) = (tempfile::tempdir().unwrap(), config());
    let mut backend = FakeBackend {
        diverge: Some(((0..60).collect(), 0)),
        ..FakeBackend::default()
    };
    let summary = run(folder.path(), &config, &mut backend).unwrap();
    for result in &summary.final_trainings {
        assert_eq!((result.errors.len(), result.diverged), (0, 1));
    }
}

#[test]
fn a_search_without_any_network_ends_with_advice() {
    let (folder, mut config) = (tempfile::tempdir().unwrap(), config());
    // With a single fold that diverges, no network is left.
    search_in(&mut config).folds.count = 1.try_into().unwrap();
    search_in(&mut config).folds.held_out = Some(0.5);
    let error = run(folder.path(), &config, &mut diverging(&config, 0)).unwrap_err();
    assert_eq!(error.kind(), RunErrorKind::Diverged);
    assert!(error.to_string().contains("--learning-rate"), "{error}");
}

/// Its losses were finite in all epochs, but that of the trained network is not.
#[test]
fn a_network_whose_loss_is_nan_counts_as_diverged_and_is_removed() {
    let (folder, config) = (tempfile::tempdir().unwrap(), config());
    let mut backend = FakeBackend {
        nan_loss: true,
        ..FakeBackend::default()
    };
    let error = run(folder.path(), &config, &mut backend).unwrap_err();
    assert_eq!(error.kind(), RunErrorKind::Diverged, "{error}");
    for fold in ["fold-0", "fold-1"].map(|name| folder.path().join(name)) {
        assert!(fold.join("diverged.json").exists());
        assert!(!fold.join("network.safetensors").exists());
    }
}
