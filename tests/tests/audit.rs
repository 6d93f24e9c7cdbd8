//! `audit`: what it prints and writes, and what its policy is good for.

use faa_tests::runs::{Running, audit_with, data_set, files_in, json_in, train_with};
use faa_tests::{assert_all_fail, assert_contains, assert_fails, stdout_of};
use serde_json::Value;

#[test]
fn an_audit_prints_a_table_and_writes_findings_a_page_and_a_policy() {
    let folder = data_set();
    let at = folder.path();
    let table = stdout_of(&mut audit_with(at, &[]));
    for op in ["Rotate", "Cutout", "FlipX"] {
        assert!(table.lines().any(|line| line.starts_with(op)), "{table}");
    }
    assert_contains(&table, &["held-out images", "policy: run/policy.json"]);

    let audit = json_in(&at.join("run/audit.json"));
    // A quarter of three classes of 20 images.
    assert_eq!(audit["images"], 15);
    let points: Vec<usize> = (audit["ops"].as_array().unwrap().iter())
        .map(|op| op["points"].as_array().unwrap().len())
        .collect();
    assert_eq!(points, [4, 2, 1]);
    assert_eq!(folder.read("run/audit/points.jsonl").lines().count(), 7);
    let worst = &audit["ops"][0]["points"][0]["worst"];
    assert!(
        worst["class"].as_str().unwrap().starts_with("class-"),
        "{worst}"
    );

    let page = folder.read("run/report.html");
    let parts = [
        "<title>Audit on folder:data</title>",
        "<section id=\"audit\">",
        "Accuracy under Rotate by its value",
        "7 of 7 measurements",
    ];
    assert_contains(&page, &parts);
    stdout_of(&mut folder.faa_runtime("report run --out again.html"));
    assert!(folder.read("again.html") == page);

    // The policy can be trained with.
    let policy: Value = serde_json::from_str(&folder.read("run/policy.json")).unwrap();
    assert_eq!(policy["sampler"]["count"], 1);
    let train = [("--policy", "run/policy.json"), ("--out", "trained")];
    assert_contains(
        &stdout_of(&mut train_with(at, &train)),
        &["the policy + base"],
    );
}

#[test]
fn an_audit_that_is_stopped_continues_to_the_same_findings() {
    let whole = data_set();
    stdout_of(&mut audit_with(whole.path(), &[]));

    let folder = data_set();
    let mut running = Running::start(&mut audit_with(folder.path(), &[]));
    running.interrupt_at(|event| event["event"] == "point_done" && event["op"] == "Rotate");
    running.assert_fails(&["stopped; the same command continues in run"]);
    let mut command = audit_with(folder.path(), &[]);
    let events = stdout_of(command.arg("--json"));
    let events: Vec<Value> = (events.lines())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let done = events.iter().find(|event| event["event"] == "audit_done");
    assert_eq!(done.unwrap()["images"], 15);
    let results = |run: &std::path::Path| {
        let mut files = files_in(run);
        files.retain(|name, _| name.ends_with("audit.json") || name.ends_with("policy.json"));
        files
    };
    let found = results(&folder.join("run"));
    assert_eq!(found.len(), 2);
    assert!(found == results(&whole.join("run")));
}

#[test]
fn a_trained_network_can_be_audited_and_gives_the_same() {
    let folder = data_set();
    let at = folder.path();
    stdout_of(&mut audit_with(at, &[]));
    let network = ("--network", "run/audit/network.safetensors");
    let again = stdout_of(&mut audit_with(at, &[network, ("--out", "again")]));
    assert_contains(&again, &["Rotate"]);
    let read = |run: &str| json_in(&at.join(run).join("audit.json"))["ops"].clone();
    assert_eq!(read("run"), read("again"));
    let wrong = [("--network", "data"), ("--out", "wrong")];
    assert_fails(
        &mut audit_with(at, &wrong),
        1,
        &["reading the network failed"],
    );
}

#[test]
fn impossible_audits_are_refused() {
    let folder = data_set();
    assert_all_fail(
        |options| folder.faa_runtime(&format!("audit --data folder:data --out run {options}")),
        "2 --ops Rotat => no op is named `Rotat`; did you mean `Rotate`?
         2 --held-out 1 => leaves no images to train a network on
         2 --values 1 => must be a number from 2 to 100
         2 --tolerance 2 => `--tolerance` is 2: it must be from 0 to 1",
    );
    assert!(!folder.join("run").exists());
}
