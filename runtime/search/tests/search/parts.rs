//! Jobs of a run that are done one by one, in any order and folder, by processes of their own.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use faa_ops_builtin::builtin_ops;
use faa_search::attempt::Attempt;
use faa_search::backend::{BackendError, StopFlag};
use faa_search::collect::{Collected, collect};
use faa_search::config::{Augmentation, PluginOp};
use faa_search::environment::Environment;
use faa_search::files::{FileError, FileErrorKind, Log};
use faa_search::jobs::{JobList, JobState};
use faa_search::layout::{Layout, TrainingId};
use faa_search::{Event, Run, RunConfig, RunDirectory, RunError, RunErrorKind};

use crate::fake_backend::{FakeBackend, config, labels, policy_of, run, search_in};
use crate::halving::{halving, rotating_helps};

fn backend() -> FakeBackend {
    FakeBackend {
        loss: Some(rotating_helps),
        ..FakeBackend::default()
    }
}

/// A search by density matching with a random policy among the final trainings, and one by short trainings
/// with an audit, whose fixed policies are in the last rungs only.
fn kinds() -> [RunConfig; 2] {
    let mut small = config();
    search_in(&mut small).trials = 6.try_into().unwrap();
    let mut audited = halving();
    audited.audit = crate::audit::config(&["FlipX", "Cutout"]).audit;
    [small, audited]
}

fn list(out: &Path, config: &RunConfig) -> JobList {
    JobList::of(config, &builtin_ops(), &Layout::new(out)).unwrap()
}

/// The job of this name.
fn job(name: &str) -> TrainingId {
    let numbers = |text: &str| -> Vec<usize> {
        let parts = text.split(['-', '/']);
        parts.filter_map(|part| part.parse().ok()).collect()
    };
    match (name.split(['-', '/']).next().unwrap(), &numbers(name)[..]) {
        ("audit", []) => TrainingId::Audit,
        ("fold", [fold]) => TrainingId::Fold(*fold),
        ("halving", [rung, entrant, seed]) => TrainingId::Halving {
            rung: *rung,
            entrant: *entrant,
            seed: *seed,
        },
        ("final", [seed]) => {
            let name = name["final/".len()..].rsplit_once('-').unwrap().0;
            let mut known = Augmentation::ALL.into_iter();
            TrainingId::Final {
                augmentation: known.find(|it| it.name() == name).unwrap(),
                seed: *seed,
            }
        }
        _ => panic!("{name}"),
    }
}

/// Does one job, as a process of its own does.
fn run_job(
    out: &Path,
    config: &RunConfig,
    id: TrainingId,
    backend: &mut FakeBackend,
) -> (Result<(), RunError>, Vec<Event>) {
    let (labels, ops, mut events) = (labels(), builtin_ops(), Vec::new());
    let directory = RunDirectory::open_for_job(out, config, 1);
    let done = directory.map_err(RunError::from).and_then(|directory| {
        let backends = std::slice::from_mut(backend);
        let run = Run::new(config, &labels, &ops, backends, &directory);
        let run = run.in_environment(Environment::of_this_build());
        run.run_job(id, &StopFlag::new(), &mut |event| events.push(event))
    });
    (done, events)
}

/// Does all jobs one by one, the last ready one first, each in a folder that `folder` chooses.
fn run_jobs(out: &Path, config: &RunConfig, folder: impl Fn(&str) -> PathBuf) -> usize {
    let mut count = 0;
    loop {
        let jobs = list(out, config);
        let ready = jobs
            .jobs
            .iter()
            .rev()
            .find(|it| it.state == JobState::Ready);
        let Some(ready) = ready else {
            let is_done = jobs.jobs.iter().all(|it| it.state == JobState::Done);
            assert!(is_done && jobs.later == 0, "{jobs:?}");
            return count;
        };
        let part = folder(&ready.id);
        if part != out {
            // What it needs was brought to its machine, without networks.
            for need in jobs.jobs.iter().filter(|it| ready.needs.contains(&it.id)) {
                need.files.iter().for_each(|file| copy(out, &part, file));
            }
        }
        run_job(&part, config, job(&ready.id), &mut backend())
            .0
            .unwrap();
        if part != out {
            let collected =
                collect(config, &builtin_ops(), out, std::slice::from_ref(&part)).unwrap();
            assert_eq!(collected.jobs, [(ready.id.clone(), part)]);
        }
        count += 1;
    }
}

fn copy(from: &Path, to: &Path, file: &str) {
    let (from, to) = (from.join(file), to.join(file));
    if from.is_dir() {
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(&from).unwrap() {
            let name = entry.unwrap().file_name();
            let name = name.to_str().unwrap();
            if !name.ends_with(".safetensors") {
                copy(&from, &to, name);
            }
        }
    } else if from.exists() {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}

/// The work that one process does, and the results of the run.
fn whole(config: &RunConfig) -> (FakeBackend, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut backend = backend();
    run(folder.path(), config, &mut backend).unwrap();
    (backend, policy_of(folder.path()), summary_of(folder.path()))
}

fn summary_of(run: &Path) -> String {
    let summary = fs::read_to_string(run.join("summary.json")).unwrap();
    let summary = summary.replace(&run.display().to_string(), "");
    summary.split("\"checksum\"").next().unwrap().to_owned()
}

/// Merges with a backend that does nothing.
fn assert_merges(out: &Path, config: &RunConfig) {
    let mut idle = backend();
    run(out, config, &mut idle).unwrap();
    assert_eq!((idle.epochs, idle.scored), (0, 0));
    let (_, policy, summary) = whole(config);
    assert_eq!(policy_of(out), policy);
    assert_eq!(summary_of(out), summary);
}

#[test]
fn jobs_by_themselves_merge_to_the_policy_of_one_process() {
    for config in &kinds() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path();
        let count = run_jobs(out, config, |_| out.to_owned());
        assert_eq!(count, list(out, config).jobs.len());
        for file in ["policy.json", "summary.json", "environment.jsonl", "lock"] {
            assert!(
                !out.join(file).exists(),
                "{file} belongs to the run as a whole"
            );
        }
        assert_merges(out, config);
    }
}

/// Each job has its own folder, what it needs is copied there, and networks stay behind.
#[test]
fn jobs_in_separate_folders_merge_to_the_policy_of_one_process() {
    for config in &kinds() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let parts = folder.path().join("parts");
        run_jobs(&out, config, |id| parts.join(id.replace('/', "-")));
        for network in ["fold-0/network.safetensors", "fold-1/network.safetensors"] {
            fs::remove_file(out.join(network)).unwrap();
        }
        assert_merges(&out, config);
    }
}

#[test]
fn the_list_has_what_a_job_needs_and_how_far_it_is() {
    let [config, audited] = kinds();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path();
    let states = |config: &RunConfig| -> Vec<(String, JobState, usize)> {
        let jobs = list(out, config).jobs.into_iter();
        jobs.map(|it| (it.id, it.state, it.needs.len())).collect()
    };
    let expected = |fold: JobState, policy: JobState| {
        let all = [
            ("fold-0", fold, 0),
            ("fold-1", fold, 0),
            ("final/none-0", JobState::Ready, 0),
            ("final/cutout-0", JobState::Ready, 0),
            ("final/random-0", policy, 2),
            ("final/trivialaugment-0", JobState::Ready, 0),
            ("final/policy-0", policy, 2),
        ];
        all.map(|(id, state, needs)| (id.to_owned(), state, needs))
    };
    assert_eq!(
        states(&config),
        expected(JobState::Ready, JobState::Waiting)
    );
    assert!(
        fs::read_dir(out).unwrap().next().is_none(),
        "listing writes nothing"
    );
    let policy = run_job(out, &config, job("final/policy-0"), &mut backend())
        .0
        .unwrap_err();
    assert_eq!(policy.kind(), RunErrorKind::NotReady);
    let expected_message =
        "final training with policy, seed 0 needs jobs that are not done: fold-0, fold-1";
    assert_eq!(policy.to_string(), expected_message);
    for fold in 0..2 {
        run_job(out, &config, TrainingId::Fold(fold), &mut backend())
            .0
            .unwrap();
    }
    assert_eq!(states(&config), expected(JobState::Done, JobState::Ready));
    let none = run_job(out, &config, TrainingId::Fold(2), &mut backend())
        .0
        .unwrap_err();
    assert_eq!(none.kind(), RunErrorKind::Config);

    // Four random entrants, four proposed; then four with five fixed ones, and two with five and two seeds.
    let folder = tempfile::tempdir().unwrap();
    let jobs = list(folder.path(), &audited);
    let ids: BTreeSet<&str> = jobs.jobs.iter().map(|it| it.id.as_str()).collect();
    assert!(ids.contains("audit") && ids.contains("halving/rung-0/3-0"));
    assert!(!ids.contains("halving/rung-0/4-0"));
    let seeds = audited.halving.as_ref().unwrap().seeds.get();
    assert_eq!(jobs.later, 4 + (4 + 5) + (2 + 5) * seeds);
    let audit = &jobs.jobs[0];
    assert_eq!(audit.files, ["run.json", "audit.json", "audit"]);
    assert_eq!(audit.arguments, ["--only-audit"]);
    let json = serde_json::to_string(&jobs.jobs[1]).unwrap();
    let expected = r#"{"id":"fold-0","kind":"fold","arguments":["--fold","0"],"needs":[],"files":["run.json","fold-0"],"state":"ready","progress":{"attempts":0,"host":null,"seconds_done":0.0,"seconds_left":null,"summary":""}}"#;
    assert_eq!(json, expected);
}

/// In its first epoch, a backend looks at the run from outside.
#[test]
fn a_job_that_a_process_works_on_is_in_use_and_others_are_not() {
    static SEEN: Mutex<Vec<JobState>> = Mutex::new(Vec::new());
    static OUT: Mutex<PathBuf> = Mutex::new(PathBuf::new());
    let [config, _] = kinds();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path();
    OUT.lock().unwrap().clone_from(&out.to_owned());
    let look: fn(&StopFlag) -> Result<(), BackendError> = |_| {
        let out = OUT.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let [config, _] = kinds();
        // The speed is measured before the job begins.
        run_job(&out, &config, TrainingId::Fold(1), &mut backend())
            .0
            .unwrap();
        let states = list(&out, &config).jobs.into_iter().map(|it| it.state);
        SEEN.lock().unwrap().extend(states.take(2));
        Ok(())
    };
    let mut looking = backend();
    looking.before_measuring = Some(look);
    run_job(out, &config, TrainingId::Fold(0), &mut looking)
        .0
        .unwrap();
    assert_eq!(*SEEN.lock().unwrap(), [JobState::Ready, JobState::Done]);

    // A lock that is held is respected by a job, and by the run, which does all others first.
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path();
    fs::create_dir_all(out).unwrap();
    drop(RunDirectory::open_for_job(out, &config, 1).unwrap());
    fs::create_dir(out.join("fold-0")).unwrap();
    let lock = fs::File::create(out.join("fold-0/lock")).unwrap();
    lock.lock().unwrap();
    assert_eq!(list(out, &config).jobs[0].state, JobState::Held);
    let held = run_job(out, &config, TrainingId::Fold(0), &mut backend())
        .0
        .unwrap_err();
    assert_eq!(held.kind(), RunErrorKind::InUse);
    let mut others = backend();
    let error = run(out, &config, &mut others).unwrap_err();
    assert_eq!(error.kind(), RunErrorKind::InUse);
    assert!(error.to_string().contains("fold-0: wait for it"), "{error}");
    assert_eq!(others.epochs, 2);
    assert_eq!(list(out, &config).jobs[1].state, JobState::Done);
    drop(lock);
    assert_merges_rest(out, &config);
}

fn assert_merges_rest(out: &Path, config: &RunConfig) {
    run(out, config, &mut backend()).unwrap();
    assert_eq!(policy_of(out), whole(config).1);
}

/// They begin the run together, in an empty folder.
#[test]
fn many_processes_work_on_one_directory_at_the_same_time() {
    let [config, _] = kinds();
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let out = &folder.path().join("run");
        let ids: Vec<TrainingId> = list(out, &config)
            .jobs
            .iter()
            .filter(|it| it.state == JobState::Ready)
            .map(|it| job(&it.id))
            .collect();
        thread::scope(|scope| {
            let start = |id: &TrainingId| {
                let (id, config) = (*id, &config);
                // Two of each job.
                [(); 2].map(|()| scope.spawn(move || run_job(out, config, id, &mut backend()).0))
            };
            let threads: Vec<_> = ids.iter().map(start).collect();
            for results in threads {
                let results = results.map(|it| it.join().unwrap());
                let kinds = results.map(|it| it.map_err(|error| error.kind()));
                assert!(kinds.contains(&Ok(())), "{kinds:?}");
                let allowed = [Ok(()), Err(RunErrorKind::InUse)];
                assert!(kinds.iter().all(|it| allowed.contains(it)), "{kinds:?}");
            }
        });
        assert_merges_rest(out, &config);
    }
}

/// Whatever epoch or trial it is stopped in.
#[test]
fn a_job_that_was_stopped_continues_and_records_both_attempts() {
    let [config, _] = kinds();
    let whole = whole(&config);
    for budget in [1, 2, 5, 9, 16] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path();
        let mut stopped = backend();
        stopped.budget = Some(budget);
        let stop = {
            let (labels, ops) = (labels(), builtin_ops());
            let directory = RunDirectory::open_for_job(out, &config, 1).unwrap();
            let backends = std::slice::from_mut(&mut stopped);
            let run = Run::new(&config, &labels, &ops, backends, &directory);
            run.run_job(TrainingId::Fold(0), &StopFlag::new(), &mut drop)
        };
        assert_eq!(stop.unwrap_err().kind(), RunErrorKind::Stopped);
        // As a kill leaves it.
        fs::write(out.join("fold-0/.partial-x"), "half").unwrap();
        let log = out.join("fold-0/trials.jsonl");
        let text = fs::read_to_string(&log).unwrap_or_default();
        fs::write(&log, text + "{\"round\":0,").unwrap();
        let (done, events) = run_job(out, &config, TrainingId::Fold(0), &mut backend());
        done.unwrap();
        assert!(!out.join("fold-0/.partial-x").exists());
        let is_change = |it: &&Event| matches!(it, Event::EnvironmentChanged { .. });
        assert_eq!(events.iter().filter(is_change).count(), 1);
        let attempts = Layout::new(out).training(TrainingId::Fold(0)).attempts();
        let attempts = attempts.read().unwrap();
        let ended: Vec<bool> = attempts.iter().map(|it| it.ended.is_some()).collect();
        assert_eq!(ended, [false, true]);
        run(out, &config, &mut backend()).unwrap();
        assert_eq!(policy_of(out), whole.1);
    }
}

#[test]
fn every_job_records_its_machine_and_times() {
    let [config, _] = kinds();
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &config, &mut backend()).unwrap();
    let layout = Layout::new(folder.path());
    let jobs = list(folder.path(), &config).jobs;
    for it in &jobs {
        let attempts: Vec<Attempt> = layout.training(job(&it.id)).attempts().read().unwrap();
        let [attempt] = attempts.as_slice() else {
            panic!("{attempts:?}")
        };
        assert!(!attempt.host.contains(char::is_control));
        let ended = attempt.ended.as_ref().unwrap();
        assert!(attempt.started <= *ended && ended.ends_with('Z') && ended.len() == 20);
        let policy = it.id.starts_with("final/")
            && !["none", "cutout"].iter().any(|it2| it.id.contains(it2));
        assert_eq!(attempt.inputs.policy.is_some(), policy, "{}", it.id);
    }
}

/// A run of a fold alone in a folder.
fn part(folder: &Path, config: &RunConfig, digest: u64) -> PathBuf {
    let (labels, ops, mut backend) = (labels(), builtin_ops(), backend());
    let directory = RunDirectory::open_for_job(folder, config, digest).unwrap();
    let backends = std::slice::from_mut(&mut backend);
    let run = Run::new(config, &labels, &ops, backends, &directory);
    run.run_job(TrainingId::Fold(0), &StopFlag::new(), &mut drop)
        .unwrap();
    folder.to_owned()
}

#[test]
fn parts_of_different_runs_are_refused_and_both_are_named() {
    let [config, _] = kinds();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let collect = |parts: &[PathBuf]| -> Result<Collected, FileError> {
        collect(&config, &builtin_ops(), &at("out"), parts)
    };
    let same = part(&at("same"), &config, 1);
    let mut seeded = config.clone();
    seeded.common.seed = 7;
    let mut plugged = config.clone();
    plugged.common.plugins = vec![PluginOp::new("Swirl".into(), "ab".into())];
    let mut moved = config.clone();
    moved.common.data = "folder:elsewhere".into();
    for (other, words) in [
        (
            part(&at("seeded"), &seeded, 1),
            "`common.seed` is 7 in the one and 0 in the other",
        ),
        (
            part(&at("images"), &config, 2),
            "`digest of the images` is 0000000000000002 in the one and 0000000000000001 in the other",
        ),
        (part(&at("plugins"), &plugged, 1), "`common.plugins` is [{"),
    ] {
        let error = collect(&[same.clone(), other.clone()]).unwrap_err();
        assert_eq!(error.kind(), FileErrorKind::DifferentRun, "{error}");
        let message = error.to_string();
        let start = format!(
            "{} and {} are of different runs: ",
            other.display(),
            same.display()
        );
        assert!(
            message.starts_with(&start) && message.contains(words),
            "{message}"
        );
        assert!(!at("out/fold-0").exists());
    }
    let error = collect(&[at("none")]).unwrap_err();
    assert_eq!(error.kind(), FileErrorKind::NotARunDirectory);

    // The images may be in a different folder, and what is done stays.
    let elsewhere = part(&at("moved"), &moved, 1);
    assert_eq!(
        collect(std::slice::from_ref(&elsewhere)).unwrap().jobs,
        [("fold-0".to_owned(), elsewhere)]
    );
    assert_eq!(collect(&[same]).unwrap().jobs, []);
}

#[test]
fn a_folder_that_was_copied_by_hand_from_a_different_run_is_refused() {
    let [config, _] = kinds();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut seeded = config.clone();
    seeded.common.seed = 7;
    part(&at("seeded"), &seeded, 1);
    drop(RunDirectory::open_for_job(&at("out"), &config, 1).unwrap());
    copy(&at("seeded"), &at("out"), "fold-0");
    let error = run(&at("out"), &config, &mut backend()).unwrap_err();
    assert_eq!(error.kind(), RunErrorKind::File);
    let words = "fold-0 was made with a different configuration (recorded digest ";
    assert!(error.to_string().contains(words), "{error}");

    // So is a final training with the policy of other folds.
    let (whole, out) = (at("whole"), at("policy"));
    run(&whole, &seeded, &mut backend()).unwrap();
    run(&out, &seeded, &mut backend()).unwrap();
    let log = out.join("fold-0/attempts.jsonl");
    fs::remove_dir_all(out.join("fold-0")).unwrap();
    assert!(!log.exists());
    let mut other = backend();
    other.reward = Some(|_| 0.5);
    let error = run(&out, &seeded, &mut other).unwrap_err();
    let words = "was made with a different policy (recorded digest ";
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn a_different_build_and_different_hardware_are_warnings() {
    let [config, _] = kinds();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let parts = [0, 1].map(|fold| {
        let out = at(&format!("part-{fold}"));
        run_job(&out, &config, TrainingId::Fold(fold), &mut backend())
            .0
            .unwrap();
        out
    });
    let attempts: Log<Attempt> = Layout::new(&parts[1])
        .training(TrainingId::Fold(1))
        .attempts();
    let text = fs::read_to_string(attempts.path()).unwrap();
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let build = value["build"].as_str().unwrap();
    let changed = text
        .replace(build, "0.0.1+other")
        .replace("\"threads\":0", "\"threads\":3");
    let without_checksum = changed.split(",\"checksum\"").next().unwrap().to_owned() + "}";
    fs::write(
        attempts.path(),
        faa_search::files::with_checksum(&without_checksum),
    )
    .unwrap();
    let collected = collect(&config, &builtin_ops(), &at("out"), &parts).unwrap();
    assert_eq!(collected.jobs.len(), 2);
    let [builds, hardware] = collected.warnings.as_slice() else {
        panic!("{:?}", collected.warnings)
    };
    let words = format!("0.0.1+other (fold-1); {build} (fold-0); results may differ");
    assert!(builds.contains(&words), "{builds}");
    assert!(
        hardware.contains("3 threads") && hardware.ends_with("by rounding"),
        "{hardware}"
    );
    assert_merges_rest(&at("out"), &config);
}

/// A part may be a copy of a job that was lost with its machine.
#[test]
fn what_is_further_is_collected() {
    let [config, _] = kinds();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let part = |budget: usize| {
        let part = folder.path().join(format!("after-{budget}"));
        let (labels, ops, mut backend) = (labels(), builtin_ops(), backend());
        backend.budget = Some(budget);
        let directory = RunDirectory::open_for_job(&part, &config, 1).unwrap();
        let backends = std::slice::from_mut(&mut backend);
        let run = Run::new(&config, &labels, &ops, backends, &directory);
        let stopped = run.run_job(TrainingId::Fold(0), &StopFlag::new(), &mut drop);
        assert_eq!(stopped.unwrap_err().kind(), RunErrorKind::Stopped);
        part
    };
    for (budget, is_further) in [(1, true), (5, true), (3, false), (9, true)] {
        let collected = collect(&config, &builtin_ops(), &out, &[part(budget)]).unwrap();
        assert_eq!(!collected.jobs.is_empty(), is_further, "{budget}");
    }
    let mut rest = backend();
    let (done, _) = run_job(&out, &config, TrainingId::Fold(0), &mut rest);
    done.unwrap();
    let all = {
        let mut all = backend();
        let alone = folder.path().join("alone");
        run_job(&alone, &config, TrainingId::Fold(0), &mut all)
            .0
            .unwrap();
        all.epochs + all.scored
    };
    assert_eq!(rest.epochs + rest.scored, all - 9);
    assert_merges_rest(&out, &config);
}
