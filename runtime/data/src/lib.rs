//! Labelled image sets in memory: 8-bit RGB images, all of one size, in a training and a test split.
//!
//! ```
//! use faa_data::{DataSpec, Dataset, LoadOptions};
//!
//! let spec: DataSpec = "glyphs".parse()?;
//! let dataset = Dataset::load(&spec, &LoadOptions::default())?;
//! assert_eq!((dataset.width, dataset.height), (32, 32));
//! let label = dataset.train.labels[0] as usize;
//! assert_eq!(dataset.classes[label], "arch");
//! assert_eq!(dataset.train.image(0).len(), 32 * 32 * 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`DataSpec`] names a folder of image files, the same in a tar file, the binary version of
//! CIFAR-10 or CIFAR-100, or the built-in set. [`Dataset::load`] reads all of it;
//! [`Dataset::preview`] decodes only a few training images.
//!
//! The format of an image file is detected from its content, not from its name. Grey, palettes,
//! 16-bit samples and CMYK become 8-bit RGB; alpha is dropped and colour profiles are ignored; the
//! EXIF orientation is applied; only the first frame of an animation is used.
//!
//! **Untrusted input.** Every size that a file claims is checked before memory is allocated for it:
//! an image may have up to 16,384 pixels per side and 256 MiB, an archive up to 8 GiB when
//! decompressed and 4,000,000 entries, and a data set up to 8 GiB of pixels. A decoder that panics
//! costs its file, not the program. Nothing is written to disk, and links in archives are not
//! followed. Files that cannot be decoded are reported together, by name.

mod archive;
mod cifar;
mod dataset;
mod decode;
mod error;
mod folder;
mod glyphs;
mod listing;
mod load;
mod selection;
mod spec;

pub use dataset::{ChannelStatistics, Dataset, Split};
pub use decode::read_image;
pub use error::{DataError, Unreadable};
pub use selection::Preview;
pub use spec::{DataSpec, LoadOptions, ParseDataSpecError};
