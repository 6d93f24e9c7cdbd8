//! `cargo xtask python`, and the part of `cargo xtask test` that tests the Python package.

use std::env;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX, EXE_SUFFIX};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Args;
use faa_system::log_line;

use crate::host::Host;
use crate::steps::{self, Tally};
use crate::{downloads, program};

/// The package, from the root of the checkout.
const PACKAGE: &str = "runtime/python";

/// The program with whose results those of the package are compared.
const PROGRAM: &str = "faa-runtime";

/// The C library, likewise; it is built with the program.
const LIBRARY: &str = "faa";

/// The program that calls the executor from Rust, likewise.
const EXAMPLE: &str = "keyed";

/// The build that the other checks of `cargo xtask test` have made, so only the extension is new. A wheel
/// would be built with the features of one package, and with them most dependencies again.
const BUILD_OF_CHECKS: &str = "build --release --workspace --features faa-tests/torch,faa-capi/plugins --lib --bins --example keyed";

/// The build without libtorch.
const BUILD: &str = "build --release -p faa-runtime -p faa-python -p faa-capi -p faa-policy --lib --bins \
                     --example keyed";

/// The largest size of the wheel, in bytes.
const MAX_WHEEL_BYTES: u64 = 6_000_000;

/// The options of `cargo xtask python`.
#[derive(Args)]
pub(crate) struct Options {
    /// Build the wheel as `pip install` does, and test that.
    #[arg(long)]
    wheel: bool,
    /// Also run the tests with torch and torchvision, and print rates beside those of other packages.
    ///
    /// Needs a Python on PATH that has torch and torchvision; timm and albumentations are measured if it has
    /// them. Run it on an otherwise idle machine.
    #[arg(long)]
    torch: bool,
}

/// Tests the package with the build of the other checks.
pub(crate) fn check(host: &Host, tally: &mut Tally) -> Result<()> {
    let program = program::build(host, BUILD_OF_CHECKS, PROGRAM, "bin")?;
    let folder = lay_out(host, &program)?;
    test(host, &folder, &program, tally)
}

/// Tests the package.
pub(crate) fn run(host: &Host, options: &Options) -> Result<ExitCode> {
    let mut tally = Tally::default();
    let program = steps::step("build", || program::build(host, BUILD, PROGRAM, "bin"))?;
    let folder = if options.wheel {
        steps::step("wheel", || wheel(host, &program))?
    } else {
        lay_out(host, &program)?
    };
    steps::step("tests", || test(host, &folder, &program, &mut tally))?;
    if options.torch {
        let python = downloads::python_with_torch(host)?;
        steps::step("tests with torch", || {
            let pytest = downloads::python_with(&python, &[&folder])?;
            run_pytest(host, pytest, "tests_torch", &program, &mut tally)
        })?;
        steps::step("rates", || {
            let mut rates = downloads::python_with(&python, &[&folder])?;
            let package = host.root.join(PACKAGE);
            steps::complete(rates.arg("bench/rates.py").current_dir(package))
        })?;
    }
    // A closed standard output is not an error.
    let _ = writeln!(io::stdout(), "{}", tally.summary());
    Ok(ExitCode::SUCCESS)
}

/// Puts the package's files and its extension, which was built with the program, into a folder, as a wheel
/// has them.
pub(crate) fn lay_out(host: &Host, program: &Path) -> Result<PathBuf> {
    let folder = empty_folder(program)?;
    let package = folder.join("faa");
    copy_sources(&host.root.join(PACKAGE).join("python/faa"), &package)?;
    let library = program.with_file_name(format!("{DLL_PREFIX}_faa{DLL_SUFFIX}"));
    fs::copy(&library, package.join("_faa.abi3.so"))
        .with_context(|| format!("cannot copy {}", library.display()))?;
    Ok(folder)
}

/// Copies a folder with the folders in it, but not what Python has compiled.
fn copy_sources(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        let (path, copy) = (file.path(), to.join(file.file_name()));
        if file.file_type()?.is_file() {
            fs::copy(path, copy)?;
        } else if file.file_name() != "__pycache__" {
            copy_sources(&path, &copy)?;
        }
    }
    Ok(())
}

/// An empty folder beside a program, for the package.
fn empty_folder(program: &Path) -> Result<PathBuf> {
    let folder = program.with_file_name("python");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir(&folder)?;
    Ok(folder)
}

/// Builds the wheel as `pip install` does, but with the tools of the cache, and unpacks it into a folder.
fn wheel(host: &Host, program: &Path) -> Result<PathBuf> {
    let folder = empty_folder(program)?;
    let (python, tools) = downloads::python_for_tests(host)?;
    let wheels = folder.join("wheel");
    let mut pip = downloads::python_with(&python, &[&tools])?;
    pip.args("-m pip wheel --no-deps --no-build-isolation --no-index".split(' '));
    pip.args(["--disable-pip-version-check", "--wheel-dir"])
        .arg(&wheels);
    pip.arg(host.root.join(PACKAGE));
    let path = host.variable("PATH").unwrap_or_default();
    let paths = [tools.join("bin")]
        .into_iter()
        .chain(env::split_paths(path));
    steps::complete(
        pip.env("PATH", env::join_paths(paths)?)
            .stdout(io::stderr()),
    )?;
    let wheel = fs::read_dir(&wheels)?
        .next()
        .context("there is no wheel")??;
    let bytes = wheel.metadata()?.len();
    log_line!("{}: {bytes} bytes", wheel.file_name().display());
    ensure!(
        bytes <= MAX_WHEEL_BYTES,
        "the wheel has more than {MAX_WHEEL_BYTES} bytes"
    );
    let mut unpack = Command::new(&python);
    unpack
        .args(["-m", "zipfile", "-e"])
        .args([&wheel.path(), &folder]);
    steps::complete(&mut unpack)?;
    Ok(folder)
}

fn test(host: &Host, folder: &Path, program: &Path, tally: &mut Tally) -> Result<()> {
    let (python, packages) = downloads::python_for_tests(host)?;
    let pytest = downloads::python_with(&python, &[folder, &packages])?;
    run_pytest(host, pytest, "tests", program, tally)
}

pub(crate) fn run_pytest(
    host: &Host,
    mut python: Command,
    tests: &str,
    program: &Path,
    tally: &mut Tally,
) -> Result<()> {
    let library = program.with_file_name(format!("{DLL_PREFIX}{LIBRARY}{DLL_SUFFIX}"));
    let example = program.with_file_name("examples");
    let example = example.join(format!("{EXAMPLE}{EXE_SUFFIX}"));
    python
        .args(["-m", "pytest", "-q", tests])
        .env("FAA_RUNTIME", program)
        .env("FAA_EXAMPLE", example)
        .env("FAA_LIBRARY", library);
    steps::run(
        python.current_dir(host.root.join(PACKAGE)),
        &mut io::stdout(),
        tally,
    )
}
