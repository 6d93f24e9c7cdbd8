//! `cargo xtask arm`: tests on aarch64, in QEMU.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Args;
use faa_system::log_line;

use crate::host::Host;
use crate::steps::{self, Tally};
use crate::toolchain::Toolchain;
use crate::{parity, program};

const TARGET: &str = "aarch64-unknown-linux-gnu";

/// The names of QEMU's program for aarch64, and of the linker.
const QEMU: [&str; 2] = ["qemu-aarch64", "qemu-aarch64-static"];
const LINKER: &str = "aarch64-linux-gnu-gcc";

/// Where Debian and Ubuntu have aarch64's C library.
const LIBRARIES: &str = "/usr/aarch64-linux-gnu";

/// What is tested: the packages that the executor consists of, and the goldens of ops and markers. Documentation's examples are not: they hold on every platform or on none.
const TESTS: &[&str] = &[
    "test --release --lib --tests -p faa-op -p faa-ops-builtin -p faa-policy --no-fail-fast",
    "test --release -p faa-tests --lib --test goldens --test markers --no-fail-fast",
];

/// The largest packages of those that the package of the goldens needs for other tests. Not optimised, they
/// compile in a fraction of the time.
const NOT_RUN: &str = "cranelift-codegen cranelift-frontend cranelift-assembler-x64 regalloc2 wasmtime \
    wasmtime-environ wasmtime-internal-cranelift pulley-interpreter wasmparser wasm-smith wasm-encoder wast \
    wasmprinter wat gimli";

/// The options of `cargo xtask arm`.
#[derive(Args)]
pub(crate) struct Options {
    /// Number of random cases to compare with Pillow.
    #[arg(long, default_value_t = 2_000)]
    cases: u64,
}

/// Builds for aarch64, and runs tests and random cases in QEMU.
pub(crate) fn run(host: &Host, options: &Options) -> Result<ExitCode> {
    let qemu = emulator(host)?;
    let toolchain = Toolchain::find(host, TARGET)?;
    log_line!("building with {toolchain}");
    let cargo = |arguments: &str| {
        let mut command = toolchain.cargo(host, TARGET, arguments);
        for package in NOT_RUN.split(' ') {
            let setting = format!("profile.release.package.{package}.opt-level=0");
            command.args(["--config", &setting]);
        }
        command
            .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", LINKER)
            .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", &qemu)
            .env("QEMU_LD_PREFIX", LIBRARIES);
        command
    };
    let mut tally = Tally::default();
    for test in TESTS {
        steps::step(&format!("cargo {test}"), || {
            steps::run(&mut cargo(test), &mut io::stdout(), &mut tally)
        })?;
    }
    steps::step("parity", || {
        let program = program::build_by(cargo(parity::BUILD), parity::PROGRAM, "example")?;
        let mut ours = Command::new(&qemu);
        ours.arg(program).env("QEMU_LD_PREFIX", LIBRARIES);
        let equal = parity::compare(host, ours, &parity::Cases::random(options.cases))?;
        ensure!(equal, "results differ from Pillow's");
        Ok(())
    })?;
    // A closed standard output is not an error.
    let _ = writeln!(io::stdout(), "{}", tally.summary());
    Ok(ExitCode::SUCCESS)
}

/// QEMU's program, where the linker and the C library are installed too.
fn emulator(host: &Host) -> Result<PathBuf> {
    let found = QEMU.iter().find_map(|name| host.find_program(name));
    let complete = host.find_program(LINKER).is_some() && Path::new(LIBRARIES).is_dir();
    found.filter(|_| complete).with_context(|| {
        format!(
            "one of {}, {LINKER} and {LIBRARIES} is missing; on Debian and Ubuntu: \
             apt-get install qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
            QEMU[0]
        )
    })
}
