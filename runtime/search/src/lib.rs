#![doc = include_str!("../README.md")]
//!
//! The Fast AutoAugment search, without the network library.
//!
//! [`Search`] splits a data set into folds, lets a [`Judge`] train a network on each, proposes
//! candidate policies, has them judged, and merges the best. It writes everything into a
//! [`RunDirectory`] and goes on from there when it is started again. The judge that people use
//! works on libtorch and lives in a crate of its own, so that all of this is tested in seconds
//! with a stand-in.

pub mod config;
pub mod data;
pub mod event;
mod files;
pub mod folds;
pub mod judge;
mod merge;
pub mod pipeline;
pub mod protocol;
pub mod report;
pub mod run;
pub mod sampler;
mod search;
pub mod seeds;
pub mod space;
pub mod tensorboard;
pub mod train;
pub mod trial;

pub use config::SearchConfig;
pub use event::Event;
pub use files::{FileError, write_whole};
pub use judge::Judge;
pub use run::{RunDirectory, Task};
pub use search::{FinalResult, Search, SearchError, Summary, check};
pub use tensorboard::TensorBoard;
pub use train::{Train, TrainConfig};

/// The version of this program, which a run directory is bound to.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
