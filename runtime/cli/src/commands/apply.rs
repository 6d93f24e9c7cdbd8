use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::{ArgGroup, Args};
use faa_op::{DrawKey, OpSet};
use faa_policy::{Plan, Targets};
use faa_system::{create_folder, log_line, write_whole};
use serde_json::{Value, json};

use self::augmentation::{Augmentation, Source, read_plan};
use self::made::{Made, Notes, Output, survivors};
use self::sources::{LabelSources, PictureLabels, WrittenLabels, coco_file};
use super::one_op::OneOp;
use super::{Usage, find_policy, print};
use crate::arguments::in_range;
use crate::labels::{LabelOptions, Moved};
use crate::output_files::{folded, has_content};
use crate::overlay;
use crate::pictures::{ContactSheet, Picture};
use crate::plugins::PluginOptions;

mod augmentation;
mod made;
mod sources;

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

--boxes moves boxes, outlines and keypoints along with the pixels, and --mask moves
masks. Boxes are in COCO's JSON, of all inputs, or in YOLO's text, and masks are PNG
files of one channel: grey, or a palette, of which the indices are kept. With a
folder, the file of cat.jpg is cat.txt or cat.png in it. The moved ones are written
beside the images: COCO's file under its own name, cat.txt, and cat-mask.png. With
--grid they are drawn on the sheet. Boxes that are not visible are dropped.

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
  faa-runtime apply --policy trivialaugment-detection --boxes street.txt street.jpg --out moved
  faa-runtime apply --policy trivialaugment-detection --boxes instances.json --min-visible 0.25 \\
      --grid 8 a.jpg b.jpg --out sheets
  faa-runtime apply --policy autoaugment-imagenet --mask masks --mask-fill 255 a.jpg b.jpg --out moved
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
    /// Boxes, outlines and keypoints: COCO's FILE.json, YOLO's FILE.txt, or a folder of YOLO's files.
    #[arg(long, value_name = "FILE|DIR", help_heading = "Boxes and masks")]
    boxes: Option<PathBuf>,
    /// Mask, in a PNG of one channel, or a folder of these.
    #[arg(long, value_name = "FILE|DIR", help_heading = "Boxes and masks")]
    mask: Option<PathBuf>,
    #[command(flatten)]
    labels: LabelOptions,
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

impl Apply {
    pub(crate) fn run(self) -> Result<()> {
        let augmentation = self.augmentation()?;
        let sources = self.sources(&augmentation)?;
        let outputs = self.outputs(&sources)?;
        let coco = sources.coco().filter(|_| self.grid.is_none());
        let coco =
            coco.map(|(file, coco)| (self.out.join(file.file_name().unwrap_or_default()), coco));
        let jobs = || (0_u64..).zip(self.inputs.iter().zip(&outputs));
        let mut failures = BTreeMap::new();
        let mut unchanged = BTreeSet::new();
        let mut different = Vec::new();
        let mut notes = Notes::default();
        let exists = |path: &&PathBuf| path.exists();
        // COCO's file has the annotations of all images.
        let compares_all = coco.as_ref().is_some_and(|(file, _)| file.exists());
        // Outputs that exist are compared before anything is written.
        for (index, (input, output)) in jobs() {
            if self.force || !(compares_all || output.files().iter().any(exists)) {
                continue;
            }
            match self.made(&augmentation, &sources, input, output, index) {
                Ok(made) => {
                    let files = notes.take(index, made);
                    let there = || files.iter().filter(|(path, _)| path.exists());
                    let changed = there().filter(|(path, content)| !has_content(path, content));
                    different.extend(changed.map(|(path, _)| path.display().to_string()));
                    if there().count() == files.len() {
                        unchanged.insert(index);
                    }
                }
                Err(error) => {
                    failures.insert(index, error);
                }
            }
        }
        if let Some((file, coco)) = &coco
            && compares_all
            && !self.force
            && !has_content(file, &coco_file(coco, notes.rows.values().cloned()))
        {
            different.push(file.display().to_string());
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
            let made = self.made(&augmentation, &sources, input, output, index);
            let written = made.and_then(|made| {
                notes
                    .take(index, made)
                    .iter()
                    .try_for_each(|(path, content)| write(path, content))
            });
            if let Err(error) = written {
                failures.insert(index, error);
                notes.rows.remove(&index);
            }
        }
        // The same command writes it when no input fails.
        if let Some((file, coco)) = coco.as_ref().filter(|_| failures.is_empty()) {
            write(file, &coco_file(coco, notes.rows.into_values()))?;
        }
        let mut printed = Ok(());
        if self.json {
            let rows = jobs().map(|(index, (input, output))| {
                // JSON cannot represent names that are not UTF-8.
                let (input, output) = (input.to_string_lossy(), output.image.to_string_lossy());
                if let Some(error) = failures.get(&index) {
                    return json!({"input": input, "error": format!("{error:#}")});
                }
                let epochs = 0..self.grid.unwrap_or(1);
                let plans = epochs.map(|epoch| augmentation.plan(self.key(epoch, index)));
                let plans: Vec<Plan> = plans.collect();
                let mut row = json!({"input": input, "output": output, "draws": plans});
                if self.boxes.is_some() {
                    row["boxes"] = notes.boxes.get(&index).cloned().unwrap_or_default().into();
                }
                row
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
            if self.boxes.is_some() {
                for (index, (input, _)) in jobs().filter(|(index, _)| !failures.contains_key(index))
                {
                    log_line!("{}: {}", input.display(), survivors(&notes.boxes[&index]));
                }
            }
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

    /// The files of an input, as PNG and as what its boxes are in, and what became of these.
    fn made(
        &self,
        augmentation: &Augmentation,
        sources: &LabelSources,
        input: &Path,
        output: &Output,
        index: u64,
    ) -> Result<Made> {
        let picture = Picture::read(input)?;
        self.check_partners(augmentation, input, &picture)?;
        let labels = match sources.is_empty() {
            true => None,
            false => Some(sources.read(index, picture.as_ref().size())?),
        };
        let made = match self.grid {
            None => self.single(augmentation, picture, labels.as_ref(), output, index),
            Some(draws) => self
                .sheet(augmentation, &picture, labels.as_ref(), draws, index)
                .map(|(sheet, boxes)| Made {
                    files: vec![(output.image.clone(), sheet)],
                    boxes,
                    coco: None,
                }),
        };
        made.with_context(|| format!("cannot augment {}", input.display()))
    }

    fn single(
        &self,
        augmentation: &Augmentation,
        picture: Picture,
        labels: Option<&PictureLabels<'_>>,
        output: &Output,
        index: u64,
    ) -> Result<Made> {
        let (picture, moved) = self.augmented(augmentation, picture, labels, 0, index)?;
        let mut made = Made {
            files: vec![(output.image.clone(), picture.into_png()?)],
            boxes: Vec::new(),
            coco: None,
        };
        if let (Some(labels), Some(moved)) = (labels, moved) {
            let name = output
                .image
                .file_name()
                .unwrap_or_default()
                .to_string_lossy();
            let WrittenLabels { yolo, mask, coco } = labels.written(&moved, &name)?;
            made.files.extend(output.boxes.clone().zip(yolo));
            made.files.extend(output.mask.clone().zip(mask));
            (made.boxes, made.coco) = (vec![labels.boxes(&moved)], coco);
        }
        Ok(made)
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
        labels: Option<&PictureLabels<'_>>,
        epoch: u32,
        index: u64,
    ) -> Result<(Picture, Option<Moved>)> {
        let (key, size) = (self.key(epoch, index), picture.as_ref().size());
        let image = &mut picture.as_mut();
        let moved = match labels {
            None => augmentation.apply(image, key, None).map(|()| None)?,
            Some(labels) => {
                let coco = labels.coco.map(|(coco, _)| coco);
                let apply =
                    |targets: &mut Targets<'_, '_>| augmentation.apply(image, key, Some(targets));
                Some(self.labels.moved(&labels.labels, size, coco, apply)?)
            }
        };
        Ok((picture, moved))
    }

    /// A sheet with labels drawn on it, and what became of the boxes in each draw.
    fn sheet(
        &self,
        augmentation: &Augmentation,
        picture: &Picture,
        labels: Option<&PictureLabels<'_>>,
        draws: u32,
        index: u64,
    ) -> Result<(Vec<u8>, Vec<Value>)> {
        let mut sheet = ContactSheet::new(picture, draws + 1);
        let fill = self.labels.fill();
        sheet.draw(picture, |tile, scale| {
            if let Some(PictureLabels { labels, .. }) = labels {
                let mask = labels.mask.as_ref().map(|mask| (mask, fill));
                overlay::draw(tile, scale, labels.objects.iter(), mask);
            }
        });
        let mut boxes = Vec::new();
        for epoch in 0..draws {
            let (picture, moved) =
                self.augmented(augmentation, picture.clone(), labels, epoch, index)?;
            sheet.draw(&picture, |tile, scale| {
                if let Some(moved) = &moved {
                    let mask = moved.mask.as_ref().map(|mask| (mask, fill));
                    overlay::draw(tile, scale, moved.objects.iter().flatten(), mask);
                }
            });
            boxes.extend(
                labels
                    .zip(moved)
                    .map(|(labels, moved)| labels.boxes(&moved)),
            );
        }
        Ok((sheet.into_png()?, boxes))
    }

    /// The boxes and masks, if there are any.
    fn sources(&self, augmentation: &Augmentation) -> Result<LabelSources> {
        let sources =
            LabelSources::find(&self.inputs, self.boxes.as_deref(), self.mask.as_deref())?;
        if sources.is_empty() {
            if self.labels.is_given() {
                bail!(Usage(
                    "options of boxes and masks need --boxes or --mask".to_owned()
                ));
            }
            return Ok(sources);
        }
        if let Source::Policy(executor) = &augmentation.source
            && let Some(op) = executor.op_without_warp()
        {
            bail!(
                "{op} does not say where it moves pixels, so neither boxes nor masks can move with them"
            );
        }
        Ok(sources)
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

    /// The output files of each input; fails if two of them are the same, also where a file system does not
    /// distinguish cases or the forms of Unicode.
    fn outputs(&self, labels: &LabelSources) -> Result<Vec<Output>> {
        let mut sources: BTreeMap<String, (&Path, PathBuf)> = BTreeMap::new();
        let mut outputs = Vec::new();
        for input in &self.inputs {
            let stem = input
                .file_stem()
                .ok_or_else(|| anyhow!("{} is not a file", input.display()))?;
            let path = |end: &str| {
                let mut name = stem.to_owned();
                name.push(end);
                self.out.join(name)
            };
            let is_single = self.grid.is_none();
            let output = Output {
                image: path(".png"),
                boxes: (is_single && labels.is_yolo()).then(|| path(".txt")),
                mask: (is_single && labels.has_masks()).then(|| path("-mask.png")),
            };
            for output in output.files() {
                let key = folded(&output.file_name().unwrap_or_default().to_string_lossy());
                if let Some((other, same)) = sources.insert(key, (input, output.clone())) {
                    let differs = match same == *output {
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
            }
            outputs.push(output);
        }
        Ok(outputs)
    }
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    write_whole(path, content).with_context(|| format!("cannot write {}", path.display()))
}
