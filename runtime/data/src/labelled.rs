//! Data sets with annotations, as folders of detection and segmentation have them.
//!
//! - COCO: a folder of images, and one file of annotations, which names them.
//! - YOLO: `images` and `labels`, with a text file for each image, in which a line is an object. An image without
//!   a file has no objects.
//! - Masks: `images` and `masks`, with a PNG for each image.
//!
//! The last two have splits as folders in `images`, or `images` as a folder in each split, or no splits. The name
//! of a split begins with `train`, `val` or `test`, as in `val2017` and `valid`. Images are in the order of their
//! names, byte by byte.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use faa_system::{fnv1a, open_regular};

use crate::annotations::{AnnotationError, Coco, MAX_COCO_BYTES};
use crate::error::{DataError, DataErrorKind, DataErrorKind::Layout, name, shown, text_of};
use crate::folder::visible_entries;
use crate::listing::ImageSplit;

/// The largest file that is copied with a data set, such as YOLO's `data.yaml`, in bytes.
const MAX_COPIED: u64 = 1 << 20;

/// The form of a data set's annotations.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Labelling {
    /// One file for all images.
    Coco(Box<Coco>),
    /// A text file for each image; one without a file has no objects.
    Yolo,
    /// A mask for each image.
    Masks,
}

/// Where an image of a data set with annotations is in it, and its annotations.
#[derive(Clone, Debug)]
pub(crate) struct Labelled {
    /// The folder of the image.
    pub(crate) folder: String,
    pub(crate) label: Label,
}

/// The annotations of an image.
#[derive(Clone, Debug)]
pub(crate) enum Label {
    /// The position of its image in the data set's one file.
    Entry(usize),
    /// A file of its own, and its path in the data set.
    File { path: PathBuf, inner: String },
}

/// What is in a data set with annotations.
pub(crate) struct Found {
    pub(crate) labelling: Labelling,
    /// The split, name, path and annotations of each image, in order.
    pub(crate) images: Vec<(Option<ImageSplit>, String, PathBuf, Labelled)>,
    /// Names and contents of the files that belong to the data set as a whole.
    pub(crate) beside: Vec<(String, Vec<u8>)>,
    /// The digest of what all images share.
    pub(crate) digest: u64,
    pub(crate) warnings: Vec<String>,
}

/// A folder of images, and that of their annotations.
struct Pair {
    split: Option<ImageSplit>,
    images: PathBuf,
    labels: PathBuf,
    /// Their paths in the data set.
    inner: [String; 2],
}

pub(crate) fn coco(images: &Path, annotations: &Path) -> Result<Found, DataError> {
    if !images.is_dir() {
        let words = "is not a folder; a data set is `coco:IMAGES,FILE.json`";
        return Err(DataError::of(Layout, images, words));
    }
    let json = read(annotations, MAX_COCO_BYTES)?;
    let digest = fnv1a(json.iter().copied());
    let coco = Coco::parse(&json).map_err(|error| malformed(annotations, &error))?;
    let mut found: Vec<_> = (coco.images().iter().enumerate())
        .map(|(entry, image)| {
            let (folder, file) = match image.file_name.rsplit_once('/') {
                Some((folder, file)) => (format!("images/{folder}"), file),
                None => ("images".to_owned(), image.file_name.as_str()),
            };
            let label = Label::Entry(entry);
            let path = images.join(&image.file_name);
            (None, file.to_owned(), path, Labelled { folder, label })
        })
        .collect();
    found.sort_by(|(_, a_name, _, a), (_, b_name, _, b)| {
        (a.folder.as_bytes(), a_name.as_bytes()).cmp(&(b.folder.as_bytes(), b_name.as_bytes()))
    });
    Ok(Found {
        labelling: Labelling::Coco(Box::new(coco)),
        images: found,
        beside: Vec::new(),
        digest,
        warnings: Vec::new(),
    })
}

pub(crate) fn yolo(folder: &Path) -> Result<Found, DataError> {
    let mut found = pairs_of_files(folder, Labelling::Yolo, "labels", "txt")?;
    for path in visible_entries(folder)? {
        let is_yaml = path
            .extension()
            .is_some_and(|it| it == "yaml" || it == "yml");
        let Some(file) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if is_yaml && path.is_file() {
            let content = read(&path, MAX_COPIED)?;
            check_yaml(&path, &content)?;
            if has_key(&content, "path:") {
                let path = shown(&path);
                found.warnings.push(format!(
                    "{path} has `path`, which may name this data set: change it in the copy"
                ));
            }
            if content.split(|byte| *byte == b'\n').any(names_other_images) {
                let path = shown(&path);
                found.warnings.push(format!(
                    "{path} names a split by an absolute path or a list of files: change it in the copy"
                ));
            }
            found.beside.push((file.to_owned(), content));
        }
    }
    let contents = found.beside.iter().flat_map(|(_, content)| content);
    found.digest = fnv1a(contents.copied());
    Ok(found)
}

pub(crate) fn masks(folder: &Path) -> Result<Found, DataError> {
    pairs_of_files(folder, Labelling::Masks, "masks", "png")
}

/// Refuses poses, whose numbers may look like those of outlines.
fn check_yaml(path: &Path, content: &[u8]) -> Result<(), DataError> {
    match has_key(content, "kpt_shape:") {
        false => Ok(()),
        true => {
            let words = "has `kpt_shape`: labels of poses are not supported; keypoints are in COCO's format";
            Err(DataError::of(DataErrorKind::Usage, path, words))
        }
    }
}

/// Whether a file has this key, with its colon, at its top level.
fn has_key(yaml: &[u8], key: &str) -> bool {
    let mut lines = yaml.split(|byte| *byte == b'\n');
    lines.any(|line| line.starts_with(key.as_bytes()))
}

/// Whether a line of `data.yaml` names images that a copy of the data set does not have.
fn names_other_images(line: &[u8]) -> bool {
    ["train:", "val:", "test:"].iter().any(|key| {
        let value = line.strip_prefix(key.as_bytes());
        let value = value.map(<[u8]>::trim_ascii);
        value.is_some_and(|it| it.starts_with(b"/") || it.ends_with(b".txt"))
    })
}

fn pairs_of_files(
    folder: &Path,
    labelling: Labelling,
    labels: &str,
    extension: &str,
) -> Result<Found, DataError> {
    let (mut images, mut warnings) = (Vec::new(), Vec::new());
    for pair in pairs(folder, &labelling, labels)? {
        let mut stems = BTreeSet::new();
        for path in visible_entries(&pair.images)? {
            if path.is_dir() {
                let words = "is a folder of images in a folder of images; move its images up";
                return Err(DataError::of(Layout, &path, words));
            }
            let file = text_of(path.file_name().unwrap_or_default().as_encoded_bytes());
            let mut label = path.file_stem().unwrap_or_default().to_owned();
            stems.insert(label.clone());
            label.push(format!(".{extension}"));
            let inner = format!("{}/{}", pair.inner[1], text_of(label.as_encoded_bytes()));
            let label = Label::File {
                path: pair.labels.join(label),
                inner,
            };
            let folder = pair.inner[0].clone();
            images.push((pair.split, file, path, Labelled { folder, label }));
        }
        let alone = |path: &PathBuf| {
            let is_label = path.extension().is_some_and(|it| it == extension);
            is_label && path.file_stem().is_some_and(|stem| !stems.contains(stem))
        };
        let others = match pair.labels.is_dir() {
            true => visible_entries(&pair.labels)?,
            false => Vec::new(),
        };
        let alone: Vec<&PathBuf> = others.iter().filter(|path| alone(path)).collect();
        if let Some(first) = alone.first() {
            let file = name(&first.file_name().unwrap_or_default().to_string_lossy());
            warnings.push(format!(
                "{} has files without an image, which are not used ({}): {file}",
                shown(&pair.labels),
                alone.len(),
            ));
        }
        if matches!(labelling, Labelling::Yolo) {
            let is_label = |path: &&PathBuf| path.extension().is_some_and(|it| it == extension);
            let found = others.iter().filter(is_label);
            let found: BTreeSet<_> = found.filter_map(|path| path.file_stem()).collect();
            let without = stems
                .iter()
                .filter(|stem| !found.contains(stem.as_os_str()));
            match without.count() {
                0 => {}
                count => warnings.push(format!(
                    "{count} of {} images in {} have no file in {}, and so no objects",
                    stems.len(),
                    shown(&pair.images),
                    shown(&pair.labels),
                )),
            }
        }
    }
    Ok(Found {
        labelling,
        images,
        beside: Vec::new(),
        digest: 0,
        warnings,
    })
}

/// The folders of images, with those of their annotations.
fn pairs(folder: &Path, labelling: &Labelling, labels: &str) -> Result<Vec<Pair>, DataError> {
    let layout = |words: &str| {
        let words = format!(
            "{words}; a data set is DIR/images/train and DIR/{labels}/train, DIR/train/images and \
             DIR/train/{labels}, or DIR/images and DIR/{labels}, likewise with val and test"
        );
        DataError::of(Layout, folder, words)
    };
    let pair = |split, images: String, labels: String| {
        let new = Pair {
            split,
            images: folder.join(&images),
            labels: folder.join(&labels),
            inner: [images, labels],
        };
        // Test images may have no annotations, as those of COCO.
        let is_unlabelled = split == Some(ImageSplit::Test) && matches!(labelling, Labelling::Yolo);
        match new.labels.is_dir() || (is_unlabelled && !new.labels.exists()) {
            true => Ok(new),
            false => Err(DataError::of(Layout, &new.labels, "is not a folder")),
        }
    };
    if !folder.is_dir() {
        return Err(layout("is not a folder"));
    }
    let images = folder.join("images");
    let mut found = Vec::new();
    if images.is_dir() {
        let entries = visible_entries(&images)?;
        if !entries.iter().any(|path| path.is_dir()) {
            return Ok(vec![pair(None, "images".to_owned(), labels.to_owned())?]);
        }
        for path in entries {
            let inner = inner_name(&path)?;
            let split = split_of(&inner).filter(|_| path.is_dir());
            let Some(split) = split else {
                let words =
                    "is beside the splits in `images`, whose names begin with train, val or test";
                return Err(DataError::of(Layout, &path, words));
            };
            let (images, labels) = (format!("images/{inner}"), format!("{labels}/{inner}"));
            found.push(pair(Some(split), images, labels)?);
        }
    } else {
        for path in visible_entries(folder)? {
            if path.join("images").is_dir() {
                let inner = inner_name(&path)?;
                let split = split_of(&inner).ok_or_else(|| {
                    let words = "is no split: their names begin with train, val or test";
                    DataError::of(Layout, &path, words)
                })?;
                let (images, labels) = (format!("{inner}/images"), format!("{inner}/{labels}"));
                found.push(pair(Some(split), images, labels)?);
            }
        }
    }
    if found.is_empty() {
        return Err(layout("has no folder of images"));
    }
    let splits: BTreeSet<_> = found.iter().map(|it| it.split).collect();
    if splits.len() < found.len() {
        return Err(layout("has a split twice"));
    }
    found.sort_by_key(|it| it.split);
    Ok(found)
}

fn split_of(folder: &str) -> Option<ImageSplit> {
    let mut known = [ImageSplit::Train, ImageSplit::Val, ImageSplit::Test].into_iter();
    known.find(|split| folder.starts_with(&split.to_string()))
}

fn inner_name(path: &Path) -> Result<String, DataError> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).ok_or_else(|| {
        DataError::of(
            Layout,
            path,
            "is a folder whose name is not Unicode; rename it",
        )
    })
}

fn malformed(path: &Path, error: &AnnotationError) -> DataError {
    DataError::of(
        DataErrorKind::Damaged,
        path,
        format!("cannot be used: {error}"),
    )
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, DataError> {
    let (file, length) =
        open_regular(path, File::options().read(true)).map_err(DataError::io(path))?;
    if length > limit {
        let words = format!("has {length} bytes; the limit is {limit}");
        return Err(DataError::of(DataErrorKind::TooLarge, path, words));
    }
    let mut content = Vec::new();
    let read = file.take(limit).read_to_end(&mut content);
    read.map_err(DataError::io(path))?;
    Ok(content)
}

#[cfg(test)]
mod tests;
