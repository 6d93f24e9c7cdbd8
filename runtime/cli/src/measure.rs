//! Measurement of the throughput of ops and policies.

use std::hint::black_box;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use faa_op::{Call, Channels, DrawKey, ImageMut, ImageRef, Op, Scratch, Stream};
use faa_policy::{Executor, Workspace};
use image::imageops::{FilterType, resize};
use image::{Rgba, RgbaImage};
use serde_json::{Value, json};

/// The number of different images.
const IMAGES: usize = 64;
/// The number of rounds of [`rate`], as in the comparison with other libraries.
const ROUNDS: u32 = 3;

/// Images per second of the fastest of three rounds, of all threads together.
pub(crate) fn rate(
    workload: &Workload,
    pictures: &Pictures,
    threads: u32,
    seconds: f64,
) -> Result<f64> {
    let rates = rates(workload, pictures, threads, ROUNDS, seconds)?;
    Ok(rates.last().copied().unwrap_or_default())
}

/// Images per second of each of some rounds, of all threads together, from the slowest to the fastest.
/// `seconds` is the duration of all.
pub(crate) fn rates(
    workload: &Workload,
    pictures: &Pictures,
    threads: u32,
    rounds: u32,
    seconds: f64,
) -> Result<Vec<f64>> {
    let round = Duration::from_secs_f64(seconds / f64::from(rounds));
    let mut rates = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        let counts = thread::scope(|scope| {
            let repeat = || workload.repeat(pictures, start + round);
            let started = (0..threads)
                .map(|_| thread::Builder::new().spawn_scoped(scope, repeat))
                .collect::<io::Result<Vec<_>>>()
                .with_context(|| format!("cannot start {threads} threads"))?;
            let counts = started.into_iter().map(|thread| {
                thread
                    .join()
                    .map_err(|_| anyhow!("a thread panicked during the measurement"))?
            });
            counts.sum::<Result<usize>>()
        })?;
        rates.push(counts as f64 / start.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    Ok(rates)
}

/// A rate, in images per second, as JSON.
pub(crate) fn as_json(workload: &Workload, pictures: &Pictures, threads: u32, rate: f64) -> Value {
    json!({
        "what": workload.name(),
        "size": pictures.size,
        "channels": pictures.channels.count(),
        "threads": threads,
        "images_per_second": rate.round() as u64,
        "ns_per_image": nanoseconds(rate, threads),
    })
}

/// Nanoseconds per image and thread at a rate of all threads together.
pub(crate) fn nanoseconds(rate: f64, threads: u32) -> u64 {
    (f64::from(threads) * 1e9 / rate).round() as u64
}

/// What is measured.
pub(crate) enum Workload {
    Op(Arc<dyn Op>, f64),
    Policy(String, Executor),
}

impl Workload {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Op(op, _) => op.spec().name(),
            Self::Policy(name, _) => name,
        }
    }

    /// Cycles through the images until `end`, and returns how many it has augmented.
    fn repeat(&self, pictures: &Pictures, end: Instant) -> Result<usize> {
        let sources: Vec<ImageRef<'_>> = (0..IMAGES).map(|index| pictures.image(index)).collect();
        let mut result = pictures.samples[0].clone();
        let (mut scratch, mut workspace) = (Scratch::new(), Workspace::with_partners(&sources));
        let mut count = 0_usize;
        while count == 0 || Instant::now() < end {
            for (index, &source) in sources.iter().enumerate() {
                let size = pictures.size;
                let mut image = ImageMut::new(&mut result, size, size, pictures.channels)?;
                match self {
                    Self::Op(op, value) => {
                        let partner = sources[(index + 1) % IMAGES];
                        let mut call = Call::new(count as u64, &mut scratch).with_partner(partner);
                        op.apply_from(source, &mut image, *value, &mut call)?;
                    }
                    Self::Policy(_, executor) => {
                        let key = DrawKey {
                            seed: 0,
                            epoch: 0,
                            index: count as u64,
                        };
                        executor.apply_to(source, &mut image, key, &mut workspace)?;
                    }
                }
                black_box(image.samples());
                count += 1;
            }
        }
        Ok(count)
    }
}

/// The value that an op has in the comparison with other libraries; of other ops, magnitude 0.75.
pub(crate) fn default_value(op: &dyn Op) -> f64 {
    match op.spec().name() {
        "ShearX" | "ShearY" | "Cutout" => 0.2,
        "TranslateX" | "TranslateY" => 0.3,
        "Rotate" => 20.0,
        "Solarize" => 128.0,
        "Posterize" => 5.0,
        "Contrast" | "Color" | "Brightness" | "Sharpness" => 1.4,
        _ => (op.spec().value_range()).map_or(0.0, |range| range.value_at(0.75)),
    }
}

/// Smooth images of low contrast, with samples of about 30 … 210, so that every op changes them.
pub(crate) struct Pictures {
    samples: Vec<Vec<u8>>,
    size: usize,
    channels: Channels,
}

impl Pictures {
    pub(crate) fn new(size: u32, channels: Channels) -> Self {
        let mut stream = Stream::for_op(0);
        let mut picture = || {
            let coarse = size / 4 + 1;
            let mut level = || 40 + stream.below(160) as u8;
            let coarse = RgbaImage::from_fn(coarse, coarse, |_, _| {
                Rgba([level(), level(), level(), level()])
            });
            let fine = resize(&coarse, size, size, FilterType::CatmullRom);
            fine.pixels()
                .flat_map(|pixel| pixel.0.into_iter().take(channels.count()))
                .collect()
        };
        Self {
            samples: (0..IMAGES).map(|_| picture()).collect(),
            size: size as usize,
            channels,
        }
    }

    fn image(&self, index: usize) -> ImageRef<'_> {
        ImageRef::new(&self.samples[index], self.size, self.size, self.channels)
            .expect("pictures have the shape that they were created with")
    }
}

#[cfg(test)]
mod tests {
    use faa_ops_builtin::builtin_ops;

    use super::*;

    /// The values are those of `ops-builtin/benches/compare.py`.
    #[test]
    fn default_values_are_those_of_the_comparison() {
        let ops = builtin_ops();
        for (names, value) in [
            ("ShearX ShearY Cutout", 0.2),
            ("TranslateX TranslateY", 0.3),
            ("Rotate", 20.0),
            ("Solarize", 128.0),
            ("Posterize", 5.0),
            ("Contrast Color Brightness Sharpness", 1.4),
            ("Invert", 0.0),
            ("CropPad", 12.0),
        ] {
            for name in names.split(' ') {
                let op = ops.get(name).unwrap();
                assert_eq!(default_value(op.as_ref()), value, "{name}");
            }
        }
    }
}
