use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use faa_op::{Channels, Op};
use serde_json::{Value, json};

use super::print;
use crate::measure::{Pictures, Work, default_value, rate};
use crate::plugins::Allowance;
use crate::table::{render, table};

/// Measure how many images a second each op of a plugin makes.
#[derive(Args)]
#[command(after_help = "\
It measures as `faa-runtime bench` does: RGB images, from a source to a result in another buffer.

Examples:
  faa-runtime plugin bench vignette.wasm
  faa-runtime plugin bench vignette.wasm --size 512 --json")]
pub(crate) struct Bench {
    /// The plugin.
    file: PathBuf,
    /// Widths and heights of the images, separated by commas.
    #[arg(long = "size", value_name = "N,…", value_delimiter = ',', default_value = "32,224",
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    sizes: Vec<u32>,
    /// Print JSON for programs.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    allowance: Allowance,
}

/// How long each figure is measured.
const SECONDS: f64 = 0.3;

impl Bench {
    pub(crate) fn run(self) -> Result<()> {
        let host = self.allowance.host()?;
        let plugin = host
            .load_path(&self.file, self.allowance.native())
            .with_context(|| format!("the plugin {} cannot be used", self.file.display()))?;
        let mut rows: Vec<Value> = Vec::new();
        let mut table = table(&["op", "value", "size", "images/s", "ns an image"]);
        for size in self.sizes {
            let pictures = Pictures::new(size, Channels::Rgb);
            for op in plugin.ops() {
                let value = default_value(op.as_ref());
                let work = Work::Op(op.clone(), value);
                let rate = rate(&work, &pictures, 1, SECONDS)?;
                let (name, nanoseconds) = (op.spec().name(), (1e9 / rate).round() as u64);
                rows.push(json!({
                    "what": name, "size": size, "channels": 3, "threads": 1,
                    "images_per_second": rate.round() as u64, "ns_per_image": nanoseconds,
                }));
                let figures = [format!("{value}"), format!("{size}×{size}")];
                let [value, size] = figures;
                table.add_row([
                    name.to_owned(),
                    value,
                    size,
                    format!("{rate:.0}"),
                    nanoseconds.to_string(),
                ]);
            }
        }
        if self.json {
            return print(&format!("{:#}\n", Value::from(rows)));
        }
        print(&render(&table))
    }
}
