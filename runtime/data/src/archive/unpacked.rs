//! The bytes of a tar file, after unpacking where it is packed.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;

use super::frames::Frames;

/// The most bytes that the headers of one entry may take: its own, and those before it that extend
/// it by a long name and the like. The reader of archives holds all of them.
pub(super) const MAX_HEADERS: u64 = 1 << 20;

/// Reads what a file holds unpacked, up to a limit.
pub(super) struct Unpacked {
    bytes: Box<dyn Read>,
    room: u64,
    to_entry: ToEntry,
    ended: bool,
}

/// How many bytes may be read until the next entry has been met. It is shared with whoever meets
/// the entries, because the reader of archives owns that of its bytes.
#[derive(Clone)]
pub(super) struct ToEntry(Rc<Cell<u64>>);

/// What a file is packed by.
enum Packing {
    Nothing,
    Gzip,
    Zstd,
}

impl Unpacked {
    pub(super) fn new(mut packed: impl BufRead + 'static, limit: u64) -> io::Result<Self> {
        let packing = Packing::told_by(packed.fill_buf()?);
        let bytes: Box<dyn Read> = match packing {
            Packing::Nothing => Box::new(packed),
            Packing::Gzip => Box::new(MultiGzDecoder::new(packed)),
            Packing::Zstd => Box::new(Frames::new(packed)),
        };
        Ok(Self {
            bytes,
            room: limit,
            to_entry: ToEntry::first(),
            ended: false,
        })
    }

    pub(super) fn to_entry(&self) -> ToEntry {
        self.to_entry.clone()
    }

    /// Whether a reader has met the end.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }
}

impl ToEntry {
    fn first() -> Self {
        Self(Rc::new(Cell::new(MAX_HEADERS)))
    }

    /// An entry was met, and its content has so many bytes in the archive.
    pub(super) fn met(&self, content: u64) {
        // The content ends in a block of 512 bytes.
        self.0.set(content.saturating_add(511 + MAX_HEADERS));
    }

    /// No entry follows.
    pub(super) fn none(&self) {
        self.0.set(u64::MAX);
    }

    fn spend(&self, count: u64) -> io::Result<()> {
        let Some(left) = self.0.get().checked_sub(count) else {
            let mib = MAX_HEADERS >> 20;
            let reason = format!("the headers of an entry are larger than {mib} MiB");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        };
        self.0.set(left);
        Ok(())
    }
}

/// The error of a reader that has passed a limit. Nothing else that reads gives this kind.
pub(super) fn too_large() -> io::Error {
    io::ErrorKind::FileTooLarge.into()
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        self.room = self.room.checked_sub(count as u64).ok_or_else(too_large)?;
        self.to_entry.spend(count as u64)?;
        self.ended |= count == 0 && !buffer.is_empty();
        Ok(count)
    }
}

impl Packing {
    fn told_by(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // Writers that work in parallel begin with a frame that decoders skip.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Nothing,
        }
    }
}
