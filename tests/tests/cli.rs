//! Commands of `faa-runtime` that do not need libtorch.

use std::fs;
use std::process::Command;

use faa_tests::workdir::{POLICY, Workdir};
use faa_tests::{
    assert_all_fail, assert_contains, assert_fails, faa_runtime, json_of, run, stdout_of,
    write_image,
};
use serde_json::Value;

#[test]
fn ops_are_listed_as_text_and_json() {
    let text = stdout_of(faa_runtime().arg("ops"));
    assert_contains(&text, &["ShearX", "-0.3 … 0.3"]);
    let json = stdout_of(faa_runtime().args(["ops", "--json"]));
    let ops: Vec<Value> = serde_json::from_str(&json).unwrap();
    let rotate = ops.iter().find(|op| op["name"] == "Rotate").unwrap();
    assert_eq!(
        (&rotate["low"], &rotate["high"]),
        (&(-30.0).into(), &30.0.into())
    );
    assert_eq!(rotate["mirrored"], true);
    let invert = ops.iter().find(|op| op["name"] == "Invert").unwrap();
    assert_eq!(invert["low"], Value::Null);
}

#[test]
fn a_policy_is_applied_reproducibly_and_differently_to_every_input() {
    let folder = Workdir::new();
    let plans = |out: &str, seed: u64| {
        let apply = "apply --policy policy.json --json cat.png dog.bmp";
        json_of(&mut folder.faa_runtime(&format!("{apply} --seed {seed} --out {out}")))
    };
    let (first, again, other) = (plans("a", 1), plans("b", 1), plans("c", 2));
    assert_eq!(first[0]["draws"], again[0]["draws"]);
    assert_ne!(first[0]["draws"], other[0]["draws"]);
    let file = |name: &str| fs::read(folder.join(name)).unwrap();
    assert_eq!(file("a/cat.png"), file("b/cat.png"));
    assert_eq!(folder.pixels("a/dog.png").dimensions(), (17, 9));
}

#[test]
fn a_single_op_is_applied_with_exactly_its_value() {
    let folder = Workdir::new();
    let apply = |options: &str, out: &str| {
        let arguments = format!("apply {options} cat.png --out {out}");
        stdout_of(&mut folder.faa_runtime(&arguments));
        folder.pixels(&format!("{out}/cat.png"))
    };
    let before = folder.pixels("cat.png");
    let inverted = apply("--op Invert", "inverted");
    let mut pairs = before.iter().zip(inverted.iter());
    assert!(pairs.all(|(before, after)| *after == 255 - before));
    let moved = apply("--op TranslateX --value -0.5", "moved");
    assert_eq!(moved.get_pixel(20, 3), before.get_pixel(0, 3));
    assert_eq!(apply("--op Rotate --magnitude 0.5", "same"), before);
}

#[test]
fn a_contact_sheet_shows_the_image_and_its_draws() {
    let folder = Workdir::new();
    let arguments = "apply --policy policy.json --grid 8 cat.png --out sheets";
    stdout_of(&mut folder.faa_runtime(arguments));
    // Nine tiles of 40×30, enlarged three times, with gaps of four pixels.
    let sheet = folder.pixels("sheets/cat.png");
    assert_eq!(sheet.dimensions(), (3 * (120 + 4) + 4, 3 * (90 + 4) + 4));
    let first = folder.pixels("cat.png");
    let pixel = sheet.get_pixel(4 + 3 * 39, 4 + 3 * 29);
    assert_eq!(pixel, first.get_pixel(39, 29));
}

#[test]
fn nothing_is_written_if_outputs_clash() {
    let folder = Workdir::new();
    write_image(&folder.join("cat.bmp"), 4, 4, 3);
    let clash = "apply --op Invert dog.bmp cat.png cat.bmp --out out";
    let both = "cat.png and cat.bmp would both be written to out/cat.png";
    assert_fails(&mut folder.faa_runtime(clash), 1, &[both]);
    assert!(!folder.join("out").exists());

    // One file where a file system ignores case, or the form of an accent.
    for (other, shown) in [
        ("CAT.png", "CAT"),
        ("cat.PNG", "cat"),
        ("cafe\u{301}.png", "caf"),
    ] {
        write_image(&folder.join("other").join(other), 4, 4, 3);
        write_image(&folder.join("caf\u{e9}.png"), 4, 4, 3);
        let clash = format!("apply --op Invert cat.png caf\u{e9}.png other/{other} --out out");
        let both = format!("other/{other} would both be written to out/{shown}");
        assert_fails(&mut folder.faa_runtime(&clash), 1, &[&both]);
        assert!(!folder.join("out").exists());
    }

    // The same command may be repeated, but a file with other content is kept.
    let both = "apply --op Invert cat.png dog.bmp --out out";
    stdout_of(&mut folder.faa_runtime(both));
    stdout_of(&mut folder.faa_runtime(both));
    folder.write("out/cat.png", "something else");
    fs::remove_file(folder.join("out/dog.png")).unwrap();
    let exists = "out/cat.png exists and is different: use --force";
    assert_fails(&mut folder.faa_runtime(both), 1, &[exists]);
    assert!(!folder.join("out/dog.png").exists());
    assert_eq!(
        fs::read(folder.join("out/cat.png")).unwrap(),
        b"something else"
    );
    stdout_of(folder.faa_runtime(both).arg("--force"));
    assert_eq!(folder.pixels("out/dog.png").dimensions(), (17, 9));
}

#[test]
fn inputs_that_fail_are_reported_and_the_others_written() {
    let folder = Workdir::new();
    folder.write("broken.png", "no image");
    let command =
        "apply --policy policy.json --json cat.png broken.png dog.bmp missing.png --out out";
    let output = run(&mut folder.faa_runtime(command));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert_contains(
        &errors,
        &["broken.png", "missing.png", "2 of 4 inputs failed"],
    );
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let inputs: Vec<_> = rows
        .iter()
        .map(|row| row["input"].as_str().unwrap())
        .collect();
    assert_eq!(inputs, ["cat.png", "broken.png", "dog.bmp", "missing.png"]);
    let failed: Vec<_> = rows.iter().map(|row| row["error"].is_string()).collect();
    assert_eq!(failed, [false, true, false, true]);
    assert_eq!(rows[2]["output"], "out/dog.png");

    // Once the inputs are mended, the same command does the rest.
    let cat = fs::read(folder.join("out/cat.png")).unwrap();
    for mended in ["broken.png", "missing.png"] {
        write_image(&folder.join(mended), 8, 8, 5);
    }
    let again: Vec<Value> =
        serde_json::from_str(&stdout_of(&mut folder.faa_runtime(command))).unwrap();
    assert_eq!([&again[0], &again[2]], [&rows[0], &rows[2]]);
    assert_eq!(fs::read(folder.join("out/cat.png")).unwrap(), cat);
    assert_eq!(folder.pixels("out/missing.png").dimensions(), (8, 8));
}

#[test]
fn numbers_names_and_paths_that_cannot_be_are_answered_with_what_can() {
    let folder = Workdir::new();
    assert_all_fail(
        |arguments| folder.faa_runtime(arguments),
        "2 apply --op Invert --seed -1 cat.png --out out => must be a number from 0 to 18446744073709551615
         2 search --data glyphs --out run --seed -1 => must be a number from 0 to
         2 search --data glyphs --out run --epochs -1 => must be a whole number of at least 1
         2 search --data glyphs --out run --epochs 0 => must be a whole number of at least 1
         2 search --data glyphs --out run --cutout -3 => must be a whole number of at least 0
         2 search --data glyphs --out run --learning-rate -1 => `--learning-rate` is -1: it must be above 0
         2 apply --op Rotate --value -inf cat.png --out out => unexpected argument '-i' found
         2 search --data glyphs --out run --image-size -8 => must be a number from 1 to 4096
         2 apply --op Invert --grid -1 cat.png --out out => -1 is not in 1..=1000
         1 policy show rand-m9-mstd0.5 => the shipped policy `randaugment` comes nearest
         1 policy show rand-m9-mstd0.5-inc1 => is a configuration string of timm
         1 policy show original-mstd0.5 => the shipped policy `autoaugment-imagenet` comes nearest
         1 policy show v0 => the shipped policy `autoaugment-imagenet` comes nearest
         1 policy show rand.json => cannot read the policy rand.json
         1 policy show v1 => there is no file and no shipped policy named `v1`",
    );
}

#[test]
fn a_value_that_looks_like_options_gets_no_tip_that_does_not_help() {
    let output = Workdir::new()
        .faa_runtime("apply --op Rotate --value -inf cat.png --out out")
        .output();
    let message = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(
        !message.contains("tip:") && message.contains("Usage:"),
        "{message}"
    );
}

#[test]
fn a_home_folder_after_an_equals_sign_is_expanded() {
    let folder = Workdir::new();
    let mut apply = folder.faa_runtime("apply --op Invert cat.png --out=~/out");
    stdout_of(apply.env("HOME", folder.path()));
    assert!(folder.join("out/cat.png").exists() && !folder.join("~").exists());
}

#[cfg(unix)]
#[test]
fn arguments_that_are_not_utf_8_are_named() {
    use std::os::unix::ffi::OsStrExt;

    let bad = std::ffi::OsStr::from_bytes(b"caf\xe9");
    for (arguments, option, named) in [
        ("search --out run", "--data", "--data caf"),
        ("search --data glyphs", "--out", "--out is `caf"),
        ("eval --data glyphs", "x", "NETWORK is `caf"),
        (
            "search --data glyphs --out run",
            "--plugins",
            "--plugins is `caf",
        ),
    ] {
        let folder = Workdir::new();
        fs::create_dir(folder.path().join(bad)).unwrap();
        let mut command = folder.faa_runtime(arguments);
        command.env("LIBTORCH", "/nonexistent");
        if option.starts_with("--") {
            command.arg(option);
        }
        assert_fails(command.arg(bad), 2, &[named, "not valid UTF-8"]);
    }
}

#[test]
fn errors_name_the_problem_and_its_location() {
    let folder = Workdir::new();
    folder.write("broken.png", "no image");
    folder.write("empty.ppm", "P6\n0 0\n255\n");
    folder.write("bad.json", POLICY.replace("0.9,", "1.7,"));
    assert_all_fail(
        |arguments| folder.faa_runtime(&format!("apply {arguments} --out never")),
        "1 --op Rotat --value 1 cat.png => did you mean `Rotate`?
         2 --op Rotate cat.png => Rotate needs --value V (-30 … 30 degrees)
         2 --op Invert --value 1 cat.png => Invert takes no value
         2 --op Rotate --magnitude 1.5 cat.png => a number from 0 to 1
         2 --op Rotate --value nan cat.png => a finite number
         2 cat.png => required arguments were not provided
         1 --op Invert broken.png => broken.png: its content is of no known image format
         1 --op Invert empty.ppm => empty.ppm:
         1 --policy nothing.json cat.png => cannot read the policy nothing.json
         1 --policy bad.json cat.png => sub_policies[0][0].probability: 1.7 is not within 0…1",
    );
}

#[test]
fn help_has_examples_and_invalid_arguments_exit_with_2() {
    for command in ["search", "apply", "augment", "ops", "doctor", "completions"] {
        let help = stdout_of(faa_runtime().args([command, "--help"]));
        assert_contains(&help, &["Example", &format!("faa-runtime {command}")]);
    }
    assert_fails(faa_runtime().arg("serch"), 2, &[]);
    assert_all_fail(
        |arguments| {
            let mut command = faa_runtime();
            command
                .args(["search", "--out", "never"])
                .args(arguments.split(' '));
            command
        },
        "2 --data glyph => folder:
         2 --data glyphs --model wrn-11-1 => a depth of 6n + 4 (10, 16
         2 --data glyphs --device tpu => auto, cpu, cuda or cuda:N
         2 --data glyphs --jobs 0 => at least 1, or auto
         2 --data glyphs --jobs x => at least 1, or auto
         2 --data glyphs --jobs 257 => `--jobs` is 257: it must be from 1 to 256
         2 --data glyphs --jobs auto --learning-rate nan => `--learning-rate` is NaN
         2 --data glyphs --learning-rate nan => `--learning-rate` is NaN: it must be above 0
         2 --data glyphs --held-out 1.5 => `--held-out` is 1.5: it must be between 0 and 1
         2 --data glyphs --warmup-epochs 500 => must be shorter than a training
         2 --data glyphs --ops Invert,Invert => named twice",
    );
    assert!(stdout_of(faa_runtime().args(["completions", "bash"])).contains("faa-runtime"));
}

/// What was asked for and cannot be used is an error.
#[test]
fn options_of_parts_that_a_search_does_not_have_are_refused() {
    let halving = "--entrants 4, --rungs 2, --reduction 2, --rung-epochs 3, --early-epochs 3, --rung-seeds 2, \
                   --no-audit, --no-density";
    let density = "--folds 2, --rounds 1, --trials 9, --top-n 1, --finalists 0, --sub-policies 2, \
                   --ops-per-sub-policy 2, --draws 1, --trial-draws fresh, --fold-augment uniform, \
                   --start-up-trials 2, --gamma 0.2, --candidates 3, --reward mean";
    for (without, options, message) in [
        ("--objective density", halving, "short trainings"),
        (
            "--objective train --no-density",
            density,
            "the search by density matching",
        ),
        (
            "--objective train --no-density --no-audit",
            "--epochs 9",
            "the audit and the search by density matching",
        ),
    ] {
        for option in options.split(", ") {
            let mut search = faa_runtime();
            search.args(["search", "--data", "glyphs", "--out", "never"]);
            search.args(without.split(' ')).args(option.split(' '));
            let name = option.split(' ').next().unwrap();
            assert_fails(
                &mut search,
                2,
                &[&format!("{name} is an option of {message}: ")],
            );
        }
    }
}

#[test]
fn the_help_says_what_becomes_of_alpha() {
    for (command, words) in [
        ("apply", "Alpha is kept"),
        ("search", "alpha is dropped"),
        ("train", "alpha is dropped"),
        ("audit", "alpha is dropped"),
        ("eval", "alpha is dropped"),
    ] {
        let help = stdout_of(faa_runtime().args([command, "--help"]));
        assert_contains(&help, &[words]);
    }
}

#[test]
fn the_help_explains_jobs() {
    let parts = [
        "--final <NAME:SEED>",
        "--list-jobs",
        "--collect <DIR>",
        "--end-with-stdin",
        "(EX_TEMPFAIL) if a different process works on it",
    ];
    for command in ["search", "train"] {
        assert_contains(&stdout_of(faa_runtime().args([command, "--help"])), &parts);
    }
    let parts = [
        "--fold <K>",
        "--entrant <RUNG:ENTRANT:SEED>",
        "--only-audit",
        "SEARCH --collect",
    ];
    assert_contains(&stdout_of(faa_runtime().args(["search", "--help"])), &parts);
}

#[test]
fn a_missing_libtorch_is_reported_by_search_and_doctor() {
    let folder = Workdir::new();
    let without_libtorch = |command: &mut Command| {
        command
            .env_remove("LIBTORCH")
            .env("FAA_CACHE_DIR", folder.path())
            .env("PATH", folder.path());
    };
    let mut search = folder.faa_runtime("search --data glyphs --out run");
    without_libtorch(&mut search);
    assert_fails(&mut search, 1, &["run `cargo xtask libtorch`"]);
    // Jobs are listed without it.
    let mut list = folder.faa_runtime("search --data glyphs --out run --final-seeds 1 --list-jobs");
    without_libtorch(&mut list);
    let words = [
        "ready --fold 4",
        "ready --final cutout:0",
        "waiting --final policy:0",
    ];
    assert_contains(&stdout_of(&mut list), &words);
    assert!(!folder.join("run").exists());

    let mut doctor = faa_runtime();
    without_libtorch(doctor.arg("doctor"));
    let output = run(&mut doctor);
    assert_eq!(output.status.code(), Some(1));
    assert_contains(
        &String::from_utf8(output.stdout).unwrap(),
        &["libtorch           MISSING"],
    );

    folder.write("old/lib/libtorch_cpu.so", "");
    folder.write("old/build-version", "2.4.0");
    let mut doctor = faa_runtime();
    let output = run(doctor
        .args(["doctor", "--json"])
        .env("LIBTORCH", folder.join("old")));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let why = report["libtorch"]["missing"].as_str().unwrap();
    assert_contains(why, &["is version 2.4.0, not 2.11.0"]);
}
