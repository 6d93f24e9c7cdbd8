//! What is done with one image.

use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result, anyhow, bail};
use faa_data::{DataError, EncodedImage, ImageFile, ImageSplit, Labelling};
use faa_op::{DrawKey, ImageMut, ImageRef};
use faa_policy::{Executor, Partners, Plan, Workspace};
use faa_system::{create_new, write_whole};

use super::labelling::{ImageLabels, Written as WrittenLabels};
use super::lines::{LabelFile, Line, Partner};
use super::manifest::{Done, has_changed};
use super::outputs::{Outputs, Version, cannot_write};
use super::stopping::check_stop;
use crate::labels::LabelOptions;
use crate::output_files::{has_content, is_begun};
use crate::pictures::{Encoding, Picture};

/// Reads, augments and writes images.
pub(super) struct Images<'a> {
    pub(super) outputs: &'a Outputs<'a>,
    /// The output folder, as an absolute path; `None` if files go into an archive.
    pub(super) out: Option<PathBuf>,
    pub(super) executor: &'a Executor,
    pub(super) seed: u64,
    pub(super) encoding: Encoding,
    pub(super) skip_unreadable: bool,
    pub(super) labels: &'a LabelOptions,
    /// How many images have lost their alpha.
    pub(super) without_alpha: AtomicU64,
    /// By split, the positions of its images by their indices; empty if the policy mixes no images.
    splits: BTreeMap<Option<ImageSplit>, Vec<usize>>,
    /// Then, by position, the length and CRC-32 of the image files that were read.
    read: Vec<OnceLock<(u64, u32)>>,
}

/// An image of the data set, which is read and decoded once, by the first thread that needs it.
pub(super) struct Source<'a> {
    pub(super) position: usize,
    encoded: Mutex<Option<EncodedImage<'a>>>,
    /// Also what is known of an image that cannot be read.
    read: OnceLock<(Line, Result<Content<'a>, DataError>)>,
}

struct Content<'a> {
    bytes: Vec<u8>,
    /// `None` if it is only copied.
    picture: Option<Picture>,
    labels: Option<ImageLabels<'a>>,
}

/// What a thread keeps from file to file, so that it need not be allocated again.
#[derive(Default)]
pub(super) struct Memory {
    workspace: Workspace<'static>,
    result: Option<Picture>,
    encoded: Vec<u8>,
}

/// A file of an image at this position that was written or is to go into an archive, or why there is none.
pub(super) struct Written {
    pub(super) position: usize,
    pub(super) line: Line,
    /// Empty if it was written.
    pub(super) content: Vec<u8>,
    /// The same of its file of annotations.
    pub(super) label: Vec<u8>,
}

impl Written {
    /// How many bytes of it are in memory.
    pub(super) fn held(&self) -> usize {
        self.content.len() + self.label.len()
    }
}

/// What was drawn for a copy, and what is written of the annotations.
struct Drawn {
    plan: Plan,
    partners: Vec<Partner>,
    labels: WrittenLabels,
}

/// The images of a split, of which those that a plan mixes in are in memory.
struct Loaded {
    count: u64,
    images: BTreeMap<u64, Picture>,
}

impl<'a> Source<'a> {
    pub(super) fn new(position: usize, encoded: EncodedImage<'a>) -> Self {
        Self {
            position,
            encoded: Mutex::new(Some(encoded)),
            read: OnceLock::new(),
        }
    }
}

impl<'a> Images<'a> {
    pub(super) fn new(
        outputs: &'a Outputs<'a>,
        out: Option<&Path>,
        executor: &'a Executor,
        seed: u64,
        encoding: Encoding,
        labels: &'a LabelOptions,
        done: &Done,
    ) -> io::Result<Self> {
        let mut splits: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        let mut read = Vec::new();
        if executor.partner_op().is_some() {
            let files = outputs.files.files();
            let known = |position| done.read.get(&position).copied();
            read.extend(
                (0..files.len()).map(|at| known(at).map_or_else(OnceLock::new, OnceLock::from)),
            );
            let mut positions: Vec<usize> = (0..files.len()).collect();
            positions.sort_by_key(|&position| files[position].index);
            for position in positions {
                splits
                    .entry(files[position].split)
                    .or_default()
                    .push(position);
            }
        }
        Ok(Self {
            outputs,
            // With a relative path, the system would be asked for the working folder before every file.
            out: out.map(std::path::absolute).transpose()?,
            executor,
            seed,
            encoding,
            skip_unreadable: false,
            labels,
            without_alpha: AtomicU64::new(0),
            splits,
            read,
        })
    }

    /// Writes these versions of an image, or makes what is to go into an archive, and passes them to `take`. Ends
    /// with [`Stopped`](crate::commands::Stopped) before the next file if `stop` is set, and with the errors of
    /// `take`.
    pub(super) fn write(
        &self,
        source: &Source<'a>,
        versions: Range<usize>,
        memory: &mut Memory,
        stop: &AtomicBool,
        take: &mut dyn FnMut(Written) -> Result<()>,
    ) -> Result<()> {
        let position = source.position;
        let file = &self.outputs.files.files()[position];
        let mut take = |line, content, label| {
            take(Written {
                position,
                line,
                content,
                label,
            })
        };
        check_stop(stop)?;
        let (read, content) = source.read.get_or_init(|| self.read(file, source));
        if let Some(content) = read.input_bytes.zip(read.input_crc32) {
            self.check_unchanged(position, content)?;
        }
        let content = match content {
            Ok(content) => content,
            Err(error) => {
                let line = Line {
                    error: Some(self.skipped(error)?),
                    ..read.clone()
                };
                // An image has one such line.
                return match versions.start {
                    0 => take(line, Vec::new(), Vec::new()),
                    _ => Ok(()),
                };
            }
        };
        let versions = self
            .outputs
            .versions(file)
            .skip(versions.start)
            .take(versions.len());
        for version in versions {
            check_stop(stop)?;
            let mut line = read.clone();
            let labels;
            let encoded = match (version, &content.picture) {
                (Version::Copy(copy), Some(picture)) => {
                    (line.seed, line.copy) = (Some(self.seed), Some(copy));
                    let result = memory.result.take();
                    let mut result = result.map_or_else(|| picture.clone(), |it| it.reuse(picture));
                    let own = content.labels.as_ref();
                    let drawn = self.draw(file, copy, (picture, &mut result), own, memory)?;
                    match drawn {
                        Ok(drawn) => {
                            (line.draw, line.partners) = (Some(drawn.plan), drawn.partners);
                            labels = drawn.labels;
                        }
                        Err(error) => {
                            line.error = Some(self.skipped(&error)?);
                            take(line, Vec::new(), Vec::new())?;
                            continue;
                        }
                    }
                    let encoded = mem::take(&mut memory.encoded);
                    let encoded =
                        result
                            .encoded_into(self.encoding, encoded)
                            .with_context(|| {
                                format!("cannot encode an augmented {}", file.inner_path())
                            })?;
                    memory.result = Some(result);
                    encoded
                }
                _ => {
                    labels = content
                        .labels
                        .as_ref()
                        .map(ImageLabels::original)
                        .unwrap_or_default();
                    content.bytes.clone()
                }
            };
            let name = self.outputs.path(file, version);
            line.output_bytes = Some(encoded.len() as u64);
            line.crc32 = Some(crc32fast::hash(&encoded));
            let mut content = encoded;
            if let Some(out) = &self.out {
                write_file(&out.join(&name), &content)?;
                memory.encoded = mem::take(&mut content);
            }
            line.output = Some(name);
            (line.boxes, line.annotations) = (labels.boxes, labels.annotations);
            let label = labels.file.zip(self.outputs.label_path(file, version));
            let label = label.map(|(label, output)| self.write_label(label, output, &mut line));
            take(line, content, label.transpose()?.unwrap_or_default())?;
        }
        Ok(())
    }

    /// Writes a file of annotations, or returns what is to go into an archive.
    fn write_label(
        &self,
        mut content: Vec<u8>,
        output: String,
        line: &mut Line,
    ) -> Result<Vec<u8>> {
        let (bytes, crc32) = (content.len() as u64, crc32fast::hash(&content));
        if let Some(out) = &self.out {
            write_file(&out.join(&output), &content)?;
            content.clear();
        }
        line.label = Some(LabelFile {
            output,
            bytes,
            crc32,
        });
        Ok(content)
    }

    /// Reads and decodes an image, and reads its annotations.
    fn read(
        &self,
        file: &ImageFile,
        source: &Source<'a>,
    ) -> (Line, Result<Content<'a>, DataError>) {
        let mut line = Line {
            input: file.inner_path(),
            class: file.class.clone(),
            index: file.index,
            ..Line::default()
        };
        let encoded = source
            .encoded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let read = || {
            // Only a panic while it was read has taken it before.
            let bytes = encoded.expect("it is read once").into_bytes()?;
            line.input_bytes = Some(bytes.len() as u64);
            line.input_crc32 = Some(crc32fast::hash(&bytes));
            let files = self.outputs.files;
            let label = files.read_label(source.position)?;
            line.input_label = ImageLabels::content(label.as_ref());
            let has_shared = matches!(files.labelling(), Some(Labelling::Coco(_)));
            // The size of an image that is only copied is in COCO's file, too.
            let decodes = self.outputs.augments(file) || has_shared;
            let picture = decodes.then(|| file.decode(&bytes)).transpose()?;
            let picture = picture.map(Picture::new);
            let size = picture.as_ref().map(|it| it.as_ref().size());
            let labels = ImageLabels::read(files, source.position, label, size)?;
            line.size = size
                .filter(|_| labels.is_some())
                .map(|it| (it.width as u32, it.height as u32));
            Ok(Content {
                bytes,
                picture,
                labels,
            })
        };
        let read = read();
        if let Ok(Content {
            picture: Some(picture),
            ..
        }) = &read
            && self.encoding.drops_alpha(picture)
        {
            self.without_alpha.fetch_add(1, Ordering::Relaxed);
        }
        (line, read)
    }

    /// Overwrites `result` with the draw of a copy, and moves the annotations with it. The inner error is that of a
    /// partner that cannot be read.
    fn draw(
        &self,
        file: &ImageFile,
        copy: u32,
        (picture, result): (&Picture, &mut Picture),
        labels: Option<&ImageLabels<'_>>,
        memory: &mut Memory,
    ) -> Result<Result<Drawn, DataError>> {
        let key = DrawKey {
            seed: self.seed,
            epoch: copy,
            index: file.index,
        };
        let apply = |image: &mut ImageMut<'_>, workspace: &mut Workspace<'_>| {
            let written = self.apply(picture.as_ref(), image, labels, key, workspace);
            written.map_err(|error| anyhow!("cannot augment {}: {error:#}", file.inner_path()))
        };
        let image = &mut result.as_mut();
        let Some(positions) = self.splits.get(&file.split) else {
            let workspace = &mut memory.workspace;
            let plan = self.executor.plan(key, workspace);
            let labels = apply(image, workspace)?;
            return Ok(Ok(Drawn {
                plan,
                partners: Vec::new(),
                labels,
            }));
        };
        let mut partners = Loaded {
            count: positions.len() as u64,
            images: BTreeMap::new(),
        };
        let plan = self
            .executor
            .plan(key, &Workspace::with_partners(&partners));
        let mut mixed = Vec::new();
        for index in plan.steps.iter().filter_map(|step| step.partner) {
            let position = positions[index as usize];
            match self.partner(file, picture, position)? {
                Ok((partner, image)) => {
                    mixed.push(partner);
                    partners.images.insert(index, image);
                }
                Err(error) => return Ok(Err(error)),
            };
        }
        let labels = apply(image, &mut Workspace::with_partners(&partners))?;
        Ok(Ok(Drawn {
            plan,
            partners: mixed,
            labels,
        }))
    }

    fn apply(
        &self,
        source: ImageRef<'_>,
        image: &mut ImageMut<'_>,
        labels: Option<&ImageLabels<'_>>,
        key: DrawKey,
        workspace: &mut Workspace<'_>,
    ) -> Result<WrittenLabels> {
        let Some(labels) = labels else {
            self.executor.apply_to(source, image, key, workspace)?;
            return Ok(WrittenLabels::default());
        };
        let moved = labels.moved(self.labels, source.size(), |targets| {
            Ok(self
                .executor
                .apply_to_with_targets(source, image, targets, key, workspace)?)
        })?;
        labels.written(&moved)
    }

    fn partner(
        &self,
        file: &ImageFile,
        picture: &Picture,
        position: usize,
    ) -> Result<Result<(Partner, Picture), DataError>> {
        let files = self.outputs.files;
        let partner = &files.files()[position];
        let bytes = match files.fetch(position) {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(error)),
        };
        let content = (bytes.len() as u64, crc32fast::hash(&bytes));
        self.check_unchanged(position, content)?;
        let decoded = match partner.decode(&bytes) {
            Ok(decoded) => Picture::new(decoded),
            Err(error) => return Ok(Err(error)),
        };
        let (found, expected) = (decoded.to_string(), picture.to_string());
        if found != expected {
            bail!(
                "the policy mixes images, and {} is {found}, but {} is {expected}: size and channels must match",
                partner.inner_path(),
                file.inner_path()
            );
        }
        let partner = Partner {
            input: partner.inner_path(),
            bytes: content.0,
            crc32: content.1,
        };
        Ok(Ok((partner, decoded)))
    }

    /// Checks that a file that other images may have mixed in has the same content whenever it is read.
    fn check_unchanged(&self, position: usize, content: (u64, u32)) -> Result<()> {
        let first = self.read.get(position);
        match first.is_none_or(|first| *first.get_or_init(|| content) == content) {
            true => Ok(()),
            false => bail!(has_changed(&self.outputs.files.files()[position])),
        }
    }

    /// Why an image cannot be read, if it may be skipped.
    fn skipped(&self, error: &DataError) -> Result<String> {
        if !self.skip_unreadable {
            bail!("{error}: repair it and repeat the command, or add --skip-unreadable");
        }
        Ok(error.to_string())
    }
}

impl Partners for Loaded {
    fn count(&self) -> u64 {
        self.count
    }

    fn image(&self, index: u64) -> ImageRef<'_> {
        self.images[&index].as_ref()
    }
}

/// Writes a file, unless it is there.
fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    match create_new(path, content) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        written => return written.map_err(|error| cannot_write(path, error)),
    }
    // A kill or a power cut came before its line was written, and maybe before all of its content was.
    if has_content(path, content) {
        return Ok(());
    }
    if !is_begun(path, content) {
        bail!(
            "{} exists and is different: remove it, or choose a different --out",
            path.display()
        );
    }
    write_whole(path, content).map_err(|error| cannot_write(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_has_advice() {
        for (kind, advice) in [
            (
                io::ErrorKind::StorageFull,
                "make room, and the same command continues",
            ),
            (io::ErrorKind::InvalidFilename, "rename the image"),
        ] {
            let message = cannot_write(Path::new("x"), kind.into()).to_string();
            assert!(message.starts_with("cannot write x (") && message.contains(advice));
        }
    }
}
