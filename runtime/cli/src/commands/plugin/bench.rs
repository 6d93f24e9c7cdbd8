use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use faa_data::MAX_SIDE;
use faa_op::Channels;
use serde_json::Value;

use super::super::print;
use crate::arguments::in_range;
use crate::measure::{Pictures, Workload, as_json, default_value, rate};
use crate::plugins::PluginLimits;
use crate::table::{render, table};

/// Measure the throughput of each op of a plugin, in images per second.
#[derive(Args)]
#[command(after_help = "\
Ops are measured as by `faa-runtime bench`, with RGB images, default values and one thread.

Examples:
  faa-runtime plugin bench vignette.wasm
  faa-runtime plugin bench vignette.wasm --size 512 --json")]
pub(crate) struct Bench {
    /// Plugin file.
    file: PathBuf,
    /// Width and height of the images, in pixels, from 1 to 4096; separate several sizes by commas.
    #[arg(long = "size", value_name = "N,…", value_delimiter = ',', default_value = "32,224",
          value_parser = in_range(1..=MAX_SIDE))]
    sizes: Vec<u32>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    limits: PluginLimits,
}

/// The duration of each measurement, in seconds.
const SECONDS: f64 = 0.3;

impl Bench {
    pub(crate) fn run(self) -> Result<()> {
        let host = self.limits.host()?;
        let plugin = host
            .load_path(&self.file, self.limits.native())
            .with_context(|| format!("cannot load the plugin {}", self.file.display()))?;
        let mut rows: Vec<Value> = Vec::new();
        let mut table = table(&["op", "value", "size", "images/s", "ns/image"]);
        for size in self.sizes {
            let pictures = Pictures::new(size, Channels::Rgb);
            for op in plugin.ops() {
                let value = default_value(op.as_ref());
                let workload = Workload::Op(op.clone(), value);
                let rate = rate(&workload, &pictures, 1, SECONDS)?;
                rows.push(as_json(&workload, &pictures, 1, rate));
                table.add_row([
                    workload.name().to_owned(),
                    value.to_string(),
                    format!("{size}×{size}"),
                    format!("{rate:.0}"),
                    format!("{:.0}", 1e9 / rate),
                ]);
            }
        }
        if self.json {
            return print(&format!("{:#}\n", Value::from(rows)));
        }
        print(&render(&table))
    }
}
