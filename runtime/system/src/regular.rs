use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Opens a regular file, and returns it with its length. Anything else is refused, and never waited for: a
/// pipe could block, and a device never end. The opened file is checked and not the path, whose meaning could
/// change in between.
///
/// ```
/// # use std::fs::File;
/// # use std::path::Path;
/// let folder = faa_system::open_regular(Path::new("."), File::options().read(true));
/// assert_eq!(folder.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
/// ```
///
/// # Errors
///
/// Those of the operating system; [`io::ErrorKind::InvalidInput`] if it is not a regular file.
pub fn open_regular(path: &Path, options: &mut OpenOptions) -> io::Result<(File, u64)> {
    // Without this flag, opening a pipe waits for its other end.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, libc::O_NONBLOCK);
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    match metadata.is_file() {
        true => Ok((file, metadata.len())),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        )),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let [file, pipe] = ["file", "pipe"].map(|name| folder.path().join(name));
        fs::write(&file, "content").unwrap();
        let (_, length) = open_regular(&file, File::options().read(true)).unwrap();
        assert_eq!(length, 7);
        assert!(
            Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        for path in [&pipe, folder.path(), Path::new("/dev/zero")] {
            let error = open_regular(path, File::options().read(true)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
        let missing = open_regular(&folder.path().join("none"), File::options().read(true));
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
