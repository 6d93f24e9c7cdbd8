//! The pixels of an object, as COCO writes them: lengths of runs, column by column, of pixels that are not and
//! that are the object's, in turn.

use super::error::AnnotationErrorKind;

/// The pixels of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    width: u32,
    height: u32,
    /// In rows from the top; 1 is the object.
    pixels: Vec<u8>,
}

impl Region {
    /// A region of these pixels, in rows from the top: 0 or 1.
    ///
    /// # Panics
    ///
    /// If the number of pixels is not `width × height`.
    #[must_use]
    pub fn new(width: u32, height: u32, pixels: Vec<u8>) -> Self {
        assert_eq!(pixels.len(), width as usize * height as usize);
        Self {
            width,
            height,
            pixels,
        }
    }

    /// The region that these runs describe.
    pub(super) fn from_runs(
        (width, height): (u32, u32),
        runs: &[u64],
    ) -> Result<Self, AnnotationErrorKind> {
        let mut pixels = vec![0; width as usize * height as usize];
        let (area, mut start) = (pixels.len() as u64, 0);
        for (index, run) in runs.iter().enumerate() {
            let end = run.checked_add(start).filter(|end| *end <= area);
            let end = end.ok_or(AnnotationErrorKind::Runs)?;
            if index % 2 == 1 {
                for at in start..end {
                    let (x, y) = (at / u64::from(height), at % u64::from(height));
                    pixels[(y * u64::from(width) + x) as usize] = 1;
                }
            }
            start = end;
        }
        match start == area {
            true => Ok(Self::new(width, height, pixels)),
            false => Err(AnnotationErrorKind::Runs),
        }
    }

    /// Its runs.
    pub(super) fn runs(&self) -> Vec<u64> {
        let (width, height) = (self.width as usize, self.height as usize);
        let (mut runs, mut last) = (vec![0], 0);
        for at in 0..width * height {
            let pixel = self.pixels[at % height * width + at / height];
            if pixel != last {
                runs.push(0);
                last = pixel;
            }
            *runs.last_mut().expect("there is a first run") += 1;
        }
        runs
    }

    /// The width of the image, in pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Its pixels, in rows from the top: 1 where the object is.
    #[must_use]
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// How many pixels are the object's.
    #[must_use]
    pub fn count(&self) -> usize {
        self.pixels.iter().filter(|pixel| **pixel > 0).count()
    }

    /// The edges of the box about the object's pixels, if there are any.
    pub(super) fn extent(&self) -> Option<[f64; 4]> {
        let width = self.width as usize;
        let rows = || self.pixels.chunks_exact(width.max(1)).enumerate();
        let has = |row: &[u8]| row.iter().any(|pixel| *pixel > 0);
        let mut full = rows().filter(|(_, row)| has(row)).map(|(y, _)| y);
        let top = full.next()?;
        let bottom = full.next_back().unwrap_or(top) + 1;
        let ends = rows().filter_map(|(_, row)| {
            let first = row.iter().position(|pixel| *pixel > 0)?;
            Some((first, row.iter().rposition(|pixel| *pixel > 0)? + 1))
        });
        let (left, right) = ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
        Some([left, top, right, bottom].map(|edge| edge as f64))
    }
}

/// The runs that a text of `pycocotools` has: 5 bits a character, the lowest first, with a bit that says whether
/// more follow, and a sign; from the fourth on, each is the difference to the one before the last.
pub(super) fn runs_of_text(text: &str) -> Result<Vec<u64>, AnnotationErrorKind> {
    let (mut runs, mut bytes) = (Vec::<u64>::new(), text.bytes());
    while let Some(mut byte) = bytes.next() {
        let (mut value, mut shift) = (0_i64, 0);
        loop {
            let bits = byte.checked_sub(48).filter(|bits| *bits < 64);
            let bits = i64::from(bits.ok_or(AnnotationErrorKind::Runs)?);
            value |= (bits & 0x1f) << shift;
            shift += 5;
            if bits & 0x20 == 0 {
                if bits & 0x10 != 0 {
                    value |= -1 << shift;
                }
                break;
            }
            // No image has runs of as many digits.
            if shift > 50 {
                return Err(AnnotationErrorKind::Runs);
            }
            byte = bytes.next().ok_or(AnnotationErrorKind::Runs)?;
        }
        let before = match runs.len() {
            0..3 => 0,
            length => runs[length - 2],
        };
        let run = before.checked_add_signed(value);
        runs.push(run.ok_or(AnnotationErrorKind::Runs)?);
    }
    Ok(runs)
}

/// The text of these runs, which are those of an image.
pub(super) fn text_of_runs(runs: &[u64]) -> String {
    let mut text = String::new();
    for (index, run) in runs.iter().enumerate() {
        let before = if index < 3 { 0 } else { runs[index - 2] };
        let mut value = *run as i64 - before as i64;
        loop {
            let bits = (value & 0x1f) as u8;
            value >>= 5;
            let is_last = value == if bits & 0x10 != 0 { -1 } else { 0 };
            let more = if is_last { 0 } else { 0x20 };
            text.push(char::from(48 + (bits | more)));
            if is_last {
                break;
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use faa_op::Stream;

    use super::*;

    #[test]
    fn regions_survive_their_runs_and_their_text() {
        let stream = &mut Stream::for_op(1);
        for _ in 0..300 {
            let (width, height) = (1 + stream.below(40) as u32, 1 + stream.below(30) as u32);
            let mut last = 0;
            let mut pixel = |_| {
                last ^= u8::from(stream.below(9) == 0);
                last
            };
            let pixels: Vec<u8> = (0..width * height).map(&mut pixel).collect();
            let region = Region::new(width, height, pixels);
            let runs = region.runs();
            assert_eq!(runs.iter().sum::<u64>(), u64::from(width * height));
            assert_eq!(
                Region::from_runs((width, height), &runs).as_ref(),
                Ok(&region)
            );
            assert_eq!(runs_of_text(&text_of_runs(&runs)), Ok(runs));
        }
    }

    /// Texts that pycocotools 2.0.11 has written.
    #[test]
    fn texts_are_those_of_pycocotools() {
        for (runs, text) in PYCOCOTOOLS {
            assert_eq!(text_of_runs(runs), *text);
            assert_eq!(runs_of_text(text).as_deref(), Ok(*runs));
        }
    }

    const PYCOCOTOOLS: &[(&[u64], &str)] = &[
        (&[0, 2, 6, 3, 1], "0261K"),
        (&[1, 2, 3], "123"),
        (&[0, 6], "06"),
        (&[6], "6"),
        (&[70, 31, 32, 15, 16, 17, 19], "V2o0P1@@23"),
        (&[100_000, 1, 1, 99_998], "PeQ311mdQ3"),
        (
            &[12_782, 109, 191, 5, 300, 1_000, 7, 105_606],
            "^_<]3o5hL]3So0kFnTV3",
        ),
    ];

    #[test]
    fn runs_that_are_none_are_refused() {
        for text in ["/", "P", "p", "0O", "\u{e9}", "PPPPPPPPPPPPPPP0"] {
            assert_eq!(runs_of_text(text), Err(AnnotationErrorKind::Runs), "{text}");
        }
        for runs in [&[][..], &[5], &[7], &[3, 4], &[u64::MAX, 7], &[0, 1, 2, 4]] {
            let region = Region::from_runs((2, 3), runs);
            assert_eq!(region, Err(AnnotationErrorKind::Runs), "{runs:?}");
        }
        assert!(Region::from_runs((2, 3), &[0, 1, 2, 3]).is_ok());
    }

    #[test]
    fn columns_come_first() {
        let region = Region::from_runs((3, 2), &[1, 2, 3]).unwrap();
        assert_eq!(region.pixels(), [0, 1, 0, 1, 0, 0]);
        assert_eq!(region.extent(), Some([0.0, 0.0, 2.0, 2.0]));
        assert_eq!(region.count(), 2);
    }
}
