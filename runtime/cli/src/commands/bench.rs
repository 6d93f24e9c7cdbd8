use std::hint::black_box;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use clap::{ArgGroup, Args};
use faa_op::{Call, Channels, ImageMut, ImageRef, Op, Scratch, Stream};
use faa_ops_builtin::{SimdLevel, builtin_ops_at};
use image::imageops::{FilterType, resize};
use serde_json::json;

/// Measure how many images a second an op or a policy makes.
#[derive(Args)]
#[command(
    group = ArgGroup::new("what").required(true).args(["op"]),
    after_help = "\
It goes over 64 different smooth images of low contrast in turn, from the source to a result in
another buffer, the copy included, and tells the best of three rounds. Without --value and
--magnitude an op has the value of the comparison with other libraries: a shear of 0.2, a
translation by 0.3, 20 degrees, a threshold of 128, 5 bits, a factor of 1.4, a cutout of 0.2; other
ops a magnitude of 0.75.

Examples:
  faa-runtime bench --op Rotate --size 224
  faa-runtime bench --op Solarize --value 64 --size 32 --channels 1
  faa-runtime bench --policy autoaugment-cifar10 --size 32 --threads 2 --json"
)]
pub(crate) struct Bench {
    /// An op.
    #[arg(long, value_name = "NAME")]
    op: Option<String>,
    /// Width and height of the images.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16384))]
    size: u32,
    /// 1 (L), 3 (RGB) or 4 (RGBA).
    #[arg(long, value_name = "C", default_value = "3", value_parser = parse_channels)]
    channels: Channels,
    /// How many threads work at once, each on images of its own turn.
    #[arg(long, value_name = "T", default_value = "1")]
    threads: NonZeroUsize,
    /// How long to measure, in seconds.
    #[arg(long, value_name = "S", default_value_t = 0.3)]
    seconds: f64,
    /// The vector instructions to use at most: compiled, avx2, avx512. The best by default.
    #[arg(long, value_name = "LEVEL", value_parser = parse_level)]
    simd: Option<SimdLevel>,
}

const IMAGES: usize = 64;

impl Bench {
    pub(crate) fn run(self) -> Result<()> {
        let level = self.simd.unwrap_or_else(SimdLevel::best);
        let ops = builtin_ops_at(level);
        let name = self.op.clone().unwrap();
        let op = ops.get(&name).ok_or_else(|| anyhow!("no op"))?.clone();
        let value = default_value(op.as_ref());
        let pictures = Pictures::new(self.size, self.channels);
        let rate = self.measure(&pictures, &op, value)?;
        let text = format!("{}\n", json!({"what": name, "size": self.size, "channels": self.channels.count(), "threads": self.threads, "images_per_second": rate.round(), "ns_per_image": (1e9 / rate).round()}));
        io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }

    fn measure(&self, pictures: &Pictures, op: &Arc<dyn Op>, value: f64) -> Result<f64> {
        let mut best = 0.0_f64;
        for _ in 0..3 {
            let start = Instant::now();
            let end = start + Duration::from_secs_f64(self.seconds / 3.0);
            let counts: Vec<usize> = thread::scope(|scope| {
                let run = || {
                    scope.spawn(|| {
                        let mut scratch = Scratch::new();
                        let mut result = vec![0; pictures.samples[0].len()];
                        let mut count = 0;
                        loop {
                            for index in 0..IMAGES {
                                let mut image = ImageMut::new(&mut result, pictures.size, pictures.size, pictures.channels).unwrap();
                                let mut call = Call::new(index as u64, &mut scratch).with_partner(pictures.image((index + 1) % IMAGES));
                                op.apply_from(pictures.image(index), &mut image, value, &mut call).unwrap();
                                black_box(&mut result);
                            }
                            count += IMAGES;
                            if Instant::now() >= end {
                                return count;
                            }
                        }
                    })
                };
                let threads: Vec<_> = (0..self.threads.get()).map(|_| run()).collect();
                threads.into_iter().map(|t| t.join().unwrap()).collect()
            });
            best = best.max(counts.iter().sum::<usize>() as f64 / start.elapsed().as_secs_f64());
        }
        Ok(best)
    }
}

fn default_value(op: &dyn Op) -> f64 {
    match op.spec().name() {
        "ShearX" | "ShearY" | "Cutout" => 0.2,
        "TranslateX" | "TranslateY" => 0.3,
        "Rotate" => 20.0,
        "Solarize" => 128.0,
        "Posterize" => 5.0,
        "Contrast" | "Color" | "Brightness" | "Sharpness" => 1.4,
        _ => op.spec().value_range().map_or(0.0, |range| range.value_at(0.75)),
    }
}

struct Pictures {
    samples: Vec<Vec<u8>>,
    size: usize,
    channels: Channels,
}

impl Pictures {
    fn new(size: u32, channels: Channels) -> Self {
        let small = size / 4 + 1;
        let mut stream = Stream::for_op(0);
        let mut one = || {
            let coarse = image::RgbaImage::from_fn(small, small, |_, _| {
                image::Rgba([(); 4].map(|()| 40 + stream.below(160) as u8))
            });
            let fine = resize(&coarse, size, size, FilterType::CatmullRom);
            fine.pixels()
                .flat_map(|pixel| pixel.0[..channels.count()].to_vec())
                .collect()
        };
        Self {
            samples: (0..IMAGES).map(|_| one()).collect(),
            size: size as usize,
            channels,
        }
    }

    fn image(&self, index: usize) -> ImageRef<'_> {
        ImageRef::new(&self.samples[index], self.size, self.size, self.channels).unwrap()
    }
}

fn parse_channels(text: &str) -> Result<Channels, String> {
    let count = text.parse().ok();
    count.and_then(Channels::from_count).ok_or_else(|| "channels are 1, 3 or 4".to_owned())
}

fn parse_level(text: &str) -> Result<SimdLevel, String> {
    let levels: Vec<SimdLevel> = SimdLevel::available().collect();
    let found = levels.iter().find(|level| level.to_string() == text);
    found.copied().ok_or_else(|| format!("this CPU has {levels:?}"))
}
