#![doc = include_str!("../README.md")]
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
