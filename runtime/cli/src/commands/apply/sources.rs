//! The files of boxes and masks that belong to pictures, and those that are written for them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use faa_data::{
    AnnotationError, Coco, CocoImage, LabelMask, MAX_COCO_BYTES, MAX_MASK_BYTES, MAX_YOLO_BYTES,
    Yolo,
};
use faa_op::Size;
use faa_system::open_regular;
use serde_json::{Map, Value, json};

use crate::commands::Usage;
use crate::labels::{Labels, Moved, parsed};

/// The boxes and masks of all pictures.
pub(super) struct LabelSources {
    boxes: Boxes,
    /// The mask of each picture.
    masks: Vec<PathBuf>,
}

enum Boxes {
    None,
    /// A file, and the image in it of each picture.
    Coco {
        file: PathBuf,
        coco: Box<Coco>,
        images: Vec<usize>,
    },
    /// The file of each picture.
    Yolo(Vec<PathBuf>),
}

/// What is known of one picture, and in which form.
pub(super) struct PictureLabels<'a> {
    pub(super) labels: Labels,
    pub(super) coco: Option<(&'a Coco, &'a CocoImage)>,
    yolo: Option<Yolo>,
    size: (u32, u32),
}

/// The entry of an image in COCO's file, and its annotations.
pub(super) type CocoRow = (Map<String, Value>, Vec<Map<String, Value>>);

/// What is written of one picture's labels.
#[derive(Default)]
pub(super) struct WrittenLabels {
    pub(super) yolo: Option<Vec<u8>>,
    pub(super) mask: Option<Vec<u8>>,
    /// Its entry in COCO's file, and its annotations.
    pub(super) coco: Option<CocoRow>,
}

impl LabelSources {
    /// Those that `--boxes` and `--mask` name. COCO's file is read.
    pub(super) fn find(
        inputs: &[PathBuf],
        boxes: Option<&Path>,
        masks: Option<&Path>,
    ) -> Result<Self> {
        let boxes = match boxes {
            None => Boxes::None,
            Some(file) if file.extension().is_some_and(|it| it == "json") => {
                let json = read(file, MAX_COCO_BYTES)?;
                let coco = Coco::parse(&json).map_err(|error| of_file(file, &error))?;
                let find = |input: &PathBuf| image_of(&coco, input, file);
                Boxes::Coco {
                    images: inputs.iter().map(find).collect::<Result<_>>()?,
                    coco: Box::new(coco),
                    file: file.to_owned(),
                }
            }
            Some(path) if path.is_dir() || path.extension().is_some_and(|it| it == "txt") => {
                Boxes::Yolo(files(inputs, path, "--boxes", "txt")?)
            }
            Some(path) => bail!(Usage(format!(
                "--boxes {} is neither COCO's FILE.json nor YOLO's FILE.txt, nor a folder of YOLO's files",
                path.display()
            ))),
        };
        let masks = masks.map(|path| files(inputs, path, "--mask", "png"));
        Ok(Self {
            boxes,
            masks: masks.transpose()?.unwrap_or_default(),
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self.boxes, Boxes::None) && self.masks.is_empty()
    }

    pub(super) fn has_masks(&self) -> bool {
        !self.masks.is_empty()
    }

    pub(super) fn is_yolo(&self) -> bool {
        matches!(self.boxes, Boxes::Yolo(_))
    }

    /// COCO's file, and its content.
    pub(super) fn coco(&self) -> Option<(&Path, &Coco)> {
        match &self.boxes {
            Boxes::Coco { file, coco, .. } => Some((file, coco)),
            _ => None,
        }
    }

    /// Reads what belongs to the picture with this index, which has this size.
    pub(super) fn read(&self, index: u64, size: Size) -> Result<PictureLabels<'_>> {
        let index = index as usize;
        let size = (size.width as u32, size.height as u32);
        let mut found = PictureLabels {
            labels: Labels::default(),
            coco: None,
            yolo: None,
            size,
        };
        match &self.boxes {
            Boxes::None => {}
            Boxes::Coco { file, coco, images } => {
                let image = &coco.images()[images[index]];
                found.labels.objects =
                    image.objects(size).map_err(|error| of_file(file, &error))?;
                found.coco = Some((coco, image));
            }
            Boxes::Yolo(files) => {
                let file = &files[index];
                let text = read(file, MAX_YOLO_BYTES)?;
                let yolo = Yolo::parse(&text).map_err(|error| of_file(file, &error))?;
                found.labels.objects = yolo.objects(size);
                found.yolo = Some(yolo);
            }
        }
        if let Some(file) = self.masks.get(index) {
            let png = read(file, MAX_MASK_BYTES)?;
            let mask = LabelMask::parse(&png).map_err(|error| of_file(file, &error))?;
            found.labels.mask = Some(mask);
        }
        Ok(found)
    }
}

impl PictureLabels<'_> {
    /// The files of labels that have moved; `output` is the name of the picture's file.
    pub(super) fn written(&self, moved: &Moved, output: &str) -> Result<WrittenLabels> {
        let yolo = self.yolo.as_ref();
        let coco = self.coco.map(|(_, image)| {
            let kept = moved.kept().map(|(index, after)| {
                parsed(&image.annotations[index].moved(&self.labels.objects[index], after))
            });
            (
                parsed(&image.entry(image.id, output, self.size)),
                kept.collect(),
            )
        });
        Ok(WrittenLabels {
            yolo: yolo.map(|yolo| yolo.to_text(moved.kept(), self.size).into_bytes()),
            mask: moved.mask.as_ref().map(LabelMask::to_png).transpose()?,
            coco,
        })
    }

    /// What became of each box, for `--json`.
    pub(super) fn boxes(&self, moved: &Moved) -> Value {
        let kept = moved.objects.iter().zip(moved.visible()).enumerate();
        kept.map(|(index, (object, visible))| {
            let mut row = json!({"kept": object.is_some(), "visible": visible});
            if let Some((_, image)) = self.coco {
                row["id"] = image.annotations[index].id.into();
            }
            row
        })
        .collect()
    }
}

/// COCO's file with these images and annotations.
pub(super) fn coco_file(coco: &Coco, written: impl Iterator<Item = CocoRow>) -> Vec<u8> {
    let (images, annotations): (Vec<_>, Vec<_>) = written.unzip();
    let mut file = parsed(&coco.other_keys());
    file.insert("images".to_owned(), images.into());
    let annotations: Vec<_> = annotations.into_iter().flatten().collect();
    file.insert("annotations".to_owned(), annotations.into());
    format!("{}\n", Value::Object(file)).into_bytes()
}

/// The file of each input: the one that is named, or those in a folder.
fn files(inputs: &[PathBuf], path: &Path, option: &str, extension: &str) -> Result<Vec<PathBuf>> {
    if path.is_dir() {
        let file = |input: &PathBuf| {
            let mut name = input.file_stem().unwrap_or_default().to_owned();
            name.push(format!(".{extension}"));
            path.join(name)
        };
        return Ok(inputs.iter().map(file).collect());
    }
    if inputs.len() != 1 {
        bail!(Usage(format!(
            "{option} {} is the file of one image, and {} are given: give a folder that has a file NAME.{extension} for \
             each",
            path.display(),
            inputs.len()
        )));
    }
    Ok(vec![path.to_owned()])
}

/// The position of an input's image: the one whose file name it ends with, and otherwise the one with a file of its
/// name.
fn image_of(coco: &Coco, input: &Path, file: &Path) -> Result<usize> {
    let images = || coco.images().iter().enumerate();
    let ends = images().filter(|(_, it)| input.ends_with(&it.file_name));
    let longest = ends.max_by_key(|(_, it)| it.file_name.len());
    let mut named =
        images().filter(|(_, it)| Path::new(&it.file_name).file_name() == input.file_name());
    let found = longest.or_else(|| named.next());
    let (position, _) =
        found.ok_or_else(|| anyhow!("{} has no image {}", file.display(), input.display()))?;
    if longest.is_none() && named.next().is_some() {
        bail!(
            "{} has several images that may be {}: name it by more of its path",
            file.display(),
            input.display()
        );
    }
    Ok(position)
}

fn of_file(file: &Path, error: &AnnotationError) -> anyhow::Error {
    anyhow!("{}: {error}", file.display())
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let cannot = || format!("cannot read {}", path.display());
    let (file, length) = open_regular(path, File::options().read(true)).with_context(cannot)?;
    if length > limit {
        bail!(
            "{} has {length} bytes; the limit is {limit}",
            path.display()
        );
    }
    let mut content = Vec::new();
    file.take(limit)
        .read_to_end(&mut content)
        .with_context(cannot)?;
    Ok(content)
}
