//! Helpers of the end-to-end tests: the programs, and images to run them on.
//!
//! The tests run the programs as users do. Cargo does not build programs of other packages for a test, so
//! the first call builds them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use image::{Rgb, RgbImage};
use serde_json::Value;

pub mod fuzz;
pub mod markers;
pub mod pets;
pub mod pictures;
pub mod plugins;
pub mod runs;
pub mod ways;
pub mod workdir;
#[cfg(unix)]
pub mod worker;

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package has a parent")
        .to_owned()
}

/// A command that runs `faa-runtime`, which must find libtorch without `LD_LIBRARY_PATH`.
pub fn faa_runtime() -> Command {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let mut command = Command::new(PROGRAM.get_or_init(|| build("faa-runtime")));
    command.env_remove("LD_LIBRARY_PATH");
    // Remove cargo's setting, but not the user's.
    if env::var_os("LIBTORCH").is_some_and(|home| Path::new(&home).ends_with(".libtorch")) {
        command.env_remove("LIBTORCH");
    }
    command
}

/// Builds `faa-runtime-torch`, which `faa-runtime` starts for commands that need libtorch.
pub fn build_torch() {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| build("faa-runtime-torch"));
}

/// A command that runs a program of the folder `examples`.
pub fn example(program: &str) -> Command {
    Command::new(build(program))
}

/// Builds a program with the profile of the running test, and returns its path.
fn build(program: &str) -> PathBuf {
    build_target("--bin", program);
    profile_folder().join(program)
}

/// Builds an example of this package, and returns its path.
///
/// # Panics
///
/// If it cannot be built.
pub fn example_of_tests(example: &str) -> PathBuf {
    build_target("--example", example);
    profile_folder().join("examples").join(example)
}

/// Selects the same packages as for the test: cargo unites the features of all selected packages, and with
/// other features it would build most dependencies again.
fn build_target(kind: &str, name: &str) {
    let mut arguments = vec!["build", "--quiet", kind, name];
    if cfg!(feature = "torch") {
        arguments.extend(["--workspace", "--features", "faa-tests/torch"]);
    }
    let status = cargo(&arguments).status().expect("cargo can be started");
    assert!(status.success(), "building {name} failed");
}

/// A cargo command in the repository, with the profile of the running test.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args(arguments);
    if profile_folder().ends_with("release") {
        cargo.arg("--release");
    }
    cargo
}

/// The folder of programs built with the profile of the running test.
///
/// # Panics
///
/// If this program is not a test.
pub fn profile_folder() -> PathBuf {
    let test = env::current_exe().expect("a test knows its own path");
    let folder = test.ancestors().nth(2);
    let folder = folder.expect("tests are in the folder `deps` of a profile");
    folder.to_owned()
}

/// Runs a command to its end.
///
/// # Panics
///
/// If it cannot be started.
pub fn run(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
}

/// The standard output of a command that must succeed.
///
/// # Panics
///
/// If it fails; the message contains its standard error.
#[track_caller]
pub fn stdout_of(command: &mut Command) -> String {
    output_of(command)[0].clone()
}

/// The standard output of a command that must succeed, as JSON.
///
/// # Panics
///
/// If it fails, or prints something else.
#[track_caller]
pub fn json_of(command: &mut Command) -> Value {
    serde_json::from_str(&stdout_of(command)).expect("it prints JSON")
}

/// The standard output and the standard error of a command that must succeed.
///
/// # Panics
///
/// If it fails; the message contains its standard error.
#[track_caller]
pub fn output_of(command: &mut Command) -> [String; 2] {
    let output = run(command);
    let texts = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into());
    assert!(output.status.success(), "{command:?} failed: {}", texts[1]);
    texts
}

/// The exit code and standard error of a command that must fail.
///
/// # Panics
///
/// If it succeeds, or is killed by a signal.
#[track_caller]
pub fn failure_of(command: &mut Command) -> (i32, String) {
    let output = run(command);
    assert!(!output.status.success(), "{command:?} succeeded");
    let code = output.status.code().expect("no signal ended it");
    let errors = String::from_utf8(output.stderr);
    (code, errors.expect("programs print UTF-8"))
}

/// Runs a command that must fail with this exit code, and a message with all these parts.
///
/// # Panics
///
/// If it does not.
#[track_caller]
pub fn assert_fails(command: &mut Command, code: i32, parts: &[&str]) {
    let (found, errors) = failure_of(command);
    assert_eq!(found, code, "{command:?}: {errors}");
    assert_contains(&errors, parts);
}

/// Runs commands that must fail. A line of `cases` has the exit code, the arguments, `=>` and a part of the
/// message.
///
/// # Panics
///
/// If one does not fail like that.
#[track_caller]
pub fn assert_all_fail(command: impl Fn(&str) -> Command, cases: &str) {
    for case in cases.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (call, part) = case.split_once(" => ").expect(case);
        let (code, arguments) = call.split_once(' ').expect(case);
        let code = code.parse().expect(case);
        assert_fails(&mut command(arguments.trim()), code, &[part.trim()]);
    }
}

/// Asserts that a text has all these parts.
///
/// # Panics
///
/// If one is missing.
#[track_caller]
pub fn assert_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

/// Writes an image; images of different seeds differ in most pixels.
///
/// # Panics
///
/// If the file cannot be written.
pub fn write_image(path: &Path, width: u32, height: u32, seed: u32) {
    let pixel = |x: u32, y: u32| {
        let levels = [
            x * 5 + seed * 40,
            y * 7 + seed * 90,
            (x + y) * 3 + seed * 13,
        ];
        Rgb(levels.map(|level| level as u8))
    };
    fs::create_dir_all(path.parent().expect("a file has a folder")).expect("it can be created");
    let saved = RgbImage::from_fn(width, height, pixel).save(path);
    saved.expect("the image can be written");
}

/// Writes a data set in folders. `images` are the numbers of images per class in the splits train and test;
/// classes differ in colour.
///
/// # Panics
///
/// If a file cannot be written.
pub fn write_data_set(folder: &Path, classes: u32, images: [u32; 2]) {
    for (split, count) in ["train", "test"].into_iter().zip(images) {
        for class in 0..classes {
            for number in 0..count {
                let name = format!("{split}/class-{class}/{number:03}.png");
                write_image(&folder.join(name), 16, 16, class * 100 + number % 7);
            }
        }
    }
}

/// Runs the example in the repository's README as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
