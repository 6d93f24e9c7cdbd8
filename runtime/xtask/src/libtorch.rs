//! Providing libtorch: the user's own, or one fetched once for the CPU.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::cache::Cache;
use crate::host::Host;
use crate::pip::Pip;
use crate::requirements::{self, Requirement};
use crate::{in_words, wheel};

/// The requirements file, from the root of the checkout.
const REQUIREMENTS: &str = "runtime/xtask/libtorch.txt";

/// The link that cargo's configuration points `LIBTORCH` at.
const LINK: &str = ".libtorch";

/// What is needed on the disk while it is fetched: the wheels twice, as pip
/// copies them from where it downloads them, or once with their contents.
const SPACE: u64 = 1_200_000_000;

/// Makes sure that the build will find a libtorch of the right version, and
/// returns its folder.
pub(crate) fn ensure(host: &Host) -> Result<PathBuf> {
    let requirements = read_requirements(host)?;
    let version = wheel::version_of("torch", &requirements)?;
    if let Some(folder) = users_own(host) {
        check_users_own(&folder, version)?;
        return Ok(folder);
    }
    check_platform(host)?;
    let cache = Cache::new(host.cache_folder()?);
    let folder = cache.provide(&format!("libtorch-{version}-cpu"), SPACE, |work, result| {
        fetch(host, &requirements, work, result)
    })?;
    link(&host.root.join(LINK), &folder)?;
    Ok(folder)
}

fn read_requirements(host: &Host) -> Result<Vec<Requirement>> {
    let path = host.root.join(REQUIREMENTS);
    let context = || format!("cannot read {}", path.display());
    requirements::parse(&fs::read_to_string(&path).with_context(context)?).with_context(context)
}

/// What the user has set `LIBTORCH` to. Cargo sets it too, for this program
/// as for any other, and that value says nothing.
fn users_own(host: &Host) -> Option<PathBuf> {
    let folder = PathBuf::from(host.variable("LIBTORCH")?);
    let link = host.root.join(LINK);
    let parents_agree = || {
        folder
            .parent()?
            .canonicalize()
            .ok()
            .zip(link.parent()?.canonicalize().ok())
    };
    let is_the_link = folder.file_name() == link.file_name()
        && parents_agree().is_some_and(|(one, other)| one == other);
    (!is_the_link).then_some(folder)
}

fn check_users_own(folder: &Path, wanted: &str) -> Result<()> {
    let set = format!("LIBTORCH is set to {}", folder.display());
    let advice = format!(
        "unset it to have libtorch {wanted} fetched, or set it to one of that version (in a \
         Python environment: the folder `torch` of its site-packages)"
    );
    ensure!(
        folder.is_absolute(),
        "{set}, but compilations run in other folders, where a relative path fails; make it absolute"
    );
    ensure!(folder.is_dir(), "{set}, which is no folder; {advice}");
    let Some(found) = version_in(folder) else {
        bail!("{set}, but it holds no file `build-version` or `version.py`; {advice}");
    };
    // `2.11.0+cu130` is 2.11.0, built for CUDA 13.0.
    let plain = found.split('+').next().unwrap_or_default();
    ensure!(
        plain == wanted,
        "{set}, which holds libtorch {found}, not {wanted}; {advice}"
    );
    for part in ["lib", "include"] {
        ensure!(
            folder.join(part).is_dir(),
            "{set}, where the folder `{part}` is missing; {advice}"
        );
    }
    Ok(())
}

/// The version of a libtorch, as the C++ distribution or the Python package
/// states it.
fn version_in(folder: &Path) -> Option<String> {
    if let Ok(text) = fs::read_to_string(folder.join("build-version")) {
        return Some(text.trim().to_owned());
    }
    let text = fs::read_to_string(folder.join("version.py")).ok()?;
    let line = text.lines().find(|line| line.starts_with("__version__"))?;
    Some(line.split(['\'', '"']).nth(1)?.to_owned())
}

fn check_platform(host: &Host) -> Result<()> {
    let (system, processor) = host.platform;
    ensure!(
        host.platform == ("linux", "x86_64"),
        "libtorch can be fetched for Linux on x86-64 only, and this is {system} on {processor}: \
         install that version yourself and set LIBTORCH to its folder"
    );
    Ok(())
}

fn fetch(host: &Host, requirements: &[Requirement], work: &Path, result: &Path) -> Result<()> {
    let pip = Pip::find(host)?;
    let version = wheel::version_of("torch", requirements)?;
    let start = Instant::now();
    eprintln!("fetching libtorch {version} (544 MB, once) …");
    let downloads = work.join("wheels");
    fs::create_dir(&downloads)?;
    pip.download(&host.root.join(REQUIREMENTS), work, &downloads)?;
    eprintln!("unpacking it …");
    wheel::unpack_all(
        wheel::LIBTORCH_FOR_THE_CPU,
        requirements,
        &downloads,
        result,
    )?;
    eprintln!("done in {}", in_words(start.elapsed()));
    Ok(())
}

/// Points the link at the folder, in one step.
#[cfg(unix)]
fn link(link: &Path, folder: &Path) -> Result<()> {
    let found = fs::read_link(link).ok();
    if found.as_deref() == Some(folder) {
        return Ok(());
    }
    ensure!(
        found.is_some() || !link.exists(),
        "{} is not a link; move it away, or set LIBTORCH to it",
        link.display()
    );
    let new = link.with_extension(format!("new-{}", std::process::id()));
    std::os::unix::fs::symlink(folder, &new)
        .and_then(|()| fs::rename(&new, link))
        .with_context(|| format!("cannot point {} at {}", link.display(), folder.display()))
}

#[cfg(not(unix))]
fn link(_link: &Path, _folder: &Path) -> Result<()> {
    bail!("links are not made on this system")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::host::tests::host;

    /// A checkout with the requirements file, and a folder beside it.
    fn checkout() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("checkout");
        fs::create_dir_all(root.join("runtime/xtask")).unwrap();
        fs::write(root.join(REQUIREMENTS), include_str!("../libtorch.txt")).unwrap();
        let libtorch = folder.path().join("libtorch");
        fs::create_dir_all(libtorch.join("lib")).unwrap();
        fs::create_dir(libtorch.join("include")).unwrap();
        (folder, root, libtorch)
    }

    #[test]
    fn users_own_libtorch_wins() {
        let (_folder, root, libtorch) = checkout();
        let machine = host(&root, &[("LIBTORCH", &libtorch)]);
        fs::write(
            libtorch.join("version.py"),
            "a = 1\n__version__ = '2.11.0+cu130'\n",
        )
        .unwrap();
        assert_eq!(ensure(&machine).unwrap(), libtorch);
        fs::write(libtorch.join("build-version"), "2.11.0\n").unwrap();
        assert_eq!(ensure(&machine).unwrap(), libtorch);
        assert!(!root.join(LINK).exists());
    }

    #[test]
    fn users_own_of_another_version_is_refused() {
        let (_folder, root, libtorch) = checkout();
        let machine = host(&root, &[("LIBTORCH", &libtorch)]);
        let refusal = || ensure(&machine).unwrap_err().to_string();
        assert!(
            refusal().contains("no file `build-version`"),
            "{}",
            refusal()
        );
        fs::write(libtorch.join("build-version"), "2.9.1+cpu").unwrap();
        let place = libtorch.display().to_string();
        assert!(
            refusal().contains("libtorch 2.9.1+cpu, not 2.11.0"),
            "{}",
            refusal()
        );
        assert!(
            refusal().contains(&place) && refusal().contains("unset it"),
            "{}",
            refusal()
        );
        fs::remove_dir_all(&libtorch).unwrap();
        assert!(refusal().contains("is no folder"), "{}", refusal());
    }

    #[test]
    fn relative_path_is_refused() {
        let (_folder, root, _) = checkout();
        let machine = host(&root, &[("LIBTORCH", Path::new("libtorch"))]);
        assert!(
            ensure(&machine)
                .unwrap_err()
                .to_string()
                .contains("make it absolute")
        );
    }

    #[test]
    fn cargo_s_own_setting_is_not_the_user_s() {
        let (_folder, root, libtorch) = checkout();
        let link = root.join(LINK);
        assert_eq!(users_own(&host(&root, &[("LIBTORCH", &link)])), None);
        assert_eq!(
            users_own(&host(&root, &[("LIBTORCH", Path::new(""))])),
            None
        );
        let other = libtorch.join(LINK);
        assert_eq!(
            users_own(&host(&root, &[("LIBTORCH", &other)])),
            Some(other.clone())
        );
    }

    #[test]
    fn other_platforms_are_told_what_to_do() {
        let (_folder, root, _) = checkout();
        let mut machine = host(&root, &[]);
        machine.platform = ("macos", "aarch64");
        let text = ensure(&machine).unwrap_err().to_string();
        assert!(
            text.contains("macos on aarch64") && text.contains("set LIBTORCH"),
            "{text}"
        );
    }

    #[test]
    fn without_python_nothing_is_left_behind() {
        let (folder, root, libtorch) = checkout();
        let cache = folder.path().join("cache");
        let machine = host(&root, &[("FAA_CACHE_DIR", &cache), ("PATH", &libtorch)]);
        let error = ensure(&machine).unwrap_err();
        // A nearly full disk is complained about first.
        if !error.to_string().contains("not enough space") {
            assert!(error.to_string().contains("on PATH"), "{error}");
        }
        let left: Vec<_> = cache
            .read_dir()
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(left, ["lock"]);
    }

    #[test]
    fn unpacked_libtorch_is_found_and_linked() {
        let (folder, root, _) = checkout();
        let cache = folder.path().join("cache");
        let machine = host(&root, &[("FAA_CACHE_DIR", &cache)]);
        let wheels = tempfile::tempdir().unwrap();
        wheel::tests::make_wheels(wheels.path());
        let place = cache.join("libtorch-2.11.0-cpu");
        let requirements = read_requirements(&machine).unwrap();
        let table = wheel::LIBTORCH_FOR_THE_CPU;
        wheel::unpack_all(table, &requirements, wheels.path(), &place).unwrap();

        // A dangling link, as a removed cache leaves it, is replaced.
        std::os::unix::fs::symlink("/nonexistent", root.join(LINK)).unwrap();
        for _ in 0..2 {
            assert_eq!(ensure(&machine).unwrap(), place);
            assert_eq!(fs::read_link(root.join(LINK)).unwrap(), place);
        }
    }

    #[test]
    fn folder_in_place_of_the_link_is_kept() {
        let (_folder, root, libtorch) = checkout();
        fs::create_dir(root.join(LINK)).unwrap();
        let error = link(&root.join(LINK), &libtorch).unwrap_err();
        assert!(error.to_string().contains("is not a link"), "{error}");
    }
}
