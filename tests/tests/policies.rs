//! Policies on the command line: shipped, converted, applied, and replayed from their plans.

use std::fs;

use faa_op::{Channels, ImageMut};
use faa_ops_builtin::builtin_ops;
use faa_policy::{Plan, Policy, Workspace};
use faa_tests::workdir::{POLICY, Workdir};
use faa_tests::{faa_runtime, failure_of, run, stdout_of, write_image};
use serde_json::Value;

#[test]
fn policies_are_listed_shown_and_checked() {
    let folder = Workdir::new();
    let policy = |arguments: &str| folder.faa_runtime(&format!("policy {arguments}"));
    let listed: Vec<Value> = serde_json::from_str(&stdout_of(&mut policy("list --json"))).unwrap();
    for shipped in listed {
        let name = shipped["name"].as_str().unwrap();
        assert!(stdout_of(policy("check").arg(name)).contains("valid"));
    }
    let shown = stdout_of(&mut policy("show policy.json"));
    assert!(
        shown.contains("two: each image draws one of 2 sub-policies")
            && shown.contains("±24.000 degrees"),
        "{shown}"
    );
    let checked: Value =
        serde_json::from_str(&stdout_of(&mut policy("check policy.json --json"))).unwrap();
    assert_eq!(checked["valid"], true);

    folder.write("unknown.json", POLICY.replace("Cutout", "CutOff"));
    let (code, message) = failure_of(&mut policy("check unknown.json"));
    assert_eq!(code, 1);
    assert!(
        message.contains("sub_policies[0][1].op: no op is named `CutOff`; did you mean"),
        "{message}"
    );
    let (code, message) = failure_of(&mut policy("show no-such-policy"));
    assert_eq!(code, 1);
    assert!(
        message.contains("`faa-runtime policy list` lists all names"),
        "{message}"
    );
    // Names come from files, which may contain anything.
    folder.write(
        "escape.json",
        POLICY.replace("\"two\"", "\"two\\u001b[2J\""),
    );
    let shown = stdout_of(&mut policy("show escape.json"));
    assert!(shown.starts_with("two [2J: each image draws"), "{shown}");
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
    let folder = Workdir::new();
    write_image(&folder.join("large.jpg"), 400, 300, 3);
    for name in ["autoaugment-cifar10", "randaugment", "trivialaugment-wide"] {
        let arguments =
            format!("apply --policy {name} --grid 8 cat.png large.jpg dog.bmp --out {name}");
        stdout_of(&mut folder.faa_runtime(&arguments));
        let sheet = folder.pixels(&format!("{name}/large.png"));
        assert_eq!(sheet.dimensions(), (3 * (256 + 4) + 4, 3 * (192 + 4) + 4));
    }
}

#[test]
fn draws_are_printed_as_plans_and_can_be_replayed() {
    let folder = Workdir::new();
    let arguments = "apply --policy policy.json --json --out out cat.png dog.bmp";
    let printed: Vec<Value> =
        serde_json::from_str(&stdout_of(&mut folder.faa_runtime(arguments))).unwrap();
    for draw in printed {
        let plan = Plan::parse(draw["draws"][0].to_string().as_bytes()).unwrap();
        let pixels = |key: &str| folder.pixels(draw[key].as_str().unwrap());
        let mut replayed = pixels("input");
        let (width, height) = replayed.dimensions();
        let (width, height) = (width as usize, height as usize);
        let mut image = ImageMut::new(&mut replayed, width, height, Channels::Rgb).unwrap();
        plan.replay(&builtin_ops(), &mut image, &mut Workspace::new())
            .unwrap();
        assert_eq!(replayed, pixels("output"));
    }
}

#[test]
fn partners_are_mixed_in_and_must_have_the_image_s_size() {
    let folder = Workdir::new();
    write_image(&folder.join("other.png"), 40, 30, 9);
    let apply = |arguments: &str| folder.faa_runtime(&format!("apply cat.png {arguments}"));
    let mix = |options: &str| {
        apply(&format!(
            "--op SamplePairing --value 0.5 --out mixed {options}"
        ))
    };
    stdout_of(&mut mix("--partner other.png"));
    let [cat, other, mixed] =
        ["cat.png", "other.png", "mixed/cat.png"].map(|name| folder.pixels(name));
    for ((cat, other), mixed) in cat.iter().zip(other.iter()).zip(mixed.iter()) {
        assert!(mixed.abs_diff(cat.midpoint(*other)) <= 1);
    }

    let (code, message) = failure_of(&mut mix(""));
    assert_eq!(code, 2, "{message}");
    assert!(
        message.contains("SamplePairing needs a partner image") && message.contains("--partner"),
        "{message}"
    );
    let (code, message) = failure_of(&mut mix("--force --partner dog.bmp"));
    assert_eq!(code, 1, "{message}");
    assert!(
        message.contains("the partner dog.bmp is 17×9 RGB, but cat.png is 40×30 RGB"),
        "{message}"
    );
    let stray = "--op Invert --partner other.png --out never";
    let (code, message) = failure_of(&mut apply(stray));
    assert_eq!(code, 2, "{message}");

    let mixing = POLICY.replace(
        r#"{"op": "Invert", "probability": 0.7}"#,
        r#"{"op": "SamplePairing", "probability": 0.7, "magnitude": 1}"#,
    );
    folder.write("mixing.json", mixing);
    let policy = "--policy mixing.json --grid 20 --json --out sheets";
    assert_eq!(failure_of(&mut apply(policy)).0, 2);
    let partners = ["--partner", "other.png", "--partner", "cat.png"];
    let printed = stdout_of(apply(policy).args(partners));
    assert!(
        printed.contains("\"partner\": 0") && printed.contains("\"partner\": 1"),
        "{printed}"
    );
}

#[test]
fn policies_of_other_programs_are_converted() {
    let folder = Workdir::new();
    folder.write(
        "list.json",
        r#"[[["Contrast", 0.83, 0.5], ["TranslateX", 0.42, 0.39]], [["Invert", 0.1, 0.2]]]"#,
    );
    folder.write(
        "object.json",
        r#"{"0": {"Color": [0.79, 0.55], "AutoContrast": [0.01, "None"]}}"#,
    );
    folder.write(
        "bad.json",
        r#"[[["Contrast", 0.83, 0.5], ["TranslatX", 0.42, 0.39]]]"#,
    );
    let convert = |arguments: &str| folder.faa_runtime(&format!("policy convert {arguments}"));
    assert_eq!(
        stdout_of(&mut convert("list.json mine.json")),
        "mine.json: 2 sub-policies\n"
    );
    let mine = Policy::parse(&fs::read(folder.join("mine.json")).unwrap()).unwrap();
    assert_eq!((mine.name.as_str(), mine.sub_policies().len()), ("mine", 2));
    assert_eq!(mine.sub_policies()[0][1].op, "TranslateX");

    let (code, message) = failure_of(&mut convert("object.json mine.json"));
    assert_eq!(code, 1);
    assert!(
        message.contains("mine.json exists: use --force"),
        "{message}"
    );
    let output = run(&mut convert(
        "object.json mine.json --force --name other --json",
    ));
    assert!(output.status.success());
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&printed["name"], &printed["sub_policies"]),
        (&"other".into(), &1.into())
    );
    assert_eq!(printed["warnings"].as_array().unwrap().len(), 1);
    let warnings = String::from_utf8(output.stderr).unwrap();
    assert!(
        warnings.starts_with("warning: ") && warnings.contains("does not keep the order"),
        "{warnings}"
    );
    stdout_of(&mut folder.faa_runtime("apply --policy mine.json cat.png --out out"));

    let (code, message) = failure_of(&mut convert("bad.json never.json"));
    assert_eq!(code, 1);
    assert!(
        message.contains("cannot convert bad.json")
            && message
                .contains("[0][1][0]: no op is named `TranslatX`; did you mean `TranslateX`?"),
        "{message}"
    );
    assert!(!folder.join("never.json").exists());
    let (code, message) = failure_of(&mut convert("missing.json never.json"));
    assert_eq!(code, 1);
    assert!(message.contains("cannot read missing.json"), "{message}");
    let help = stdout_of(&mut convert("--help"));
    assert!(help.contains("faa-runtime policy convert"), "{help}");
    assert_eq!(failure_of(&mut convert("list.json")).0, 2);
}

/// JSON cannot represent such names, so it shows a replacement character.
#[cfg(unix)]
#[test]
fn file_names_need_not_be_utf_8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let folder = Workdir::new();
    let name = OsStr::from_bytes(b"b\xff.png");
    fs::copy(folder.join("cat.png"), folder.join(name)).unwrap();
    let mut command = folder.faa_runtime("apply --op Invert --json --out out");
    let plans: Value = serde_json::from_str(&stdout_of(command.arg(name))).unwrap();
    assert_eq!(plans[0]["input"], "b\u{fffd}.png");
    assert!(folder.join("out").join(name).exists());
}
