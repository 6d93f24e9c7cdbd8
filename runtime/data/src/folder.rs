//! A data set in a folder: `DIR/train/<class>/*` and `DIR/test/<class>/*`.
//!
//! - The classes are the folders in `train`, sorted by name; `test` must have the same ones.
//!   Images are ordered by class and then by file name, byte by byte, not as the file system lists
//!   them.
//! - Every file in a class folder must be an image; its format is detected from its content, not
//!   from its name. Names that begin with a dot, `Thumbs.db` and `desktop.ini` are skipped. A folder
//!   in a class folder is an error, because its images would be missed silently. Files next to the
//!   class folders are ignored: they have no class.
//! - Symbolic links are followed. As nothing below the class folders is entered, links cannot lead
//!   in circles.
//! - `decode.rs` describes how an image becomes pixels.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::DataError;
use crate::listing::{self, Content, Listing, Source};
use crate::selection::{Preview, Selection};
use crate::spec::LoadOptions;

#[cfg(test)]
mod tests;

pub(crate) fn load(
    folder: &Path,
    options: &LoadOptions,
    selection: Selection,
) -> Result<Preview, DataError> {
    let side = listing::side(options)?;
    list(folder)?.load(side, selection)
}

fn list(folder: &Path) -> Result<Listing, DataError> {
    if !folder.is_dir() {
        return Err(DataError::MissingFolder(folder.into()));
    }
    let train = class_folders(&folder.join("train"))?;
    let test = class_folders(&folder.join("test"))?;
    listing::same_classes(folder, &train, &test)?;
    Ok(Listing {
        train: images(&train)?,
        test: images(&test)?,
        classes: train.into_keys().collect(),
    })
}

fn class_folders(split: &Path) -> Result<BTreeMap<String, PathBuf>, DataError> {
    if !split.is_dir() {
        return Err(DataError::MissingSplit(split.into()));
    }
    let mut classes = BTreeMap::new();
    for path in visible_entries(split)? {
        if !path.is_dir() {
            continue;
        }
        match path.file_name().and_then(|name| name.to_str()) {
            Some(name) => classes.insert(name.to_owned(), path),
            None => return Err(DataError::ClassName(path)),
        };
    }
    if classes.is_empty() {
        return Err(DataError::NoClasses(split.into()));
    }
    Ok(classes)
}

fn images(classes: &BTreeMap<String, PathBuf>) -> Result<Vec<Vec<Source>>, DataError> {
    classes.values().map(|class| images_of(class)).collect()
}

/// The images of one class, sorted by name.
fn images_of(class: &Path) -> Result<Vec<Source>, DataError> {
    let files = visible_entries(class)?;
    if files.is_empty() {
        return Err(DataError::EmptyClass(class.into()));
    }
    if let Some(path) = files.iter().find(|path| path.is_dir()) {
        return Err(DataError::NestedFolder(path.clone()));
    }
    let source = |path| Source {
        path,
        content: Content::OnDisk,
    };
    Ok(files.into_iter().map(source).collect())
}

fn visible_entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let at_folder = DataError::io(folder);
    let entries: io::Result<Vec<_>> = fs::read_dir(folder).map_err(at_folder)?.collect();
    let mut names: Vec<_> = entries
        .map_err(at_folder)?
        .into_iter()
        .map(|entry| entry.file_name())
        .filter(|name| !listing::is_hidden(&name.to_string_lossy()))
        .collect();
    names.sort_unstable();
    Ok(names.iter().map(|name| folder.join(name)).collect())
}
