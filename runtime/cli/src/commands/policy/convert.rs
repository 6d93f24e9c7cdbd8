use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use faa_policy::Converted;
use faa_system::{log_line, write_whole};
use serde_json::json;

use super::super::read_bounded;
use crate::plugins::PluginOptions;

/// Convert a policy from another program's format.
#[derive(Args)]
#[command(after_help = "\
Supported formats are the list of Fast AutoAugment's published code:
  [[[\"Contrast\", 0.83, 0.5], [\"TranslateX\", 0.42, 0.39]], …]
and the JSON object of a port of it, in which the order of ops is lost:
  {\"0\": {\"Color\": [0.79, 0.55], \"AutoContrast\": [0.01, \"None\"]}, …}

Examples:
  faa-runtime policy convert fa_reduced_cifar10.json reduced-cifar10.json
  faa-runtime policy convert optimal_policy.json mine.json --name cifar10-seed --force")]
pub(crate) struct Convert {
    /// File to convert.
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// Policy file to write.
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Name of the policy [default: OUT without folder and extension].
    #[arg(long, value_name = "N")]
    name: Option<String>,
    /// Overwrite OUT if it exists.
    #[arg(long)]
    force: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    plugins: PluginOptions,
}

impl Convert {
    pub(crate) fn text(self) -> Result<String> {
        let (input, output) = (self.input.display(), self.output.display());
        if self.output.exists() && !self.force {
            bail!("{output} exists: use --force to overwrite it");
        }
        let json = read_bounded(&self.input).with_context(|| format!("cannot read {input}"))?;
        let known = self.plugins.known_ops()?;
        let name = match (self.name, self.output.file_stem()) {
            (Some(name), _) => name,
            (None, Some(stem)) => stem.to_string_lossy().into_owned(),
            (None, None) => bail!("{output} is not a file name"),
        };
        let Converted {
            policy, warnings, ..
        } = faa_policy::convert(&json, &name, &known.ops)
            .with_context(|| format!("cannot convert {input}"))?;
        write_whole(&self.output, policy.to_json().as_bytes())?;
        let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        for warning in &warnings {
            log_line!("warning: {warning}");
        }
        let count = policy.sub_policies().len();
        Ok(if self.json {
            let json = json!({
                "output": self.output.to_string_lossy(), "name": name, "sub_policies": count, "warnings": warnings,
            });
            format!("{json}\n")
        } else {
            format!("{output}: {count} sub-policies\n")
        })
    }
}
