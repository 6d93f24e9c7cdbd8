//! Runs whose files are damaged, cannot be written, or are in use: the error names the problem, and nothing
//! else is lost.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use faa_tests::runs::{
    Running, data_set, files_in, json_in, json_lines_in, limited, partial_files_in, policy_of,
    search_with, write_files,
};
use faa_tests::{assert_fails, stdout_of};
use serde_json::json;

/// A search that was stopped while its second fold was trained, and the policy that it finds without the
/// stop.
struct Stopped {
    files: BTreeMap<PathBuf, Vec<u8>>,
    policy: String,
}

static STOPPED: LazyLock<Stopped> = LazyLock::new(Stopped::new);

/// A damaged run.
struct Case {
    /// The file that is damaged.
    file: &'static str,
    damage: fn(&[u8]) -> Vec<u8>,
    /// The problem and the advice in the error message.
    message: [&'static str; 2],
    /// The file to remove as the message advises. If there is none, the damage is undone.
    remove: Option<&'static str>,
}

const CASES: &[Case] = &[
    Case {
        file: CHECKPOINT,
        damage: half,
        message: ["run/fold-1/checkpoint.safetensors is damaged", TRAINS_AGAIN],
        remove: Some(CHECKPOINT),
    },
    Case {
        file: "fold-1/epochs.jsonl",
        damage: |_| Vec::new(),
        message: [
            "run/fold-1/epochs.jsonl holds 0 epochs",
            "remove the checkpoint to train from the beginning",
        ],
        remove: Some(CHECKPOINT),
    },
    Case {
        file: NETWORK,
        damage: half,
        message: ["run/fold-0/network.safetensors is damaged", TRAINS_AGAIN],
        remove: Some(NETWORK),
    },
    Case {
        file: "fold-0/evaluation.json",
        damage: half,
        message: [
            "run/fold-0/evaluation.json, line ",
            "move it away, and the run repeats what it recorded",
        ],
        remove: Some("fold-0/evaluation.json"),
    },
    Case {
        file: TRIALS,
        damage: second_line_cut,
        message: [
            "run/fold-0/trials.jsonl, line 2, is damaged",
            "move it away",
        ],
        remove: Some(TRIALS),
    },
    Case {
        file: TRIALS,
        damage: a_digit_flipped,
        message: ["run/fold-0/trials.jsonl, line ", "move it away"],
        remove: Some(TRIALS),
    },
    Case {
        file: "fold-0/evaluation.json",
        damage: |content| {
            String::from_utf8_lossy(content)
                .replacen('.', ".1", 1)
                .into()
        },
        message: [
            "run/fold-0/evaluation.json, line 1, is damaged (its checksum does not match its content)",
            "move it away, and the run repeats what it recorded",
        ],
        remove: Some("fold-0/evaluation.json"),
    },
    Case {
        file: TRIALS,
        damage: first_line_missing,
        message: [
            "run/fold-0/trials.jsonl, line 1: expected trial 0.0, found 0.1",
            "move the file away to repeat its trials",
        ],
        remove: Some(TRIALS),
    },
    Case {
        file: "run.json",
        damage: of_format_3,
        message: [
            ", in format 3; this is version ",
            "choose a different --out",
        ],
        remove: None,
    },
    Case {
        file: "run.json",
        damage: half,
        message: [
            "run/run.json, line ",
            "restore it, or choose a different --out",
        ],
        remove: None,
    },
];

const CHECKPOINT: &str = "fold-1/checkpoint.safetensors";
const NETWORK: &str = "fold-0/network.safetensors";
const TRIALS: &str = "fold-0/trials.jsonl";
const TRAINS_AGAIN: &str = "the run that it belongs to trains its network again";

#[test]
fn errors_about_damaged_files_give_advice_and_nothing_else_is_lost() {
    let stopped = &*STOPPED;
    for case in CASES {
        let folder = data_set();
        let run = folder.join("run");
        write_files(&run, &stopped.files);
        if case.file == NETWORK {
            // A fold that is done does not need it.
            fs::remove_file(run.join(TRIALS)).unwrap();
        }
        let file = run.join(case.file);
        let content = fs::read(&file).unwrap();
        fs::write(&file, (case.damage)(&content)).unwrap();
        let before = files_in(&run);

        assert_fails(&mut search(folder.path()), 1, &case.message);
        let mut after = files_in(&run);
        // They name the folder of the data set, which is a different one here.
        for name in ["origin", "run.json"] {
            if name != case.file {
                after.insert(name.into(), before[Path::new(name)].clone());
            }
        }
        // The attempt that failed may be recorded.
        for (name, content) in &before {
            if name.ends_with("attempts.jsonl") {
                assert!(after[name].starts_with(content), "{}: {name:?}", case.file);
                after.insert(name.clone(), content.clone());
            }
        }
        assert!(after == before, "{}: another file has changed", case.file);

        match case.remove {
            Some(name) => fs::remove_file(run.join(name)).unwrap(),
            None => fs::write(&file, content).unwrap(),
        }
        stdout_of(&mut search(folder.path()));
        assert_eq!(policy_of(folder.path()), stopped.policy, "{}", case.file);
    }
}

#[test]
fn incomplete_lines_are_removed_but_not_while_the_run_is_in_use() {
    let stopped = &*STOPPED;
    let folder = data_set();
    let run = folder.join("run");
    write_files(&run, &stopped.files);
    let (trials, epochs) = (run.join(TRIALS), run.join("fold-1/epochs.jsonl"));
    let mut torn = fs::read(&trials).unwrap();
    torn.truncate(torn.len() - 40);
    fs::write(&trials, torn).unwrap();
    let mut torn = fs::read(&epochs).unwrap();
    torn.extend(br#"{"epoch":1,"lo"#);
    fs::write(&epochs, torn).unwrap();

    let before = files_in(&run);
    let lock = File::create(run.join("lock")).unwrap();
    lock.try_lock().unwrap();
    let in_use = "run is in use by another process: wait for it, or choose a different --out";
    assert_fails(&mut search(folder.path()), 1, &[in_use]);
    assert!(files_in(&run) == before, "something has changed");
    drop(lock);

    stdout_of(&mut search(folder.path()));
    assert_eq!(policy_of(folder.path()), stopped.policy);
    for (log, lines) in [(trials, 12), (epochs, EPOCHS)] {
        assert_eq!(json_lines_in(&fs::read(log).unwrap()).len(), lines);
    }
}

/// A limit on the size of files imitates a full disk.
#[test]
fn a_full_disk_is_reported_and_the_search_continues_once_there_is_room() {
    let stopped = &*STOPPED;
    let folder = data_set();
    let run = folder.join("run");
    let words = "cannot write run/fold-0/checkpoint.safetensors";
    assert_fails(&mut limited(&search(folder.path()), 300), 1, &[words]);
    assert!(partial_files_in(&run).is_empty());
    assert!(!run.join("fold-0/checkpoint.safetensors").exists());
    stdout_of(&mut search(folder.path()));
    assert_eq!(policy_of(folder.path()), stopped.policy);

    // Here the limit is reached in the middle of a line.
    let trials = run.join(TRIALS);
    fs::remove_file(&trials).unwrap();
    let words = "cannot append to run/fold-0/trials.jsonl";
    assert_fails(&mut limited(&search(folder.path()), 3), 1, &[words]);
    let torn = fs::read(&trials).unwrap();
    assert!(!torn.ends_with(b"\n"), "a line is incomplete");
    stdout_of(&mut search(folder.path()));
    assert_eq!(json_lines_in(&fs::read(&trials).unwrap()).len(), 12);
    assert_eq!(policy_of(folder.path()), stopped.policy);
}

#[test]
fn trainings_that_diverge_end_the_search_with_advice() {
    let folder = data_set();
    let search = || {
        // An epoch has several steps: the first one only makes the weights huge.
        let options = [("--learning-rate", "1e30"), ("--batch", "15")];
        let mut command = search_with(folder.path(), &options);
        command.arg("--no-final-trainings");
        command
    };
    let mut running = Running::start(&mut search());
    for fold in [0, 1] {
        let event = running.wait_for(|event| event["event"] == "training_diverged");
        assert_eq!(event["training"]["fold"], fold);
        assert_eq!(event["epoch"], 0);
        assert_eq!(event["learning_rate"], 1e30);
    }
    let advice = "all trainings diverged: choose a different --out and a lower --learning-rate";
    running.assert_fails(&[advice]);
    let diverged = json_in(&folder.join("run/fold-0/diverged.json"));
    assert_eq!(diverged, json!({"epoch": 0, "learning_rate": 1e30}));

    // The same seed would diverge again, so nothing is trained again.
    let mut running = Running::start(&mut search());
    let events = running.by_ref().map(|event| event["event"].clone());
    let expected = ["planned", "training_diverged", "training_diverged"];
    assert_eq!(events.collect::<Vec<_>>(), expected);
    running.assert_fails(&[advice]);
}

/// Epochs per training: enough to stop a training in time where its worker cannot be paused.
const EPOCHS: usize = 20;

fn search(folder: &Path) -> Command {
    let epochs = EPOCHS.to_string();
    let mut command = search_with(folder, &[("--epochs", epochs.as_str())]);
    command.arg("--no-final-trainings");
    command
}

impl Stopped {
    fn new() -> Self {
        let folder = data_set();
        let run = folder.join("run");
        let mut running = Running::start(&mut search(folder.path()));
        running
            .interrupt_at(|event| event["event"] == "epoch_done" && event["training"]["fold"] == 1);
        let (code, message) = running.finish();
        assert_eq!(code, Some(1), "{message}");
        let files = files_in(&run);
        for name in [NETWORK, CHECKPOINT] {
            assert!(files.contains_key(Path::new(name)), "no {name}");
        }
        fs::remove_dir_all(&run).unwrap();
        stdout_of(&mut search(folder.path()));
        let policy = policy_of(folder.path());
        Self { files, policy }
    }
}

fn half(content: &[u8]) -> Vec<u8> {
    content[..content.len() / 2].to_vec()
}

fn second_line_cut(content: &[u8]) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
    lines[1] = b"{\"round\":0,\"tri\n";
    lines.concat()
}

fn first_line_missing(content: &[u8]) -> Vec<u8> {
    let lines = content.split_inclusive(|byte| *byte == b'\n');
    lines.skip(1).collect::<Vec<_>>().concat()
}

fn of_format_3(content: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(content);
    let changed = text.replace("\"format\": 2", "\"format\": 3");
    assert_ne!(changed, text, "the file records the format");
    changed.into_bytes()
}

/// Changes a digit near the end, as a fault of the disk would.
fn a_digit_flipped(content: &[u8]) -> Vec<u8> {
    let mut content = content.to_vec();
    let at = content.len() * 9 / 10;
    let digit = content[at..].iter().position(u8::is_ascii_digit).unwrap();
    let digit = &mut content[at + digit];
    *digit = if *digit == b'1' { b'2' } else { b'1' };
    content
}
