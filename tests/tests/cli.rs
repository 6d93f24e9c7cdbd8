//! `faa-runtime` as people call it, without libtorch.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use faa_op::{Channels, ImageMut};
use faa_ops_builtin::builtin_ops;
use faa_policy::{Plan, Policy, Workspace};
use faa_tests::{faa_runtime, failure_of, run, stdout_of, write_image};
use serde_json::Value;
use tempfile::TempDir;

const POLICY: &str = r#"{"format": "faa-policy", "version": 1, "name": "two", "sub_policies": [
    [{"op": "Rotate", "probability": 0.9, "magnitude": 0.9},
     {"op": "Cutout", "probability": 0.8, "magnitude": 1.0}],
    [{"op": "Invert", "probability": 0.7}]
]}"#;

/// A folder with a policy and two images.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("policy.json"), POLICY).unwrap();
    write_image(&folder.path().join("cat.png"), 40, 30, 1);
    write_image(&folder.path().join("dog.bmp"), 17, 9, 2);
    folder
}

fn apply(folder: &TempDir, arguments: &[&str]) -> std::process::Command {
    let mut command = faa_runtime();
    command
        .current_dir(folder.path())
        .arg("apply")
        .args(arguments);
    command
}

fn pixels(path: &Path) -> image::RgbImage {
    image::open(path).unwrap().into_rgb8()
}

#[test]
fn ops_are_listed_for_people_and_programs_at_once() {
    let text = stdout_of(faa_runtime().arg("ops"));
    assert!(
        text.contains("ShearX") && text.contains("-0.3 … 0.3"),
        "{text}"
    );
    let started = Instant::now();
    let json = stdout_of(faa_runtime().args(["ops", "--json"]));
    // The aim is 30 ms; a busy machine is given more.
    assert!(started.elapsed() < Duration::from_millis(500));
    let ops: Vec<Value> = serde_json::from_str(&json).unwrap();
    let rotate = ops.iter().find(|op| op["name"] == "Rotate").unwrap();
    assert_eq!(
        (&rotate["low"], &rotate["high"]),
        (&Value::from(-30.0), &Value::from(30.0))
    );
    assert_eq!(rotate["mirrored"], true);
    assert_eq!(
        ops.iter().find(|op| op["name"] == "Invert").unwrap()["low"],
        Value::Null
    );
}

#[test]
fn a_policy_is_applied_reproducibly_and_differently_to_every_input() {
    let folder = folder();
    let plans = |out: &str, seed: &str| -> Value {
        let arguments = [
            "--policy",
            "policy.json",
            "--seed",
            seed,
            "--json",
            "--out",
            out,
            "cat.png",
            "dog.bmp",
        ];
        serde_json::from_str(&stdout_of(&mut apply(&folder, &arguments))).unwrap()
    };
    let (first, again, other) = (plans("a", "1"), plans("b", "1"), plans("c", "2"));
    assert_eq!(first[0]["draws"], again[0]["draws"]);
    assert_ne!(first[0]["draws"], other[0]["draws"]);
    let file = |out: &str, name: &str| fs::read(folder.path().join(out).join(name)).unwrap();
    assert_eq!(file("a", "cat.png"), file("b", "cat.png"));
    assert_eq!(
        pixels(&folder.path().join("a/dog.png")).dimensions(),
        (17, 9)
    );
}

#[test]
fn a_single_op_is_applied_with_exactly_its_value() {
    let folder = folder();
    stdout_of(&mut apply(
        &folder,
        &["--op", "Invert", "cat.png", "--out", "inverted"],
    ));
    let (before, after) = (
        pixels(&folder.path().join("cat.png")),
        pixels(&folder.path().join("inverted/cat.png")),
    );
    assert!(
        before
            .iter()
            .zip(after.iter())
            .all(|(before, after)| *after == 255 - before)
    );

    stdout_of(&mut apply(
        &folder,
        &[
            "--op",
            "TranslateX",
            "--value",
            "-0.5",
            "cat.png",
            "--out",
            "moved",
        ],
    ));
    let moved = pixels(&folder.path().join("moved/cat.png"));
    assert_eq!(moved.get_pixel(20, 3), before.get_pixel(0, 3));
    stdout_of(&mut apply(
        &folder,
        &[
            "--op",
            "Rotate",
            "--magnitude",
            "0.5",
            "cat.png",
            "--out",
            "same",
        ],
    ));
    assert_eq!(pixels(&folder.path().join("same/cat.png")), before);
}

#[test]
fn a_contact_sheet_shows_the_image_and_its_draws() {
    let folder = folder();
    stdout_of(&mut apply(
        &folder,
        &[
            "--policy",
            "policy.json",
            "--grid",
            "8",
            "cat.png",
            "--out",
            "sheets",
        ],
    ));
    // Nine tiles of 40×30, enlarged three times, with gaps of four pixels.
    let sheet = pixels(&folder.path().join("sheets/cat.png"));
    assert_eq!(sheet.dimensions(), (3 * (120 + 4) + 4, 3 * (90 + 4) + 4));
    let first = pixels(&folder.path().join("cat.png"));
    assert_eq!(
        sheet.get_pixel(4 + 3 * 39, 4 + 3 * 29),
        first.get_pixel(39, 29)
    );
}

#[test]
fn nothing_is_written_where_outputs_would_clash() {
    let folder = folder();
    write_image(&folder.path().join("cat.bmp"), 4, 4, 3);
    let clash = [
        "--op", "Invert", "dog.bmp", "cat.png", "cat.bmp", "--out", "out",
    ];
    let (code, message) = failure_of(&mut apply(&folder, &clash));
    assert_eq!(code, 1);
    assert!(
        message.contains("cat.png and cat.bmp would both become out/cat.png"),
        "{message}"
    );
    assert!(!folder.path().join("out").exists());

    let once = ["--op", "Invert", "cat.png", "--out", "out"];
    stdout_of(&mut apply(&folder, &once));
    let (code, message) = failure_of(&mut apply(&folder, &once));
    assert_eq!(code, 1);
    assert!(
        message.contains("out/cat.png exists: give --force"),
        "{message}"
    );
    stdout_of(apply(&folder, &once).arg("--force"));
}

#[test]
fn errors_say_what_and_where_and_what_to_do() {
    let folder = folder();
    fs::write(folder.path().join("broken.png"), b"no image").unwrap();
    fs::write(folder.path().join("empty.ppm"), b"P6\n0 0\n255\n").unwrap();
    fs::write(
        folder.path().join("bad.json"),
        POLICY.replace("0.9,", "1.7,"),
    )
    .unwrap();
    let cases: [(&[&str], i32, &str); 10] = [
        (
            &["--op", "Rotat", "--value", "1", "cat.png"],
            1,
            "did you mean `Rotate`?",
        ),
        (
            &["--op", "Rotate", "cat.png"],
            2,
            "Rotate needs --value V (-30 … 30 degrees)",
        ),
        (
            &["--op", "Invert", "--value", "1", "cat.png"],
            2,
            "Invert has no value",
        ),
        (
            &["--op", "Rotate", "--magnitude", "1.5", "cat.png"],
            2,
            "a number from 0 to 1",
        ),
        (
            &["--op", "Rotate", "--value", "nan", "cat.png"],
            2,
            "a finite number",
        ),
        (&["cat.png"], 2, "required arguments were not provided"),
        (
            &["--op", "Invert", "broken.png"],
            1,
            "broken.png: its content is of no known image format",
        ),
        (&["--op", "Invert", "empty.ppm"], 1, "empty.ppm: "),
        (
            &["--policy", "nothing.json", "cat.png"],
            1,
            "cannot read the policy nothing.json",
        ),
        (
            &["--policy", "bad.json", "cat.png"],
            1,
            "sub_policies[0][0].probability: 1.7 is not within 0…1",
        ),
    ];
    for (arguments, code, message) in cases {
        let (found, errors) = failure_of(apply(&folder, arguments).args(["--out", "never"]));
        assert_eq!(found, code, "{arguments:?}: {errors}");
        assert!(errors.contains(message), "{arguments:?}: {errors}");
    }
}

#[test]
fn policies_are_listed_shown_and_checked() {
    let folder = folder();
    let policy = |arguments: &[&str]| {
        let mut command = faa_runtime();
        command
            .current_dir(folder.path())
            .arg("policy")
            .args(arguments);
        command
    };
    let listed: Vec<Value> =
        serde_json::from_str(&stdout_of(&mut policy(&["list", "--json"]))).unwrap();
    for shipped in listed {
        let name = shipped["name"].as_str().unwrap();
        assert!(stdout_of(&mut policy(&["check", name])).contains("valid"));
    }
    let shown = stdout_of(&mut policy(&["show", "policy.json"]));
    assert!(
        shown.contains("two: each image draws one of 2 sub-policies")
            && shown.contains("±24.000 degrees"),
        "{shown}"
    );
    let checked: Value =
        serde_json::from_str(&stdout_of(&mut policy(&["check", "policy.json", "--json"]))).unwrap();
    assert_eq!(checked["valid"], true);

    fs::write(
        folder.path().join("unknown.json"),
        POLICY.replace("Cutout", "CutOff"),
    )
    .unwrap();
    let (code, message) = failure_of(&mut policy(&["check", "unknown.json"]));
    assert_eq!(code, 1);
    assert!(
        message.contains("sub_policies[0][1].op: no op is named `CutOff`; did you mean"),
        "{message}"
    );
    let (code, message) = failure_of(&mut policy(&["show", "no-such-policy"]));
    assert_eq!(code, 1);
    assert!(
        message.contains("`faa-runtime policy list` shows the names"),
        "{message}"
    );
}

#[test]
fn samplers_are_listed_and_shown_with_their_values() {
    let policy = |arguments: &[&str]| stdout_of(faa_runtime().arg("policy").args(arguments));
    let listed = policy(&["list"]);
    for expected in [
        "one of 25 sub-policies",
        "2 of 14 ops, at bin 9 of 0…30",
        "1 of 14 ops, at any of 31 bins",
    ] {
        assert!(listed.contains(expected), "{listed}");
    }
    let shown = policy(&["show", "randaugment"]);
    let row = |op: &str| {
        let row = shown.lines().find(|line| line.starts_with(op)).unwrap();
        row.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(row("Rotate"), "Rotate 0 30 degrees about 0");
    assert_eq!(row("Posterize"), "Posterize 8 4 bits yes");
    assert_eq!(row("Equalize"), "Equalize");
    let json: Value = serde_json::from_str(&policy(&["show", "randaugment", "--json"])).unwrap();
    assert_eq!(json["sampler"]["ops"].as_array().unwrap().len(), 14);
    let checked: Value =
        serde_json::from_str(&policy(&["check", "trivialaugment-wide", "--json"])).unwrap();
    assert_eq!(checked["sampler"]["bin"], Value::Null);
    assert_eq!(checked["valid"], true);
}

#[test]
fn shipped_policies_are_applied_to_images_of_any_size() {
    let folder = folder();
    write_image(&folder.path().join("large.jpg"), 400, 300, 3);
    for name in ["autoaugment-cifar10", "randaugment", "trivialaugment-wide"] {
        let arguments = [
            "--policy",
            name,
            "--grid",
            "8",
            "cat.png",
            "large.jpg",
            "dog.bmp",
            "--out",
            name,
        ];
        stdout_of(&mut apply(&folder, &arguments));
        let sheet = pixels(&folder.path().join(name).join("large.png"));
        assert_eq!(sheet.dimensions(), (3 * (256 + 4) + 4, 3 * (192 + 4) + 4));
    }
}

#[test]
fn draws_are_printed_in_the_form_of_plans_and_can_be_replayed() {
    let folder = folder();
    let arguments = [
        "--policy",
        "policy.json",
        "--json",
        "--out",
        "out",
        "cat.png",
        "dog.bmp",
    ];
    let printed: Vec<Value> =
        serde_json::from_str(&stdout_of(&mut apply(&folder, &arguments))).unwrap();
    for draw in printed {
        let plan = Plan::parse(draw["draws"][0].to_string().as_bytes()).unwrap();
        let input = folder.path().join(draw["input"].as_str().unwrap());
        let output = folder.path().join(draw["output"].as_str().unwrap());
        let mut replayed = pixels(&input);
        let (width, height) = replayed.dimensions();
        let (width, height) = (width as usize, height as usize);
        let mut image = ImageMut::new(&mut replayed, width, height, Channels::Rgb).unwrap();
        plan.replay(&builtin_ops(), &mut image, None, &mut Workspace::new())
            .unwrap();
        assert_eq!(replayed, pixels(&output));
    }
}

#[test]
fn partners_are_mixed_in_where_they_fit() {
    let folder = folder();
    write_image(&folder.path().join("other.png"), 40, 30, 9);
    let mix = |arguments: &[&str]| {
        let mut command = apply(&folder, &["--op", "SamplePairing", "--value", "0.5"]);
        command.args(arguments).args(["cat.png", "--out", "mixed"]);
        command
    };
    stdout_of(&mut mix(&["--partner", "other.png"]));
    let [cat, other, mixed] =
        ["cat.png", "other.png", "mixed/cat.png"].map(|name| pixels(&folder.path().join(name)));
    for ((cat, other), mixed) in cat.iter().zip(other.iter()).zip(mixed.iter()) {
        assert!(mixed.abs_diff(cat.midpoint(*other)) <= 1);
    }

    let (code, message) = failure_of(&mut mix(&[]));
    assert_eq!(code, 2, "{message}");
    assert!(
        message.contains("SamplePairing mixes another image in") && message.contains("--partner"),
        "{message}"
    );
    let (code, message) = failure_of(&mut mix(&["--force", "--partner", "dog.bmp"]));
    assert_eq!(code, 1, "{message}");
    assert!(
        message.contains("the partner dog.bmp is 17×9 RGB, and cat.png is 40×30 RGB"),
        "{message}"
    );
    let stray = [
        "--op",
        "Invert",
        "--partner",
        "other.png",
        "cat.png",
        "--out",
        "never",
    ];
    let (code, message) = failure_of(&mut apply(&folder, &stray));
    assert_eq!(code, 2, "{message}");

    let mixing = POLICY.replace(
        r#"{"op": "Invert", "probability": 0.7}"#,
        r#"{"op": "SamplePairing", "probability": 0.7, "magnitude": 1}"#,
    );
    fs::write(folder.path().join("mixing.json"), mixing).unwrap();
    let policy = |partners: &[&str]| {
        let mut command = apply(
            &folder,
            &["--policy", "mixing.json", "--grid", "20", "--json"],
        );
        command.args(partners).args(["cat.png", "--out", "sheets"]);
        command
    };
    assert_eq!(failure_of(&mut policy(&[])).0, 2);
    let printed = stdout_of(&mut policy(&[
        "--partner",
        "other.png",
        "--partner",
        "cat.png",
    ]));
    assert!(
        printed.contains("\"partner\": 0") && printed.contains("\"partner\": 1"),
        "{printed}"
    );
}

#[test]
fn policies_of_other_programs_are_converted() {
    let folder = folder();
    let write = |name: &str, json: &str| fs::write(folder.path().join(name), json).unwrap();
    write(
        "list.json",
        r#"[[["Contrast", 0.83, 0.5], ["TranslateX", 0.42, 0.39]], [["Invert", 0.1, 0.2]]]"#,
    );
    write(
        "object.json",
        r#"{"0": {"Color": [0.79, 0.55], "AutoContrast": [0.01, "None"]}}"#,
    );
    write(
        "bad.json",
        r#"[[["Contrast", 0.83, 0.5], ["TranslatX", 0.42, 0.39]]]"#,
    );
    let convert = |arguments: &[&str]| {
        let mut command = faa_runtime();
        command
            .current_dir(folder.path())
            .args(["policy", "convert"])
            .args(arguments);
        command
    };
    assert_eq!(
        stdout_of(&mut convert(&["list.json", "mine.json"])),
        "mine.json: 2 sub-policies\n"
    );
    let mine = Policy::parse(&fs::read(folder.path().join("mine.json")).unwrap()).unwrap();
    assert_eq!((mine.name.as_str(), mine.sub_policies().len()), ("mine", 2));
    assert_eq!(mine.sub_policies()[0][1].op, "TranslateX");

    let (code, message) = failure_of(&mut convert(&["object.json", "mine.json"]));
    assert_eq!(code, 1);
    assert!(
        message.contains("mine.json exists: give --force"),
        "{message}"
    );
    let output = run(&mut convert(&[
        "object.json",
        "mine.json",
        "--force",
        "--name",
        "other",
        "--json",
    ]));
    assert!(output.status.success());
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&told["name"], &told["sub_policies"]),
        (&"other".into(), &1.into())
    );
    assert_eq!(told["warnings"].as_array().unwrap().len(), 1);
    let warnings = String::from_utf8(output.stderr).unwrap();
    assert!(
        warnings.starts_with("warning: ") && warnings.contains("do not keep the order"),
        "{warnings}"
    );
    stdout_of(&mut apply(
        &folder,
        &["--policy", "mine.json", "cat.png", "--out", "out"],
    ));

    let (code, message) = failure_of(&mut convert(&["bad.json", "never.json"]));
    assert_eq!(code, 1);
    assert!(
        message.contains("cannot convert bad.json")
            && message
                .contains("[0][1][0]: no op is named `TranslatX`; did you mean `TranslateX`?"),
        "{message}"
    );
    assert!(!folder.path().join("never.json").exists());
    let (code, message) = failure_of(&mut convert(&["missing.json", "never.json"]));
    assert_eq!(code, 1);
    assert!(message.contains("cannot read missing.json"), "{message}");
    let help = stdout_of(&mut convert(&["--help"]));
    assert!(help.contains("faa-runtime policy convert"), "{help}");
    assert_eq!(failure_of(&mut convert(&["list.json"])).0, 2);
}

#[test]
fn help_has_examples_and_wrong_usage_is_status_2() {
    for command in ["search", "apply", "ops", "doctor", "completions"] {
        let help = stdout_of(faa_runtime().args([command, "--help"]));
        assert!(
            help.contains("Example") && help.contains(&format!("faa-runtime {command}")),
            "{help}"
        );
    }
    assert_eq!(failure_of(faa_runtime().arg("serch")).0, 2);
    let data = ["search", "--data", "glyph", "--out", "never"];
    let (code, message) = failure_of(faa_runtime().args(data));
    assert_eq!(code, 2);
    assert!(message.contains("folder:"), "{message}");
    let model = [
        "search", "--data", "glyphs", "--out", "never", "--model", "wrn-11-1",
    ];
    let (code, message) = failure_of(faa_runtime().args(model));
    assert_eq!(code, 2);
    assert!(message.contains("DEPTH is 10, 16"), "{message}");
    for (option, value, advice) in [
        ("--device", "tpu", "auto, cpu, cuda or cuda:N"),
        ("--learning-rate", "nan", "must be a finite number above 0"),
        ("--held-out", "1.5", "between 0 and 1"),
        ("--warmup-epochs", "500", "not shorter than a training"),
        ("--ops", "Invert,Invert", "named twice"),
    ] {
        let search = [
            "search", "--data", "glyphs", "--out", "never", option, value,
        ];
        let (code, message) = failure_of(faa_runtime().args(search));
        assert_eq!(code, 2, "{option}: {message}");
        assert!(message.contains(advice), "{option}: {message}");
    }
    assert!(stdout_of(faa_runtime().args(["completions", "bash"])).contains("faa-runtime"));
}

#[test]
fn without_libtorch_search_says_how_to_get_it_and_doctor_reports_it() {
    let folder = folder();
    let nowhere = |command: &mut std::process::Command| {
        command
            .env_remove("LIBTORCH")
            .env("FAA_CACHE_DIR", folder.path())
            .env("PATH", folder.path());
    };
    let mut search = faa_runtime();
    nowhere(
        search
            .args(["search", "--data", "glyphs", "--out"])
            .arg(folder.path().join("run")),
    );
    let (code, message) = failure_of(&mut search);
    assert_eq!(code, 1);
    assert!(message.contains("run `cargo xtask libtorch`"), "{message}");

    let mut doctor = faa_runtime();
    nowhere(doctor.arg("doctor"));
    let output = run(&mut doctor);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("libtorch           MISSING"), "{text}");

    let wrong = folder.path().join("old");
    fs::create_dir_all(wrong.join("lib")).unwrap();
    fs::write(wrong.join("lib/libtorch_cpu.so"), b"").unwrap();
    fs::write(wrong.join("build-version"), b"2.4.0").unwrap();
    let mut doctor = faa_runtime();
    let output = run(doctor.args(["doctor", "--json"]).env("LIBTORCH", &wrong));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let why = report["libtorch"]["missing"].as_str().unwrap();
    assert!(why.contains("is version 2.4.0, not 2.11.0"), "{why}");
}
