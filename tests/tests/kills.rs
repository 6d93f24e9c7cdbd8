//! A search whose processes are killed ends with the same result. Kills at every other moment are tested
//! write by write, without libtorch, in `runtime/search/tests/search/cuts.rs`.

// The worker of `faa-runtime` is found in `/proc`.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};

use faa_tests::runs::{
    PreparedSignal, Running, data_set, files_in, json_lines_in, search_with, wait_until_ended,
};
use faa_tests::stdout_of;
use serde_json::Value;

#[test]
fn a_search_whose_processes_are_killed_ends_with_the_same_files() {
    let changed = [("--final-trainings", "cutout,policy")];
    let uninterrupted = data_set();
    stdout_of(&mut search_with(uninterrupted.path(), &changed));

    let folder = data_set();
    let mut running = Running::start(&mut search_with(folder.path(), &changed));
    let kill = PreparedSignal::new("KILL", running.worker());
    running.wait_for(|event| event["event"] == "trial_done" && event["trial"] == 2);
    kill.send();
    running.assert_fails(&[
        "faa-runtime-torch exited unexpectedly (signal: 9",
        "probably because the machine ran out of memory. The same command continues the run",
    ]);

    // Kill `faa-runtime` in the final trainings. The worker notices and stops; until then, the run is in
    // use.
    let mut running = Running::start(&mut search_with(folder.path(), &changed));
    let worker = running.worker();
    running.wait_for(|event| {
        event["event"] == "epoch_done" && event["training"]["final"]["augmentation"] == "cutout"
    });
    running.signal("KILL");
    assert_eq!(running.finish().0, None);
    wait_until_ended(worker);

    stdout_of(&mut search_with(folder.path(), &changed));
    assert_same_run(&uninterrupted.join("run"), &folder.join("run"));
}

/// Asserts that all files have the same bytes, except for measured times.
fn assert_same_run(expected: &Path, found: &Path) {
    let (expected, found) = (files_in(expected), files_in(found));
    let names: Vec<&PathBuf> = expected.keys().collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), names);
    for (name, content) in &expected {
        let found = &found[name];
        if name.ends_with("report.html") || name.ends_with("origin") {
            // The one contains measured times, the other depends on the folder of the data set.
            continue;
        }
        if name.ends_with("run.json") {
            assert_eq!(without_data(found), without_data(content), "{name:?}");
        } else if name.extension().is_some_and(|it| it == "jsonl")
            && !name.ends_with("environment.jsonl")
        {
            assert_eq!(without_times(found), without_times(content), "{name:?}");
        } else {
            assert!(found == content, "{name:?} differs");
        }
    }
}

/// A run's record without the path of its data set, which is absolute, and without its checksum.
fn without_data(record: &[u8]) -> Value {
    let mut record: Value = serde_json::from_slice(record).unwrap();
    let data = record["config"]["common"]["data"].take();
    assert!(data.is_string(), "{data}");
    assert!(record["checksum"].take().is_string());
    record
}

fn without_times(log: &[u8]) -> Vec<Value> {
    let mut lines = json_lines_in(log);
    for line in &mut lines {
        assert!(line["seconds"].is_f64(), "{line}");
        line["seconds"] = Value::Null;
    }
    lines
}
