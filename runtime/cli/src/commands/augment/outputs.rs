//! Which files are written, and their names.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::Path;

use anyhow::{Result, bail};
use faa_data::{ImageFile, ImageFiles, ImageSplit, Labelling};

use crate::commands::Usage;
use crate::output_files::folded;

/// The name of the manifest in the output folder.
pub(super) const MANIFEST: &str = "manifest.jsonl";

/// The name of COCO's file of annotations in the output folder.
pub(super) const ANNOTATIONS: &str = "annotations.json";

/// What is written for the files of a data set.
pub(super) struct Outputs<'a> {
    pub(super) files: &'a ImageFiles,
    /// The augmented versions per image.
    pub(super) copies: u32,
    /// Whether the files themselves are copied too, those of all splits.
    pub(super) keep: bool,
    /// The splits that are augmented, of a data set with splits.
    chosen: Splits,
    extension: &'static str,
}

/// What a file that is written shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// The content of the image file itself.
    Original,
    /// The draw of this number, which is its epoch.
    Copy(u32),
}

/// The splits to augment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Splits {
    Train,
    Val,
    Test,
    All,
}

impl Splits {
    /// Its word on the command line.
    fn word(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
            Self::All => "all",
        }
    }

    fn list(self) -> &'static [ImageSplit] {
        match self {
            Self::Train => &[ImageSplit::Train],
            Self::Val => &[ImageSplit::Val],
            Self::Test => &[ImageSplit::Test],
            Self::All => &[ImageSplit::Train, ImageSplit::Val, ImageSplit::Test],
        }
    }
}

impl<'a> Outputs<'a> {
    /// `splits` is `None` where none were asked for: those of training.
    pub(super) fn new(
        files: &'a ImageFiles,
        copies: u32,
        keep: bool,
        splits: Option<Splits>,
        extension: &'static str,
    ) -> Result<Self> {
        let has = |split| files.files().iter().any(|file| file.split == split);
        let chosen = splits.unwrap_or(Splits::Train);
        let new = Self {
            files,
            copies,
            keep,
            chosen,
            extension,
        };
        if has(None) {
            if splits.is_some() {
                bail!(Usage("the data set has no splits: omit --split".to_owned()));
            }
        } else if !files.files().iter().any(|file| new.augments(file)) {
            let lacks = match chosen {
                Splits::Train => "training",
                _ => chosen.word(),
            };
            let mut there = files.files().iter().filter_map(|file| file.split);
            let word = there
                .next()
                .map_or_else(String::new, |split| split.to_string());
            bail!(Usage(format!(
                "the data set has no {lacks} split: augment the other one with --split {word}"
            )));
        }
        new.check_names()?;
        Ok(new)
    }

    /// The splits that are augmented, in a word; `None` if the data set has none.
    pub(super) fn splits(&self) -> Option<&'static str> {
        let has_splits = self.files.files().iter().any(|file| file.split.is_some());
        has_splits.then_some(self.chosen.word())
    }

    /// That images of a split are not augmented.
    pub(super) fn note(&self) -> Option<String> {
        let files = self.files.files().iter();
        let others = files
            .filter(|file| !self.augments(file))
            .filter_map(|file| file.split);
        let others: BTreeSet<ImageSplit> = others.collect();
        let names: Vec<String> = others.iter().map(ToString::to_string).collect();
        let (s, kept) = (
            if names.len() > 1 { "s" } else { "" },
            if self.keep { ", only copied" } else { "" },
        );
        let names = names.join(" and ");
        (!names.is_empty())
            .then(|| format!("images of the split{s} {names} are not augmented{kept} (--split)"))
    }

    /// Whether a file is augmented.
    pub(super) fn augments(&self, file: &ImageFile) -> bool {
        file.split
            .is_none_or(|split| self.chosen.list().contains(&split))
    }

    /// What is written for a file, in this order.
    pub(super) fn versions(&self, file: &ImageFile) -> impl Iterator<Item = Version> {
        let copies = if self.augments(file) { self.copies } else { 0 };
        let original = self.keep.then_some(Version::Original);
        original.into_iter().chain((0..copies).map(Version::Copy))
    }

    /// The path of a file that is written, in the output folder.
    pub(super) fn path(&self, file: &ImageFile, version: Version) -> String {
        let name = match version {
            Version::Original => file.name.clone(),
            Version::Copy(copy) => format!("{}-{copy}.{}", stem(&file.name), self.extension),
        };
        in_folder(&file.folder(), &name)
    }

    /// The path of the file of annotations that is written with a file, in a data set in which images have some.
    pub(super) fn label_path(&self, file: &ImageFile, version: Version) -> Option<String> {
        let inner = file.label_inner_path()?;
        let Version::Copy(copy) = version else {
            return Some(inner.to_owned());
        };
        let (stem, extension) = inner.rsplit_once('.')?;
        Some(format!("{stem}-{copy}.{extension}"))
    }

    /// The folders of what is written for a file.
    pub(super) fn folders(file: &ImageFile) -> impl Iterator<Item = String> + use<> {
        let label = file
            .label_inner_path()
            .and_then(|path| path.rsplit_once('/'));
        [file.folder()]
            .into_iter()
            .chain(label.map(|(folder, _)| folder.to_owned()))
    }

    /// Whether a path is that of a file that is written.
    pub(super) fn contains(&self, path: &str) -> bool {
        let mut files = self.files.files().iter();
        shared(self.files).contains(&path)
            || files.any(|file| {
                let mut versions = self.versions(file);
                Self::folders(file).any(|folder| path.starts_with(&folder))
                    && versions.any(|it| {
                        self.path(file, it) == path
                            || self.label_path(file, it).as_deref() == Some(path)
                    })
            })
    }

    /// The positions of the files for which something is written.
    pub(super) fn wanted(&self) -> Vec<usize> {
        let files = self.files.files().iter().enumerate();
        let wanted = files.filter(|(_, file)| self.versions(file).next().is_some());
        wanted.map(|(position, _)| position).collect()
    }

    /// How many files are written in all.
    pub(super) fn count(&self) -> u64 {
        let files = self.files.files().iter();
        files.map(|file| self.versions(file).count() as u64).sum()
    }

    /// Checks that no two files that are written have the same name, also where a file system does not
    /// distinguish cases or the forms of Unicode.
    fn check_names(&self) -> Result<()> {
        let mut folders: HashMap<String, String> = HashMap::new();
        // By folder and stem, which differ in different files: a draw adds its number behind the stem.
        let mut stems: HashMap<String, &ImageFile> = HashMap::new();
        let top = |file: &ImageFile| file.inner_path().split('/').next().map(folded);
        for file in self.files.files() {
            for name in [Some(&file.name), file.class.as_ref()]
                .into_iter()
                .flatten()
            {
                check_component(file, name)?;
            }
            let folder = file.folder();
            let other = folders
                .entry(folded(&folder))
                .or_insert_with(|| folder.clone());
            if *other != folder {
                bail!(
                    "the folders {other} and {folder} would be one on some systems: rename one of them"
                );
            }
            if top(file).as_deref() == Some(MANIFEST) {
                bail!(
                    "{} would take the name of the manifest: rename it",
                    file.inner_path()
                );
            }
            // Those of files of annotations have no extension to tell them apart.
            let has_label = self.keep && file.label_inner_path().is_some();
            if (self.augments(file) || has_label)
                && let Some(other) =
                    stems.insert(folded(&in_folder(&folder, stem(&file.name))), file)
            {
                return Err(clash(other, file, &self.path(file, Version::Copy(0))));
            }
        }
        let mut originals: HashMap<String, &ImageFile> = HashMap::new();
        for file in self.files.files().iter().filter(|_| self.keep) {
            let path = file.inner_path();
            if let Some(other) = originals.insert(folded(&path), file) {
                return Err(clash(other, file, &path));
            }
            let label = file.label_inner_path().map(|_| {
                let stem = in_folder(&file.folder(), stem(&file.name));
                format!("{stem}.{}", self.extension)
            });
            let paths = [Some(path), label].into_iter().flatten();
            for path in paths {
                if let Some(stem) = self.stem_of_copy(&folded(&path))
                    && let Some(other) = stems.get(stem)
                    && self.augments(other)
                {
                    return Err(clash(other, file, &path));
                }
            }
        }
        Ok(())
    }

    /// The stem of which a path would be a copy.
    fn stem_of_copy<'p>(&self, path: &'p str) -> Option<&'p str> {
        let without = path.strip_suffix(self.extension)?.strip_suffix('.')?;
        let (stem, number) = without.rsplit_once('-')?;
        let copy: u32 = number.parse().ok()?;
        (copy < self.copies && copy.to_string() == number).then_some(stem)
    }
}

/// The names of the files that belong to the data set as a whole.
fn shared(files: &ImageFiles) -> Vec<&str> {
    let beside = files.beside().iter().map(|(name, _)| name.as_str());
    let is_coco = matches!(files.labelling(), Some(Labelling::Coco(_)));
    beside.chain(is_coco.then_some(ANNOTATIONS)).collect()
}

fn clash(first: &ImageFile, second: &ImageFile, output: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "{} and {} would both be written to {output}: rename one of them",
        first.inner_path(),
        second.inner_path()
    )
}

/// Checks that a name from the data set, which may be an archive, is that of one file or folder.
fn check_component(file: &ImageFile, name: &str) -> Result<()> {
    match is_component(name) {
        true => Ok(()),
        false => bail!(
            "{}: `{name}` cannot be the name of an output, as it is not UTF-8 or has a backslash: rename it",
            file.path().display()
        ),
    }
}

fn is_component(name: &str) -> bool {
    let is_one = Path::new(name).file_name().is_some_and(|file| file == name);
    is_one && !name.contains(['\\', '\0'])
}

fn in_folder(folder: &str, name: &str) -> String {
    match folder {
        "" => name.to_owned(),
        folder => format!("{folder}/{name}"),
    }
}

/// The name without its extension.
fn stem(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => name,
    }
}

/// The error that a file cannot be written, with what to do.
pub(super) fn cannot_write(path: &Path, error: io::Error) -> anyhow::Error {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            " (make room, and the same command continues)"
        }
        io::ErrorKind::InvalidFilename => {
            " (its name is too long: rename the image, or choose a shorter --out)"
        }
        _ => "",
    };
    anyhow::Error::new(error).context(format!("cannot write {}{advice}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_are_names_without_their_extension() {
        for (name, expected) in [
            ("cat.png", "cat"),
            ("cat.1.png", "cat.1"),
            ("cat", "cat"),
            (".png", ".png"),
        ] {
            assert_eq!(stem(name), expected);
        }
    }

    #[test]
    fn a_name_is_that_of_one_file() {
        for name in ["cat.png", "a b", "caf\u{e9}", "..."] {
            assert!(is_component(name), "{name}");
        }
        for name in ["", "..", ".", "a/b", "/a", "a/", "a\\b", "a\0"] {
            assert!(!is_component(name), "{name:?}");
        }
    }
}
