use std::io::{self, Write};

use anyhow::Result;
use clap::{ArgGroup, Args};
use faa_op::Channels;
use faa_ops_builtin::{SimdLevel, builtin_ops_at};
use serde_json::json;

use super::find_policy;
use super::one_op::OneOp;
use crate::measure::{Pictures, Work, default_value, rate};
use crate::plugins::PluginOptions;

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
    #[command(flatten)]
    plugins: PluginOptions,
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

impl Bench {
    pub(crate) fn run(self) -> Result<()> {
        let work = self.work()?;
        let pictures = Pictures::new(self.size, self.channels);
        let rate = rate(&work, &pictures, self.threads, self.seconds)?;
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
        let level = self.simd.unwrap_or_else(SimdLevel::best);
        let known = self.plugins.known_ops_with(builtin_ops_at(level))?;
        if let Some(policy) = &self.policy {
            let executor = known.executor(&find_policy(policy)?, policy)?;
            return Ok(Work::Policy(policy.clone(), executor));
        }
        let op = self.op.find(&known.ops)?;
        let value = match self.op.stated_value(op.as_ref())? {
            Some(value) => value,
            None => default_value(op.as_ref()),
        };
        Ok(Work::Op(op, value))
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
