//! A search whose processes are killed ends with the same result. Kills at every other moment are tested
//! write by write, without libtorch, in `runtime/search/tests/search/cuts.rs`.

// The worker of `faa-runtime` is found in `/proc`.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::Command;

use faa_tests::runs::{
    PreparedSignal, Running, data_set, files_in, json_lines_in, search_with, wait_until_ended,
    worker_of,
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

/// The events of a program that another one has started, which holds its standard input: bash, as an engine would.
/// The first event is its process ID.
fn started_by_another(command: &Command) -> Running {
    let script = "exec 4>&1; coproc JOB { exec \"$0\" \"$@\" >&4; }; echo \"$JOB_PID\"; wait";
    let mut engine = Command::new("bash");
    engine.args(["-c", script]).arg(command.get_program());
    engine.args(command.get_args()).arg("--end-with-stdin");
    if let Some(folder) = command.get_current_dir() {
        engine.current_dir(folder);
    }
    Running::start(&mut engine)
}

/// An engine is killed, which tells nobody. Neither program remains, so no GPU is kept, and the job continues.
#[test]
fn nothing_remains_when_the_program_is_killed_that_started_a_job() {
    let changed = [("--final-trainings", "cutout,policy")];
    let fold = |folder: &Path, fold| {
        let mut command = search_with(folder, &changed);
        command.args(["--fold", fold]);
        command
    };
    let uninterrupted = data_set();
    stdout_of(&mut search_with(uninterrupted.path(), &changed));

    let folder = data_set();
    let mut running = started_by_another(&fold(folder.path(), "0"));
    let program = running.wait_for(Value::is_u64).as_u64().unwrap() as u32;
    let worker = worker_of(program);
    running.wait_for(|event| event["event"] == "trial_done" && event["trial"] == 1);
    running.signal("KILL");
    wait_until_ended(program);
    wait_until_ended(worker);

    // Even a worker that cannot stop, such as one that waits for a device, is ended.
    let mut running = started_by_another(&fold(folder.path(), "1"));
    let program = running.wait_for(Value::is_u64).as_u64().unwrap() as u32;
    let worker = worker_of(program);
    running.wait_for(|event| event["event"] == "epoch_done");
    PreparedSignal::new("STOP", worker).send();
    running.signal("KILL");
    wait_until_ended(worker);
    wait_until_ended(program);

    // A kill of a job's own program is one, too.
    let mut running = Running::start(&mut fold(folder.path(), "0"));
    let worker = running.worker();
    running.wait_for(|event| event["event"] == "round_started" && event["round"] == 1);
    running.signal("KILL");
    assert_eq!(running.finish().0, None);
    wait_until_ended(worker);

    stdout_of(&mut fold(folder.path(), "0"));
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
        let differs = ["report.html", "origin", "attempts.jsonl"];
        if differs.iter().any(|it| name.ends_with(it)) {
            // Measured times, the folder of the data set, and a line per attempt.
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
