//! Tests of the script, with shell scripts in place of the programs.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::{ABOUT, BIN, TEXTS};

const SCRIPT: &str = include_str!("../../../../tests/gpu/run.sh");
const LAYOUT: &str = include_str!("../../../search/src/layout.rs");

/// A search that the script wants to kill waits for it; every other one ends at once.
const FAA_RUNTIME: &str = r#"
[ "$1" != doctor ] || exit 0
for out; do :; done
mkdir -p "$out/fold-0"
echo '{"error": 0.25}' >"$out/fold-0/evaluation.json"
echo weights >"$out/fold-0/network.safetensors"
echo weights >"$out/fold-0/checkpoint.safetensors"
echo half >"$out/.partial-1"
mkdir -p "$out/final/policy-0"
echo '{"error": 0.125}' >"$out/final/policy-0/evaluation.json"
echo '{"images": 640, "seconds": 2}' >"$out/final/policy-0/epochs.jsonl"
[ "$out" != results/resume ] || [ -e results/done/resume-killed ] || exec sleep 1000
echo '{"sub_policies": [[], [], []]}' >"$out/policy.json"
"#;

/// Finds errors in bf16 only.
const COMPUTE_SANITIZER: &str = r#"
case "$*" in
    "--tool memcheck --error-exitcode 3 bin/rates glyphs wrn-16-2 512 128 cuda:0 float32 "*)
        echo '========= ERROR SUMMARY: 0 errors' ;;
    *) echo '========= ERROR SUMMARY: 12 errors' && exit 3 ;;
esac
"#;

/// A packed folder, and one for programs that are on the `PATH`.
fn pack() -> (TempDir, TempDir) {
    let [pack, path] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::copy(script.join(TEXTS[0]), pack.path().join("run.sh")).unwrap();
    fs::write(pack.path().join(ABOUT), "data: data/pets.tar\n").unwrap();
    fs::create_dir(pack.path().join(BIN)).unwrap();
    program(&pack.path().join(BIN).join("faa-runtime"), FAA_RUNTIME);
    (pack, path)
}

fn program(path: &Path, script: &str) {
    fs::write(path, format!("#!/bin/sh\n{script}")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn run(folder: &Path, path: Option<&Path>, arguments: &str) -> Output {
    let mut search = std::env::var_os("PATH").unwrap();
    if let Some(path) = path {
        let mut folder = path.as_os_str().to_owned();
        folder.push(":");
        folder.push(&search);
        search = folder;
    }
    let mut command = Command::new("bash");
    command.arg(folder.join("run.sh"));
    command.args(arguments.split_whitespace());
    command.env("PATH", search);
    command.output().unwrap()
}

/// Runs a stage, and returns its exit status and the summary.
fn summary_of(folder: &Path, path: Option<&Path>, arguments: &str) -> (Option<i32>, String) {
    let arguments = format!("{arguments} --data glyphs --libtorch .");
    let output = run(folder, path, &arguments);
    let summary = fs::read_to_string(folder.join("results/summary.txt"));
    let summary = summary.unwrap_or_else(|error| {
        let errors = String::from_utf8_lossy(&output.stderr);
        panic!("no summary: {error}; {errors}")
    });
    (output.status.code(), summary)
}

#[test]
fn wrong_options_are_refused_with_the_usage() {
    let (pack, _) = pack();
    for (arguments, expected) in [
        ("--tiny", "the stage is missing"),
        ("test", "unknown stage `test`"),
        ("check rates", "only one stage per call"),
        ("all --verbose", "unknown option --verbose"),
        ("all --verbose=1", "unknown option --verbose"),
        ("all -o results", "unknown option -o"),
        ("all --out", "--out needs a value"),
        ("all --out=", "--out needs a value"),
        ("all --out --tiny", "--out needs a value"),
        ("all --budget", "--budget needs a value"),
        ("all --budget 9m", "--budget: `9m` is not a whole number"),
        ("all --seed 1.5", "--seed: `1.5` is not a whole number"),
        ("all --jobs 0", "--jobs must be at least 1"),
        (
            "all --threads=010",
            "--threads: `010` is not a whole number",
        ),
        ("all --seed 12345678901", "at most nine digits"),
    ] {
        let output = run(pack.path(), None, arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments}: {errors}");
        assert!(output.stdout.is_empty(), "{arguments}");
        assert!(errors.contains(expected), "{arguments}: {errors}");
        assert!(errors.contains("usage: ./run.sh STAGE"), "{errors}");
    }
    assert!(!pack.path().join("results").exists());

    for arguments in ["", "help", "all --help"] {
        let output = run(pack.path(), None, arguments);
        assert!(output.status.success() && output.stderr.is_empty());
        let usage = String::from_utf8(output.stdout).unwrap();
        assert!(usage.starts_with("usage: "), "{usage}");
    }
}

#[test]
fn variables_of_a_cluster_are_no_options() {
    let (pack, _) = pack();
    let mut command = Command::new("bash");
    command.arg(pack.path().join("run.sh"));
    command.args(["report", "--seed=7"]);
    for name in [
        "OUT", "DATA", "SEED", "DEVICE", "BUDGET", "JOBS", "THREADS", "POLICY", "PYTHON", "TINY",
    ] {
        command.env(name, "1").env(name.to_lowercase(), "1");
    }
    assert!(command.output().unwrap().status.success());
    let settings = fs::read_to_string(pack.path().join("results/settings.txt")).unwrap();
    assert_eq!(
        settings,
        "--device cuda:0 --seed 7 --data tar:data/pets.tar\n"
    );
}

#[test]
fn files_of_runs_have_the_names_that_the_script_reads() {
    let words = SCRIPT.split(|c: char| !(c.is_alphanumeric() || "._-".contains(c)));
    let files = words.filter(|word| word.ends_with(".json") || word.ends_with(".jsonl"));
    let files: BTreeSet<&str> = files.collect();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        assert!(LAYOUT.contains(file), "{file} is no file of a run");
    }
}

#[test]
fn the_summary_has_the_errors_of_trainings() {
    let (pack, _) = pack();
    fs::write(
        pack.path().join("mine.json"),
        r#"{"sub_policies": [[], []]}"#,
    )
    .unwrap();
    let (status, summary) = summary_of(pack.path(), None, "train --policy mine.json");
    assert_eq!(status, Some(0), "{summary}");
    for expected in [
        "| test error, Cutout only | 12.50 % after 1 epochs | 4.1 % |",
        "| training, the found policy | 320 images/s |",
        "--policy random:2 ",
    ] {
        assert!(summary.contains(expected), "{expected}\n{summary}");
    }
}

#[test]
fn a_search_is_killed_and_continued_and_its_results_are_packed_without_networks() {
    let (pack, _) = pack();
    let folder = pack.path();
    let early = run(folder, None, "resume --data glyphs --libtorch .");
    assert_eq!(early.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&early.stderr).into_owned();
    assert!(errors.contains("run ./run.sh search first"), "{errors}");

    let (status, summary) = summary_of(folder, None, "search");
    assert_eq!(status, Some(0), "{summary}");
    assert!(summary.contains("| search | 3 sub-policies, 0 trials |"));
    let (status, summary) = summary_of(folder, None, "resume");
    assert_eq!(status, Some(0), "{summary}");
    for expected in [
        "| search, killed and continued | killed after ",
        " s more with 3 sub-policies, the same policy.json |",
    ] {
        assert!(summary.contains(expected), "{expected}\n{summary}");
    }

    let listed = Command::new("tar")
        .arg("-tzf")
        .arg(folder.join("results.tar.gz"))
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    for name in [
        "summary.txt",
        "search/policy.json",
        "resume/fold-0/evaluation.json",
        "log.txt",
    ] {
        let name = format!("results/{name}\n");
        assert!(listed.contains(&name), "{name} is not in\n{listed}");
    }
    for part in ["safetensors", ".partial-", ".tmp"] {
        assert!(!listed.contains(part), "{part} is in\n{listed}");
    }
    assert!(
        folder
            .join("results/search/fold-0/network.safetensors")
            .exists()
    );
    assert!(!folder.join("results.tar.gz.tmp").exists());
}

#[test]
fn the_summary_has_the_number_of_memory_errors_or_why_they_were_not_looked_for() {
    let (pack, path) = pack();
    let (status, summary) = summary_of(pack.path(), None, "sanitize --device cpu");
    assert_eq!(status, Some(0), "{summary}");
    let skipped = "compute-sanitizer: skipped, because the device is cpu\n";
    assert!(summary.contains(skipped), "{summary}");

    fs::remove_dir_all(pack.path().join("results")).unwrap();
    program(&path.path().join("compute-sanitizer"), COMPUTE_SANITIZER);
    let (status, summary) = summary_of(pack.path(), Some(path.path()), "sanitize");
    assert_eq!(status, Some(1), "{summary}");
    for expected in [
        "| short training and scoring in float32 | compute-sanitizer: 0 errors |",
        "| short training and scoring in bf16 | compute-sanitizer: 12 errors |",
        "Failed: sanitize-bf16\n",
    ] {
        assert!(summary.contains(expected), "{expected}\n{summary}");
    }
    assert!(!summary.contains("skipped"), "{summary}");
}

#[test]
fn what_does_not_fit_into_a_call_is_a_failure_after_which_the_other_steps_follow() {
    let (pack, path) = pack();
    let endless = "case $* in *float32*) exec sleep 1000 ;; esac";
    program(&path.path().join("compute-sanitizer"), endless);
    program(&pack.path().join(BIN).join("device_check"), "echo ok same");
    program(&pack.path().join(BIN).join("rates"), "echo {}");
    let (status, summary) = loop {
        let (status, summary) = summary_of(pack.path(), Some(path.path()), "all --budget 2");
        if status != Some(75) {
            break (status, summary);
        }
    };
    assert_eq!(status, Some(1), "{summary}");
    let failed = "\nFailed: sanitize-float32\n";
    assert!(summary.ends_with(failed), "{summary}");
    for name in ["sanitize-bf16", "resume", "train-random"] {
        let done = pack.path().join("results/done").join(name);
        assert_eq!(fs::read_to_string(done).unwrap(), "0\n", "{name}");
    }
}
