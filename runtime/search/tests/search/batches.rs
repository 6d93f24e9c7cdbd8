//! Candidates that are proposed in batches, and scored by several workers.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};

use faa_ops_builtin::builtin_ops;
use faa_search::backend::{ScoringTask, StopFlag};
use faa_search::layout::TrainingId;
use faa_search::{Event, Run, RunConfig, RunDirectory, RunErrorKind};
use serde_json::Value;

use crate::fake_backend::{
    FakeBackend, config, labels, policy_of, run, run_in, run_on, search_in, true_reward,
};

fn in_batches(of: usize) -> RunConfig {
    let mut config = config();
    search_in(&mut config).batch_proposals = of.try_into().unwrap();
    config
}

/// The lines of both folds' trials and second scorings, without durations and checksums.
fn records(run: &Path) -> Vec<Value> {
    let records = [0, 1].map(|fold| records_of(run, fold)).concat();
    assert!(records.len() > 120);
    records
}

fn records_of(run: &Path, fold: usize) -> Vec<Value> {
    let mut records = Vec::new();
    for file in ["trials", "rescorings"] {
        let log = run.join(format!("fold-{fold}/{file}.jsonl"));
        for line in fs::read_to_string(log).unwrap().lines() {
            let mut record: Value = serde_json::from_str(line).unwrap();
            let fields = record.as_object_mut().unwrap();
            fields.remove("seconds").unwrap();
            fields.remove("checksum").unwrap();
            records.push(record);
        }
    }
    records
}

/// A run of the configuration on this many backends.
fn records_with(config: &RunConfig, backends: usize) -> (Vec<Value>, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut backends: Vec<_> = (0..backends).map(|_| FakeBackend::default()).collect();
    run_on(folder.path(), config, &mut backends).0.unwrap();
    (records(folder.path()), policy_of(folder.path()))
}

#[test]
fn results_depend_on_the_size_of_a_batch_and_not_on_the_number_of_workers() {
    let mut policies = BTreeSet::new();
    for size in [1, 4, 7, 1000] {
        let config = in_batches(size);
        let (expected, policy) = records_with(&config, 1);
        for backends in [2, 3, 6] {
            let (found, same) = records_with(&config, backends);
            assert_eq!(found, expected, "{backends} backends, batches of {size}");
            assert_eq!(same, policy);
        }
        policies.insert(policy);
    }
    assert_eq!(policies.len(), 4);
}

#[test]
fn a_batch_of_one_is_recorded_as_before_there_were_batches() {
    let config = serde_json::to_value(in_batches(1)).unwrap();
    assert!(config["search"].get("batch_proposals").is_none());
    let read: RunConfig = serde_json::from_value(config).unwrap();
    assert_eq!(read, in_batches(1));
    let config = serde_json::to_value(in_batches(4)).unwrap();
    assert_eq!(config["search"]["batch_proposals"], 4);
    let read: RunConfig = serde_json::from_value(config).unwrap();
    assert_eq!(read, in_batches(4));
}

#[test]
fn a_search_in_batches_stopped_anywhere_continues_with_the_same_policy() {
    let config = in_batches(8);
    let whole = tempfile::tempdir().unwrap();
    let mut backend = FakeBackend::default();
    run(whole.path(), &config, &mut backend).unwrap();
    // Two epochs, then within the first batch, at its end, within the fourth and last, which is short, and within
    // the second scorings and the second fold.
    for budget in [3, 7, 10, 11, 21, 30, 31, 32, 40, 103, 110] {
        for backends in [1, 3] {
            let folder = tempfile::tempdir().unwrap();
            let mut stopped = FakeBackend {
                budget: Some(budget),
                ..FakeBackend::default()
            };
            let error = run(folder.path(), &config, &mut stopped).unwrap_err();
            assert_eq!(error.kind(), RunErrorKind::Stopped, "{budget}");
            let mut others = vec![FakeBackend::default(); backends];
            run_on(folder.path(), &config, &mut others).0.unwrap();
            assert_eq!(records(folder.path()), records(whole.path()), "{budget}");
            assert_eq!(policy_of(folder.path()), policy_of(whole.path()));
            let scored: usize = others.iter().map(|it| it.scored).sum();
            assert_eq!(stopped.scored + scored, backend.scored, "{budget}");
        }
    }
}

/// How many candidates are being scored, of those that wait for each other.
static MEETING: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// Returns once three have been scored at the same time, after which none waits.
fn meets_two_others(task: &ScoringTask<'_>) -> f64 {
    let (count, changed) = &MEETING;
    let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
    *count += 1;
    changed.notify_all();
    while *count < 3 {
        count = changed.wait(count).unwrap();
    }
    true_reward(task)
}

#[test]
fn workers_without_a_fold_score_candidates_of_a_batch() {
    let mut config = in_batches(4);
    search_in(&mut config).folds.count = 1.try_into().unwrap();
    search_in(&mut config).folds.held_out = Some(0.5);
    let folder = tempfile::tempdir().unwrap();
    let backend = FakeBackend {
        reward: Some(meets_two_others),
        ..FakeBackend::default()
    };
    let mut backends = vec![backend; 3];
    let (result, events) = run_on(folder.path(), &config, &mut backends);
    result.unwrap();
    let trials = events.iter().filter_map(|event| match event {
        Event::TrialDone { round, trial, .. } => Some((*round, *trial)),
        _ => None,
    });
    let expected = (0..2).flat_map(|round| (0..30).map(move |trial| (round, trial)));
    assert!(trials.eq(expected), "trials are reported in order");
    assert!(backends.iter().all(|it| it.scored > 0));
}

#[test]
fn a_fold_that_is_a_process_of_its_own_is_helped_too() {
    let config = in_batches(4);
    let (whole, part) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    run(whole.path(), &config, &mut FakeBackend::default()).unwrap();
    let directory = RunDirectory::open_for_job(part.path(), &config, 1).unwrap();
    let (labels, ops) = (labels(), builtin_ops());
    let mut backends = vec![FakeBackend::default(); 3];
    let run = Run::new(&config, &labels, &ops, &mut backends, &directory);
    let fold = TrainingId::Fold(1);
    run.run_job(fold, &StopFlag::new(), &mut |_| ()).unwrap();
    assert_eq!(records_of(part.path(), 1), records_of(whole.path(), 1));
    // Only one has trained.
    assert_eq!(backends.iter().filter(|it| it.epochs > 0).count(), 1);
}

#[test]
fn a_failure_of_a_worker_that_helps_ends_the_run() {
    fn fails(task: &ScoringTask<'_>) -> f64 {
        match task.seed % 7 {
            0 => f64::NAN,
            _ => true_reward(task),
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let backend = FakeBackend {
        reward: Some(fails),
        ..FakeBackend::default()
    };
    let mut config = in_batches(30);
    search_in(&mut config).trial_draws = faa_search::config::TrialDraws::Fresh;
    let directory = RunDirectory::open(folder.path(), &config, 1).unwrap();
    let mut backends = vec![backend; 5];
    let (result, _) = run_in(&directory, &config, &mut backends, &StopFlag::new());
    let error = result.unwrap_err();
    assert_eq!(error.kind(), RunErrorKind::Diverged, "{error}");
}
