//! The bytes of a tar file, decompressed.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;

use super::frames::Frames;

/// The maximum size of the headers of one entry, in bytes: its own, and those before it that extend
/// it by a long name and the like. The `tar` crate holds all of them in memory.
pub(super) const MAX_HEADERS: u64 = 1 << 20;

/// Reads the decompressed content of a file, up to a limit.
pub(super) struct Unpacked {
    bytes: BufReader<Box<dyn Read>>,
    room: u64,
    to_entry: ToEntry,
    ended: bool,
}

/// How many bytes may be read until the next entry begins. It is shared with the reader of entries,
/// because the `tar` crate owns the reader of bytes.
#[derive(Clone, Default)]
pub(super) struct ToEntry(Rc<Cell<u64>>);

/// How a file is compressed.
enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Unpacked {
    pub(super) fn new(mut packed: impl BufRead + 'static, limit: u64) -> io::Result<Self> {
        let compression = Compression::of(packed.fill_buf()?)?;
        let bytes: Box<dyn Read> = match compression {
            Compression::None => Box::new(packed),
            Compression::Gzip => Box::new(MultiGzDecoder::new(packed)),
            Compression::Zstd => Box::new(Frames::new(packed)),
        };
        Ok(Self {
            bytes: BufReader::new(bytes),
            room: limit,
            to_entry: ToEntry::default(),
            ended: false,
        })
    }

    pub(super) fn to_entry(&self) -> ToEntry {
        self.to_entry.clone()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Skips the zeros that end an archive, and returns whether something follows.
    pub(super) fn skip_zeros(&mut self) -> io::Result<bool> {
        loop {
            let buffer = self.bytes.fill_buf()?;
            let length = buffer.len();
            let zeros = buffer.iter().take_while(|&&byte| byte == 0).count();
            self.bytes.consume(zeros);
            self.spend_room(zeros)?;
            if length == 0 || zeros < length {
                return Ok(length > 0);
            }
        }
    }

    fn spend_room(&mut self, count: usize) -> io::Result<()> {
        self.room = self.room.checked_sub(count as u64).ok_or_else(too_large)?;
        Ok(())
    }
}

impl ToEntry {
    /// An entry begins whose content has this many bytes in the archive.
    pub(super) fn begins(&self, content: u64) {
        // The content ends in a block of 512 bytes.
        self.0.set(content.saturating_add(511 + MAX_HEADERS));
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

/// The error of a reader that has passed a limit. No other reader gives this kind.
pub(super) fn too_large() -> io::Error {
    io::ErrorKind::FileTooLarge.into()
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        self.spend_room(count)?;
        self.to_entry.spend(count as u64)?;
        self.ended |= count == 0 && !buffer.is_empty();
        Ok(count)
    }
}

impl Compression {
    /// By the first bytes of a file.
    fn of(start: &[u8]) -> io::Result<Self> {
        let by = |format, unpack| {
            let reason = format!(
                "is packed as {format}, but tar files may be plain, or compressed with gzip or zstd; \
                 convert it, for example with `{unpack}`"
            );
            Err(io::Error::new(io::ErrorKind::Unsupported, reason))
        };
        Ok(match start {
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
                return by("xz", "xz -dc FILE | zstd > FILE.tar.zst");
            }
            [b'B', b'Z', b'h', ..] => return by("bzip2", "bzip2 -dc FILE | zstd > FILE.tar.zst"),
            [b'L', b'Z', b'I', b'P', ..] => {
                return by("lzip", "lzip -dc FILE | zstd > FILE.tar.zst");
            }
            [0x04, 0x22, 0x4d, 0x18, ..] => return by("lz4", "lz4 -dc FILE | zstd > FILE.tar.zst"),
            [b'P', b'K', 3 | 5, 4 | 6, ..] => {
                return by("zip", "unzip FILE -d DIR` and `folder:DIR");
            }
            [b'7', b'z', 0xbc, 0xaf, ..] => return by("7z", "7z x FILE -oDIR` and `folder:DIR"),
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // Parallel compressors begin with a frame that decoders skip.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::None,
        })
    }
}
