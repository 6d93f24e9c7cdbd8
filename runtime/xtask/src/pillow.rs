//! A Python with Pillow, which is the oracle of the built-in ops: a virtual
//! environment, made once and kept in the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::cache::Cache;
use crate::host::Host;
use crate::manifest::Manifest;
use crate::pip::last_words;
use crate::requirements;

/// The requirements file, from the root of the checkout.
const REQUIREMENTS: &str = "runtime/xtask/pillow.txt";

/// The minor versions of Python 3 that the requirements file has wheels for.
const MINORS: std::ops::RangeInclusive<u32> = 11..=14;

/// What the environment takes on the disk, with pip's own files.
const SPACE: u64 = 150_000_000;

/// Makes sure that there is a Python with the right Pillow, and returns its
/// path.
pub(crate) fn ensure(host: &Host) -> Result<PathBuf> {
    let (system, processor) = host.platform;
    ensure!(
        host.platform == ("linux", "x86_64"),
        "the ops have the pixels of Pillow's build for Linux on x86-64, and this is {system} on \
         {processor}: run this on such a machine"
    );
    let requirements = host.root.join(REQUIREMENTS);
    let python = find_python(host)?;
    let name = format!(
        "pillow-{}-python-3.{}",
        version(&requirements)?,
        python.minor
    );
    let cache = Cache::new(host.cache_folder()?);
    let folder = cache.provide(&name, SPACE, |work, result| {
        eprintln!("making a virtual environment with Pillow …");
        make(&python.path, &requirements, work, result)
    })?;
    Ok(python_in(&folder))
}

/// The version of Pillow that is pinned.
fn version(requirements: &Path) -> Result<String> {
    let context = || format!("cannot read {}", requirements.display());
    let text = fs::read_to_string(requirements).with_context(context)?;
    let mut pinned = requirements::parse(&text).with_context(context)?;
    ensure!(
        pinned.len() == 1 && pinned[0].package == "pillow",
        "{} does not pin pillow alone",
        requirements.display()
    );
    Ok(pinned.remove(0).version)
}

/// A Python that can make virtual environments for a wheel that is pinned.
#[derive(Debug)]
struct Python {
    path: PathBuf,
    minor: u32,
}

fn find_python(host: &Host) -> Result<Python> {
    let mut refused = Vec::new();
    // Those with a version in their names help where `python3` is another one.
    let exact = MINORS.rev().map(|minor| format!("python3.{minor}"));
    let names = ["python3".to_owned(), "python".to_owned()];
    for path in names
        .into_iter()
        .chain(exact)
        .filter_map(|name| host.find_program(&name))
    {
        let shown = path.display();
        match minor_version(&path) {
            None => refused.push(format!("{shown} is no CPython 3")),
            Some(minor) if !MINORS.contains(&minor) => {
                refused.push(format!("{shown} is version 3.{minor}"));
            }
            Some(_) if !succeeds(&path, "import venv, ensurepip") => {
                refused.push(format!("{shown} has no modules `venv` and `ensurepip`"));
            }
            Some(minor) => return Ok(Python { path, minor }),
        }
    }
    if refused.is_empty() {
        refused.push("there is no `python3` or `python` on PATH".to_owned());
    }
    bail!(
        "the comparison with Pillow needs Python 3.{} to 3.{} with its module `venv`: {}; install \
         it (on Debian and Ubuntu: apt-get install python3-venv)",
        MINORS.start(),
        MINORS.end(),
        refused.join(", "),
    )
}

fn minor_version(python: &Path) -> Option<u32> {
    let script = "import sys; assert sys.implementation.name == 'cpython'; \
                  assert sys.version_info[0] == 3; print(sys.version_info[1])";
    let output = quiet(python).args(["-c", script]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

fn succeeds(python: &Path, script: &str) -> bool {
    let output = quiet(python).args(["-c", script]).output();
    output.is_ok_and(|output| output.status.success())
}

/// A Python that neither waits for input nor reads what the user's variables
/// name.
fn quiet(python: &Path) -> Command {
    let mut command = Command::new(python);
    command
        .stdin(Stdio::null())
        .env_remove("PYTHONHOME")
        .env_remove("PYTHONPATH");
    command
}

/// Where an environment has its Python.
fn python_in(folder: &Path) -> PathBuf {
    folder.join("bin/python")
}

/// Makes the environment at `result`. It is moved afterwards, which its Python
/// takes well; only the scripts beside it know their old place, and are not
/// used.
fn make(python: &Path, requirements: &Path, work: &Path, result: &Path) -> Result<()> {
    let output = quiet(python)
        .args(["-m", "venv"])
        .arg(result)
        .output()
        .with_context(|| format!("cannot run {}", python.display()))?;
    ensure!(
        output.status.success(),
        "no virtual environment could be made with {}. Its last words:\n    {}",
        python.display(),
        last_words(&text_of(&output)),
    );
    let output = quiet(&python_in(result))
        .args(["-m", "pip", "install", "--require-hashes", "--no-deps"])
        .args(["--only-binary=:all:", "--no-input", "--progress-bar", "off"])
        .args(["--disable-pip-version-check", "--requirement"])
        .arg(requirements)
        .env("TMPDIR", work)
        .output()
        .context("cannot run the new environment's Python")?;
    if !output.status.success() {
        bail!(explain(&text_of(&output)));
    }
    let mut manifest = Manifest::default();
    add_files(&mut manifest, result, Path::new(""))?;
    manifest.write(result)
}

fn text_of(output: &std::process::Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{out}\n{err}")
}

/// Adds all files of a folder within `root`, those that links lead to included.
fn add_files(manifest: &mut Manifest, root: &Path, folder: &Path) -> Result<()> {
    let path = root.join(folder);
    let context = || format!("cannot read {}", path.display());
    for entry in path.read_dir().with_context(context)? {
        let file = folder.join(entry.with_context(context)?.file_name());
        let data = fs::metadata(root.join(&file)).with_context(context)?;
        if data.is_file() {
            manifest.add(file, data.len());
        } else if !root.join(&file).is_symlink() {
            // `lib64` is a link to `lib`, whose files are there already.
            add_files(manifest, root, &file)?;
        }
    }
    Ok(())
}

/// Says what pip's failure probably means, with its last words.
fn explain(said: &str) -> String {
    let meaning = if said.contains("DO NOT MATCH THE HASHES") {
        "a download did not arrive as it should, or the source that pip is set to holds other \
         files: its hash differs from those in runtime/xtask/pillow.txt"
    } else if said.contains("No space left on device") || said.contains("Disk quota exceeded") {
        "no space was left; free some, or set FAA_CACHE_DIR to a folder on another disk"
    } else {
        "pip could not install Pillow. Without a network, copy the cache folder from a machine \
         that has it; behind a proxy or a mirror, set it in pip's configuration"
    };
    format!("{meaning}. pip's last words:\n    {}", last_words(said))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::host::tests::host;

    #[test]
    fn the_committed_file_and_the_oracle_agree() {
        let root = Host::of_process().root;
        let version = version(&root.join(REQUIREMENTS)).unwrap();
        let oracle = fs::read_to_string(root.join("tests/oracle/ops.py")).unwrap();
        assert!(oracle.contains(&format!("PILLOW = \"{version}\"")));
    }

    #[test]
    fn without_a_python_that_fits() {
        let folder = tempfile::tempdir().unwrap();
        let machine = host(Path::new("/"), &[("PATH", folder.path())]);
        let text = find_python(&machine).unwrap_err().to_string();
        assert!(text.contains("no `python3` or `python` on PATH"), "{text}");
        assert!(text.contains("install python3-venv"), "{text}");

        let failing = Host::of_process().find_program("false").unwrap();
        symlink(failing, folder.path().join("python3")).unwrap();
        let text = find_python(&machine).unwrap_err().to_string();
        assert!(text.contains("python3 is no CPython 3"), "{text}");
    }

    #[test]
    fn other_platforms_are_refused() {
        let mut machine = host(Path::new("/"), &[]);
        machine.platform = ("macos", "aarch64");
        let text = ensure(&machine).unwrap_err().to_string();
        assert!(text.contains("macos on aarch64"), "{text}");
    }

    #[test]
    fn files_behind_links_are_listed_once() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("lib/a")).unwrap();
        fs::write(root.join("lib/a/file"), "text").unwrap();
        symlink("lib", root.join("lib64")).unwrap();
        symlink(root.join("lib/a/file"), root.join("python")).unwrap();
        let mut manifest = Manifest::default();
        add_files(&mut manifest, root, Path::new("")).unwrap();
        manifest.write(root).unwrap();
        let text = fs::read_to_string(root.join("manifest")).unwrap();
        assert!(text.starts_with("2 files\n"), "{text}");
        Manifest::check(root).unwrap();
        fs::write(root.join("lib/a/file"), "changed").unwrap();
        assert!(Manifest::check(root).is_err());
    }

    #[test]
    fn failures_are_explained() {
        assert!(explain("No space left on device").contains("FAA_CACHE_DIR"));
        let text = explain("ERROR: Could not find a version");
        assert!(
            text.contains("Without a network") && text.ends_with("a version"),
            "{text}"
        );
    }
}
