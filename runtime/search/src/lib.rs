#![doc = include_str!("../README.md")]
//!
//! A [`Run`] splits a data set into folds, lets a [`Backend`] train a network on each, proposes
//! candidate policies, has them scored, merges the best into a policy, and trains networks with it.
//! Without a search it only trains. It writes everything into a [`RunDirectory`] and continues from
//! there when it is started again. The backend on libtorch is a separate crate, so this one is tested in
//! seconds with a fake backend.

mod as_string;
pub mod attempt;
pub mod audit;
pub mod backend;
pub mod collect;
pub mod config;
pub mod device;
pub mod directory;
pub mod environment;
pub mod error;
pub mod event;
pub mod files;
pub mod folds;
mod found;
pub mod halving;
mod job_lock;
pub mod job_progress;
pub mod jobs;
pub mod layout;
mod locks;
pub mod model;
pub mod pipeline;
pub mod protocol;
mod records;
pub mod reliability;
pub mod results;
pub mod runner;
pub mod sampler;
pub mod seed_count;
pub mod seeds;
pub mod selection;
pub mod space;
pub mod statistics;
pub mod summary;
pub mod trial;

pub use backend::{Backend, NetworkFiles};
pub use config::RunConfig;
pub use directory::RunDirectory;
pub use error::{ConfigError, ConfigErrorKind};
pub use event::Event;
pub use runner::{Run, RunError, RunErrorKind};

/// The version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
