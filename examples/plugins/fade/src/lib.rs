//! A plugin with one op, [`Fade`], without the standard library.
//!
//! It shows what such a plugin must define, an allocator and a panic handler, and an
//! op that consists of a helper of the SDK.

// Only in WebAssembly: native libraries and tests use the panic handler and the allocator of the
// standard library.
#![cfg_attr(target_family = "wasm", no_std)]

mod fade;

pub use fade::Fade;

faa_plugin_sdk::export_ops!(Fade::default());

#[cfg(target_family = "wasm")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

#[cfg(target_family = "wasm")]
faa_plugin_sdk::panic_handler!();
