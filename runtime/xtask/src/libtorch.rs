//! Provides libtorch: the one that `LIBTORCH` names, or one for the CPU, downloaded once.

use std::fs;
#[cfg(unix)]
use std::os::unix::fs::symlink;
#[cfg(windows)]
use std::os::windows::fs::symlink_dir as symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use faa_system::libtorch::{VERSION, check, in_cache};
use faa_system::programs;

use crate::host::Host;
use crate::{cache, python, steps};

/// The link that cargo's configuration sets `LIBTORCH` to.
const LINK: &str = ".libtorch";

/// How pip downloads the wheels. Any version of Python can do it, because the wheels are not run.
const WHEELS: &str = "download --python-version 3.12 --implementation cp --abi cp312 \
                      --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 \
                      --platform manylinux2014_x86_64 --dest";

/// The parts of the wheels that programs for the CPU need, 460 MB of 3 GB. The two CUDA libraries are
/// among them because `libtorch_cpu.so` is linked against them; without a GPU they do nothing.
const PARTS: [&str; 6] = [
    "torch/include",
    "torch/lib/libtorch_cpu.so",
    "torch/lib/libc10.so",
    "torch/lib/libgomp.so.1",
    "nvidia/cu13/lib/libcudart.so.13",
    "nvidia/cu13/lib/libcupti.so.13",
];

/// Unpacks all wheels of a folder into another; only files whose paths begin with one of the further
/// arguments.
const UNPACK: &str = "import pathlib, sys, zipfile
for wheel in pathlib.Path(sys.argv[1]).iterdir():
    with zipfile.ZipFile(wheel) as archive:
        names = [n for n in archive.namelist() if n.startswith(tuple(sys.argv[3:]))]
        archive.extractall(sys.argv[2], names)
";

/// Ensures that builds find a libtorch of the right version, and returns its folder.
pub(crate) fn ensure(host: &Host) -> Result<PathBuf> {
    if let Some(folder) = set_by_user(host) {
        check_set_by_user(&folder).context(
            "unset LIBTORCH to download libtorch, or set it to a libtorch of the right version (in \
             a Python environment: site-packages/torch)",
        )?;
        return Ok(folder);
    }
    host.need_linux_x86_64("where LIBTORCH must be set: libtorch can be downloaded")?;
    let folder = cache::provide(&in_cache(&host.cache_folder()?), |work, result| {
        download(host, work, result)
            .context("cannot download libtorch (or set LIBTORCH to its folder)")
    })?;
    let link = host.root.join(LINK);
    if fs::read_link(&link).ok().as_ref() != Some(&folder) {
        let _ = fs::remove_file(&link);
        symlink(&folder, &link)
            .with_context(|| format!("cannot replace {} by a link; remove it", link.display()))?;
    }
    Ok(folder)
}

/// `LIBTORCH`, if the user has set it and not cargo, which sets it to the link.
fn set_by_user(host: &Host) -> Option<PathBuf> {
    let folder = PathBuf::from(host.variable("LIBTORCH")?);
    let parent = folder.parent().and_then(|it| it.canonicalize().ok());
    let is_link = parent == host.root.canonicalize().ok() && folder.ends_with(LINK);
    (!is_link).then_some(folder)
}

fn check_set_by_user(folder: &Path) -> Result<()> {
    let shown = folder.display();
    ensure!(folder.is_absolute(), "{shown} is not an absolute path");
    check(folder)?;
    ensure!(folder.join("include").is_dir(), "{shown} has no include");
    Ok(())
}

fn download(host: &Host, work: &Path, result: &Path) -> Result<()> {
    let (python, _) = python::find(host, "import pip, zipfile")?;
    eprintln!("downloading libtorch {VERSION} (544 MB, once) …");
    let (wheels, unpacked) = (work.join("wheels"), work.join("unpacked"));
    python::pip(host, &python, "libtorch", work, WHEELS, &wheels)?;
    eprintln!("unpacking libtorch …");
    let mut unpack = programs::python(&python);
    unpack.args(["-c", UNPACK]).args([&wheels, &unpacked]);
    steps::complete(unpack.args(PARTS)).context("Python cannot unpack the wheels")?;
    fs::create_dir(result.join("lib"))?;
    for part in PARTS {
        let to = part.trim_start_matches("torch/");
        let to = result.join(to.trim_start_matches("nvidia/cu13/"));
        fs::rename(unpacked.join(part), to)
            .with_context(|| format!("the wheels do not contain {part}"))?;
    }
    // tch links with `-ltorch`. The wheel's libtorch.so depends on the CUDA library; this linker script
    // names only that for the CPU.
    fs::write(result.join("lib/libtorch.so"), "INPUT(-ltorch_cpu)\n")?;
    Ok(fs::write(result.join("build-version"), VERSION)?)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::host::tests::{host, script};

    /// A checkout with a fake `python3` that unpacks empty parts, of which one may be missing.
    fn ensure_without(missing: Option<&str>) -> (tempfile::TempDir, Result<PathBuf>) {
        let root = tempfile::tempdir().unwrap();
        let parts = root.path().join("parts");
        for part in PARTS.iter().filter(|part| Some(**part) != missing) {
            fs::create_dir_all(parts.join(part)).unwrap();
        }
        let copy = format!("[ $2 = -c ] && [ $5 ] && /bin/cp -r {parts:?} $5; exit 0");
        script(root.path(), "python3", &copy);
        let cache = root.path().join("cache");
        let variables = [("PATH", root.path()), ("FAA_CACHE_DIR", &cache)];
        let result = ensure(&host(root.path(), &variables));
        (root, result)
    }

    #[test]
    fn wheels_become_a_libtorch_with_a_link_to_it() {
        let (root, folder) = ensure_without(None);
        let folder = folder.unwrap();
        let (cache, link) = (root.path().join("cache"), root.path().join(LINK));
        assert_eq!(folder, in_cache(&cache));
        check_set_by_user(&folder).unwrap();
        assert_eq!(folder.join("lib").read_dir().unwrap().count(), 6);
        assert_eq!(fs::read_link(&link).unwrap(), folder);

        // It is found without Python, and a dangling link is replaced.
        fs::remove_file(&link).unwrap();
        symlink("/nonexistent", &link).unwrap();
        let machine = host(root.path(), &[("FAA_CACHE_DIR", &cache)]);
        assert_eq!(ensure(&machine).unwrap(), folder);
        assert_eq!(fs::read_link(&link).unwrap(), folder);
        fs::remove_file(&link).unwrap();
        fs::create_dir(&link).unwrap();
        assert!(ensure(&machine).is_err() && link.is_dir());
    }

    #[test]
    fn wheels_without_a_part_are_refused() {
        let (root, result) = ensure_without(Some("torch/lib/libgomp.so.1"));
        let error = format!("{:#}", result.unwrap_err());
        assert!(error.contains("do not contain torch/lib/libgomp.so.1"));
        let left = root.path().join("cache").read_dir().unwrap().count();
        assert_eq!(left, 1, "the lock");
    }

    #[test]
    fn the_user_s_libtorch_must_be_of_the_right_version() {
        let root = tempfile::tempdir().unwrap();
        let (own, library) = (root.path().join("own"), "own/lib/libtorch_cpu.so");
        fs::create_dir_all(own.join("lib")).unwrap();
        let of = |folder: &Path| ensure(&host(root.path(), &[("LIBTORCH", folder)]));
        for (file, content, folder, why) in [
            ("x", "", Path::new("own"), "not an absolute path"),
            ("x", "", &own, "has no lib/libtorch_cpu.so"),
            (library, "", &own, "does not state its version"),
            (
                "own/build-version",
                "2.9.1+cpu",
                &own,
                "is version 2.9.1, not 2.11.0",
            ),
            ("own/build-version", "2.11.0+cu130", &own, "has no include"),
        ] {
            fs::write(root.path().join(file), content).unwrap();
            let error = format!("{:#}", of(folder).unwrap_err());
            assert!(
                error.contains(why) && error.contains("unset LIBTORCH"),
                "{error}"
            );
        }
        fs::create_dir(own.join("include")).unwrap();
        assert_eq!(of(&own).unwrap(), own);
        for set_by_cargo in [&root.path().join(LINK), Path::new("")] {
            let machine = host(root.path(), &[("LIBTORCH", set_by_cargo)]);
            assert_eq!(set_by_user(&machine), None);
        }
    }

    #[test]
    fn without_python_and_on_other_platforms_the_error_names_libtorch() {
        let root = tempfile::tempdir().unwrap();
        let mut machine = host(root.path(), &[("FAA_CACHE_DIR", root.path())]);
        for expected in ["apt-get install python3-pip", "macos on aarch64"] {
            let error = format!("{:#}", ensure(&machine).unwrap_err());
            assert!(
                error.contains(expected) && error.contains("LIBTORCH"),
                "{error}"
            );
            machine.platform = ("macos", "aarch64");
        }
    }
}
