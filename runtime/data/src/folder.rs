//! A data set in a folder: `DIR/train/<class>/*` and `DIR/test/<class>/*`.
//!
//! - The classes are the folders in `train`, sorted by name; `test` must have the same ones.
//!   Images are ordered by class and then by file name, byte by byte, not as the file system lists
//!   them.
//! - Every file in a class folder must be an image; its format is detected from its content, not
//!   from its name. What operating systems leave behind is skipped ([`is_litter`]). A folder in a
//!   class folder is an error, because its images would be missed silently. Files next to the class
//!   folders are not used, which is a warning: they have no class.
//! - Symbolic links are followed; one that leads nowhere is an error. As nothing below the class folders is
//!   entered, links cannot lead in circles.
//! - `decode.rs` describes how an image becomes pixels.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use faa_system::is_litter;

use crate::assembly::{self, Assembly, Content};
use crate::error::{DataError, DataErrorKind::Layout};
use crate::listing::{Classes, ImageFolders, ImageSplit, Listing, SplitFolder};
use crate::options::{LoadOptions, Preview, Selection};

#[cfg(test)]
mod tests;

pub(crate) fn load(
    folder: &Path,
    options: &LoadOptions,
    selection: Selection<'_>,
) -> Result<Preview, DataError> {
    if !folder.is_dir() {
        let words = "is not a folder; a data set is DIR/train/<class>/* and DIR/test/<class>/*";
        return Err(DataError::of(Layout, folder, words));
    }
    let locate = |inner: &str| folder.join(inner);
    let splits = [list(&locate("train"))?, list(&locate("test"))?];
    let listing = Listing::new(folder, locate, splits)?;
    listing.load(options, selection, PathBuf::clone, feed)
}

fn feed(images: &[PathBuf], assembly: &mut Assembly) -> Result<(), DataError> {
    let images: Vec<_> = (0..images.len())
        .map(|index| (index, Content::OnDisk))
        .collect();
    let mut batches = images.chunks(assembly::batch());
    batches.try_for_each(|batch| assembly.add(batch))
}

/// The folders of images in a folder, with splits or without.
pub(crate) fn image_folders(folder: &Path) -> Result<ImageFolders<PathBuf>, DataError> {
    if !folder.is_dir() {
        let words = "is not a folder; a data set is DIR/<class>/*, or DIR/train/<class>/* and \
                     DIR/test/<class>/*";
        return Err(DataError::of(Layout, folder, words));
    }
    let (mut splits, mut beside) = (Vec::new(), Vec::new());
    for path in visible_entries(folder)?.iter().filter(|path| path.is_dir()) {
        let name = path.file_name().unwrap_or_default();
        let mut known = [ImageSplit::Train, ImageSplit::Test].into_iter();
        let split = known.find(|split| name == split.to_string().as_str());
        // A class may be called `train`.
        if split.is_some() && visible_entries(path)?.iter().any(|path| path.is_dir()) {
            splits.extend(list(path)?.map(|found| (split, found)));
        } else {
            beside.push(name.to_string_lossy().into_owned());
        }
    }
    if !splits.is_empty() {
        splits.sort_by_key(|(split, _)| *split);
        return Ok(ImageFolders { splits, beside });
    }
    let all = visible_entries(folder)?;
    let found = list(folder)?.unwrap_or_default();
    Ok(ImageFolders::without_splits(found, || all))
}

/// What is in a split; `None` if it does not exist.
fn list(split: &Path) -> Result<Option<SplitFolder<PathBuf>>, DataError> {
    if !split.is_dir() {
        return Ok(None);
    }
    let (mut classes, mut beside) = (Classes::new(), Vec::new());
    for path in visible_entries(split)? {
        let metadata = fs::metadata(&path).map_err(|error| match path.is_symlink() {
            true => {
                let words = format!("is a link that leads nowhere ({error}); repair or remove it");
                DataError::of(Layout, &path, words)
            }
            false => DataError::io(&path)(error),
        })?;
        if !metadata.is_dir() {
            beside.push(
                path.file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into(),
            );
            continue;
        }
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            return Err(DataError::class_name(&path));
        };
        let images = visible_entries(&path)?;
        if let Some(folder) = images.iter().find(|image| image.is_dir()) {
            return Err(DataError::nested_folder(folder));
        }
        classes.insert(name.to_owned(), images);
    }
    Ok(Some(SplitFolder { classes, beside }))
}

/// What is in a folder, sorted by name, without what operating systems leave behind.
pub(crate) fn visible_entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let at_folder = DataError::io(folder);
    let entries: io::Result<Vec<_>> = fs::read_dir(folder).map_err(at_folder)?.collect();
    let mut names: Vec<_> = entries
        .map_err(at_folder)?
        .into_iter()
        .map(|entry| entry.file_name())
        .filter(|name| !is_litter(name))
        .collect();
    names.sort_unstable();
    Ok(names.iter().map(|name| folder.join(name)).collect())
}
