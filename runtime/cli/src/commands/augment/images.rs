//! What is done with one image.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{self, Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result, anyhow, bail};
use faa_data::{DataError, EncodedImage, ImageFile, ImageSplit};
use faa_op::{DrawKey, ImageRef};
use faa_policy::{Executor, Partners, Plan, Workspace};
use faa_system::{write_new, write_whole};

use super::manifest::Line;
use super::outputs::{Outputs, Version, cannot_write};
use super::stopping::check_stop;
use crate::output_files::has_content;
use crate::pictures::{Encoding, Picture};

/// Reads, augments and writes images.
pub(super) struct Images<'a> {
    pub(super) outputs: &'a Outputs<'a>,
    /// The output folder, as an absolute path.
    pub(super) out: PathBuf,
    pub(super) executor: &'a Executor,
    pub(super) seed: u64,
    pub(super) encoding: Encoding,
    pub(super) skip_unreadable: bool,
    /// How many images have lost their alpha.
    pub(super) without_alpha: AtomicU64,
    /// By split, the positions of its images by their indices; empty if the policy mixes no images.
    splits: BTreeMap<Option<ImageSplit>, Vec<usize>>,
}

/// The images of a split, of which those that a plan mixes in are in memory.
struct Loaded {
    count: u64,
    images: BTreeMap<u64, Picture>,
}

impl<'a> Images<'a> {
    pub(super) fn new(
        outputs: &'a Outputs<'a>,
        out: &Path,
        executor: &'a Executor,
        seed: u64,
        encoding: Encoding,
    ) -> io::Result<Self> {
        let mut splits: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        if executor.partner_op().is_some() {
            let files = outputs.files.files();
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
            // With a relative path, the system would be asked for the working folder before every file, which
            // waits for all renames.
            out: path::absolute(out)?,
            executor,
            seed,
            encoding,
            skip_unreadable: false,
            without_alpha: AtomicU64::new(0),
            splits,
        })
    }

    /// Writes all that is to be written for an image, and passes the lines of the manifest to `take`. Ends with
    /// [`Stopped`](crate::commands::Stopped) before the next file if `stop` is set, and with the errors of `take`.
    pub(super) fn write(
        &self,
        file: &ImageFile,
        content: EncodedImage<'_>,
        workspace: &mut Workspace<'_>,
        stop: &AtomicBool,
        take: &mut dyn FnMut(Line) -> Result<()>,
    ) -> Result<()> {
        let mut unread = self.line(file);
        let read = || -> Result<_, DataError> {
            let bytes = content.into_bytes()?;
            unread.input_bytes = Some(bytes.len() as u64);
            unread.input_crc32 = Some(crc32fast::hash(&bytes));
            let augments = self.outputs.augments(file);
            let picture = augments.then(|| file.decode(&bytes)).transpose()?;
            Ok((bytes, picture.map(Picture::new)))
        };
        let (bytes, picture) = match read() {
            Ok(read) => read,
            Err(error) => {
                unread.error = Some(self.skipped(&error)?);
                return take(unread);
            }
        };
        if picture
            .as_ref()
            .is_some_and(|it| self.encoding.drops_alpha(it))
        {
            self.without_alpha.fetch_add(1, Ordering::Relaxed);
        }
        let mut result = picture.clone();
        for version in self.outputs.versions(file) {
            check_stop(stop)?;
            let mut line = Line {
                input_bytes: unread.input_bytes,
                input_crc32: unread.input_crc32,
                ..self.line(file)
            };
            match (version, &picture, &mut result) {
                (Version::Copy(copy), Some(picture), Some(result)) => {
                    (line.seed, line.copy) = (Some(self.seed), Some(copy));
                    match self.draw(file, copy, (picture, result), workspace)? {
                        Ok(plan) => line.draw = Some(plan),
                        Err(error) => {
                            line.error = Some(self.skipped(&error)?);
                            take(line)?;
                            continue;
                        }
                    }
                    let encoded = result.encoded(self.encoding).with_context(|| {
                        format!("cannot encode an augmented {}", file.inner_path())
                    })?;
                    self.write_file(file, version, &encoded, &mut line)?;
                }
                _ => self.write_file(file, version, &bytes, &mut line)?,
            }
            take(line)?;
        }
        Ok(())
    }

    /// Overwrites `result` with the draw of a copy. The inner error is that of a partner that cannot be read.
    fn draw(
        &self,
        file: &ImageFile,
        copy: u32,
        (picture, result): (&Picture, &mut Picture),
        workspace: &mut Workspace<'_>,
    ) -> Result<Result<Plan, DataError>> {
        let key = DrawKey {
            seed: self.seed,
            epoch: copy,
            index: file.index,
        };
        let applied = |error| anyhow!("cannot augment {}: {error}", file.inner_path());
        let (source, image) = (picture.as_ref(), &mut result.as_mut());
        let Some(positions) = self.splits.get(&file.split) else {
            let plan = self.executor.plan(key, workspace);
            let done = self.executor.apply_to(source, image, key, workspace);
            return done.map(|()| Ok(plan)).map_err(applied);
        };
        let mut partners = Loaded {
            count: positions.len() as u64,
            images: BTreeMap::new(),
        };
        let plan = self
            .executor
            .plan(key, &Workspace::with_partners(&partners));
        for index in plan.steps.iter().filter_map(|step| step.partner) {
            let position = positions[index as usize];
            match self.partner(file, picture, position)? {
                Ok(partner) => partners.images.insert(index, partner),
                Err(error) => return Ok(Err(error)),
            };
        }
        let workspace = &mut Workspace::with_partners(&partners);
        let done = self.executor.apply_to(source, image, key, workspace);
        done.map(|()| Ok(plan)).map_err(applied)
    }

    fn partner(
        &self,
        file: &ImageFile,
        picture: &Picture,
        position: usize,
    ) -> Result<Result<Picture, DataError>> {
        let files = self.outputs.files;
        let partner = &files.files()[position];
        let decoded = files
            .fetch(position)
            .and_then(|bytes| partner.decode(&bytes));
        let decoded = match decoded {
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
        Ok(Ok(decoded))
    }

    fn write_file(
        &self,
        file: &ImageFile,
        version: Version,
        content: &[u8],
        line: &mut Line,
    ) -> Result<()> {
        let name = self.outputs.path(file, version);
        let path = self.out.join(&name);
        let cannot = |error: io::Error| cannot_write(&path, error);
        match write_new(&path, content) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // A kill came before its line was written, or a power cut before its content was.
                let is_empty = || fs::metadata(&path).is_ok_and(|it| it.is_file() && it.len() == 0);
                if !has_content(&path, content) {
                    if !is_empty() {
                        bail!(
                            "{} exists and is different: remove it, or choose a different --out",
                            path.display()
                        );
                    }
                    write_whole(&path, content).map_err(cannot)?;
                }
            }
            written => written.map_err(cannot)?,
        }
        line.output = Some(name);
        line.output_bytes = Some(content.len() as u64);
        line.crc32 = Some(crc32fast::hash(content));
        Ok(())
    }

    /// Why an image cannot be read, if it may be skipped.
    fn skipped(&self, error: &DataError) -> Result<String> {
        if !self.skip_unreadable {
            bail!("{error}: repair it and repeat the command, or add --skip-unreadable");
        }
        Ok(error.to_string())
    }

    fn line(&self, file: &ImageFile) -> Line {
        Line {
            input: file.inner_path(),
            class: file.class.clone(),
            index: file.index,
            ..Line::default()
        }
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
