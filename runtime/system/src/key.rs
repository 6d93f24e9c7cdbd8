use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::files::sync_name;
use crate::{PARTIAL_PREFIX, create_private_folder, private_file};

/// A secret of this user on this machine: 32 random bytes, kept in the file `key` of a cache folder and
/// readable by the user alone. What has a digest keyed with it was written by this user's own programs. The first
/// call creates it, and the folder.
///
/// # Errors
///
/// Those of the operating system, also if the file is not a key, or if others could replace it.
pub fn user_key(cache: &Path) -> io::Result<[u8; 32]> {
    let path = create_private_folder(cache)
        .map_err(io::Error::other)?
        .join("key");
    if let Err(error) = fs::symlink_metadata(&path) {
        if error.kind() != io::ErrorKind::NotFound {
            return Err(error);
        }
        create(&path)?;
    }
    let file = private_file(&path).map_err(io::Error::other)?;
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file)?.permissions()) & 0o077 != 0 {
        return Err(io::Error::other(format!(
            "others can read {}: remove it",
            file.display()
        )));
    }
    let key = fs::read(file)?.try_into();
    key.map_err(|_| io::Error::other(format!("{} is damaged: remove it", path.display())))
}

/// Creates the file, unless another process does so first.
fn create(path: &Path) -> io::Result<()> {
    let mut key = [0; 32];
    getrandom::fill(&mut key)?;
    // Temporary files are private.
    let mut builder = tempfile::Builder::new();
    let mut file = builder
        .prefix(PARTIAL_PREFIX)
        .tempfile_in(path.parent().unwrap_or(path))?;
    file.write_all(&key)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
        _ => {
            sync_name(path);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::files::tests::SYNCED;

    #[test]
    fn a_key_is_created_once_and_only_its_user_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("a/b");
        let keys: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| user_key(&cache))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap().unwrap())
                .collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0] && *key != [0; 32]));
        assert_eq!(fs::read_dir(&cache).unwrap().count(), 1);
        SYNCED.take();
        let other = folder.path().join("c");
        assert_ne!(user_key(&other).unwrap(), keys[0]);
        assert_eq!(SYNCED.take().pop(), Some(other.canonicalize().unwrap()));
        #[cfg(unix)]
        for (path, mode) in [(cache.join("key"), 0o600), (cache.clone(), 0o700)] {
            let metadata = fs::metadata(path).unwrap();
            let found = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
            assert_eq!(found & 0o777, mode);
        }
        fs::write(cache.join("key"), "short").unwrap();
        assert!(
            user_key(&cache)
                .unwrap_err()
                .to_string()
                .contains("is damaged")
        );
    }
}
