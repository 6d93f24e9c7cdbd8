//! A folder outside the checkout for what is fetched once: whole or absent,
//! whatever interrupts the fetching, and however many run at once.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, ensure};

use crate::manifest::Manifest;

/// How the folders of unfinished work begin.
const UNFINISHED: &str = "unfinished-";

/// The cache folder.
pub(crate) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// A cache in this folder, which need not exist yet.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Returns the folder `name`, after making it if it is not there whole.
    ///
    /// `make` is given an empty folder to work in and the path at which to
    /// build the result, both of which are on the disk of the cache. The
    /// result moves to its place in one step, once its manifest proves it.
    pub(crate) fn provide(
        &self,
        name: &str,
        space: u64,
        make: impl FnOnce(&Path, &Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let place = self.folder.join(name);
        // Without the lock, so that a cache can be shared read-only.
        if Manifest::check(&place).is_ok() {
            return Ok(place);
        }
        self.create()?;
        let _lock = self.lock()?;
        self.remove_leftovers();
        // Another process may have made it while this one waited.
        if place.exists() {
            let Err(damage) = Manifest::check(&place) else {
                return Ok(place);
            };
            eprintln!(
                "{} is damaged ({damage}) and will be made again",
                place.display()
            );
            fs::remove_dir_all(&place)
                .with_context(|| format!("cannot remove the damaged {}", place.display()))?;
        }
        self.need_space(space)?;
        self.make(&place, make)
            .map_err(|error| self.explain_full_disk(error, space))?;
        Ok(place)
    }

    fn make(&self, place: &Path, make: impl FnOnce(&Path, &Path) -> Result<()>) -> Result<()> {
        // Removed when it goes out of scope, after a failure too; after a
        // kill, the next run does it.
        let work = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempdir_in(&self.folder)
            .with_context(|| format!("cannot write to {}", self.folder.display()))?;
        let result = work.path().join("result");
        make(work.path(), &result)?;
        Manifest::check(&result).context("what was just unpacked is damaged; please try again")?;
        fs::rename(&result, place)
            .with_context(|| format!("cannot move the result to {}", place.display()))
    }

    fn create(&self) -> Result<()> {
        fs::create_dir_all(&self.folder).with_context(|| {
            format!(
                "cannot create the cache folder {}; FAA_CACHE_DIR names another one",
                self.folder.display()
            )
        })
    }

    /// Waits for the lock that holds back other processes. The system
    /// releases it with the process, so that a kill leaves nothing behind.
    fn lock(&self) -> Result<File> {
        let path = self.folder.join("lock");
        let context = || format!("cannot lock {}", path.display());
        let file = File::create(&path).with_context(context)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                eprintln!("waiting for another process that holds {}", path.display());
                file.lock().with_context(context)?;
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(context),
        }
        Ok(file)
    }

    /// Removes what killed runs have left. Only the holder of the lock works
    /// in such a folder, so nothing found here is in use.
    fn remove_leftovers(&self) {
        let Ok(entries) = self.folder.read_dir() else {
            return;
        };
        for entry in entries.flatten() {
            if !entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                continue;
            }
            let path = entry.path();
            eprintln!("removing {}, left by an interrupted run", path.display());
            if let Err(error) = fs::remove_dir_all(&path) {
                // It is in the way of nothing but the disk's free space.
                eprintln!("warning: cannot remove {}: {error}", path.display());
            }
        }
    }

    fn need_space(&self, needed: u64) -> Result<()> {
        let Some(free) = free_space(&self.folder) else {
            return Ok(());
        };
        ensure!(
            free >= needed,
            "not enough space in {}: {} are needed for a while and {} are free; free some, \
             or set FAA_CACHE_DIR to a folder on another disk",
            self.folder.display(),
            in_gigabytes(needed),
            in_gigabytes(free),
        );
        Ok(())
    }

    /// Space can run out in spite of the check, by quota or by others.
    fn explain_full_disk(&self, error: Error, needed: u64) -> Error {
        let is_full = error.chain().any(|cause| {
            cause.downcast_ref::<std::io::Error>().is_some_and(|error| {
                matches!(
                    error.kind(),
                    ErrorKind::StorageFull | ErrorKind::QuotaExceeded
                )
            })
        });
        if !is_full {
            return error;
        }
        error.context(format!(
            "no space is left in {}, where {} are needed for a while; free some, or set \
             FAA_CACHE_DIR to a folder on another disk",
            self.folder.display(),
            in_gigabytes(needed),
        ))
    }
}

fn in_gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

/// Bytes that are free for this user, where the system tells.
#[cfg(unix)]
fn free_space(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(not(unix))]
fn free_space(_folder: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use anyhow::bail;

    use super::*;

    fn make(_work: &Path, result: &Path) -> Result<()> {
        fs::create_dir(result)?;
        let mut manifest = Manifest::default();
        manifest.add_text(result, "file", "contents")?;
        manifest.write(result)
    }

    fn names(folder: &Path) -> Vec<String> {
        let entry = |e: io::Result<fs::DirEntry>| e.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<_> = folder.read_dir().unwrap().map(entry).collect();
        names.sort();
        names
    }

    #[test]
    fn made_once_and_then_found() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("a/b"));
        let place = cache.provide("thing", 0, make).unwrap();
        assert_eq!(place, folder.path().join("a/b/thing"));
        let again = cache
            .provide("thing", 0, |_, _| bail!("made twice"))
            .unwrap();
        assert_eq!(again, place);
        assert_eq!(names(&folder.path().join("a/b")), ["lock", "thing"]);
    }

    #[test]
    fn damaged_folder_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().to_owned());
        let file = cache.provide("thing", 0, make).unwrap().join("file");
        fs::write(&file, "cont").unwrap();
        cache.provide("thing", 0, make).unwrap();
        assert_eq!(fs::read_to_string(file).unwrap(), "contents");
    }

    #[test]
    fn leftovers_of_a_killed_run_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("unfinished-abc/result/lib")).unwrap();
        fs::write(folder.path().join("unfinished-abc/result/lib/a.so"), "half").unwrap();
        fs::write(folder.path().join("lock"), "").unwrap();
        fs::create_dir(folder.path().join("of others")).unwrap();
        Cache::new(folder.path().to_owned())
            .provide("thing", 0, make)
            .unwrap();
        assert_eq!(names(folder.path()), ["lock", "of others", "thing"]);
    }

    #[test]
    fn failure_leaves_nothing_and_can_be_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().to_owned());
        let fail = |_: &Path, result: &Path| {
            fs::create_dir(result)?;
            fs::write(result.join("half"), "")?;
            bail!("no network")
        };
        assert_eq!(
            cache.provide("thing", 0, fail).unwrap_err().to_string(),
            "no network"
        );
        assert_eq!(names(folder.path()), ["lock"]);
        cache.provide("thing", 0, make).unwrap();
    }

    #[test]
    fn incomplete_result_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().to_owned());
        let incomplete = |work: &Path, result: &Path| {
            make(work, result)?;
            Ok(fs::remove_file(result.join("file"))?)
        };
        let error = cache.provide("thing", 0, incomplete).unwrap_err();
        assert!(
            format!("{error:#}").contains("file is missing"),
            "{error:#}"
        );
        assert_eq!(names(folder.path()), ["lock"]);
    }

    #[test]
    fn concurrent_runs_make_it_once() {
        let folder = tempfile::tempdir().unwrap();
        let made = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let cache = Cache::new(folder.path().to_owned());
                    let count = |work: &Path, result: &Path| {
                        made.fetch_add(1, Ordering::SeqCst);
                        make(work, result)
                    };
                    cache.provide("thing", 0, count).unwrap();
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }

    #[test]
    fn lack_of_space_is_told_before_and_after() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().to_owned());
        let early = cache.provide("thing", u64::MAX, make).unwrap_err();
        let full = |_: &Path, _: &Path| Err(io::Error::from(ErrorKind::StorageFull).into());
        let late = cache.provide("thing", 0, full).unwrap_err();
        for text in [early.to_string(), late.to_string()] {
            assert!(
                text.contains(&folder.path().display().to_string()),
                "{text}"
            );
            assert!(
                text.contains("GB are needed") && text.contains("FAA_CACHE_DIR"),
                "{text}"
            );
        }
    }

    #[test]
    fn cache_that_cannot_be_created_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Cache::new(file.join("cache"))
            .provide("thing", 0, make)
            .unwrap_err();
        assert!(error.to_string().contains("FAA_CACHE_DIR"), "{error}");
    }
}
