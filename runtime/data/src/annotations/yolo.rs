//! Labels in text files, as YOLO has them: a line for each object.

use super::error::{AnnotationError, AnnotationErrorKind};
use super::object::Object;

/// The largest file that is read, in bytes: 16 MiB.
pub const MAX_YOLO_BYTES: u64 = 16 << 20;

/// How far outside of 0 to 1 a fraction may be, as in other readers of this format: exporters round.
const TOLERANCE: f64 = 0.01;

/// The objects of an image: a line for each, with its class and either a box (its centre, its width and its
/// height) or the corners of its outline, three or more (x and y in turn). All are fractions of the image's sides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Yolo {
    lines: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq)]
struct Line {
    class: u64,
    fractions: Vec<f64>,
}

impl Yolo {
    /// Reads a file. Empty lines are skipped.
    ///
    /// # Errors
    ///
    /// What is malformed, with its line.
    pub fn parse(file: &[u8]) -> Result<Self, AnnotationError> {
        let bytes = file.len() as u64;
        let whole = |kind| AnnotationError::new("", kind);
        if bytes > MAX_YOLO_BYTES {
            let limit = MAX_YOLO_BYTES;
            return Err(whole(AnnotationErrorKind::TooLarge { bytes, limit }));
        }
        let text = str::from_utf8(file).map_err(|_| whole(AnnotationErrorKind::NotUtf8))?;
        let full = |(_, line): &(usize, &str)| !line.trim().is_empty();
        let lines = (1..).zip(text.lines()).filter(full);
        let read = |(number, line)| {
            let place = |kind| AnnotationError::new(format!("line {number}"), kind);
            read_line(line).map_err(place)
        };
        Ok(Self {
            lines: lines.map(read).collect::<Result<_, _>>()?,
        })
    }

    /// The objects of an image of this width and height, in the order of their lines.
    #[must_use]
    pub fn objects(&self, size: (u32, u32)) -> Vec<Object> {
        self.lines.iter().map(|line| line.object(size)).collect()
    }

    /// The file with these of its objects, each with its index, as they are now in an image of this width and
    /// height. Fractions of those that have not changed are written as they were, others with six digits.
    #[must_use]
    pub fn to_text<'o>(
        &self,
        objects: impl IntoIterator<Item = (usize, &'o Object)>,
        size: (u32, u32),
    ) -> String {
        let mut text = String::new();
        for (index, object) in objects {
            let line = &self.lines[index];
            text += &line.class.to_string();
            if line.object(size) == *object {
                line.fractions
                    .iter()
                    .for_each(|it| text += &format!(" {it}"));
            } else {
                let fractions = fractions(object, size);
                fractions.iter().for_each(|it| text += &format!(" {it:.6}"));
            }
            text.push('\n');
        }
        text
    }
}

impl Line {
    fn object(&self, (width, height): (u32, u32)) -> Object {
        let (width, height) = (f64::from(width), f64::from(height));
        let mut object = Object {
            class: self.class,
            ..Object::default()
        };
        match *self.fractions.as_slice() {
            [x, y, across, along] => {
                object.bounds = Some([
                    (x - across / 2.0) * width,
                    (y - along / 2.0) * height,
                    (x + across / 2.0) * width,
                    (y + along / 2.0) * height,
                ]);
            }
            ref corners => {
                let corners = corners.as_chunks::<2>().0.iter();
                object.outlines = vec![corners.map(|[x, y]| [x * width, y * height]).collect()];
            }
        }
        object
    }
}

/// The numbers of a line.
fn fractions(object: &Object, (width, height): (u32, u32)) -> Vec<f64> {
    let (width, height) = (f64::from(width), f64::from(height));
    match object.bounds {
        Some([left, top, right, bottom]) => vec![
            (left + right) / 2.0 / width,
            (top + bottom) / 2.0 / height,
            (right - left) / width,
            (bottom - top) / height,
        ],
        None => {
            let corners = object.outlines.iter().flatten();
            corners.flat_map(|[x, y]| [x / width, y / height]).collect()
        }
    }
}

fn read_line(line: &str) -> Result<Line, AnnotationErrorKind> {
    let mut words = line.split_ascii_whitespace();
    let class = words.next().unwrap_or_default();
    let class = class
        .parse()
        .map_err(|_| AnnotationErrorKind::NotAClass(class.to_owned()))?;
    let fractions = words.map(fraction).collect::<Result<Vec<f64>, _>>()?;
    let count = fractions.len();
    if count != 4 && (count < 6 || count % 2 == 1) {
        return Err(AnnotationErrorKind::Count {
            found: count + 1,
            expected: "a class with a box (5) or an outline (7, 9, …); poses are not supported",
        });
    }
    if count == 4 && fractions[2..].iter().any(|side| *side < 0.0) {
        return Err(AnnotationErrorKind::OutOfRange {
            value: fractions[2].min(fractions[3]),
            expected: "the width or the height of a box",
        });
    }
    Ok(Line { class, fractions })
}

fn fraction(word: &str) -> Result<f64, AnnotationErrorKind> {
    let value: f64 = word
        .parse()
        .map_err(|_| AnnotationErrorKind::NotANumber(word.to_owned()))?;
    match (-TOLERANCE..=1.0 + TOLERANCE).contains(&value) {
        true => Ok(value),
        false => Err(AnnotationErrorKind::OutOfRange {
            value,
            expected: "a fraction of the image's width or height, from 0 to 1",
        }),
    }
}

#[cfg(test)]
mod tests {
    use faa_op::Stream;

    use super::*;

    #[test]
    fn boxes_are_their_centre_and_size() {
        let yolo = Yolo::parse(b"3 0.5 0.25 0.5 0.1\r\n\n 0 0 0 1 0 1 1\n").unwrap();
        let objects = yolo.objects((200, 100));
        assert_eq!(objects[0].class, 3);
        assert_eq!(objects[0].bounds, Some([50.0, 20.0, 150.0, 30.0]));
        let triangle = vec![vec![[0.0, 0.0], [200.0, 0.0], [200.0, 100.0]]];
        assert_eq!((objects[1].bounds, &objects[1].outlines), (None, &triangle));
        assert_eq!(objects[1].area(), 10_000.0);
        assert_eq!(Yolo::parse(b"").unwrap().objects((2, 2)), []);
    }

    #[test]
    fn what_is_written_is_what_was_read() {
        let stream = &mut Stream::for_op(2);
        for _ in 0..200 {
            let size = (1 + stream.below(900) as u32, 1 + stream.below(900) as u32);
            let mut text = String::new();
            for _ in 0..stream.below(6) {
                let numbers = [4, 6, 8, 50][stream.below(4) as usize];
                let class = stream.below(80);
                let words = (0..numbers).map(|_| format!(" {}", stream.unit()));
                text += &format!("{class}{}\n", words.collect::<String>());
            }
            let yolo = Yolo::parse(text.as_bytes()).unwrap();
            let objects = yolo.objects(size);
            assert_eq!(yolo.to_text(objects.iter().enumerate(), size), text);
            // Of objects that have moved, to six digits.
            let mut moved = objects.clone();
            for object in &mut moved {
                object.class += 1;
            }
            let rounded = yolo.to_text(moved.iter().enumerate(), size);
            let again = Yolo::parse(rounded.as_bytes()).unwrap().objects(size);
            for (a, b) in objects.iter().zip(&again) {
                let corners = |it: &Object| {
                    let bounds = it.bounds.iter().flatten().copied();
                    let outlines = it.outlines.iter().flatten().flatten().copied();
                    bounds.chain(outlines).collect::<Vec<f64>>()
                };
                let (a, b) = (corners(a), corners(b));
                assert_eq!(a.len(), b.len());
                assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 0.002));
            }
        }
    }

    #[test]
    fn malformed_lines_are_named() {
        for (line, expected) in [
            ("car 0 0 1 1", "line 2: `car` is not the number of a class"),
            ("-1 0 0 1 1", "line 2: `-1` is not the number of a class"),
            ("1.5 0 0 1 1", "line 2: `1.5` is not the number of a class"),
            ("1 0 0 1 x", "line 2: `x` is not a number"),
            ("1 0 0 1", "line 2: 4 values, expected a class with a box"),
            ("1 0 0 1 1 1", "line 2: 6 values, expected"),
            ("1 0 0 1 1 1 1 1", "line 2: 8 values, expected"),
            ("1", "line 2: 1 values, expected"),
            (
                "1 12 0 1 1",
                "line 2: 12 is not a fraction of the image's width",
            ),
            ("1 nan 0 1 1", "line 2: NaN is not a fraction"),
            (
                "1 0 0 -0.005 1",
                "line 2: -0.005 is not the width or the height of a box",
            ),
        ] {
            let file = format!("0 0.5 0.5 1 1\n{line}\n");
            let error = Yolo::parse(file.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let error = Yolo::parse(b"\xff").unwrap_err();
        assert_eq!(*error.kind(), AnnotationErrorKind::NotUtf8);
        let huge = vec![b' '; MAX_YOLO_BYTES as usize + 1];
        let error = Yolo::parse(&huge).unwrap_err();
        assert!(matches!(error.kind(), AnnotationErrorKind::TooLarge { .. }));
    }
}
