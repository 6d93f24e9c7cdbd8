//! Set-up and checks of the repository: `cargo xtask <command>`.
//!
//! Everything that a checkout needs beyond a Rust toolchain is done here, so that no step depends on a
//! shell, a start-up file or a folder created by hand.

mod arm;
mod checks;
mod demo;
mod downloads;
mod gpu_pack;
mod host;
mod nightly;
mod packages;
mod parity;
mod platforms;
mod program;
mod python;
mod ray;
mod steps;
mod tables;
mod toolchain;
mod words;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use faa_system::{flush_log, log_error, log_line};

use crate::host::Host;

/// Set-up and checks of the repository.
#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Download libtorch for the CPU (once, 544 MB) and link it for cargo.
    ///
    /// It is stored outside the checkout, in $FAA_CACHE_DIR [default: the folder faa-runtime of
    /// $XDG_CACHE_HOME or ~/.cache]. If LIBTORCH is set to a libtorch of the right version, that one is
    /// used and nothing is downloaded.
    #[command(after_help = "Example:\n  cargo xtask libtorch")]
    Libtorch,
    /// Download libtorch, build everything, and audit and search the built-in data set.
    #[command(after_help = "\
Examples:
  cargo xtask demo
  cargo xtask demo --seed 7 --out runs/seed-7")]
    Demo {
        /// Options of `faa-runtime search`, added to --data glyphs --preset demo --out runs/demo.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        search: Vec<String>,
    },
    /// Compare the built-in ops with Pillow on random cases.
    ///
    /// Pillow is downloaded once, to the cache folder. The exit status is 1 at the first byte that
    /// differs; the command that repeats the case is printed.
    #[command(after_help = "\
Examples:
  cargo xtask parity
  cargo xtask parity --seed 7 --first 1234 --cases 1
  cargo xtask parity --write-goldens")]
    Parity(parity::Options),
    /// Build for aarch64, and run the tests of the ops and the executor there, in QEMU.
    ///
    /// Needs QEMU, a linker and the C library for aarch64, and a Rust toolchain for it: cargo's, or else that
    /// of Debian. Which one is used is printed. Takes about ten minutes.
    #[command(after_help = "\
Examples:
  cargo xtask arm
  cargo xtask arm --cases 20000")]
    Arm(arm::Options),
    /// Check that the libraries compile for Windows and macOS.
    ///
    /// Needs cargo's toolchains for them, for which rustup is asked. Nothing is linked or run.
    #[command(after_help = "Example:\n  cargo xtask platforms")]
    Platforms,
    /// Measure the ops beside those of other libraries, and write the tables of ops-builtin/BENCHMARKS.md.
    ///
    /// Uses the first Python on PATH that has numpy and pillow; of torch, torchvision, albumentations and
    /// timm, those that are missing are omitted. Takes about five minutes, on a machine that does nothing
    /// else. The section of this processor is replaced.
    #[command(after_help = "\
Examples:
  cargo xtask tables
  cargo xtask tables --seconds 0.3")]
    Tables(tables::Options),
    /// Fuzz the libraries.
    ///
    /// Needs nightly Rust, a C++ compiler and cargo-fuzz. The exit status is 1 at the first finding; the
    /// path of its input and the command that repeats it are printed.
    #[command(after_help = "\
Examples:
  cargo xtask fuzz
  cargo xtask fuzz executor --seconds 3600")]
    Fuzz(nightly::FuzzOptions),
    /// Run the tests of the packages with unsafe code in Miri; takes about ten minutes.
    ///
    /// Needs nightly Rust with the components miri and rust-src.
    #[command(after_help = "\
Examples:
  cargo xtask miri
  MIRIFLAGS=-Zmiri-tree-borrows cargo xtask miri")]
    Miri,
    /// Pack programs and images into a folder, to check, measure, search and train on a GPU.
    ///
    /// The machine with the GPU needs Linux on x86-64 and a Python with PyTorch 2.11, but neither cargo
    /// nor this checkout. Copy the folder there and run its run.sh; its README.md describes it.
    #[command(after_help = "\
Example:
  cargo xtask gpu-pack --data cifar10-jpeg.tar.zst --out pack")]
    GpuPack(gpu_pack::Options),
    /// Run the tests of the Python package.
    ///
    /// What they need is downloaded once, to the cache folder.
    #[command(after_help = "\
Examples:
  cargo xtask python
  cargo xtask python --wheel
  cargo xtask python --torch")]
    Python(python::Options),
    /// Run searches on clusters of Ray, with nodes that are lost.
    ///
    /// Needs a Python of version 3.11 or later that has ray and pytest (`pip install ray pytest`).
    #[command(after_help = "\
Examples:
  cargo xtask ray
  cargo xtask ray --python venv-3.11/bin/python --python venv-3.13/bin/python")]
    Ray(ray::Options),
    /// Run all checks of continuous integration, up to the first that fails.
    #[command(after_help = "\
Examples:
  cargo xtask test
  cargo xtask test --fast
  cargo xtask test --any-rust")]
    Test(checks::Options),
}

fn main() -> ExitCode {
    let Some(command) = Arguments::parse().command else {
        // A closed standard output is not an error.
        let _ = Arguments::command().print_help();
        return ExitCode::SUCCESS;
    };
    let host = Host::of_process();
    let done = match command {
        Command::Libtorch => downloads::libtorch(&host).map(|folder| {
            log_line!("libtorch is in {}", folder.display());
            ExitCode::SUCCESS
        }),
        Command::Demo { search } => demo::run(&host, &search),
        Command::Arm(options) => arm::run(&host, &options),
        Command::Platforms => platforms::run(&host),
        Command::Parity(options) => parity::run(&host, &options),
        Command::Tables(options) => tables::run(&host, &options),
        Command::Fuzz(options) => nightly::fuzz(&host, &options),
        Command::Miri => nightly::miri(&host),
        Command::GpuPack(options) => gpu_pack::run(&host, &options),
        Command::Python(options) => python::run(&host, &options),
        Command::Ray(options) => ray::run(&host, &options),
        Command::Test(options) => Ok(checks::run(&host, &options)),
    };
    let code = done.unwrap_or_else(|error| {
        log_error(error.as_ref());
        ExitCode::FAILURE
    });
    flush_log();
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn wrong_usage_exits_with_2() {
        let error = Arguments::try_parse_from(["xtask", "biuld"]).err().unwrap();
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn options_after_demo_are_passed_to_the_search() {
        let arguments = Arguments::try_parse_from(["xtask", "demo", "--seed", "7"]).unwrap();
        let Some(Command::Demo { search }) = arguments.command else {
            panic!("not a demo");
        };
        assert_eq!(search, ["--seed", "7"]);
    }
}
