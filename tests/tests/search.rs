//! A search with the real programs and libtorch: images → policy → augmented images.

use std::fs;

use faa_tests::plugins::abi_example;
use faa_tests::runs::{Running, data_set, json_in, policy_of, search};
use faa_tests::{build_torch, faa_runtime, failure_of, run, stdout_of, write_image};
use serde_json::Value;

#[test]
fn a_search_finds_a_policy_that_can_be_applied() {
    let folder = data_set();
    let table = stdout_of(&mut search(folder.path()));
    for row in [
        "crop, flip",
        "crop, flip, Cutout",
        "random policy + base",
        "TrivialAugment + base",
        "the policy + base",
    ] {
        assert!(table.contains(row), "{table}");
    }
    let summary = json_in(&folder.path().join("run/summary.json"));
    assert_eq!(summary["final_trainings"].as_array().unwrap().len(), 5);
    for fold in ["run/fold-0/trials.jsonl", "run/fold-1/trials.jsonl"] {
        let lines = fs::read_to_string(folder.path().join(fold)).unwrap();
        assert_eq!(lines.lines().count(), 12);
        for line in lines.lines() {
            let trial: Value = serde_json::from_str(line).unwrap();
            assert!((0.0..=1.0).contains(&trial["any"].as_f64().unwrap()));
            assert!(trial["any"].as_f64() >= trial["mean"].as_f64());
            assert_eq!(trial["candidate"].as_array().unwrap().len(), 5);
        }
    }

    let run_in_folder = |arguments: &str| {
        let mut command = faa_runtime();
        command.current_dir(folder.path());
        stdout_of(command.args(arguments.split(' ')))
    };
    let checked = run_in_folder("policy check run/policy.json");
    assert!(checked.contains("valid"), "{checked}");
    let image = "data/train/class-1/000.png";
    run_in_folder(&format!(
        "apply --policy run/policy.json --grid 15 {image} --out sheets"
    ));
    let sheet = image::open(folder.path().join("sheets/000.png")).unwrap();
    assert_eq!(
        (sheet.width(), sheet.height()),
        (4 * (96 + 4) + 4, 4 * (96 + 4) + 4)
    );
}

#[test]
fn a_search_that_is_stopped_continues_to_the_same_policy() {
    let uninterrupted = data_set();
    stdout_of(search(uninterrupted.path()).arg("--no-final-trainings"));

    let folder = data_set();
    let mut running = Running::start(search(folder.path()).arg("--no-final-trainings"));
    running.wait_for(|event| event["event"] == "trial_done");
    running.signal("INT");
    let (code, message) = running.finish();
    assert_eq!(code, Some(1), "{message}");
    let expected = "stopped; the same command continues";
    assert!(message.contains(expected), "{message}");

    let output = run(search(folder.path()).arg("--no-final-trainings"));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{message}");
    assert!(message.contains("of 6 trials"), "{message}");
    assert_eq!(policy_of(folder.path()), policy_of(uninterrupted.path()));
}

#[test]
fn a_different_configuration_in_the_same_directory_is_refused() {
    let folder = data_set();
    stdout_of(search(folder.path()).arg("--no-final-trainings"));
    let (code, message) =
        failure_of(search(folder.path()).args(["--no-final-trainings", "--seed", "1"]));
    assert_eq!(code, 1);
    assert!(
        message.contains("a different `common.seed` (recorded 0, now 1)"),
        "{message}"
    );
}

#[test]
fn advice_can_be_followed_in_the_same_directory() {
    let folder = data_set();
    write_image(&folder.path().join("data/train/class-0/odd.png"), 20, 18, 1);
    let (code, message) = failure_of(&mut search(folder.path()));
    assert_eq!(code, 1);
    assert!(message.contains("--image-size"), "{message}");
    stdout_of(search(folder.path()).args(["--no-final-trainings", "--image-size", "16"]));
}

#[test]
fn changed_images_are_detected() {
    let folder = data_set();
    stdout_of(search(folder.path()).arg("--no-final-trainings"));
    write_image(&folder.path().join("data/train/class-0/new.png"), 16, 16, 1);
    let (code, message) = failure_of(search(folder.path()).arg("--no-final-trainings"));
    assert_eq!(code, 1);
    assert!(message.contains("the images are not those"), "{message}");
}

#[test]
fn a_broken_image_is_named() {
    let folder = data_set();
    fs::write(
        folder.path().join("data/train/class-0/broken.png"),
        b"no image",
    )
    .unwrap();
    let (code, message) = failure_of(&mut search(folder.path()));
    assert_eq!(code, 1);
    assert!(message.contains("broken.png"), "{message}");
}

#[test]
fn doctor_reports_libtorch() {
    build_torch();
    let report: Value =
        serde_json::from_str(&stdout_of(faa_runtime().args(["doctor", "--json"]))).unwrap();
    assert_eq!(report["libtorch"]["version"], "2.11.0");
    assert_eq!(report["torch"]["onednn"], true);
    assert!(report["torch"]["cuda_devices"].is_u64());
}

/// A plugin's op is searched over like a built-in one, the policy records the plugin's module, and the
/// search continues only with the same module.
#[test]
fn ops_of_plugins_are_searched_over() {
    let folder = data_set();
    let plugins = folder.path().join("plugins");
    fs::create_dir(&plugins).unwrap();
    let module = plugins.join("flicker.wasm");
    fs::write(&module, abi_example()).unwrap();
    let with_plugins = || {
        let mut command = search(folder.path());
        let options = "--plugins plugins --no-final-trainings --ops Flicker,Invert";
        command.args(options.split(' '));
        command
    };
    stdout_of(&mut with_plugins());
    let policy: Value = serde_json::from_str(&policy_of(folder.path())).unwrap();
    let steps = policy["sub_policies"].as_array().unwrap().iter();
    let ops: Vec<&str> = steps
        .flat_map(|steps| steps.as_array().unwrap())
        .map(|step| step["op"].as_str().unwrap())
        .collect();
    assert!(ops.contains(&"Flicker"), "{ops:?}");
    let recorded = &policy["provenance"]["plugins"][0];
    assert_eq!(recorded["op"], "Flicker");
    let doctor = stdout_of(
        faa_runtime()
            .args(["doctor", "--json", "--plugins"])
            .arg(&plugins),
    );
    let doctor: Value = serde_json::from_str(&doctor).unwrap();
    assert_eq!(recorded["sha256"], doctor["plugins"]["loaded"][0]["sha256"]);
    let mut apply = faa_runtime();
    apply.current_dir(folder.path());
    let arguments =
        "apply --policy run/policy.json --plugins plugins data/test/class-0/000.png --out out";
    stdout_of(apply.args(arguments.split(' ')));

    // The module differs only in a custom section that is ignored.
    let mut other = abi_example();
    other.extend(b"\0\x02\x01x");
    fs::write(&module, other).unwrap();
    let (_, error) = failure_of(&mut with_plugins());
    assert!(error.contains("a different `common.plugins`"), "{error}");
    // Without --ops, the paper's ops are searched over too.
    let folder = data_set();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    fs::write(folder.path().join("plugins/flicker.wasm"), abi_example()).unwrap();
    stdout_of(search(folder.path()).args(["--plugins", "plugins", "--no-final-trainings"]));
    let run = json_in(&folder.path().join("run/run.json"));
    let ops = run["config"]["search"]["ops"].as_array().unwrap();
    assert_eq!((ops.len(), &ops[15]), (16, &"Flicker".into()));
}
