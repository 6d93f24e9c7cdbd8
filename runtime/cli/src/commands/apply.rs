use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use clap::{ArgGroup, Args};
use faa_op::{Call, DrawKey, ImageMut, Op, Scratch, Stream};
use faa_policy::{Executor, Partners, Plan, PlannedStep, Workspace};
use faa_search::write_whole;
use serde_json::{Value, json};

use super::one_op::OneOp;
use super::{Usage, find_policy};
use crate::pictures::{ContactSheet, Picture};
use crate::plugins::PluginOptions;

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
  faa-runtime apply --policy autoaugment-imagenet --grid 8 cat.jpg --out sheets
  faa-runtime apply --op Rotate --value 30 cat.jpg --out turned
  faa-runtime apply --op SamplePairing --value 0.4 --partner dog.jpg cat.jpg --out mixed
  faa-runtime apply --op Equalize cat.jpg --out equalized
  faa-runtime apply --op Vignette --value 0.5 --plugins plugins cat.jpg --out dark"
)]
pub(crate) struct Apply {
    /// A policy: a file, or the name of a shipped one.
    #[arg(long, value_name = "FILE|NAME")]
    policy: Option<String>,
    #[command(flatten)]
    op: OneOp,
    #[command(flatten)]
    plugins: PluginOptions,
    /// The seed of all draws. An input's draw depends on the seed and on its place in the list.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write a contact sheet for every input: the image itself, and then this many draws.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=1000))]
    grid: Option<u32>,
    /// An image that ops such as SamplePairing may mix in; it has the inputs' size. Where it is
    /// given several times, the seed chooses.
    #[arg(long = "partner", value_name = "IMAGE")]
    partners: Vec<PathBuf>,
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
struct Work {
    rule: Rule,
    partners: Vec<Picture>,
}

enum Rule {
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
            self.check_partners(&work, input, &picture)?;
            let png = match self.grid {
                None => self
                    .augmented(&work, picture, 0, index)
                    .and_then(Picture::into_png),
                Some(draws) => self.sheet(&work, &picture, draws, index),
            };
            let png = png.with_context(|| format!("cannot augment {}", input.display()))?;
            write_whole(output, &png)?;
            if self.json {
                let plans = (0..self.grid.unwrap_or(1))
                    .map(|epoch| work.plan(self.key(epoch, index)).to_json());
                // JSON has no form for names that are not UTF-8.
                applied.push(json!({
                    "input": input.to_string_lossy(), "output": output.to_string_lossy(),
                    "draws": plans
                        .map(|plan| serde_json::from_str(&plan))
                        .collect::<Result<Vec<Value>, _>>()?,
                }));
            }
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
        let rule = self.rule()?;
        match (rule.partner_op(), self.partners.is_empty()) {
            (Some(op), true) => bail!(Usage(format!(
                "{op} mixes another image in: name one of the input's size with --partner IMAGE"
            ))),
            (None, false) => bail!(Usage(
                "nothing that is applied mixes another image in: leave --partner away".to_owned()
            )),
            _ => {}
        }
        let partners = self.partners.iter().map(|path| Picture::read(path));
        Ok(Work {
            rule,
            partners: partners.collect::<Result<_>>()?,
        })
    }

    /// Every partner must fit, whichever is drawn.
    fn check_partners(&self, work: &Work, input: &Path, picture: &Picture) -> Result<()> {
        for (path, partner) in self.partners.iter().zip(&work.partners) {
            let (found, expected) = (partner.shape(), picture.shape());
            if found != expected {
                let (path, input) = (path.display(), input.display());
                bail!(
                    "the partner {path} is {found}, and {input} is {expected}: both must be alike"
                );
            }
        }
        Ok(())
    }

    fn rule(&self) -> Result<Rule> {
        let known = self.plugins.known_ops()?;
        if let Some(policy) = &self.policy {
            let executor = known.executor(&find_policy(policy)?, policy)?;
            return Ok(Rule::Policy(executor));
        }
        let op = self.op.find(&known.ops)?;
        let value = self.op.value(op.as_ref())?;
        Ok(Rule::Op { op, value })
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

impl Rule {
    fn partner_op(&self) -> Option<&str> {
        match self {
            Self::Policy(executor) => executor.partner_op(),
            Self::Op { op, .. } => op.spec().mixes().then(|| op.spec().name()),
        }
    }
}

impl Work {
    fn apply(&self, image: &mut ImageMut<'_>, key: DrawKey) -> Result<()> {
        let partners: Vec<_> = self.partners.iter().map(Picture::as_ref).collect();
        match &self.rule {
            Rule::Policy(executor) => {
                executor.apply(image, key, &mut Workspace::with_partners(&partners))?;
            }
            Rule::Op { op, value } => {
                let (seed, partner) = self.op_draws(key);
                let scratch = &mut Scratch::new();
                let mut call = Call::new(seed, scratch);
                if let Some(partner) = partner {
                    call = call.with_partner(partners.image(partner));
                }
                op.apply(image, *value, &mut call)?;
            }
        }
        Ok(())
    }

    /// What is applied with this key, in the form in which plans are written.
    fn plan(&self, key: DrawKey) -> Plan {
        match &self.rule {
            Rule::Op { op, value } => {
                let (seed, partner) = self.op_draws(key);
                let step = PlannedStep {
                    step: 0,
                    op: op.spec().name().to_owned(),
                    value: *value,
                    seed,
                    partner,
                };
                Plan {
                    sub_policy: None,
                    steps: vec![step],
                }
            }
            Rule::Policy(executor) => {
                let partners: Vec<_> = self.partners.iter().map(Picture::as_ref).collect();
                executor.plan(key, &Workspace::with_partners(&partners))
            }
        }
    }

    /// The seed of a single op, the first 64 bits of the image's stream, and then its partner.
    fn op_draws(&self, key: DrawKey) -> (u64, Option<u64>) {
        let mut stream = Stream::for_image(key);
        let seed = stream.next_u64();
        let count = self.partners.len() as u64;
        (seed, (count > 0).then(|| stream.below(count)))
    }
}
