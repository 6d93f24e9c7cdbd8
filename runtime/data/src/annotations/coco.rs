//! Annotations in JSON, as COCO has them: images, annotations and categories of a whole data set.
//!
//! What is not moved is kept as it is: keys that are not known here, of the file, its images and its annotations.

mod segmentation;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;
use serde_json::{Map, Value};

use self::segmentation::Segmentation;
use super::error::{AnnotationError, AnnotationErrorKind};
use super::json::{Rest, number, rounded};
use super::object::{Object, ObjectPoint};
use crate::inner_path::is_inner_path;

/// The largest file that is read, in bytes: 2 GiB.
pub const MAX_COCO_BYTES: u64 = 2 << 30;

/// The most pixels that the regions of one image may have together. They are in memory together.
const MAX_REGION_PIXELS: u64 = 1 << 30;

/// COCO's keypoints are the indices of pixels, and its boxes and outlines are positions, in which the centre of
/// the first pixel is at ½.
const CENTRE: f64 = 0.5;

/// The annotations of a data set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Coco {
    images: Vec<CocoImage>,
    /// All other keys of the file.
    rest: Rest,
    /// By category, its keypoints of the left and the right side of a body.
    sides: BTreeMap<u64, Vec<[usize; 2]>>,
}

/// An image, with its annotations.
#[derive(Clone, Debug, PartialEq)]
pub struct CocoImage {
    /// Its id.
    pub id: u64,
    /// The path of its file, with `/`, below the folder of images.
    pub file_name: String,
    /// Its annotations, in the order of the file.
    pub annotations: Vec<CocoAnnotation>,
    /// The width in pixels that the file states.
    pub width: Option<u32>,
    /// The height in pixels that the file states.
    pub height: Option<u32>,
    rest: Rest,
}

/// An annotation of an image.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct CocoAnnotation {
    /// Its id.
    pub id: u64,
    /// That of its image.
    pub image_id: u64,
    #[serde(default)]
    category_id: Option<u64>,
    #[serde(default)]
    bbox: Option<Vec<f64>>,
    #[serde(default)]
    segmentation: Option<Segmentation>,
    #[serde(default)]
    area: Option<f64>,
    #[serde(default)]
    keypoints: Option<Vec<f64>>,
    #[serde(default)]
    num_keypoints: Option<u64>,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Deserialize)]
struct File {
    images: Vec<Entry>,
    #[serde(default)]
    annotations: Vec<CocoAnnotation>,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Deserialize)]
struct Entry {
    id: u64,
    file_name: String,
    #[serde(default)]
    width: Option<u32>,
    #[serde(default)]
    height: Option<u32>,
    #[serde(flatten)]
    rest: Rest,
}

impl Coco {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// What is malformed, with its path, such as `annotations[3].bbox`.
    pub fn parse(json: &[u8]) -> Result<Self, AnnotationError> {
        let bytes = json.len() as u64;
        if bytes > MAX_COCO_BYTES {
            let limit = MAX_COCO_BYTES;
            let kind = AnnotationErrorKind::TooLarge { bytes, limit };
            return Err(AnnotationError::new("", kind));
        }
        let mut reader = serde_json::Deserializer::from_slice(json);
        let read: Result<File, _> = serde_path_to_error::deserialize(&mut reader);
        let file = read.map_err(|error| {
            let place = error.path().to_string();
            let is_unknown = matches!(place.as_str(), "." | "?");
            let place = if is_unknown { "" } else { place.as_str() };
            AnnotationError::new(place, AnnotationErrorKind::Json(error.inner().to_string()))
        })?;
        let ended = reader.end();
        ended.map_err(|error| {
            AnnotationError::new("", AnnotationErrorKind::Json(error.to_string()))
        })?;
        Self::of_file(file)
    }

    fn of_file(file: File) -> Result<Self, AnnotationError> {
        let sides = sides(&file.rest.0);
        let mut new = Self {
            sides,
            rest: file.rest,
            ..Self::default()
        };
        let (mut positions, mut names) = (HashMap::new(), BTreeSet::new());
        for (index, entry) in file.images.into_iter().enumerate() {
            let place = |kind| AnnotationError::new(format!("images[{index}]"), kind);
            if positions.insert(entry.id, index).is_some() {
                return Err(place(AnnotationErrorKind::DuplicateId(entry.id)));
            }
            if !is_inner_path(&entry.file_name) {
                return Err(place(AnnotationErrorKind::FileName(entry.file_name)));
            }
            if !names.insert(entry.file_name.clone()) {
                return Err(place(AnnotationErrorKind::DuplicateFile(entry.file_name)));
            }
            new.images.push(CocoImage {
                id: entry.id,
                file_name: entry.file_name,
                annotations: Vec::new(),
                width: entry.width,
                height: entry.height,
                rest: entry.rest,
            });
        }
        let mut ids = BTreeSet::new();
        for (index, annotation) in file.annotations.into_iter().enumerate() {
            let place = |kind| AnnotationError::new(format!("annotations[{index}]"), kind);
            if !ids.insert(annotation.id) {
                return Err(place(AnnotationErrorKind::DuplicateId(annotation.id)));
            }
            annotation.check().map_err(place)?;
            let image = annotation.image_id;
            let Some(position) = positions.get(&image) else {
                return Err(place(AnnotationErrorKind::UnknownImage(image)));
            };
            new.images[*position].annotations.push(annotation);
        }
        Ok(new)
    }

    /// The images, in the order of the file.
    #[must_use]
    pub fn images(&self) -> &[CocoImage] {
        &self.images
    }

    /// The keys of the file besides `images` and `annotations`, such as `info` and `categories`, as a JSON object.
    #[must_use]
    pub fn other_keys(&self) -> String {
        text_of(self.rest.0.clone())
    }

    /// By the names of a category's keypoints, those of the left and of the right side of a body, which change
    /// places in a mirrored image: `left_eye` and `right_eye`.
    #[must_use]
    pub fn sides(&self, category: u64) -> &[[usize; 2]] {
        self.sides.get(&category).map_or(&[], Vec::as_slice)
    }
}

impl CocoImage {
    /// The objects of this image, which has this width and height, in the order of its annotations.
    ///
    /// # Errors
    ///
    /// [`AnnotationErrorKind::Size`] if the file states a different size, and [`AnnotationErrorKind::Runs`] and
    /// [`AnnotationErrorKind::TooLarge`] for regions that are not those of an image, or have too many pixels.
    pub fn objects(&self, size: (u32, u32)) -> Result<Vec<Object>, AnnotationError> {
        let stated = (self.width.unwrap_or(size.0), self.height.unwrap_or(size.1));
        if stated != size {
            let place = format!("the image with the id {}", self.id);
            let kind = AnnotationErrorKind::Size {
                found: stated,
                image: size,
            };
            return Err(AnnotationError::new(place, kind));
        }
        let mut pixels = 0;
        let object = |it: &CocoAnnotation| {
            let place =
                |kind| AnnotationError::new(format!("the annotation with the id {}", it.id), kind);
            if matches!(it.segmentation, Some(Segmentation::Region { .. })) {
                pixels += u64::from(size.0) * u64::from(size.1);
            }
            if pixels > MAX_REGION_PIXELS {
                let (bytes, limit) = (pixels, MAX_REGION_PIXELS);
                return Err(place(AnnotationErrorKind::TooLarge { bytes, limit }));
            }
            it.object(size).map_err(place)
        };
        self.annotations.iter().map(object).collect()
    }

    /// The entry of an image in a file, a JSON object, with this id, file and size in place of its own.
    #[must_use]
    pub fn entry(&self, id: u64, file_name: &str, size: (u32, u32)) -> String {
        let mut entry = self.rest.0.clone();
        entry.insert("id".to_owned(), id.into());
        entry.insert("file_name".to_owned(), file_name.into());
        entry.insert("width".to_owned(), size.0.into());
        entry.insert("height".to_owned(), size.1.into());
        text_of(entry)
    }
}

impl CocoAnnotation {
    /// Checks what does not depend on the image's size.
    fn check(&self) -> Result<(), AnnotationErrorKind> {
        let count = |found: usize, fits: bool, expected| match fits {
            true => Ok(()),
            false => Err(AnnotationErrorKind::Count { found, expected }),
        };
        if self.rest.0.contains_key("segments_info") {
            return Err(AnnotationErrorKind::Unsupported(
                "panoptic segmentation, with its regions in PNG files",
            ));
        }
        if let Some(bbox) = &self.bbox {
            let found = bbox.len();
            count(
                found,
                found == 4 || found == 0,
                "a box of 4: x, y, width, height",
            )?;
        }
        if let Some(keypoints) = &self.keypoints {
            let found = keypoints.len();
            count(found, found.is_multiple_of(3), "keypoints of 3: x, y, v")?;
            let mut flags = keypoints.iter().skip(2).step_by(3);
            if let Some(&value) = flags.find(|flag| ![0.0, 1.0, 2.0].contains(*flag)) {
                let expected = "the visibility of a keypoint: 0, 1 or 2";
                return Err(AnnotationErrorKind::OutOfRange { value, expected });
            }
        }
        self.segmentation
            .as_ref()
            .map_or(Ok(()), Segmentation::check)
    }

    fn object(&self, size: (u32, u32)) -> Result<Object, AnnotationErrorKind> {
        let bounds = match self.bbox.as_deref() {
            Some(&[x, y, width, height]) => Some([x, y, x + width, y + height]),
            _ => None,
        };
        let (outlines, region) = match &self.segmentation {
            Some(segmentation) => segmentation.outlines_or_region(size)?,
            None => (Vec::new(), None),
        };
        let keypoints = self.keypoints.iter().flat_map(|it| it.as_chunks::<3>().0);
        Ok(Object {
            class: self.category_id.unwrap_or(0),
            bounds,
            outlines,
            region,
            keypoints: keypoints
                .map(|&[x, y, visibility]| ObjectPoint {
                    position: [x + CENTRE, y + CENTRE],
                    visibility: visibility as u8,
                })
                .collect(),
        })
    }

    /// The annotation as it was read, as a JSON object.
    #[must_use]
    pub fn to_json(&self) -> String {
        text_of(self.to_map())
    }

    fn to_map(&self) -> Map<String, Value> {
        let mut map = self.rest.0.clone();
        let mut insert = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                map.insert(key.to_owned(), value);
            }
        };
        insert("id", Some(self.id.into()));
        insert("image_id", Some(self.image_id.into()));
        insert("category_id", self.category_id.map(Value::from));
        insert("bbox", self.bbox.as_deref().map(numbers));
        insert(
            "segmentation",
            self.segmentation.as_ref().map(Segmentation::to_value),
        );
        insert("area", self.area.map(number));
        insert("keypoints", self.keypoints.as_deref().map(numbers));
        insert("num_keypoints", self.num_keypoints.map(Value::from));
        map
    }

    /// The annotation of an object that was `before` and is `after` now, as a JSON object. What has changed is written to a thousandth
    /// of a pixel, and the rest as it was. Its area is that of its outlines or region; without any, it changes as
    /// that of its box does.
    #[must_use]
    pub fn moved(&self, before: &Object, after: &Object) -> String {
        let mut map = self.to_map();
        if before == after {
            return text_of(map);
        }
        let mut insert = |key: &str, value| map.insert(key.to_owned(), value);
        if let Some(bounds) = after.bounds.filter(|_| before.bounds != after.bounds) {
            let [left, top, right, bottom] = bounds.map(rounded);
            let sides = [left, top, right - left, bottom - top].map(rounded);
            insert("bbox", numbers(&sides));
        }
        if (&before.outlines, &before.region) != (&after.outlines, &after.region) {
            let new = self.segmentation.as_ref().map(|it| it.moved(after));
            if let Some(new) = new {
                insert("segmentation", new.to_value());
            }
        }
        if let Some(area) = self.area {
            let of_box = |object: &Object| {
                let [left, top, right, bottom] = object.bounds?;
                Some((right - left) * (bottom - top)).filter(|area| *area > 0.0)
            };
            let has_shape = !before.outlines.is_empty() || before.region.is_some();
            let scaled = || Some(area * of_box(after)? / of_box(before)?);
            let area = if has_shape {
                Some(after.area())
            } else {
                scaled()
            };
            if let Some(area) = area {
                insert("area", number(rounded(area)));
            }
        }
        if before.keypoints != after.keypoints {
            let labelled = after
                .keypoints
                .iter()
                .filter(|it| it.visibility > 0)
                .count();
            let three = |it: &ObjectPoint| match it.visibility {
                0 => [0.0; 3],
                visibility => {
                    let [x, y] = it.position.map(|at| rounded(at - CENTRE));
                    [x, y, f64::from(visibility)]
                }
            };
            let all: Vec<f64> = after.keypoints.iter().flat_map(three).collect();
            insert("keypoints", numbers(&all));
            if self.num_keypoints.is_some() {
                insert("num_keypoints", labelled.into());
            }
        }
        text_of(map)
    }
}

/// The pairs of keypoints in `categories` of which one has `left` in its name and the other `right`, in upper or lower
/// case. The indices of the left ones ascend.
fn sides(rest: &Map<String, Value>) -> BTreeMap<u64, Vec<[usize; 2]>> {
    let categories = rest.get("categories").and_then(Value::as_array);
    let of_category = |category: &Value| {
        let names = category.get("keypoints")?.as_array()?;
        let lower = |name: &Value| name.as_str().unwrap_or("").to_lowercase();
        let names: Vec<String> = names.iter().map(lower).collect();
        let mut indices = HashMap::new();
        for (index, name) in names.iter().enumerate() {
            indices.entry(name.as_str()).or_insert(index);
        }
        let other = |name: &str| {
            let mirrored = name.replacen("left", "right", 1);
            indices.get(mirrored.as_str()).copied()
        };
        let lefts = names
            .iter()
            .enumerate()
            .filter(|(_, name)| name.contains("left"));
        let pairs = lefts.filter_map(|(index, name)| Some([index, other(name)?]));
        Some((category.get("id")?.as_u64()?, pairs.collect()))
    };
    categories
        .into_iter()
        .flatten()
        .filter_map(of_category)
        .collect()
}

fn text_of(object: Map<String, Value>) -> String {
    Value::Object(object).to_string()
}

fn numbers(values: &[f64]) -> Value {
    values.iter().map(|value| number(*value)).collect()
}

#[cfg(test)]
mod tests;
