//! A run that is interrupted at any of its writes ends with the same files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use faa_search::RunConfig;
use faa_search::files::FaultPoint;

use crate::fake_backend::{FakeBackend, config, run, run_until, search_in};

fn small() -> RunConfig {
    let mut config = config();
    search_in(&mut config).trials = 4.try_into().unwrap();
    config.final_trainings.augmentations.truncate(2);
    config
}

#[test]
fn a_run_that_is_interrupted_at_any_write_ends_with_the_same_files() {
    let whole = tempfile::tempdir().unwrap();
    let mut backend = FakeBackend::default();
    run(whole.path(), &small(), &mut backend).unwrap();
    let work = backend.epochs + backend.scored;
    let expected = files_in(whole.path());

    let mut cuts = 0;
    loop {
        let folder = tempfile::tempdir().unwrap();
        let fault = FaultPoint::at_write(cuts);
        let mut first = FakeBackend::default();
        let cut = run_until(&fault, folder.path(), &small(), &mut first);
        if !fault.was_reached() {
            assert!(cut.unwrap().is_ok());
            break;
        }
        assert!(cut.is_none_or(|result| result.is_err()), "write {cuts}");
        let mut second = FakeBackend::default();
        run(folder.path(), &small(), &mut second).unwrap();
        assert_eq!(files_in(folder.path()), expected, "write {cuts}");
        let repeated = first.epochs + first.scored + second.epochs + second.scored - work;
        assert!(
            repeated <= 1,
            "write {cuts}: {repeated} epochs or trials were repeated"
        );
        cuts += 1;
    }
    // One line per epoch and trial, and several writes per training.
    assert!(cuts > work, "{cuts} writes, {work} epochs and trials");
}

/// Further interruptions come while the first one is being repaired.
#[test]
fn a_run_may_be_interrupted_repeatedly() {
    let whole = tempfile::tempdir().unwrap();
    run(whole.path(), &small(), &mut FakeBackend::default()).unwrap();
    // With one write per attempt, each would only write the policy again.
    for writes in [2, 3, 5] {
        let folder = tempfile::tempdir().unwrap();
        let mut attempts = 0;
        loop {
            let fault = FaultPoint::at_write(writes);
            let backend = &mut FakeBackend::default();
            if let Some(Ok(_)) = run_until(&fault, folder.path(), &small(), backend) {
                break;
            }
            attempts += 1;
            assert!(
                attempts < 200,
                "it makes no progress with {writes} writes per attempt"
            );
        }
        assert_eq!(files_in(folder.path()), files_in(whole.path()), "{writes}");
    }
}

/// All files of a run, without durations.
fn files_in(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_in(&path));
            continue;
        }
        let name = path.components().rev().take(2).collect::<PathBuf>();
        let content = fs::read_to_string(&path).unwrap();
        // `summary.json` names the policy's path, which differs from folder to folder.
        let content = content.replace(&folder.display().to_string(), "");
        let lines = content
            .lines()
            .map(|line| match line.split_once("\"seconds\":") {
                Some((before, after)) => {
                    let rest = after
                        .trim_start_matches(|c: char| c.is_ascii_digit() || "e.-+".contains(c));
                    format!("{before}{rest}")
                }
                None => line.to_owned(),
            });
        let key = match name.parent() {
            Some(_) if path.parent() == Some(folder) => path.strip_prefix(folder).unwrap().into(),
            _ => name,
        };
        files.insert(key, lines.collect::<Vec<_>>().join("\n"));
    }
    files
}
