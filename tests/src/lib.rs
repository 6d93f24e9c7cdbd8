//! What the end-to-end tests share: the programs, and folders of images to run them on.
//!
//! The tests run programs as people do. Cargo does not build the programs of other packages for a
//! test, so the first call builds them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use image::{Rgb, RgbImage};

pub mod fuzz;
pub mod pictures;
pub mod plugins;
pub mod runs;
pub mod ways;
pub mod workdir;

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package has a parent")
        .to_owned()
}

/// `faa-runtime`, ready to be given arguments. It must find its libraries by itself.
pub fn faa_runtime() -> Command {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let mut command = Command::new(PROGRAM.get_or_init(|| build("faa-runtime")));
    command.env_remove("LD_LIBRARY_PATH");
    // Cargo's own setting; one of the user's stays.
    if env::var_os("LIBTORCH").is_some_and(|home| Path::new(&home).ends_with(".libtorch")) {
        command.env_remove("LIBTORCH");
    }
    command
}

/// Builds `faa-runtime-torch`, which `faa-runtime` starts for what needs libtorch.
pub fn build_torch() {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| build("faa-runtime-torch"));
}

/// A program of `examples/`.
pub fn example(program: &str) -> Command {
    Command::new(build(program))
}

/// Builds a program with the profile of the running test, and tells where it is.
///
/// The same packages are selected as for the test, since features of dependencies are united over
/// what is selected; otherwise most of them would be built once more.
fn build(program: &str) -> PathBuf {
    build_target("--bin", program);
    profile_folder().join(program)
}

/// Builds an example of this package, and tells where it is.
///
/// # Panics
///
/// Where it cannot be built.
pub fn example_of_tests(example: &str) -> PathBuf {
    build_target("--example", example);
    profile_folder().join("examples").join(example)
}

fn build_target(kind: &str, name: &str) {
    let mut arguments = vec!["build", "--quiet", kind, name];
    if cfg!(feature = "torch") {
        arguments.extend(["--workspace", "--features", "faa-tests/torch"]);
    }
    let status = cargo(&arguments).status().expect("cargo can be started");
    assert!(status.success(), "building {name} failed");
}

/// Cargo with these arguments, in the repository and with the profile of the running test.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args(arguments);
    if profile_folder().ends_with("release") {
        cargo.arg("--release");
    }
    cargo
}

/// Where programs lie that were built with the profile of the running test.
///
/// # Panics
///
/// Where what runs is no test.
pub fn profile_folder() -> PathBuf {
    let test = env::current_exe().expect("a test knows its own path");
    let folder = test.ancestors().nth(2);
    let folder = folder.expect("tests lie in a profile's folder `deps`");
    folder.to_owned()
}

/// Runs a program to its end.
///
/// # Panics
///
/// Where it cannot be started.
pub fn run(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"))
}

/// What a program that must succeed prints on standard output.
///
/// # Panics
///
/// Where it fails; the message has what it says on standard error.
pub fn stdout_of(command: &mut Command) -> String {
    let output = run(command);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {errors}");
    String::from_utf8(output.stdout).expect("programs print UTF-8")
}

/// The exit status and standard error of a program that must fail.
///
/// # Panics
///
/// Where it succeeds, or is ended by a signal.
pub fn failure_of(command: &mut Command) -> (i32, String) {
    let output = run(command);
    assert!(!output.status.success(), "{command:?} succeeded");
    let code = output.status.code().expect("no signal ended it");
    (
        code,
        String::from_utf8(output.stderr).expect("programs print UTF-8"),
    )
}

/// Writes an image that differs in every pixel from most others, by `seed`.
///
/// # Panics
///
/// Where the file cannot be written.
pub fn write_image(path: &Path, width: u32, height: u32, seed: u32) {
    let pixel = |x: u32, y: u32| {
        Rgb([
            x * 5 + seed * 40,
            y * 7 + seed * 90,
            (x + y) * 3 + seed * 13,
        ]
        .map(|v| v as u8))
    };
    fs::create_dir_all(path.parent().expect("a file has a folder")).expect("it can be made");
    RgbImage::from_fn(width, height, pixel)
        .save(path)
        .expect("the image can be written");
}

/// Writes a data set in folders: `classes` classes that differ in colour, so many images a split.
///
/// # Panics
///
/// Where a file cannot be written.
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

/// The example of the repository's README, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
