//! Searches that are interrupted and continued.

use std::path::Path;

use faa_search::backend::StopFlag;
use faa_search::{Event, RunDirectory, RunErrorKind};

use crate::fake_backend::{FakeBackend, config, policy_of, rescored, run, run_in, run_on};

/// Epochs of two folds and five final trainings.
const EPOCHS: usize = 2 * 2 + 5 * 2;

/// How many candidates an uninterrupted search scores: 60 trials of two folds, and second scorings.
fn scorings() -> usize {
    let folder = tempfile::tempdir().unwrap();
    let mut backend = FakeBackend::default();
    run(folder.path(), &config(), &mut backend).unwrap();
    let rescored = rescored(folder.path(), 0) + rescored(folder.path(), 1);
    assert_eq!(backend.scored, 120 + rescored);
    backend.scored
}

#[test]
fn a_search_stopped_anywhere_has_the_same_policy_and_repeats_nothing() {
    let whole = tempfile::tempdir().unwrap();
    run(whole.path(), &config(), &mut FakeBackend::default()).unwrap();

    let scorings = scorings();
    let all = EPOCHS + scorings;
    // In the first training, in the first round, in its second scorings, between rounds and folds, and
    // in the final trainings.
    let budgets = [1, 2, 5, 31, 33, 40, 52, 62, 63, 90, 100, 124, 127, 133];
    for budget in budgets
        .into_iter()
        .chain([11, 10, 7, 1].map(|left| all - left))
    {
        let folder = tempfile::tempdir().unwrap();
        let (epochs, scored) = stopped_after(folder.path(), budget);
        let mut backend = FakeBackend::default();
        run(folder.path(), &config(), &mut backend).unwrap();
        assert_eq!(policy_of(folder.path()), policy_of(whole.path()));
        assert_eq!(scored + backend.scored, scorings, "after {budget}");
        assert_eq!(epochs + backend.epochs, EPOCHS, "after {budget}");
    }
}

/// Stops a search after `budget` epochs and scorings, and returns the number of each.
fn stopped_after(out: &Path, budget: usize) -> (usize, usize) {
    let mut backend = FakeBackend {
        budget: Some(budget),
        ..FakeBackend::default()
    };
    let stopped = run(out, &config(), &mut backend);
    assert_eq!(
        stopped.unwrap_err().kind(),
        RunErrorKind::Stopped,
        "{budget}"
    );
    (backend.epochs, backend.scored)
}

#[test]
fn folds_in_parallel_give_the_same_policy() {
    let (one, three) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    run(one.path(), &config(), &mut FakeBackend::default()).unwrap();
    let mut backends = [(); 3].map(|()| FakeBackend::default());
    run_on(three.path(), &config(), &mut backends).0.unwrap();
    assert_eq!(policy_of(one.path()), policy_of(three.path()));
    let total: usize = backends.iter().map(|backend| backend.scored).sum();
    assert_eq!(total, scorings());
}

#[test]
fn a_failure_stops_all_parallel_workers() {
    let folder = tempfile::tempdir().unwrap();
    let mut backends = [(); 2].map(|()| FakeBackend::default());
    // Whichever takes the first fold, the second fails; the first would run 60 trials or more.
    backends[1].fail = true;
    let stop = StopFlag::new();
    let directory = RunDirectory::open(folder.path(), &config(), 1).unwrap();
    let error = run_in(&directory, &config(), &mut backends, &stop)
        .0
        .unwrap_err();
    assert_eq!(error.kind(), RunErrorKind::Backend, "{error}");
    assert!(backends[0].scored < 60, "{}", backends[0].scored);
    // The caller's flag is not set.
    assert!(stop.check().is_ok());
}

#[test]
fn a_finished_search_is_reported_again_and_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let first = run(folder.path(), &config(), &mut FakeBackend::default()).unwrap();
    let mut backends = [FakeBackend::default()];
    let (second, events) = run_on(folder.path(), &config(), &mut backends);
    assert_eq!(first, second.unwrap());
    assert_eq!((backends[0].scored, backends[0].epochs), (0, 0));
    let resumed = |event: &&Event| matches!(event, Event::TrainingDone { resumed: true, .. });
    assert_eq!(events.iter().filter(resumed).count(), 7);
}

#[test]
fn a_run_continues_after_its_data_set_has_moved() {
    let folder = tempfile::tempdir().unwrap();
    let (epochs, scored) = stopped_after(folder.path(), 40);
    let mut moved = config();
    moved.common.data = "folder:moved".into();
    let mut backends = [FakeBackend::default()];
    let (summary, events) = run_on(folder.path(), &moved, &mut backends);
    summary.unwrap();
    let [backend] = backends;
    assert_eq!(
        (epochs + backend.epochs, scored + backend.scored),
        (EPOCHS, scorings())
    );
    let (recorded, current) = ("glyphs".into(), "folder:moved".into());
    assert_eq!(events[0], Event::DataMoved { recorded, current });
}

#[test]
fn a_log_that_is_shorter_than_its_checkpoint_is_named() {
    let folder = tempfile::tempdir().unwrap();
    stopped_after(folder.path(), 1);
    std::fs::write(folder.path().join("fold-0/epochs.jsonl"), "").unwrap();
    let error = run(folder.path(), &config(), &mut FakeBackend::default()).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("epochs.jsonl holds 0 epochs"), "{message}");
    assert!(message.contains("remove the checkpoint"), "{message}");
}

#[test]
fn an_epoch_without_a_checkpoint_is_repeated_and_logged_once() {
    let folder = tempfile::tempdir().unwrap();
    stopped_after(folder.path(), 1);
    // As after a kill between the writes of log and checkpoint.
    std::fs::remove_file(folder.path().join("fold-0/checkpoint.safetensors")).unwrap();
    run(folder.path(), &config(), &mut FakeBackend::default()).unwrap();
    let log = std::fs::read_to_string(folder.path().join("fold-0/epochs.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 2, "{log}");
}

/// Networks are large, and people remove those whose results they have.
#[test]
fn a_finished_training_does_not_need_its_network() {
    let folder = tempfile::tempdir().unwrap();
    let first = run(folder.path(), &config(), &mut FakeBackend::default()).unwrap();
    std::fs::remove_file(folder.path().join("final/policy-0/network.safetensors")).unwrap();
    let mut backend = FakeBackend::default();
    let second = run(folder.path(), &config(), &mut backend).unwrap();
    assert_eq!(first, second);
    assert_eq!((backend.scored, backend.epochs), (0, 0));
}
