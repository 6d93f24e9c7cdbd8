//! A run that is interrupted at any of its writes ends with the same files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use faa_search::RunConfig;
use faa_search::config::Augmentation;
use faa_search::files::FaultPoint;

use crate::audit;
use crate::fake_backend::{FakeBackend, config, run, run_until, search_in};
use crate::halving::{halving, halving_in};

/// A search, and an audit with a final training.
fn kinds() -> [RunConfig; 2] {
    let mut audited = audit::config(&["FlipX", "Cutout"]);
    audited.final_trainings.augmentations = vec![Augmentation::Policy];
    [small(), audited]
}

fn small() -> RunConfig {
    let mut config = config();
    search_in(&mut config).trials = 4.try_into().unwrap();
    config.final_trainings.augmentations.truncate(2);
    config
}

/// Halving in two rungs, without other searches.
fn small_halving() -> RunConfig {
    let mut config = halving();
    config.search = None;
    config.final_trainings.augmentations.clear();
    let halving = halving_in(&mut config);
    halving.entrants = 2.try_into().unwrap();
    halving.rungs = 2.try_into().unwrap();
    halving.epochs = halving.early_epochs;
    halving.seeds = 1.try_into().unwrap();
    config
}

#[test]
fn a_run_that_is_interrupted_at_any_write_ends_with_the_same_files() {
    let mut automatic = small();
    automatic.final_trainings.seeds = None;
    for config in kinds().iter().chain([&automatic]) {
        assert_ends_the_same_from_every_cut(config);
    }
}

#[test]
fn halving_that_is_interrupted_at_any_write_ends_with_the_same_files() {
    assert_ends_the_same_from_every_cut(&small_halving());
}

fn assert_ends_the_same_from_every_cut(config: &RunConfig) {
    let whole = tempfile::tempdir().unwrap();
    let mut backend = FakeBackend::default();
    run(whole.path(), config, &mut backend).unwrap();
    let work = backend.epochs + backend.scored;

    let mut cuts = 0;
    loop {
        let folder = tempfile::tempdir().unwrap();
        let fault = FaultPoint::at_write(cuts);
        let mut first = FakeBackend::default();
        let cut = run_until(&fault, folder.path(), config, &mut first);
        if !fault.was_reached() {
            assert!(cut.unwrap().is_ok());
            break;
        }
        assert!(cut.is_none_or(|result| result.is_err()), "write {cuts}");
        let mut second = FakeBackend::default();
        run(folder.path(), config, &mut second).unwrap();
        assert_same(folder.path(), whole.path(), &format!("write {cuts}"));
        let repeated = first.epochs + first.scored + second.epochs + second.scored - work;
        assert!(repeated <= 1, "write {cuts}: {repeated} are repeated");
        cuts += 1;
    }
    // One line per epoch, trial, second scoring and point, and several writes per training.
    assert!(
        cuts > work,
        "{cuts} writes, {work} epochs, scorings and points"
    );
}

/// Further interruptions come while the first one is being repaired.
#[test]
fn a_run_may_be_interrupted_repeatedly() {
    for config in kinds().iter().chain([&small_halving()]) {
        assert_ends_the_same_after_many_cuts(config);
    }
}

fn assert_ends_the_same_after_many_cuts(config: &RunConfig) {
    let whole = tempfile::tempdir().unwrap();
    run(whole.path(), config, &mut FakeBackend::default()).unwrap();
    // Each attempt may write the policy, the findings and a log again, and an epoch takes two writes.
    for writes in [4, 5, 7] {
        let folder = tempfile::tempdir().unwrap();
        let mut attempts = 0;
        loop {
            let fault = FaultPoint::at_write(writes);
            let backend = &mut FakeBackend::default();
            if let Some(Ok(_)) = run_until(&fault, folder.path(), config, backend) {
                break;
            }
            attempts += 1;
            assert!(attempts < 200, "no progress with {writes} writes");
        }
        assert_same(folder.path(), whole.path(), &format!("{writes} writes"));
    }
}

/// What was written is the same, but for how long things took, and for checksums.
fn assert_same(found: &Path, expected: &Path, what: &str) {
    let (found, expected) = (files_in(found, found), files_in(expected, expected));
    let names = found.keys();
    assert!(names.clone().eq(expected.keys()), "{what}: {names:?}");
    for (name, content) in &expected {
        assert!(found[name] == *content, "{what}: {name:?} differs");
    }
}

/// All files of a run, by their paths in it.
fn files_in(run: &Path, folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_in(run, &path));
            continue;
        }
        let content = fs::read_to_string(&path).unwrap();
        // `summary.json` names the policy's path, which differs from run to run.
        let content = content.replace(&run.display().to_string(), "");
        let mut lines: Vec<String> = content.lines().map(without_seconds).collect();
        let name = path.strip_prefix(run).unwrap().to_owned();
        if name.ends_with("attempts.jsonl") {
            // Each interruption adds an attempt, with its times. All have the same inputs.
            lines.dedup();
        }
        files.insert(name, lines.join("\n"));
    }
    files
}

fn without_seconds(line: &str) -> String {
    let line = line.split("\"checksum\":").next().unwrap_or_default();
    let line = line.split("\"started\":").next().unwrap_or_default();
    let Some((before, after)) = line.split_once("\"seconds\":") else {
        return line.to_owned();
    };
    let number = |it: char| it.is_ascii_digit() || "e.-+".contains(it);
    format!("{before}{}", after.trim_start_matches(number))
}
