//! The bytes of a tar file, after unpacking where it is packed.

use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;

use super::frames::Frames;

/// Reads what a file holds unpacked, up to a limit.
pub(super) struct Unpacked {
    bytes: Box<dyn Read>,
    room: u64,
    ended: bool,
}

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
            ended: false,
        })
    }

    /// Whether a reader has met the end.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
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
