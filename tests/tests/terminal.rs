//! Untrusted names do not control the terminal that they are printed on.

#![cfg(unix)]

use std::fs;
use std::process::Command;

use faa_op::text::is_display_control;
use faa_tests::plugins::abi_example;
use faa_tests::workdir::Workdir;
use faa_tests::{faa_runtime, run};
use serde_json::{Value, json};

/// It renames the terminal's window, clears its screen in two ways, deletes a character and writes from
/// right to left. All of it is allowed in a file name.
const EVIL: &str = "\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}2J\u{7f}\u{202e}\u{200b}\rowned";

/// The output of a command, both streams, which shows the name `owned` and controls nothing.
#[track_caller]
fn shown(command: &mut Command) -> String {
    let output = run(command);
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let controls = |character: &char| *character != '\n' && is_display_control(*character);
    let found: Vec<char> = text.chars().filter(controls).collect();
    assert!(found.is_empty(), "{command:?} prints {found:?}: {text:?}");
    assert!(text.contains("owned"), "{command:?}: {text}");
    text
}

/// A folder with a policy of this name, whose only op has this name.
fn with_policy(name: &str, op: &str) -> Workdir {
    let folder = Workdir::new();
    let step = json!({"op": op, "probability": 1.0, "magnitude": 0.5});
    let policy = json!({"format": "faa-policy", "version": 1, "name": name, "sub_policies": [[step]],
        "provenance": {"plugins": [{"op": op, "sha256": name}], "name": name}});
    folder.write("policy.json", policy.to_string());
    folder
}

#[test]
fn names_of_policies_and_ops() {
    let folder = with_policy(EVIL, "Rotate");
    for command in [
        "policy show policy.json",
        "policy show policy.json --json",
        "policy check policy.json --json",
    ] {
        let text = shown(&mut folder.faa_runtime(command));
        if command.ends_with("--json") {
            let value: Value = serde_json::from_str(&text).unwrap();
            assert!(value.to_string().contains("owned"), "{value}");
        }
    }
    let folder = with_policy("mine", EVIL);
    for command in [
        "policy show policy.json",
        "policy check policy.json",
        "apply --policy policy.json cat.png --out out",
    ] {
        shown(&mut folder.faa_runtime(command));
    }
}

#[test]
fn names_of_images_and_folders() {
    let folder = Workdir::new();
    let image = format!("{EVIL}.png");
    fs::copy(folder.join("cat.png"), folder.join(&image)).unwrap();
    folder.write(&format!("{EVIL}.jpg"), "no image");
    let apply = |names: &[&str], out: &str| {
        let mut command = folder.faa_runtime("apply --op Invert");
        command.args(names).args(["--out", out]);
        shown(&mut command)
    };
    apply(&[&image], EVIL);
    // It exists now, and then two would be written to one file.
    apply(&[&image], EVIL);
    let jpeg = format!("{EVIL}.jpg");
    apply(&[&image, &jpeg], "never");
    apply(&[&jpeg], "never");
    apply(&[&format!("{EVIL}.gif")], "never");

    let mut command = folder.faa_runtime("apply --op Invert --json --out out");
    let printed: Value = serde_json::from_str(&shown(command.arg(&image))).unwrap();
    assert_eq!(printed[0]["input"], image);
    shown(folder.faa_runtime("policy show").arg(EVIL));
    let policy = format!("{EVIL}.json");
    fs::copy(folder.join("policy.json"), folder.join(&policy)).unwrap();
    for json in [&[][..], &["--json"]] {
        let mut bench = folder.faa_runtime("bench --size 8 --seconds 0 --policy");
        shown(bench.arg(&policy).args(json));
    }
    shown(
        folder
            .faa_runtime("policy convert cat.png")
            .arg(format!("{EVIL}.json"))
            .arg(EVIL),
    );
    folder.write(&format!("pets/{EVIL}/{EVIL}.png"), "no image");
    for options in ["", "--skip-unreadable", "--skip-unreadable --json"] {
        let augment = "augment --data folder:pets --policy policy.json --out more";
        shown(&mut folder.faa_runtime(&format!("{augment} {options}")));
    }
    shown(folder.faa_runtime("report").arg(EVIL));
    shown(folder.faa_runtime("eval --data glyphs").arg(EVIL));
}

#[test]
fn names_of_plugins() {
    let folder = Workdir::new();
    let good = format!("plugins/{EVIL}.wasm");
    folder.write(&good, abi_example());
    folder.write(&format!("plugins/{EVIL}-broken.wasm"), "not WebAssembly");
    for command in [
        "ops --plugins plugins",
        "doctor --plugins plugins",
        "doctor --plugins plugins --json",
    ] {
        shown(&mut folder.faa_runtime(command));
    }
    let output = run(&mut folder.faa_runtime("ops --plugins plugins --json"));
    let ops: Value = serde_json::from_slice(&output.stdout).unwrap();
    let op = ops.as_array().unwrap().last().unwrap();
    assert_eq!(
        (&op["name"], &op["source"]),
        (&"Flicker".into(), &good.as_str().into())
    );
    for options in ["plugin check", "plugin check --json"] {
        shown(folder.faa_runtime(options).arg(&good));
    }
    let broken = format!("plugins/{EVIL}-broken.wasm");
    shown(folder.faa_runtime("plugin check").arg(broken));
    shown(folder.faa_runtime("ops --plugins").arg(EVIL));
}

/// A pattern such as `*` can turn the name of a file into an option.
#[test]
fn arguments() {
    let folder = Workdir::new();
    for (before, argument) in [
        ("", EVIL.to_owned()),
        ("ops", format!("--{EVIL}")),
        ("ops", EVIL.to_owned()),
        ("apply --out out --op Invert --seed", EVIL.to_owned()),
        ("apply --out out --value 1 cat.png --op", EVIL.to_owned()),
        ("search --out out --data", EVIL.to_owned()),
        ("search --out out --data", format!("folder:{EVIL}")),
        ("search --data glyphs --out out --model", EVIL.to_owned()),
        ("plugin new", EVIL.to_owned()),
        ("plugin build", EVIL.to_owned()),
    ] {
        shown(folder.faa_runtime(before).arg(argument));
    }
}

/// What is printed by design has no escapes and no tabs, so that the rule needs no exception.
#[test]
fn completions_are_not_changed() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = run(faa_runtime().args(["completions", shell]));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.len() > 1000 && !text.contains("\\u00"), "{shell}");
    }
}
