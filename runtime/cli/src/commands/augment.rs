use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, bail};
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use faa_data::{DataSpec, ImageFiles};
use faa_policy::{Executor, Policy};
use faa_system::{create_folder, fnv1a, log_line};
use serde_json::{Value, json};

use self::archive::Archive;
use self::destination::Destination;
use self::images::{Images, Written};
use self::manifest::{Header, Manifest};
use self::outputs::{Outputs, Splits};
use self::report::Report;
use self::stopping::{check_stop, stopped};
use super::{Usage, find_policy};
use crate::arguments::{in_range, one_of};
use crate::labels::LabelOptions;
use crate::pictures::Encoding;
use crate::plugins::{KnownOps, PluginOptions};
use crate::stop::stop_on_signal;

mod annotations;
mod archive;
mod check;
mod destination;
mod held;
mod images;
mod labelling;
mod lines;
mod manifest;
mod outputs;
mod report;
mod stopping;
mod work;

/// Augment a whole data set, several times: images in class folders, or with boxes or masks that move along.
#[derive(Args)]
#[command(after_help = "\
The data set has class folders, in the splits train and test or without splits;
or only images. Class folders and splits are kept: train/cats/tom.jpg becomes
train/cats/tom-0.png, tom-1.png and so on. With splits, only train is augmented,
unless --split says otherwise; --keep copies the files of both, so DIR is a data
set again. Two images whose outputs would have one name are an error.

Copy C of an image is the draw with epoch C and with the image's index in its
split, sorted by class and name. The same seed, epoch and index give the same
pixels in Rust, C and Python for the same decoded image; other programs may
decode a JPEG to slightly different pixels.
manifest.jsonl in it has a line for every file: its input, its key, and what was
applied. `faa-runtime apply --replay` repeats the draw of a line, as do
`Plan::replay` in Rust, `faa_replay` in C and `policy.replay` in Python.

Boxes, outlines, keypoints and masks move along with the pixels, in data sets of
  coco:IMAGES,FILE.json   COCO's annotations of the images in a folder
  yolo:DIR                DIR/images/train and DIR/labels/train, or DIR/train/images
                          and so on, likewise with val and test; data.yaml is copied
  masks:DIR               the same with DIR/masks: a PNG of one channel per image,
                          grey or with a palette, of which the indices are kept
The result has the same form. That of COCO has the folder images and
annotations.json, with new ids, and all other keys as they were: it is
coco:OUT/images,OUT/annotations.json. Boxes that are not visible are dropped. YOLO's poses
are not supported. In mirrored images, COCO's keypoints named left… and right… swap.

With --out tar:FILE, the same files go into one archive, which is faster where a
file system creates files slowly. Without annotations it is a data set, --data tar:FILE;
unpack it if it has boxes or masks. Until it is complete, its manifest is beside it, as
FILE.manifest.jsonl.

Ctrl-C stops cleanly. The same command continues, also after a crash, and
overwrites no file that it has not written. It refuses to continue with other options
or if an image that was augmented has changed, and to begin in a folder that is
not empty. An image that was skipped is tried again once it has changed; with COCO, remove
annotations.json first.

Alpha is kept by PNG and WebP. JPEG has none, so it is dropped. Partners of ops
such as SamplePairing are images of the same split, which must have one size.

Examples:
  faa-runtime augment --data folder:pets --policy runs/pets/policy.json --copies 5 --out more-pets
  faa-runtime augment --data tar:pets.tar.zst --policy autoaugment-imagenet --copies 2 \\
      --format jpeg --quality 95 --keep --out more-pets
  faa-runtime augment --data folder:pets --policy trivialaugment-wide --skip-unreadable --out tar:pets-2.tar
  faa-runtime augment --data coco:train2017,annotations/instances_train2017.json \\
      --policy trivialaugment-detection --min-visible 0.25 --copies 2 --keep --out more-coco
  faa-runtime augment --data yolo:street --policy trivialaugment-detection --out more-street
  faa-runtime augment --data masks:cells --policy autoaugment-imagenet --mask-fill 255 --out more-cells")]
pub(crate) struct Augment {
    /// Data set: folder:DIR, tar:FILE, coco:IMAGES,FILE.json, yolo:DIR or masks:DIR.
    #[arg(long, value_name = "DATA")]
    data: DataSpec,
    /// Policy file, or name of a shipped policy (`faa-runtime policy list`).
    #[arg(long, value_name = "FILE|NAME")]
    policy: String,
    /// Number of augmented versions per image (1 to 10000).
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = in_range(1..=10_000_u32))]
    copies: u32,
    /// Random seed; what is drawn depends on the seed, the copy and the image's index.
    #[arg(long, default_value_t = 0, value_parser = in_range(0..=u64::MAX))]
    seed: u64,
    /// Splits to augment [default: train, if there are splits].
    #[arg(long, value_name = "SPLIT", value_parser = one_of([
        ("train", Splits::Train, "the training images"),
        ("val", Splits::Val, "the images of val or valid, in a data set with annotations"),
        ("test", Splits::Test, "the test images"),
        ("all", Splits::All, "all of them"),
    ]))]
    split: Option<Splits>,
    /// Copy the original files of all splits too, byte for byte.
    #[arg(long)]
    keep: bool,
    /// Format of augmented images.
    #[arg(long, value_name = "FORMAT", default_value = "png", value_parser = one_of([
        ("png", Format::Png, "without loss"),
        ("jpeg", Format::Jpeg, "with the quality of --quality"),
        ("webp", Format::Webp, "without loss"),
    ]))]
    format: Format,
    /// Quality of JPEG files, from 1 to 100 [default: 90].
    #[arg(long, value_name = "Q", value_parser = in_range(1..=100_u8))]
    quality: Option<u8>,
    #[command(flatten)]
    labels: LabelOptions,
    /// Go on if an image or its own file of annotations cannot be read; its name is reported.
    #[arg(long)]
    skip_unreadable: bool,
    /// Number of threads, from 1 to 1024 [default: all cores].
    #[arg(long, value_name = "N", value_parser = in_range(1..=1024_usize))]
    threads: Option<usize>,
    /// Print events as JSON, one per line.
    #[arg(long)]
    json: bool,
    /// Output folder, created if missing; or tar:FILE, an archive with the same files.
    #[arg(long, value_name = "DIR|tar:FILE", value_parser = OsStringValueParser::new().map(Destination::parse))]
    out: Destination,
    #[command(flatten)]
    plugins: PluginOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Png,
    Jpeg,
    Webp,
}

impl Augment {
    pub(crate) fn run(self) -> Result<()> {
        let encoding = self.encoding()?;
        let stop = Arc::new(AtomicBool::new(false));
        let set = Arc::clone(&stop);
        stop_on_signal(move || !set.swap(true, Ordering::Relaxed), || ())?;
        let policy = find_policy(&self.policy)?;
        let known = self.plugins.known_ops()?;
        let executor = known.executor(&policy, &self.policy)?;
        let files = ImageFiles::list(&self.data)?;
        for warning in files.warnings() {
            log_line!("warning: {warning}");
        }
        check_stop(&stop)?;
        self.check_labels(&files, &executor)?;
        let extension = encoding.extension();
        let outputs = Outputs::new(&files, self.copies, self.keep, self.split, extension)?;
        self.out.check(&self.data)?;
        if let Some(note) = outputs.note() {
            log_line!("note: {note}");
        }
        let folder = self.out.folder();
        create_folder(folder)
            .with_context(|| format!("cannot create the folder {}", folder.display()))?;
        let header = self.header(&policy, &known, encoding, &outputs)?;
        let mut manifest = Manifest::open(&self.out, &header)?;
        let cores = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = self.threads.unwrap_or_else(cores);
        let done = manifest.resume(&header, &outputs, &self.out, threads, &stop)?;
        check_stop(&stop)?;
        self.out.prepare_folders(&outputs)?;
        let (out, mut archive) = match &self.out {
            Destination::Folder(folder) => (Some(folder.as_path()), None),
            Destination::Archive(file) => (None, Some(Archive::open(file, done.end)?)),
        };

        if executor.partner_op().is_some() {
            files.spool(folder)?;
            check_stop(&stop)?;
        }
        let labels = &self.labels;
        let mut images = Images::new(&outputs, out, &executor, self.seed, encoding, labels, &done)?;
        images.skip_unreadable = self.skip_unreadable;
        let wanted = outputs.wanted();
        let total = (wanted.len(), outputs.count());
        let mut report = Report::new(self.json, total, &done, threads)?;
        let again: Vec<usize> = done.again.iter().map(|(position, _)| *position).collect();
        let work = |wanted: &[usize], take: &mut dyn FnMut(Vec<Written>) -> Result<()>| {
            work::run(&images, wanted, threads, &stop, take)
        };
        let restored = work(&again, &mut |written| {
            // Their lines are there.
            let mut written = written.iter();
            written.try_for_each(|it| done.check_restored(it.position, &it.line))
        });
        let worked = restored.and_then(|()| {
            report.restored(done.missing);
            work(&wanted[done.images..], &mut |written| {
                if let Some(archive) = &mut archive {
                    for Written {
                        line,
                        content,
                        label,
                        ..
                    } in &written
                    {
                        let contents = [content, label].into_iter().map(Vec::as_slice);
                        for ((name, length, _), content) in line.files().zip(contents) {
                            archive.append(name, length, content)?;
                        }
                    }
                    archive.flush()?;
                }
                manifest.append(written.iter().map(|it| &it.line))?;
                report.advance(written.iter().map(|it| {
                    let file = &files.files()[it.position];
                    let stands_for = it
                        .line
                        .is_unreadable()
                        .then(|| outputs.versions(file).count());
                    (&it.line, stands_for.unwrap_or(1) as u64)
                }))
            })
        });
        report.end();
        let synced = manifest.sync();
        worked?;
        synced?;
        if !report.is_complete() {
            bail!(stopped());
        }
        annotations::finish(&files, &manifest, &self.out, &mut archive)?;
        if let Some(archive) = archive {
            archive.finish(&manifest.path)?;
        }
        let without_alpha = images.without_alpha.load(Ordering::Relaxed);
        report.finish(&self.out.to_string(), without_alpha)
    }

    /// Checks that annotations can be moved, and that options for them have some.
    fn check_labels(&self, files: &ImageFiles, executor: &Executor) -> Result<()> {
        if files.labelling().is_none() {
            if self.labels.is_given() {
                bail!(Usage(
                    "options of boxes and masks need a data set that has some: coco:…, yolo:… or masks:…".to_owned()
                ));
            }
        } else if let Some(op) = executor.op_without_warp() {
            bail!(
                "{op} does not say where it moves pixels, so neither boxes nor masks can move with them"
            );
        }
        Ok(())
    }

    fn encoding(&self) -> Result<Encoding> {
        let encoding = match self.format {
            Format::Jpeg => Encoding::Jpeg {
                quality: self.quality.unwrap_or(90),
            },
            Format::Png => Encoding::Png,
            Format::Webp => Encoding::Webp,
        };
        if self.quality.is_some() && self.format != Format::Jpeg {
            bail!(Usage(
                "--quality is that of JPEG; PNG and WebP are written without loss: omit it, or add \
                 --format jpeg"
                    .to_owned()
            ));
        }
        Ok(encoding)
    }

    /// What decides which files are written.
    fn header(
        &self,
        policy: &Policy,
        known: &KnownOps,
        encoding: Encoding,
        outputs: &Outputs<'_>,
    ) -> Result<Header> {
        let policy: Value = serde_json::from_str(&policy.to_json())?;
        let plugins: Vec<Value> = known
            .of_plugins()
            .into_iter()
            .map(|(op, sha256)| json!({"op": op, "sha256": sha256}))
            .collect();
        let quality = match encoding {
            Encoding::Jpeg { quality } => json!(quality),
            _ => Value::Null,
        };
        let names = outputs
            .files
            .files()
            .iter()
            .map(|file| file.inner_path() + "\0");
        let shared = outputs.files.digest().to_le_bytes();
        let shared = shared
            .into_iter()
            .filter(|_| outputs.files.labelling().is_some());
        let listing = fnv1a(names.flat_map(String::into_bytes).chain(shared));
        let has_labels = outputs.files.labelling().is_some();
        let labels = match has_labels {
            true => self.labels.to_json(),
            false => Value::Null,
        };
        let data = self.data.absolute().unwrap_or_else(|_| self.data.clone());
        Ok(Header::new([
            ("data", data.to_string().into()),
            ("images", outputs.wanted().len().into()),
            ("listing", format!("{listing:016x}").into()),
            ("split", outputs.splits().into()),
            ("copies", self.copies.into()),
            ("keep", self.keep.into()),
            ("seed", self.seed.into()),
            ("encoding", encoding.extension().into()),
            ("quality", quality),
            ("plugins", plugins.into()),
            ("labels", labels),
            ("policy", policy),
        ]))
    }
}
