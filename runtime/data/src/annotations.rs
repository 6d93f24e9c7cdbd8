//! What is known of images beside their pixels: objects with boxes, outlines, regions and keypoints
//! ([`Coco`], [`Yolo`]), and a label for each pixel ([`LabelMask`]).
//!
//! All of these read files of strangers: whatever is malformed is an [`AnnotationError`] with its place.

mod coco;
mod error;
mod json;
mod mask;
mod object;
mod region;
mod yolo;

pub use coco::{Coco, CocoAnnotation, CocoImage, MAX_COCO_BYTES};
pub use error::{AnnotationError, AnnotationErrorKind};
pub use mask::{LabelMask, MAX_MASK_BYTES, MaskLabels};
pub use object::{Object, ObjectPoint};
pub use region::Region;
pub use yolo::{MAX_YOLO_BYTES, Yolo};
