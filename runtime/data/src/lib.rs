#![doc = include_str!("../README.md")]

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
