//! Plugins: image-augmentation ops in WebAssembly modules, and in native libraries where they are
//! trusted.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use faa_plugin::{Host, HostConfig, Native};
//!
//! // The ops that a policy may name: one's own, the built-in ones, and those of plugins.
//! let mut ops = faa_op::OpSet::new();
//! let host = Host::new(HostConfig::default())?; // Once; every limit is on.
//! let found = host.load_folder(Path::new("plugins"), Native::Refused, &mut ops)?;
//! for broken in &found.broken {
//!     eprintln!("{broken}: {}", broken.error); // The others are loaded all the same.
//! }
//! // An executor that is built with `ops` applies them like any other op.
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A single plugin is [loaded](Host::load) from its bytes or its [file](Host::load_file):
//!
//! ```
//! use faa_op::{Channels, ImageMut};
//! use faa_plugin::{Host, HostConfig};
//!
//! let host = Host::new(HostConfig::default())?;
//! let error = host.load(b"\0asm\x01\0\0\0").unwrap_err();
//! assert_eq!(error.kind(), "no-abi");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **What a plugin is** is specified in `plugin-sdk/ABI.md`, for authors in any language.
//!
//! **Untrusted input.** A module is taken to be hostile. Its version, its size and what it imports
//! are checked before it is compiled, and what would take too long to compile is refused
//! ([`CompileLimits`]). It has no import, so it reaches nothing but its own memory. Its calls are
//! bounded in time, memory and stack ([`Limits`]), each by itself: a limit never stops another
//! plugin's call. Every place that it names is checked against its memory before it is read. Its
//! numbers are the same on every machine: NaNs are canonical, and relaxed SIMD and threads are off.
//!
//! **When an op fails**, the instance is thrown away, and the thread's next call has a new one. The
//! call is an error or leaves the image as it was and is counted, as [`OnFailure`] says.
//!
//! **Compiled modules** are kept in a [cache](default_cache), where a module is found by its
//! SHA-256; a damaged entry is made again.
//!
//! **Native libraries** are the same ops without a sandbox. They are loaded only by an explicit call.

mod cache;
mod config;
mod digest;
mod effort;
mod error;
mod exports;
mod folder;
mod host;
mod inspect;
mod message;
mod native;
mod plugin;
mod spec;
mod wasm;

pub use cache::default_cache;
pub use config::{CompileLimits, HostConfig, Limits, OnFailure};
pub use error::{CallError, HostError, PluginError, SpecError};
pub use folder::{Broken, FolderError, Found, Native};
pub use host::Host;
pub use inspect::inspect;
pub use plugin::{AbiVersion, Plugin, PluginOp};
pub use spec::parse_spec;
