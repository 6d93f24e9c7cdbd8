//! The archive that files are written to, one behind the other, in the order of the manifest's lines.
//!
//! While it is written, its manifest is beside it, and says how much of it is good: a command that continues cuts
//! the archive off behind the last file that has a line, and goes on there.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use faa_system::{open_regular, sync_name, write_new};
use tar::{Builder, Entry, Header};

use super::lines::{Line, read_line};
use super::outputs::{MANIFEST, cannot_write};

/// A time that all entries have, so that the same files make the same archive. Programs complain about the one
/// at which counting begins.
const TIME: u64 = 1_153_704_088;

/// Tar's unit, to which every file is filled up.
const BLOCK: u64 = 512;

/// An archive that is open for more files.
pub(super) struct Archive {
    builder: Builder<BufWriter<File>>,
    path: PathBuf,
}

impl Archive {
    /// Opens an archive that is good up to `end`, or creates it.
    pub(super) fn open(path: &Path, end: u64) -> Result<Self> {
        let open = || {
            let mut options = File::options();
            let options = options.write(true).create(true).truncate(false);
            let (mut file, length) = open_regular(path, options)?;
            if length > end {
                file.set_len(end)?;
            }
            file.seek(SeekFrom::Start(end))?;
            Ok(file)
        };
        let file = open().map_err(|error| cannot_write(path, error))?;
        sync_name(path);
        Ok(Self {
            // Larger files are not copied to the buffer.
            builder: Builder::new(BufWriter::with_capacity(1 << 16, file)),
            path: path.to_owned(),
        })
    }

    pub(super) fn append(&mut self, name: &str, length: u64, mut content: impl Read) -> Result<()> {
        let mut append = || {
            let mut header = header(length);
            // The builder would copy the content twice.
            self.builder.append_data(&mut header, name, io::empty())?;
            let file = self.builder.get_mut();
            io::copy(&mut content, file)?;
            let padding = length.next_multiple_of(BLOCK) - length;
            file.write_all(&[0; BLOCK as usize][..padding as usize])
        };
        append().map_err(|error| cannot_write(&self.path, error))
    }

    /// Hands to the system what was appended. Lines are written after this.
    pub(super) fn flush(&mut self) -> Result<()> {
        let flushed = self.builder.get_mut().flush();
        flushed.map_err(|error| cannot_write(&self.path, error))
    }

    /// Moves the manifest into the archive, which is complete then.
    pub(super) fn finish(mut self, manifest: &Path) -> Result<()> {
        let mut finish = || {
            let (file, length) = open_regular(manifest, File::options().read(true))?;
            let mut header = header(length);
            self.builder.append_data(&mut header, MANIFEST, file)?;
            self.builder.finish()?;
            let file = self.builder.get_mut();
            file.flush()?;
            file.get_ref().sync_all()?;
            fs::remove_file(manifest)
        };
        finish().map_err(|error| cannot_write(&self.path, error))
    }
}

fn header(length: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(0o644);
    header.set_mtime(TIME);
    header.set_size(length);
    header
}

/// Opens an archive to read it; one that does not exist is empty.
pub(super) fn read(path: &Path) -> Result<tar::Archive<Box<dyn Read>>> {
    let reader: Box<dyn Read> = match open_regular(path, File::options().read(true)) {
        Ok((file, _)) => Box::new(BufReader::with_capacity(1 << 16, file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Box::new(io::empty()),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", path.display()));
        }
    };
    Ok(tar::Archive::new(reader))
}

/// The files of an archive, compared with the lines of its manifest.
pub(super) struct Confirmed<'a> {
    entries: tar::Entries<'a, Box<dyn Read>>,
    /// The name of the file behind the last one that is as its line says.
    pub(super) other: Option<String>,
    /// The offset behind those of which all are as their lines say.
    pub(super) end: u64,
}

impl<'a> Confirmed<'a> {
    pub(super) fn new(archive: &'a mut tar::Archive<Box<dyn Read>>) -> Result<Self> {
        Ok(Self {
            entries: archive.entries()?,
            other: None,
            end: 0,
        })
    }

    /// Whether the next files of the archive are those of these lines. If not, it is not asked again.
    pub(super) fn has(&mut self, lines: &[Line]) -> bool {
        let mut end = self.end;
        for file in lines.iter().flat_map(Line::files) {
            match self.next(file) {
                Some(next) => end = next,
                None => return false,
            }
        }
        self.end = end;
        true
    }

    /// Notes the file behind those that were compared.
    pub(super) fn look_behind(&mut self) {
        if self.other.is_none()
            && let Some(Ok(entry)) = self.entries.next()
        {
            self.other = Some(name(&entry));
        }
    }

    /// The offset behind the next file, if it is this one.
    fn next(&mut self, (output, bytes, crc32): (&str, u64, u32)) -> Option<u64> {
        let mut entry = self.entries.next()?.ok()?;
        let (found, length) = (name(&entry), entry.size());
        let mut hasher = Hasher(crc32fast::Hasher::new());
        let read = io::copy(&mut entry, &mut hasher).ok();
        let is_same = output == found
            && bytes == length
            && read == Some(length)
            && crc32 == hasher.0.finalize();
        if !is_same {
            self.other = Some(found);
            return None;
        }
        Some(entry.raw_file_position() + length.next_multiple_of(BLOCK))
    }
}

fn name<R: Read>(entry: &Entry<'_, R>) -> String {
    String::from_utf8_lossy(&entry.path_bytes()).into_owned()
}

struct Hasher(crc32fast::Hasher);

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Puts the manifest of a complete archive beside it again, if `check` accepts its first line.
pub(super) fn restore_manifest(
    path: &Path,
    manifest: &Path,
    check: impl FnOnce(&[u8]) -> Result<()>,
) -> Result<()> {
    if manifest.symlink_metadata().is_ok() || path.symlink_metadata().is_err() {
        return Ok(());
    }
    let foreign = || {
        let path = path.display();
        anyhow!("{path} exists, and was not written by this command: choose a different --out")
    };
    // It is the last one: what was added behind it by other means would be lost.
    let (mut is_there, mut is_last) = (false, false);
    for entry in read(path)?.entries()? {
        is_last = name(&entry.map_err(|_| foreign())?) == MANIFEST;
        is_there |= is_last;
    }
    if !is_last {
        bail!(match is_there {
            true => anyhow!(
                "{} has files that were added to it: choose a different --out",
                path.display()
            ),
            false => foreign(),
        });
    }
    for entry in read(path)?.entries()? {
        let entry = entry?;
        if name(&entry) == MANIFEST {
            let mut reader = BufReader::new(entry);
            let line = read_line(&mut reader)?;
            check(&line)?;
            let content = line.chain(reader);
            return write_new(manifest, content).map_err(|error| cannot_write(manifest, error));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_of_all_sizes_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.tar");
        let mut archive = Archive::open(&path, 0).unwrap();
        let content = |length: u64| -> Vec<u8> { (0..length).map(|at| (at % 251) as u8).collect() };
        // Around a block, and around the buffer.
        let lengths = [0, 1, 511, 512, 513, 65_535, 65_536, 65_537, 300_000];
        let name = |length: u64| format!("{}/{length}", "long".repeat(30));
        for length in lengths {
            let content = content(length);
            archive.append(&name(length), length, &content[..]).unwrap();
        }
        archive.flush().unwrap();
        let mut read = read(&path).unwrap();
        let mut found = Vec::new();
        for entry in read.entries().unwrap() {
            let (mut entry, mut bytes) = (entry.unwrap(), Vec::new());
            entry.read_to_end(&mut bytes).unwrap();
            found.push((super::name(&entry), bytes));
        }
        let expected = lengths.map(|length| (name(length), content(length)));
        assert_eq!(found, expected);
    }
}
