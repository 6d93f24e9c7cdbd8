use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use clap::{ArgGroup, Args};
use faa_op::{DrawKey, ImageMut, Op, OpSet, Stream};
use faa_policy::{Executor, Plan, PlannedStep, Workspace};
use faa_system::write_whole;
use serde_json::{Value, json};

use super::one_op::OneOp;
use super::{Usage, find_policy};
use crate::pictures::{ContactSheet, Picture};
use crate::plugins::PluginOptions;

/// Augment image files with a policy or a single op, and write PNG files.
#[derive(Args)]
#[command(
    group = ArgGroup::new("what").required(true).args(["policy", "op"]),
    after_help = "\
Each output is named after its input: cat.jpg becomes cat.png. Nothing is written if two inputs
would share an output, or if an output exists and --force is not given.

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
    /// Policy file, or name of a shipped policy (`faa-runtime policy list`).
    #[arg(long, value_name = "FILE|NAME")]
    policy: Option<String>,
    #[command(flatten)]
    op: OneOp,
    #[command(flatten)]
    plugins: PluginOptions,
    /// Seed of all random draws; an input's draw depends on it and on the input's position.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write a contact sheet per input: the image, then K augmented versions (1 to 1000).
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=1000))]
    grid: Option<u32>,
    /// Image to mix in, for ops such as SamplePairing; same size as the inputs. Repeat the option
    /// to draw from several.
    #[arg(long = "partner", value_name = "IMAGE")]
    partners: Vec<PathBuf>,
    /// Overwrite existing outputs.
    #[arg(long)]
    force: bool,
    /// Print what was applied to each input, as JSON.
    #[arg(long)]
    json: bool,
    /// Output folder; created if missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Image files: PNG, JPEG, BMP, GIF, WebP, TIFF, PNM.
    #[arg(required = true, value_name = "IN")]
    inputs: Vec<PathBuf>,
}

/// What is applied to every image.
struct Work {
    rule: Rule,
    ops: OpSet,
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
                let epochs = 0..self.grid.unwrap_or(1);
                let plans: Vec<Plan> = epochs
                    .map(|epoch| work.plan(self.key(epoch, index)))
                    .collect();
                // JSON cannot represent names that are not UTF-8.
                applied.push(json!({
                    "input": input.to_string_lossy(), "output": output.to_string_lossy(),
                    "draws": plans,
                }));
            }
        }
        if self.json {
            let text = format!("{:#}\n", Value::from(applied));
            io::stdout().write_all(text.as_bytes())?;
        } else {
            let (count, out) = (outputs.len(), self.out.display());
            let s = if count == 1 { "" } else { "s" };
            eprintln!("wrote {count} image{s} to {out}");
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
        let (rule, ops) = self.rule()?;
        match (rule.partner_op(), self.partners.is_empty()) {
            (Some(op), true) => bail!(Usage(format!(
                "{op} needs a partner image: give one of the input's size with --partner IMAGE"
            ))),
            (None, false) => bail!(Usage(
                "nothing that is applied needs a partner image: omit --partner".to_owned()
            )),
            _ => {}
        }
        let partners = self.partners.iter().map(|path| Picture::read(path));
        Ok(Work {
            rule,
            ops,
            partners: partners.collect::<Result<_>>()?,
        })
    }

    /// Refuses partners that do not fit, whichever will be drawn.
    fn check_partners(&self, work: &Work, input: &Path, picture: &Picture) -> Result<()> {
        for (path, partner) in self.partners.iter().zip(&work.partners) {
            let (found, expected) = (partner.shape(), picture.shape());
            if found != expected {
                let (path, input) = (path.display(), input.display());
                bail!(
                    "the partner {path} is {found}, but {input} is {expected}: \
                     size and channels must match"
                );
            }
        }
        Ok(())
    }

    fn rule(&self) -> Result<(Rule, OpSet)> {
        let known = self.plugins.known_ops()?;
        if let Some(policy) = &self.policy {
            let executor = known.executor(&find_policy(policy)?, policy)?;
            return Ok((Rule::Policy(executor), known.ops));
        }
        let op = self.op.find(&known.ops)?;
        let value = self.op.value(op.as_ref())?;
        Ok((Rule::Op { op, value }, known.ops))
    }

    /// Where each input's result goes; refuses before anything is written.
    fn outputs(&self) -> Result<Vec<PathBuf>> {
        let mut sources: BTreeMap<PathBuf, &Path> = BTreeMap::new();
        let mut outputs = Vec::new();
        for input in &self.inputs {
            let stem = input
                .file_stem()
                .ok_or_else(|| anyhow!("{} is not a file", input.display()))?;
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
            Self::Op { op, .. } => op.spec().needs_partner().then(|| op.spec().name()),
        }
    }
}

impl Work {
    fn apply(&self, image: &mut ImageMut<'_>, key: DrawKey) -> Result<()> {
        let partners: Vec<_> = self.partners.iter().map(Picture::as_ref).collect();
        let workspace = &mut Workspace::with_partners(&partners);
        match &self.rule {
            Rule::Policy(executor) => executor.apply(image, key, workspace)?,
            Rule::Op { .. } => self.plan(key).replay(&self.ops, image, workspace)?,
        }
        Ok(())
    }

    /// What is applied with this key.
    fn plan(&self, key: DrawKey) -> Plan {
        let partners: Vec<_> = self.partners.iter().map(Picture::as_ref).collect();
        let (op, value) = match &self.rule {
            Rule::Policy(executor) => {
                return executor.plan(key, &Workspace::with_partners(&partners));
            }
            Rule::Op { op, value } => (op, *value),
        };
        // A single op draws its seed, the first 64 bits of the image's stream, and its partner.
        let mut stream = Stream::for_image(key);
        let seed = stream.next_u64();
        let count = partners.len() as u64;
        let step = PlannedStep {
            step: 0,
            op: op.spec().name().to_owned(),
            value,
            seed,
            partner: (count > 0).then(|| stream.below(count)),
        };
        Plan {
            sub_policy: None,
            steps: vec![step],
        }
    }
}
