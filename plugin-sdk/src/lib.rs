#![doc = include_str!("../README.md")]
//!
//! **Panics** become errors: the host gets the message, drops the instance, and continues.
//!
//! **Floats.** Functions such as `sin` must come from [`math`] and not from the platform, so that
//! WebAssembly and native code agree. Addition, multiplication, division, square roots and casts are
//! the same everywhere.
//!
//! **Speed.** An instance is reused from call to call, so memory from [`Call::scratch`](Call) is
//! allocated once. [`blend`] and [`blend_weighted`] are vector instructions on x86-64 and, with SIMD128, in
//! WebAssembly; what [`fill_outer`] calls, and other plain loops over integers, become such instructions if the
//! compiler finds a way. `faa-runtime plugin build` turns SIMD128 on. An op that maps every sample by itself can also implement [`Op::lookup_tables`], with which it
//! runs in one pass with its neighbours.
//!
//! **Masks, boxes and keypoints** follow an op that says where it moves pixels ([`Op::warp`]). One that only
//! changes colours returns [`Warp::Identity`]; one that says nothing is refused where there are any.
//! `examples/plugins/elastic` has a [field](Op::field).
//!
//! **Without the standard library**, turn the default feature `std` off, add an allocator, and call
//! [`panic_handler!`]. `examples/plugins/fade` does.
//!
//! `ABI.md` specifies the protocol below, for authors in other languages.

#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod blend;
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "only `export_ops!` uses them")]
pub mod export;
mod outer;

pub use blend::{blend, blend_level, blend_weighted};
pub use faa_op::*;
pub use outer::fill_outer;

/// Exports the ops of a plugin: `export_ops!(First::new(), Second::default());`, once in a crate.
///
/// The expressions create the ops; an op's number is its index in the list. In a build for
/// WebAssembly they become the exports of ABI 1, and with the feature `native` the table of a native
/// library. Any other build only checks them, so that several plugins can be compiled into one
/// program.
///
/// An op that [needs a partner image](OpSpec::with_partner) cannot be exported, because version 1 of the
/// ABI cannot pass one: the host reports that when it loads the plugin.
#[macro_export]
macro_rules! export_ops {
    ($($op:expr),+ $(,)?) => {
        const _: () = {
            fn make() -> $crate::export::Registry {
                $crate::export::Registry($crate::export::vec![
                    $($crate::export::Box::new($op) as $crate::export::Box<dyn $crate::Op>),+
                ])
            }
            // So that it is used even if nothing is exported.
            const _: fn() -> $crate::export::Registry = make;
            #[cfg(target_family = "wasm")]
            $crate::__wasm_exports!(make);
            $crate::__native_exports!(make);
        };
    };
}

/// The panic handler of a plugin without the standard library: it records the message for the host,
/// and traps.
#[macro_export]
macro_rules! panic_handler {
    () => {
        #[panic_handler]
        fn panic(info: &::core::panic::PanicInfo<'_>) -> ! {
            $crate::export::record_panic(info);
            ::core::arch::wasm32::unreachable()
        }
    };
}
