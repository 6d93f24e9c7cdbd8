use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use faa_search::event::Event;
use faa_search::layout::{Layout, TrainingId};
use faa_search::protocol::Request;
use faa_search::statistics::percent;
use serde_json::json;

use super::execution::{HardwareOptions, Jobs, send};
use super::print;
use super::training::{DATA_SETS, parse_data};
use crate::arguments::{check_utf8, in_range};
use crate::table::{render, table};

/// Measure the test error and loss of trained networks.
#[derive(Args)]
#[command(after_help = format!("\
The data set must have the network's classes and image size. A network file records both, and how
images are normalised.

{DATA_SETS}

Examples:
  faa-runtime eval runs/glyphs --data glyphs:1
  faa-runtime eval runs/pets/final/policy-0/network.safetensors \\
      --data folder:other-pets --image-size 32"))]
pub(crate) struct Eval {
    /// Network files; for a run directory, the networks of its final trainings.
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<PathBuf>,
    /// Data set: glyphs, folder:DIR, tar:FILE, cifar10:DIR or cifar100:DIR.
    #[arg(long, value_name = "SPEC")]
    data: String,
    /// Crop all images to centred squares and resize them to this side, in pixels [default: keep their
    /// size].
    #[arg(long, value_name = "PIXELS", value_parser = in_range(1..=faa_data::MAX_SIDE))]
    image_size: Option<u32>,
    /// Print JSON, one line per network.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    hardware: HardwareOptions,
}

impl Eval {
    pub(crate) fn run(self) -> Result<()> {
        parse_data(&self.data)?;
        let mut networks = Vec::new();
        for path in &self.networks {
            check_utf8("NETWORK", path)?;
            networks.extend(networks_in(path)?);
        }
        let request = Request::Evaluate {
            networks,
            data: self.data.clone(),
            image_size: self.image_size,
            resources: self.hardware.resources(Jobs::Auto)?,
        };
        let mut table = table(&["network", "test error", "loss"]);
        send(&request, None, false, |event| {
            let Event::Evaluated { file, evaluation } = event else {
                return Ok(());
            };
            if self.json {
                let line = json!({
                    "network": file, "error": evaluation.error, "loss": evaluation.loss
                });
                return print(&format!("{line}\n"));
            }
            table.add_row([
                file.display().to_string(),
                percent(evaluation.error, 2),
                format!("{:.4}", evaluation.loss),
            ]);
            Ok(())
        })?;
        if !self.json {
            print(&render(&table))?;
        }
        Ok(())
    }
}

/// The network file itself, or those of a run's final trainings.
fn networks_in(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let layout = Layout::new(path);
    let is_final = |id: &TrainingId| matches!(id, TrainingId::Final { .. });
    let trainings = layout.trainings()?.into_iter().filter(is_final);
    let networks = trainings.map(|id| layout.training(id).network());
    let found: Vec<PathBuf> = networks.filter(|file| file.exists()).collect();
    if found.is_empty() {
        bail!(
            "{} has no trained network of a final training",
            path.display()
        );
    }
    Ok(found)
}
