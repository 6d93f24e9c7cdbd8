//! The entries of a tar file, read once from start to end.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use tar::Archive;

use super::unpacked::{self, Unpacked};
use crate::decode::{self, Refusal};
use crate::error::DataError;
use crate::listing::{self, Content};

/// The maxima of an archive.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Its bytes, decompressed.
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

/// Those of every archive outside of tests.
pub(super) const LIMITS: Limits = Limits {
    bytes: listing::MAX_BYTES,
    entries: 4_000_000,
};

/// The longest path of an image, in bytes: what Linux allows.
const MAX_PATH: usize = 4_096;

pub(super) struct Entry {
    /// Its path, without `.` and doubled slashes.
    pub(super) path: Vec<u8>,
    pub(super) found: Found,
}

/// What is at a path of an archive.
pub(super) enum Found {
    /// A folder.
    Folder,
    /// What must be an image; or a link or device at any path, refused.
    Image(Content),
    /// A file where no image is expected. Its bytes were skipped.
    Other,
}

pub(super) fn read(file: &Path, limits: Limits) -> Result<Vec<Entry>, DataError> {
    let (opened, _) = decode::open_regular(file).map_err(DataError::io(file))?;
    let mut count = 0;
    // Decompressors meet hostile input. A panic must cost the archive, not the program.
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| collect(opened, limits, &mut count)));
    let outcome = outcome.unwrap_or_else(|_| Err(io::Error::other("its decoder failed on it")));
    outcome.map_err(|error| match error.kind() {
        _ if count > limits.entries => DataError::TooManyEntries {
            path: file.into(),
            limit: limits.entries,
        },
        io::ErrorKind::FileTooLarge => DataError::ArchiveTooLarge {
            path: file.into(),
            limit: limits.bytes,
        },
        _ => DataError::DamagedArchive {
            path: file.into(),
            entries: count,
            reason: error.to_string(),
        },
    })
}

/// The path to the splits of a data set, and which split it is, if the path is
/// `train/<class>/<file>` or `test/<class>/<file>` in some folder.
pub(super) fn root_and_split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = path.rsplit(|&byte| byte == b'/');
    let (image, class, split) = (parts.next()?, parts.next()?, parts.next()?);
    let below = split.len() + 1 + class.len() + 1 + image.len();
    matches!(split, b"train" | b"test").then(|| (&path[..path.len() - below], split))
}

fn collect(file: File, limits: Limits, count: &mut u64) -> io::Result<Vec<Entry>> {
    let unpacked = Unpacked::new(BufReader::new(file), limits.bytes)?;
    let to_entry = unpacked.to_entry();
    let mut archive = Archive::new(unpacked);
    let mut entries = Vec::new();
    // Counted apart from the archive's bytes, because a sparse file yields more than it takes there.
    let mut room = limits.bytes;
    for entry in archive.entries()? {
        let mut entry = entry?;
        *count += 1;
        if *count > limits.entries {
            return Err(unpacked::too_large());
        }
        to_entry.begins(packed_size(&mut entry)?);
        if entry.path_bytes().len() > MAX_PATH {
            continue;
        }
        let named = entry.path_bytes().into_owned();
        let Some(path) = normal(&named) else {
            continue;
        };
        let kind = entry.header().entry_type();
        let size = entry.size();
        // In the oldest archives, only the name distinguishes folders.
        let found = if kind.is_dir() || named.ends_with(b"/") {
            Found::Folder
        } else if !(kind.is_file() || kind.is_contiguous()) {
            let reason = "it is a link, a device or a sparse file within the archive";
            Found::Image(Content::Refused(reason.into()))
        } else if root_and_split(&path).is_none() {
            Found::Other
        } else if size > decode::MAX_BYTES {
            Found::Image(Content::Refused(Refusal::file_too_large().0.into()))
        } else {
            room = room.checked_sub(size).ok_or_else(unpacked::too_large)?;
            Found::Image(Content::Held(content(&mut entry, size)?))
        };
        entries.push(Entry { path, found });
    }

    let mut rest = archive.into_inner();
    if rest.has_ended() {
        let reason = "the end marker of the archive is missing";
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
    }
    // The checksums of gzip and zstd follow the last byte.
    to_entry.none();
    io::copy(&mut rest, &mut io::sink())?;
    Ok(entries)
}

/// How many bytes of the archive its content takes. A sparse file yields more: as much as it claims.
fn packed_size(entry: &mut tar::Entry<'_, Unpacked>) -> io::Result<u64> {
    if !entry.header().entry_type().is_gnu_sparse() {
        return Ok(entry.size());
    }
    let stated = entry.header().entry_size()?;
    // As in the `tar` crate, an extension takes precedence.
    let extended = entry.pax_extensions()?.and_then(|records| {
        let mut records = records.map_while(Result::ok);
        let size = records.find(|record| record.key() == Ok("size"))?;
        size.value().ok()?.parse::<u64>().ok()
    });
    Ok(extended.unwrap_or(stated))
}

fn content(entry: &mut impl Read, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    if bytes.len() as u64 != size {
        let reason = "the file ends within this entry";
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
    }
    // There may be a million of them, and each could allocate twice what it needs.
    bytes.shrink_to_fit();
    Ok(bytes)
}

/// The path without `.` and doubled slashes; `None` if it is absolute, leads upwards, is empty or
/// hidden.
fn normal(path: &[u8]) -> Option<Vec<u8>> {
    let parts: Vec<&[u8]> = path
        .split(|&byte| byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"."))
        .collect();
    // `..` counts as hidden, as it begins with a dot.
    let hidden = |part: &&[u8]| listing::is_hidden(&String::from_utf8_lossy(part));
    let counts = !path.starts_with(b"/") && !parts.is_empty() && !parts.iter().any(hidden);
    counts.then(|| parts.join(&b'/'))
}
