//! The annotations of one image: how they are read, what becomes of them, and what is written of them.

use anyhow::{Result, anyhow};
use faa_data::{
    AnnotationError, AnnotationErrorKind, Coco, CocoImage, DataError, ImageFiles, LabelMask,
    Labelling, Yolo,
};
use faa_op::Size;
use faa_policy::Targets;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::labels::{LabelOptions, Labels, Moved, parsed};

/// The annotations of an image, as they were read.
pub(super) struct ImageLabels<'a> {
    pub(super) labels: Labels,
    /// The content of its file of annotations, if it has one.
    bytes: Option<Vec<u8>>,
    form: Form<'a>,
    size: (u32, u32),
}

enum Form<'a> {
    Coco(&'a Coco, &'a CocoImage),
    Yolo(Yolo),
    Mask,
}

/// What is written of the annotations of one version of an image.
#[derive(Default)]
pub(super) struct Written {
    /// A file of its own.
    pub(super) file: Option<Vec<u8>>,
    /// Its annotations in COCO's file, with the ids that they had.
    pub(super) annotations: Option<Vec<Map<String, Value>>>,
    pub(super) boxes: Option<Survivors>,
}

/// Which objects are left of an image's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Survivors {
    pub(super) kept: u64,
    /// The others: the ids of their annotations, or their positions in the file, from 0.
    pub(super) dropped: Vec<u64>,
}

/// How many objects were kept and dropped in all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    pub(super) kept: u64,
    pub(super) dropped: u64,
}

impl Counted {
    pub(super) fn add(&mut self, survivors: Option<&Survivors>) {
        if let Some(survivors) = survivors {
            self.kept += survivors.kept;
            self.dropped += survivors.dropped.len() as u64;
        }
    }
}

impl<'a> ImageLabels<'a> {
    /// Reads the annotations of an image of this size; `None` in a data set that has none. `bytes` is the content of
    /// the image's file of annotations.
    pub(super) fn read(
        files: &'a ImageFiles,
        position: usize,
        bytes: Option<Vec<u8>>,
        size: Option<Size>,
    ) -> Result<Option<Self>, DataError> {
        let Some(labelling) = files.labelling() else {
            return Ok(None);
        };
        let unusable = |error: AnnotationError| files.unusable_label(position, &error);
        let mut labels = Labels::default();
        let content = bytes.as_deref().unwrap_or_default();
        let size = size.map(|it| (it.width as u32, it.height as u32));
        let form = match labelling {
            Labelling::Coco(coco) => {
                let image = files.coco_image(position);
                let image = image.expect("images of this form have an entry");
                if let Some(size) = size {
                    labels.objects = image.objects(size).map_err(unusable)?;
                }
                Form::Coco(coco, image)
            }
            Labelling::Yolo => {
                let yolo = Yolo::parse(content).map_err(unusable)?;
                labels.objects = yolo.objects(size.unwrap_or((1, 1)));
                Form::Yolo(yolo)
            }
            _ => {
                let mask = LabelMask::parse(content).map_err(unusable)?;
                let found = (mask.width, mask.height);
                if let Some(image) = size.filter(|size| *size != found) {
                    let kind = AnnotationErrorKind::Size { found, image };
                    return Err(unusable(AnnotationError::new("", kind)));
                }
                labels.mask = Some(mask);
                Form::Mask
            }
        };
        Ok(Some(Self {
            labels,
            bytes,
            form,
            size: size.unwrap_or((1, 1)),
        }))
    }

    /// The length and the CRC-32 of the image's file of annotations.
    pub(super) fn content(bytes: Option<&Vec<u8>>) -> Option<(u64, u32)> {
        bytes.map(|bytes| (bytes.len() as u64, crc32fast::hash(bytes)))
    }

    /// Moves them along with an image, by what `apply` does to the targets that it is given.
    pub(super) fn moved(
        &self,
        options: &LabelOptions,
        size: Size,
        apply: impl FnOnce(&mut Targets<'_, '_>) -> Result<()>,
    ) -> Result<Moved> {
        let coco = match &self.form {
            Form::Coco(coco, _) => Some(*coco),
            _ => None,
        };
        options.moved(&self.labels, size, coco, apply)
    }

    /// What is written with an original.
    pub(super) fn original(&self) -> Written {
        match &self.form {
            Form::Coco(_, image) => Written {
                annotations: Some(
                    image
                        .annotations
                        .iter()
                        .map(|it| parsed(&it.to_json()))
                        .collect(),
                ),
                ..Written::default()
            },
            _ => Written {
                file: self.bytes.clone(),
                ..Written::default()
            },
        }
    }

    /// What is written of them after they have moved.
    pub(super) fn written(&self, moved: &Moved) -> Result<Written> {
        let mut written = Written::default();
        let has_boxes = !matches!(self.form, Form::Mask);
        let id = |index: usize| match &self.form {
            Form::Coco(_, image) => image.annotations[index].id,
            _ => index as u64,
        };
        written.boxes = has_boxes.then(|| Survivors {
            kept: moved.kept().count() as u64,
            dropped: moved.dropped().map(id).collect(),
        });
        match &self.form {
            Form::Coco(_, image) => {
                let kept = moved.kept().map(|(index, after)| {
                    parsed(&image.annotations[index].moved(&self.labels.objects[index], after))
                });
                written.annotations = Some(kept.collect());
            }
            Form::Yolo(yolo) => {
                // An image without a file stays one.
                let text = || yolo.to_text(moved.kept(), self.size).into_bytes();
                written.file = self.bytes.as_ref().map(|_| text());
            }
            Form::Mask => {
                let mask = moved
                    .mask
                    .as_ref()
                    .ok_or_else(|| anyhow!("it has no mask"))?;
                written.file = Some(mask.to_png()?);
            }
        }
        Ok(written)
    }
}
