//! What an annotation has of its object's shape.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};

use crate::annotations::error::AnnotationErrorKind;
use crate::annotations::json::{number, rounded};
use crate::annotations::object::Object;
use crate::annotations::region::{Region, runs_of_text, text_of_runs};

/// The outlines of an object's parts, or its pixels.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Segmentation {
    /// x and y of each corner, in turn.
    Outlines(Vec<Vec<f64>>),
    Region {
        counts: Counts,
        size: [u32; 2],
    },
}

/// Outlines, or a region.
type Shape = (Vec<Vec<[f64; 2]>>, Option<Region>);

/// The lengths of a region's runs.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Counts {
    Runs(Vec<u64>),
    /// As `pycocotools` packs them.
    Text(String),
}

impl Segmentation {
    pub(super) fn check(&self) -> Result<(), AnnotationErrorKind> {
        let Self::Outlines(outlines) = self else {
            return Ok(());
        };
        let is_none = |outline: &&Vec<f64>| outline.len() < 6 || !outline.len().is_multiple_of(2);
        match outlines.iter().find(is_none) {
            None => Ok(()),
            Some(outline) => Err(AnnotationErrorKind::Count {
                found: outline.len(),
                expected: "outlines of x and y, of three corners or more",
            }),
        }
    }

    pub(super) fn outlines_or_region(
        &self,
        image: (u32, u32),
    ) -> Result<Shape, AnnotationErrorKind> {
        match self {
            Self::Outlines(outlines) => {
                let corners = outlines.iter().map(|it| it.as_chunks::<2>().0.to_vec());
                Ok((corners.collect(), None))
            }
            Self::Region { counts, size } => {
                let found = (size[1], size[0]);
                if found != image {
                    return Err(AnnotationErrorKind::Size { found, image });
                }
                let region = match counts {
                    Counts::Runs(runs) => Region::from_runs(image, runs)?,
                    Counts::Text(text) => Region::from_runs(image, &runs_of_text(text)?)?,
                };
                Ok((Vec::new(), Some(region)))
            }
        }
    }

    /// The same kind of segmentation, with the shape of an object.
    pub(super) fn moved(&self, object: &Object) -> Self {
        match (self, &object.region) {
            (Self::Region { counts, size }, Some(region)) => {
                let runs = region.runs();
                let counts = match counts {
                    Counts::Runs(_) => Counts::Runs(runs),
                    Counts::Text(_) => Counts::Text(text_of_runs(&runs)),
                };
                Self::Region {
                    counts,
                    size: *size,
                }
            }
            _ => {
                let numbers = |corners: &Vec<[f64; 2]>| {
                    corners.iter().flatten().map(|at| rounded(*at)).collect()
                };
                Self::Outlines(object.outlines.iter().map(numbers).collect())
            }
        }
    }

    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Outlines(outlines) => {
                let numbers = |it: &Vec<f64>| it.iter().map(|at| number(*at)).collect::<Value>();
                outlines.iter().map(numbers).collect()
            }
            Self::Region {
                counts: Counts::Runs(runs),
                size,
            } => json!({"counts": runs, "size": size}),
            Self::Region {
                counts: Counts::Text(text),
                size,
            } => json!({"counts": text, "size": size}),
        }
    }
}

impl<'de> Deserialize<'de> for Segmentation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyShape)
    }
}

struct AnyShape;

impl<'de> Visitor<'de> for AnyShape {
    type Value = Segmentation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of outlines, or an object with `counts` and `size`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Segmentation, A::Error> {
        let mut outlines = Vec::new();
        while let Some(outline) = items.next_element()? {
            outlines.push(outline);
        }
        Ok(Segmentation::Outlines(outlines))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Segmentation, A::Error> {
        let (mut counts, mut size) = (None, None);
        while let Some(key) = entries.next_key::<String>()? {
            let is_duplicate = match key.as_str() {
                "counts" => counts.replace(entries.next_value()?).is_some(),
                "size" => size.replace(entries.next_value()?).is_some(),
                _ => {
                    entries.next_value::<IgnoredAny>()?;
                    return Err(A::Error::unknown_field(&key, &["counts", "size"]));
                }
            };
            if is_duplicate {
                return Err(A::Error::custom(format!("duplicate key `{key}`")));
            }
        }
        Ok(Segmentation::Region {
            counts: counts.ok_or_else(|| A::Error::missing_field("counts"))?,
            size: size.ok_or_else(|| A::Error::missing_field("size"))?,
        })
    }
}

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyCounts;

        impl<'de> Visitor<'de> for AnyCounts {
            type Value = Counts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the lengths of runs, as a list or a text")
            }

            fn visit_str<E>(self, text: &str) -> Result<Counts, E> {
                Ok(Counts::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Counts, A::Error> {
                let mut runs = Vec::new();
                while let Some(run) = items.next_element()? {
                    runs.push(run);
                }
                Ok(Counts::Runs(runs))
            }
        }
        deserializer.deserialize_any(AnyCounts)
    }
}
