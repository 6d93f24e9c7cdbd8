use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use faa_search::event::Event;
use faa_search::protocol::Request;
use serde_json::json;

use super::training::{DATA_SETS, check_data};
use super::work::{HardwareOptions, print_line, talk};
use crate::table::{render, table};

/// Measure the error of trained networks on a test split.
#[derive(Args)]
#[command(after_help = format!("\
A network's file says what the network is, its classes, and the size and normalisation of its images;
so any data set of the same classes and size can be used. Of a run directory, all final networks are measured.

{DATA_SETS}

Examples:
  faa-runtime eval runs/glyphs --data glyphs:1
  faa-runtime eval runs/pets/final/policy-0/network.safetensors --data folder:other-pets --image-size 32"))]
pub(crate) struct Eval {
    /// Files of networks, or run directories.
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<PathBuf>,
    /// The data set: glyphs, folder:DIR, tar:FILE, cifar10:DIR, or cifar100:DIR.
    #[arg(long, value_name = "SPEC")]
    data: String,
    /// Scale and crop all images to squares of this side.
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=4096))]
    image_size: Option<u32>,
    /// Print a line of JSON for every network.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    resources: HardwareOptions,
}

impl Eval {
    pub(crate) fn run(self) -> Result<()> {
        check_data(&self.data)?;
        let mut networks = Vec::new();
        for path in &self.networks {
            networks.extend(networks_in(path)?);
        }
        let request = Request::Evaluate {
            networks,
            data: self.data.clone(),
            image_size: self.image_size,
            resources: self.resources.resources(None),
        };
        let mut table = table(&["network", "test error", "loss"]);
        talk(&request, None, |event| {
            let Event::Evaluated { file, evaluation } = event else {
                return Ok(());
            };
            if self.json {
                let line = json!({
                    "network": file, "error": evaluation.error, "loss": evaluation.loss
                });
                return print_line(&line.to_string());
            }
            table.add_row([
                file.display().to_string(),
                format!("{:.2} %", 100.0 * evaluation.error),
                format!("{:.4}", evaluation.loss),
            ]);
            Ok(())
        })?;
        if !self.json {
            print_line(render(&table).trim_end())?;
        }
        Ok(())
    }
}

/// A network's file itself, or those of the final trainings of a run.
fn networks_in(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let final_trainings = path.join("final");
    let entries = final_trainings.read_dir().with_context(|| {
        format!(
            "{} has no final trainings: there is no {}",
            path.display(),
            final_trainings.display()
        )
    })?;
    let mut found = Vec::new();
    for entry in entries {
        let file = entry?.path().join("network.safetensors");
        if file.exists() {
            found.push(file);
        }
    }
    if found.is_empty() {
        bail!("{} holds no trained network yet", final_trainings.display());
    }
    found.sort();
    Ok(found)
}
