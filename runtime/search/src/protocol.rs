//! What `faa-runtime` and its sibling `faa-runtime-torch` say to each other.
//!
//! The sibling reads one [`Request`] as a line of JSON from its standard input and answers with
//! [`Message`]s, a line each, on its standard output. When its standard input ends, it stops
//! cleanly: the caller closes it on Ctrl-C, and the operating system does where the caller died.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::SearchConfig;
use crate::event::Event;
use crate::train::TrainConfig;

/// What the sibling is asked to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Request {
    /// Say what libtorch and CUDA are like.
    Doctor,
    /// Search.
    Search {
        /// What for.
        config: Box<SearchConfig>,
        /// The run directory.
        out: PathBuf,
        /// What to work with.
        means: Means,
        /// The plugins that the configuration names ops of.
        #[serde(default)]
        plugins: Option<Plugins>,
    },
    /// Train networks.
    Train {
        /// Which.
        config: Box<TrainConfig>,
        /// The run directory.
        out: PathBuf,
        /// What to work with.
        means: Means,
        /// The plugins that the configuration names ops of.
        #[serde(default)]
        plugins: Option<Plugins>,
    },
    /// Evaluate trained networks on a test split.
    Evaluate {
        /// The networks' files.
        networks: Vec<PathBuf>,
        /// The data set, as after `--data`.
        data: String,
        /// The side to which images are scaled and cropped.
        image_size: Option<u32>,
        /// What to work with.
        means: Means,
    },
}

/// What a run works with. On a CPU, the outcome may depend on the numbers in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Means {
    /// At least one, each of `auto`, `cpu`, `cuda` and `cuda:N`.
    pub devices: Vec<String>,
    /// CPU threads in all.
    pub threads: usize,
    /// Folds or trainings side by side; as many as devices where not given.
    pub jobs: Option<usize>,
}

/// Where plugins are, and what they may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plugins {
    /// The folders, as absolute paths.
    pub folders: Vec<PathBuf>,
    /// Whether native libraries are loaded too.
    pub allow_native: bool,
    /// Memory of a plugin, a thread, in MiB.
    pub memory_mib: u32,
    /// The longest that a call into a plugin may take, in seconds.
    pub call_seconds: f64,
}

/// What the sibling answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Message {
    /// A step of the work.
    Event(Event),
    /// The answer to [`Request::Doctor`].
    Doctor {
        /// What libtorch says of itself and of CUDA.
        doctor: TorchReport,
    },
    /// The last word, where the work was not finished.
    Ended {
        /// Why.
        ended: End,
    },
}

/// What libtorch says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TorchReport {
    /// Whether oneDNN, the fast convolutions on the CPU, is there.
    pub onednn: bool,
    /// The CUDA devices that can be used.
    pub cuda_devices: usize,
    /// In words.
    pub cuda: String,
}

/// Why work was not finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// On request.
    Stopped,
    /// Because of an error: what happened, and the causes behind it.
    Failed(Vec<String>),
}
