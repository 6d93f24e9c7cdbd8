//! Test images that Rust and Python generate identically, so that a test case is a line of text.
//!
//! The Python version is `tests/oracle/pictures.py`; both are checked against `tests/oracle/known.txt`. An
//! image is generated from the random bytes SHAKE-128 of `faa <kind> <seed>`: first 32 bytes of parameters,
//! of which each channel uses eight, then the samples.

use std::array;
use std::fmt;

use faa_op::Channels;
use sha2::{Digest, Sha256};
use sha3::Shake128;
use sha3::digest::{ExtendableOutput, Update, XofReader};

use crate::ways::Picture;

/// The content of a test image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Uniform noise of all levels.
    Noise,
    /// Noise within a range of levels, which differs between channels.
    Narrow,
    /// Noise of at most four levels per channel.
    Few,
    /// Levels that increase linearly to the right and downwards.
    Gradient,
    /// A gradient with a little noise, the kind most similar to photographs.
    Grain,
    /// One colour.
    Constant,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Noise,
        Self::Narrow,
        Self::Few,
        Self::Gradient,
        Self::Grain,
        Self::Constant,
    ];

    /// The kind's name in files of cases.
    pub fn name(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::Narrow => "narrow",
            Self::Few => "few",
            Self::Gradient => "gradient",
            Self::Grain => "grain",
            Self::Constant => "constant",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The number of random bytes that are parameters.
const HEAD: usize = 32;

/// What a test image is generated from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The content.
    pub kind: Kind,
    /// The seed; images of different seeds differ.
    pub seed: u64,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// The channels of a pixel.
    pub channels: Channels,
}

impl Source {
    /// Reads a source from the words of a case.
    pub fn parse(kind: &str, seed: &str, width: &str, height: &str, mode: &str) -> Option<Self> {
        Some(Self {
            kind: Kind::from_name(kind)?,
            seed: seed.parse().ok()?,
            width: width.parse().ok()?,
            height: height.parse().ok()?,
            channels: channels_of(mode)?,
        })
    }

    /// The image.
    pub fn picture(&self) -> Picture {
        Picture {
            samples: samples_of(*self),
            width: self.width,
            height: self.height,
            channels: self.channels,
        }
    }

    /// A partner image for ops that mix images: number 0, 1, ….
    pub fn partner(&self, number: u64) -> Picture {
        let seed = self.seed.wrapping_add(1).wrapping_add(number);
        let kind = Kind::Noise;
        Self {
            kind,
            seed,
            ..*self
        }
        .picture()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self { kind, seed, .. }, mode) = (self, mode_of(self.channels));
        write!(f, "{}x{} {mode} {kind} {seed}", self.width, self.height)
    }
}

fn samples_of(source: Source) -> Vec<u8> {
    let Source {
        kind,
        seed,
        width,
        height,
        channels,
    } = source;
    let mut bytes = random_bytes(kind, seed);
    let mut head = [0; HEAD];
    bytes.read(&mut head);
    let (heads, _) = head.as_chunks::<8>();
    let heads = &heads[..channels.count()];
    let mut noise = || {
        let mut samples = vec![0; width * height * channels.count()];
        bytes.read(&mut samples);
        samples
    };
    match kind {
        Kind::Noise => noise(),
        Kind::Narrow => by_channel(noise(), heads, narrow),
        Kind::Few => by_channel(noise(), heads, few),
        Kind::Gradient => gradient(heads, width, height),
        Kind::Grain => gradient(heads, width, height)
            .into_iter()
            .zip(noise())
            .map(|(smooth, rough)| (u16::from(smooth) * 15 / 16) as u8 + rough / 16)
            .collect(),
        Kind::Constant => {
            let color: Vec<u8> = heads.iter().map(|head| head[0]).collect();
            color.repeat(width * height)
        }
    }
}

/// The digest that files of cases contain instead of an image: 16 hexadecimal digits of its SHA-256.
pub fn digest(samples: &[u8]) -> String {
    let hash: [u8; 32] = Sha256::digest(samples).into();
    hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Pillow's name of these channels.
pub fn mode_of(channels: Channels) -> &'static str {
    match channels {
        Channels::L => "L",
        Channels::Rgb => "RGB",
        Channels::Rgba => "RGBA",
    }
}

/// The channels with this name in Pillow.
pub fn channels_of(mode: &str) -> Option<Channels> {
    [Channels::L, Channels::Rgb, Channels::Rgba]
        .into_iter()
        .find(|&channels| mode_of(channels) == mode)
}

fn random_bytes(kind: Kind, seed: u64) -> impl XofReader {
    let mut shake = Shake128::default();
    shake.update(format!("faa {kind} {seed}").as_bytes());
    shake.finalize_xof()
}

/// Maps the samples of each channel by a table that is computed from the channel's parameters.
fn by_channel(
    mut samples: Vec<u8>,
    heads: &[[u8; 8]],
    level: impl Fn(&[u8; 8], usize) -> u8,
) -> Vec<u8> {
    let table = |head| array::from_fn(|old| level(head, old));
    let tables: Vec<[u8; 256]> = heads.iter().map(table).collect();
    for pixel in samples.chunks_exact_mut(heads.len()) {
        for (sample, table) in pixel.iter_mut().zip(&tables) {
            *sample = table[usize::from(*sample)];
        }
    }
    samples
}

/// Maps all levels to a range whose ends are two parameters.
fn narrow(head: &[u8; 8], level: usize) -> u8 {
    let (low, high) = (head[0].min(head[1]), head[0].max(head[1]));
    low + (level * (usize::from(high - low) + 1) / 256) as u8
}

/// Maps all levels to one to four levels.
fn few(head: &[u8; 8], level: usize) -> u8 {
    let count = 1 + usize::from(head[4] % 4);
    head[level % count]
}

/// Levels that increase by up to 4 per pixel, and start again from 0 after 255.
fn gradient(heads: &[[u8; 8]], width: usize, height: usize) -> Vec<u8> {
    let moved = |along: usize, by: u8| (along * usize::from(by) / 64) as u8;
    let mut samples = Vec::new();
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        let level = |head: &[u8; 8]| head[0].wrapping_add(moved(x, head[1]));
        let down = moved(y, heads[0][2]);
        samples.extend(heads.iter().map(|head| level(head).wrapping_add(down)));
    }
    samples
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use faa_op::Stream;

    use super::*;

    fn source(
        kind: Kind,
        seed: u64,
        (width, height): (usize, usize),
        channels: Channels,
    ) -> Source {
        Source {
            kind,
            seed,
            width,
            height,
            channels,
        }
    }

    #[test]
    fn rust_and_python_generate_the_same_images_and_numbers() {
        let mut seen = BTreeSet::new();
        let lines = include_str!("../oracle/known.txt").lines();
        for line in lines.filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split(' ').collect();
            let found = match words[..] {
                ["stream", seed, _] => {
                    let mut stream = Stream::for_op(seed.parse().unwrap());
                    let (word, unit) = (stream.next_u32(), stream.unit());
                    format!("{word},{unit},{}", stream.below((1 << 63) + 1))
                }
                [kind, seed, width, height, mode, _] => {
                    let source = Source::parse(kind, seed, width, height, mode).unwrap();
                    digest(&source.picture().samples)
                }
                _ => panic!("not a case: {line}"),
            };
            assert_eq!(Some(found.as_str()), words.last().copied(), "{line}");
            seen.insert(words[0]);
        }
        assert_eq!(seen.len(), 1 + Kind::ALL.len(), "{seen:?}");
    }

    #[test]
    fn kinds_have_the_described_levels() {
        let levels = |kind, seed| -> BTreeSet<u8> {
            let samples = source(kind, seed, (200, 100), Channels::L)
                .picture()
                .samples;
            samples.into_iter().collect()
        };
        assert_eq!(levels(Kind::Noise, 1).len(), 256);
        for seed in 0..20 {
            assert!((1..=4).contains(&levels(Kind::Few, seed).len()));
            assert_eq!(levels(Kind::Constant, seed).len(), 1);
            let narrow = levels(Kind::Narrow, seed);
            let span = narrow.last().unwrap() - narrow.first().unwrap();
            assert_eq!(narrow.len(), usize::from(span) + 1);
        }
        let row = source(Kind::Gradient, 3, (50, 1), Channels::L)
            .picture()
            .samples;
        let mut pairs = row.array_windows();
        assert!(pairs.all(|[one, next]| next.wrapping_sub(*one) <= 4));
    }

    #[test]
    fn partners_differ_from_the_image_and_from_each_other() {
        let source = source(Kind::Noise, 5, (4, 4), Channels::Rgb);
        let (image, partners) = (
            source.picture(),
            [0, 1].map(|number| source.partner(number)),
        );
        assert!(image != partners[0] && partners[0] != partners[1]);
    }
}
