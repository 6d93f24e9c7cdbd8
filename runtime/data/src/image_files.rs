//! The image files of a data set, before they are decoded.
//!
//! For programs that go through a data set file by file, whatever the sizes of its images. The splits are
//! `train` and `test` where these have folders in them, and then either may be missing. Otherwise the folder, or the
//! folder in the archive that all files are in, has the class folders itself; or images, which then have no
//! class. Within a split, the rules are those of [`Dataset::load`](crate::Dataset::load).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use image::DynamicImage;

use crate::annotations::{AnnotationError, CocoImage};
use crate::archive;
use crate::assembly::Content;
use crate::decode::{self, Refusal};
use crate::error::{DataError, DataErrorKind, Unreadable, name, shown, text_of};
use crate::folder;
use crate::labelled::{self, Label, Labelled, Labelling};
use crate::listing::{ImageFolders, ImageSplit, SplitFolder, unused};
use crate::spec::DataSpec;

#[cfg(test)]
mod tests;

/// The image files of a folder or a tar file, each with its class and its index.
#[derive(Debug)]
pub struct ImageFiles {
    files: Vec<ImageFile>,
    warnings: Vec<String>,
    /// The tar file that they are in.
    archive: Option<PathBuf>,
    spool: OnceLock<Spool>,
    labelling: Option<Labelling>,
    /// Files beside the images, such as the names of classes, by their names.
    beside: Vec<(String, Vec<u8>)>,
    /// The digest of what all images share.
    digest: u64,
}

/// An image file of a data set.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ImageFile {
    /// The split; `None` where the data set has none.
    pub split: Option<ImageSplit>,
    /// The class; `None` where the data set has no class folders.
    pub class: Option<String>,
    /// The file's name, with `\xFF` for every byte that is not Unicode.
    pub name: String,
    /// The position in its split, as in [`Dataset::load`](crate::Dataset::load): by class and then by file
    /// name, byte by byte.
    pub index: u64,
    /// Where it is; of an archive's file, its name in messages.
    path: PathBuf,
    source: Source,
    /// Of data sets with annotations.
    labelled: Option<Labelled>,
}

#[derive(Clone, Debug)]
enum Source {
    OnDisk,
    /// The number of its entry in the archive.
    Entry(u64),
    /// What is in place of a file, and why it is not used.
    Refused(Cow<'static, str>),
}

/// The content of an image file, or where to read it.
#[derive(Debug)]
pub struct EncodedImage<'a> {
    file: &'a ImageFile,
    content: Content,
}

/// The files of an archive one after the other, in a temporary file without a name.
#[derive(Debug)]
struct Spool {
    file: Mutex<File>,
    /// The offset and the length of each image, in bytes.
    spans: Vec<(u64, u64)>,
}

impl ImageFiles {
    /// Lists the images of `folder:DIR`, `tar:FILE`, or a data set with annotations. No image is read; an archive is
    /// read to its end, and so is a file of annotations.
    ///
    /// # Errors
    ///
    /// [`DataError`]: of [`DataErrorKind::Usage`] if the data set does not consist of image files; otherwise
    /// what is wrong with its folders.
    pub fn list(spec: &DataSpec) -> Result<Self, DataError> {
        let mut listed = Self {
            files: Vec::new(),
            warnings: Vec::new(),
            archive: None,
            spool: OnceLock::new(),
            labelling: None,
            beside: Vec::new(),
            digest: 0,
        };
        let path = match spec {
            DataSpec::Coco {
                images,
                annotations,
            } => {
                listed.add_labelled(labelled::coco(images, annotations)?);
                images
            }
            DataSpec::Yolo(folder) => {
                listed.add_labelled(labelled::yolo(folder)?);
                folder
            }
            DataSpec::Masks(folder) => {
                listed.add_labelled(labelled::masks(folder)?);
                folder
            }
            DataSpec::Folder(folder) => {
                let found = folder::image_folders(folder)?;
                let of_path = |path: PathBuf| {
                    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
                    (text_of(name), path, Source::OnDisk)
                };
                listed.add(folder, found, of_path);
                folder
            }
            DataSpec::Tar(file) => {
                listed.archive = Some(file.clone());
                let (found, unused) = archive::image_folders(file)?;
                listed.warnings.extend(unused);
                let of_image = |image: archive::Image| {
                    let name = image.path.rsplit(|byte| *byte == b'/').next();
                    let source = image.entry.map_or_else(Source::Refused, Source::Entry);
                    let path = archive::inside(file, &image.path);
                    (text_of(name.unwrap_or_default()), path, source)
                };
                listed.add(file, found, of_image);
                // As they are read.
                listed.files.sort_by_key(|file| match file.source {
                    Source::Entry(number) => number,
                    _ => 0,
                });
                file
            }
            other => {
                let message = format!(
                    "`{}` has no image files; give `folder:DIR`, `tar:FILE`, `coco:IMAGES,FILE.json`, `yolo:DIR` \
                     or `masks:DIR`",
                    name(&other.to_string())
                );
                return Err(DataError::new(DataErrorKind::Usage, message));
            }
        };
        if !listed.files.is_empty() {
            return Ok(listed);
        }
        let mut words = "has no images".to_owned();
        if listed.labelling.is_none() {
            words += "; a data set is DIR/<class>/*, or DIR/train/<class>/* and DIR/test/<class>/*";
        }
        for warning in &listed.warnings {
            words += &format!("; {warning}");
        }
        Err(DataError::of(DataErrorKind::Layout, path, words))
    }

    fn add<T>(
        &mut self,
        path: &Path,
        found: ImageFolders<T>,
        file: impl Fn(T) -> (String, PathBuf, Source),
    ) {
        self.warnings.extend(beside_splits(path, &found.beside));
        for (split, SplitFolder { classes, beside }) in found.splits {
            let folder = split.map_or_else(String::new, |split| split.to_string());
            self.warnings.extend(unused(&path.join(folder), &beside));
            let of_class = |(class, images): (String, Vec<T>)| {
                let class = (!class.is_empty()).then_some(class);
                images.into_iter().map(move |image| (class.clone(), image))
            };
            let images = classes.into_iter().flat_map(of_class);
            self.files
                .extend((0..).zip(images).map(|(index, (class, image))| {
                    let (name, path, source) = file(image);
                    ImageFile {
                        split,
                        class,
                        name,
                        index,
                        path,
                        source,
                        labelled: None,
                    }
                }));
        }
    }

    fn add_labelled(&mut self, found: labelled::Found) {
        self.labelling = Some(found.labelling);
        self.beside = found.beside;
        self.digest = found.digest;
        self.warnings.extend(found.warnings);
        let mut next = BTreeMap::new();
        for (split, name, path, labelled) in found.images {
            let next: &mut u64 = next.entry(split).or_default();
            self.files.push(ImageFile {
                split,
                class: None,
                name,
                index: *next,
                path,
                source: Source::OnDisk,
                labelled: Some(labelled),
            });
            *next += 1;
        }
    }

    /// The files, in the order in which they are best read: that of the archive, or that of their splits,
    /// classes and names.
    #[must_use]
    pub fn files(&self) -> &[ImageFile] {
        &self.files
    }

    /// What the user may not have meant, in words: such as files that are not used.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The form of the annotations; `None` if there are none.
    #[must_use]
    pub fn labelling(&self) -> Option<&Labelling> {
        self.labelling.as_ref()
    }

    /// The files that belong to the data set as a whole, such as YOLO's `data.yaml`: their names and contents.
    #[must_use]
    pub fn beside(&self) -> &[(String, Vec<u8>)] {
        &self.beside
    }

    /// A digest of what all images share: a file of annotations, and the files beside the images.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The annotations of an image in a file that has those of all.
    ///
    /// # Panics
    ///
    /// If `position` is not below the number of files.
    #[must_use]
    pub fn coco_image(&self, position: usize) -> Option<&CocoImage> {
        match (&self.labelling, &self.files[position].labelled) {
            (
                Some(Labelling::Coco(coco)),
                Some(Labelled {
                    label: Label::Entry(entry),
                    ..
                }),
            ) => Some(&coco.images()[*entry]),
            _ => None,
        }
    }

    /// The content of an image's file of annotations; `None` if it has none, which only YOLO allows.
    ///
    /// # Errors
    ///
    /// [`DataErrorKind::Unreadable`] if it cannot be read, or is missing, or is too large.
    ///
    /// # Panics
    ///
    /// If `position` is not below the number of files.
    pub fn read_label(&self, position: usize) -> Result<Option<Vec<u8>>, DataError> {
        let Some(path) = self.files[position].label_path() else {
            return Ok(None);
        };
        let is_missing = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
        let may_be_missing = matches!(self.labelling, Some(Labelling::Yolo));
        if may_be_missing && path.symlink_metadata().is_err_and(is_missing) {
            return Ok(None);
        }
        decode::content(path)
            .map(Some)
            .map_err(|refusal| unreadable(path, refusal))
    }

    /// The error that the annotations of an image cannot be used.
    ///
    /// # Panics
    ///
    /// If `position` is not below the number of files.
    #[must_use]
    pub fn unusable_label(&self, position: usize, error: &AnnotationError) -> DataError {
        let file = &self.files[position];
        let path = file.label_path().unwrap_or(&file.path);
        unreadable(path, Refusal(error.to_string()))
    }

    /// Passes files to `take`, given by their ascending positions in [`files`](Self::files), until it breaks.
    /// Those of an archive are read ahead, few at a time; other files are opened by
    /// [`EncodedImage::into_bytes`].
    ///
    /// # Errors
    ///
    /// [`DataError`] if the archive cannot be read.
    pub fn read<'a>(
        &'a self,
        wanted: &[usize],
        mut take: impl FnMut(usize, EncodedImage<'a>) -> ControlFlow<()>,
    ) -> Result<(), DataError> {
        let file = |position: usize, content| EncodedImage {
            file: &self.files[position],
            content,
        };
        let mut numbers = Vec::new();
        for &position in wanted {
            match self.content(position)? {
                Ok(content) => {
                    if take(position, file(position, content)).is_break() {
                        return Ok(());
                    }
                }
                Err(number) => numbers.push((number, position)),
            }
        }
        match &self.archive {
            Some(archive) if !numbers.is_empty() => {
                archive::read(archive, numbers, |position, content| {
                    take(position, file(position, content))
                })
            }
            _ => Ok(()),
        }
    }

    /// Makes single files of an archive available to [`fetch`](Self::fetch): copies all of them to a temporary
    /// file in `folder`. Without an archive, this does nothing.
    ///
    /// # Errors
    ///
    /// [`DataError`] if the archive cannot be read or the file cannot be written.
    pub fn spool(&self, folder: &Path) -> Result<(), DataError> {
        if self.archive.is_none() || self.spool.get().is_some() {
            return Ok(());
        }
        let at_folder = |error: io::Error| {
            let words = format!("cannot hold a copy of the archive: {error}");
            DataError::of(DataErrorKind::Io, folder, words)
        };
        let mut file = tempfile::tempfile_in(folder).map_err(at_folder)?;
        let (mut spans, mut end, mut written) = (vec![(0, 0); self.files.len()], 0, Ok(()));
        let all: Vec<usize> = (0..self.files.len()).collect();
        self.read(&all, |position, image| {
            if let Content::Held(bytes) = image.content {
                spans[position] = (end, bytes.len() as u64);
                end += bytes.len() as u64;
                written = file.write_all(&bytes);
            }
            match written {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        })?;
        written.map_err(at_folder)?;
        let file = Mutex::new(file);
        // If it was spooled meanwhile, that is as good.
        let _ = self.spool.set(Spool { file, spans });
        Ok(())
    }

    /// The content of one file. Those of an archive must be [`spool`](Self::spool)ed.
    ///
    /// # Errors
    ///
    /// [`DataError`] if it cannot be read.
    ///
    /// # Panics
    ///
    /// If `position` is not below the number of files.
    pub fn fetch(&self, position: usize) -> Result<Vec<u8>, DataError> {
        let file = &self.files[position];
        let content = self.content(position)?.unwrap_or_else(|_| {
            let reason = "it is in an archive that was not spooled";
            Content::Refused(reason.to_owned())
        });
        EncodedImage { file, content }.into_bytes()
    }

    /// The content of a file, or the number of its entry, in an archive that is not spooled.
    fn content(&self, position: usize) -> Result<Result<Content, u64>, DataError> {
        Ok(match (&self.files[position].source, self.spool.get()) {
            (Source::Refused(reason), _) => Ok(Content::Refused(reason.to_string())),
            (Source::OnDisk, _) => Ok(Content::OnDisk),
            (Source::Entry(_), Some(spool)) => Ok(spool.read(position)?),
            (Source::Entry(number), None) => Err(*number),
        })
    }
}

impl ImageFile {
    /// The file's path in messages, and on disk if it is not in an archive.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path within the data set: split, class and name, as far as there are any, joined by `/`.
    #[must_use]
    pub fn inner_path(&self) -> String {
        let folder = self.folder();
        match folder.is_empty() {
            true => self.name.clone(),
            false => format!("{folder}/{}", self.name),
        }
    }

    /// The path of its file of annotations on disk, whether or not it exists.
    #[must_use]
    pub fn label_path(&self) -> Option<&Path> {
        match &self.labelled.as_ref()?.label {
            Label::File { path, .. } => Some(path),
            Label::Entry(_) => None,
        }
    }

    /// The path of its file of annotations within the data set.
    #[must_use]
    pub fn label_inner_path(&self) -> Option<&str> {
        match &self.labelled.as_ref()?.label {
            Label::File { inner, .. } => Some(inner),
            Label::Entry(_) => None,
        }
    }

    /// The folder of [`inner_path`](Self::inner_path); empty if there is none.
    #[must_use]
    pub fn folder(&self) -> String {
        if let Some(labelled) = &self.labelled {
            return labelled.folder.clone();
        }
        let parts = [
            self.split.map(|split| split.to_string()),
            self.class.clone(),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join("/")
    }

    /// Decodes the file, by the rules of data sets in folders, but keeps its channels.
    ///
    /// # Errors
    ///
    /// [`DataErrorKind::Unreadable`] if this is not an image, or is too large.
    pub fn decode(&self, content: &[u8]) -> Result<DynamicImage, DataError> {
        decode::decode_or_refuse(content).map_err(|refusal| self.unreadable(refusal))
    }

    fn unreadable(&self, refusal: Refusal) -> DataError {
        unreadable(&self.path, refusal)
    }
}

fn unreadable(path: &Path, Refusal(reason): Refusal) -> DataError {
    let path = path.to_owned();
    DataError::unreadable_image(Unreadable { path, reason })
}

impl EncodedImage<'_> {
    /// How many bytes of it are in memory: all of a file in an archive, none of others.
    #[must_use]
    pub fn held(&self) -> usize {
        match &self.content {
            Content::Held(bytes) => bytes.len(),
            Content::OnDisk | Content::Refused(_) => 0,
        }
    }

    /// The content of the file.
    ///
    /// # Errors
    ///
    /// [`DataErrorKind::Unreadable`] if it cannot be read or is too large.
    pub fn into_bytes(self) -> Result<Vec<u8>, DataError> {
        let bytes = match self.content {
            Content::Held(bytes) => Ok(bytes),
            Content::OnDisk => decode::content(&self.file.path),
            Content::Refused(reason) => Err(Refusal(reason)),
        };
        bytes.map_err(|refusal| self.file.unreadable(refusal))
    }
}

impl Spool {
    fn read(&self, position: usize) -> Result<Content, DataError> {
        let (offset, length) = self.spans[position];
        let mut bytes = Vec::new();
        let mut read = || {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(offset))?;
            (&*file).take(length).read_to_end(&mut bytes)
        };
        let at_spool = |error| DataError::io(Path::new("the copy of the archive"))(error);
        read().map_err(at_spool)?;
        Ok(Content::Held(bytes))
    }
}

/// That folders beside the splits are not used.
fn beside_splits(path: &Path, others: &[String]) -> Option<String> {
    (!others.is_empty()).then(|| {
        let others: Vec<String> = others.iter().take(3).map(|other| name(other)).collect();
        format!(
            "{} has the splits train or test, so other folders in it are not used: {}",
            shown(path),
            others.join(", ")
        )
    })
}
