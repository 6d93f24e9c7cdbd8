//! A search whose processes are killed comes to the same end. That every other moment is as good is
//! tested without libtorch, write by write, in `runtime/search/tests/search/cuts.rs`.

// Which process works for `faa-runtime` is read from `/proc`.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};

use faa_tests::runs::{
    Running, Shot, data_set, files_in, json_lines_in, search_with, wait_for_the_end_of,
};
use faa_tests::stdout_of;
use serde_json::Value;

#[test]
fn a_search_whose_processes_are_killed_ends_as_one_that_was_not() {
    let changed = [("--final-trainings", "cutout,policy")];
    let whole = data_set();
    stdout_of(&mut search_with(whole.path(), &changed));

    let folder = data_set();
    let mut running = Running::start(&mut search_with(folder.path(), &changed));
    let kill = Shot::aim("KILL", running.worker());
    running.wait_for(|event| event["event"] == "trial_done" && event["trial"] == 2);
    kill.fire();
    let (code, message) = running.finish();
    assert_eq!(code, Some(1), "{message}");
    let expected = "faa-runtime-torch exited unexpectedly (signal: 9";
    assert!(message.contains(expected), "{message}");
    assert!(
        message.contains("The same command continues the run"),
        "{message}"
    );

    // The program that people started, in the trainings at the end. The other one notices, and the
    // run is in use until it has stopped.
    let mut running = Running::start(&mut search_with(folder.path(), &changed));
    let worker = running.worker();
    running.wait_for(|event| {
        event["event"] == "epoch_done" && event["training"]["final"]["augmentation"] == "cutout"
    });
    running.signal("KILL");
    assert_eq!(running.finish().0, None);
    wait_for_the_end_of(worker);

    stdout_of(&mut search_with(folder.path(), &changed));
    assert_same_run(&whole.path().join("run"), &folder.path().join("run"));
}

/// What was written is the same to the byte, but for how long things took.
fn assert_same_run(expected: &Path, found: &Path) {
    let (expected, found) = (files_in(expected), files_in(found));
    let names: Vec<&PathBuf> = expected.keys().collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), names);
    for (name, content) in &expected {
        let found = &found[name];
        if name.ends_with("report.html") {
            // It states how long things took.
            continue;
        }
        if name.ends_with("epochs.jsonl") || name.ends_with("trials.jsonl") {
            assert_eq!(timeless(found), timeless(content), "{name:?}");
        } else {
            assert!(found == content, "{name:?} differs");
        }
    }
}

fn timeless(log: &[u8]) -> Vec<Value> {
    let mut lines = json_lines_in(log);
    for line in &mut lines {
        assert!(line["seconds"].is_f64(), "{line}");
        line["seconds"] = Value::Null;
    }
    lines
}
