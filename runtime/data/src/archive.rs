//! A data set in a tar file: `train/<class>/*` and `test/<class>/*` within it.
//!
//! - The file may be compressed with gzip, or with zstd and a window of up to 128 MiB. This is
//!   detected from the content, not from the name. Archives that were joined, as by
//!   `cat a.tar b.tar`, are all read; anything else behind an archive is an error.
//! - The two splits may lie in a folder within the archive, at any depth, as in
//!   `pets/train/<class>/*`. It is the folder nearest to the root that has images of both splits;
//!   two of them at the same depth are an error. Everything outside of it is ignored.
//! - Within the splits, the rules are those of folders: classes are sorted by name and images by
//!   class and file name, byte by byte, whatever their order in the archive; both splits have the
//!   same classes, and a class has images and no folders. A path with a component that folders skip
//!   is skipped here too.
//! - So are absolute paths, those with `..` in them and those over 4,096 bytes. Nothing is written,
//!   so they are harmless, but they are not part of a data set. A warning counts them.
//! - A hard link to an earlier file has its content. Other links are not followed: a link, a device or
//!   a sparse file in a class folder, or a link in place of one, is reported together with the files
//!   that are not images. Elsewhere they are ignored. Two files of one path are an error.
//! - The archive is read twice: for its list of files, and for the images, which are decoded as they
//!   are read. Few of them are in memory at a time (`entries::LIMITS`). Decompressed it may have up to
//!   8 GiB, including what is ignored; an image may have up to 256 MiB. There may be up to 4,000,000
//!   entries, and the headers of one may have up to 1 MiB.
//! - An archive without an end marker is truncated, which is an error.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::iter;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::assembly::{Assembly, Content};
use crate::error::{
    DataError, DataErrorKind, DataErrorKind::Layout, Unreadable, name, shown, text_of,
};
use crate::listing::{ImageFolders, ImageSplit, Listing, SplitFolder};
use crate::options::{LoadOptions, Preview, Selection};
use entries::{Entry, Found, LIMITS};

mod entries;
mod frames;
#[cfg(test)]
mod tests;
mod unpacked;

pub(crate) fn load(
    file: &Path,
    options: &LoadOptions,
    selection: Selection<'_>,
) -> Result<Preview, DataError> {
    let listed = entries::list(file, LIMITS)?;
    let warning = listed.warning(file);
    let listing = list(file, &listed.entries)?.with_warning(warning);
    let path_of = |image: &Image| inside(file, &image.path);
    listing.load(options, selection, path_of, |images, assembly| {
        feed(file, images, assembly)
    })
}

/// The folders of images in an archive, with splits or without; and that entries are not used, in words.
pub(crate) fn image_folders(
    file: &Path,
) -> Result<(ImageFolders<Image>, Option<String>), DataError> {
    let listed = entries::list(file, LIMITS)?;
    let (warning, entries) = (listed.warning(file), listed.entries);
    let mut unreadable = Vec::new();
    let mut folders = |folder: &[u8]| class_folders(file, &entries, folder, &mut unreadable);
    let has_splits = |entry: &Entry| entries::root_and_split(&entry.path).is_some();
    let found = if entries.iter().any(has_splits) {
        let root = root_of(file, &entries)?;
        let mut splits = Vec::new();
        for split in [ImageSplit::Train, ImageSplit::Test] {
            let found = folders(&[&root, format!("{split}/").as_bytes()].concat())?;
            splits.extend(found.map(|found| (Some(split), found)));
        }
        let beside = Vec::new();
        ImageFolders { splits, beside }
    } else {
        let root = root_of_classes(&entries);
        let found = folders(root)?.unwrap_or_default();
        if found.classes.is_empty() {
            // They are images without a class, or what is in place of them.
            unreadable.clear();
        }
        ImageFolders::without_splits(found, || files_in(&entries, root))
    };
    match unreadable.is_empty() {
        true => Ok((found, warning)),
        false => Err(DataError::unreadable_files(unreadable)),
    }
}

/// The path from the archive's root to its class folders: empty, or ending in `/`. It is the deepest folder
/// that all files are in; if all of them are directly in that, they are of one class.
fn root_of_classes(entries: &[Entry]) -> &[u8] {
    let files = entries
        .iter()
        .filter(|it| matches!(it.found, Found::File(_)));
    let folders = files.map(|file| parent(&file.path));
    let common = folders.clone().reduce(|common, folder| {
        let same = iter::zip(common, folder)
            .take_while(|(a, b)| a == b)
            .count();
        parent(&common[..same])
    });
    let common = common.unwrap_or_default();
    match folders.into_iter().all(|folder| folder == common) {
        true => parent(common.strip_suffix(b"/").unwrap_or_default()),
        false => common,
    }
}

/// The path up to its last `/`, and with it.
fn parent(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte == b'/');
    &path[..end.map_or(0, |end| end + 1)]
}

/// The files directly in a folder, sorted by name.
fn files_in(entries: &[Entry], folder: &[u8]) -> Vec<Image> {
    let mut images = Vec::new();
    for Entry { path, found } in entries {
        if let (Found::File(entry), true) = (found, parent(path) == folder) {
            let (path, entry) = (path.clone(), entry.clone());
            images.push(Image { path, entry });
        }
    }
    images.sort_by(|a, b| a.path.cmp(&b.path));
    images
}

/// Passes the images with these numbers of entries to `take`, each with the position beside it, until that breaks.
pub(crate) fn read(
    file: &Path,
    numbers: Vec<(u64, usize)>,
    mut take: impl FnMut(usize, Content) -> ControlFlow<()>,
) -> Result<(), DataError> {
    let mut wanted: HashMap<u64, Vec<usize>> = HashMap::new();
    for (number, position) in numbers {
        wanted.entry(number).or_default().push(position);
    }
    let mut is_over = false;
    let read = entries::read(file, LIMITS, &wanted, |images| {
        let mut images = images.into_iter();
        is_over = images.any(|(position, content)| take(position, content).is_break());
        match is_over {
            // Any error ends the reading.
            true => Err(DataError::new(DataErrorKind::Usage, String::new())),
            false => Ok(()),
        }
    });
    if is_over { Ok(()) } else { read }
}

/// An image, or what is in place of one.
pub(crate) struct Image {
    pub(crate) path: Vec<u8>,
    /// The number of its entry, or why it is not used.
    pub(crate) entry: Result<u64, Cow<'static, str>>,
}

fn feed(file: &Path, images: &[Image], assembly: &mut Assembly) -> Result<(), DataError> {
    let mut wanted: HashMap<u64, Vec<usize>> = HashMap::new();
    for (index, image) in images.iter().enumerate() {
        match &image.entry {
            Ok(entry) => wanted.entry(*entry).or_default().push(index),
            Err(reason) => assembly.add(&[(index, Content::Refused(reason.to_string()))])?,
        }
    }
    entries::read(file, LIMITS, &wanted, |images| assembly.add(&images))
}

fn list(file: &Path, entries: &[Entry]) -> Result<Listing<Image>, DataError> {
    let root = root_of(file, entries)?;
    let mut splits = [None, None];
    let mut unreadable = Vec::new();
    for (split, name) in splits.iter_mut().zip(["train/", "test/"]) {
        let folder = [root.as_slice(), name.as_bytes()].concat();
        *split = class_folders(file, entries, &folder, &mut unreadable)?;
    }
    if !unreadable.is_empty() {
        return Err(DataError::unreadable_files(unreadable));
    }
    let locate = |inner: &str| inside(file, &[root.as_slice(), inner.as_bytes()].concat());
    Listing::new(file, locate, splits)
}

/// The class folders in a folder of an archive, whose path is empty or ends in `/`; `None` if there is no such
/// folder. What is in place of a class folder and not a file goes to `unreadable`.
fn class_folders(
    file: &Path,
    entries: &[Entry],
    folder: &[u8],
    unreadable: &mut Vec<Unreadable>,
) -> Result<Option<SplitFolder<Image>>, DataError> {
    let mut classes: BTreeMap<String, BTreeMap<Vec<u8>, Image>> = BTreeMap::new();
    let (mut beside, mut exists) = (Vec::new(), false);
    for Entry { path, found } in entries {
        exists |= matches!(found, Found::Folder) && folder.strip_suffix(b"/") == Some(path);
        let Some(inner) = path.strip_prefix(folder) else {
            continue;
        };
        exists = true;
        let parts: Vec<&[u8]> = inner.split(|&byte| byte == b'/').collect();
        match (parts.as_slice(), found) {
            ([class], Found::Folder) => {
                classes.entry(class_name(file, path, class)?).or_default();
            }
            ([_], Found::File(Err(reason))) => unreadable.push(Unreadable {
                path: inside(file, path),
                reason: reason.to_string(),
            }),
            ([name], Found::File(Ok(_))) => beside.push(String::from_utf8_lossy(name).into_owned()),
            ([class, image], Found::File(entry)) => {
                let class = class_name(file, &path[..path.len() - image.len() - 1], class)?;
                let (path, entry) = (path.clone(), entry.clone());
                let images = classes.entry(class).or_default();
                if let Some(first) = images.insert(image.to_vec(), Image { path, entry }) {
                    let words = "is in the archive twice; create an archive that has it once";
                    return Err(DataError::of(Layout, &inside(file, &first.path), words));
                }
            }
            ([_, _, deeper @ ..], _) => {
                let below: usize = deeper.iter().map(|part| part.len() + 1).sum();
                let folder = &path[..path.len() - below];
                return Err(DataError::nested_folder(&inside(file, folder)));
            }
            ([], _) => unreachable!("a path has a part"),
        }
    }
    let classes = classes.into_iter();
    let classes = classes.map(|(class, images)| (class, images.into_values().collect()));
    let classes = classes.collect();
    beside.sort_unstable();
    Ok(exists.then_some(SplitFolder { classes, beside }))
}

/// The path from the archive's root to both splits: empty, or ending in `/`. If they are nowhere
/// together, the path to the one that there is.
fn root_of(file: &Path, entries: &[Entry]) -> Result<Vec<u8>, DataError> {
    // By depth and path, whether there are images of `train` and of `test`.
    let mut splits: BTreeMap<(usize, &[u8]), [bool; 2]> = BTreeMap::new();
    for entry in entries {
        let location = match entry.found {
            Found::File(_) => entries::root_and_split(&entry.path),
            Found::Folder => None,
        };
        if let Some((root, split)) = location {
            let depth = root.iter().filter(|&&byte| byte == b'/').count();
            splits.entry((depth, root)).or_default()[usize::from(split == b"test")] = true;
        }
    }
    let together: Vec<(usize, &[u8])> = splits
        .iter()
        .filter(|(_, splits)| **splits == [true; 2])
        .map(|(&root, _)| root)
        .collect();
    match *together.as_slice() {
        [(depth, first), (same, second), ..] if depth == same => {
            let [first, second] = [first, second].map(|root| name(&String::from_utf8_lossy(root)));
            let words = format!(
                "has one data set in `{first}` and one in `{second}`; create an archive for each"
            );
            Err(DataError::of(Layout, file, words))
        }
        [(_, root), ..] => Ok(root.to_vec()),
        [] => {
            let nearest = splits.keys().next();
            Ok(nearest.map(|(_, root)| root.to_vec()).unwrap_or_default())
        }
    }
}

/// The name of the class with this folder, if it is Unicode.
fn class_name(file: &Path, folder: &[u8], class: &[u8]) -> Result<String, DataError> {
    String::from_utf8(class.to_vec()).map_err(|_| DataError::class_name(&inside(file, folder)))
}

/// The name in messages of something within an archive.
pub(crate) fn inside(file: &Path, inner: &[u8]) -> PathBuf {
    format!("{}: {}", shown(file), text_of(inner)).into()
}
