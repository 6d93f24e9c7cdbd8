use std::hint::black_box;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use clap::{ArgGroup, Args};
use faa_op::{Call, Channels, DrawKey, ImageMut, ImageRef, Op, Scratch, Stream};
use faa_ops_builtin::{SimdLevel, builtin_ops_at};
use faa_policy::{Executor, Workspace};
use image::imageops::{FilterType, resize};
use image::{Rgba, RgbaImage};
use serde_json::json;

use super::find_policy;
use super::one_op::OneOp;

/// Measure how many images a second an op or a policy makes.
#[derive(Args)]
#[command(
    group = ArgGroup::new("what").required(true).args(["policy", "op"]),
    after_help = "\
It goes over 64 different smooth images of low contrast in turn, from a source to a result in
another buffer, the copy included, and tells the best of three rounds. Without --value and
--magnitude an op has the value at which it is compared with other libraries: a shear of 0.2, a
translation by 0.3, 20 degrees, a threshold of 128, 5 bits, a factor of 1.4, a cutout of 0.2; any
other op a magnitude of 0.75. An op that mixes blends in the next image.

Examples:
  faa-runtime bench --op Rotate --size 224
  faa-runtime bench --op Solarize --value 64 --size 32 --channels 1
  faa-runtime bench --policy autoaugment-cifar10 --size 32 --threads 2 --json"
)]
pub(crate) struct Bench {
    /// A policy: a file, or the name of a shipped one.
    #[arg(long, value_name = "FILE|NAME")]
    policy: Option<String>,
    #[command(flatten)]
    op: OneOp,
    /// Width and height of the images.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    size: u32,
    /// Channels of the images: 1 (L), 3 (RGB) or 4 (RGBA).
    #[arg(long, value_name = "C", default_value = "3", value_parser = parse_channels)]
    channels: Channels,
    /// How many threads work at once.
    #[arg(long, value_name = "T", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: u32,
    /// How long to measure, in seconds.
    #[arg(long, value_name = "S", default_value = "0.3", value_parser = parse_seconds)]
    seconds: f64,
    /// The vector instructions that the op uses: compiled, avx2 or avx512; the best by default.
    #[arg(long, value_name = "LEVEL", conflicts_with = "policy", value_parser = parse_level)]
    simd: Option<SimdLevel>,
    /// Print JSON for programs.
    #[arg(long)]
    json: bool,
}

/// How many images are gone over in turn.
const IMAGES: usize = 64;
/// The best of so many rounds counts, as in the comparison with other libraries.
const ROUNDS: u32 = 3;

impl Bench {
    pub(crate) fn run(self) -> Result<()> {
        let work = self.work()?;
        let pictures = Pictures::new(self.size, self.channels);
        let rate = self.rate(&work, &pictures)?;
        let (size, threads) = (self.size, self.threads);
        let nanoseconds = f64::from(threads) * 1e9 / rate;
        let text = if self.json {
            let facts = json!({
                "what": work.name(),
                "size": size,
                "channels": self.channels.count(),
                "threads": threads,
                "images_per_second": rate.round() as u64,
                "ns_per_image": nanoseconds.round() as u64,
            });
            format!("{facts}\n")
        } else {
            format!(
                "{} at {size}×{size}×{}, {threads} thread(s): {rate:.0} images/s, {nanoseconds:.0} ns \
                 an image on each\n",
                work.name(),
                self.channels.count(),
            )
        };
        io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }

    fn work(&self) -> Result<Work> {
        let ops = builtin_ops_at(self.simd.unwrap_or_else(SimdLevel::best));
        if let Some(policy) = &self.policy {
            let executor = Executor::new(&find_policy(policy)?, &ops)
                .with_context(|| format!("cannot apply the policy {policy}"))?;
            return Ok(Work::Policy(policy.clone(), executor));
        }
        let op = self.op.find(&ops)?;
        let value = match self.op.stated_value(op.as_ref())? {
            Some(value) => value,
            None => default_value(op.as_ref()),
        };
        Ok(Work::Op(op, value))
    }

    /// Images per second of all threads together.
    fn rate(&self, work: &Work, pictures: &Pictures) -> Result<f64> {
        let round = Duration::from_secs_f64(self.seconds / f64::from(ROUNDS));
        let mut best = 0.0_f64;
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let counts = thread::scope(|scope| {
                let repeat = || work.repeat(pictures, start + round);
                let threads = (0..self.threads)
                    .map(|_| thread::Builder::new().spawn_scoped(scope, repeat))
                    .collect::<io::Result<Vec<_>>>()
                    .context("cannot start so many threads")?;
                let counts = threads.into_iter().map(|thread| {
                    thread
                        .join()
                        .map_err(|_| anyhow!("a thread of the measurement panicked"))?
                });
                counts.sum::<Result<usize>>()
            })?;
            best = best.max(counts as f64 / start.elapsed().as_secs_f64());
        }
        Ok(best)
    }
}

/// What is measured.
enum Work {
    Op(Arc<dyn Op>, f64),
    Policy(String, Executor),
}

impl Work {
    fn name(&self) -> &str {
        match self {
            Self::Op(op, _) => op.spec().name(),
            Self::Policy(name, _) => name,
        }
    }

    /// Goes over all images until the time is up, and tells how many it made.
    fn repeat(&self, pictures: &Pictures, end: Instant) -> Result<usize> {
        let sources: Vec<ImageRef<'_>> = (0..IMAGES).map(|index| pictures.image(index)).collect();
        let mut result = pictures.samples[0].clone();
        let (mut scratch, mut workspace) = (Scratch::new(), Workspace::new());
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
                        let paired = executor.with_partners(&sources);
                        paired.apply_to(source, &mut image, key, &mut workspace)?;
                    }
                }
                black_box(image.samples());
                count += 1;
            }
        }
        Ok(count)
    }
}

/// The values at which ops are compared with other libraries.
fn default_value(op: &dyn Op) -> f64 {
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

/// Smooth images of low contrast, about 30 … 210, so that no op leaves them as they are.
struct Pictures {
    samples: Vec<Vec<u8>>,
    size: usize,
    channels: Channels,
}

impl Pictures {
    fn new(size: u32, channels: Channels) -> Self {
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
            .expect("pictures have the shape that they were made with")
    }
}

fn parse_channels(text: &str) -> Result<Channels, String> {
    let channels = text.parse().ok().and_then(Channels::from_count);
    channels.ok_or_else(|| "it is 1, 3 or 4".to_owned())
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok();
    seconds
        .filter(|seconds| (0.0..=3600.0).contains(seconds))
        .ok_or_else(|| "it is a number from 0 to 3600".to_owned())
}

fn parse_level(text: &str) -> Result<SimdLevel, String> {
    let mut levels = SimdLevel::available();
    levels
        .find(|level| level.to_string() == text)
        .ok_or_else(|| {
            let levels: Vec<_> = SimdLevel::available()
                .map(|level| level.to_string())
                .collect();
            format!("this CPU has {}", levels.join(", "))
        })
}

#[cfg(test)]
mod tests {
    use faa_ops_builtin::builtin_ops;

    use super::*;

    /// Those of `ops-builtin/benches/compare.py`.
    #[test]
    fn default_values_are_those_of_the_comparison() {
        let values = [
            ("ShearX", 0.2),
            ("ShearY", 0.2),
            ("TranslateX", 0.3),
            ("TranslateY", 0.3),
            ("Rotate", 20.0),
            ("Solarize", 128.0),
            ("Posterize", 5.0),
            ("Contrast", 1.4),
            ("Color", 1.4),
            ("Brightness", 1.4),
            ("Sharpness", 1.4),
            ("Cutout", 0.2),
            ("Invert", 0.0),
            ("CropPad", 12.0),
        ];
        let ops = builtin_ops();
        for (name, value) in values {
            assert_eq!(
                default_value(ops.get(name).unwrap().as_ref()),
                value,
                "{name}"
            );
        }
    }
}
