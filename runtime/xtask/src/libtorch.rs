//! Provides libtorch: the one that `LIBTORCH` names, or one for the CPU, downloaded once.

use std::fs;
#[cfg(unix)]
use std::os::unix::fs::symlink;
#[cfg(windows)]
use std::os::windows::fs::symlink_dir as symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use faa_system::libtorch::{VERSION, check};

use crate::downloads::{self, Wheels};
use crate::host::Host;

/// The link that cargo's configuration sets `LIBTORCH` to.
const LINK: &str = ".libtorch";

/// What programs for the CPU need, 460 MB of 3 GB. Any version of Python can download it, because the wheels
/// are not run.
pub(crate) const LIBTORCH: Wheels = Wheels {
    name: "libtorch",
    version: VERSION,
    fits: "import pip, zipfile",
    options: &[
        "--python-version=3.12",
        "--implementation=cp",
        "--abi=cp312",
        "--platform=manylinux_2_28_x86_64",
        "--platform=manylinux_2_25_x86_64",
        "--platform=manylinux2014_x86_64",
    ],
    parts: &[
        "include",
        "lib/libtorch_cpu.so",
        "lib/libc10.so",
        "lib/libgomp.so.1",
        // libtorch_cpu.so is linked against these; without a GPU they do nothing.
        "lib/libcudart.so.13",
        "lib/libcupti.so.13",
    ],
    added: &[
        // tch links with `-ltorch`. The wheel's libtorch.so depends on the CUDA library; this linker script
        // names only that for the CPU.
        ("lib/libtorch.so", "INPUT(-ltorch_cpu)\n"),
        ("build-version", VERSION),
    ],
};

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
    let folder = downloads::provide(host, &LIBTORCH, "-cpu")
        .context("cannot download libtorch (or set LIBTORCH to its folder)")?;
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::downloads::tests::machine;
    use crate::host::tests::host;

    #[test]
    fn wheels_become_a_libtorch_with_a_link_to_it() {
        let root = tempfile::tempdir().unwrap();
        let folder = ensure(&machine(root.path(), "")).unwrap();
        let (cache, link) = (root.path().join("cache"), root.path().join(LINK));
        assert_eq!(folder, faa_system::libtorch::in_cache(&cache));
        check_set_by_user(&folder).unwrap();
        assert_eq!(folder.join("lib").read_dir().unwrap().count(), 6);
        assert_eq!(fs::read_link(&link).unwrap(), folder);

        // It is found without Python, and a dangling link is replaced.
        let machine = host(root.path(), &[("FAA_CACHE_DIR", &cache)]);
        fs::remove_file(&link).unwrap();
        symlink("/nonexistent", &link).unwrap();
        assert_eq!(ensure(&machine).unwrap(), folder);
        assert_eq!(fs::read_link(&link).unwrap(), folder);
        fs::remove_file(&link).unwrap();
        fs::create_dir(&link).unwrap();
        assert!(ensure(&machine).is_err() && link.is_dir());
    }

    #[test]
    fn the_user_s_libtorch_must_be_of_the_right_version() {
        let root = tempfile::tempdir().unwrap();
        let own = root.path().join("own");
        fs::create_dir_all(own.join("lib")).unwrap();
        let of = |folder: &Path| ensure(&host(root.path(), &[("LIBTORCH", folder)]));
        for (file, content, why) in [
            ("x", "", "has no lib/libtorch_cpu.so"),
            ("lib/libtorch_cpu.so", "", "does not state its version"),
            ("build-version", "2.9.1+cpu", "is version 2.9.1, not"),
            ("build-version", "2.11.0+cu130", "has no include"),
            ("include", "", "has no include"),
        ] {
            fs::write(own.join(file), content).unwrap();
            let error = format!("{:#}", of(&own).unwrap_err());
            assert!(
                error.contains(why) && error.contains("unset LIBTORCH"),
                "{error}"
            );
        }
        fs::remove_file(own.join("include")).unwrap();
        fs::create_dir(own.join("include")).unwrap();
        assert_eq!(of(&own).unwrap(), own);
        let relative = format!("{:#}", of(Path::new("own")).unwrap_err());
        assert!(
            relative.contains("own is not an absolute path"),
            "{relative}"
        );
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
