#![doc = include_str!("../README.md")]
//!
//! **Panics** become errors: the host is told the message, throws the instance away, and goes on.
//!
//! **Numbers.** Where WebAssembly and native code must agree, functions such as `sin` have to come
//! from [`math`] and not from the platform. Additions, multiplications, divisions, square roots and
//! casts are the same everywhere.
//!
//! **Speed.** An instance is kept from call to call, so memory from [`Call::scratch`](Call) is
//! allocated once. Plain loops over samples become vector instructions (SIMD128) where the target
//! feature is on, as `faa-runtime plugin build` has it. An op that changes every sample by itself can
//! implement [`Op::point`] too, through which neighbouring ops become one pass.
//!
//! **Without the standard library**: turn the default feature `std` off, add an allocator, and call
//! [`panic_handler!`]. `examples/plugins/fade` does.
//!
//! The protocol below is specified in `ABI.md`, for authors in other languages.

#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[doc(hidden)]
pub mod export;

pub use faa_op::*;

/// Exports ops from a plugin: `export_ops!(First::new(), Second::default());`, once in a crate.
///
/// The expressions make the ops, whose numbers are their places in the list. In a build for
/// WebAssembly they become the exports of ABI 1, and with the feature `native` the table of a native
/// library. In any other build they are only checked, so that several plugins can be compiled into
/// one program.
///
/// An op that [mixes](OpSpec::mixing) another image in cannot be exported: version 1 of the ABI has no
/// place for a partner. The host is told so when it loads the plugin.
#[macro_export]
macro_rules! export_ops {
    ($($op:expr),+ $(,)?) => {
        const _: () = {
            fn make() -> $crate::export::Ops {
                $crate::export::vec![
                    $($crate::export::Box::new($op) as $crate::export::Box<dyn $crate::Op>),+
                ]
            }
            // Counts as a use where nothing is exported.
            const _: fn() -> $crate::export::Ops = make;
            #[cfg(target_family = "wasm")]
            $crate::__wasm_exports!(make);
            $crate::__native_exports!(make);
        };
    };
}

/// The panic handler of a plugin without the standard library: keeps the message for the host, and
/// traps.
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
