use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

/// Whether this process has locked a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// It has, until the file is closed.
    Locked,
    /// Another process has.
    InUse,
    /// Nothing can: the file system has no locks.
    NoLocks,
}

/// Locks a file for this process alone, without waiting.
///
/// # Errors
///
/// Those of the operating system, but that the file system has no locks.
pub fn lock(file: &File) -> io::Result<Lock> {
    of(file.try_lock())
}

fn of(locked: Result<(), TryLockError>) -> io::Result<Lock> {
    match locked {
        Ok(()) => Ok(Lock::Locked),
        Err(TryLockError::WouldBlock) => Ok(Lock::InUse),
        Err(TryLockError::Error(error)) if has_no_locks(&error) => Ok(Lock::NoLocks),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether an error of the operating system means that the file system has no locks.
fn has_no_locks(error: &io::Error) -> bool {
    #[cfg(unix)]
    if let Some(libc::ENOLCK | libc::EINVAL | libc::ENOTSUP | libc::ENOSYS) = error.raw_os_error() {
        return true;
    }
    error.kind() == io::ErrorKind::Unsupported
}

/// The message that an output folder is in use.
pub fn in_use(folder: &Path) -> String {
    format!(
        "{} is in use by another process: wait for it, or choose a different --out",
        folder.display()
    )
}

/// The warning that an output folder cannot be locked.
pub fn without_locks(folder: &Path) -> String {
    format!(
        "warning: the file system of {} has no locks, so do not start a second process on this folder",
        folder.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_locked_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(lock(file.as_file()).unwrap(), Lock::Locked);
        assert_eq!(lock(&file.reopen().unwrap()).unwrap(), Lock::InUse);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_system_without_locks_is_no_error() {
        let of_code = |code| of(Err(TryLockError::Error(io::Error::from_raw_os_error(code))));
        for code in [libc::ENOLCK, libc::EINVAL, libc::ENOTSUP, libc::ENOSYS] {
            assert_eq!(of_code(code).unwrap(), Lock::NoLocks);
        }
        assert_eq!(
            of_code(libc::EIO).unwrap_err().raw_os_error(),
            Some(libc::EIO)
        );
    }
}
