//! Complete runs with a fake backend: audits, folds, trials, merging, resuming, trainings.

mod audit;
mod batches;
mod config;
mod cuts;
mod divergence;
mod fake_backend;
mod halving;
mod jobs;
mod noise;
mod parts;
mod resume;
mod seeds;
mod trainings;

use std::collections::BTreeMap;
use std::fs;

use faa_ops_builtin::builtin_ops;
use faa_policy::Policy;
use faa_search::Event;
use faa_search::config::Augmentation;
use faa_search::layout::TrainingId;

use fake_backend::{FakeBackend, config, rescored, run, run_on, search_in};

#[test]
fn a_search_ends_with_a_policy_of_the_best_candidates() {
    let folder = tempfile::tempdir().unwrap();
    let mut backend = FakeBackend::default();
    let summary = run(folder.path(), &config(), &mut backend).unwrap();

    // Two folds of two rounds of three candidates of five sub-policies; repeats are dropped.
    let policy = Policy::parse(&fs::read(summary.policy.unwrap()).unwrap()).unwrap();
    let count = policy.sub_policies().len();
    assert!((12..=60).contains(&count), "{count}");
    policy.check(&builtin_ops()).unwrap();
    let mut uses = BTreeMap::<&str, usize>::new();
    for step in policy.sub_policies().iter().flatten() {
        *uses.entry(&step.op).or_default() += 1;
    }
    let most_used = uses.iter().max_by_key(|(_, count)| **count).unwrap().0;
    assert_eq!(*most_used, "Rotate", "{uses:?}");

    let rescored = rescored(folder.path(), 0) + rescored(folder.path(), 1);
    assert_eq!(backend.scored, 120 + rescored);
    // The first 20 trials and nine finalists of a first round, and nine of a second, on two folds.
    assert!((58..=76).contains(&rescored), "{rescored}");
    // Folds are trained with Cutout and without a policy; final trainings use every image.
    assert_eq!(backend.trained[..2], [(30, false, 4), (30, false, 4)]);
    let base = [(60, false, 0), (60, false, 4)];
    assert_eq!(backend.trained[2..4], base);
    assert_eq!(backend.trained[4..], [(60, true, 4); 3]);
    let results = summary.final_trainings.iter();
    let augmentations: Vec<_> = results.map(|result| result.augmentation).collect();
    assert_eq!(augmentations[..4], Augmentation::BASELINES);
    assert_eq!(augmentations[4..], [Augmentation::Policy]);
}

/// An epoch leaves out the images that do not fill a batch.
#[test]
fn whole_batches_are_planned() {
    let mut config = config();
    config.common.training.batch = 16.try_into().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (_, events) = run_on(folder.path(), &config, &mut [FakeBackend::default()]);
    let Event::Planned(plan) = &events[0] else {
        panic!("{:?}", events[0])
    };
    assert_eq!(plan.images_to_train, 2 * 2 * 16 + 5 * 2 * 48);
    let trained = events.iter().map(|event| match event {
        Event::EpochDone { epoch, .. } => epoch.images,
        _ => 0,
    });
    assert_eq!(trained.sum::<usize>(), plan.images_to_train);
}

#[test]
fn everything_is_reported_and_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let (_, events) = run_on(folder.path(), &config(), &mut [FakeBackend::default()]);

    let Event::Planned(plan) = &events[0] else {
        panic!("{:?}", events[0])
    };
    // Two folds of 30 images and five final trainings of 60, two epochs each; 120 trials and at most 76
    // second scorings of five draws of 30 images.
    assert_eq!(plan.images_to_train, 2 * 2 * 30 + 5 * 2 * 60);
    assert_eq!((plan.trials, plan.rescorings), (120, 76));
    assert_eq!(plan.images_to_classify, (120 + 76) * 5 * 30);
    let expected = plan.images_to_train as f64 / 100.0 + plan.images_to_classify as f64 / 400.0;
    assert!((plan.estimated_seconds / expected - 1.0).abs() < 1e-9);
    let count = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
    assert_eq!(count(|event| matches!(event, Event::TrialDone { .. })), 120);
    let rescored = rescored(folder.path(), 0) + rescored(folder.path(), 1);
    let is_rescored = |event: &Event| matches!(event, Event::TrialRescored { .. });
    assert_eq!(count(is_rescored), rescored);
    let is_measured = |event: &Event| matches!(event, Event::ReliabilityMeasured(_));
    assert_eq!(count(is_measured), 1);
    assert_eq!(count(|event| matches!(event, Event::EpochDone { .. })), 14);
    assert!(matches!(events.last(), Some(Event::Finished(_))));

    let text = |file| fs::read_to_string(folder.path().join(file)).unwrap();
    let lines = |file| text(file).lines().count();
    assert_eq!(lines("fold-1/trials.jsonl"), 60);
    assert_eq!(lines("fold-0/epochs.jsonl"), 2);
    for file in ["run.json", "summary.json", "final/policy-0/evaluation.json"] {
        assert!(folder.path().join(file).exists(), "{file}");
    }
}

#[test]
fn trials_of_a_different_search_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &config(), &mut FakeBackend::default()).unwrap();
    let log = folder.path().join("fold-0/trials.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    let mut lines: Vec<_> = text.split_inclusive('\n').collect();
    lines.remove(2);
    fs::write(&log, lines.concat()).unwrap();
    let error = run(folder.path(), &config(), &mut FakeBackend::default());
    let message = error.unwrap_err().to_string();
    let expected = "line 3: expected trial 0.2, found 0.3";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn an_unknown_op_is_named_before_anything_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    search_in(&mut config).ops.push("Rotat".into());
    let mut backend = FakeBackend::default();
    let error = run(folder.path(), &config, &mut backend).unwrap_err();
    let message = "a policy or a list of ops does not fit the available ops: search.ops: no op is named `Rotat`; \
                   did you mean `Rotate`?";
    assert_eq!(error.to_string(), message);
    assert!(backend.trained.is_empty());
}

#[test]
fn a_failing_backend_is_named_with_its_stage() {
    let folder = tempfile::tempdir().unwrap();
    let mut backend = FakeBackend {
        fail: true,
        ..FakeBackend::default()
    };
    let error = run(folder.path(), &config(), &mut backend).unwrap_err();
    assert_eq!(error.to_string(), format!("{} failed", TrainingId::Fold(0)));
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "out of memory");
}
