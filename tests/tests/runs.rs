//! `train` and `eval`, and parallel searches.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use faa_tests::runs::{
    Running, data_set, files_in, json_in, policy_of, search, search_with, train_with,
};
use faa_tests::workdir::POLICY;
use faa_tests::{faa_runtime, failure_of, run, stdout_of, write_data_set};
use serde_json::Value;

/// The augmentations of a policy and its baselines, and their names in the table.
const ROWS: [(&str, &str); 5] = [
    ("policy", "the policy + base"),
    ("none", "crop, flip"),
    ("cutout", "crop, flip, Cutout (base)"),
    ("random", "random policy + base"),
    ("trivialaugment", "TrivialAugment + base"),
];

fn eval(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = faa_runtime();
    command
        .current_dir(folder)
        .args(["eval", "--device", "cpu", "--threads", "1"])
        .args(arguments);
    command
}

#[test]
fn a_policy_and_its_baselines_are_trained_and_measured() {
    let folder = data_set();
    let at = folder.path();
    fs::write(at.join("mine.json"), POLICY).unwrap();
    let changed = [("--policy", "mine.json"), ("--seeds", "2")];
    let table = stdout_of(train_with(at, &changed).arg("--baselines"));

    let summary = json_in(&at.join("run/summary.json"));
    assert_eq!(summary["policy"], "run/policy.json");
    assert_eq!(summary["sub_policies"], 2);
    let policy: Value = serde_json::from_str(&policy_of(at)).unwrap();
    assert_eq!(policy["name"], "two");
    let final_trainings = summary["final_trainings"].as_array().unwrap();
    assert_eq!(
        (final_trainings.len(), table.lines().count()),
        (5, 6),
        "{table}"
    );
    for ((result, line), (augmentation, row)) in
        final_trainings.iter().zip(table.lines().skip(1)).zip(ROWS)
    {
        assert_eq!(result["augmentation"], augmentation);
        let [first, second] = errors_of(result)[..] else {
            panic!("{result}");
        };
        let mean = (first + second) / 2.0;
        // Both deviate from the mean by half of their difference, and there is one degree of freedom.
        let deviation = (first - second).abs() / 2.0_f64.sqrt();
        let error = format!("{:.2} ± {:.2} %", 100.0 * mean, 100.0 * deviation);
        let (trained_with, rest) = line.split_at(row.len());
        assert_eq!(trained_with, row, "{table}");
        let rest: Vec<&str> = rest.split("  ").map(str::trim).collect();
        let rest: Vec<&str> = rest.into_iter().filter(|cell| !cell.is_empty()).collect();
        assert_eq!(rest, [error.as_str(), "2"], "{table}");
    }
    let page = fs::read_to_string(at.join("run/report.html")).unwrap();
    assert!(page.contains("<title>Training on folder:data</title>"));

    // `eval` measures the same errors as the training did.
    let lines = stdout_of(&mut eval(at, &["run", "--data", "folder:data", "--json"]));
    let mut measured: BTreeMap<String, f64> = BTreeMap::new();
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let network = line["network"].as_str().unwrap().to_owned();
        measured.insert(network, line["error"].as_f64().unwrap());
    }
    let mut recorded: BTreeMap<String, f64> = BTreeMap::new();
    for result in final_trainings {
        let augmentation = result["augmentation"].as_str().unwrap();
        for (seed, error) in errors_of(result).into_iter().enumerate() {
            let network = format!("run/final/{augmentation}-{seed}/network.safetensors");
            recorded.insert(network, error);
        }
    }
    assert_eq!(measured, recorded);
    let network = "run/final/policy-1/network.safetensors";
    let table = stdout_of(&mut eval(at, &[network, "--data", "folder:data"]));
    let error = format!("{:.2} %", 100.0 * recorded[network]);
    assert!(table.contains(network), "{table}");
    assert!(table.contains(&error), "{table}");
    assert_eq!(table.lines().count(), 2, "{table}");
}

#[test]
fn trainings_without_a_policy_have_crop_and_flip_or_a_random_policy() {
    for (changed, augmentation) in [
        ([("--policy", "none"), ("--cutout", "8")], "cutout"),
        ([("--policy", "none"), ("--cutout", "0")], "none"),
        ([("--policy", "random:3"), ("--cutout", "8")], "random"),
    ] {
        let folder = data_set();
        let table = stdout_of(&mut train_with(folder.path(), &changed));
        let (_, row) = ROWS.iter().find(|(name, _)| *name == augmentation).unwrap();
        let line = table.lines().nth(1).unwrap();
        assert!(line.starts_with(&format!("{row}  ")), "{table}");
        assert_eq!(table.lines().count(), 2, "{table}");
        let run = folder.path().join("run");
        let summary = json_in(&run.join("summary.json"));
        assert_eq!(summary["final_trainings"][0]["augmentation"], augmentation);
        assert_eq!(summary["policy"], Value::Null);
        if augmentation == "random" {
            let recorded = json_in(&run.join("run.json"));
            assert_eq!(
                recorded["config"]["final_trainings"]["random"]["sub_policies"],
                3
            );
        }
    }
}

#[test]
fn trainings_that_are_stopped_continue_to_the_same_networks() {
    let changed = [("--policy", "random:3"), ("--epochs", "10")];
    let start = |folder: &Path| {
        let mut command = train_with(folder, &changed);
        command.arg("--baselines");
        command
    };
    let uninterrupted = data_set();
    stdout_of(&mut start(uninterrupted.path()));

    let folder = data_set();
    let mut running = Running::start(&mut start(folder.path()));
    running.interrupt_at(|event| {
        event["event"] == "epoch_done" && event["training"]["final"]["augmentation"] == "cutout"
    });
    let (code, message) = running.finish();
    assert_eq!(code, Some(1), "{message}");
    let words = "stopped; the same command continues in run";
    assert!(message.contains(words), "{message}");
    assert!(!folder.path().join("run/summary.json").exists());
    let output = run(&mut start(folder.path()));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{message}");
    assert!(message.contains("(already finished)"), "{message}");
    assert!(message.contains("of 10 epochs"), "{message}");

    let results = |folder: &Path| {
        let mut files = files_in(&folder.join("run"));
        let is_result =
            |name: &Path| name.ends_with("summary.json") || name.ends_with("network.safetensors");
        files.retain(|name, _| is_result(name));
        files
    };
    let (found, expected) = (results(folder.path()), results(uninterrupted.path()));
    let names: Vec<&PathBuf> = expected.keys().collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), names);
    assert_eq!(names.len(), 1 + 4, "results are compared: {names:?}");
    assert!(found == expected, "the networks or their errors differ");
}

#[test]
fn a_run_can_be_continued_only_by_the_command_that_created_it() {
    let training = [("--policy", "none")];
    let folder = data_set();
    stdout_of(&mut train_with(folder.path(), &training));
    let before = files_in(&folder.path().join("run"));
    let (code, message) = failure_of(&mut search(folder.path()));
    assert_eq!(code, 1, "{message}");
    let words = "run was created by `train`, not by `search`: choose a different --out";
    assert!(message.contains(words), "{message}");
    assert!(files_in(&folder.path().join("run")) == before);

    let folder = data_set();
    stdout_of(search(folder.path()).arg("--no-final-trainings"));
    let before = files_in(&folder.path().join("run"));
    let (code, message) = failure_of(&mut train_with(folder.path(), &training));
    assert_eq!(code, 1, "{message}");
    let words = "run was created by `search`, not by `train`: choose a different --out";
    assert!(message.contains(words), "{message}");
    assert!(files_in(&folder.path().join("run")) == before);
}

#[test]
fn errors_of_eval_name_the_file() {
    let folder = data_set();
    let at = folder.path();
    stdout_of(&mut train_with(at, &[("--policy", "none")]));
    write_data_set(&at.join("two"), 2, [2, 2]);
    let network = at.join("run/final/cutout-0/network.safetensors");
    let mut content = fs::read(network).unwrap();
    content.pop();
    fs::write(at.join("torn.safetensors"), content).unwrap();
    fs::create_dir_all(at.join("begun/final/cutout-0")).unwrap();

    for (network, data, expected) in [
        (
            "run",
            "folder:two",
            "run/final/cutout-0/network.safetensors has 3 classes (class-0, class-1, \
             class-2), and the data set has 2 (class-0, class-1)",
        ),
        (
            "torn.safetensors",
            "folder:data",
            "torn.safetensors is damaged",
        ),
        (
            "missing.safetensors",
            "folder:data",
            "cannot read missing.safetensors",
        ),
        (
            "data",
            "folder:data",
            "data has no trained network of a final training",
        ),
        (
            "begun",
            "folder:data",
            "begun has no trained network of a final training",
        ),
    ] {
        let (code, message) = failure_of(&mut eval(at, &[network, "--data", data]));
        assert_eq!(code, 1, "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn parallel_jobs_and_tensorboard_do_not_change_the_policy() {
    let (one, two) = (data_set(), data_set());
    stdout_of(search(one.path()).arg("--no-final-trainings"));
    let jobs = [("--threads", "2"), ("--jobs", "2")];
    stdout_of(search_with(two.path(), &jobs).args(["--no-final-trainings", "--tensorboard"]));
    assert_eq!(policy_of(two.path()), policy_of(one.path()));

    assert!(!one.path().join("run/tensorboard").exists());
    let curves = files_in(&two.path().join("run/tensorboard"));
    for fold in ["fold-0", "fold-1"] {
        let of_fold = curves.iter().filter(|(name, _)| name.starts_with(fold));
        let of_fold: Vec<_> = of_fold.collect();
        let [(name, content)] = of_fold[..] else {
            panic!("{fold} has {} files", of_fold.len());
        };
        let name = name.file_name().unwrap().to_string_lossy();
        assert!(name.starts_with("events.out.tfevents."), "{name}");
        let content = String::from_utf8_lossy(content);
        for curve in ["train/loss", "search/best", "validation/error"] {
            assert!(content.contains(curve), "{fold} has no {curve}");
        }
    }
}

fn errors_of(result: &Value) -> Vec<f64> {
    let errors = result["errors"].as_array().unwrap().iter();
    errors.map(|error| error.as_f64().unwrap()).collect()
}
