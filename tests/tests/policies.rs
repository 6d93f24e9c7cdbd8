//! Policies on the command line: shipped, converted, applied, and replayed from their plans.

use std::fs;

use faa_op::{Channels, ImageMut};
use faa_ops_builtin::builtin_ops;
use faa_policy::{Plan, Policy, Workspace};
use faa_tests::workdir::{POLICY, Workdir};
use faa_tests::{
    assert_contains, assert_fails, faa_runtime, json_of, output_of, stdout_of, write_image,
};
use serde_json::Value;

#[test]
fn policies_are_listed_shown_and_checked() {
    let folder = Workdir::new();
    let policy = |arguments: &str| folder.faa_runtime(&format!("policy {arguments}"));
    for shipped in json_of(&mut policy("list --json")).as_array().unwrap() {
        let name = shipped["name"].as_str().unwrap();
        assert_contains(&stdout_of(policy("check").arg(name)), &["valid"]);
    }
    let shown = stdout_of(&mut policy("show policy.json"));
    let parts = [
        "two: each image draws one of 2 sub-policies",
        "±24.000 degrees",
    ];
    assert_contains(&shown, &parts);
    assert_eq!(
        json_of(&mut policy("check policy.json --json"))["valid"],
        true
    );

    folder.write("unknown.json", POLICY.replace("Cutout", "CutOff"));
    let unknown = "sub_policies[0][1].op: no op is named `CutOff`; did you mean";
    assert_fails(&mut policy("check unknown.json"), 1, &[unknown]);
    let names = "`faa-runtime policy list` lists all names";
    assert_fails(&mut policy("show no-such-policy"), 1, &[names]);
    // Names come from files, which may contain anything.
    let escape = POLICY.replace("\"two\"", "\"two\\u001b[2J\"");
    folder.write("escape.json", escape);
    let shown = stdout_of(&mut policy("show escape.json"));
    assert!(shown.starts_with("two [2J: each image draws"), "{shown}");
}

#[test]
fn samplers_are_listed_and_shown_with_their_values() {
    let policy = |arguments: &str| {
        let mut command = faa_runtime();
        command.arg("policy").args(arguments.split(' '));
        command
    };
    let listed = stdout_of(&mut policy("list"));
    assert_contains(
        &listed,
        &[
            "one of 25 sub-policies",
            "one of 499 sub-policies",
            "2 of 14 ops, at bin 9 of 0…30",
        ],
    );
    assert_contains(&listed, &["1 of 14 ops, at any of 31 bins"]);
    let shown = stdout_of(&mut policy("show randaugment"));
    let row = |op: &str| {
        let row = shown.lines().find(|line| line.starts_with(op)).unwrap();
        row.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(row("Rotate"), "Rotate 0 30 degrees about 0");
    assert_eq!(row("Posterize"), "Posterize 8 4 bits yes");
    assert_eq!(row("Equalize"), "Equalize");
    let json = json_of(&mut policy("show randaugment --json"));
    assert_eq!(json["sampler"]["ops"].as_array().unwrap().len(), 14);
    let checked = json_of(&mut policy("check trivialaugment-wide --json"));
    assert_eq!(checked["sampler"]["bin"], Value::Null);
    assert_eq!(checked["valid"], true);
}

#[test]
fn shipped_policies_are_applied_to_images_of_any_size() {
    let folder = Workdir::new();
    write_image(&folder.join("large.jpg"), 400, 300, 3);
    for name in [
        "autoaugment-cifar10",
        "randaugment",
        "trivialaugment-wide",
        "cifar10-jpeg-wrn-40-2",
    ] {
        let inputs = "cat.png large.jpg dog.bmp";
        let apply = format!("apply --policy {name} --grid 8 {inputs} --out {name}");
        stdout_of(&mut folder.faa_runtime(&apply));
        let sheet = folder.pixels(&format!("{name}/large.png"));
        assert_eq!(sheet.dimensions(), (3 * (256 + 4) + 4, 3 * (192 + 4) + 4));
    }
}

#[test]
fn draws_are_printed_as_plans_and_can_be_replayed() {
    let folder = Workdir::new();
    let arguments = "apply --policy policy.json --json --out out cat.png dog.bmp";
    let printed = json_of(&mut folder.faa_runtime(arguments));
    for draw in printed.as_array().unwrap() {
        let plan = Plan::parse(draw["draws"][0].to_string().as_bytes()).unwrap();
        let pixels = |key: &str| folder.pixels(draw[key].as_str().unwrap());
        let mut replayed = pixels("input");
        let (width, height) = replayed.dimensions();
        let (width, height) = (width as usize, height as usize);
        let mut image = ImageMut::new(&mut replayed, width, height, Channels::Rgb).unwrap();
        let replay = plan.replay(&builtin_ops(), &mut image, &mut Workspace::new());
        replay.unwrap();
        assert_eq!(replayed, pixels("output"));
    }
}

#[test]
fn partners_are_mixed_in_and_must_have_the_image_s_size() {
    let folder = Workdir::new();
    write_image(&folder.join("other.png"), 40, 30, 9);
    let apply = |arguments: &str| folder.faa_runtime(&format!("apply cat.png {arguments}"));
    let pairing = "--op SamplePairing --value 0.5 --out mixed";
    let mix = |options: &str| apply(&format!("{pairing} {options}"));
    stdout_of(&mut mix("--partner other.png"));
    let [cat, other, mixed] =
        ["cat.png", "other.png", "mixed/cat.png"].map(|name| folder.pixels(name));
    for ((cat, other), mixed) in cat.iter().zip(other.iter()).zip(mixed.iter()) {
        assert!(mixed.abs_diff(cat.midpoint(*other)) <= 1);
    }

    let needed = ["SamplePairing needs a partner image", "--partner"];
    assert_fails(&mut mix(""), 2, &needed);
    let sizes = "the partner dog.bmp is 17×9 RGB, but cat.png is 40×30 RGB";
    assert_fails(&mut mix("--force --partner dog.bmp"), 1, &[sizes]);
    let stray = "--op Invert --partner other.png --out never";
    assert_fails(&mut apply(stray), 2, &[]);

    let mixing = POLICY.replace(
        r#"{"op": "Invert", "probability": 0.7}"#,
        r#"{"op": "SamplePairing", "probability": 0.7, "magnitude": 1}"#,
    );
    folder.write("mixing.json", mixing);
    let policy = "--policy mixing.json --grid 20 --json --out sheets";
    assert_fails(&mut apply(policy), 2, &[]);
    let partners = ["--partner", "other.png", "--partner", "cat.png"];
    let printed = stdout_of(apply(policy).args(partners));
    assert_contains(&printed, &["\"partner\": 0", "\"partner\": 1"]);
}

#[test]
fn policies_of_other_programs_are_converted() {
    let folder = Workdir::new();
    let list = r#"[[["Contrast", 0.83, 0.5], ["TranslateX", 0.42, 0.39]], [["Invert", 0.1, 0.2]]]"#;
    folder.write("list.json", list);
    folder.write("bad.json", list.replace("TranslateX", "TranslatX"));
    let object = r#"{"0": {"Color": [0.79, 0.55], "AutoContrast": [0.01, "None"]}}"#;
    folder.write("object.json", object);
    let convert = |arguments: &str| folder.faa_runtime(&format!("policy convert {arguments}"));
    let printed = stdout_of(&mut convert("list.json mine.json"));
    assert_eq!(printed, "mine.json: 2 sub-policies\n");
    let mine = Policy::parse(folder.read("mine.json").as_bytes()).unwrap();
    assert_eq!((mine.name.as_str(), mine.sub_policies().len()), ("mine", 2));
    assert_eq!(mine.sub_policies()[0][1].op, "TranslateX");

    let exists = "mine.json exists: use --force";
    assert_fails(&mut convert("object.json mine.json"), 1, &[exists]);
    let mut forced = convert("object.json mine.json --force --name other --json");
    let [printed, warnings] = output_of(&mut forced);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        (&printed["name"], &printed["sub_policies"]),
        (&"other".into(), &1.into())
    );
    assert_eq!(printed["warnings"].as_array().unwrap().len(), 1);
    assert!(warnings.starts_with("warning: "), "{warnings}");
    assert_contains(&warnings, &["does not keep the order"]);
    stdout_of(&mut folder.faa_runtime("apply --policy mine.json cat.png --out out"));

    let unknown = "[0][1][0]: no op is named `TranslatX`; did you mean `TranslateX`?";
    let parts = ["cannot convert bad.json", unknown];
    assert_fails(&mut convert("bad.json never.json"), 1, &parts);
    assert!(!folder.join("never.json").exists());
    let missing = ["cannot read missing.json"];
    assert_fails(&mut convert("missing.json never.json"), 1, &missing);
    let help = stdout_of(&mut convert("--help"));
    assert_contains(&help, &["faa-runtime policy convert"]);
    assert_fails(&mut convert("list.json"), 2, &[]);
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
    let plans = json_of(command.arg(name));
    assert_eq!(plans[0]["input"], "b\u{fffd}.png");
    assert!(folder.join("out").join(name).exists());
}
