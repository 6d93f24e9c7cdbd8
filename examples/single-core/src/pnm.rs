//! Binary PNM with 8 bits a sample: grey (`P5`) and RGB (`P6`).

use std::io::{self, BufRead, Read, Write};

use faa_op::{Channels, ImageMut, ShapeError};

/// The largest image that is read, in bytes.
const MAX_BYTES: usize = 256 << 20;

/// An image, whose memory is used again for the next one.
#[derive(Default)]
pub(crate) struct Picture {
    width: usize,
    height: usize,
    color: bool,
    samples: Vec<u8>,
}

impl Picture {
    /// Reads the next image; `false` if there is none.
    pub(crate) fn read(&mut self, input: &mut impl BufRead) -> io::Result<bool> {
        if input.fill_buf()?.is_empty() {
            return Ok(false);
        }
        let mut magic = [0; 2];
        input.read_exact(&mut magic)?;
        self.color = match &magic {
            b"P5" => false,
            b"P6" => true,
            _ => return Err(invalid("not a binary PNM image (P5 or P6)")),
        };
        self.width = number(input)?;
        self.height = number(input)?;
        if number(input)? != 255 {
            return Err(invalid("only samples from 0 to 255 are supported"));
        }
        let length = (self.width.checked_mul(self.height))
            .and_then(|pixels| pixels.checked_mul(self.channels().count()))
            .filter(|length| *length <= MAX_BYTES)
            .ok_or_else(|| invalid("the image is too large"))?;
        self.samples.clear();
        // Memory grows with what is read, not with what the header claims.
        let found = input.take(length as u64).read_to_end(&mut self.samples)?;
        if found < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(true)
    }

    pub(crate) fn view(&mut self) -> Result<ImageMut<'_>, ShapeError> {
        let channels = self.channels();
        ImageMut::new(&mut self.samples, self.width, self.height, channels)
    }

    pub(crate) fn write(&self, output: &mut impl Write) -> io::Result<()> {
        let magic = if self.color { "P6" } else { "P5" };
        write!(output, "{magic}\n{} {}\n255\n", self.width, self.height)?;
        output.write_all(&self.samples)
    }

    fn channels(&self) -> Channels {
        match self.color {
            true => Channels::Rgb,
            false => Channels::L,
        }
    }
}

/// A number of the header, with what separates it from the one before: white space and comments,
/// which end with their line. The one byte after it is read too; after the last number, the samples
/// follow that byte.
fn number(input: &mut impl Read) -> io::Result<usize> {
    let mut byte = next(input)?;
    while byte == b'#' || byte.is_ascii_whitespace() {
        if byte == b'#' {
            while next(input)? != b'\n' {}
        }
        byte = next(input)?;
    }
    let mut value: usize = 0;
    let malformed = || invalid("the header is malformed");
    while byte.is_ascii_digit() {
        let digit = usize::from(byte - b'0');
        value = (value.checked_mul(10))
            .and_then(|value| value.checked_add(digit))
            .ok_or_else(malformed)?;
        byte = next(input)?;
    }
    match byte.is_ascii_whitespace() {
        true => Ok(value),
        false => Err(malformed()),
    }
}

fn next(input: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    input.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_may_follow_each_other_and_headers_have_comments() {
        let mut input = &b"P6 # by hand\n1\t2\n# all levels\n255\nabcdefP5 3 1 255 xyz"[..];
        let mut output = Vec::new();
        let mut picture = Picture::default();
        while picture.read(&mut input).unwrap() {
            let view = picture.view().unwrap();
            let length = view.width() * view.height() * view.channels().count();
            assert_eq!(view.samples().len(), length);
            picture.write(&mut output).unwrap();
        }
        assert_eq!(output, b"P6\n1 2\n255\nabcdefP5\n3 1\n255\nxyz");
    }

    #[test]
    fn what_is_malformed_is_an_error() {
        for input in [
            "P3 1 1 255 1 2 3",
            "P6 1 1 65535 abcdef",
            "P6 1 x 255 abc",
            "P6 99999999999999999999999 1 255 abc",
            "P6 4294967296 4294967296 255 abc",
            "P6 2 1 255 abc",
            "P6 2",
            "# P6",
            "P",
        ] {
            let error = Picture::default().read(&mut input.as_bytes());
            assert!(error.is_err(), "{input}");
        }
        let mut empty = Picture::default();
        assert!(empty.read(&mut &b"P5 0 1 255 "[..]).unwrap());
        assert!(empty.view().is_err());
    }
}
