//! WideResNet, its training, and the [`Backend`](faa_search::Backend) of policies, on libtorch.
//!
//! This is the only crate that knows libtorch. Everything that can fail in libtorch comes back as
//! an error; images go to the device as bytes and are normalised there; augmentation runs on CPU
//! threads, ahead of the network.

mod backend;
mod batches;
mod checkpoint;
pub mod device;
mod init;
pub mod network;
pub mod schedule;
pub mod sgd;
mod shim;
mod statistics;

pub use backend::{BackendConfig, TorchBackend, TorchNetwork};
pub use checkpoint::CheckpointError;
pub use init::he_normal;
