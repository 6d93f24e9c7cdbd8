//! `train` and `eval`, and parallel searches.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use faa_op::text::is_display_control;
use faa_tests::runs::{
    Running, data_set, files_in, json_in, policy_of, search, search_with, train_with,
};
use faa_tests::workdir::{POLICY, Workdir};
use faa_tests::{
    assert_all_fail, assert_contains, assert_fails, output_of, run, stdout_of, write_data_set,
};
use serde_json::Value;

/// The augmentations of a policy and its baselines, and their names in the table.
const ROWS: [(&str, &str); 5] = [
    ("policy", "the policy + base"),
    ("none", "crop, flip"),
    ("cutout", "crop, flip, Cutout (base)"),
    ("random", "random policy + base"),
    ("trivialaugment", "TrivialAugment + base"),
];

fn eval(folder: &Workdir, arguments: &str) -> Command {
    folder.faa_runtime(&format!("eval --device cpu --threads 1 {arguments}"))
}

#[test]
fn a_policy_and_its_baselines_are_trained_and_measured() {
    let folder = data_set();
    let at = folder.path();
    folder.write("mine.json", POLICY);
    let changed = [("--policy", "mine.json"), ("--seeds", "2")];
    let table = stdout_of(train_with(at, &changed).arg("--baselines"));

    let summary = json_in(&at.join("run/summary.json"));
    assert_eq!(summary["policy"], "run/policy.json");
    assert_eq!(summary["sub_policies"], 2);
    let policy: Value = serde_json::from_str(&policy_of(at)).unwrap();
    assert_eq!(policy["name"], "two");
    let final_trainings = summary["final_trainings"].as_array().unwrap();
    assert_eq!(final_trainings.len(), 5);
    let means: Vec<f64> = final_trainings.iter().map(mean_of).collect();
    let comparisons = summary["comparisons"].as_array().unwrap();
    for ((result, line), (augmentation, row)) in
        final_trainings.iter().zip(table.lines().skip(1)).zip(ROWS)
    {
        assert_eq!(result["augmentation"], augmentation);
        let [first, second] = errors_of(result)[..] else {
            panic!("{result}");
        };
        let mean = mean_of(result);
        // Both deviate from the mean by half of their difference, and there is one degree of freedom.
        let deviation = (first - second).abs() / 2.0_f64.sqrt();
        let error = format!("{:.2} ± {:.2} %", 100.0 * mean, 100.0 * deviation);
        let (trained_with, rest) = line.split_at(row.len());
        assert_eq!(trained_with, row, "{table}");
        let rest: Vec<&str> = rest.split("  ").map(str::trim).collect();
        let rest: Vec<&str> = rest.into_iter().filter(|cell| !cell.is_empty()).collect();
        assert_eq!(rest[..2], [error.as_str(), "2"], "{table}");
        assert_eq!(
            rest.len(),
            if augmentation == "policy" { 2 } else { 3 },
            "{table}"
        );
        // Two seeds of three classes with five test images each.
        let by_class = result["by_class"].as_array().unwrap();
        let sum = |key: &str| {
            by_class
                .iter()
                .map(|it| it[key].as_u64().unwrap())
                .sum::<u64>()
        };
        assert_eq!((by_class.len(), sum("images")), (3, 30));
        assert!(
            (sum("errors") as f64 - 30.0 * mean).abs() < 1e-9,
            "{result}"
        );
    }
    assert_eq!(comparisons.len(), 4);
    for ((comparison, mean), (baseline, _)) in comparisons.iter().zip(&means[1..]).zip(&ROWS[1..]) {
        assert_eq!(comparison["baseline"], *baseline);
        let difference = comparison["difference"].as_f64().unwrap();
        assert!(
            (difference - (means[0] - mean)).abs() < 1e-12,
            "{comparison}"
        );
        // There is none if no seed differs.
        if let Some([low, high]) = comparison["interval"].as_array().map(Vec::as_slice) {
            let [low, high] = [low, high].map(|end| end.as_f64().unwrap());
            assert!(low <= difference && difference <= high, "{comparison}");
        }
    }
    let sentences = table
        .lines()
        .filter(|line| line.starts_with("The policy is "));
    assert_eq!(sentences.count(), 4, "{table}");
    assert_contains(
        &table,
        &["errors by class:", "class-0", "class-1", "class-2"],
    );
    let page = folder.read("run/report.html");
    assert_contains(&page, &["<title>Training on folder:data</title>"]);

    // `eval` measures the same errors as the training did.
    let lines = stdout_of(&mut eval(&folder, "run --data folder:data --json"));
    let measured = lines.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let network = line["network"].as_str().unwrap().to_owned();
        (network, line["error"].as_f64().unwrap())
    });
    let mut recorded: BTreeMap<String, f64> = BTreeMap::new();
    for result in final_trainings {
        let augmentation = result["augmentation"].as_str().unwrap();
        for (seed, error) in errors_of(result).into_iter().enumerate() {
            let network = format!("run/final/{augmentation}-{seed}/network.safetensors");
            recorded.insert(network, error);
        }
    }
    assert_eq!(measured.collect::<BTreeMap<_, _>>(), recorded);
    let network = "run/final/policy-1/network.safetensors";
    let table = stdout_of(&mut eval(&folder, &format!("{network} --data folder:data")));
    let error = format!("{:.2} %", 100.0 * recorded[network]);
    assert_contains(&table, &[network, &error]);
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
        let summary = json_in(&folder.join("run/summary.json"));
        assert_eq!(summary["final_trainings"][0]["augmentation"], augmentation);
        assert_eq!(summary["policy"], Value::Null);
        if augmentation == "random" {
            let recorded = json_in(&folder.join("run/run.json"));
            let random = &recorded["config"]["final_trainings"]["random"];
            assert_eq!(random["sub_policies"], 3);
        }
    }
}

/// Trainings of seconds have three seeds, and RandAugment is a baseline on request.
#[test]
fn the_number_of_seeds_is_chosen_by_an_estimate() {
    let folder = data_set();
    let command = |seeds| {
        let mut command = train_with(folder.path(), &[("--policy", "none"), ("--seeds", seeds)]);
        command.arg("--baselines=randaugment");
        command
    };
    let [table, message] = output_of(&mut command(""));
    let parts = [
        "6 final trainings; run directory run",
        "3 seeds per final training, because all of them with 3 seeds were estimated at ",
        " min, under an hour (--seeds overrides this in a new run)",
    ];
    assert_contains(&message, &parts);
    assert_contains(&table, &["RandAugment + base  ", " ± "]);
    for result in json_in(&folder.join("run/summary.json"))["final_trainings"]
        .as_array()
        .unwrap()
    {
        assert_eq!(errors_of(result).len(), 3);
    }
    assert_eq!(json_in(&folder.join("run/seeds.json"))["seeds"], 3);

    let advice = "the run in run was started with an automatic number of seeds: omit --seeds to continue it, or \
                  choose a different --out";
    assert_fails(&mut command("3"), 1, &[advice]);
    stdout_of(&mut command(""));
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
    running.assert_fails(&["stopped; the same command continues in run"]);
    assert!(!folder.join("run/summary.json").exists());
    let [_, message] = output_of(&mut start(folder.path()));
    assert_contains(&message, &["(already finished)", "of 10 epochs"]);

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
    type Start = fn(&Path) -> Command;
    let training: Start = |folder| train_with(folder, &[("--policy", "none")]);
    let search: Start = |folder| {
        let mut command = search(folder);
        command.arg("--no-final-trainings");
        command
    };
    for (creator, [first, second]) in [
        ("created by `train`, not by `search`", [training, search]),
        ("created by `search`, not by `train`", [search, training]),
    ] {
        let folder = data_set();
        stdout_of(&mut first(folder.path()));
        let before = files_in(&folder.join("run"));
        let words = format!("run was {creator}: choose a different --out");
        assert_fails(&mut second(folder.path()), 1, &[&words]);
        assert!(files_in(&folder.join("run")) == before);
    }
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
    folder.write("torn.safetensors", content);
    fs::create_dir_all(at.join("begun/final/cutout-0")).unwrap();

    let classes = "run/final/cutout-0/network.safetensors has 3 classes (class-0, class-1, class-2), \
                   and the data set has 2 (class-0, class-1)";
    assert_fails(&mut eval(&folder, "run --data folder:two"), 1, &[classes]);
    assert_all_fail(
        |network| eval(&folder, &format!("{network} --data folder:data")),
        "1 torn.safetensors => torn.safetensors is damaged
         1 missing.safetensors => cannot read missing.safetensors
         1 /dev/zero => /dev/zero is not a regular file
         1 data => data has no trained network of a final training
         1 begun => begun has no trained network of a final training",
    );
}

/// A folder of a data set names a class, which a trained network keeps in its metadata.
#[test]
fn names_of_classes_do_not_control_the_terminal() {
    let folder = data_set();
    let evil = "\u{1b}]0;owned\u{7}\u{202e}\u{9b}2J";
    for split in ["train", "test"] {
        let split = folder.join("data").join(split);
        fs::rename(split.join("class-0"), split.join(evil)).unwrap();
    }
    let outputs = [
        run(&mut train_with(folder.path(), &[("--policy", "none")])),
        run(&mut eval(&folder, "run --data folder:data")),
        run(&mut eval(&folder, "run --data glyphs")),
        run(&mut eval(&folder, "run --data glyphs --json")),
    ];
    let codes = outputs.each_ref().map(|output| output.status.code());
    assert_eq!(codes, [Some(0), Some(0), Some(1), Some(1)]);
    let texts = outputs.map(|output| [output.stdout, output.stderr].concat());
    let text = String::from_utf8(texts.concat()).unwrap();
    let controls = |character: char| character != '\n' && is_display_control(character);
    assert!(!text.contains(controls), "{text:?}");
    assert_contains(&text, &["(]0;owned   2J, class-1, class-2)"]);
}

/// Four jobs of two folds: two of them help to score candidates. Alone, a fold is helped too.
#[test]
fn the_number_of_jobs_does_not_change_what_batches_find() {
    let run = |jobs: &str, more: &[&str]| {
        let folder = data_set();
        let options = [
            ("--batch-proposals", "4"),
            ("--threads", jobs),
            ("--jobs", jobs),
        ];
        let mut search = search_with(folder.path(), &options);
        stdout_of(search.arg("--no-final-trainings").args(more));
        folder
    };
    let (one, four) = (run("1", &[]), run("4", &[]));
    assert_eq!(policy_of(four.path()), policy_of(one.path()));
    let alone = run("3", &["--fold", "1"]);
    let trials = |folder: &Workdir| {
        let log = fs::read_to_string(folder.join("run/fold-1/trials.jsonl")).unwrap();
        let candidates = log.lines().map(|line| {
            let trial: Value = serde_json::from_str(line).unwrap();
            (trial["candidate"].clone(), trial["reward"].clone())
        });
        candidates.collect::<Vec<_>>()
    };
    assert_eq!(trials(&alone), trials(&one));
}

#[test]
fn parallel_jobs_and_tensorboard_do_not_change_the_policy() {
    let (one, two) = (data_set(), data_set());
    stdout_of(search(one.path()).arg("--no-final-trainings"));
    let jobs = [("--threads", "2"), ("--jobs", "2")];
    stdout_of(search_with(two.path(), &jobs).args(["--no-final-trainings", "--tensorboard"]));
    assert_eq!(policy_of(two.path()), policy_of(one.path()));

    assert!(!one.join("run/tensorboard").exists());
    let curves = files_in(&two.join("run/tensorboard"));
    for fold in ["fold-0", "fold-1"] {
        let of_fold = curves.iter().filter(|(name, _)| name.starts_with(fold));
        let of_fold: Vec<_> = of_fold.collect();
        let [(name, content)] = of_fold[..] else {
            panic!("{fold} has {} files", of_fold.len());
        };
        let name = name.file_name().unwrap().to_string_lossy();
        assert!(name.starts_with("events.out.tfevents."), "{name}");
        let content = String::from_utf8_lossy(content);
        assert_contains(&content, &["train/loss", "search/best", "validation/error"]);
    }
}

fn mean_of(result: &Value) -> f64 {
    let errors = errors_of(result);
    errors.iter().sum::<f64>() / errors.len() as f64
}

fn errors_of(result: &Value) -> Vec<f64> {
    let errors = result["errors"].as_array().unwrap().iter();
    errors.map(|error| error.as_f64().unwrap()).collect()
}
