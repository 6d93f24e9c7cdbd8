//! A data set in a tar file: `train/<class>/*` and `test/<class>/*` within it.
//!
//! - The file may be compressed with gzip, or with zstd and a window of up to 128 MiB. This is
//!   detected from the content, not from the name.
//! - The two splits may lie in a folder within the archive, at any depth, as in
//!   `pets/train/<class>/*`. It is the folder nearest to the root that has images of both splits;
//!   two of them at the same depth are an error. Everything outside of it is ignored.
//! - Within the splits, the rules are those of folders: classes are sorted by name and images by
//!   class and file name, byte by byte, whatever their order in the archive; both splits have the
//!   same classes, and a class has images and no folders. A path with a component that folders skip
//!   is skipped here too.
//! - So are absolute paths, those with `..` in them and those over 4,096 bytes. Nothing is written,
//!   so they are harmless, but they are not part of a data set.
//! - Links are not followed: a link, a device or a sparse file in a class folder, or a link in place
//!   of one, is reported together with the files that are not images. Elsewhere they are ignored.
//!   Two files of one path are an error.
//! - The archive is read once, and the bytes of its images are held until they are decoded.
//!   Decompressed it may have up to 8 GiB, including what is ignored; an image may have up to
//!   256 MiB. There may be up to 4,000,000 entries, and the headers of one may have up to 1 MiB.
//! - An archive without an end marker is truncated, which is an error.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{DataError, Unreadable};
use crate::listing::{self, Content, Listing, Source};
use crate::selection::{Preview, Selection};
use crate::spec::LoadOptions;
use entries::{Entry, Found};

mod entries;
mod frames;
#[cfg(test)]
mod tests;
mod unpacked;

pub(crate) fn load(
    file: &Path,
    options: &LoadOptions,
    selection: Selection,
) -> Result<Preview, DataError> {
    let side = listing::side(options)?;
    let entries = entries::read(file, entries::LIMITS)?;
    list(file, entries)?.load(side, selection)
}

/// The images of one split, by class and file name.
type Classes = BTreeMap<String, BTreeMap<Vec<u8>, Source>>;

fn list(file: &Path, entries: Vec<Entry>) -> Result<Listing, DataError> {
    let root = root_of(file, &entries)?;
    let (mut train, mut test) = (None, None);
    let mut unreadable = Vec::new();
    for Entry { path, found } in entries {
        let Some(inner) = path.strip_prefix(root.as_slice()) else {
            continue;
        };
        let parts: Vec<&[u8]> = inner.split(|&byte| byte == b'/').collect();
        let split: &mut Option<Classes> = match parts[0] {
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
                split.get_or_insert_default().entry(class).or_default();
            }
            ([_, _], Found::Image(Content::Refused(reason))) => {
                unreadable.push(Unreadable {
                    path: inside(file, &path),
                    reason: reason.into_owned(),
                });
            }
            ([_, class, image], Found::Image(content)) => {
                let folder = &path[..path.len() - image.len() - 1];
                let class = class_name(file, folder, class)?;
                let images = split.get_or_insert_default().entry(class).or_default();
                let source = Source {
                    path: inside(file, &path),
                    content,
                };
                if let Some(first) = images.insert(image.to_vec(), source) {
                    return Err(DataError::DuplicateEntry(first.path));
                }
            }
            ([_, _, _, deeper @ ..], _) => {
                let below: usize = deeper.iter().map(|part| part.len() + 1).sum();
                let path = inside(file, &path[..path.len() - below]);
                return Err(DataError::NestedFolder(path));
            }
            // A file next to the class folders, or in place of a split, has no class.
            _ => {}
        }
    }
    if !unreadable.is_empty() {
        return Err(DataError::Unreadable(unreadable));
    }
    let path_of = |inner: &str| inside(file, &[root.as_slice(), inner.as_bytes()].concat());
    let train = checked(train, path_of("train"))?;
    let test = checked(test, path_of("test"))?;
    listing::same_classes(file, &train, &test)?;
    for (split, classes) in [("train", &train), ("test", &test)] {
        if let Some((class, _)) = classes.iter().find(|(_, images)| images.is_empty()) {
            let path = path_of(&format!("{split}/{class}"));
            return Err(DataError::EmptyClass(path));
        }
    }
    Ok(Listing {
        classes: train.keys().cloned().collect(),
        train: images(train),
        test: images(test),
    })
}

/// The path from the archive's root to both splits: empty, or ending in `/`. If they are nowhere
/// together, the path to the one that there is.
fn root_of(file: &Path, entries: &[Entry]) -> Result<Vec<u8>, DataError> {
    // By depth and path, whether there are images of `train` and of `test`.
    let mut splits: BTreeMap<(usize, &[u8]), [bool; 2]> = BTreeMap::new();
    for entry in entries {
        let location = match entry.found {
            Found::Image(_) => entries::root_and_split(&entry.path),
            Found::Folder | Found::Other => None,
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
        [(depth, first), (same, second), ..] if depth == same => Err(DataError::SeveralSets {
            path: file.into(),
            first: String::from_utf8_lossy(first).into_owned(),
            second: String::from_utf8_lossy(second).into_owned(),
        }),
        [(_, root), ..] => Ok(root.to_vec()),
        [] => {
            let nearest = splits.keys().next();
            Ok(nearest.map(|(_, root)| root.to_vec()).unwrap_or_default())
        }
    }
}

/// The name of the class with this folder, if it is Unicode.
fn class_name(file: &Path, folder: &[u8], class: &[u8]) -> Result<String, DataError> {
    String::from_utf8(class.to_vec()).map_err(|_| DataError::ClassName(inside(file, folder)))
}

/// The classes of a split that exists and has some.
fn checked(split: Option<Classes>, path: PathBuf) -> Result<Classes, DataError> {
    match split {
        None => Err(DataError::MissingSplit(path)),
        Some(classes) if classes.is_empty() => Err(DataError::NoClasses(path)),
        Some(classes) => Ok(classes),
    }
}

fn images(classes: Classes) -> Vec<Vec<Source>> {
    classes
        .into_values()
        .map(|images| images.into_values().collect())
        .collect()
}

/// The name in messages of something within an archive.
fn inside(file: &Path, inner: &[u8]) -> PathBuf {
    format!("{}: {}", file.display(), String::from_utf8_lossy(inner)).into()
}
