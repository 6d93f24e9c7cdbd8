#![doc = include_str!("../README.md")]
//!
//! **The plugin format** is specified in `plugin-sdk/ABI.md`, for authors in any language.
//!
//! **Untrusted input.** Modules are treated as hostile. A module's version, sizes and imports are
//! checked before it is compiled, and what would take too long to compile is refused
//! ([`CompileLimits`]). It has no imports, so it can reach nothing but its own memory. Its calls are
//! limited in time, memory and stack ([`Limits`]), independently of each other: a limit never stops a
//! different plugin's call. Every offset and length that it returns is checked against its memory
//! before anything is read. Its results are the same on every machine: NaNs are canonical, and
//! relaxed SIMD and threads are off.
//!
//! **If an op fails**, the instance is dropped, and the thread's next call gets a new one. The call
//! returns an error, or leaves the image unchanged and is counted, depending on [`OnFailure`].
//!
//! **Compiled modules** are stored in a [cache](default_cache), where a module is found by its
//! SHA-256; a damaged entry is created again.
//!
//! **Native libraries** contain the same ops, but run without a sandbox. They are loaded only with a
//! [`NativePermission`] or by [`Host::load_native`], which are unsafe to create and to call.

mod cache;
mod clock;
mod config;
mod copy;
mod digest;
mod effort;
mod engine;
mod error;
mod exports;
mod folder;
mod host;
mod inspect;
mod message;
mod native;
mod options;
mod plugin;
mod quota;
mod spec;
mod wasm;

pub use cache::default_cache;
pub use config::{CompileLimits, HostConfig, Limits, OnFailure};
pub use error::{CallError, CallErrorKind, HostError, HostErrorKind, PluginError, PluginErrorKind};
pub use faa_op::abi::AbiVersion;
pub use folder::{Broken, Found};
pub use host::Host;
pub use inspect::inspect;
pub use native::NativePermission;
pub use options::PluginOptions;
pub use plugin::{Plugin, PluginOp};
pub use spec::parse_spec;
