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
//!   so they are harmless, but they are not part of a data set.
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
use std::path::{Path, PathBuf};

use crate::assembly::{Assembly, Content};
use crate::error::{DataError, DataErrorKind::Layout, Unreadable, name, shown, text_of};
use crate::listing::{Classes, Listing, SplitFolder};
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
    let listing = list(file, entries::list(file, LIMITS)?)?;
    let path_of = |image: &Image| inside(file, &image.path);
    listing.load(options, selection, path_of, |images, assembly| {
        feed(file, images, assembly)
    })
}

/// An image, or what is in place of one.
struct Image {
    path: Vec<u8>,
    /// The number of its entry, or why it is not used.
    entry: Result<u64, Cow<'static, str>>,
}

fn feed(file: &Path, images: &[Image], assembly: &mut Assembly) -> Result<(), DataError> {
    let mut wanted: HashMap<u64, Vec<usize>> = HashMap::new();
    for (index, image) in images.iter().enumerate() {
        match &image.entry {
            Ok(entry) => wanted.entry(*entry).or_default().push(index),
            Err(reason) => assembly.add(&[(index, Content::Refused(reason.to_string()))])?,
        }
    }
    entries::read(file, LIMITS, &wanted, |images| assembly.add(images))
}

/// The images of one split, by class and file name.
#[derive(Default)]
struct Files {
    classes: BTreeMap<String, BTreeMap<Vec<u8>, Image>>,
    beside: Vec<String>,
}

fn list(file: &Path, entries: Vec<Entry>) -> Result<Listing<Image>, DataError> {
    let root = root_of(file, &entries)?;
    let (mut train, mut test): (Option<Files>, Option<Files>) = (None, None);
    let mut unreadable = Vec::new();
    for Entry { path, found } in entries {
        let Some(inner) = path.strip_prefix(root.as_slice()) else {
            continue;
        };
        let parts: Vec<&[u8]> = inner.split(|&byte| byte == b'/').collect();
        let split = match parts[0] {
            b"train" => &mut train,
            b"test" => &mut test,
            _ => continue,
        };
        match (parts.as_slice(), found) {
            ([_], Found::Folder) => {
                split.get_or_insert_default();
            }
            ([_, class], Found::Folder) => {
                let class = class_name(file, &path, class)?;
                split
                    .get_or_insert_default()
                    .classes
                    .entry(class)
                    .or_default();
            }
            ([_, _], Found::File(Err(reason))) => {
                let path = inside(file, &path);
                unreadable.push(Unreadable {
                    path,
                    reason: reason.into(),
                });
            }
            ([_, file], Found::File(Ok(_))) => {
                let file = String::from_utf8_lossy(file).into_owned();
                split.get_or_insert_default().beside.push(file);
            }
            ([_, class, image], Found::File(entry)) => {
                let (name, folder) = (image.to_vec(), &path[..path.len() - image.len() - 1]);
                let class = class_name(file, folder, class)?;
                let images = split
                    .get_or_insert_default()
                    .classes
                    .entry(class)
                    .or_default();
                if let Some(first) = images.insert(name, Image { path, entry }) {
                    let words = "is in the archive twice; create an archive that has it once";
                    return Err(DataError::of(Layout, &inside(file, &first.path), words));
                }
            }
            ([_, _, _, deeper @ ..], _) => {
                let below: usize = deeper.iter().map(|part| part.len() + 1).sum();
                let folder = &path[..path.len() - below];
                return Err(DataError::nested_folder(&inside(file, folder)));
            }
            // In place of a split.
            _ => {}
        }
    }
    if !unreadable.is_empty() {
        return Err(DataError::unreadable_files(unreadable));
    }
    let locate = |inner: &str| inside(file, &[root.as_slice(), inner.as_bytes()].concat());
    let sorted = |files: Files| {
        let classes = files.classes.into_iter();
        let classes: Classes<Image> = classes
            .map(|(class, images)| (class, images.into_values().collect()))
            .collect();
        let mut beside = files.beside;
        beside.sort_unstable();
        SplitFolder { classes, beside }
    };
    Listing::new(file, locate, [train.map(sorted), test.map(sorted)])
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
fn inside(file: &Path, inner: &[u8]) -> PathBuf {
    format!("{}: {}", shown(file), text_of(inner)).into()
}
