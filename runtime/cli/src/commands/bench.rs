mod all;
mod record;

use std::path::PathBuf;

use anyhow::Result;
use clap::{ArgGroup, Args};
use faa_data::MAX_SIDE;
use faa_op::Channels;
use faa_ops_builtin::{SimdLevel, builtin_ops_at};

use super::one_op::OneOp;
use super::{find_policy, print};
use crate::arguments::in_range;
use crate::measure::{Pictures, Workload, as_json, default_value, nanoseconds, rate};
use crate::plugins::{KnownOps, PluginOptions};

/// Measure the throughput of an op, a policy or all ops, in images per second.
#[derive(Args)]
#[command(
    group = ArgGroup::new("what").required(true).args(["policy", "op", "all"]),
    after_help = "\
The measurement cycles through 64 smooth, low-contrast images, writes results to a separate buffer,
and reports the fastest of three rounds. An op that needs a partner image gets the next image.

--all measures all ops and AutoAugment's policy for CIFAR-10, at 32×32 and 224×224 pixels unless
--size is given, and reports the median of seven rounds, the slowest and the fastest. Its JSON
names the processor and the versions. --compare shows the medians before and now, and calls a rate
changed if the slowest round of one measurement was faster than the fastest of the other.

Default values are those of the comparison with other libraries: ShearX, ShearY and Cutout 0.2;
TranslateX and TranslateY 0.3; Rotate 20 degrees; Solarize 128; Posterize 5 bits; Contrast, Color,
Brightness and Sharpness 1.4. Other ops have magnitude 0.75.

Examples:
  faa-runtime bench --op Rotate --size 224
  faa-runtime bench --op Solarize --value 64 --size 32 --channels 1
  faa-runtime bench --policy autoaugment-cifar10 --size 32 --threads 2 --json
  faa-runtime bench --all --json > before.json
  faa-runtime bench --all --compare before.json"
)]
pub(crate) struct Bench {
    /// Policy file, or name of a shipped policy (`faa-runtime policy list`).
    #[arg(long, value_name = "FILE|NAME")]
    policy: Option<String>,
    #[command(flatten)]
    op: OneOp,
    /// All ops, those of plugins too, and AutoAugment's policy for CIFAR-10.
    #[arg(long)]
    all: bool,
    /// JSON of an earlier `bench --all` to compare with.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["policy", "op"])]
    compare: Option<PathBuf>,
    /// Width and height of the images, in pixels, from 1 to 4096.
    #[arg(long, value_name = "N", required_unless_present = "all", value_parser = in_range(1..=MAX_SIDE))]
    size: Option<u32>,
    /// Number of channels of the images: 1 (L), 3 (RGB) or 4 (RGBA).
    #[arg(long, value_name = "C", default_value = "3", value_parser = parse_channels)]
    channels: Channels,
    /// Number of threads, from 1 to 1024.
    #[arg(long, value_name = "T", default_value_t = 1, value_parser = in_range(1..=1024_u32))]
    threads: u32,
    /// Duration of the measurement, with --all of each, in seconds, from 0 to 3600.
    #[arg(long, value_name = "S", default_value_t = 0.3, value_parser = in_range(0.0..=3600.0))]
    seconds: f64,
    /// SIMD instructions that built-in ops use: compiled, and avx2 or avx512, or neon on Arm [default: best
    /// available].
    #[arg(long, value_name = "LEVEL", value_parser = parse_level)]
    simd: Option<SimdLevel>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    plugins: PluginOptions,
}

impl Bench {
    pub(crate) fn run(self) -> Result<()> {
        let level = self.simd.unwrap_or_else(SimdLevel::best);
        let known = self.plugins.known_ops_with(builtin_ops_at(level))?;
        let Some(size) = self.size.filter(|_| !self.all) else {
            return self.measure_all(&known, level);
        };
        let workload = self.workload(&known, level)?;
        let pictures = Pictures::new(size, self.channels);
        let rate = rate(&workload, &pictures, self.threads, self.seconds)?;
        let text = if self.json {
            format!("{}\n", as_json(&workload, &pictures, self.threads, rate))
        } else {
            let (name, threads, channels) = (workload.name(), self.threads, self.channels.count());
            let nanoseconds = nanoseconds(rate, threads);
            format!(
                "{name} at {size}×{size}×{channels}, {threads} thread(s): {rate:.0} images/s, \
                 {nanoseconds} ns per image and thread\n"
            )
        };
        print(&text)
    }

    fn workload(&self, known: &KnownOps, level: SimdLevel) -> Result<Workload> {
        match &self.policy {
            Some(policy) => policy_workload(known, policy, level),
            None => {
                let op = self.op.find(&known.ops)?;
                let stated = self.op.stated_value(op.as_ref())?;
                let value = stated.unwrap_or_else(|| default_value(op.as_ref()));
                Ok(Workload::Op(op, value))
            }
        }
    }
}

fn policy_workload(known: &KnownOps, policy: &str, level: SimdLevel) -> Result<Workload> {
    let executor = known.executor(&find_policy(policy)?, policy)?;
    Ok(Workload::Policy(
        policy.to_owned(),
        executor.limited_to(level),
    ))
}

fn parse_channels(text: &str) -> Result<Channels, String> {
    let channels = text.parse().ok().and_then(Channels::from_count);
    channels.ok_or_else(|| "must be 1, 3 or 4".to_owned())
}

fn parse_level(text: &str) -> Result<SimdLevel, String> {
    let mut levels = SimdLevel::available();
    levels
        .find(|level| level.to_string() == text)
        .ok_or_else(|| {
            let levels: Vec<_> = SimdLevel::available()
                .map(|level| level.to_string())
                .collect();
            format!("this CPU supports {}", levels.join(", "))
        })
}
