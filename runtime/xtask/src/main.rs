//! Set-up and checks of the repository: `cargo xtask <command>`.
//!
//! Everything that a checkout needs beyond a Rust tool chain is done here, so
//! that no step depends on a shell, a start-up file or a hand-made folder.

mod cache;
mod checks;
mod demo;
mod gpu_pack;
mod host;
mod libtorch;
mod nightly;
mod packages;
mod parity;
mod program;
mod python;
mod steps;

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};

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
    /// Fetch libtorch for the CPU (once, 544 MB) and let cargo find it.
    ///
    /// It is kept outside the checkout, in $FAA_CACHE_DIR, or else in the
    /// folder faa-runtime of $XDG_CACHE_HOME or ~/.cache. With LIBTORCH set to a
    /// libtorch of the right version, that one is used and nothing is fetched.
    Libtorch,
    /// Build everything and search for a policy on the built-in data set.
    Demo {
        /// Options for `faa-runtime search`, in place of the demo's own.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        search: Vec<String>,
    },
    /// Compare the built-in ops with Pillow on random cases.
    ///
    /// Pillow is fetched into the cache folder, once. Exits with status 1 at
    /// the first byte that differs, and prints how to repeat that case.
    Parity(parity::Options),
    /// Look for inputs that the libraries mishandle.
    ///
    /// Needs nightly Rust and cargo-fuzz. Exits with status 1 at the first
    /// finding, and prints the path of the input and how to repeat it.
    Fuzz(nightly::FuzzOptions),
    /// Run the tests of the packages with unsafe code in Miri, some minutes.
    ///
    /// Needs nightly Rust with the components miri and rust-src.
    Miri,
    /// Pack a folder that checks, measures, searches and trains on a GPU.
    ///
    /// The machine with the GPU needs Linux on x86-64 and a Python that has
    /// PyTorch 2.11, and neither cargo nor this checkout. Run the folder's
    /// run.sh there; its README.md explains what it does.
    GpuPack(gpu_pack::Options),
    /// Run every check, in the order of continuous integration.
    Test {
        /// Only the formatting, and the tests that need no libtorch.
        #[arg(long)]
        fast: bool,
    },
}

fn main() -> ExitCode {
    let Some(command) = Arguments::parse().command else {
        // A closed standard output is no reason to fail.
        let _ = Arguments::command().print_help();
        return ExitCode::SUCCESS;
    };
    let host = Host::of_process();
    let done = match command {
        Command::Libtorch => libtorch::ensure(&host).map(|folder| {
            eprintln!("libtorch is in {}", folder.display());
            ExitCode::SUCCESS
        }),
        Command::Demo { search } => demo::run(&host, &search),
        Command::Parity(options) => parity::run(&host, &options),
        Command::Fuzz(options) => nightly::fuzz(&host, &options),
        Command::Miri => nightly::miri(&host),
        Command::GpuPack(options) => gpu_pack::run(&host, &options),
        Command::Test { fast } => Ok(checks::run(&host, fast)),
    };
    done.unwrap_or_else(|error| {
        report(&error);
        ExitCode::FAILURE
    })
}

/// Prints an error and its causes, a line each.
fn report(error: &anyhow::Error) {
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
}

/// A duration for people: `0.4 s`, `12.0 s`, `3 min 5 s`.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{} min {} s", time.as_secs() / 60, time.as_secs() % 60)
    }
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
    fn options_after_demo_are_the_search_s() {
        let arguments = Arguments::try_parse_from(["xtask", "demo", "--seed", "7"]).unwrap();
        let Some(Command::Demo { search }) = arguments.command else {
            panic!("not a demo");
        };
        assert_eq!(search, ["--seed", "7"]);
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(in_words(Duration::from_millis(412)), "0.4 s");
        assert_eq!(in_words(Duration::from_secs(185)), "3 min 5 s");
    }
}
