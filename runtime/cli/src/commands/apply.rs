use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use clap::{ArgGroup, Args};
use faa_op::{DrawKey, ImageMut, Op, OpSet, Stream};
use faa_policy::{Executor, Plan, PlannedStep, Workspace};
use faa_system::{create_folder, log_line, write_whole};
use serde_json::{Value, json};

use super::one_op::OneOp;
use super::{Usage, find_policy, print, read_bounded, read_bounded_from};
use crate::arguments::in_range;
use crate::output_files::{folded, has_content};
use crate::pictures::{ContactSheet, Picture};
use crate::plugins::PluginOptions;

/// Augment image files with a policy or a single op, and write PNG files.
#[derive(Args)]
#[command(
    group = ArgGroup::new("what").required(true).args(["policy", "op", "replay"]),
    after_help = "\
Outputs are named after inputs: cat.jpg becomes cat.png. Nothing is written if
two inputs have the same output, or if an output exists and is different, unless
--force is given. An input that cannot be read is reported, and the others are
written; the exit status is then 1. To continue, repeat the same command:
existing outputs that are identical count as written.

--replay repeats one draw: a line of augment's manifest, or a plan, as --json prints
it, in a file or, with -, on standard input. Partners that it mixes in are given by
--partner, in the order of its steps.

Alpha is kept: ops on colours leave it as it is, and geometric ops move it with
the colours, so pixels from outside of the image are transparent. Contact sheets
show colours without alpha.

Examples:
  faa-runtime apply --policy runs/demo/policy.json --seed 7 cat.jpg dog.png --out augmented
  faa-runtime apply --policy runs/demo/policy.json --grid 15 cat.jpg --out sheets
  faa-runtime apply --policy autoaugment-imagenet --grid 8 cat.jpg --out sheets
  faa-runtime apply --op Rotate --value 30 cat.jpg --out turned
  faa-runtime apply --op SamplePairing --value 0.4 --partner dog.jpg cat.jpg --out mixed
  faa-runtime apply --op Equalize cat.jpg --out equalized
  sed -n 7p more-pets/manifest.jsonl | faa-runtime apply --replay - pets/train/cats/tom.jpg --out again
  faa-runtime apply --op Vignette --value 0.5 --plugins plugins cat.jpg --out dark"
)]
pub(crate) struct Apply {
    /// Policy file, or name of a shipped policy (`faa-runtime policy list`).
    #[arg(long, value_name = "FILE|NAME")]
    policy: Option<String>,
    #[command(flatten)]
    op: OneOp,
    /// Repeat the draw in this file: a line of a manifest, or a plan.
    #[arg(long, value_name = "FILE|-", conflicts_with_all = ["seed", "grid"])]
    replay: Option<PathBuf>,
    /// Random seed; what is drawn for an input depends on the seed and on the input's index.
    #[arg(long, default_value_t = 0, value_parser = in_range(0..=u64::MAX))]
    seed: u64,
    /// Write a contact sheet per input instead: the image and K augmented versions (1 to 1000).
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=1000))]
    grid: Option<u32>,
    /// Partner image that an op such as SamplePairing mixes in, of the inputs' size and channels; can be
    /// repeated, to draw from several.
    #[arg(long = "partner", value_name = "IMAGE")]
    partners: Vec<PathBuf>,
    /// Overwrite existing outputs.
    #[arg(long)]
    force: bool,
    /// Print the ops, values and seeds applied to each input, or its error, as JSON.
    #[arg(long)]
    json: bool,
    /// Output folder; created if missing.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Image files: PNG, JPEG, BMP, GIF, WebP, TIFF or PNM.
    #[arg(required = true, value_name = "IN")]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    plugins: PluginOptions,
}

/// What is applied to every image, and the images that it may mix in.
struct Augmentation {
    source: Source,
    ops: OpSet,
    partners: Vec<Picture>,
}

enum Source {
    Policy(Executor),
    Plan(Plan),
    Op { op: Arc<dyn Op>, value: f64 },
}

impl Apply {
    pub(crate) fn run(self) -> Result<()> {
        let augmentation = self.augmentation()?;
        let outputs = self.outputs()?;
        let jobs = || (0_u64..).zip(self.inputs.iter().zip(&outputs));
        let mut failures = BTreeMap::new();
        let mut unchanged = BTreeSet::new();
        let mut different = Vec::new();
        // Outputs that exist are compared before anything is written.
        for (index, (input, output)) in jobs() {
            if self.force || !output.exists() {
                continue;
            }
            match self.png(&augmentation, input, index) {
                Ok(png) if has_content(output, &png) => {
                    unchanged.insert(index);
                }
                Ok(_) => different.push(output.display().to_string()),
                Err(error) => {
                    failures.insert(index, error);
                }
            }
        }
        if !different.is_empty() {
            let (s, are) = if different.len() == 1 {
                ("s", "is")
            } else {
                ("", "are")
            };
            let different = different.join(", ");
            bail!("{different} exist{s} and {are} different: use --force to overwrite");
        }
        create_folder(&self.out)
            .with_context(|| format!("cannot create the folder {}", self.out.display()))?;
        for (index, (input, output)) in jobs() {
            if failures.contains_key(&index) || unchanged.contains(&index) {
                continue;
            }
            let png = self.png(&augmentation, input, index);
            let written = png.and_then(|png| {
                write_whole(output, &png)
                    .with_context(|| format!("cannot write {}", output.display()))
            });
            if let Err(error) = written {
                failures.insert(index, error);
            }
        }
        let mut printed = Ok(());
        if self.json {
            let rows = jobs().map(|(index, (input, output))| {
                // JSON cannot represent names that are not UTF-8.
                let (input, output) = (input.to_string_lossy(), output.to_string_lossy());
                if let Some(error) = failures.get(&index) {
                    return json!({"input": input, "error": format!("{error:#}")});
                }
                let epochs = 0..self.grid.unwrap_or(1);
                let plans = epochs.map(|epoch| augmentation.plan(self.key(epoch, index)));
                json!({"input": input, "output": output, "draws": plans.collect::<Vec<Plan>>()})
            });
            printed = print(&format!("{:#}\n", rows.collect::<Value>()));
        } else {
            let (count, out) = (outputs.len() - failures.len(), self.out.display());
            let s = if count == 1 { "" } else { "s" };
            let already = match unchanged.len() {
                0 => String::new(),
                unchanged => format!(" ({unchanged} already there)"),
            };
            log_line!("wrote {count} image{s} to {out}{already}");
        }
        for error in failures.values() {
            log_line!("error: {error:#}");
        }
        match failures.len() {
            0 => printed,
            failed => bail!(
                "{failed} of {} inputs failed; the same command repeats them",
                outputs.len()
            ),
        }
    }

    /// The output of an input, as a PNG file.
    fn png(&self, augmentation: &Augmentation, input: &Path, index: u64) -> Result<Vec<u8>> {
        let picture = Picture::read(input)?;
        self.check_partners(augmentation, input, &picture)?;
        let png = match self.grid {
            None => self
                .augmented(augmentation, picture, 0, index)
                .and_then(Picture::into_png),
            Some(draws) => self.sheet(augmentation, &picture, draws, index),
        };
        png.with_context(|| format!("cannot augment {}", input.display()))
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
        augmentation: &Augmentation,
        mut picture: Picture,
        epoch: u32,
        index: u64,
    ) -> Result<Picture> {
        augmentation.apply(&mut picture.as_mut(), self.key(epoch, index))?;
        Ok(picture)
    }

    fn sheet(
        &self,
        augmentation: &Augmentation,
        picture: &Picture,
        draws: u32,
        index: u64,
    ) -> Result<Vec<u8>> {
        let mut sheet = ContactSheet::new(picture, draws + 1);
        sheet.draw(picture);
        for epoch in 0..draws {
            sheet.draw(&self.augmented(augmentation, picture.clone(), epoch, index)?);
        }
        sheet.into_png()
    }

    fn augmentation(&self) -> Result<Augmentation> {
        let (source, ops) = self.source()?;
        match (source.partner_op(), self.partners.is_empty()) {
            // Its partners were counted.
            _ if matches!(source, Source::Plan(_)) => {}
            (Some(op), true) => bail!(Usage(format!(
                "{op} needs a partner image of the input's size: add --partner IMAGE"
            ))),
            (None, false) => bail!(Usage(
                "no op needs a partner image: omit --partner".to_owned()
            )),
            _ => {}
        }
        let partners = self.partners.iter().map(|path| Picture::read(path));
        Ok(Augmentation {
            source,
            ops,
            partners: partners.collect::<Result<_>>()?,
        })
    }

    /// Checks that every partner has the shape of the image, whichever will be drawn.
    fn check_partners(
        &self,
        augmentation: &Augmentation,
        input: &Path,
        picture: &Picture,
    ) -> Result<()> {
        for (path, partner) in self.partners.iter().zip(&augmentation.partners) {
            let (found, expected) = (partner.to_string(), picture.to_string());
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

    fn source(&self) -> Result<(Source, OpSet)> {
        let known = self.plugins.known_ops()?;
        if let Some(file) = &self.replay {
            let mut plan = read_plan(file)?;
            self.number_partners(&mut plan)?;
            return Ok((Source::Plan(plan), known.ops));
        }
        if let Some(policy) = &self.policy {
            let executor = known.executor(&find_policy(policy)?, policy)?;
            return Ok((Source::Policy(executor), known.ops));
        }
        let op = self.op.find(&known.ops)?;
        let value = self.op.value(op.as_ref())?;
        Ok((Source::Op { op, value }, known.ops))
    }

    /// Makes the partners of a plan, whose numbers are those of a data set, the given ones.
    fn number_partners(&self, plan: &mut Plan) -> Result<()> {
        let mut partners = 0_u64..;
        for step in &mut plan.steps {
            step.partner = step.partner.and_then(|_| partners.next());
        }
        let (needed, given) = (partners.start, self.partners.len() as u64);
        if needed != given {
            let what = if needed == 1 { "image" } else { "images" };
            bail!(Usage(format!(
                "the draw mixes in {needed} {what}, and {given} are given: add --partner IMAGE for each, in the \
                 order of its steps"
            )));
        }
        Ok(())
    }

    /// The output file of each input; fails if two of them are the same, also where a file system does not
    /// distinguish cases or the forms of Unicode.
    fn outputs(&self) -> Result<Vec<PathBuf>> {
        let mut sources: BTreeMap<String, (&Path, PathBuf)> = BTreeMap::new();
        let mut outputs = Vec::new();
        for input in &self.inputs {
            let stem = input
                .file_stem()
                .ok_or_else(|| anyhow!("{} is not a file", input.display()))?;
            let mut name = stem.to_owned();
            name.push(".png");
            let key = folded(&name.to_string_lossy());
            let output = self.out.join(name);
            if let Some((other, same)) = sources.insert(key, (input, output.clone())) {
                let differs = match same == output {
                    true => String::new(),
                    false => format!(" or {}, one file on some systems", same.display()),
                };
                bail!(
                    "{} and {} would both be written to {}{differs}",
                    other.display(),
                    input.display(),
                    output.display(),
                );
            }
            outputs.push(output);
        }
        Ok(outputs)
    }
}

/// Reads a plan, or that of a line of a manifest.
fn read_plan(file: &Path) -> Result<Plan> {
    let name = file.display();
    let json = match file == Path::new("-") {
        true => read_bounded_from(io::stdin().lock()),
        false => read_bounded(file),
    };
    let json = json.with_context(|| format!("cannot read the draw {name}"))?;
    let draw = serde_json::from_slice::<Value>(&json)
        .ok()
        .and_then(|line| {
            let is_line = line.get("input").is_some();
            is_line.then(|| line.get("draw").cloned().unwrap_or_default())
        });
    let plan = match draw {
        Some(Value::Null) => {
            bail!("{name} is a line without a draw: of an original, or of what was skipped")
        }
        Some(draw) => draw.to_string().into_bytes(),
        None => json,
    };
    Plan::parse(&plan).with_context(|| {
        format!("{name} is neither one line of a manifest nor a plan (`sed -n 7p manifest.jsonl` prints one line)")
    })
}

impl Source {
    fn partner_op(&self) -> Option<&str> {
        match self {
            Self::Policy(executor) => executor.partner_op(),
            Self::Plan(_) => None,
            Self::Op { op, .. } => op.spec().needs_partner().then(|| op.spec().name()),
        }
    }
}

impl Augmentation {
    fn apply(&self, image: &mut ImageMut<'_>, key: DrawKey) -> Result<()> {
        let partners: Vec<_> = self.partners.iter().map(Picture::as_ref).collect();
        let workspace = &mut Workspace::with_partners(&partners);
        match &self.source {
            Source::Policy(executor) => executor.apply(image, key, workspace)?,
            Source::Plan(_) | Source::Op { .. } => {
                self.plan(key).replay(&self.ops, image, workspace)?;
            }
        }
        Ok(())
    }

    /// The ops that are applied with this key.
    fn plan(&self, key: DrawKey) -> Plan {
        let partners: Vec<_> = self.partners.iter().map(Picture::as_ref).collect();
        let (op, value) = match &self.source {
            Source::Policy(executor) => {
                return executor.plan(key, &Workspace::with_partners(&partners));
            }
            Source::Plan(plan) => return plan.clone(),
            Source::Op { op, value } => (op, *value),
        };
        // A single op draws its seed, the first 64 bits of the image's stream, and its partner.
        let mut stream = Stream::for_image(key);
        let seed = stream.next_u64();
        let count = partners.len() as u64;
        let partner = (count > 0).then(|| stream.below(count));
        let step = PlannedStep::new(0, op.spec().name(), value, seed, partner);
        Plan::new(None, vec![step])
    }
}
