//! The frames of a zstd file, one after the other.
//!
//! `ruzstd` decodes frames and leaves three things to its caller: going from one frame to the next,
//! skipping those that are meant for other programs, and comparing checksums.
//!
//! Memory is bounded by the window, 128 MiB at most, and by what one block decompresses to. Valid
//! blocks decompress to at most 128 KiB. As of `ruzstd` 0.9.1, hostile ones stay below 2 MiB: the length of raw
//! and of repeating blocks is checked before they are read; that of compressed ones after every
//! sequence, which adds 256 KiB at most; and their literals are fewer than a MiB, but are not counted
//! behind the last sequence. Such a block can make the decoder's buffer grow, once, to 256 MiB.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The largest window, in bytes: that of `zstd --long=27`. The decoder's default is 100 MB.
const MAX_WINDOW: u64 = 128 << 20;

/// Reads the decompressed content of a zstd file.
pub(super) struct Frames<R> {
    packed: R,
    decoder: FrameDecoder,
}

impl<R: BufRead> Frames<R> {
    pub(super) fn new(packed: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW);
        Self { packed, decoder }
    }

    /// Begins the next frame, or skips it if it is meant to be skipped.
    fn begin(&mut self) -> io::Result<()> {
        match self.decoder.reset(&mut self.packed) {
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => self.skip(u64::from(length)),
            other => other.map_err(io::Error::other),
        }
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        let mut skipped = self.packed.by_ref().take(length);
        if io::copy(&mut skipped, &mut io::sink())? < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Compares the checksums of a frame that was read to its end.
    fn check(&self) -> io::Result<()> {
        let stored = self.decoder.get_checksum_from_data();
        if stored.is_some() && stored != self.decoder.get_calculated_checksum() {
            let reason = "the checksum of a zstd frame does not match its content";
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(buffer);
            }
            // A decoder that has not begun is finished, too.
            if self.decoder.is_finished() {
                self.check()?;
                if self.packed.fill_buf()?.is_empty() {
                    return Ok(0);
                }
                self.begin()?;
            } else {
                let strategy = BlockDecodingStrategy::UptoBlocks(1);
                let decoded = self.decoder.decode_blocks(&mut self.packed, strategy);
                decoded.map_err(io::Error::other)?;
            }
        }
    }
}
