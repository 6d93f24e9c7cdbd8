//! How many jobs run in parallel, how fast they are, and how long a run will take.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use faa_search::backend::{BackendError, StopFlag};
use faa_search::environment::Environment;
use faa_search::event::Plan;
use faa_search::results::Rates;
use faa_search::{Event, Run, RunConfig, RunDirectory, RunErrorKind};

use crate::fake_backend::{FakeBackend, Outcome, SharedDevice, StopCheck, config, run_as, run_on};
use crate::halving::halving;

/// The seconds of a fold's images alone: 2 epochs of 30 images, and 60 trials and at most 38 second scorings
/// of 5 draws of 30.
const FOLD: f64 = 60.0 / 100.0 + 14_700.0 / 400.0;
/// Those of a final training: 2 epochs of 60 images.
const FINAL: f64 = 120.0 / 100.0;

/// Backends of a device with these rates of training with one job, two and so on.
fn backends<const N: usize>(rates: &[f64]) -> [FakeBackend; N] {
    let device = SharedDevice::new(rates);
    [(); N].map(|()| FakeBackend {
        shared: Some(Arc::clone(&device)),
        ..FakeBackend::default()
    })
}

fn run(
    out: &Path,
    backends: &mut [FakeBackend],
    set: fn(Run<'_, FakeBackend>) -> Run<'_, FakeBackend>,
) -> Outcome {
    let directory = RunDirectory::open(out, &config(), 1).unwrap();
    run_as(&directory, &config(), backends, &StopFlag::new(), set)
}

/// A run that chooses its number of seeds.
fn automatic() -> RunConfig {
    let mut config = config();
    config.final_trainings.seeds = None;
    config
}

fn choosing(run: Run<'_, FakeBackend>) -> Run<'_, FakeBackend> {
    run.choosing_jobs()
}

fn in_environment(run: Run<'_, FakeBackend>) -> Run<'_, FakeBackend> {
    run.in_environment(Environment::of_this_build())
}

fn plan_of(events: &[Event]) -> &Plan {
    let mut plans = events.iter().filter_map(|event| match event {
        Event::Planned(plan) => Some(plan),
        _ => None,
    });
    plans.next().expect("the run was planned")
}

/// The numbers of jobs that were measured.
fn measured(plan: &Plan) -> Vec<usize> {
    plan.measured.iter().map(|it| it.jobs).collect()
}

fn assert_near(found: f64, expected: f64) {
    assert!((found / expected - 1.0).abs() < 1e-9, "{found}, {expected}");
}

/// Two folds, then five final trainings, of which four backends do four and then one.
#[test]
fn the_speed_is_measured_with_the_numbers_of_jobs_that_will_run() {
    for (rates, folds, final_trainings) in [
        // Jobs that share a device are slower than one that has it alone.
        ([100.0; 4], 2.0 * FOLD, 5.0 * FINAL),
        ([100.0, 200.0, 300.0, 400.0], FOLD, 2.0 * FINAL),
        (
            [100.0, 160.0, 180.0, 200.0],
            FOLD / 0.8,
            2.0 * FINAL + FINAL,
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (_, events) = run_on(folder.path(), &config(), &mut backends::<4>(&rates));
        let plan = plan_of(&events);
        assert_eq!(plan.rates, Rates::new(rates[3], 4.0 * rates[3]));
        assert_eq!((plan.jobs, measured(plan)), (4, vec![1, 2, 4]));
        assert_near(plan.estimated_seconds, folds + final_trainings);
    }
}

/// Four policies, four more, seven, and ten trainings of the last rung, each of which waits for those before;
/// then a final training.
#[test]
fn the_estimate_has_the_phases_of_rungs() {
    let mut config = halving();
    config.search = None;
    let folder = tempfile::tempdir().unwrap();
    let rates = [100.0, 200.0, 300.0, 400.0];
    let (_, events) = run_on(folder.path(), &config, &mut backends::<4>(&rates));
    let plan = plan_of(&events);
    assert_eq!((plan.jobs, measured(plan)), (4, vec![1, 2, 3, 4]));
    // 45 images, two and three epochs.
    let (early, last) = (0.9, 1.35);
    let rungs = 2.0 * early + 2.0 * early + 3.0 * last;
    assert_near(plan.estimated_seconds, rungs + FINAL);
}

/// The speed is measured for three seeds, of which the last round of four backends has three trainings.
#[test]
fn the_estimate_has_the_number_of_seeds_that_is_chosen() {
    for (slower, final_trainings, seconds) in [
        (1.0, 15, 3.0 * 2.0 * FINAL + FINAL / 0.6),
        // Of five, the last one is as fast as each of two, which is the lowest number that was measured.
        (1000.0, 5, 2.0 * FINAL + FINAL / 0.8),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let rates = [100.0, 160.0, 180.0, 200.0].map(|rate| rate / slower);
        let (_, events) = run_on(folder.path(), &automatic(), &mut backends::<4>(&rates));
        let plan = plan_of(&events);
        assert_eq!(measured(plan), [2, 3, 4]);
        assert_eq!(plan.final_trainings, final_trainings);
        assert_near(plan.estimated_seconds, slower * (FOLD / 0.8 + seconds));
        let with_three = slower * (3.0 * 2.0 * FINAL + FINAL / 0.6);
        assert_near(plan.seed_count.unwrap().estimated_seconds, with_three);
    }
}

#[test]
fn fewer_jobs_are_chosen_if_there_is_one_seed() {
    let folder = tempfile::tempdir().unwrap();
    let slower = 2000.0;
    let rates: Vec<f64> = (1..=8)
        .map(|jobs| f64::from(jobs) * 100.0 / slower)
        .collect();
    let directory = RunDirectory::open(folder.path(), &automatic(), 1).unwrap();
    let mut backends = backends::<8>(&rates);
    let stop = StopFlag::new();
    let (_, events) = run_as(&directory, &automatic(), &mut backends, &stop, choosing);
    let plan = plan_of(&events);
    assert_eq!(measured(plan), [1, 2, 4, 8]);
    // Eight jobs take two rounds for 15 trainings, and five one round for five.
    let with_three = slower * 2.0 * FINAL;
    assert_near(plan.seed_count.unwrap().estimated_seconds, with_three);
    assert_eq!((plan.final_trainings, plan.jobs), (5, 5));
    assert_near(plan.estimated_seconds, slower * (FOLD + FINAL));
}

/// Fewer folds or trainings than backends.
#[test]
fn the_speed_of_jobs_that_will_not_run_is_not_measured() {
    let folder = tempfile::tempdir().unwrap();
    let (_, events) = run_on(folder.path(), &config(), &mut backends::<8>(&[100.0; 5]));
    assert_eq!(measured(plan_of(&events)), [2, 5]);
}

#[test]
fn the_fastest_number_of_jobs_is_chosen() {
    for (rates, expected, jobs) in [
        // Five take one round.
        (vec![100.0, 190.0, 0.0, 350.0, 360.0], vec![1, 2, 4, 5], 5),
        (vec![100.0, 101.0, 0.0, 0.0, 0.0], vec![1, 2], 2),
        (vec![100.0, 100.0, 0.0, 0.0, 0.0], vec![1, 2], 1),
        (vec![100.0, 150.0, 0.0, 120.0, 0.0], vec![1, 2, 4], 2),
        // There is no memory for more.
        (vec![100.0, 190.0], vec![1, 2], 2),
        (vec![100.0], vec![1], 1),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut backends = backends::<5>(&rates);
        let (summary, events) = run(folder.path(), &mut backends, choosing);
        summary.unwrap();
        let plan = plan_of(&events);
        assert_eq!((measured(plan), plan.jobs), (expected, jobs), "{rates:?}");
        assert_eq!(plan.rates.train, rates[jobs - 1]);
        let worked = backends.map(|it| it.epochs + it.scored > 0);
        assert!(!worked[jobs..].contains(&true), "{worked:?}");
    }
}

#[test]
fn three_jobs_without_memory_for_the_third_are_two() {
    let folder = tempfile::tempdir().unwrap();
    let mut backends = backends::<3>(&[100.0, 190.0]);
    let (_, events) = run(folder.path(), &mut backends, choosing);
    let plan = plan_of(&events);
    assert_eq!((measured(plan), plan.jobs), (vec![1, 2], 2));
    // A number that was asked for is not reduced.
    let folder = tempfile::tempdir().unwrap();
    let (result, _) = run(folder.path(), &mut backends, |run| run);
    let error = result.unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with("measuring the speed failed for lack of memory: a smaller --batch")
    );
    let cause = std::error::Error::source(&error).unwrap();
    assert_eq!(cause.to_string(), "the device is full");
}

#[test]
fn nobody_waits_for_a_backend_that_fails_or_panics_while_it_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let run_with = |before: StopCheck| {
        let mut backends = backends::<5>(&[100.0; 5]);
        backends[3].before_measuring = Some(before);
        run(folder.path(), &mut backends, |run| run).0
    };
    let error = run_with(|_| Err(BackendError::other("broken"))).unwrap_err();
    assert_eq!(error.kind(), RunErrorKind::Backend);
    let cause = std::error::Error::source(&error).unwrap();
    assert_eq!(cause.to_string(), "broken");
    let panic = || run_with(|_| panic!("a backend panics in this test"));
    assert!(catch_unwind(AssertUnwindSafe(panic)).is_err());
}

#[test]
fn a_run_can_be_stopped_while_it_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let directory = RunDirectory::open(folder.path(), &config(), 1).unwrap();
    let stop = StopFlag::new();
    stop.set();
    let mut backends = backends::<5>(&[100.0; 5]);
    // One that hears it before it waits for the others.
    backends[0].before_measuring = Some(StopFlag::check);
    let (result, _) = run_as(&directory, &config(), &mut backends, &stop, |run| run);
    assert_eq!(result.unwrap_err().kind(), RunErrorKind::Stopped);
}

#[test]
fn the_chosen_number_is_recorded_and_records_show_the_speed_of_one_job() {
    let folder = tempfile::tempdir().unwrap();
    let run = |backends: &mut [FakeBackend], set| run(folder.path(), backends, set).1;
    let changes = |events: &[Event]| {
        let change = |event: &&Event| matches!(event, Event::EnvironmentChanged { .. });
        events.iter().filter(change).count()
    };
    // Stopped with two jobs, before the folds are finished.
    let mut first = backends::<5>(&[100.0, 190.0]);
    first[0].budget = Some(10);
    first[1].budget = Some(10);
    let events = run(&mut first, |run| in_environment(choosing(run)));
    assert_eq!((plan_of(&events).jobs, changes(&events)), (2, 0));
    let directory = RunDirectory::open(folder.path(), &config(), 1).unwrap();
    let recorded = directory.environment().read().unwrap();
    assert_eq!(recorded, [Environment::of_this_build().with_jobs(2)]);
    drop(directory);

    // Continued with two: the records are those of two jobs, 0.1 seconds for 30 images.
    let mut second = backends::<2>(&[]);
    second[0].budget = Some(1);
    second[1].budget = Some(1);
    let events = run(&mut second, in_environment);
    let plan = plan_of(&events);
    assert_eq!((measured(plan), changes(&events)), (vec![], 0));
    assert_near(plan.rates.train, 2.0 * 300.0);

    // Continued with three, beside which a job may be slower.
    let events = run(&mut backends::<3>(&[100.0; 3]), in_environment);
    let plan = plan_of(&events);
    assert_eq!((measured(plan), changes(&events)), (vec![2, 3], 1));

    // Nothing is left to be measured.
    let events = run(&mut backends::<1>(&[]), in_environment);
    assert_eq!(plan_of(&events).estimated_seconds, 0.0);
}
