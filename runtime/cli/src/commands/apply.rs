use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use clap::{ArgGroup, Args};
use faa_op::{Call, DrawKey, ImageMut, Op, Scratch, Stream};
use faa_ops_builtin::builtin_ops;
use faa_policy::{Executor, Plan, PlannedStep, Workspace, nearest_name};
use faa_search::write_whole;
use serde_json::{Value, json};

use super::{Usage, find_policy};
use crate::pictures::{ContactSheet, Picture};

/// Apply a policy or a single op to image files, and write PNG files.
#[derive(Args)]
#[command(
    group = ArgGroup::new("what").required(true).args(["policy", "op"]),
    after_help = "\
Outputs are named like their inputs: cat.jpg becomes cat.png. Nothing is written where two inputs
would share an output, or where an output exists and --force is not given.

Examples:
  faa-runtime apply --policy runs/demo/policy.json --seed 7 cat.jpg dog.png --out augmented
  faa-runtime apply --policy runs/demo/policy.json --grid 15 cat.jpg --out sheets
  faa-runtime apply --op Rotate --value 30 cat.jpg --out turned
  faa-runtime apply --op Equalize cat.jpg --out equalized"
)]
pub(crate) struct Apply {
    /// A policy: a file, or the name of a shipped one.
    #[arg(long, value_name = "FILE|NAME")]
    policy: Option<String>,
    /// A single op, applied with exactly the value given: never skipped, never mirrored.
    #[arg(long, value_name = "NAME")]
    op: Option<String>,
    /// The op's value, in its own unit.
    #[arg(
        long,
        value_name = "V",
        requires = "op",
        conflicts_with = "magnitude",
        allow_negative_numbers = true
    )]
    value: Option<f64>,
    /// The op's magnitude, from 0 to 1 over its range.
    #[arg(long, value_name = "M", requires = "op")]
    magnitude: Option<f64>,
    /// The seed of all draws. An input's draw depends on the seed and on its place in the list.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write a contact sheet for every input: the image itself, and then this many draws.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=1000))]
    grid: Option<u32>,
    /// Overwrite outputs that exist.
    #[arg(long)]
    force: bool,
    /// Print what was applied to each input, as JSON for programs.
    #[arg(long)]
    json: bool,
    /// The folder to write into; made where it is missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Image files: PNG, JPEG, BMP, GIF, WebP, TIFF, PNM.
    #[arg(required = true, value_name = "IN")]
    inputs: Vec<PathBuf>,
}

/// What is applied to every image.
enum Work {
    Policy(Executor),
    Op { op: Arc<dyn Op>, value: f64 },
}

impl Apply {
    pub(crate) fn run(self) -> Result<()> {
        let work = self.work()?;
        let outputs = self.outputs()?;
        fs::create_dir_all(&self.out)
            .with_context(|| format!("cannot create the folder {}", self.out.display()))?;
        let mut applied = Vec::new();
        for (index, (input, output)) in (0_u64..).zip(self.inputs.iter().zip(&outputs)) {
            let picture = Picture::read(input)?;
            let png = match self.grid {
                None => self
                    .augmented(&work, picture, 0, index)
                    .and_then(Picture::into_png),
                Some(draws) => self.sheet(&work, &picture, draws, index),
            };
            let png = png.with_context(|| format!("cannot augment {}", input.display()))?;
            write_whole(output, &png)?;
            applied.push(json!({
                "input": input, "output": output,
                "draws": (0..self.grid.unwrap_or(1))
                    .map(|epoch| work.plan(self.key(epoch, index)).to_json())
                    .map(|plan| serde_json::from_str(&plan))
                    .collect::<Result<Vec<Value>, _>>()?,
            }));
        }
        if self.json {
            let text = format!("{:#}\n", Value::from(applied));
            io::stdout().write_all(text.as_bytes())?;
        } else {
            eprintln!(
                "{} image(s) written to {}",
                outputs.len(),
                self.out.display()
            );
        }
        Ok(())
    }

    fn key(&self, epoch: u32, index: u64) -> DrawKey {
        DrawKey {
            seed: self.seed,
            epoch,
            index,
        }
    }

    fn augmented(
        &self,
        work: &Work,
        mut picture: Picture,
        epoch: u32,
        index: u64,
    ) -> Result<Picture> {
        work.apply(&mut picture.as_mut(), self.key(epoch, index))?;
        Ok(picture)
    }

    fn sheet(&self, work: &Work, picture: &Picture, draws: u32, index: u64) -> Result<Vec<u8>> {
        let mut sheet = ContactSheet::new(picture, draws + 1);
        sheet.draw(picture.clone());
        for epoch in 0..draws {
            sheet.draw(self.augmented(work, picture.clone(), epoch, index)?);
        }
        sheet.into_png()
    }

    fn work(&self) -> Result<Work> {
        let ops = builtin_ops();
        if let Some(policy) = &self.policy {
            let executor = Executor::new(&find_policy(policy)?, &ops)
                .with_context(|| format!("cannot apply the policy {policy}"))?;
            return Ok(Work::Policy(executor));
        }
        let name = self.op.as_deref().expect("clap asks for a policy or an op");
        let op = ops.get(name).ok_or_else(|| {
            let nearest = nearest_name(name, ops.iter().map(|op| op.spec().name()));
            match nearest {
                Some(nearest) => anyhow!("no op is named `{name}`; did you mean `{nearest}`?"),
                None => anyhow!("no op is named `{name}`; `faa-runtime ops` lists them"),
            }
        })?;
        Ok(Work::Op {
            op: op.clone(),
            value: self.value_of(op.as_ref())?,
        })
    }

    fn value_of(&self, op: &dyn Op) -> Result<f64> {
        let name = op.spec().name();
        let Some(range) = op.spec().value_range() else {
            if self.value.is_some() || self.magnitude.is_some() {
                bail!(Usage(format!(
                    "{name} has no value: leave --value and --magnitude away"
                )));
            }
            return Ok(0.0);
        };
        match (self.value, self.magnitude) {
            (Some(value), _) if value.is_finite() => Ok(value),
            (_, Some(magnitude)) if (0.0..=1.0).contains(&magnitude) => {
                Ok(range.value_at(magnitude))
            }
            (None, None) => {
                let (low, high, unit) = (range.low, range.high, &range.unit);
                bail!(Usage(format!(
                    "{name} needs --value V ({low} … {high} {unit}) or --magnitude M (0 … 1)"
                )))
            }
            (Some(_), _) => bail!(Usage("--value needs a finite number".to_owned())),
            (_, Some(_)) => bail!(Usage("--magnitude is a number from 0 to 1".to_owned())),
        }
    }

    /// Where each input's result goes; refuses before anything is written.
    fn outputs(&self) -> Result<Vec<PathBuf>> {
        let mut sources: BTreeMap<PathBuf, &Path> = BTreeMap::new();
        let mut outputs = Vec::new();
        for input in &self.inputs {
            let stem = input
                .file_stem()
                .ok_or_else(|| anyhow!("{} is no file", input.display()))?;
            let mut name = stem.to_owned();
            name.push(".png");
            let output = self.out.join(name);
            if let Some(other) = sources.insert(output.clone(), input) {
                let (other, input) = (other.display(), input.display());
                bail!("{other} and {input} would both become {}", output.display());
            }
            if output.exists() && !self.force {
                bail!("{} exists: give --force to overwrite it", output.display());
            }
            outputs.push(output);
        }
        Ok(outputs)
    }
}

impl Work {
    fn apply(&self, image: &mut ImageMut<'_>, key: DrawKey) -> Result<()> {
        match self {
            Self::Policy(executor) => executor.apply(image, key, &mut Workspace::new())?,
            Self::Op { op, value } => {
                op.apply(
                    image,
                    *value,
                    &mut Call::new(op_seed(key), &mut Scratch::new()),
                )?;
            }
        }
        Ok(())
    }

    /// What is applied with this key, in the form in which plans are written.
    fn plan(&self, key: DrawKey) -> Plan {
        match self {
            Self::Op { op, value } => Plan {
                sub_policy: None,
                steps: vec![PlannedStep {
                    step: 0,
                    op: op.spec().name().to_owned(),
                    value: *value,
                    seed: op_seed(key),
                    partner: None,
                }],
            },
            Self::Policy(executor) => executor.plan(key),
        }
    }
}

/// The seed of a single op: the first 64 bits of the image's stream.
fn op_seed(key: DrawKey) -> u64 {
    Stream::for_image(key).next_u64()
}
