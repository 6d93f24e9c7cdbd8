//! The code behind `export_ops!`, which is not meant to be used directly.

#[cfg(any(target_family = "wasm", feature = "native", test))]
mod message;
#[cfg(feature = "native")]
mod native;
mod registry;
mod spec;
#[cfg(target_family = "wasm")]
mod wasm;

pub use alloc::boxed::Box;
pub use alloc::vec;

#[cfg(feature = "native")]
pub use self::native::{NativeLibrary, NativeState, native_table};
pub use self::registry::{Registry, Shape, status};
#[cfg(target_family = "wasm")]
pub use self::wasm::{WasmExports, record_panic};

/// The exports of a WebAssembly module, with the names of [`crate::abi`].
#[doc(hidden)]
#[macro_export]
macro_rules! __wasm_exports {
    ($make:path) => {
        static PLUGIN: $crate::export::WasmExports = $crate::export::WasmExports::new($make);

        #[unsafe(link_section = "faa.abi")]
        #[used]
        static ABI: [u8; 4] = $crate::abi::VERSION.to_bytes();

        #[unsafe(no_mangle)]
        extern "C" fn faa_spec() -> u64 {
            PLUGIN.spec()
        }

        #[unsafe(no_mangle)]
        extern "C" fn faa_reserve(size: u32) -> u32 {
            PLUGIN.reserve(size)
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn faa_apply(
            op: u32,
            pixels: u32,
            width: u32,
            height: u32,
            channels: u32,
            value: f64,
            seed: u64,
        ) -> i32 {
            let shape = $crate::export::Shape {
                width,
                height,
                channels,
            };
            // SAFETY: by the ABI, the host has written an image of that shape there.
            unsafe { PLUGIN.apply(op, pixels, shape, value, seed) }
        }

        #[unsafe(no_mangle)]
        extern "C" fn faa_error() -> u64 {
            PLUGIN.error()
        }

        #[unsafe(no_mangle)]
        extern "C" fn faa_lookup_tables(op: u32, channels: u32, value: f64) -> u64 {
            PLUGIN.lookup_tables(op, channels, value)
        }

        #[unsafe(no_mangle)]
        extern "C" fn faa_warp(op: u32, width: u32, height: u32, value: f64, seed: u64) -> u64 {
            PLUGIN.warp(op, (width, height), value, seed)
        }

        #[unsafe(no_mangle)]
        extern "C" fn faa_field(op: u32, width: u32, height: u32, value: f64, seed: u64) -> u64 {
            PLUGIN.field(op, (width, height), value, seed)
        }
    };
}

/// The table of a native library, with the name of [`crate::abi::NATIVE_SYMBOL`].
#[cfg(feature = "native")]
#[doc(hidden)]
#[macro_export]
macro_rules! __native_exports {
    ($make:path) => {
        struct Library;

        impl $crate::export::NativeLibrary for Library {
            fn state() -> &'static $crate::export::NativeState {
                static STATE: $crate::export::NativeState = $crate::export::NativeState::new($make);
                &STATE
            }
        }

        #[unsafe(no_mangle)]
        #[allow(non_upper_case_globals, reason = "the ABI's name")]
        static faa_plugin: $crate::abi::NativeTable = $crate::export::native_table::<Library>();
    };
}

/// Nothing, without the feature `native`.
#[cfg(not(feature = "native"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __native_exports {
    ($make:path) => {};
}
