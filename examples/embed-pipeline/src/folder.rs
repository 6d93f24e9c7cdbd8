use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use faa_system::is_litter;

use crate::LoadError;
use crate::error::shown;

/// The image files of a folder, with their labels.
#[derive(Clone, Debug, Default)]
pub struct Folder {
    /// The classes by name; empty if there are none.
    pub classes: Vec<String>,
    /// The files, by class and then by name. An image's position in this list is its index.
    pub files: Vec<Source>,
}

/// One file of a [`Folder`].
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// The index of its class in [`Folder::classes`]; 0 if there are none.
    pub label: u32,
}

impl Folder {
    /// Lists `folder/<class>/*`, or `folder/*` with the label 0 if the folder has no subfolders.
    ///
    /// The order is that of the names, whatever the file system says. What operating systems
    /// leave behind is passed over. No file is opened yet.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if a folder cannot be listed, or no file is found.
    pub fn open(folder: &Path) -> Result<Self, LoadError> {
        let (folders, files): (Vec<_>, Vec<_>) =
            (visible_entries(folder)?.into_iter()).partition(|path| path.is_dir());
        let mut found = Self::default();
        if folders.is_empty() {
            found.add(files, 0);
        }
        for (label, class) in (0..).zip(folders) {
            found.add(visible_entries(&class)?, label);
            let name = class.file_name().unwrap_or_default();
            found.classes.push(name.to_string_lossy().into_owned());
        }
        if found.files.is_empty() {
            let message = format!("{} holds no files", shown(folder));
            return Err(LoadError::new(message));
        }
        Ok(found)
    }

    fn add(&mut self, paths: Vec<PathBuf>, label: u32) {
        let sources = paths.into_iter().map(|path| Source { path, label });
        self.files.extend(sources);
    }
}

fn visible_entries(folder: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name()));
        let mut names = names.collect::<io::Result<Vec<_>>>()?;
        names.retain(|name| !is_litter(name));
        names.sort_unstable();
        Ok(names.iter().map(|name| folder.join(name)).collect())
    };
    list().map_err(|why| LoadError::because(format!("cannot list {}", shown(folder)), why))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(folder: &Path, names: &[&str]) {
        for name in names {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
    }

    #[test]
    fn folders_are_classes_and_files_are_in_the_order_of_their_names() {
        let folder = tempfile::tempdir().unwrap();
        touch(
            folder.path(),
            &["b/2", "b/10", "a/1", "b/.hidden", "@eaDir/1", "beside"],
        );
        let found = Folder::open(folder.path()).unwrap();
        assert_eq!(found.classes, ["a", "b"]);
        let labelled = |name: &str, label| (folder.path().join(name), label);
        let files = found.files.into_iter().map(|file| (file.path, file.label));
        let expected = [labelled("a/1", 0), labelled("b/10", 1), labelled("b/2", 1)];
        assert!(files.eq(expected));
    }

    #[test]
    fn a_folder_without_folders_has_no_classes() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = |path: &Path| Folder::open(path).unwrap_err().to_string();
        assert!(refusal(folder.path()).ends_with(" holds no files"));
        touch(folder.path(), &["2", "1"]);
        let found = Folder::open(folder.path()).unwrap();
        assert_eq!((found.classes.len(), found.files.len()), (0, 2));
        assert!(refusal(&folder.path().join("missing")).starts_with("cannot list "));
    }
}
