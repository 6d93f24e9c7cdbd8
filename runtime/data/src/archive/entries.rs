//! The entries of a tar file, read from start to end.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use faa_system::is_litter;
use tar::{Archive, EntryType};

use super::unpacked::{self, Unpacked};
use crate::assembly::{self, Content};
use crate::decode::{self, Refusal};
use crate::error::{DataError, DataErrorKind, name, shown};

/// The maxima of an archive.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    /// Its bytes, decompressed.
    pub(super) bytes: u64,
    pub(super) entries: u64,
    /// The bytes of the paths of its entries together.
    pub(super) paths: usize,
    /// The encoded images that are in memory, in bytes; the one that exceeds it is held too.
    pub(super) held: usize,
}

/// Those of every archive outside of tests.
pub(super) const LIMITS: Limits = Limits {
    bytes: assembly::MAX_BYTES,
    entries: 4_000_000,
    paths: 256 << 20,
    held: 64 << 20,
};

/// The longest path of an image, in bytes: what Linux allows.
const MAX_PATH: usize = 4_096;

pub(super) struct Entry {
    /// Its path, without `.` and doubled slashes.
    pub(super) path: Vec<u8>,
    pub(super) found: Found,
}

/// The entries of an archive, and how many are not among them because of their paths.
#[derive(Default)]
pub(super) struct Listed {
    pub(super) entries: Vec<Entry>,
    unsafe_paths: u64,
    first_unsafe: Vec<u8>,
}

impl Listed {
    /// That entries are not used, in words.
    pub(super) fn warning(&self, file: &Path) -> Option<String> {
        (self.unsafe_paths > 0).then(|| {
            format!(
                "{} has entries that are not used, as their paths are absolute, have `..` in them or are over \
                 4,096 bytes ({}, such as `{}`); create the archive from within the folder, without `-P`",
                shown(file),
                self.unsafe_paths,
                name(&String::from_utf8_lossy(&self.first_unsafe))
            )
        })
    }
}

/// What is at a path of an archive.
pub(super) enum Found {
    Folder,
    /// A file: the number of the entry that has its content. Or something else, or a file that is too
    /// large: why it is not used.
    File(Result<u64, Cow<'static, str>>),
}

/// Why reading stopped.
pub(super) enum Failure {
    /// The archive cannot be read.
    Archive(io::Error),
    /// What was read cannot be used.
    Set(DataError),
}

/// Lists an archive. The content of its files is skipped.
pub(super) fn list(file: &Path, limits: Limits) -> Result<Listed, DataError> {
    let mut listed = Listed::default();
    // By the index of an entry that is a hard link, the path of the file.
    let mut links = HashMap::new();
    let mut room = limits.paths;
    visit(file, limits, |number, entry| {
        let sparse_name = sparse_name(entry)?;
        let named = match &sparse_name {
            Some(name) if !name.is_empty() => name.clone(),
            _ => entry.path_bytes().into_owned(),
        };
        if is_unsafe(&named) {
            if listed.unsafe_paths == 0 {
                listed.first_unsafe = named[..named.len().min(MAX_PATH)].to_owned();
            }
            listed.unsafe_paths += 1;
            return Ok(());
        }
        let Some(path) = normal(&named) else {
            return Ok(());
        };
        let kind = entry.header().entry_type();
        let target = kind.is_hard_link().then(|| entry.link_name_bytes());
        let target = target.flatten().unwrap_or_default();
        let lengths = path.len() + target.len().min(MAX_PATH);
        room = room.checked_sub(lengths).ok_or_else(|| {
            let words = "has paths that are too long together; extract what is needed and use \
                         `folder:DIR`";
            Failure::Set(DataError::of(DataErrorKind::TooLarge, file, words))
        })?;
        // In the oldest archives, only the name distinguishes folders.
        let found = if kind.is_dir() || named.ends_with(b"/") {
            Found::Folder
        } else if sparse_name.is_some() || kind.is_gnu_sparse() {
            let reason = "it is stored as a sparse file; create the archive without `--sparse`";
            Found::File(Err(reason.into()))
        } else if kind.is_hard_link() {
            if target.len() <= MAX_PATH {
                links.insert(listed.entries.len(), normal(&target).unwrap_or_default());
            }
            let reason = "it is a link to something other than an earlier file of the archive";
            Found::File(Err(reason.into()))
        } else if !(kind.is_file() || kind.is_contiguous()) {
            Found::File(Err(not_a_file(kind).into()))
        } else if entry.size() > decode::MAX_BYTES {
            Found::File(Err(Refusal::file_too_large(entry.size()).0.into()))
        } else {
            Found::File(Ok(number))
        };
        listed.entries.push(Entry { path, found });
        Ok(())
    })?;
    if !links.is_empty() {
        follow(&links, &mut listed.entries);
    }
    Ok(listed)
}

/// Gives each hard link the content of the earlier file that it names, if there is one.
fn follow(links: &HashMap<usize, Vec<u8>>, entries: &mut [Entry]) {
    let mut files = HashMap::new();
    for (index, Entry { path, found }) in entries.iter_mut().enumerate() {
        if let Some(number) = links
            .get(&index)
            .and_then(|target| files.get(target.as_slice()))
        {
            *found = Found::File(Ok(*number));
        }
        if let Found::File(Ok(number)) = found {
            files.insert(path.as_slice(), *number);
        }
    }
}

fn not_a_file(kind: EntryType) -> &'static str {
    match kind.is_symlink() {
        true => {
            "it is a link within the archive, which is not followed; create the archive with \
             `--dereference`"
        }
        false => "it is a device, a pipe or something else that is not a file",
    }
}

/// Reads the files with these entry numbers, and hands them over in batches, each with the indices
/// that are given for its number.
pub(super) fn read(
    file: &Path,
    limits: Limits,
    wanted: &HashMap<u64, Vec<usize>>,
    mut take: impl FnMut(Vec<(usize, Content)>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let (mut batch, mut held) = (Vec::new(), 0);
    let mut missing = wanted.len();
    visit(file, limits, |number, entry| {
        let Some(indices) = wanted.get(&number) else {
            return Ok(());
        };
        missing -= 1;
        let bytes = content(entry)?;
        for &index in indices {
            held += bytes.len();
            batch.push((index, Content::Held(bytes.clone())));
            if held >= limits.held || batch.len() >= assembly::batch() {
                take(mem::take(&mut batch)).map_err(Failure::Set)?;
                held = 0;
            }
        }
        Ok(())
    })?;
    if missing > 0 {
        let words = "has changed while it was read; try again";
        return Err(DataError::of(DataErrorKind::Damaged, file, words));
    }
    take(batch)
}

/// Calls `look` with the number and the content of every entry.
fn visit(
    file: &Path,
    limits: Limits,
    look: impl FnMut(u64, &mut tar::Entry<'_, Unpacked>) -> Result<(), Failure>,
) -> Result<(), DataError> {
    let (opened, _) =
        faa_system::open_regular(file, File::options().read(true)).map_err(DataError::io(file))?;
    let mut count = 0;
    // Decompressors meet hostile input. A panic must cost the archive, not the program.
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
        visit_entries(opened, limits, &mut count, look)
    }));
    let broken = |_| Err(io::Error::other("its decoder failed on it").into());
    let error = match outcome.unwrap_or_else(broken) {
        Ok(()) => return Ok(()),
        Err(Failure::Set(error)) => return Err(error),
        Err(Failure::Archive(error)) => error,
    };
    let too_large = match error.kind() {
        _ if count > limits.entries => Some(format!("{} entries", limits.entries)),
        io::ErrorKind::Unsupported => {
            return Err(DataError::of(DataErrorKind::Usage, file, error));
        }
        io::ErrorKind::FileTooLarge => Some(format!("{} bytes when decompressed", limits.bytes)),
        _ => None,
    };
    Err(match too_large {
        Some(what) => {
            let words =
                format!("has more than {what}; extract what is needed and use `folder:DIR`");
            DataError::of(DataErrorKind::TooLarge, file, words)
        }
        None => {
            let words = format!(
                "cannot be read after {count} entries: {error}; it is truncated, damaged, or not a \
                 tar file (plain, or compressed with gzip or zstd)"
            );
            DataError::of(DataErrorKind::Damaged, file, words)
        }
    })
}

fn visit_entries(
    file: File,
    limits: Limits,
    count: &mut u64,
    mut look: impl FnMut(u64, &mut tar::Entry<'_, Unpacked>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut unpacked = Unpacked::new(BufReader::new(file), limits.bytes)?;
    let to_entry = unpacked.to_entry();
    // Archives may follow each other, as after `cat a.tar b.tar`.
    loop {
        to_entry.begins(0);
        let mut archive = Archive::new(unpacked);
        for entry in archive.entries()? {
            let mut entry = entry?;
            *count += 1;
            if *count > limits.entries {
                return Err(unpacked::too_large().into());
            }
            to_entry.begins(packed_size(&mut entry)?);
            look(*count, &mut entry)?;
        }
        unpacked = archive.into_inner();
        if unpacked.has_ended() {
            return Err(ends_within("the end marker of the archive is missing").into());
        }
        if !unpacked.skip_zeros()? {
            return Ok(());
        }
    }
}

/// The path to the splits of a data set, and which split it is, if the path is
/// `train/<class>/<file>` or `test/<class>/<file>` in some folder.
pub(super) fn root_and_split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = path.rsplit(|&byte| byte == b'/');
    let (image, class, split) = (parts.next()?, parts.next()?, parts.next()?);
    let below = split.len() + 1 + class.len() + 1 + image.len();
    matches!(split, b"train" | b"test").then(|| (&path[..path.len() - below], split))
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

/// The path of a file that is sparse by extensions, whose header names a different one; empty if no
/// extension states it.
fn sparse_name(entry: &mut tar::Entry<'_, Unpacked>) -> io::Result<Option<Vec<u8>>> {
    let mut found = None;
    for record in entry
        .pax_extensions()?
        .into_iter()
        .flatten()
        .map_while(Result::ok)
    {
        match record.key_bytes() {
            b"GNU.sparse.name" => found = Some(record.value_bytes().to_owned()),
            key if key.starts_with(b"GNU.sparse.") => {
                found.get_or_insert_default();
            }
            _ => {}
        }
    }
    Ok(found)
}

fn content(entry: &mut tar::Entry<'_, Unpacked>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    match bytes.len() as u64 == entry.size() {
        true => Ok(bytes),
        false => Err(ends_within("the file ends within this entry")),
    }
}

fn ends_within(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, reason)
}

/// Whether a path is absolute, leads upwards or is too long.
fn is_unsafe(path: &[u8]) -> bool {
    let mut parts = path.split(|&byte| byte == b'/');
    path.len() > MAX_PATH || path.starts_with(b"/") || parts.any(|part| part == b"..")
}

/// The path without `.` and doubled slashes; `None` if it is absolute, leads upwards, is empty or
/// hidden.
fn normal(path: &[u8]) -> Option<Vec<u8>> {
    let parts: Vec<&[u8]> = path
        .split(|&byte| byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"."))
        .collect();
    // `..` counts as litter, as it begins with a dot.
    let litter = parts
        .iter()
        .any(|part| is_litter(OsStr::new(&*String::from_utf8_lossy(part))));
    (!path.starts_with(b"/") && !parts.is_empty() && !litter).then(|| parts.join(&b'/'))
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Archive(error)
    }
}
