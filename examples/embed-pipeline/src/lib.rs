//! A data loader to copy from: a folder of images becomes batches of normalised floats (NCHW),
//! augmented by a policy, on all cores.
//!
//! ```no_run
//! use embed_pipeline::{Folder, Loader, Options};
//! use faa_policy::{Executor, shipped};
//!
//! let executor = Executor::builtin(&shipped()[0].policy()?)?;
//! let loader = Loader::new(Folder::open("pets/train".as_ref())?, executor, Options::default())?;
//! for epoch in 0..10 {
//!     for batch in loader.epoch(epoch)? {
//!         let batch = batch?;
//!         // batch.images: batch.labels.len() × 3 × size × size floats
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The files, in the order of an image's way: `folder.rs` finds it, `decode.rs` makes it a square of
//! 8-bit RGB, `worker.rs` applies the policy and turns bytes into floats, `loader.rs` hands batches over, and `pool.rs`
//! takes their memory back.
//!
//! - **Order.** Batches come in the order of the epoch, and are the same for any number of threads:
//!   what is drawn for an image follows from the seed, the epoch and the image's index in the folder
//!   ([`DrawKey`](faa_op::DrawKey)), and each thread makes every n-th batch.
//! - **Backpressure.** A thread that is [`Options::prefetch`] batches ahead waits. So there are at
//!   most `threads × (prefetch + 1)` batches in addition to those that the consumer holds, and their memory
//!   is used again once the consumer drops them.
//! - **Files that cannot be decoded** are left out of their batch and named in [`Batch::skipped`]:
//!   one damaged file does not end a training, and the consumer decides what it may cost. A batch is
//!   not filled up, so that an image's batch does not depend on other images.
//! - **Failures.** An op that fails and a thread that panics end the epoch with an error.
//! - **Shutdown.** Dropping the iterator stops the threads after the image that they are at, and
//!   waits for them.

mod decode;
mod decode_all;
mod error;
mod folder;
mod loader;
mod pool;
#[cfg(feature = "libjpeg-turbo")]
mod turbo;
mod worker;

pub use decode_all::decode_all;
pub use error::LoadError;
pub use folder::{Folder, Source};
pub use loader::{Batch, Batches, Loader, Options, Skipped};
