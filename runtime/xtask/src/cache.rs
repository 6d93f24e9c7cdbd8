//! Folders outside the checkout for what is fetched once: each is whole or absent, whatever
//! interrupts the fetching, and however many processes fetch at the same time.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

/// How the names of folders begin in which work is unfinished.
const UNFINISHED: &str = "unfinished-";

/// In every folder, the list of its files: their number, and a line `SIZE PATH` each. Sizes and not
/// digests, because they are compared at every start, and a full disk or a careless deletion shows
/// in them.
const MANIFEST: &str = "manifest";

/// Provides a folder of the cache. Where it is missing or damaged, `make` creates it: it is given a
/// folder for temporary files, and the empty folder to fill, which is then renamed.
pub(crate) fn provide(
    folder: &Path,
    make: impl FnOnce(&Path, &Path) -> Result<()>,
) -> Result<PathBuf> {
    // Without the lock, so that a cache can be shared read-only.
    if check(folder).is_ok() {
        return Ok(folder.to_owned());
    }
    let cache = folder.parent().context("the cache has no root")?;
    let context = || format!("cannot write to the cache folder {}", cache.display());
    fs::create_dir_all(cache).with_context(context)?;
    // The operating system releases the lock with the process, so a kill leaves nothing locked.
    let lock = File::create(cache.join("lock")).with_context(context)?;
    if lock.try_lock().is_err() {
        eprintln!("waiting for the process that fills {}", cache.display());
        lock.lock().with_context(context)?;
    }
    remove_unfinished(cache).with_context(context)?;
    if folder.exists() {
        let Err(damage) = check(folder) else {
            return Ok(folder.to_owned()); // Made by the process that held the lock.
        };
        eprintln!("{} is made again: {damage}", folder.display());
        fs::remove_dir_all(folder).with_context(context)?;
    }
    let work = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(cache);
    let work = work.with_context(context)?; // Removed at the end, also after a failure.
    let result = work.path().join("result");
    fs::create_dir(&result).with_context(context)?;
    make(work.path(), &result)?;
    let files = list(&result, Path::new(""))?;
    let manifest = format!("{} files\n{}\n", files.len(), files.join("\n"));
    fs::write(result.join(MANIFEST), manifest).with_context(context)?;
    fs::rename(&result, folder).with_context(context)?;
    Ok(folder.to_owned())
}

/// Removes what a kill has left. Only the holder of the lock works in such folders.
fn remove_unfinished(cache: &Path) -> Result<()> {
    for entry in cache.read_dir()? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Compares a folder with its manifest; an error names the first damage.
fn check(folder: &Path) -> Result<()> {
    let manifest = fs::read_to_string(folder.join(MANIFEST)).context("its manifest is missing")?;
    let (head, lines) = manifest.split_once('\n').unwrap_or_default();
    // With their number first, a manifest that was cut off is not taken for a shorter one.
    ensure!(
        head == format!("{} files", lines.lines().count()),
        "its manifest is incomplete"
    );
    let found = HashSet::<String>::from_iter(list(folder, Path::new(""))?);
    if let Some(line) = lines.lines().find(|line| !found.contains(*line)) {
        let (size, file) = line.split_once(' ').unwrap_or_default();
        bail!("{file} is missing or has not {size} bytes");
    }
    Ok(())
}

/// A line for every file in a folder of `root`.
fn list(root: &Path, folder: &Path) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for entry in root.join(folder).read_dir()? {
        let entry = entry?;
        let (path, data) = (folder.join(entry.file_name()), entry.metadata()?);
        match data.is_dir() {
            true => lines.extend(list(root, &path)?),
            false => lines.push(format!("{} {}", data.len(), path.display())),
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn make(_: &Path, result: &Path) -> Result<()> {
        fs::create_dir(result.join("lib"))?;
        Ok(fs::write(result.join("lib/a.so"), "0123456789")?)
    }

    #[test]
    fn damage_is_noticed_and_mended() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("thing");
        provide(&folder, make).unwrap();
        provide(&folder, |_, _| bail!("made twice")).unwrap();
        let (library, manifest) = (folder.join("lib/a.so"), folder.join(MANIFEST));
        for (damaged, content, complaint) in [
            (&library, "0123", "lib/a.so is missing or has not 10 bytes"),
            (&manifest, "2 files\n10 lib/a.so\n", "incomplete"),
            (&manifest, "", "incomplete"),
        ] {
            fs::write(damaged, content).unwrap();
            let damage = check(&folder).unwrap_err().to_string();
            assert!(damage.contains(complaint), "{damage}");
            provide(&folder, make).unwrap();
            fs::remove_file(damaged).unwrap();
            provide(&folder, make).unwrap();
            assert_eq!(fs::read(&library).unwrap(), b"0123456789");
        }
    }

    #[test]
    fn failures_and_kills_leave_nothing() {
        let cache = tempfile::tempdir().unwrap();
        fs::create_dir_all(cache.path().join("unfinished-abc/result/lib")).unwrap();
        fs::create_dir(cache.path().join("plugins")).unwrap();
        let fail = |work: &Path, result: &Path| {
            make(work, result)?;
            bail!("no network")
        };
        let error = provide(&cache.path().join("thing"), fail).unwrap_err();
        assert_eq!(error.to_string(), "no network");
        let entries = cache.path().read_dir().unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["lock", "plugins"]);
        let error = provide(&cache.path().join("lock/thing"), make).unwrap_err();
        assert!(
            error.to_string().contains("cannot write to the cache"),
            "{error}"
        );
    }

    #[test]
    fn of_many_at_the_same_time_one_makes_it() {
        let (cache, made) = (tempfile::tempdir().unwrap(), AtomicUsize::new(0));
        let count = |work: &Path, result: &Path| {
            made.fetch_add(1, Ordering::SeqCst);
            make(work, result)
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| provide(&cache.path().join("thing"), count).unwrap());
            }
        });
        assert_eq!(made.into_inner(), 1);
    }
}
