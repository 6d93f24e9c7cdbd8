use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::regular::open_regular;

/// The prefix of the names of files that are being written. A kill may leave such a file.
pub const PARTIAL_PREFIX: &str = ".partial-";

/// Replaces a file atomically: readers see the old content or the new one, even after a crash or a power
/// cut.
///
/// # Errors
///
/// Those of the operating system; the old content is then unchanged.
pub fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let file = partial(path, content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    sync_name(path);
    Ok(())
}

/// Writes a file that does not exist, as a whole: a kill leaves all of it or nothing under this name. Unlike
/// [`write_whole`], this does not wait for the disk, for which a program that writes thousands of images
/// would wait most of its time. So a power cut may leave the file empty.
///
/// # Errors
///
/// [`io::ErrorKind::AlreadyExists`] if there is something of this name, which is then unchanged; and those
/// of the operating system.
pub fn write_new(path: &Path, content: impl Read) -> io::Result<()> {
    partial(path, content)?.persist_noclobber(path)?;
    Ok(())
}

/// Writes a file that does not exist, in place, which costs a file system the least. So a kill or a power cut may
/// leave any beginning of it: this is for programs that record the file afterwards, and then know it for whole.
///
/// # Errors
///
/// As [`write_new`]. What was begun is removed.
pub fn create_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).open(path)?;
    let written = file.write_all(content);
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

/// A file beside the one at `path`, with this content.
fn partial(path: &Path, mut content: impl Read) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    // Temporary files are private by default. This one has the usual permissions, limited by the umask.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder
        .prefix(PARTIAL_PREFIX)
        .tempfile_in(folder_of(path))?;
    io::copy(&mut content, &mut file)?;
    Ok(file)
}

/// Creates a folder and those above it that are missing, so that a power cut does not undo it.
///
/// # Errors
///
/// Those of the operating system.
pub fn create_folder(path: &Path) -> io::Result<()> {
    let missing: Vec<_> = path
        .ancestors()
        .take_while(|above| !above.exists())
        .collect();
    fs::create_dir_all(path)?;
    for created in missing.iter().rev() {
        sync(folder_of(created));
    }
    Ok(())
}

/// Opens a regular file to append to it. If that creates the file, a power cut does not undo it.
///
/// # Errors
///
/// As [`open_regular`].
pub fn open_to_append(path: &Path) -> io::Result<File> {
    let is_new = !path.exists();
    let (file, _) = open_regular(path, File::options().append(true).create(true))?;
    if is_new {
        sync_name(path);
    }
    Ok(file)
}

/// Syncs the name of a file that was created or renamed, so that it is there after a power failure.
pub fn sync_name(path: &Path) {
    sync(folder_of(path));
}

/// The folder that something is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Syncs a folder, which holds the names of what was renamed or created in it. Not every file system
/// can do this, and the content is safe either way.
fn sync(folder: &Path) {
    if cfg!(unix) {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    #[cfg(test)]
    tests::SYNCED.with_borrow_mut(|synced| synced.push(folder.to_owned()));
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::RefCell;
    use std::path::PathBuf;

    use super::*;

    thread_local! {
        /// The folders that this thread has synced.
        pub(crate) static SYNCED: RefCell<Vec<PathBuf>> = RefCell::default();
    }

    #[test]
    fn names_are_synced_after_they_were_created() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        create_folder(&inner).unwrap();
        create_folder(&inner).unwrap();
        write_whole(&inner.join("file"), b"content").unwrap();
        for _ in 0..2 {
            open_to_append(&inner.join("log")).unwrap();
        }
        let expected = [folder.path(), &folder.path().join("a"), &inner, &inner];
        let expected = expected.map(Path::to_owned);
        assert_eq!(SYNCED.take(), expected);
        assert_eq!(folder_of(Path::new("file")), Path::new("."));
    }

    #[test]
    fn a_file_is_replaced_and_no_temporary_file_remains() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_whole(&path, b"old").unwrap();
        write_whole(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_new_file_replaces_nothing() {
        let new: fn(&Path, &[u8]) -> io::Result<()> = |path, content| write_new(path, content);
        for write in [new, create_new] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            write(&path, b"first").unwrap();
            let error = write(&path, b"second").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(fs::read(&path).unwrap(), b"first");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_failure_preserves_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("taken");
        fs::create_dir(&path).unwrap();
        assert!(write_whole(&path, b"new").is_err());
        assert!(path.is_dir());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
