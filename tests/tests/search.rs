//! A search with the real programs and libtorch: images → policy → augmented images.

use std::fs;

use faa_tests::plugins::abi_example;
use faa_tests::runs::{Running, data_set, json_in, policy_of, search, search_with};
use faa_tests::{
    assert_contains, assert_fails, build_torch, faa_runtime, json_of, output_of, stdout_of,
    write_image,
};
use serde_json::Value;

#[test]
fn a_search_finds_a_policy_that_can_be_applied() {
    let folder = data_set();
    let table = stdout_of(&mut search(folder.path()));
    assert_contains(
        &table,
        &["crop, flip", "crop, flip, Cutout", "random policy + base"],
    );
    assert_contains(&table, &["TrivialAugment + base", "the policy + base"]);
    let summary = json_in(&folder.join("run/summary.json"));
    assert_eq!(summary["final_trainings"].as_array().unwrap().len(), 5);
    assert_contains(&table, &["one seed: no interval; differences within about"]);
    for fold in ["run/fold-0/trials.jsonl", "run/fold-1/trials.jsonl"] {
        let lines = folder.read(fold);
        assert_eq!(lines.lines().count(), 12);
        for line in lines.lines() {
            let trial: Value = serde_json::from_str(line).unwrap();
            assert!((0.0..=1.0).contains(&trial["any"].as_f64().unwrap()));
            assert!(trial["any"].as_f64() >= trial["mean"].as_f64());
            assert_eq!(trial["candidate"].as_array().unwrap().len(), 5);
        }
    }

    let checked = stdout_of(&mut folder.faa_runtime("policy check run/policy.json"));
    assert_contains(&checked, &["valid"]);
    let apply = "apply --policy run/policy.json --grid 15 data/train/class-1/000.png --out sheets";
    stdout_of(&mut folder.faa_runtime(apply));
    let sheet = folder.pixels("sheets/000.png");
    assert_eq!(sheet.dimensions(), (4 * (96 + 4) + 4, 4 * (96 + 4) + 4));
}

#[test]
fn a_search_that_is_stopped_continues_to_the_same_policy() {
    let uninterrupted = data_set();
    stdout_of(search(uninterrupted.path()).arg("--no-final-trainings"));

    let folder = data_set();
    let mut running = Running::start(search(folder.path()).arg("--no-final-trainings"));
    running.wait_for(|event| event["event"] == "trial_done");
    running.signal("INT");
    running.assert_fails(&["stopped; the same command continues"]);

    let [_, message] = output_of(search(folder.path()).arg("--no-final-trainings"));
    assert_contains(&message, &["of 6 trials"]);
    assert_eq!(policy_of(folder.path()), policy_of(uninterrupted.path()));
}

/// Four policies in two rungs, and five fixed ones in both.
const SHORT_TRAININGS: [(&str, &str); 9] = [
    ("--data", "glyphs"),
    ("--objective", "train"),
    ("--images", "100"),
    ("--entrants", "4"),
    ("--rungs", "2"),
    ("--reduction", "2"),
    ("--rung-epochs", "3"),
    ("--early-epochs", "2"),
    ("--final-trainings", "policy"),
];

#[test]
fn short_trainings_that_are_stopped_continue_to_the_same_policy() {
    let uninterrupted = data_set();
    let text = stdout_of(&mut search_with(uninterrupted.path(), &SHORT_TRAININGS));
    assert_contains(&text, &["last rung", "validation loss", "trivialaugment"]);
    assert_contains(&text, &["the policy + base", "policy: run/policy.json"]);
    let run = uninterrupted.join("run");
    let result = &json_in(&run.join("summary.json"))["halving"];
    let standings = result["standings"].as_array().unwrap();
    // Two searched policies, the base augmentation, two shipped policies, and those of the audit and of
    // density matching.
    assert_eq!(standings.len(), 7);
    assert!(standings.iter().any(|it| it["name"] == "audited"));
    assert!(
        standings
            .iter()
            .all(|it| it["losses"].as_array().unwrap().len() == 2)
    );
    assert!(!result["effects"].as_array().unwrap().is_empty());
    let policy: Value = serde_json::from_str(&policy_of(uninterrupted.path())).unwrap();
    assert_eq!(policy["provenance"]["objective"], "train");
    stdout_of(&mut uninterrupted.faa_runtime("policy check run/policy.json"));
    let page = uninterrupted.read("run/report.html");
    assert_contains(
        &page,
        &[
            "Which ops are safe",
            "Successive halving",
            "The last rung",
            "What each op does",
        ],
    );

    let folder = data_set();
    let mut running = Running::start(&mut search_with(folder.path(), &SHORT_TRAININGS));
    running.wait_for(|event| event["training"]["halving"]["rung"] == 1);
    running.signal("INT");
    running.assert_fails(&["stopped; the same command continues"]);
    let [_, message] = output_of(&mut search_with(folder.path(), &SHORT_TRAININGS));
    assert_contains(&message, &["(already finished)", "rung 2 of 2: entrant "]);
    assert_eq!(policy_of(folder.path()), policy_of(uninterrupted.path()));
}

#[test]
fn a_different_configuration_in_the_same_directory_is_refused() {
    let folder = data_set();
    stdout_of(search(folder.path()).arg("--no-final-trainings"));
    let mut other = search(folder.path());
    other.args(["--no-final-trainings", "--seed", "1"]);
    assert_fails(
        &mut other,
        1,
        &["a different `common.seed` (recorded 0, now 1)"],
    );
}

#[test]
fn advice_can_be_followed_in_the_same_directory() {
    let folder = data_set();
    write_image(&folder.join("data/train/class-0/odd.png"), 20, 18, 1);
    assert_fails(&mut search(folder.path()), 1, &["--image-size"]);
    stdout_of(search(folder.path()).args(["--no-final-trainings", "--image-size", "16"]));
}

#[test]
fn changed_images_are_detected() {
    let folder = data_set();
    stdout_of(search(folder.path()).arg("--no-final-trainings"));
    write_image(&folder.join("data/train/class-0/new.png"), 16, 16, 1);
    let mut again = search(folder.path());
    assert_fails(
        again.arg("--no-final-trainings"),
        1,
        &["/data are not those that the run in run began with"],
    );
}

#[test]
fn a_data_set_is_found_from_a_different_folder() {
    let folder = data_set();
    folder.write("data/train/labels.csv", "?");
    let [_, messages] = output_of(search(folder.path()).arg("--no-final-trainings"));
    let unused = "which are not used (1): labels.csv";
    assert_contains(&messages, &["warning: ", unused]);
    let run = json_in(&folder.join("run/run.json"));
    let data = format!("folder:{}", folder.join("data").display());
    assert_eq!(run["config"]["common"]["data"], data);
    // The policy is also read elsewhere, and names no folder of this machine.
    let policy: Value = serde_json::from_str(&policy_of(folder.path())).unwrap();
    let provenance = &policy["provenance"];
    assert_eq!(provenance["config"]["common"]["data"], "folder:data");
    let source = provenance["source"].as_str().unwrap();
    assert_contains(source, &["search on folder:data, seed 0"]);

    let elsewhere = folder.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let mut again = search_with(&elsewhere, &[("--data", &data), ("--out", "../run")]);
    let [_, messages] = output_of(again.arg("--no-final-trainings"));
    assert!(!messages.contains("has moved"), "{messages}");
    fs::rename(folder.join("data"), folder.join("moved")).unwrap();
    let mut again = search_with(folder.path(), &[("--data", "folder:moved/")]);
    let [_, messages] = output_of(again.arg("--no-final-trainings"));
    let moved = format!(
        "the data set has moved from {data} to {}",
        data.replace("data", "moved")
    );
    assert_contains(&messages, &[&moved]);
    fs::rename(folder.join("moved"), folder.join("data")).unwrap();
    let data = data + "/";
    let mut again = search_with(folder.path(), &[("--data", &data)]);
    output_of(again.arg("--no-final-trainings"));
    let mut report = faa_runtime();
    report.current_dir(&elsewhere);
    stdout_of(report.args(["report", "../run", "--out", "page.html"]));
    assert_contains(&folder.read("elsewhere/page.html"), &["<img "]);
}

#[test]
fn images_of_a_group_are_not_split() {
    let folder = data_set();
    // All names begin with it.
    assert_fails(
        search(folder.path()).args(["--group-by", "0"]),
        1,
        &["has 20 images in use (groups: 1), too few for these folds: at least 2 are needed"],
    );
}

#[test]
fn a_broken_image_is_named() {
    let folder = data_set();
    folder.write("data/train/class-0/broken.png", "no image");
    assert_fails(&mut search(folder.path()), 1, &["broken.png"]);
}

#[test]
fn doctor_reports_libtorch() {
    build_torch();
    let report = json_of(faa_runtime().args(["doctor", "--json"]));
    assert_eq!(report["libtorch"]["version"], "2.11.0");
    assert_eq!(report["torch"]["onednn"], true);
    assert!(report["torch"]["cuda_devices"].is_u64());
}

/// A plugin's op is searched over like a built-in one, the policy records the plugin's module, and the
/// search continues only with the same module.
#[test]
fn ops_of_plugins_are_searched_over() {
    let folder = data_set();
    folder.write("plugins/flicker.wasm", abi_example());
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
    let doctor = json_of(&mut folder.faa_runtime("doctor --json --plugins plugins"));
    assert_eq!(recorded["sha256"], doctor["plugins"]["loaded"][0]["sha256"]);
    let apply =
        "apply --policy run/policy.json --plugins plugins data/test/class-0/000.png --out out";
    stdout_of(&mut folder.faa_runtime(apply));

    // The module differs only in a custom section that is ignored.
    let mut other = abi_example();
    other.extend(b"\0\x02\x01x");
    folder.write("plugins/flicker.wasm", other);
    assert_fails(&mut with_plugins(), 1, &["a different `common.plugins`"]);
    // Without --ops, the paper's ops are searched over too.
    let folder = data_set();
    folder.write("plugins/flicker.wasm", abi_example());
    stdout_of(search(folder.path()).args(["--plugins", "plugins", "--no-final-trainings"]));
    let run = json_in(&folder.join("run/run.json"));
    let ops = run["config"]["search"]["ops"].as_array().unwrap();
    assert_eq!((ops.len(), &ops[15]), (16, &"Flicker".into()));
}
