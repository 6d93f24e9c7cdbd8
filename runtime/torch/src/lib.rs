//! WideResNet, its training, and the [`Backend`](faa_search::Backend) of policies, on libtorch.
//!
//! This is the only crate that depends on libtorch, whose failures it returns as errors. Images are
//! augmented on CPU threads, ahead of the network, and copied to the device as bytes, where they are
//! normalised.

mod backend;
mod batches;
mod checkpoint;
mod cpu;
mod cuda;
pub mod device;
mod error;
mod init;
mod layout;
pub mod network;
pub mod schedule;
pub mod sgd;
mod shim;

pub use backend::{BackendConfig, TorchBackend, TorchNetwork};
pub use init::he_normal;
pub use shim::keep_memory;
