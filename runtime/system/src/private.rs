use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// A folder or file that others could replace, so that nothing in it may be run.
#[derive(Debug)]
pub struct NotPrivate {
    path: PathBuf,
    kind: NotPrivateKind,
}

/// Why a folder or file is not private.
#[derive(Debug)]
#[non_exhaustive]
pub enum NotPrivateKind {
    /// The path is relative.
    Relative,
    /// It does not exist.
    Missing,
    /// It belongs to the user with this ID, who is neither root nor the one who runs this program.
    Owner(u32),
    /// Its mode, given here, lets its group or all users write to it.
    Writable(u32),
    /// It is neither a folder, nor a file where one is expected.
    WrongType,
    /// It could not be looked up or created.
    Io(io::Error),
}

/// Checks that only root and the user who runs this program can change a folder, and what is reached
/// through its path. Returns its path without links.
///
/// The folder and all folders above it must belong to one of the two, and their modes must let nobody
/// else write. A folder above it may be open to all if it is sticky, as `/tmp` is, because others can
/// then replace only what is theirs. A link is followed if it belongs to one of the two, and the
/// folders above its target are checked like the others. So nobody else can change the result of the
/// check afterwards, and the path that is returned can be used like a descriptor.
///
/// On Linux, an access-control list that lets others write shows in the mode. Other programs of the
/// same user are not checked. On systems other than Unix, only the path's form is.
///
/// # Errors
///
/// [`NotPrivate`], which names the first folder that is not private, and says what to do about it.
pub fn private_folder(path: &Path) -> Result<PathBuf, NotPrivate> {
    resolve(path, false).and_then(|found| found.of_type(Metadata::is_dir))
}

/// As [`private_folder`], but creates what is missing of the path, for the user alone (mode 0700).
///
/// # Errors
///
/// As [`private_folder`], also if a folder cannot be created.
pub fn create_private_folder(path: &Path) -> Result<PathBuf, NotPrivate> {
    resolve(path, true).and_then(|found| found.of_type(Metadata::is_dir))
}

/// As [`private_folder`], for a file.
///
/// # Errors
///
/// As [`private_folder`].
pub fn private_file(path: &Path) -> Result<PathBuf, NotPrivate> {
    resolve(path, false).and_then(|found| found.of_type(Metadata::is_file))
}

impl NotPrivate {
    /// The first folder, file or link that is not private.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The reason.
    pub fn kind(&self) -> &NotPrivateKind {
        &self.kind
    }

    /// Whether it is only missing: what exists of the path is private.
    pub fn is_missing(&self) -> bool {
        matches!(self.kind, NotPrivateKind::Missing)
    }
}

impl fmt::Display for NotPrivate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.kind {
            NotPrivateKind::Relative => write!(f, "{path} is not an absolute path"),
            NotPrivateKind::Missing => write!(f, "{path} does not exist"),
            NotPrivateKind::Owner(owner) => write!(
                f,
                "{path} belongs to a different user (ID {owner}), who could replace what is run from \
                 it: set FAA_CACHE_DIR to a folder of yours"
            ),
            NotPrivateKind::Writable(mode) => write!(
                f,
                "{path} can be changed by other users (mode {mode:04o}), who could replace what is \
                 run from it: run `chmod go-w {path}`, or set FAA_CACHE_DIR to a different folder"
            ),
            NotPrivateKind::WrongType => write!(f, "{path} is not of the expected type"),
            NotPrivateKind::Io(error) => write!(f, "{path}: {error}"),
        }
    }
}

impl std::error::Error for NotPrivate {}

/// The end of a path: without links, and with all folders above it checked.
struct Found {
    path: PathBuf,
    metadata: Metadata,
}

impl Found {
    fn of_type(self, expected: fn(&Metadata) -> bool) -> Result<PathBuf, NotPrivate> {
        let Self { path, metadata } = self;
        if !expected(&metadata) {
            return Err(not_private(&path, NotPrivateKind::WrongType));
        }
        check(&path, &metadata, false)?;
        Ok(path)
    }
}

fn not_private(path: &Path, kind: NotPrivateKind) -> NotPrivate {
    let path = path.to_owned();
    NotPrivate { path, kind }
}

/// How many links of a path are followed, as on Linux.
#[cfg(unix)]
const MAX_LINKS: u32 = 40;

/// Goes from the root to the end of a path. At each step nobody else can change what was passed, so
/// what is looked up by path stays as it was found.
#[cfg(unix)]
fn resolve(path: &Path, create: bool) -> Result<Found, NotPrivate> {
    if !path.is_absolute() {
        return Err(not_private(path, NotPrivateKind::Relative));
    }
    // The rest of the path, its last part first.
    let parts = |path: &Path| -> Vec<PathBuf> {
        let parts = path.components().rev();
        parts.map(|part| PathBuf::from(part.as_os_str())).collect()
    };
    let (mut rest, mut links) = (parts(path), 0);
    let mut found = PathBuf::from("/");
    loop {
        let io = |error| not_private(&found, NotPrivateKind::Io(error));
        let metadata = match fs::symlink_metadata(&found) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound && create => {
                create_folder(&found)
                    .and_then(|()| fs::symlink_metadata(&found))
                    .map_err(io)?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(not_private(&found, NotPrivateKind::Missing));
            }
            Err(error) => return Err(io(error)),
        };
        if metadata.is_symlink() {
            check_owner(&found, &metadata)?;
            links += 1;
            if links > MAX_LINKS {
                return Err(io(io::Error::other("too many links")));
            }
            rest.extend(parts(&fs::read_link(&found).map_err(io)?));
            found.pop();
        } else if rest.is_empty() {
            return Ok(Found {
                path: found,
                metadata,
            });
        } else if metadata.is_dir() {
            check(&found, &metadata, true)?;
        } else {
            return Err(not_private(&found, NotPrivateKind::WrongType));
        }
        match rest.pop() {
            Some(part) if part == Path::new("..") => {
                found.pop();
            }
            // An absolute part, the root, replaces what was found.
            Some(part) => found.push(part),
            None => {}
        }
    }
}

#[cfg(unix)]
fn create_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;

    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

/// Checks the owner and mode of a folder or file. Folders above others may be sticky.
#[cfg(unix)]
fn check(path: &Path, metadata: &Metadata, above: bool) -> Result<(), NotPrivate> {
    use std::os::unix::fs::MetadataExt;

    const WRITABLE_BY_OTHERS: u32 = 0o022;
    const STICKY: u32 = 0o1000;
    check_owner(path, metadata)?;
    let mode = metadata.mode() & 0o7777;
    if mode & WRITABLE_BY_OTHERS != 0 && !(above && mode & STICKY != 0) {
        return Err(not_private(path, NotPrivateKind::Writable(mode)));
    }
    Ok(())
}

#[cfg(unix)]
fn check_owner(path: &Path, metadata: &Metadata) -> Result<(), NotPrivate> {
    use std::os::unix::fs::MetadataExt;

    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != 0 && owner != user {
        return Err(not_private(path, NotPrivateKind::Owner(owner)));
    }
    Ok(())
}

#[cfg(not(unix))]
fn resolve(path: &Path, create: bool) -> Result<Found, NotPrivate> {
    if !path.is_absolute() {
        return Err(not_private(path, NotPrivateKind::Relative));
    }
    let created = if create {
        fs::create_dir_all(path)
    } else {
        Ok(())
    };
    match created.and_then(|()| fs::metadata(path)) {
        Ok(metadata) => Ok(Found {
            path: path.to_owned(),
            metadata,
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(not_private(path, NotPrivateKind::Missing))
        }
        Err(error) => Err(not_private(path, NotPrivateKind::Io(error))),
    }
}

#[cfg(not(unix))]
fn check(_: &Path, _: &Metadata, _: bool) -> Result<(), NotPrivate> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    /// `a/b/c` in a new folder, and the paths of all four.
    fn nested() -> (tempfile::TempDir, [PathBuf; 4]) {
        let root = tempfile::tempdir().unwrap();
        let top = root.path().canonicalize().unwrap();
        let [a, b, c] = ["a", "a/b", "a/b/c"].map(|path| top.join(path));
        create_private_folder(&c).unwrap();
        (root, [top, a, b, c])
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn refused(path: &Path) -> (PathBuf, String) {
        let error = private_folder(path).unwrap_err();
        (error.path().to_owned(), error.to_string())
    }

    #[test]
    fn missing_folders_are_created_for_their_user_alone() {
        let (_root, [top, a, b, c]) = nested();
        for folder in [&a, &b, &c] {
            let mode = fs::metadata(folder).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700);
        }
        assert_eq!(private_folder(&c).unwrap(), c);
        assert_eq!(create_private_folder(&c).unwrap(), c);
        let missing = private_folder(&c.join("d/e")).unwrap_err();
        assert!(missing.is_missing() && missing.path() == c.join("d"));
        assert_eq!(private_folder(&c.join("../../b/.")).unwrap(), b);
        fs::write(top.join("file"), "").unwrap();
        assert_eq!(private_file(&top.join("file")).unwrap(), top.join("file"));
        for (path, is_file) in [("file", false), ("file/d", false), ("a", true)] {
            let check = if is_file {
                private_file
            } else {
                private_folder
            };
            let error = check(&top.join(path)).unwrap_err();
            assert!(matches!(error.kind(), NotPrivateKind::WrongType), "{path}");
        }
        let relative = private_folder(Path::new("a/b")).unwrap_err();
        assert!(matches!(relative.kind(), NotPrivateKind::Relative));
    }

    /// Whichever folder on the path it is.
    #[test]
    fn a_folder_that_others_can_write_to_is_refused() {
        for index in 0..4 {
            for mode in [0o777, 0o770, 0o707, 0o720, 0o702, 0o2770] {
                let (_root, folders) = nested();
                set_mode(&folders[index], mode);
                let (path, message) = refused(&folders[3]);
                assert_eq!(path, folders[index]);
                assert!(message.contains(&format!("chmod go-w {}", path.display())));
                assert!(create_private_folder(&folders[3].join("d")).is_err());
                assert!(!folders[3].join("d").exists());
            }
        }
    }

    /// In a sticky folder, others cannot rename or remove what is not theirs, but add to it.
    #[test]
    fn a_sticky_folder_is_accepted_only_above_others() {
        let (_root, [_, _, b, c]) = nested();
        set_mode(&b, 0o1777);
        private_folder(&c).unwrap();
        assert_eq!(refused(&b).0, b);
        let file = b.join("file");
        fs::write(&file, "").unwrap();
        private_file(&file).unwrap();
        set_mode(&file, 0o664);
        private_file(&file).unwrap_err();
    }

    #[test]
    fn links_lead_to_folders_that_are_checked_too() {
        let (_root, [top, _, b, c]) = nested();
        let (link, relative) = (top.join("link"), top.join("relative"));
        symlink(&b, &link).unwrap();
        symlink("a/../link", &relative).unwrap();
        for link in [&link, &relative] {
            assert_eq!(private_folder(&link.join("c")).unwrap(), c);
            set_mode(&b, 0o777);
            assert_eq!(refused(&link.join("c")).0, b);
            set_mode(&b, 0o700);
        }
        let endless = top.join("endless");
        symlink(&endless, &endless).unwrap();
        assert!(refused(&endless).1.contains("too many links"));
        let dangling = top.join("dangling");
        symlink(top.join("none"), &dangling).unwrap();
        assert!(private_folder(&dangling).unwrap_err().is_missing());
    }

    /// Only root can give a folder away, so this is skipped for other users.
    #[test]
    fn a_folder_or_link_of_a_different_user_is_refused() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can create what belongs to a different user");
            return;
        }
        for index in 0..4 {
            let (_root, folders) = nested();
            chown(&folders[index], Some(12345), None).unwrap();
            let (path, message) = refused(&folders[3]);
            assert_eq!(path, folders[index]);
            assert!(message.contains("a different user (ID 12345)"), "{message}");
        }
        let (_root, [top, _, _, c]) = nested();
        let link = top.join("link");
        symlink(&c, &link).unwrap();
        std::os::unix::fs::lchown(&link, Some(12345), None).unwrap();
        assert_eq!(refused(&link).0, link);
    }
}
