//! Jobs of a run in processes of their own, with the real programs and libtorch. Every state of the records is
//! tested without libtorch in `runtime/search/tests/search/parts.rs`.

use std::fs;
use std::path::Path;
use std::process::Command;

use faa_tests::runs::{
    Running, data_set, json_in, json_lines_in, policy_of, search_with, train_with,
};
use faa_tests::workdir::Workdir;
use faa_tests::{assert_contains, assert_fails, json_of, output_of, stdout_of};

const SEARCH: [(&str, &str); 1] = [("--final-trainings", "cutout,random,policy")];

/// Two policies in one rung, and an audit.
const SHORT_TRAININGS: [(&str, &str); 13] = [
    ("--objective", "train"),
    ("--no-density", ""),
    ("--folds", ""),
    ("--rounds", ""),
    ("--trials", ""),
    ("--top-n", ""),
    ("--draws", ""),
    ("--entrants", "2"),
    ("--rungs", "1"),
    ("--rung-epochs", "2"),
    ("--early-epochs", "2"),
    ("--rung-seeds", "1"),
    ("--final-trainings", "policy"),
];

fn search(folder: &Path, arguments: &[&str]) -> Command {
    changed(folder, &[], arguments)
}

/// A search with these options changed.
fn changed(folder: &Path, changed: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = search_with(folder, &[&SEARCH, changed].concat());
    command.args(arguments);
    command
}

fn short_trainings(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = search_with(folder, &SHORT_TRAININGS);
    command.args(["--no-density", "--ops", "Rotate,FlipX"]);
    command.args(arguments);
    command
}

/// The options of the jobs in this state.
fn in_state(list: &str, state: &str) -> Vec<Vec<String>> {
    let lines = list
        .lines()
        .filter_map(|line| line.strip_prefix(state)?.strip_prefix(' '));
    lines
        .map(|job| job.split(' ').map(str::to_owned).collect())
        .collect()
}

/// Starts the command with the options of every ready job, all at the same time, until all are done. Returns
/// how many were started.
fn run_jobs(folder: &Path, command: fn(&Path, &[&str]) -> Command) -> usize {
    let mut count = 0;
    loop {
        let list = stdout_of(&mut command(folder, &["--list-jobs"]));
        let ready = in_state(&list, "ready");
        if ready.is_empty() {
            assert!(list.lines().all(|line| line.starts_with("done ")), "{list}");
            return count;
        }
        let start = |job: &Vec<String>| {
            let job: Vec<&str> = job.iter().map(String::as_str).collect();
            Running::start(&mut command(folder, &job))
        };
        for running in ready.iter().map(start).collect::<Vec<_>>() {
            let (code, errors) = running.finish();
            assert_eq!(code, Some(0), "{errors}");
            count += 1;
        }
    }
}

#[test]
fn jobs_in_processes_of_their_own_merge_to_the_policy_of_one_process() {
    for (command, jobs) in [
        (search as fn(&Path, &[&str]) -> Command, 2 + 3),
        // The audit; one random policy, and with the proposed one, those fixed ones; and the final training.
        (short_trainings, 1 + 1 + (1 + 4) + 1),
    ] {
        let one = data_set();
        stdout_of(&mut command(one.path(), &[]));
        let folder = data_set();
        assert_eq!(run_jobs(folder.path(), command), jobs);
        assert!(!folder.join("run/policy.json").exists());
        let [_, messages] = output_of(&mut command(folder.path(), &[]));
        assert_contains(&messages, &["(already finished)"]);
        assert_eq!(policy_of(folder.path()), policy_of(one.path()));
        let [found, expected] = [&folder, &one].map(|it| json_in(&it.join("run/summary.json")));
        assert_eq!(found, expected);
    }
}

/// Each in a folder of its own, as on machines without a common file system.
#[test]
fn jobs_in_separate_folders_are_brought_together() {
    let one = data_set();
    stdout_of(&mut search(one.path(), &[]));
    let folder = data_set();
    let at = folder.path();
    for (fold, part) in [("0", "part-0"), ("1", "part-1")] {
        stdout_of(&mut changed(at, &[("--out", part)], &["--fold", fold]));
    }
    let collected = &mut search(at, &["--json", "--collect", "part-0", "part-1"]);
    let list = json_of(collected);
    let states: Vec<&str> = (list["jobs"].as_array().unwrap().iter())
        .map(|job| job["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["done", "done", "ready", "ready", "ready"]);
    assert_eq!(
        list["jobs"][4]["needs"],
        serde_json::json!(["fold-0", "fold-1"])
    );
    // Again, nothing is copied.
    let [_, messages] = output_of(&mut search(at, &["--collect", "part-0", "part-1"]));
    assert!(!messages.contains("from part"), "{messages}");
    // The folder of the data set is the same by another name, and networks of folds are not needed.
    fs::remove_file(folder.join("run/fold-0/network.safetensors")).unwrap();
    fs::rename(folder.join("data"), folder.join("moved")).unwrap();
    stdout_of(&mut changed(
        at,
        &[("--data", "folder:moved")],
        &["--final", "policy:0"],
    ));
    fs::rename(folder.join("moved"), folder.join("data")).unwrap();
    stdout_of(&mut search(at, &[]));
    assert_eq!(policy_of(at), policy_of(one.path()));
    let [found, expected] = [&folder, &one].map(|it| json_in(&it.join("run/summary.json")));
    assert_eq!(found, expected);

    let other = [("--seed", "5"), ("--out", "seeded")];
    stdout_of(&mut changed(at, &other, &["--fold", "0"]));
    let parts =
        ["seeded and run are of different runs: `common.seed` is 5 in the one and 0 in the other"];
    assert_fails(&mut search(at, &["--collect", "seeded"]), 1, &parts);
    let parts = ["nothing holds no run"];
    assert_fails(&mut search(at, &["--collect", "nothing"]), 1, &parts);
}

#[test]
fn a_job_says_by_its_exit_status_why_it_is_not_done() {
    let folder = data_set();
    let at = folder.path();
    let fold = |arguments: &[&str]| search(at, &[&["--fold", "0"], arguments].concat());
    let parts = ["final training with policy, seed 0 needs jobs that are not done: fold-0, fold-1"];
    assert_fails(&mut search(at, &["--final", "policy:0"]), 1, &parts);
    for (arguments, part) in [
        (
            &["--fold", "2"][..],
            "this run has no training of fold 2; `--list-jobs` lists its jobs",
        ),
        (&["--fold", "x"], "invalid value 'x' for '--fold <K>'"),
        (&["--only-audit"], "this run has no training for the audit"),
        (
            &["--entrant", "0:0:0"],
            "this run has no training of entrant 0 in rung 1, seed 0",
        ),
        (&["--entrant", "0"], "must be RUNG:ENTRANT:SEED"),
        (
            &["--final", "policy:1"],
            "this run has no final training with policy, seed 1",
        ),
        (
            &["--final", "nothing:1"],
            "must be NAME:SEED, such as policy:0, with a NAME of none,",
        ),
        (
            &["--fold", "0", "--final", "policy:0"],
            "cannot be used with",
        ),
        (&["--fold", "0", "--list-jobs"], "cannot be used with"),
        (&["--fold", "0", "--jobs", "2"], "omit --jobs"),
        (&["--fold", "0", "--device", "cpu"], "give one --device"),
    ] {
        assert_fails(&mut search(at, arguments), 2, &[part]);
    }
    let open = [("--final-seeds", ""), SEARCH[0]];
    let parts = [
        "the number of seeds of the final trainings is open",
        "add --final-seeds N",
    ];
    assert_fails(search_with(at, &open).arg("--list-jobs"), 2, &parts);
    let training = [("--policy", "none"), ("--seeds", ""), ("--out", "training")];
    let parts = ["add --seeds N"];
    assert_fails(
        train_with(at, &training).args(["--final", "cutout:0"]),
        2,
        &parts,
    );
    assert!(
        !folder.join("run").exists(),
        "a job that does not begin writes nothing"
    );

    // Whoever starts a job may append its own.
    let own = ["--list-jobs", "--json", "--out", "other", "--threads", "2"];
    assert_eq!(json_of(&mut search(at, &own))["run"], "other");

    stdout_of(&mut search(at, &["--fold", "1"]));
    fs::create_dir(folder.join("run/fold-0")).unwrap();
    let lock = fs::File::create(folder.join("run/fold-0/lock")).unwrap();
    lock.lock().unwrap();
    let parts = ["a different process works on run/fold-0"];
    assert_fails(&mut fold(&[]), 75, &parts);
    let list = stdout_of(&mut search(at, &["--list-jobs"]));
    assert_eq!(in_state(&list, "held"), [["--fold", "0"]]);
    // How far it is, is a comment.
    let [records, attempts] =
        ["fold-1", "fold-0"].map(|it| folder.join("run").join(it).join("attempts.jsonl"));
    fs::copy(records, &attempts).unwrap();
    let list = stdout_of(&mut search(at, &["--list-jobs"]));
    assert_contains(
        &list,
        &["held --fold 0 # 0 of ", " epochs, 0 of ", " left, on "],
    );
    fs::remove_file(attempts).unwrap();
    // Without an option, the run does what it can, and the exit status has no special meaning.
    assert_fails(
        &mut search(at, &[]),
        1,
        &["a different process works on run/fold-0: wait for it"],
    );
    drop(lock);
    assert_eq!(stdout_of(&mut fold(&[])), "fold-0 is done\n");
    // Done jobs need neither images nor libtorch.
    fs::rename(folder.join("data"), folder.join("moved")).unwrap();
    assert_eq!(stdout_of(&mut fold(&[])), "fold-0 is done\n");
    let attempts = fs::read(folder.join("run/fold-0/attempts.jsonl")).unwrap();
    let [attempt] = &json_lines_in(&attempts)[..] else {
        panic!("{attempts:?}")
    };
    assert_eq!(attempt["device"], "cpu");
    assert_eq!(attempt["threads"], 1);
    for text in [
        "host",
        "processor",
        "build",
        "config",
        "data",
        "plugins",
        "started",
        "ended",
    ] {
        assert!(!attempt[text].as_str().unwrap().is_empty(), "{text}");
    }
}

/// Trainings of `train`, one of which has a job of its own.
#[test]
fn trainings_are_jobs_too() {
    let [one, folder] = [data_set(), data_set()];
    let command = |folder: &Workdir, arguments: &[&str]| {
        let mut command = train_with(folder.path(), &[("--policy", "random:3"), ("--seeds", "2")]);
        command.args(arguments).arg("--baselines=cutout");
        command
    };
    stdout_of(&mut command(&one, &[]));
    stdout_of(&mut command(&folder, &["--final", "random:1"]));
    let list = stdout_of(&mut command(&folder, &["--list-jobs"]));
    let expected = "ready --final random:0\nready --final cutout:0\ndone --final random:1\n\
                    ready --final cutout:1\n";
    assert_eq!(list, expected);
    stdout_of(&mut command(&folder, &[]));
    let [found, expected] = [&folder, &one].map(|it| json_in(&it.join("run/summary.json")));
    assert_eq!(found, expected);
}
