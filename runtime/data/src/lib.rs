#![doc = include_str!("../README.md")]

mod annotations;
mod archive;
mod assembly;
mod cifar;
mod dataset;
mod decode;
mod error;
mod folder;
mod glyphs;
mod image_files;
mod inner_path;
mod jpeg;
mod labelled;
mod listing;
mod load;
mod options;
mod spec;
#[cfg(test)]
mod tests;

pub use annotations::{
    AnnotationError, AnnotationErrorKind, Coco, CocoAnnotation, CocoImage, LabelMask,
    MAX_COCO_BYTES, MAX_MASK_BYTES, MAX_YOLO_BYTES, MaskLabels, Object, ObjectPoint, Region, Yolo,
};
pub use dataset::{ChannelStatistics, Dataset, Split};
pub use decode::read_image;
pub use error::{DataError, DataErrorKind};
pub use image_files::{EncodedImage, ImageFile, ImageFiles};
pub use jpeg::{jpeg_ends_early, jpeg_exif};
pub use labelled::Labelling;
pub use listing::ImageSplit;
pub use options::{LoadOptions, MAX_SIDE, Preview};
pub use spec::DataSpec;
