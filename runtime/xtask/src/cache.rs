//! A cache of downloads, outside the checkout. Each folder in it is complete or missing, even if a
//! download is interrupted or several processes download at the same time.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use faa_system::{create_private_folder, private_folder};

/// The folder that is being filled, of whoever holds the lock.
const UNFINISHED: &str = "unfinished";

/// The file in every folder that lists its files: their number, and a line `SIZE PATH` for each. It has
/// sizes and not digests, because it is checked at every start, and sizes reveal a full disk and
/// deleted files.
const MANIFEST: &str = "manifest";

/// Returns a folder of the cache. If it is missing or damaged, `fill` is called with a folder for
/// temporary files and an empty folder to fill, which is then renamed.
pub(crate) fn provide(
    folder: &Path,
    fill: impl FnOnce(&Path, &Path) -> Result<()>,
) -> Result<PathBuf> {
    // This needs no lock, so a cache can be shared read-only.
    if private_folder(folder).is_ok() && check(folder).is_ok() {
        return Ok(folder.to_owned());
    }
    let cache = folder.parent().context("the cache folder has no parent")?;
    let context = || format!("cannot write to the cache folder {}", cache.display());
    create_private_folder(cache).with_context(context)?;
    // The operating system releases the lock if the process is killed.
    let lock = File::create(cache.join("lock")).with_context(context)?;
    if lock.try_lock().is_err() {
        eprintln!("waiting for another download to {}", cache.display());
        lock.lock().with_context(context)?;
    }
    if folder.exists() {
        private_folder(folder)?;
    }
    if let Err(damage) = check(folder) {
        if folder.exists() {
            eprintln!("downloading {} again: {damage}", folder.display());
            fs::remove_dir_all(folder).with_context(context)?;
        }
        // A killed process may have left it.
        let _ = fs::remove_dir_all(cache.join(UNFINISHED));
        let mut work = tempfile::Builder::new();
        work.prefix(UNFINISHED).rand_bytes(0);
        let work = work.tempdir_in(cache).with_context(context)?; // Removed on return, also after an error.
        let result = work.path().join("result");
        fs::create_dir(&result).with_context(context)?;
        fill(work.path(), &result)?;
        remove_write_of_others(&result).with_context(context)?;
        let files = list(&result, Path::new(""))?;
        let manifest = format!("{} files\n{}\n", files.len(), files.join("\n"));
        fs::write(result.join(MANIFEST), manifest).with_context(context)?;
        fs::rename(&result, folder).with_context(context)?;
    }
    Ok(folder.to_owned())
}

/// Lets nobody else write to a folder and what is in it, whatever the umask was: the files are run.
fn remove_write_of_others(path: &Path) -> io::Result<()> {
    let data = path.symlink_metadata()?;
    if data.is_symlink() {
        return Ok(());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = data.permissions().mode() & !0o022;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    if data.is_dir() {
        for entry in path.read_dir()? {
            remove_write_of_others(&entry?.path())?;
        }
    }
    Ok(())
}

/// Compares a folder with its manifest; the error describes the first difference.
fn check(folder: &Path) -> Result<()> {
    let manifest = fs::read_to_string(folder.join(MANIFEST)).context("its manifest is missing")?;
    let (head, files) = manifest.split_once('\n').unwrap_or_default();
    let is_whole = head == format!("{} files", files.lines().count());
    ensure!(is_whole, "its manifest is incomplete");
    for line in files.lines() {
        let (size, file) = line.split_once(' ').unwrap_or_default();
        let found = folder.join(file).symlink_metadata();
        let is_found = found.is_ok_and(|data| data.len().to_string() == size);
        ensure!(is_found, "{file} is missing or does not have {size} bytes");
    }
    Ok(())
}

/// A line `SIZE PATH` for every file in a folder of `root`.
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

    use anyhow::bail;

    use super::*;

    fn fill(_: &Path, result: &Path) -> Result<()> {
        fs::create_dir(result.join("lib"))?;
        Ok(fs::write(result.join("lib/a.so"), "0123456789")?)
    }

    #[test]
    fn damaged_folders_are_filled_again() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("thing");
        provide(&folder, fill).unwrap();
        provide(&folder, |_, _| anyhow::bail!("filled twice")).unwrap();
        for (damaged, content, complaint) in [
            (
                "lib/a.so",
                "0123",
                "lib/a.so is missing or does not have 10",
            ),
            (MANIFEST, "2 files\n10 lib/a.so\n", "incomplete"),
            (MANIFEST, "", "incomplete"),
        ] {
            fs::write(folder.join(damaged), content).unwrap();
            let damage = check(&folder).unwrap_err().to_string();
            assert!(damage.contains(complaint), "{damage}");
            provide(&folder, fill).unwrap();
            fs::remove_file(folder.join(damaged)).unwrap();
            provide(&folder, fill).unwrap();
            assert_eq!(fs::read(folder.join("lib/a.so")).unwrap(), b"0123456789");
        }
    }

    #[test]
    fn errors_and_kills_leave_nothing_behind() {
        let cache = tempfile::tempdir().unwrap();
        fs::create_dir_all(cache.path().join("unfinished/result/lib")).unwrap();
        fs::create_dir(cache.path().join("plugins")).unwrap();
        let fail = |work: &Path, result: &Path| {
            fill(work, result)?;
            bail!("no network")
        };
        let error = provide(&cache.path().join("thing"), fail).unwrap_err();
        assert_eq!(error.to_string(), "no network");
        let entries = cache.path().read_dir().unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["lock", "plugins"]);
        let error = provide(&cache.path().join("lock/thing"), fill).unwrap_err();
        assert!(error.to_string().contains("cannot write to the cache"));
    }

    /// What is in the cache is run, so nobody else may be able to replace it.
    #[cfg(unix)]
    #[test]
    fn a_cache_that_others_can_write_to_is_not_used() {
        use std::os::unix::fs::PermissionsExt;

        let root = tempfile::tempdir().unwrap();
        let cache = root.path().join("cache");
        let set_mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let open = |work: &Path, result: &Path| {
            fill(work, result)?;
            set_mode(&result.join("lib"), 0o775);
            set_mode(&result.join("lib/a.so"), 0o666);
            Ok(())
        };
        let folder = provide(&cache.join("thing"), open).unwrap();
        faa_system::private_file(&folder.join("lib/a.so")).unwrap();
        for path in [&cache, &folder] {
            set_mode(path, 0o777);
            let error = provide(&folder, fill).unwrap_err();
            assert!(format!("{error:#}").contains("chmod go-w"), "{error:#}");
            set_mode(path, 0o755);
        }
        provide(&folder, |_, _| anyhow::bail!("filled twice")).unwrap();
    }

    #[test]
    fn one_of_several_processes_fills_the_folder() {
        let (cache, filled) = (tempfile::tempdir().unwrap(), AtomicUsize::new(0));
        let count = |work: &Path, result: &Path| {
            filled.fetch_add(1, Ordering::SeqCst);
            fill(work, result)
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| provide(&cache.path().join("thing"), count).unwrap());
            }
        });
        assert_eq!(filled.into_inner(), 1);
    }
}
